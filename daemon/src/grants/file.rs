//! Grants on disk: one file of JSON, whose tokens are sealed for their client and server.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Grant, Held, Place};
use crate::config::Secret;
use crate::seal::Seal;

/// The file's name in the state folder.
pub(super) const NAME: &str = "grants.json";

const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Kept {
    version: u32,
    grants: Vec<Row>,
}

/// A grant as it is kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Row {
    server: String,
    client: String,
    owner: String,
    since: u64,
    renewed: u64,
    sealed: String,
}

#[derive(Serialize, Deserialize)]
struct Tokens {
    access: String,
    refresh: Option<String>,
    until: u64,
}

/// What the seal of a grant is bound to. Names of servers have no spaces.
fn purpose((server, client): &Place) -> String {
    format!("grant {server} {client}")
}

/// What was written last.
#[derive(Debug, Default)]
pub(super) struct Loaded {
    pub(super) found: Vec<(Place, Held)>,
    /// What was sealed for another place or with another key, which may come back.
    pub(super) closed: BTreeMap<Place, Row>,
}

pub(super) fn load(folder: &Path, seal: &Seal) -> Result<Loaded, String> {
    let text = match fs::read(folder.join(NAME)) {
        Ok(text) => text,
        Err(problem) if problem.kind() == io::ErrorKind::NotFound => return Ok(Loaded::default()),
        Err(problem) => return Err(problem.to_string()),
    };
    let kept: Kept = serde_json::from_slice(&text).map_err(|problem| problem.to_string())?;
    if kept.version != VERSION {
        return Err(format!("it is of version {}, and this daemon knows {VERSION}", kept.version));
    }
    let mut loaded = Loaded::default();
    for row in kept.grants {
        let place = (row.server.clone(), row.client.clone());
        match opened(seal, &place, &row) {
            Some(held) => loaded.found.push((place, held)),
            None => _ = loaded.closed.insert(place, row),
        }
    }
    Ok(loaded)
}

fn opened(seal: &Seal, place: &Place, row: &Row) -> Option<Held> {
    let opened = seal.open(&purpose(place), &row.sealed)?;
    let tokens: Tokens = serde_json::from_slice(&opened).ok()?;
    let grant =
        Grant { access: Secret::new(tokens.access), refresh: tokens.refresh.map(Secret::new), until: tokens.until };
    Some(Held { grant, owner: row.owner.clone(), since: row.since, renewed: row.renewed, number: 0 })
}

/// Puts a file that cannot be read where nothing replaces it.
pub(super) fn set_aside(folder: &Path) -> io::Result<()> {
    fs::rename(folder.join(NAME), folder.join(NAME).with_extension("json.aside"))
}

/// Replaces the file: whole or not at all, also where the machine loses its power.
pub(super) fn save(
    folder: &Path,
    seal: &Seal,
    all: &BTreeMap<Place, Held>,
    closed: &BTreeMap<Place, Row>,
) -> io::Result<()> {
    let row = |(place, held): (&Place, &Held)| {
        let Grant { access, refresh, until } = &held.grant;
        let tokens = Tokens {
            access: access.expose().to_owned(),
            refresh: refresh.as_ref().map(|refresh| refresh.expose().to_owned()),
            until: *until,
        };
        let sealed = seal.seal(&purpose(place), &serde_json::to_vec(&tokens).map_err(io::Error::other)?);
        let (server, client) = place.clone();
        Ok(Row { server, client, owner: held.owner.clone(), since: held.since, renewed: held.renewed, sealed })
    };
    let mut grants = all.iter().map(row).collect::<io::Result<Vec<_>>>()?;
    grants.extend(closed.values().cloned());
    let text = serde_json::to_vec(&Kept { version: VERSION, grants }).map_err(io::Error::other)?;
    let path = folder.join(NAME);
    let new = path.with_extension("json.new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(&text)?;
    file.sync_all()?;
    fs::rename(&new, &path)?;
    File::open(folder)?.sync_all()
}
