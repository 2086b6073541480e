//! `[seal]`: keys from references, as every secret is written.

use toolgate_protocol::key_text;

use super::super::environment::Reader;
use super::super::secret::is_reference;
use super::super::section::Section;
use super::super::settings::{SealKey, Sealing};
use super::super::tree::Table;
use super::{Context, secrets};

/// How a key is made, for whoever has none that fits.
const MAKE: &str = "write 32 bytes in base64 or hexadecimal, such as `openssl rand -base64 32` makes";

pub(super) fn sealing(table: Option<&Table>, context: &mut Context<'_>) -> Sealing {
    let section = Section::new(table, "seal");
    let sealing = Sealing {
        key: key(section, "key", context),
        other_key: key(section, "other_key", context),
        overlap: section.duration("overlap"),
        rotate_every: section.maybe_duration("rotate_every"),
    };
    if let (Some(_), Some(node)) = (section.entry("key"), section.written("rotate_every")) {
        let message = "`rotate_every` has no effect: the key is a configured one";
        let help = "remove the line, and write another key into the place of `key` to replace it";
        context.warning("no-effect", node.place, message, help);
    }
    if let (None, Some(node)) = (section.entry("key"), section.written("other_key")) {
        let message = "without `key`, what this gate seals is opened by no other";
        context.warning("no-effect", node.place, message, "write `key` on every node, or remove the line");
    }
    sealing
}

/// The key that an entry leads to; none where whoever looks cannot see it.
fn key(section: Section<'_>, name: &str, context: &mut Context<'_>) -> Option<SealKey> {
    let entry = section.entry(name)?;
    let value = secrets::secret(entry, Reader::Front, context)?.ok()?;
    let unseen =
        value.expose().is_empty() || (entry.node.text() == Some(value.expose()) && is_reference(value.expose()));
    if unseen {
        return None;
    }
    let key = key_text::read(value.expose()).map(SealKey::new);
    if key.is_none() {
        context.report.sources.mask(entry.node.place);
        context.error("invalid-value", entry.node.place, format!("`{name}` is no key of 32 bytes"), MAKE);
    }
    key
}
