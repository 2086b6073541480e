//! The TOML of a server's table, from words of the command line.

use std::fmt::Write as _;

use toolgate_admin_api::Exit;

use crate::args::{ServerTable, Target};
use crate::failure::Failure;

/// The whole file of one server.
pub(super) fn file(name: &str, target: &Target, table: &ServerTable) -> Result<String, Failure> {
    let mut lines = Vec::new();
    let mut line = |key: &str, value: String| lines.push(format!("{key} = {value}"));
    if let Some(url) = &target.url {
        line("endpoints", format!("[{}]", quoted(url)));
    } else {
        let words: Vec<_> = target.command.iter().map(|word| quoted(word)).collect();
        line("command", format!("[{}]", words.join(", ")));
    }
    if table.sse {
        line("transport", quoted("sse"));
    }
    if let Some(directory) = &table.directory {
        line("directory", quoted(directory));
    }
    if let Some(bearer) = &table.bearer {
        line("bearer", quoted(bearer));
    }
    if let Some(per) = table.per {
        line("instances.per", quoted(per.word()));
    }
    for (kind, pairs) in [("env", &table.env), ("headers", &table.header)] {
        for (name, value) in pairs {
            line(&format!("{kind}.{}", key(name)), quoted(value));
        }
    }
    for (key, value) in &table.set {
        let pair = format!("{key} = {value}");
        if let Err(error) = pair.parse::<toml::Table>() {
            return Err(Failure::new(Exit::Usage, format!("{} is no TOML: {}.", pair.trim(), error.message()))
                .remedy("A text needs quotes of its own: --set instances.memory='\"256M\"'; a number has none: --set max_calls=5."));
        }
        line(key, value.clone());
    }
    let mut text = format!("# Written by `toolgate server add`.\n[server.{name}]\n");
    for line in lines {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{line}");
    }
    parsed(name, &text)?;
    Ok(text)
}

/// The text must be one table of one server, whatever `--set` put into it.
fn parsed(name: &str, text: &str) -> Result<(), Failure> {
    let root: toml::Table = text.parse().map_err(|error: toml::de::Error| {
        Failure::new(Exit::Usage, format!("This is no table of a server: {}.", error.message()))
            .remedy("See that no key is given twice.")
    })?;
    if only_server(&root) == Some(name) {
        return Ok(());
    }
    Err(Failure::new(Exit::Usage, "--set writes outside of the server's table.")
        .remedy("Give one key and one value to each --set."))
}

/// The name of the server, where a file holds the table of one and nothing else.
pub(super) fn only_server(root: &toml::Table) -> Option<&str> {
    let mut sections = root.iter();
    let (_, servers) = sections.next().filter(|(section, _)| *section == "server")?;
    let mut names = servers.as_table()?.keys();
    let name = names.next()?;
    (sections.next().is_none() && names.next().is_none()).then_some(name)
}

/// A text of TOML.
fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

/// A key of TOML.
fn key(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if !text.is_empty() && text.bytes().all(plain) { text.to_owned() } else { quoted(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> ServerTable {
        ServerTable {
            env: vec![("TOKEN".into(), "credential:a".into()), ("A B".into(), "\"x\"\n".into())],
            directory: Some("/srv".into()),
            per: clap::ValueEnum::from_str("client", false).ok(),
            bearer: None,
            header: Vec::new(),
            sse: false,
            set: vec![("instances.memory".into(), "\"256M\"".into())],
        }
    }

    fn command(words: &[&str]) -> Target {
        Target { url: None, command: words.iter().map(ToString::to_string).collect() }
    }

    #[test]
    fn every_word_arrives_as_it_was_written() {
        let words = ["x", "--a=\"b\"", "new\nline", "ü\\", ""];
        let text = file("files", &command(&words), &table()).expect("a table");
        let root: toml::Table = text.parse().expect("TOML");
        let server = &root["server"]["files"];
        let read: Vec<_> =
            server["command"].as_array().expect("a list").iter().filter_map(toml::Value::as_str).collect();
        assert_eq!(read, words);
        assert_eq!(server["env"]["A B"].as_str(), Some("\"x\"\n"));
        assert_eq!(server["instances"]["per"].as_str(), Some("client"));
        assert_eq!(server["instances"]["memory"].as_str(), Some("256M"));
    }

    #[test]
    fn set_cannot_write_another_table() {
        for (key, value) in [
            ("max_calls", "5\n[key.mine]\nhash = \"x\""),
            ("max_calls", "five"),
            ("a]", "1"),
            ("x", "1\n[server.b]\ny=1"),
        ] {
            let set = vec![(key.to_owned(), value.to_owned())];
            let failure = file("files", &command(&["x"]), &ServerTable { set, ..table() }).expect_err(value);
            assert_eq!(failure.exit, Exit::Usage);
        }
    }
}
