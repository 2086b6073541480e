//! The client against servers that speak HTTP/2, where calls share connections.

use bytes::Bytes;
use h2::server::{Builder, SendResponse};
use h2::{Reason, RecvStream};
use http::{Request, Response};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};

use super::*;

type Asked = Request<RecvStream>;
type Reply = SendResponse<Bytes>;

/// A server of HTTP/2 that hands each request to `answer`, with its connection's number from 0.
async fn serve<F>(streams: u32, answer: impl Fn(Asked, Reply, usize) -> F + Clone + 'static) -> Raw
where
    F: Future<Output = ()> + 'static,
{
    Raw::start(move |tcp, number| {
        let answer = answer.clone();
        async move {
            let mut builder = Builder::new();
            builder.max_concurrent_streams(streams);
            let Ok(mut connection) = builder.handshake(tcp).await else { return };
            while let Some(Ok((request, reply))) = connection.accept().await {
                tokio::task::spawn_local(answer(request, reply, number));
            }
        }
    })
    .await
}

/// One that answers with what it is sent.
pub(super) async fn echoing(streams: u32) -> Raw {
    serve(streams, |request, reply, _| echo(request, reply)).await
}

async fn echo(request: Asked, mut reply: Reply) {
    let (head, body) = request.into_parts();
    let Ok(body) = read(body).await else { return };
    let seen = head.headers.get("x-seen").cloned();
    let mut answer = Response::builder().status(201);
    if let Some(seen) = seen {
        answer = answer.header("X-Seen", seen);
    }
    let mut stream = reply.send_response(answer.body(()).unwrap(), body.is_empty()).unwrap();
    // In pieces, the last of which does not know that it is.
    for piece in body.chunks(20_000) {
        stream.send_data(Bytes::copy_from_slice(piece), false).unwrap();
        tokio::task::yield_now().await;
    }
    if !body.is_empty() {
        stream.send_data(Bytes::new(), true).unwrap();
    }
}

async fn read(mut body: RecvStream) -> Result<Vec<u8>, h2::Error> {
    let mut all = Vec::new();
    while let Some(piece) = body.data().await {
        let piece = piece?;
        all.extend_from_slice(&piece);
        body.flow_control().release_capacity(piece.len())?;
    }
    Ok(all)
}

fn answer(reply: &mut Reply, text: &'static str) {
    let mut stream = reply.send_response(Response::new(()), false).unwrap();
    stream.send_data(Bytes::from_static(text.as_bytes()), true).unwrap();
}

/// The settings for such a server.
pub(super) fn sharing(raw: &Raw, change: impl FnOnce(&mut settings::Http, &mut settings::Timeouts)) -> Arc<HttpServer> {
    server(raw.address, |http, timeout| {
        http.pool.http2 = true;
        change(http, timeout);
    })
}

/// One connection to either of two.
fn with_two_endpoints(first: &Raw, second: &Raw) -> Arc<HttpServer> {
    sharing(first, |http, _| {
        http.pool.max_connections = 1;
        let there = second.address;
        let like = http.endpoints[0].clone();
        http.endpoints.push(settings::Endpoint { url: format!("http://{there}/mcp"), port: there.port(), ..like });
    })
}

#[test]
fn what_is_sent_and_answered_is_the_same_as_over_http1() {
    on_a_core(async {
        let raw = echoing(100).await;
        let client = sharing(&raw, |_, _| {}).client(0);
        let mut runner = TestRunner::new(Config::with_cases(0));
        let body = prop_oneof![
            4 => prop::collection::vec(any::<u8>(), 0..300),
            1 => prop::collection::vec(any::<u8>(), 30_000..300_000),
        ];
        for _ in 0..200 {
            let (body, pieces) = (body.clone(), 1..6_usize).new_tree(&mut runner).unwrap().current();
            let pieces: Vec<&[u8]> = body.chunks(body.len().div_ceil(pieces).max(1)).collect();
            let headers: &[(&str, &[u8])] =
                &[("X-Seen", b"by the server"), ("Connection", b"x-own"), ("X-Own", b"1"), ("Host", b"other")];
            let answer = client.send(Outgoing { headers, ..post(&pieces) }).await.unwrap();
            assert_eq!((answer.status, answer.headers.get("x-seen")), (201, Some(&b"by the server"[..])));
            let received = answer.body.collect().await.unwrap().to_bytes();
            assert!(received == body, "{} bytes came back as {}", body.len(), received.len());
        }
        assert_eq!(raw.connections.get(), 1);
    });
}

#[test]
fn the_server_is_told_its_own_name_and_the_path() {
    on_a_core(async {
        let raw = serve(9, |request, mut reply, _| async move {
            assert_eq!(request.method(), "POST");
            let mut stream = reply.send_response(Response::new(()), false).unwrap();
            let seen = format!("{} {:?}", request.uri(), request.headers().get("content-length"));
            stream.send_data(seen.into(), true).unwrap();
        })
        .await;
        let seen = call(&sharing(&raw, |_, _| {}).client(0)).await.1;
        assert_eq!(seen, format!("http://{}/mcp Some(\"2\")", raw.address));
    });
}

#[test]
fn calls_at_once_share_connections_and_no_stream_is_more_than_the_server_lets() {
    on_a_core(async {
        let (most, open) = (Rc::new(Cell::new([0; 2])), Rc::new(Cell::new(false)));
        let (seen, opened) = (Rc::clone(&most), Rc::clone(&open));
        let busy = Rc::new([Cell::new(0), Cell::new(0)]);
        let raw = serve(3, move |request, mut reply, number| {
            let (most, open, busy) = (Rc::clone(&most), Rc::clone(&open), Rc::clone(&busy));
            async move {
                let body = read(request.into_body()).await.unwrap();
                let now = &busy[number];
                now.set(now.get() + 1);
                let mut all = most.get();
                all[number] = all[number].max(now.get());
                most.set(all);
                eventually("it is opened", || open.get() || body == b"{}").await;
                now.set(now.get() - 1);
                answer(&mut reply, "ok");
            }
        })
        .await;
        let server = sharing(&raw, |http, _| http.pool.max_connections = 2);
        let client = server.client(0);
        let calls: Vec<_> = (0..60)
            .map(|_| {
                let client = client.clone();
                let call = async move { text(client.send(post(&[b"later"])).await.unwrap()).await.unwrap() };
                tokio::task::spawn_local(call)
            })
            .collect();
        eventually("all that may be are at work", || seen.get() == [3, 3] && server.waiting() == 54).await;
        opened.set(true);
        for call in calls {
            assert_eq!(call.await.unwrap(), "ok");
        }
        assert_eq!((raw.connections.get(), server.open_connections(), seen.get()), (2, 2, [3, 3]));
        assert_eq!(server.waiting(), 0);
    });
}

#[test]
fn a_call_that_is_given_up_ends_its_stream_and_not_the_connection() {
    on_a_core(async {
        let reset = Rc::new(Cell::new(None));
        let seen = Rc::clone(&reset);
        let raw = serve(9, move |request, mut reply, _| {
            let reset = Rc::clone(&reset);
            async move {
                let body = read(request.into_body()).await.unwrap();
                if body == b"{}" {
                    return answer(&mut reply, "ok");
                }
                let mut stream = reply.send_response(Response::new(()), false).unwrap();
                stream.send_data(Bytes::from_static(b"half of it"), false).unwrap();
                reset.set(std::future::poll_fn(|cx| stream.poll_reset(cx)).await.ok());
            }
        })
        .await;
        let client = sharing(&raw, |_, _| {}).client(0);
        let mut half = client.send(post(&[b"more"])).await.unwrap();
        assert_eq!(half.body.frame().await.unwrap().unwrap().into_data().unwrap(), "half of it");
        drop(half);
        eventually("the server learns of it", || seen.get() == Some(Reason::CANCEL)).await;
        assert_eq!((call(&client).await.1.as_str(), raw.connections.get()), ("ok", 1));
    });
}

#[test]
fn a_server_that_takes_its_leave_or_refuses_a_stream_has_done_nothing() {
    on_a_core(async {
        // Each connection takes its leave after its first call.
        let raw = Raw::start(|tcp, _| async move {
            let mut connection = h2::server::handshake(tcp).await.unwrap();
            let mut calls = 0;
            while let Some(Ok((_, mut reply))) = connection.accept().await {
                answer(&mut reply, "ok");
                calls += 1;
                if calls == 1 {
                    connection.graceful_shutdown();
                }
            }
        })
        .await;
        let client = sharing(&raw, |_, _| {}).client(0);
        for _ in 0..20 {
            assert_eq!(call(&client).await.1, "ok");
        }
        assert!(raw.connections.get() > 1);

        let raw = serve(9, |_, mut reply, _| async move { reply.send_reset(Reason::REFUSED_STREAM) }).await;
        let error = sharing(&raw, |_, _| {}).client(0).send(post(&[b"{}"])).await.unwrap_err();
        assert_eq!((error.kind, error.sent), (SendErrorKind::Closed, false), "{error}");
        let raw = serve(9, |_, mut reply, _| async move { reply.send_reset(Reason::INTERNAL_ERROR) }).await;
        let error = sharing(&raw, |_, _| {}).client(0).send(post(&[b"{}"])).await.unwrap_err();
        assert_eq!((error.kind, error.sent), (SendErrorKind::Closed, true), "{error}");
    });
}

#[test]
fn an_answer_that_breaks_off_is_an_error() {
    on_a_core(async {
        for resets in [true, false] {
            let told = Rc::new(Cell::new(false));
            let tells = Rc::clone(&told);
            let raw = Raw::start(move |tcp, _| {
                let told = Rc::clone(&told);
                async move {
                    let mut connection = h2::server::handshake(tcp).await.unwrap();
                    let (_, mut reply) = connection.accept().await.unwrap().unwrap();
                    let mut stream = reply.send_response(Response::new(()), false).unwrap();
                    stream.send_data(Bytes::from_static(b"half of it"), false).unwrap();
                    // Written while the connection is asked for more.
                    let read = eventually("the half is read", || told.get());
                    tokio::select! {
                        _ = connection.accept() => {}
                        () = read => {}
                    }
                    if resets {
                        stream.send_reset(Reason::INTERNAL_ERROR);
                        let _ = connection.accept().await;
                    }
                }
            })
            .await;
            let mut answer = sharing(&raw, |_, _| {}).client(0).send(post(&[b"{}"])).await.unwrap();
            assert_eq!(answer.body.frame().await.unwrap().unwrap().into_data().unwrap(), "half of it");
            tells.set(true);
            assert!(text(answer).await.is_err(), "resets: {resets}");
        }
    });
}

#[test]
fn an_early_answer_is_heard_while_the_request_is_still_being_sent() {
    on_a_core(async {
        for resets in [false, true] {
            let raw = serve(9, move |request, mut reply, _| async move {
                let (head, body) = request.into_parts();
                if head.headers["content-length"] == "2" {
                    return answer(&mut reply, "ok");
                }
                let refused = Response::builder().status(413).body(()).unwrap();
                let mut stream = reply.send_response(refused, false).unwrap();
                stream.send_data(Bytes::from_static(b"too long"), true).unwrap();
                if resets {
                    settle().await;
                    // RFC 9113, 8.1: the rest is not wanted.
                    stream.send_reset(Reason::NO_ERROR);
                }
                // It reads nothing of it.
                std::future::pending::<()>().await;
                drop(body);
            })
            .await;
            let (long, server) = (vec![b'x'; 1 << 20], sharing(&raw, |_, _| {}));
            for _ in 0..6 {
                let answer = server.client(0).send(post(&[&long])).await.unwrap();
                assert_eq!(answer.status, 413);
                assert_eq!(text(answer).await.unwrap(), "too long");
            }
            assert_eq!((call(&server.client(0)).await.1.as_str(), raw.connections.get()), ("ok", 1));
        }
    });
}

#[test]
fn what_a_server_refuses_is_not_repeated_at_once() {
    on_a_core(async {
        let seen = Rc::new(Cell::new(0));
        let counted = Rc::clone(&seen);
        let raw = serve(9, move |_, mut reply, _| {
            let number = counted.replace(counted.get() + 1);
            async move {
                if number == 0 {
                    return answer(&mut reply, "ok");
                }
                reply.send_reset(Reason::REFUSED_STREAM);
            }
        })
        .await;
        let client = sharing(&raw, |_, _| {}).client(0);
        assert_eq!(call(&client).await.1, "ok");
        let error = client.send(post(&[b"{}"])).await.unwrap_err();
        assert_eq!((error.sent, seen.get()), (false, 2), "{error}");
    });
}

#[test]
fn a_connection_whose_server_is_silent_takes_no_more_calls() {
    on_a_core(async {
        // However a call ends that has had no answer: its own time, the whole call's, or the client's patience.
        for way in 0..3 {
            let raw = serve(9, |_, mut reply, number| async move {
                if number == 0 {
                    return std::future::pending().await;
                }
                answer(&mut reply, "ok");
            })
            .await;
            let patience = Duration::from_millis(1100);
            let server = sharing(&raw, |_, timeout| match way {
                0 => timeout.first_byte = patience,
                1 => timeout.total = Some(patience),
                _ => {}
            });
            let client = server.client(0);
            let asked = post(&[b"{}"]);
            let sent = tokio::time::timeout(Duration::from_millis(1500), client.send(asked)).await;
            if way < 2 {
                let error = sent.unwrap().unwrap_err();
                let kind = [SendErrorKind::FirstByteTimeout, SendErrorKind::TotalTimeout][way];
                assert_eq!((error.kind, error.sent), (kind, true));
            }
            assert_eq!((call(&client).await.1.as_str(), raw.connections.get()), ("ok", 2), "{way}");
            eventually("the silent one is closed", || server.open_connections() == 1).await;
        }
    });
}

#[test]
fn a_slow_call_costs_the_others_no_connection() {
    on_a_core(async {
        let raw = serve(9, |request, mut reply, _| async move {
            if read(request.into_body()).await.unwrap() != b"{}" {
                return std::future::pending().await;
            }
            answer(&mut reply, "ok");
        })
        .await;
        let server = sharing(&raw, |_, timeout| timeout.first_byte = Duration::from_millis(1200));
        let client = server.client(0);
        let others = async {
            for _ in 0..30 {
                assert_eq!(call(&client).await.1, "ok");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let (slow, ()) = tokio::join!(client.send(post(&[b"slow"])), others);
        assert_eq!(slow.unwrap_err().kind, SendErrorKind::FirstByteTimeout);
        assert_eq!((call(&client).await.1.as_str(), raw.connections.get()), ("ok", 1));
    });
}

#[test]
fn an_endpoint_with_an_idle_connection_keeps_nobody_from_the_other() {
    on_a_core(async {
        let (first, second) = (echoing(9).await, echoing(9).await);
        let server = with_two_endpoints(&first, &second);
        let client = server.client(0);
        for endpoint in [0, 1, 0, 1] {
            let answer = client.send(Outgoing { endpoint, ..post(&[b"{}"]) }).await.unwrap();
            assert_eq!(text(answer).await.unwrap(), "{}", "endpoint {endpoint}");
            assert_eq!(server.open_connections(), 1);
        }
        assert_eq!((first.connections.get(), second.connections.get()), (2, 2));
    });
}

#[test]
fn connections_end_when_they_are_idle_or_old() {
    on_a_core(async {
        for age in [None, Some(Duration::from_millis(30))] {
            let raw = echoing(9).await;
            let idle = age.map_or(Duration::from_millis(30), |_| Duration::from_secs(60));
            let server = sharing(&raw, |http, _| {
                http.pool.idle_timeout = idle;
                http.pool.max_age = age;
            });
            assert_eq!(call(&server.client(0)).await.1, "{}");
            eventually("it is closed", || server.open_connections() == 0).await;
            assert_eq!(call(&server.client(0)).await.1, "{}");
        }
    });
}

#[test]
fn where_the_server_is_built_anew_its_connections_end_with_their_last_call() {
    on_a_core(async {
        let raw = echoing(9).await;
        let all = Connections::new(9);
        let server = server_within(&all, raw.address, |http, _| http.pool.http2 = true);
        let long = vec![b'x'; 100_000];
        let answer = server.client(0).send(post(&[&long])).await.unwrap();
        drop(server);
        settle().await;
        assert_eq!(all.seen().open, 1);
        assert_eq!(text(answer).await.unwrap().len(), 100_000);
        eventually("it is closed", || all.seen().open == 0).await;
    });
}

#[test]
fn at_the_bound_a_core_uses_the_connection_of_another() {
    on_a_core(async {
        let raw = echoing(2).await;
        let server = sharing(&raw, |http, _| http.pool.max_connections = 1);
        assert_eq!(call(&server.client(0)).await.1, "{}");
        let there = Arc::clone(&server);
        let (tell, told) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            on_a_core(async move {
                let calls = (0..20).map(|_| {
                    let client = there.client(1);
                    tokio::task::spawn_local(async move { call(&client).await.1 })
                });
                let mut answers = Vec::new();
                for call in calls.collect::<Vec<_>>() {
                    answers.push(call.await.unwrap());
                }
                tell.send(answers).unwrap();
            });
        });
        assert_eq!(told.await.unwrap(), vec!["{}"; 20]);
        assert_eq!((raw.connections.get(), server.open_connections()), (1, 1));
    });
}

#[test]
fn a_connection_of_another_server_is_given_up_where_all_are_in_use() {
    on_a_core(async {
        let (first, second) = (echoing(9).await, echoing(9).await);
        let all = Connections::new(1);
        let [one, two] =
            [&first, &second].map(|raw| server_within(&all, raw.address, |http, _| http.pool.http2 = true).client(0));
        for client in [&one, &two, &one] {
            assert_eq!(call(client).await.1, "{}");
        }
        assert_eq!((first.connections.get(), second.connections.get()), (2, 1));
    });
}

#[test]
fn nobody_there_is_told_to_all_who_wait_for_the_connection() {
    on_a_core(async {
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let server = server(closed, |http, _| http.pool.http2 = true);
        let client = server.client(0);
        let calls: Vec<_> = (0..10)
            .map(|_| {
                let client = client.clone();
                tokio::task::spawn_local(async move { client.send(post(&[b"{}"])).await.unwrap_err() })
            })
            .collect();
        for call in calls {
            let error = call.await.unwrap();
            assert_eq!((error.kind, error.sent), (SendErrorKind::Connect, false), "{error}");
        }
        assert_eq!((server.open_connections(), server.waiting()), (0, 0));
    });
}

#[test]
fn a_server_without_http2_is_told_apart_with_a_remedy() {
    on_a_core(async {
        for says in [&b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"[..], b""] {
            let raw = Raw::start(move |mut tcp, _| async move {
                let _ = tcp.write_all(says).await;
                let mut read = Vec::new();
                let _ = tcp.read_buf(&mut read).await;
                if says.is_empty() {
                    std::future::pending::<()>().await;
                }
            })
            .await;
            let server = sharing(&raw, |_, timeout| timeout.connect = Duration::from_millis(300));
            let error = server.client(0).send(post(&[b"{}"])).await.unwrap_err();
            assert!(!error.sent);
            let advises = error.to_string().contains("take `http2` out");
            assert!(advises || error.kind == SendErrorKind::ConnectTimeout, "{error}");
        }
    });
}

#[test]
fn a_server_that_lets_no_stream_holds_up_nobody_for_good() {
    on_a_core(async {
        let raw = serve(0, |_, mut reply, _| async move { answer(&mut reply, "ok") }).await;
        let server = sharing(&raw, |_, timeout| timeout.connect = Duration::from_millis(300));
        let error = server.client(0).send(post(&[b"{}"])).await.unwrap_err();
        assert!(!error.sent, "{error}");
        eventually("its connection is closed", || server.open_connections() == 0).await;
    });
}

#[test]
fn whoever_leaves_before_the_connection_stands_keeps_nothing_from_others() {
    on_a_core(async {
        let (first, second) = (echoing(9).await, echoing(9).await);
        let server = with_two_endpoints(&first, &second);
        let client = server.client(0);
        for _ in 0..20 {
            let gone = client.send(Outgoing { endpoint: 1, ..post(&[b"{}"]) });
            drop(tokio::time::timeout(Duration::ZERO, gone).await);
            assert_eq!(call(&client).await.1, "{}");
        }
        assert_eq!(server.waiting(), 0);
    });
}

#[test]
fn at_the_bound_of_all_connections_a_core_uses_those_of_another() {
    on_a_core(async {
        let raw = echoing(9).await;
        let server = server_within(&Connections::new(1), raw.address, |http, _| http.pool.http2 = true);
        assert_eq!(call(&server.client(0)).await.1, "{}");
        let there = Arc::clone(&server);
        let (tell, told) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || on_a_core(async move { tell.send(call(&there.client(1)).await.1).unwrap() }));
        assert_eq!(told.await.unwrap(), "{}");
        assert_eq!((raw.connections.get(), server.open_connections()), (1, 1));
    });
}
