//! What the two sides can do, in the words of the other era.
//! Called where a side is introduced: at `initialize`, at `server/discover`, and on each modern request.
//! Must hold: nothing is promised that the other side, or the gate in its place, does not do; what is unknown stays.

use super::TASKS_EXTENSION;
use super::members::{self, Set, is_object, object, whole};
use crate::json::{self, Span};
use crate::revision::Revision;
use crate::splice::{self, Edit};

/// A legacy client's capabilities as a modern request states them. Anything but an object declares nothing.
///
/// `roots.listChanged` goes: a modern server asks anew whenever it needs the roots. `tasks` goes: it says that the
/// client runs servers' requests as tasks, which no modern server asks for.
#[must_use]
pub fn client_to_modern(raw: &[u8]) -> Vec<u8> {
    let all = whole(raw);
    let roots = object(raw, all, "roots").map(|roots| members::rewritten(raw, roots, &[], &["listChanged"]));
    let set: Vec<Set<'_>> = roots.iter().map(|roots| ("roots", &roots[..])).collect();
    or_nothing(raw, all, &set, &["tasks"])
}

/// A modern client's capabilities as an `initialize` of this revision declares them. Anything but an object declares
/// nothing.
///
/// Before 2025-11-25 `elicitation` means forms, so a client that shows only URLs declares none there. The tasks
/// extension goes: in the legacy era the client says so on each request.
#[must_use]
pub fn client_to_legacy(raw: &[u8], revision: Revision) -> Vec<u8> {
    let all = whole(raw);
    let only_urls = object(raw, all, "elicitation")
        .is_some_and(|modes| json::get(raw, modes, "form").is_none() && json::get(raw, modes, "url").is_some());
    let drop: &[&str] =
        if only_urls && revision < Revision::V2025_11_25 { &["elicitation", "tasks"] } else { &["tasks"] };
    let extensions = without_tasks(raw, all);
    let set: Vec<Set<'_>> = extensions.iter().map(|kept| ("extensions", &kept[..])).collect();
    or_nothing(raw, all, &set, drop)
}

/// A legacy server's capabilities as `server/discover` states them. `tasks` goes, whose methods are others in the
/// modern era; `logging` and `resources.subscribe` stay, since the gate sets levels and subscribes for the client.
#[must_use]
pub fn server_to_modern(raw: &[u8]) -> Vec<u8> {
    or_nothing(raw, whole(raw), &[], &["tasks"])
}

/// A modern server's capabilities as `initialize` states them; the tasks extension goes for the same reason.
#[must_use]
pub fn server_to_legacy(raw: &[u8]) -> Vec<u8> {
    let all = whole(raw);
    let extensions = without_tasks(raw, all);
    let set: Vec<Set<'_>> = extensions.iter().map(|kept| ("extensions", &kept[..])).collect();
    or_nothing(raw, all, &set, &["tasks"])
}

/// The capabilities of a modern request with the tasks extension declared: for the one call that a legacy client
/// wants to run as a task.
#[must_use]
pub fn with_tasks(raw: &[u8]) -> Vec<u8> {
    let all = whole(raw);
    let extensions = match object(raw, all, "extensions") {
        Some(old) => members::rewritten(raw, old, &[(TASKS_EXTENSION, b"{}")], &[]),
        None => members::build(&[(TASKS_EXTENSION, b"{}")]),
    };
    or_nothing(raw, all, &[("extensions", &extensions)], &[])
}

/// What a server may ask of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// `elicitation/create` that shows a form.
    Form,
    /// `elicitation/create` that leads to a URL.
    Url,
    /// `sampling/createMessage`.
    Sampling,
    /// `sampling/createMessage` with tools.
    SamplingTools,
    /// `roots/list`.
    Roots,
}

impl Ask {
    /// What this request of a server asks for; `None` for a method that is none of the three, or a mode of elicitation
    /// that is neither of the two. `params` are raw.
    #[must_use]
    pub fn of(method: &str, params: &[u8]) -> Option<Self> {
        let all = whole(params);
        let has = |key| json::get(params, all, key).is_some_and(|value| value.of(params) != b"null");
        match method {
            "roots/list" => Some(Self::Roots),
            "sampling/createMessage" if has("tools") || has("toolChoice") => Some(Self::SamplingTools),
            "sampling/createMessage" => Some(Self::Sampling),
            "elicitation/create" => match json::get(params, all, "mode").map(|mode| mode.of(params)) {
                None | Some(b"null") => Some(Self::Form),
                Some(mode) if json::str_eq(mode, "form") => Some(Self::Form),
                Some(mode) if json::str_eq(mode, "url") => Some(Self::Url),
                Some(_) => None,
            },
            _ => None,
        }
    }

    /// Whether these capabilities (raw, of either era) declare it. An empty `elicitation` means forms.
    #[must_use]
    pub fn is_declared(self, capabilities: &[u8]) -> bool {
        let all = whole(capabilities);
        let inside = |outer: &str, inner: &str| {
            object(capabilities, all, outer).is_some_and(|outer| object(capabilities, outer, inner).is_some())
        };
        let has = |key: &str| object(capabilities, all, key).is_some();
        match self {
            Self::Form => has("elicitation") && (inside("elicitation", "form") || !inside("elicitation", "url")),
            Self::Url => inside("elicitation", "url"),
            Self::Sampling => has("sampling"),
            Self::SamplingTools => inside("sampling", "tools"),
            Self::Roots => has("roots"),
        }
    }

