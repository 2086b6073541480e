//! Overrides from the environment: `TOOLGATE_SECTION__KEY`, two underscores between names.
//!
//! `TOOLGATE_SERVER__WEATHER__TIMEOUT__CONNECT=5s` sets `server.weather.timeout.connect`. A name
//! with dashes is written with underscores, and must exist in the files. Applied before the check
//! of shapes, so that a value from a variable is checked as one from a file is.

use super::environment::Environment;
use super::keys::{self, Key, Step};
use super::kind::Kind;
use super::problem::{Problem, Report};
use super::source::Place;
use super::tree::{Entry, Node, Table, Value};

const PREFIX: &str = "TOOLGATE_";

/// Sets the values of all variables that name one.
pub(super) fn apply(tree: &mut Table, environment: &Environment, report: &mut Report) {
    for (name, value) in &environment.variables {
        let Some(path) = name.strip_prefix(PREFIX).filter(|path| path.contains("__")) else {
            continue;
        };
        let names: Vec<String> = path.split("__").map(str::to_ascii_lowercase).collect();
        match resolve(tree, &names) {
            Ok((path, key)) => set(tree, &path, key, (name, value), report),
            Err(help) => {
                let place = place(name, value, true, report);
                report.push(Problem::warning("unknown-override", place, format!("{name} overrides nothing"), help));
            }
        }
    }
}

/// A variable becomes a source of its own; the place is its value. A secret is not kept.
fn place(name: &str, value: &str, secret: bool, report: &mut Report) -> Place {
    let shown = if secret { "***" } else { value };
    let source = report.sources.add_variable(name, format!("{name}={shown}"));
    Place { source, start: name.len() + 1, end: name.len() + 1 + shown.len() }
}

/// The keys that lead to the value, as the files write them; the error is the help to give.
fn resolve(tree: &Table, names: &[String]) -> Result<(Vec<String>, &'static Key), String> {
    let mut table = Some(tree);
    let mut pattern = String::new();
    let mut path = Vec::new();
    for (depth, name) in names.iter().enumerate() {
        let known = existing(table, &pattern, name);
        let unknown = || help(&pattern, name, table);
        match keys::step(&pattern, &known).ok_or_else(unknown)? {
            Step::Leaf(key) if depth + 1 == names.len() => {
                if key.path.ends_with(".*") && table.and_then(|table| table.get(&known)).is_none() {
                    return Err(help(&pattern, name, table));
                }
                path.push(known);
                return Ok((path, key));
            }
            Step::Leaf(_) => {
                return Err(format!("`{known}` is a value, not a table: name nothing below it"));
            }
            Step::Table(next) => {
                let entry = table.and_then(|table| table.get(&known));
                // A thing cannot be made of a single value, so its name must be in the files.
                if next.ends_with(".*") && entry.is_none() {
                    return Err(help(&pattern, name, table));
                }
                table = entry.and_then(Node::table);
                pattern = next;
                path.push(known);
            }
        }
    }
    Err(format!(
        "`{}` is a table: name one of its values, such as {}",
        path.join("."),
        keys::names(&pattern).join(", ")
    ))
}

/// The key as the files write it: dashes cannot stand in a variable's name.
fn existing(table: Option<&Table>, pattern: &str, name: &str) -> String {
    if keys::names(pattern).contains(&name) {
        return name.to_owned();
    }
    let entries = table.map_or(&[][..], |table| &table.entries);
    let same = |entry: &&Entry| entry.key.to_ascii_lowercase().replace('-', "_") == name;
    entries.iter().find(same).map_or_else(|| name.to_owned(), |entry| entry.key.clone())
}

