//! What only a server over stdio has: its command, what it may reach, and its instances.

use std::path::{Component, Path, PathBuf};

use super::super::environment::Reader;
use super::super::kind;
use super::super::secret::Secret;
use super::super::section::Section;
use super::super::settings::{Access, Instances, Per, Stdio, Wear};
use super::super::tree::{Entry, Node};
use super::Context;
use super::secrets::secret;

pub(super) fn stdio(section: Section<'_>, context: &mut Context<'_>) -> Stdio {
    Stdio {
        command: command(section, context),
        environment: environment(section, context),
        directory: section.text("directory").map(PathBuf::from),
        access: access(section, context),
        instances: instances(section, context),
        line_bytes: section.size("line_bytes"),
    }
}

fn command(section: Section<'_>, context: &mut Context<'_>) -> Vec<String> {
    let Some(node) = section.written("command") else { return Vec::new() };
    if node.elements().is_empty() {
        context.error("missing-key", node.place, "the list is empty", "write the program and its arguments");
    } else if node.text().is_some_and(|text| text.contains(' ')) {
        context.error(
            "invalid-value",
            node.place,
            "a command is a list: no shell takes it apart",
            "write [\"PROGRAM\", \"ARGUMENT\", …]",
        );
    }
    let zero = node.elements().iter().find(|node| node.text().is_some_and(|text| text.contains('\0')));
    if let Some(node) = zero {
        context.error("invalid-value", node.place, "no argument can hold a NUL", "remove it");
    }
    section.texts("command")
}

fn environment(section: Section<'_>, context: &mut Context<'_>) -> Vec<(String, Secret)> {
    let mut environment = Vec::new();
    for entry in section.entries("env") {
        if let (true, Some(Ok(value))) = (is_variable(entry, context), secret(entry, Reader::Keeper, context)) {
            environment.push((entry.key.clone(), value));
        }
    }
    environment
}

fn is_variable(entry: &Entry, context: &mut Context<'_>) -> bool {
    let name = &entry.key;
    let good = !name.is_empty() && !name.contains(|c: char| c == '=' || c.is_control() || c.is_whitespace());
    if !good {
        let message = format!("{name:?} cannot be the name of a variable");
        context.error("invalid-name", entry.key_place, message, "write a name without spaces and =, such as API_TOKEN");
    }
    good
}

fn access(section: Section<'_>, context: &mut Context<'_>) -> Access {
    let network = section.bool("network");
    if let Some(node) = section.written("network_allow").filter(|_| !network) {
        context.error(
            "conflict",
            node.place,
            "networks are allowed to a program that has no network",
            "add network = true, or remove the list",
        );
    }
    check_groups(section, context);
    Access {
        network,
        networks: section.list("network_allow", |text| kind::network(text).ok()),
        read: paths(section, "read", context),
        write: paths(section, "write", context),
        groups: section.texts("groups"),
    }
}

/// Paths as units and the kernel take them: absolute, without detours.
fn paths(section: Section<'_>, key: &str, context: &mut Context<'_>) -> Vec<PathBuf> {
    let mut paths = Vec::new();
    for node in section.written(key).map_or(&[][..], Node::elements) {
        let Some(text) = node.text() else { continue };
        match path(text) {
            Ok(path) => paths.push(path),
            Err(help) => context.error("invalid-value", node.place, format!("{text:?} cannot be used here"), help),
        }
    }
    paths
}

fn path(text: &str) -> Result<PathBuf, &'static str> {
    let path = Path::new(text);
    if !path.is_absolute() {
        return Err("write an absolute path, such as \"/srv/shared\"");
    }
    if path.components().any(|part| part == Component::ParentDir) || text.contains(char::is_control) {
        return Err("write the path without \"..\" and control characters");
    }
    // Without doubled and trailing slashes.
    let path: PathBuf = path.components().collect();
    if path.parent().is_none() { Err("name the folders that it needs, not all of them") } else { Ok(path) }
}

fn check_groups(section: Section<'_>, context: &mut Context<'_>) {
    for node in section.written("groups").map_or(&[][..], Node::elements) {
        let Some(text) = node.text().filter(|text| !is_group(text)) else { continue };
        let message = format!("{text:?} is not the name of a group");
        context.error("invalid-value", node.place, message, "write the name as `getent group` shows it");
    }
}

fn is_group(text: &str) -> bool {
    let rest = text.strip_prefix(|c: char| c.is_ascii_lowercase() || c == '_');
    rest.is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-".contains(&b)))
}

fn instances(section: Section<'_>, context: &mut Context<'_>) -> Instances {
    if let Some(node) = section.written("instances.spares")
        && section.count::<usize>("instances.spares") > section.count("instances.max")
    {
        context.warning(
            "conflict",
            node.place,
            "these are more spares than instances may run",
            "raise instances.max above it, or write fewer spares: what serves somebody counts too",
        );
    }
    let memory = section.maybe_size("instances.memory");
    let share = section.maybe_percent("instances.recycle_at");
    if let Some(node) = section.written("instances.recycle_at").filter(|_| memory.is_none()) {
        context.error(
            "missing-key",
            node.place,
            "a share of what? The instances have no `memory`",
            "add instances.memory, such as \"256M\"",
        );
    }
    Instances {
        per: section.text("instances.per").map(|text| match text.as_str() {
            "client" => Per::Client,
            "all" => Per::All,
            _ => Per::Session,
        }),
        max: section.count("instances.max"),
        spares: section.count("instances.spares"),
        idle: section.duration("instances.idle"),
        memory,
        tasks: section.maybe_count("instances.tasks"),
        cpu: section.maybe_percent("instances.cpu"),
        wear: Wear {
            age: section.maybe_duration("instances.max_age"),
            calls: section.maybe_count("instances.max_calls"),
            memory: memory.zip(share).map(|(bytes, share)| bytes / 100 * share),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_absolute_and_lead_straight() {
        assert_eq!(path("/srv//shared/"), Ok(PathBuf::from("/srv/shared")));
        assert_eq!(path("/srv/./a b%:\"$"), Ok(PathBuf::from("/srv/a b%:\"$")));
        for bad in ["srv", "./srv", "/srv/../etc", "/", "//", "/srv/a\nb", "~/x"] {
            assert!(path(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn groups_are_named_as_the_machine_names_them() {
        assert!(["shared", "_x", "a-1"].iter().all(|name| is_group(name)));
        assert!(["", "1a", "a b", "Ä", "a%i"].iter().all(|name| !is_group(name)));
    }
}
