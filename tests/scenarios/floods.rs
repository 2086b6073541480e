//! HTTP/2 floods: each ends within two thousand frames, leaves no work behind, and costs no memory.

use std::time::Duration;

use toolgate_tests::fake::Speaks;
use toolgate_tests::fake::http::Http;
use toolgate_tests::gate::{Gate, Setup};
use toolgate_tests::h2::{Client, END_HEADERS, END_STREAM, Outcome, block, frame, kept, kind};
use toolgate_tests::processes::memory;
use toolgate_tests::wait;

/// Frames within which every flood must have ended.
const FRAMES: usize = 2000;
/// What a flood may add to the daemon's memory, in kB.
const GROWTH: u64 = 10 * 1024;
/// Codes of GOAWAY.
const PROTOCOL_ERROR: u32 = 1;
const ENHANCE_YOUR_CALM: u32 = 11;

async fn gate(server: &Http) -> Gate {
    Setup::default().server("fake", &server.endpoints()).start().await
}

/// A call's header block.
fn headers(gate: &Gate, tool: &str) -> Vec<u8> {
    let (host, key) = (gate.target().host.clone(), format!("Bearer {}", gate.key()));
    block(&[
        (b":method", b"POST"),
        (b":scheme", b"https"),
        (b":path", b"/mcp/fake"),
        (b":authority", host.as_bytes()),
        (b"content-type", b"application/json"),
        (b"accept", b"application/json, text/event-stream"),
        (b"authorization", key.as_bytes()),
        (b"mcp-protocol-version", b"2026-07-28"),
        (b"mcp-method", b"tools/call"),
        (b"mcp-name", tool.as_bytes()),
    ])
}

fn body(tool: &str) -> Vec<u8> {
    format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"{tool}","arguments":{{}},"_meta":{{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{{}}}}}}}}"#
    )
    .into_bytes()
}

/// A whole call on one stream.
fn call(gate: &Gate, tool: &str, stream: u32) -> Vec<u8> {
    let headers = frame(kind::HEADERS, END_HEADERS, stream, &headers(gate, tool));
    [headers, frame(kind::DATA, END_STREAM, stream, &body(tool))].concat()
}

/// Streams that clients open are odd.
fn stream(number: u32) -> u32 {
    2 * number + 1
}

type Round = Box<dyn Fn(u32) -> Vec<u8>>;

