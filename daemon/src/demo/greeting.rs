//! What the demo says when it is up.

use std::path::Path;

use serde_json::json;

/// Prints how to reach the demo: for people, or as one line for programs.
pub(super) fn print(as_json: bool, port: u16, folder: &Path, key: &str) {
    let url = format!("https://localhost:{port}/mcp");
    let ca = folder.join("ca.pem").display().to_string();
    if as_json {
        let line = json!({
            "url": url,
            "ca_file": ca,
            "key": key,
            "view_socket": folder.join("run/view/view.sock"),
            "control_socket": folder.join("run/control/control.sock"),
            "config": folder.join("toolgate.toml"),
        });
        println!("{line}");
        return;
    }
    let clients = json!({ "mcpServers": { "toolgate": {
        "type": "http",
        "url": url,
        "headers": { "Authorization": format!("Bearer {key}") },
    } } });
    let run = folder.join("run").display().to_string();
    println!(
        "The gate is up, in front of two small MCP servers: toys (stdio) and clock (HTTP).

  URL   {url}          all servers; {url}/toys is one
  CA    {ca}
  Key   {key}

Try it:

  curl --cacert {ca} {url} \\
    -H 'Authorization: Bearer {key}' \\
    -H 'Content-Type: application/json' -H 'Accept: application/json, text/event-stream' \\
    -H 'MCP-Protocol-Version: 2026-07-28' -H 'Mcp-Method: tools/list' \\
    -d '{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\",\"params\":{{\"_meta\":{{\"io.modelcontextprotocol/protocolVersion\":\"2026-07-28\",\"io.modelcontextprotocol/clientCapabilities\":{{}}}}}}}}'

For MCP clients (Node needs NODE_EXTRA_CA_CERTS={ca}, Python SSL_CERT_FILE={ca}):

{}

Watch it:  toolgate --socket-dir {run} status

Ctrl-C ends it and leaves nothing behind.",
        serde_json::to_string_pretty(&clients).unwrap_or_default(),
    );
}
