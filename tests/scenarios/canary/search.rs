//! Looks for canaries in files, whatever form they have there.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use toolgate_tests::gate::Gate;

use super::places::Canaries;

/// A canary, and where it was found.
pub(crate) struct Found {
    pub(crate) place: &'static str,
    form: &'static str,
    file: PathBuf,
    around: String,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} as {} in {}: {}", self.place, self.form, self.file.display(), self.around)
    }
}

/// A secret as it may have been written: as it is, and encoded.
pub(crate) fn forms(secret: &str) -> Vec<(&'static str, Vec<u8>)> {
    let mut forms = vec![("text", secret.as_bytes().to_vec()), ("hexadecimal", hex(secret.as_bytes()).into_bytes())];
    forms.push(("upper hexadecimal", hex(secret.as_bytes()).to_uppercase().into_bytes()));
    forms.push(("percent-encoding", secret.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D").into_bytes()));
    forms.push(("escaped JSON", secret.replace('/', "\\/").into_bytes()));
    forms.push(("bytes in a list", list(secret.as_bytes()).into_bytes()));
    // What it is the text of: a key.
    let digits = secret.get(..64).unwrap_or_default();
    let bytes: Vec<u8> =
        (0..digits.len() / 2).filter_map(|at| u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).ok()).collect();
    for (name, bytes) in [("base64", secret.as_bytes()), ("base64 of what it is the text of", &bytes)] {
        forms.extend(base64(bytes).into_iter().map(|form| (name, form)));
    }
    forms.push(("bytes", bytes));
    // A secret that is no key is the text of nothing.
    forms.retain(|(_, bytes)| bytes.len() >= 16);
    forms
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

/// As a vector is printed.
fn list(bytes: &[u8]) -> String {
    bytes.iter().map(u8::to_string).collect::<Vec<_>>().join(", ")
}

/// Both alphabets, at each place within three bytes, without what its neighbours have a part in.
fn base64(bytes: &[u8]) -> Vec<Vec<u8>> {
    const LETTERS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let mut forms = Vec::new();
    for [plus, slash] in [*b"+/", *b"-_"] {
        let letter = |value: u32| match value {
            62 => plus,
            63 => slash,
            value => LETTERS[value as usize],
        };
        for skip in 0..3 {
            let whole = bytes.get(skip..).unwrap_or_default().chunks_exact(3);
            let text = whole.flat_map(|three| {
                let bits = u32::from(three[0]) << 16 | u32::from(three[1]) << 8 | u32::from(three[2]);
                [18, 12, 6, 0].map(|shift| letter(bits >> shift & 63))
            });
            forms.push(text.collect());
        }
    }
    forms
}

/// Every canary that is in a file below the folder; `resting` are files where it may be.
pub(crate) fn search(canaries: &Canaries, folder: &Path, resting: &[PathBuf]) -> Vec<Found> {
    let patterns: Vec<_> = canaries
        .all()
        .iter()
        .flat_map(|canary| forms(&canary.secret).into_iter().map(|(form, bytes)| (canary.place, form, bytes)))
        .collect();
    // By their first bytes, so that a long log is read once.
    let mut starts: BTreeMap<[u8; 6], Vec<usize>> = BTreeMap::new();
    for (index, (.., bytes)) in patterns.iter().enumerate() {
        starts.entry(bytes[..6].try_into().expect("a canary is longer")).or_default().push(index);
    }
    let mut found = Vec::new();
    for file in files(folder).into_iter().filter(|file| !resting.contains(file)) {
        let Ok(text) = std::fs::read(&file) else { continue };
        for (at, window) in text.windows(6).enumerate() {
            let start: [u8; 6] = window.try_into().expect("six bytes");
            for index in starts.get(&start).into_iter().flatten() {
                let (place, form, bytes) = &patterns[*index];
                if text[at..].starts_with(bytes) {
                    let around = String::from_utf8_lossy(&text[at.saturating_sub(200)..at]).into_owned();
                    found.push(Found { place, form, file: file.clone(), around });
                }
            }
        }
    }
    found
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let (mut files, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).into_iter().flatten().flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(entry.path()),
                Ok(kind) if kind.is_file() => files.push(entry.path()),
                _ => {}
            }
        }
    }
    files
}

/// Command lines of the gate, the keeper and of all that they started, and the environments of all of toolgate's own: a
/// command of a server has in its environment what the configuration gives it there.
pub(crate) fn processes(gate: &Gate) -> Vec<u8> {
    let own: Vec<_> = [Some(gate.pid()), gate.keeper_pid()].into_iter().flatten().collect();
    let all = family(&own);
    let mut seen = Vec::new();
    for pid in all {
        let read = |what: &str| std::fs::read(format!("/proc/{pid}/{what}")).unwrap_or_default();
        let line = read("cmdline");
        if String::from_utf8_lossy(&line).split('\0').next().is_some_and(|program| program.ends_with("toolgated")) {
            seen.extend(read("environ"));
        }
        seen.extend(line);
        seen.push(b'\n');
    }
    seen
}

/// These processes and all that come from them.
fn family(own: &[u32]) -> Vec<u32> {
    let parents: Vec<(u32, u32)> = std::fs::read_dir("/proc")
        .expect("/proc")
        .filter_map(|entry| {
            let pid: u32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            Some((pid, stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()?))
        })
        .collect();
    let mut family = own.to_vec();
    let mut next = 0;
    while let Some(parent) = family.get(next).copied() {
        family.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| *pid));
        next += 1;
    }
    family
}
