//! `[health]`, `[alerts]`, `[check.NAME]` and `[scaling]`: what is watched, and who is told.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::super::environment::Reader;
use super::super::secret::is_reference;
use super::super::section::Section;
use super::super::settings::{AlertRules, HealthRules, OwnCheck, Private, Scaling, Subject, UpstreamTls, Webhook};
use super::super::tree::{Entry, Table};
use super::super::url;
use super::secrets::{self, certificate_path};
use super::{Context, named};
use crate::observe::health::OWN;

/// The longest that a check may take.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) fn health(table: Option<&Table>, context: &mut Context<'_>) -> HealthRules {
    let section = Section::new(table, "health");
    let path = section.text("path").unwrap_or_default();
    let taken = path == "/ready" || path == "/metrics" || path == "/mcp" || path.starts_with("/mcp/");
    let fits = path.starts_with('/')
        && !path.contains(['?', '#'])
        && !taken
        && path.bytes().all(|byte| byte.is_ascii_graphic());
    if let Some(node) = section.written("path").filter(|_| !fits) {
        context.error(
            "invalid-value",
            node.place,
            "health cannot be served at this path",
            "write a path of its own that begins with /, such as \"/healthz\"",
        );
    }
    HealthRules {
        path,
        critical: section.texts("critical"),
        memory: section.maybe_size("memory").unwrap_or_default(),
        memory_share: percent(section, "memory_share"),
        cpu: percent(section, "cpu"),
        descriptors: percent(section, "descriptors"),
        lag: section.duration("lag"),
        disk: percent(section, "disk"),
        queue: percent(section, "queue"),
        certificate: section.duration("certificate"),
        response_time: section.duration("response_time"),
        error_rate: percent(section, "error_rate"),
    }
}

pub(super) fn alerts(table: Option<&Table>, context: &mut Context<'_>) -> AlertRules {
    let section = Section::new(table, "alerts");
    AlertRules {
        webhook: webhook(section, context),
        cooldown: section.duration("cooldown"),
        cpu: percent(section, "cpu"),
        memory_warning: percent(section, "memory_warning"),
        memory_bytes: section.maybe_size("memory_bytes"),
        memory: percent(section, "memory"),
        response_time_warning: section.duration("response_time_warning"),
        response_time: section.duration("response_time"),
        error_rate_warning: percent(section, "error_rate_warning"),
        error_rate: percent(section, "error_rate"),
        restarts: section.count("restarts"),
        key_age: section.duration("key_age"),
        unusual: section.count("unusual"),
        failed_authentications: section.count("failed_authentications"),
    }
}

/// A URL that cannot be had now is one that nothing is sent to, as servers are that lack a secret.
fn webhook(section: Section<'_>, context: &mut Context<'_>) -> Option<Webhook> {
    let entry = section.entry("webhook");
    for key in ["ca", "bearer"] {
        if let Some(node) = section.written(key).filter(|_| entry.is_none()) {
            let message = format!("`{key}` has no effect: there is no webhook");
            context.warning("no-effect", node.place, message, "add webhook = \"https://…\", or remove the line");
        }
    }
    let tls = UpstreamTls {
        ca: section.valid("ca").and_then(|node| certificate_path(node, context)),
        ..UpstreamTls::default()
    };
    let bearer = section.entry("bearer").and_then(|entry| secrets::secret(entry, Reader::Front, context));
    let entry = entry?;
    let place = entry.node.place;
    let (url, mut lacks) = match secrets::secret(entry, Reader::Front, context)? {
        Ok(url) => (url.expose().to_owned(), None),
        Err(fault) => (String::new(), Some(fault.sentence())),
    };
    let bearer = match bearer {
        Some(Ok(bearer)) => Some(bearer),
        Some(Err(fault)) => {
            lacks = lacks.or_else(|| Some(fault.sentence()));
            None
        }
        None => None,
    };
    // What only the daemon can see is not there for whoever else checks; nor is what it lacks.
    let unseen = url.is_empty() || (entry.node.text() == Some(url.as_str()) && is_reference(&url));
    let endpoint = match url::endpoint(&url) {
        Ok(endpoint) => endpoint,
        Err(_) if unseen => url::endpoint("https://localhost/").ok()?,
        Err(_) => {
            context.report.sources.mask(place);
            context.error(
                "invalid-value",
                place,
                "this is not the URL of a webhook",
                "write https://, a host and a path, or a reference such as \"credential:alerts-webhook\"",
            );
            return None;
        }
    };
    if !unseen && !endpoint.tls && !is_loopback(&endpoint.host) {
        context.warning(
            "plain-http",
            place,
            "alerts go to this webhook without TLS, for everybody on the way to read",
            "write https://",
        );
    }
    Some(Webhook { endpoint: Private(endpoint), tls, bearer, lacks })
}

