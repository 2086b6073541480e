//! The fake over HTTP+SSE of 2024-11-05: a stream per session that names where its messages are posted.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex};

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::http::{Request, plain, read_request, stream_head};
use super::record::Record;
use super::{Fake, Out, Said, Speaks, lock};

/// A running server.
#[derive(Debug)]
pub struct Sse {
    /// What reached it, by session.
    pub record: Record,
    /// Where its streams are.
    pub url: String,
    sessions: Sessions,
}

/// The streams of all sessions, by number.
type Sessions = Arc<Mutex<HashMap<String, Out>>>;

impl Sse {
    /// Starts a server on a free port. It names `announced` as the URL for messages, where `{port}` stands for its
    /// port; the session follows as its query.
    ///
    /// # Panics
    /// When there is no port.
    pub async fn start(announced: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("its address").port();
        let announced = announced.replace("{port}", &port.to_string());
        let record = Record::create();
        let fake = Arc::new(Fake::new(Speaks::Legacy, record.clone()));
        let sessions = Sessions::default();
        let shared = Arc::clone(&sessions);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (fake, sessions, announced) = (Arc::clone(&fake), Arc::clone(&shared), announced.clone());
                tokio::spawn(async move { serve(socket, fake, sessions, announced).await.ok() });
            }
        });
        Self { record, url: format!("http://127.0.0.1:{port}/events/sse"), sessions }
    }

    /// The lines of its table that say where and what it is.
    #[must_use]
    pub fn endpoints(&self) -> String {
        format!("endpoints = [{:?}]\ntransport = \"sse\"\n", self.url)
    }

    /// Sessions whose stream is open.
    #[must_use]
    pub fn sessions(&self) -> usize {
        lock(&self.sessions).len()
    }

    /// Ends every stream, and with it its session.
    pub fn cut(&self) {
        for (_, out) in lock(&self.sessions).drain() {
            drop(out.send(Said::End));
        }
    }
}

async fn serve(mut socket: TcpStream, fake: Arc<Fake>, sessions: Sessions, announced: String) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let mut held = Vec::new();
    while let Some(request) = read_request(&mut socket, &mut held).await? {
        if request.method == "GET" {
            let number = fake.mint().to_string();
            let (out, said) = mpsc::unbounded_channel();
            lock(&sessions).insert(number.clone(), out.clone());
            lock(&fake.streams).push((None, out));
            let told = stream(&mut socket, &format!("{announced}?session={number}"), said).await;
            lock(&sessions).remove(&number);
            fake.record.write(&number, &json!({}), r#"{"closed":"stream"}"#);
            return told;
        }
        let status = take(&fake, &sessions, &request);
        socket.write_all(&plain(status, "", "")).await?;
    }
    Ok(())
}

/// Takes a message of a session; its answer goes to the session's stream.
fn take(fake: &Arc<Fake>, sessions: &Sessions, request: &Request) -> u16 {
    let number = request.target.rsplit('=').next().unwrap_or_default();
    let Some(out) = lock(sessions).get(number).cloned() else { return 404 };
    fake.record.write(number, &request.headers, &request.body);
    let (fake, body) = (Arc::clone(fake), request.body.clone());
    tokio::spawn(async move { fake.take(&body, &out).await });
    202
}

async fn stream(socket: &mut TcpStream, target: &str, mut said: mpsc::UnboundedReceiver<Said>) -> io::Result<()> {
    socket.write_all(&stream_head("")).await?;
    socket.write_all(&event("endpoint", target)).await?;
    let mut scratch = [0; 64];
    loop {
        tokio::select! {
            next = said.recv() => match next {
                Some(Said::Message(text)) => socket.write_all(&event("message", &text)).await?,
                _ => return Ok(()),
            },
            read = socket.read(&mut scratch) => if read? == 0 {
                return Ok(());
            },
        }
    }
}

fn event(kind: &str, data: &str) -> Vec<u8> {
    let event = format!("event: {kind}\ndata: {data}\n\n");
    format!("{:x}\r\n{event}\r\n", event.len()).into_bytes()
}
