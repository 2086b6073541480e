//! The JSON of a client, turned into TOML, files of secrets, and notes on what was changed or lost.
//!
//! Pure. Called by `import` and its tests. A server that cannot be carried over is left out with
//! a note; a key that is not understood is named, never dropped silently.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::jsonc;
use super::variables::{Meaning, meaning};
use crate::config::secret::{Secret, looks_secret};
use crate::config::{Report, Severity, dump::quoted, from_text, valid_name};

/// What an import would write, and what its reader should know.
#[derive(Debug)]
pub struct Imported {
    /// The `conf.d` file.
    pub toml: String,
    /// Files to write with mode 0600; `toml` refers to them.
    pub secrets: Vec<SecretFile>,
    /// Sentences: names that were changed, and what could not be carried over.
    pub notes: Vec<String>,
    /// The same by server, in the order of `toml`: its name, and its table.
    pub servers: Vec<(String, String)>,
}

/// A secret that was written into the client's file.
#[derive(Debug)]
pub struct SecretFile {
    /// Where it goes.
    pub path: PathBuf,
    /// One line.
    pub value: Secret,
    /// Whether the front needs it; else whoever starts the command does.
    pub for_front: bool,
}

impl Imported {
    /// Checks the text as the daemon would, but for the secrets, which are not written yet.
    pub fn check(&self) -> Result<(), Report> {
        from_text(&format!("version = 1\n{}", self.toml)).map(drop)
    }
}

/// Converts a file; the error is a sentence.
pub fn convert(text: &str, secrets: &Path) -> Result<Imported, String> {
    let root: Value =
        serde_json::from_str(&jsonc::plain(text)).map_err(|error| format!("this is not JSON: {error}"))?;
    let mut import = Import::new(secrets);
    let mut found = false;
    for (path, servers) in tables(&root) {
        found = true;
        let Some(servers) = servers.as_object() else {
            import.notes.push(format!("{path} is not an object, and was left out"));
            continue;
        };
        for (name, server) in servers {
            import.server(name, server);
        }
    }
    if !found {
        return Err("there is neither `mcpServers` nor `servers` in it; name the file in which the client keeps its MCP servers".into());
    }
    import.projects(&root);
    Ok(Imported { servers: import.by_server(), toml: import.toml, secrets: import.secrets, notes: import.notes })
}

/// Where the clients keep their servers.
fn tables(root: &Value) -> impl Iterator<Item = (&'static str, &Value)> {
    let paths = [("mcpServers", "/mcpServers"), ("servers", "/servers"), ("mcp.servers", "/mcp/servers")];
    paths.into_iter().filter_map(|(name, pointer)| Some((name, root.pointer(pointer)?)))
}

struct Import<'a> {
    folder: &'a Path,
    toml: String,
    secrets: Vec<SecretFile>,
    notes: Vec<String>,
    names: BTreeSet<String>,
    /// Names in the order of the text, each with where its table begins.
    begun: Vec<(String, usize)>,
}

impl<'a> Import<'a> {
    fn new(folder: &'a Path) -> Self {
        Self {
            folder,
            toml: String::new(),
            secrets: Vec::new(),
            notes: Vec::new(),
            names: BTreeSet::new(),
            begun: Vec::new(),
        }
    }

    fn by_server(&self) -> Vec<(String, String)> {
        let ends = self.begun.iter().skip(1).map(|(_, start)| *start).chain([self.toml.len()]);
        let table = |((name, start), end): (&(String, usize), usize)| {
            (name.clone(), self.toml[*start..end].trim_start_matches('\n').to_owned())
        };
        self.begun.iter().zip(ends).map(table).collect()
    }

    fn note(&mut self, name: &str, sentence: impl AsRef<str>) {
        self.notes.push(format!("{name}: {}", sentence.as_ref()));
    }

    fn server(&mut self, original: &str, value: &Value) {
        let Some(server) = value.as_object() else {
            return self.note(original, "is not an object, and was left out");
        };
        let kind = ["type", "transport"].iter().find_map(|key| server.get(*key)?.as_str()).unwrap_or_default();
        let url = ["url", "serverUrl", "httpUrl"].iter().find_map(|key| server.get(*key)?.as_str());
        if kind.eq_ignore_ascii_case("ws") {
            return self.note(original, format!("was left out: its transport \"{kind}\" is none of MCP; see whether the server offers Streamable HTTP at another URL"));
        }
        let before = (self.toml.len(), self.secrets.len(), self.notes.len());
        let written = match (server.get("command").and_then(Value::as_str), url) {
            (Some(command), _) => self.stdio(original, command, server),
            (None, Some(url)) => self.http(original, url, kind.eq_ignore_ascii_case("sse"), server),
            (None, None) => return self.note(original, "was left out: it has neither a command nor a URL"),
        };
        if let Some(name) = written {
            self.judge(original, &name, before);
        }
    }

