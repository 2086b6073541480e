//! The crossing of eras: a client's message, a server's message and the client's capabilities, with NUL between them.
//! Must hold: whatever crosses stays a JSON-RPC message with the same id, and says of the call what it said before.
#![no_main]

use std::sync::Arc;

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use toolgate_fuzz::{is_json, made, members};
use toolgate_protocol::bridge::levels::Level;
use toolgate_protocol::bridge::listen::{self, Outcome};
use toolgate_protocol::bridge::parking::{Arrival, Questions};
use toolgate_protocol::bridge::playback::{self, Playback};
use toolgate_protocol::bridge::request::{self, Declared};
use toolgate_protocol::bridge::result::{self, Asked, Kind};
use toolgate_protocol::bridge::tasks::{self, Polling};
use toolgate_protocol::bridge::{batch, capabilities, digest, introduce, url};
use toolgate_protocol::envelope::{Envelope, Shape, scan};
use toolgate_protocol::json::{self, Span};
use toolgate_protocol::method::Method;
use toolgate_protocol::revision::Revision;

const SERVER: &[u8] = b"{\"name\":\"s\",\"version\":\"1\"}";

/// A message and its envelope.
#[derive(Clone, Copy)]
struct Message<'m> {
    text: &'m [u8],
    envelope: &'m Envelope,
}

fuzz_target!(|data: &[u8]| {
    let parts: Vec<&[u8]> = data.splitn(3, |byte| *byte == 0).collect();
    let part = |index: usize| parts.get(index).copied().unwrap_or(b"{}");
    batches(data);
    declared(part(2));
    let client = introduced(part(2));
    let (ours, theirs) = (scan(part(0)), scan(part(1)));
    if let Ok(envelope) = &ours {
        let call = Message { text: part(0), envelope };
        if envelope.shape == Shape::Request {
            request_crosses(call, &client);
        }
        filter(call, &client);
        if let Ok(envelope) = &theirs {
            let answer = Message { text: part(1), envelope };
            questions(call, answer, &client);
            if envelope.shape == Shape::Response {
                response_crosses(answer, call.envelope.known_method, &client);
                rounds(call, answer, &client);
            }
        }
    }
});

fn batches(body: &[u8]) {
    let Ok(mut batch) = batch::split(body) else { return };
    for part in batch.parts.iter().filter(|part| part.envelope.shape == Shape::Request) {
        let id = part.envelope.id_raw(part.span.of(body)).expect("a request has an id");
        batch.answers.answered([b"{\"jsonrpc\":\"2.0\",\"result\":{},\"id\":", id, b"}"].concat().into());
    }
    assert_eq!(batch.answers.missing(), 0);
    assert!(batch.answers.finish().is_none_or(|answer| is_json(&answer)));
}

/// Capabilities of either side in the words of the other.
fn declared(raw: &[u8]) {
    let there = capabilities::client_to_modern(raw);
    let back = capabilities::client_to_legacy(raw, Revision::V2025_06_18);
    let server =
        [capabilities::server_to_modern(raw), capabilities::server_to_legacy(raw), capabilities::with_tasks(raw)];
    for object in [&there, &back].into_iter().chain(&server) {
        assert!(object.starts_with(b"{") && is_json(object), "{}", object.escape_ascii());
    }
    assert_eq!(capabilities::client_to_modern(&there), there, "twice is once");
    assert_eq!(capabilities::client_to_legacy(&back, Revision::V2025_06_18), back, "twice is once");
}

fn introduced(raw: &[u8]) -> Declared {
    let head = br#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"clientInfo":{"name":"c","version":"1"},"capabilities":"#;
    let text = [&head[..], raw, b"}}"].concat();
    match scan(&text) {
        Ok(envelope) => Declared::of_initialize(&text, &envelope),
        Err(_) => Declared {
            capabilities: br#"{"elicitation":{"form":{},"url":{}},"sampling":{},"roots":{}}"#.to_vec(),
            info: None,
        },
    }
}

fn digest_of(text: &[u8], envelope: &Envelope) -> Vec<u8> {
    let mut out = Vec::new();
    digest::digest(text, envelope, &mut |piece| out.extend_from_slice(piece));
    out
}

