//! Limits: `[[limit]]`, and `limits` of listeners, servers and tiers.
//!
//! One entry bounds one thing: a rate or a number in flight.

use std::sync::Arc;

use super::super::section::Section;
use super::super::settings::{Limit, LimitScope, Measure};
use super::super::tree::{Node, Table};
use super::super::units;
use super::Context;

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
    if section.lacks("per") {
        context.error(
            "missing-key",
            node.place,
            "a limit must say what it counts together",
            "add `per`, such as per = \"client\" or per = \"global\"",
        );
    }
    check_algorithm(section, context);
    Some(Limit {
        name: section.text("name").unwrap_or_else(|| standard_name.to_owned()),
        per: scope(&section.text("per").unwrap_or_default())?,
        measure: measure(node, section, context)?,
        message: section.text("message"),
    })
}

fn measure(node: &Node, section: Section<'_>, context: &mut Context<'_>) -> Option<Measure> {
    match (section.written("rate"), section.written("concurrent")) {
        (Some(_), None) => {
            let (count, period) = units::rate(&section.text("rate")?).ok()?;
            Some(Measure::Rate { count, period, burst: section.maybe_count("burst").unwrap_or(count) })
        }
        (None, Some(_)) => {
            if let Some(burst) = section.written("burst") {
                context.error(
                    "conflict",
                    burst.place,
                    "`burst` belongs to a rate, and this limit has none",
                    "remove it, or write `rate` instead of `concurrent`",
                );
            }
            section.maybe_count("concurrent").map(Measure::Concurrent)
        }
        (Some(_), Some(concurrent)) => {
            context.error(
                "conflict",
                concurrent.place,
                "one limit bounds one thing",
                "write `rate` and `concurrent` as two limits",
            );
            None
        }
        (None, None) if !section.lacks("rate") || !section.lacks("concurrent") => None,
        (None, None) => {
            context.error(
                "missing-key",
                node.place,
                "this limit bounds nothing",
                "add rate = \"100/min\" or concurrent = 10",
            );
            None
        }
    }
}

fn check_algorithm(section: Section<'_>, context: &mut Context<'_>) {
    let Some(node) = section.written("algorithm") else {
        return;
    };
    if node.text() == Some("sliding-window") {
        context.warning(
            "no-effect",
            node.place,
            "`sliding-window` is counted as `token-bucket` in this version",
            "it may stay; with burst = 1 calls are spread evenly instead",
        );
    }
}

fn scope(text: &str) -> Option<LimitScope> {
    Some(match text {
        "global" => LimitScope::Global,
        "listener" => LimitScope::Listener,
        "address" => LimitScope::Address,
        "client" => LimitScope::Client,
        "server" => LimitScope::Server,
        "tool" => LimitScope::Tool,
        "client-tool" => LimitScope::ClientTool,
        _ => return None,
    })
}
