//! The log: which lines, in which form, and where to.
//!
//! `main` starts it once; a reload of the configuration calls [`Logging::set`]. Under systemd each
//! value is a journal field of its own, on a terminal lines are for people, otherwise JSON.

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::writer::MakeWriterExt;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{Layer, Registry, fmt, reload};

use super::journal::{self, Journal, Records};
use super::rotated::Rotated;
use super::writer::Writer;
use crate::config::settings::{Log, LogFormat, Rotate};

/// The target of the line that every call leaves, governed by `log.access` and not by the level.
pub const ACCESS: &str = "toolgated::access";

/// The target of the record of changes, which is there at every level.
pub const AUDIT: &str = "toolgated::audit";

/// Files that are kept of all lines.
const ALL_KEPT: u32 = 10;

/// Files that are kept of errors.
const ERRORS_KEPT: u32 = 5;

/// The running log.
pub struct Logging {
    filter: reload::Handle<Targets, Registry>,
    writers: Vec<Writer>,
}

/// Why the log could not be started or changed.
#[derive(Debug)]
pub enum LogError {
    /// The level is none; the text says what one looks like.
    Level(String),
    /// The journal does not answer, or the thread could not be started.
    Output(io::Error),
    /// A file of the log cannot be written.
    File(PathBuf, io::Error),
    /// A log was already started in this process.
    Started,
}

impl std::fmt::Display for LogError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Level(text) => f.write_str(text),
            Self::Output(error) => write!(f, "The log cannot be written: {error}."),
            Self::File(path, error) => {
                write!(
                    f,
                    "The log's file {} cannot be written: {error}. Make the folder the daemon's, or remove `log.files`.",
                    path.display()
                )
            }
            Self::Started => f.write_str("A log was already started in this process."),
        }
    }
}

impl std::error::Error for LogError {}

impl From<io::Error> for LogError {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

impl From<TryInitError> for LogError {
    fn from(_: TryInitError) -> Self {
        Self::Started
    }
}

impl Logging {
    /// Starts the log of this process.
    pub fn start(settings: &Log) -> Result<Self, LogError> {
        let (filter, handle) = reload::Layer::new(targets(settings)?);
        let (layer, writer) = output(settings.format)?;
        let (mut layers, mut writers) = (vec![layer], vec![writer]);
        if let Some(folder) = &settings.files {
            files(folder, settings.rotate, &mut layers, &mut writers)?;
        }
        tracing_subscriber::registry().with(layers.with_filter(filter)).try_init()?;
        super::panics::log_them();
        Ok(Self { filter: handle, writers })
    }

    /// Takes a new level and access setting over. The form stays that of the start.
    pub fn set(&self, settings: &Log) -> Result<(), LogError> {
        let targets = targets(settings)?;
        self.filter.reload(targets).map_err(|error| LogError::Output(io::Error::other(error)))
    }

