//! Metrics of issuers: their keys, and what became of their tokens.

use std::sync::atomic::Ordering;

use toolgate_protocol::refresh::Standing;

use super::page::Page;
use crate::identity::token::Issuers;

pub(super) fn collect(issuers: &Issuers, page: &mut Page) {
    for issuer in issuers.each() {
        let (name, counts) = (issuer.settings().name.as_str(), issuer.counts());
        page.of("toolgate_issuer_keys").add(&[name], issuer.keys().len());
        page.of("toolgate_issuer_fresh").add(&[name], issuer.standing() == Standing::Fresh);
        for (status, count) in [("ok", &counts.fetched), ("failed", &counts.failed)] {
            page.of("toolgate_issuer_fetches_total").add(&[name, status], count.load(Ordering::Relaxed));
        }
        page.of("toolgate_tokens_verified_total").add(&[name], counts.verified.load(Ordering::Relaxed));
    }
    for (name, flaw, count) in issuers.refusals() {
        page.of("toolgate_tokens_refused_total").add(&[name, flaw.word()], count);
    }
}
