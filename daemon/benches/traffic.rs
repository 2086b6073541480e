//! What one call costs on its way out: a permit, and the HTTP client against a bare server.
//!
//! `cargo bench -p toolgated --bench traffic` prints a table; it judges nothing. The stand-in server runs on a thread
//! of its own, so that the client thread's CPU time is the client's alone.

use std::hint::black_box;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use bytes::Bytes;
use toolgate_protocol::json::Span;
use toolgated::answers::Answers;
use toolgated::config::settings::{self, Endpoint, Http, Key, Pool, Timeouts, UpstreamTls};
use toolgated::identity::Client;
use toolgated::servers::connections::Connections;
use toolgated::servers::http::{HttpServer, Method, Outgoing};
use toolgated::servers::queue::{Flow, Queue};

fn main() {
    let queue = Queue::new(10, 10, Duration::from_secs(1));
    report("permit taken and given back", 10_000_000, || drop(black_box(queue.try_enter(None))));
    let key = Key {
        id: "k".into(),
        sha256: [0; 32],
        owner: "k".into(),
        tier: None,
        organisation: None,
        scopes: Vec::new(),
        roles: Vec::new(),
        created: None,
    };
    let (bounded, client) = (Queue::for_clients(10, 5, 10, Duration::from_secs(1)), Client::of_key(&key));
    report("the same, of a client with a bound", 3_000_000, || drop(black_box(bounded.try_enter(Some(&client)))));

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(guard());
    runtime.block_on(tokio::task::LocalSet::new().run_until(async {
        assert!(queue.enter(Flow::default()).await.is_ok());
        calls(stand_in()).await;
    }));
}

/// What `guard = "log"`, the default, costs a call whose arguments fit.
async fn guard() {
    let rules = settings::Answers { guard: settings::Guard::Log, ..settings::Answers::default() };
    let answers = Answers::new(&rules);
    let page = Bytes::from_static(
        br#"{"tools":[{"name":"forecast","inputSchema":{"type":"object","properties":{"city":{"type":"string","maxLength":80},
        "days":{"type":"integer","minimum":1,"maximum":14},"units":{"enum":["metric","imperial"]}},"required":["city"],"additionalProperties":false}}]}"#,
    );
    assert!(!answers.saw_tools(&page, Span::new(0, page.len()), "weather"));
    let (fits, wrong) =
        (Bytes::from_static(br#"{"city":"Lisbon","days":3,"units":"metric"}"#), Bytes::from_static(b"{}"));
    while answers.check("forecast", &wrong).await.is_ok() {
        tokio::task::yield_now().await;
    }
    for (what, tool) in
        [("guard: arguments of a tool checked", "forecast"), ("guard: a tool that nothing is known of", "none")]
    {
        const TIMES: u32 = 1_000_000;
        let started = Instant::now();
        for _ in 0..TIMES {
            assert!(answers.check(black_box(tool), black_box(&fits)).await.is_ok());
        }
        println!("{what:<40} {:>8.1} ns", started.elapsed().as_secs_f64() * 1e9 / f64::from(TIMES));
    }
}

fn report(what: &str, times: u32, mut work: impl FnMut()) {
    let started = Instant::now();
    (0..times).for_each(|_| work());
    println!("{what:<40} {:>8.1} ns", started.elapsed().as_secs_f64() * 1e9 / f64::from(times));
}

/// Calls of the size in PERF.md's table, one after the other, over one kept connection.
async fn calls(address: SocketAddr) {
    const CALLS: u32 = 200_000;
    let endpoint = Endpoint {
        url: format!("http://{address}/mcp"),
        tls: false,
        host: address.ip().to_string(),
        port: address.port(),
        path: "/mcp".to_owned(),
    };
    let http = Http {
        endpoints: vec![endpoint],
        pool: Pool {
            max_connections: 64,
            max_per_endpoint: None,
            idle_timeout: Duration::from_secs(30),
            max_age: None,
            min_idle: 0,
            http2: false,
        },
        headers: Vec::new(),
        tls: UpstreamTls::default(),
        lacks: None,
        forward_client: false,
        word: toolgate_protocol::reach::Word::Operator { link_local: false },
    };
    let timeout = Timeouts { connect: Duration::from_secs(5), first_byte: Duration::from_secs(5), total: None };
    let client = HttpServer::new(&http, &timeout, 1, &Connections::new(64)).expect("a server").client(0);
    let body = [b' '; 247];
    let headers: &[(&str, &[u8])] = &[
        ("content-type", b"application/json"),
        ("accept", b"application/json, text/event-stream"),
        ("mcp-protocol-version", b"2025-11-25"),
    ];
    let (started, before) = (Instant::now(), cpu());
    for _ in 0..CALLS {
        let pieces: [&[u8]; 1] = [&body];
        let outgoing =
            Outgoing { method: Method::Post, endpoint: 0, headers, target: None, body: &pieces, first_byte: None };
        let mut answer = client.send(outgoing).await.expect("an answer");
        assert_eq!(black_box(answer.body.take_whole()).map(|body| body.len()), Some(296));
    }
    let (wall, busy) = (started.elapsed().as_secs_f64(), cpu() - before);
    println!("{:<40} {:>8.1} us CPU", "HTTP call, client's thread", busy * 1e6 / f64::from(CALLS));
    println!("{:<40} {:>8.1} us", "HTTP call, there and back", wall * 1e6 / f64::from(CALLS));
}

/// Seconds that this thread has run, from the kernel's scheduler statistics.
fn cpu() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|nanos| nanos.parse::<f64>().ok()).unwrap_or_default() / 1e9
}

/// Answers whatever arrives in one piece with 296 bytes.
fn stand_in() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        let (mut tcp, _) = listener.accept().expect("a connection");
        tcp.set_nodelay(true).expect("an option of every socket");
        let body = "x".repeat(296);
        let answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nDate: Fri, 20 Nov 2026 12:00:00 GMT\r\n\
             Content-Length: 296\r\n\r\n{body}"
        );
        let mut request = [0; 4096];
        while tcp.read(&mut request).is_ok_and(|count| count > 0) {
            tcp.write_all(answer.as_bytes()).expect("the client reads");
        }
    });
    address
}
