//! What calls cost, for limits that are budgets: a weight per tool of a server, else 1.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use toolgate_protocol::names::Pattern;

use super::Keys;
use crate::config::settings::Settings;

/// The weights of each server that has some, the most telling pattern first.
#[derive(Debug, Default)]
pub(super) struct Costs(HashMap<String, Vec<(Pattern, u64)>, RandomState>);

impl Costs {
    pub(super) fn new(settings: &Settings) -> Self {
        let servers = settings.servers.values().filter(|server| !server.costs.is_empty());
        let weights = |costs: &[(String, u64)]| costs.iter().map(|(name, cost)| (Pattern::new(name), *cost)).collect();
        Self(servers.map(|server| (server.name.clone(), weights(&server.costs))).collect())
    }

    /// What a call costs.
    pub(super) fn of(&self, keys: &Keys<'_>) -> u64 {
        let (Some(server), Some(tool)) = (keys.server, keys.tool) else { return 1 };
        let weights = self.0.get(server).map_or(&[][..], Vec::as_slice);
        weights.iter().find(|(pattern, _)| pattern.matches(tool)).map_or(1, |(_, cost)| *cost)
    }
}
