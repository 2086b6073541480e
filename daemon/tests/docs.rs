//! The documents are true where a machine can tell: configurations pass the check, links lead
//! somewhere, and tables name what the code knows. `UPDATE_DOCS=1` writes the table of keys anew.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use toolgate_admin_api::{Socket, paths};
use toolgate_protocol::framing::Refusal;
use toolgated::config::{self, keys};

/// What writes a table.
type Writer = fn() -> String;

/// Tables of the configuration's page that the checker itself writes.
const TABLES: [(&str, Writer); 2] = [("keys", config::manual::markdown), ("presets", config::manual::presets)];
const FAILURES: &str = include_str!("../src/failure/kind.rs");

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|problem| panic!("{}: {problem}", path.display()))
}

/// README, changelog and every page of the documentation.
fn documents() -> Vec<PathBuf> {
    let mut found = vec![root().join("README.md"), root().join("CHANGELOG.md")];
    let pages = std::fs::read_dir(root().join("packaging/doc")).expect("the folder of documents");
    found.extend(
        pages
            .map(|entry| entry.expect("an entry").path())
            .filter(|path| path.extension().is_some_and(|kind| kind == "md")),
    );
    assert!(found.len() > 4, "{found:?}");
    found
}

/// Blocks of code in a language, without their fences.
fn blocks(text: &str, language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    text.split(&fence).skip(1).filter_map(|rest| Some(rest.split_once("```")?.0.to_owned())).collect()
}

/// Text without code, in which brackets mean nothing.
fn prose(text: &str) -> String {
    let outside = text.split("```").step_by(2).collect::<String>();
    outside.split('`').step_by(2).collect()
}

/// The anchor of each heading, as the usual renderers make it.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    headings
        .map(|line| {
            let title = line.trim_start_matches('#').trim().to_lowercase();
            let kept = title.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
            kept.map(|c| if c == ' ' { '-' } else { c }).collect()
        })
        .collect()
}

/// What stands in the first column of tables below a comment, without the backquotes.
fn rows<'a>(page: &'a str, comment: &str) -> Vec<Vec<&'a str>> {
    let (_, table) = page.split_once(comment).unwrap_or_else(|| panic!("no {comment:?}"));
    let lines =
        table.lines().skip_while(|line| !line.starts_with('|')).skip(2).take_while(|line| line.starts_with('|'));
    lines.map(|line| line.split('|').map(|cell| cell.trim().trim_matches('`')).skip(1).collect()).collect()
}

#[test]
fn configurations_in_documents_can_be_used() {
    let mut checked = 0;
    for path in documents() {
        for block in blocks(&read(&path), "toml") {
            let problems = match config::from_text(&block) {
                Ok(settings) => settings.warnings,
                Err(report) => vec![report.render(false)],
            };
            assert_eq!(problems, [] as [String; 0], "{}:\n{block}", path.display());
            checked += 1;
        }
    }
    assert!(checked >= 2, "{checked} configurations were found");
}

#[test]
fn the_report_in_the_readme_is_the_one_that_is_printed() {
    let readme = read(&root().join("README.md"));
    let good = blocks(&readme, "toml").remove(0);
    let report = config::from_text(&good.replace("address", "adress")).expect_err("a misspelt key");
    let printed = report.render(false).replace("toolgate.toml", "gate.toml");
    let first = printed.split("\n\n").next().expect("a problem");
    assert!(readme.contains(first), "the README should show\n{first}");
}

#[test]
fn links_lead_somewhere() {
    let mut followed = 0;
    for path in documents() {
        let text = read(&path);
        for link in prose(&text).split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0.to_owned())) {
            if link.contains("://") {
                continue;
            }
            let (file, anchor) = link.split_once('#').map_or((&*link, None), |(file, anchor)| (file, Some(anchor)));
            let target = if file.is_empty() { path.clone() } else { path.parent().expect("a folder").join(file) };
            assert!(target.exists(), "{}: {link} does not exist", path.display());
            if let Some(anchor) = anchor {
                assert!(anchors(&read(&target)).contains(anchor), "{}: {link} has no such heading", path.display());
            }
            followed += 1;
        }
    }
    assert!(followed > 5, "{followed} links were followed");
}

