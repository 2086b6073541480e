//! A client that may know of a tool and whose token lacks the scope for it is asked for another token, to the letter and
//! in both eras; what it may not know of is unknown. Roles come from a claim.

use serde_json::{Value, json};
use toolgate_tests::caller::{Caller, Reply};
use toolgate_tests::mcp::Era;

use crate::stage::{PATH, Stage};

const ROLES: &str = "[role.reader]\nallow = [\"web/echo\", \"web/prompt:*\"]\n\
    [role.teller]\nallow = [\"web/secret\", \"web/resource:mem://one\"]\nrequired_scopes = [\"bank:read\", \"bank:write\"]\n\
    [role.careful]\ndeny = [\"*/hold\"]\n";

async fn start() -> Stage {
    let more = |setup: toolgate_tests::gate::Setup| setup.table(ROLES).key("cashier", "roles = [\"teller\"]");
    Stage::with(more, "claims.roles = \"/realm/roles\"").await
}

/// A token of somebody with these roles and scopes, for all paths.
fn token(stage: &Stage, roles: &Value, scopes: &str) -> String {
    let mut claims = stage.claims("site", "ann");
    (claims["aud"], claims["scope"], claims["tools"]) = (json!(stage.url()), json!(scopes), json!("*"));
    claims["realm"] = json!({ "roles": roles });
    stage.token("site", &claims)
}

fn shows(caller: &Caller, token: &str) -> Caller {
    caller.clone().with("Authorization", &format!("Bearer {token}"))
}

async fn asked_for_more(stage: &Stage, reply: Reply, path: &str, what: &str) {
    let head = reply.head.clone();
    let answer = reply.answer().await;
    let error = &answer["error"];
    assert_eq!(head.status, 403, "{path}: {answer}");
    assert_eq!(
        (&error["code"], &error["data"]["reason"], &error["data"]["scope"], &answer["id"]),
        (&json!(-31403), &json!("scope-insufficient"), &json!("mcp bank:read bank:write"), &json!(5)),
        "{path}"
    );
    let message = error["message"].as_str().unwrap_or_default();
    let wanted = format!(
        "Your token lacks a scope that the {what} needs. Ask its issuer for one with all of: mcp bank:read bank:write."
    );
    assert_eq!(message, wanted, "{path}");
    let metadata = format!("{}/.well-known/oauth-protected-resource{path}", stage.url());
    let challenge = format!(
        "Bearer error=\"insufficient_scope\", error_description=\"{wanted}\", resource_metadata=\"{metadata}\", scope=\"mcp bank:read bank:write\""
    );
    assert_eq!(head.header("www-authenticate"), Some(&*challenge), "{path}");
}

async fn unknown(reply: Reply) {
    let head = reply.head.clone();
    let answer = reply.answer().await;
    assert_eq!((head.status, &answer["error"]["data"]["reason"]), (200, &json!("name-unknown")), "{answer}");
    assert_eq!((&answer["error"]["code"], head.header("www-authenticate")), (&json!(-32602), None));
}

async fn passes(reply: Reply) {
    let status = reply.head.status;
    let answer = reply.answer().await;
    assert!(status == 200 && answer.get("result").is_some(), "{status} {answer}");
}

async fn listed(client: &Caller) -> Vec<String> {
    let answer = client.request("3", "tools/list", json!({})).await.answer().await;
    let tools = answer["result"]["tools"].as_array().unwrap_or_else(|| panic!("{answer}"));
    tools.iter().filter_map(|tool| tool["name"].as_str()).map(ToOwned::to_owned).collect()
}

