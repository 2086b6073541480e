//! Where the two admin sockets are.
//!
//! The daemon binds these paths, the ctl connects to them. Both derive them from the runtime folder
//! only, so that `--socket-dir` is all that an operator ever has to say.

use std::path::{Path, PathBuf};

/// The runtime folder of the packaged daemon.
pub const RUNTIME_DIR: &str = "/run/toolgate";

/// The environment variable that names another runtime folder.
pub const RUNTIME_DIR_VARIABLE: &str = "TOOLGATE_RUNTIME_DIR";

/// One of the two admin sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Socket {
    /// Reads only.
    View,
    /// Reads and changes.
    Control,
}

impl Socket {
    /// The socket's word, which also names its folder and file.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::View => "view",
            Self::Control => "control",
        }
    }

    /// The group whose members may connect on a packaged installation.
    #[must_use]
    pub fn group(self) -> &'static str {
        match self {
            Self::View => "toolgate-view",
            Self::Control => "toolgate-control",
        }
    }

    /// The folder of the socket, which carries the group.
    #[must_use]
    pub fn folder(self, runtime_dir: &Path) -> PathBuf {
        runtime_dir.join(self.name())
    }

    /// The socket's path.
    #[must_use]
    pub fn path(self, runtime_dir: &Path) -> PathBuf {
        self.folder(runtime_dir).join(format!("{}.sock", self.name()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_socket_has_a_folder_of_its_own() {
        let base = Path::new(RUNTIME_DIR);
        assert_eq!(Socket::View.path(base), Path::new("/run/toolgate/view/view.sock"));
        assert_eq!(Socket::Control.path(base), Path::new("/run/toolgate/control/control.sock"));
    }
}
