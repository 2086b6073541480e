//! References to secrets, resolved: `credential:NAME`, `file:PATH`, `env:NAME`.
//!
//! A literal that looks like a secret is a warning, and is masked in the text that reports show.

use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use toolgate_protocol::framing::is_value;

use super::super::environment::{Reader, Scrutiny};
use super::super::problem::Problem;
use super::super::secret::{CREDENTIALS, Secret, is_stored, looks_secret};
use super::super::tree::{Entry, Node};
use super::Context;

/// Bytes of a secret's file; a larger one is some other file.
const LARGEST: u64 = 64 << 10;

/// Why there is no value: what the report says, and what stands in its stead at a start.
pub(super) struct Fault {
    code: &'static str,
    message: String,
    help: String,
}

impl Fault {
    fn new(code: &'static str, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { code, message: message.into(), help: help.into() }
    }

    /// As one sentence.
    pub(super) fn sentence(&self) -> String {
        format!("{}; {}", self.message, self.help)
    }
}

/// The value of an entry that may be a secret; none where nothing is written. Problems are reported. To whom it is
/// none of their business, it is the reference that was written, with a file's path made absolute.
pub(super) fn secret(entry: &Entry, reader: Reader, context: &mut Context<'_>) -> Option<Result<Secret, Fault>> {
    let node = &entry.node;
    let text = node.text().filter(|text| !text.is_empty())?;
    let fits = |value: Secret| match reader {
        Reader::Front if !is_value(value.expose().as_bytes()) => Err(unfit()),
        Reader::Front | Reader::Keeper => Ok(value),
    };
    let found = match text.split_once(':') {
        Some(("file", path)) if !context.environment.scrutiny.concerns(reader) => {
            Ok(Secret::new(format!("file:{}", context.path(path, node.place).display())))
        }
        Some(("credential" | "env", _)) if !context.environment.scrutiny.concerns(reader) => {
            Ok(Secret::new(text.to_owned()))
        }
        Some(("credential", name)) if !is_name(name) => {
            let help = "write \"credential:NAME\", after the name of its file in /etc/toolgate/credentials";
            context.error("invalid-value", node.place, "a credential has a name without slashes", help);
            return None;
        }
        Some(("credential", name)) => credential(node, name, context).and_then(fits),
        Some(("file", path)) => from_file(node, &context.path(path, node.place), None, context).and_then(fits),
        Some(("env", name)) => variable(node, name, context).and_then(fits),
        _ => {
            literal(entry, text, context);
            usable(text.to_owned()).and_then(fits).or_else(|fault| {
                context.error(fault.code, node.place, fault.message, fault.help);
                Ok(Secret::new(String::new()))
            })
        }
    };
    if let Err(fault) = &found {
        let problem = if context.environment.scrutiny.does_without() { Problem::warning } else { Problem::error };
        context.report.push(problem(fault.code, node.place, &fault.message, &fault.help));
    }
    Some(found)
}

fn unfit() -> Fault {
    let message = "this value has a control character, which no header can carry";
    Fault::new("invalid-secret", message, "write it anew, as text alone")
}

fn is_name(credential: &str) -> bool {
    !credential.is_empty() && !credential.contains('/')
}

fn literal(entry: &Entry, text: &str, context: &mut Context<'_>) {
    if entry.key != "bearer" && !looks_secret(&entry.key, text) {
        return;
    }
    context.report.sources.mask(entry.node.place);
    context.warning(
        "literal-secret",
        entry.node.place,
        format!("`{}` looks like a secret, written into the configuration", entry.key),
        "move it to a file of its own, readable by the daemon alone, and write \"file:PATH\"; or \"credential:NAME\"",
    );
}

fn credential(node: &Node, name: &str, context: &mut Context<'_>) -> Result<Secret, Fault> {
    let help = format!("write it to {CREDENTIALS}/{name}, then run `systemctl daemon-reload`, and restart who uses it");
    let Some(folder) = context.environment.credentials() else {
        let message = format!("there is no credential {name:?} here");
        if context.environment.scrutiny.is_final() {
            return Err(Fault::new("missing-secret", message, help));
        }
        // Whether a drop-in of an operator has systemd load it from elsewhere is not to be seen.
        if is_stored(name) != Some(true) {
            let help = format!("{help}, unless a drop-in loads it from elsewhere");
            context.warning("missing-secret", node.place, message, help);
        }
        return Ok(Secret::new(String::new()));
    };
    from_file(node, &folder.join(name), Some(&help), context)
}

