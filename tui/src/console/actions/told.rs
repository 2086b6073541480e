//! What the daemon answered, as sentences; before a change they say what would happen.

use serde_json::Value;
use toolgate_admin_api::{
    BreakerOutcome, CancelOutcome, CheckOutcome, CheckStatus, ChecksOutcome, ClearOutcome, ClientOutcome, EndOutcome,
    ModeOutcome, OverrideOutcome, QueueOutcome, ReloadOutcome, RestartOutcome, ToolOutcome, WeightOutcome,
};

use super::super::object::Object;
use super::super::units::{counted, long, span_ms};
use super::{Grade, Plan, Verb};

/// What the answers say. Several of the same kind are one sentence each, and no more than `MOST` of them.
pub(crate) fn told(plan: &Plan, answers: &[Value], dry_run: bool) -> Vec<String> {
    const MOST: usize = 4;
    let mut lines: Vec<String> = match sums(plan, answers, dry_run) {
        Some(sum) => vec![sum],
        None => answers.iter().flat_map(|answer| one(plan, answer, dry_run)).collect(),
    };
    if answers.len() > 1 && lines.len() > MOST {
        let more = lines.len() - MOST;
        lines.truncate(MOST);
        lines.push(format!("… and {more} more."));
    }
    lines
}

/// What must be said before the change, now that a dry run told what it would do.
pub(crate) fn raised(plan: &Plan, answers: &[Value]) -> Grade {
    let wide = answers.iter().any(|answer| match plan.verb {
        Verb::Drain | Verb::Maintenance => read::<ModeOutcome>(answer).is_some_and(|outcome| outcome.left == 0),
        Verb::ConfigReload => read::<ReloadOutcome>(answer)
            .is_some_and(|outcome| outcome.changes.iter().any(|change| change.to_lowercase().contains("remove"))),
        _ => false,
    });
    if wide { Grade::Name } else { plan.grade() }
}

/// Whether two answers say the same to whoever decides. Counts of a busy gate move all the time, so that one may grow
/// by as much again and a few more; everything else is to the letter.
pub(crate) fn alike(before: &[String], now: &[String]) -> bool {
    const FEW: f64 = 10.0;
    let word = |(before, now): (&str, &str)| match (number(before), number(now)) {
        (Some(before), Some(now)) => now <= before * 2.0 + FEW,
        // `1 session` and `2 sessions` differ by no more than their number does.
        _ => before == now || noun(before) == noun(now),
    };
    let line = |(before, now): (&String, &String)| {
        before.split(' ').count() == now.split(' ').count() && before.split(' ').zip(now.split(' ')).all(word)
    };
    before.len() == now.len() && before.iter().zip(now).all(line)
}

/// `14`, `1.2k`
fn number(word: &str) -> Option<f64> {
    let units = [("k", 1e3), ("M", 1e6), ("G", 1e9)];
    let scaled = units.iter().find_map(|(unit, scale)| word.strip_suffix(unit).map(|digits| (digits, *scale)));
    let (digits, scale) = scaled.unwrap_or((word, 1.0));
    let plain = digits.starts_with(|first: char| first.is_ascii_digit());
    digits.parse::<f64>().ok().filter(|_| plain).map(|number| number * scale)
}

fn noun(word: &str) -> &str {
    let word = word.trim_end_matches([',', '.']);
    word.strip_suffix('s').unwrap_or(word)
}

/// Sessions of several answers are counted together.
fn sums(plan: &Plan, answers: &[Value], dry_run: bool) -> Option<String> {
    if plan.verb != Verb::EndSession || answers.len() < 2 {
        return None;
    }
    let outcomes: Vec<EndOutcome> = answers.iter().filter_map(read).collect();
    let sum = EndOutcome {
        applied: !dry_run,
        sessions: outcomes.iter().map(|outcome| outcome.sessions).sum(),
        calls: outcomes.iter().map(|outcome| outcome.calls).sum(),
    };
    Some(ended(&sum, dry_run))
}

