//! `[audit]`: what leaves a line in the audit log.

use super::super::section::Section;
use super::super::settings::{AuditRules, AuditedArguments, AuditedCalls, OnFull};
use super::super::tree::Table;
use super::Context;
use crate::audit::redact;

/// The table, or its defaults.
pub(super) fn audit(table: Option<&Table>, context: &mut Context<'_>) -> AuditRules {
    let section = Section::new(table, "audit");
    let rules = AuditRules {
        calls: match section.text("calls").as_deref() {
            Some("all") => AuditedCalls::All,
            Some("denied") => AuditedCalls::Denied,
            _ => AuditedCalls::Tools,
        },
        arguments: match section.text("arguments").as_deref() {
            Some("redacted") => AuditedArguments::Redacted,
            Some("none") => AuditedArguments::None,
            _ => AuditedArguments::Hash,
        },
        redact: section.texts("redact"),
        redact_patterns: section.texts("redact_patterns"),
        on_full: match section.text("on_full").as_deref() {
            Some("deny") => OnFull::Deny,
            _ => OnFull::DropAndAlert,
        },
        min_free: section.size("min_free"),
        rotate_size: section.size("rotate_size"),
        keep: section.count("keep"),
        keep_for: section.maybe_duration("keep_for"),
        journal: section.bool("journal"),
    };
    check_pointers(section, context);
    check_patterns(section, context);
    for key in ["redact", "redact_patterns"] {
        if let Some(node) = section.written(key).filter(|_| rules.arguments != AuditedArguments::Redacted) {
            let message = format!("`{key}` has no effect: no arguments are recorded");
            context.warning("no-effect", node.place, message, "add arguments = \"redacted\", or remove the line");
        }
    }
    rules
}

fn check_pointers(section: Section<'_>, context: &mut Context<'_>) {
    let Some(node) = section.written("redact") else { return };
    for element in node.elements() {
        if let Some(text) = element.text().filter(|text| !redact::is_pointer(text)) {
            let message = format!("`{text}` is no JSON pointer");
            context.error(
                "invalid-value",
                element.place,
                message,
                "begin it with /, such as \"/password\" or \"/*/token\"",
            );
        }
    }
}

fn check_patterns(section: Section<'_>, context: &mut Context<'_>) {
    let Some(node) = section.written("redact_patterns") else { return };
    for element in node.elements() {
        if let Some(Err(problem)) = element.text().map(redact::pattern) {
            let help = "write a regular expression, without backreferences and lookaround";
            context.error("invalid-value", element.place, problem, help);
        }
    }
}
