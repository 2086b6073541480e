//! The demo server over stdio: one message per line.

use std::io::{self, BufRead, Write};
use std::rc::Rc;

use serde_json::Value;
use tokio::sync::mpsc;

use super::dialogue::Dialogue;
use super::reply::{Fault, PARSE_ERROR};

/// Serves until standard input ends. Requests run side by side; their answers come as they are done.
pub(super) async fn serve() -> io::Result<()> {
    let (lines, mut incoming) = mpsc::channel(64);
    std::thread::spawn(move || {
        for line in io::stdin().lock().lines().map_while(Result::ok) {
            if lines.blocking_send(line).is_err() {
                return;
            }
        }
    });
    let dialogue = Rc::new(Dialogue::default());
    while let Some(line) = incoming.recv().await {
        if line.trim().is_empty() {
            continue;
        }
        let Ok(message) = serde_json::from_str::<Value>(&line) else {
            write(&Fault::new(PARSE_ERROR, "this line is not JSON").response(&Value::Null));
            continue;
        };
        let dialogue = Rc::clone(&dialogue);
        tokio::task::spawn_local(async move { answer(&dialogue, &message).await });
    }
    Ok(())
}

async fn answer(dialogue: &Dialogue, message: &Value) {
    let Some(batch) = message.as_array() else {
        if let Some(reply) = dialogue.answer(message, &|notification| write(&notification)).await {
            write(&reply.body);
        }
        return;
    };
    // Of 2025-03-26; every answer in one array.
    let mut replies = Vec::new();
    for message in batch {
        replies.extend(dialogue.answer(message, &|notification| write(&notification)).await.map(|reply| reply.body));
    }
    if !replies.is_empty() {
        write(&Value::Array(replies));
    }
}

/// A client that is gone reads nothing; the end of its input ends us as well.
fn write(message: &Value) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{message}").and_then(|()| out.flush());
}
