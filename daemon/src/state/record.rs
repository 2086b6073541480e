//! How records lie in their file, without I/O: sealed runs of cells behind a head.
//!
//! `file` writes and reads them. What a process that was killed left half written, or what another
//! wrote, does not open; a run that was freed may hold a client's words, which open nothing either,
//! since a record is sealed under a key that no client knows, for the cell that it begins in.

use aws_lc_rs::hmac::{self, HMAC_SHA256};

/// The unit of room.
pub(super) const CELL: usize = 512;
/// A longer record is not kept.
pub(super) const MAX_PAYLOAD: usize = 16 << 20;

const FILE_MARK: [u8; 8] = *b"toolgate";
const RECORD_MARK: [u8; 4] = *b"rec\n";
/// The format of this file. Another one is not read.
const VERSION: u32 = 1;
const TAG: usize = 16;
/// Mark, length, generation and tag.
const FRONT: usize = 4 + 4 + 8 + TAG;

/// Seals records.
#[derive(Debug)]
pub(super) struct Key(hmac::Key);

/// A record as it was found.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Record<'f> {
    /// Of two records of the same thing the one with the higher number is the newer.
    pub(super) generation: u64,
    /// What it says.
    pub(super) payload: &'f [u8],
}

/// What a file holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found<'f> {
    /// Whole records.
    pub(super) records: Vec<Record<'f>>,
    /// Cells in which a record begins that is not whole.
    pub(super) damaged: usize,
}

/// Why a file is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// It does not begin as one of ours.
    Foreign,
    /// It has the format of another version of toolgate.
    Version(u32),
    /// Its head is damaged.
    Damaged,
}

impl std::fmt::Display for Unreadable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Foreign => f.write_str("it was not written by toolgate"),
            Self::Version(version) => {
                write!(f, "it has format {version} of another version of toolgate; this one reads format {VERSION}")
            }
            Self::Damaged => f.write_str("its head is damaged"),
        }
    }
}

impl Key {
    /// A key from secret bytes.
    pub(super) fn new(bytes: &[u8; 32]) -> Self {
        Self(hmac::Key::new(HMAC_SHA256, bytes))
    }

    fn tag(&self, parts: &[&[u8]]) -> [u8; TAG] {
        let mut context = hmac::Context::with_key(&self.0);
        for part in parts {
            context.update(part);
        }
        let mut tag = [0; TAG];
        tag.copy_from_slice(&context.sign().as_ref()[..TAG]);
        tag
    }
}

/// The first cell of a file. `epoch` grows with each process that has the file.
pub(super) fn head(key: &Key, epoch: u32) -> [u8; CELL] {
    let mut head = [0; CELL];
    head[..8].copy_from_slice(&FILE_MARK);
    head[8..12].copy_from_slice(&VERSION.to_le_bytes());
    head[12..16].copy_from_slice(&epoch.to_le_bytes());
    let tag = key.tag(&[&head[..16]]);
    head[16..16 + TAG].copy_from_slice(&tag);
    head
}

/// Reads the epoch from the first cell.
pub(super) fn read_head(key: &Key, file: &[u8]) -> Result<u32, Unreadable> {
    let Some((front, rest)) = file.split_at_checked(16) else { return Err(Unreadable::Foreign) };
    if front[..8] != FILE_MARK {
        return Err(Unreadable::Foreign);
    }
    match number(&front[8..12]) {
        VERSION if rest.get(..TAG) == Some(&key.tag(&[front])) => Ok(number(&front[12..16])),
        VERSION => Err(Unreadable::Damaged),
        other => Err(Unreadable::Version(other)),
    }
}

/// How many cells a record takes.
pub(super) fn cells(payload: usize) -> u32 {
    u32::try_from((FRONT + payload).div_ceil(CELL)).unwrap_or(u32::MAX)
}

/// The bytes of a record that begins in `cell`; as long as its payload makes it, not a whole cell.
pub(super) fn write(key: &Key, cell: u32, generation: u64, payload: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(FRONT + payload.len());
    text.extend_from_slice(&RECORD_MARK);
    text.extend_from_slice(&u32::try_from(payload.len()).unwrap_or(u32::MAX).to_le_bytes());
    text.extend_from_slice(&generation.to_le_bytes());
    let tag = key.tag(&[&cell.to_le_bytes(), &text, payload]);
    text.extend_from_slice(&tag);
    text.extend_from_slice(payload);
    text
}

/// All records of a file, whose head was read before.
pub(super) fn read<'f>(key: &Key, file: &'f [u8]) -> Found<'f> {
    let mut found = Found::default();
    let mut cell = 1;
    while let Some(rest) = file.get(cell * CELL..).filter(|rest| rest.len() >= FRONT) {
        if let Some(record) = opened(key, cell, rest) {
            cell += cells(record.payload.len()) as usize;
            found.records.push(record);
        } else {
            found.damaged += usize::from(rest[..4] == RECORD_MARK);
            cell += 1;
        }
    }
    found
}

