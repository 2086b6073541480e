//! What the fake answers to each method and tool.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::record::Offer;
use super::{Fake, Out, Request, Said, Speaks, lock, record, say};

/// The members that a modern result must have.
const COMPLETE: &str = r#""resultType":"complete","ttlMs":60000,"cacheScope":"public""#;
/// Pause between looks for the file that a held call waits for.
const LOOK: Duration = Duration::from_millis(5);

impl Fake {
    pub(super) async fn answer(&self, request: &Request, out: &Out) {
        let foreign = request.modern || request.method == "server/discover";
        match self.speaks {
            Speaks::Touchy if foreign => return drop(out.send(Said::End)),
            Speaks::Mute if foreign => std::future::pending().await,
            _ => {}
        }
        if let Some(error) = self.wrong_era(request) {
            return fail(request, out, &error);
        }
        match request.method.as_str() {
            "initialize" => result(request, out, &self.introduction(request, "protocolVersion")),
            "server/discover" => result(request, out, &self.introduction(request, "supportedVersions")),
            "ping" | "logging/setLevel" | "resources/subscribe" | "resources/unsubscribe" => result(request, out, "{}"),
            "subscriptions/listen" => self.listen(request, out).await,
            "tools/call" if request.name == "task" => self.make_task(request, out),
            "tools/call" => self.call(request, out).await,
            method if method.starts_with("tasks/") => self.about_task(request, out).await,
            method if method.ends_with("/list") => match self.record.offered() {
                Some(offer) if offer.silent => std::future::pending().await,
                Some(offer) if offer.told => self.told(request, out),
                Some(offer) if matches!(method, "tools/list" | "prompts/list") => offered(request, &offer, out),
                _ => list(request, out),
            },
            "resources/read" => read(request, self.record.offered(), out),
            _ => echo(request, out),
        }
    }

    fn wrong_era(&self, request: &Request) -> Option<Value> {
        let modern = request.modern;
        match self.speaks {
            Speaks::Legacy if modern || request.method == "server/discover" => {
                Some(json!({"code": -32601, "message": "Method not found"}))
            }
            Speaks::Modern if !modern => Some(
                json!({"code": -32022, "message": "Unsupported version", "data": {"supported": ["2026-07-28"], "requested": "2025-11-25"}}),
            ),
            _ => None,
        }
    }

    fn introduction(&self, request: &Request, version: &str) -> String {
        let versions = if request.modern { json!(["2026-07-28"]) } else { request.params["protocolVersion"].clone() };
        let features = json!({"listChanged": true});
        let mut capabilities = json!({"tools": features, "prompts": features, "logging": {}, "completions": {},
            "resources": {"listChanged": true, "subscribe": true}});
        if request.modern {
            capabilities["extensions"] = json!({"io.modelcontextprotocol/tasks": {}});
        } else {
            capabilities["tasks"] = json!({"list": {}, "cancel": {}, "requests": {"tools": {"call": {}}}});
        }
        let own = self.record.offered().and_then(|offer| offer.version).unwrap_or_else(|| "1".to_owned());
        format!(
            r#"{{"{version}":{versions},"capabilities":{capabilities},"serverInfo":{{"name":"fake","version":"{own}","x":12345678901234567890}},"instructions":"Be kind.",{COMPLETE}}}"#
        )
    }

    /// Acknowledges a subscription and keeps its stream open until it is cancelled.
    async fn listen(&self, request: &Request, out: &Out) {
        lock(&self.streams).push((Some(request.id.clone()), out.clone()));
        let granted = &request.params["notifications"];
        say(
            out,
            &format!(
                r#"{{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{{"_meta":{{"io.modelcontextprotocol/subscriptionId":{}}},"notifications":{granted}}}}}"#,
                request.id
            ),
        );
        std::future::pending::<()>().await;
    }

