//! What is wrong now, as conditions of alerts.

use std::sync::Arc;
use std::time::Duration;

use toolgate_protocol::alerts::Condition;
use toolgate_protocol::alerts::Severity::{self, Critical, Warning};
use toolgate_protocol::breaker::State;
use toolgate_protocol::verdict::Status;

use super::Trends;
use super::unusual::Unusual;
use crate::clock;
use crate::config::settings::AlertRules;
use crate::gate::Gate;
use crate::observe::health::{self, Finding};
use crate::observe::observed::Sample;
use crate::observe::rates::Rates;
use crate::overload::hundredths;
use crate::overload::readings::ratio;
use crate::policy::Policy;
use crate::servers::endpoints::Endpoint;

/// What ends on a day is told once a day.
pub(super) const DAILY_MS: u64 = 24 * 3_600_000;

const DAY_MS: u64 = 24 * 3_600_000;

/// Days before the end of a certificate at which it gets worse.
const STAGES: [(u64, Severity, u8); 3] = [(1, Critical, 0), (7, Warning, 1), (30, Warning, 0)];

/// All that is wrong now.
pub fn conditions(gate: &Gate, trends: &Trends) -> Vec<Condition> {
    let policy = gate.policy.load_full();
    let rules = &policy.settings.alerts;
    let report = health::look(gate);
    let mut found = Vec::new();
    if gate.observed.is_read() {
        found.extend(process(&gate.sample(), rules));
    }
    found.extend(report.findings.iter().filter_map(of_finding));
    found.extend(whole(report.status, &report.findings));
    found.extend(breakers(&policy));
    found.extend(trends.breached().map(breached));
    found.extend(trends.failed().filter(|(_, count)| *count > rules.restarts).map(restarts));
    found.extend(calls(&gate.observed.rates.load(), rules));
    found.extend(trends.unusual().iter().map(unusual));
    found.extend(certificates(gate));
    found.extend(super::identity::conditions(gate, trends.wrong_credentials(), rules));
    found.extend(super::keys::old(gate, &policy, rules));
    found
}

fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

fn process(sample: &Sample, rules: &AlertRules) -> Vec<Condition> {
    let mut found = Vec::new();
    if sample.cpu > hundredths(rules.cpu) {
        let message = format!("The gate uses {} of its processors.", percent(sample.cpu));
        let remedy = "See which clients and tools are busiest, limit them, or give the gate more processors.";
        found.push(Condition::new("cpu", Warning, message, remedy));
    }
    let process = &sample.process;
    let share = ratio(process.memory, process.memory_limit);
    let large = rules.memory_bytes.is_some_and(|bytes| process.memory > bytes);
    let severity = match share {
        share if share > hundredths(rules.memory) => Some(Critical),
        share if share > hundredths(rules.memory_warning) || large => Some(Warning),
        _ => None,
    };
    if let Some(severity) = severity {
        let message =
            format!("The gate uses {} MiB of memory, {} of what it may.", process.memory >> 20, percent(share));
        let remedy = "See how many sessions and kept answers there are, bound them, or give the gate more memory.";
        found.push(Condition::new("memory", severity, message, remedy));
    }
    found
}

