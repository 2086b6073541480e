//! The file of the store: `keys.redb`, with a table for what is known of keys, one for what a start needs of all of
//! them, and one for when they were used. What changes together is written together.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use redb::backends::FileBackend;
use redb::{
    AccessGuard, Builder, Database, Durability, ReadableDatabase, ReadableTable, StorageError, TableDefinition,
    WriteTransaction,
};

use super::change::{Change, Refused};
use super::record::{Line, Record, Stored};

/// The format of what is in the tables.
const FORMAT: u64 = 1;
/// Bytes of pages that are kept in memory: the tables of 100,000 keys.
const CACHE: usize = 64 << 20;

const META: TableDefinition<&str, u64> = TableDefinition::new("meta");
const RECORDS: TableDefinition<&str, &[u8]> = TableDefinition::new("records");
const LINES: TableDefinition<&str, &[u8]> = TableDefinition::new("lines");
const USES: TableDefinition<&str, (u64, u64)> = TableDefinition::new("uses");

/// Why the store cannot do something, for people.
pub type Problem = String;

/// When a key was used last, in milliseconds since 1970, and how often.
pub type Use = (u64, u64);

/// The open file.
#[derive(Debug)]
pub struct File(Database);

fn told<E: std::fmt::Display>(problem: E) -> Problem {
    problem.to_string()
}

impl File {
    /// Opens the file, or makes it, readable by this user alone.
    pub fn open(path: &Path) -> Result<Self, Problem> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path);
        let file = file.map_err(told)?;
        let backend = FileBackend::new(file).map_err(told)?;
        let database = Builder::new().set_cache_size(CACHE).create_with_backend(backend).map_err(told)?;
        let this = Self(database);
        this.make_tables()?;
        if let Some(folder) = path.parent() {
            // So that the file itself is there after a power cut.
            std::fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(told)?;
        }
        Ok(this)
    }

    fn make_tables(&self) -> Result<(), Problem> {
        let format = {
            let read = self.0.begin_read().map_err(told)?;
            match read.open_table(META) {
                Ok(meta) => meta.get("format").map_err(told)?.map(|format| format.value()),
                Err(redb::TableError::TableDoesNotExist(_)) => None,
                Err(problem) => return Err(told(problem)),
            }
        };
        match format {
            Some(FORMAT) => Ok(()),
            Some(other) => Err(format!("it is of format {other}, and this daemon knows {FORMAT}")),
            None => {
                let write = self.begin()?;
                write.open_table(META).map_err(told)?.insert("format", FORMAT).map_err(told)?;
                write.open_table(RECORDS).map_err(told)?;
                write.open_table(LINES).map_err(told)?;
                write.open_table(USES).map_err(told)?;
                write.commit().map_err(told)
            }
        }
    }

    fn begin(&self) -> Result<WriteTransaction, Problem> {
        let mut write = self.0.begin_write().map_err(told)?;
        write.set_durability(Durability::Immediate).map_err(told)?;
        // A start after a crash does not have to walk through the whole file.
        write.set_quick_repair(true);
        Ok(write)
    }

    /// All keys, as a start needs them.
    pub fn lines(&self) -> Result<Vec<(String, Line)>, Problem> {
        let read = self.0.begin_read().map_err(told)?;
        let lines = read.open_table(LINES).map_err(told)?;
        let line = |row: Result<(AccessGuard<'_, &str>, AccessGuard<'_, &[u8]>), _>| {
            let (id, bytes) = row.map_err(told::<StorageError>)?;
            let line = Line::from_bytes(bytes.value()).ok_or_else(|| broken(id.value(), "its line is cut"))?;
            Ok((id.value().to_owned(), line))
        };
        lines.iter().map_err(told)?.map(line).collect()
    }

    /// What is known of a key.
    pub fn record(&self, id: &str) -> Result<Option<Record>, Problem> {
        let read = self.0.begin_read().map_err(told)?;
        let found = read.open_table(RECORDS).map_err(told)?.get(id).map_err(told)?;
        found.map(|bytes| Record::from_bytes(bytes.value()).map_err(|problem| broken(id, &problem))).transpose()
    }

    /// A key with when it was used.
    pub fn key(&self, id: &str) -> Result<Option<(Stored, Use)>, Problem> {
        let read = self.0.begin_read().map_err(told)?;
        let (records, lines) = (read.open_table(RECORDS).map_err(told)?, read.open_table(LINES).map_err(told)?);
        let Some(key) = stored(id, &records, &lines)? else { return Ok(None) };
        let used = read.open_table(USES).map_err(told)?.get(id).map_err(told)?.map(|used| used.value());
        Ok(Some((key, used.unwrap_or_default())))
    }

    /// Keys in the order of their ids, behind one of them, for as long as `each` says.
    pub fn walk(&self, after: Option<&str>, mut each: impl FnMut(&str, Record, Use) -> bool) -> Result<(), Problem> {
        use std::ops::Bound;
        let read = self.0.begin_read().map_err(told)?;
        let uses = read.open_table(USES).map_err(told)?;
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let records = read.open_table(RECORDS).map_err(told)?;
        for row in records.range::<&str>((from, Bound::Unbounded)).map_err(told)? {
            let (id, bytes) = row.map_err(told)?;
            let record = Record::from_bytes(bytes.value()).map_err(|problem| broken(id.value(), &problem))?;
            let usage = uses.get(id.value()).map_err(told)?.map(|used| used.value()).unwrap_or_default();
            if !each(id.value(), record, usage) {
                break;
            }
        }
        Ok(())
    }

    /// Makes changes that belong together, each all or nothing, with one sync for all of them. Gives back what became
    /// of each, once it is on the disk.
    pub fn change(&self, orders: Vec<Vec<(String, Change)>>) -> Result<Vec<Outcome>, Problem> {
        let write = self.begin()?;
        let mut outcomes = Vec::with_capacity(orders.len());
        {
            let mut records = write.open_table(RECORDS).map_err(told)?;
            let mut lines = write.open_table(LINES).map_err(told)?;
            for order in orders {
                outcomes.push(decide(order, &records, &lines)?);
                let Some(Ok(changed)) = outcomes.last() else { continue };
                for (id, key) in changed {
                    records.insert(id.as_str(), key.record.to_bytes().as_slice()).map_err(told)?;
                    lines.insert(id.as_str(), key.line().to_bytes().as_slice()).map_err(told)?;
                }
            }
        }
        write.commit().map_err(told)?;
        Ok(outcomes)
    }

    /// Writes down when keys were used.
    pub fn used(&self, keys: &[(String, Use)]) -> Result<(), Problem> {
        let write = self.begin()?;
        {
            let mut uses = write.open_table(USES).map_err(told)?;
            for (id, (last, count)) in keys {
                let before = uses.get(id.as_str()).map_err(told)?.map(|used| used.value()).unwrap_or_default();
                uses.insert(id.as_str(), ((*last).max(before.0), before.1.saturating_add(*count))).map_err(told)?;
            }
        }
        write.commit().map_err(told)
    }
}

