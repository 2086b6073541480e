//! Each part of the gate, and how well it does.

use std::time::{Duration, SystemTime};

use toolgate_protocol::refresh::Standing;
use toolgate_protocol::verdict::Status;

use super::Finding;
use crate::clock;
use crate::config::Settings;
use crate::config::settings::{HealthRules, OnFull};
use crate::gate::Gate;
use crate::identity::token::Issuer;
use crate::lifecycle::daemon;
use crate::observe::observed::{Disk, Sample};
use crate::observe::rates::Rates;
use crate::overload::hundredths;
use crate::overload::readings::ratio;
use crate::policy::Policy;
use crate::servers::Server;

/// From this share on a resource is as good as gone.
const GONE: f64 = 0.99;

/// A core that answers no sooner is as good as stuck, in milliseconds.
const STUCK: f64 = 500.0;

/// All of them.
pub(super) fn all(gate: &Gate) -> Vec<Finding> {
    let policy = gate.policy.load_full();
    let rules = &policy.settings.health;
    let mut found: Vec<Finding> = own_parts(gate, &policy, rules);
    for one in &mut found {
        one.critical = rules.critical.contains(&one.name);
    }
    found.extend(certificates(gate, rules));
    found.extend(super::identity::findings(gate));
    found.extend(policy.issuers.each().map(|issuer| keys_of(issuer)));
    found.extend(settings_checks(gate, &policy));
    found.extend(in_order(&policy).map(server));
    found.extend(notes(gate, &policy));
    found
}

/// What the process uses, and what waits in it.
fn own_parts(gate: &Gate, policy: &Policy, rules: &HealthRules) -> Vec<Finding> {
    let sample = gate.sample();
    let mut found = vec![memory(&sample, rules)];
    if gate.observed.is_read() {
        found.extend([cpu(&sample, rules), descriptors(&sample, rules), lag(&sample, rules)]);
    }
    found.extend(disk(**gate.observed.disk.load(), policy, rules));
    found.extend([queues(policy, rules), pools(policy)]);
    found.extend(calls(&gate.observed.rates.load(), rules));
    found
}

fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

fn memory(sample: &Sample, rules: &HealthRules) -> Finding {
    let process = &sample.process;
    let share = ratio(process.memory, process.memory_limit);
    let status = match Status::of(share, f64::INFINITY, hundredths(rules.memory_share)) {
        Status::Healthy if process.memory >= rules.memory => Status::Warning,
        status => status,
    };
    let (used, limit) = (mebibytes(process.memory), mebibytes(process.memory_limit));
    Finding::new("memory", status, format!("{used} MiB in use, {} of {limit} MiB.", percent(share)))
}

fn mebibytes(bytes: u64) -> u64 {
    bytes >> 20
}

fn cpu(sample: &Sample, rules: &HealthRules) -> Finding {
    let status = Status::of(sample.cpu, hundredths(rules.cpu), f64::INFINITY);
    let message = format!("{} of {:.1} processors in the last ten seconds.", percent(sample.cpu), sample.process.cpus);
    Finding::new("cpu", status, message)
}

fn descriptors(sample: &Sample, rules: &HealthRules) -> Finding {
    let process = &sample.process;
    let share = ratio(process.descriptors, process.descriptors_limit);
    let status = Status::of(share, hundredths(rules.descriptors), GONE);
    Finding::new("descriptors", status, format!("{} of {} are open.", process.descriptors, process.descriptors_limit))
}

fn lag(sample: &Sample, rules: &HealthRules) -> Finding {
    let lag = sample.process.lag_ms;
    let status = Status::of(lag, rules.lag.as_secs_f64() * 1000.0, STUCK);
    Finding::new("lag", status, format!("A task that is ready waits {lag:.1} ms for its core."))
}

fn disk(disk: Disk, policy: &Policy, rules: &HealthRules) -> Option<Finding> {
    let folder = policy.settings.daemon.state_dir.display();
    match disk {
        Disk::Unknown => None,
        Disk::Silent => {
            let message = format!("The file system of {folder} does not say how full it is.");
            Some(Finding::new("disk", Status::Unhealthy, message))
        }
        Disk::Used(share) => {
            let status = Status::of(share, hundredths(rules.disk), GONE);
            let message = format!("The file system of {folder} is {} full.", percent(share));
            Some(Finding::new("disk", status, message))
        }
    }
}

/// Servers by name.
fn in_order(policy: &Policy) -> impl Iterator<Item = &Server> {
    policy.settings.servers.keys().filter_map(|name| policy.servers.get(name)).map(AsRef::as_ref)
}

fn queues(policy: &Policy, rules: &HealthRules) -> Finding {
    let mut worst = Status::Healthy;
    let mut told = Vec::new();
    for server in in_order(policy) {
        let most = server.queue.bounds().0 as u64;
        let waiting = server.queue.snapshot().waiting as u64;
        let status = Status::of(ratio(waiting, most), hundredths(rules.queue), 1.0);
        if waiting > 0 && status != Status::Healthy {
            worst = worst.max(status);
            told.push(format!("{waiting} of {most} calls wait for {}", server.settings.name));
        }
    }
    let message = if told.is_empty() { "No queue is long.".to_owned() } else { format!("{}.", told.join("; ")) };
    Finding::new("queues", worst, message)
}

