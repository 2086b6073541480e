//! `toolgate config rollback`: the files of an accepted revision are written back, then taken over.
//!
//! The texts come from the daemon, which is less than whoever writes them: what would be written is
//! shown and asked for, and only files of the configuration are touched.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

use serde_json::json;
use toolgate_admin_api::{Exit, FileText, HistoryView, Revision};

use super::history::Past;
use super::{Context, diff, takeover};
use crate::args::Rollback;
use crate::edit::{Access, Change, Place};
use crate::failure::Failure;
use crate::output;

/// What goes back.
#[derive(Debug, PartialEq, Eq)]
struct Plan {
    /// Files that differ, or are missing.
    write: Vec<(PathBuf, FileText)>,
    /// Files that the revision did not have.
    aside: Vec<PathBuf>,
}

/// Goes back, after having asked.
pub(super) async fn run(context: &Context, rollback: &Rollback) -> Result<Exit, Failure> {
    let place = Place::find(&context.runtime_dir, rollback.edit.config.as_deref()).await?;
    let mut past = Past::open_texts(context, &rollback.past).await?;
    let now = place.read()?;
    let revision = match rollback.revision {
        Some(number) => past.revision(number).await?,
        None => last(&mut past, &now).await?,
    };
    let number = revision.revision;
    let plan = Plan::to(&revision, &now, &place)?;
    if plan.write.is_empty() && plan.aside.is_empty() {
        let message = format!("The files are those of revision {number} already.");
        return Err(Failure::new(Exit::Failed, message).remedy("`toolgate config history` lists other revisions."));
    }
    if !context.json {
        diff::print(&diff::texts(&now, &revision.files, &["now".into(), format!("revision {number}")]));
    }
    let asides: Vec<_> = plan.aside.iter().map(|path| (path.clone(), free_name(path, number))).collect();
    if !rollback.edit.dry_run && !rollback.yes {
        ask(number, &plan.would(&asides))?;
    }
    let outcome = if rollback.edit.dry_run {
        None
    } else {
        // Not before the answer: nobody is kept waiting for a person who thinks.
        let _lock = place.lock().await?;
        unchanged(&now, &place.read()?)?;
        let mut change = Change::default();
        if let Err(failure) = plan.carry_out(&asides, &mut change) {
            change.undo();
            return Err(failure);
        }
        let reason = rollback.reason.clone().unwrap_or_else(|| format!("rollback to revision {number}"));
        Some(takeover::run(context, &place, &now, change, &reason).await?)
    };
    if context.json {
        let written: Vec<_> = plan.write.iter().map(|(path, _)| path).collect();
        let aside: Vec<_> = asides.iter().map(|(from, to)| json!({ "from": from, "to": to })).collect();
        let reload = outcome.as_ref().and_then(|taken| taken.reload.as_ref());
        output::json(&json!({ "revision": number, "applied": outcome.is_some(), "written": written,
            "set_aside": aside, "reload": reload }));
        return Ok(Exit::Done);
    }
    let would = if rollback.edit.dry_run { "would be " } else { "" };
    for (path, _) in &plan.write {
        output::line(&format!("{} {would}written back.", path.display()));
    }
    for (from, to) in &asides {
        output::line(&format!(
            "{} {would}renamed to {}: revision {number} does not have it.",
            from.display(),
            to.display()
        ));
    }
    if let Some(taken) = &outcome {
        taken.print();
    }
    Ok(Exit::Done)
}

/// The running revision where the files differ from it, else the one before: what undoes the last change,
/// taken over or not.
async fn last(past: &mut Past, now: &[FileText]) -> Result<Revision, Failure> {
    let HistoryView { running, revisions, .. } = past.list().await?;
    if revisions.iter().any(|accepted| accepted.revision == running) {
        let revision = past.revision(running).await?;
        if !same(&revision.files, now) {
            return Ok(revision);
        }
    }
    match revisions.iter().find(|accepted| accepted.revision < running) {
        Some(accepted) => past.revision(accepted.revision).await,
        None => Err(Failure::new(Exit::Failed, "There is no earlier revision to go back to.")
            .remedy("`toolgate config history` lists what was accepted.")),
    }
}

/// What was shown and asked for must be what happens.
fn unchanged(shown: &[FileText], now: &[FileText]) -> Result<(), Failure> {
    if same(shown, now) {
        return Ok(());
    }
    Err(Failure::new(Exit::Failed, "Somebody has changed the files since they were compared.")
        .remedy("Nothing was changed. Run the command again to see what it would do now."))
}

fn same(one: &[FileText], other: &[FileText]) -> bool {
    let texts =
        |files: &[FileText]| files.iter().map(|file| (file.name.clone(), file.text.clone())).collect::<Vec<_>>();
    texts(one) == texts(other)
}