    /// Waits until what was logged is written, two seconds at most; the last thing a process does.
    pub fn flush(&self) {
        self.writers.iter().for_each(Writer::flush);
    }
}

/// A start that fails leaves early, and what it logged says why.
impl Drop for Logging {
    fn drop(&mut self) {
        self.flush();
    }
}

/// Checks a level as the configuration writes it; an error is a finished sentence.
pub fn check_level(level: &str) -> Result<(), String> {
    parse(level).map(drop)
}

fn parse(level: &str) -> Result<Targets, String> {
    // `Targets` takes a word that is no level for a module whose every line is wanted.
    let mut bare = level.split(',').map(str::trim).filter(|directive| !directive.contains('='));
    let levels = bare.all(|word| !word.is_empty() && word.parse::<LevelFilter>().is_ok());
    level.parse().ok().filter(|_| levels).ok_or_else(|| {
        format!(
            "`{level}` is no level: write error, warn, info, debug or trace, or directives such as \
             `info,toolgated::listen=debug`."
        )
    })
}

/// The level, with the access log switched by its own setting unless the level names it. Changes by hand are told at
/// any level, also where it names them.
fn targets(settings: &Log) -> Result<Targets, LogError> {
    let mut targets = parse(&settings.level).map_err(LogError::Level)?;
    if !targets.iter().any(|(target, level)| target == AUDIT && level >= LevelFilter::INFO) {
        targets = targets.with_target(AUDIT, LevelFilter::INFO);
    }
    if targets.iter().any(|(target, _)| target == ACCESS) {
        return Ok(targets);
    }
    let access = if settings.access { LevelFilter::INFO } else { LevelFilter::OFF };
    Ok(targets.with_target(ACCESS, access))
}

type BoxedLayer = Box<dyn Layer<Registry> + Send + Sync>;

fn output(format: LogFormat) -> io::Result<(BoxedLayer, Writer)> {
    match resolve(format) {
        LogFormat::Journald => {
            let writer = Writer::unbuffered(Journal::open(Path::new(journal::SOCKET))?)?;
            Ok((Records(writer.clone()).boxed(), writer))
        }
        LogFormat::Pretty => {
            let writer = Writer::start(io::stderr())?;
            Ok((pretty(writer.clone(), io::stderr().is_terminal()), writer))
        }
        LogFormat::Json | LogFormat::Auto => {
            let writer = Writer::start(io::stdout())?;
            Ok((json(writer.clone()), writer))
        }
    }
}

/// Files beside the log, for those who want some: all lines, and errors once more.
fn files(
    folder: &Path,
    rotate: Rotate,
    layers: &mut Vec<BoxedLayer>,
    writers: &mut Vec<Writer>,
) -> Result<(), LogError> {
    let open = |name: &str, kept| {
        let path = folder.join(name);
        let file = Rotated::open(path.clone(), rotate, kept);
        file.and_then(Writer::start).map_err(|error| LogError::File(path, error))
    };
    let (all, errors) = (open("all.log", ALL_KEPT)?, open("errors.log", ERRORS_KEPT)?);
    layers.push(json(all.clone()));
    let only_errors = errors.clone().with_max_level(tracing::Level::ERROR);
    layers.push(fmt::layer().json().flatten_event(true).with_current_span(false).with_writer(only_errors).boxed());
    writers.extend([all, errors]);
    Ok(())
}

fn resolve(format: LogFormat) -> LogFormat {
    match format {
        LogFormat::Auto if stderr_is_the_journal() => LogFormat::Journald,
        LogFormat::Auto if io::stderr().is_terminal() => LogFormat::Pretty,
        LogFormat::Auto => LogFormat::Json,
        written => written,
    }
}

/// Whether systemd gave this process the journal as standard error, and it still is.
fn stderr_is_the_journal() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else {
        return false;
    };
    rustix::fs::fstat(io::stderr()).is_ok_and(|stat| is_stream(&stream, stat.st_dev, stat.st_ino))
}

/// Whether `JOURNAL_STREAM` (`DEVICE:INODE`, in decimal) names this file.
fn is_stream(stream: &str, device: u64, inode: u64) -> bool {
    stream == format!("{device}:{inode}")
}

fn json(writer: Writer) -> BoxedLayer {
    fmt::layer().json().flatten_event(true).with_current_span(false).with_writer(writer).boxed()
}

