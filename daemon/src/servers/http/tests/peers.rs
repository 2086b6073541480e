//! The client against servers that others wrote: hyper for HTTP, rustls for TLS.

use std::convert::Infallible;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{Full, combinators::UnsyncBoxBody};
use hyper::body::{Frame, Incoming};
use hyper_util::rt::TokioIo;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::TlsAcceptor;

use super::*;

/// Sends bodies back, with a number of chunks that the request asks for; 0 means Content-Length.
async fn echo(request: Request<Incoming>) -> Result<Response<UnsyncBoxBody<Bytes, Infallible>>, Infallible> {
    let chunks: usize = request.headers()["x-chunks"].to_str().unwrap().parse().unwrap();
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let body = if chunks == 0 {
        Full::new(body).boxed_unsync()
    } else {
        let size = body.len().div_ceil(chunks).max(1);
        let pieces: Vec<_> = body.chunks(size).map(|piece| Ok(Frame::data(Bytes::copy_from_slice(piece)))).collect();
        Pieces(pieces.into_iter()).boxed_unsync()
    };
    Ok(Response::builder().status(201).header("x-seen", chunks.to_string()).body(body).unwrap())
}

/// The pieces of a vector as a body.
struct Pieces(std::vec::IntoIter<Result<Frame<Bytes>, Infallible>>);

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        std::task::Poll::Ready(self.0.next())
    }
}

#[test]
fn hyper_and_the_client_understand_each_other() {
    on_a_core(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = server(listener.local_addr().unwrap(), |_, _| {}).client(0);
        let connections = Rc::new(Cell::new(0));
        let counted = Rc::clone(&connections);
        tokio::task::spawn_local(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                counted.set(counted.get() + 1);
                let service = hyper::service::service_fn(echo);
                let serve = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(tcp), service);
                tokio::task::spawn_local(async move { serve.await.unwrap() });
            }
        });
        let mut runner = TestRunner::new(Config::with_cases(0));
        let body = prop_oneof![
            4 => prop::collection::vec(any::<u8>(), 0..300),
            1 => prop::collection::vec(any::<u8>(), 30_000..90_000),
        ];
        let case = (body, 0..5_usize, 1..6_usize);
        for _ in 0..300 {
            let (body, chunks, pieces) = case.new_tree(&mut runner).unwrap().current();
            let pieces: Vec<&[u8]> = body.chunks(body.len().div_ceil(pieces).max(1)).collect();
            let text = chunks.to_string();
            let headers: &[(&str, &[u8])] = &[("X-Chunks", text.as_bytes())];
            let answer = client.send(Outgoing { headers, ..post(&pieces) }).await.unwrap();
            assert_eq!((answer.status, answer.headers.get("X-Seen")), (201, Some(text.as_bytes())));
            let received = answer.body.collect().await.unwrap().to_bytes();
            assert!(received == body, "{} bytes in {chunks} chunks differ", body.len());
        }
        assert_eq!(connections.get(), 1, "every connection is kept");
    });
}

/// A throw-away authority in a file, and a certificate of it for `names`.
struct Authority {
    folder: tempfile::TempDir,
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = rcgen::KeyPair::generate().unwrap();
        let own = params.self_signed(&key).unwrap();
        std::fs::write(folder.path().join("ca.pem"), own.pem()).unwrap();
        Self { folder, issuer: rcgen::Issuer::new(params, key) }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn certificate(&self, name: &str) -> (rcgen::Certificate, rcgen::KeyPair) {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.signed_by(&key, &self.issuer).unwrap(), key)
    }

    /// A server for `name` that answers with how its handshake went, and asks for a client certificate if told to.
    async fn serve(&self, name: &str, ask: bool) -> SocketAddr {
        self.serve_choosing(name, ask, &[]).await
    }

    /// The same that chooses the first of these protocols that it is offered.
    async fn serve_choosing(&self, name: &str, ask: bool, protocols: &[&str]) -> SocketAddr {
        let (certificate, key) = self.certificate(name);
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = if ask {
            let mut roots = rustls::RootCertStore::empty();
            roots.add(self.issuer_certificate()).unwrap();
            let verifier =
                rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
            builder.with_client_cert_verifier(verifier)
        } else {
            builder.with_no_client_auth()
        };
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let mut config = builder.with_single_cert(vec![certificate.der().clone()], key).unwrap();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::task::spawn_local(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::task::spawn_local(async move {
                    let Ok(mut tls) = acceptor.accept(tcp).await else { return };
                    if tls.get_ref().1.alpn_protocol() == Some(b"h2") {
                        let mut connection = h2::server::handshake(tls).await.unwrap();
                        while let Some(Ok((_, mut reply))) = connection.accept().await {
                            let mut stream = reply.send_response(Response::new(()), false).unwrap();
                            stream.send_data(Bytes::from_static(b"in HTTP/2"), true).unwrap();
                        }
                        return;
                    }
                    let how = tls.get_ref().1.handshake_kind().unwrap();
                    let how = if how == rustls::HandshakeKind::Resumed { "resumed" } else { "anew" };
                    let mut seen = Vec::new();
                    while tls.read_buf(&mut seen).await.is_ok_and(|count| count > 0) {
                        if seen.ends_with(b"{}") {
                            seen.clear();
                            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{how}", how.len());
                            tls.write_all(answer.as_bytes()).await.unwrap();
                        }
                    }
                });
            }
        });
        address
    }

    fn issuer_certificate(&self) -> rustls::pki_types::CertificateDer<'static> {
        use rustls::pki_types::pem::PemObject;
        rustls::pki_types::CertificateDer::from_pem_file(self.file("ca.pem")).unwrap()
    }
}

