//! What the guard lets pass, what it answers, and that what it refused reached nobody.

use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::task::Poll;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::unconstrained;

use crate::listen::fixture::{Gate, SMUGGLED, answer, bounds, exchange, rest};
use crate::listen::framing::{Guard, Watch};

#[tokio::test]
async fn requests_share_a_connection() {
    let gate = Gate::with(|_| {});
    let mut client = gate.connect().await;
    for body in ["one", "two"] {
        let request = format!("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        client.write_all(request.as_bytes()).await.expect("sent");
        assert_eq!(answer(&mut client).await.expect("answered"), (200, false, body.into()));
    }
    let chunked =
        b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
    for byte in chunked {
        client.write_all(&[*byte]).await.expect("sent");
    }
    assert_eq!(answer(&mut client).await.expect("answered").2, "abcde");
}

#[tokio::test]
async fn a_refusal_is_an_answer_and_never_a_reset() {
    let gate = Gate::with(|_| {});
    let long_header = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}", "y".repeat(300_000));
    let long_target = format!("GET /{} HTTP/1.1\r\n", "y".repeat(300));
    let too_large = format!("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2000000\r\n\r\n{}", "z".repeat(200_000));
    let table = [
        ("GET / HTTP/1.1\nHost: a\n\n", 400, "line-end"),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            400,
            "length-and-coding",
        ),
        ("GET / HTTP/1.1\r\n\r\n", 400, "host-missing"),
        (&long_target, 414, "target-too-long"),
        (&long_header, 431, "head-too-large"),
        (&too_large, 413, "body-too-large"),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "version"),
    ];
    for (request, status, reason) in table {
        let text = exchange(&mut gate.connect().await, request.as_bytes()).await.expect(reason);
        assert!(text.starts_with(&format!("HTTP/1.1 {status} ")), "{reason}: {text}");
        assert!(text.contains("\r\nconnection: close\r\n") && text.contains("\r\nx-frame-options: DENY\r\n"), "{text}");
        let (_, body) = text.split_once("\r\n\r\n").expect("a body");
        let body: serde_json::Value = serde_json::from_str(body).expect("JSON");
        assert_eq!(body["error"]["code"], -31000 - status);
        assert_eq!(body["error"]["data"]["reason"], reason);
    }
    let refused = gate.listener().counters.refused.load(Ordering::Relaxed);
    assert_eq!(refused, table.len() as u64);
}

#[tokio::test]
async fn what_came_before_a_refused_message_is_answered_first() {
    let gate = Gate::with(|_| {});
    for path in ["/", "/slow"] {
        let mut client = gate.connect().await;
        let pipelined = format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n");
        client.write_all(pipelined.as_bytes()).await.expect("sent");
        assert_eq!(answer(&mut client).await.expect("the first").0, 200);
        let (status, close, body) = answer(&mut client).await.expect("the second");
        assert_eq!((status, close), (400, true));
        assert!(body.contains("host-repeated"), "{body}");
        assert_eq!(rest(&mut client).await.expect("closed"), "");
    }
}

