//! Lists show what the client may use, and nothing else.

use serde_json::{Value, json};
use toolgate_tests::caller::Caller;

use crate::stage::{Stage, WAYS};

/// A list with all of its pages, sorted.
async fn all(client: &Caller, method: &str, member: &str, name: &str) -> Vec<String> {
    let (mut found, mut cursor) = (Vec::new(), Value::Null);
    loop {
        let params = if cursor.is_null() { json!({}) } else { json!({"cursor": cursor}) };
        let page = client.request("1", method, params).await.answer().await;
        let entries = page["result"][member].as_array().unwrap_or_else(|| panic!("no {member}: {page}"));
        found.extend(entries.iter().map(|entry| entry[name].as_str().expect("a name").to_owned()));
        cursor = page["result"]["nextCursor"].clone();
        if cursor.is_null() {
            found.sort();
            return found;
        }
    }
}

#[tokio::test]
async fn each_list_has_what_is_open_of_its_kind() {
    let stage = Stage::with(|setup| {
        setup
            .table("[role.most]\nallow = [\"*/*\"]\ndeny = [\"*/secret\", \"*/tool:fail\", \"*/prompt:*\", \"*/resource:mem://o*\"]\n")
            .table("[role.few]\nallow = [\"*/tool:echo\", \"*/resource:mem://*\"]\n")
            .table("[role.web]\nallow = [\"web/*\"]\n")
            .key("most", "roles = [\"most\"]")
            .key("fewer", "roles = [\"few\"]")
            .key("webs", "roles = [\"web\"]")
    })
    .await;
    let lists = [
        ("tools/list", "tools", "name"),
        ("prompts/list", "prompts", "name"),
        ("resources/list", "resources", "uri"),
        ("resources/templates/list", "resourceTemplates", "uriTemplate"),
    ];
    for way in WAYS {
        for (key, expected) in [
            ("most", [&["echo", "task"][..], &[], &[], &["mem://{id}"]]),
            ("fewer", [&["echo"], &[], &["mem://one"], &["mem://{id}"]]),
            ("webs", [&["echo", "fail", "secret", "task"], &["greet"], &["mem://one"], &["mem://{id}"]]),
        ] {
            if key == "webs" && way.server != "web" {
                continue;
            }
            let client = stage.client(key, way).await;
            for ((method, member, name), own) in lists.into_iter().zip(expected) {
                let found = all(&client, method, member, name).await;
                let offered = |own: &&str| if name == "name" { way.name(own) } else { way.uri(own) };
                let mut wanted: Vec<String> = own.iter().map(offered).collect();
                wanted.sort();
                // Of a merged view the other server has its own entries.
                let other = |found: &String| {
                    let marks = ["__", "+"].map(|mark| format!("{}{mark}", way.server));
                    !way.name("").is_empty() && !marks.iter().any(|mark| found.starts_with(mark))
                };
                let of_server: Vec<_> = found.into_iter().filter(|found| !other(found)).collect();
                assert_eq!(of_server, wanted, "{way:?} {key} {method}");
            }
        }
    }
}

#[tokio::test]
async fn a_merged_list_has_nothing_of_a_server_that_is_closed() {
    let stage =
        Stage::with(|setup| setup.table("[role.web]\nallow = [\"web/*\"]\n").key("webs", "roles = [\"web\"]")).await;
    for way in WAYS.into_iter().filter(|way| ["/mcp/pair", "/mcp/duo"].contains(&way.path)) {
        let client = stage.client("webs", way).await;
        let tools = all(&client, "tools/list", "tools", "name").await;
        assert!(!tools.is_empty() && tools.iter().all(|tool| tool.starts_with("web__")), "{way:?} {tools:?}");
    }
}

#[tokio::test]
async fn conditions_on_arguments_hide_nothing() {
    let stage = Stage::with(|setup| {
        setup
            .table("[role.cond]\nwhen = [{ tool = \"*/secret\", argument = \"/a\", equals = 1 }]\n")
            .key("cond", "roles = [\"cond\"]")
    })
    .await;
    for way in WAYS {
        let client = stage.client("cond", way).await;
        let tools = all(&client, "tools/list", "tools", "name").await;
        assert!(tools.contains(&way.name("secret")), "{way:?} {tools:?}");
    }
}
