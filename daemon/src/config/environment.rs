//! What a configuration may take from around it: variables, and the folder of credentials.
//!
//! A value of its own, so that tests and `check` decide what a configuration sees.
//! What a configuration may take from around it: variables, credentials, files.
//!
//! A value of its own, so that the daemon, `check` and tests each decide what is looked at.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// Variables and credentials.
/// Variables, and how closely their surroundings are looked at.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    /// All variables that are valid Unicode.
    pub variables: BTreeMap<String, String>,
    /// Whether certificate files are opened; without, only their paths are checked.
    pub read_certificates: bool,
    /// How closely.
    pub scrutiny: Scrutiny,
}

/// How closely the surroundings of a configuration are looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Scrutiny {
    /// Certificate files are not opened: for texts in tests.
    #[default]
    Text,
    /// By an operator: what only the daemon can see, such as a credential, is a warning.
    Operator,
    /// By the daemon: everything must be there.
    Daemon,
}

impl Environment {
    /// The variables of this process.
    #[must_use]
    pub fn of_process() -> Self {
        let variables = std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Self { variables: variables.collect(), read_certificates: true }
    pub fn of_process(scrutiny: Scrutiny) -> Self {
        let variables = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Self { variables: variables.collect(), scrutiny }
    }

    /// The folder in which systemd placed the credentials of the unit.
    #[must_use]
    pub fn credentials(&self) -> Option<PathBuf> {
        self.variables.get("CREDENTIALS_DIRECTORY").map(PathBuf::from)
    }
}
