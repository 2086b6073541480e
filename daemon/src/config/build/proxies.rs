//! Proxies in front of a listener: that those who are believed are named, and are not everybody.
//!
//! The builder of listeners asks. Whoever is let through here may claim any address for its clients.

use super::super::kind;
use super::super::section::Section;
use super::super::tree::{Entry, Node};
use super::Context;

/// Whoever may say on whose behalf it connects must be named, and naming everybody trusts every client's word.
pub(super) fn check(entry: &Entry, section: Section<'_>, context: &mut Context<'_>) {
    let proxies = section.written("trusted_proxies");
    for node in proxies.map_or(&[][..], Node::elements) {
        let everybody = node.text().and_then(|text| kind::network(text).ok()).is_some_and(|net| net.prefix_len() == 0);
        if everybody {
            context.error(
                "everybody-trusted",
                node.place,
                "every client could claim any address",
                "write the networks of the proxies alone, such as \"10.0.0.5\"",
            );
        }
    }
    let named = proxies.is_some_and(|node| !node.elements().is_empty());
    if section.bool("proxy_protocol") && !named {
        context.error(
            "missing-key",
            section.written("proxy_protocol").map_or(entry.key_place, |node| node.place),
            format!("the listener `{}` does not say whose PROXY headers are believed", entry.key),
            "add trusted_proxies = [\"10.0.0.5\"], the addresses that the proxies connect from",
        );
    }
    if let Some(header) = section.written("address_header").filter(|_| !named) {
        context.warning(
            "no-effect",
            header.place,
            "no proxy is trusted, so no header names a client",
            "add trusted_proxies, or remove the line",
        );
    }
}
