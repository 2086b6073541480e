//! Watches as a reader sees them.

use std::io::{BufRead, BufReader};

use super::*;

/// A watch under way.
struct Watch {
    lines: BufReader<UnixStream>,
}

impl Gate {
    fn watch(&self, socket: Socket, query: &str) -> Watch {
        self.follow(socket, &format!("/v1/watch?{query}"))
    }

    fn follow(&self, socket: Socket, path: &str) -> Watch {
        let mut stream = self.connect(socket);
        let request = format!("GET {path} HTTP/1.1\r\nhost: admin\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("writes");
        let mut lines = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(lines.read_line(&mut head).expect("a head") > 0, "{head}");
        }
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        assert!(head.contains("application/jsonl"), "{head}");
        Watch { lines }
    }
}

impl Watch {
    /// The next line. Lines come chunk by chunk, and each chunk has one.
    fn next(&mut self) -> Value {
        let mut size = String::new();
        self.lines.read_line(&mut size).expect("a size");
        let size = usize::from_str_radix(size.trim(), 16).expect("a size");
        let mut chunk = vec![0; size + 2];
        self.lines.read_exact(&mut chunk).expect("a chunk");
        serde_json::from_slice(&chunk[..size]).expect("a line of JSON")
    }

    /// The next line that is no heartbeat.
    fn news(&mut self) -> Value {
        loop {
            let line = self.next();
            if line["type"] != "heartbeat" {
                return line;
            }
        }
    }
}

#[test]
fn a_watch_says_who_speaks_then_what_is_then_only_what_changes() {
    for (socket, privilege) in [(Socket::View, "view"), (Socket::Control, "control")] {
        let gate = start(Fake::default());
        gate.daemon.said.store(1, Ordering::Relaxed);
        let mut watch = gate.watch(socket, "topics=overview&interval=250");
        let hello = watch.next();
        assert_eq!((&hello["type"], &hello["instance"]), (&json!("hello"), &json!("i-1")));
        assert_eq!((&hello["privilege"], &hello["interval_ms"]), (&json!(privilege), &json!(250)));
        let first = watch.next();
        assert_eq!((&first["topic"], &first["data"]["total"]), (&json!("clients"), &json!(1)), "{first}");
        assert!(first["at_ms"].as_u64().is_some_and(|at| at > 0));
        // While nothing changes there is nothing but heartbeats.
        assert_eq!(watch.next()["type"], "heartbeat");
        gate.daemon.said.store(2, Ordering::Relaxed);
        assert_eq!(watch.news()["data"]["total"], 2);
    }
}

#[test]
fn those_who_ask_the_same_share_the_work_and_others_do_not_get_their_answer() {
    let gate = start(Fake::default());
    let mut watches: Vec<_> = (0..50).map(|_| gate.watch(Socket::View, "topics=clients&interval=10000")).collect();
    let mut other = gate.watch(Socket::View, "topics=tools&interval=10000");
    for watch in &mut watches {
        assert_eq!(watch.next()["type"], "hello");
        assert_eq!(watch.next()["data"]["clients"][0]["id"], "Clients");
    }
    assert_eq!(other.next()["type"], "hello");
    assert_eq!(other.next()["data"]["clients"][0]["id"], "Tools");
    let made = gate.daemon.made.load(Ordering::Relaxed);
    assert!(made <= 6, "{made} times for two questions");
}

#[test]
fn a_reader_that_does_not_keep_up_is_told_how_much_it_missed_and_gets_everything_anew() {
    let gate = start(Fake::default());
    gate.daemon.length.store(300_000, Ordering::Relaxed);
    let mut slow = gate.watch(Socket::View, "topics=clients,tools&interval=250");
    let mut quick = gate.watch(Socket::View, "topics=clients&interval=250");
    assert_eq!((&slow.next()["type"], &quick.next()["type"]), (&json!("hello"), &json!("hello")));
    // Somebody who reads everything says how far it is: far beyond what buffers hold for one who reads nothing.
    for said in 1..12 {
        gate.daemon.said.store(said, Ordering::Relaxed);
        while quick.news()["data"]["total"] != said {}
    }
    let mut seen = 0;
    let lagged = loop {
        let line = slow.news();
        if line["type"] == "lagged" {
            break line;
        }
        seen += 1;
        assert!(seen < 24, "nothing was left out: {}", line["type"]);
    };
    assert!(lagged["count"].as_u64().is_some_and(|count| count > 0), "{lagged}");
    // The line that was on its way while it read nothing may be an older one; then both come once more.
    let mut newest = std::collections::BTreeMap::new();
    for _ in 0..5 {
        let line = slow.news();
        if line["type"] == "topic" {
            newest.insert(line["data"]["clients"][0]["id"].to_string(), line["data"]["total"].as_u64());
        }
        if newest.len() == 2 && newest.values().all(|total| *total == Some(11)) {
            return;
        }
    }
    panic!("not everything came anew: {newest:?}");
}

