//! What reached a fake: a file, so that a process can write and a scenario read it.
//!
//! One line per message: who took it (a process id or a session), the request's headers, the message as a
//! JSON string, so that it may hold line ends. Beside it lies what the tool `told` answers.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::wait;

/// Stands in what [`Record::tell`] is given where the id of the request goes.
pub const ID: char = '\u{1}';
/// The same for the request's progress token.
pub const TOKEN: char = '\u{2}';

/// Where a fake writes.
#[derive(Debug, Clone)]
pub struct Record {
    path: PathBuf,
    /// Removed with the last reader.
    _folder: Option<Arc<TempDir>>,
}

/// One message that reached a fake, or the end of a connection (`{"closed":true}`).
#[derive(Debug, Clone)]
pub struct Received {
    /// Process id or session id; empty where there is neither.
    pub who: String,
    /// Names in lower case.
    pub headers: Value,
    /// As it came.
    pub text: String,
    /// The same, read; null where it holds what a `Value` cannot.
    pub message: Value,
    /// Its method; empty where it has none.
    pub method: String,
}

impl Received {
    /// Whether it is the notification that another request is cancelled.
    #[must_use]
    pub fn cancels(&self, other: &Self) -> bool {
        self.method == "notifications/cancelled" && self.message["params"]["requestId"] == other.message["id"]
    }
}

impl Record {
    /// A new, empty record in a folder of its own.
    ///
    /// # Panics
    /// When there is no room for it.
    #[must_use]
    pub fn create() -> Self {
        let folder = tempfile::Builder::new().prefix("toolgate-record-").tempdir().expect("a folder");
        let path = folder.path().join("record");
        File::create(&path).expect("a file");
        Self { path, _folder: Some(Arc::new(folder)) }
    }

    /// A record that another process made.
    #[must_use]
    pub fn open(path: &Path) -> Self {
        Self { path: path.to_owned(), _folder: None }
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds a message; appends are whole lines, whoever else writes.
    ///
    /// # Panics
    /// When the file is gone.
    pub fn write(&self, who: &str, headers: &Value, text: &str) {
        let mut file = OpenOptions::new().append(true).open(&self.path).expect("the record");
        let text = serde_json::to_string(text).expect("text");
        file.write_all(format!("{who}\t{headers}\t{text}\n").as_bytes()).expect("the record");
    }

    /// Forgets what reached the fake so far.
    ///
    /// # Panics
    /// When the file is gone.
    pub fn clear(&self) {
        File::create(&self.path).expect("the record");
    }

    /// Makes the tool `told` answer with exactly `body`, in which [`ID`] and [`TOKEN`] stand for the raw ones of the
    /// request. Over HTTP it is of the type `media_type`, behind which `|` begins further header lines;
    /// over stdio a line end follows it.
    ///
    /// # Panics
    /// When there is no room for it.
    pub fn tell(&self, media_type: &str, body: &str) {
        fs::write(self.told_path(), format!("{media_type}\n{body}")).expect("a file");
    }

    /// What [`Record::tell`] was given last: media type and body.
    pub(super) fn told(&self) -> Option<(String, String)> {
        let told = fs::read_to_string(self.told_path()).ok()?;
        told.split_once('\n').map(|(media_type, body)| (media_type.to_owned(), body.to_owned()))
    }

    /// Makes the server offer exactly these tools and prompts, a list that never ends, or another version of itself: see
    /// [`Offer`].
    ///
    /// # Panics
    /// When there is no room for it.
    pub fn offer(&self, offer: &Offer) {
        fs::write(self.path.with_extension("offer"), serde_json::to_vec(offer).expect("JSON")).expect("a file");
    }

    /// What [`Record::offer`] was given last.
    pub(super) fn offered(&self) -> Option<Offer> {
        serde_json::from_slice(&fs::read(self.path.with_extension("offer")).ok()?).ok()
    }

    fn told_path(&self) -> PathBuf {
        self.path.with_extension("told")
    }

    /// Everything so far, in order.
    ///
    /// # Panics
    /// When the file cannot be read.
    #[must_use]
    pub fn all(&self) -> Vec<Received> {
        let text = std::fs::read_to_string(&self.path).expect("the record");
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole.lines().filter_map(parse).collect()
    }

    /// Messages with this method, in order.
    #[must_use]
    pub fn of(&self, method: &str) -> Vec<Received> {
        self.all().into_iter().filter(|received| received.method == method).collect()
    }

    /// Waits for the first message for which `wanted` holds.
    ///
    /// # Panics
    /// When it does not come.
    pub async fn until(&self, what: &str, wanted: impl Fn(&Received) -> bool) -> Received {
        wait::until(what, || std::future::ready(self.all().into_iter().find(|received| wanted(received)))).await
    }

    /// Waits until a request is cancelled.
    ///
    /// # Panics
    /// When it is not.
    pub async fn until_cancelled(&self, request: &Received) -> Received {
        self.until("the cancellation", |received| received.cancels(request)).await
    }

    /// Waits for a call of a tool.
    ///
    /// # Panics
    /// When it does not come.
    pub async fn until_called(&self, tool: &str) -> Received {
        self.until(&format!("a call of {tool}"), |received| {
            received.message["method"] == "tools/call" && received.message["params"]["name"] == tool
        })
        .await
    }
}

/// What a server lists instead of its usual things.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
pub struct Offer {
    /// Names of its tools, and of its prompts as well.
    pub names: Vec<String>,
    /// The next page's cursor of every page.
    pub cursor: Option<String>,
    /// Members of every page beside.
    pub hints: Value,
    /// It does not answer.
    pub silent: bool,
    /// It answers with what [`Record::tell`] was given.
    pub told: bool,
    /// What it says of each tool; null for nothing.
    pub description: Value,
    /// The tools' `inputSchema`; null for any object.
    pub schema: Value,
    /// The tools' `annotations`; null for none.
    pub annotations: Value,
    /// What the server says that its version is; 1 where that is nothing.
    pub version: Option<String>,
}

/// A message of which only the method is read, whatever else it holds.
#[derive(Deserialize)]
struct Named {
    method: String,
}

fn parse(line: &str) -> Option<Received> {
    let (who, rest) = line.split_once('\t')?;
    let (headers, text) = rest.split_once('\t')?;
    let text: String = serde_json::from_str(text).ok()?;
    Some(Received {
        who: who.to_owned(),
        headers: serde_json::from_str(headers).unwrap_or_else(|_| json!({})),
        message: serde_json::from_str(&text).unwrap_or_default(),
        method: serde_json::from_str::<Named>(&text).map(|named| named.method).unwrap_or_default(),
        text,
    })
}
