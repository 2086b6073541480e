//! Screen 7: alerts, checks, breakers and certificates.

use std::cmp::Reverse;

use toolgate_admin_api::{Alert, AuditRecord, Certificate, Check, EndpointStatus, ServerRow};

use super::super::details::Details;
use super::super::object::Object;
use super::super::table::{Cell, Column, Listing, Row};
use super::super::theme::Role;
use super::super::units::{bytes, count, date, ends, percent, short, since, span_us, to_float, until};
use super::servers::brief;
use super::{Screen, View, words};

pub(super) const VIEWS: &[&str] = &["all", "alerts", "checks", "breakers", "certificates", "events"];

const COLUMNS: &[Column] = &[
    Column::text("KIND", 11, 1),
    Column::text("NAME", 28, 0),
    Column::text("STATE", 9, 0),
    Column::number("WHEN", 6, 0),
    Column::text("ACK BY", 10, 3),
    Column::wide("WHAT", 24, 0),
];

/// A certificate is looked at when it has less.
const DAYS_30_MS: u64 = 30 * 86_400_000;
const DAYS_7_MS: u64 = 7 * 86_400_000;

/// What fires first, then all that is watched.
pub(super) fn listing(view: &View<'_>) -> Listing {
    let health = view.data.health.as_deref();
    let wanted = |name: &str| view.part == 0 || VIEWS.get(view.part) == Some(&name);
    let mut rows = Vec::new();
    if let Some(health) = health.filter(|_| wanted("alerts")) {
        rows.extend(health.alerts.iter().map(|alert| alert_row(alert, view)));
    }
    if let Some(certificates) = view.data.certificates.as_ref().filter(|_| wanted("certificates")) {
        rows.extend(certificates.certificates.iter().map(|certificate| certificate_row(certificate, view)));
    }
    if wanted("breakers") {
        for server in view.data.servers.as_deref().unwrap_or_default() {
            rows.extend(
                server.status.endpoints.iter().filter_map(|endpoint| breaker_row(&server.status.name, endpoint)),
            );
        }
    }
    if let Some(health) = health.filter(|_| wanted("checks")) {
        rows.extend(health.checks.iter().map(check_row));
    }
    if VIEWS.get(view.part) == Some(&"events") {
        rows.extend(events(view));
    }
    let empty = match health {
        Some(_) => "There is nothing of this kind.",
        None => "Waiting for the daemon to tell of its health.",
    };
    Listing { columns: COLUMNS, rows, total: None, empty }
}

/// What happened, the newest first: alerts that began or are over, and what operators changed where that is told.
fn events(view: &View<'_>) -> Vec<Row> {
    let alerts = view.data.health.as_ref().map(|health| health.alerts.as_slice()).unwrap_or_default();
    let changes = view.data.audit.as_ref().map(|audit| audit.records.as_slice()).unwrap_or_default();
    let began = |alert: &Alert| alert.recovered_ms.unwrap_or(alert.since_ms);
    let mut all: Vec<_> = alerts.iter().map(|alert| (began(alert), alert_row(alert, view))).collect();
    all.extend(changes.iter().map(|record| (record.at_ms, change_row(record, view))));
    all.sort_by_key(|(at_ms, _)| Reverse(*at_ms));
    all.into_iter().map(|(_, row)| row).collect()
}

fn change_row(record: &AuditRecord, view: &View<'_>) -> Row {
    let role = if record.outcome == "done" { Role::Good } else { Role::Warn };
    let who = if record.user.is_empty() { format!("uid {}", record.uid) } else { record.user.clone() };
    let reason = record.reason.as_ref().map_or_else(String::new, |reason| format!(": {reason}"));
    let cells = vec![
        Cell::new("change").role(Role::Info),
        Cell::new(format!("{} {}", record.action, record.target)).role(Role::Strong),
        Cell::new(record.outcome.clone()).role(role),
        Cell::number(since(record.at_ms, view.now_ms), to_float(view.now_ms.saturating_sub(record.at_ms))),
        Cell::new(who.clone()).role(Role::Dim),
        Cell::new(format!("by {who}{reason}")),
    ];
    Row::new(Object::Record(record.number), cells).field("kind", "change").field("state", &record.outcome)
}

