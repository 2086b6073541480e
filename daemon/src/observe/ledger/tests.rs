//! Calls of several cores on their way through the ledger, with what readers see of them.

use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::BodyExt;
use toolgate_admin_api::{CallLife, TailLine};

use super::{Filter, Outcome, Stage, Tail};
use crate::body::{Body, BodyError};
use crate::call::{Call, CallId};
use crate::config;
use crate::core::{Core, Load};
use crate::failure::{Failure, Kind};
use crate::gate::Gate;
use crate::identity::Client;
use crate::listen::connection::{Connection, Origin, Protocol};
use crate::message::Message;
use crate::policy::Policy;
use crate::running::Whom;
use crate::stages::compress;
use crate::stages::record::Entry;

const GOOD: &str = r#"{"jsonrpc":"2.0","id":1,"result":{"content":[]}}"#;
const BAD: &str = r#"{"jsonrpc":"2.0","id":1,"result":{"content":[],"isError":true}}"#;

/// A gate whose cores are played by the test.
struct Played {
    gate: Arc<Gate>,
    cores: Vec<Rc<Core>>,
    connection: Rc<Connection>,
}

impl Played {
    fn new() -> Self {
        let text = "version = 1\n[log]\naccess = false\n[listener.test]\naddress = \"127.0.0.1:1\"\nauth = \"none\"\ncompression = [\"gzip\"]\n\
                    [server.a]\nendpoints = \"http://127.0.0.1:1/mcp\"\n[server.b]\nendpoints = \"http://127.0.0.1:1/mcp\"\n";
        let settings = config::from_text(text).expect("a configuration");
        let gate = Gate::new(Policy::new(Arc::new(settings), None).expect("a policy"));
        let core = |index| Rc::new(Core::new(index, Arc::new(Load::default()), Arc::clone(&gate)));
        let cores = (0..2).map(core).collect();
        let listener = Arc::clone(&gate.settings.load().listeners[0]);
        let address = "127.0.0.1:2".parse().expect("an address");
        let connection = Rc::new(Connection::new((address, address), listener, Protocol::Http1, Origin::Client));
        Self { gate, cores, connection }
    }

    /// A call that has come as far as to be known.
    fn begin(&self, core: usize, server: &str, tool: &str, client: &str) -> Box<Entry> {
        let head = Request::post("/mcp").body(()).expect("a request").into_parts().0;
        let mut call = Call::new(&self.cores[core], &self.connection, head);
        let text = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"{tool}","arguments":{{}}}}}}"#
        );
        call.view = call.policy.view(server).cloned();
        call.message = Some(Message::parse(text.into()).expect("a message"));
        call.client = Some(Arc::new(Client::of_address(client.parse().expect("an address"))));
        let entry = Entry::begin(call);
        self.cores[core].desk.learn(&entry.call);
        entry
    }

    fn run(&self, core: usize, server: &str, tool: &str, client: &str, answer: &'static str) -> CallId {
        let entry = self.begin(core, server, tool, client);
        let id = entry.call.id;
        drop(entry.finish(Response::new(Body::from(answer))));
        id
    }

    fn refuse(&self, kind: Kind) -> CallId {
        self.refuse_on(0, kind)
    }

    fn refuse_on(&self, core: usize, kind: Kind) -> CallId {
        let mut entry = self.begin(core, "a", "look", "10.0.0.1");
        entry.failed(&Failure::new(kind, "No."));
        let id = entry.call.id;
        let mut response = Response::new(Body::from("{}"));
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        drop(entry.finish(response));
        id
    }
}

/// A body of which nothing comes.
struct Silent;

impl http_body::Body for Silent {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        Poll::Pending
    }
}

/// What a reader of the tail has unread.
async fn unread(tail: &mut Tail) -> Vec<TailLine> {
    let mut lines = Vec::new();
    while let Ok(Some(line)) = tokio::time::timeout(std::time::Duration::ZERO, tail.next()).await {
        lines.push(line);
    }
    lines
}

