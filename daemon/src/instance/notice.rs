//! The first and the last line of an instance's connection.
//!
//! `instance` writes them and `servers::stdio::connection` reads them; every line between belongs
//! to the server. A notice begins with NUL, which no JSON text can, so neither is ever mistaken.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The byte that a notice begins with.
pub const MARK: u8 = 0;

/// The first line: the connection has reached a wrapper which is about to start the command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The server's name, as the configuration has it.
    pub server: String,
    /// The wrapper's process id: the instance's identity in logs and in the console.
    pub pid: u32,
    /// The control group of the instance and nobody else, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cgroup: Option<PathBuf>,
}

/// The last line: the command has ended, and its processes with it as far as they could be killed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// Why the instance ended.
    pub cause: Cause,
    /// What the command passed to `exit`, unless a signal ended it.
    #[serde(default)]
    pub status: Option<i32>,
    /// The signal that ended the command.
    #[serde(default)]
    pub signal: Option<i32>,
    /// Why the command could not be started, with what to do about it.
    #[serde(default)]
    pub error: Option<String>,
    /// Processes of the instance that the kernel killed because memory ran out.
    #[serde(default)]
    pub oom_kills: u64,
    /// The most bytes of memory that it used, where that was counted.
    #[serde(default)]
    pub memory_peak: Option<u64>,
    /// The last lines that it wrote to stderr, oldest first.
    #[serde(default)]
    pub stderr: Vec<String>,
}

/// Why an instance ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cause {
    /// The command ended by itself: a crash, unless it had nothing left to do.
    #[default]
    Exited,
    /// The front hung up.
    Hangup,
    /// The keeper or systemd stops.
    Stopped,
    /// The command could not be started.
    Failed,
}

/// Encodes a notice as a whole line.
#[must_use]
pub fn line<T: Serialize>(notice: &T) -> Vec<u8> {
    let mut line = vec![MARK];
    // Notices hold strings and numbers only, which always encode.
    serde_json::to_writer(&mut line, notice).expect("a notice is plain data");
    line.push(b'\n');
    line
}

/// Decodes a line without its end, or `None` where it is not such a notice.
#[must_use]
pub fn parse<'a, T: Deserialize<'a>>(line: &'a [u8]) -> Option<T> {
    let (&MARK, json) = line.split_first()? else { return None };
    serde_json::from_slice(json).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_survives_its_line() {
        let exit = Exit { cause: Cause::Hangup, signal: Some(9), stderr: vec!["a\nb\0".to_owned()], ..Exit::default() };
        let line = line(&exit);
        let inner = line.strip_suffix(b"\n").unwrap();
        assert!(!inner.contains(&b'\n'), "one line only");
        assert_eq!(parse::<Exit>(inner), Some(exit));
    }

    #[test]
    fn a_message_is_no_notice() {
        assert_eq!(parse::<Exit>(br#"{"cause":"exited"}"#), None);
        assert_eq!(parse::<Hello>(b""), None);
        assert_eq!(parse::<Hello>(b"\0{\"cause\":\"exited\"}"), None);
    }

    #[test]
    fn fields_of_a_later_version_are_ignored() {
        let hello = parse::<Hello>(b"\0{\"server\":\"files\",\"pid\":7,\"unit\":\"x\"}");
        assert_eq!(hello, Some(Hello { server: "files".to_owned(), pid: 7, cgroup: None }));
    }
}