    /// Takes a server out again that the daemon would refuse, so that it does not cost the others. `before` are the
    /// lengths of text, secrets and notes without it.
    fn judge(&mut self, original: &str, name: &str, before: (usize, usize, usize)) {
        let Err(report) = from_text(&format!("version = 1\n{}", &self.toml[before.0..])) else {
            return;
        };
        self.toml.truncate(before.0);
        self.secrets.truncate(before.1);
        self.notes.truncate(before.2);
        self.names.remove(name);
        self.begun.pop();
        for problem in report.problems.iter().filter(|problem| problem.severity == Severity::Error) {
            self.note(original, format!("was left out: {}; {}", problem.message, problem.help));
        }
    }

    /// A valid name that is not taken yet; the mapping is told.
    fn name(&mut self, original: &str) -> String {
        let base = valid_name(original);
        let mut name = base.clone();
        for number in 2.. {
            if self.names.insert(name.clone()) {
                break;
            }
            let suffix = format!("-{number}");
            name = format!("{}{suffix}", &base[..base.len().min(24 - suffix.len())]);
        }
        if name != original {
            self.note(original, format!("is called {name} here, and is offered at /mcp/{name}"));
        }
        name
    }

    /// The name under which it was written; none where it was left out.
    fn stdio(&mut self, original: &str, command: &str, server: &Map<String, Value>) -> Option<String> {
        let mut argv = vec![command.to_owned()];
        argv.extend(strings(server.get("args")));
        if let Some(argument) = argv.iter().find(|argument| !matches!(meaning(argument), Meaning::Plain)) {
            self.note(
                original,
                format!("was left out: no shell and no editor fills in {argument:?}; write the value itself"),
            );
            return None;
        }
        let name = self.name(original);
        let argv = self.checked_command(original, argv);
        self.open(original, &name);
        self.line(
            "command",
            &format!("[{}]", argv.iter().map(|argument| quoted(argument)).collect::<Vec<_>>().join(", ")),
        );
        self.disabled(server);
        if let Some(directory) = server.get("cwd").and_then(Value::as_str) {
            match meaning(directory) {
                Meaning::Plain => self.line("directory", &quoted(directory)),
                _ => self.note(
                    original,
                    format!("its working directory {directory:?} is known to the editor only, and was left out"),
                ),
            }
        }
        self.values(original, &name, "env", server.get("env"));
        self.rest(original, server, &["command", "args", "env", "cwd", "type", "transport", "disabled", "enabled"]);
        Some(name)
    }

    /// Notes on commands that start differently under a daemon than on a desk.
    fn checked_command(&mut self, original: &str, mut argv: Vec<String>) -> Vec<String> {
        let shell = argv
            .first()
            .is_some_and(|command| command.eq_ignore_ascii_case("cmd") || command.eq_ignore_ascii_case("cmd.exe"));
        if shell && argv.len() > 2 && argv[1].eq_ignore_ascii_case("/c") {
            argv.drain(..2);
            self.note(original, "`cmd /c` of Windows was removed");
        }
        let program = argv[0].rsplit('/').next().unwrap_or_default();
        if matches!(program, "npx" | "uvx" | "bunx" | "pnpx") {
            let sentence = format!(
                "{program} fetches the program from the network when an instance starts, in whatever version is newest; \
                 install it on this machine and name it directly"
            );
            self.note(original, sentence);
        }
        if program == "docker" {
            self.note(
                original,
                "docker needs the rights of root: prefer the program itself, which runs in a sandbox of its own",
            );
        }
        for pair in argv.windows(2) {
            let (option, value) = pair[1].split_once('=').unwrap_or((&pair[0], &pair[1]));
            if looks_secret(option, value) && !value.starts_with('-') {
                let sentence = format!(
                    "its argument {option:?} looks like a secret, and arguments are readable by every user; pass it under env if the program can"
                );
                self.notes.push(format!("{original}: {sentence}"));
            }
        }
        argv
    }

    /// As [`Self::stdio`].
    fn http(&mut self, original: &str, url: &str, sse: bool, server: &Map<String, Value>) -> Option<String> {
        if !matches!(meaning(url), Meaning::Plain) {
            self.note(original, "was left out: its URL has a part that only the client fills in; write the URL itself");
            return None;
        }
        let name = self.name(original);
        self.open(original, &name);
        self.line("endpoints", &format!("[{}]", quoted(url)));
        if sse {
            self.line("transport", &quoted("sse"));
        }
        self.disabled(server);
        self.values(original, &name, "headers", server.get("headers"));
        self.rest(
            original,
            server,
            &["url", "serverUrl", "httpUrl", "headers", "type", "transport", "disabled", "enabled"],
        );
        Some(name)
    }

    fn open(&mut self, original: &str, name: &str) {
        self.begun.push((name.to_owned(), self.toml.len()));
        let separator = if self.toml.is_empty() { "" } else { "\n" };
        let comment: String = original.chars().filter(|c| !c.is_control()).collect();
        let comment = if comment == name { String::new() } else { format!("    # {comment}") };
        let _ = writeln!(self.toml, "{separator}[server.{name}]{comment}");
    }

