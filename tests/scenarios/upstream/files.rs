//! Secrets in files, which are in use within a second after they have changed.

use std::fs;
use std::path::Path;

use toolgate_tests::fake::Speaks;
use toolgate_tests::fake::http::Http;
use toolgate_tests::gate::Setup;
use toolgate_tests::mcp::Era;
use toolgate_tests::wait;

use crate::stage::{client, echo, health, shown};

fn write(path: &Path, secret: &str) {
    let next = path.with_extension("next");
    fs::write(&next, secret).expect("a file");
    fs::rename(&next, path).expect("its place");
}

#[tokio::test]
async fn a_secret_that_changes_is_shown_without_a_reload_and_the_session_goes_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let (bearer, key) = (folder.path().join("bearer"), folder.path().join("key"));
    write(&bearer, "one\n");
    write(&key, "k1");
    let web = Http::start(Speaks::Both).await;
    let lines = format!("bearer = \"file:{}\"\nheaders.x-api = \"file:{}\"\n", bearer.display(), key.display());
    let gate = Setup::default().server("web", &(web.endpoints() + &lines)).start().await;
    let client = client(&gate, "/mcp/web", Era::Legacy, "test").await;
    assert!(echo(&client, "echo").await["result"].is_object());
    assert_eq!(shown(&web, "tools/call", "authorization"), ["Bearer one"]);
    assert_eq!(shown(&web, "tools/call", "x-api"), ["k1"]);
    write(&bearer, "two");
    write(&key, "k2");
    wait::until("the new secrets to be shown", async || {
        web.record.clear();
        assert!(echo(&client, "echo").await["result"].is_object(), "the session goes on");
        let both = (shown(&web, "tools/call", "authorization"), shown(&web, "tools/call", "x-api"));
        (both == (vec!["Bearer two".to_owned()], vec!["k2".to_owned()])).then_some(())
    })
    .await;
    assert_eq!(web.record.of("initialize").len(), 0, "nothing was opened anew");
    gate.reload().await;
    assert!(echo(&client, "echo").await["result"].is_object(), "a reload is no reason to end a session either");
}

#[tokio::test]
async fn a_broken_secret_leaves_the_one_before_in_use_and_health_says_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let bearer = folder.path().join("bearer");
    write(&bearer, "one");
    let web = Http::start(Speaks::Both).await;
    let lines = format!("bearer = \"file:{}\"\n", bearer.display());
    let gate = Setup::default().server("web", &(web.endpoints() + &lines)).start().await;
    let client = client(&gate, "/mcp/web", Era::Modern, "test").await;
    assert!(echo(&client, "echo").await["result"].is_object());
    assert_eq!(health(&gate, "web").await["status"], "healthy");
    for broken in [Some("two\nlines"), None] {
        match broken {
            Some(text) => write(&bearer, text),
            None => fs::remove_file(&bearer).expect("it was there"),
        }
        wait::until("health to tell", async || {
            let told = health(&gate, "web").await;
            let message = told["message"].as_str().unwrap_or_default().to_owned();
            (told["status"] == "warning" && message.contains("the one before still is")).then_some(())
        })
        .await;
        web.record.clear();
        assert!(echo(&client, "echo").await["result"].is_object());
        assert_eq!(shown(&web, "tools/call", "authorization"), ["Bearer one"]);
    }
    write(&bearer, "three");
    wait::until("health to be well", async || (health(&gate, "web").await["status"] == "healthy").then_some(())).await;
    web.record.clear();
    assert!(echo(&client, "echo").await["result"].is_object());
    assert_eq!(shown(&web, "tools/call", "authorization"), ["Bearer three"]);
    assert!(!gate.log().contains("three"), "a secret is in the log");
}
