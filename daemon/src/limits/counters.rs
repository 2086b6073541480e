//! The cells of a limit, and which of them is a call's.
//!
//! Those whose keys are known at reload are found without a lock.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::hash::Hasher;
use std::net::IpAddr;
use std::sync::Arc;

use foldhash::fast::RandomState;
use toolgate_protocol::limiter::{Cell, Meter};

use super::Keys;
use super::applied::Names;
use super::table::Table;
use crate::config::settings::{Limit, LimitScope, Prefix};

/// The cells of a limit.
#[derive(Debug)]
pub(super) enum Counters {
    /// All calls have the same.
    One(Cell),
    /// One per listener or server.
    Named(HashMap<String, Cell, RandomState>),
    /// One per key that calls bring.
    Keyed(Box<Table>),
}

impl Counters {
    /// The counters of a scope, with the cells that there were before.
    pub(super) fn new(per: LimitScope, meter: &Meter, names: &Names<'_>, old: Option<&Arc<Self>>) -> Arc<Self> {
        let keys = match per {
            LimitScope::LISTENER => &names.listeners,
            LimitScope::SERVER => &names.servers,
            _ => {
                let new = || match per {
                    LimitScope::GLOBAL => Self::One(meter.cell()),
                    _ => Self::Keyed(Box::new(Table::new(matches!(meter, Meter::Quota(..))))),
                };
                return old.map_or_else(|| Arc::new(new()), Arc::clone);
            }
        };
        let old = match old.map(|old| &**old) {
            Some(Self::Named(cells)) => Some(cells),
            _ => None,
        };
        let cell = |name: &str| old.and_then(|old| old.get(name)).cloned().unwrap_or_else(|| meter.cell());
        Arc::new(Self::Named(keys.iter().map(|name| ((*name).to_owned(), cell(name))).collect()))
    }

    /// The cell of a call; `None` where the call lacks what the limit counts by: a list has no tool.
    pub(super) fn cell(&self, limit: &Limit, keys: &Keys<'_>, meter: &Meter, now: u64) -> Option<Cell> {
        let per = limit.per;
        let table = match self {
            Self::One(cell) => return Some(cell.clone()),
            Self::Named(cells) => {
                let name = if per == LimitScope::LISTENER { Some(keys.listener) } else { keys.server };
                return name.and_then(|name| cells.get(name)).cloned();
            }
            Self::Keyed(table) => table,
        };
        let lacks = |scope, key: Option<&str>| per.has(scope) && key.is_none();
        if lacks(LimitScope::TIER, keys.tier)
            || lacks(LimitScope::ORGANISATION, keys.organisation)
            || lacks(LimitScope::SERVER, keys.server)
            || lacks(LimitScope::TOOL, keys.tool)
        {
            return None;
        }
        let write = |hasher: &mut dyn Hasher| write_key(hasher, per, limit.prefix, keys);
        Some(table.cell(write, || describe(per, limit.prefix, keys), meter, now))
    }

    /// Forgets what does not count any more.
    pub(super) fn sweep(&self, meter: &Meter, now: u64) {
        match self {
            Self::One(cell) => meter.settle(cell, now),
            Self::Named(cells) => cells.values().for_each(|cell| meter.settle(cell, now)),
            Self::Keyed(table) => table.sweep(meter, now),
        }
    }

    /// How many keys are remembered.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::One(_) => 1,
            Self::Named(cells) => cells.len(),
            Self::Keyed(table) => table.len(),
        }
    }

    /// How many keys were forgotten before their time.
    pub(super) fn forgotten(&self) -> u64 {
        match self {
            Self::One(_) | Self::Named(_) => 0,
            Self::Keyed(table) => table.forgotten(),
        }
    }

    /// Every cell, with its key in words where that is known.
    pub(super) fn each(&self, mut look: impl FnMut(Option<&str>, &Cell)) {
        match self {
            Self::One(cell) => look(Some(""), cell),
            Self::Named(cells) => cells.iter().for_each(|(name, cell)| look(Some(name), cell)),
            Self::Keyed(table) => table.each(look),
        }
    }
}

fn write_key(hasher: &mut dyn Hasher, per: LimitScope, prefix: Prefix, keys: &Keys<'_>) {
    if per.has(LimitScope::LISTENER) {
        write(hasher, keys.listener);
    }
    if per.has(LimitScope::ADDRESS) {
        match masked(keys.address, prefix) {
            IpAddr::V4(address) => hasher.write_u32(address.to_bits()),
            IpAddr::V6(address) => hasher.write_u128(address.to_bits()),
        }
    }
    if per.has(LimitScope::CLIENT) {
        write(hasher, keys.client);
    }
    if per.has(LimitScope::TIER) {
        write(hasher, keys.tier.unwrap_or_default());
    }
    if per.has(LimitScope::ORGANISATION) {
        write(hasher, keys.organisation.unwrap_or_default());
    }
    if per.has(LimitScope::SERVER | LimitScope::TOOL) {
        write(hasher, keys.server.unwrap_or_default());
    }
    if per.has(LimitScope::TOOL) {
        write(hasher, keys.tool.unwrap_or_default());
    }
}

/// With its length, so that texts that follow each other cannot be cut elsewhere.
fn write(hasher: &mut dyn Hasher, text: &str) {
    hasher.write_usize(text.len());
    hasher.write(text.as_bytes());
}

/// The network that an address counts as.
fn masked(address: IpAddr, prefix: Prefix) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(u32::from(32 - prefix.v4.min(32))).unwrap_or(0);
            IpAddr::V4((address.to_bits() & mask).into())
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(u32::from(128 - prefix.v6.min(128))).unwrap_or(0);
            IpAddr::V6((address.to_bits() & mask).into())
        }
    }
}

/// The key of a call in words: `client=key:ana, tool=weather/forecast`.
pub(super) fn describe(per: LimitScope, prefix: Prefix, keys: &Keys<'_>) -> String {
    let mut text = String::new();
    let server = keys.server.unwrap_or_default();
    for (_, name) in LimitScope::NAMES.iter().filter(|(scope, _)| per.has(*scope)) {
        let comma = if text.is_empty() { "" } else { ", " };
        // Writing to a String cannot fail.
        let _ = match *name {
            "listener" => write!(text, "{comma}listener={}", keys.listener),
            "address" => {
                let bits = if keys.address.to_canonical().is_ipv4() { prefix.v4 } else { prefix.v6 };
                write!(text, "{comma}address={}/{bits}", masked(keys.address, prefix))
            }
            "client" => write!(text, "{comma}client={}", keys.client),
            "tier" => write!(text, "{comma}tier={}", keys.tier.unwrap_or_default()),
            "organisation" => write!(text, "{comma}organisation={}", keys.organisation.unwrap_or_default()),
            "server" => write!(text, "{comma}server={server}"),
            _ => write!(text, "{comma}tool={server}/{}", keys.tool.unwrap_or_default()),
        };
    }
    text
}
