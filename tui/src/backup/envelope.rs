//! A sealed file: what is in it is told to whoever has the passphrase or the key, and a change of any byte is found.
//!
//! Behind a head (mark, version, how the key is made, salt, a check of the key) lie chunks of 64 KiB, each sealed by
//! AES-256-GCM with its number and whether it is the last (the STREAM construction: Hoang, Reyhanitabar, Rogaway and
//! Vizár, 2015), bound to the head. A passphrase becomes a key by Argon2id (RFC 9106). No clock and no file.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::hmac;
use zeroize::Zeroizing;

const MARK: &[u8; 16] = b"toolgate sealed\n";
const VERSION: u8 = 1;
const SALT: usize = 32;
const CHECK: usize = 32;
const TAG: usize = 16;
/// Mark, version, kind, memory, passes and lanes of Argon2id, salt.
const FRONT: usize = 16 + 1 + 1 + 4 + 4 + 4 + SALT;
const HEAD: usize = FRONT + CHECK;
const CHUNK: usize = 64 * 1024;

/// RFC 9106, section 4: the second recommended option.
const COST: Cost = Cost { memory_kib: 64 * 1024, passes: 3, lanes: 4 };
/// What a file may ask of whoever opens it.
const MOST: Cost = Cost { memory_kib: 1024 * 1024, passes: 16, lanes: 16 };

/// What opens a sealed file.
pub(crate) enum Secret {
    /// Words; slow to turn into a key, so that trying many costs much.
    Passphrase(Zeroizing<String>),
    /// 32 bytes from a random source.
    Key(Zeroizing<[u8; 32]>),
}

/// What a passphrase costs whoever tries it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cost {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

/// Why a sealed file is not opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotOpened {
    /// Its version is not known here.
    Version(u8),
    /// It was sealed with the other kind of secret, a passphrase where this is true.
    OtherKind(bool),
    /// The passphrase or the key is another one, or the head was changed.
    OtherSecret,
    /// It ends too early.
    Cut,
    /// A byte of it is not what was written.
    Changed,
}

impl std::fmt::Display for NotOpened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Version(version) => write!(f, "it has version {version}, and this release knows {VERSION}"),
            Self::OtherKind(true) => f.write_str("it was sealed with a passphrase, and a key was given"),
            Self::OtherKind(false) => f.write_str("it was sealed with a key, and a passphrase was given"),
            Self::OtherSecret => f.write_str("the passphrase or the key is not the one that it was sealed with"),
            Self::Cut => f.write_str("it ends too early: a part of it is missing"),
            Self::Changed => f.write_str("it was changed or damaged after it was sealed"),
        }
    }
}

/// Whether a file begins as a sealed one.
pub(crate) fn is_sealed(file: &[u8]) -> bool {
    file.starts_with(MARK)
}

/// Seals a content.
pub(crate) fn seal(secret: &Secret, content: &[u8]) -> Vec<u8> {
    seal_at(secret, content, COST)
}

fn seal_at(secret: &Secret, content: &[u8], cost: Cost) -> Vec<u8> {
    let mut salt = [0; SALT];
    aws_lc_rs::rand::fill(&mut salt).expect("the system has a random source");
    let mut head = Vec::with_capacity(HEAD);
    head.extend_from_slice(MARK);
    head.extend_from_slice(&[VERSION, u8::from(matches!(secret, Secret::Passphrase(_)))]);
    for number in [cost.memory_kib, cost.passes, cost.lanes] {
        head.extend_from_slice(&number.to_le_bytes());
    }
    head.extend_from_slice(&salt);
    let keys = Keys::of(secret, cost, &salt).expect("a cost of this release can be borne");
    let check = hmac::sign(&keys.check, &head);
    head.extend_from_slice(check.as_ref());
    let mut sealed = head.clone();
    sealed.reserve(content.len() + (content.len() / CHUNK + 1) * TAG);
    // An empty content is one chunk too: the last one says that nothing is missing.
    let chunks = content.len().div_ceil(CHUNK).max(1);
    for number in 0..chunks {
        let end = content.len().min((number + 1) * CHUNK);
        let mut chunk = content[number * CHUNK..end].to_vec();
        let nonce = nonce(number, number + 1 == chunks);
        keys.cipher
            .seal_in_place_append_tag(nonce, Aad::from(&head), &mut chunk)
            .expect("a chunk is far shorter than what one nonce may seal");
        sealed.extend_from_slice(&chunk);
    }
    sealed
}

