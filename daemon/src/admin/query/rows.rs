//! Which columns the tables have.

use toolgate_admin_api::{CallRow, ClientRow, SessionRow, ToolRow, Traffic};

use super::{Key, Row};

impl Row for ToolRow {
    const COLUMNS: &'static [&'static str] =
        &["rate", "calls", "errors", "refused", "in_flight", "p50", "p99", "largest", "changed", "tool", "server"];

    fn key(&self, column: &str) -> Key {
        match column {
            "largest" => Key::Number(self.largest),
            "changed" => Key::Number(self.changed_ms.unwrap_or(0)),
            "tool" => Key::Text(self.tool.clone()),
            "server" => Key::Text(self.server.clone()),
            column => traffic(&self.traffic, column),
        }
    }

    fn texts(&self) -> Vec<&str> {
        let mut texts = vec![self.server.as_str(), &self.tool];
        texts.extend(self.callers.iter().map(|caller| caller.client.as_str()));
        texts.extend(self.disabled.is_some().then_some("disabled"));
        texts.extend(self.withheld.then_some("withheld"));
        texts
    }

    fn identity(&self) -> (&str, &str) {
        (&self.server, &self.tool)
    }
}

impl Row for ClientRow {
    const COLUMNS: &'static [&'static str] = &[
        "rate",
        "calls",
        "errors",
        "refused",
        "in_flight",
        "waiting",
        "sessions",
        "p50",
        "p99",
        "seen",
        "expires",
        "owner",
        "id",
    ];

    fn key(&self, column: &str) -> Key {
        match column {
            "waiting" => Key::Number(self.waiting),
            "sessions" => Key::Number(self.sessions),
            "seen" => Key::Number(self.last_seen_ms.unwrap_or(0)),
            "expires" => Key::Number(self.expires_at_ms.unwrap_or(u64::MAX)),
            "owner" => Key::Text(self.owner.clone()),
            "id" => Key::Text(self.id.clone()),
            column => traffic(&self.traffic, column),
        }
    }

    fn texts(&self) -> Vec<&str> {
        let mut texts = vec![self.id.as_str(), &self.owner];
        texts.extend(self.tier.as_deref());
        texts.extend(self.busiest.as_ref().map(|busiest| busiest.tool.as_str()));
        texts.extend(self.suspended.is_some().then_some("suspended"));
        texts
    }

    fn identity(&self) -> (&str, &str) {
        (&self.id, "")
    }
}

impl Row for SessionRow {
    const COLUMNS: &'static [&'static str] =
        &["calls", "age", "idle", "in_flight", "streams", "bytes", "errors", "client", "agent", "protocol", "view"];

    fn key(&self, column: &str) -> Key {
        match column {
            "age" => Key::Number(self.age_seconds),
            "idle" => Key::Number(self.idle_seconds),
            "in_flight" => Key::Number(self.in_flight),
            "streams" => Key::Number(self.streams),
            "bytes" => Key::Number(self.bytes_in + self.bytes_out),
            "errors" => Key::Number(self.errors),
            "client" => Key::Text(self.client.clone()),
            "agent" => Key::Text(self.agent.clone()),
            "protocol" => Key::Text(self.protocol.clone()),
            "view" => Key::Text(self.view.clone()),
            _ => Key::Number(self.calls),
        }
    }

    fn texts(&self) -> Vec<&str> {
        let mut texts = vec![self.id.as_str(), &self.client, &self.agent, &self.view, &self.protocol, &self.last];
        texts.extend(self.servers.iter().map(String::as_str));
        texts
    }

    fn identity(&self) -> (&str, &str) {
        (&self.id, "")
    }
}

impl Row for CallRow {
    const COLUMNS: &'static [&'static str] = &["age", "stage", "client", "session", "server", "method", "name"];

    fn key(&self, column: &str) -> Key {
        match column {
            "stage" => Key::Text(self.stage.clone()),
            "client" => Key::Text(self.client.clone()),
            "session" => Key::Text(self.session.clone()),
            "server" => Key::Text(self.server.clone()),
            "method" => Key::Text(self.method.clone()),
            "name" => Key::Text(self.name.clone()),
            _ => Key::Number(self.age_ms),
        }
    }

    fn texts(&self) -> Vec<&str> {
        vec![&self.id, &self.stage, &self.client, &self.session, &self.server, &self.method, &self.name]
    }

    fn identity(&self) -> (&str, &str) {
        (&self.id, "")
    }
}

fn traffic(traffic: &Traffic, column: &str) -> Key {
    Key::Number(match column {
        "calls" => traffic.calls,
        "errors" => traffic.errors,
        "refused" => traffic.refused,
        "in_flight" => traffic.in_flight,
        "p50" => traffic.latency.p50_us,
        "p99" => traffic.latency.p99_us,
        // In thousandths, so that a call every few minutes counts for something.
        _ => thousandths(traffic.calls_per_second),
    })
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate is positive, and far below 2^52")]
fn thousandths(rate: f64) -> u64 {
    (rate * 1_000.0) as u64
}