#[test]
fn what_cores_count_adds_up_and_a_client_that_leaves_is_gone() {
    let played = Played::new();
    played.run(0, "a", "look", "10.0.0.1", GOOD);
    played.run(1, "a", "look", "10.0.0.2", GOOD);
    played.run(1, "a", "look", "10.0.0.2", BAD);
    played.run(1, "b", "look", "10.0.0.2", GOOD);
    played.refuse(Kind::Limited);
    played.refuse(Kind::ServerTimeout);
    drop(played.begin(0, "a", "look", "10.0.0.1"));
    let ledger = &played.gate.ledger;
    let traffic = ledger.traffic();
    assert_eq!((traffic.calls, traffic.errors, traffic.refused, traffic.in_flight), (7, 2, 1, 0), "{traffic:?}");
    let servers = ledger.servers();
    assert_eq!((servers["a"].calls, servers["b"].calls), (6, 1));
    // Not the rates: a moment later they are others.
    let (method, of_method) = &ledger.methods()[0];
    assert_eq!((*method, of_method.calls, of_method.errors), ("tools/call", 7, 2));
    let tools = ledger.tools();
    let look = tools.iter().find(|row| row.server == "a").expect("a row");
    let callers: Vec<_> = look.callers.iter().map(|caller| (caller.client.as_str(), caller.calls)).collect();
    assert_eq!(callers, [("address:10.0.0.1", 4), ("address:10.0.0.2", 2)]);
    let executions = ledger.executions();
    assert_eq!(executions[&("a".into(), "look".into())], [2, 2, 1, 1], "well, errors, refused, gone");
    let clients = ledger.clients();
    let mut calls: Vec<_> = ledger.client_calls().map(|(id, calls)| (id.to_string(), calls)).collect();
    calls.sort();
    let mut rows: Vec<_> = clients.iter().map(|row| (row.id.clone(), row.traffic.calls)).collect();
    rows.sort();
    assert_eq!(calls, rows);
    let bytes = ledger.bytes();
    assert_eq!(bytes.values().map(|[into, _]| into).sum::<u64>(), traffic.bytes_in);
    assert_eq!(bytes[""], [0, 0], "all calls had a server");
    let second = clients.iter().find(|row| row.id == "address:10.0.0.2").expect("a row");
    assert_eq!(second.busiest.as_ref().map(|busiest| busiest.tool.as_str()), Some("a/look"));
    assert_eq!(ledger.heat().last().map(|column| column.counts.iter().sum::<u64>()), Some(6));
}

#[test]
fn a_call_is_found_by_its_id_while_it_runs_and_afterwards() {
    let played = Played::new();
    let entry = played.begin(1, "a", "look", "10.0.0.1");
    let id = entry.call.id.to_string();
    played.cores[1].desk.stage(&entry.call, Stage::Server);
    let Some(CallLife::InFlight(row)) = played.gate.ledger.call(&id) else { panic!("it runs") };
    assert_eq!((row.stage.as_str(), row.name.as_str(), row.server.as_str()), ("server", "look", "a"));
    assert_eq!(played.gate.ledger.server("a").in_flight, 1);
    drop(entry.finish(Response::new(Body::from(GOOD))));
    let Some(CallLife::Ended(line)) = played.gate.ledger.call(&id) else { panic!("it has ended") };
    assert_eq!((line.outcome.as_str(), line.bytes_out), ("ok", GOOD.len() as u64));
    assert_eq!(played.gate.ledger.calls().total, 0);
}

#[tokio::test]
async fn metrics_are_made_one_after_the_other_though_whoever_asked_has_gone() {
    let ledger = Arc::new(super::Ledger::default());
    let (begun, has_begun) = tokio::sync::oneshot::channel();
    let (go_on, told) = std::sync::mpsc::channel::<()>();
    let asking = Arc::clone(&ledger);
    let first = tokio::spawn(async move {
        let work = move || {
            begun.send(()).expect("the test");
            told.recv().expect("the test");
        };
        asking.scrape(work).await
    });
    has_begun.await.expect("it begins");
    first.abort();
    assert!(first.await.is_err());
    assert!(ledger.scrape.try_lock().is_err(), "the next begins while the first is at work");
    go_on.send(()).expect("it is at work");
    assert_eq!(ledger.scrape(|| 1).await, Some(1));
}

#[tokio::test]
async fn an_error_counts_as_one_though_it_is_compressed() {
    let played = Played::new();
    for long in [2_000, 200_000] {
        let mut entry = played.begin(0, "a", "look", "10.0.0.1");
        let id = entry.call.id.to_string();
        Arc::make_mut(&mut entry.call.headers).insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        let answer = Body::from(format!("{BAD}{}", " ".repeat(long)));
        let mut response =
            Response::builder().header(CONTENT_TYPE, "application/json").body(answer).expect("an answer");
        entry.plain = compress::answer(&entry.call, &mut response);
        assert!(response.headers().contains_key(CONTENT_ENCODING));
        let mut body = entry.finish(response).into_body();
        while let Some(piece) = body.frame().await {
            piece.expect("a piece");
        }
        drop(body);
        let Some(CallLife::Ended(line)) = played.gate.ledger.call(&id) else { panic!("it has ended") };
        assert_eq!(line.outcome, "error", "{long} bytes");
    }
}