fn pools(policy: &Policy) -> Finding {
    let told: Vec<_> = in_order(policy)
        .filter_map(|server| {
            let waiting = server.waiting_for_room();
            (waiting > 0).then(|| format!("{waiting} calls wait for a connection to {}", server.settings.name))
        })
        .collect();
    if told.is_empty() {
        return Finding::new("pools", Status::Healthy, "No pool is exhausted.");
    }
    Finding::new("pools", Status::Warning, format!("{}.", told.join("; ")))
}

fn calls(rates: &Rates, rules: &HealthRules) -> [Finding; 2] {
    let slow = Status::of(rates.response_time, rules.response_time.as_secs_f64(), f64::INFINITY);
    let failed = Status::of(rates.errors, hundredths(rules.error_rate), f64::INFINITY);
    let blamed = |status: Status, server: &Option<String>| match server {
        Some(server) if status != Status::Healthy => format!(", most of all by the server {server}"),
        _ => String::new(),
    };
    let took = format!(
        "95 of 100 calls of the last minute took up to {:.3} s{}.",
        rates.response_time,
        blamed(slow, &rates.slowest)
    );
    let failures = format!("{} of them failed{}.", percent(rates.errors), blamed(failed, &rates.worst));
    [Finding::new("response_time", slow, took), Finding::new("error_rate", failed, failures)]
}

fn server(server: &Server) -> Finding {
    let critical = server.settings.critical;
    let told = server.left_out.told().into_iter().chain(server.answers.told()).chain(server.told_of_credentials());
    let told: Vec<String> = told.collect();
    let (status, message, quiet) = match (server.trouble(), server.endpoints.degradation()) {
        (Some(trouble), _) if critical => (Status::Unhealthy, trouble, false),
        (Some(trouble), _) | (None, Some(trouble)) => (Status::Warning, trouble, false),
        (None, None) if told.is_empty() => (Status::Healthy, String::new(), false),
        (None, None) => (Status::Warning, told.join("\n"), true),
    };
    let era = daemon::era(server).map(toolgate_admin_api::Era::word);
    Finding {
        era,
        quiet,
        ..Finding::new(format!("server:{}", server.settings.name), status, message).critical(critical)
    }
}

/// One finding per listener, of the certificate that does worst.
fn certificates(gate: &Gate, rules: &HealthRules) -> Vec<Finding> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let mut found: Vec<Finding> = Vec::new();
    for certificate in gate.observed.certificates() {
        let left = Duration::from_millis(certificate.not_after_ms).saturating_sub(now);
        let file = &certificate.file;
        let (status, message) = match &certificate.refused {
            _ if left.is_zero() => (Status::Unhealthy, format!("The certificate in {file} has ended: renew it.")),
            Some(why) => (Status::Warning, format!("A newer certificate is not served: {why}.")),
            None => {
                let status = if left < rules.certificate { Status::Warning } else { Status::Healthy };
                (status, format!("The certificate in {file} ends in {}.", days(left)))
            }
        };
        let name = format!("certificate:{}", certificate.listener);
        match found.iter_mut().find(|other| other.name == name) {
            Some(other) if other.status < status => (other.status, other.message) = (status, message),
            Some(_) => {}
            None => found.push(Finding::new(name, status, message)),
        }
    }
    found
}

/// Whether the keys of an issuer are fresh.
fn keys_of(issuer: &Issuer) -> Finding {
    let name = format!("issuer:{}", issuer.settings().name);
    let (keys, why) = (issuer.keys().len(), issuer.trouble());
    let why = why.as_deref().map_or("", |why| why.trim_end_matches('.'));
    let ago = || issuer.age().map_or_else(String::new, |age| format!(", {} s old", age.as_secs()));
    match issuer.standing() {
        Standing::Fresh => Finding::new(name, Status::Healthy, format!("{keys} keys are known.")),
        Standing::Unknown => {
            Finding { quiet: true, ..Finding::new(name, Status::Warning, "Its keys were not had yet.") }
        }
        Standing::Stale => Finding::new(name, Status::Warning, format!("Its {keys} keys{} are used on: {why}.", ago())),
        Standing::Gone => Finding::new(name, Status::Warning, format!("None of its tokens can be verified: {why}.")),
    }
}

/// Time left, in the unit that tells most.
pub fn days(left: Duration) -> String {
    match left.as_secs() / 3600 {
        hours if hours >= 48 => format!("{} days", hours / 24),
        hours => format!("{hours} hours"),
    }
}