fn help(pattern: &str, name: &str, table: Option<&Table>) -> String {
    let mut known: Vec<&str> = keys::names(pattern);
    known.extend(table.iter().flat_map(|table| table.entries.iter().map(|entry| entry.key.as_str())));
    match super::nearest(name, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}` instead of `{name}`?"),
        None => format!("there is no `{name}`; unset the variable"),
    }
}

fn set(tree: &mut Table, path: &[String], key: &'static Key, variable: (&str, &str), report: &mut Report) {
    let (name, text) = variable;
    let place = place(name, text, matches!(key.kind, Kind::Secret), report);
    let Some(value) = value(text, key.kind) else {
        let help = "set it in a file; single values only can be overridden";
        return report.push(Problem::warning("unknown-override", place, format!("{name} names a list"), help));
    };
    insert(tree, path, Node { place, value });
}

/// The text as the kind of the key needs it; a text that does not fit is left for the check.
fn value(text: &str, kind: Kind) -> Option<Value> {
    Some(match kind {
        Kind::List(_) | Kind::Tables(_) => return None,
        Kind::Bool | Kind::HeaderValue => match text {
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            _ => Value::Text(text.to_owned()),
        },
        Kind::Count(..) => text.parse().map_or_else(|_| Value::Text(text.to_owned()), Value::Integer),
        _ => Value::Text(text.to_owned()),
    })
}

fn insert(table: &mut Table, path: &[String], node: Node) {
    let [key, rest @ ..] = path else { return };
    let position = table.entries.iter().position(|entry| entry.key == *key).unwrap_or_else(|| {
        let node = Node { place: node.place, value: Value::Table(Table::default()) };
        table.entries.push(Entry { key: key.clone(), key_place: node.place, node });
        table.entries.len() - 1
    });
    let entry = &mut table.entries[position];
    if rest.is_empty() {
        entry.node = node;
    } else if let Value::Table(inner) = &mut entry.node.value {
        insert(inner, rest, node);
    }
}

#[cfg(test)]
mod tests {
    use super::super::{files, finish};
    use super::*;
    use std::path::Path;
    use std::time::Duration;

    const TEXT: &str = "version = 1\nlistener.a = { address = \"127.0.0.1:1\", auth = \"key\" }\n[server.my-weather]\nendpoints = \"http://127.0.0.1:1/mcp\"\n";

    fn load(variables: &[(&str, &str)]) -> Result<(super::super::Settings, Report), Report> {
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let environment = Environment { variables, ..Environment::default() };
        let mut report = Report::default();
        let mut tree = files::parse(Path::new("toolgate.toml"), TEXT, &mut report);
        apply(&mut tree, &environment, &mut report);
        finish(&tree, report, &environment)
    }

    #[test]
    fn a_variable_sets_a_value_of_any_kind() {
        let (settings, report) = load(&[
            ("TOOLGATE_LOG__LEVEL", "debug"),
            ("TOOLGATE_DAEMON__CORES", "3"),
            ("TOOLGATE_SERVER__MY_WEATHER__TIMEOUT__CONNECT", "7s"),
            ("TOOLGATE_SERVER__MY_WEATHER__ENABLED", "false"),
            ("TOOLGATE_KEY", "tg_not_an_override"),
        ])
        .unwrap();
        let server = &settings.servers["my-weather"];
        assert_eq!(settings.log.level, "debug");
        assert_eq!(settings.daemon.cores, 3);
        assert_eq!(server.timeout.connect, Duration::from_secs(7));
        assert!(!server.enabled);
        assert_eq!(report.problems, []);
    }

    #[test]
    fn a_variable_that_names_nothing_is_a_warning() {
        for (name, expected) in [
            ("TOOLGATE_LOG__LEVLE", "did you mean `level`"),
            ("TOOLGATE_SERVER__NOBODY__ENABLED", "there is no `nobody`"),
            ("TOOLGATE_SERVER__MY_WEATHER", "is a table"),
            ("TOOLGATE_LOG__LEVEL__MORE", "is a value"),
            ("TOOLGATE_SERVER__MY_WEATHER__ENDPOINTS", "single values only"),
        ] {
            let (_, report) = load(&[(name, "canary")]).unwrap();
            let [problem] = &report.problems[..] else { panic!("{name}: {:?}", report.problems) };
            assert!(problem.help.contains(expected), "{name}: {}", problem.help);
        }
    }

    #[test]
    fn a_bad_value_is_an_error_at_the_variable() {
        let report = load(&[("TOOLGATE_DAEMON__CORES", "many")]).unwrap_err();
        assert_eq!(report.sources.describe(report.problems[0].place.unwrap()), "TOOLGATE_DAEMON__CORES:1:24");
    }

    #[test]
    fn a_secret_of_a_variable_is_not_kept_in_the_report() {
        let (settings, report) = load(&[("TOOLGATE_SERVER__MY_WEATHER__BEARER", "canary")]).unwrap();
        assert!(!format!("{report:?} {settings:?}").contains("canary"));
    }
}