/// The alert of a finding that stands for itself.
fn of_finding(found: &Finding) -> Option<Condition> {
    if found.status == Status::Healthy || found.quiet {
        return None;
    }
    let severity = if found.status == Status::Unhealthy { Critical } else { Warning };
    let (id, remedy) = match found.name.as_str() {
        "disk" => ("disk_full".to_owned(), "Make room: what must survive a restart cannot be written.".to_owned()),
        "queues" => (
            "queue_full".to_owned(),
            "See who waits with `toolgate status`, limit them, or let the server take more calls at once.".to_owned(),
        ),
        "pools" => {
            ("pool_exhausted".to_owned(), "Raise pool.max_connections or instances.max, or limit who calls.".to_owned())
        }
        "audit" => (
            "audit_log".to_owned(),
            "Make room in the state folder, and see that its disk answers; `toolgate status` says what is lost."
                .to_owned(),
        ),
        "grants" => (
            "user_grants".to_owned(),
            "Make room in the state folder, and see that its disk answers; users whose grant is lost allow it again."
                .to_owned(),
        ),
        "keys" => (
            "key_store".to_owned(),
            "See that the state folder can be written; `toolgate health` and `toolgate key list` say more.".to_owned(),
        ),
        "overload" => ("overload".to_owned(), "See which clients and tools are busiest, and limit them.".to_owned()),
        "descriptors" | "lag" => {
            (found.name.clone(), "See which listeners and clients hold most, and bound them.".to_owned())
        }
        name => {
            if let Some(server) = name.strip_prefix("server:") {
                let id = format!("server_trouble:{server}");
                let message = format!("The server {server}: {}.", found.message.trim_end_matches('.'));
                return Some(Condition::new(
                    id,
                    severity,
                    message,
                    format!("`toolgate server show {server}` says more."),
                ));
            }
            if let Some(issuer) = name.strip_prefix("issuer:") {
                let message = format!("The issuer {issuer}: {}", found.message);
                let remedy =
                    format!("See that the gate reaches what [issuer.{issuer}] names; `toolgate health` says more.");
                return Some(Condition::new(format!("issuer_keys:{issuer}"), severity, message, remedy));
            }
            // Those that are not listed above are the operator's, or have alerts made elsewhere.
            if found.name.contains(':') || is_own(name) {
                return None;
            }
            (format!("check:{name}"), format!("See why the check {name} fails; [check.{name}] says what it looks at."))
        }
    };
    Some(Condition::new(id, severity, found.message.clone(), remedy))
}

/// Findings of the gate's own that have alerts made elsewhere, or none.
fn is_own(name: &str) -> bool {
    matches!(
        name,
        "memory"
            | "cpu"
            | "config"
            | "units"
            | "webhook"
            | "traces"
            | "response_time"
            | "error_rate"
            | "authentication"
            | "alerts"
            | "listeners"
    )
}

/// That the whole is not healthy, with what is not.
fn whole(status: Status, findings: &[Finding]) -> Option<Condition> {
    let severity = match status {
        Status::Healthy => return None,
        Status::Warning => Warning,
        Status::Unhealthy => Critical,
    };
    let told = findings.iter().filter(|found| found.status != Status::Healthy && !found.quiet);
    let names: Vec<_> = told.map(|found| found.name.as_str()).collect();
    if names.is_empty() {
        return None;
    }
    let message = format!("The health of the gate is {}: {}.", status.word(), names.join(", "));
    Some(Condition::new("health", severity, message, "`toolgate health` says more."))
}

fn breakers(policy: &Policy) -> Vec<Condition> {
    let open = |server: &Arc<crate::servers::Server>| {
        server.settings.breaker.as_ref()?;
        let glances = server.endpoints.each().iter().map(Endpoint::glance);
        let open: Vec<_> = glances.filter(|glance| matches!(glance.state, State::Open | State::HalfOpen)).collect();
        let cause = open.iter().find_map(|glance| glance.cause.map(|cause| format!(": {cause}"))).unwrap_or_default();
        let (name, all) = (&server.settings.name, server.endpoints.each().len());
        (!open.is_empty()).then(|| {
            let severity = if open.len() == all { Critical } else { Warning };
            let message = format!("Breakers of the server {name} are open, {} of {all}{cause}.", open.len());
            let remedy = format!("Mend the server; `toolgate breaker reset {name}` tries it at once.");
            Condition::new(format!("breaker_open:{name}"), severity, message, remedy)
        })
    };
    policy.servers.values().filter_map(open).collect()
}

