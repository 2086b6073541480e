//! Keys that operators make, change and take away while the daemon runs.
//!
//! What a key may do ends with it: its calls, its places in queues, its sessions and its streams.

mod arrivals;
mod fit;
mod rows;

use std::time::Duration;

use aws_lc_rs::rand;
use toolgate_admin_api as api;
use toolgate_protocol::key as text;
use tracing::info;

use super::super::daemon::Daemon;
use super::{LONGEST, end_of, length, words};
use crate::admin::{KeyOperations, KeysQuery, Peer, audit};
use crate::audit::Event;
use crate::clock;
use crate::config::Settings;
use crate::failure::{Failure, Kind};
use crate::identity::key::hash;
use crate::identity::proofs::Proof;
use crate::identity::store::change::{Change, Refused};
use crate::identity::store::record::Stored;
use crate::running::Whom;
use crate::steering::clients::cut_short;

/// What ended with a key, or would.
#[derive(Debug, Default, Clone, Copy)]
struct Ended {
    sessions: u64,
    calls: u64,
    queued: u64,
    /// Of users, which the gate had for it.
    grants: u64,
}

impl KeyOperations for Daemon {
    fn keys(&self, query: &KeysQuery) -> Result<api::Keys, api::ApiError> {
        self.rows_of_keys(query)
    }

    fn key(&self, id: &str) -> Result<api::KeyRow, api::ApiError> {
        self.row_of_key(id)
    }

    fn create_key(&self, request: &api::KeyRequest) -> Result<api::KeyMade, api::ApiError> {
        let now = clock::unix_millis();
        let record = self.fitting(request, now)?;
        if request.dry_run {
            let after = rows::of_store("", &record, (0, 0), now);
            return Ok(api::KeyMade { after, ..api::KeyMade::default() });
        }
        let id = text::random_id(rand::fill).map_err(no_random)?;
        let secret = text::random_secret(rand::fill).map_err(no_random)?;
        let key = Stored { record, proofs: [Proof::lasting(hash(&secret)), Proof::NONE] };
        let made = self.change_key(&id, Change::Add(Box::new(key)))?;
        Ok(told(id, &secret, &made, now))
    }

    fn rotate_key(&self, id: &str, request: &api::RotateRequest) -> Result<api::KeyMade, api::ApiError> {
        let now = clock::unix_millis();
        if request.overlap_seconds > LONGEST {
            return Err(api::ApiError::new(api::ErrorCode::BadRequest, "Both secrets may open for 30 days at most.")
                .remedy("Say a shorter overlap, and hand the new secret over within it.")
                .field("overlap_seconds"));
        }
        let before = self.stored_key(id)?;
        let secret = text::random_secret(rand::fill).map_err(no_random)?;
        let until_ms = end_of(Duration::from_secs(request.overlap_seconds));
        let change = Change::Rotate { sha256: hash(&secret), until_ms, now_ms: now };
        if request.dry_run {
            let after = change.apply(Some(&before)).map_err(|refused| not_done(id, refused))?;
            return Ok(api::KeyMade { id: id.to_owned(), after: row(id, &after, now), ..api::KeyMade::default() });
        }
        let made = self.change_key(id, change)?;
        Ok(told(id.to_owned(), &secret, &made, now))
    }

    fn suspend_key(
        &self,
        peer: &Peer,
        id: &str,
        request: &api::SuspendRequest,
    ) -> Result<api::KeyOutcome, api::ApiError> {
        let (say, length) = (words(request.say.as_deref())?, length(request.seconds)?);
        let suspension = api::Suspension {
            say: say.clone(),
            since_ms: clock::unix_millis(),
            until_ms: length.map(end_of),
            who: audit::who(peer),
            reason: request.reason.clone(),
        };
        self.end_with(id, Change::Suspend(suspension), request.dry_run, cut_short(&say, length))
    }

    fn resume_key(&self, id: &str, request: &api::Change) -> Result<api::KeyOutcome, api::ApiError> {
        let (now, before) = (clock::unix_millis(), self.stored_key(id)?);
        let after = if request.dry_run {
            Change::Resume.apply(Some(&before)).map_err(|refused| not_done(id, refused))?
        } else {
            self.change_key(id, Change::Resume)?
        };
        Ok(outcome(id, !request.dry_run, (&before, &after), Ended::default(), now))
    }

