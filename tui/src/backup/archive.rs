//! What lies in a backup: a tar of zstd, whose first entry says what the others must be.
//!
//! Other programs open it too (`tar --zstd -tf`), where it is not sealed. Reading believes nothing: entries are plain
//! files that the manifest names, each once, of the size and the SHA-256 that it says, and none is missing.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Read};

use aws_lc_rs::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// The format that is written and read.
pub(crate) const FORMAT: u32 = 1;
/// The name of the first entry.
const MANIFEST: &str = "manifest.json";
/// Bytes of all parts together: no gate keeps as many.
const MOST: u64 = 1 << 30;
/// zstd's own default: most of its gain, little of its time.
const LEVEL: i32 = 3;

/// What a backup is of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    /// Of the archive.
    pub(crate) format: u32,
    /// The version of the program that made it.
    pub(crate) version: String,
    /// When, in milliseconds since 1970.
    pub(crate) made_at_ms: u64,
    /// The machine.
    pub(crate) host: String,
    /// The revision of the configuration that ran, where a daemon did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) revision: Option<u64>,
    /// All files.
    pub(crate) files: Vec<Entry>,
    /// Kinds of parts that hold secrets and are not in it, since it is not sealed.
    pub(crate) left_out: Vec<String>,
}

/// A file of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// `configuration/toolgate.toml`, `state/pins.json`: where it belongs.
    pub(crate) path: String,
    /// The kind of part that it belongs to.
    pub(crate) part: String,
    /// Permission bits.
    pub(crate) mode: u32,
    /// Its size.
    pub(crate) bytes: u64,
    /// Its digest, in hexadecimal.
    pub(crate) sha256: String,
}

/// A file with its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct File {
    /// As in the manifest.
    pub(crate) path: String,
    /// As in the manifest.
    pub(crate) part: String,
    /// Permission bits.
    pub(crate) mode: u32,
    /// What it holds.
    pub(crate) bytes: Zeroizing<Vec<u8>>,
}

impl File {
    /// What the manifest says of it.
    pub(crate) fn entry(&self) -> Entry {
        Entry {
            path: self.path.clone(),
            part: self.part.clone(),
            mode: self.mode,
            bytes: self.bytes.len() as u64,
            sha256: sha256(&self.bytes),
        }
    }
}

/// Why a backup is not used.
#[derive(Debug)]
pub(crate) enum Unusable {
    /// It is no backup, or damaged.
    Damaged(String),
    /// Another release made it.
    Format(u32),
}

impl std::fmt::Display for Unusable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Damaged(why) => f.write_str(why),
            Self::Format(format) => write!(f, "it has format {format}, and this release knows {FORMAT}"),
        }
    }
}

fn damaged(why: impl std::fmt::Display) -> Unusable {
    Unusable::Damaged(why.to_string())
}

/// Writes an archive of these files, which the manifest names in this order.
pub(crate) fn write(manifest: &Manifest, files: &[File]) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut encoder = zstd::Encoder::new(Vec::new(), LEVEL)?;
    encoder.include_checksum(true)?;
    let mut tar = tar::Builder::new(encoder);
    let text = serde_json::to_vec_pretty(manifest)?;
    let at = manifest.made_at_ms / 1_000;
    append(&mut tar, MANIFEST, 0o600, at, &text)?;
    for file in files {
        append(&mut tar, &file.path, file.mode, at, &file.bytes)?;
    }
    tar.into_inner()?.finish().map(Zeroizing::new)
}

fn append(tar: &mut tar::Builder<impl io::Write>, path: &str, mode: u32, at: u64, bytes: &[u8]) -> io::Result<()> {
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(tar::EntryType::Regular);
    header.set_size(bytes.len() as u64);
    header.set_mode(mode);
    header.set_mtime(at);
    header.set_uid(0);
    header.set_gid(0);
    tar.append_data(&mut header, path, bytes)
}

/// Reads an archive, and verifies all of it.
pub(crate) fn read(archive: &[u8]) -> Result<(Manifest, Vec<File>), Unusable> {
    // To its very end, where its checksum is: a reader of tar stops before.
    let mut unpacked = Zeroizing::new(Vec::new());
    let mut decoder = zstd::Decoder::new(archive).map_err(damaged)?.take(MOST);
    decoder.read_to_end(&mut unpacked).map_err(|error| not_read(&error))?;
    if decoder.limit() == 0 {
        return Err(damaged("it is larger than any backup"));
    }
    let mut tar = tar::Archive::new(unpacked.as_slice());
    let mut entries = tar.entries().map_err(damaged)?;
    let first = entries.next().ok_or_else(|| damaged("there is nothing in it"))?.map_err(|error| not_read(&error))?;
    let (path, text) = content(first)?;
    if path != MANIFEST {
        return Err(damaged("it does not begin with a manifest"));
    }
    let manifest = manifest(&text)?;
    let mut wanted: BTreeMap<&str, &Entry> = BTreeMap::new();
    for entry in &manifest.files {
        if wanted.insert(&entry.path, entry).is_some() {
            return Err(damaged(format!("the manifest names {:?} twice", entry.path)));
        }
    }
    let mut files = Vec::with_capacity(manifest.files.len());
    for entry in entries {
        let (path, bytes) = content(entry.map_err(|error| not_read(&error))?)?;
        let entry = wanted.remove(path.as_str()).ok_or_else(|| damaged(format!("{path:?} does not belong into it")))?;
        let file = File { path, part: entry.part.clone(), mode: entry.mode, bytes };
        if file.entry() != *entry {
            return Err(damaged(format!("{:?} is not what was kept", file.path)));
        }
        files.push(file);
    }
    match wanted.keys().next() {
        None => Ok((manifest, files)),
        Some(missing) => Err(damaged(format!("{missing:?} is missing"))),
    }
}