/// What the operator has the gate look after.
fn settings_checks(gate: &Gate, policy: &Policy) -> Vec<Finding> {
    let found = gate.observed.own.load();
    let finding = |(name, check): (&String, &std::sync::Arc<crate::config::settings::OwnCheck>)| {
        let bad = if check.critical { Status::Unhealthy } else { Status::Warning };
        let Some(found) = found.get(name) else {
            let unknown = Finding::new(name, bad, "It was not looked at yet.");
            return Finding { quiet: true, ..unknown.critical(check.critical) };
        };
        let (status, message) = match &found.problem {
            None => (Status::Healthy, "It is as it should be.".to_owned()),
            Some(problem) => (bad, problem.clone()),
        };
        Finding {
            age_ms: clock::millis_since(found.at),
            took_us: found.took_us,
            ..Finding::new(name, status, message).critical(check.critical)
        }
    };
    policy.settings.checks.iter().map(finding).collect()
}

/// Parts that are there only while there is something to say of them.
pub(super) const NOTES: [&str; 9] =
    ["config", "overload", "units", "webhook", "alerts", "keys", "audit", "traces", "grants"];

/// What is only said where there is something to say.
fn notes(gate: &Gate, policy: &Policy) -> Vec<Finding> {
    let told = [
        policy.settings.from_history(),
        gate.overload.told().map(|told| told.sentence()),
        gate.units.load().as_deref().cloned(),
        gate.observed.alarms.trouble(),
        gate.observed.alarms.crowded_out(),
        gate.keys.trouble().or_else(|| gate.keys.told_of_both(&policy.settings)),
        gate.audit.trouble(),
        gate.traces.trouble(),
        policy.grants.trouble(),
    ];
    let critical = |name: &str| policy.settings.health.critical.iter().any(|critical| critical == name);
    let note = |(name, message): (&str, Option<String>)| {
        let refuses = name == "audit" && policy.settings.audit.on_full == OnFull::Deny;
        let critical = refuses || critical(name);
        let status = if critical { Status::Unhealthy } else { Status::Warning };
        Some(Finding::new(name, status, message?).critical(critical))
    };
    NOTES.into_iter().zip(told).filter_map(note).chain(warnings(&policy.settings)).collect()
}

/// What the files say that is worth a look; it will stay so until somebody changes them.
fn warnings(settings: &Settings) -> Option<Finding> {
    let first = settings.warnings.first().filter(|_| settings.from_history().is_none())?;
    let more = match settings.warnings.len() {
        1 => String::new(),
        count => format!(" {} more: `toolgate status` has them all.", count - 1),
    };
    let message = format!("{}.{more}", first.trim_end_matches('.'));
    Some(Finding { quiet: true, ..Finding::new("config", Status::Warning, message) })
}

#[cfg(test)]
mod tests {
    use toolgate_admin_api::Process;

    use super::*;
    use crate::grants::Grants;

    fn rules(text: &str) -> HealthRules {
        crate::config::from_text(&format!("version = 1\n[health]\n{text}")).unwrap().health
    }

    fn with_memory(memory: u64, limit: u64) -> Sample {
        Sample { process: Process { memory, memory_limit: limit, ..Process::default() }, ..Sample::default() }
    }

    #[test]
    fn memory_warns_by_its_size_and_fails_by_its_share() {
        let rules = rules("memory = \"100MiB\"");
        let status = |memory: u64, limit: u64| self::memory(&with_memory(memory << 20, limit << 20), &rules).status;
        assert_eq!(status(99, 1000), Status::Healthy);
        assert_eq!(status(100, 1000), Status::Warning);
        assert_eq!(status(95, 100), Status::Unhealthy);
        assert_eq!(status(94, 100), Status::Healthy);
    }

    #[test]
    fn what_users_allowed_and_cannot_be_kept_is_told() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("grants.json"), "no json").unwrap();
        let settings = std::sync::Arc::new(crate::config::from_text("version = 1").unwrap());
        let mut policy = Policy::new(settings, None).unwrap();
        policy.grants = std::sync::Arc::new(Grants::open(Some(folder.path()), std::sync::Arc::clone(&policy.seal)));
        let gate = Gate::new(policy);
        let found = notes(&gate, &gate.policy.load());
        let told = found.iter().find(|found| found.name == "grants").expect("it is told");
        assert!(told.status == Status::Warning && !told.critical, "{}", told.message);
    }

    #[test]
    fn a_disk_warns_and_then_fails_and_one_that_hangs_fails() {
        let policy = Policy::new(std::sync::Arc::new(crate::config::from_text("version = 1").unwrap()), None).unwrap();
        let rules = rules("disk = \"80%\"");
        let status = |disk| self::disk(disk, &policy, &rules).map(|found| found.status);
        assert_eq!(status(Disk::Unknown), None);
        assert_eq!(status(Disk::Used(0.79)), Some(Status::Healthy));
        assert_eq!(status(Disk::Used(0.8)), Some(Status::Warning));
        assert_eq!(status(Disk::Used(1.0)), Some(Status::Unhealthy));
        assert_eq!(status(Disk::Silent), Some(Status::Unhealthy));
    }
}