fn alert_row(alert: &Alert, view: &View<'_>) -> Row {
    let (state, role) = match alert.recovered_ms {
        Some(_) => ("recovered", Role::Good),
        None => (alert.severity.as_str(), words::health(&alert.severity)),
    };
    let at = alert.recovered_ms.unwrap_or(alert.since_ms);
    let seen = match (&alert.silenced_until_ms, &alert.acknowledged) {
        (Some(until_ms), _) if *until_ms > view.now_ms => format!("quiet {}", until(*until_ms, view.now_ms)),
        (_, Some(who)) => who.clone(),
        _ => String::new(),
    };
    let cells = vec![
        Cell::new("alert").role(role),
        Cell::new(alert.id.clone()).role(Role::Strong),
        Cell::new(state.to_owned()).role(role),
        Cell::number(since(at, view.now_ms), to_float(view.now_ms.saturating_sub(at))),
        Cell::new(seen).role(Role::Dim),
        Cell::new(alert.message.clone()),
    ];
    Row::new(Object::Alert(alert.id.clone()), cells).field("kind", "alert").field("state", state)
}

fn check_row(check: &Check) -> Row {
    let role = words::health(&check.status);
    let name = if check.critical { format!("{}*", check.name) } else { check.name.clone() };
    let cells = vec![
        Cell::new("check").role(Role::Dim),
        Cell::new(name),
        Cell::new(check.status.clone()).role(role),
        Cell::number(short(check.age_ms / 1000), to_float(check.age_ms)),
        Cell::new(""),
        Cell::new(check.message.clone()).role(if role == Role::Good { Role::Dim } else { Role::Text }),
    ];
    Row::new(Object::Check(check.name.clone()), cells).field("kind", "check").field("state", &check.status)
}

fn breaker_row(server: &str, endpoint: &EndpointStatus) -> Option<Row> {
    let breaker = endpoint.breaker.as_ref()?;
    let (word, role) = words::breaker(breaker.state);
    let retry = breaker.retry_in_ms.map_or_else(Cell::none, |ms| {
        Cell::number(format!("in {}", short(ms.div_ceil(1000))), to_float(ms)).role(role)
    });
    let name = endpoint.url.as_ref().map_or_else(|| server.to_owned(), |url| format!("{server} {}", brief(url)));
    let what = match &breaker.cause {
        Some(cause) => format!("{cause}; opened {} times", breaker.opened),
        None => format!("opened {} times", breaker.opened),
    };
    let cells = vec![
        Cell::new("breaker").role(Role::Dim),
        Cell::new(name),
        Cell::new(word).role(role),
        retry,
        Cell::new(""),
        Cell::new(what).role(if role == Role::Dim { Role::Dim } else { Role::Text }),
    ];
    let object = Object::Endpoint(server.to_owned(), endpoint.url.clone());
    Some(Row::new(object, cells).field("kind", "breaker").field("server", server).field("state", word))
}

fn certificate_state(certificate: &Certificate, now_ms: u64) -> (&'static str, Role) {
    let left = certificate.not_after_ms.saturating_sub(now_ms);
    match left {
        0 => ("expired", Role::Bad),
        left if left < DAYS_7_MS => ("expiring", Role::Bad),
        _ if certificate.refused.is_some() => ("refused", Role::Bad),
        left if left < DAYS_30_MS => ("expiring", Role::Warn),
        _ => ("valid", Role::Good),
    }
}