    async fn call(&self, request: &Request, out: &Out) {
        let arguments = &request.params["arguments"];
        match request.name.as_str() {
            "told" => self.told(request, out),
            "fail" => result(request, out, r#"{"content":[{"type":"text","text":"It failed."}],"isError":true}"#),
            "error" => fail(request, out, &json!({"code": -32042, "message": "an error of its own", "data": {"n": 1}})),
            "odd" => {
                say(out, &format!(r#"{{"extra":{{"x":1e400}},"id":{},"result":{ODD},"jsonrpc":"2.0"}}"#, request.id));
            }
            "progress" => {
                progress(request, out);
                echo(request, out);
            }
            "ask" => self.ask_client(request, out).await,
            "ask_later" => {
                echo(request, out);
                self.ask_later(&arguments["id"].to_string());
            }
            "change" => {
                self.announce(request.modern, "notifications/tools/list_changed", &Value::Null);
                echo(request, out);
            }
            "update" => {
                self.announce(request.modern, "notifications/resources/updated", &json!({"uri": arguments["uri"]}));
                echo(request, out);
            }
            "log" => {
                say(
                    out,
                    r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"a word"}}"#,
                );
                echo(request, out);
            }
            "hold" => {
                progress(request, out);
                until_exists(Path::new(arguments["until"].as_str().unwrap_or("/"))).await;
                echo(request, out);
            }
            "steps" => {
                steps(request, out).await;
                echo(request, out);
            }
            "ticks" => {
                ticks(request, out).await;
                echo(request, out);
            }
            "silent" => std::future::pending().await,
            "exit" => drop(out.send(Said::End)),
            "link" => {
                let uri = &arguments["uri"];
                let content = json!([{"type": "resource_link", "uri": uri, "name": "l"}, {"type": "resource", "resource": {"uri": uri, "text": "t"}}]);
                result(request, out, &json!({"content": content, "resultType": "complete"}).to_string());
            }
            "garbage" => {
                drop(out.send(Said::Raw(b"this is no message".to_vec())));
                echo(request, out);
            }
            "long" => {
                let bytes = usize::try_from(arguments["bytes"].as_u64().unwrap_or(0)).unwrap_or(0);
                result(request, out, &format!(r#"{{"content":[{{"type":"text","text":"{}"}}]}}"#, "x".repeat(bytes)));
            }
            "cut" => {
                progress(request, out);
                drop(out.send(Said::End));
            }
            "status" => {
                if let Some(allowed) = arguments["allowed"].as_str() {
                    self.until_allowed(request, Path::new(allowed)).await;
                }
                let status = arguments["status"].as_u64().and_then(|status| u16::try_from(status).ok());
                drop(
                    out.send(Said::Status(status.unwrap_or(500), arguments["body"].as_str().unwrap_or("").to_owned())),
                );
            }
            "input" => input(request, out),
            _ => echo(request, out),
        }
    }

    /// Waits until the file says a number that this call, among those with the same arguments, does not exceed.
    async fn until_allowed(&self, request: &Request, allowed: &Path) {
        let calls = self.record.of("tools/call");
        let same = calls.iter().filter(|call| call.message["params"]["arguments"] == request.params["arguments"]);
        let mine = same.count();
        let number = || std::fs::read_to_string(allowed).ok().and_then(|text| text.trim().parse::<usize>().ok());
        while number().is_none_or(|number| mine > number) {
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Answers with the bytes that the scenario gave for it.
    fn told(&self, request: &Request, out: &Out) {
        let Some((media_type, body)) = self.record.told() else { return echo(request, out) };
        let token = request.token.as_deref().unwrap_or("null");
        let body = body.replace(record::ID, &request.id).replace(record::TOKEN, token);
        drop(out.send(Said::Body(media_type, body.into_bytes())));
    }

    /// A request of the server's own in the middle of a call; the client's answer is part of the result.
    async fn ask_client(&self, request: &Request, out: &Out) {
        let arguments = &request.params["arguments"];
        let id = arguments.get("id").map_or_else(|| self.mint().to_string(), Value::to_string);
        if let Some(until) = arguments["until"].as_str() {
            until_exists(Path::new(until)).await;
        }
        let method = arguments["method"].as_str().unwrap_or("elicitation/create");
        let answered = self.ask(&id, method, r#"{"message":"Which?","requestedSchema":{"type":"object"}}"#, out).await;
        result(request, out, &format!(r#"{{"content":[],"answered":{answered}}}"#));
    }
}

fn progress(request: &Request, out: &Out) {
    let Some(token) = &request.token else { return };
    say(
        out,
        &format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":{token},"progress":1,"total":2}}}}"#
        ),
    );
}

/// Numbers and strings that a model of JSON would change.
pub const ODD: &str =
    r#"{"n":123456789012345678901234567890,"z":1.0,"a":"\u0041\/","content":[],"b":1E5,"unknown":{"deep":[null,{}]}}"#;

/// A tool that a legacy server only runs as a task.
const TASK: &str = r#"{"name":"task","inputSchema":{"type":"object"},"execution":{"taskSupport":"required"}}"#;

fn list(request: &Request, out: &Out) {
    let member = match request.method.as_str() {
        "tools/list" => "tools",
        "prompts/list" => "prompts",
        "resources/list" => "resources",
        "resources/templates/list" => "resourceTemplates",
        _ => return echo(request, out),
    };
    let first = match member {
        "tools" => {
            r#"{"name":"echo","inputSchema":{"type":"object"},"big":123456789012345678901234567890},{"name":"secret","inputSchema":{"type":"object"}}"#
        }
        "prompts" => r#"{"name":"greet"}"#,
        "resources" => r#"{"uri":"mem://one","name":"one"}"#,
        _ => r#"{"uriTemplate":"mem://{id}","name":"any"}"#,
    };
    let text = match request.params["cursor"].as_str() {
        None if member == "tools" => format!(r#"{{"tools":[{first}],"nextCursor":"second",{COMPLETE}}}"#),
        None => format!(r#"{{"{member}":[{first}],{COMPLETE}}}"#),
        Some("second") => {
            format!(r#"{{"tools":[{{"name":"fail","inputSchema":{{"type":"object"}}}},{TASK}],{COMPLETE}}}"#)
        }
        Some(_) => return fail(request, out, &json!({"code": -32602, "message": "Invalid cursor"})),
    };
    result(request, out, &text);
}

fn offered(request: &Request, offer: &Offer, out: &Out) {
    let member = request.method.split('/').next().unwrap_or_default();
    let schema = if offer.schema.is_null() { json!({"type": "object"}) } else { offer.schema.clone() };
    let entry = |name: &String| {
        let mut entry = json!({"name": name, "inputSchema": schema});
        if !offer.annotations.is_null() {
            entry["annotations"] = offer.annotations.clone();
        }
        if !offer.description.is_null() {
            entry["description"] = offer.description.clone();
        }
        entry
    };
    let mut page = json!({"resultType": "complete", "ttlMs": 60000, "cacheScope": "public"});
    page[member] = offer.names.iter().map(entry).collect();
    if let Some(cursor) = &offer.cursor {
        page["nextCursor"] = json!(cursor);
    }
    for (hint, value) in offer.hints.as_object().into_iter().flatten() {
        page[hint] = value.clone();
    }
    result(request, out, &page.to_string());
}

/// A resource is what was asked; its hints are those of the offer.
fn read(request: &Request, offer: Option<Offer>, out: &Out) {
    let hints = offer.map(|offer| offer.hints).filter(|_| request.modern);
    let Some(hints) = hints.as_ref().and_then(Value::as_object) else { return echo(request, out) };
    let uri = &request.params["uri"];
    let mut contents = json!({"resultType": "complete", "contents": [{"uri": uri, "text": "t"}]});
    for (hint, value) in hints {
        contents[hint] = value.clone();
    }
    result(request, out, &contents.to_string());
}

/// A round trip of the modern era: the first answer wants input, the second repeats what came.
fn input(request: &Request, out: &Out) {
    if request.params.get("inputResponses").is_some() {
        return echo(request, out);
    }
    result(
        request,
        out,
        r#"{"resultType":"input_required","requestState":"opaque \u00e9","inputRequests":{"a":{"method":"elicitation/create","params":{"message":"Which?"}}}}"#,
    );
}

fn echo(request: &Request, out: &Out) {
    let Request { method, raw_params, .. } = request;
    let complete = if request.modern { r#","resultType":"complete""# } else { "" };
    result(request, out, &format!(r#"{{"content":[],"method":"{method}","params":{raw_params}{complete}}}"#));
}

pub(super) fn result(request: &Request, out: &Out, text: &str) {
    say(out, &format!(r#"{{"jsonrpc":"2.0","id":{},"result":{text}}}"#, request.id));
}

pub(super) fn fail(request: &Request, out: &Out, error: &Value) {
    say(out, &format!(r#"{{"jsonrpc":"2.0","id":{},"error":{error}}}"#, request.id));
}

/// Progress from 1 to `count`, each with `pad` bytes, as far as the file `allowed` says at the time.
async fn steps(request: &Request, out: &Out) {
    let (arguments, token) = (&request.params["arguments"], request.token.as_deref().unwrap_or("0"));
    let count = arguments["count"].as_u64().unwrap_or(0);
    let pad = "x".repeat(usize::try_from(arguments["pad"].as_u64().unwrap_or(0)).unwrap_or(0));
    let mut said = 0;
    while said < count {
        let allowed = arguments["allowed"].as_str().map_or(count, |path| {
            std::fs::read_to_string(path).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(said)
        });
        for step in said + 1..=allowed.min(count) {
            say(
                out,
                &format!(
                    r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":{token},"progress":{step},"message":"{pad}"}}}}"#
                ),
            );
            said = step;
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// `count` pieces of progress, the first `after` milliseconds, one `every` so many; each says when, in
/// microseconds of the system's clock.
async fn ticks(request: &Request, out: &Out) {
    let (arguments, token) = (&request.params["arguments"], request.token.as_deref().unwrap_or("0"));
    let number = |name: &str| arguments[name].as_u64().unwrap_or(0);
    tokio::time::sleep(Duration::from_millis(number("after"))).await;
    for step in 1..=number("count") {
        tokio::time::sleep(Duration::from_millis(number("every"))).await;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_micros();
        say(
            out,
            &format!(
                r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":{token},"progress":{step},"message":"{now}"}}}}"#
            ),
        );
    }
}

async fn until_exists(path: &Path) {
    while !path.exists() {
        tokio::time::sleep(LOOK).await;
    }
}
