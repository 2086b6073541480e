//! Where the configuration is.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::process::{Uid, geteuid};
use toolgate_admin_api::{ConfigView, Exit, FileText, Shown};

use super::lock::Lock;
use super::refused;
use crate::client::admin::AdminClient;
use crate::failure::Failure;

/// Where the package puts the main file.
const STANDARD: &str = "/etc/toolgate/toolgate.toml";

/// A configuration on disk, and whether a daemon serves it.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// The main file.
    pub(crate) main: PathBuf,
    /// Whether a daemon answers.
    pub(crate) served: bool,
}

impl Place {
    /// The configuration of a running daemon, the standard one where none runs, or the one that is named.
    pub(crate) async fn find(runtime_dir: &Path, named: Option<&Path>) -> Result<Self, Failure> {
        let view = match AdminClient::view(runtime_dir).await {
            Ok(mut client) => Some(client.get("/v1/config").await?.read::<ConfigView>()?),
            Err(failure) if failure.exit == Exit::Unreachable => None,
            Err(failure) => return Err(failure),
        };
        let told = view.and_then(|view| view.files.into_iter().next()).map(PathBuf::from);
        if let Some(main) = named {
            let main = std::path::absolute(main).map_err(|error| Failure::local("The path cannot be used", error))?;
            // A daemon that reads other files has no part in these.
            let served = told.is_some_and(|told| same_file(&told, &main));
            return Ok(Self { main, served });
        }
        match told {
            Some(main) => {
                trust(&main, runtime_dir, geteuid())?;
                Ok(Self { main, served: true })
            }
            None => Ok(Self { main: STANDARD.into(), served: false }),
        }
    }

    /// Waits until nobody else changes this configuration; nobody else begins before the answer is
    /// dropped, so that what is read, written and taken back is of one piece.
    pub(crate) async fn lock(&self) -> Result<Lock, Failure> {
        Lock::take(self.folder()).await
    }

    /// The main file's folder.
    pub(crate) fn folder(&self) -> &Path {
        self.main.parent().unwrap_or(Path::new(""))
    }

    /// A file of `conf.d`, by its name without `.toml`.
    pub(crate) fn drop_in(&self, name: &str) -> PathBuf {
        self.folder().join("conf.d").join(format!("{name}.toml"))
    }

    /// The path of a file that the history knows by its name, where that is one of a configuration.
    pub(crate) fn file(&self, index: usize, name: &str) -> Result<PathBuf, Failure> {
        if index == 0 {
            return Ok(self.main.clone());
        }
        let inner = name.strip_prefix("conf.d/").map(Path::new);
        let plain = inner.filter(|inner| inner.components().count() == 1 && is_read(inner));
        plain.map(|_| self.folder().join(name)).ok_or_else(|| {
            Failure::new(Exit::Failed, format!("The history names {name:?}, which is no file of a configuration."))
                .remedy("Nothing was written. Look at who may write to the daemon's state folder.")
        })
    }

    /// The files as they are on disk, in the order in which the daemon reads them.
    pub(crate) fn read(&self) -> Result<Vec<FileText>, Failure> {
        let mut paths = vec![self.main.clone()];
        let folder = self.folder().join("conf.d");
        match fs::read_dir(&folder) {
            Ok(entries) => paths.extend(drop_ins(entries)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(refused(&folder, "read", &error)),
        }
        paths.iter().map(|path| self.text(path)).collect()
    }

    fn text(&self, path: &Path) -> Result<FileText, Failure> {
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(refused(path, "read", &error)),
        };
        let name = path.strip_prefix(self.folder()).unwrap_or(path).display().to_string();
        // Bytes that are no UTF-8 cannot have been accepted; replaced, they still differ from what was.
        Ok(FileText { name, text: String::from_utf8_lossy(&bytes).into_owned(), mode: None })
    }
}

fn drop_ins(entries: fs::ReadDir) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = entries.filter_map(Result::ok).map(|entry| entry.path()).collect();
    paths.retain(|path| is_read(path));
    paths.sort();
    paths
}

/// Whether the daemon reads a file of `conf.d`, by its name.
fn is_read(path: &Path) -> bool {
    let hidden = path.file_name().is_none_or(|name| name.to_string_lossy().starts_with('.'));
    !hidden && path.extension().is_some_and(|extension| extension == "toml")
}

