//! Keys and the groups that they belong to: `[key.ID]`, `[tier.NAME]` and `[organisation.NAME]`.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::kind;
use super::super::section::Section;
use super::super::settings::{Key, Organisation, Tier};
use super::super::tree::{Entry, Node, Table};
use super::super::units;
use super::limits::limits;
use super::{Context, references, roles};
use crate::identity::rights::Role;

pub(super) fn tier(entry: &Entry, table: &Table, context: &mut Context<'_>) -> Tier {
    let owner = format!("tier.{}", entry.key);
    let weight = Section::new(Some(table), "tier.*").count("weight");
    Tier { name: entry.key.clone(), weight, limits: limits(table.get("limits"), &owner, context) }
}

/// All roles, by name.
pub(super) type Roles = BTreeMap<String, Arc<Role>>;

/// What whoever is identified may belong to.
#[derive(Clone, Copy)]
pub(super) struct Groups<'a> {
    pub(super) tiers: &'a BTreeMap<String, Arc<Tier>>,
    pub(super) organisations: &'a BTreeMap<String, Arc<Organisation>>,
    pub(super) roles: &'a Roles,
}

impl Groups<'_> {
    /// The tier and the organisation that a table names: a tier of its own comes before the organisation's.
    pub(super) fn of(
        self,
        section: Section<'_>,
        context: &mut Context<'_>,
    ) -> (Option<Arc<Tier>>, Option<Arc<Organisation>>) {
        let tier = named(section, "tier", self.tiers, context);
        let organisation = named(section, "organisation", self.organisations, context);
        let tier = tier.or_else(|| organisation.as_ref()?.tier.clone());
        (tier, organisation)
    }
}

/// What the key of a section names, where it is defined.
fn named<T>(
    section: Section<'_>,
    kind: &'static str,
    known: &BTreeMap<String, Arc<T>>,
    context: &mut Context<'_>,
) -> Option<Arc<T>> {
    let (name, place) = (section.text(kind)?, section.written(kind)?.place);
    let found = known.get(&name).cloned();
    if found.is_none() {
        references::missing(kind, &name, place, known.keys().map(String::as_str), context);
    }
    found
}

/// The roles that a section names, where they are defined.
pub(super) fn all_roles(section: Section<'_>, known: &Roles, context: &mut Context<'_>) -> Vec<Arc<Role>> {
    let written = section.written("roles").map_or(&[][..], Node::elements);
    let mut roles = Vec::new();
    for (name, place) in written.iter().filter_map(|node| Some((node.text()?, node.place))) {
        match known.get(name) {
            Some(role) => roles.push(Arc::clone(role)),
            None if name.is_empty() => {}
            None => references::missing("role", name, place, known.keys().map(String::as_str), context),
        }
    }
    roles
}

pub(super) fn organisation(
    entry: &Entry,
    table: &Table,
    (tiers, roles): (&BTreeMap<String, Arc<Tier>>, &Roles),
    context: &mut Context<'_>,
) -> Organisation {
    let owner = format!("organisation.{}", entry.key);
    let section = Section::new(Some(table), "organisation.*");
    Organisation {
        name: entry.key.clone(),
        tier: named(section, "tier", tiers, context),
        roles: all_roles(section, roles, context),
        limits: limits(table.get("limits"), &owner, context),
    }
}

/// A key, unless its hash is missing or broken.
pub(super) fn key(entry: &Entry, table: &Table, groups: Groups<'_>, context: &mut Context<'_>) -> Option<Key> {
    let section = Section::new(Some(table), "key.*");
    if section.lacks("hash") {
        context.error(
            "missing-key",
            entry.key_place,
            format!("the key `{}` has no hash", entry.key),
            "run `toolgate key create`, and paste the lines that it prints",
        );
    }
    let (tier, organisation) = groups.of(section, context);
    roles::can_match(section, "scopes", context);
    Some(Key {
        id: entry.key.clone(),
        sha256: kind::hash(&section.text("hash")?).ok()?,
        owner: section.text("owner").unwrap_or_else(|| entry.key.clone()),
        tier,
        organisation,
        scopes: section.texts("scopes"),
        roles: all_roles(section, groups.roles, context),
        created: section.text("created").and_then(|text| units::date(&text).ok()),
    })
}
