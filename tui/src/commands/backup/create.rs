//! `toolgate backup create`: everything is read, then written as one file that is whole or not there.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use serde_json::json;
use tokio::time::sleep;
use toolgate_admin_api::{Exit, Version};

use super::{Context, secret};
use crate::args::BackupCreate;
use crate::backup::archive::{self, FORMAT, Manifest};
use crate::backup::envelope;
use crate::backup::parts::{Gathered, gather};
use crate::backup::state::State;
use crate::client::admin::AdminClient;
use crate::commands::history;
use crate::edit::{Place, refused};
use crate::failure::Failure;
use crate::output;

/// How often everything is read anew because a configuration is being taken over, and after how long.
const TRIES: usize = 20;
const PAUSE: Duration = Duration::from_millis(50);
const PREFIX: &str = "toolgate-";
const ENDING: &str = ".backup";
/// `2026-11-27T020000Z`
const STAMP: usize = 18;

/// Makes a backup.
pub(super) async fn run(context: &Context, create: &BackupCreate) -> Result<Exit, Failure> {
    if create.keep.is_some() && !create.file.is_dir() {
        return Err(Failure::new(Exit::Usage, format!("{} is no folder.", create.file.display()))
            .remedy("Name a folder that is there: --keep removes the oldest of its backups."));
    }
    let secret = secret::read(&create.secret)?;
    let place = Place::find(&context.runtime_dir, create.source.config.as_deref()).await?;
    let state = State::open(&create.source.state_dir)?;
    let (gathered, revision) = of_one_revision(context, &place, &state, secret.is_some()).await?;
    let manifest = manifest(&gathered, revision);
    let archive = archive::write(&manifest, &gathered.files)
        .map_err(|error| Failure::local("The backup cannot be put together", error))?;
    let path = path(&create.file, manifest.made_at_ms);
    let bytes = match &secret {
        Some(secret) => write(&path, &envelope::seal(secret, &archive))?,
        None => write(&path, &archive)?,
    };
    let removed = match create.keep {
        Some(keep) => thin_out(&create.file, usize::try_from(keep).unwrap_or(usize::MAX))?,
        None => Vec::new(),
    };
    tell(context, &manifest, &path, bytes, secret.is_some(), &removed);
    then(&create.then, &path)?;
    Ok(Exit::Done)
}

/// Reads everything while one revision runs: files are replaced as wholes, and are read again where another
/// configuration was taken over between two of them, or is not in the history yet.
async fn of_one_revision(
    context: &Context,
    place: &Place,
    state: &State,
    with_secrets: bool,
) -> Result<(Gathered, Option<u64>), Failure> {
    let mut stable = None;
    for _ in 0..TRIES {
        let before = revision(context).await?;
        // Commands that change the configuration wait until it is read.
        let lock = if with_lock(place) { Some(place.lock().await?) } else { None };
        let gathered = gather(place, state, with_secrets)?;
        drop(lock);
        if revision(context).await? == before {
            let is_kept = before.is_none() || before == gathered.newest_revision();
            stable = Some((gathered, before));
            if is_kept {
                break;
            }
        }
        sleep(PAUSE).await;
    }
    // What never came into the history could not be written there; the daemon says so.
    stable.ok_or_else(|| {
        Failure::new(Exit::Failed, "The configuration was taken over anew each time that it was read.")
            .remedy("Try again when nobody changes it.")
    })
}

/// Whoever may only read the configuration cannot keep others from changing it; the revision tells.
fn with_lock(place: &Place) -> bool {
    rustix::fs::access(place.folder(), rustix::fs::Access::WRITE_OK).is_ok()
}

/// What runs; none where no daemon does.
async fn revision(context: &Context) -> Result<Option<u64>, Failure> {
    match AdminClient::view(&context.runtime_dir).await {
        Ok(mut client) => Ok(Some(client.get("/v1/version").await?.read::<Version>()?.revision)),
        Err(failure) if failure.exit == Exit::Unreachable => Ok(None),
        Err(failure) => Err(failure),
    }
}

fn manifest(gathered: &Gathered, revision: Option<u64>) -> Manifest {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Manifest {
        format: FORMAT,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        made_at_ms: u64::try_from(now.as_millis()).unwrap_or(u64::MAX),
        host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
        revision,
        files: gathered.files.iter().map(archive::File::entry).collect(),
        left_out: gathered.left_out.clone(),
    }
}

/// The file, or a new name in the folder.
fn path(file: &Path, made_at_ms: u64) -> PathBuf {
    if !file.is_dir() {
        return file.to_owned();
    }
    let stamp = history::time(made_at_ms).replace(' ', "T").replace(':', "");
    file.join(format!("{PREFIX}{stamp}{ENDING}"))
}

