//! What a record says: made from the route, the request and its outcome.

use serde_json::{Map, Value, json};
use toolgate_admin_api::{AuditRecord, Shown};

use super::super::operations::Peer;
use super::super::routes::{Answer, Request, Route};

/// Members of a list, and of an object, that a record tells.
const MEMBERS: usize = 50;
/// Members of a body that say what the change is of, behind what the path names.
const OBJECTS: [&str; 5] = ["tool", "endpoint", "client", "server", "owner"];

/// Characters of a reason.
pub(in super::super) const MOST_REASON: usize = 1024;

/// What the body of a change says of it.
#[derive(Debug, Default)]
pub(super) struct Asked {
    pub(super) dry_run: bool,
    reason: Option<String>,
    objects: Vec<String>,
}

/// Reads the members that changes have in common; a body that is none of theirs says nothing.
pub(super) fn asked(body: &[u8]) -> Asked {
    let body: Map<String, Value> = serde_json::from_slice(body).unwrap_or_default();
    let text = |name: &str| body.get(name).and_then(Value::as_str).map(str::to_owned);
    Asked {
        dry_run: body.get("dry_run") == Some(&Value::Bool(true)),
        reason: text("reason"),
        objects: OBJECTS.iter().filter_map(|name| text(name)).collect(),
    }
}

/// Whether the body of a change has a longer reason than is kept.
pub(in super::super) fn says_too_much(body: &[u8]) -> bool {
    asked(body).reason.is_some_and(|reason| reason.chars().nth(MOST_REASON).is_some())
}

/// The record of a change that was tried.
pub(super) fn record(
    route: &Route,
    request: &Request,
    asked: &Asked,
    answer: &Answer,
    (at_ms, revision): (u64, u64),
) -> AuditRecord {
    let (before, after, outcome) = match answer {
        Ok(body) => {
            let (before, after) = before_and_after(serde_json::from_slice(body).unwrap_or_default());
            (before, after, "done".to_owned())
        }
        Err(error) => (Value::Null, Value::Null, error.to_string()),
    };
    let named = super::super::routes::name(request).unwrap_or_else(|_| request.named.clone());
    let target: Vec<_> =
        std::iter::once(&named).filter(|named| !named.is_empty()).chain(&asked.objects).map(String::as_str).collect();
    AuditRecord {
        number: 0,
        at_ms,
        uid: request.peer.uid,
        user: user(request.peer.uid).unwrap_or_default(),
        pid: request.peer.pid,
        action: action(route.method.as_str(), route.path),
        target: Shown(&target.join("/")).to_string(),
        before: fit(before),
        after: fit(after),
        reason: asked.reason.as_deref().map(short),
        outcome: Shown(&outcome).to_string(),
        revision,
    }
}

/// A reason, as much of it as may be: also that of a change that was refused for its length.
fn short(reason: &str) -> String {
    let end = reason.char_indices().nth(MOST_REASON).map_or(reason.len(), |(end, _)| end);
    Shown(&reason[..end]).to_string()
}

/// `noun.verb` of a route: `POST /v1/servers/{}/cache/clear` is `cache.clear`.
pub(in super::super) fn action(method: &str, path: &str) -> String {
    let words: Vec<_> = path.trim_start_matches("/v1/").split('/').filter(|word| *word != "{}").collect();
    let singular = |word: &str| if word == "status" { word.to_owned() } else { word.trim_end_matches('s').to_owned() };
    match (words.as_slice(), method) {
        ([noun], "POST") => format!("{}.add", singular(noun)),
        ([noun], _) => format!("{}.set", singular(noun)),
        ([.., noun, _], "DELETE") => format!("{}.revert", singular(noun)),
        ([.., noun, verb], _) => format!("{}.{verb}", singular(noun)),
        ([], _) => String::new(),
    }
}

/// What an outcome says of before and after. Where it has not both by name, the endpoints in it are as they were, and
/// the rest is what is now.
fn before_and_after(outcome: Value) -> (Value, Value) {
    let Value::Object(mut outcome) = outcome else { return (Value::Null, outcome) };
    outcome.remove("applied");
    let endpoints = outcome.remove("endpoints");
    let previous = outcome.remove("previous").map(|previous| json!({ "revision": previous }));
    let before = outcome.remove("before").or(previous).or_else(|| endpoints.map(glance)).unwrap_or_default();
    let after = match outcome.remove("after") {
        Some(after) => after,
        None => Value::Object(outcome),
    };
    (before, after)
}