    /// The capability, as a path.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Form => "elicitation.form",
            Self::Url => "elicitation.url",
            Self::Sampling => "sampling",
            Self::SamplingTools => "sampling.tools",
            Self::Roots => "roots",
        }
    }

    /// The capabilities that would declare it: what `data.requiredCapabilities` of an error says.
    #[must_use]
    pub const fn required(self) -> &'static str {
        match self {
            Self::Form => r#"{"elicitation":{"form":{}}}"#,
            Self::Url => r#"{"elicitation":{"url":{}}}"#,
            Self::Sampling => r#"{"sampling":{}}"#,
            Self::SamplingTools => r#"{"sampling":{"tools":{}}}"#,
            Self::Roots => r#"{"roots":{}}"#,
        }
    }
}

/// `extensions` without tasks, when tasks are in it.
fn without_tasks(raw: &[u8], all: Span) -> Option<Vec<u8>> {
    let extensions = object(raw, all, "extensions")?;
    json::get(raw, extensions, TASKS_EXTENSION)?;
    Some(members::rewritten(raw, extensions, &[], &[TASKS_EXTENSION]))
}

fn or_nothing(raw: &[u8], all: Span, set: &[Set<'_>], drop: &[&str]) -> Vec<u8> {
    if !is_object(all.of(raw)) {
        return members::build(set);
    }
    let mut edits: Vec<Edit<'_>> = members::rewrite(raw, all, set, drop);
    edits.extend([Edit::remove(Span::new(0, all.start())), Edit::remove(Span::new(all.end(), raw.len()))]);
    splice::apply(raw, &mut edits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::revision::LATEST_LEGACY;

    fn check(cross: impl Fn(&[u8]) -> Vec<u8>, rows: &[(&str, &str)]) {
        for (from, to) in rows {
            assert_eq!(String::from_utf8_lossy(&cross(from.as_bytes())), *to, "{from}");
        }
    }

    #[test]
    fn a_legacy_client_promises_a_modern_server_what_it_can() {
        check(
            client_to_modern,
            &[
                (" { } ", "{ }"),
                ("null", "{}"),
                (r#"{"roots":{"listChanged":true},"x":1.0}"#, r#"{"roots":{},"x":1.0}"#),
                (r#"{"tasks":{"requests":{}},"sampling":{"tools":{}}}"#, r#"{"sampling":{"tools":{}}}"#),
                (r#"{"elicitation":{},"experimental":{"a":{}}}"#, r#"{"elicitation":{},"experimental":{"a":{}}}"#),
            ],
        );
    }

    #[test]
    fn a_client_of_urls_promises_no_forms_to_an_older_server() {
        let urls = r#"{"elicitation":{"url":{}}}"#;
        check(
            |raw| client_to_legacy(raw, LATEST_LEGACY),
            &[
                (urls, urls),
                (r#"{"extensions":{"io.modelcontextprotocol/tasks":{},"a/b":{}}}"#, r#"{"extensions":{"a/b":{}}}"#),
            ],
        );
        check(
            |raw| client_to_legacy(raw, Revision::V2025_06_18),
            &[
                (urls, "{}"),
                (r#"{"elicitation":{"form":{},"url":{}}}"#, r#"{"elicitation":{"form":{},"url":{}}}"#),
                (r#"{"elicitation":{}}"#, r#"{"elicitation":{}}"#),
            ],
        );
    }

    #[test]
    fn servers_keep_what_the_gate_translates() {
        let kept = r#"{"logging":{},"resources":{"subscribe":true,"listChanged":true},"x":[]}"#;
        check(server_to_modern, &[(kept, kept), (r#"{"tasks":{"list":{}},"tools":{}}"#, r#"{"tools":{}}"#)]);
        check(
            server_to_legacy,
            &[
                (kept, kept),
                (
                    r#"{"extensions":{"io.modelcontextprotocol/tasks":{}},"tools":{}}"#,
                    r#"{"extensions":{},"tools":{}}"#,
                ),
            ],
        );
    }

    #[test]
    fn tasks_can_be_declared_for_one_call() {
        check(
            with_tasks,
            &[
                ("{}", r#"{"extensions":{"io.modelcontextprotocol/tasks":{}}}"#),
                (r#"{"extensions":{"a/b":{}}}"#, r#"{"extensions":{"a/b":{},"io.modelcontextprotocol/tasks":{}}}"#),
            ],
        );
    }

    #[test]
    fn only_what_is_declared_may_be_asked() {
        let ask = |method, params: &str| Ask::of(method, params.as_bytes());
        assert_eq!(ask("elicitation/create", "{}"), Some(Ask::Form));
        assert_eq!(ask("elicitation/create", r#"{"mode":"\u0075rl"}"#), Some(Ask::Url));
        assert_eq!(ask("sampling/createMessage", r#"{"tools":[]}"#), Some(Ask::SamplingTools));
        assert_eq!(ask("ping", "{}"), None);
        assert_eq!(ask("elicitation/create", r#"{"mode":"voice"}"#), None);
        for (ask, capabilities, declared) in [
            (Ask::Form, r#"{"elicitation":{}}"#, true),
            (Ask::Form, r#"{"elicitation":{"url":{}}}"#, false),
            (Ask::Form, r#"{"elicitation":{"url":{},"form":{}}}"#, true),
            (Ask::Url, r#"{"elicitation":{}}"#, false),
            (Ask::Url, r#"{"elicitation":{"url":{}}}"#, true),
            (Ask::Sampling, "{}", false),
            (Ask::Sampling, r#"{"sampling":null}"#, false),
            (Ask::SamplingTools, r#"{"sampling":{}}"#, false),
            (Ask::Roots, r#"{"roots":{}}"#, true),
        ] {
            assert_eq!(ask.is_declared(capabilities.as_bytes()), declared, "{ask:?} {capabilities}");
            assert!(ask.is_declared(ask.required().as_bytes()));
        }
    }
}
