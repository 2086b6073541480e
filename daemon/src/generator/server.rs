//! The units of a stdio server: a socket, and the service that each connection to it starts.
//!
//! What an operator wants otherwise goes into a drop-in of either unit.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::escape::{rest, word};
use super::front::{load_credential, or_empty};
use super::units::Unit;
use super::{HEAD, PROGRAM, TARGET};
use crate::config::Secret;
use crate::config::settings::{Access, Instances, Stdio};
use crate::keeper::connections;

/// What every instance gives up, with the reason of each line.
const SANDBOX: &str = include_str!("sandbox.conf");

/// Where a command without a path is looked for: npm and pipx install into the first two.
const SEARCH: &str = "/usr/local/bin:/opt/mcp/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Folders of homes, which an instance sees only where they are granted.
const HOMES: [&str; 3] = ["/home", "/root", "/run/user"];

pub(super) fn socket_unit(name: &str) -> String {
    format!("toolgate-server-{name}.socket")
}

pub(super) fn service_unit(name: &str) -> String {
    format!("toolgate-server-{name}@.service")
}

pub(super) fn environment_file(name: &str) -> String {
    format!("toolgate-server-{name}.env")
}

/// The files of a server; the error says why there can be none.
pub(super) fn render(
    name: &str,
    stdio: &Stdio,
    runtime_dir: &Path,
    folder: &str,
) -> Result<Vec<(String, Unit)>, String> {
    let environment = Environment::of(name, &stdio.environment, folder)?;
    let public = |text| Unit { text, secret: false };
    let mut files = vec![
        (socket_unit(name), public(socket(name, &stdio.instances, runtime_dir)?)),
        (service_unit(name), public(service(name, stdio, &environment)?)),
    ];
    if !environment.pairs.is_empty() {
        files.push((environment_file(name), Unit { text: environment.pairs, secret: true }));
    }
    Ok(files)
}

fn socket(name: &str, instances: &Instances, runtime_dir: &Path) -> Result<String, String> {
    Ok(format!(
        "{HEAD}\n\
         [Unit]\n\
         Description=MCP server {name}: an instance per connection\n\
         Documentation=man:toolgate.toml(5)\n\
         PartOf={TARGET}\n\
         After={TARGET}\n\n\
         [Socket]\n\
         ListenStream={path}\n\
         Accept=yes\n\
         # The gate alone may connect. Its folder is made by tmpfiles.\n\
         SocketMode=0660\n\
         SocketUser=root\n\
         SocketGroup=toolgate\n\
         RemoveOnStop=yes\n\
         # instances.max, its spares, and whoever asks what the server offers.\n\
         MaxConnections={connections}\n\
         # The gate spaces its starts out by itself; a limit reached here would be for good.\n\
         TriggerLimitIntervalSec=0\n",
        path = rest(&runtime_dir.join("servers").join(format!("{name}.sock")))?,
        connections = connections(instances),
    ))
}

fn service(name: &str, stdio: &Stdio, environment: &Environment) -> Result<String, String> {
    let state = format!("/var/lib/toolgate-servers/{name}");
    let cache = format!("/var/cache/toolgate-servers/{name}");
    let mut text = format!(
        "{HEAD}\n\
         [Unit]\n\
         Description=MCP server {name}, instance %i\n\
         Documentation=man:toolgate.toml(5)\n\
         # Nobody has to clean up after one that failed.\n\
         CollectMode=inactive-or-failed\n\
         # Not ordered after or before the gate: a start would wait for a gate that stops, and that gate\n\
         # for the call that needs it. An instance ends when the gate has let go of its connection.\n\n\
         [Service]\n\
         ExecStart=:{command}\n\
         StandardInput=socket\n\
         StandardOutput=socket\n\
         StandardError=journal\n\
         SyslogIdentifier=toolgate-server-{name}\n\
         Slice=toolgate-servers.slice\n\
         User=tg-{name}\n\
         # A home and a cache that all instances of this server share.\n\
         StateDirectory=toolgate-servers/{name}\n\
         StateDirectoryMode=0700\n\
         CacheDirectory=toolgate-servers/{name}\n\
         CacheDirectoryMode=0700\n\
         WorkingDirectory={state}\n\
         Environment=HOME={state} XDG_CACHE_HOME={cache} PATH={SEARCH}\n",
        command = command(name, stdio, environment, [&state, &cache]),
    );
    text.push_str(&environment.credentials);
    limits(&stdio.instances, &mut text);
    network(&stdio.access, &mut text);
    files(&stdio.access, &mut text)?;
    text.push('\n');
    text.push_str(SANDBOX);
    Ok(text)
}

