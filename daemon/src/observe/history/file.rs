//! The history's file: preallocated, a slot per tick, written without waiting for the disk.
//!
//! Only the writer's thread has it. A file that cannot be read is set aside, never deleted.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Mutex;

use rustix::fs::{FallocateFlags, fallocate};
use toolgate_protocol::history::layout::{self, Unreadable};
use toolgate_protocol::history::{DAY, Store};
use tracing::warn;

use crate::lock::lock;

/// The samples of one tick.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) tick: u64,
    pub(super) values: Vec<(String, f32)>,
}

/// The file, and which number each name has in it.
#[derive(Debug)]
pub(super) struct RingFile {
    file: File,
    slot: usize,
    numbers: HashMap<String, u16>,
}

impl RingFile {
    /// Takes the last day of the file into `store`, the oldest first. Nothing where there is no file that can be read.
    pub(super) fn load(path: &Path, now: u64, store: &Mutex<Store>) -> io::Result<Option<Self>> {
        let file = match OpenOptions::new().read(true).write(true).open(path) {
            Err(problem) if problem.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        let mut head = vec![0; layout::HEAD];
        let read = file.read_exact_at(&mut head, 0).map_err(|_| Unreadable::Foreign);
        let slot = match read.and_then(|()| layout::read_head(&head)) {
            Ok(slot) if file.metadata()?.len() >= layout::size(slot) => slot,
            Ok(_) => return set_aside(path, Unreadable::Foreign),
            Err(why) => return set_aside(path, why),
        };
        let names = read_names(&file)?;
        let mut bytes = vec![0; slot];
        for tick in now.saturating_sub(DAY - 1)..=now {
            file.read_exact_at(&mut bytes, layout::position(slot, tick))?;
            // What is of another day lies where this tick's would.
            let Some((_, samples)) = layout::read_samples(&bytes).filter(|(told, _)| *told == tick) else { continue };
            let mut store = lock(store);
            for (number, value) in samples {
                if let Some(name) = names.get(&number) {
                    store.put(name, tick, value);
                }
            }
        }
        let numbers = names.into_iter().map(|(number, name)| (name, number)).collect();
        Ok(Some(Self { file, slot, numbers }))
    }

    /// A new file in the place of the old one, with all that `store` knows and room for `row`.
    pub(super) fn create(path: &Path, row: &Row, store: &Mutex<Store>) -> io::Result<Self> {
        let names: Vec<String> = {
            let store = lock(store);
            store.names().map(str::to_owned).collect()
        };
        // Some room for what comes: the file is not made anew for each server that is added.
        let room = names.len().max(row.values.len());
        let slot = [room + room / 4, room].into_iter().find_map(layout::slot_for);
        let slot = slot.ok_or_else(|| io::Error::other("it has more series than a slot can hold"))?;
        let new = path.with_extension("new");
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        reserve(&file, layout::size(slot))?;
        file.write_all_at(&layout::head(slot), 0)?;
        let mut ring = Self { file, slot, numbers: HashMap::new() };
        for tick in row.tick.saturating_sub(DAY - 1)..=row.tick {
            let values: Vec<_> = {
                let store = lock(store);
                let value = |name: &String| Some((name.clone(), store.get(name)?.at(tick)?));
                names.iter().filter_map(value).collect()
            };
            if !values.is_empty() {
                ring.write(&Row { tick, values })?;
            }
        }
        ring.write(row)?;
        fs::rename(&new, path)?;
        Ok(ring)
    }

    /// Writes the samples of a tick; says whether there was room for them and their names.
    pub(super) fn write(&mut self, row: &Row) -> io::Result<bool> {
        if layout::slot_for(row.values.len()).is_none_or(|needed| needed > self.slot) {
            return Ok(false);
        }
        let mut samples = Vec::with_capacity(row.values.len());
        for (name, value) in &row.values {
            let Some(number) = self.number(name)? else { return Ok(false) };
            samples.push((number, *value));
        }
        self.file.write_all_at(&layout::samples(row.tick, &samples), layout::position(self.slot, row.tick))?;
        Ok(true)
    }

    /// The number of a name, given to it and written where it is new; nothing where the table is full.
    fn number(&mut self, name: &str) -> io::Result<Option<u16>> {
        if let Some(number) = self.numbers.get(name) {
            return Ok(Some(*number));
        }
        let next = u16::try_from(self.numbers.len()).unwrap_or(layout::NAMES);
        if next >= layout::NAMES {
            return Ok(None);
        }
        self.file.write_all_at(&layout::name(name), layout::name_position(next))?;
        self.numbers.insert(name.to_owned(), next);
        Ok(Some(next))
    }
}

/// Names with their numbers, up to the first place where none lies: they are given without gaps.
fn read_names(file: &File) -> io::Result<HashMap<u16, String>> {
    let mut table = vec![0; usize::from(layout::NAMES) * layout::NAME_ENTRY];
    file.read_exact_at(&mut table, layout::name_position(0))?;
    let names = table.chunks_exact(layout::NAME_ENTRY).map_while(layout::read_name);
    Ok((0..).zip(names.map(str::to_owned)).collect())
}

/// Room on the disk now, so that it does not fail for want of it later.
fn reserve(file: &File, size: u64) -> io::Result<()> {
    match fallocate(file, FallocateFlags::empty(), 0, size) {
        Err(rustix::io::Errno::OPNOTSUPP) => file.set_len(size),
        done => Ok(done?),
    }
}

fn set_aside(path: &Path, why: Unreadable) -> io::Result<Option<RingFile>> {
    let why = match why {
        Unreadable::Foreign => "it is damaged, or was not written by toolgate".to_owned(),
        Unreadable::Version(version) => format!("it has format {version} of another version of toolgate"),
    };
    let aside = path.with_extension("unreadable");
    fs::rename(path, &aside)?;
    warn!(aside = %aside.display(), "the history of the last day cannot be read: {why}; it begins anew");
    Ok(None)
}
