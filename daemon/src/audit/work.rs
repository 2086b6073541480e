//! One turn of the thread: what waits is sealed, written and committed, or known to be lost.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use rustix::fs::statvfs;
use toolgate_admin_api::AuditRecord;
use toolgate_protocol::audit::{NAME, numbered};
use tracing::{info, warn};

use super::REMEMBERED;
use super::failures::Failures;
use super::file::{Bounds, Files, Found};
use super::lines::Backwards;
use super::members::Members;
use super::ring::Intake;
use super::writer::{Rules, Said, Shared, Trouble};
use crate::clock;
use crate::config::settings::OnFull;
use crate::lock::lock;
use crate::observe::logging::AUDIT;

/// A commit follows the last one within this.
const COMMIT: Duration = Duration::from_secs(1);
/// Lines after which one is due in any case.
const MANY: usize = 1_000;
/// Between two tries where a disk takes nothing.
const AGAIN: Duration = Duration::from_secs(1);
/// Refusals are told in intervals of this.
const INTERVAL: Duration = Duration::from_secs(10);
/// Bytes of old lines that are looked through for changes.
const LOOK: u64 = 64 << 20;

/// What a turn may put off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Haste {
    /// Commits and numbers that are told in intervals.
    Usual,
    /// Nothing that is a line already: somebody waits for it.
    Now,
    /// Nothing: it is the last turn.
    Last,
}

/// What the thread has in hand.
pub(super) struct Work {
    folder: PathBuf,
    files: Option<Files>,
    members: Members,
    /// Lines since the last commit, and the newest ticket among them.
    lines: usize,
    ticket: u64,
    committed: Instant,
    /// When a disk that took nothing is tried again.
    rests: Option<(Instant, String)>,
    /// Lines that were lost and of which no line tells yet, and since when.
    lost: u64,
    lost_since: u64,
    refused: Failures,
    told: Instant,
}

impl Work {
    pub(super) fn new(folder: &Path) -> Self {
        let now = Instant::now();
        Self {
            folder: folder.to_owned(),
            files: None,
            members: Members::default(),
            lines: 0,
            ticket: 0,
            committed: now,
            rests: None,
            lost: 0,
            lost_since: 0,
            refused: Failures::default(),
            told: now,
        }
    }

    /// Does what there is to do.
    pub(super) fn turn(&mut self, shared: &Shared, haste: Haste) {
        let rules = shared.rules();
        if self.rests.as_ref().is_some_and(|(until, _)| Instant::now() < *until) && haste == Haste::Usual {
            return self.lighten(shared, &rules);
        }
        match self.write(shared, &rules, haste) {
            Ok(short) => {
                self.rests = None;
                shared.stands(short.map(Trouble::Short));
            }
            Err(problem) => {
                let why = problem.to_string();
                self.rests = Some((Instant::now() + AGAIN, why.clone()));
                shared.stands(Some(Trouble::Failing(why)));
                self.lighten(shared, &rules);
            }
        }
    }

    /// While nothing can be written: calls that were let through are lost, where they are not kept waiting.
    fn lighten(&mut self, shared: &Shared, rules: &Rules) {
        if rules.settings.on_full == OnFull::DropAndAlert {
            let lost = shared.intakes().iter_mut().map(|intake| intake.take(usize::MAX, |_| {}) as u64).sum();
            self.lose(shared, lost);
        }
        self.collect(shared);
    }

    fn lose(&mut self, shared: &Shared, count: u64) {
        if count == 0 {
            return;
        }
        if self.lost == 0 {
            self.lost_since = clock::unix_millis();
            warn!(count, "lines of the audit log are lost");
        }
        self.lost += count;
        shared.lose(count);
    }

    /// Takes what is counted elsewhere.
    fn collect(&mut self, shared: &Shared) {
        let lost = shared.intakes().iter().map(Intake::lost).sum();
        self.lose(shared, lost);
        for intake in shared.intakes().iter() {
            self.refused.add(intake.failures());
        }
    }

    /// Writes everything that waits; where the disk is nearly full, what is said of that.
    fn write(&mut self, shared: &Shared, rules: &Rules, haste: Haste) -> io::Result<Option<String>> {
        if self.files.is_none() {
            self.open(shared)?;
        }
        if self.rests.is_some() {
            // What was sealed goes first, and nothing more is until it is on the disk.
            if let Some(files) = &mut self.files {
                files.commit()?;
            }
        }
        self.collect(shared);
        let short = self.is_short(rules)?;
        let mut urgent = self.seal_said(shared);
        if short.is_none() {
            self.seal_counts(haste);
        }
        loop {
            let count = if short.is_none() { self.seal_calls(shared, rules) } else { 0 };
            let Some(files) = &mut self.files else { return Ok(short) };
            files.write()?;
            let due = urgent || haste != Haste::Usual || self.lines >= MANY || self.committed.elapsed() >= COMMIT;
            if due && files.is_behind() {
                self.commit(shared, rules)?;
                urgent = false;
            }
            if count < MANY {
                break;
            }
        }
        if short.is_some() {
            self.lighten(shared, rules);
        }
        Ok(short)
    }

    fn open(&mut self, shared: &Shared) -> io::Result<()> {
        let named = |problem: io::Error| {
            io::Error::new(problem.kind(), format!("{}: {problem}", self.folder.join(NAME).display()))
        };
        let (files, found) = {
            let _renaming = lock(&shared.renaming);
            Files::open(&self.folder).map_err(named)?
        };
        shared.remember(changes(&self.folder).map_err(named)?);
        self.files = Some(files);
        self.begins(found);
        Ok(())
    }