/// Writes a new file in one step; its size.
fn write(path: &Path, bytes: &[u8]) -> Result<usize, Failure> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let new = folder.join(format!(".{name}.new-{}", std::process::id()));
    let written = || -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        // Nothing is written over, whoever was faster.
        renameat_with(CWD, &new, CWD, path, RenameFlags::NOREPLACE)?;
        File::open(folder)?.sync_all()
    };
    written().map_err(|error| {
        // Whatever is left of it takes room; that it cannot be removed says nothing new.
        let _ = fs::remove_file(&new);
        refused(path, "write", &error)
    })?;
    Ok(bytes.len())
}

/// Removes the oldest backups of a folder beyond `keep`; their paths.
fn thin_out(folder: &Path, keep: usize) -> Result<Vec<PathBuf>, Failure> {
    let entries = fs::read_dir(folder).map_err(|error| refused(folder, "read", &error))?;
    let mut names: Vec<String> =
        entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).filter(|name| is_ours(name)).collect();
    // Their names are their times.
    names.sort();
    let oldest = &names[..names.len().saturating_sub(keep)];
    let remove = |name: &String| {
        let path = folder.join(name);
        fs::remove_file(&path).map_err(|error| refused(&path, "remove", &error))?;
        Ok(path)
    };
    oldest.iter().map(remove).collect()
}

fn is_ours(name: &str) -> bool {
    let stamp = name.strip_prefix(PREFIX).and_then(|rest| rest.strip_suffix(ENDING));
    stamp.is_some_and(|stamp| {
        stamp.len() == STAMP && stamp.bytes().all(|byte| byte.is_ascii_digit() || b"-TZ".contains(&byte))
    })
}

fn tell(context: &Context, manifest: &Manifest, path: &Path, bytes: usize, is_sealed: bool, removed: &[PathBuf]) {
    if context.json {
        return output::json(&json!({
            "file": path, "bytes": bytes, "sealed": is_sealed, "revision": manifest.revision,
            "files": manifest.files.len(), "left_out": manifest.left_out, "removed": removed,
        }));
    }
    let files = manifest.files.len();
    output::line(&format!("{} holds {files} files, {bytes} bytes.", path.display()));
    if !is_sealed {
        output::line(
            "It is not sealed: secrets that stand in the configuration itself are in it for whoever may read it.",
        );
    }
    if !manifest.left_out.is_empty() {
        let left_out = manifest.left_out.join(", ");
        output::line(&format!(
            "Left out, since it is not sealed: {left_out}. --key-file or --passphrase-file seals it."
        ));
    }
    for path in removed {
        output::line(&format!("{} was removed.", path.display()));
    }
}

/// What is to be done with the file, by whoever makes it.
fn then(words: &[std::ffi::OsString], path: &Path) -> Result<(), Failure> {
    let Some((program, arguments)) = words.split_first() else { return Ok(()) };
    let shown = program.to_string_lossy();
    let status = Command::new(program).args(arguments).arg(path).status();
    let status = status.map_err(|error| Failure::local(format!("{shown} cannot be started"), error))?;
    if status.success() {
        return Ok(());
    }
    Err(Failure::new(Exit::Failed, format!("{shown} failed: {status}."))
        .remedy(format!("The backup is in {}.", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_stay_and_nothing_else_is_touched() {
        let folder = tempfile::tempdir().expect("folder");
        let made: Vec<_> = (1..=4).map(|day| path(folder.path(), day * 86_400_000)).collect();
        for path in &made {
            assert_eq!(write(path, b"x").expect("writes"), 1);
        }
        let others = ["toolgate-mine.backup", "toolgate-2026-11-27T020000Z.backup.old", "x"];
        for name in others {
            fs::write(folder.path().join(name), "x").expect("writes");
        }
        assert!(made[0].ends_with("toolgate-1970-01-02T000000Z.backup"), "{made:?}");
        assert_eq!(thin_out(folder.path(), 3).expect("thins out"), made[..1]);
        assert!(thin_out(folder.path(), 9).expect("thins out").is_empty());
        assert_eq!(fs::read_dir(folder.path()).expect("reads").count(), 3 + others.len());
    }

    #[test]
    fn nothing_is_written_over() {
        let folder = tempfile::tempdir().expect("folder");
        let file = folder.path().join("gate.backup");
        write(&file, b"one").expect("writes");
        assert!(write(&file, b"two").is_err());
        assert_eq!(fs::read(&file).expect("reads"), b"one");
        assert_eq!(fs::read_dir(folder.path()).expect("reads").count(), 1, "nothing unfinished stays");
    }
}
