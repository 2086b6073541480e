//! `standin [PORT]`: the stand-in MCP server on loopback; prints `{"url": …}` when it listens.

use tokio::net::TcpListener;

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let port: u16 = std::env::args().nth(1).map_or(0, |port| port.parse().expect("usage: standin [PORT]"));
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    println!(r#"{{"url": "http://{}/mcp"}}"#, listener.local_addr()?);
    toolgate_tests::standin::serve(listener).await
}
