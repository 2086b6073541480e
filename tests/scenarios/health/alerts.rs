//! Alerts: once per cooldown and once when it is over, also across a reload; and a webhook that was away loses none.

use std::collections::BTreeSet;

use rustix::process::Signal;
use serde_json::{Value, json};
use toolgate_tests::gate::Setup;
use toolgate_tests::wait;
use toolgate_tests::webhook::Webhook;

use crate::stage::Stage;

/// A check that fails for as long as its file is not there.
fn check(name: &str, file: &std::path::Path) -> String {
    let file = file.display();
    format!("[check.{name}]\nfile = \"{file}\"\ninterval = \"50ms\"\n")
}

fn alerts(webhook: &Webhook) -> String {
    format!("[alerts]\nwebhook = {:?}\nbearer = \"abc\"\n", webhook.url())
}

/// What the webhook was told of one alert, in order.
fn told(webhook: &Webhook, id: &str) -> Vec<String> {
    let of = |said: &Value| said["state"].as_str().expect("a state").to_owned();
    webhook.taken().iter().filter(|said| said["id"] == id).map(of).collect()
}

#[tokio::test]
async fn an_alert_is_told_once_and_once_when_it_is_over_also_across_a_reload_and_a_restart() {
    let webhook = Webhook::start().await;
    let folder = tempfile::tempdir().expect("a folder");
    let beat = folder.path().join("beat");
    let setup = Setup::default().table(&alerts(&webhook)).table(&check("beat", &beat));
    let mut stage = Stage::start(setup).await;
    wait::until("the alert", async || (!told(&webhook, "check:beat").is_empty()).then_some(())).await;
    let first = webhook.taken().into_iter().find(|said| said["id"] == "check:beat").expect("the alert");
    assert_eq!((&first["severity"], &first["source"]), (&json!("warning"), &json!("toolgate")));
    assert!(
        first["message"].as_str().is_some_and(|said| said.contains("cannot be looked at"))
            && first["remedy"].is_string()
    );
    assert_eq!(webhook.authorization().as_deref(), Some("Bearer abc"));

    // A reload changes something else; what fires fires on, and is not told again.
    stage.gate.change(|setup| setup.table("[health]\ndisk = \"91%\"\n"));
    stage.gate.reload().await;
    let other = folder.path().join("other");
    stage.gate.change(|setup| setup.table(&check("other", &other)));
    stage.gate.reload().await;
    wait::until("the next alert", async || (!told(&webhook, "check:other").is_empty()).then_some(())).await;
    stage.gate.restart(Signal::TERM).await;
    // Whoever is told of a new trouble has seen again what it was told of by the process before.
    let third = folder.path().join("third");
    stage.gate.change(|setup| setup.table(&check("third", &third)));
    stage.gate.reload().await;
    wait::until("an alert of the new process", async || (!told(&webhook, "check:third").is_empty()).then_some(()))
        .await;
    std::fs::write(&beat, "").expect("a file");
    wait::until("the end", async || (told(&webhook, "check:beat").len() > 1).then_some(())).await;
    // It comes and goes within the cooldown: nobody is told.
    std::fs::remove_file(&beat).expect("removed");
    stage.alert("check:beat").await;
    std::fs::write(&beat, "").expect("a file");
    wait::until("the end of the second", async || {
        let alerts = stage.alerts().await;
        alerts.iter().any(|alert| alert["id"] == "check:beat" && alert.get("recovered_ms").is_some()).then_some(())
    })
    .await;
    std::fs::write(&other, "").expect("a file");
    wait::until("the end of the other", async || (told(&webhook, "check:other").len() > 1).then_some(())).await;
    assert_eq!(told(&webhook, "check:beat"), ["firing", "recovered"], "{:?}", webhook.taken());
    assert_eq!(told(&webhook, "check:other"), ["firing", "recovered"]);
    let log = stage.gate.log();
    assert!(log.contains("an alert is over"), "the log is told as well");
}

