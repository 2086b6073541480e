//! What the keeper serves: the part of the configuration that concerns it.
//!
//! Made from `Settings` at start and at each reload. Holds secrets, so it is never printed whole.

use std::path::PathBuf;
use std::sync::Arc;

use crate::config::Secret;
use crate::config::settings::{Access, Instances, Settings, Stdio, Transport};

/// Connections beyond `max` and `spares`: those that find out what a server offers.
const PROBES: usize = 2;

/// All stdio servers and where their sockets are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Folder of the sockets, made if it is missing.
    pub directory: PathBuf,
    /// One socket each.
    pub services: Vec<Arc<Service>>,
}

/// How instances of one server are started.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Service {
    /// The server's name, and the socket's before `.sock`.
    pub name: String,
    /// Program and arguments.
    pub command: Vec<String>,
    /// The environment beside `PATH`, `HOME` and `LANG`.
    pub environment: Vec<(String, Secret)>,
    /// Working directory.
    pub directory: Option<PathBuf>,
    /// Instances at once; a connection beyond is closed.
    pub max: usize,
    /// Bytes of memory: of the instance with a control group, else of each process.
    pub memory: Option<u64>,
    /// Processes and threads; needs a control group.
    pub tasks: Option<u64>,
    /// Processor time in hundredths of a processor; needs a control group.
    pub cpu: Option<u64>,
    /// What it may reach: of this a keeper enforces paths, with Landlock.
    pub access: Access,
}

/// Connections to instances of a server at once; one beyond them is closed.
#[must_use]
pub fn connections(instances: &Instances) -> usize {
    instances.max + instances.spares + PROBES
}

impl Plan {
    /// Every enabled stdio server, with sockets in `RUNTIME_DIR/servers`.
    #[must_use]
    pub fn from_settings(settings: &Settings) -> Self {
        let services =
            settings.servers.values().filter(|server| server.enabled).filter_map(|server| match &server.transport {
                Transport::Stdio(stdio) => Some(Arc::new(Service::new(&server.name, stdio))),
                Transport::Http(_) | Transport::Sse(_) => None,
            });
        Self { directory: settings.daemon.runtime_dir.join("servers"), services: services.collect() }
    }
}

impl Service {
    fn new(name: &str, stdio: &Stdio) -> Self {
        Self {
            name: name.to_owned(),
            command: stdio.command.clone(),
            environment: stdio.environment.clone(),
            directory: stdio.directory.clone(),
            max: connections(&stdio.instances),
            memory: stdio.instances.memory,
            tasks: stdio.instances.tasks,
            cpu: stdio.instances.cpu,
            access: stdio.access.clone(),
        }
    }
}
