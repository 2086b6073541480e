//! The operator's checks: each looks after one thing, off the cores, with a deadline.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::{TcpStream, lookup_host};
use tokio::task::{AbortHandle, JoinHandle, spawn_blocking, spawn_local};
use tokio::time::{sleep, timeout};
use toolgate_protocol::reach::Word;

use super::observed::Found;
use crate::clock;
use crate::config::settings::{Endpoint, OwnCheck, Subject, UpstreamTls};
use crate::gate::Gate;
use crate::servers::http::{HttpClient, Method, Outgoing, lone};
use crate::servers::reach;

/// The checks that run.
#[derive(Default)]
pub(super) struct Own {
    running: HashMap<String, Running>,
}

struct Running {
    check: Arc<OwnCheck>,
    task: AbortHandle,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Own {
    /// Runs those of the configuration in force; what did not change goes on. Called within a local set.
    pub(super) fn follow(&mut self, gate: &Arc<Gate>) {
        let settings = gate.settings.load();
        let stale = |name: &String, running: &Running| settings.checks.get(name) != Some(&running.check);
        let gone: Vec<String> =
            self.running.iter().filter(|(name, running)| stale(name, running)).map(|(name, _)| name.clone()).collect();
        if !gone.is_empty() {
            self.running.retain(|name, _| !gone.contains(name));
            change(gate, |found| found.retain(|name, _| !gone.contains(name)));
        }
        for (name, check) in &settings.checks {
            if !self.running.contains_key(name) {
                let task = spawn_local(watch(Arc::clone(gate), Arc::clone(check))).abort_handle();
                self.running.insert(name.clone(), Running { check: Arc::clone(check), task });
            }
        }
    }
}

/// One thread changes it; whoever reads sees it whole.
fn change(gate: &Gate, change: impl FnOnce(&mut BTreeMap<String, Found>)) {
    let mut found = (**gate.observed.own.load()).clone();
    change(&mut found);
    gate.observed.own.store(Arc::new(found));
}

async fn watch(gate: Arc<Gate>, check: Arc<OwnCheck>) {
    let mut look = Look::new(&check);
    loop {
        let begun = Instant::now();
        let problem = look.once(&check).await.err();
        let took_us = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        let found = Found { problem, at: clock::millis(), took_us };
        change(&gate, |all| drop(all.insert(check.name.clone(), found)));
        sleep(check.interval).await;
    }
}

/// How a check looks, with what it keeps from one look to the next.
enum Look {
    Url(Result<HttpClient, String>),
    Tcp,
    /// A file system that hangs keeps its thread: there is never more than this one.
    File(Option<JoinHandle<Result<(), String>>>),
}

impl Look {
    fn new(check: &OwnCheck) -> Self {
        match &check.subject {
            // The look's own deadline comes first, and says so.
            Subject::Url(endpoint, tls) => Self::Url(client(endpoint, tls, check.timeout * 2)),
            Subject::Tcp { .. } => Self::Tcp,
            Subject::File { .. } => Self::File(None),
        }
    }

