//! What operators and their tools know a session by: it names the session and does not let anybody use it.

use std::fmt;

use super::SessionId;

/// The first 64 bits of the SHA-256 of a session's id, written as 16 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Handle(u64);

impl Handle {
    /// The handle of this id.
    pub fn of(id: SessionId) -> Self {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, id.to_string().as_bytes());
        let first = digest.as_ref().first_chunk().copied().unwrap_or_default();
        Self(u64::from_be_bytes(first))
    }

    /// Its text, which `Display` gives as well.
    pub fn digits(self) -> [u8; 16] {
        std::array::from_fn(|at| b"0123456789abcdef"[(self.0 >> (60 - 4 * at) & 15) as usize])
    }
}

impl fmt::Display for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.digits()).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_is_the_beginning_of_a_hash_and_no_part_of_the_id() {
        let id = SessionId::parse("00112233445566778899aabbccddeeff").expect("an id");
        let handle = Handle::of(id).to_string();
        // printf %s 00112233445566778899aabbccddeeff | sha256sum
        assert_eq!(handle, "5947d7c33d783f94");
        assert!(!id.to_string().contains(&handle));
    }
}
