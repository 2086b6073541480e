//! Connections: when they are kept, when they are not, and how many there are.

use super::*;

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[test]
fn calls_after_each_other_share_one_connection() {
    on_a_core(async {
        let raw = Raw::answering(OK).await;
        let client = raw.client();
        for _ in 0..20 {
            assert_eq!(call(&client).await, (200, "ok".to_owned()));
        }
        assert_eq!(raw.connections.get(), 1);
    });
}

#[test]
fn whatever_follows_an_answer_costs_the_connection() {
    on_a_core(async {
        for answer in [
            &b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"[..],
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nX",
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok",
            b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        ] {
            let raw = Raw::answering(answer).await;
            let client = raw.client();
            for round in 1..=3 {
                assert_eq!(call(&client).await, (200, "ok".to_owned()));
                assert_eq!(raw.connections.get(), round, "{}", answer.escape_ascii());
            }
        }
    });
}

#[test]
fn what_arrives_between_two_calls_costs_the_connection() {
    on_a_core(async {
        let late = Rc::new(Cell::new(false));
        let sent = Rc::clone(&late);
        let raw = Raw::start(move |mut tcp, number| {
            let sent = Rc::clone(&sent);
            async move {
                request(&mut tcp).await.unwrap();
                tcp.write_all(OK).await.unwrap();
                if number == 0 {
                    settle().await;
                    tcp.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil").await.unwrap();
                    sent.set(true);
                }
                request(&mut tcp).await;
            }
        })
        .await;
        let client = raw.client();
        assert_eq!(call(&client).await.1, "ok");
        eventually("the server sends more", || late.get()).await;
        settle().await;
        assert_eq!(call(&client).await.1, "ok");
        assert_eq!(raw.connections.get(), 2);
    });
}

#[test]
fn a_connection_that_the_server_closed_is_replaced_without_notice() {
    on_a_core(async {
        let raw = Raw::closing(OK).await;
        let client = raw.client();
        for round in 1..=5 {
            assert_eq!(call(&client).await, (200, "ok".to_owned()));
            settle().await;
            assert_eq!(raw.connections.get(), round);
        }
    });
}

#[test]
fn an_answer_that_is_dropped_closes_its_connection() {
    on_a_core(async {
        let closed = Rc::new(Cell::new(false));
        let seen = Rc::clone(&closed);
        let raw = Raw::start(move |mut tcp, _| {
            let seen = Rc::clone(&seen);
            async move {
                request(&mut tcp).await.unwrap();
                tcp.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n").await.unwrap();
                assert_eq!(tcp.read(&mut [0]).await.unwrap_or(0), 0);
                seen.set(true);
            }
        })
        .await;
        let client = raw.client();
        let answer = client.send(post(&[b"{}"])).await.unwrap();
        assert_eq!(client.server.open_connections(), 1);
        drop(answer);
        assert_eq!(client.server.open_connections(), 0);
        eventually("the server sees the end", || closed.get()).await;
    });
}

#[test]
fn an_idle_connection_is_closed_after_its_time() {
    on_a_core(async {
        let raw = Raw::answering(OK).await;
        let server = server(raw.address, |http, _| http.pool.idle_timeout = Duration::from_millis(20));
        assert_eq!(call(&server.client(0)).await.1, "ok");
        assert_eq!(server.open_connections(), 1);
        eventually("the idle connection is closed", || server.open_connections() == 0).await;
        assert_eq!(call(&server.client(0)).await.1, "ok");
        eventually("the second idle connection is closed", || server.open_connections() == 0).await;
        assert_eq!(raw.connections.get(), 2);
    });
}

#[test]
fn an_old_connection_serves_no_further_call() {
    on_a_core(async {
        let raw = Raw::answering(OK).await;
        let server = server(raw.address, |http, _| http.pool.max_age = Some(Duration::from_millis(20)));
        assert_eq!(call(&server.client(0)).await.1, "ok");
        eventually("the old connection is closed", || server.open_connections() == 0).await;
        assert_eq!(call(&server.client(0)).await.1, "ok");
        assert_eq!(raw.connections.get(), 2);
    });
}

#[test]
fn connections_are_opened_in_advance_within_the_bound() {
    on_a_core(async {
        let raw = Raw::answering(OK).await;
        let server = server(raw.address, |http, _| (http.pool.min_idle, http.pool.max_connections) = (5, 3));
        let client = server.client(0);
        client.warm(0).await.unwrap();
        assert_eq!(server.open_connections(), 3);
        assert_eq!(call(&client).await.1, "ok");
        client.warm(0).await.unwrap();
        assert_eq!((server.open_connections(), raw.connections.get()), (3, 3));
    });
}

