//! Weights of endpoints by hand, and checks that are made now.

use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use toolgate_admin_api as api;

use super::super::daemon::Daemon;
use super::super::endpoints::{chosen, said, these};
use crate::admin::Peer;
use crate::lock::lock;
use crate::servers::Server;
use crate::servers::endpoints::{checks, configured_weight, weight};
use crate::steering::endpoints::Weight;

/// The largest weight.
const MOST: u32 = 1000;
/// How long checks may take, all together.
const PATIENCE: Duration = Duration::from_secs(10);

impl Daemon {
    /// Gives an endpoint another weight.
    pub(super) fn weigh_endpoint(
        &self,
        peer: &Peer,
        name: &str,
        request: &api::WeightRequest,
    ) -> Result<api::WeightOutcome, api::ApiError> {
        // A reload at the same time would miss it.
        let _turn = lock(&self.turn);
        let policy = self.gate.policy.load_full();
        let (server, chosen) = chosen(&policy, name, Some(&request.endpoint))?;
        if request.weight > MOST {
            return Err(api::ApiError::new(api::ErrorCode::BadRequest, "An endpoint cannot weigh as much.")
                .remedy(format!("Say from 0, which is no calls while others are there, to {MOST}."))
                .field("weight"));
        }
        let at = chosen.first().copied().unwrap_or(0);
        let known = server.endpoints.get(at);
        let before = weight(known, &server.settings, at);
        if !request.dry_run {
            let configured = configured_weight(&server.settings, at);
            let is = Weight { weight: request.weight, configured };
            // The configured one by hand is none by hand.
            let weight = (is.weight != configured).then(|| said(is, peer, request.reason.as_ref()));
            self.gate.steering.say_of(&policy, server, (&[at], false), |said| said.weight.clone_from(&weight));
            known.set_weight(weight.map(|weight| weight.is.weight));
        }
        Ok(api::WeightOutcome {
            server: name.to_owned(),
            endpoint: request.endpoint.clone(),
            applied: !request.dry_run,
            before,
            weight: request.weight,
        })
    }

    /// Checks endpoints now, and says what was found.
    pub(super) fn check_endpoints(
        &self,
        name: &str,
        request: &api::CheckRequest,
    ) -> Result<api::ChecksOutcome, api::ApiError> {
        let policy = self.gate.policy.load_full();
        let (server, chosen) = chosen(&policy, name, request.endpoint.as_deref())?;
        if server.http().is_none() {
            return Err(api::ApiError::new(
                api::ErrorCode::BadRequest,
                format!("The server {name} is not reached over Streamable HTTP, and is not checked."),
            )
            .remedy(format!("`toolgate server try {name}` plays a client of it.")));
        }
        if !request.dry_run {
            self.check_now_at(server, &chosen)?;
        }
        let endpoints = these(&self.gate, server, &chosen);
        Ok(api::ChecksOutcome { server: name.to_owned(), applied: !request.dry_run, checked: endpoints })
    }

    fn check_now_at(&self, server: &Arc<Server>, chosen: &[usize]) -> Result<(), api::ApiError> {
        let (tell, told) = mpsc::channel();
        let (asked, places) = (Arc::clone(server), chosen.to_vec());
        let put = self.cores.try_spawn(self.cores.least_loaded(), move |core| async move {
            let mut checks = tokio::task::JoinSet::new();
            for at in places {
                let (core, server) = (std::rc::Rc::clone(&core), Arc::clone(&asked));
                checks.spawn_local(async move { checks::check_now(&core, &server, at).await });
            }
            checks.join_all().await;
            // Nobody waits any more where sending fails.
            let _ = tell.send(());
        });
        if put.is_err() || told.recv_timeout(PATIENCE).is_err() {
            return Err(api::ApiError::new(api::ErrorCode::Unavailable, "The check did not end in time.")
                .remedy("Try again in ten seconds."));
        }
        Ok(())
    }
}