    /// The first line of a process, with what it found.
    fn begins(&mut self, found: Found) {
        if found.headless {
            warn!("the head of the audit log is not there: lines that were cut off at its end would not be missed");
        }
        if found.shortened {
            warn!("the audit log is shorter than it was: `toolgate audit verify` tells which lines are missing");
        }
        let whole = |is: bool| u64::from(is);
        self.members
            .begin("start", clock::unix_millis())
            .text("version", env!("CARGO_PKG_VERSION"))
            .number("pid", u64::from(std::process::id()))
            .count("cut", found.cut)
            .count("headless", whole(found.headless))
            .count("shortened", whole(found.shortened));
        self.seal();
    }

    fn seal(&mut self) -> u64 {
        self.lines += 1;
        self.files.as_mut().map_or(0, |files| files.seal(self.members.bytes()))
    }

    /// Seals changes and events; whether there were any.
    fn seal_said(&mut self, shared: &Shared) -> bool {
        let (said, given_up) = shared.said();
        self.lose(shared, given_up);
        let any = !said.is_empty();
        for (ticket, said) in said {
            match said {
                Said::Change(record) => self.members.change(&record),
                Said::Event(members) => self.members.all(&members),
            }
            let number = self.seal();
            shared.numbered(ticket, number);
            self.ticket = ticket;
        }
        any
    }

    /// Seals what was counted: lines that were lost, and in intervals who was refused.
    fn seal_counts(&mut self, haste: Haste) {
        let now = clock::unix_millis();
        if self.lost > 0 {
            self.members.begin("lost", now).number("count", self.lost).number("since_ms", self.lost_since);
            self.seal();
            self.lost = 0;
        }
        if haste != Haste::Last && self.told.elapsed() < INTERVAL {
            return;
        }
        let span = u64::try_from(self.told.elapsed().as_millis()).unwrap_or_default();
        self.told = Instant::now();
        let (refused, others) = self.refused.take();
        for (refused, count) in refused {
            let address = refused.address.to_string();
            self.members
                .begin("refused", now)
                .text("address", &address)
                .text("listener", &refused.listener)
                .text("decision", "denied")
                .text("rule", refused.kind)
                .number("count", count)
                .number("within_ms", span);
            self.seal();
        }
        if others > 0 {
            self.members
                .begin("refused", now)
                .text("decision", "denied")
                .number("count", others)
                .number("within_ms", span);
            self.seal();
        }
    }

    /// Seals calls, so many at most; how many there were.
    fn seal_calls(&mut self, shared: &Shared, rules: &Rules) -> usize {
        let Self { files, members, lines, .. } = self;
        let Some(files) = files else { return 0 };
        let mut count = 0;
        for intake in shared.intakes().iter_mut() {
            count += intake.take(MANY - count, |record| {
                let said = members.whole(record, rules);
                let number = files.seal(said);
                if rules.settings.journal {
                    info!(target: AUDIT, number, line = %String::from_utf8_lossy(said), "a call");
                }
            });
        }
        *lines += count;
        count
    }

    fn commit(&mut self, shared: &Shared, rules: &Rules) -> io::Result<()> {
        let Some(files) = &mut self.files else { return Ok(()) };
        files.commit()?;
        self.committed = Instant::now();
        shared.committed(std::mem::take(&mut self.lines) as u64, self.ticket);
        let removed = {
            let _renaming = lock(&shared.renaming);
            files.turn(Bounds::of(&rules.settings), SystemTime::now())
        };
        match removed {
            Ok(None) => {}
            Ok(Some(removed)) => {
                self.members
                    .begin("removed", clock::unix_millis())
                    .number("files", u64::from(removed.files))
                    .number("first", removed.first)
                    .number("last", removed.last);
                self.seal();
            }
            Err(problem) => warn!("old files of the audit log cannot be removed: {problem}"),
        }
        Ok(())
    }

    /// Whether what is free is to be left to changes and to the rest of the state.
    fn is_short(&self, rules: &Rules) -> io::Result<Option<String>> {
        let least = rules.settings.min_free;
        if least == 0 {
            return Ok(None);
        }
        let said = statvfs(&self.folder)?;
        let free = said.f_bavail.saturating_mul(said.f_frsize);
        Ok((free < least).then(|| format!("{} MiB are free, of {} that are to be", free >> 20, least >> 20)))
    }
}

/// The newest changes of the last files, the oldest of them first.
fn changes(folder: &Path) -> io::Result<Vec<AuditRecord>> {
    let (mut found, mut looked) = (Vec::new(), 0);
    for name in [NAME.to_owned(), numbered(1)] {
        let lines = match Backwards::open(&folder.join(name)) {
            Err(problem) if problem.kind() == io::ErrorKind::NotFound => continue,
            opened => opened?,
        };
        for line in lines {
            let line = line?;
            looked += line.len() as u64;
            if looked > LOOK || found.len() >= REMEMBERED {
                break;
            }
            // Lines of before the chain have no kind: all of them are changes.
            let has = |what: &[u8]| memchr::memmem::find(&line, what).is_some();
            if has(br#","kind":"change","#) || !has(br#","prev":""#) {
                found.extend(serde_json::from_slice::<AuditRecord>(&line));
            }
        }
    }
    found.reverse();
    Ok(found)
}