#[tokio::test]
async fn what_is_no_stream_of_events_breaks_off_where_an_operator_ends_it() {
    let played = Played::new();
    for (kind, breaks) in [("application/json", true), ("text/event-stream", false)] {
        let entry = played.begin(0, "a", "look", "10.0.0.1");
        let id = entry.call.id.to_string();
        let response = Response::builder().header(CONTENT_TYPE, kind).body(Body::stream(Silent)).expect("an answer");
        let mut body = entry.finish(response).into_body();
        played.cores[0].running.order(&Whom::Call(id), &Arc::new(Failure::new(Kind::Cancelled, "Ended.")));
        let last = body.frame().await.expect("a last word");
        assert_eq!(last.is_err(), breaks, "{kind}");
    }
}

#[test]
fn calls_that_went_well_do_not_push_out_those_that_did_not() {
    let played = Played::new();
    let failed = played.run(0, "a", "look", "10.0.0.1", BAD).to_string();
    let first = played.run(0, "a", "look", "10.0.0.1", GOOD).to_string();
    for _ in 0..20_000 {
        played.run(0, "a", "look", "10.0.0.1", GOOD);
    }
    assert!(played.gate.ledger.call(&failed).is_some());
    assert!(played.gate.ledger.call(&first).is_none(), "bounded");
}

#[tokio::test]
async fn the_tail_shows_what_its_reader_wants_and_ends_with_it() {
    let played = Played::new();
    let watch = |filter| played.gate.ledger.subscribe(filter).expect("a place");
    let mut errors = watch(Filter { outcome: Some(Outcome::Error), ..Filter::default() });
    let mut of_b = watch(Filter { server: Some("b".into()), ..Filter::default() });
    let mut words = watch(Filter { words: vec!["10.0.0.2".into(), "pay".into()], ..Filter::default() });
    let mut in_capitals = watch(Filter { name: Some("PAY".into()), server: Some("B".into()), ..Filter::default() });
    played.run(0, "a", "look", "10.0.0.1", GOOD);
    played.run(1, "a", "look", "10.0.0.1", BAD);
    played.run(0, "b", "pay", "10.0.0.2", GOOD);
    let names = |lines: &[TailLine]| -> Vec<String> {
        let name = |line: &TailLine| match line {
            TailLine::Request(line) => format!("{}/{} {}", line.server, line.name, line.outcome),
            other => format!("{other:?}"),
        };
        lines.iter().map(name).collect()
    };
    assert_eq!(names(&unread(&mut errors).await), ["a/look error"]);
    assert_eq!(names(&unread(&mut of_b).await), ["b/pay ok"]);
    assert_eq!(names(&unread(&mut words).await), ["b/pay ok"]);
    assert_eq!(names(&unread(&mut in_capitals).await), ["b/pay ok"], "letters of any case");
    drop((errors, of_b, words, in_capitals));
    played.run(0, "a", "look", "10.0.0.1", GOOD);
    let watched = |core: usize| played.gate.ledger.shelves()[core].tails.any();
    assert_eq!([0, 1].map(watched), [false, true], "a call after the last reader has gone notices, on each core");
    played.run(1, "a", "look", "10.0.0.1", GOOD);
    assert!(!watched(1));
}

#[tokio::test]
async fn a_slow_reader_is_told_what_it_lost() {
    let played = Played::new();
    let mut tail = played.gate.ledger.subscribe(Filter::default()).expect("a place");
    for _ in 0..5_000 {
        played.run(0, "a", "look", "10.0.0.1", GOOD);
    }
    let lines = unread(&mut tail).await;
    let told: u64 = lines
        .iter()
        .map(|line| match line {
            TailLine::Request(_) => 1,
            TailLine::Lagged { count } => *count,
            _ => 0,
        })
        .sum();
    assert!(told == 5_000 && lines.len() < 5_000, "{told} of 5,000 in {} lines", lines.len());
}

#[test]
fn what_one_core_has_seen_answered_the_others_count_by_its_name() {
    let played = Played::new();
    played.refuse_on(1, Kind::Limited);
    played.run(0, "a", "look", "10.0.0.1", GOOD);
    played.refuse_on(1, Kind::Limited);
    let executions = played.gate.ledger.executions();
    assert_eq!(executions[&("a".into(), "look".into())], [1, 0, 1, 0]);
    assert_eq!(executions[&("a".into(), "_other".into())], [0, 0, 1, 0], "nobody knew it yet");
}

