//! What comes into the console, and what it wants done outside.

use crossterm::event::KeyEvent;
use serde_json::Value;
use toolgate_admin_api::{TailLine, WatchLine};

use super::super::actions::Request;
use super::Read;

/// What happens to the console.
#[derive(Debug)]
pub(crate) enum Input {
    Key(KeyEvent),
    /// Text that the terminal pasted.
    Paste(String),
    /// A row of the screen was clicked at, from its top.
    Click(u16),
    /// The wheel was turned, by lines.
    Wheel(isize),
    Feed(Feed),
    /// What became of a change, or would: by its ticket.
    Answered(u64, Result<Vec<Value>, Trouble>),
    /// What was asked for besides the watch.
    Told(Read, Result<Vec<u8>, Trouble>),
    /// A second has gone by.
    Tick,
}

/// What comes from the daemon, or from a recording.
#[derive(Debug)]
pub(crate) enum Feed {
    /// The watch has begun; changes can be made, or cannot.
    Connected(Privilege),
    Watch(Box<WatchLine>),
    Tail(Box<TailLine>),
    /// The watch has ended; it is tried again.
    Lost(String),
    /// Calls are not told as they end, and why; it is tried again.
    Untold(String),
    /// A recording is at its end.
    Ended,
}

/// What may be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Privilege {
    View,
    Control,
    /// It is a recording.
    Replay,
}

/// The connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Link {
    Connecting,
    Live,
    /// Why, and since when.
    Lost(String, u64),
    Ended,
}

/// Why something could not be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trouble {
    pub(crate) message: String,
    pub(crate) remedy: Option<String>,
    /// What else there is to read.
    pub(crate) lines: Vec<String>,
}

/// What is to be done outside.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Effect {
    Subscribe(Subscription),
    Read(Read),
    /// Makes changes one after the other, and tells of all under this ticket.
    Send(u64, Vec<Request>),
    Copy(String),
    Mouse(bool),
    Suspend,
    Quit,
}

/// What is wanted of the watch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Subscription {
    pub(crate) topics: Vec<&'static str>,
    pub(crate) interval_ms: u64,
    /// Further parameters of the request, such as `sessions.filter`.
    pub(crate) parameters: Vec<(String, String)>,
    /// Calls are wanted as they end, those with these words.
    pub(crate) tail: Option<String>,
    /// Grows when everything is to come anew.
    pub(crate) refresh: u64,
}
