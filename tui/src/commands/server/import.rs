//! `toolgate server import`: the servers of a desktop client's file, each in a file of its own.
//!
//! `toolgated import` knows how to read such files and where secrets go; here they are written,
//! checked and taken over like any other change.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;
use serde_json::json;
use toolgate_admin_api::Exit;

use crate::args::ServerImport;
use crate::commands::{Context, config, takeover};
use crate::edit::{Access, Change, Place};
use crate::failure::Failure;
use crate::output;

/// What `toolgated import --print` says.
#[derive(Deserialize)]
struct Imported {
    servers: Vec<Server>,
    secrets: Vec<Secret>,
    notes: Vec<String>,
}

#[derive(Deserialize)]
struct Server {
    name: String,
    toml: String,
}

#[derive(Deserialize)]
struct Secret {
    path: PathBuf,
    value: String,
    for_front: bool,
}

/// Imports every server of the file, or none.
pub(super) async fn run(context: &Context, import: &ServerImport) -> Result<Exit, Failure> {
    let place = Place::find(&context.runtime_dir, import.edit.config.as_deref()).await?;
    let imported = read(&import.file, &place.folder().join("secrets"))?;
    for note in &imported.notes {
        eprintln!("{}", output::printable(note));
    }
    if imported.servers.is_empty() {
        return Err(Failure::new(
            Exit::Failed,
            format!("{} has no server that can be taken over.", import.file.display()),
        ));
    }
    let _lock = if import.edit.dry_run { None } else { Some(place.lock().await?) };
    let files: Vec<_> = imported.servers.iter().map(|server| place.drop_in(&server.name)).collect();
    let secrets = imported.secrets.iter().map(|secret| &secret.path);
    if let Some(there) = files.iter().chain(secrets).find(|path| path.exists() && !import.force) {
        return Err(Failure::new(
            Exit::Failed,
            format!("Nothing was written, since {} exists already.", there.display()),
        )
        .remedy("Replace what exists with --force, or add servers one by one with `toolgate server add`."));
    }
    if import.edit.dry_run {
        would_write(context, &imported, &files);
        return Ok(Exit::Done);
    }
    let before = place.read()?;
    let mut change = Change::default();
    if let Err(failure) = write(&imported, &files, &mut change) {
        change.undo();
        return Err(failure);
    }
    let reason = format!("server import {}", import.file.display());
    let taken = takeover::run(context, &place, &before, change, &reason).await?;
    if context.json {
        let names: Vec<_> = imported.servers.iter().map(|server| &server.name).collect();
        output::json(&json!({ "servers": names, "files": files, "notes": imported.notes, "reload": taken.reload }));
        return Ok(Exit::Done);
    }
    for path in &files {
        output::line(&format!("{} is written.", path.display()));
    }
    taken.print();
    output::line("`toolgate server list` shows them; each is started by the first call that needs it.");
    Ok(Exit::Done)
}

fn would_write(context: &Context, imported: &Imported, files: &[PathBuf]) {
    let texts = imported.servers.iter().map(|server| &server.toml).zip(files);
    if context.json {
        let texts: Vec<_> = texts.map(|(text, file)| json!({ "file": file, "text": text })).collect();
        return output::json(&json!({ "files": texts, "notes": imported.notes }));
    }
    for (text, file) in texts {
        output::line(&format!("{} would be written:\n", file.display()));
        text.lines().map(output::printable).for_each(|line| output::line(&line));
        output::line("");
    }
}

fn read(file: &Path, secrets: &Path) -> Result<Imported, Failure> {
    let ran = Command::new(config::daemon_program())
        .args(["import", "--print", "--secrets"])
        .arg(secrets)
        .arg("--")
        .arg(file)
        .output()
        .map_err(|error| config::no_daemon_program(&error))?;
    if !ran.status.success() {
        let said = String::from_utf8_lossy(&ran.stderr);
        let lines = said.lines().map(str::to_owned).collect();
        return Err(Failure { lines, ..Failure::new(Exit::Failed, format!("{} cannot be imported.", file.display())) });
    }
    serde_json::from_slice(&ran.stdout)
        .map_err(|error| Failure::local("What `toolgated import` says cannot be read", error))
}

/// Secrets first: a file that refers to one is of no use without it.
fn write(imported: &Imported, files: &[PathBuf], change: &mut Change) -> Result<(), Failure> {
    for secret in &imported.secrets {
        let access = if secret.for_front { Access::Daemon } else { Access::Owner };
        change.write(&secret.path, &format!("{}\n", secret.value), access)?;
    }
    for (server, path) in imported.servers.iter().zip(files) {
        change.write(path, &format!("# Written by `toolgate server import`.\n{}", server.toml), Access::Daemon)?;
    }
    Ok(())
}