/// Opens a file that [`is_sealed`].
pub(crate) fn open(secret: &Secret, file: &[u8]) -> Result<Zeroizing<Vec<u8>>, NotOpened> {
    let version = *file.get(MARK.len()).ok_or(NotOpened::Cut)?;
    if version != VERSION {
        return Err(NotOpened::Version(version));
    }
    let (head, mut rest) = file.split_at_checked(HEAD).ok_or(NotOpened::Cut)?;
    let by_passphrase = head[MARK.len() + 1] != 0;
    if by_passphrase != matches!(secret, Secret::Passphrase(_)) {
        return Err(NotOpened::OtherKind(by_passphrase));
    }
    let number = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let cost = Cost { memory_kib: number(18), passes: number(22), lanes: number(26) };
    let keys = Keys::of(secret, cost, &head[FRONT - SALT..FRONT]).ok_or(NotOpened::Changed)?;
    hmac::verify(&keys.check, &head[..FRONT], &head[FRONT..]).map_err(|_| NotOpened::OtherSecret)?;
    let mut content = Zeroizing::new(Vec::with_capacity(rest.len()));
    for index in 0.. {
        let is_last = rest.len() <= CHUNK + TAG;
        let (chunk, after) = rest.split_at(rest.len().min(CHUNK + TAG));
        let mut chunk = Zeroizing::new(chunk.to_vec());
        let opened = keys.cipher.open_in_place(nonce(index, is_last), Aad::from(head), &mut chunk);
        let Ok(opened) = opened else {
            // What is the last of a file that was cut between two chunks opens as one in the middle.
            let mut chunk = Zeroizing::new(rest[..rest.len().min(CHUNK + TAG)].to_vec());
            let in_the_middle = keys.cipher.open_in_place(nonce(index, false), Aad::from(head), &mut chunk);
            return Err(if is_last && in_the_middle.is_ok() { NotOpened::Cut } else { NotOpened::Changed });
        };
        content.extend_from_slice(opened);
        if is_last {
            break;
        }
        rest = after;
    }
    Ok(content)
}

/// The keys of one file: its salt makes them its own, so that the numbers of chunks can be nonces.
struct Keys {
    check: hmac::Key,
    cipher: LessSafeKey,
}

impl Keys {
    /// `None` where the cost is more than whoever opens a file should bear.
    fn of(secret: &Secret, cost: Cost, salt: &[u8]) -> Option<Self> {
        let mut master = Zeroizing::new([0; 32]);
        match secret {
            Secret::Passphrase(words) => {
                let parameters = cost.parameters()?;
                argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, parameters)
                    .hash_password_into(words.as_bytes(), salt, master.as_mut())
                    .ok()?;
            }
            Secret::Key(key) => {
                let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, salt), key.as_ref());
                master.copy_from_slice(tag.as_ref());
            }
        }
        let master = hmac::Key::new(hmac::HMAC_SHA256, master.as_ref());
        let one = |purpose: &str| hmac::sign(&master, purpose.as_bytes());
        let cipher = UnboundKey::new(&AES_256_GCM, one("content").as_ref()).ok()?;
        Some(Self { check: hmac::Key::new(hmac::HMAC_SHA256, one("check").as_ref()), cipher: LessSafeKey::new(cipher) })
    }
}

impl Cost {
    fn parameters(self) -> Option<argon2::Params> {
        let bearable = self.memory_kib <= MOST.memory_kib && self.passes <= MOST.passes && self.lanes <= MOST.lanes;
        if bearable { argon2::Params::new(self.memory_kib, self.passes, self.lanes, Some(32)).ok() } else { None }
    }
}

