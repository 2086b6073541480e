//! References to secrets, resolved: `credential:NAME`, `file:PATH`, `env:NAME`.
//!
//! A literal that looks like a secret is a warning, and is masked in the text that reports show.

use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::super::environment::{Reader, Scrutiny};
use super::super::secret::{CREDENTIALS, Secret, is_stored, looks_secret};
use super::super::tree::{Entry, Node};
use super::Context;

/// Bytes of a secret's file; a larger one is some other file.
const LARGEST: u64 = 64 << 10;

/// The value of an entry that may be a secret; problems are reported. To whom it is none of their
/// business, it is the reference that was written, with a file's path made absolute.
pub(super) fn secret(entry: &Entry, reader: Reader, context: &mut Context<'_>) -> Option<Secret> {
    let node = &entry.node;
    let text = node.text().filter(|text| !text.is_empty())?;
    match text.split_once(':') {
        Some(("file", path)) if !context.environment.scrutiny.concerns(reader) => {
            Some(Secret::new(format!("file:{}", context.path(path, node.place).display())))
        }
        Some(("credential" | "env", _)) if !context.environment.scrutiny.concerns(reader) => {
            Some(Secret::new(text.to_owned()))
        }
        Some(("credential", name)) => credential(node, name, context),
        Some(("file", path)) => {
            let path = context.path(path, node.place);
            from_file(node, &path, None, context)
        }
        Some(("env", name)) => variable(node, name, context),
        _ => {
            literal(entry, text, context);
            usable(node, text.to_owned(), context)
        }
    }
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

fn credential(node: &Node, name: &str, context: &mut Context<'_>) -> Option<Secret> {
    if name.is_empty() || name.contains('/') {
        context.error(
            "invalid-value",
            node.place,
            "a credential has a name without slashes",
            "write \"credential:NAME\", after the name of its file in /etc/toolgate/credentials",
        );
        return None;
    }
    let help = format!("write it to {CREDENTIALS}/{name}, then run `systemctl daemon-reload`, and restart who uses it");
    let Some(folder) = context.environment.credentials() else {
        let message = format!("there is no credential {name:?} here");
        let scrutiny = context.environment.scrutiny;
        return match is_stored(name).filter(|_| !scrutiny.is_final()) {
            Some(true) => Some(Secret::new(String::new())),
            Some(false) if scrutiny == Scrutiny::Operator => {
                context.error("missing-secret", node.place, message, help);
                None
            }
            _ => hidden(node, message, help, context),
        };
    };
    from_file(node, &folder.join(name), Some(&help), context)
}

fn variable(node: &Node, name: &str, context: &mut Context<'_>) -> Option<Secret> {
    if let Some(value) = context.environment.variables.get(name).cloned() {
        return usable(node, value, context);
    }
    let message = format!("the variable {name:?} is not set here");
    let help = format!("set {name} in the daemon's environment (EnvironmentFile= of its unit), or write \"file:PATH\"");
    hidden(node, message, help, context)
}

/// Something that only the daemon can see: an error for itself, a warning for everybody else.
fn hidden(node: &Node, message: String, help: String, context: &mut Context<'_>) -> Option<Secret> {
    if context.environment.scrutiny.is_final() {
        context.error("missing-secret", node.place, message, help);
        return None;
    }
    context.warning("missing-secret", node.place, message, help);
    Some(Secret::new(String::new()))
}

fn from_file(node: &Node, path: &Path, absent: Option<&str>, context: &mut Context<'_>) -> Option<Secret> {
    if context.environment.scrutiny == Scrutiny::Text {
        return Some(Secret::new(String::new()));
    }
    let shown = path.display();
    let fail = |context: &mut Context<'_>, message: String, help: &str| {
        context.error("unreadable-secret", node.place, message, help);
    };
    let metadata = match std::fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => metadata,
        Ok(_) => {
            fail(context, format!("{shown} is not a file"), "name the file that holds the secret and nothing else");
            return None;
        }
        Err(error) => {
            let help = absent.filter(|_| error.kind() == ErrorKind::NotFound).unwrap_or(remedy(error.kind()));
            fail(context, format!("{shown} cannot be read: {error}"), help);
            return None;
        }
    };
    if metadata.len() > LARGEST {
        fail(context, format!("{shown} is larger than 64 KiB"), "name the file that holds the secret and nothing else");
        return None;
    }
    if metadata.permissions().mode() & 0o004 != 0 {
        let message = format!("every user of this machine can read {shown}");
        context.warning("readable-secret", node.place, message, format!("run: chmod o= {shown}"));
    }
    match std::fs::read_to_string(path) {
        Ok(text) => {
            let trimmed = text.strip_suffix('\n').map_or(text.as_str(), |text| text.strip_suffix('\r').unwrap_or(text));
            // Units give an empty credential where its file is absent.
            if let (true, Some(help)) = (trimmed.is_empty(), absent) {
                context.error("missing-secret", node.place, format!("the credential {shown} is empty"), help);
                return None;
            }
            if trimmed.is_empty() {
                context.warning("empty-secret", node.place, format!("{shown} is empty"), "write the secret into it");
            }
            usable(node, trimmed.to_owned(), context)
        }
        Err(error) => {
            fail(context, format!("{shown} cannot be read: {error}"), remedy(error.kind()));
            None
        }
    }
}

/// Neither a header nor a variable can carry NUL or a line end.
fn usable(node: &Node, value: String, context: &mut Context<'_>) -> Option<Secret> {
    if value.contains(['\0', '\n', '\r']) {
        context.error(
            "invalid-secret",
            node.place,
            "this value has several lines, or a NUL",
            "write one line; only a line end at the very end is left out",
        );
        return None;
    }
    Some(Secret::new(value))
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