#[test]
fn the_tables_of_keys_and_presets_are_the_checkers_own() {
    let path = root().join("packaging/doc/configuration.md");
    let page = read(&path);
    let wanted = TABLES.iter().fold(page.clone(), |page, (name, table)| {
        let begin = format!("<!-- {name}: written by `UPDATE_DOCS=1 cargo test -p toolgated --test docs` -->\n");
        let end = format!("<!-- /{name} -->");
        let (before, rest) = page.split_once(&begin).expect("where the table begins");
        let (_, after) = rest.split_once(&end).expect("where it ends");
        format!("{before}{begin}{}\n{end}{after}", table())
    });
    if std::env::var_os("UPDATE_DOCS").is_some() {
        return std::fs::write(&path, wanted).expect("the page is written");
    }
    assert!(page == wanted, "a table of keys is stale: run UPDATE_DOCS=1 cargo test -p toolgated --test docs");
}

#[test]
fn every_reason_of_a_failure_is_explained() {
    let page = read(&root().join("packaging/doc/protocol.md"));
    let explained: BTreeSet<&str> = rows(&page, "<!-- Each reason").iter().map(|row| row[0]).collect();
    let (_, words) = FAILURES.split_once("pub fn word").expect("the words of failures");
    let known: BTreeSet<&str> = words.split('"').skip(1).step_by(2).collect();
    assert!(known.len() > 20, "{known:?}");
    assert_eq!(explained, known);
}

#[test]
fn every_refusal_of_framing_is_listed_with_its_status() {
    let page = read(&root().join("packaging/doc/protocol.md"));
    let listed: BTreeSet<(String, String)> =
        rows(&page, "<!-- Each refusal").iter().map(|row| (row[0].to_owned(), row[1].to_owned())).collect();
    let known = Refusal::ALL.iter().map(|refusal| (refusal.code().to_owned(), refusal.status().to_string())).collect();
    assert_eq!(listed, known);
}

#[test]
fn manuals_and_completions_show_what_operators_may_use() {
    let folder = tempfile::tempdir().expect("a folder");
    let program = env!("CARGO_BIN_EXE_toolgated");
    assert!(Command::new(program).arg("man").arg(folder.path()).status().expect("runs").success());
    let pages = std::fs::read_dir(folder.path()).expect("the folder");
    let pages: BTreeSet<String> =
        pages.map(|page| page.expect("an entry").file_name().into_string().expect("text")).collect();
    let commands = ["", "-check", "-demo", "-import", "-keeper", "-run"].map(|name| format!("toolgated{name}.8"));
    let wanted: BTreeSet<_> = commands.into_iter().chain(["toolgate.toml.5".to_owned()]).collect();
    assert_eq!(pages, wanted);
    for shell in ["bash", "zsh", "fish"] {
        let output = Command::new(program).args(["completions", shell]).output().expect("runs");
        let script = String::from_utf8(output.stdout).expect("text");
        assert!(script.contains("keeper") && !script.contains("demo-server"), "{shell}");
    }
}

#[test]
fn the_manual_of_the_file_names_every_key_that_the_checker_knows() {
    let folder = tempfile::tempdir().expect("a folder");
    let program = env!("CARGO_BIN_EXE_toolgated");
    assert!(Command::new(program).arg("man").arg(folder.path()).status().expect("runs").success());
    // What roff needs before dashes and backslashes.
    let page = read(&folder.path().join("toolgate.toml.5")).replace("\\-", "-").replace("\\*(Aq", "'");
    let terms: BTreeSet<&str> = page.split("\n.TP\n").skip(1).filter_map(|entry| entry.lines().next()).collect();
    let known: BTreeSet<String> =
        keys::KEYS.iter().map(|key| format!("\\fB{}\\fR", key.path.replace(".*", ".NAME"))).collect();
    assert!(known.len() > 100, "{known:?}");
    assert_eq!(terms, known.iter().map(String::as_str).collect());
    for key in keys::KEYS {
        assert!(page.contains(key.doc), "{}", key.doc);
    }
    assert!(page.contains(".SH EXAMPLES\n") && page.contains("#[server.files]"));
}

#[test]
fn the_folders_of_the_admin_sockets_are_made_with_their_groups() {
    let tmpfiles = read(&root().join("systemd/toolgate.tmpfiles"));
    let groups = read(&root().join("systemd/toolgate.sysusers"));
    for socket in [Socket::View, Socket::Control] {
        let folder = socket.folder(Path::new(paths::RUNTIME_DIR)).display().to_string();
        let made = tmpfiles
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>())
            .find(|line| line.get(1).is_some_and(|path| *path == folder));
        assert_eq!(made, Some(vec!["d", &folder, "2750", "toolgate", socket.group(), "-"]));
        assert!(groups.lines().any(|line| line.starts_with(&format!("g {} ", socket.group()))), "{}", socket.group());
    }
}
