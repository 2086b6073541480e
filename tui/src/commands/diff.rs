//! `toolgate config diff`: what a reload would change and cost, or how texts of revisions differ.

use std::collections::BTreeSet;

use serde_json::json;
use similar::TextDiff;
use toolgate_admin_api::{Exit, FileText, ReloadOutcome, ReloadRequest};

use super::history::Past;
use super::{Context, config};
use crate::args::Diff;
use crate::client::admin::AdminClient;
use crate::failure::Failure;
use crate::output;

/// Lines around a difference.
const CONTEXT: usize = 3;

/// Prints the differences; nothing where there are none.
pub(super) async fn run(context: &Context, diff: &Diff) -> Result<Exit, Failure> {
    let Some(from) = diff.from else { return pending(context).await };
    let mut past = Past::open_texts(context, &diff.past).await?;
    let to = match diff.to {
        Some(to) => to,
        None => past.list().await?.running,
    };
    let (before, after) = (past.revision(from).await?, past.revision(to).await?);
    let names = [format!("revision {from}"), format!("revision {to}")];
    let text = texts(&before.files, &after.files, &names);
    if context.json {
        output::json(&json!({ "from": from, "to": to, "diff": text }));
    } else {
        print(&text);
    }
    Ok(Exit::Done)
}

/// What a reload of the files on disk would do.
async fn pending(context: &Context) -> Result<Exit, Failure> {
    let mut client = AdminClient::control(&context.runtime_dir).await?;
    let request = ReloadRequest { dry_run: true, ..ReloadRequest::default() };
    let answer = client.post("/v1/config/reload", &request, None).await?;
    let outcome: ReloadOutcome = answer.read()?;
    if context.json {
        output::raw(answer.json());
        output::raw(b"\n");
    } else if outcome.changes.is_empty() && outcome.needs_restart.is_empty() {
        config::print_problems(&outcome.problems);
        output::line(&format!("A reload would change nothing; revision {} is running.", outcome.revision));
    } else {
        config::print_reload(&outcome);
    }
    Ok(Exit::Done)
}

/// The unified diff of all files, in the order of their names.
pub(super) fn texts(before: &[FileText], after: &[FileText], names: &[String; 2]) -> String {
    let of =
        |files: &'_ [FileText], name: &str| files.iter().find(|file| file.name == name).map(|file| file.text.clone());
    let all: BTreeSet<&str> = before.iter().chain(after).map(|file| file.name.as_str()).collect();
    let mut text = String::new();
    for name in all {
        let (old, new) = (of(before, name), of(after, name));
        if old == new {
            continue;
        }
        let head = |there: bool, whose: &str| if there { format!("{name} ({whose})") } else { "/dev/null".to_owned() };
        let heads = (head(old.is_some(), &names[0]), head(new.is_some(), &names[1]));
        let (old, new) = (old.unwrap_or_default(), new.unwrap_or_default());
        let diff = TextDiff::from_lines(&old, &new);
        text.push_str(&diff.unified_diff().context_radius(CONTEXT).header(&heads.0, &heads.1).to_string());
    }
    text
}

/// Prints a diff line by line: texts of files may hold what steers a terminal.
pub(super) fn print(text: &str) {
    for line in text.lines() {
        output::line(&output::printable(line));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, text: &str) -> FileText {
        FileText { name: name.into(), text: text.into(), mode: None }
    }

    #[test]
    fn files_that_differ_came_or_went_are_shown_and_others_are_not() {
        let before = [
            file("toolgate.toml", "version = 1\na = 1\n"),
            file("conf.d/gone.toml", "g\n"),
            file("conf.d/same.toml", "s\n"),
        ];
        let after = [
            file("toolgate.toml", "version = 1\na = 2\n"),
            file("conf.d/new.toml", "n\n"),
            file("conf.d/same.toml", "s\n"),
        ];
        let text = texts(&before, &after, &["revision 1".into(), "revision 2".into()]);
        let expected = "\
--- conf.d/gone.toml (revision 1)
+++ /dev/null
@@ -1 +0,0 @@
-g
--- /dev/null
+++ conf.d/new.toml (revision 2)
@@ -0,0 +1 @@
+n
--- toolgate.toml (revision 1)
+++ toolgate.toml (revision 2)
@@ -1,2 +1,2 @@
 version = 1
-a = 1
+a = 2
";
        assert_eq!(text, expected);
    }
}
