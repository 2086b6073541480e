//! Clients that an operator suspends, and lets call again.

use std::collections::HashMap;

use toolgate_admin_api as api;

use super::super::daemon::Daemon;
use super::{end_of, length, words};
use crate::admin::{Peer, audit};
use crate::clock;
use crate::identity::{Client, token};
use crate::running::Whom;
use crate::steering::clients::cut_short;

/// Clients that may be suspended at once.
const MOST: usize = 1000;

impl Daemon {
    /// Lets a client do nothing, and ends what it does.
    pub(super) fn suspend_client(
        &self,
        peer: &Peer,
        client: &str,
        request: &api::SuspendRequest,
    ) -> Result<api::ClientOutcome, api::ApiError> {
        let (say, length) = (words(request.say.as_deref())?, length(request.seconds)?);
        let client = self.known_client(client)?;
        let whom = Whom::Client(crate::identity::number(client));
        let mut outcome = api::ClientOutcome {
            client: client.to_owned(),
            applied: !request.dry_run,
            suspended: true,
            before: Some(self.gate.steering.clients.of(client).is_some()),
            ..api::ClientOutcome::default()
        };
        if outcome.before == Some(false) && self.gate.steering.book().clients.len() >= MOST {
            let message = format!("{MOST} clients are suspended.");
            return Err(api::ApiError::new(api::ErrorCode::BadRequest, message)
                .remedy("Let some call again with `toolgate clients resume`, or take their keys out of the files."));
        }
        let queued = self.waiting_of(client);
        if request.dry_run {
            outcome.sessions = self.gate.sessions.count_of(|session| *session.client == *client) as u64;
            outcome.queued = queued;
            outcome.calls = self.running(&whom).calls.len() as u64;
            return Ok(outcome);
        }
        let suspension = api::Suspension {
            say: say.clone(),
            since_ms: clock::unix_millis(),
            until_ms: length.map(end_of),
            who: audit::who(peer),
            reason: request.reason.clone(),
        };
        // From here on nothing of it begins; what began before has a mark.
        self.gate.steering.change(|book| book.clients.insert(client.to_owned(), suspension));
        outcome.queued = queued;
        outcome.calls = self.stop_calls(&whom, cut_short(&say, length)).calls.len() as u64;
        outcome.sessions = self.end_those(|session| *session.client == *client, false).sessions;
        Ok(outcome)
    }

    /// Takes a suspension back.
    pub(super) fn let_call_again(
        &self,
        client: &str,
        request: &api::Change,
    ) -> Result<api::ClientOutcome, api::ApiError> {
        let held = self.gate.steering.clients.of(client).is_some();
        if !held {
            let message = format!("{} is not suspended.", api::Shown(client));
            return Err(
                api::ApiError::new(api::ErrorCode::NotFound, message).remedy("`toolgate clients list` says who is.")
            );
        }
        if !request.dry_run {
            self.gate.steering.change(|book| book.clients.remove(client));
        }
        Ok(api::ClientOutcome {
            client: client.to_owned(),
            applied: !request.dry_run,
            suspended: false,
            before: Some(true),
            ..api::ClientOutcome::default()
        })
    }

    /// An id that a client can have: of a key, a token's subject, a certificate, a machine, or an address.
    pub(super) fn known_client<'a>(&self, id: &'a str) -> Result<&'a str, api::ApiError> {
        let known = match id.split_once(':') {
            Some(("key", key)) => self.gate.client_of_key(key).is_some(),
            Some(("certificate" | "machine", name)) => {
                // One that an authority named has the sort of its name before it.
                let of_authority = id.starts_with("certificate:") && name.contains(':');
                of_authority || self.gate.policy.load().clients().any(|client| *client.id == *id)
            }
            Some(("address", _)) => {
                Client::address_of(id).is_some_and(|address| *Client::of_address(address).id == *id)
            }
            Some(("jwt", token)) => token.split_once('/').is_some_and(|(issuer, subject)| {
                let known = self.gate.policy.load().settings.issuers.contains_key(issuer);
                known && token::is_subject(subject)
            }),
            _ => false,
        };
        if known {
            return Ok(id);
        }
        let message = format!("There is no client {}.", api::Shown(id));
        Err(api::ApiError::new(api::ErrorCode::NotFound, message)
            .remedy("Write the id of a key as key:ID, of a token's subject as jwt:ISSUER/SUBJECT, an address as address:IP, or of IPv6 its network as address:NETWORK/64; `toolgate clients list` has them.")
            .field("path"))
    }

    /// Says of clients which are suspended, also of those that never called.
    pub(in super::super) fn mark_suspended(&self, rows: &mut HashMap<String, api::ClientRow>) {
        for (client, suspension) in self.gate.steering.book().clients {
            let row = rows
                .entry(client.clone())
                .or_insert_with(|| api::ClientRow { id: client, ..api::ClientRow::default() });
            row.suspended = Some(suspension);
        }
    }

    /// Its calls that wait for a permit of any server.
    pub(in super::super) fn waiting_of(&self, client: &str) -> u64 {
        let number = crate::identity::number(client);
        let policy = self.gate.policy.load_full();
        policy.servers.values().map(|server| server.queue.waiting_of(number) as u64).sum()
    }
}
