//! What one call costs on its way out: the limits' decision, a permit, and the HTTP client against a bare server.
//!
//! `cargo bench -p toolgated --bench traffic` prints a table; it judges nothing. The stand-in server runs on a thread
//! of its own, so that the client thread's CPU time is the client's alone.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use toolgated::config::settings::{
    Daemon, Endpoint, Http, Key, Limit, LimitScope, Log, LogFormat, Measure, OnBadConfig, Origin, Pool, Settings, Tier,
    Timeouts, UpstreamTls,
};
use toolgated::identity::Client;
use toolgated::limits::{Keys, Limits};
use toolgated::servers::http::{HttpServer, Method, Outgoing};
use toolgated::servers::queue::{Flow, Queue};

fn main() {
    let (plenty, second) = (1_000_000_000, Duration::from_secs(1));
    let rate = Measure::Rate { count: plenty, period: second, burst: plenty };
    let limit = |name: &str, per, measure| Arc::new(Limit { name: name.to_owned(), per, measure, message: None });
    let one = [limit("client", LimitScope::Client, rate)];
    let tier = [one[0].clone(), limit("calls", LimitScope::Client, Measure::Concurrent(100))];
    decide("no limit", &Limits::new(&settings(&[], &[]), None));
    decide("one rate per client", &Limits::new(&settings(&one, &[]), None));
    let global = [limit("global", LimitScope::Global, rate)];
    decide("global, client rate, client calls", &Limits::new(&settings(&global, &tier), None));

    let queue = Queue::new(10, 10, second);
    report("permit taken and given back", 10_000_000, || drop(black_box(queue.try_enter(None))));
    let key = Key { id: "k".into(), sha256: [0; 32], owner: "k".into(), tier: None, scopes: Vec::new() };
    let (bounded, client) = (Queue::for_clients(10, 5, 10, second), Client::of_key(&key));
    report("the same, of a client with a bound", 3_000_000, || drop(black_box(bounded.try_enter(Some(&client)))));

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(tokio::task::LocalSet::new().run_until(async {
        assert!(queue.enter(Flow::default()).await.is_ok());
        calls(stand_in()).await;
    }));
}

fn decide(what: &str, limits: &Limits) {
    let keys = Keys {
        listener: "public",
        address: [10, 0, 0, 1].into(),
        client: "a client with a name",
        tier: Some("free"),
        server: Some("weather"),
        tool: Some("forecast"),
    };
    let mut now = 1_000_000_000_000;
    report(what, 3_000_000, || {
        now += 1000;
        assert!(limits.check(black_box(&keys), now).is_ok());
    });
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
        pool: Pool { max_connections: 64, idle_timeout: Duration::from_secs(30), max_age: None, min_idle: 0 },
        headers: Vec::new(),
        tls: UpstreamTls::default(),
        lacks: None,
        forward_client: false,
    };
    let timeout = Timeouts { connect: Duration::from_secs(5), first_byte: Duration::from_secs(5), total: None };
    let client = HttpServer::new(&http, &timeout, 1).expect("a server").client(0);
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

fn settings(everywhere: &[Arc<Limit>], free: &[Arc<Limit>]) -> Settings {
    let tier = Tier { weight: 1, name: "free".to_owned(), limits: free.to_vec() };
    Settings {
        revision: 1,
        origin: Origin::Files,
        overload: None,
        files: Vec::new(),
        listeners: Vec::new(),
        servers: BTreeMap::new(),
        profiles: BTreeMap::new(),
        keys: BTreeMap::new(),
        tiers: BTreeMap::from([("free".to_owned(), Arc::new(tier))]),
        limits: everywhere.to_vec(),
        daemon: Daemon {
            cores: 1,
            runtime_dir: PathBuf::new(),
            state_dir: PathBuf::new(),
            on_bad_config: OnBadConfig::LastGood,
            drain_timeout: Duration::ZERO,
            lame_duck: Duration::ZERO,
            max_connections: 1,
            max_sessions: 1,
            max_sessions_per_client: 1,
            session_timeout: Duration::ZERO,
        },
        log: Log { level: "info".to_owned(), format: LogFormat::Auto, access: false },
        warnings: Vec::new(),
    }
}
