//! The envelope of a message, and edits of it.
//! Must hold: the scan reads what an independent reader reads, or refuses; an edit changes its spans and no other byte.
#![no_main]

use libfuzzer_sys::fuzz_target;
use toolgate_fuzz::{Dice, is_json, made, members};
use toolgate_protocol::envelope::{Envelope, Shape, batch, salvage_id, scan};
use toolgate_protocol::json::{self, Span, decode_str};
use toolgate_protocol::splice::{self, Edit};

fuzz_target!(|text: &[u8]| {
    let _ = batch(text);
    let salvaged = salvage_id(text).map(|id| id.of(text));
    let Ok(envelope) = scan(text) else { return };
    assert!(is_json(text), "a message that is no JSON was taken");
    reads_as_others_do(text, &envelope);

    let id = envelope.id_raw(text).filter(|id| *id != b"null");
    assert_eq!(salvaged, id, "the id of a whole message is salvaged");
    let mut dice = Dice::of(text);
    let prefix = &text[..dice.below(text.len())];
    assert!(salvage_id(prefix).is_none_or(|found| Some(found.of(prefix)) == id), "a cut message yields another id");

    edits_touch_their_spans_only(text, &envelope, &mut dice);
});

/// Compares every span with the member that `serde_json` finds.
fn reads_as_others_do(text: &[u8], envelope: &Envelope) {
    let top = envelope.whole;
    compare(
        text,
        Some(top),
        &[
            ("id", envelope.id),
            ("method", envelope.method),
            ("params", envelope.params),
            ("result", envelope.result),
            ("error", envelope.error),
        ],
    );
    compare(
        text,
        envelope.params,
        &[
            ("name", envelope.name),
            ("uri", envelope.uri),
            ("taskId", envelope.task_id),
            ("task", envelope.task),
            ("ref", envelope.reference),
            ("arguments", envelope.arguments),
            ("cursor", envelope.cursor),
            ("requestState", envelope.request_state),
            ("inputResponses", envelope.input_responses),
            ("_meta", envelope.meta),
        ],
    );
    compare(
        text,
        envelope.meta,
        &[
            ("io.modelcontextprotocol/protocolVersion", envelope.protocol_version),
            ("io.modelcontextprotocol/clientCapabilities", envelope.client_capabilities),
            ("io.modelcontextprotocol/clientInfo", envelope.client_info),
            ("io.modelcontextprotocol/logLevel", envelope.log_level),
            ("io.modelcontextprotocol/subscriptionId", envelope.subscription_id),
            ("traceparent", envelope.traceparent),
        ],
    );
    let method = envelope.method.map(|method| method.of(text));
    let others = method.map(|raw| serde_json::from_slice::<String>(raw).expect("a method is a string"));
    assert_eq!(envelope.method_str(text).as_deref(), others.as_deref());
}

fn compare(text: &[u8], object: Option<Span>, spans: &[(&str, Option<Span>)]) {
    let found = match object.filter(|object| object.of(text).starts_with(b"{")) {
        Some(object) => members(object.of(text)),
        None => Some(std::collections::BTreeMap::new()),
    };
    let Some(found) = found else { return };
    for (key, span) in spans {
        let theirs = found.get(*key).map(|value| value.get().as_bytes());
        assert_eq!(span.map(|span| span.of(text)), theirs, "{key}");
    }
    if let Some(object) = object {
        assert_eq!(json::members(text, object).count(), found.len(), "a key stands twice");
    }
}

fn edits_touch_their_spans_only(text: &[u8], envelope: &Envelope, dice: &mut Dice) {
    if let Some(edit) = splice::set_id(envelope, &b"\"new-1\""[..]) {
        let out = applied(text, vec![edit]);
        assert_eq!(made(&out).and_then(|new| new.id).map(|id| id.of(&out).to_vec()), Some(b"\"new-1\"".to_vec()));
    }
    let name = ["x", "a__\"b\\\u{1}", "\u{1f980}\r\n"][dice.below(3)];
    if let Some(edit) = splice::set_method_name(text, envelope, name) {
        let out = applied(text, vec![edit]);
        assert_eq!(made(&out).and_then(|new| new.target_str(&out).map(String::from)).as_deref(), Some(name));
    }
    if envelope.shape != Shape::Response {
        let out = applied(text, splice::set_meta(text, envelope, &[("traceparent", b"\"00-1\""), ("x.y/z", b"[{}]")]));
        if let Some(new) = made(&out) {
            assert_eq!(new.traceparent.map(|span| span.of(&out)), Some(&b"\"00-1\""[..]));
            assert_eq!(
                json::get(&out, new.meta.expect("it was set"), "x.y/z").map(|span| span.of(&out)),
                Some(&b"[{}]"[..])
            );
        }
    }
    if let Some(params) = envelope.params {
        let keys: Vec<String> =
            json::members(text, params).map(|member| decode_str(member.key.of(text)).into_owned()).collect();
        let gone: Vec<&str> = keys.iter().filter(|_| dice.below(2) == 0).map(String::as_str).collect();
        let out = applied(text, splice::remove_members(text, params, &gone));
        let new = made(&out).expect("nothing was added");
        let left: Vec<String> = json::members(&out, new.params.expect("it stays"))
            .map(|member| decode_str(member.key.of(&out)).into_owned())
            .collect();
        let stays: Vec<String> = keys.iter().filter(|key| !gone.contains(&key.as_str())).cloned().collect();
        assert_eq!(left, stays);
    }
}

/// The text after the edits; every byte outside of their spans must have stayed.
fn applied(text: &[u8], mut edits: Vec<Edit<'_>>) -> Vec<u8> {
    let out = splice::apply(text, &mut edits);
    let (mut old, mut new) = (0, 0);
    for edit in &edits {
        let kept = edit.span.start() - old;
        assert_eq!(text[old..old + kept], out[new..new + kept], "a byte outside of an edit changed");
        assert_eq!(out[new + kept..new + kept + edit.with.len()], *edit.with);
        (old, new) = (edit.span.end(), new + kept + edit.with.len());
    }
    assert_eq!(text[old..], out[new..], "a byte behind the edits changed");
    out
}