#[test]
fn the_servers_own_idle_time_is_honoured() {
    on_a_core(async {
        let raw = Raw::answering(b"HTTP/1.1 200 OK\r\nKeep-Alive: timeout=1\r\nContent-Length: 2\r\n\r\nok").await;
        let client = raw.client();
        assert_eq!(call(&client).await.1, "ok");
        assert_eq!(client.server.open_connections(), 0);
    });
}

/// A server that answers `number of this connection` and notes how many requests it had at once.
async fn slow(at_once: &Rc<Cell<usize>>, most: &Rc<Cell<usize>>) -> Raw {
    let (at_once, most) = (Rc::clone(at_once), Rc::clone(most));
    Raw::start(move |mut tcp, _| {
        let (at_once, most) = (Rc::clone(&at_once), Rc::clone(&most));
        async move {
            while request(&mut tcp).await.is_some() {
                at_once.set(at_once.get() + 1);
                most.set(most.get().max(at_once.get()));
                settle().await;
                at_once.set(at_once.get() - 1);
                tcp.write_all(OK).await.unwrap();
            }
        }
    })
    .await
}

#[test]
fn connections_never_exceed_their_bound_and_every_call_gets_one() {
    on_a_core(async {
        let (at_once, most) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
        let raw = slow(&at_once, &most).await;
        let server = server(raw.address, |http, _| http.pool.max_connections = 3);
        let done = Rc::new(Cell::new(0));
        for number in 0..100 {
            let (client, done) = (server.client(number % 2), Rc::clone(&done));
            tokio::task::spawn_local(async move {
                assert_eq!(call(&client).await.1, "ok");
                done.set(done.get() + 1);
            });
        }
        eventually("a call has no connection", || {
            assert!(server.open_connections() <= 3);
            done.get() == 100
        })
        .await;
        assert_eq!((most.get(), raw.connections.get()), (3, 3));
    });
}

#[test]
fn a_call_that_finds_all_connections_in_use_gives_up_in_time() {
    on_a_core(async {
        let raw = Raw::start(|mut tcp, _| async move {
            request(&mut tcp).await;
            request(&mut tcp).await;
        })
        .await;
        let server = server(raw.address, |http, timeout| {
            http.pool.max_connections = 1;
            timeout.connect = Duration::from_millis(50);
        });
        let client = server.client(0);
        let (first, second) = tokio::join!(
            async {
                let bounded = Outgoing { first_byte: Some(Duration::from_millis(200)), ..post(&[b"{}"]) };
                client.send(bounded).await.unwrap_err()
            },
            async { client.send(post(&[b"{}"])).await.unwrap_err() },
        );
        assert_eq!(
            (first.kind, second.kind, second.sent),
            (SendErrorKind::FirstByteTimeout, SendErrorKind::Bound, false)
        );
    });
}

#[test]
fn at_the_bound_another_endpoints_idle_connection_makes_room() {
    on_a_core(async {
        let (one, two) = (Raw::answering(OK).await, Raw::answering(OK).await);
        let server = server(one.address, |http, _| {
            http.pool.max_connections = 1;
            let second = settings::Endpoint { port: two.address.port(), ..http.endpoints[0].clone() };
            http.endpoints.push(second);
        });
        let client = server.client(0);
        for endpoint in [0, 1, 0] {
            let answer = client.send(Outgoing { endpoint, ..post(&[b"{}"]) }).await.unwrap();
            assert_eq!((text(answer).await.unwrap().as_str(), server.open_connections()), ("ok", 1));
        }
        assert_eq!((one.connections.get(), two.connections.get()), (2, 1));
    });
}

#[test]
fn at_the_bound_a_core_takes_an_idle_connection_from_another() {
    on_a_core(async {
        let raw = Raw::answering(OK).await;
        let server = server(raw.address, |http, _| http.pool.max_connections = 1);
        for round in 0..6 {
            assert_eq!(call(&server.client(0)).await.1, "ok");
            // The other core is another thread with a runtime of its own, as in the daemon.
            let there = Arc::clone(&server);
            let (tell, told) = tokio::sync::oneshot::channel();
            let thread = std::thread::spawn(move || {
                on_a_core(async move {
                    let answer = there.client(1).send(post(&[b"{}"])).await.unwrap();
                    let reused = answer.reused;
                    tell.send((reused, text(answer).await.unwrap())).unwrap();
                    // Its runtime ends with the connection idle on it, which nobody may stumble over.
                });
            });
            assert_eq!(told.await.unwrap(), (true, "ok".to_owned()), "round {round}");
            eventually("the other core ends", || thread.is_finished()).await;
            thread.join().unwrap();
        }
        assert_eq!(server.open_connections(), 1);
    });
}