    fn revoke_key(&self, peer: &Peer, id: &str, request: &api::Change) -> Result<api::KeyOutcome, api::ApiError> {
        let change = Change::Revoke { at_ms: clock::unix_millis(), who: audit::who(peer) };
        self.end_with(id, change, request.dry_run, cut_off("This API key was revoked."))
    }

    fn adopt_keys(&self, id: Option<&str>, request: &api::Change) -> Result<api::KeysOutcome, api::ApiError> {
        self.take_from_files(id, request.dry_run)
    }

    fn import_keys(&self, request: &api::ImportRequest) -> Result<api::KeysOutcome, api::ApiError> {
        self.take_in(request)
    }
}

impl Daemon {
    /// Ends what is done with keys whose time is over.
    pub(super) fn keys_are_over(&self) {
        for id in self.gate.keys.index().ended(clock::unix_millis()) {
            let ended = self.end_for_good(&id, cut_off("This API key has expired."));
            info!(key = &*id, sessions = ended.sessions, calls = ended.calls, "a key has expired");
            self.record_end(&id, "key-expired", &ended);
        }
    }

    /// Ends what is done with keys that the files had before and that nobody has now.
    pub(in super::super) fn keys_are_gone(&self, before: &Settings, now: &Settings) {
        let gone =
            before.keys.keys().filter(|id| !now.keys.contains_key(*id) && self.gate.keys.index().of(id).is_none());
        for id in gone {
            let ended = self.end_for_good(id, cut_off("This API key was taken away."));
            info!(key = id, sessions = ended.sessions, calls = ended.calls, "a key was taken out of the files");
            self.record_end(id, "key-gone", &ended);
        }
    }

    /// What ends without anybody's hand is a line of the audit log as well.
    fn record_end(&self, id: &str, reason: &str, ended: &Ended) {
        let line = Event::new("ended").with("client", &client_of(id).0).with("reason", reason);
        self.gate.audit.tell(line.count("sessions", ended.sessions).count("calls", ended.calls));
    }

    /// Changes a key so that it may not be used, then ends what is done with it.
    fn end_with(
        &self,
        id: &str,
        change: Change,
        dry_run: bool,
        failure: Failure,
    ) -> Result<api::KeyOutcome, api::ApiError> {
        let (now, before) = (clock::unix_millis(), self.stored_key(id)?);
        let for_good = matches!(change, Change::Revoke { .. });
        let (after, ended) = if dry_run {
            let after = change.apply(Some(&before)).map_err(|refused| not_done(id, refused))?;
            let forgotten = || self.gate.policy.load().grants.servers_of(&client_of(id).0).len() as u64;
            (after, Ended { grants: if for_good { forgotten() } else { 0 }, ..self.would_end(id) })
        } else {
            // From here on nothing of it begins; what began before has a mark.
            let after = self.change_key(id, change)?;
            (after, if for_good { self.end_for_good(id, failure) } else { self.end_key(id, failure) })
        };
        Ok(outcome(id, !dry_run, (&before, &after), ended, now))
    }

    fn would_end(&self, id: &str) -> Ended {
        let (client, whom) = client_of(id);
        Ended {
            sessions: self.gate.sessions.count_of(|session| *session.client == *client) as u64,
            calls: self.running(&whom).calls.len() as u64,
            queued: self.waiting_of(&client),
            grants: 0,
        }
    }

    fn end_key(&self, id: &str, failure: Failure) -> Ended {
        let (client, whom) = client_of(id);
        let queued = self.waiting_of(&client);
        let calls = self.stop_calls(&whom, failure).calls.len() as u64;
        let sessions = self.end_those(|session| *session.client == *client, false).sessions;
        Ended { sessions, calls, queued, grants: 0 }
    }

    /// The same for a key that comes no more. A client of a key has this key alone, so that what users allowed it opens
    /// to nobody.
    fn end_for_good(&self, id: &str, failure: Failure) -> Ended {
        let ended = self.end_key(id, failure);
        Ended { grants: self.forget_grants(&client_of(id).0), ..ended }
    }

