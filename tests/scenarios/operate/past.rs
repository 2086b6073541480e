//! History, diff and rollback.

use std::os::unix::fs::{MetadataExt, PermissionsExt};

use toolgate_tests::site::Site;
use toolgate_tests::wait;

use super::server;

#[tokio::test]
async fn twenty_revisions_are_kept_and_outlive_the_daemon() {
    let mut site = Site::new();
    site.start().await;
    for number in 2..=24 {
        site.write("conf.d/more.toml", &server(number));
        let said = site.toolgate(&["config", "reload", "--reason", &format!("number {number}")]).done();
        assert!(said.out.contains(&format!("Configuration {number} is running.")), "{said:?}");
    }
    let history = site.toolgate(&["config", "history", "--json"]).done().json();
    let revisions = history["revisions"].clone();
    assert_eq!((revisions.as_array().map(Vec::len), &history["running"]), (Some(20), &24.into()));
    assert_eq!((&revisions[0]["revision"], &revisions[19]["revision"]), (&24.into(), &5.into()));
    assert_eq!(revisions[0]["reason"], "number 24");
    assert!(revisions[0]["who"].as_str().expect("who").starts_with("uid "), "{history}");
    site.stop().await;
    let offline =
        site.toolgate(&["config", "history", "--state-dir", &site.path("state").display().to_string()]).done();
    assert!(offline.out.contains("24*"), "{}", offline.out);
    site.start().await;
    assert_eq!(site.toolgate(&["config", "history", "--json"]).done().json()["revisions"], revisions);
    site.toolgate(&["config", "reload"]).done();
    assert_eq!(
        site.toolgate(&["config", "history", "--json"]).done().json()["revisions"],
        revisions,
        "the same files are no new revision"
    );
    let folder = site.path("state/config");
    let files: Vec<_> = std::fs::read_dir(&folder).expect("a folder").map(|file| file.expect("a file")).collect();
    assert_eq!(files.len(), 20);
    for file in files {
        assert_eq!(file.metadata().expect("a file").mode() & 0o777, 0o600, "{file:?}");
    }
}

#[tokio::test]
async fn going_back_brings_back_every_byte_and_the_mode_and_deletes_nothing() {
    let mut site = Site::new();
    let first = "# ünusual\r\n[tier.free]\n  limits = [ ]";
    site.write("conf.d/a.toml", first);
    site.write("conf.d/b.toml", &server(1));
    std::fs::set_permissions(site.path("conf.d/a.toml"), PermissionsExt::from_mode(0o604)).expect("chmod");
    site.start().await;
    site.write("conf.d/a.toml", "[tier.paid]\nlimits = []\n");
    std::fs::remove_file(site.path("conf.d/b.toml")).expect("a file");
    site.write("conf.d/c.toml", &server(2));
    site.toolgate(&["config", "reload"]).done();

    let looked = site.toolgate(&["config", "rollback", "--dry-run"]).done();
    for part in ["-[tier.paid]", "+[tier.free]", "conf.d/b.toml would be written back", "rolled-back-1"] {
        assert!(looked.out.contains(part), "{part}: {}", looked.out);
    }
    assert_eq!(site.drop_ins(), ["a.toml", "c.toml"], "a dry run writes nothing");
    let unasked = site.toolgate(&["config", "rollback"]);
    assert_eq!(unasked.code, 2, "nobody is at the terminal to say yes: {unasked:?}");
    let said = site.toolgate(&["config", "rollback", "--yes"]).done();
    assert!(said.out.contains("server.s2 removed"), "{}", said.out);
    assert!(said.out.contains("Configuration 3 is running."), "{}", said.out);
    assert_eq!(site.read("conf.d/a.toml").expect("a file"), first);
    assert_eq!(std::fs::metadata(site.path("conf.d/a.toml")).expect("a file").mode() & 0o777, 0o604);
    assert_eq!(site.read("conf.d/b.toml").expect("a file"), server(1));
    assert_eq!(site.drop_ins(), ["a.toml", "b.toml", "c.toml.rolled-back-1"]);
    assert_eq!(site.read("conf.d/c.toml.rolled-back-1").expect("a file"), server(2));
    let history = site.toolgate(&["config", "history", "--json"]).done().json();
    assert_eq!(history["revisions"][0]["reason"], "rollback to revision 1");
}

#[tokio::test]
async fn a_typing_error_is_undone_by_going_back_to_what_runs() {
    let mut site = Site::new();
    site.write("conf.d/a.toml", &server(1));
    site.start().await;
    site.write("conf.d/a.toml", &server(1).replace("max_calls", "max_cals"));
    let refused = site.toolgate(&["config", "reload"]);
    assert_eq!(refused.code, 78);
    assert!(refused.err.contains("a.toml:3:1") && refused.err.contains("max_calls"), "{}", refused.err);
    assert!(refused.err.trim_end().ends_with("revision 1 is still serving."), "{}", refused.err);
    wait::until("the refusal in the log", async || {
        site.log().contains("max_cals`").then_some(()).filter(|()| site.log().contains("revision 1 is still serving"))
    })
    .await;
    site.toolgate(&["config", "rollback", "--yes"]).done();
    assert_eq!(site.read("conf.d/a.toml").expect("a file"), server(1));
    let history = site.toolgate(&["config", "history", "--json"]).done().json();
    assert_eq!(history["running"], 1, "it is the revision that ran all the time");
    let again = site.toolgate(&["config", "rollback", "--yes"]);
    assert_eq!(again.code, 1, "there is nothing before: {again:?}");
}

#[tokio::test]
async fn a_diff_tells_costs_or_texts() {
    let mut site = Site::new();
    site.write("conf.d/a.toml", &server(1));
    site.start().await;
    let nothing = site.toolgate(&["config", "diff"]).done();
    assert!(nothing.out.contains("would change nothing"), "{}", nothing.out);
    std::fs::remove_file(site.path("conf.d/a.toml")).expect("a file");
    site.write("conf.d/b.toml", &server(2));
    let costs = site.toolgate(&["config", "diff"]).done();
    assert!(costs.out.contains("server.s1 removed: its sessions end"), "{}", costs.out);
    assert!(costs.out.contains("server.s2 added"), "{}", costs.out);
    site.toolgate(&["config", "reload"]).done();
    let texts = site.toolgate(&["config", "diff", "1"]).done();
    assert!(texts.out.contains("--- conf.d/a.toml (revision 1)\n+++ /dev/null"), "{}", texts.out);
    assert!(texts.out.contains("+[server.s2]"), "{}", texts.out);
    let back = site.toolgate(&["config", "diff", "2", "1"]).done();
    assert!(back.out.contains("+[server.s1]"), "{}", back.out);
    assert_eq!(site.toolgate(&["config", "diff", "7"]).code, 1);
}

#[tokio::test]
async fn texts_are_for_the_control_socket_and_hold_what_reports_mask() {
    let mut site = Site::new();
    site.write("conf.d/a.toml", &format!("{}bearer = \"canary-canary-canary\"\n", server(1)));
    site.start().await;
    let (status, revision) = site.control("GET", "/v1/config/history/1").await;
    assert_eq!(status, 200);
    let texts = revision["files"].to_string();
    assert!(texts.contains("canary-canary-canary"), "{texts}");
    let (_, listed) = site.control("GET", "/v1/config/history").await;
    assert!(!listed.to_string().contains("canary"), "{listed}");
    assert!(!site.log().contains("canary"), "{}", site.log());
}
