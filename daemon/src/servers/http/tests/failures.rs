//! Servers that fail: what the caller learns, and whether anything was sent.

use super::*;

async fn failure(raw: &Raw) -> SendError {
    raw.client().send(post(&[b"{}"])).await.unwrap_err()
}

#[test]
fn without_its_secret_nothing_is_sent() {
    on_a_core(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server =
            server(listener.local_addr().unwrap(), |http, _| http.lacks = Some("the token is missing".to_owned()));
        for client in [server.client(0), server.apart()] {
            let error = client.send(post(&[b"{}"])).await.unwrap_err();
            assert_eq!(
                (error.kind, error.sent, error.to_string()),
                (SendErrorKind::Secret, false, "the token is missing".to_owned())
            );
        }
        settle().await;
        let nobody = tokio::time::timeout(Duration::ZERO, listener.accept()).await;
        assert!(nobody.is_err(), "somebody has connected");
    });
}

#[test]
fn nobody_listens() {
    on_a_core(async {
        let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let error = server(address, |_, _| {}).client(0).send(post(&[b"{}"])).await.unwrap_err();
        assert_eq!((error.kind, error.sent), (SendErrorKind::Connect, false));
    });
}

#[test]
fn a_name_without_address() {
    on_a_core(async {
        let address = "127.0.0.1:1".parse().unwrap();
        let server = server(address, |http, _| http.endpoints[0].host = "name.invalid".to_owned());
        let error = server.client(0).send(post(&[b"{}"])).await.unwrap_err();
        assert_eq!((error.kind, error.sent), (SendErrorKind::Resolve, false));
    });
}

#[test]
fn no_answer_at_all() {
    on_a_core(async {
        let raw = Raw::start(|mut tcp, _| async move {
            request(&mut tcp).await.unwrap();
        })
        .await;
        let error = failure(&raw).await;
        assert_eq!((error.kind, error.sent, error.reused), (SendErrorKind::Closed, true, false));
    });
}

#[test]
fn garbage_and_ambiguity() {
    on_a_core(async {
        for answer in [
            &b"SSH-2.0-OpenSSH\r\n\r\n"[..],
            b"HTTP/1.1 200 OK\n\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
            b"HTTP/1.1 700 Odd\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Le",
        ] {
            let error = failure(&Raw::closing(answer).await).await;
            assert_eq!((error.kind, error.sent), (SendErrorKind::Malformed, true), "{}", answer.escape_ascii());
        }
    });
}

#[test]
fn interim_answers_and_heads_without_end() {
    on_a_core(async {
        for piece in [&b"HTTP/1.1 103 Early Hints\r\n\r\n"[..], b"A: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n"] {
            let raw = Raw::start(move |mut tcp, _| async move {
                request(&mut tcp).await.unwrap();
                while tcp.write_all(piece).await.is_ok() {}
            })
            .await;
            assert_eq!(failure(&raw).await.kind, SendErrorKind::Malformed);
        }
    });
}

#[test]
fn bodies_that_are_cut_or_broken_are_errors() {
    on_a_core(async {
        for answer in [
            &b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok"[..],
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nokX\r\n",
        ] {
            let client = Raw::closing(answer).await.client();
            let answer = client.send(post(&[b"{}"])).await.unwrap();
            assert!(text(answer).await.is_err());
            assert_eq!(client.server.open_connections(), 0);
        }
    });
}

#[test]
fn a_server_that_never_answers() {
    on_a_core(async {
        let raw = Raw::start(|mut tcp, _| async move {
            request(&mut tcp).await;
            request(&mut tcp).await;
        })
        .await;
        let short = Duration::from_millis(20);
        let server = server(raw.address, |_, timeout| timeout.first_byte = short);
        let error = server.client(0).send(post(&[b"{}"])).await.unwrap_err();
        assert_eq!((error.kind, error.sent), (SendErrorKind::FirstByteTimeout, true));
        assert_eq!(server.open_connections(), 0);

        let own = Outgoing { first_byte: Some(short), ..post(&[b"{}"]) };
        assert_eq!(raw.client().send(own).await.unwrap_err().kind, SendErrorKind::FirstByteTimeout);
    });
}

#[test]
fn a_server_that_never_reads() {
    on_a_core(async {
        let raw = Raw::start(|tcp, _| async move {
            tcp.writable().await.unwrap();
            std::future::pending::<()>().await;
        })
        .await;
        let server = server(raw.address, |_, timeout| timeout.first_byte = Duration::from_millis(50));
        let body = vec![b' '; 32 * 1024 * 1024];
        let error = server.client(0).send(post(&[&body])).await.unwrap_err();
        assert_eq!((error.kind, error.sent), (SendErrorKind::FirstByteTimeout, true));
    });
}

#[test]
fn a_call_that_takes_too_long_as_a_whole() {
    on_a_core(async {
        let raw = Raw::start(|mut tcp, number| async move {
            request(&mut tcp).await.unwrap();
            if number > 0 {
                tcp.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok").await.unwrap();
            }
            request(&mut tcp).await;
        })
        .await;
        let server = server(raw.address, |_, timeout| timeout.total = Some(Duration::from_millis(50)));
        let client = server.client(0);
        assert_eq!(client.send(post(&[b"{}"])).await.unwrap_err().kind, SendErrorKind::TotalTimeout);
        let answer = client.send(post(&[b"{}"])).await.unwrap();
        assert!(matches!(text(answer).await, Err(BodyError::TotalTimeout)));
    });
}

#[test]
fn an_answer_before_the_request_was_read_is_delivered() {
    on_a_core(async {
        let raw = Raw::start(|mut tcp, _| async move {
            tcp.read_u8().await.unwrap();
            tcp.write_all(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno").await.unwrap();
            std::future::pending::<()>().await;
        })
        .await;
        let client = raw.client();
        let body = vec![b' '; 32 * 1024 * 1024];
        let answer = client.send(post(&[&body])).await.unwrap();
        assert_eq!(answer.status, 413);
        assert_eq!(text(answer).await.unwrap(), "no");
        assert_eq!(client.server.open_connections(), 0);
    });
}
