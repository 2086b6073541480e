//! Alerts on their way to the webhook: one after the other, and each again until it was taken. One with which the webhook
//! itself finds fault again and again is left out, lest all that come later wait for it.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::time::{sleep, timeout};
use toolgate_protocol::alerts::Alert;
use tracing::{error, info, warn};

use super::to_api;
use crate::clock;
use crate::config::Secret;
use crate::config::settings::Webhook;
use crate::gate::Gate;
use crate::servers::http::{HttpClient, Method, Outgoing, lone};

/// How long a webhook may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the webhook is sent. The number grows by one with each alert.
pub(super) fn message(alert: &Alert, number: u64, now: u64) -> String {
    let mut body = serde_json::to_value(to_api(alert)).unwrap_or_default();
    body["state"] = json!(if alert.fires() { "firing" } else { "recovered" });
    body["number"] = json!(number);
    body["at_ms"] = json!(now);
    body["source"] = json!("toolgate");
    body["version"] = json!(env!("CARGO_PKG_VERSION"));
    body.to_string()
}

/// Delivers for as long as it is polled.
pub async fn deliver(gate: Arc<Gate>) {
    let mut way: Option<Way> = None;
    loop {
        let wanted = gate.settings.load().alerts.webhook.clone();
        if way.as_ref().map(|way| &way.webhook) != wanted.as_ref() {
            way = wanted.map(Way::new);
            gate.observed.alarms.hurry();
        }
        let next = match &way {
            Some(_) => gate.observed.alarms.next(),
            None => Next::Nothing,
        };
        match (next, &way) {
            (Next::Due(number, body), Some(way)) => {
                let outcome = way.send(&body).await;
                gate.observed.alarms.note(number, outcome);
            }
            (Next::Later(wait), _) => tokio::select! {
                () = sleep(wait.min(LOOK)) => {}
                () = gate.observed.alarms.news.notified() => {}
            },
            // A reload may bring a webhook.
            (Next::Nothing | Next::Due(..), _) => tokio::select! {
                () = sleep(LOOK) => {}
                () = gate.observed.alarms.news.notified() => {}
            },
        }
    }
}

/// How often it is looked whether a reload named another webhook.
const LOOK: Duration = Duration::from_secs(1);

/// What is to be delivered.
enum Next {
    Due(u64, String),
    Later(Duration),
    Nothing,
}

impl super::Alarms {
    fn next(&self) -> Next {
        let (state, now) = (self.lock(), clock::millis());
        match (state.outbox.due(now), state.outbox.wait(now)) {
            (Some((number, body)), _) => Next::Due(*number, body.clone()),
            (None, Some(wait)) => Next::Later(Duration::from_millis(wait.max(1))),
            (None, None) => Next::Nothing,
        }
    }

    fn note(&self, number: u64, outcome: Result<(), Failed>) {
        let mut state = self.lock();
        let was_away = state.trouble.take().is_some();
        match outcome {
            Ok(()) => {
                state.outbox.delivered(number);
                state.changes += 1;
                if was_away {
                    info!(waiting = state.outbox.waiting().len(), "the webhook takes alerts again");
                }
            }
            Err(Failed { why, of_this }) => {
                let now = clock::millis();
                if of_this && state.outbox.refused(number, now) {
                    let left_out = state.outbox.left_out();
                    error!(why, number, left_out, "the webhook refuses an alert again and again: it is left out");
                    state.changes += 1;
                } else {
                    if !of_this {
                        state.outbox.failed(now);
                    }
                    if !was_away {
                        warn!(why, "the webhook does not take alerts: they wait for it");
                    }
                }
                state.trouble = Some(why);
            }
        }
    }

    fn hurry(&self) {
        let mut state = self.lock();
        state.outbox.hurry();
        state.trouble = None;
    }
}

/// Why an alert was not taken.
#[derive(Debug)]
struct Failed {
    /// As a sentence without the URL's path, which may hold a credential.
    why: String,
    /// The webhook finds fault with this alert: others may be taken.
    of_this: bool,
}

impl Failed {
    fn on_the_way(why: String) -> Self {
        Self { why, of_this: false }
    }
}

/// Whether an answer finds fault with what was sent (RFC 9110, section 15.5), not with who sends it, where to, or when.
fn is_of_this(status: u16) -> bool {
    (400..500).contains(&status) && !matches!(status, 401 | 403..=405 | 407 | 408 | 410 | 421 | 425 | 429)
}

/// A webhook as it is reached.
struct Way {
    webhook: Webhook,
    client: Result<HttpClient, String>,
}

impl Way {
    fn new(webhook: Webhook) -> Self {
        let bearer = |secret: &Secret| Secret::new(format!("Bearer {}", secret.expose()));
        let headers = webhook.bearer.iter().map(|secret| ("authorization".to_owned(), bearer(secret))).collect();
        let client = match &webhook.lacks {
            Some(why) => Err(why.clone()),
            None => lone(webhook.endpoint.0.clone(), webhook.tls.clone(), headers, PATIENCE),
        };
        Self { webhook, client }
    }

    async fn send(&self, body: &str) -> Result<(), Failed> {
        let away = |why: &String| Failed::on_the_way(format!("{}.", why.trim_end_matches('.')));
        let client = self.client.as_ref().map_err(away)?;
        let headers: &[(&str, &[u8])] = &[("content-type", b"application/json"), ("accept", b"*/*")];
        let request = Outgoing {
            method: Method::Post,
            endpoint: 0,
            headers,
            target: None,
            body: &[body.as_bytes()],
            first_byte: None,
        };
        let host = &self.webhook.endpoint.0.host;
        match timeout(PATIENCE, client.send(request)).await {
            Ok(Ok(answer)) if (200..300).contains(&answer.status) => Ok(()),
            Ok(Ok(answer)) => {
                let why = format!("{host} answers with status {}.", answer.status);
                Err(Failed { why, of_this: is_of_this(answer.status) })
            }
            Ok(Err(error)) => Err(Failed::on_the_way(format!("{host} cannot be reached: {error}."))),
            Err(_) => Err(Failed::on_the_way(format!("{host} gives no answer in time."))),
        }
    }
}

#[cfg(test)]
mod tests {
    use toolgate_protocol::outbox::REFUSALS;

    use super::super::Alarms;
    use super::*;

    fn answered(status: u16) -> Result<(), Failed> {
        Err(Failed { why: format!("It answers with status {status}."), of_this: is_of_this(status) })
    }

    #[test]
    fn an_alert_that_the_webhook_finds_fault_with_is_left_out_and_a_webhook_that_is_away_loses_none() {
        let alarms = Alarms::default();
        for body in ["unfit", "next"] {
            alarms.lock().outbox.push(body.to_owned());
        }
        for status in [500, 503, 401, 403, 404, 408, 410, 429, 302] {
            for _ in 0..10 {
                alarms.note(1, answered(status));
            }
        }
        assert_eq!(alarms.lock().outbox.waiting().len(), 2);
        for _ in 0..REFUSALS {
            alarms.note(1, answered(400));
        }
        assert!(matches!(alarms.next(), Next::Due(2, body) if body == "next"));
        let told = alarms.trouble().expect("nothing was taken yet");
        assert!(told.contains("status 400") && told.contains("1 were left out"), "{told}");
        alarms.note(2, Ok(()));
        assert_eq!(alarms.trouble(), None);
    }
}