fn calls(rates: &Rates, rules: &AlertRules) -> Vec<Condition> {
    let rank = |value: f64, warning: f64, critical: f64| match value {
        value if value > critical => Some(Critical),
        value if value > warning => Some(Warning),
        _ => None,
    };
    let named = |server: &Option<String>, words: &str| {
        server.as_ref().map_or_else(String::new, |server| format!("; {words} the server {server}"))
    };
    let mut found = Vec::new();
    let (warning, critical) = (rules.response_time_warning.as_secs_f64(), rules.response_time.as_secs_f64());
    if let Some(severity) = rank(rates.response_time, warning, critical) {
        let slowest = named(&rates.slowest, "longest take those to");
        let message = format!("95 of 100 calls of the last minute took up to {:.1} s{slowest}.", rates.response_time);
        let remedy = "See in which phase the time goes, and whether the server has more to do than it takes.";
        found.push(Condition::new("response_time", severity, message, remedy));
    }
    let (warning, critical) = (hundredths(rules.error_rate_warning), hundredths(rules.error_rate));
    if let Some(severity) = rank(rates.errors, warning, critical) {
        let worst = named(&rates.worst, "most of them are those of");
        let message = format!("{} of the calls of the last minute failed{worst}.", percent(rates.errors));
        let remedy = "The log says of each call why it failed; `toolgate health` says how servers do.";
        found.push(Condition::new("error_rate", severity, message, remedy));
    }
    found
}

fn unusual(found: &Unusual) -> Condition {
    let Unusual { client, calls, mean } = found;
    let message =
        format!("The client {client} has made {calls} calls in a minute; {mean} are its mean of the last hour.");
    let remedy = "See what it calls; set a limit for it, or have it stopped, where nobody meant that.";
    Condition::new(format!("unusual_traffic:{client}"), Warning, message, remedy)
}

fn breached((name, count): (&str, u64)) -> Condition {
    let message = format!("The limit {name} has refused {count} calls in the last minute.");
    let remedy = "`toolgate limits` says whom most; set another value, or see why the client calls so often.";
    Condition::new(format!("limit_breached:{name}"), Warning, message, remedy)
}

fn restarts((server, count): (&str, u64)) -> Condition {
    let message = format!("Instances of the server {server} ended by themselves {count} times in the last hour.");
    let remedy = format!("`toolgate server show {server}` has the last lines that one wrote.");
    Condition::new(format!("restarts:{server}"), Warning, message, remedy)
}