#[tokio::test]
async fn a_webhook_that_is_away_loses_none_also_across_a_reload_and_a_restart() {
    const MANY: usize = 40;
    let mut webhook = Webhook::start().await;
    webhook.leave();
    let folder = tempfile::tempdir().expect("a folder");
    let file = |number: usize| folder.path().join(format!("f{number}"));
    let checks: String = (0..MANY).map(|number| check(&format!("c{number}"), &file(number))).collect();
    let setup = Setup::default().table(&alerts(&webhook)).table(&checks);
    let mut stage = Stage::start(setup).await;
    let last = format!("check:c{}", MANY - 1);
    stage.alert(&last).await;
    let health = stage.until("webhook", "warning").await;
    let message = health["checks"]["webhook"]["message"].as_str().expect("a message");
    assert!(message.contains("cannot be reached") && !message.contains("secret"), "{message}");
    for number in 0..MANY {
        std::fs::write(file(number), "").expect("a file");
    }
    wait::until("all to be over", async || {
        let alerts = stage.alerts().await;
        let over = alerts.iter().filter(|alert| alert["id"].as_str().is_some_and(|id| id.starts_with("check:c")));
        over.clone().all(|alert| alert.get("recovered_ms").is_some()).then_some(over.count())
    })
    .await;
    stage.gate.change(|setup| setup.table("[health]\ndisk = \"91%\"\n"));
    stage.gate.reload().await;
    stage.gate.restart(Signal::TERM).await;
    webhook.answer(500);
    webhook.come_back();
    wait::until("a refusal", async || (webhook.refused() > 0).then_some(())).await;
    webhook.answer(200);
    let taken = wait::until("everything", async || {
        let taken = webhook.taken();
        let all = (0..MANY).all(|number| told(&webhook, &format!("check:c{number}")).len() == 2);
        all.then_some(taken)
    })
    .await;
    let numbers: Vec<_> = taken.iter().map(|said| said["number"].as_u64().expect("a number")).collect();
    assert!(numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]) && numbers[0] == 1, "{numbers:?}");
    for number in 0..MANY {
        assert_eq!(told(&webhook, &format!("check:c{number}")), ["firing", "recovered"], "c{number}");
    }
    wait::until("the webhook to be well", async || {
        stage.health().await["checks"].get("webhook").is_none().then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_alert_is_acknowledged_and_silenced_by_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let beat = folder.path().join("beat");
    let setup = Setup::default().table(&check("beat", &beat));
    let stage = Stage::start(setup).await;
    stage.alert("check:beat").await;
    let (code, said) = stage.toolgate(&["alerts", "ack", "check:beat", "--dry-run"]);
    assert!(code == 0 && said.starts_with("Nothing was changed. check:beat: seen by uid "), "{said}");
    assert_eq!(stage.alert("check:beat").await.get("acknowledged"), None);
    let (code, said) = stage.toolgate(&["alerts", "ack", "check:beat", "--reason", "I see"]);
    assert_eq!(code, 0, "{said}");
    assert!(stage.alert("check:beat").await["acknowledged"].as_str().is_some_and(|who| who.starts_with("uid ")));
    let (code, said) = stage.toolgate(&["alerts", "silence", "check:beat", "--for", "10m"]);
    assert!(code == 0 && said.contains("silenced for"), "{said}");
    let (code, said) = stage.toolgate(&["alerts", "ack", "check:none"]);
    assert!(code == 1 && said.contains("No alert check:none fires."), "{said}");
    let names: BTreeSet<_> = stage.alerts().await.iter().map(|alert| alert["id"].to_string()).collect();
    assert!(names.contains("\"check:beat\""), "{names:?}");
    let (_, listed) = stage.toolgate(&["alerts"]);
    assert!(listed.contains("check:beat") && listed.contains("silenced for"), "{listed}");
}
