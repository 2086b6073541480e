//! Limits: `[[limit]]`, and `limits` of listeners, servers, tiers and organisations.
//!
//! One entry bounds one thing: a rate, a quota, or a number in flight.

use std::sync::Arc;

use super::super::section::Section;
use super::super::settings::{Counted, Limit, LimitScope, Measure, Prefix, Written};
use super::super::tree::{Node, Table};
use super::super::units;
use super::Context;

/// Keys of which a limit has one: what it bounds.
const BOUNDS: [&str; 3] = ["rate", "quota", "concurrent"];

/// The limits of a list; `owner` begins the names of those that have none written.
pub(super) fn limits(node: Option<&Node>, owner: &str, context: &mut Context<'_>) -> Vec<Arc<Limit>> {
    let tables = node.map_or(&[][..], Node::elements).iter().filter_map(|node| Some((node, node.table()?)));
    let mut limits = Vec::new();
    for (number, (node, table)) in tables.enumerate() {
        limits.extend(limit(node, table, &format!("{owner}.{}", number + 1), context).map(Arc::new));
    }
    limits
}

fn limit(node: &Node, table: &Table, standard_name: &str, context: &mut Context<'_>) -> Option<Limit> {
    let section = Section::new(Some(table), "limit[]");
    if section.lacks("per") || section.written("per").is_some_and(|per| per.elements().is_empty()) {
        context.error(
            "missing-key",
            node.place,
            "a limit must say what it counts together",
            "add `per`, such as per = \"client\" or per = \"global\"",
        );
    }
    let per = scope(section, context);
    Some(Limit {
        name: section.text("name").unwrap_or_else(|| standard_name.to_owned()),
        per,
        prefix: prefix(section, per, context),
        measure: measure(node, section, context)?,
        counted: if section.text("count").as_deref() == Some("cost") { Counted::Cost } else { Counted::Calls },
        message: section.text("message"),
        written: Written(context.line_of(node.place)),
    })
}

/// All that is named; a tool is one of a server, and everything has to be alike in it.
fn scope(section: Section<'_>, context: &mut Context<'_>) -> LimitScope {
    let named = section.list("per", LimitScope::parse);
    if let Some(per) = section.written("per").filter(|_| named.len() > 1 && named.contains(&LimitScope::GLOBAL)) {
        context.error(
            "conflict",
            per.place,
            "what is counted for everybody together cannot be counted by anything else as well",
            "leave \"global\" out, or write two limits",
        );
    }
    named.into_iter().fold(LimitScope::GLOBAL, |all, one| all | one)
}

fn prefix(section: Section<'_>, per: LimitScope, context: &mut Context<'_>) -> Prefix {
    for key in ["prefix_v4", "prefix_v6"] {
        if let Some(node) = section.written(key).filter(|_| !per.has(LimitScope::ADDRESS)) {
            let message = format!("`{key}` belongs to a limit per address, and this one is not");
            context.error("conflict", node.place, message, "remove it, or add \"address\" to `per`");
        }
    }
    Prefix { v4: section.count("prefix_v4"), v6: section.count("prefix_v6") }
}

fn measure(node: &Node, section: Section<'_>, context: &mut Context<'_>) -> Option<Measure> {
    let written: Vec<_> = BOUNDS.iter().filter_map(|key| Some((*key, section.written(key)?))).collect();
    let [(bound, _)] = written[..] else {
        if let Some((key, second)) = written.get(1) {
            let help = format!("write `{}` and `{key}` as two limits", written[0].0);
            context.error("conflict", second.place, "one limit bounds one thing", help);
        } else if BOUNDS.iter().all(|key| section.lacks(key)) {
            context.error(
                "missing-key",
                node.place,
                "this limit bounds nothing",
                "add rate = \"100/min\", quota = \"10000/day\" or concurrent = 10",
            );
        }
        return None;
    };
    let is_window = section.text("algorithm").as_deref() == Some("sliding-window");
    if bound != "rate" {
        foreign(section, "burst", bound, context);
        useless(section, "algorithm", "only a rate has an algorithm", context);
    } else if is_window {
        useless(section, "burst", "in a sliding window all of the count may come at once", context);
    }
    match bound {
        "rate" => {
            let (count, period) = units::rate(&section.text("rate")?).ok()?;
            Some(if is_window {
                Measure::Window { count, period }
            } else {
                Measure::Rate { count, period, burst: section.maybe_count("burst").unwrap_or(count) }
            })
        }
        "quota" => {
            let (count, unit) = units::quota(&section.text("quota")?).ok()?;
            Some(Measure::Quota { count, unit })
        }
        _ => {
            if let Some(node) = section.written("count") {
                let message = "`count` belongs to a rate or a quota: a call in flight is one, whatever it costs";
                context.error("conflict", node.place, message, "remove it");
            }
            section.maybe_count("concurrent").map(Measure::Concurrent)
        }
    }
}

/// A key that contradicts what the limit bounds.
fn foreign(section: Section<'_>, key: &str, bound: &str, context: &mut Context<'_>) {
    if let Some(node) = section.written(key) {
        context.error(
            "conflict",
            node.place,
            format!("`{key}` belongs to a rate, and this limit has none"),
            format!("remove it, or write `rate` instead of `{bound}`"),
        );
    }
}

/// A key that changes nothing, and may stay.
fn useless(section: Section<'_>, key: &str, why: &str, context: &mut Context<'_>) {
    if let Some(node) = section.written(key) {
        context.warning("no-effect", node.place, format!("`{key}` has no effect here: {why}"), "remove it");
    }
}
