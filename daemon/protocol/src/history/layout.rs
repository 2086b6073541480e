//! How a history lies in its file: a head, a table of names, and a ring of slots, one per tick.
//!
//! A slot holds the samples of one tick with the numbers of their names, and a checksum. What a process that was killed
//! left half written, or what the disk lost, is one tick that is a gap. Everything is little-endian.

use super::DAY;
use super::store::NAME;

/// The form of this file. Another one is not read.
const VERSION: u32 = 2;
const MARK: [u8; 8] = *b"tgpast\r\n";

/// Bytes of the head.
pub const HEAD: usize = 4096;
/// Names in the table.
pub const NAMES: u16 = 4096;
/// Bytes of a name in the table.
pub const NAME_ENTRY: usize = NAME + 9;
/// Bytes of a slot, the least, of which each is a multiple, and the most.
pub const SLOT: (usize, usize) = (512, 24_576);

/// Checksum, tick, and how many samples follow.
const SLOT_FRONT: usize = 8 + 8 + 2;
/// A number and a value.
const SAMPLE: usize = 2 + 4;

/// Why a file is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unreadable {
    /// It does not begin as one of these, or is cut off.
    Foreign,
    /// It was written by another version.
    Version(u32),
}

/// The bytes of a file with slots of `slot` bytes.
#[must_use]
pub fn size(slot: usize) -> u64 {
    position(slot, DAY - 1) + slot as u64
}

/// The size of slots that hold as many samples; nothing where none does.
#[must_use]
pub fn slot_for(samples: usize) -> Option<usize> {
    let needed = SLOT_FRONT + samples * SAMPLE;
    Some(needed.next_multiple_of(SLOT.0)).filter(|slot| *slot <= SLOT.1)
}

/// Where the slot of a tick begins.
#[must_use]
pub fn position(slot: usize, tick: u64) -> u64 {
    name_position(NAMES) + (tick % DAY) * slot as u64
}

/// Where a name begins.
#[must_use]
pub fn name_position(number: u16) -> u64 {
    (HEAD + usize::from(number) * NAME_ENTRY) as u64
}

/// The head of a file.
#[must_use]
pub fn head(slot: usize) -> Vec<u8> {
    let mut bytes = MARK.to_vec();
    bytes.extend(VERSION.to_le_bytes());
    bytes.extend(u32::try_from(slot).unwrap_or_default().to_le_bytes());
    bytes.extend(sum(&bytes).to_le_bytes());
    bytes.resize(HEAD, 0);
    bytes
}

/// The size of slots that a head tells.
pub fn read_head(bytes: &[u8]) -> Result<usize, Unreadable> {
    let (told, rest) = bytes.split_at_checked(16).ok_or(Unreadable::Foreign)?;
    if told[..8] != MARK {
        return Err(Unreadable::Foreign);
    }
    let version = u32::from_le_bytes(told[8..12].try_into().map_err(|_| Unreadable::Foreign)?);
    if version != VERSION {
        return Err(Unreadable::Version(version));
    }
    let slot = u32::from_le_bytes(told[12..].try_into().map_err(|_| Unreadable::Foreign)?) as usize;
    let fits = slot.is_multiple_of(SLOT.0) && (SLOT.0..=SLOT.1).contains(&slot);
    if !fits || rest.get(..8) != Some(&sum(told).to_le_bytes()) {
        return Err(Unreadable::Foreign);
    }
    Ok(slot)
}

/// A name as it lies in the table; the caller sees that it is no longer than [`NAME`].
#[must_use]
pub fn name(name: &str) -> Vec<u8> {
    let text = &name.as_bytes()[..name.len().min(NAME)];
    let mut told = vec![u8::try_from(text.len()).unwrap_or(0)];
    told.extend(text);
    told.resize(NAME_ENTRY - 8, 0);
    sealed(told)
}

/// A name of the table; nothing where none lies there.
#[must_use]
pub fn read_name(bytes: &[u8]) -> Option<&str> {
    let told = opened(bytes.get(..NAME_ENTRY)?)?;
    std::str::from_utf8(told[1..].get(..usize::from(told[0]))?).ok().filter(|name| !name.is_empty())
}

/// The samples of a tick as they lie in a slot, which may be longer; the caller sees that they fit.
#[must_use]
pub fn samples(tick: u64, samples: &[(u16, f32)]) -> Vec<u8> {
    let mut told = tick.to_le_bytes().to_vec();
    told.extend(u16::try_from(samples.len()).unwrap_or(u16::MAX).to_le_bytes());
    for (number, value) in samples {
        told.extend(number.to_le_bytes());
        told.extend(value.to_le_bytes());
    }
    sealed(told)
}

/// The samples of a slot with their tick; nothing where it was never written, or not to its end.
#[must_use]
pub fn read_samples(slot: &[u8]) -> Option<(u64, Vec<(u16, f32)>)> {
    let count = u16::from_le_bytes(slot.get(16..SLOT_FRONT)?.try_into().ok()?);
    let told = opened(slot.get(..SLOT_FRONT + usize::from(count) * SAMPLE)?)?;
    let tick = u64::from_le_bytes(told[..8].try_into().ok()?);
    let sample = |bytes: &[u8]| {
        let value = f32::from_le_bytes(bytes[2..].try_into().ok()?);
        Some((u16::from_le_bytes(bytes[..2].try_into().ok()?), value))
    };
    Some((tick, told[10..].chunks_exact(SAMPLE).filter_map(sample).collect()))
}

fn sealed(told: Vec<u8>) -> Vec<u8> {
    let mut bytes = sum(&told).to_le_bytes().to_vec();
    bytes.extend(told);
    bytes
}

fn opened(bytes: &[u8]) -> Option<&[u8]> {
    let (seal, told) = bytes.split_at_checked(8)?;
    (seal == sum(told).to_le_bytes()).then_some(told)
}

/// FNV-1a: it tells what was torn from what is whole, not what somebody forged.
fn sum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}
