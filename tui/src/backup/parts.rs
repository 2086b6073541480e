//! What belongs into a backup: one row per kind of part, for making and for restoring.
//!
//! A new thing that is to be kept is a row of [`PARTS`]. What a backup names is taken only where a row knows it.

use std::io;
use std::path::{Path, PathBuf};

use toolgate_admin_api::history::revision_of_file;
use zeroize::Zeroizing;

use super::archive::File;
use super::log;
use super::state::State;
use crate::edit::{Place, refused};
use crate::failure::Failure;

/// A kind of part.
#[derive(Debug)]
pub(crate) struct Part {
    /// What people call it.
    pub(crate) name: &'static str,
    files: Files,
    /// It holds secrets: it is in sealed backups alone.
    is_secret: bool,
}

/// Where a part's files are.
#[derive(Debug)]
enum Files {
    /// The main file and those of `conf.d`.
    Configuration,
    /// Files of the state folder, by their names.
    State(&'static [&'static str]),
    /// All files of a folder in the state folder that end like this.
    Folder(&'static str, &'static [&'static str]),
    /// Files that change in place.
    InPlace(&'static [&'static str]),
    /// The audit log.
    Log,
}

/// Everything that is kept. Sessions are not: their clients, servers and instances have gone on since.
pub(crate) static PARTS: &[Part] = &[
    plain("configuration", Files::Configuration),
    plain("history of the configuration", Files::Folder("config", &[".json", ".withdrawn"])),
    plain("keys", Files::InPlace(&["keys.redb"])),
    plain("changes by hand", Files::State(&["steering.json"])),
    plain("tools as they were accepted", Files::State(&["tools/pins.json"])),
    plain("quotas", Files::State(&["quotas.json"])),
    plain("alerts", Files::State(&["alerts.json"])),
    plain("audit log", Files::Log),
    secret("sealing keys", Files::State(&["seal.json"])),
    secret("grants of users", Files::State(&["grants.json"])),
    secret("self-signed certificates", Files::Folder("tls", &[".crt", ".key"])),
];

const fn plain(name: &'static str, files: Files) -> Part {
    Part { name, files, is_secret: false }
}

const fn secret(name: &'static str, files: Files) -> Part {
    Part { name, files, is_secret: true }
}

/// The folder of an archive for files of the configuration, and for those of the state.
const CONFIGURATION: &str = "configuration/";
const STATE: &str = "state/";
/// The main file's name there, whatever it is called where it is.
const MAIN: &str = "toolgate.toml";

/// What was read for a backup.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Gathered {
    /// Files of all parts, in their order.
    pub(crate) files: Vec<File>,
    /// Parts that exist, hold secrets, and are not among them.
    pub(crate) left_out: Vec<String>,
}

impl Gathered {
    /// The newest revision of the history among the files.
    pub(crate) fn newest_revision(&self) -> Option<u64> {
        let revision = |file: &File| revision_of_file(file.path.strip_prefix(STATE)?.strip_prefix("config/")?);
        self.files.iter().filter_map(revision).max()
    }
}

/// Reads everything that there is; secrets only where the backup will be sealed.
pub(crate) fn gather(place: &Place, state: &State, with_secrets: bool) -> Result<Gathered, Failure> {
    let mut gathered = Gathered::default();
    for part in PARTS {
        let files = part.read(place, state)?;
        if part.is_secret && !with_secrets {
            if !files.is_empty() {
                gathered.left_out.push(part.name.to_owned());
            }
        } else {
            gathered.files.extend(files);
        }
    }
    Ok(gathered)
}

impl Part {
    fn read(&self, place: &Place, state: &State) -> Result<Vec<File>, Failure> {
        let file =
            |path: String, mode: u32, bytes: Zeroizing<Vec<u8>>| File { path, part: self.name.into(), mode, bytes };
        let of_state = |name: &str| {
            let read = state.read(name)?;
            Ok(read.map(|(bytes, mode)| file(format!("{STATE}{name}"), mode, bytes)))
        };
        match self.files {
            Files::Configuration => configuration(place, file),
            Files::InPlace(names) => {
                let steady = names.iter().filter_map(|name| Some((name, state.read_steadily(name).transpose()?)));
                steady
                    .map(|(name, read)| read.map(|(bytes, mode)| file(format!("{STATE}{name}"), mode, bytes)))
                    .collect()
            }
            Files::State(names) => names.iter().filter_map(|name| of_state(name).transpose()).collect(),
            Files::Folder(folder, endings) => {
                let names = state.list(folder)?.into_iter().filter(|name| ends(name, endings));
                names.filter_map(|name| of_state(&format!("{folder}/{name}")).transpose()).collect()
            }
            Files::Log => {
                let read = log::read(state)?.into_iter();
                Ok(read.map(|(name, read)| file(format!("{STATE}{name}"), read.mode, read.bytes)).collect())
            }
        }
    }