fn variable(node: &Node, name: &str, context: &mut Context<'_>) -> Result<Secret, Fault> {
    if let Some(value) = context.environment.variables.get(name).cloned() {
        return usable(value);
    }
    let message = format!("the variable {name:?} is not set here");
    let help = format!("set {name} in the daemon's environment (EnvironmentFile= of its unit), or write \"file:PATH\"");
    hidden(node, Fault::new("missing-secret", message, help), context)
}

/// Something that only the daemon can see: missing for itself, a warning for everybody else.
fn hidden(node: &Node, fault: Fault, context: &mut Context<'_>) -> Result<Secret, Fault> {
    if context.environment.scrutiny.is_final() {
        return Err(fault);
    }
    context.warning(fault.code, node.place, fault.message, fault.help);
    Ok(Secret::new(String::new()))
}

/// `absent` is what helps where a credential is not there, or says nothing.
fn from_file(node: &Node, path: &Path, absent: Option<&str>, context: &mut Context<'_>) -> Result<Secret, Fault> {
    if context.environment.scrutiny == Scrutiny::Text {
        return Ok(Secret::new(String::new()));
    }
    let (text, mode) = read(path, absent)?;
    if mode & 0o004 != 0 {
        let shown = path.display();
        let message = format!("every user of this machine can read {shown}");
        context.warning("readable-secret", node.place, message, format!("run: chmod o= {shown}"));
    }
    usable(text)
}

/// What the file of a secret holds that changed while it was in use; or why it cannot be used, as a sentence.
pub(in crate::config) fn again(path: &Path) -> Result<Secret, String> {
    let secret = read(path, None).and_then(|(text, _)| usable(text)).map_err(|fault| fault.sentence())?;
    if is_value(secret.expose().as_bytes()) { Ok(secret) } else { Err(unfit().sentence()) }
}

/// The text of a secret's file, without a line end at its very end, and the file's mode.
fn read(path: &Path, absent: Option<&str>) -> Result<(String, u32), Fault> {
    let shown = path.display();
    let unreadable = |error: &std::io::Error| {
        let help = absent.filter(|_| error.kind() == ErrorKind::NotFound).unwrap_or(remedy(error.kind()));
        Fault::new("unreadable-secret", format!("{shown} cannot be read: {error}"), help)
    };
    let other = |message: String| {
        Fault::new("unreadable-secret", message, "name the file that holds the secret and nothing else")
    };
    let metadata = std::fs::metadata(path).map_err(|error| unreadable(&error))?;
    if !metadata.is_file() {
        return Err(other(format!("{shown} is not a file")));
    }
    if metadata.len() > LARGEST {
        return Err(other(format!("{shown} is larger than 64 KiB")));
    }
    let mut text = std::fs::read_to_string(path).map_err(|error| unreadable(&error))?;
    let trimmed = text.strip_suffix('\n').map_or(text.as_str(), |text| text.strip_suffix('\r').unwrap_or(text));
    text.truncate(trimmed.len());
    match (text.is_empty(), absent) {
        (false, _) => Ok((text, metadata.permissions().mode())),
        // Units give an empty credential where its file is absent.
        (true, Some(help)) => Err(Fault::new("missing-secret", format!("the credential {shown} is empty"), help)),
        // As an instance does whose secret systemd has read.
        (true, None) => {
            let help = "write the secret into it: nothing is started or sent without one";
            Err(Fault::new("missing-secret", format!("{shown} is empty"), help))
        }
    }
}

/// Neither a header nor a variable can carry NUL or a line end.
fn usable(value: String) -> Result<Secret, Fault> {
    if value.contains(['\0', '\n', '\r']) {
        let help = "write one line; only a line end at the very end is left out";
        return Err(Fault::new("invalid-secret", "this value has several lines, or a NUL", help));
    }
    Ok(Secret::new(value))
}

fn remedy(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::NotFound => "create it: one line, mode 0640, group toolgate",
        ErrorKind::PermissionDenied => "let the daemon read it (`chgrp toolgate` and `chmod g+r`), or run this as root",
        ErrorKind::InvalidData => "a secret is text in UTF-8",
        _ => "see that it is a readable file",
    }
}

/// The path of `file:PATH` or of a bare path.
pub(super) fn certificate_path(node: &Node, context: &Context<'_>) -> Option<PathBuf> {
    let text = node.text()?;
    Some(context.path(text.strip_prefix("file:").unwrap_or(text), node.place))
}
