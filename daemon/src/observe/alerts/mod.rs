//! Alerts: what is wrong, who was told of it, and what of that still waits for the webhook.
//!
//! [`super::watch`] looks twice a second; what is to be told goes to the log at once and to the webhook in order. The
//! admin sockets read the list and acknowledge. It outlives reloads, and where there is a state folder the process.

mod conditions;
mod identity;
mod keys;
mod saved;
mod trends;
mod unusual;
mod webhook;

use std::sync::{Mutex, MutexGuard};

use tokio::sync::Notify;
use toolgate_admin_api as api;
use toolgate_protocol::alerts::{Alert, Alerts, MOST, Severity};
use toolgate_protocol::outbox::Outbox;
use tracing::{error, info, warn};

pub use conditions::conditions;
pub use saved::Keeper;
pub use trends::Trends;
pub use webhook::deliver;

use crate::clock;
use crate::gate::Gate;
use crate::lock::lock;
use crate::observe::Shown;

/// Alerts that wait for a webhook that is away.
pub const WAITING: usize = 1000;

/// The alerts of the gate.
#[derive(Debug)]
pub struct Alarms {
    state: Mutex<State>,
    /// Something new waits for the webhook, or it is another one.
    pub(super) news: Notify,
}

#[derive(Debug)]
struct State {
    alerts: Alerts,
    outbox: Outbox<String>,
    /// Why the last delivery failed.
    trouble: Option<String>,
    /// Grows with each change, so that whoever writes it down knows when.
    changes: u64,
}

impl Default for Alarms {
    fn default() -> Self {
        let state = State {
            alerts: Alerts::default(),
            outbox: Outbox::new(WAITING, clock::unix_millis()),
            trouble: None,
            changes: 0,
        };
        Self { state: Mutex::new(state), news: Notify::new() }
    }
}

impl Alarms {
    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Takes in all that is wrong now, and tells whom it concerns.
    pub(super) fn tick(&self, gate: &Gate, trends: &Trends) {
        let settings = gate.settings.load();
        let rules = &settings.alerts;
        let found = conditions(gate, trends);
        let now = clock::unix_millis();
        let cooldown = u64::try_from(rules.cooldown.as_millis()).unwrap_or(u64::MAX);
        let mut state = self.lock();
        let told = state.alerts.observe(now, found, cooldown);
        if told.is_empty() {
            return;
        }
        state.changes += 1;
        for alert in &told {
            log(alert);
            if rules.webhook.is_some() {
                let number = state.outbox.next_number();
                state.outbox.push(webhook::message(alert, number, now));
            }
        }
        drop(state);
        self.news.notify_one();
    }

    /// Those that fire, then those that are over.
    pub fn listed(&self) -> Vec<api::Alert> {
        self.lock().alerts.listed().into_iter().map(to_api).collect()
    }

    /// Those that fire.
    pub fn firing(&self) -> Vec<api::Alert> {
        self.lock().alerts.listed().into_iter().filter(|alert| alert.fires()).map(to_api).collect()
    }

    /// What keeps alerts from the webhook, as a sentence.
    pub fn trouble(&self) -> Option<String> {
        let state = self.lock();
        let (why, waiting, lost) = (state.trouble.as_ref()?, state.outbox.waiting().len(), state.outbox.lost());
        let lost = if lost == 0 { String::new() } else { format!(" {lost} older ones were lost.") };
        let left_out = match state.outbox.left_out() {
            0 => String::new(),
            count => format!(" {count} were left out, for it refused them again and again."),
        };
        Some(format!("The webhook does not take alerts: {why} {waiting} wait for it.{lost}{left_out}"))
    }

    /// That some of what is wrong has no place among the alerts, as a sentence.
    pub fn crowded_out(&self) -> Option<String> {
        match self.lock().alerts.crowded_out() {
            0 => None,
            count => Some(format!("{MOST} alerts are there; {count} more found no room, and nobody is told of them.")),
        }
    }

    /// Somebody has seen an alert. As it is then, or would be.
    ///
    /// # Errors
    /// Where it does not fire.
    pub fn acknowledge(&self, id: &str, who: &str, dry_run: bool) -> Result<api::Alert, api::ApiError> {
        self.change(id, dry_run, |alerts| alerts.acknowledge(id, who).cloned())
    }

    /// An alert is not told for a while. As it is then, or would be.
    ///
    /// # Errors
    /// Where there is no such alert.
    pub fn silence(&self, id: &str, length_ms: u64, dry_run: bool) -> Result<api::Alert, api::ApiError> {
        self.change(id, dry_run, |alerts| alerts.silence(id, clock::unix_millis(), length_ms).cloned())
    }

    fn change(
        &self,
        id: &str,
        dry_run: bool,
        change: impl FnOnce(&mut Alerts) -> Option<Alert>,
    ) -> Result<api::Alert, api::ApiError> {
        let mut state = self.lock();
        let changed = if dry_run {
            change(&mut state.alerts.clone())
        } else {
            state.changes += 1;
            change(&mut state.alerts)
        };
        changed.as_ref().map(to_api).ok_or_else(|| {
            api::ApiError::new(api::ErrorCode::NotFound, format!("No alert {} fires.", Shown(id)))
                .remedy("`toolgate alerts` lists them.")
        })
    }
}

fn to_api(alert: &Alert) -> api::Alert {
    let condition = &alert.condition;
    api::Alert {
        id: condition.id.clone(),
        severity: condition.severity.word().to_owned(),
        message: condition.message.clone(),
        remedy: condition.remedy.clone(),
        since_ms: alert.since,
        recovered_ms: alert.recovered,
        told: alert.told,
        acknowledged: alert.acknowledged.clone(),
        silenced_until_ms: alert.silenced_until,
    }
}

fn log(alert: &Alert) {
    let condition = &alert.condition;
    let (id, remedy) = (Shown(&condition.id), Shown(&condition.remedy));
    let (severity, message) = (condition.severity.word(), Shown(&condition.message));
    match (alert.fires(), condition.severity) {
        (false, _) => info!(alert = %id, severity, told = alert.told, "an alert is over: {message}"),
        (true, Severity::Warning) => warn!(alert = %id, severity, told = alert.told, %remedy, "alert: {message}"),
        (true, Severity::Critical) => error!(alert = %id, severity, told = alert.told, %remedy, "alert: {message}"),
    }
}
