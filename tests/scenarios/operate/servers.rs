//! Servers that are added, refused, imported and removed, with a keeper that starts them.

use toolgate_tests::gate::program;
use toolgate_tests::site::Site;

fn unruly() -> String {
    program("unruly").display().to_string()
}

async fn site() -> Site {
    let mut site = Site::new();
    site.start_keeper().await;
    site.start().await;
    site
}

#[tokio::test]
async fn a_server_is_added_and_its_tools_are_listed() {
    let site = site().await;
    let dry = site.toolgate(&["server", "add", "files", "--dry-run", "--", "x"]).done();
    assert!(dry.out.contains("[server.files]\ncommand = [\"x\"]"), "{}", dry.out);
    assert!(site.drop_ins().is_empty());
    let said = site.toolgate(&["server", "add", "files", "--per", "session", "--env", "A=b c", "--", &unruly()]).done();
    for part in [
        "conf.d/files.toml is written.",
        "server.files added",
        "Configuration 2 is running.",
        "pid",
        "Its process id",
        "/mcp/files",
    ] {
        assert!(said.out.contains(part), "{part}: {}", said.out);
    }
    let text = site.read("conf.d/files.toml").expect("a file");
    assert!(text.contains("env.A = \"b c\"") && text.contains("instances.per = \"session\""), "{text}");
    let listed = site.toolgate(&["server", "list"]).done();
    assert!(listed.out.contains("files") && listed.out.contains("stdio"), "{}", listed.out);
    let again = site.toolgate(&["server", "add", "files", "--", &unruly()]);
    assert_eq!(again.code, 1);
    assert!(again.err.contains("exists already") && again.err.contains("--force"), "{}", again.err);
    let forced =
        site.toolgate(&["server", "add", "files", "--force", "--json", "--", &unruly(), "--ignore-eof"]).done();
    assert_eq!(forced.json()["tools"]["tools"][0]["name"], "pid");

    let removed = site.toolgate(&["server", "remove", "files"]).done();
    assert!(removed.out.contains("server.files removed"), "{}", removed.out);
    assert!(site.drop_ins().is_empty());
    site.toolgate(&["config", "rollback", "--yes"]).done();
    assert!(site.read("conf.d/files.toml").is_some_and(|text| text.contains("--ignore-eof")));
    let (status, tools) = site.control("GET", "/v1/servers/files/tools").await;
    assert_eq!((status, &tools["tools"][0]["name"]), (200, &"pid".into()), "{tools}");
}

#[tokio::test]
async fn a_server_that_does_not_start_says_why_and_leaves_no_trace() {
    let site = site().await;
    let script = "echo the database is missing >&2; exit 3";
    let said = site.toolgate(&["server", "add", "bad", "--", "sh", "-c", script]);
    assert_eq!(said.code, 1, "{said:?}");
    for part in ["the database is missing", "status 3", "as it was before", "server try"] {
        assert!(said.err.contains(part), "{part}: {}", said.err);
    }
    assert!(site.drop_ins().is_empty());
    let status = site.toolgate(&["status", "--json"]);
    assert_eq!(status.json()["servers"].as_array().map(Vec::len), Some(0), "{status:?}");
    assert!(!site.path("run/servers/bad.sock").exists(), "the keeper was told too");
    let history = site.toolgate(&["config", "history", "--json"]).done().json();
    assert_eq!((&history["running"], history["revisions"].as_array().map(Vec::len)), (&1.into(), Some(1)), "{history}");

    let missing = site.toolgate(&["server", "add", "bad", "--", "no-such-program-here"]);
    assert_eq!(missing.code, 1);
    assert!(missing.err.contains("no such program"), "{}", missing.err);
    let unreachable = site.toolgate(&["server", "add", "web", "http://127.0.0.1:1/mcp"]);
    assert_eq!(unreachable.code, 1, "{unreachable:?}");
    assert!(site.drop_ins().is_empty());

    let kept = site.toolgate(&["server", "add", "bad", "--keep", "--", "sh", "-c", script]);
    assert_eq!((kept.code, site.drop_ins()), (1, vec!["bad.toml".to_owned()]));
}

#[tokio::test]
async fn a_table_that_the_gate_refuses_is_taken_away_again() {
    let site = site().await;
    let said = site.toolgate(&["server", "add", "files", "--set", "max_cals=3", "--", &unruly()]);
    assert_eq!(said.code, 78, "{said:?}");
    assert!(said.err.contains("max_calls") && said.err.contains("files are as they were"), "{}", said.err);
    assert!(site.drop_ins().is_empty());
    assert_eq!(site.control("GET", "/v1/version").await.1["revision"], 1);
}

