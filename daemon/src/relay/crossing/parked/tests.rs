//! A whole gate, and a legacy server that asks something in the middle of each call.

use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpStream, UnixListener, UnixStream};
use tokio::sync::oneshot;
use tokio::task::LocalSet;

use super::*;
use crate::config;
use crate::core::Core;
use crate::instance::notice::{self, Hello};
use crate::listen::fixture::{Gate, answer, eventually};

/// Messages that reached the server.
type Reached = Rc<RefCell<Vec<Value>>>;

async fn serve(socket: UnixListener, reached: Reached) {
    loop {
        let (stream, _) = socket.accept().await.unwrap();
        tokio::task::spawn_local(instance(stream, Rc::clone(&reached)));
    }
}

async fn instance(stream: UnixStream, reached: Reached) {
    let mut stream = BufReader::new(stream);
    let hello = notice::line(&Hello { server: "old".to_owned(), pid: 7, cgroup: None });
    stream.write_all(&hello).await.unwrap();
    let mut line = String::new();
    while stream.read_line(&mut line).await.unwrap_or(0) > 0 {
        let message: Value = serde_json::from_str(&line).unwrap();
        line.clear();
        let said = match message["method"].as_str() {
            Some("initialize") => {
                let result = json!({"protocolVersion": "2025-11-25", "capabilities": {"tools": {}}, "serverInfo": {"name": "s", "version": "1"}});
                json!({"jsonrpc": "2.0", "id": message["id"], "result": result})
            }
            Some("tools/list") => json!({"jsonrpc": "2.0", "id": message["id"], "result": {"tools": []}}),
            Some("tools/call") => {
                let params = json!({"message": "Which?", "requestedSchema": {"type": "object"}});
                json!({"jsonrpc": "2.0", "id": format!("about {}", message["id"]), "method": "elicitation/create", "params": params})
            }
            Some(_) if message["id"].is_u64() => {
                json!({"jsonrpc": "2.0", "id": message["id"], "error": {"code": -32601, "message": "no"}})
            }
            _ => Value::Null,
        };
        reached.borrow_mut().push(message);
        if !said.is_null() {
            stream.write_all(format!("{said}\n").as_bytes()).await.unwrap();
        }
    }
}

fn gate(folder: &Path) -> Gate {
    let text = format!(
        "version = 1\n[daemon]\nruntime_dir = {folder:?}\n[listener.a]\naddress = \"127.0.0.1:0\"\nserve = [\"mcp\"]\nauth = [\"none\"]\n[server.old]\ncommand = [\"x\"]\n"
    );
    Gate::start(config::from_text(&text).unwrap_or_else(|report| panic!("{}", report.render(false))))
}

/// Calls a tool on a connection of its own, with these parameters beside.
async fn call(gate: &Gate, more: Value) -> Value {
    let meta = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {"elicitation": {}}});
    let mut params = json!({"name": "t", "arguments": {}, "_meta": meta});
    params.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let message = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).to_string();
    let head = format!(
        "POST /mcp/old HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\nMCP-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\nMcp-Name: t\r\nContent-Length: {}\r\n\r\n",
        message.len()
    );
    let mut client = TcpStream::connect(gate.listeners.addresses("a")[0]).await.unwrap();
    client.write_all((head + &message).as_bytes()).await.unwrap();
    serde_json::from_str(&answer(&mut client).await.unwrap().2).unwrap()
}

/// Does something on every core; gives back what each of them made of it.
async fn on_cores<T, F>(gate: &Gate, work: impl Fn(Rc<Core>) -> F + Copy + Send + 'static) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T>,
{
    let mut made = Vec::new();
    for core in 0..2 {
        let (done, outcome) = oneshot::channel();
        let job = move |core| async move { drop(done.send(work(core).await)) };
        gate.cores.try_spawn(core, job).unwrap();
        made.push(outcome.await.unwrap());
    }
    made
}

async fn pass(gate: &Gate, time: Duration) {
    let pass = move |_| async move {
        tokio::time::pause();
        tokio::time::advance(time).await;
        tokio::time::resume();
    };
    on_cores(gate, pass).await;
}

/// Calls that have a place.
async fn parked(gate: &Gate) -> usize {
    on_cores(gate, |core: Rc<Core>| async move { core.gate.parked.lock().len() }).await[0]
}

#[test]
fn a_call_whose_client_does_not_come_back_is_cancelled_and_its_place_is_free() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("servers")).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, async {
        let reached = Reached::default();
        let of = |method: &str| -> Vec<Value> {
            reached.borrow().iter().filter(|message| message["method"] == method).cloned().collect()
        };
        let socket = UnixListener::bind(folder.path().join("servers/old.sock")).unwrap();
        tokio::task::spawn_local(serve(socket, Rc::clone(&reached)));
        let gate = gate(folder.path());
        let asked = call(&gate, json!({})).await;
        assert_eq!(asked["result"]["resultType"], "input_required", "{asked}");
        let most = PATIENCE * 9 / 10;
        pass(&gate, most).await;
        assert_eq!((parked(&gate).await, of("notifications/cancelled").len()), (1, 0), "it has time left");
        pass(&gate, PATIENCE.saturating_sub(most)).await;
        eventually("its cancellation", || !of("notifications/cancelled").is_empty()).await;
        let cancelled = of("notifications/cancelled");
        assert_eq!(cancelled[0]["params"]["requestId"], of("tools/call")[0]["id"]);
        // The server's question is answered, lest it wait.
        let about = |message: &&Value| message["id"].as_str().is_some_and(|id| id.starts_with("about"));
        let answers: Vec<Value> = reached.borrow().iter().filter(about).cloned().collect();
        assert_eq!(answers.len(), 1, "{answers:?}");
        assert_eq!(answers[0]["result"]["action"], "cancel", "{answers:?}");
        assert_eq!(parked(&gate).await, 0);
        let late = call(&gate, json!({"requestState": asked["result"]["requestState"]})).await;
        assert_eq!(late["error"]["message"], parking::Lost::Gone.message(), "{late}");
        assert_eq!(of("tools/call").len(), 1, "it is not run again");
    });
}
