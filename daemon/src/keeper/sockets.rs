//! The servers' sockets, and the lock that keeps two keepers from sharing a folder.
//!
//! The keeper holds one set. A path in the folder is ours while the lock is held, so what a dead
//! keeper left there may be removed.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{FlockOperation, flock};

use super::{KeeperError, Plan, Service};

/// Owner and group may connect.
const SOCKET_MODE: u32 = 0o660;

/// Held while a keeper serves a folder; the kernel lets go of it when the keeper dies. The file holds
/// the keeper's process id, so that `toolgate server` finds whom to send SIGHUP.
pub(super) struct Lock(#[expect(dead_code, reason = "the open file is the lock")] File);

impl Lock {
    pub(super) fn take(directory: &Path) -> Result<Self, KeeperError> {
        let failed = |e| KeeperError::Directory(directory.to_owned(), e);
        if !directory.exists() {
            fs::DirBuilder::new().recursive(true).mode(0o750).create(directory).map_err(failed)?;
        }
        let path = directory.join(".keeper");
        let file =
            OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path).map_err(failed)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {
                let pid = format!("{}\n", std::process::id());
                file.set_len(0).and_then(|()| file.write_all_at(pid.as_bytes(), 0)).map_err(failed)?;
                Ok(Self(file))
            }
            Err(rustix::io::Errno::WOULDBLOCK) => Err(KeeperError::Taken(directory.to_owned())),
            Err(e) => Err(failed(e.into())),
        }
    }
}

/// A bound socket and what stands behind it.
pub(super) struct Socket {
    pub(super) listener: UnixListener,
    pub(super) service: Arc<Service>,
}

/// Sockets by the server's name.
pub(super) struct Sockets {
    directory: PathBuf,
    bound: BTreeMap<String, Socket>,
}

impl Sockets {
    pub(super) fn new(directory: PathBuf) -> Self {
        Self { directory, bound: BTreeMap::new() }
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Socket)> {
        self.bound.iter().map(|(name, socket)| (name.as_str(), socket))
    }

    pub(super) fn get(&self, name: &str) -> Option<&Socket> {
        self.bound.get(name)
    }

    /// Binds what is new, closes what is gone and lets the rest listen on; running instances go on
    /// in every case. Returns a sentence for each socket that could not be bound.
    pub(super) fn apply(&mut self, plan: Plan) -> Vec<String> {
        let directory = self.directory.clone();
        self.bound.retain(|name, _| {
            let stays = plan.services.iter().any(|service| service.name == *name);
            if !stays {
                let _ = fs::remove_file(path(&directory, name));
            }
            stays
        });
        let mut problems = Vec::new();
        for service in plan.services {
            if let Some(socket) = self.bound.get_mut(&service.name) {
                socket.service = service;
                continue;
            }
            let path = path(&self.directory, &service.name);
            match bind(&path) {
                Ok(listener) => drop(self.bound.insert(service.name.clone(), Socket { listener, service })),
                Err(e) => problems.push(format!("server {}: cannot listen at {}: {e}", service.name, path.display())),
            }
        }
        problems
    }

    /// Stops listening and removes the paths.
    pub(super) fn close(&mut self) {
        for name in std::mem::take(&mut self.bound).into_keys() {
            let _ = fs::remove_file(path(&self.directory, &name));
        }
    }
}

fn path(directory: &Path, name: &str) -> PathBuf {
    directory.join(format!("{name}.sock"))
}

/// The path appears when the socket listens with its final mode, and not before: whoever waits for
/// it can connect. What a dead keeper left there is replaced.
fn bind(path: &Path) -> io::Result<UnixListener> {
    let unfinished = path.with_extension("new");
    match fs::remove_file(&unfinished) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let listener = UnixListener::bind(&unfinished)?;
    listener.set_nonblocking(true)?;
    fs::set_permissions(&unfinished, Permissions::from_mode(SOCKET_MODE))?;
    fs::rename(&unfinished, path)?;
    Ok(listener)
}
