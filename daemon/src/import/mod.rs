//! `toolgated import FILE`: the `mcpServers` of a desktop client become a checked `conf.d` file.
//!
//! `convert` decides what is written, without touching the disk; this file reads and writes.
//! Nothing is written unless the result passes the check, and nothing is overwritten unasked.

mod convert;
mod jsonc;
mod variables;

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use crate::config::check::EX_CONFIG;

pub use convert::{Imported, SecretFile, convert};

/// Exit code of a file that cannot be written (`EX_CANTCREAT` of `sysexits.h`).
const EX_CANTCREAT: u8 = 73;
/// Exit code of a file that cannot be read (`EX_NOINPUT`).
const EX_NOINPUT: u8 = 66;
/// Exit code of a file that is not what it should be (`EX_DATAERR`).
const EX_DATAERR: u8 = 65;

/// Takes MCP servers over from the configuration of a desktop client.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// JSON with mcpServers (Claude Desktop, Claude Code, Cursor) or servers (VS Code)
    pub file: PathBuf,
    /// The file to write; - for standard output, which then writes no secrets either
    #[arg(long, default_value = "/etc/toolgate/conf.d/imported.toml")]
    pub output: PathBuf,
    /// Folder for the files of secrets, each readable by its owner alone
    #[arg(long, default_value = "/etc/toolgate/secrets")]
    pub secrets: PathBuf,
    /// Replace files that exist
    #[arg(long)]
    pub force: bool,
    /// Write nothing; print all that would be written as JSON, secrets included
    #[arg(long, hide = true)]
    pub print: bool,
}

/// What was done is told on standard error; exit 0 when everything was written.
#[must_use]
pub fn import(args: &ImportArgs) -> ExitCode {
    match run(args) {
        Ok(lines) => {
            tell(&lines);
            ExitCode::SUCCESS
        }
        Err(Failure { code, lines }) => {
            tell(&lines);
            ExitCode::from(code)
        }
    }
}

struct Failure {
    code: u8,
    lines: Vec<String>,
}

fn fail(code: u8, line: impl Into<String>) -> Failure {
    Failure { code, lines: vec![line.into()] }
}

/// A reader of standard error that went away does not undo the import.
fn tell(lines: &[String]) {
    for line in lines {
        let _ = writeln!(io::stderr(), "{line}");
    }
}

fn run(args: &ImportArgs) -> Result<Vec<String>, Failure> {
    let shown = args.file.display();
    let text =
        fs::read_to_string(&args.file).map_err(|error| fail(EX_NOINPUT, format!("{shown} cannot be read: {error}")))?;
    let secrets = std::path::absolute(&args.secrets).unwrap_or_else(|_| args.secrets.clone());
    let imported = convert(&text, &secrets).map_err(|sentence| fail(EX_DATAERR, format!("{shown}: {sentence}")))?;
    if let Err(report) = imported.check() {
        return Err(fail(
            EX_CONFIG,
            format!("nothing was written, since the result would not be accepted:\n{}", report.render(false)),
        ));
    }
    if args.print {
        let _ = writeln!(io::stdout(), "{}", printed(&imported));
        return Ok(Vec::new());
    }
    let mut lines = imported.notes.clone();
    if args.output.as_os_str() == "-" {
        let _ = io::stdout().write_all(imported.toml.as_bytes());
        lines.extend(imported.secrets.iter().map(|secret| format!("{} was not written", secret.path.display())));
        return Ok(lines);
    }
    write_all(args, &secrets, &imported, &mut lines)?;
    lines.push(format!("{} servers were written to {}", imported.servers.len(), args.output.display()));
    lines.push("next: toolgated check, then systemctl reload toolgate".into());
    Ok(lines)
}

/// What `toolgate server import` writes: it knows the folder, and takes it back where it is refused.
fn printed(imported: &Imported) -> serde_json::Value {
    let servers = imported.servers.iter().map(|(name, toml)| serde_json::json!({ "name": name, "toml": toml }));
    let secrets = imported.secrets.iter().map(|secret| {
        serde_json::json!({ "path": secret.path, "value": secret.value.expose(), "for_front": secret.for_front })
    });
    serde_json::json!({
        "servers": servers.collect::<Vec<_>>(),
        "secrets": secrets.collect::<Vec<_>>(),
        "notes": imported.notes,
    })
}

fn write_all(args: &ImportArgs, secrets: &Path, imported: &Imported, lines: &mut Vec<String>) -> Result<(), Failure> {
    let mut paths = imported.secrets.iter().map(|secret| &secret.path).chain([&args.output]);
    if let Some(path) = paths.find(|path| path.exists() && !args.force) {
        let sentence = format!(
            "nothing was written, since {} exists already; write elsewhere, or replace it with --force",
            path.display()
        );
        return Err(fail(EX_CANTCREAT, sentence));
    }
    let failed = |path: &Path| {
        let path = path.display().to_string();
        move |error: io::Error| fail(EX_CANTCREAT, format!("{path} cannot be written: {error}"))
    };
    if !imported.secrets.is_empty() {
        DirBuilder::new().recursive(true).mode(0o750).create(secrets).map_err(failed(secrets))?;
    }
    for SecretFile { path, value, .. } in &imported.secrets {
        write(path, value.expose(), 0o600).map_err(failed(path))?;
        lines.push(format!("{} holds a secret: let the daemon read it (chgrp toolgate, chmod 0640)", path.display()));
    }
    if let Some(folder) = args.output.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::create_dir_all(folder).map_err(failed(folder))?;
    }
    write(&args.output, &imported.toml, 0o644).map_err(failed(&args.output))
}

/// The old file is removed first: its mode may be wider than that of the new one.
fn write(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    if let Err(error) = fs::remove_file(path)
        && error.kind() != io::ErrorKind::NotFound
    {
        return Err(error);
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(text.as_bytes())?;
    if !text.ends_with('\n') {
        file.write_all(b"\n")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
