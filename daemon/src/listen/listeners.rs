//! All listeners together: opened at the start, followed through reloads, closed by the drain.
//!
//! `run` owns it. A reload opens and closes sockets; it never touches a connection.

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use arc_swap::ArcSwap;

use super::accept::Acceptor;
use super::admission::Admission;
use super::bind::{self, Passed};
use super::open::{OpenError, OpenListener};
use super::renewal::Renewal;
use crate::config::Settings;
use crate::config::settings::Listener;
use crate::cores::Cores;
use crate::generator;

/// One listener and where it accepts.
#[derive(Debug)]
struct Entry {
    listener: Arc<OpenListener>,
    /// As the configuration writes it, and as the system gave it (they differ in port 0).
    sockets: Vec<(SocketAddr, SocketAddr)>,
    /// Whether systemd holds its sockets: then only systemd can change them.
    passed: bool,
}

/// The open listeners.
#[derive(Debug)]
pub struct Listeners {
    acceptor: Acceptor,
    renewal: Renewal,
    entries: BTreeMap<String, Entry>,
}

impl Listeners {
    /// Opens every listener, or none: all errors are returned.
    pub fn open(settings: &Arc<ArcSwap<Settings>>, cores: &Cores, passed: &mut Passed) -> Result<Self, Vec<OpenError>> {
        let mut listeners = Self::start(settings, cores).map_err(|error| {
            let problem = format!("a thread cannot be started: {error}");
            vec![OpenError { listener: "all".into(), problem }]
        })?;
        let mut errors = Vec::new();
        let mut bound = Vec::new();
        for settings in &settings.load().listeners {
            match (OpenListener::new(settings), sockets(settings, passed)) {
                (Ok(listener), Ok((sockets, passed))) => {
                    bound.push((settings.name.clone(), Arc::new(listener), sockets, passed));
                }
                (listener, sockets) => {
                    errors.extend(listener.err());
                    errors.extend(sockets.err());
                }
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        for (name, listener, sockets, passed) in bound {
            let mut entry = Entry { listener, sockets: Vec::new(), passed };
            for (written, socket) in sockets {
                listeners.accept(&mut entry, written, socket).map_err(|error| vec![error])?;
            }
            listeners.entries.insert(name, entry);
        }
        listeners.follow();
        Ok(listeners)
    }

    fn start(settings: &Arc<ArcSwap<Settings>>, cores: &Cores) -> io::Result<Self> {
        let acceptor = Acceptor::start(Admission::new(settings.clone()), cores.clone())?;
        Ok(Self { acceptor, renewal: Renewal::start()?, entries: BTreeMap::new() })
    }

    fn follow(&self) {
        self.renewal.follow(self.entries.values().map(|entry| entry.listener.clone()).collect());
    }

    fn accept(&self, entry: &mut Entry, written: SocketAddr, socket: TcpListener) -> Result<(), OpenError> {
        let local = socket.local_addr();
        let opened = local.and_then(|local| {
            self.acceptor.open(socket, entry.listener.clone())?;
            Ok(local)
        });
        let local = opened.map_err(|error| OpenError {
            listener: entry.listener.settings().name.clone(),
            problem: format!("{written} cannot be listened on: {error}"),
        })?;
        entry.sockets.push((written, local));
        Ok(())
    }

    /// Follows an accepted configuration. What could not be followed is returned; it stays as it was.
    pub fn reload(&mut self, settings: &Settings) -> Vec<OpenError> {
        let mut problems = Vec::new();
        let kept = |name: &str| settings.listeners.iter().any(|listener| listener.name == name);
        let gone: Vec<String> = self.entries.keys().filter(|name| !kept(name)).cloned().collect();
        for name in gone {
            if let Some(entry) = self.entries.remove(&name) {
                self.acceptor.close(entry.sockets.iter().map(|(_, local)| *local).collect());
            }
        }
        for listener in &settings.listeners {
            match self.entries.remove(&listener.name) {
                Some(mut entry) => {
                    match entry.listener.reload(listener) {
                        Ok(errors) => problems.extend(errors),
                        Err(error) => problems.push(error),
                    }
                    self.move_sockets(&mut entry, listener, &mut problems);
                    self.entries.insert(listener.name.clone(), entry);
                }
                None => match OpenListener::new(listener) {
                    Ok(open) => {
                        let mut entry = Entry { listener: Arc::new(open), sockets: Vec::new(), passed: false };
                        self.move_sockets(&mut entry, listener, &mut problems);
                        self.entries.insert(listener.name.clone(), entry);
                    }
                    Err(error) => problems.push(error),
                },
            }
        }
        self.follow();
        problems
    }

    /// Makes the sockets of a listener those of its settings.
    fn move_sockets(&self, entry: &mut Entry, settings: &Listener, problems: &mut Vec<OpenError>) {
        let (keep, leave): (Vec<_>, Vec<_>) =
            entry.sockets.iter().partition(|(written, _)| settings.addresses.contains(written));
        let held = |written: &SocketAddr| keep.iter().any(|(held, _)| held == written);
        let new: Vec<SocketAddr> = settings.addresses.iter().filter(|written| !held(written)).copied().collect();
        if entry.passed {
            if !new.is_empty() || !leave.is_empty() {
                problems.push(OpenError {
                    listener: settings.name.clone(),
                    problem: format!(
                        "its addresses changed, but its sockets are systemd's: {}",
                        render(&settings.name)
                    ),
                });
            }
            return;
        }
        entry.sockets = keep;
        self.acceptor.close(leave.into_iter().map(|(_, local)| local).collect());
        for address in new {
            let opened = match bind_one(&settings.name, address) {
                Ok(socket) => self.accept(entry, address, socket),
                Err(error) => Err(error),
            };
            problems.extend(opened.err());
        }
    }

    /// Takes what waits, then accepts no more.
    pub fn stop_accepting(&self) {
        let sockets = self.entries.values().flat_map(|entry| &entry.sockets);
        self.acceptor.close(sockets.map(|(_, local)| *local).collect());
    }

    /// The open listeners, whichever they are at the time, for those who must not wait for a reload.
    pub fn followed(&self) -> Arc<ArcSwap<Vec<Arc<OpenListener>>>> {
        self.renewal.followed()
    }

    /// The listeners by name.
    pub fn all(&self) -> impl Iterator<Item = (&str, &Arc<OpenListener>)> {
        self.entries.iter().map(|(name, entry)| (name.as_str(), &entry.listener))
    }

    /// Where a listener accepts, with the ports that the system chose.
    #[must_use]
    pub fn addresses(&self, name: &str) -> Vec<SocketAddr> {
        let entry = self.entries.get(name);
        entry.map_or_else(Vec::new, |entry| entry.sockets.iter().map(|(_, local)| *local).collect())
    }
}

/// A socket changes only while the process that holds it is down.
fn render(listener: &str) -> String {
    let socket = generator::listener_unit(listener);
    format!("run `systemctl stop {socket} && systemctl daemon-reload && systemctl restart toolgated.service`")
}

type Bound = (Vec<(SocketAddr, TcpListener)>, bool);

/// A listener's sockets: systemd's where it passed any under this name, else bound here.
fn sockets(settings: &Listener, passed: &mut Passed) -> Result<Bound, OpenError> {
    let given = passed.listeners(&settings.name);
    if given.is_empty() {
        let bind = |address: &SocketAddr| Ok((*address, bind_one(&settings.name, *address)?));
        let bound: Result<Vec<_>, OpenError> = settings.addresses.iter().map(bind).collect();
        return Ok((bound?, false));
    }
    let mut sockets = Vec::new();
    for socket in given {
        let local = socket.local_addr().map_err(|error| OpenError {
            listener: settings.name.clone(),
            problem: format!("a socket passed by systemd has no address: {error}"),
        })?;
        if !settings.addresses.contains(&local) {
            tracing::warn!(listener = settings.name, %local, "systemd passed an address that is not configured: {}", render(&settings.name));
        }
        sockets.push((local, socket));
    }
    for address in &settings.addresses {
        if !sockets.iter().any(|(local, _)| local == address) {
            tracing::warn!(listener = settings.name, %address, "systemd did not pass a configured address: {}", render(&settings.name));
        }
    }
    Ok((sockets, true))
}

fn bind_one(name: &str, address: SocketAddr) -> Result<TcpListener, OpenError> {
    bind::bind(address).map_err(|error| {
        let remedy = match error.kind() {
            io::ErrorKind::AddrInUse => "; end the program that holds it, or choose another port",
            io::ErrorKind::PermissionDenied => "; choose a port above 1023, or let systemd pass the socket",
            io::ErrorKind::AddrNotAvailable => "; write an address that this machine has",
            _ => "",
        };
        OpenError { listener: name.into(), problem: format!("{address} cannot be bound: {error}{remedy}") }
    })
}
