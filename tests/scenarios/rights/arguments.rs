//! Conditions on arguments: every operator, at its edges, in the bytes that a client sends.

use serde_json::json;
use toolgate_tests::caller::{Caller, Reply};
use toolgate_tests::mcp::Era;

use crate::stage::{Stage, WAYS, Way};

const ROLE: &str = r#"
[role.teller]
allow = ["*/transfer", "*/echo", "*/note"]
when = [
  { tool = "*/transfer", argument = "/amount", at_least = 0.1, at_most = 1000 },
  { tool = "*/transfer", argument = "/currency", one_of = ["EUR", "CHF"], absent = "pass" },
  { tool = "*/transfer", argument = "/to", matches = "DE[0-9]+" },
  { tool = "*/transfer", argument = "/items/1/price", at_most = 1e400, absent = "pass" },
  { tool = "*/t*", argument = "/dry", equals = true, absent = "pass" },
]
"#;

async fn stage() -> Stage {
    Stage::with(|setup| setup.table(ROLE).key("teller", "roles = [\"teller\"]")).await
}

/// Calls a tool with arguments that are written out.
pub(crate) async fn call(client: &Caller, way: Way, name: &str, arguments: &str) -> Reply {
    let meta = match way.era {
        Era::Legacy => String::new(),
        Era::Modern => format!(
            ",\"_meta\":{}",
            json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}})
        ),
    };
    let name = way.name(name);
    let text = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"{name}","arguments":{arguments}{meta}}}}}"#
    );
    let mut client = client.clone();
    if way.era == Era::Modern {
        // What the body repeats cannot be read by everybody: it may hold numbers beyond all floats.
        client =
            client.with("MCP-Protocol-Version", "2026-07-28").with("Mcp-Method", "tools/call").with("Mcp-Name", &name);
    }
    client.post(&text).await
}

#[tokio::test]
async fn a_call_passes_when_all_conditions_hold() {
    let stage = stage().await;
    for way in WAYS {
        let client = stage.client("teller", way).await;
        for arguments in [
            r#"{"amount":1000,"to":"DE1"}"#,
            r#"{"amount":1e3,"to":"DE1","currency":"CHF"}"#,
            r#"{"amount":0.1,"to":"DE1","dry":true}"#,
            r#"{"amount":100e-3,"to":"\u0044E1","currency":"\u0045UR"}"#,
            r#"{"\u0061mount":1,"to":"DE1"}"#,
            r#"{"amount":1,"to":"DE1","items":[{},{"price":9e399}]}"#,
            r#"{"amount":1,"to":"DE1","items":[{"price":1e401}]}"#,
        ] {
            let reply = call(&client, way, "transfer", arguments).await;
            let (status, answer) = (reply.head.status, reply.text().await);
            assert!(status == 200 && answer.contains("\"result\""), "{way:?} {arguments} {status} {answer}");
        }
        // Conditions are about the tools that they name.
        let reply = call(&client, way, "note", r#"{"amount":5000}"#).await;
        assert!(reply.text().await.contains("\"result\""), "{way:?}");
    }
}

#[tokio::test]
async fn a_call_is_refused_by_the_first_condition_that_fails() {
    let stage = stage().await;
    let refused = [
        ("/amount", r#"{"amount":1000.00000000000000000000001,"to":"DE1"}"#),
        ("/amount", r#"{"amount":0.09999999999999999999999,"to":"DE1"}"#),
        ("/amount", r#"{"amount":1e400,"to":"DE1"}"#),
        ("/amount", r#"{"amount":-1e400,"to":"DE1"}"#),
        ("/amount", r#"{"amount":"5","to":"DE1"}"#),
        ("/amount", r#"{"amount":null,"to":"DE1"}"#),
        ("/amount", r#"{"amount":[5],"to":"DE1"}"#),
        ("/amount", r#"{"to":"DE1"}"#),
        ("/amount", r#"{"Amount":5,"to":"DE1"}"#),
        ("/amount", r#"{"amount":5,"AMOUNT":5000,"to":"DE1"}"#),
        ("/amount", r#"{"amount":5,"am\u004funt":5000,"to":"DE1"}"#),
        ("/amount", "{}"),
        ("/currency", r#"{"amount":1,"to":"DE1","currency":"eur"}"#),
        ("/currency", r#"{"amount":1,"to":"DE1","currency":null}"#),
        ("/to", r#"{"amount":1,"to":"FR1"}"#),
        ("/to", r#"{"amount":1,"to":"DE1\n"}"#),
        ("/to", r#"{"amount":1,"to":["DE1"]}"#),
        ("/to", r#"{"amount":1}"#),
        ("/items/1/price", r#"{"amount":1,"to":"DE1","items":[{},{"price":1e401}]}"#),
        ("/items/1/price", r#"{"amount":1,"to":"DE1","items":[{},{"price":"0"}]}"#),
        ("/dry", r#"{"amount":1,"to":"DE1","dry":false}"#),
        ("/dry", r#"{"amount":1,"to":"DE1","dry":1}"#),
    ];
    for way in WAYS {
        let client = stage.client("teller", way).await;
        for (argument, arguments) in refused {
            let reply = call(&client, way, "transfer", arguments).await;
            let status = reply.head.status;
            let answer = reply.answer().await;
            assert_eq!(status, if way.era == Era::Legacy { 200 } else { 403 }, "{way:?} {arguments} {answer}");
            assert_eq!(answer["error"]["code"], -31403, "{way:?} {arguments} {answer}");
            assert_eq!(answer["error"]["data"]["reason"], "forbidden", "{way:?}");
            assert_eq!(answer["error"]["data"]["argument"], argument, "{way:?} {arguments}");
            let told = answer["error"]["message"].as_str().expect("a message");
            assert!(told.contains(argument) && told.contains(&way.name("transfer")), "{way:?} {told}");
        }
        let answer = client.call("2", &way.name("echo"), json!({})).await.answer().await;
        assert!(answer.get("result").is_some(), "the session goes on: {way:?} {answer}");
    }
    assert!(stage.called().iter().all(|name| name == "echo"), "a refused call reached a server");
}

#[tokio::test]
async fn a_call_without_arguments_lacks_them() {
    let stage = stage().await;
    for way in WAYS {
        let client = stage.client("teller", way).await;
        let answer = client.request("1", "tools/call", json!({"name": way.name("transfer")})).await.answer().await;
        assert_eq!(answer["error"]["data"]["argument"], "/amount", "{way:?} {answer}");
    }
}

/// A header could say what the arguments do not, and a server act on it.
#[tokio::test]
async fn no_header_speaks_for_an_argument_that_was_judged() {
    let stage = stage().await;
    let arguments = r#"{"amount":1,"to":"DE1"}"#;
    for way in WAYS.into_iter().filter(|way| way.era == Era::Modern && way.server == "web") {
        let client = stage.client("teller", way).await.with("Mcp-Param-Amount", "1000000");
        let before = stage.called().len();
        assert!(call(&client, way, "transfer", arguments).await.text().await.contains("\"result\""), "{way:?}");
        let called = stage.three.web.record.of("tools/call");
        assert_eq!(
            (stage.called().len(), called.last().expect("a call").headers.get("mcp-param-amount")),
            (before + 1, None)
        );
        // Where no condition is, it is the server's to look at.
        call(&client, way, "note", arguments).await.text().await;
        let noted = stage.three.web.record.of("tools/call");
        assert_eq!(noted.last().expect("a call").headers["mcp-param-amount"], "1000000", "{way:?}");
    }
}
