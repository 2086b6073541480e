//! Writing what was rendered, and reporting before there is a journal.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _, chown};
use std::os::unix::net::UnixDatagram;
use std::path::Path;

use super::NAME;
use super::units::{Unit, Units};

/// Whose members may read what is secret: the gate compares it with what it would render.
const GROUP: &str = "toolgate";

/// Where the journal listens.
const JOURNAL: &str = "/run/systemd/journal/socket";

/// Characters of a line; the kernel's log takes about a thousand bytes.
const LINE: usize = 400;

/// Writes all units; returns a sentence for each that could not be written.
pub(super) fn all(units: &Units, folder: &Path) -> Vec<String> {
    let group = units.iter().any(|(_, unit)| unit.secret).then(group).flatten();
    let written = units.iter().map(|(path, unit)| (path, one(&folder.join(path), unit, group)));
    let failed = written.filter_map(|(path, written)| Some((path, written.err()?)));
    failed.map(|(path, error)| format!("{} cannot be written: {error}", folder.join(path).display())).collect()
}

fn one(path: &Path, unit: &Unit, group: Option<u32>) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mode = if unit.secret { 0o600 } else { 0o644 };
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(path)?;
    file.write_all(unit.text.as_bytes())?;
    if let Some(group) = group.filter(|_| unit.secret) {
        chown(path, None, Some(group))?;
        fs::set_permissions(path, Permissions::from_mode(0o640))?;
    }
    Ok(())
}

/// The group's number from the file itself: services that know more names are not up yet.
fn group() -> Option<u32> {
    let groups = fs::read_to_string("/etc/group").ok()?;
    let line = groups.lines().find_map(|line| line.strip_prefix(GROUP)?.strip_prefix(':'))?;
    line.split(':').nth(1)?.parse().ok()
}

/// Says a problem in the journal, or before there is one in the kernel's log, which the journal
/// reads later; and on standard error.
pub(super) fn report(problem: &str) {
    eprintln!("{NAME}: {problem}");
    let words: String = problem.chars().take(LINE).map(|c| if c.is_control() { ' ' } else { c }).collect();
    let told = to_journal(&words).or_else(|_| {
        let line = format!("<4>{NAME}[{}]: {words}", std::process::id());
        OpenOptions::new().write(true).open("/dev/kmsg")?.write_all(line.as_bytes())
    });
    // Nobody is left to be told where this fails.
    let _ = told;
}

/// Never waits: systemd waits for us, and the journal may wait for systemd.
fn to_journal(words: &str) -> io::Result<()> {
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    let entry = format!("PRIORITY=4\nSYSLOG_IDENTIFIER={NAME}\nMESSAGE={words}\n");
    socket.send_to(entry.as_bytes(), JOURNAL).map(drop)
}