/// Name, frames per round, the code of GOAWAY, what comes before the flood, one round of it.
fn floods(gate: &Gate) -> Vec<(&'static str, usize, u32, Vec<u8>, Round)> {
    let open = frame(kind::HEADERS, END_HEADERS, 1, &headers(gate, "silent"));
    let silent = |number| call(gate, "silent", stream(number));
    let calls: Vec<Vec<u8>> = (0..1000).map(silent).collect();
    let with = move |spoil: fn(u32) -> Vec<u8>| -> Round {
        let calls = calls.clone();
        Box::new(move |number| [calls[number as usize].clone(), spoil(stream(number))].concat())
    };
    let same = |frame: Vec<u8>| -> Round { Box::new(move |_| frame.clone()) };
    let list = headers(gate, "silent");
    let bomb = [list.clone(), kept(b"x-bomb", &[b'x'; 3900]), vec![0xbe; 12_000]].concat();
    let begun = frame(kind::HEADERS, 0, 1, &list);
    vec![
        (
            "rapid reset",
            3,
            ENHANCE_YOUR_CALM,
            vec![],
            with(|stream| frame(kind::RST_STREAM, 0, stream, &8_u32.to_be_bytes())),
        ),
        (
            "MadeYouReset by a window of 0",
            3,
            PROTOCOL_ERROR,
            vec![],
            with(|stream| frame(kind::WINDOW_UPDATE, 0, stream, &[0; 4])),
        ),
        (
            "MadeYouReset by too wide a window",
            3,
            ENHANCE_YOUR_CALM,
            vec![],
            with(|stream| frame(kind::WINDOW_UPDATE, 0, stream, &0x7fff_ffff_u32.to_be_bytes())),
        ),
        (
            "MadeYouReset by data after the end",
            3,
            PROTOCOL_ERROR,
            vec![],
            with(|stream| frame(kind::DATA, 0, stream, b"x")),
        ),
        (
            "CONTINUATION",
            1,
            ENHANCE_YOUR_CALM,
            begun.clone(),
            same(frame(kind::CONTINUATION, 0, 1, &block(&[(b"a", b"b")]))),
        ),
        ("empty CONTINUATION", 1, ENHANCE_YOUR_CALM, begun, same(frame(kind::CONTINUATION, 0, 1, &[]))),
        ("SETTINGS", 1, ENHANCE_YOUR_CALM, vec![], same(frame(kind::SETTINGS, 0, 0, &[0, 4, 0, 1, 0, 0]))),
        ("PING", 1, ENHANCE_YOUR_CALM, vec![], same(frame(kind::PING, 0, 0, b"12345678"))),
        ("empty DATA", 1, ENHANCE_YOUR_CALM, open.clone(), same(frame(kind::DATA, 0, 1, &[]))),
        ("padded DATA", 1, ENHANCE_YOUR_CALM, open.clone(), same(frame(kind::DATA, 8, 1, &[3, 0, 0, 0]))),
        ("DATA of one byte", 1, ENHANCE_YOUR_CALM, open.clone(), same(frame(kind::DATA, 0, 1, b"x"))),
        ("WINDOW_UPDATE", 1, ENHANCE_YOUR_CALM, vec![], same(frame(kind::WINDOW_UPDATE, 0, 0, &1_u32.to_be_bytes()))),
        (
            "WINDOW_UPDATE of a stream",
            1,
            ENHANCE_YOUR_CALM,
            open.clone(),
            same(frame(kind::WINDOW_UPDATE, 0, 1, &1_u32.to_be_bytes())),
        ),
        (
            "PRIORITY",
            1,
            ENHANCE_YOUR_CALM,
            vec![],
            Box::new(|number| frame(kind::PRIORITY, 0, stream(number + 1), &[0, 0, 0, 1, 9])),
        ),
        ("frames of no known type", 1, ENHANCE_YOUR_CALM, vec![], same(frame(0xbe, 0, 0, b"grease"))),
        (
            "header-list bomb",
            1,
            ENHANCE_YOUR_CALM,
            vec![],
            Box::new(move |number| frame(kind::HEADERS, END_HEADERS | END_STREAM, stream(number), &bomb)),
        ),
    ]
}

#[tokio::test]
async fn every_flood_ends_and_leaves_nothing_behind() {
    let server = Http::start(Speaks::Modern).await;
    let gate = gate(&server).await;
    let mut warm = Client::connect(&gate.h2_target()).await.expect("a connection");
    warm.send(&call(&gate, "echo", 1)).await.expect("sent");
    assert_eq!(warm.outcome(1).await, Outcome::Status(200), "{}", gate.log());
    let floods = floods(&gate);
    assert_eq!(floods.len(), 16);
    for (name, frames, code, before, round) in floods {
        server.record.clear();
        let (_, high) = memory(gate.pid());
        let mut client = Client::connect(&gate.h2_target()).await.expect("a connection");
        client.send(&before).await.expect("sent");
        let flooded = client.flood(FRAMES / frames, round).await;
        let (_, higher) = memory(gate.pid());
        assert!(flooded.ended, "{name}: {flooded:?}\n{}", gate.log());
        assert_eq!(flooded.goaway, Some(code), "{name}: {flooded:?}\n{}", gate.log());
        // Every call that reached the server was given up there.
        let (mut begun, mut given_up) = (0, 0);
        wait::until("the server to be left alone", || {
            let all = server.record.all();
            given_up = all.iter().filter(|received| received.message.get("closed").is_some()).count();
            begun = all.len() - given_up;
            std::future::ready((begun == given_up).then_some(()))
        })
        .await;
        let growth = higher.saturating_sub(high);
        println!(
            "{name}: ended within {} frames, {begun} calls begun and given up, {growth} kB more at most",
            flooded.sent * frames
        );
        assert!(growth < GROWTH, "{name}: {growth} kB");
    }
    // A client that was there before has noticed nothing.
    warm.send(&call(&gate, "echo", 3)).await.expect("sent");
    assert_eq!(warm.outcome(3).await, Outcome::Status(200));
}

