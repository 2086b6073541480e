//! What a configuration may take from around it: variables, and the folder of credentials.
//!
//! A value of its own, so that tests and `check` decide what a configuration sees.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// Variables and credentials.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    /// All variables that are valid Unicode.
    pub variables: BTreeMap<String, String>,
    /// Whether certificate files are opened; without, only their paths are checked.
    pub read_certificates: bool,
}

impl Environment {
    /// The variables of this process.
    #[must_use]
    pub fn of_process() -> Self {
        let variables = std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Self { variables: variables.collect(), read_certificates: true }
    }

    /// The folder in which systemd placed the credentials of the unit.
    #[must_use]
    pub fn credentials(&self) -> Option<PathBuf> {
        self.variables.get("CREDENTIALS_DIRECTORY").map(PathBuf::from)
    }
}
