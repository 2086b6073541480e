//! `toolgate tail`: calls as they end, a line for each.

use toolgate_admin_api::{Exit, RequestLine, Shown, TailLine};

use super::{Context, change, history};
use crate::args::Tail;
use crate::client::admin::AdminClient;
use crate::failure::Failure;
use crate::output;

/// Follows until the daemon ends it, or so many calls were shown.
pub(super) async fn run(context: &Context, tail: &Tail) -> Result<Exit, Failure> {
    let route = format!("/v1/requests/tail?filter={}", change::segment(&tail.filter.join(" ")));
    let mut stream = AdminClient::view(&context.runtime_dir).await?.follow(&route).await?;
    let mut shown = 0;
    while tail.lines.is_none_or(|lines| shown < lines) {
        let Some(line) = stream.next().await? else { return Ok(Exit::Done) };
        let read: TailLine = serde_json::from_slice(&line)
            .map_err(|error| Failure::new(Exit::Failed, format!("The daemon's line cannot be read: {error}.")))?;
        if context.json {
            output::raw(&line);
            output::raw(b"\n");
        }
        shown += u64::from(matches!(read, TailLine::Request(_)));
        match read {
            _ if context.json => {}
            TailLine::Request(call) => output::line(&told(&call)),
            TailLine::Lagged { count } => output::line(&format!("({count} more were too fast to be shown)")),
            TailLine::Heartbeat { .. } | TailLine::Unknown => {}
        }
    }
    Ok(Exit::Done)
}

fn told(call: &RequestLine) -> String {
    let place = if call.server.is_empty() { String::new() } else { format!(" at {}", call.server) };
    let failure = if call.failure.is_empty() { String::new() } else { format!(" ({})", call.failure) };
    let text = format!(
        "{} {} {}: {} {}{place}: {}{failure} {} in {}.{:03} ms",
        history::time(call.at_ms),
        call.id,
        if call.client.is_empty() { "-" } else { &call.client },
        call.method,
        call.name,
        call.outcome,
        call.status,
        call.total_us / 1000,
        call.total_us % 1000,
    );
    Shown(&text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_a_line() {
        let call = RequestLine {
            id: "c1".into(),
            client: "key:ci".into(),
            method: "tools/call".into(),
            name: "pay\u{1b}[2J".into(),
            server: "bank".into(),
            outcome: "refused".into(),
            failure: "limited".into(),
            status: 503,
            total_us: 1_234,
            ..RequestLine::default()
        };
        assert_eq!(
            told(&call),
            r"1970-01-01 00:00:00Z c1 key:ci: tools/call pay\u{1b}[2J at bank: refused (limited) 503 in 1.234 ms"
        );
    }
}
