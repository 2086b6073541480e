//! Rendered units: texts by their path within a folder of units.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::config::secret::{CREDENTIALS, ENCRYPTED};

/// Names of all that is rendered begin with one of these.
const OURS: [&str; 2] = ["toolgated-", "toolgate-server-"];

/// Units, and what belongs to them.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Units(BTreeMap<String, Unit>);

/// One file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unit {
    pub(super) text: String,
    /// For root and the gate's group only.
    pub(super) secret: bool,
}

impl Units {
    pub(super) fn add(&mut self, path: &str, text: String) {
        self.insert(path.to_owned(), Unit { text, secret: false });
    }

    pub(super) fn insert(&mut self, path: String, unit: Unit) {
        self.0.insert(path, unit);
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Unit)> {
        self.0.iter().map(|(path, unit)| (path.as_str(), unit))
    }

    pub(super) fn text(&self, path: &str) -> Option<&str> {
        self.0.get(path).map(|unit| unit.text.as_str())
    }

    /// The same, where a credential is loaded from not told: who is not root cannot see what the
    /// generator saw.
    pub(super) fn comparable(mut self) -> Self {
        let here = format!(":{CREDENTIALS}/");
        let there = format!(":{ENCRYPTED}/");
        for unit in self.0.values_mut().filter(|unit| unit.text.contains(&there)) {
            unit.text = unit.text.replace("LoadCredentialEncrypted=", "LoadCredential=").replace(&there, &here);
        }
        self
    }

    /// What was rendered into a folder; what may not be read there is as if it were not.
    pub(super) fn read(folder: &Path) -> Self {
        let mut units = Self::default();
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        let ours = names.filter(|name| OURS.iter().any(|prefix| name.starts_with(prefix)));
        for path in ours.chain([super::front::DROP_IN.to_owned()]) {
            if let Ok(text) = fs::read_to_string(folder.join(&path)) {
                units.insert(path, Unit { text, secret: false });
            }
        }
        units
    }
}