#[test]
fn a_reader_that_comes_back_is_told_what_has_changed_since() {
    let gate = start(Fake::default());
    let mut watch = gate.watch(Socket::View, "topics=clients&interval=250");
    assert_eq!(watch.next()["type"], "hello");
    let at = watch.next()["at_ms"].as_u64().expect("a time");
    drop(watch);
    let mut again = gate.watch(Socket::View, &format!("topics=clients&interval=250&since={at}"));
    assert_eq!(again.next()["type"], "hello");
    assert_eq!(again.next()["type"], "heartbeat");
    gate.daemon.said.store(7, Ordering::Relaxed);
    assert_eq!(again.news()["data"]["total"], 7);
}

#[test]
fn a_reader_is_told_where_the_daemon_does_not_know_as_far_back_and_gets_everything() {
    let gate = start(Fake::default());
    let mut first = gate.watch(Socket::View, "topics=clients&interval=250");
    assert_eq!((&first.next()["type"], &first.next()["type"]), (&json!("hello"), &json!("topic")));
    let later = crate::clock::unix_millis() + 3_600_000;
    // Before the feed began; by a clock that was set back since; and of a topic that nobody has watched yet.
    for (query, since) in [("clients", 1), ("clients", later), ("clients,tools", crate::clock::unix_millis() - 1_000)] {
        let mut watch = gate.watch(Socket::View, &format!("topics={query}&interval=250&since={since}"));
        assert_eq!(watch.next()["type"], "hello");
        let resync = watch.next();
        assert_eq!(resync["type"], "resync", "{query} since {since}: {resync}");
        assert!(resync["oldest_ms"].as_u64().is_some_and(|oldest| oldest > 1_000));
        for _ in query.split(',') {
            assert_eq!(watch.next()["type"], "topic", "{query} since {since}");
        }
    }
}

#[test]
fn a_watch_that_nobody_reads_any_more_gives_its_place_back_and_no_more_is_made() {
    let gate = start(Fake::default());
    drop((0..96).map(|_| gate.watch(Socket::View, "topics=clients&interval=250")).collect::<Vec<_>>());
    let until = Instant::now() + DEADLINE;
    while gate.get_or_busy() == 503 {
        assert!(Instant::now() < until, "the places of watches did not come back");
        std::thread::yield_now();
    }
    // When the last reader is gone, the count stands still.
    loop {
        let made = gate.daemon.made.load(Ordering::Relaxed);
        std::thread::sleep(Duration::from_millis(600));
        if gate.daemon.made.load(Ordering::Relaxed) == made {
            break;
        }
        assert!(Instant::now() < until, "it is made for nobody");
    }
}

#[test]
fn a_question_that_cannot_be_understood_is_refused_with_the_words_that_can() {
    let gate = start(Fake::default());
    let said = gate.get(Socket::View, "/v1/watch?topics=weather");
    assert_eq!((said.status, &said.body["field"]), (400, &json!("topics")));
    assert!(said.body["remedy"].as_str().is_some_and(|remedy| remedy.contains("overview, servers")));
    assert_eq!(gate.get(Socket::View, "/v1/watch").status, 400);
    assert_eq!(gate.post(Socket::Control, "/v1/watch?topics=tools", "", "").status, 405);
}

#[test]
fn a_tail_that_has_nothing_to_show_says_so_and_ends_with_its_reader() {
    let gate = start(Fake::default());
    let mut tail = gate.follow(Socket::View, "/v1/requests/tail?filter=outcome=error");
    assert_eq!(tail.next()["type"], "heartbeat");
    assert_eq!(tail.next()["type"], "heartbeat");
    let said = gate.get(Socket::View, "/v1/requests/tail?filter=outcome=bad");
    assert_eq!((said.status, &said.body["field"]), (400, &json!("filter")));
    assert_eq!(gate.get(Socket::View, "/v1/requests/tail?speed=1").status, 400);
}

#[test]
fn the_past_is_asked_for_by_name_and_time_and_is_the_last_hour_of_the_gate_where_nobody_says() {
    let gate = start(Fake::default());
    let said = gate.get(Socket::View, "/v1/history?series=calls,errors:weather&from=1000&to=2000&points=5");
    assert_eq!((said.status, &said.body["series"][1]["name"]), (200, &json!("errors:weather")));
    let hour = gate.get(Socket::View, "/v1/history").body;
    assert_eq!((hour["series"].as_array().map(Vec::len), &hour["series"][0]["step_ms"]), (Some(13), &json!(20_000)));
    let day = gate.get(Socket::View, "/v1/history?from=0&points=100").body;
    assert!(day["series"][0]["step_ms"].as_u64().is_some_and(|step| step < 1_000_000), "no more than a day: {day}");
    assert_eq!(gate.get(Socket::View, "/v1/history?points=many").status, 400);
}

#[test]
fn a_topic_that_takes_long_keeps_nobody_else_from_being_told() {
    let (go, stuck) = channel::<()>();
    let gate = start(Fake { stuck: Some(Mutex::new(stuck)), ..Fake::default() });
    let mut waits = gate.watch(Socket::View, "topics=tools,clients&interval=250");
    assert_eq!(waits.next()["type"], "hello");
    let mut other = gate.watch(Socket::View, "topics=clients&interval=250");
    assert_eq!(other.next()["type"], "hello");
    for said in 1..5 {
        gate.daemon.said.store(said, Ordering::Relaxed);
        while other.news()["data"]["total"] != said {}
    }
    drop(go);
    assert_eq!(waits.news()["data"]["clients"][0]["id"], "Tools");
}