/// Settings for `https://`, verified against `ca`.
fn secured(address: SocketAddr, ca: &Path, change: impl FnOnce(&mut settings::Http)) -> Arc<HttpServer> {
    server(address, |http, _| {
        http.endpoints[0].tls = true;
        http.tls.ca = Some(ca.to_owned());
        change(http);
    })
}

#[test]
fn tls_is_verified_kept_and_resumed() {
    on_a_core(async {
        let authority = Authority::new();
        let address = authority.serve("127.0.0.1", false).await;
        let server = secured(address, &authority.file("ca.pem"), |http| http.pool.max_connections = 2);
        let client = server.client(0);
        assert_eq!(call(&client).await.1, "anew");
        assert_eq!(call(&client).await.1, "anew", "the same connection");
        assert_eq!(server.open_connections(), 1);
        let (first, second) = tokio::join!(call(&client), call(&client));
        assert_eq!((first.1.as_str(), second.1.as_str()), ("anew", "resumed"));
    });
}

#[test]
fn over_tls_the_server_chooses_http2_or_http1() {
    on_a_core(async {
        let authority = Authority::new();
        let ca = authority.file("ca.pem");
        for (protocols, answers) in [
            (&["h2", "http/1.1"][..], ["in HTTP/2", "in HTTP/2"]),
            (&["http/1.1"], ["anew", "anew"]),
            (&[], ["anew", "anew"]),
        ] {
            let address = authority.serve_choosing("127.0.0.1", false, protocols).await;
            let server = secured(address, &ca, |http| http.pool.http2 = true);
            for answer in answers {
                assert_eq!(call(&server.client(0)).await.1, answer, "{protocols:?}");
            }
            assert_eq!(server.open_connections(), 1, "{protocols:?}");
            // Who has not asked for it is not spoken to in HTTP/2.
            assert_eq!(call(&secured(address, &ca, |_| {}).client(0)).await.1, "anew");
        }
    });
}

#[test]
fn a_tls_connection_moves_between_cores() {
    on_a_core(async {
        let authority = Authority::new();
        let address = authority.serve("127.0.0.1", false).await;
        let server = secured(address, &authority.file("ca.pem"), |http| http.pool.max_connections = 1);
        assert_eq!(call(&server.client(0)).await.1, "anew");
        let there = Arc::clone(&server);
        let (tell, told) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || on_a_core(async move { tell.send(call(&there.client(1)).await.1).unwrap() }));
        assert_eq!(told.await.unwrap(), "anew", "the same connection, now on another core");
        assert_eq!(server.open_connections(), 1);
    });
}

#[test]
fn the_name_can_be_overridden_and_must_match() {
    on_a_core(async {
        let authority = Authority::new();
        let address = authority.serve("mcp.example", false).await;
        let ca = authority.file("ca.pem");
        let named = secured(address, &ca, |http| http.tls.server_name = Some("mcp.example".to_owned()));
        assert_eq!(call(&named.client(0)).await.1, "anew");
        let error = secured(address, &ca, |_| {}).client(0).send(post(&[b"{}"])).await.unwrap_err();
        assert_eq!((error.kind, error.sent), (SendErrorKind::Tls, false));

        let stranger = Authority::new();
        let other = secured(address, &stranger.file("ca.pem"), |http| {
            http.tls.server_name = Some("mcp.example".to_owned());
        });
        assert_eq!(other.client(0).send(post(&[b"{}"])).await.unwrap_err().kind, SendErrorKind::Tls);
    });
}

#[test]
fn a_client_certificate_is_shown_where_configured() {
    on_a_core(async {
        let authority = Authority::new();
        let address = authority.serve("127.0.0.1", true).await;
        let (certificate, key) = authority.certificate("gate.example");
        let (chain, secret) = (authority.file("chain.pem"), authority.file("key.pem"));
        std::fs::write(&chain, certificate.pem()).unwrap();
        std::fs::write(&secret, key.serialize_pem()).unwrap();
        let server = secured(address, &authority.file("ca.pem"), |http| {
            http.tls.client = Some(settings::CertificateFiles { chain, key: secret });
        });
        assert_eq!(call(&server.client(0)).await.1, "anew");
        let bare = secured(address, &authority.file("ca.pem"), |_| {});
        assert!(bare.client(0).send(post(&[b"{}"])).await.is_err());
    });
}

#[test]
fn files_that_are_not_certificates_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    for content in [None, Some("nothing")] {
        if let Some(content) = content {
            std::fs::write(&file, content).unwrap();
        }
        let tls = settings::UpstreamTls { ca: Some(file.clone()), ..settings::UpstreamTls::default() };
        let error = tls::client(&tls).err().unwrap();
        assert!(error.contains("ca.pem"), "{error}");
    }
}
