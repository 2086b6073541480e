//! `standin [PORT]`: the stand-in MCP server on loopback; prints `{"url": …}` when it listens.
//! `standin --stdio`: the same over standard input and output.

use tokio::net::TcpListener;
use toolgate_tests::standin;

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let argument = std::env::args().nth(1);
    if argument.as_deref() == Some("--stdio") {
        return standin::serve_lines(std::io::stdin().lock(), std::io::stdout().lock());
    }
    let port: u16 = argument.map_or(0, |port| port.parse().expect("usage: standin [PORT | --stdio]"));
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    println!(r#"{{"url": "http://{}/mcp"}}"#, listener.local_addr()?);
    standin::serve(listener).await
}