fn certificates(gate: &Gate) -> Vec<Condition> {
    let now = clock::unix_millis();
    let mut found = Vec::new();
    for certificate in gate.observed.certificates() {
        let (listener, file) = (&certificate.listener, &certificate.file);
        let left = certificate.not_after_ms.saturating_sub(now);
        let stage = STAGES.into_iter().find(|(days, ..)| left < days * DAY_MS);
        if let Some((_, severity, step)) = stage {
            let message = match left {
                0 => format!("The certificate {file} of the listener {listener} has ended: clients refuse it."),
                left => format!(
                    "The certificate {file} of the listener {listener} ends in {}.",
                    health::days(Duration::from_millis(left))
                ),
            };
            let remedy = "Renew it; the gate takes new files over by itself, and `toolgate certs` says whether it did.";
            // One more stage: it is over.
            let step = if left == 0 { step + 1 } else { step };
            let condition = Condition::new(format!("certificate:{listener}:{file}"), severity, message, remedy);
            found.push(Condition { step, spacing_ms: DAILY_MS, ..condition });
        }
        if let Some(why) = &certificate.refused {
            let message = format!("A newer certificate of the listener {listener} is not served: {why}.");
            let remedy = "Write chain and key of one issuance into both files; the one before is served meanwhile.";
            found.push(Condition::new(format!("certificate_refused:{listener}:{file}"), Critical, message, remedy));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use toolgate_admin_api::Process;

    use super::*;

    fn rules() -> AlertRules {
        crate::config::from_text("version = 1").unwrap().alerts
    }

    fn found(name: &str, status: Status) -> Finding {
        Finding {
            name: name.to_owned(),
            status,
            message: "It is so.".to_owned(),
            critical: false,
            age_ms: 0,
            took_us: 0,
            era: None,
            quiet: false,
        }
    }

    fn ids(conditions: &[Condition]) -> Vec<(&str, Severity)> {
        conditions.iter().map(|condition| (condition.id.as_str(), condition.severity)).collect()
    }

    #[test]
    fn the_process_is_held_against_the_customary_thresholds() {
        let sample = |cpu: f64, memory: u64| Sample {
            cpu,
            process: Process { memory, memory_limit: 1000, ..Process::default() },
            ..Sample::default()
        };
        let told = |cpu, memory| process(&sample(cpu, memory), &rules());
        assert_eq!(ids(&told(0.80, 800)), []);
        assert_eq!(ids(&told(0.81, 801)), [("cpu", Warning), ("memory", Warning)]);
        assert_eq!(ids(&told(0.0, 851)), [("memory", Critical)]);
        let rules = AlertRules { memory_bytes: Some(100), ..rules() };
        assert_eq!(ids(&process(&sample(0.0, 101), &rules)), [("memory", Warning)], "whatever it may use");
    }

    #[test]
    fn slow_and_failing_calls_are_told_with_who_is_to_blame() {
        let rates = |response_time, errors| Rates {
            response_time,
            errors,
            slowest: Some("weather".to_owned()),
            worst: Some("files".to_owned()),
        };
        assert_eq!(ids(&calls(&rates(1.0, 0.05), &rules())), []);
        assert_eq!(ids(&calls(&rates(1.1, 0.06), &rules())), [("response_time", Warning), ("error_rate", Warning)]);
        let told = calls(&rates(5.1, 0.11), &rules());
        assert_eq!(ids(&told), [("response_time", Critical), ("error_rate", Critical)]);
        assert!(told[0].message.contains("weather") && told[1].message.contains("files"), "{told:?}");
    }

    #[test]
    fn findings_that_stand_for_themselves_are_alerts_and_quiet_ones_are_none() {
        let told = |name: &str, status| of_finding(&found(name, status)).map(|told| (told.id, told.severity));
        assert_eq!(told("disk", Status::Unhealthy), Some(("disk_full".to_owned(), Critical)));
        assert_eq!(told("server:web", Status::Warning), Some(("server_trouble:web".to_owned(), Warning)));
        assert_eq!(told("backup", Status::Warning), Some(("check:backup".to_owned(), Warning)));
        assert_eq!(told("backup", Status::Healthy), None);
        assert_eq!(told("grants", Status::Warning), Some(("user_grants".to_owned(), Warning)));
        assert_eq!(told("keys", Status::Warning), Some(("key_store".to_owned(), Warning)));
        for elsewhere in ["memory", "cpu", "certificate:public", "response_time", "webhook", "traces"] {
            assert_eq!(told(elsewhere, Status::Unhealthy), None, "{elsewhere}");
        }
        let quiet = Finding { quiet: true, ..found("server:web", Status::Warning) };
        assert_eq!((of_finding(&quiet), whole(Status::Warning, &[quiet])), (None, None));
        let all = [found("memory", Status::Healthy), found("disk", Status::Warning)];
        let told = whole(Status::Warning, &all).unwrap();
        assert_eq!(told.message, "The health of the gate is warning: disk.");
    }

    #[test]
    fn no_part_of_the_gate_is_taken_for_a_check_of_the_operator() {
        for name in health::OWN {
            let told = of_finding(&found(name, Status::Unhealthy));
            assert!(!told.as_ref().is_some_and(|told| told.id.starts_with("check:")), "{told:?}");
        }
        let told = of_finding(&found("keys", Status::Warning)).unwrap();
        assert_eq!(told.id, "key_store");
    }
}