/// The number of a chunk, and whether it is the last.
fn nonce(number: usize, is_last: bool) -> Nonce {
    let mut nonce = [0; 12];
    nonce[..8].copy_from_slice(&(number as u64).to_be_bytes());
    nonce[11] = u8::from(is_last);
    Nonce::assume_unique_for_key(nonce)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CHEAP: Cost = Cost { memory_kib: 8, passes: 1, lanes: 1 };

    fn words(text: &str) -> Secret {
        Secret::Passphrase(Zeroizing::new(text.to_owned()))
    }

    fn key(byte: u8) -> Secret {
        Secret::Key(Zeroizing::new([byte; 32]))
    }

    fn why(secret: &Secret, file: &[u8]) -> NotOpened {
        open(secret, file).map(|_| ()).expect_err("it opened")
    }

    #[test]
    fn only_the_secret_that_sealed_opens() {
        let sealed = seal_at(&words("one"), b"content", CHEAP);
        assert!(is_sealed(&sealed) && !is_sealed(b"content"));
        assert_eq!(open(&words("one"), &sealed).expect("opens").as_slice(), b"content");
        assert_eq!(why(&words("two"), &sealed), NotOpened::OtherSecret);
        assert_eq!(why(&key(1), &sealed), NotOpened::OtherKind(true));
        let sealed = seal(&key(1), b"content");
        assert_eq!(why(&key(2), &sealed), NotOpened::OtherSecret);
        assert_eq!(why(&words("one"), &sealed), NotOpened::OtherKind(false));
        let mut later = sealed.clone();
        later[MARK.len()] = 9;
        assert_eq!(why(&key(1), &later), NotOpened::Version(9));
    }

    #[test]
    fn a_passphrase_is_as_slow_to_try_as_the_rfc_says() {
        let sealed = seal(&words("one"), b"");
        let number = |at: usize| u32::from_le_bytes(sealed[at..at + 4].try_into().expect("four bytes"));
        assert_eq!([number(18), number(22), number(26)], [65_536, 3, 4]);
        assert!(open(&words("one"), &sealed).expect("opens").is_empty());
    }

    #[test]
    fn a_file_cannot_ask_for_more_than_is_bearable() {
        let mut sealed = seal_at(&words("one"), b"", CHEAP);
        sealed[18..22].copy_from_slice(&u32::MAX.to_le_bytes());
        assert_eq!(why(&words("one"), &sealed), NotOpened::Changed);
    }

    #[test]
    fn a_file_that_was_cut_says_so() {
        let sealed = seal(&key(1), &vec![7; 2 * CHUNK]);
        for end in [0, 10, HEAD - 1, HEAD + CHUNK + TAG] {
            assert_eq!(why(&key(1), &sealed[..end]), NotOpened::Cut, "{end}");
        }
        assert_eq!(why(&key(1), &sealed[..sealed.len() - 1]), NotOpened::Changed);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn what_is_sealed_opens_and_nothing_that_was_changed(
            size in prop_oneof![0..40_usize, CHUNK - 2..CHUNK + 2, 2 * CHUNK - 1..2 * CHUNK + 1],
            at in any::<prop::sample::Index>(),
            bit in 0..8_u8,
        ) {
            let content: Vec<u8> = (0..size).map(|index| u8::try_from(index % 251).expect("small")).collect();
            let sealed = seal(&key(1), &content);
            prop_assert_eq!(open(&key(1), &sealed).map(|opened| opened.to_vec()), Ok(content));
            let at = at.index(sealed.len());
            let mut changed = sealed.clone();
            changed[at] ^= 1 << bit;
            prop_assert!(!is_sealed(&changed) || open(&key(1), &changed).is_err());
            prop_assert!(open(&key(1), &sealed[..at]).is_err());
            let longer = [sealed.as_slice(), &sealed[sealed.len() - 1..]].concat();
            prop_assert!(open(&key(1), &longer).is_err());
        }

        #[test]
        fn whatever_a_file_holds_it_is_refused_without_a_panic(rest in proptest::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(open(&key(1), &[MARK.as_slice(), &rest].concat()).is_err());
        }
    }
}
