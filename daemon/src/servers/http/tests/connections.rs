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
                    for _ in 0..5 {
                        tokio::task::yield_now().await;
                    }
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
        tokio::time::sleep(Duration::from_millis(1)).await;
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
            tokio::time::sleep(Duration::from_millis(1)).await;
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
fn a_permit_is_held_until_the_body_ends() {
    on_a_core(async {
        let raw = Raw::start(|mut tcp, _| async move {
            request(&mut tcp).await.unwrap();
            tcp.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n").await.unwrap();
            request(&mut tcp).await;
        })
        .await;
        let permit = Arc::new(());
        let mut answer = raw.client().send(post(&[b"{}"])).await.unwrap();
        answer.body.hold(Arc::clone(&permit));
        answer.body.frame().await.unwrap().unwrap();
        assert_eq!(Arc::strong_count(&permit), 2);
        drop(answer);
        assert_eq!(Arc::strong_count(&permit), 1);
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
fn the_servers_own_idle_time_is_honoured() {
    on_a_core(async {
        let raw =
            Raw::answering(b"HTTP/1.1 200 OK\r\nKeep-Alive: timeout=1\r\nContent-Length: 2\r\n\r\nok").await;
        let client = raw.client();
        assert_eq!(call(&client).await.1, "ok");
        assert_eq!(client.server.open_connections(), 0);
    });
}
