//! What stand-in servers of tests have in common.

use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::TcpStream;

use crate::message::Message;

/// The message of the next request over HTTP/1.1; none where the client has left.
pub(super) async fn message(socket: &mut BufReader<TcpStream>) -> Option<Message> {
    let (mut length, mut line) = (0, String::new());
    while line != "\r\n" {
        line.clear();
        if socket.read_line(&mut line).await.unwrap_or(0) == 0 {
            return None;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    socket.read_exact(&mut body).await.unwrap();
    Some(Message::parse(body.into()).unwrap())
}