fn request_crosses(call: Message<'_>, client: &Declared) {
    let Message { text, envelope } = call;
    let there = request::to_modern(text, envelope, client, Some(Level::Error));
    let back = request::to_legacy(text, envelope);
    let back_envelope = made(&back).expect("nothing was added");
    same_call(call, Message { text: &back, envelope: &back_envelope });
    let _ = url::is_declined(text, envelope);
    if let Some(task) = made(&tasks::legacy::as_task(text, envelope)) {
        assert_eq!(task.known_method, envelope.known_method);
    }
    let Some(there_envelope) = made(&there) else { return };
    same_call(call, Message { text: &there, envelope: &there_envelope });
    assert_eq!(there_envelope.missing_meta(&there), None);
    assert_eq!(request::to_modern(&there, &there_envelope, client, Some(Level::Error)), there, "twice is once");
    // Behind a second gate it is the call that it was without the first.
    let again = request::to_legacy(&there, &there_envelope);
    let again_envelope = made(&again).expect("nothing was added");
    same_call(Message { text: &back, envelope: &back_envelope }, Message { text: &again, envelope: &again_envelope });
    assert_eq!(unreserved(&again, &again_envelope), unreserved(text, envelope), "metadata that nobody reserves stays");
}

/// The metadata that belongs to no era, and what a parent of the trace is.
fn unreserved(text: &[u8], envelope: &Envelope) -> Vec<(String, Vec<u8>)> {
    let object = envelope.meta.map(|meta| meta.of(text)).filter(|meta| meta.starts_with(b"{"));
    let all = object.and_then(members).unwrap_or_default();
    let reserved = ["protocolVersion", "clientCapabilities", "clientInfo", "logLevel"];
    let is_reserved =
        |key: &str| key.strip_prefix("io.modelcontextprotocol/").is_some_and(|key| reserved.contains(&key));
    all.into_iter()
        .filter(|(key, _)| !is_reserved(key))
        .map(|(key, value)| (key.into_owned(), value.get().as_bytes().to_vec()))
        .collect()
}

fn same_call(one: Message<'_>, other: Message<'_>) {
    assert_eq!(one.envelope.id_raw(one.text), other.envelope.id_raw(other.text));
    assert_eq!(one.envelope.method_str(one.text), other.envelope.method_str(other.text));
    assert_eq!(one.envelope.target_str(one.text), other.envelope.target_str(other.text));
    let raw = |message: Message<'_>, span: Option<Span>| span.map(|span| span.of(message.text).to_vec());
    assert_eq!(raw(one, one.envelope.arguments), raw(other, other.envelope.arguments));
    assert_eq!(digest_of(one.text, one.envelope), digest_of(other.text, other.envelope));
}

fn response_crosses(answer: Message<'_>, method: Option<Method>, client: &Declared) {
    let Message { text, envelope } = answer;
    let asked = Asked { method, capabilities: &client.capabilities, server_info: Some(SERVER) };
    let there = result::to_modern(text, envelope, &asked);
    let back = result::to_legacy(text, envelope, method, Some("a:b"));
    for out in [&there, &back] {
        if let Some(new) = made(out) {
            assert_eq!(new.shape, Shape::Response);
            assert_eq!(new.id_raw(out), envelope.id_raw(text));
        }
    }
    let Some(result) = envelope.result else { return };
    let introduced = [
        introduce::initialize_result(text, result, Revision::V2025_11_25, "n\""),
        introduce::discover_result(text, result),
    ];
    assert!(introduced.iter().all(|object| object.starts_with(b"{") && is_json(object)));
    let Some(new) = made(&there) else { return };
    let modern = new.result.expect("a result stays one");
    if modern.of(&there).starts_with(b"{") {
        assert!(json::get(&there, modern, "resultType").is_some());
        assert_eq!(result::kind(&there, modern), Kind::Complete);
        let again = result::to_legacy(&there, &new, method, None);
        keeps_members(text, result, &again);
    }
}

/// All members but those that belong to one era, or that only one era can hold, cross twice unchanged.
fn keeps_members(text: &[u8], result: Span, back: &[u8]) {
    const CHANGE: [&str; 6] = ["resultType", "ttlMs", "cacheScope", "_meta", "structuredContent", "tools"];
    let Some(envelope) = made(back) else { return };
    let new = envelope.result.expect("a result stays one").of(back);
    let old = if result.of(text).starts_with(b"{") { result.of(text) } else { b"{}" };
    let (Some(mut old), Some(mut new)) = (members(old), members(new)) else { return };
    old.retain(|key, _| !CHANGE.contains(&&**key));
    new.retain(|key, _| !CHANGE.contains(&&**key));
    let raw = |value: &serde_json::value::RawValue| value.get().to_owned();
    assert_eq!(
        old.into_iter().map(|(key, value)| (key, raw(value))).collect::<Vec<_>>(),
        new.into_iter().map(|(key, value)| (key, raw(value))).collect::<Vec<_>>()
    );
}

/// A message that carries what a server wrote, in which keys may repeat.
fn spoken(text: &[u8]) {
    assert!(is_json(text), "{}", text.escape_ascii());
    let top = members(text).expect("an object");
    assert_eq!(top.get("jsonrpc").map(|version| version.get()), Some("\"2.0\""));
}

