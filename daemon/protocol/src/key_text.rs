//! Keys of 32 bytes as people write them: base64 in any of its forms, or hexadecimal.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// Bytes of a key.
pub const LENGTH: usize = 32;

const CONFIG: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, CONFIG);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, CONFIG);

/// The key that a text says; `None` where it says none of exactly 32 bytes.
#[must_use]
pub fn read(text: &str) -> Option<[u8; LENGTH]> {
    let text = text.trim();
    if text.len() == 2 * LENGTH {
        return hexadecimal(text.as_bytes());
    }
    let decoded = STANDARD.decode(text).or_else(|_| URL_SAFE.decode(text)).ok()?;
    decoded.try_into().ok()
}

fn hexadecimal(digits: &[u8]) -> Option<[u8; LENGTH]> {
    let digit = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
    let mut key = [0; LENGTH];
    for (byte, pair) in key.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(key)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_form_of_a_key_is_the_key(key in any::<[u8; LENGTH]>()) {
            let hex = key.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
            prop_assert_eq!(read(&hex), Some(key));
            prop_assert_eq!(read(&hex.to_uppercase()), Some(key));
            for form in [STANDARD.encode(key), URL_SAFE.encode(key)] {
                prop_assert_eq!(read(form.trim_end_matches('=')), Some(key));
                prop_assert_eq!(read(&format!(" {form}\n")), Some(key));
            }
        }

        #[test]
        fn nothing_else_is_one(text in ".{0,80}", bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            prop_assert!(read(&text).is_none_or(|_| text.trim().len() >= 43));
            prop_assert_eq!(read(&STANDARD.encode(&bytes)).is_some(), bytes.len() == LENGTH);
        }
    }
}