fn certificate_row(certificate: &Certificate, view: &View<'_>) -> Row {
    let (state, role) = certificate_state(certificate, view.now_ms);
    let left = certificate.not_after_ms.saturating_sub(view.now_ms);
    let what = match &certificate.refused {
        // The file is known; what counts must not be cut for it.
        Some(why) => {
            let brief = why.strip_prefix(&certificate.file).and_then(|rest| rest.strip_prefix(": "));
            format!("newer one refused: {}", brief.unwrap_or(why))
        }
        None => format!("{}, issued by {}", certificate.names.join(" "), certificate.issuer),
    };
    let cells = vec![
        Cell::new("certificate").role(Role::Dim),
        Cell::new(format!("{} {}", certificate.listener, certificate.names.first().map_or("", String::as_str))),
        Cell::new(state).role(role),
        Cell::number(ends(certificate.not_after_ms, view.now_ms), to_float(left)).role(role),
        Cell::new(""),
        Cell::new(what).role(if certificate.refused.is_some() { Role::Text } else { Role::Dim }),
    ];
    let object = Object::Certificate(certificate.listener.clone(), certificate.file.clone());
    Row::new(object, cells).field("kind", "certificate").field("listener", &certificate.listener).field("state", state)
}

fn lasts(not_after_ms: u64, now_ms: u64) -> String {
    if not_after_ms <= now_ms {
        "clients refuse it".to_owned()
    } else {
        format!("it ends {}", ends(not_after_ms, now_ms))
    }
}

/// The thing that an alert or a check is about, as its name says after the colon; without one it is the gate.
pub(super) fn below(id: &str, view: &View<'_>) -> Option<(Screen, String)> {
    let Some((kind, subject)) = id.split_once(':') else { return Some(blamed(id, view)) };
    let subject = subject.split_whitespace().next()?;
    match kind {
        kind if kind.contains("limit") => {
            // Its place stands before its name.
            let name = subject.rsplit_once('/').map_or(subject, |(_, name)| name);
            Some((Screen::Limits, format!("limit={name}")))
        }
        kind if kind.contains("certificate") => Some((Screen::Health, "kind=certificate".to_owned())),
        kind if kind.contains("key") || kind.contains("client") || kind.contains("traffic") => {
            Some((Screen::Clients, format!("client={subject}")))
        }
        _ => Some((Screen::Servers, format!("server={subject}"))),
    }
}

/// What is about all calls leads to the server that has most to do with it.
fn blamed(id: &str, view: &View<'_>) -> (Screen, String) {
    let measure: fn(&ServerRow) -> f64 = match id {
        "response_time" => |row| to_float(row.traffic.latency.p99_us),
        "error_rate" => |row| row.traffic.errors_per_second,
        "queues" | "queue_full" => |row| words::share(row.status.waiting, row.max_waiting),
        _ => return (Screen::Health, String::new()),
    };
    let rows = view.data.servers.as_deref().unwrap_or_default();
    let worst = rows.iter().max_by(|one, other| measure(one).total_cmp(&measure(other)));
    (Screen::Servers, worst.map_or_else(String::new, |row| format!("server={}", row.status.name)))
}

/// Everything about an alert, a check or a certificate.
pub(super) fn details(object: &Object, view: &View<'_>) -> Details {
    let mut details = Details::default();
    match object {
        Object::Alert(id) => alert(&mut details, id, view),
        Object::Check(name) => check(&mut details, name, view),
        Object::Certificate(listener, file) => certificate(&mut details, listener, file, view),
        _ => {}
    }
    if let Some(health) = view.data.health.as_deref().filter(|_| !details.is_empty()) {
        let process = &health.process;
        details.heading("Process");
        details.value(
            "uses",
            format!(
                "cpu {} of {} processors, memory {} of {}, {} of {} descriptors, disk {}, load {:.2}, loop late by {:.1} ms",
                percent(process.cpu),
                process.cpus,
                bytes(process.memory),
                bytes(process.memory_limit),
                count(process.descriptors),
                count(process.descriptors_limit),
                percent(process.disk),
                process.load,
                process.lag_ms
            ),
        );
        if let Some(advice) = &health.advice {
            let role = if advice.action == "stay" { Role::Text } else { Role::Warn };
            let text =
                format!("{} ({} of {} machines): {}", advice.action, advice.replicas, advice.current, advice.reason);
            details.pair("advice", text, role);
        }
    }
    details
}

