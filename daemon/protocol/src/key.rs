//! How the text of an API key is made and taken apart: `tg_<id>_<secret>`.
//!
//! The id is public and finds the key; of the secret only its SHA-256 is ever kept. A hash without salt is enough for
//! 256 random bits. Randomness is passed in.

/// How a key begins.
pub const PREFIX: &str = "tg_";

/// 43 of 62 characters are just over 256 bits.
const SECRET_LENGTH: usize = 43;
const SECRET_ALPHABET: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

const ID_LENGTH: usize = 12;
const ID_ALPHABET: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyz";

/// The public part of a key: `[a-z0-9]{4,32}`.
#[must_use]
pub fn is_id(text: &str) -> bool {
    (4..=32).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}

/// A new id.
///
/// # Errors
/// What the source of randomness says.
pub fn random_id<E>(random: impl FnMut(&mut [u8]) -> Result<(), E>) -> Result<String, E> {
    random_text(ID_ALPHABET, ID_LENGTH, random)
}

/// A new secret.
///
/// # Errors
/// What the source of randomness says.
pub fn random_secret<E>(random: impl FnMut(&mut [u8]) -> Result<(), E>) -> Result<String, E> {
    random_text(SECRET_ALPHABET, SECRET_LENGTH, random)
}

/// Random characters, each of them equally likely.
fn random_text<E>(
    alphabet: &[u8],
    length: usize,
    mut random: impl FnMut(&mut [u8]) -> Result<(), E>,
) -> Result<String, E> {
    // Bytes from here on would make the first characters likelier.
    let fair = 256 / alphabet.len() * alphabet.len();
    let mut text = String::with_capacity(length);
    let mut bytes = [0; 64];
    while text.len() < length {
        random(&mut bytes)?;
        let fit = bytes.iter().map(|&byte| usize::from(byte)).filter(|&byte| byte < fair);
        let missing = length - text.len();
        text.extend(fit.take(missing).map(|byte| char::from(alphabet[byte % alphabet.len()])));
    }
    Ok(text)
}

/// `sha256:` and the digits of a hash.
///
/// # Errors
/// What is wrong with it.
pub fn parse_hash(text: &str) -> Result<[u8; 32], &'static str> {
    let digits = text.strip_prefix("sha256:").ok_or("a hash begins with \"sha256:\"")?;
    if digits.len() != 64 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err("a SHA-256 has 64 hexadecimal digits");
    }
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.as_bytes().chunks(2)) {
        let digit = |letter: u8| char::from(letter).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let (Some(high), Some(low)) = (digit(pair[0]), digit(pair[1])) else { continue };
        *byte = (high << 4) | low;
    }
    Ok(bytes)
}

/// A hash as it is written: `sha256:` and its digits.
#[must_use]
pub fn hash_text(hash: &[u8; 32]) -> String {
    let digits = hash.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    let letters = digits.map(|digit| char::from_digit(u32::from(digit), 16).unwrap_or('0'));
    "sha256:".chars().chain(letters).collect()
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    /// Bytes that come round.
    fn every_byte() -> impl FnMut(&mut [u8]) -> Result<(), Infallible> {
        let mut next = 0_u8;
        move |bytes| {
            for byte in bytes {
                *byte = next;
                next = next.wrapping_add(1);
            }
            Ok(())
        }
    }

    #[test]
    fn every_character_is_equally_likely() {
        let Ok(text) = random_text(SECRET_ALPHABET, 62 * 4, every_byte());
        for &character in SECRET_ALPHABET {
            assert_eq!(text.bytes().filter(|&byte| byte == character).count(), 4, "{}", char::from(character));
        }
    }

    #[test]
    fn ids_and_secrets_have_their_form() {
        let Ok(id) = random_id(every_byte());
        let Ok(secret) = random_secret(every_byte());
        assert!(is_id(&id) && id.len() == ID_LENGTH, "{id}");
        assert!(secret.len() == SECRET_LENGTH && secret.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{secret}");
        for wrong in ["", "abc", "Abcd", "ab_cd", "a-bc", &"a".repeat(33)] {
            assert!(!is_id(wrong), "{wrong}");
        }
    }

    #[test]
    fn a_hash_is_read_as_it_is_written() {
        let mut hash = [0; 32];
        for (at, byte) in (0..).zip(&mut hash) {
            *byte = at * 8 + 7;
        }
        assert_eq!(parse_hash(&hash_text(&hash)), Ok(hash));
        for wrong in
            ["", "sha256:", "sha256:00", &format!("md5:{}", "0".repeat(64)), &format!("sha256:{}g", "0".repeat(63))]
        {
            assert!(parse_hash(wrong).is_err(), "{wrong}");
        }
    }
}
