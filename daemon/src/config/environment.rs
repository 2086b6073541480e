//! What a configuration may take from around it: variables, credentials, files.
//!
//! A value of its own, so that the daemon, `check` and tests each decide what is looked at.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// Variables, and how closely their surroundings are looked at.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    /// All variables that are valid Unicode.
    pub variables: BTreeMap<String, String>,
    /// How closely.
    pub scrutiny: Scrutiny,
}

/// How closely the surroundings of a configuration are looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Scrutiny {
    /// No file is opened, so that certificates are not checked and `file:` secrets are empty: for
    /// texts that stand alone.
    #[default]
    Text,
    /// By an operator: what only the daemon can see, such as a credential, is a warning.
    Operator,
    /// By whoever does both that follows: everything must be there.
    Daemon,
    /// By the front: everything but the environment of commands, which it never starts. References
    /// there stay as they are written.
    Front,
    /// By the front as it starts: the same, but a server for which a secret is missing is there all the same and
    /// cannot be called. A gate that did not start would take all other servers along, with their instances.
    Start,
    /// By the keeper: the environment of commands alone.
    Keeper,
    /// By what renders units: nothing is opened, and every reference stays as it is written.
    Units,
}

/// Who needs a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reader {
    Front,
    Keeper,
}

impl Scrutiny {
    /// Whether a secret of this reader is looked at; another one's may not even be readable here.
    pub(super) fn concerns(self, reader: Reader) -> bool {
        !matches!(
            (self, reader),
            (Self::Front | Self::Start, Reader::Keeper) | (Self::Keeper, Reader::Front) | (Self::Units, _)
        )
    }

    /// Whether certificates are opened.
    pub(super) fn opens_certificates(self) -> bool {
        self != Self::Text && self.concerns(Reader::Front)
    }

    /// Whether what cannot be seen cannot be used: an operator may not see what a daemon does.
    pub(super) fn is_final(self) -> bool {
        matches!(self, Self::Daemon | Self::Front | Self::Start | Self::Keeper)
    }

    /// Whether a configuration without one of its secrets can be used.
    pub(super) fn does_without(self) -> bool {
        self == Self::Start
    }
}

impl Environment {
    /// The variables of this process.
    #[must_use]
    pub fn of_process(scrutiny: Scrutiny) -> Self {
        let variables =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Self { variables: variables.collect(), scrutiny }
    }

    /// The folder in which systemd placed the credentials of the unit.
    #[must_use]
    pub fn credentials(&self) -> Option<PathBuf> {
        self.variables.get("CREDENTIALS_DIRECTORY").map(PathBuf::from)
    }

    /// The folder that systemd made for the state of the unit; of several the first.
    #[must_use]
    pub fn state_directory(&self) -> Option<PathBuf> {
        let folders = self.variables.get("STATE_DIRECTORY")?;
        folders.split(':').next().filter(|folder| !folder.is_empty()).map(PathBuf::from)
    }
}