fn same_file(one: &Path, other: &Path) -> bool {
    one == other
        || fs::canonicalize(one).ok().zip(fs::canonicalize(other).ok()).is_some_and(|(one, other)| one == other)
}

/// Whoever writes must not be led by the daemon, which may be less: a file that only it names is taken
/// where the package puts it, or where whoever asks runs that daemon and is not root.
fn trust(main: &Path, runtime_dir: &Path, who: Uid) -> Result<(), Failure> {
    let own = || !who.is_root() && fs::metadata(runtime_dir).is_ok_and(|folder| folder.uid() == who.as_raw());
    if main == Path::new(STANDARD) || own() {
        return Ok(());
    }
    let message = format!("The daemon says that it reads {}, which is not {STANDARD}.", Shown(&main.to_string_lossy()));
    Err(Failure::new(Exit::Denied, message)
        .remedy("Nothing was changed. Name the file with --config if that is right."))
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::os::unix::net::UnixListener;

    use toolgate_admin_api::{API_VERSION, Socket};

    use super::*;

    /// A front that says what its intruder likes.
    fn compromised(runtime_dir: &Path) {
        let path = Socket::View.path(runtime_dir);
        fs::create_dir_all(path.parent().expect("a folder")).expect("makes it");
        let listener = UnixListener::bind(path).expect("listens");
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a client");
            let mut lines = BufReader::new(stream.try_clone().expect("a second handle")).lines();
            while let Some(Ok(line)) = lines.next() {
                let body = if line.starts_with("GET /v1/version") {
                    serde_json::json!({ "version": env!("CARGO_PKG_VERSION"), "api": API_VERSION,
                        "api_minimum": API_VERSION, "instance": "x", "revision": 1 })
                } else if line.starts_with("GET /v1/config") {
                    serde_json::json!({ "revision": 1, "loaded_at_ms": 1, "files": ["/etc/cron.d/toolgate"] })
                } else {
                    continue;
                };
                let body = body.to_string();
                let head =
                    format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}", body.len());
                stream.write_all(format!("{head}\r\n\r\n{body}").as_bytes()).expect("writes");
            }
        });
    }

    #[tokio::test]
    async fn root_is_not_led_to_a_file_that_a_compromised_front_names() {
        let folder = tempfile::tempdir().expect("folder");
        compromised(folder.path());
        let found = Place::find(folder.path(), None).await;
        if geteuid().is_root() {
            let failure = found.expect_err("no place");
            assert_eq!(failure.exit, Exit::Denied, "{}", failure.message);
            assert!(failure.message.contains("/etc/cron.d/toolgate"), "{}", failure.message);
        } else {
            found.expect("whoever runs the daemon has no more rights than it");
        }
    }

    #[test]
    fn only_the_standard_file_is_taken_from_a_daemon_of_somebody_else() {
        let folder = tempfile::tempdir().expect("folder");
        let me = fs::metadata(folder.path()).expect("a folder").uid();
        for who in [Uid::ROOT, Uid::from_raw(me.wrapping_add(1).max(1))] {
            assert!(trust(Path::new(STANDARD), folder.path(), who).is_ok());
            for led in ["/etc/cron.d/toolgate", "/etc/toolgate/../cron.d/x", "/etc/toolgate/conf.d/x.toml"] {
                assert!(trust(Path::new(led), folder.path(), who).is_err(), "{led}");
            }
        }
    }

    fn place() -> Place {
        Place { main: "/etc/toolgate/toolgate.toml".into(), served: false }
    }

    #[test]
    fn the_history_cannot_lead_outside_of_the_configuration() {
        let place = place();
        let path = place.file(1, "conf.d/keys.toml").expect("a file of conf.d");
        assert_eq!(path, Path::new("/etc/toolgate/conf.d/keys.toml"));
        assert_eq!(place.file(0, "../../etc/passwd").expect("the main file"), place.main);
        for name in [
            "../x.toml",
            "/etc/x.toml",
            "conf.d/../x.toml",
            "conf.d/a/b.toml",
            "conf.d/.x.toml",
            "conf.d/x",
            "x.toml",
            "conf.d/..",
            "conf.d/",
        ] {
            assert!(place.file(1, name).is_err(), "{name}");
        }
    }
}
