//! A client of an MCP server, for `toolgate server try`: greet, list the tools, leave.
//!
//! Each era is greeted on a conversation of its own, since programs take the first request for the
//! era that they are to speak. Nothing here concerns the gate.

mod http;
mod stdio;

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use toolgate_admin_api::{Era, Tool};
use toolgate_protocol::revision::{LATEST_LEGACY, MODERN};

pub(crate) use http::Address;
pub(crate) use stdio::{Program, StartError};

/// Pages of a list that are read; a server with more of them repeats itself.
const PAGES: usize = 100;
/// For a server that may speak the modern era only, after it did not take the greeting of the other.
const SECOND_TRY: Duration = Duration::from_secs(5);

/// What a server said of itself.
#[derive(Debug)]
pub(crate) struct Found {
    /// Which era it was met in.
    pub(crate) era: Era,
    /// The revision that it answered with.
    pub(crate) revision: String,
    /// Its own name and version, where it says them.
    pub(crate) name: Option<String>,
    /// From the start to its first answer.
    pub(crate) first_answer: Duration,
    /// What it offers.
    pub(crate) tools: Vec<Tool>,
}

/// Why nothing was found out.
#[derive(Debug)]
enum Trouble {
    /// It answered the greeting with an error.
    Refused(String),
    /// It said nothing in time.
    Silent,
    /// The conversation broke off.
    Broken(String),
}

/// One conversation.
trait Peer {
    /// Sends a request and waits for the answer to it.
    async fn ask(&mut self, request: &Value) -> Result<Value, String>;

    /// Sends a notification.
    async fn tell(&mut self, notification: &Value) -> Result<(), String>;

    /// The revision that was agreed upon.
    fn agreed(&mut self, revision: &str);
}

/// Tries a program; the answer also has the last lines of its standard error.
pub(crate) async fn program(
    program: &Program,
    patience: Duration,
) -> Result<(Result<Found, String>, Vec<String>), StartError> {
    let mut peer = program.start()?;
    let legacy = within(patience, legacy(&mut peer)).await;
    let (legacy, stderr) = (explained(legacy, &mut peer), peer.end());
    let first = match legacy {
        Ok(found) => return Ok((Ok(found), stderr)),
        Err(Trouble::Broken(why)) => return Ok((Err(why), stderr)),
        Err(trouble) => trouble,
    };
    let mut peer = program.start()?;
    let second = within(patience.min(SECOND_TRY), modern(&mut peer)).await;
    let more = peer.end();
    match second {
        Ok(found) => Ok((Ok(found), more)),
        Err(_) => Ok((Err(first.sentence(patience)), stderr)),
    }
}

/// Tries a server at a URL.
pub(crate) async fn address(address: &Address, patience: Duration) -> Result<Found, String> {
    let first = match within(patience, legacy(&mut address.meet())).await {
        Ok(found) => return Ok(found),
        Err(Trouble::Broken(why)) => return Err(why),
        Err(trouble) => trouble,
    };
    let second = within(patience.min(SECOND_TRY), modern(&mut address.meet())).await;
    second.map_err(|_| first.sentence(patience))
}

impl Trouble {
    fn sentence(self, patience: Duration) -> String {
        match self {
            Self::Refused(why) => format!("It refuses to be greeted: {why}"),
            Self::Silent => format!("It did not answer within {} s.", patience.as_secs()),
            Self::Broken(why) => why,
        }
    }
}

/// A conversation that broke off because the program ended says how it ended.
fn explained(outcome: Result<Found, Trouble>, peer: &mut stdio::Running) -> Result<Found, Trouble> {
    outcome.map_err(|trouble| match trouble {
        Trouble::Broken(why) => Trouble::Broken(peer.epitaph().unwrap_or(why)),
        other => other,
    })
}

async fn within(patience: Duration, meeting: impl Future<Output = Result<Found, Trouble>>) -> Result<Found, Trouble> {
    tokio::time::timeout(patience, meeting).await.unwrap_or(Err(Trouble::Silent))
}

async fn legacy(peer: &mut impl Peer) -> Result<Found, Trouble> {
    let began = Instant::now();
    let params = json!({
        "protocolVersion": LATEST_LEGACY.as_str(), "capabilities": {}, "clientInfo": client(),
    });
    let greeting = peer.ask(&request(1, "initialize", &params)).await.map_err(Trouble::Broken)?;
    let first_answer = began.elapsed();
    let result = result(&greeting).map_err(Trouble::Refused)?;
    let revision = text(&result["protocolVersion"]).ok_or_else(|| Trouble::Refused("it names no revision".into()))?;
    peer.agreed(&revision);
    let name = name(&result["serverInfo"]);
    peer.tell(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" })).await.map_err(Trouble::Broken)?;
    let tools = tools(peer, result, None).await?;
    Ok(Found { era: Era::Legacy, revision, name, first_answer, tools })
}

async fn modern(peer: &mut impl Peer) -> Result<Found, Trouble> {
    let began = Instant::now();
    peer.agreed(MODERN.as_str());
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": MODERN.as_str(),
        "io.modelcontextprotocol/clientInfo": client(),
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    let greeting =
        peer.ask(&request(1, "server/discover", &json!({ "_meta": meta }))).await.map_err(Trouble::Broken)?;
    let first_answer = began.elapsed();
    let result = result(&greeting).map_err(Trouble::Refused)?;
    let name = name(&result["serverInfo"]).or_else(|| name(&result["_meta"]["io.modelcontextprotocol/serverInfo"]));
    let tools = tools(peer, result, Some(&meta)).await?;
    Ok(Found { era: Era::Modern, revision: MODERN.as_str().to_owned(), name, first_answer, tools })
}

/// All tools, where the greeting declares them.
async fn tools(peer: &mut impl Peer, greeting: &Value, meta: Option<&Value>) -> Result<Vec<Tool>, Trouble> {
    let mut tools = Vec::new();
    if greeting["capabilities"]["tools"].is_null() {
        return Ok(tools);
    }
    let mut cursor = Value::Null;
    for page in 0..PAGES {
        let mut params = json!({});
        if !cursor.is_null() {
            params["cursor"] = cursor.clone();
        }
        if let Some(meta) = meta {
            params["_meta"] = meta.clone();
        }
        let answer = peer.ask(&request(page + 2, "tools/list", &params)).await.map_err(Trouble::Broken)?;
        let listed = result(&answer).map_err(|why| Trouble::Broken(format!("It does not list its tools: {why}")))?;
        for tool in listed["tools"].as_array().into_iter().flatten() {
            let Some(name) = text(&tool["name"]) else { continue };
            tools.push(Tool { name, description: text(&tool["description"]), hidden: false });
        }
        match &listed["nextCursor"] {
            next if next.is_string() && *next != cursor => cursor = next.clone(),
            _ => break,
        }
    }
    Ok(tools)
}

fn request(id: usize, method: &str, params: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
}

fn client() -> Value {
    json!({ "name": "toolgate", "version": env!("CARGO_PKG_VERSION") })
}

/// The result of an answer, or what its error says.
fn result(answer: &Value) -> Result<&Value, String> {
    match answer.get("result") {
        Some(result) => Ok(result),
        None => Err(text(&answer["error"]["message"]).unwrap_or_else(|| "an error without a message".into())),
    }
}

fn name(info: &Value) -> Option<String> {
    let name = text(&info["name"])?;
    Some(text(&info["version"]).map_or(name.clone(), |version| format!("{name} {version}")))
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}