fn pretty(writer: Writer, colours: bool) -> BoxedLayer {
    fmt::layer().with_ansi(colours).with_writer(writer).boxed()
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing::Level;

    use super::*;

    fn log(level: &str, access: bool) -> Log {
        Log { level: level.into(), format: LogFormat::Json, access, files: None, rotate: Rotate::Size }
    }

    fn enabled(settings: &Log, target: &str, level: Level) -> bool {
        targets(settings).expect("parses").would_enable(target, &level)
    }

    #[test]
    fn the_access_log_has_a_switch_of_its_own() {
        assert!(enabled(&log("error", true), ACCESS, Level::INFO));
        assert!(!enabled(&log("debug", false), ACCESS, Level::ERROR));
        assert!(enabled(&log("error,toolgated::access=debug", false), ACCESS, Level::DEBUG));
    }

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("page").extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_of_json_holds_each_value_and_a_new_level_counts_at_once() {
        let page = Page::default();
        let writer = Writer::start(page.clone()).expect("starts");
        let (filter, handle) = reload::Layer::new(targets(&log("info", true)).expect("parses"));
        let subscriber = tracing_subscriber::registry().with(json(writer.clone()).with_filter(filter));
        let logging = Logging { filter: handle, writers: vec![writer] };
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(server = "files", in_flight = 3, "Hello\nthere");
            tracing::debug!("too fine");
            logging.set(&log("debug", true)).expect("sets");
            tracing::debug!("fine");
            tracing::info!(target: ACCESS, "a call");
            logging.set(&log("debug", false)).expect("sets");
            tracing::info!(target: ACCESS, "another call");
        });
        logging.flush();
        let text = String::from_utf8(page.0.lock().expect("page").clone()).expect("text");
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        assert_eq!(lines[0]["server"], "files");
        assert_eq!(lines[0]["in_flight"], 3);
        assert_eq!(lines[0]["level"], "INFO");
        let messages: Vec<_> = lines.iter().map(|line| line["message"].as_str().expect("text")).collect();
        assert_eq!(messages, ["Hello\nthere", "fine", "a call"]);
    }

    #[test]
    fn files_get_all_lines_and_errors_once_more() {
        let folder = tempfile::tempdir().expect("a folder");
        let (mut layers, mut writers) = (Vec::new(), Vec::new());
        files(folder.path(), Rotate::Size, &mut layers, &mut writers).expect("opens");
        let (filter, _handle) = reload::Layer::new(targets(&log("info", true)).expect("parses"));
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layers.with_filter(filter)), || {
            tracing::info!("fine");
            tracing::debug!("too fine");
            tracing::error!("broken");
        });
        writers.iter().for_each(Writer::flush);
        let lines = |name: &str| std::fs::read_to_string(folder.path().join(name)).expect("a file").lines().count();
        assert_eq!((lines("all.log"), lines("errors.log")), (2, 1));
        let nowhere = files(Path::new("/nowhere"), Rotate::Size, &mut Vec::new(), &mut Vec::new());
        assert!(nowhere.expect_err("no folder").to_string().contains("/nowhere/all.log"));
    }

    #[test]
    fn no_level_switches_the_record_of_changes_off() {
        for level in ["off", "error", "info,toolgated::audit=off", "debug,toolgated::audit=warn", "toolgated=error"] {
            assert!(enabled(&log(level, true), AUDIT, Level::INFO), "{level}");
        }
        assert!(enabled(&log("info,toolgated::audit=debug", true), AUDIT, Level::DEBUG));
    }

    #[test]
    fn a_module_may_have_a_level_of_its_own() {
        let settings = log("warn,toolgated::listen=debug", true);
        assert!(enabled(&settings, "toolgated::listen::tls", Level::DEBUG));
        assert!(!enabled(&settings, "toolgated::admin", Level::INFO));
    }

    #[test]
    fn what_is_no_level_is_refused_with_an_example() {
        for level in ["info,listen=loud", "inof", "", "info,listen"] {
            let text = check_level(level).expect_err("refuses");
            assert!(text.contains("toolgated::listen=debug"), "{text}");
        }
        assert!(check_level("info").is_ok());
    }

    #[test]
    fn the_journal_is_recognised_by_device_and_inode() {
        assert!(is_stream("9:1234", 9, 1234));
        assert!(!is_stream("9:1234", 9, 123));
        assert!(!is_stream("", 9, 1234));
    }
}
