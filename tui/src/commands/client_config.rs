//! `toolgate client-config`: what to paste into an MCP client.
//!
//! Clients that speak Streamable HTTP get the address and a header, those that only speak stdio get
//! `toolgate bridge`. Without a key the client's own way to refer to `TOOLGATE_KEY` is printed.

use serde_json::{Value, json};
use toolgate_admin_api::Exit;

use super::Context;
use crate::args::{Client, ClientConfig};
use crate::client::url::GateUrl;
use crate::failure::Failure;
use crate::output;

/// Stands where the key goes in files that cannot refer to the environment.
const PLACEHOLDER: &str = "YOUR_KEY";

/// What to paste, and where.
struct Paste {
    /// A sentence that names the file or the place.
    place: &'static str,
    text: String,
}

/// Prints what to paste; the place goes to standard error, so that the text can be redirected.
pub(super) fn run(context: &Context, arguments: &ClientConfig) -> Result<Exit, Failure> {
    GateUrl::parse(&arguments.url)?;
    let paste = paste(arguments)?;
    if context.json {
        output::line(&json!({ "place": paste.place, "text": paste.text }).to_string());
    } else {
        eprintln!("{}\n", paste.place);
        output::line(&paste.text);
    }
    Ok(Exit::Done)
}

fn paste(arguments: &ClientConfig) -> Result<Paste, Failure> {
    let name = &arguments.name;
    Ok(match arguments.client {
        Client::ClaudeDesktop => Paste {
            place: "Into claude_desktop_config.json (Settings, Developer, Edit Config):",
            text: pretty(&servers("mcpServers", name, &bridge(arguments)?)),
        },
        Client::Zed => Paste {
            place: "Into Zed's settings.json:",
            text: pretty(&servers("context_servers", name, &bridge(arguments)?)),
        },
        Client::ClaudeCode => {
            Paste { place: "Run this in a shell; restart Claude Code if it is running:", text: claude_code(arguments) }
        }
        Client::Cursor => Paste {
            place: "Into ~/.cursor/mcp.json or .cursor/mcp.json of a project:",
            text: pretty(&remote(arguments, "url", "${env:TOOLGATE_KEY}")),
        },
        Client::Vscode => Paste { place: "Into .vscode/mcp.json of a workspace:", text: pretty(&vscode(arguments)) },
        Client::Windsurf => Paste {
            place: "Into ~/.codeium/windsurf/mcp_config.json:",
            text: pretty(&remote(arguments, "serverUrl", "${env:TOOLGATE_KEY}")),
        },
        Client::GeminiCli => Paste {
            place: "Into ~/.gemini/settings.json:",
            text: pretty(&remote(arguments, "httpUrl", "$TOOLGATE_KEY")),
        },
        Client::Codex => Paste { place: "Into ~/.codex/config.toml:", text: codex(arguments) },
        Client::Inspector => Paste { place: "Run this in a shell:", text: inspector(arguments) },
        Client::Curl => Paste { place: "Run this in a shell:", text: curl(arguments) },
        Client::McpServers => {
            Paste { place: "Into the client's file of MCP servers:", text: pretty(&mcp_servers(arguments)) }
        }
    })
}

fn pretty(value: &Value) -> String {
    format!("{value:#}")
}

fn servers(list: &str, name: &str, server: &Value) -> Value {
    json!({ list: { name: server } })
}

/// A server over HTTP, in the shape that differs by one key between clients.
fn remote(arguments: &ClientConfig, address: &str, reference: &str) -> Value {
    let server = json!({ address: arguments.url, "headers": headers(arguments, reference) });
    servers("mcpServers", &arguments.name, &server)
}

fn mcp_servers(arguments: &ClientConfig) -> Value {
    let headers = headers(arguments, PLACEHOLDER);
    let server = json!({ "type": "http", "url": arguments.url, "headers": headers });
    servers("mcpServers", &arguments.name, &server)
}

