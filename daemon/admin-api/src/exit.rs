//! What the exit status of `toolgate` means.
//!
//! Scripts and units branch on these, so a number never changes its meaning.

/// Exit status, after sysexits where that has a word for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// Tried and failed.
    Failed = 1,
    /// The command line is wrong.
    Usage = 2,
    /// The daemon answers, and not everything that it needs works.
    Degraded = 3,
    /// The daemon cannot be reached (`EX_UNAVAILABLE`).
    Unreachable = 69,
    /// The kernel or the daemon said no (`EX_NOPERM`).
    Denied = 77,
    /// The configuration has errors (`EX_CONFIG`).
    BadConfiguration = 78,
}

impl Exit {
    /// The number itself.
    #[must_use]
    pub fn code(self) -> u8 {
        self as u8
    }
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
