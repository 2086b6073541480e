//! What a change has to be told: a blank per value, filled with what is most likely meant.

use super::super::data::Data;
use super::super::filter::Filter;
use super::super::object::{Object, shown};
use super::Verb;

/// What may be written into a blank.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Any text.
    Text,
    /// `10m`, `1h30m`
    Span,
    /// A bound, or a number.
    Value,
}

/// A line of a form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Blank {
    pub(crate) label: &'static str,
    /// What it is and what may stand there.
    pub(crate) help: &'static str,
    pub(crate) kind: Kind,
    pub(crate) required: bool,
    /// What stands there at first.
    pub(crate) value: String,
}

const fn blank(label: &'static str, help: &'static str, kind: Kind, required: bool) -> Blank {
    Blank { label, help, kind, required, value: String::new() }
}

/// The blanks of a change, empty.
pub(super) fn shape(verb: Verb, object: Option<&Object>) -> Vec<Blank> {
    let say = |help| blank("say", help, Kind::Text, false);
    let hold = || blank("for", "how long it holds, such as 10m or 1h30m", Kind::Span, true);
    let until = |help| blank("for", help, Kind::Span, false);
    match verb {
        Verb::Drain => vec![blank("deadline", "end sessions after, such as 5m; empty: never", Kind::Span, false)],
        Verb::Maintenance => vec![blank("deadline", "end sessions after, such as 60s", Kind::Span, true)],
        Verb::Weight => vec![blank("weight", "from 0 to 1000, against the weights of others", Kind::Value, true)],
        Verb::QueueDeadline => {
            vec![blank("wait", "how long a call may wait, such as 2s or 500ms", Kind::Value, true), hold()]
        }
        Verb::Purge => vec![blank("client", "only calls of this client; empty: all", Kind::Text, false)],
        Verb::Disable => {
            vec![say("what callers read; empty: that it is disabled"), until("such as 1h; empty: until enabled")]
        }
        Verb::Override => {
            vec![blank("value", "such as 20/min, 5000/day, or 5 in flight", Kind::Value, true), hold()]
        }
        Verb::LimitFor => {
            let other = match object {
                Some(Object::Client(_)) => blank("tool", "server/tool; empty: all of its calls", Kind::Text, false),
                _ => blank("client", "the client's id; empty: everybody", Kind::Text, false),
            };
            let value = blank("value", "such as 5/min, or 2 in flight; 0 lets none through", Kind::Value, true);
            vec![other, value, say("what a refused client reads first; may be empty"), hold()]
        }
        Verb::Suspend => {
            vec![say("what the client reads instead of answers"), until("such as 1h; empty: until it is resumed")]
        }
        Verb::Silence => vec![hold()],
        _ => Vec::new(),
    }
}

/// The blanks of a change, with what is most likely meant.
pub(crate) fn blanks(verb: Verb, objects: &[Object], data: &Data, filter: &Filter) -> Vec<Blank> {
    let object = objects.first();
    let mut blanks = shape(verb, object);
    for blank in &mut blanks {
        blank.value = likely(verb, blank.label, object, data, filter).unwrap_or_default();
    }
    blanks
}

fn likely(verb: Verb, label: &str, object: Option<&Object>, data: &Data, filter: &Filter) -> Option<String> {
    let text = |text: &str| Some(text.to_owned());
    match (verb, label, object) {
        (Verb::Maintenance, "deadline", _) => text("60s"),
        (Verb::Silence, "for", _) => text("1h"),
        (Verb::QueueDeadline, "wait", _) => text("2s"),
        (Verb::QueueDeadline | Verb::Override | Verb::LimitFor, "for", _) => text("10m"),
        (Verb::LimitFor, "value", _) => text("5/min"),
        (Verb::LimitFor, "client", Some(Object::Tool(server, tool))) => {
            let called = data.callers(server, tool).next();
            meant(filter, "client", data.client_ids()).or_else(|| called.map(str::to_owned))
        }
        (Verb::LimitFor, "tool", Some(Object::Client(id))) => {
            meant(filter, "tool", data.tool_ids()).or_else(|| busiest(data, id))
        }
        (Verb::Purge, "client", _) => meant(filter, "client", data.client_ids()),
        (Verb::Override, "value", Some(Object::Limit(name))) => {
            let limits = data.limits.as_ref()?;
            limits.limits.iter().find(|limit| limit.name == *name).map(|limit| limit.effective.clone())
        }
        (Verb::Weight, "weight", Some(Object::Endpoint(server, url))) => {
            let row = data.server(server)?;
            let endpoint = row.status.endpoints.iter().find(|endpoint| endpoint.url == *url)?;
            Some(endpoint.weight.to_string())
        }
        _ => None,
    }
}

/// What a filter names, as the daemon writes it where that is known; a pattern names nothing.
fn meant(filter: &Filter, field: &str, mut known: impl Iterator<Item = String>) -> Option<String> {
    let written = filter.value(field).filter(|written| !written.contains('*'))?;
    let sought = written.to_lowercase();
    let is = |id: &String| {
        let id = id.to_lowercase();
        id == sought || id.split_once([':', '/']).is_some_and(|(_, bare)| bare == sought)
    };
    known.find(is).or_else(|| Some(written.to_owned()))
}

fn busiest(data: &Data, client: &str) -> Option<String> {
    let row = data.clients.as_ref()?.clients.iter().find(|row| row.id == client)?;
    row.busiest.as_ref().map(|busiest| busiest.tool.clone()).filter(|tool| !tool.is_empty() && shown(tool) == *tool)
}
