//! Which columns the tables have.

use toolgate_admin_api::{CallRow, ClientRow, LimitStatus, ServerStatus, SessionRow, ToolRow, Traffic};

use super::{Key, Row};

impl Row for ToolRow {
    const COLUMNS: &'static [&'static str] = &[
        "rate",
        "error_rate",
        "refused_rate",
        "calls",
        "errors",
        "refused",
        "in_flight",
        "p50",
        "p99",
        "largest",
        "changed",
        "tool",
        "server",
    ];

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
        "error_rate",
        "refused_rate",
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

impl Row for ServerStatus {
    const COLUMNS: &'static [&'static str] = &["name", "state", "reason", "in_flight", "waiting", "sessions"];

    fn key(&self, column: &str) -> Key {
        match column {
            "state" => Key::Text(self.state.word().to_owned()),
            "reason" => Key::Text(self.reason.clone().unwrap_or_default()),
            "in_flight" => Key::Number(self.in_flight),
            "waiting" => Key::Number(self.waiting),
            "sessions" => Key::Number(self.endpoints.iter().filter_map(|endpoint| endpoint.sessions).sum()),
            _ => Key::Text(self.name.clone()),
        }
    }

    fn texts(&self) -> Vec<&str> {
        let mut texts = vec![self.name.as_str(), self.state.word()];
        texts.extend(self.reason.as_deref());
        texts.extend(self.endpoints.iter().filter_map(|endpoint| endpoint.url.as_deref()));
        texts
    }

    fn identity(&self) -> (&str, &str) {
        (&self.name, "")
    }
}

impl Row for LimitStatus {
    const COLUMNS: &'static [&'static str] =
        &["name", "place", "per", "used", "capacity", "full", "keys", "rejected", "rate", "expires"];

    fn key(&self, column: &str) -> Key {
        match column {
            "place" => Key::Text(self.place.clone()),
            "per" => Key::Text(self.per.clone()),
            "used" => Key::Number(self.used),
            "capacity" => Key::Number(self.capacity),
            "full" => Key::Number(self.used.saturating_mul(1_000_000) / self.capacity.max(1)),
            "keys" => Key::Number(self.keys),
            "rejected" => Key::Number(self.rejected),
            "rate" => Key::Number(thousandths(self.rejected_per_second)),
            "expires" => Key::Number(self.set.as_ref().map_or(u64::MAX, |set| set.expires_at_ms)),
            _ => Key::Text(self.name.clone()),
        }
    }

    fn texts(&self) -> Vec<&str> {
        let mut texts = vec![self.name.as_str(), &self.place, &self.per, &self.configured, &self.effective];
        texts.extend(self.top.iter().map(|top| top.key.as_str()));
        texts.extend(self.set.as_ref().map(|set| set.who.as_str()));
        texts
    }

    fn identity(&self) -> (&str, &str) {
        (&self.place, &self.name)
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
        "error_rate" => thousandths(traffic.errors_per_second),
        "refused_rate" => thousandths(traffic.refused_per_second),
        // In thousandths, so that a call every few minutes counts for something.
        _ => thousandths(traffic.calls_per_second),
    })
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate is positive, and far below 2^52")]
fn thousandths(rate: f64) -> u64 {
    (rate * 1_000.0) as u64
}