#[tokio::test]
async fn nothing_behind_a_refused_message_is_served() {
    let gate = Gate::with(|_| {});
    let hidden = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    let covers = [
        format!(
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{hidden}",
            hidden.len()
        ),
        format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n{hidden}"),
        format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: {}\r\n\r\n{hidden}", hidden.len()),
        format!("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n{hidden}"),
        format!("GET / HTTP/1.1\nHost: a\n\n{hidden}"),
        format!("GET / HTTP/1.1\r\nHost: a\r\nX: y\n\r\n{hidden}"),
    ];
    for cover in covers {
        let mut client = gate.connect().await;
        let mut texts = Vec::new();
        // In two pieces as well: the head may have passed before its body is refused.
        let cut = cover.find("\r\n\r\n").map_or(3, |end| end + 4);
        client.write_all(&cover.as_bytes()[..cut]).await.expect("sent");
        tokio::task::yield_now().await;
        // The refusal may have come already.
        let _ = client.write_all(&cover.as_bytes()[cut..]).await;
        texts.push(rest(&mut client).await.expect("answered"));
        texts.push(exchange(&mut gate.connect().await, cover.as_bytes()).await.expect("answered"));
        for text in texts {
            assert!(text.starts_with("HTTP/1.1 400 ") && text.matches("HTTP/1.1").count() == 1, "{cover:?}: {text}");
        }
    }
    assert_eq!(SMUGGLED.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_body_refused_on_its_way_ends_its_request_with_the_reason() {
    let gate = Gate::with(|_| {});
    for (rest_of_body, status, reason) in
        [("zz\r\n", 400, "chunk"), ("200000\r\n", 413, "body-too-large"), ("1\r\nab\r\n", 400, "chunk")]
    {
        let mut client = gate.connect().await;
        let head = b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n";
        client.write_all(head).await.expect("sent");
        assert_eq!(answer(&mut client).await.expect("asked to go on").0, 100);
        client.write_all(rest_of_body.as_bytes()).await.expect("sent");
        let (answered, close, body) = answer(&mut client).await.expect("answered");
        assert_eq!((answered, close), (status, true), "{body}");
        assert!(body.contains(&format!("\"reason\":\"{reason}\"")), "{body}");
        assert_eq!(rest(&mut client).await.expect("closed"), "");
    }
}

#[tokio::test]
async fn a_body_too_large_is_refused_before_it_is_asked_for() {
    let gate = Gate::with(|_| {});
    let head = b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2000000\r\nExpect: 100-continue\r\n\r\n";
    let text = exchange(&mut gate.connect().await, head).await.expect("answered");
    assert!(text.starts_with("HTTP/1.1 413 "), "{text}");
}

#[tokio::test]
async fn an_answer_that_did_not_wait_for_the_body_is_read_whole() {
    let gate = Gate::with(|_| {});
    for _ in 0..20 {
        let mut client = gate.connect().await;
        client.write_all(b"POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 900000\r\n\r\n").await.expect("sent");
        let body = vec![b'z'; 100_000];
        let text = exchange(&mut client, &body).await.expect("not reset");
        assert!(text.starts_with("HTTP/1.1 200 ") && text.ends_with("ok"), "{text}");
    }
}

/// The outcome of a future that is ready already.
async fn at_once<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

/// What a reader with room for `room` bytes has got each time that `pieces` had arrived so far.
async fn passed(pieces: &[&str], room: usize) -> Vec<String> {
    let (mut client, server) = tokio::io::duplex(4096);
    let watch = Rc::new(Watch::http1(&bounds()));
    let mut guard = Guard::new(server, watch);
    let (mut all, mut seen) = (Vec::new(), Vec::new());
    for piece in pieces {
        client.write_all(piece.as_bytes()).await.expect("sent");
        let mut buffer = vec![0; room];
        // Without the runtime's budget, whose end looks like nothing to read.
        while let Some(read) = at_once(unconstrained(guard.read(&mut buffer))).await {
            // An error is how a reader learns of a refusal.
            let Ok(read) = read else { break };
            all.extend_from_slice(&buffer[..read]);
        }
        seen.push(String::from_utf8(all.clone()).expect("text"));
    }
    seen
}

#[tokio::test]
async fn half_a_line_is_held_back() {
    let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    for room in [1, 3, 4096] {
        let seen = passed(&[" ", "GET / HTTP/1.1\r\n"], room).await;
        assert_eq!(seen, ["", ""], "the refused line is never seen, room {room}");
        let seen = passed(
            &[
                "POST / HTTP/1.1\r\nHo",
                "st: a\r",
                "\nTransfer-Encoding: chun",
                "ked\r\n\r\n3\r\nab",
                "c\r",
                "\n0",
                "\r\n\r\nGE",
            ],
            room,
        )
        .await;
        let line = "POST / HTTP/1.1\r\n";
        let whole = format!("{head}3\r\nabc\r\n0\r\n\r\n");
        let up_to = |bytes: usize| whole[..bytes].to_owned();
        assert_eq!(
            seen,
            [
                line.to_owned(),
                line.to_owned(),
                format!("{line}Host: a\r\n"),
                format!("{head}3\r\nab"),
                format!("{head}3\r\nabc"),
                format!("{head}3\r\nabc\r\n"),
                up_to(whole.len()),
            ],
            "room {room}"
        );
    }
}

#[tokio::test]
async fn what_stood_before_a_refused_message_passes_though_a_line_of_it_was_held() {
    for room in [1, 4096] {
        let seen = passed(&["GET / HTTP/1.1\r\nHost: a\r\n\r", "\nGET  / HTTP/1.1\r\nHost: a\r\n\r\n"], room).await;
        assert_eq!(seen.last().expect("two"), "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "room {room}");
    }
}
