//! A request that the gate sends itself, to see that a core serves.
//!
//! The watchdog asks for it. It passes what a client's request passes, from the guard to the
//! service, but no listener, limit or queue; no client can send one, since what marks it is where
//! its connection was made.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use toolgate_protocol::forwarded::Header;

use super::connection::{Connection, Origin, Protocol};
use super::http1;
use super::open::Counters;
use crate::config::settings::{Bounds, Listener, RefusalStatus, Serve};
use crate::core::Core;

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: canary\r\nconnection: close\r\n\r\n";
const ANSWER: &[u8] = b"HTTP/1.1 204 ";
const PATIENCE: Duration = Duration::from_secs(60);

/// Sends the request on this core; an error where the answer is not the expected one.
pub async fn canary(core: Rc<Core>) -> io::Result<()> {
    let (mut near, far) = duplex(1024);
    let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
    let connection = Connection::new((nowhere, nowhere), LISTENER.clone(), Protocol::Http1, Origin::Canary);
    let run = async { http1::serve(&core, far, &Rc::new(connection), &Counters::default()).await };
    let ask = async {
        near.write_all(REQUEST).await?;
        let mut answer = Vec::new();
        near.read_to_end(&mut answer).await?;
        drop(near);
        Ok(answer)
    };
    let (ran, answer): (_, io::Result<Vec<u8>>) = tokio::join!(run, ask);
    ran?;
    if answer?.starts_with(ANSWER) { Ok(()) } else { Err(io::ErrorKind::InvalidData.into()) }
}

static LISTENER: LazyLock<Arc<Listener>> = LazyLock::new(|| {
    Arc::new(Listener {
        name: String::new(),
        addresses: Vec::new(),
        serve: Serve::default(),
        allow: None,
        trusted_proxies: Vec::new(),
        address_header: Header::default(),
        proxy_protocol: false,
        hosts: Vec::new(),
        origins: Vec::new(),
        resource: None,
        auth: Vec::new(),
        tls: None,
        redirect_to_https: None,
        key_in_path: false,
        lenient: false,
        compression: Vec::new(),
        refusal_status: RefusalStatus::Auto,
        rate_headers: false,
        bounds: Bounds {
            head_bytes: 1024,
            headers: 8,
            uri_bytes: 8,
            body_bytes: 0,
            head_timeout: PATIENCE,
            body_timeout: PATIENCE,
            keep_alive: PATIENCE,
            connections: 1,
            connections_per_address: 1,
            streams: 1,
        },
        security_headers: Vec::new(),
        limits: Vec::new(),
    })
});