#[tokio::test]
async fn without_a_daemon_a_server_is_written_and_checked() {
    let site = Site::new();
    let config = site.path("toolgate.toml").display().to_string();
    let said = site.toolgate(&["server", "add", "files", "--config", &config, "--", "x"]).done();
    assert!(said.out.contains("systemctl start toolgated"), "{}", said.out);
    assert_eq!(site.drop_ins(), ["files.toml"]);
    let said = site.toolgate(&["server", "add", "more", "--set", "nonsense=3", "--config", &config, "--", "x"]);
    assert_eq!(said.code, 78, "{said:?}");
    assert_eq!(site.drop_ins(), ["files.toml"]);
}

#[tokio::test]
async fn a_desktop_clients_file_becomes_a_file_per_server() {
    let site = site().await;
    let desktop = serde_json::json!({ "mcpServers": {
        "First One": { "command": unruly(), "env": { "API_TOKEN": "canary-canary" } },
        "second": { "url": "http://127.0.0.1:1/mcp", "headers": { "Authorization": "Bearer canary-canary" } },
        "third": { "note": "neither" },
    } });
    site.write("desktop.json", &desktop.to_string());
    let file = site.path("desktop.json").display().to_string();
    let dry = site.toolgate(&["server", "import", &file, "--dry-run"]).done();
    assert!(dry.out.contains("[server.first-one]") && site.drop_ins().is_empty(), "{}", dry.out);
    assert!(!dry.out.contains("canary"), "{}", dry.out);
    let said = site.toolgate(&["server", "import", &file]).done();
    assert!(said.err.contains("third: was left out") && said.out.contains("server.first-one added"), "{said:?}");
    assert_eq!(site.drop_ins(), ["first-one.toml", "second.toml"]);
    let (_, tools) = site.control("GET", "/v1/servers/first-one/tools").await;
    assert_eq!(tools["tools"][0]["name"], "pid", "{tools}");
    assert_eq!(site.read("secrets/second.authorization").as_deref(), Some("canary-canary\n"));
    let mode =
        |name: &str| std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(site.path(name)).expect("a file")) & 0o777;
    assert_eq!((mode("secrets/second.authorization"), mode("secrets/first-one.api-token")), (0o640, 0o600));
    assert_eq!(site.toolgate(&["server", "import", &file]).code, 1, "nothing is written over");
}

#[tokio::test]
async fn only_a_server_with_a_file_of_its_own_is_removed() {
    let mut site = Site::new();
    site.write("conf.d/web.toml", "[server.web]\nendpoints = \"http://127.0.0.1:1/mcp\"\n\n[tier.free]\nlimits = []\n");
    site.write("conf.d/used.toml", "[server.used]\nendpoints = \"http://127.0.0.1:1/mcp\"\n");
    site.write("conf.d/profile.toml", "[profile.both]\nservers = [\"web\", \"used\"]\n");
    site.start().await;
    let shared = site.toolgate(&["server", "remove", "web"]);
    assert!(shared.code == 1 && shared.err.contains("by hand"), "{shared:?}");
    let elsewhere = site.toolgate(&["server", "remove", "other"]);
    assert!(elsewhere.code == 1 && elsewhere.err.contains("There is no"), "{elsewhere:?}");
    let used = site.toolgate(&["server", "remove", "used"]);
    assert_eq!(used.code, 78, "a profile needs it: {used:?}");
    assert_eq!(site.drop_ins(), ["profile.toml", "used.toml", "web.toml"]);
}

#[tokio::test]
async fn what_is_interrupted_is_taken_back() {
    let site = site().await;
    // It reads and never answers.
    let mut adding = site.begin_toolgate(&["server", "add", "mute", "--", "sleep", "60"]);
    let written = || std::future::ready(site.read("conf.d/mute.toml"));
    toolgate_tests::wait::until("the server's file", written).await;
    rustix::process::kill_process(rustix::process::Pid::from_child(&adding), rustix::process::Signal::INT)
        .expect("a running command");
    let ended = tokio::task::spawn_blocking(move || adding.wait()).await.expect("a thread").expect("an end");
    assert_eq!(ended.code(), Some(1));
    assert_eq!(site.read("conf.d/mute.toml"), None);
    let listed = site.toolgate(&["server", "list"]).done();
    assert!(!listed.out.contains("mute"), "{}", listed.out);
}

#[tokio::test]
async fn a_running_gate_is_not_asked_for_a_credential_that_it_cannot_have() {
    let mut site = Site::new();
    site.start().await;
    let said = site.toolgate(&["server", "add", "web", "http://127.0.0.1:1/mcp", "--bearer", "credential:web"]);
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.err.contains("file:PATH") && said.err.contains("systemctl restart toolgated"), "{}", said.err);
    assert_eq!(site.read("conf.d/web.toml"), None);
}
