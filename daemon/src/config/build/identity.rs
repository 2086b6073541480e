//! Keys and tiers: `[key.ID]` and `[tier.NAME]`.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::kind;
use super::super::section::Section;
use super::super::settings::{Key, Tier};
use super::super::tree::{Entry, Table};
use super::super::units;
use super::limits::limits;
use super::{Context, references};

pub(super) fn tier(entry: &Entry, table: &Table, context: &mut Context<'_>) -> Tier {
    let owner = format!("tier.{}", entry.key);
    let weight = Section::new(Some(table), "tier.*").count("weight");
    Tier { name: entry.key.clone(), weight, limits: limits(table.get("limits"), &owner, context) }
}

/// A key, unless its hash is missing or broken.
pub(super) fn key(
    entry: &Entry,
    table: &Table,
    tiers: &BTreeMap<String, Arc<Tier>>,
    context: &mut Context<'_>,
) -> Option<Key> {
    let section = Section::new(Some(table), "key.*");
    if section.lacks("hash") {
        context.error(
            "missing-key",
            entry.key_place,
            format!("the key `{}` has no hash", entry.key),
            "run `toolgate key create`, and paste the lines that it prints",
        );
    }
    let tier = section.text("tier").and_then(|name| {
        let place = section.written("tier")?.place;
        let found = tiers.get(&name).cloned();
        if found.is_none() {
            references::missing("tier", &name, place, tiers.keys().map(String::as_str), context);
        }
        found
    });
    Some(Key {
        id: entry.key.clone(),
        sha256: kind::hash(&section.text("hash")?).ok()?,
        owner: section.text("owner").unwrap_or_else(|| entry.key.clone()),
        tier,
        scopes: section.texts("scopes"),
        created: section.text("created").and_then(|text| units::date(&text).ok()),
    })
}