    /// What is wrong, as a sentence.
    async fn once(&mut self, check: &OwnCheck) -> Result<(), String> {
        let looked = async {
            match (self, &check.subject) {
                (Self::Url(client), Subject::Url(endpoint, _)) => ask(client, endpoint).await,
                (Self::File(asked), Subject::File { path, max_age }) => file(asked, path, *max_age).await,
                (_, Subject::Tcp { host, port }) => connect(host, *port).await,
                (_, Subject::Url(..) | Subject::File { .. }) => Ok(()),
            }
        };
        let late = || Err(format!("There was no answer within {} ms.", check.timeout.as_millis()));
        timeout(check.timeout, looked).await.unwrap_or_else(|_| late())
    }
}

fn client(endpoint: &Endpoint, tls: &UpstreamTls, patience: Duration) -> Result<HttpClient, String> {
    lone(endpoint.clone(), tls.clone(), Vec::new(), patience)
}

async fn ask(client: &Result<HttpClient, String>, endpoint: &Endpoint) -> Result<(), String> {
    let client = client.as_ref().map_err(|problem| format!("{problem}."))?;
    let accept: &[(&str, &[u8])] = &[("accept", b"*/*")];
    let request =
        Outgoing { method: Method::Get, endpoint: 0, headers: accept, target: None, body: &[], first_byte: None };
    match client.send(request).await {
        Ok(answer) if (100..400).contains(&answer.status) => Ok(()),
        // The URL's path and query may hold a credential.
        Ok(answer) => Err(format!("{} answers with status {}.", endpoint.authority(), answer.status)),
        Err(error) => Err(format!("{} cannot be asked: {error}.", endpoint.authority())),
    }
}

async fn connect(host: &str, port: u16) -> Result<(), String> {
    let failed = |error: &dyn std::fmt::Display| format!("{host} takes no connection at port {port}: {error}.");
    let found = lookup_host((host, port)).await.map_err(|error| failed(&error))?;
    let word = Word::Operator { link_local: false };
    let permitted = reach::permitted(found.collect(), word).map_err(|forbidden| failed(&forbidden))?;
    TcpStream::connect(permitted.as_slice()).await.map(drop).map_err(|error| failed(&error))
}

async fn file(
    asked: &mut Option<JoinHandle<Result<(), String>>>,
    path: &Path,
    max_age: Option<Duration>,
) -> Result<(), String> {
    let handle = asked.get_or_insert_with(|| {
        let path = path.to_owned();
        spawn_blocking(move || fresh(&path, max_age))
    });
    let answer = handle.await;
    *asked = None;
    answer.unwrap_or_else(|_| Err("The look at the file failed.".to_owned()))
}

fn fresh(path: &PathBuf, max_age: Option<Duration>) -> Result<(), String> {
    let cannot = |error: std::io::Error| format!("{} cannot be looked at: {error}.", path.display());
    let written = std::fs::metadata(path).and_then(|data| data.modified()).map_err(cannot)?;
    let Some(max_age) = max_age else { return Ok(()) };
    // One that was written in the future is at least not old.
    let age = written.elapsed().unwrap_or_default();
    if age <= max_age {
        return Ok(());
    }
    let (age, max) = (age.as_secs(), max_age.as_secs());
    Err(format!("{} was written {age} s ago; {max} s are allowed.", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(subject: Subject) -> OwnCheck {
        let (interval, timeout) = (Duration::from_secs(30), Duration::from_millis(300));
        OwnCheck { name: "it".into(), subject, interval, timeout, critical: false }
    }

    async fn once(subject: Subject) -> Result<(), String> {
        let check = check(subject);
        Look::new(&check).once(&check).await
    }

    #[tokio::test]
    async fn a_file_is_as_old_as_its_last_writing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("beat");
        let at = |max_age| Subject::File { path: path.clone(), max_age };
        assert!(once(at(None)).await.unwrap_err().contains("cannot be looked at"));
        std::fs::write(&path, "now").unwrap();
        assert_eq!(once(at(Some(Duration::from_secs(60)))).await, Ok(()));
        let file = std::fs::File::options().write(true).open(&path).unwrap();
        file.set_modified(std::time::SystemTime::now() - Duration::from_secs(100)).unwrap();
        assert!(once(at(Some(Duration::from_secs(60)))).await.unwrap_err().ends_with("60 s are allowed."));
        assert_eq!(once(at(None)).await, Ok(()));
    }

    #[tokio::test]
    async fn a_port_takes_connections_or_does_not() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let at = || Subject::Tcp { host: "127.0.0.1".into(), port };
        assert_eq!(once(at()).await, Ok(()));
        drop(listener);
        assert!(once(at()).await.unwrap_err().contains("takes no connection"));
    }

    #[tokio::test]
    async fn a_url_answers_well_badly_or_not_in_time() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let serving = tokio::spawn(async move {
            for status in ["200 OK", "503 Service Unavailable"] {
                let (mut stream, _) = listener.accept().await.unwrap();
                assert!(stream.read(&mut [0; 1024]).await.unwrap() > 0);
                let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
            // Holds the last one without an answer.
            let (stream, _) = listener.accept().await.unwrap();
            std::future::pending::<()>().await;
            drop(stream);
        });
        let url = format!("http://127.0.0.1:{port}/up?token=secret");
        let endpoint = Arc::new(crate::config::url::endpoint(&url).unwrap());
        let at = || Subject::Url(Arc::clone(&endpoint), UpstreamTls::default());
        assert_eq!(once(at()).await, Ok(()));
        let bad = once(at()).await.unwrap_err();
        assert!(bad.contains("answers with status 503") && !bad.contains("secret"), "{bad}");
        assert!(once(at()).await.unwrap_err().contains("within 300 ms"));
        serving.abort();
    }
}
