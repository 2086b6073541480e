use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::LocalSet;
use tokio::time::timeout;
use toolgate_protocol::bridge::listen;
use toolgate_protocol::revision::MODERN;

use super::*;
use crate::config;
use crate::core::Load;
use crate::gate::Gate;
use crate::policy::Policy;
use crate::servers::fixture;

const DISCOVERED: &str = r#"{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{"tools":{"listChanged":true},"prompts":{}}}"#;

/// A modern server: each subscription hears of one change and ends.
async fn serve(listener: TcpListener, subscriptions: Rc<AtomicUsize>) {
    loop {
        let (socket, _) = listener.accept().await.unwrap();
        tokio::task::spawn_local(answer(socket, Rc::clone(&subscriptions)));
    }
}

async fn answer(socket: TcpStream, subscriptions: Rc<AtomicUsize>) {
    let mut socket = BufReader::new(socket);
    while let Some(message) = fixture::message(&mut socket).await {
        let id = String::from_utf8(message.id_bytes().to_vec()).unwrap();
        let (kind, text) = if message.method() == "server/discover" {
            ("application/json", format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{DISCOVERED}}}"#))
        } else {
            subscriptions.fetch_add(1, Ordering::Relaxed);
            let wanted: serde_json::Value = serde_json::from_slice(&message.bytes).unwrap();
            assert_eq!(wanted["params"]["notifications"], serde_json::json!({"toolsListChanged": true}));
            let said = |method: &str| {
                format!(
                    "data: {{\"jsonrpc\":\"2.0\",\"method\":\"notifications/{method}\",\"params\":{{\"_meta\":{{\"io.modelcontextprotocol/subscriptionId\":{id}}}}}}}\n\n"
                )
            };
            ("text/event-stream", said("subscriptions/acknowledged") + &said("message") + &said("tools/list_changed"))
        };
        let head = format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n", text.len());
        socket.write_all((head + &text).as_bytes()).await.unwrap();
    }
}

#[test]
fn a_modern_server_is_listened_to_by_subscription_again_and_again() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let text = format!("version = 1\n[server.a]\nendpoints = \"http://{}/mcp\"\n", listener.local_addr().unwrap());
        let settings = config::from_text(&text).unwrap_or_else(|report| panic!("{}", report.render(false)));
        let gate = Gate::new(Policy::new(Arc::new(settings), None).unwrap());
        let core = Rc::new(Core::new(0, Arc::new(Load::default()), gate));
        let server = Arc::clone(&core.policy().servers["a"]);
        let subscriptions = Rc::new(AtomicUsize::new(0));
        tokio::task::spawn_local(serve(listener, Rc::clone(&subscriptions)));
        let mut heard = hear(&core, &server, MODERN);
        let listening = async {
            // One change said, one for what may have been missed, one said again; all untagged.
            for _ in 0..3 {
                assert_eq!(heard.next().await, Some(Word::Said(listen::announcement(List::Tools).into())));
            }
        };
        timeout(Duration::from_secs(20), listening).await.expect("it is not listened to");
        assert_eq!(subscriptions.load(Ordering::Relaxed), 2);
        drop(heard);
        let let_go = async {
            while !server.news.take_up(MODERN) {
                tokio::task::yield_now().await;
            }
        };
        timeout(Duration::from_secs(20), let_go).await.expect("it ends with its last reader");
    });
}
