//! What may be asked about keys, and done with them.

use toolgate_admin_api::{
    ApiError, Change, ImportRequest, KeyMade, KeyOutcome, KeyRequest, KeyRow, Keys, KeysOutcome, RotateRequest,
    SuspendRequest,
};

use super::operations::Peer;
use super::query::{Parameters, Words};

/// Keys of an answer where nothing is said, and at most.
const USUAL: usize = 100;
const MOST: usize = 1_000;

/// Keys of the files and of the store.
pub trait KeyOperations {
    /// A part of all keys, in the order of their ids.
    fn keys(&self, query: &KeysQuery) -> Result<Keys, ApiError>;

    /// One key.
    fn key(&self, id: &str) -> Result<KeyRow, ApiError>;

    /// Makes a key. Its text is in this answer, and nowhere else.
    fn create_key(&self, request: &KeyRequest) -> Result<KeyMade, ApiError>;

    /// Gives a key another secret, as [`KeyOperations::create_key`] does.
    fn rotate_key(&self, id: &str, request: &RotateRequest) -> Result<KeyMade, ApiError>;

    /// Lets whoever has a key do nothing, and ends what they do.
    fn suspend_key(&self, peer: &Peer, id: &str, request: &SuspendRequest) -> Result<KeyOutcome, ApiError>;

    /// Lets them call again.
    fn resume_key(&self, id: &str, request: &Change) -> Result<KeyOutcome, ApiError>;

    /// Takes a key away for good, and ends what is done with it.
    fn revoke_key(&self, peer: &Peer, id: &str, request: &Change) -> Result<KeyOutcome, ApiError>;

    /// Takes keys of the files into the store: one of them, or all that it does not have.
    fn adopt_keys(&self, id: Option<&str>, request: &Change) -> Result<KeysOutcome, ApiError>;

    /// Takes keys in that were made elsewhere: all, or none.
    fn import_keys(&self, request: &ImportRequest) -> Result<KeysOutcome, ApiError>;
}

/// Which keys are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeysQuery {
    /// Those behind this id.
    pub after: Option<String>,
    /// Those that have these words.
    pub filter: Words,
    /// So many.
    pub limit: usize,
}

impl KeysQuery {
    /// Reads `after`, `filter` and `limit`.
    pub fn parse(query: &str) -> Result<Self, ApiError> {
        let mut parameters = Parameters::parse(query)?;
        let after = parameters.take("after").filter(|after| !after.is_empty());
        let filter = parameters.take_words("filter")?;
        let limit = parameters.take_number("limit")?;
        parameters.finish()?;
        let limit = limit.map_or(USUAL, |limit| usize::try_from(limit).unwrap_or(MOST).clamp(1, MOST));
        Ok(Self { after, filter, limit })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_keys_is_bounded() {
        let query = |text| KeysQuery::parse(text).unwrap();
        assert_eq!((query("").limit, query("limit=0").limit, query("limit=5000").limit), (USUAL, 1, MOST));
        assert_eq!(query("after=ann1&limit=7").after.as_deref(), Some("ann1"));
        assert!(KeysQuery::parse("sort=id").is_err());
    }
}