impl Plan {
    fn to(revision: &Revision, now: &[FileText], place: &Place) -> Result<Self, Failure> {
        let mut plan = Self { write: Vec::new(), aside: Vec::new() };
        for (index, file) in revision.files.iter().enumerate() {
            let path = place.file(index, &file.name)?;
            let is = |other: &&FileText| if index == 0 { now.first() == Some(*other) } else { other.name == file.name };
            if now.iter().find(is).is_none_or(|there| there.text != file.text) {
                plan.write.push((path, file.clone()));
            }
        }
        for file in now.iter().skip(1) {
            if !revision.files.iter().skip(1).any(|kept| kept.name == file.name) {
                plan.aside.push(place.folder().join(&file.name));
            }
        }
        Ok(plan)
    }

    /// A line for each file, with its whole path: the texts above name files as the history does.
    fn would(&self, asides: &[(PathBuf, PathBuf)]) -> String {
        let written = self.write.iter().map(|(path, _)| format!("write   {}\n", path.display()));
        let renamed = asides.iter().map(|(from, to)| format!("rename  {} to {}\n", from.display(), to.display()));
        written.chain(renamed).collect()
    }

    fn carry_out(&self, asides: &[(PathBuf, PathBuf)], change: &mut Change) -> Result<(), Failure> {
        for (path, file) in &self.write {
            change.write(path, &file.text, file.mode.map_or(Access::Daemon, Access::Mode))?;
        }
        for (from, to) in asides {
            change.rename(from, to)?;
        }
        Ok(())
    }
}

/// `NAME.toml.rolled-back-7`, which the daemon passes over; a further time `NAME.toml.rolled-back-7-2`.
fn free_name(path: &Path, number: u64) -> PathBuf {
    let mut count = 1;
    loop {
        let mut name = path.as_os_str().to_owned();
        name.push(if count == 1 { format!(".rolled-back-{number}") } else { format!(".rolled-back-{number}-{count}") });
        if !Path::new(&name).exists() {
            return name.into();
        }
        count += 1;
    }
}

fn ask(number: u64, would: &str) -> Result<(), Failure> {
    if !io::stdin().is_terminal() {
        return Err(Failure::new(Exit::Usage, "Nobody can be asked here.")
            .remedy("Say --yes to go back, or --dry-run to look."));
    }
    eprint!("{would}Write these files of revision {number} back and reload? [y/N] ");
    let _ = io::stderr().flush();
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer).map_err(|error| Failure::local("The answer cannot be read", error))?;
    if matches!(answer.trim(), "y" | "Y" | "yes") {
        Ok(())
    } else {
        Err(Failure::new(Exit::Failed, "Nothing was changed."))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, text: &str) -> FileText {
        FileText { name: name.into(), text: text.into(), mode: Some(0o644) }
    }

    #[test]
    fn files_that_changed_while_somebody_was_asked_are_left_alone() {
        let shown = [file("toolgate.toml", "m"), file("conf.d/a.toml", "a")];
        assert!(unchanged(&shown, &shown.clone()).is_ok());
        for now in [&shown[..1], &[file("toolgate.toml", "m"), file("conf.d/a.toml", "b")]] {
            assert_eq!(unchanged(&shown, now).expect_err("changed").exit, Exit::Failed);
        }
    }

    #[test]
    fn only_what_differs_is_written_and_what_was_not_there_is_set_aside() {
        let place = Place { main: "/etc/toolgate/other.toml".into(), served: false };
        let files = vec![file("toolgate.toml", "m"), file("conf.d/a.toml", "a"), file("conf.d/b.toml", "b")];
        let revision = Revision {
            format: 1,
            revision: 3,
            accepted_at_ms: 1,
            who: "start".into(),
            reason: None,
            version: "0".into(),
            files,
            overrides: Vec::new(),
        };
        let now = [file("other.toml", "m"), file("conf.d/b.toml", "B"), file("conf.d/c.toml", "c")];
        let plan = Plan::to(&revision, &now, &place).expect("a plan");
        let written: Vec<_> = plan.write.iter().map(|(path, _)| path.display().to_string()).collect();
        assert_eq!(written, ["/etc/toolgate/conf.d/a.toml", "/etc/toolgate/conf.d/b.toml"]);
        assert_eq!(plan.aside, [PathBuf::from("/etc/toolgate/conf.d/c.toml")]);
        let asides = [("/etc/toolgate/conf.d/c.toml".into(), "/etc/toolgate/conf.d/c.toml.rolled-back-3".into())];
        let would = plan.would(&asides);
        assert!(would.contains("/etc/toolgate/conf.d/a.toml\n"), "{would}");
        assert!(would.contains("c.toml to /etc/toolgate/conf.d/c.toml.rolled-back-3\n"), "{would}");
    }
}
