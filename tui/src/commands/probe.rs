//! `toolgate probe`: does it live, does it take calls.
//!
//! For container health checks and scripts, so there are two answers only: 0, and 1 with the reason
//! on standard error.

use std::time::Duration;

use http::Request;
use http_body_util::Full;
use toolgate_admin_api::{Exit, Health, Shown, Status};

use super::Context;
use crate::args::Probe;
use crate::client::admin::AdminClient;
use crate::client::connection::Connections;
use crate::client::url::GateUrl;
use crate::failure::Failure;

/// Asks once.
pub(super) async fn run(context: &Context, probe: Probe) -> Result<Exit, Failure> {
    let deadline = Duration::from_secs(probe.timeout);
    let asked = tokio::time::timeout(deadline, ask(context, &probe))
        .await
        .unwrap_or_else(|_| Err(Failure::new(Exit::Failed, format!("No answer within {} s.", probe.timeout))));
    asked.map(|()| Exit::Done).map_err(|failure| match failure.exit {
        Exit::Usage => failure,
        _ => Failure { exit: Exit::Failed, ..failure },
    })
}

async fn ask(context: &Context, probe: &Probe) -> Result<(), Failure> {
    match &probe.url {
        Some(url) => over_http(url, probe).await,
        None => over_socket(context, probe.ready).await,
    }
}

async fn over_socket(context: &Context, ready: bool) -> Result<(), Failure> {
    let mut client = AdminClient::view(&context.runtime_dir).await?;
    if !ready {
        return healthy(&client.get("/v1/health").await?.read()?);
    }
    let status: Status = client.get("/v1/status").await?.read()?;
    if status.ready {
        return Ok(());
    }
    let reason = status.not_ready.unwrap_or_default();
    Err(Failure::new(Exit::Failed, format!("Not ready: {}", Shown(&reason))))
}

/// A warning is for people; a daemon that works in part is not to be started anew.
fn healthy(health: &Health) -> Result<(), Failure> {
    if health.status != "unhealthy" {
        return Ok(());
    }
    let failed = health.checks.iter().filter(|check| check.critical && check.status == "unhealthy");
    let told: Vec<_> = failed.map(|check| format!("{}: {}", Shown(&check.name), Shown(&check.message))).collect();
    Err(Failure::new(Exit::Failed, format!("Unhealthy: {}", told.join("; "))))
}

async fn over_http(url: &str, probe: &Probe) -> Result<(), Failure> {
    let url = GateUrl::parse(url)?;
    let path = match (url.path.as_str(), probe.ready) {
        ("/", true) => "/ready".to_owned(),
        ("/", false) => "/health".to_owned(),
        (written, _) => written.to_owned(),
    };
    let text = url.text.clone();
    let request = Request::get(path)
        .body(Full::default())
        .map_err(|error| Failure::local("The request cannot be made", error))?;
    let connections = Connections::new(url, probe.trust.ca.as_deref())?;
    let exchange =
        connections.send(request).await.map_err(|error| Failure::local(format!("{text} cannot be reached"), error))?;
    let status = exchange.response.status();
    if status.is_success() {
        return Ok(());
    }
    Err(Failure::new(Exit::Failed, format!("{text} answers {status}.")))
}
