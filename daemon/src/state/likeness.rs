//! Whether the operator still makes the same processes of a stdio server.
//!
//! The restoration goes on with an instance only where its likeness is that of the configuration now.

use aws_lc_rs::hmac;

use super::State;
use crate::config::settings::{Access, Instances, Stdio};

impl State {
    /// What the operator configured for a stdio server, as far as it shows in its processes; sealed,
    /// since secrets are part of it. It must be the same in every version for the same configuration.
    pub fn likeness(&self, stdio: &Stdio) -> String {
        let Stdio { command, environment, directory, access, instances, line_bytes: _ } = stdio;
        let Instances { per: _, max: _, spares: _, idle: _, memory, tasks, cpu, wear: _ } = instances;
        let Access { network, networks, read, write, groups } = access;
        let mut context = hmac::Context::with_key(&self.likeness);
        let mut add = |what: &str, value: &[u8]| {
            for part in [what.as_bytes(), value] {
                context.update(&(part.len() as u64).to_le_bytes());
                context.update(part);
            }
        };
        for word in command {
            add("command", word.as_bytes());
        }
        for (name, value) in environment {
            add("env", name.as_bytes());
            add("value", value.expose().as_bytes());
        }
        if let Some(directory) = directory {
            add("directory", directory.as_os_str().as_encoded_bytes());
        }
        if *network {
            add("network", &[]);
        }
        for network in networks {
            add("network", network.to_string().as_bytes());
        }
        for (what, path) in read.iter().map(|path| ("read", path)).chain(write.iter().map(|path| ("write", path))) {
            add(what, path.as_os_str().as_encoded_bytes());
        }
        for group in groups {
            add("group", group.as_bytes());
        }
        for (what, bound) in [("memory", memory), ("tasks", tasks), ("cpu", cpu)] {
            if let Some(bound) = bound {
                add(what, &bound.to_le_bytes());
            }
        }
        let mut tag = [0; 16];
        tag.copy_from_slice(&context.sign().as_ref()[..16]);
        format!("{:032x}", u128::from_be_bytes(tag))
    }
}
