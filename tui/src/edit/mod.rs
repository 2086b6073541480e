//! The configuration's files, as commands change them.
//!
//! The front never writes them: whoever may, runs `toolgate`. A [`Change`] is whole or undone, each
//! file of it is replaced in one step, nobody else changes anything meanwhile, and whoever may not
//! write is told to use sudo.

mod change;
mod lock;
mod place;
mod write;

pub(crate) use change::Change;
pub(crate) use place::Place;
pub(crate) use write::Access;

use std::io;
use std::path::Path;

use toolgate_admin_api::Exit;

use crate::failure::Failure;
use crate::output;

/// A file with which `what` could not be done: read, write, make, rename, remove.
pub(crate) fn refused(path: &Path, what: &str, error: &io::Error) -> Failure {
    let shown = path.display();
    if error.kind() == io::ErrorKind::PermissionDenied {
        let words: Vec<_> = std::env::args().skip(1).map(|word| output::shell_word(&word)).collect();
        return Failure::new(Exit::Denied, format!("You may not {what} {shown}."))
            .remedy(format!("Run `sudo toolgate {}`.", words.join(" ")));
    }
    Failure::new(Exit::Failed, format!("Could not {what} {shown}: {error}."))
}
