//! The journal's own form: every value of a line is a field.
//!
//! A core makes the record and hands it to the log writer's thread, which sends it: the journal's socket blocks whoever
//! writes to it while the journal does not read. See <https://systemd.io/JOURNAL_NATIVE_PROTOCOL/>.

use std::fmt::{Debug, Write as _};
use std::io::{self, Write};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::Context;

use super::writer::Writer;

/// Where the journal takes records.
pub(super) const SOCKET: &str = "/run/systemd/journal/socket";

const IDENTIFIER: &str = "toolgated";

/// Before the names of fields that are no standard ones.
const PREFIX: &str = "TOOLGATE_";

/// Bytes of all values of a record: what fits into one datagram, with room for the names. The rest is cut off.
const LONGEST: usize = 96 * 1024;

/// The way to the journal; each write is a record.
pub(super) struct Journal {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Journal {
    /// Fails where nobody takes records there.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let journal = Self { socket: UnixDatagram::unbound()?, path: path.to_owned() };
        // The journal passes over an empty record.
        journal.socket.send_to(&[], &journal.path)?;
        Ok(journal)
    }
}

impl Write for Journal {
    fn write(&mut self, record: &[u8]) -> io::Result<usize> {
        // By its path, so that a journal that was started anew is found.
        self.socket.send_to(record, &self.path)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Makes a record of each event, and hands it over.
pub(super) struct Records(pub(super) Writer);

impl<S: Subscriber> Layer<S> for Records {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut record = Record::of(event.metadata());
        event.record(&mut record);
        // It only takes the record over.
        let _ = self.0.make_writer().write_all(&record.bytes);
    }
}

struct Record {
    bytes: Vec<u8>,
    /// Room for values.
    left: usize,
}

impl Record {
    fn of(metadata: &Metadata<'_>) -> Self {
        let mut record = Self { bytes: Vec::with_capacity(1024), left: LONGEST };
        record.put("PRIORITY", priority(*metadata.level()));
        record.put("TARGET", metadata.target());
        if let Some(file) = metadata.file() {
            record.put("CODE_FILE", file);
        }
        if let Some(line) = metadata.line() {
            record.put("CODE_LINE", &line.to_string());
        }
        record.put("SYSLOG_IDENTIFIER", IDENTIFIER);
        record
    }

    /// A field in the form that takes any value: name, length, value.
    fn put(&mut self, name: &str, value: &str) {
        let end = (0..=value.len().min(self.left)).rev().find(|end| value.is_char_boundary(*end));
        let value = &value[..end.unwrap_or_default()];
        self.left -= value.len();
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(b'\n');
        self.bytes.extend_from_slice(&(value.len() as u64).to_le_bytes());
        self.bytes.extend_from_slice(value.as_bytes());
        self.bytes.push(b'\n');
    }
}

impl Visit for Record {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(&name(field.name()), value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let mut text = String::new();
        // Writing into a string fails only where the value itself does.
        let _ = write!(text, "{value:?}");
        self.put(&name(field.name()), &text);
    }
}

/// As syslog counts: what is logged as information is worth a notice, and so on downwards.
fn priority(level: Level) -> &'static str {
    match level {
        Level::ERROR => "3",
        Level::WARN => "4",
        Level::INFO => "5",
        Level::DEBUG => "6",
        Level::TRACE => "7",
    }
}

/// A name as the journal takes it: capitals, digits and underscores.
fn name(field: &str) -> String {
    let name = field.replace('.', "_");
    let name = name.trim_start_matches('_').chars().filter(|letter| *letter == '_' || letter.is_ascii_alphanumeric());
    let prefix = if field == "message" { "" } else { PREFIX };
    prefix.chars().chain(name).map(|letter| letter.to_ascii_uppercase()).collect()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    fn journal() -> (tempfile::TempDir, UnixDatagram, Writer) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("socket");
        let socket = UnixDatagram::bind(&path).expect("binds");
        let writer = Writer::unbuffered(Journal::open(&path).expect("opens")).expect("starts");
        assert_eq!(socket.recv(&mut [0; 8]).expect("the first record"), 0);
        (folder, socket, writer)
    }

    fn field(name: &str, value: &str) -> Vec<u8> {
        [name.as_bytes(), b"\n", &(value.len() as u64).to_le_bytes(), value.as_bytes(), b"\n"].concat()
    }

    #[test]
    fn each_line_is_one_record_with_a_field_per_value() {
        let (_folder, socket, writer) = journal();
        let subscriber = tracing_subscriber::registry().with(Records(writer.clone()));
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(in_flight = 3, odd.name = %"a\nb", "Hello {}", "there");
            tracing::error!(text = "x".repeat(10 * LONGEST), "long");
        });
        writer.flush();
        let mut bytes = vec![0; 2 * LONGEST];
        let length = socket.recv(&mut bytes).expect("a record");
        let has = |wanted: &[u8]| memchr::memmem::find(&bytes[..length], wanted).is_some();
        assert!(has(&field("PRIORITY", "5")) && has(&field("SYSLOG_IDENTIFIER", "toolgated")));
        assert!(has(&field("TARGET", module_path!())) && has(&field("CODE_FILE", file!())));
        assert!(has(&field("MESSAGE", "Hello there")));
        assert!(has(&field("TOOLGATE_IN_FLIGHT", "3")) && has(&field("TOOLGATE_ODD_NAME", "a\nb")));
        let length = socket.recv(&mut bytes).expect("a record");
        assert!(length > LONGEST && bytes.starts_with(&field("PRIORITY", "3")));
    }

    #[test]
    fn a_journal_that_does_not_read_holds_up_nobody() {
        let (_folder, _socket, writer) = journal();
        let subscriber = tracing_subscriber::registry().with(Records(writer));
        let began = Instant::now();
        tracing::subscriber::with_default(subscriber, || {
            for _ in 0..20_000 {
                tracing::info!("a line");
            }
        });
        assert!(began.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn where_there_is_no_journal_the_log_does_not_start() {
        assert!(Journal::open(Path::new("/nowhere/socket")).is_err());
    }
}