/// Of each endpoint what an operator can change.
fn glance(endpoints: Value) -> Value {
    let Value::Array(endpoints) = endpoints else { return endpoints };
    let one = |endpoint: Value| {
        let kept = ["url", "mode", "weight"]
            .into_iter()
            .filter_map(|name| Some((name.to_owned(), endpoint.get(name)?.clone())));
        let breaker = endpoint.pointer("/breaker/state").map(|state| ("breaker".to_owned(), state.clone()));
        Value::Object(kept.chain(breaker).collect())
    };
    Value::Array(endpoints.into_iter().map(one).collect())
}

/// A value whose texts are fit to be shown, and which is not endless.
fn fit(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(Shown(&text).to_string()),
        Value::Array(all) => Value::Array(all.into_iter().take(MEMBERS).map(fit).collect()),
        Value::Object(all) => {
            let all = all.into_iter().take(MEMBERS);
            Value::Object(all.map(|(name, value)| (Shown(&name).to_string(), fit(value))).collect())
        }
        other => other,
    }
}

/// The user behind a connection, as people read it: `ann (uid 1000)`.
#[must_use]
pub fn who(peer: &Peer) -> String {
    match user(peer.uid) {
        Some(name) => format!("{name} (uid {})", peer.uid),
        None => format!("uid {}", peer.uid),
    }
}

/// The name of a user of this machine.
fn user(uid: u32) -> Option<String> {
    let users = std::fs::read_to_string("/etc/passwd").ok()?;
    let of_line = |line: &str| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| Shown(name).to_string())
    };
    users.lines().find_map(of_line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_have_names() {
        for (method, path, wanted) in [
            ("POST", "/v1/servers/{}/drain", "server.drain"),
            ("POST", "/v1/servers/{}/tools/approve", "tool.approve"),
            ("POST", "/v1/breakers/{}/reset", "breaker.reset"),
            ("PUT", "/v1/limits/{}/override", "limit.override"),
            ("DELETE", "/v1/limits/{}/override", "limit.revert"),
            ("POST", "/v1/limits", "limit.add"),
            ("PUT", "/v1/log", "log.set"),
            ("POST", "/v1/sessions/end", "session.end"),
            ("POST", "/v1/sessions/{}/end", "session.end"),
            ("POST", "/v1/alerts/{}/silence", "alert.silence"),
        ] {
            assert_eq!(action(method, path), wanted);
        }
    }

    #[test]
    fn outcomes_say_what_was_before() {
        let told = |outcome: Value| before_and_after(outcome);
        assert_eq!(
            told(json!({"applied": true, "name": "free", "before": "3/h", "after": "8/h"})),
            (json!("3/h"), json!("8/h"))
        );
        assert_eq!(
            told(json!({"applied": true, "revision": 8, "previous": 7})),
            (json!({"revision": 7}), json!({"revision": 8}))
        );
        let endpoint =
            json!({"url": "u", "mode": "ready", "weight": 1, "sessions": 3, "breaker": {"state": "open", "opened": 1}});
        assert_eq!(
            told(json!({"server": "web", "applied": true, "mode": "drain", "endpoints": [endpoint]})),
            (
                json!([{"url": "u", "mode": "ready", "weight": 1, "breaker": "open"}]),
                json!({"server": "web", "mode": "drain"})
            )
        );
    }

    #[test]
    fn what_is_recorded_is_fit_to_be_shown_and_bounded() {
        let long = vec![Value::String("\u{1b}[2J".into()); 1000];
        let Value::Array(all) = fit(Value::Array(long)) else { panic!("a list") };
        assert_eq!((all.len(), &all[0]), (MEMBERS, &json!(r"\u{1b}[2J")));
        assert!(asked(b"[]").objects.is_empty() && !asked(b"no json").dry_run);
        assert!(asked(br#"{"dry_run": true}"#).dry_run);
    }

    #[test]
    fn users_have_names() {
        assert_eq!(user(0).as_deref(), Some("root"));
        assert!(who(&Peer { uid: u32::MAX, pid: None }).starts_with("uid 42949"));
    }
}
