//! Binding an admin socket, and removing it again.
//!
//! A live daemon is never displaced: a path is removed only when nobody answers on it, under a lock
//! on its folder, so that two daemons that start at once cannot both find it stale.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;
use toolgate_admin_api::Socket;

/// A bound socket whose file goes when this is dropped.
#[derive(Debug)]
pub(super) struct Bound {
    listener: UnixListener,
    path: PathBuf,
    inode: (u64, u64),
}

impl Bound {
    /// Binds the socket below `runtime_dir`, making its folder (0750) where tmpfiles has not.
    pub(super) fn bind(socket: Socket, runtime_dir: &Path) -> io::Result<Self> {
        let folder = socket.folder(runtime_dir);
        let path = socket.path(runtime_dir);
        make_folder(&folder).map_err(|error| at(&folder, &error))?;
        Self::bind_in(&folder, &path).map_err(|error| at(&path, &error))
    }

    fn bind_in(folder: &Path, path: &Path) -> io::Result<Self> {
        let lock = File::open(folder)?;
        rustix::fs::flock(&lock, FlockOperation::LockExclusive)?;
        remove_stale(path)?;
        let listener = UnixListener::bind(path)?;
        // The group comes from the folder (setgid); only the mode is missing.
        fs::set_permissions(path, fs::Permissions::from_mode(0o660))?;
        listener.set_nonblocking(true)?;
        let inode = inode(path)?;
        Ok(Self { listener, path: path.to_owned(), inode })
    }

    /// The listener on the current runtime.
    pub(super) fn listener(&self) -> io::Result<tokio::net::UnixListener> {
        tokio::net::UnixListener::from_std(self.listener.try_clone()?)
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        // After an upgrade the path may already be the next daemon's.
        if inode(&self.path).is_ok_and(|now| now == self.inode) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn make_folder(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(0o750).create(folder)
}

/// Makes way for a new socket; fails where somebody answers, or where no socket stands there.
fn remove_stale(path: &Path) -> io::Result<()> {
    let metadata = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    if !metadata.file_type().is_socket() {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, "something that is no socket stands here; remove it"));
    }
    match UnixStream::connect(path) {
        Ok(_) => Err(io::Error::new(
            io::ErrorKind::AddrInUse,
            "another toolgated answers here; stop it, or give this one another daemon.runtime_dir",
        )),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        Err(error) => Err(error),
    }
}

fn inode(path: &Path) -> io::Result<(u64, u64)> {
    let metadata = fs::symlink_metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}

fn at(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bind(base: &Path) -> io::Result<Bound> {
        Bound::bind(Socket::View, base)
    }

    #[test]
    fn the_socket_is_for_its_group_only_and_goes_when_dropped() {
        let base = tempfile::tempdir().expect("folder");
        let bound = bind(base.path()).expect("binds");
        let path = Socket::View.path(base.path());
        let mode = |path: &Path| fs::metadata(path).expect("exists").permissions().mode() & 0o7777;
        assert_eq!(mode(&path), 0o660);
        assert_eq!(mode(&Socket::View.folder(base.path())) & 0o027, 0);
        drop(bound);
        assert!(!path.exists());
    }

    #[test]
    fn a_live_daemon_is_not_displaced() {
        let base = tempfile::tempdir().expect("folder");
        let first = bind(base.path()).expect("binds");
        let error = bind(base.path()).expect_err("refuses");
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        assert!(error.to_string().contains("view/view.sock"), "{error}");
        UnixStream::connect(&first.path).expect("the first still answers");
    }

    #[test]
    fn what_a_dead_daemon_left_is_replaced() {
        let base = tempfile::tempdir().expect("folder");
        let path = Socket::View.path(base.path());
        fs::create_dir_all(Socket::View.folder(base.path())).expect("folder");
        drop(UnixListener::bind(&path).expect("binds"));
        assert!(path.exists());
        let _bound = bind(base.path()).expect("binds");
        UnixStream::connect(&path).expect("answers");
    }

    #[test]
    fn a_file_that_is_no_socket_is_left_alone() {
        let base = tempfile::tempdir().expect("folder");
        let path = Socket::View.path(base.path());
        fs::create_dir_all(Socket::View.folder(base.path())).expect("folder");
        fs::write(&path, "precious").expect("writes");
        assert_eq!(bind(base.path()).expect_err("refuses").kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&path).expect("still there"), "precious");
    }

    #[test]
    fn the_next_daemons_socket_is_not_removed() {
        let base = tempfile::tempdir().expect("folder");
        let first = bind(base.path()).expect("binds");
        fs::remove_file(&first.path).expect("removes");
        let second = bind(base.path()).expect("binds");
        drop(first);
        assert!(second.path.exists());
    }
}