fn alert(details: &mut Details, id: &str, view: &View<'_>) {
    let health = view.data.health.as_ref().map(|health| health.alerts.as_slice()).unwrap_or_default();
    let glance = view.data.overview.as_ref().map(|overview| overview.alerts.as_slice()).unwrap_or_default();
    let Some(alert) = health.iter().chain(glance).find(|alert| alert.id == id) else { return };
    details.heading(id);
    details.pair("severity", alert.severity.as_str(), words::health(&alert.severity));
    details.pair("what", alert.message.as_str(), Role::Strong);
    details.pair("remedy", alert.remedy.as_str(), Role::Text);
    details.value("since", format!("{} UTC, for {}", date(alert.since_ms), since(alert.since_ms, view.now_ms)));
    if let Some(at) = alert.recovered_ms {
        details.pair("recovered", format!("{} UTC", date(at)), Role::Good);
    }
    details.value("told", if alert.told == 1 { "once".to_owned() } else { format!("{} times", alert.told) });
    details.value("acknowledged", alert.acknowledged.clone().unwrap_or_default());
    if let Some(at) = alert.silenced_until_ms.filter(|at| *at > view.now_ms) {
        details.value("silenced", format!("for another {}", until(at, view.now_ms)));
    }
}

fn check(details: &mut Details, name: &str, view: &View<'_>) {
    let checks = view.data.health.as_ref().map(|health| health.checks.as_slice()).unwrap_or_default();
    let Some(check) = checks.iter().find(|check| check.name == name) else { return };
    details.heading(name);
    details.pair("status", check.status.as_str(), words::health(&check.status));
    details.value("found", check.message.as_str());
    details.value("when", format!("{} ago, took {}", short(check.age_ms / 1000), span_us(check.took_us)));
    details.value("critical", if check.critical { "yes: readiness requires it" } else { "no" });
}

fn certificate(details: &mut Details, listener: &str, file: &str, view: &View<'_>) {
    let all = view.data.certificates.as_ref().map(|all| all.certificates.as_slice()).unwrap_or_default();
    let Some(found) = all.iter().find(|found| found.listener == listener && found.file == file) else { return };
    let (state, role) = certificate_state(found, view.now_ms);
    details.heading(format!("Certificate of {listener}"));
    details.pair("state", format!("{state}, {}", lasts(found.not_after_ms, view.now_ms)), role);
    if let Some(refused) = &found.refused {
        details.pair("newer file", format!("was refused: {refused}"), Role::Bad);
    }
    details.value("names", found.names.join(" "));
    details.value("issuer", found.issuer.as_str());
    details.value("valid", format!("{} to {} UTC", date(found.not_before_ms), date(found.not_after_ms)));
    details.value("file", format!("{file}, read {} UTC", date(found.loaded_ms)));
    details.value("SHA-256", found.fingerprint.as_str());
}

#[cfg(test)]
mod tests {
    use super::super::super::data::Data;
    use super::*;

    #[test]
    fn an_alert_leads_to_what_it_names() {
        let view = View { data: &Data::default(), now_ms: 0, at_ms: None, window_ms: 0, part: 0 };
        for (id, screen, filter) in [
            ("limit_breached:temporary/temporary.1", Screen::Limits, "limit=temporary.1"),
            ("certificate:public:/etc/chain.pem", Screen::Health, "kind=certificate"),
            ("unusual_traffic:key:ci", Screen::Clients, "client=key:ci"),
            ("server_trouble:web", Screen::Servers, "server=web"),
        ] {
            assert_eq!(below(id, &view), Some((screen, filter.to_owned())), "{id}");
        }
    }
}
