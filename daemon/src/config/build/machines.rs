//! `[certificate.NAME]`, `[machine.NAME]` and `[authentication]`.

use std::collections::BTreeMap;
use std::sync::Arc;

use ipnet::IpNet;
use toolgate_protocol::certified::Rule;
use toolgate_protocol::failures::Rules;

use super::super::problem::Problem;
use super::super::section::Section;
use super::super::settings::{AuthMethod, Authentication, Certificate, Holder, Listener, Machine};
use super::super::source::Place;
use super::super::tree::{Entry, Node, Table};
use super::super::{kind, units};
use super::identity::{Groups, all_roles};
use super::{Context, named, roles};

pub(super) fn certificates(
    tree: &Table,
    groups: Groups<'_>,
    context: &mut Context<'_>,
) -> BTreeMap<String, Arc<Certificate>> {
    let mut made: BTreeMap<String, Arc<Certificate>> = BTreeMap::new();
    for (entry, table) in named(tree, "certificate") {
        let section = Section::new(Some(table), "certificate.*");
        let holder = holder(entry, section, groups, context);
        let Some(rule) = rule(entry, section, context) else { continue };
        if let Some(other) = made.values().find(|other| other.rule == rule) {
            let message = format!("the certificate `{}` has the same rule as `{}`", entry.key, other.name);
            context.error("twice", entry.key_place, message, "let each name other certificates, or remove one");
        }
        let certificate = Certificate { name: entry.key.clone(), rule, holder };
        made.insert(entry.key.clone(), Arc::new(certificate));
    }
    made
}

fn rule(entry: &Entry, section: Section<'_>, context: &mut Context<'_>) -> Option<Rule> {
    let (san, subject) = (section.text("san"), section.text("subject"));
    let broken = ["san", "subject"].iter().any(|key| section.written(key).is_some() && section.valid(key).is_none());
    if broken {
        return None;
    }
    match Rule::new(san.as_deref(), subject.as_deref()) {
        Ok(rule) => Some(rule),
        Err(help) => {
            let place = section.written("subject").map_or(entry.key_place, |node| node.place);
            let (code, message) = if san.is_none() && subject.is_none() {
                ("missing-key", format!("nothing says which certificates `{}` means", entry.key))
            } else {
                ("invalid-value", "this is no subject".to_owned())
            };
            context.error(code, place, message, help);
            None
        }
    }
}

pub(super) fn machines(tree: &Table, groups: Groups<'_>, context: &mut Context<'_>) -> BTreeMap<String, Arc<Machine>> {
    let mut seen: Vec<(IpNet, Place)> = Vec::new();
    let mut made = BTreeMap::new();
    for (entry, table) in named(tree, "machine") {
        let section = Section::new(Some(table), "machine.*");
        let holder = holder(entry, section, groups, context);
        let nodes = section.written("networks").map_or(&[][..], Node::elements);
        if nodes.is_empty() && section.lacks("networks") || section.written("networks").is_some() && nodes.is_empty() {
            let message = format!("nothing says where the machine `{}` calls from", entry.key);
            context.error("missing-key", entry.key_place, message, "add networks = [\"10.0.0.7/32\"]");
        }
        for node in nodes {
            let Some(network) = node.text().and_then(|text| kind::network(text).ok()) else { continue };
            if let Some((_, first)) = seen.iter().find(|(known, _)| *known == network) {
                let problem = Problem::error(
                    "twice",
                    node.place,
                    format!("{network} is another machine's already"),
                    "give each network to one machine; of two that overlap, the longer prefix wins",
                );
                context.report.push(problem.also(*first, "here"));
            }
            seen.push((network, node.place));
        }
        let networks = section.list("networks", |text| kind::network(text).ok());
        let machine = Machine { name: entry.key.clone(), networks, holder };
        made.insert(entry.key.clone(), Arc::new(machine));
    }
    made
}

fn holder(entry: &Entry, section: Section<'_>, groups: Groups<'_>, context: &mut Context<'_>) -> Holder {
    let (tier, organisation) = groups.of(section, context);
    roles::can_match(section, "scopes", context);
    Holder {
        owner: section.text("owner").unwrap_or_else(|| entry.key.clone()),
        tier,
        organisation,
        scopes: section.texts("scopes"),
        roles: all_roles(section, groups.roles, context),
    }
}

pub(super) fn authentication(table: Option<&Table>) -> Authentication {
    let section = Section::new(table, "authentication");
    let rate = section.text("failures").and_then(|text| units::rate(&text).ok());
    let rules = rate.map(|(count, period)| {
        let burst = section.maybe_count("burst").unwrap_or(count);
        Rules::new(count, period, burst, section.duration("block"))
    });
    Authentication { failures: rules.filter(|_| section.bool("limiter")) }
}

/// A way to identify oneself that nobody could use.
pub(super) fn check_methods(
    tree: &Table,
    listeners: &[Arc<Listener>],
    (certificates, machines): (bool, bool),
    context: &mut Context<'_>,
) {
    for (entry, table) in named(tree, "listener") {
        let Some(listener) = listeners.iter().find(|listener| listener.name == entry.key) else { continue };
        let Some(auth) = table.get("auth") else { continue };
        let place = |word: &str| {
            let written = auth.elements().iter().find(|node| node.text() == Some(word));
            written.map_or(auth.place, |node| node.place)
        };
        if listener.auth.contains(&AuthMethod::Certificate) && !certificates && !listener.any_certificate {
            context.error(
                "missing-key",
                place("certificate"),
                "nobody is known by a certificate",
                "add [certificate.NAME] with `san` or `subject`, or any_certificate = true to this listener",
            );
        }
        if listener.auth.contains(&AuthMethod::Address) && !machines {
            context.error(
                "missing-key",
                place("address"),
                "nobody is known by an address",
                "add [machine.NAME] with networks = [\"10.0.0.7/32\"]",
            );
        }
    }
}
