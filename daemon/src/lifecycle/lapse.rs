//! Streams end with the credential that they were opened with: when a token or a certificate has ended, and when nobody
//! believes the issuer of a token any more.

use std::sync::Arc;

use tracing::info;

use super::daemon::Daemon;
use crate::clock;
use crate::failure::{Failure, Kind};
use crate::identity::token::Issuers;
use crate::running::Whom;
use crate::stages::certified::UNKNOWN;

impl Daemon {
    /// Ends streams whose token or certificate has ended; where none has, it costs a load.
    pub(super) fn streams_are_over(&self) {
        let (now, terms) = (clock::unix_millis(), &self.gate.terms);
        if !terms.are_due(now) {
            return;
        }
        let counts = self.on_each_core(move |core| {
            let terms = &core.gate.terms;
            let lapses = core.running.lapse(now, |client, ended| terms.renewed(client, ended));
            terms.hear(lapses.next_ms);
            if lapses.count > 0 {
                core.drain.ring();
            }
            lapses.count
        });
        if counts.len() < self.cores.count() {
            // A core that was too busy is asked again.
            return terms.hear(now);
        }
        terms.forget(now);
        let streams: usize = counts.into_iter().sum();
        if streams > 0 {
            info!(streams, "streams have ended with the tokens or certificates that they were opened with");
        }
    }

    /// Ends what is done with tokens of issuers that are none any more. Sessions end elsewhere.
    pub(super) fn issuers_are_gone(&self, before: &Issuers, now: &Issuers) {
        let gone = Arc::new(before.gone(now));
        if gone.is_empty() {
            return;
        }
        let text = "The issuer of this token is not trusted here any more.";
        let failure = Arc::new(Failure::new(Kind::CredentialRefused, format!("{text} {UNKNOWN}")));
        let calls: usize = self
            .on_each_core(move |core| {
                let whom = Whom::Issuers(Arc::clone(&gone));
                let found = core.running.find(&whom).len();
                if found > 0 {
                    core.running.order(&whom, &failure);
                    core.drain.ring();
                }
                found
            })
            .into_iter()
            .sum();
        info!(calls, "an issuer was taken out of the files: what was done with its tokens has ended");
    }
}
