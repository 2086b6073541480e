//! Profiles, and names that must exist elsewhere in the configuration.

use super::super::problem::Problem;
use super::super::section::Section;
use super::super::settings::{Filter, Profile};
use super::super::source::Place;
use super::super::tree::{Entry, Node, Table};
use super::Context;

/// Reports a name that does not exist, with the nearest that does.
pub(super) fn missing<'a>(
    section: &str,
    name: &str,
    place: Place,
    known: impl Iterator<Item = &'a str>,
    context: &mut Context<'_>,
) {
    let known: Vec<_> = known.collect();
    let help = match super::super::nearest(name, known.iter().copied()) {
        Some(near) => format!("did you mean \"{near}\"?"),
        None if known.is_empty() => format!("add [{section}.{name}], or remove the name"),
        None => format!("add [{section}.{name}], or write one of: {}", known.join(", ")),
    };
    context.error("unknown-name", place, format!("there is no {section} \"{name}\""), help);
}

pub(super) fn profile(entry: &Entry, table: &Table, tree: &Table, context: &mut Context<'_>) -> Profile {
    let section = Section::new(Some(table), "profile.*");
    let known: Vec<&Entry> = super::named(tree, "server").map(|(entry, _)| entry).collect();
    if let Some(server) = known.iter().find(|server| server.key == entry.key) {
        let message = format!("\"{}\" is the name of a server already", entry.key);
        let help = "rename one of them: both would be offered at the same path";
        context
            .report
            .push(Problem::error("name-taken", entry.key_place, message, help).also(server.key_place, "the server"));
    }
    let written = section.written("servers").map_or(&[][..], Node::elements);
    for node in written {
        let Some(name) = node.text().filter(|name| !name.is_empty()) else {
            continue;
        };
        if !known.iter().any(|server| server.key == name) {
            missing("server", name, node.place, known.iter().map(|server| server.key.as_str()), context);
        }
    }
    if written.is_empty() {
        context.error(
            "missing-key",
            entry.key_place,
            format!("the profile `{}` names no server", entry.key),
            "add servers = [\"NAME\", …]",
        );
    }
    Profile { name: entry.key.clone(), servers: section.texts("servers"), tools: filter(section) }
}

/// `tools.allow` and `tools.deny`.
pub(super) fn filter(section: Section<'_>) -> Filter {
    Filter { allow: section.texts("tools.allow"), deny: section.texts("tools.deny") }
}