/// The wrapper's command line. Where paths are granted, it confines itself to them and to what is
/// the instance's own.
fn command(name: &str, stdio: &Stdio, environment: &Environment, own: [&str; 2]) -> String {
    let mut words = vec![PROGRAM.to_owned(), "instance".into()];
    let mut option = |name: &str, value: &str| words.extend([name.to_owned(), value.to_owned()]);
    if let Some(directory) = &stdio.directory {
        option("--directory", &directory.display().to_string());
    }
    let access = &stdio.access;
    for path in &access.read {
        option("--read", &path.display().to_string());
    }
    for path in &access.write {
        option("--write", &path.display().to_string());
    }
    if !access.read.is_empty() || !access.write.is_empty() {
        for path in [own[0], own[1], "/tmp", "/var/tmp"] {
            option("--write", path);
        }
    }
    for (name, value) in &environment.options {
        option(name, value);
    }
    words.extend([name.to_owned(), "--".into()]);
    words.extend(stdio.command.iter().cloned());
    words.iter().map(|text| word(text)).collect::<Vec<_>>().join(" ")
}

/// How an instance gets the variables of its command, none of which a unit shows.
#[derive(Default)]
struct Environment {
    /// Options of the wrapper.
    options: Vec<(&'static str, String)>,
    /// Lines of the unit.
    credentials: String,
    /// `NAME=VALUE`, each ended by NUL, for a file of its own.
    pairs: String,
}

impl Environment {
    fn of(server: &str, variables: &[(String, Secret)], folder: &str) -> Result<Self, String> {
        let mut environment = Self::default();
        for (number, (variable, value)) in variables.iter().enumerate() {
            let value = value.expose();
            match value.split_once(':') {
                Some(("credential", name)) => {
                    environment.credentials.push_str(&load_credential(name)?);
                    environment.secret(variable, name);
                }
                Some(("file", path)) => {
                    let id = format!("toolgate.variable-{number}");
                    let path = rest(Path::new(path))?;
                    let _ = write!(environment.credentials, "LoadCredential={id}:{path}\n{}", or_empty(&id));
                    environment.secret(variable, &id);
                }
                Some(("env", name)) => {
                    return Err(format!(
                        "{variable} is to come from the variable {name} of a keeper, and systemd has none: write \"credential:NAME\" or \"file:PATH\""
                    ));
                }
                _ => drop(write!(environment.pairs, "{variable}={value}\0")),
            }
        }
        if !environment.pairs.is_empty() {
            let path = Path::new(folder).join(environment_file(server));
            let _ = writeln!(environment.credentials, "LoadCredential=toolgate.environment:{}", rest(&path)?);
            environment.options.push(("--environment-credential", "toolgate.environment".into()));
        }
        Ok(environment)
    }

    fn secret(&mut self, variable: &str, credential: &str) {
        self.options.push(("--secret", format!("{variable}={credential}")));
    }
}

fn limits(instances: &Instances, text: &mut String) {
    if let Some(bytes) = instances.memory {
        let _ = writeln!(text, "MemoryMax={bytes}\nMemorySwapMax=0");
    }
    if let Some(tasks) = instances.tasks {
        let _ = writeln!(text, "TasksMax={tasks}");
    }
    if let Some(cpu) = instances.cpu {
        let _ = writeln!(text, "CPUQuota={cpu}%");
    }
}

fn network(access: &Access, text: &mut String) {
    if !access.network {
        text.push_str("PrivateNetwork=yes\nIPAddressDeny=any\nRestrictAddressFamilies=AF_UNIX\n");
        return;
    }
    // Netlink tells resolvers which addresses the machine has.
    text.push_str("RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK\n");
    if !access.networks.is_empty() {
        text.push_str("IPAddressDeny=any\n");
        for network in &access.networks {
            let _ = writeln!(text, "IPAddressAllow={network}");
        }
    }
}

/// A path that does not exist is left to the wrapper, which can say so to the gate.
fn files(access: &Access, text: &mut String) -> Result<(), String> {
    let at_home = |path: &Path| HOMES.iter().any(|home| path.starts_with(home));
    // In a bound path a colon would begin another path.
    let parts = |path: &&PathBuf| at_home(path) && path.as_os_str().as_encoded_bytes().contains(&b':');
    if let Some(path) = access.read.iter().chain(&access.write).find(parts) {
        return Err(format!("systemd cannot be told the path {}, since it contains a colon", path.display()));
    }
    let mut list = |key: &str, path: &Path| {
        let _ = writeln!(text, "{key}={}", word(&format!("-{}", path.display())));
    };
    let all = || access.read.iter().chain(&access.write);
    for path in access.read.iter().filter(|path| at_home(path)) {
        list("BindReadOnlyPaths", path);
    }
    for path in &access.write {
        list(if at_home(path) { "BindPaths" } else { "ReadWritePaths" }, path);
    }
    let home = if all().any(|path| at_home(path)) { "tmpfs" } else { "yes" };
    let _ = writeln!(text, "ProtectHome={home}");
    for group in &access.groups {
        let _ = writeln!(text, "SupplementaryGroups={group}");
    }
    // What it writes for a group must be that group's to read.
    let _ = writeln!(text, "UMask={}", if access.groups.is_empty() { "0077" } else { "0007" });
    Ok(())
}
