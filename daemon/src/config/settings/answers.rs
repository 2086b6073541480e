//! What the gate does with arguments on their way in, with answers on their way out, and with what tools claim to be.

use std::time::Duration;

/// What is said of tools and answers in `[server.NAME]`. The default is that nothing is done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answers {
    /// Arguments against `inputSchema`.
    pub guard: Guard,
    /// Bytes of an answer to a call.
    pub max_result: Option<usize>,
    /// Tools that are not what they were.
    pub pin: Pin,
    /// Answers that are kept.
    pub cache: Cache,
}

/// What becomes of arguments that do not fit `inputSchema`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Guard {
    /// They are not looked at.
    #[default]
    Off,
    /// They are logged and go to the server.
    Log,
    /// The caller is told what is wrong with them.
    Strict,
}

/// What becomes of a tool whose description or schema changes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Pin {
    /// Nothing is remembered.
    #[default]
    Off,
    /// The change is announced.
    Warn,
    /// The tool is withheld until the change is approved.
    Block,
}

/// Which answers of a server are kept, and how many.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cache {
    /// Lists and resources are kept for as long as the server's own `ttlMs` says.
    pub hints: bool,
    /// Answers.
    pub entries: usize,
    /// Bytes of all of them.
    pub size: usize,
    /// Tools whose answers are kept, by pattern in the order of the file.
    pub tools: Vec<(String, CachedTool)>,
}

/// How answers of a tool are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CachedTool {
    /// For how long.
    pub ttl: Duration,
    /// For everybody, and not for the client alone that called.
    pub shared: bool,
    /// For how long after that they are given while the server cannot be reached.
    pub stale: Option<Duration>,
}
