//! TLS as clients meet it: versions, names, protocols, and certificates that change.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ProtocolVersion;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::config::settings::{CertificateFiles, TlsVersion};
use crate::listen::fixture::{Gate, answer, certificate, client, client_of, eventually, handshake, tls};
use crate::listen::tls::certificates::Certificates;

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

fn gate(certificates: &[&CertificateFiles]) -> Gate {
    let certificates = certificates.iter().map(|files| (*files).clone()).collect();
    Gate::with(|listener| listener.tls = Some(tls(certificates)))
}

#[tokio::test]
async fn both_versions_are_spoken_unless_one_is_ruled_out() {
    let folder = folder();
    let files = certificate(folder.path(), "a", &["localhost"]);
    let older = &[&rustls::version::TLS12];
    let only_1_2 = Arc::new(client_of(older, &[&files], &["http/1.1"]));
    let newest = Arc::new(client(&[&files], &["http/1.1"]));

    let gate = gate(&[&files]);
    for (config, version) in [(&newest, ProtocolVersion::TLSv1_3), (&only_1_2, ProtocolVersion::TLSv1_2)] {
        let mut stream = handshake(gate.address(), config, "localhost").await.expect("a handshake");
        assert_eq!(stream.get_ref().1.protocol_version(), Some(version));
        stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("sent");
        assert_eq!(answer(&mut stream).await.expect("answered").2, "ok");
    }

    let strict = Gate::with(|listener| {
        let mut tls = tls(vec![files.clone()]);
        tls.min_version = TlsVersion::V1_3;
        listener.tls = Some(tls);
    });
    assert!(handshake(strict.address(), &only_1_2, "localhost").await.is_err());
    assert!(handshake(strict.address(), &newest, "localhost").await.is_ok());
}

#[tokio::test]
async fn sessions_are_resumed_with_and_without_tickets() {
    let folder = folder();
    let files = certificate(folder.path(), "a", &["localhost"]);
    for tickets in [true, false] {
        let gate = Gate::with(|listener| {
            let mut tls = tls(vec![files.clone()]);
            tls.tickets = tickets;
            listener.tls = Some(tls);
        });
        let config = Arc::new(client(&[&files], &["http/1.1"]));
        let mut kinds = Vec::new();
        for _ in 0..2 {
            let mut stream = handshake(gate.address(), &config, "localhost").await.expect("a handshake");
            stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("sent");
            answer(&mut stream).await.expect("answered");
            kinds.push(stream.get_ref().1.handshake_kind());
        }
        assert_eq!(
            kinds,
            [Some(rustls::HandshakeKind::Full), Some(rustls::HandshakeKind::Resumed)],
            "tickets: {tickets}"
        );
    }
}

#[tokio::test]
async fn names_choose_the_certificate() {
    let folder = folder();
    let first = certificate(folder.path(), "first", &["first.test"]);
    let second = certificate(folder.path(), "second", &["second.test", "*.wild.test"]);
    let gate = gate(&[&first, &second]);
    let trusts_first = Arc::new(client(&[&first], &[]));
    let trusts_second = Arc::new(client(&[&second], &[]));
    for (name, config) in [
        ("first.test", &trusts_first),
        ("second.test", &trusts_second),
        ("SECOND.test", &trusts_second),
        ("a.wild.test", &trusts_second),
    ] {
        assert!(handshake(gate.address(), config, name).await.is_ok(), "{name}");
    }
    // Served the first certificate, which does not name it.
    assert!(handshake(gate.address(), &trusts_second, "a.b.wild.test").await.is_err());
    assert!(handshake(gate.address(), &trusts_second, "unknown.test").await.is_err());
}

#[tokio::test]
async fn http2_is_served_where_the_client_offers_it() {
    let folder = folder();
    let files = certificate(folder.path(), "a", &["localhost"]);
    let gate = gate(&[&files]);
    let stream = handshake(gate.address(), &Arc::new(client(&[&files], &["h2", "http/1.1"])), "localhost")
        .await
        .expect("a handshake");
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.expect("HTTP/2");
    let driver = tokio::spawn(connection);
    let get = |path: &str, headers: usize| {
        let mut request = http::Request::get(format!("https://localhost{path}"));
        for index in 0..headers {
            request = request.header(format!("x-{index}"), "y");
        }
        request.body(Empty::<bytes::Bytes>::new()).expect("a request")
    };
    let response = sender.send_request(get("/", 0)).await.expect("answered");
    assert_eq!(response.into_body().collect().await.expect("a body").to_bytes(), "ok");
    let status = |path: String, headers| {
        let answer = sender.clone().send_request(get(&path, headers));
        async move { answer.await.expect("answered").status().as_u16() }
    };
    assert_eq!(status("/".into(), 20).await, 200);
    assert_eq!(status("/".into(), 21).await, 431);
    assert_eq!(status(format!("/{}", "x".repeat(256)), 0).await, 414);
    drop(sender);
    driver.await.expect("driven").expect("closed in order");
}

#[tokio::test]
async fn a_handshake_that_takes_too_long_is_ended() {
    let folder = folder();
    let files = certificate(folder.path(), "a", &["localhost"]);
    let gate = Gate::with(|listener| {
        let mut tls = tls(vec![files.clone()]);
        tls.handshake_timeout = Duration::from_millis(50);
        listener.tls = Some(tls);
    });
    let mut silent = gate.connect().await;
    assert_eq!(silent.read(&mut [0; 8]).await.expect("closed"), 0);
    let failed = || gate.listener().counters.handshakes_failed.load(Ordering::Relaxed);
    eventually("it is counted", || failed() == 1).await;
}

