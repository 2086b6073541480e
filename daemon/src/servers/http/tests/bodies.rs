//! Bodies: their framing, their splits, what is available when.

use http_body::Body;

use super::*;

const FRAMED: [&[u8]; 6] = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello world",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nb;x=y\r\nhello world\r\n0\r\nTrailer: 1\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello world",
    b"HTTP/1.1 200 OK\r\n\r\nhello world",
    b"HTTP/1.0 200 OK\r\n\r\nhello world",
];

/// Sends two pieces in two segments: the second only when the first has been taken in by the other side.
async fn in_two(tcp: &mut TcpStream, answer: &[u8], at: usize) {
    tcp.write_all(&answer[..at]).await.unwrap();
    settle().await;
    tcp.write_all(&answer[at..]).await.unwrap();
}

#[test]
fn an_answer_is_the_same_wherever_its_segments_are_cut() {
    on_a_core(async {
        for answer in FRAMED {
            let at = Rc::new(Cell::new(0));
            let next = Rc::clone(&at);
            let close = !answer.windows(6).any(|six| six == b"ength:" || six == b"coding" || six == b"Encodi");
            let raw = Raw::start(move |mut tcp, _| {
                let next = Rc::clone(&next);
                async move {
                    while request(&mut tcp).await.is_some() {
                        in_two(&mut tcp, answer, next.replace(next.get() + 1)).await;
                        if close {
                            return;
                        }
                    }
                }
            })
            .await;
            let client = raw.client();
            for cut in 0..=answer.len() {
                assert_eq!(call(&client).await, (200, "hello world".to_owned()), "{} at {cut}", answer.escape_ascii());
            }
            let expected = if close { answer.len() + 1 } else { 1 };
            assert_eq!(raw.connections.get(), expected, "connections for {}", answer.escape_ascii());
        }
    });
}

#[test]
fn a_small_answer_is_there_with_its_head_and_frees_the_connection_at_once() {
    on_a_core(async {
        for answer in &FRAMED[..2] {
            let raw = Raw::answering(answer).await;
            let client = raw.client();
            let first = client.send(post(&[b"{}"])).await.unwrap();
            assert_eq!(first.body.size_hint().exact(), Some(11));
            let mut second = client.send(post(&[b"{}"])).await.unwrap();
            assert_eq!((raw.connections.get(), second.reused), (1, true));
            assert_eq!(second.body.take_whole().unwrap(), "hello world");
            assert!(second.body.is_end_stream());
            assert_eq!(text(first).await.unwrap(), "hello world");
        }
    });
}

#[test]
fn statuses_without_a_body_have_none() {
    on_a_core(async {
        for answer in [
            &b"HTTP/1.1 204 No Content\r\n\r\n"[..],
            b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
            b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n",
        ] {
            let raw = Raw::answering(answer).await;
            let client = raw.client();
            for _ in 0..3 {
                let answer = client.send(post(&[b"{}"])).await.unwrap();
                assert!(answer.body.is_end_stream());
                assert_eq!(text(answer).await.unwrap(), "");
            }
            assert_eq!(raw.connections.get(), 1);
        }
    });
}

#[test]
fn a_stream_delivers_each_event_when_it_comes() {
    on_a_core(async {
        let raw = Raw::start(|mut tcp, _| async move {
            request(&mut tcp).await.unwrap();
            tcp.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await.unwrap();
            // Each event is only sent after the client has confirmed the one before, out of band.
            for event in ["data: 1\n\n", "data: 2\n\n", "data: 3\n\n"] {
                let chunk = format!("{:x}\r\n{event}\r\n", event.len());
                tcp.write_all(chunk.as_bytes()).await.unwrap();
                assert_eq!(tcp.read_u8().await.unwrap_or(b'!'), b'!');
            }
        })
        .await;
        let mut answer = raw.client().send(post(&[b"{}"])).await.unwrap();
        let frame = answer.body.frame().await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), "data: 1\n\n");
    });
}

#[test]
fn large_bodies_pass_in_both_directions() {
    on_a_core(async {
        let raw = Raw::start(|mut tcp, _| async move {
            while let Some(request) = request(&mut tcp).await {
                let (_, body) = request.split_once("\r\n\r\n").unwrap();
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
                tcp.write_all(head.as_bytes()).await.unwrap();
                tcp.write_all(body.as_bytes()).await.unwrap();
            }
        })
        .await;
        let client = raw.client();
        let digits: Vec<u8> = (0..3_000_000_u32).map(|at| b'0' + (at % 7) as u8).collect();
        for pieces in [&[&digits[..]][..], &digits.chunks(70_001).collect::<Vec<_>>(), &[b"", &digits, b"", b"x", b""]]
        {
            let answer = client.send(post(pieces)).await.unwrap();
            let body = answer.body.collect().await.unwrap().to_bytes();
            assert!(body == pieces.concat(), "the body differs");
        }
        assert_eq!(raw.connections.get(), 1);
    });
}
