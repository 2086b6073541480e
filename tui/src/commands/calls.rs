//! `toolgate calls` and `toolgate why`: calls that run, and the life of one.

use toolgate_admin_api::{CallLife, CallRow, CancelOutcome, Change, Exit, RequestLine};

use super::{Context, change};
use crate::args::Calls;
use crate::client::admin::AdminClient;
use crate::failure::Failure;
use crate::output;

/// Runs one of them.
pub(super) async fn run(context: &Context, calls: Calls) -> Result<Exit, Failure> {
    match calls {
        Calls::List(rows) => {
            let mut client = AdminClient::view(&context.runtime_dir).await?;
            let answer = client.get(&format!("/v1/calls{}", change::query(&rows))).await?;
            if context.json {
                return Ok(change::raw(&answer));
            }
            let calls: toolgate_admin_api::Calls = answer.read()?;
            let rows = calls.calls.iter().map(row).collect();
            change::table(rows, &["CALL", "STAGE", "AGE", "CLIENT", "SERVER", "METHOD", "NAME"], "No calls run.");
            Ok(Exit::Done)
        }
        Calls::Cancel { call, how } => {
            let request = Change { dry_run: how.dry_run, reason: how.reason.clone() };
            let route = format!("/v1/calls/{}/cancel", change::segment(&call));
            let outcome: CancelOutcome = change::post(context, &route, &request, &how).await?;
            let what = if outcome.applied { "has ended" } else { "would end" };
            let text = format!(
                "{}The call {} {what}; it was at stage {}.",
                change::rehearsed(outcome.applied),
                outcome.id,
                outcome.stage
            );
            Ok(change::tell(context, &outcome, &text))
        }
    }
}

fn row(call: &CallRow) -> Vec<String> {
    let age = format!("{}.{:03}s", call.age_ms / 1000, call.age_ms % 1000);
    vec![
        call.id.clone(),
        call.stage.clone(),
        age,
        call.client.clone(),
        call.server.clone(),
        call.method.clone(),
        call.name.clone(),
    ]
}

/// Tells the life of one call.
pub(super) async fn why(context: &Context, call: &str) -> Result<Exit, Failure> {
    let mut client = AdminClient::view(&context.runtime_dir).await?;
    let answer = client.get(&format!("/v1/calls/{}", change::segment(call))).await?;
    if context.json {
        return Ok(change::raw(&answer));
    }
    let lines = match answer.read()? {
        CallLife::InFlight(call) => runs(&call),
        CallLife::Ended(line) => ended(&line),
        CallLife::Unknown => {
            vec!["The daemon says of it what this command does not know; use its own version.".to_owned()]
        }
    };
    for line in lines {
        output::line(&output::printable(&line));
    }
    Ok(Exit::Done)
}

fn runs(call: &CallRow) -> Vec<String> {
    let where_it_is = match call.stage.as_str() {
        "read" => "its request is not there yet as a whole".to_owned(),
        "limit" => "it is held up by what the gate asks of it first".to_owned(),
        "queue" => format!("it waits for a permit of the server {}", call.server),
        "connect" => format!("a connection to the server {} is being made", call.server),
        "server" => format!("the server {} has it and has not begun to answer", call.server),
        "stream" => "its answer is under way".to_owned(),
        "parked" => "it waits for its client to answer what the server asked".to_owned(),
        other => format!("it is at stage {other}"),
    };
    let mut lines = vec![
        format!("Call {} of {} runs: {}.", call.id, of(&call.client), what(&call.method, &call.name)),
        format!("It began {} ms ago; {where_it_is}.", call.age_ms),
    ];
    lines.extend(traced(&call.trace));
    lines.push(format!("`toolgate calls cancel {}` ends it.", call.id));
    lines
}

/// The trace that a collector knows it by.
fn traced(trace: &str) -> Option<String> {
    (!trace.is_empty()).then(|| format!("It is traced: look for trace {trace} in your collector."))
}

