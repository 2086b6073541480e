//! `toolgate sessions`: conversations of the legacy era, shown and ended.

use toolgate_admin_api::{Change, EndMatching, EndOutcome, Exit, SessionDetail, SessionEvent, SessionRow};

use super::{Context, change};
use crate::args::{Sessions, SessionsEnd};
use crate::client::admin::AdminClient;
use crate::failure::Failure;
use crate::output;

/// Runs one of them.
pub(super) async fn run(context: &Context, sessions: Sessions) -> Result<Exit, Failure> {
    match sessions {
        Sessions::List(rows) => {
            let mut client = AdminClient::view(&context.runtime_dir).await?;
            let answer = client.get(&format!("/v1/sessions{}", change::query(&rows))).await?;
            if context.json {
                return Ok(change::raw(&answer));
            }
            let sessions: toolgate_admin_api::Sessions = answer.read()?;
            let rows = sessions.sessions.iter().map(row).collect();
            let head = ["SESSION", "CLIENT", "VIEW", "PROTOCOL", "AGE", "IDLE", "RUNS", "CALLS", "ERRORS", "LAST"];
            change::table(rows, &head, "No sessions are open.");
            Ok(Exit::Done)
        }
        Sessions::Show { session } => show(context, &session).await,
        Sessions::End(end) => self::end(context, end).await,
    }
}

fn row(session: &SessionRow) -> Vec<String> {
    vec![
        session.id.clone(),
        session.client.clone(),
        format!("/mcp{}{}", if session.view.is_empty() { "" } else { "/" }, session.view),
        session.protocol.clone(),
        change::span(session.age_seconds),
        change::span(session.idle_seconds),
        session.in_flight.to_string(),
        session.calls.to_string(),
        session.errors.to_string(),
        session.last.clone(),
    ]
}

async fn show(context: &Context, session: &str) -> Result<Exit, Failure> {
    let mut client = AdminClient::control(&context.runtime_dir).await?;
    let answer = client.get(&format!("/v1/sessions/{}", change::segment(session))).await?;
    if context.json {
        return Ok(change::raw(&answer));
    }
    let SessionDetail { row, events, forgotten } = answer.read()?;
    let text = format!(
        "session {} of {} ({}), {}, open for {}, idle for {}: {} calls, {} errors, {} run now",
        row.id,
        row.client,
        row.agent,
        row.servers.join(", "),
        change::span(row.age_seconds),
        change::span(row.idle_seconds),
        row.calls,
        row.errors,
        row.in_flight
    );
    output::line(&output::printable(&text));
    if forgotten > 0 {
        output::line(&format!("{forgotten} older events are gone"));
    }
    let began = events.first().map_or(0, |event| event.at_ms);
    let rows = events.iter().map(|event| happened(event, began)).collect();
    change::table(
        rows,
        &["AFTER", "CALL", "WHAT", "SERVER", "METHOD", "NAME", "TOOK", "DETAIL"],
        "Nothing went on in it.",
    );
    Ok(Exit::Done)
}

fn happened(event: &SessionEvent, began: u64) -> Vec<String> {
    let SessionEvent { at_ms, call, kind, server, method, name, detail, took_us } = event;
    let after = at_ms.saturating_sub(began);
    let took = if *took_us == 0 { String::new() } else { format!("{}.{} ms", took_us / 1000, took_us / 100 % 10) };
    let after = format!("{}.{:03}s", after / 1000, after % 1000);
    let texts = [call, kind, server, method, name].map(Clone::clone);
    std::iter::once(after).chain(texts).chain([took, detail.clone()]).collect()
}

async fn end(context: &Context, end: SessionsEnd) -> Result<Exit, Failure> {
    let SessionsEnd { session, client, server, idle, how: last } = end;
    let how = &last.how;
    if let Some(session) = session {
        let request = Change { dry_run: how.dry_run, reason: how.reason.clone() };
        let route = format!("/v1/sessions/{}/end", change::segment(&session));
        let outcome: EndOutcome = change::post(context, &route, &request, how).await?;
        return Ok(change::tell(context, &outcome, &sentence(&outcome)));
    }
    let object = client.clone().or_else(|| server.clone()).unwrap_or_else(|| "all".to_owned());
    let mut request = EndMatching { client, server, idle_seconds: idle, dry_run: true, reason: how.reason.clone() };
    let would: EndOutcome = change::post(context, "/v1/sessions/end", &request, how).await?;
    if how.dry_run {
        return Ok(change::tell(context, &would, &sentence(&would)));
    }
    change::confirmed(&last, &object, &format!("It ends {} sessions and {} calls.", would.sessions, would.calls))?;
    request.dry_run = false;
    let outcome: EndOutcome = change::post(context, "/v1/sessions/end", &request, how).await?;
    Ok(change::tell(context, &outcome, &sentence(&outcome)))
}

fn sentence(outcome: &EndOutcome) -> String {
    let EndOutcome { applied, sessions, calls } = outcome;
    let what = if *applied { "have ended" } else { "would end" };
    format!("{}{sessions} sessions and {calls} calls in them {what}.", change::rehearsed(*applied))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_what_it_did_and_what_it_would_do() {
        let mut outcome = EndOutcome { applied: true, sessions: 2, calls: 1 };
        assert_eq!(sentence(&outcome), "2 sessions and 1 calls in them have ended.");
        outcome.applied = false;
        assert!(sentence(&outcome).starts_with("Nothing was changed."));
    }

    #[test]
    fn an_event_is_a_line() {
        let event = SessionEvent { at_ms: 3500, took_us: 12_345, kind: "answer".into(), ..SessionEvent::default() };
        let row = happened(&event, 1000);
        assert_eq!((row[0].as_str(), row[2].as_str(), row[6].as_str()), ("2.500s", "answer", "12.3 ms"));
    }
}
