//! What `[server.NAME]` says of arguments, answers and changed tools.

use super::super::section::Section;
use super::super::settings::{Answers, Cache, CachedTool, Guard, Pin};

/// Reads it.
pub(super) fn answers(section: Section<'_>) -> Answers {
    Answers {
        guard: match section.text("guard").as_deref() {
            Some("log") => Guard::Log,
            Some("strict") => Guard::Strict,
            _ => Guard::Off,
        },
        max_result: section.maybe_size("max_result").and_then(|bytes| usize::try_from(bytes).ok()),
        pin: match section.text("pin").as_deref() {
            Some("warn") => Pin::Warn,
            Some("block") => Pin::Block,
            _ => Pin::Off,
        },
        cache: Cache {
            hints: section.bool("cache.hints"),
            entries: section.count("cache.entries"),
            size: section.size("cache.size"),
            tools: cached_tools(section),
        },
    }
}

/// A tool is cached where its table has anything to say of a cache.
fn cached_tools(section: Section<'_>) -> Vec<(String, CachedTool)> {
    let tools = section.entries("tool").iter().filter_map(|entry| {
        let tool = Section::new(Some(entry.node.table()?), "server.*.tool.*");
        tool.written("cache")?;
        let cached = CachedTool {
            ttl: tool.duration("cache.ttl"),
            shared: tool.bool("cache.shared"),
            stale: tool.maybe_duration("cache.stale"),
        };
        tool.bool("cache.enabled").then(|| (entry.key.clone(), cached))
    });
    tools.collect()
}