fn one(plan: &Plan, answer: &Value, dry_run: bool) -> Vec<String> {
    let verb = plan.verb;
    let line = match verb {
        Verb::Drain | Verb::Maintenance | Verb::Resume => read(answer).map(|outcome| mode(verb, &outcome, dry_run)),
        Verb::BreakerOpen | Verb::BreakerClose | Verb::BreakerReset => {
            read(answer).map(|outcome: BreakerOutcome| breaker(&outcome, dry_run))
        }
        Verb::Recycle | Verb::Restart => read(answer).map(|outcome: RestartOutcome| restart(&outcome, dry_run)),
        Verb::Purge => read(answer).map(|outcome: QueueOutcome| {
            format!(
                "{} {} the queue of {}.",
                counted(outcome.purged, "call"),
                would(dry_run, "would leave", "left"),
                outcome.server
            )
        }),
        Verb::QueueDeadline | Verb::QueueRevert => read(answer).map(|outcome: QueueOutcome| queue(&outcome, dry_run)),
        Verb::CacheClear => read(answer).map(|outcome: ClearOutcome| {
            format!(
                "{} of {} {}.",
                counted(outcome.entries, "kept answer"),
                outcome.server,
                would(dry_run, "would go", "are gone")
            )
        }),
        Verb::EndSession | Verb::EndMatching => read(answer).map(|outcome: EndOutcome| ended(&outcome, dry_run)),
        Verb::CancelCall => read(answer).map(|outcome: CancelOutcome| {
            format!("The call {}; it was in stage {}.", would(dry_run, "ends", "is cancelled"), outcome.stage)
        }),
        Verb::Disable | Verb::Enable => read(answer).map(|outcome: ToolOutcome| tool(&outcome, dry_run)),
        Verb::Override | Verb::Revert => read(answer).map(|outcome: OverrideOutcome| limit(&outcome)),
        Verb::LimitFor => read(answer).map(|outcome: OverrideOutcome| limit_for(plan, &outcome, dry_run)),
        Verb::Suspend | Verb::ResumeClient => read(answer).map(|outcome: ClientOutcome| client(&outcome, dry_run)),
        Verb::ConfigCheck => return read(answer).map(|outcome: CheckOutcome| check(&outcome)).unwrap_or_default(),
        Verb::ConfigDiff | Verb::ConfigReload => {
            return read(answer).map(|outcome: ReloadOutcome| reload(&outcome, dry_run)).unwrap_or_default();
        }
        Verb::Weight => read(answer).map(|outcome: WeightOutcome| {
            let becomes = would(dry_run, "would become", "is now");
            format!("The weight of {}, {}, {becomes} {}.", outcome.endpoint, outcome.before, outcome.weight)
        }),
        Verb::CheckNow => read(answer).map(|outcome: ChecksOutcome| checks(&outcome)),
        Verb::Approve => {
            Some(would(dry_run, "Clients would get what it is now.", "Clients get what it is now.").to_owned())
        }
        Verb::Acknowledge => Some("It is acknowledged.".to_owned()),
        Verb::Silence => Some(would(dry_run, "It would not be told again until then.", "It is silenced.").to_owned()),
    };
    line.into_iter().collect()
}

fn would(dry_run: bool, future: &'static str, done: &'static str) -> &'static str {
    if dry_run { future } else { done }
}

fn mode(verb: Verb, outcome: &ModeOutcome, dry_run: bool) -> String {
    let sum =
        |of: fn(&toolgate_admin_api::EndpointStatus) -> Option<u64>| outcome.endpoints.iter().filter_map(of).sum();
    let (sessions, calls): (u64, u64) = (sum(|it| it.sessions), sum(|it| it.in_flight));
    let count = counted(outcome.endpoints.len() as u64, "endpoint");
    let has = format!("{} and {} in flight", counted(sessions, "session"), counted(calls, "call"));
    let (is, ends) = (would(dry_run, "would be", "is"), would(dry_run, "would end", "end"));
    let left = match outcome.left {
        0 => "None is left that takes calls.".to_owned(),
        left => format!("{} {} on.", counted(left, "other"), if left == 1 { "goes" } else { "go" }),
    };
    match (verb, outcome.deadline_ms) {
        (Verb::Resume, _) => {
            format!("{count} of {} {} taking calls.", outcome.server, would(dry_run, "would begin", "begins"))
        }
        (_, Some(deadline)) => {
            format!(
                "{count} of {} {is} taken out, with {has}, which {ends} after {}. {left}",
                outcome.server,
                span_ms(deadline)
            )
        }
        (_, None) => format!("{count} of {} {is} drained, with {has}, which go on. {left}", outcome.server),
    }
}

