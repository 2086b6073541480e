//! Which calls are traced, and what their servers are told of it.
//!
//! What a caller says stands in `params._meta` (SEP-414) or in the headers of its request; the message wins, since it
//! is what arrives whatever carries it. A server is told the gate's span as the one that it was called from: in a
//! header where it is spoken to over HTTP, and in `_meta` where the client said something there.

use std::hash::BuildHasher;
use std::sync::LazyLock;

use bytes::BytesMut;
use foldhash::fast::RandomState;
use http::HeaderMap;
use toolgate_protocol::envelope::Shape;
use toolgate_protocol::framing::is_value;
use toolgate_protocol::json::{self, Span};
use toolgate_protocol::trace::{Decision, Parent, SpanId, TRACEPARENT, TraceId, decide};

use crate::call::{Call, CallId};
use crate::message::Message;

/// The longest `tracestate` that is passed on (Trace Context 3.3.1.5).
const TRACESTATE: usize = 512;

/// A call that is traced.
#[derive(Debug)]
pub struct Traced {
    /// Its trace.
    pub trace: TraceId,
    /// The gate's span.
    pub(super) span: SpanId,
    /// The caller's span, which it goes on from.
    pub(super) parent: Option<SpanId>,
    /// What a caller said whose word is not taken.
    pub(super) link: Option<Parent>,
    /// What vendors keep in the caller's context.
    state: Option<String>,
    header: [u8; TRACEPARENT],
}

impl Traced {
    fn new(decision: Decision, state: Option<String>) -> Option<Self> {
        let mut random = [0; 24];
        aws_lc_rs::rand::fill(&mut random).ok()?;
        let span = SpanId::new(*random.first_chunk()?)?;
        let (trace, parent, link) = match decision {
            Decision::Leave => return None,
            Decision::Child(parent) => (parent.trace, Some(parent.span), None),
            Decision::Root(link) => (TraceId::new(*random.last_chunk()?)?, None, link),
        };
        let header = Parent { trace, span, sampled: true }.written();
        Some(Self { trace, span, parent, link, state: state.filter(|_| parent.is_some()), header })
    }

    /// `traceparent` for servers.
    pub fn header(&self) -> &[u8] {
        &self.header
    }

    /// `tracestate` for servers.
    pub fn state(&self) -> Option<&str> {
        self.state.as_deref()
    }
}

/// Decides whether a request is traced.
pub fn begin(call: &mut Call) {
    // All that a gate without traces pays.
    let Some(rules) = &call.policy.settings.trace else { return };
    let Some(message) = call.message.as_mut().filter(|message| message.shape() == Shape::Request) else { return };
    let said = Said::of(message, &call.headers);
    let decision = decide(said.parent, rules.trust_parent, rules.sample, draw(call.id));
    if decision == Decision::Leave {
        return;
    }
    let Some(traced) = Traced::new(decision, said.state(message, &call.headers)) else { return };
    if let Some(span) = message.envelope.traceparent {
        rewrite(message, span, &traced.header);
    }
    call.core.gate.traces.recent.keep(call.id, traced.trace);
    call.trace = Some(traced.into());
}

/// What a request says of its trace.
struct Said {
    parent: Option<Parent>,
    in_message: bool,
}

impl Said {
    fn of(message: &Message, headers: &HeaderMap) -> Self {
        let told = message.raw(message.envelope.traceparent).and_then(text).and_then(Parent::parse);
        if told.is_some() {
            return Self { parent: told, in_message: true };
        }
        let mut lines = headers.get_all("traceparent").iter();
        // Of several nobody knows which holds (Trace Context 3.2.1).
        let parent = match (lines.next(), lines.next()) {
            (Some(line), None) => Parent::parse(line.as_bytes()),
            _ => None,
        };
        Self { parent, in_message: false }
    }

    fn state(&self, message: &Message, headers: &HeaderMap) -> Option<String> {
        let said = if self.in_message {
            let span = json::get(&message.bytes, message.envelope.meta?, "tracestate")?;
            json::decode_str(span.of(&message.bytes)).into_owned()
        } else {
            let lines: Vec<_> = headers.get_all("tracestate").iter().filter_map(|line| line.to_str().ok()).collect();
            lines.join(",")
        };
        (!said.is_empty() && said.len() <= TRACESTATE && is_value(said.as_bytes())).then_some(said)
    }
}

/// What stands between the quotes.
fn text(raw: &[u8]) -> Option<&[u8]> {
    raw.strip_prefix(b"\"")?.strip_suffix(b"\"")
}

