//! `toolgate backup restore`: verified as a whole, written beside, put into place, and the old kept.

use std::path::{Path, PathBuf};

use serde_json::json;
use toolgate_admin_api::{Exit, FileText};

use super::{Backed, Context, verify};
use crate::args::BackupRestore;
use crate::backup::archive::File;
use crate::backup::parts::{Target, target};
use crate::backup::state::{Fresh, State, free_name};
use crate::commands::change as by_hand;
use crate::edit::{Access, Change, Place};
use crate::failure::Failure;
use crate::output;

/// What a restoration writes, and where.
struct Plan<'f> {
    configuration: Vec<(PathBuf, &'f str, u32)>,
    state: Vec<(PathBuf, &'f [u8])>,
}

/// Puts a backup into its place.
pub(super) async fn run(context: &Context, restore: &BackupRestore) -> Result<Exit, Failure> {
    let Backed { manifest, files, is_sealed } = super::open(&restore.file, &restore.secret)?;
    let named = restore.source.config.clone().unwrap_or_else(|| "/etc/toolgate/toolgate.toml".into());
    let place = Place::find(&context.runtime_dir, Some(&named)).await?;
    let plan = Plan::of(&files, &place)?;
    let state = open_state(&restore.source.state_dir)?;
    let _held = match &state {
        Some(state) => state.lock()?,
        None => None,
    };
    if place.served {
        return Err(Failure::new(Exit::Failed, "A daemon serves this configuration.")
            .remedy("Nothing was changed. Stop it first: `systemctl stop toolgate.target`."));
    }
    if !context.json {
        verify::print(&manifest, is_sealed);
    }
    let name = restore.file.file_name().unwrap_or_default().to_string_lossy();
    let told =
        format!("It would replace {} and what is in {}.", place.main.display(), restore.source.state_dir.display());
    if !restore.how.how.dry_run {
        by_hand::confirmed(&restore.how, &name, &told)?;
    }
    let kept =
        if restore.how.how.dry_run { Vec::new() } else { plan.carry_out(&place, &restore.source.state_dir).await? };
    if context.json {
        output::json(&json!({ "applied": !restore.how.how.dry_run, "revision": manifest.revision,
            "files": manifest.files.len(), "kept": kept, "left_out": manifest.left_out }));
        return Ok(Exit::Done);
    }
    if restore.how.how.dry_run {
        output::line(&format!("Nothing was changed. {told}"));
        return Ok(Exit::Done);
    }
    for path in &kept {
        output::line(&format!("{} is what was there.", path.display()));
    }
    output::line(
        "Restored. `toolgated check` says whether all that it names is there; then `systemctl start toolgated`.",
    );
    Ok(Exit::Done)
}

/// The state that is there; none on a machine that had none.
fn open_state(path: &Path) -> Result<Option<State>, Failure> {
    if path.symlink_metadata().is_err() { Ok(None) } else { State::open(path).map(Some) }
}

impl<'f> Plan<'f> {
    /// Where everything goes; refused as a whole where one thing belongs nowhere.
    fn of(files: &'f [File], place: &Place) -> Result<Self, Failure> {
        let mut plan = Self { configuration: Vec::new(), state: Vec::new() };
        let strange = |file: &File| {
            Failure::new(Exit::Failed, format!("The backup holds {:?}, which this release does not know.", file.path))
                .remedy("Nothing was changed. Use the release that made it.")
        };
        for file in files {
            match target(&file.path, place).ok_or_else(|| strange(file))? {
                Target::Configuration(path) => {
                    let text = std::str::from_utf8(&file.bytes).map_err(|_| strange(file))?;
                    plan.configuration.push((path, text, file.mode));
                }
                Target::State(path) => plan.state.push((path, &file.bytes)),
            }
        }
        Ok(plan)
    }

    /// Everything or nothing; the names under which what was there is kept.
    async fn carry_out(&self, place: &Place, state_dir: &Path) -> Result<Vec<PathBuf>, Failure> {
        let _lock = place.lock().await?;
        let now = place.read()?;
        let fresh = Fresh::make(state_dir)?;
        for (path, bytes) in &self.state {
            if let Err(failure) = fresh.write(path, bytes) {
                fresh.discard();
                return Err(failure);
            }
        }
        let mut change = Change::default();
        let mut kept = match self.write_configuration(place, &now, &mut change) {
            Ok(kept) => kept,
            Err(failure) => {
                change.undo();
                fresh.discard();
                return Err(failure);
            }
        };
        // Last, in one step: what fails before it leaves everything as it was.
        match fresh.take_place() {
            Ok(aside) => kept.extend(aside),
            Err(failure) => {
                change.undo();
                fresh.discard();
                return Err(failure);
            }
        }
        Ok(kept)
    }

    /// Files that differ are kept under another name and written; those that the backup does not have are renamed.
    fn write_configuration(
        &self,
        place: &Place,
        now: &[FileText],
        change: &mut Change,
    ) -> Result<Vec<PathBuf>, Failure> {
        let mut kept = Vec::new();
        if self.configuration.is_empty() {
            // It was made where there was none: what is there now is better than nothing.
            return Ok(kept);
        }
        for (index, file) in now.iter().enumerate() {
            let path = if index == 0 { place.main.clone() } else { place.folder().join(&file.name) };
            let wanted = self.configuration.iter().find(|(wanted, ..)| *wanted == path);
            if wanted.is_some_and(|(_, text, _)| *text == file.text) || !path.exists() {
                continue;
            }
            let aside = free_name(&path);
            change.rename(&path, &aside)?;
            kept.push(aside);
        }
        for (path, text, mode) in &self.configuration {
            if !path.exists() {
                change.write(path, text, Access::Mode(*mode))?;
            }
        }
        Ok(kept)
    }
}