fn breaker(outcome: &BreakerOutcome, dry_run: bool) -> String {
    let were: Vec<_> =
        outcome.endpoints.iter().filter_map(|it| it.breaker.as_ref()).map(|breaker| breaker.state.word()).collect();
    let is = would(dry_run, "would be", "is");
    format!("The breaker of {} {is} {}; it was {}.", outcome.server, outcome.state.word(), were.join(", "))
}

fn restart(outcome: &RestartOutcome, dry_run: bool) -> String {
    let (ended, leaving) = (counted(outcome.ended, "instance"), counted(outcome.leaving, "instance"));
    let tense = would(dry_run, "would end", "end");
    match (outcome.ended, outcome.leaving) {
        (0, _) => format!("{leaving} of {} {tense} once nothing is in flight; sessions stay.", outcome.server),
        (_, 0) => format!("{ended} of {} {tense} at once.", outcome.server),
        _ => format!("{ended} of {} {tense} at once, {leaving} once nothing is in flight.", outcome.server),
    }
}

fn queue(outcome: &QueueOutcome, dry_run: bool) -> String {
    let length = outcome.expires_in_seconds.map_or_else(String::new, |seconds| format!(", for {}", length(seconds)));
    let verb = would(dry_run, "would wait", "wait");
    let wait = span_ms(outcome.timeout_ms);
    format!("At most {} calls for {} {verb}, none longer than {wait}{length}.", outcome.max_size, outcome.server)
}

fn ended(outcome: &EndOutcome, dry_run: bool) -> String {
    let verb = would(dry_run, "would end", "ended");
    format!("{} {verb}, with {} in flight.", counted(outcome.sessions, "session"), counted(outcome.calls, "call"))
}

fn tool(outcome: &ToolOutcome, dry_run: bool) -> String {
    let is = match (outcome.enabled, dry_run) {
        (true, true) => "would be called again",
        (true, false) => "is called again",
        (false, true) => "would leave the lists",
        (false, false) => "has left the lists",
    };
    let rest = if outcome.enabled { String::new() } else { format!("; {} go on", counted(outcome.in_flight, "call")) };
    format!("{}/{} {is}{rest}.", outcome.server, outcome.tool)
}

fn limit(outcome: &OverrideOutcome) -> String {
    let length = outcome.expires_in_seconds.map_or_else(String::new, |seconds| format!(" for {}", length(seconds)));
    // A limit that no file has is `-` before it is there, and afterwards.
    match (outcome.before.as_str(), outcome.after.as_str()) {
        ("-", after) => format!("{}: {after} holds{length}.", outcome.name),
        (before, "-") => format!("{}: {before} ends.", outcome.name),
        (before, after) => format!("{}: {before} becomes {after}{length}.", outcome.name),
    }
}

/// A limit for a client, a tool or both: what it is of stands in the plan.
fn limit_for(plan: &Plan, outcome: &OverrideOutcome, dry_run: bool) -> String {
    let other = plan.values.first().map(|text| text.trim()).filter(|text| !text.is_empty());
    let calls = match (plan.objects.first(), other) {
        (Some(Object::Client(_)), Some(tool)) => format!("of its calls of {tool}"),
        (Some(Object::Client(_)), None) => "of all its calls".to_owned(),
        (Some(object), Some(client)) => format!("of the calls of {} by {client}", object.id()),
        (Some(object), None) => format!("of all calls of {}", object.id()),
        (None, _) => "of calls".to_owned(),
    };
    let length = outcome.expires_in_seconds.map_or_else(String::new, |seconds| format!(" for {}", length(seconds)));
    let after = &outcome.after;
    if dry_run {
        format!("No more than {after} {calls} would pass{length}.")
    } else {
        format!("No more than {after} {calls} pass{length}: it is {}.", outcome.name)
    }
}

/// A length of time without what is zero.
fn length(seconds: u64) -> String {
    let text = long(seconds);
    let short = text.split(' ').filter(|part| !part.starts_with('0')).collect::<Vec<_>>().join(" ");
    if short.is_empty() { text } else { short }
}