/// A call and its reset in one piece: the reset is known before the call is taken up.
#[tokio::test]
async fn a_call_that_came_with_its_reset_never_reaches_the_server() {
    let server = Http::start(Speaks::Modern).await;
    let gate = gate(&server).await;
    let mut client = Client::connect(&gate.h2_target()).await.expect("a connection");
    client.send(&call(&gate, "echo", 1)).await.expect("sent");
    assert_eq!(client.outcome(1).await, Outcome::Status(200), "{}", gate.log());
    server.record.clear();
    let reset = |stream| frame(kind::RST_STREAM, 0, stream, &8_u32.to_be_bytes());
    let pairs: Vec<u8> =
        (1..11).flat_map(|number| [call(&gate, "silent", stream(number)), reset(stream(number))]).flatten().collect();
    client.send(&pairs).await.expect("sent");
    // What comes after them is answered, so they are dealt with.
    client.send(&call(&gate, "echo", 23)).await.expect("sent");
    assert_eq!(client.outcome(23).await, Outcome::Status(200));
    let reached: Vec<_> =
        server.record.of("tools/call").into_iter().map(|call| call.message["params"]["name"].clone()).collect();
    assert_eq!(reached, ["echo"], "{}", gate.log());
}

/// A stream without room for its answer would hold the call, and the server's only permit, for ever.
#[tokio::test]
async fn a_client_that_takes_no_answer_holds_up_nobody() {
    let server = Http::start(Speaks::Modern).await;
    let gate = Setup::default()
        .server("fake", &format!("{}max_calls = 1\nqueue = {{ timeout = \"20s\" }}\n", server.endpoints()))
        .listener("bounds = { keep_alive = \"1s\" }")
        .start()
        .await;
    let mut greedy = Client::connect(&gate.h2_target()).await.expect("a connection");
    let no_room = frame(kind::SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]);
    let headers = frame(kind::HEADERS, END_HEADERS, 1, &headers(&gate, "hold"));
    let go = server.record.path().with_extension("go");
    let wants = String::from_utf8(body("hold"))
        .expect("text")
        .replace(r#""_meta":{"#, r#""_meta":{"progressToken":7,"#)
        .replace(r#""arguments":{}"#, &format!(r#""arguments":{{"until":{go:?}}}"#));
    let data = frame(kind::DATA, END_STREAM, 1, wants.as_bytes());
    greedy.send(&[no_room, headers, data].concat()).await.expect("sent");
    assert_eq!(greedy.outcome(1).await, Outcome::Status(200), "{}", gate.log());
    // Its server has done its part.
    std::fs::write(&go, "").expect("a file");
    let mut other = Client::connect(&gate.h2_target()).await.expect("a connection");
    other.send(&call(&gate, "echo", 1)).await.expect("sent");
    assert_eq!(other.outcome(1).await, Outcome::Status(200), "{}", gate.log());
    assert_eq!(greedy.outcome(1).await, Outcome::Reset(8), "{}", gate.log());
}

/// Clients that work hard: many streams, each with the frames of control that real clients send with it.
#[tokio::test]
async fn a_busy_client_is_never_sent_away() {
    let server = Http::start(Speaks::Modern).await;
    let gate = gate(&server).await;
    let mut client = Client::connect(&gate.h2_target()).await.expect("a connection");
    let streams: Vec<u32> = (0..1500).map(stream).collect();
    for streams in streams.chunks(50) {
        for stream in streams {
            let extra = [
                frame(kind::PRIORITY, 0, *stream, &[0, 0, 0, 0, 9]),
                frame(kind::WINDOW_UPDATE, 0, *stream, &1000_u32.to_be_bytes()),
                frame(kind::WINDOW_UPDATE, 0, 0, &400_u32.to_be_bytes()),
            ];
            client.send(&[call(&gate, "echo", *stream), extra.concat()].concat()).await.expect("sent");
        }
        for stream in streams {
            // In whatever order they came; what is looked for last has been passed over by then.
            if *stream == streams[49] {
                assert_eq!(client.outcome(*stream).await, Outcome::Status(200), "{}", gate.log());
            }
        }
        tokio::time::timeout(Duration::from_secs(20), client.send(&frame(kind::PING, 0, 0, b"12345678")))
            .await
            .expect("in time")
            .expect("sent");
    }
    assert!(!gate.log().contains("sent away"), "{}", gate.log());
}