#[test]
fn one_server_may_not_take_the_places_of_all_tools() {
    let played = Played::new();
    for number in 0..3_000 {
        played.run(0, "a", &format!("tool{number}"), "10.0.0.1", GOOD);
    }
    played.run(0, "b", "look", "10.0.0.1", GOOD);
    let executions = played.gate.ledger.executions();
    let of_a = executions.keys().filter(|(server, _)| &**server == "a").count();
    assert_eq!(of_a, 2_048 + 1);
    assert_eq!(executions[&("a".into(), "_other".into())], [3_000 - 2_048, 0, 0, 0]);
    assert_eq!(executions[&("b".into(), "look".into())], [1, 0, 0, 0]);
}

#[test]
fn the_latest_clients_are_seen_however_many_came_before() {
    let played = Played::new();
    for number in 0..10_000_u32 {
        let address = std::net::Ipv4Addr::from(0x0a00_0000 + number).to_string();
        played.run(0, "a", "look", &address, GOOD);
    }
    let clients = played.gate.ledger.clients();
    assert!((3_500..=4_096).contains(&clients.len()), "{}", clients.len());
    for address in ["10.0.39.15", "10.0.38.0", "10.0.30.0"] {
        assert!(clients.iter().any(|row| row.id == format!("address:{address}")), "{address}");
    }
    assert_eq!(played.gate.ledger.traffic().calls, 10_000);
}

#[test]
fn what_a_full_table_has_no_room_for_is_counted_all_the_same() {
    let played = Played::new();
    // More schemes than there is room for: a server answers to whatever it is asked for.
    for number in 0..5_000 {
        let mut entry = played.begin(0, "a", "look", "10.0.0.1");
        let text =
            format!(r#"{{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{{"uri":"s{number}://x"}}}}"#);
        entry.call.message = Some(Message::parse(text.into()).expect("a message"));
        played.cores[0].desk.learn(&entry.call);
        let mut response = Response::new(Body::from(GOOD));
        // More than there is room for of these as well.
        *response.status_mut() = StatusCode::from_u16(200 + number % 100).expect("a status");
        drop(entry.finish(response));
    }
    let reads = played.gate.ledger.reads();
    assert_eq!(reads.values().sum::<u64>(), 5_000);
    assert!(reads[&("_other".into(), "_other".into(), Outcome::Ok)] > 0, "{}", reads.len());
    let routes = played.gate.ledger.routes();
    assert_eq!(routes.values().flat_map(|times| times.counts).sum::<u64>(), 5_000);
}

#[test]
fn a_call_that_ended_is_found_whatever_ended_after_it() {
    let played = Played::new();
    let first = played.run(0, "a", "look", "10.0.0.1", GOOD);
    let failed = played.run(0, "a", "look", "10.0.0.1", BAD);
    for _ in 0..3_000 {
        played.run(0, "a", "look", "10.0.0.1", GOOD);
    }
    let last = played.run(1, "a", "look", "10.0.0.1", GOOD);
    let found = |id: &str| matches!(played.gate.ledger.call(id), Some(CallLife::Ended(line)) if line.id == id);
    for id in [first, failed, last] {
        assert!(found(id.as_str()), "{id}");
    }
    assert!(!found(&"0".repeat(20)) && !found("x") && !found(""));
    for _ in 0..6_000 {
        played.run(0, "a", "look", "10.0.0.1", GOOD);
    }
    assert!(!found(first.as_str()) && found(failed.as_str()), "each kind pushes out its own");
}

#[tokio::test]
async fn events_that_wait_for_a_slow_client_are_counted_and_told_once_per_stream() {
    /// A stream whose events have waited for a second.
    struct Late(Rc<Core>, u32);

    impl http_body::Body for Late {
        type Data = Bytes;
        type Error = BodyError;

        fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
            if self.1 == 0 {
                return Poll::Ready(None);
            }
            self.1 -= 1;
            self.0.desk.streamed(crate::clock::nanos().saturating_sub(1_000_000_000));
            Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"data: {}\n\n")))))
        }
    }

    // Our clock begins with its first reading.
    while crate::clock::nanos() < 1_000_000_000 {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let played = Played::new();
    let entry = played.begin(0, "a", "look", "10.0.0.1");
    let mut response = Response::new(Body::stream(Late(Rc::clone(&played.cores[0]), 3)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    let mut body = entry.finish(response).into_body();
    let mut events = 0;
    while let Some(frame) = body.frame().await {
        assert!(frame.is_ok());
        assert_eq!(played.cores[0].desk.take_slow(), None, "the stream has heeded it");
        events += 1;
    }
    let (_, slow, _) = played.gate.ledger.streamed();
    assert_eq!((events, slow), (3, 3));
}
