//! Sessions that end by an operator's hand, with all that runs in them.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use toolgate_admin_api as api;
use tracing::warn;

use super::super::daemon::Daemon;
use crate::failure::{Failure, Kind};
use crate::relay::farewell;
use crate::running::Whom;
use crate::sessions::{self, Session};

impl Daemon {
    /// Ends the session of a handle.
    pub(super) fn end_one(&self, handle: &str, dry_run: bool) -> Result<api::EndOutcome, api::ApiError> {
        let outcome = self.end_those(|session| session.handle.to_string() == handle, dry_run);
        if outcome.sessions == 0 {
            return Err(api::ApiError::new(api::ErrorCode::NotFound, "There is no such session; it may have ended.")
                .remedy("`toolgate sessions list` names those that there are.")
                .field("path"));
        }
        Ok(outcome)
    }

    /// Ends all sessions for which every condition holds.
    pub(super) fn end_matching(&self, request: &api::EndMatching) -> Result<api::EndOutcome, api::ApiError> {
        let api::EndMatching { client, server, idle_seconds, dry_run, .. } = request;
        if client.is_none() && server.is_none() && idle_seconds.is_none() {
            return Err(api::ApiError::new(api::ErrorCode::BadRequest, "Nothing says which sessions are to end.")
                .remedy("Say `client`, `server` or `idle_seconds`; `\"idle_seconds\": 0` means all.")
                .field("body"));
        }
        let idle = idle_seconds.map_or(0, |seconds| seconds.saturating_mul(1000));
        let fits = |session: &Session| {
            client.as_deref().is_none_or(|client| *session.client == *client)
                && server.as_deref().is_none_or(|server| takes_part(session, server))
                && session.idle_millis() >= idle
        };
        Ok(self.end_those(fits, *dry_run))
    }

    /// Ends the sessions that fit. Their calls end before they do, so that these can say why.
    pub(in super::super) fn end_those(&self, fits: impl Fn(&Session) -> bool, dry_run: bool) -> api::EndOutcome {
        let ids: Arc<HashSet<_>> = Arc::new(self.gate.sessions.filtered(fits).into_iter().collect());
        let whom = Whom::Sessions(Arc::clone(&ids));
        if dry_run {
            let (sessions, calls) = (ids.len() as u64, self.running(&whom).calls.len() as u64);
            return api::EndOutcome { applied: false, sessions, calls };
        }
        let calls = self.stop_calls(&whom, over()).calls.len() as u64;
        let ended: Vec<_> = ids.iter().filter_map(|id| self.gate.sessions.end(*id)).collect();
        let sessions = ended.len() as u64;
        self.say_farewell(ended);
        api::EndOutcome { applied: true, sessions, calls }
    }

    fn say_farewell(&self, ended: Vec<Arc<Session>>) {
        if let Err(problem) = self.cores.try_spawn(0, move |core| async move { farewell::begin(&core, ended) }) {
            warn!("servers are not told which of their sessions have ended: {problem}");
        }
    }
}

/// Whether a server has a part in a session: the one behind it, one that it reached, or the one that it was opened on.
fn takes_part(session: &Session, server: &str) -> bool {
    match &session.kind {
        sessions::Kind::Mirrored(mirrored) => mirrored.server.settings.name == server,
        sessions::Kind::Hosted(hosted) => hosted.has_leg(server) || session.view == server,
    }
}

/// What calls of a session read that the operator ended.
fn over() -> Failure {
    Failure::new(
        Kind::Stopped,
        "The operator of this gate has ended the session of this call. Whether the call had an effect is unknown; check before you repeat it.",
    )
    .retry_after(Duration::from_secs(1))
}