pub(super) fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// The checks of the operator, by name.
pub(super) fn checks(tree: &Table, context: &mut Context<'_>) -> BTreeMap<String, Arc<OwnCheck>> {
    named(tree, "check")
        .filter_map(|(entry, table)| Some((entry.key.clone(), Arc::new(check(entry, table, context)?))))
        .collect()
}

fn check(entry: &Entry, table: &Table, context: &mut Context<'_>) -> Option<OwnCheck> {
    let section = Section::new(Some(table), "check.*");
    if OWN.contains(&entry.key.as_str()) {
        let message = format!("the gate has a check of its own called `{}`", entry.key);
        context.error("invalid-name", entry.key_place, message, "give yours another name");
    }
    if let Some(node) = section.written("max_age").filter(|_| section.written("file").is_none()) {
        context.error("conflict", node.place, "only files have an age", "remove `max_age`, or name a `file`");
    }
    if let Some(node) = section.written("ca").filter(|_| section.written("url").is_none()) {
        context.error("conflict", node.place, "only a `url` is spoken to over TLS", "remove `ca`, or name a `url`");
    }
    Some(OwnCheck {
        name: entry.key.clone(),
        subject: subject(entry, section, context)?,
        interval: section.duration("interval"),
        timeout: section.duration("timeout").min(PATIENCE),
        critical: section.bool("critical"),
    })
}

fn subject(entry: &Entry, section: Section<'_>, context: &mut Context<'_>) -> Option<Subject> {
    let written: Vec<_> = ["url", "tcp", "file"].into_iter().filter(|key| section.written(key).is_some()).collect();
    match written[..] {
        ["url"] => {
            let ca = section.valid("ca").and_then(|node| certificate_path(node, context));
            let endpoint = url::endpoint(&section.text("url")?).ok()?;
            Some(Subject::Url(Arc::new(endpoint), UpstreamTls { ca, ..UpstreamTls::default() }))
        }
        ["tcp"] => {
            let node = section.written("tcp")?;
            let text = section.text("tcp")?;
            let parsed = text.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse::<u16>().ok()?)));
            let Some((host, port)) = parsed.filter(|(host, port)| !host.is_empty() && *port > 0) else {
                let help = "write a host and a port, such as \"db.example.org:5432\"";
                context.error("invalid-value", node.place, "this is not a port of a host", help);
                return None;
            };
            let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
            Some(Subject::Tcp { host, port })
        }
        ["file"] => {
            let node = section.written("file")?;
            let path = context.path(&section.text("file")?, node.place);
            Some(Subject::File { path: PathBuf::from(&path), max_age: section.maybe_duration("max_age") })
        }
        _ => {
            let message = format!("the check `{}` must look at exactly one thing", entry.key);
            context.error("missing-key", entry.key_place, message, "write one of `url`, `tcp` and `file`");
            None
        }
    }
}

pub(super) fn scaling(table: Option<&Table>, context: &mut Context<'_>) -> Scaling {
    let section = Section::new(table, "scaling");
    let scaling = Scaling {
        replicas: section.count("replicas"),
        min: section.count("min"),
        max: section.count("max"),
        cpu: percent(section, "cpu"),
        memory: percent(section, "memory"),
        up_cooldown: section.duration("up_cooldown"),
        down_cooldown: section.duration("down_cooldown"),
    };
    if let Some(node) = section.written("min").or(section.written("max")).filter(|_| scaling.min > scaling.max) {
        context.error("conflict", node.place, "`min` is above `max`", "write the smaller number as `min`");
    }
    scaling
}

fn percent(section: Section<'_>, key: &str) -> u64 {
    section.maybe_percent(key).unwrap_or_default()
}
