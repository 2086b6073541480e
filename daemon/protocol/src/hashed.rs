//! Maps whose keys are hashes already: made with a secret, so that nobody can choose which fall together.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// A map by such a hash.
pub type Map<T> = HashMap<u64, T, BuildHasherDefault<Hashed>>;

/// Takes a hash as it is.
#[derive(Debug, Default)]
pub struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().fold(self.0, |hash, byte| hash.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}