fn client(outcome: &ClientOutcome, dry_run: bool) -> String {
    if !outcome.suspended {
        return format!("{} {} again.", outcome.client, would(dry_run, "would be answered", "is answered"));
    }
    let (is, end) = (would(dry_run, "would be", "is"), would(dry_run, "would end", "ended"));
    let (calls, queued) = (counted(outcome.calls, "call"), counted(outcome.queued, "waiting call"));
    let sessions = counted(outcome.sessions, "session");
    format!("{} {is} suspended: {sessions}, {calls} in flight and {queued} {end}.", outcome.client)
}

fn checks(outcome: &ChecksOutcome) -> String {
    let found = |endpoint: &toolgate_admin_api::EndpointStatus| {
        let url = endpoint.url.as_deref().unwrap_or(&outcome.server);
        match endpoint.last_check.as_ref() {
            Some(CheckStatus { problem: Some(problem), .. }) => format!("{url}: {problem}"),
            Some(check) => format!("{url} answers, in {}", span_ms(check.took_ms)),
            None => format!("{url} was not checked"),
        }
    };
    format!("{}.", outcome.checked.iter().map(found).collect::<Vec<_>>().join("; "))
}

fn check(outcome: &CheckOutcome) -> Vec<String> {
    let mut lines = match (outcome.ok, outcome.problems.len()) {
        (true, 0) => vec!["The files on disk are in order.".to_owned()],
        (true, _) => vec!["The files on disk can be taken over, with warnings:".to_owned()],
        (false, _) => vec!["The files on disk cannot be taken over:".to_owned()],
    };
    lines.extend(outcome.problems.iter().map(crate::output::problem));
    lines
}

fn reload(outcome: &ReloadOutcome, dry_run: bool) -> Vec<String> {
    let mut lines = vec![match (dry_run, outcome.changes.is_empty()) {
        (true, true) => "A reload would change nothing.".to_owned(),
        (true, false) => format!("A reload would change revision {}:", outcome.previous),
        (false, _) => format!("Revision {} is running.", outcome.revision),
    }];
    lines.extend(outcome.changes.iter().cloned());
    lines.extend(outcome.needs_restart.iter().cloned());
    lines.extend(outcome.problems.iter().map(crate::output::problem));
    lines
}

fn read<T: serde::de::DeserializeOwned>(answer: &Value) -> Option<T> {
    serde_json::from_value(answer.clone()).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn counts_may_move_a_little_and_nothing_else_may() {
        let alike = |before: &str, now: &str| alike(&[before.to_owned()], &[now.to_owned()]);
        assert!(alike("14 sessions end.", "19 sessions end.") && alike("1 session ends.", "3 sessions ends."));
        assert!(!alike("14 sessions end.", "400 sessions end.") && alike("1.2k calls end.", "1.3k calls end."));
        assert!(!alike("web/a changes.", "web/b changes.") && !alike("It ends.", "It ends now."));
    }

    fn plan(verb: Verb) -> Plan {
        Plan::new(verb, vec![Object::Server("web".into())])
    }

    #[test]
    fn a_drain_tells_what_it_meets_and_the_last_one_asks_for_the_name() {
        let endpoint = json!({"mode": "ready", "weight": 1, "in_flight": 3, "sessions": 14});
        let mut answer =
            json!({"server": "web", "applied": false, "mode": "drain", "endpoints": [endpoint], "left": 1});
        let said = told(&plan(Verb::Drain), std::slice::from_ref(&answer), true);
        assert_eq!(
            said,
            [
                "1 endpoint of web would be drained, with 14 sessions and 3 calls in flight, which go on. 1 other goes on."
            ]
        );
        assert_eq!(raised(&plan(Verb::Drain), std::slice::from_ref(&answer)), Grade::Ask);
        answer["left"] = json!(0);
        assert_eq!(raised(&plan(Verb::Drain), &[answer]), Grade::Name);
    }

    #[test]
    fn sessions_that_end_are_counted_together() {
        let answers = [json!({"applied": true, "sessions": 1, "calls": 2}), json!({"sessions": 1, "calls": 1})];
        assert_eq!(told(&plan(Verb::EndSession), &answers, false), ["2 sessions ended, with 3 calls in flight."]);
    }

    #[test]
    fn an_answer_of_a_newer_daemon_says_nothing_instead_of_failing() {
        assert!(told(&plan(Verb::Purge), &[json!(7)], false).is_empty());
    }
}
