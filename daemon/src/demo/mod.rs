//! `toolgated demo`: a whole gate on a free loopback port, with nothing but this binary.
//!
//! It plays the part of an operator: it writes a configuration, a certificate and a key into a
//! throw-away folder, starts the keeper, a server over HTTP and the gate itself as processes of
//! their own, and takes everything away again when it ends.

mod folder;
mod greeting;
pub mod server;

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use clap::Args;

use crate::lifecycle::signals;
use folder::Folder;

/// How long the parts may take to come up.
const START: Duration = Duration::from_secs(20);
/// How long they may take to end by themselves.
const END: Duration = Duration::from_secs(10);

/// Try the gate: a TLS endpoint with two small MCP servers, until Ctrl-C.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Listen on this port instead of a free one
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub port: u16,
    /// Print one line of JSON when ready
    #[arg(long)]
    pub json: bool,
}

/// Runs the demo until it is told to stop.
#[must_use]
pub fn run(args: &DemoArgs) -> ExitCode {
    match play(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("toolgated demo: {problem}");
            ExitCode::FAILURE
        }
    }
}

fn play(args: &DemoArgs) -> io::Result<()> {
    let mut requests = signals::listen()?;
    let folder = Folder::create()?;
    let port = free_port(args.port)?;
    let upstream = free_port(0)?;
    let key = folder.write(port, upstream)?;
    let mut parts = Parts::default();
    parts.start("keeper", &["keeper", "--end-with-parent", "--config", folder.config_text()])?;
    parts.start("clock", &["demo-server", "--end-with-parent", "--http", &format!("127.0.0.1:{upstream}")])?;
    wait_until("the keeper", || folder.path().join("run/servers/toys.sock").exists(), &mut parts)?;
    parts.start("gate", &["run", "--config", folder.config_text()])?;
    let view = folder.path().join("run/view/view.sock");
    wait_until("the gate", || answers(port) && view.exists(), &mut parts)?;
    greeting::print(args.json, port, folder.path(), &key);
    loop {
        if requests.try_recv().is_ok() {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
        if let Some(name) = parts.ended()? {
            return Err(io::Error::other(format!("the {name} ended by itself; what it said stands above")));
        }
    }
    parts.end();
    Ok(())
}

/// A port that nobody listens on; a given one is only checked.
fn free_port(wanted: u16) -> io::Result<u16> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, wanted));
    let socket = TcpListener::bind(address)
        .map_err(|problem| io::Error::new(problem.kind(), format!("port {wanted} cannot be used: {problem}")))?;
    Ok(socket.local_addr()?.port())
}

fn answers(port: u16) -> bool {
    std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
}

fn wait_until(what: &str, ready: impl Fn() -> bool, parts: &mut Parts) -> io::Result<()> {
    let deadline = Instant::now() + START;
    while !ready() {
        if let Some(name) = parts.ended()? {
            return Err(io::Error::other(format!("the {name} ended by itself; what it said stands above")));
        }
        if Instant::now() > deadline {
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                format!("{what} did not come up within {} s", START.as_secs()),
            ));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

/// The demo's processes; none of them outlives it.
#[derive(Default)]
struct Parts(Vec<(&'static str, Child)>);

impl Parts {
    fn start(&mut self, name: &'static str, arguments: &[&str]) -> io::Result<()> {
        let program = std::env::current_exe()?;
        let child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .env("RUST_LOG", "warn")
            .spawn()?;
        self.0.push((name, child));
        Ok(())
    }

    /// A part that has ended although nobody told it to.
    fn ended(&mut self) -> io::Result<Option<&'static str>> {
        for (name, child) in &mut self.0 {
            if child.try_wait()?.is_some() {
                return Ok(Some(name));
            }
        }
        Ok(None)
    }

    /// Ends the gate first, then what stands behind it.
    fn end(&mut self) {
        for (_, mut child) in self.0.drain(..).rev() {
            terminate(&child);
            let deadline = Instant::now() + END;
            while matches!(child.try_wait(), Ok(None)) && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(10));
            }
            // Both fail only where the process is gone already.
            drop(child.kill());
            drop(child.wait());
        }
    }
}

impl Drop for Parts {
    fn drop(&mut self) {
        self.end();
    }
}

fn terminate(child: &Child) {
    let pid = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw);
    if let Some(pid) = pid {
        // It fails only where the process is gone already.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    }
}

/// The folder of the configuration that is being written.
fn text(path: &Path) -> String {
    path.display().to_string()
}