/// What became of changes that belong together: the keys as they are now, or which of them was refused and why.
pub type Outcome = Result<Vec<(String, Stored)>, (usize, Refused)>;

/// Decides about changes that belong together, against what the transaction has.
fn decide(
    order: Vec<(String, Change)>,
    records: &impl ReadableTable<&'static str, &'static [u8]>,
    lines: &impl ReadableTable<&'static str, &'static [u8]>,
) -> Result<Outcome, Problem> {
    let mut changed: BTreeMap<String, Stored> = BTreeMap::new();
    for (at, (id, change)) in order.into_iter().enumerate() {
        let before = match changed.get(&id) {
            Some(key) => Some(key.clone()),
            None => stored(&id, records, lines)?,
        };
        match change.apply(before.as_ref()) {
            Ok(key) => changed.insert(id, key),
            Err(refused) => return Ok(Err((at, refused))),
        };
    }
    Ok(Ok(changed.into_iter().collect()))
}

fn stored(
    id: &str,
    records: &impl ReadableTable<&'static str, &'static [u8]>,
    lines: &impl ReadableTable<&'static str, &'static [u8]>,
) -> Result<Option<Stored>, Problem> {
    let Some(record) = records.get(id).map_err(told)? else { return Ok(None) };
    let record = Record::from_bytes(record.value()).map_err(|problem| broken(id, &problem))?;
    let line = lines.get(id).map_err(told)?.and_then(|bytes| Line::from_bytes(bytes.value()));
    let Line { proofs, .. } = line.ok_or_else(|| broken(id, "its hashes are missing"))?;
    Ok(Some(Stored { record, proofs }))
}

fn broken(id: &str, why: &str) -> Problem {
    format!("the key {id} cannot be read: {why}")
}