fn opened<'f>(key: &Key, cell: usize, rest: &'f [u8]) -> Option<Record<'f>> {
    let (front, tag) = (&rest[..FRONT - TAG], &rest[FRONT - TAG..FRONT]);
    if front[..4] != RECORD_MARK {
        return None;
    }
    let length = usize::try_from(number(&front[4..8])).ok().filter(|length| *length <= MAX_PAYLOAD)?;
    let payload = rest[FRONT..].get(..length)?;
    let cell = u32::try_from(cell).ok()?;
    if key.tag(&[&cell.to_le_bytes(), front, payload]) != tag {
        return None;
    }
    let generation = u64::from_le_bytes(front[8..16].try_into().ok()?);
    Some(Record { generation, payload })
}

fn number(bytes: &[u8]) -> u32 {
    bytes.try_into().map_or(0, u32::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key() -> Key {
        Key::new(&[7; 32])
    }

    /// A file with these records, one behind the other.
    fn file(payloads: &[Vec<u8>]) -> Vec<u8> {
        let mut file = head(&key(), 3).to_vec();
        for (generation, payload) in payloads.iter().enumerate() {
            let cell = u32::try_from(file.len() / CELL).unwrap();
            file.extend(write(&key(), cell, generation as u64, payload));
            file.resize(file.len().next_multiple_of(CELL), 0);
        }
        file
    }

    fn payloads() -> impl Strategy<Value = Vec<Vec<u8>>> {
        proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..1500), 0..6)
    }

    fn said(found: &Found<'_>) -> Vec<Vec<u8>> {
        found.records.iter().map(|record| record.payload.to_vec()).collect()
    }

    #[test]
    fn another_format_is_told_from_damage() {
        let whole = file(&[]);
        assert_eq!(read_head(&key(), &whole), Ok(3));
        let mut other = whole.clone();
        other[8] = 9;
        assert_eq!(read_head(&key(), &other), Err(Unreadable::Version(9)));
        let mut flipped = whole.clone();
        flipped[12] ^= 1;
        assert_eq!(read_head(&key(), &flipped), Err(Unreadable::Damaged));
        assert_eq!(read_head(&Key::new(&[8; 32]), &whole), Err(Unreadable::Damaged));
        for foreign in [&b""[..], b"toolgat", b"something else entirely"] {
            assert_eq!(read_head(&key(), foreign), Err(Unreadable::Foreign));
        }
    }

    #[test]
    fn what_a_client_wrote_into_a_record_is_none_itself() {
        // Words that look like a record at the start of a cell, sealed under a key of the client's own.
        let forged = write(&Key::new(&[0; 32]), 2, 99, b"forged");
        let mut text = vec![b'x'; CELL - FRONT];
        text.extend(forged);
        let mut freed = file(&[text]);
        freed[CELL..CELL + 4].fill(0);
        assert!(read(&key(), &freed).records.is_empty());
    }

    #[test]
    fn a_record_opens_in_its_own_cell_only() {
        let mut moved = file(&[b"one".to_vec(), b"two".to_vec()]);
        moved.copy_within(CELL..2 * CELL, 2 * CELL);
        let found = read(&key(), &moved);
        assert_eq!((said(&found), found.damaged), (vec![b"one".to_vec()], 1));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(payloads in payloads()) {
            let file = file(&payloads);
            let found = read(&key(), &file);
            prop_assert_eq!(said(&found), payloads);
            prop_assert_eq!(found.damaged, 0);
        }

        /// A cut file gives the records before the cut, and nothing that was never written.
        #[test]
        fn a_truncated_file_gives_what_is_whole(payloads in payloads(), cut in any::<prop::sample::Index>()) {
            let file = file(&payloads);
            let cut = cut.index(file.len() + 1);
            let found = read(&key(), &file[..cut]);
            let kept = said(&found);
            prop_assert_eq!(&kept[..], &payloads[..kept.len()]);
        }

        /// A flipped bit costs the record that it lies in, at most.
        #[test]
        fn a_flipped_bit_costs_one_record(payloads in payloads(), at in any::<prop::sample::Index>(), bit in 0..8_u8) {
            let mut file = file(&payloads);
            if file.len() > CELL {
                let at = CELL + at.index(file.len() - CELL);
                file[at] ^= 1 << bit;
                let found = said(&read(&key(), &file));
                prop_assert!(found.len() + 1 >= payloads.len());
                prop_assert!(found.iter().all(|record| payloads.contains(record)));
            }
        }

        #[test]
        fn whatever_the_file_holds_it_is_read_without_a_panic(file in proptest::collection::vec(any::<u8>(), 0..4000)) {
            let _ = read_head(&key(), &file);
            prop_assert!(read(&key(), &file).records.is_empty());
        }
    }
}