    /// A key of the store that a change is for. Where the files have it too, what they say holds, and a change here
    /// would be one in vain.
    fn stored_key(&self, id: &str) -> Result<Stored, api::ApiError> {
        let in_files = self.gate.policy.load().client(id).is_some();
        let found = self.gate.keys.key(id);
        let in_store = found.as_ref().is_ok_and(Option::is_some);
        if in_files {
            let adopt = if in_store { String::new() } else { format!("`toolgate key adopt {id}`, ") };
            let message =
                format!("The files of the configuration have the key {}, and what they say holds.", api::Shown(id));
            return Err(api::ApiError::new(api::ErrorCode::BadRequest, message).remedy(format!(
                "{adopt}take its lines out of the files, and `toolgate config reload`; `toolgate clients suspend key:{id}` stops it at once."
            )));
        }
        Ok(found.map_err(|problem| unreadable(&problem))?.ok_or_else(|| unknown(id))?.0)
    }

    fn change_key(&self, id: &str, change: Change) -> Result<Stored, api::ApiError> {
        let made = self.gate.keys.change(vec![(id.to_owned(), change)]).map_err(|problem| unwritten(&problem))?;
        let mut changed = made.map_err(|(_, refused)| not_done(id, refused))?;
        changed.pop().map(|(_, key)| key).ok_or_else(|| unknown(id))
    }
}

/// The client of a key, and its calls.
fn client_of(id: &str) -> (String, Whom) {
    let client = format!("key:{id}");
    let whom = Whom::Client(crate::identity::number(&client));
    (client, whom)
}

/// The words for calls in flight whose key is one no more.
fn cut_off(why: &str) -> Failure {
    let what = "Whether this call had an effect is unknown; check before you repeat it. Ask the operator of this gate for another key.";
    Failure::new(Kind::Unauthenticated, format!("{why} {what}"))
}

fn no_random(_: aws_lc_rs::error::Unspecified) -> api::ApiError {
    api::ApiError::new(api::ErrorCode::Internal, "The system gives no random numbers.")
}

fn told(id: String, secret: &str, made: &Stored, now_ms: u64) -> api::KeyMade {
    let key = Some(format!("{}{id}_{secret}", text::PREFIX));
    api::KeyMade { applied: true, key, after: row(&id, made, now_ms), id }
}

fn row(id: &str, key: &Stored, now_ms: u64) -> api::KeyRow {
    api::KeyRow { overlap_until_ms: rows::overlap(key, now_ms), ..rows::of_store(id, &key.record, (0, 0), now_ms) }
}

fn outcome(id: &str, applied: bool, (before, after): (&Stored, &Stored), ended: Ended, now_ms: u64) -> api::KeyOutcome {
    let Ended { sessions, calls, queued, grants } = ended;
    let [before, after] = [before, after].map(|key| rows::state(&key.record, now_ms));
    api::KeyOutcome { id: id.to_owned(), applied, before, after, sessions, calls, queued, grants }
}

fn unknown(id: &str) -> api::ApiError {
    api::ApiError::new(api::ErrorCode::NotFound, format!("There is no key {}.", api::Shown(id)))
        .remedy("`toolgate key list` names those that there are; the id is what stands between the two `_` of a key.")
        .field("path")
}

fn not_done(id: &str, refused: Refused) -> api::ApiError {
    let shown = api::Shown(id);
    let (message, remedy) = match refused {
        Refused::Unknown => return unknown(id),
        Refused::Exists => (format!("There is a key {shown} already."), "`toolgate key show` tells what it is."),
        Refused::Revoked => {
            (format!("The key {shown} was revoked, for good."), "Make another with `toolgate key create`.")
        }
        Refused::NotSuspended => {
            (format!("The key {shown} is not suspended."), "`toolgate key show` tells what it is.")
        }
        Refused::Over => (format!("The key {shown} has expired."), "Make another with `toolgate key create`."),
    };
    api::ApiError::new(api::ErrorCode::BadRequest, message).remedy(remedy).field("path")
}

fn unreadable(problem: &str) -> api::ApiError {
    let message = format!("The key store cannot be read: {}.", api::Shown(problem));
    api::ApiError::new(api::ErrorCode::Unavailable, message).remedy("`toolgate health` and the daemon's log say why.")
}

fn unwritten(problem: &str) -> api::ApiError {
    let message = format!("The key store cannot be written: {}.", api::Shown(problem));
    api::ApiError::new(api::ErrorCode::Unavailable, message)
        .remedy("See that the state folder may be written and has room, then look with `toolgate key show` before you repeat it.")
}