/// Puts the gate's span where the client's stands. Both are of the same length, so that every other span of the
/// envelope stays where it is; a context that is written otherwise stays as it came.
fn rewrite(message: &mut Message, at: Span, header: &[u8; TRACEPARENT]) {
    let raw = at.of(&message.bytes);
    if raw.len() != TRACEPARENT + 2 || text(raw).and_then(Parent::parse).is_none() {
        return;
    }
    let bytes = std::mem::take(&mut message.bytes);
    let mut bytes = bytes.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&*shared));
    bytes[at.start() + 1..at.end() - 1].copy_from_slice(header);
    message.bytes = bytes.freeze();
}

/// A number for the call that nobody can foresee.
fn draw(id: CallId) -> u64 {
    static STATE: LazyLock<RandomState> = LazyLock::new(RandomState::default);
    STATE.hash_one(id)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    const THEIRS: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn message(meta: &str) -> Message {
        let text =
            format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"_meta":{meta},"name":"a"}}}}"#);
        Message::parse(Bytes::from(text)).expect("a message")
    }

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        lines.iter().map(|(name, value)| (name.parse().expect("a name"), value.parse().expect("a value"))).collect()
    }

    #[test]
    fn the_message_wins_over_the_headers() {
        const OTHER: &str = "00-11111111111111111111111111111111-2222222222222222-00";
        let told = message(&format!(r#"{{"traceparent":"{THEIRS}","tracestate":"a=1,b=2"}}"#));
        let lines = headers(&[("traceparent", OTHER), ("tracestate", "c=3")]);
        let said = Said::of(&told, &lines);
        assert_eq!(said.parent, Parent::parse(THEIRS.as_bytes()));
        assert_eq!(said.state(&told, &lines).as_deref(), Some("a=1,b=2"));
        // One that says nothing that can be read does not.
        let untold = message(r#"{"traceparent":"00-1"}"#);
        let said = Said::of(&untold, &lines);
        assert_eq!(said.parent, Parent::parse(OTHER.as_bytes()));
        assert_eq!(said.state(&untold, &lines).as_deref(), Some("c=3"));
    }

    #[test]
    fn of_several_headers_none_holds_and_states_are_joined() {
        let told = message("{}");
        let mut lines = headers(&[("traceparent", THEIRS), ("tracestate", "a=1")]);
        lines.append("tracestate", "b=2".parse().expect("a value"));
        let said = Said::of(&told, &lines);
        assert_eq!(said.state(&told, &lines).as_deref(), Some("a=1,b=2"));
        lines.append("traceparent", THEIRS.parse().expect("a value"));
        assert_eq!(Said::of(&told, &lines).parent, None);
    }

    #[test]
    fn a_state_that_no_header_can_carry_goes_nowhere() {
        let long = "a".repeat(TRACESTATE + 1);
        for state in [r"a\r\nx: y", "", &long] {
            let told = message(&format!(r#"{{"traceparent":"{THEIRS}","tracestate":"{state}"}}"#));
            assert_eq!(Said::of(&told, &HeaderMap::new()).state(&told, &HeaderMap::new()), None, "{state}");
        }
    }

    #[test]
    fn only_the_context_of_the_message_changes() {
        for (meta, changes) in [
            (format!(r#"{{"traceparent":"{THEIRS}","x":1}}"#), true),
            (format!(r#"{{"traceparent":"{THEIRS}-more"}}"#), false),
            (r#"{"traceparent":7}"#.to_owned(), false),
        ] {
            let mut told = message(&meta);
            let before = told.clone();
            let traced = Traced::new(Decision::Root(None), None).expect("random numbers");
            rewrite(&mut told, before.envelope.traceparent.expect("there"), &traced.header);
            let ours = std::str::from_utf8(&traced.header).expect("text");
            let wanted = String::from_utf8_lossy(&before.bytes).replace(THEIRS, ours);
            assert_eq!(told.bytes == before.bytes, !changes, "{meta}");
            if changes {
                assert_eq!(told.bytes, wanted);
            }
            assert_eq!(told.envelope.name_str(&told.bytes).as_deref(), Some("a"));
        }
    }

    #[test]
    fn a_trace_of_its_own_has_no_state_of_others() {
        let parent = Parent::parse(THEIRS.as_bytes()).expect("good");
        let root = Traced::new(Decision::Root(Some(parent)), Some("a=1".into())).expect("random numbers");
        assert!(root.trace != parent.trace && root.state().is_none() && root.link == Some(parent));
        let child = Traced::new(Decision::Child(parent), Some("a=1".into())).expect("random numbers");
        assert!(child.trace == parent.trace && child.parent == Some(parent.span) && child.state() == Some("a=1"));
        let told = Parent::parse(child.header()).expect("good");
        assert!(told.sampled && told.trace == parent.trace && told.span != parent.span);
    }
}