#[tokio::test]
async fn a_new_certificate_is_served_to_new_connections_only() {
    let folder = folder();
    let files = certificate(folder.path(), "a", &["localhost"]);
    let gate = gate(&[&files]);
    let old = Arc::new(client(&[&files], &["http/1.1"]));
    let mut open = handshake(gate.address(), &old, "localhost").await.expect("a handshake");

    certificate(folder.path(), "a", &["localhost"]);
    let new = Arc::new(client(&[&files], &["http/1.1"]));
    let certificates = gate.listener().secured().expect("TLS").certificates.clone();
    assert!(certificates.poll(Instant::now()).is_empty());
    assert!(handshake(gate.address(), &new, "localhost").await.is_err(), "a change must come to rest first");
    assert!(certificates.poll(Instant::now()).is_empty());
    assert!(handshake(gate.address(), &new, "localhost").await.is_ok());
    open.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.expect("sent");
    assert_eq!(answer(&mut open).await.expect("answered").2, "ok");
}

#[tokio::test]
async fn a_pair_that_does_not_match_is_refused_and_the_old_one_stays() {
    let folder = folder();
    let files = certificate(folder.path(), "a", &["localhost"]);
    let other = certificate(folder.path(), "b", &["localhost"]);
    let gate = gate(&[&files]);
    let config = Arc::new(client(&[&files], &[]));
    let certificates = gate.listener().secured().expect("TLS").certificates.clone();
    let good_key = std::fs::read(&files.key).expect("a key");

    std::fs::copy(&other.key, &files.key).expect("copied");
    for broken in ["the key of another", "no key", "no file"] {
        match broken {
            "no key" => std::fs::write(&files.key, "-----BEGIN").expect("written"),
            "no file" => std::fs::remove_file(&files.key).expect("removed"),
            _ => {}
        }
        let errors = certificates.reload();
        assert_eq!(errors.len(), 1, "{broken}");
        assert!(certificates.status()[0].refused.is_some(), "{broken}");
        assert!(certificates.poll(Instant::now()).is_empty(), "said once");
        assert!(handshake(gate.address(), &config, "localhost").await.is_ok(), "{broken}");
    }

    std::fs::write(&files.key, good_key).expect("written");
    certificates.poll(Instant::now());
    assert!(certificates.poll(Instant::now()).is_empty());
    let status = &certificates.status()[0];
    assert!(status.refused.is_none());
    assert_eq!(status.names, ["localhost"]);
    assert!(status.not_after > std::time::SystemTime::now());
}

#[test]
fn files_that_do_not_match_are_refused_only_when_they_stay_so() {
    let folder = folder();
    let files = certificate(folder.path(), "a", &["localhost"]);
    let certificates = Certificates::load(std::slice::from_ref(&files)).expect("loads");
    let start = Instant::now();
    let at = |ms| start + Duration::from_millis(ms);
    // Whoever renews has written one of the two files, and takes its time with the other.
    let other = certificate(folder.path(), "b", &["localhost"]);
    std::fs::copy(&other.chain, &files.chain).expect("copied");
    for ms in [0, 300, 600] {
        assert!(certificates.poll(at(ms)).is_empty() && certificates.status()[0].refused.is_none(), "{ms} ms");
    }
    std::fs::copy(&other.key, &files.key).expect("copied");
    for ms in [900, 1_200] {
        assert!(certificates.poll(at(ms)).is_empty(), "{ms} ms");
    }
    let served = certificates.status()[0].fingerprint.clone();
    assert_eq!(served, Certificates::load(&[other]).expect("loads").status()[0].fingerprint);
    // Halves that stay apart are refused, once, and what was served goes on.
    std::fs::copy(&certificate(folder.path(), "c", &["localhost"]).key, &files.key).expect("copied");
    let said: Vec<_> = (0..12).map(|look| certificates.poll(at(2_000 + 300 * look)).len()).collect();
    assert_eq!((said.iter().sum::<usize>(), said[..7].iter().sum::<usize>()), (1, 0), "{said:?}");
    assert!(certificates.status()[0].refused.is_some() && certificates.status()[0].fingerprint == served);
}

#[tokio::test]
async fn a_renewal_behind_a_symbolic_link_is_seen() {
    let folder = folder();
    let first = certificate(folder.path(), "1", &["localhost"]);
    let second = certificate(folder.path(), "2", &["localhost"]);
    let live = CertificateFiles { chain: folder.path().join("live.pem"), key: folder.path().join("live.key") };
    let link = |to: &CertificateFiles| {
        for (target, link) in [(&to.chain, &live.chain), (&to.key, &live.key)] {
            let _ = std::fs::remove_file(link);
            std::os::unix::fs::symlink(target, link).expect("linked");
        }
    };
    link(&first);
    let gate = gate(&[&live]);
    let certificates = gate.listener().secured().expect("TLS").certificates.clone();
    link(&second);
    certificates.poll(Instant::now());
    certificates.poll(Instant::now());
    assert!(handshake(gate.address(), &Arc::new(client(&[&second], &[])), "localhost").await.is_ok());
}