    /// Whether a file of the state folder is one of these.
    fn knows(&self, name: &str) -> bool {
        match self.files {
            Files::Configuration => false,
            Files::State(names) | Files::InPlace(names) => names.contains(&name),
            Files::Log => log::NAMES.contains(&name),
            Files::Folder(folder, endings) => {
                let inner = name.strip_prefix(folder).and_then(|rest| rest.strip_prefix('/'));
                inner.is_some_and(|inner| is_plain(inner) && ends(inner, endings))
            }
        }
    }
}

fn ends(name: &str, endings: &[&str]) -> bool {
    !name.starts_with('.') && endings.iter().any(|ending| name.ends_with(ending))
}

fn is_plain(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\0'])
}

fn configuration(place: &Place, file: impl Fn(String, u32, Zeroizing<Vec<u8>>) -> File) -> Result<Vec<File>, Failure> {
    use std::os::unix::fs::PermissionsExt as _;
    let mut files = Vec::new();
    for (index, text) in place.read()?.into_iter().enumerate() {
        let path = if index == 0 { place.main.clone() } else { place.folder().join(&text.name) };
        let read = std::fs::read(&path).and_then(|bytes| Ok((bytes, std::fs::metadata(&path)?.permissions().mode())));
        let (bytes, mode) = match read {
            Ok(read) => read,
            // Nobody can serve without a main file; a backup of the rest is still worth having.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(refused(&path, "read", &error)),
        };
        let name = if index == 0 { MAIN } else { &text.name };
        files.push(file(format!("{CONFIGURATION}{name}"), mode & 0o777, Zeroizing::new(bytes)));
    }
    Ok(files)
}

/// Where a file of a backup goes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// A file of the configuration.
    Configuration(PathBuf),
    /// A file of the state folder, by its path within.
    State(PathBuf),
}

/// Where a file goes by the path that a backup gives it; `None` where no part of this release has such a file.
pub(crate) fn target(path: &str, place: &Place) -> Option<Target> {
    if let Some(name) = path.strip_prefix(CONFIGURATION) {
        let index = usize::from(name != MAIN);
        return place.file(index, name).ok().map(Target::Configuration);
    }
    let name = path.strip_prefix(STATE)?;
    PARTS.iter().any(|part| part.knows(name)).then(|| Target::State(Path::new(name).to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> Place {
        Place { main: "/etc/toolgate/gate.toml".into(), served: false }
    }

    #[test]
    fn a_backup_leads_to_no_other_file() {
        for (path, expected) in [
            ("configuration/toolgate.toml", Target::Configuration("/etc/toolgate/gate.toml".into())),
            ("configuration/conf.d/keys.toml", Target::Configuration("/etc/toolgate/conf.d/keys.toml".into())),
            ("state/seal.json", Target::State("seal.json".into())),
            ("state/config/0000000001.json", Target::State("config/0000000001.json".into())),
            ("state/tls/local.key", Target::State("tls/local.key".into())),
            ("state/tools/pins.json", Target::State("tools/pins.json".into())),
            ("state/audit.jsonl.1", Target::State("audit.jsonl.1".into())),
        ] {
            assert_eq!(target(path, &place()), Some(expected), "{path}");
        }
        for path in [
            "configuration/../x",
            "configuration/conf.d/../x.toml",
            "configuration/conf.d/x",
            "configuration/credentials/x",
            "state/../x",
            "state/config/../seal.json",
            "state/config/x/y.json",
            "state/config/.x.json",
            "state/config/",
            "state/sessions/key",
            "state/tools/x",
            "state/audit.jsonl.2",
            "state/x",
            "/etc/passwd",
            "",
        ] {
            assert_eq!(target(path, &place()), None, "{path}");
        }
    }

    #[test]
    fn what_is_secret_is_left_out_where_nothing_is_sealed_and_named() {
        let folder = tempfile::tempdir().expect("folder");
        let path = |name: &str| folder.path().join(name);
        std::fs::create_dir_all(path("conf.d")).expect("a folder");
        std::fs::create_dir_all(path("state/sessions")).expect("a folder");
        for (name, text) in [
            ("gate.toml", "version = 1\n"),
            ("conf.d/a.toml", ""),
            ("state/seal.json", "canary"),
            ("state/audit.jsonl", "{}\n{\"half"),
            ("state/sessions/key", "canary"),
        ] {
            std::fs::write(path(name), text).expect("writes");
        }
        let place = Place { main: path("gate.toml"), served: false };
        let state = State::open(&path("state")).expect("a state");
        let gathered = gather(&place, &state, false).expect("gathers");
        let names: Vec<_> = gathered.files.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(names, ["configuration/toolgate.toml", "configuration/conf.d/a.toml", "state/audit.jsonl"]);
        assert_eq!(gathered.files[2].bytes.as_slice(), b"{}\n", "half a line is none");
        assert_eq!(gathered.left_out, ["sealing keys"]);
        let gathered = gather(&place, &state, true).expect("gathers");
        assert!(gathered.left_out.is_empty());
        assert_eq!(gathered.files.last().map(|file| file.path.as_str()), Some("state/seal.json"));
    }
}
