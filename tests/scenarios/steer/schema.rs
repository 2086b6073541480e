//! The document of the interface, on both sockets, and reads that keep to it.

use serde_json::Value;

use crate::stage::start;

#[tokio::test]
async fn the_document_names_what_there_is_and_nothing_fails_that_it_names() {
    let (_three, gate) = start().await;
    let (status, document) = gate.control("GET", "/v1/schema").await;
    assert_eq!((status, &document["openapi"]), (200, &Value::from("3.1.0")));
    let paths = document["paths"].as_object().expect("paths");
    assert!(paths.len() > 40, "{}", paths.len());
    for (path, operations) in paths {
        for (method, operation) in operations.as_object().expect("operations") {
            assert!(
                operation["summary"].is_string() && operation["x-toolgate-socket"].is_string(),
                "{path}: {operation}"
            );
            let answer = &operation["responses"]["200"]["content"];
            assert!(
                answer["application/json"].is_object() || answer["application/jsonl"].is_object(),
                "{path}: {answer}"
            );
            if method != "get" || answer["application/jsonl"].is_object() {
                continue;
            }
            // What names nothing that is there says so.
            let (status, said) = gate.control("GET", &path.replace("{name}", "web")).await;
            assert!([200, 400, 404].contains(&status), "{path}: {status} {said}");
            assert!(status == 200 || said["message"].is_string(), "{path}: {said}");
        }
    }
}