/// A later format may have another form, so its number comes first.
fn manifest(text: &[u8]) -> Result<Manifest, Unusable> {
    #[derive(Deserialize)]
    struct Versioned {
        format: u32,
    }
    let unreadable = |_| damaged("its manifest cannot be read");
    let Versioned { format } = serde_json::from_slice(text).map_err(unreadable)?;
    if format != FORMAT {
        return Err(Unusable::Format(format));
    }
    serde_json::from_slice(text).map_err(unreadable)
}

fn content(mut entry: tar::Entry<'_, impl Read>) -> Result<(String, Zeroizing<Vec<u8>>), Unusable> {
    let path = std::str::from_utf8(&entry.path_bytes()).map_err(damaged)?.to_owned();
    if entry.header().entry_type() != tar::EntryType::Regular {
        return Err(damaged(format!("{path:?} is no plain file")));
    }
    let mut bytes = Zeroizing::new(Vec::new());
    entry.read_to_end(&mut bytes).map_err(|error| not_read(&error))?;
    if bytes.len() as u64 != entry.header().size().map_err(damaged)? {
        return Err(damaged(format!("{path:?} is cut")));
    }
    Ok((path, bytes))
}

fn not_read(error: &io::Error) -> Unusable {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        return damaged("it ends too early: a part of it is missing");
    }
    damaged(format!("it is damaged: {error}"))
}

fn sha256(bytes: &[u8]) -> String {
    digest(&SHA256, bytes).as_ref().iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> File {
        File { path: path.into(), part: "p".into(), mode: 0o640, bytes: Zeroizing::new(text.into()) }
    }

    fn manifest_of(files: &[File]) -> Manifest {
        Manifest {
            format: FORMAT,
            version: "0".into(),
            made_at_ms: 7_000,
            host: "h".into(),
            revision: Some(3),
            files: files.iter().map(File::entry).collect(),
            left_out: Vec::new(),
        }
    }

    fn two() -> Vec<File> {
        vec![file("configuration/toolgate.toml", &"version = 1\n".repeat(500)), file("state/pins.json", "{}")]
    }

    #[test]
    fn what_is_written_is_read() {
        let files = two();
        let manifest = manifest_of(&files);
        let archive = write(&manifest, &files).expect("writes");
        let (found, read) = read(&archive).expect("reads");
        assert_eq!((found, read), (manifest, files));
    }

    #[test]
    fn every_cut_and_every_changed_byte_is_found() {
        let files = two();
        let archive = write(&manifest_of(&files), &files).expect("writes");
        for end in 0..archive.len() {
            assert!(read(&archive[..end]).is_err(), "cut at {end} of {}", archive.len());
        }
        for at in 0..archive.len() {
            let mut changed = archive.to_vec();
            changed[at] ^= 0x10;
            match read(&changed) {
                Err(_) => {}
                // A bit of a frame's head that says nothing about what is in it.
                Ok((manifest, read)) => assert_eq!((manifest, &read), (manifest_of(&files), &files), "{at}"),
            }
        }
    }

    #[test]
    fn what_is_missing_added_or_altered_is_named() {
        let files = two();
        let whole = manifest_of(&files);
        let why = |manifest: &Manifest, files: &[File]| {
            let archive = write(manifest, files).expect("writes");
            read(&archive).map(|_| ()).expect_err("it is refused").to_string()
        };
        assert_eq!(why(&whole, &files[..1]), "\"state/pins.json\" is missing");
        assert_eq!(why(&manifest_of(&files[..1]), &files), "\"state/pins.json\" does not belong into it");
        let altered = [files[0].clone(), file("state/pins.json", "[]")];
        assert_eq!(why(&whole, &altered), "\"state/pins.json\" is not what was kept");
        let twice = [files.as_slice(), &files[1..]].concat();
        assert!(why(&manifest_of(&twice), &twice).contains("twice"));
        let later = Manifest { format: 9, ..whole };
        assert_eq!(why(&later, &files), "it has format 9, and this release knows 1");
    }
}
