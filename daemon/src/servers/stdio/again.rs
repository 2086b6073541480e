//! Instances that outlive the process: how each is handed over, and how the next process takes it up.
//!
//! The pool calls `keep` before an instance's first message, the restoration `add_again`. What the
//! last process began with an instance is ended here: a line that may be cut, a request that waits.

use std::sync::Arc;

use bytes::Bytes;
use tracing::warn;

use super::connection::{Connection, Incoming};
use super::instances::{Instances, Means, Role};
use super::link::{Begun, Link, Serves};
use crate::cgroup;
use crate::config::settings::Stdio;
use crate::servers::exchange::{one_line, refusal};
use crate::state::entry::{self, Left};
use crate::state::{Keep, State};

/// How instances outlive the process.
#[derive(Debug)]
pub(super) struct Keeping {
    state: Arc<State>,
    /// What they are made from.
    likeness: String,
}

/// An instance that the last process left.
#[derive(Debug)]
pub struct Again {
    /// Its record.
    pub keep: Arc<Keep>,
    /// Process id of its wrapper.
    pub pid: u32,
    /// Whom it is there for.
    pub role: entry::Role,
    /// Its connection.
    pub stream: std::os::unix::net::UnixStream,
    /// What an orderly end left of it.
    pub left: Option<Left>,
    /// A line that was being written to it may be cut.
    pub cut: bool,
}

impl From<entry::Role> for Role {
    fn from(kept: entry::Role) -> Self {
        match kept {
            entry::Role::Spare => Self::Spare,
            entry::Role::Dedicated => Self::Dedicated,
            entry::Role::Shared { owner, lasting, .. } => Self::Shared { owner, lasting },
        }
    }
}

impl Role {
    /// The same in an instance's record.
    pub(super) fn kept(&self, serves: &Serves) -> entry::Role {
        match self {
            Self::Spare => entry::Role::Spare,
            Self::Dedicated => entry::Role::Dedicated,
            Self::Shared { owner, lasting } => entry::Role::Shared {
                owner: owner.clone(),
                everybody: matches!(serves, Serves::Everybody),
                lasting: *lasting,
            },
        }
    }
}

impl Instances {
    /// The same, outliving the process.
    #[must_use]
    pub fn kept_by(mut self, state: &Arc<State>, stdio: &Stdio) -> Self {
        if !state.keeps_connections() {
            return self;
        }
        self.keeping = Some(Keeping { state: Arc::clone(state), likeness: state.likeness(stdio) });
        self
    }

    /// An instance that the last process left, with what that one left of it; to be called on a core.
    /// `None` where there is no place for it.
    pub fn add_again(&self, again: Again, serves: Option<Serves>) -> Option<Link> {
        let keep = Arc::clone(&again.keep);
        let link = self.begin_again(again, serves);
        if link.is_none() {
            keep.end();
        }
        link
    }

    fn begin_again(&self, again: Again, serves: Option<Serves>) -> Option<Link> {
        let Again { keep, pid, role, stream, left, cut } = again;
        let Means::Socket { line_bytes, .. } = &self.means else { return None };
        if role == entry::Role::Spare && !self.lacks_spares() {
            return None;
        }
        let place = Arc::clone(&self.places).try_acquire_owned().ok()?;
        let connection = Connection::again(stream, *line_bytes, left.as_ref()).ok()?;
        let first = match left {
            Some(left) => left.unwritten.0,
            None if cut => Bytes::from_static(b"\n"),
            None => Bytes::new(),
        };
        let (reader, writer) = connection.begin(Some(&keep), first);
        let asked = keep.asked();
        let group = cgroup::of_instance(&self.server, pid);
        let begun = Begun { pid, group, reader: Incoming::Instance(reader), writer, keep: Some(keep) };
        let link = self.add(Link::start(begun, place), role.into(), serves).ok()?;
        // Whoever was to answer is gone.
        for id in asked {
            link.try_send(one_line(refusal(&id)));
        }
        Some(link)
    }

    /// Has an instance outlive the process. One that cannot serves all the same.
    pub(super) async fn keep(&self, pid: u32, role: entry::Role, connection: &Connection) -> Option<Arc<Keep>> {
        let Keeping { state, likeness } = self.keeping.as_ref()?;
        let kept = async { Keep::begin(state, (&self.server, likeness), pid, role, connection.descriptor()?).await };
        kept.await
            .inspect_err(|problem| {
                warn!(server = self.server, pid, %problem, "an instance will end with the gate: systemd did not take its connection");
            })
            .ok()
    }

    /// Writes down what the process leaves of each; to be called when nothing runs on the cores any more.
    pub fn settle(&self) {
        self.lock().values().filter_map(|slot| slot.link.keep()).for_each(|keep| keep.settle());
    }
}