fn ended(line: &RequestLine) -> Vec<String> {
    let mut lines = vec![format!(
        "Call {} of {} has ended: {}, on listener {}{}.",
        line.id,
        of(&line.client),
        what(&line.method, &line.name),
        line.listener,
        if line.session.is_empty() { String::new() } else { format!(", in session {}", line.session) }
    )];
    lines.push(match (line.outcome.as_str(), line.failure.as_str()) {
        ("ok", _) => format!("It went well, with status {}.", line.status),
        ("gone", _) => "Its client did not wait for the answer.".to_owned(),
        ("refused", kind) => format!("The gate refused it ({kind}), with status {}.", line.status),
        (_, "") => format!("The server answered with an error, with status {}.", line.status),
        (_, kind) => format!("It failed ({kind}), with status {}.", line.status),
    });
    if !line.cause.is_empty() {
        lines.push(format!("Its client was told, or the log: {}", line.cause));
    }
    let server =
        if line.server.is_empty() { "no single server".to_owned() } else { format!("the server {}", line.server) };
    let phases = [
        ("reading the request", line.read_us),
        ("waiting in the queue", line.queue_us),
        ("connecting", line.connect_us),
        ("waiting for the server's first byte", line.first_byte_us),
        ("passing on its answer", line.stream_us),
    ];
    let spent: Vec<_> = phases
        .iter()
        .filter(|(_, micros)| *micros > 0)
        .map(|(phase, micros)| format!("{} {phase}", millis(*micros)))
        .collect();
    let of_that = if spent.is_empty() { String::new() } else { format!(" Of that: {}.", spent.join(", ")) };
    lines.push(format!("It went to {server} and took {} in all.{of_that}", millis(line.total_us)));
    if let Some((phase, _)) =
        phases.iter().max_by_key(|(_, micros)| *micros).filter(|(_, micros)| *micros * 2 > line.total_us)
    {
        lines.push(format!("Most of it was spent {phase}."));
    }
    lines.push(format!("{} bytes came in, {} went out.", line.bytes_in, line.bytes_out));
    lines.extend(traced(&line.trace));
    lines
}

fn of(client: &str) -> &str {
    if client.is_empty() { "a client that was not identified" } else { client }
}

fn what(method: &str, name: &str) -> String {
    match (method, name) {
        ("", _) => "no message could be read".to_owned(),
        (method, "") => method.to_owned(),
        (method, name) => format!("{method} {name}"),
    }
}

fn millis(micros: u64) -> String {
    format!("{}.{:03} ms", micros / 1000, micros % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_life_of_a_call_says_where_its_time_went() {
        let line = RequestLine {
            id: "c1".into(),
            client: "key:ci".into(),
            method: "tools/call".into(),
            name: "pay".into(),
            server: "bank".into(),
            listener: "public".into(),
            outcome: "ok".into(),
            status: 200,
            queue_us: 8_000_000,
            first_byte_us: 1_500,
            total_us: 8_002_000,
            ..RequestLine::default()
        };
        let text = ended(&line).join("\n");
        assert!(text.contains("Call c1 of key:ci has ended: tools/call pay, on listener public."), "{text}");
        assert!(
            text.contains("8000.000 ms waiting in the queue, 1.500 ms waiting for the server's first byte"),
            "{text}"
        );
        assert!(text.contains("Most of it was spent waiting in the queue."), "{text}");
        assert!(!text.contains("trace"), "{text}");
        let seen = RequestLine { trace: "0af7651916cd43dd8448eb211c80319c".into(), ..line.clone() };
        assert!(ended(&seen).join("\n").contains("trace 0af7651916cd43dd8448eb211c80319c"), "{:?}", ended(&seen));
        let refused = RequestLine { outcome: "refused".into(), failure: "limited".into(), status: 503, ..line };
        assert!(ended(&refused)[1].contains("refused it (limited), with status 503"));
    }

    #[test]
    fn a_call_that_runs_says_where_it_is() {
        let call = CallRow { id: "c1".into(), stage: "queue".into(), server: "bank".into(), ..CallRow::default() };
        assert!(runs(&call)[1].ends_with("it waits for a permit of the server bank."), "{:?}", runs(&call));
    }
}
