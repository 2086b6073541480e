//! `toolgated instance`: the wrapper around one run of a stdio server's command.
//!
//! systemd or the keeper starts it with an accepted connection as standard input; the command gets
//! that connection itself, so nothing is copied. When the wrapper has exited, no process of the
//! command is left: it is a subreaper, and whoever started it kills what it could not.

mod confine;
mod environment;
pub(crate) mod family;
pub mod notice;
pub(crate) mod signals;
mod stderr;
mod watch;

use std::fmt;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{SendFlags, send};
use rustix::process::{Pid, WaitStatus};

use crate::cgroup::{self, Usage};
use notice::{Cause, Exit, Hello};
use signals::Signals;

/// How long the last line may take to be written to a front that does not read.
const LAST_LINE_TIME: Duration = Duration::from_secs(1);

/// How long processes may be killed one by one; what is left then falls to whoever started us.
const END_TIME: Duration = Duration::from_secs(2);

/// Arguments of `toolgated instance`. The keeper and the systemd generator write them.
#[derive(Debug, Clone, Default, PartialEq, Eq, clap::Args)]
pub struct InstanceArgs {
    /// The server's name
    pub name: String,
    /// Working directory of the command
    #[arg(long, value_name = "DIR")]
    pub directory: Option<PathBuf>,
    /// Standard output carries `NAME=VALUE` pairs, each ended by NUL, for the command's environment
    #[arg(long)]
    pub environment_on_stdout: bool,
    /// A file in `$CREDENTIALS_DIRECTORY` with such pairs
    #[arg(long, value_name = "CREDENTIAL")]
    pub environment_credential: Option<String>,
    /// Set VAR to the content of a file in `$CREDENTIALS_DIRECTORY`
    #[arg(long = "secret", value_name = "VAR=CREDENTIAL")]
    pub secrets: Vec<String>,
    /// Let the command read only here, and where programs and libraries are
    #[arg(long = "read", value_name = "PATH")]
    pub read: Vec<PathBuf>,
    /// Let the command read and write only here
    #[arg(long = "write", value_name = "PATH")]
    pub write: Vec<PathBuf>,
    /// Bytes of memory that each process may fill
    #[arg(long, value_name = "BYTES")]
    pub memory: Option<u64>,
    /// Join this control group first
    #[arg(long, value_name = "DIR")]
    pub cgroup: Option<PathBuf>,
    /// End when this process, which must be the parent, ends
    #[arg(long, value_name = "PID")]
    pub keeper: Option<i32>,
    /// The program and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

/// Runs one instance to its end and tells the front how it ended.
///
/// Exits with 0 once no process of the command is left, whatever the command's own status was,
/// and with 1 where descendants could not be found or killed.
#[must_use]
pub fn run(args: &InstanceArgs) -> ExitCode {
    let pid = rustix::process::getpid().as_raw_nonzero().get().unsigned_abs();
    let connection = match io::stdin().as_fd().try_clone_to_owned() {
        Ok(connection) => connection,
        Err(e) => {
            eprintln!("toolgated instance: standard input must be an accepted connection: {e}");
            return ExitCode::from(1);
        }
    };
    let group = group(args);
    write_line(&connection, &notice::line(&Hello { server: args.name.clone(), pid, cgroup: group.clone() }));
    let (mut exit, clean) = match start(args, &connection) {
        Ok(running) => running.finish(&connection),
        Err(e) => (Exit { cause: Cause::Failed, error: Some(e.to_string()), ..Exit::default() }, true),
    };
    if let Some(used) = group.as_deref().map(Usage::of) {
        (exit.oom_kills, exit.memory_peak) = (used.oom_kills.unwrap_or(0), used.memory_peak);
    }
    if let Some(error) = &exit.error {
        eprintln!("toolgated instance {}: {error}", args.name);
    }
    // The newline ends whatever the command left unfinished; the front skips empty lines.
    write_line(&connection, &[b"\n", &notice::line(&exit)[..]].concat());
    ExitCode::from(u8::from(!clean))
}

/// The control group that is the instance's own: the keeper's, where it made one, else the unit's.
fn group(args: &InstanceArgs) -> Option<PathBuf> {
    if args.cgroup.is_some() || args.keeper.is_some() {
        return args.cgroup.clone();
    }
    cgroup::own().ok()
}

/// A started command.
struct Running {
    child: Pid,
    stderr: stderr::Drain,
    signals: Signals,
}

fn start(args: &InstanceArgs, connection: &OwnedFd) -> Result<Running, StartError> {
    // Before anything is started, so that no signal falls between.
    let signals = Signals::register().map_err(StartError::Signals)?;
    let environment = environment::read(args).map_err(StartError::Environment)?;
    confine::apply(args).map_err(StartError::Confine)?;
    let mut child =
        spawn(args, environment, connection).map_err(|e| StartError::Command(args.command[0].clone(), e))?;
    // The journal knows the unit; behind a keeper, all instances share one stderr.
    let prefix = if args.keeper.is_some() { format!("{}: ", args.name) } else { String::new() };
    let stderr = stderr::Drain::start(child.stderr.take(), prefix);
    let child = Pid::from_child(&child);
    Ok(Running { child, stderr, signals })
}

fn spawn(args: &InstanceArgs, environment: environment::Environment, connection: &OwnedFd) -> io::Result<Child> {
    let mut command = Command::new(&args.command[0]);
    command.args(&args.command[1..]).env_clear().envs(environment);
    command
        .stdin(Stdio::from(connection.try_clone()?))
        .stdout(Stdio::from(connection.try_clone()?))
        .stderr(Stdio::piped());
    if let Some(directory) = &args.directory {
        command.current_dir(directory);
    }
    command.process_group(0).spawn()
}

impl Running {
    /// Waits for the end, ends what is left, and says how it was; false where something may be left.
    fn finish(self, connection: &OwnedFd) -> (Exit, bool) {
        let (cause, mut status) = watch::until_end(self.child, connection, &self.signals);
        let deadline = Instant::now() + END_TIME;
        let ended = family::end_all(deadline, |pid, ended| {
            if pid == self.child {
                status = Some(ended);
            }
        });
        if let Err(e) = &ended {
            eprintln!("toolgated instance: the command's processes cannot all be ended: {e}");
        }
        let exit = Exit {
            cause,
            status: status.and_then(WaitStatus::exit_status),
            signal: status.and_then(WaitStatus::terminating_signal),
            stderr: self.stderr.finish(),
            ..Exit::default()
        };
        (exit, ended.is_ok())
    }
}

/// Why the command could not be started.
#[derive(Debug)]
enum StartError {
    Signals(io::Error),
    Environment(String),
    Confine(String),
    Command(String, io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Signals(e) => write!(f, "cannot watch for signals: {e}"),
            Self::Environment(e) | Self::Confine(e) => f.write_str(e),
            Self::Command(program, e) if e.kind() == io::ErrorKind::NotFound => {
                write!(
                    f,
                    "cannot start {program}: no such program or working directory; install it, or write its absolute path"
                )
            }
            Self::Command(program, e) => write!(f, "cannot start {program}: {e}"),
        }
    }
}

/// Writes as much as the front takes within a second; a front that is gone does not matter.
///
/// Never blocks and never trusts the descriptor's mode: the command shares it and may change it.
fn write_line(connection: &OwnedFd, mut line: &[u8]) {
    let deadline = Instant::now() + LAST_LINE_TIME;
    while !line.is_empty() {
        match send(connection, line, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
            Ok(sent) => line = &line[sent..],
            Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::AGAIN) => {
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero()
                    || poll(&mut [PollFd::new(connection, PollFlags::OUT)], Some(&timespec(left))).is_err()
                {
                    return;
                }
            }
            Err(_) => return,
        }
    }
}

/// A duration as `poll` wants it.
pub(crate) fn timespec(duration: Duration) -> Timespec {
    Timespec { tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX), tv_nsec: duration.subsec_nanos().into() }
}
