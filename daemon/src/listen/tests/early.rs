//! Requests that are refused before their body was read, over HTTP/2: the connection's window is not used up by them.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::time::timeout;

use crate::config::settings::{AuthMethod, Serve};
use crate::listen::fixture::{Gate, PATIENCE, certificate, client, handshake, listener, settings, tls};

/// Status, whether it names a connection, and body of the answer to a POST without a key.
async fn refused(sender: &mut SendRequest<Full<Bytes>>, body: String) -> (StatusCode, bool, String) {
    let request = Request::post("https://localhost/mcp").header(CONTENT_TYPE, "application/json");
    let request = request.body(Full::from(body)).expect("a request");
    let answer = timeout(PATIENCE, sender.send_request(request)).await.expect("in time").expect("an answer");
    let (head, body) = answer.into_parts();
    // The gate resets what is left of the request once its answer is out.
    let text = timeout(PATIENCE, body.collect()).await.expect("in time").expect("a body").to_bytes();
    let text = String::from_utf8_lossy(&text).into_owned();
    (head.status, head.headers.contains_key(CONNECTION), text)
}

#[tokio::test]
async fn long_bodies_of_refused_requests_do_not_stall_the_others() {
    let folder = tempfile::tempdir().expect("a folder");
    let files = certificate(folder.path(), "one", &["localhost"]);
    let mut public = listener("public");
    public.serve = Serve { mcp: true, ..Serve::default() };
    public.auth = vec![AuthMethod::Key];
    public.tls = Some(tls(vec![files.clone()]));
    let gate = Gate::start(settings(vec![public]));
    let address = gate.listeners.addresses("public")[0];
    let stream = handshake(address, &Arc::new(client(&[&files], &["h2"])), "localhost").await.expect("a handshake");
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.expect("HTTP/2");
    tokio::spawn(connection);
    for number in 0..20 {
        let long = format!(r#"{{"jsonrpc":"2.0","id":{number},"method":"ping","params":"{}"}}"#, "x".repeat(900_000));
        let (status, closes, text) = refused(&mut sender, long).await;
        assert_eq!((status, closes), (StatusCode::UNAUTHORIZED, false));
        assert!(text.contains(&format!(r#""id":{number},"#)), "{text}");
        let (status, _, text) = refused(&mut sender, r#"{"jsonrpc":"2.0","method":"ping","id":"z"}"#.into()).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED);
        assert!(text.contains(r#""id":"z""#), "{text}");
    }
}
