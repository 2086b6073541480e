//! Conditions of alerts about who calls: lists of revoked certificates, and wrong credentials.

use toolgate_protocol::alerts::Condition;
use toolgate_protocol::alerts::Severity::{Critical, Warning};
use toolgate_protocol::verdict::Status;

use crate::clock;
use crate::config::settings::AlertRules;
use crate::gate::Gate;
use crate::observe::health;

/// What is wrong now; `failures` are the wrong credentials of the last minute.
pub(super) fn conditions(gate: &Gate, failures: u64, rules: &AlertRules) -> Vec<Condition> {
    let mut found: Vec<_> = health::lists(gate)
        .iter()
        .filter_map(|(listener, list)| {
            let (status, message) = health::of_list(list);
            let severity = match status {
                Status::Healthy => return None,
                Status::Warning => Warning,
                Status::Unhealthy => Critical,
            };
            let message = format!("Revoked certificates of clients at the listener {listener}: {message}");
            let remedy = "Fetch the newest list from the authority; the gate takes it over within a second.";
            Some(Condition::new(format!("revocations:{listener}"), severity, message, remedy))
        })
        .collect();
    let (count, one) = gate.failures.blocked(clock::nanos());
    if failures > rules.failed_authentications || count > 0 {
        let blocked =
            one.map(|one| format!("{} for showing wrong credentials, {one} among them.", health::blocked(count)));
        let shown = (failures > 0).then(|| format!("{failures} wrong credentials were shown in the last minute."));
        let message = blocked.into_iter().chain(shown).collect::<Vec<_>>().join(" ");
        let remedy = "See in the log whose they are, and keep their addresses out with `allow` of the listener.";
        found.push(Condition::new("failed_authentications", Warning, message, remedy));
    }
    found
}
