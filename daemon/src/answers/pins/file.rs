//! The file of what tools were like: JSON of version 1, replaced as a whole.

use std::collections::BTreeMap;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use toolgate_protocol::pins::{Book, Claim, Pin};

use super::Books;

const VERSION: u32 = 1;

#[derive(Debug, Serialize, Deserialize)]
struct Whole {
    version: u32,
    servers: BTreeMap<String, BTreeMap<String, Written>>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Written {
    accepted: WrittenClaim,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    changed: Option<WrittenClaim>,
}

#[derive(Debug, Serialize, Deserialize)]
struct WrittenClaim {
    /// SHA-256 in hexadecimal.
    hash: String,
    text: Arc<str>,
    since_ms: u64,
}

fn path(folder: &Path) -> PathBuf {
    folder.join("pins.json")
}

/// What was written last; nothing where there is no file. A file that cannot be used is set aside.
pub(super) fn load(folder: &Path) -> Result<Books, String> {
    let path = path(folder);
    let text = match std::fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Books::default()),
        Err(error) => return Err(format!("{}: {error}", path.display())),
    };
    parse(&text).map_err(|problem| {
        let aside = path.with_extension("json.aside");
        match std::fs::rename(&path, &aside) {
            Ok(()) => format!("{problem}; the file was set aside as {}", aside.display()),
            Err(error) => format!("{problem}; nor can the file be set aside: {error}"),
        }
    })
}

fn parse(text: &[u8]) -> Result<Books, String> {
    let whole: Whole = serde_json::from_slice(text).map_err(|problem| problem.to_string())?;
    if whole.version != VERSION {
        return Err(format!("it is of version {}, and this daemon knows {VERSION}", whole.version));
    }
    let mut books = Books::default();
    for (server, tools) in whole.servers {
        let mut book = Book::default();
        for (tool, Written { accepted, changed }) in tools {
            let changed = changed.map(read).transpose()?;
            book.restore(tool, Pin { accepted: read(accepted)?, changed });
        }
        books.insert(server, book);
    }
    Ok(books)
}

/// The file's text.
pub(super) fn text(books: &Books) -> Vec<u8> {
    let tools = |book: &Book| {
        let written = |pin: &Pin| Written { accepted: write(&pin.accepted), changed: pin.changed.as_ref().map(write) };
        book.all().map(|(name, pin)| (name.to_owned(), written(pin))).collect()
    };
    let servers = books.iter().map(|(server, book)| (server.clone(), tools(book))).collect();
    serde_json::to_vec(&Whole { version: VERSION, servers }).expect("names and texts are JSON")
}

/// Replaces the file.
pub(super) fn save(folder: &Path, text: &[u8]) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let path = path(folder);
    let new = path.with_extension("json.new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(text)?;
    // Whole or not at all, also where the machine loses its power.
    file.sync_all()?;
    std::fs::rename(&new, &path)?;
    File::open(folder)?.sync_all()
}

fn write(claim: &Claim) -> WrittenClaim {
    WrittenClaim { hash: to_hex(&claim.hash), text: Arc::clone(&claim.text), since_ms: claim.since }
}

fn read(written: WrittenClaim) -> Result<Claim, String> {
    let hash = from_hex(&written.hash).ok_or("a hash in it is none")?;
    Ok(Claim { hash, text: written.text, since: written.since_ms })
}

/// A hash as text.
pub fn to_hex(hash: &[u8; 32]) -> String {
    use std::fmt::Write as _;
    hash.iter().fold(String::with_capacity(64), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A hash from its text.
pub fn from_hex(text: &str) -> Option<[u8; 32]> {
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut hash = [0; 32];
    for (byte, at) in hash.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(&text[at..at + 2], 16).ok()?;
    }
    Some(hash)
}
