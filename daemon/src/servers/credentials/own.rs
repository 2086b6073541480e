//! Headers that the operator wrote, as they are now.

use std::sync::Arc;

use arc_swap::ArcSwap;
use tracing::error;

use super::watched::Watched;
use crate::config::Secret;
use crate::config::settings::access::Header;
use crate::servers::http::{Proof, Proofs};

/// Such headers, written anew whenever one of them changes.
#[derive(Debug)]
pub(super) struct Own {
    parts: Vec<Part>,
    /// Why nothing can be sent whatever the parts say, as a sentence.
    lacks: Option<Arc<str>>,
    now: ArcSwap<Proofs>,
}

#[derive(Debug)]
struct Part {
    name: String,
    before: &'static str,
    secret: Watched,
}

impl Own {
    /// The error is a sentence, where a header cannot be sent.
    pub(super) fn new(headers: &[Header], lacks: Option<&str>) -> Result<Self, String> {
        let part = |header: &Header| Part {
            name: header.name.clone(),
            before: header.before,
            secret: Watched::new(&header.secret),
        };
        let own = Self { lacks: lacks.map(Arc::from), ..Self::of(headers.iter().map(part).collect()) };
        own.now.store(Arc::new(own.written()?));
        Ok(own)
    }

    /// Nothing, for this reason.
    pub(super) fn nothing(why: &str) -> Self {
        let lacks = Some(Arc::from(why));
        let now = ArcSwap::from_pointee(Proofs { lacks: lacks.clone(), ..Proofs::default() });
        Self { lacks, now, ..Self::of(Vec::new()) }
    }

    fn of(parts: Vec<Part>) -> Self {
        Self { parts, lacks: None, now: ArcSwap::default() }
    }

    /// What goes along with requests now.
    pub(super) fn proofs(&self) -> Proofs {
        self.now.load().as_ref().clone()
    }

    /// Why nothing can be sent.
    pub(super) fn lacks(&self) -> Option<String> {
        self.now.load().lacks.as_deref().map(str::to_owned)
    }

    /// Reads files that have changed.
    pub(super) fn look(&self, server: &str) {
        let changed = self.parts.iter().filter(|part| part.secret.look(server)).count();
        if changed == 0 {
            return;
        }
        match self.written() {
            Ok(proofs) => self.now.store(Arc::new(proofs)),
            Err(why) => error!(server, "a secret cannot be shown, the one before still is: {why}"),
        }
    }

    /// What an operator should know of its files.
    pub(super) fn told(&self) -> Vec<String> {
        self.parts.iter().filter_map(|part| part.secret.told()).collect()
    }

    fn written(&self) -> Result<Proofs, String> {
        let secrets: Result<Vec<Secret>, String> = self.parts.iter().map(|part| part.secret.now()).collect();
        let secrets = match (&self.lacks, secrets) {
            (None, Ok(secrets)) => secrets,
            (Some(why), _) => return Ok(Proofs { lacks: Some(Arc::clone(why)), ..Proofs::default() }),
            (None, Err(why)) => return Ok(Proofs { lacks: Some(why.into()), ..Proofs::default() }),
        };
        let headers = self.parts.iter().zip(&secrets);
        let proof = Proof::new(headers.map(|(part, secret)| (part.name.as_str(), part.before, secret)))?;
        Ok(Proofs { own: Some(Arc::new(proof)), ..Proofs::default() })
    }
}