fn filter(call: Message<'_>, client: &Declared) {
    let Message { text, envelope } = call;
    let mut session = listen::Session::new(&client.capabilities);
    if let Ok(filter) = listen::Filter::of_request(text, envelope) {
        assert!(is_json(filter.to_json().as_bytes()));
        assert!(filter.covers(&filter) && filter.covers(&filter.granted(&client.capabilities)));
        let acknowledged = listen::acknowledgement(b"7", &filter);
        let heard = made(&acknowledged).expect("it is shallow");
        assert_eq!(session.heard(&acknowledged, &heard, true), Outcome::Acknowledged);
        for uri in filter.uris() {
            assert!(session.has_granted(uri));
            session.subscribe(uri);
        }
        if let Some(request) = session.open(b"8", client) {
            made(&request);
        }
    }
    if envelope.shape == Shape::Notification {
        let tagged = listen::tagged(text, envelope, b"\"sub\"");
        if let Some(new) = made(&tagged) {
            assert_eq!(new.subscription_id.map(|id| id.of(&tagged)), Some(&b"\"sub\""[..]));
        }
        if let Outcome::Tell(message) = session.heard(text, envelope, true) {
            made(&message);
        }
    }
}

/// A legacy server asks during a modern client's call.
fn questions(call: Message<'_>, asked: Message<'_>, client: &Declared) {
    let mut questions = Questions::default();
    match questions.arrived(asked.text, asked.envelope, &client.capabilities) {
        Arrival::Answer(answer) => {
            made(&answer);
        }
        Arrival::Nothing => {}
        Arrival::Ask => {
            assert_eq!(questions.arrived(asked.text, asked.envelope, &client.capabilities), Arrival::Nothing);
            let required = questions.input_required(b"1", "state\"");
            spoken(&required);
            if let Some(envelope) = made(&required) {
                assert_eq!(result::kind(&required, envelope.result.expect("a result")), Kind::InputRequired);
            }
            let before = questions.clone();
            let heard = questions.retried(call.text, call.envelope);
            assert_eq!(heard.is_empty(), !questions.is_empty());
            let mut given_up = before;
            for response in heard.iter().chain(&given_up.give_up()) {
                spoken(response);
            }
            assert!(given_up.is_empty());
        }
    }
}

/// A modern server requires input, or makes a task, and the legacy client answers.
fn rounds(call: Message<'_>, answer: Message<'_>, client: &Declared) {
    let Some(result) = answer.envelope.result else { return };
    let id = call.envelope.id_raw(call.text).unwrap_or(b"1");
    let mut minted = 0;
    let mut mint = || {
        minted += 1;
        format!("\"g{minted}\"").into_bytes()
    };
    let mut playback =
        Playback::new(Bytes::copy_from_slice(call.text), call.envelope.clone(), Arc::new(client.clone()), None);
    let mut step = playback.input_required(answer.text, result, &mut mint);
    if let playback::Step::Ask(messages) = &step {
        let asked = messages.clone();
        for message in &asked {
            spoken(message);
            step = playback.answered(&response(message), &scan(&response(message)).expect("it is a response"));
        }
        assert!(!matches!(step, playback::Step::Ask(_) | playback::Step::Nothing), "all was answered");
    }
    match step {
        playback::Step::Retry { request, .. } => {
            if let Some(envelope) = made(&request) {
                same_call(call, Message { text: &request, envelope: &envelope });
            }
        }
        playback::Step::Fail(failure, _) => spoken(&failure.answer(id)),
        _ => {}
    }
    polls(id, answer.text, result, client, &mut mint);
}

fn polls(id: &[u8], text: &[u8], result: Span, client: &Declared, mint: &mut dyn FnMut() -> Vec<u8>) {
    let Ok((mut polling, _)) = Polling::new(id, client, text, result) else { return };
    for message in [polling.get(b"1"), polling.update(b"2", b"{}"), polling.cancel(b"3")] {
        spoken(&message);
    }
    match polling.got(text, result, mint) {
        tasks::Step::Answer(answer) => spoken(&answer),
        tasks::Step::Fail(failure, _) => spoken(&failure.answer(id)),
        tasks::Step::Ask(messages) => {
            for message in &messages {
                spoken(message);
                if let tasks::Step::Update(responses) =
                    polling.answered(&response(message), &scan(&response(message)).expect("it is a response"))
                {
                    assert!(is_json(&responses));
                }
            }
        }
        _ => {}
    }
}

/// A client's response to a request that the gate made.
fn response(request: &[u8]) -> Vec<u8> {
    let id = members(request).and_then(|all| all.get("id").map(|id| id.get().to_owned())).expect("a request has an id");
    format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"action":"accept"}}}}"#).into_bytes()
}