fn headers(arguments: &ClientConfig, reference: &str) -> Value {
    let key = arguments.key.as_deref().unwrap_or(reference);
    json!({ "Authorization": format!("Bearer {key}") })
}

/// The key goes through the environment, since arguments are visible to every user.
fn bridge(arguments: &ClientConfig) -> Result<Value, Failure> {
    let mut words = vec![json!("bridge"), json!(arguments.url)];
    if let Some(ca) = &arguments.trust.ca {
        // The client starts the bridge in a folder of its own choice.
        let ca = std::path::absolute(ca).map_err(|error| Failure::local("The path of --ca cannot be used", error))?;
        words.extend([json!("--ca"), json!(ca)]);
    }
    let key = arguments.key.as_deref().unwrap_or(PLACEHOLDER);
    Ok(json!({ "command": program(), "args": words, "env": { "TOOLGATE_KEY": key } }))
}

/// This program as the client will find it: desktop programs often have another `PATH`.
fn program() -> String {
    let path = std::env::current_exe().ok();
    path.and_then(|path| path.into_os_string().into_string().ok()).unwrap_or_else(|| "toolgate".into())
}

fn claude_code(arguments: &ClientConfig) -> String {
    format!(
        "{}claude mcp add --transport http {} {} --header {}",
        trust_prefix(arguments),
        arguments.name,
        output::shell_word(&arguments.url),
        shell_header(arguments)
    )
}

fn vscode(arguments: &ClientConfig) -> Value {
    let name = &arguments.name;
    let input = format!("{name}-key");
    let headers = headers(arguments, &format!("${{input:{input}}}"));
    let mut file = servers("servers", name, &json!({ "type": "http", "url": arguments.url, "headers": headers }));
    if arguments.key.is_none() {
        file["inputs"] = json!([{
            "type": "promptString", "id": input, "description": "API key of the gate", "password": true,
        }]);
    }
    file
}

fn codex(arguments: &ClientConfig) -> String {
    let head = format!("[mcp_servers.{}]\nurl = {}\n", arguments.name, json!(arguments.url));
    match &arguments.key {
        Some(key) => {
            let value = json!(format!("Bearer {key}"));
            format!("{head}http_headers = {{ Authorization = {value} }}")
        }
        None => format!("{head}bearer_token_env_var = \"TOOLGATE_KEY\""),
    }
}

fn inspector(arguments: &ClientConfig) -> String {
    format!(
        "{}npx @modelcontextprotocol/inspector --cli {} --transport http --method tools/list --header {}",
        trust_prefix(arguments),
        output::shell_word(&arguments.url),
        shell_header(arguments)
    )
}

fn curl(arguments: &ClientConfig) -> String {
    let ca =
        arguments.trust.ca.as_ref().map(|ca| format!(" --cacert {}", output::shell_word(&ca.display().to_string())));
    let body = json!({
        "jsonrpc": "2.0", "id": 1, "method": "initialize",
        "params": {
            "protocolVersion": "2025-11-25", "capabilities": {},
            "clientInfo": { "name": "curl", "version": "1" },
        },
    });
    format!(
        "curl -i{} {} \\\n  -H {} \\\n  -H 'Content-Type: application/json' \\\n  \
         -H 'Accept: application/json, text/event-stream' \\\n  -d {}",
        ca.unwrap_or_default(),
        output::shell_word(&arguments.url),
        shell_header(arguments),
        output::shell_word(&body.to_string())
    )
}

/// The header as one word of a shell command; the reference must stay open to expansion.
fn shell_header(arguments: &ClientConfig) -> String {
    match &arguments.key {
        Some(key) => output::shell_word(&format!("Authorization: Bearer {key}")),
        None => "\"Authorization: Bearer $TOOLGATE_KEY\"".into(),
    }
}

/// Node programs take further authorities from the environment.
fn trust_prefix(arguments: &ClientConfig) -> String {
    let ca = arguments.trust.ca.as_ref();
    ca.map(|ca| format!("NODE_EXTRA_CA_CERTS={} ", output::shell_word(&ca.display().to_string()))).unwrap_or_default()
}