    fn line(&mut self, key: &str, value: &str) {
        let _ = writeln!(self.toml, "{key} = {value}");
    }

    fn disabled(&mut self, server: &Map<String, Value>) {
        let is = |key: &str, truth: bool| server.get(key).and_then(Value::as_bool) == Some(truth);
        if is("disabled", true) || is("enabled", false) {
            self.line("enabled", "false");
        }
    }

    /// `env` or `headers`: secrets to files, the rest as it is.
    fn values(&mut self, original: &str, name: &str, table: &str, values: Option<&Value>) {
        for (key, value) in values.and_then(Value::as_object).into_iter().flatten() {
            let text = match value {
                Value::String(text) => text.clone(),
                Value::Number(_) | Value::Bool(_) => value.to_string(),
                _ => {
                    self.note(original, format!("{table}.{key} is not a text, and was left out"));
                    continue;
                }
            };
            if !text.is_empty() {
                self.value(original, name, (table, key), &text);
            }
        }
    }

    fn value(&mut self, original: &str, name: &str, (table, key): (&str, &str), text: &str) {
        let bearer = (table == "headers" && key.eq_ignore_ascii_case("authorization"))
            .then(|| text.strip_prefix("Bearer "))
            .flatten();
        let (path, text) = match bearer {
            Some(token) => ("bearer".to_owned(), token.trim()),
            None => (format!("{table}.{}", quoted_key(key)), text),
        };
        let value = match meaning(text) {
            Meaning::Variable(variable) => {
                self.note(
                    original,
                    format!("{path} is read from the daemon's environment: set {variable} there (EnvironmentFile=)"),
                );
                quoted(&format!("env:{variable}"))
            }
            Meaning::Input(id) => {
                let file = self.secret(name, (table, key), String::new());
                self.note(
                    original,
                    format!("{path} was asked for by the client (input \"{id}\"): write it into {}", file.display()),
                );
                reference(&file)
            }
            Meaning::Foreign(part) => {
                return self.note(original, format!("{path} was left out: only the client fills in {part}; write the value into a file, and name it as \"file:PATH\""));
            }
            Meaning::Plain if bearer.is_some() || looks_secret(key, text) => {
                let file = self.secret(name, (table, key), text.to_owned());
                reference(&file)
            }
            // A value that reads like a reference would be taken for one.
            Meaning::Plain if ["credential:", "file:", "env:"].iter().any(|scheme| text.starts_with(scheme)) => {
                let file = self.secret(name, (table, key), text.to_owned());
                reference(&file)
            }
            Meaning::Plain => quoted(text),
        };
        self.line(&path, &value);
    }

    /// A file for a secret, named after server and key.
    fn secret(&mut self, server: &str, (table, key): (&str, &str), value: String) -> PathBuf {
        let key: String =
            key.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect();
        let mut path = self.folder.join(format!("{server}.{key}"));
        for number in 2.. {
            if !self.secrets.iter().any(|secret| secret.path == path) {
                break;
            }
            path = self.folder.join(format!("{server}.{key}.{number}"));
        }
        self.secrets.push(SecretFile { path: path.clone(), value: Secret::new(value), for_front: table == "headers" });
        path
    }

    /// Keys that are not carried over, by name.
    fn rest(&mut self, original: &str, server: &Map<String, Value>, known: &[&str]) {
        let lost: Vec<&str> = server.keys().map(String::as_str).filter(|key| !known.contains(key)).collect();
        if server.contains_key("envFile") {
            self.note(
                original,
                "envFile: copy its lines under env, or name it as EnvironmentFile= and write \"env:NAME\"",
            );
        }
        if !lost.is_empty() {
            self.note(original, format!("not carried over: {}", lost.join(", ")));
        }
    }

    /// Claude Code keeps further servers per project, which a gate for everyone does not have.
    fn projects(&mut self, root: &Value) {
        for (folder, project) in root.get("projects").and_then(Value::as_object).into_iter().flatten() {
            let servers = project.get("mcpServers").and_then(Value::as_object).into_iter().flatten();
            let names: Vec<&str> = servers.map(|(name, _)| name.as_str()).collect();
            if !names.is_empty() {
                self.notes.push(format!("the servers of the project {folder} were left out: {}", names.join(", ")));
            }
        }
    }
}

fn strings(value: Option<&Value>) -> Vec<String> {
    let items = value.and_then(Value::as_array).into_iter().flatten();
    items.map(|item| item.as_str().map_or_else(|| item.to_string(), str::to_owned)).collect()
}

fn reference(path: &Path) -> String {
    quoted(&format!("file:{}", path.display()))
}

fn quoted_key(key: &str) -> String {
    let plain = !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    if plain { key.to_owned() } else { quoted(key) }
}
