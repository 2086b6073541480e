//! The folders `valid` and `invalid`: each file is checked as `toolgated check` would, and each
//! invalid one has its expected report beside it. `UPDATE_REPORTS=1` writes the reports anew.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use toolgated::config::{self, Environment, Scrutiny};

/// A copy of the folder of cases, with certificates and secrets made for this run.
struct Cases {
    root: tempfile::TempDir,
}

fn committed() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config")
}

impl Cases {
    fn prepare() -> Self {
        let root = tempfile::tempdir().unwrap();
        copy(&committed(), root.path());
        let tls = root.path().join("tls");
        std::fs::create_dir(&tls).unwrap();
        for (chain, key) in [("fullchain.pem", "privkey.pem"), ("other.pem", "other-key.pem")] {
            let pair = rcgen::generate_simple_self_signed(vec!["mcp.example.org".into()]).unwrap();
            write(&tls.join(chain), &pair.cert.pem(), 0o644);
            write(&tls.join(key), &pair.signing_key.serialize_pem(), 0o600);
        }
        write(&tls.join("empty.pem"), "", 0o600);
        write(&tls.join("open-key.pem"), &std::fs::read_to_string(tls.join("privkey.pem")).unwrap(), 0o644);
        let secrets = root.path().join("secrets");
        std::fs::create_dir(&secrets).unwrap();
        write(&secrets.join("token"), "canary-secret\n", 0o600);
        write(&secrets.join("open"), "canary-secret\n", 0o644);
        write(&secrets.join("lines"), "one\ntwo\n", 0o600);
        Self { root }
    }

    /// Each case: a file, or a folder with `toolgate.toml` and `conf.d`.
    fn of(&self, name: &str) -> Vec<PathBuf> {
        let mut cases: Vec<PathBuf> = std::fs::read_dir(self.root.path().join(name))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .map(|path| if path.is_dir() { path.join("toolgate.toml") } else { path })
            .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
            .collect();
        cases.sort();
        assert!(!cases.is_empty(), "the folder {name} is empty");
        cases
    }

    fn relative<'a>(&self, path: &'a Path) -> &'a Path {
        path.strip_prefix(self.root.path()).unwrap()
    }

    /// The report names files by their paths from the folder of cases.
    fn check(&self, path: &Path) -> (bool, String) {
        let credentials = self.root.path().join("secrets").display().to_string();
        let variables = [
            ("CREDENTIALS_DIRECTORY".to_owned(), credentials),
            ("EXAMPLE_TOKEN".to_owned(), "canary-secret".to_owned()),
        ];
        let environment = Environment { scrutiny: Scrutiny::Daemon, variables: variables.into() };
        let report = match config::load(path, &environment) {
            Ok((_, report)) | Err(report) => report,
        };
        let root = format!("{}/", self.root.path().display());
        let folder = format!("{}/", path.parent().unwrap().display());
        (!report.has_errors(), report.render(false).replace(&folder, "").replace(&root, ""))
    }
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            std::fs::create_dir(&target).unwrap();
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), &target).unwrap();
        }
    }
}

fn write(path: &Path, text: &str, mode: u32) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn valid_files_are_accepted() {
    let cases = Cases::prepare();
    for path in cases.of("valid") {
        let (usable, report) = cases.check(&path);
        assert!(usable, "{}:\n{report}", path.display());
    }
}

#[test]
fn invalid_files_are_reported_as_expected() {
    let cases = Cases::prepare();
    for path in cases.of("invalid") {
        let (usable, report) = cases.check(&path);
        assert!(!usable, "{} was accepted", path.display());
        let expected = committed().join(cases.relative(&path)).with_extension("report");
        if std::env::var_os("UPDATE_REPORTS").is_some() {
            std::fs::write(&expected, &report).unwrap();
        }
        assert_eq!(report, std::fs::read_to_string(&expected).unwrap_or_default(), "{}", path.display());
        assert!(!report.contains("canary"), "a secret is in the report of {}", path.display());
    }
}