#[tokio::test]
async fn a_token_with_too_little_scope_is_asked_for_more_where_its_client_may_know_of_the_tool() {
    let stage = start().await;
    let roles = json!(["reader", "teller"]);
    let (few, more) = (token(&stage, &roles, "openid mcp"), token(&stage, &roles, "mcp bank:write bank:read"));
    let reader = token(&stage, &json!(["reader"]), "openid mcp");
    for (path, prefix, uri) in [(PATH, "", "mem://one"), ("/mcp", "web__", "web+mem://one")] {
        let names = ["echo", "secret", "fail"].map(|own| format!("{prefix}{own}"));
        let [echo, secret, fail] = &names;
        for era in [Era::Legacy, Era::Modern] {
            let client = stage.caller(path, era, Some(&few));
            let client = if era == Era::Legacy { client.opened().await } else { client };
            passes(client.call("5", echo, json!({})).await).await;
            let reached = stage.server.record.of("tools/call").len();
            let what = format!("tool {secret}");
            asked_for_more(&stage, client.call("5", secret, json!({})).await, path, &what).await;
            let read = client.request("5", "resources/read", json!({"uri": uri})).await;
            asked_for_more(&stage, read, path, &format!("resource {uri}")).await;
            unknown(client.call("5", fail, json!({})).await).await;
            unknown(client.call("5", &format!("{prefix}nothing"), json!({})).await).await;
            assert_eq!(stage.server.record.of("tools/call").len(), reached, "nothing of it reached the server");
            assert_eq!(listed(&client).await, [echo.as_str(), secret], "{path}: what it may know of");
            // Its session goes on with the token that it was asked for, and the one before is no better for it.
            passes(shows(&client, &more).call("5", secret, json!({})).await).await;
            asked_for_more(&stage, client.call("5", secret, json!({})).await, path, &what).await;
            // Who does not have the role knows nothing of it.
            let other = shows(&client, &reader);
            unknown(other.call("5", secret, json!({})).await).await;
            assert_eq!(listed(&other).await, [echo.as_str()], "{path}");
            // A key has what its operator gave it.
            let key = stage.gate.key_of("cashier");
            let by_key = stage.caller(path, era, Some(&key));
            let by_key = if era == Era::Legacy { by_key.opened().await } else { by_key };
            passes(by_key.call("5", secret, json!({})).await).await;
        }
    }
}

#[tokio::test]
async fn a_subscription_to_what_needs_more_scope_is_asked_for_it() {
    let stage = start().await;
    let roles = json!(["reader", "teller"]);
    let client = stage.caller(PATH, Era::Modern, Some(&token(&stage, &roles, "mcp")));
    let listen = |uri: &str| json!({"notifications": {"resourceSubscriptions": [uri]}});
    let asked = client.request("5", "subscriptions/listen", listen("mem://one")).await;
    asked_for_more(&stage, asked, PATH, "resource mem://one").await;
    let answer = client.request("5", "subscriptions/listen", listen("mem://two")).await.answer().await;
    assert_eq!(answer["error"]["data"]["reason"], "name-unknown", "{answer}");
    let legacy = stage.caller(PATH, Era::Legacy, Some(&token(&stage, &roles, "mcp"))).opened().await;
    let asked = legacy.request("5", "resources/subscribe", json!({"uri": "mem://one"})).await;
    asked_for_more(&stage, asked, PATH, "resource mem://one").await;
}

#[tokio::test]
async fn roles_of_a_claim_count_where_the_configuration_has_them() {
    let stage = start().await;
    let echo = async |roles: Value| stage.calls(PATH, &token(&stage, &roles, "mcp")).await;
    let (good, gone) = ((200, None), (404, Some("path-unknown".to_owned())));
    assert_eq!(echo(json!(["reader"])).await, good);
    assert_eq!(echo(json!("admin reader")).await, good);
    // Nothing is open to whoever has none, whatever names there are.
    assert_eq!(echo(json!(["admin", 7, ""])).await, gone);
    assert_eq!(echo(json!([])).await, gone);
    assert_eq!(echo(Value::Null).await, gone);
    // One that only denies opens what nobody else closes.
    assert_eq!(echo(json!(["careful"])).await, good);
    // Where no claim is mapped, roles in it are none.
    let mut claims = stage.claims("file", "ann");
    claims["realm"] = json!({"roles": ["teller"]});
    assert_eq!(stage.calls(PATH, &stage.token("file", &claims)).await, good);
    let told = stage.gate.log().matches("tokens name a role that the configuration does not have").count();
    assert_eq!(told, 1, "{}", stage.gate.log());
}
