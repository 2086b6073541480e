//! The program as operators and scripts use it, before a daemon that gives fixed answers.

mod common;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::sync::{Arc, Mutex};

use common::{Answer, Request, run, serve, toolgate};
use serde_json::{Value, json};

const VERSION: &str = r#"{"version":"0.1.0","instance":"i-1","api":1,"api_minimum":1,"revision":7}"#;

struct Daemon {
    base: tempfile::TempDir,
    seen: Arc<Mutex<Vec<Request>>>,
}

impl Daemon {
    /// Both sockets give the same answers, by path.
    fn start(answers: &'static [(&'static str, &'static str, &'static str)]) -> Self {
        let base = tempfile::tempdir().expect("folder");
        let seen = Arc::new(Mutex::new(Vec::new()));
        for socket in ["view", "control"] {
            let folder = base.path().join(socket);
            fs::create_dir(&folder).expect("folder");
            let listener = UnixListener::bind(folder.join(format!("{socket}.sock"))).expect("binds");
            let seen = Arc::clone(&seen);
            std::thread::spawn(move || {
                for stream in listener.incoming().map_while(Result::ok) {
                    let reader = stream.try_clone().expect("clones");
                    serve(reader, stream, |request, answer| {
                        seen.lock().expect("lock").push(request.clone());
                        reply(answers, request, answer);
                    });
                }
            });
        }
        Self { base, seen }
    }

    fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        run(toolgate().arg("--socket-dir").arg(self.base.path()).args(arguments))
    }
}

fn reply(answers: &[(&str, &str, &str)], request: &Request, answer: &mut Answer<'_>) {
    let found = answers.iter().find(|(path, ..)| *path == request.path);
    match found {
        Some((_, status, body)) => answer.send(status, &[("content-type", "application/json")], body.as_bytes()),
        None if request.path == "/v1/version" => answer.json(&[], VERSION),
        None => answer.send("404 Not Found", &[], br#"{"code":"not_found","message":"Nothing."}"#),
    }
}

const STATUS: &str = r#"{"instance":"i-1","version":"0.1.0","revision":7,"pid":42,"started_at_ms":1,
"uptime_seconds":65,"draining":false,"ready":true,"connections":3,"sessions":2,"calls_in_flight":1,
"listeners":[{"name":"public","addresses":["127.0.0.1:8443"],"serve":["mcp"],"tls":true,"connections":3}],
"servers":[{"name":"files","state":"up","transport":"stdio","era":"legacy","critical":true,"in_flight":1,
"waiting":0,"sessions":1,"instances":{"running":2,"spares":0,"max":20,"failures":0}}],
"warnings":["A \u001b[31mred\u001b[0m warning."],"new_field":1}"#;

const DEGRADED: &str = r#"{"instance":"i-1","version":"0.1.0","revision":7,"pid":42,"started_at_ms":1,
"uptime_seconds":65,"draining":false,"ready":false,"not_ready":"server files is down","connections":0,"sessions":0,
"calls_in_flight":0,"listeners":[],"servers":[]}"#;

#[test]
fn status_is_for_people_and_never_sends_escapes() {
    let daemon = Daemon::start(&[("/v1/status", "200 OK", STATUS)]);
    let (code, out, _) = daemon.run(&["status"]);
    assert_eq!(code, 0);
    for part in ["127.0.0.1:8443", "files*", "legacy", "2/20", "1m 5s", "ready"] {
        assert!(out.contains(part), "{part} in {out}");
    }
    assert!(!out.contains('\u{1b}'), "{out}");
    assert!(out.contains("warning: A"), "{out}");
}

#[test]
fn without_a_command_the_status_is_printed_with_a_hint() {
    let daemon = Daemon::start(&[("/v1/status", "200 OK", STATUS)]);
    let (code, out, err) = daemon.run(&[]);
    assert_eq!(code, 0);
    assert!(out.contains("files*"), "{out}");
    assert!(err.contains("--help"), "{err}");
}

#[test]
fn json_is_what_the_daemon_said_unknown_fields_included() {
    let daemon = Daemon::start(&[("/v1/status", "200 OK", STATUS)]);
    let (code, out, _) = daemon.run(&["status", "--json"]);
    assert_eq!(code, 0);
    let said: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(said, serde_json::from_str::<Value>(STATUS).expect("JSON"));
}

#[test]
fn a_degraded_daemon_is_exit_status_3() {
    let daemon = Daemon::start(&[("/v1/status", "200 OK", DEGRADED)]);
    let (code, out, _) = daemon.run(&["status"]);
    assert_eq!(code, 3);
    assert!(out.contains("not ready: server files is down"), "{out}");
}

#[test]
fn a_missing_daemon_is_69_and_the_socket_is_named() {
    let base = tempfile::tempdir().expect("folder");
    let (code, _, err) = run(toolgate().env("TOOLGATE_RUNTIME_DIR", base.path()).arg("status"));
    assert_eq!(code, 69);
    let socket = base.path().join("view/view.sock").display().to_string();
    assert!(err.contains(&socket), "{err}");
    assert!(err.contains("--socket-dir"), "{err}");
    let (code, out, _) = run(toolgate().env("TOOLGATE_RUNTIME_DIR", base.path()).args(["status", "--json"]));
    assert_eq!(code, 69);
    let said: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(said["error"]["code"], "unreachable");
}

#[test]
fn a_daemon_that_died_is_69() {
    let base = tempfile::tempdir().expect("folder");
    fs::create_dir(base.path().join("view")).expect("folder");
    drop(UnixListener::bind(base.path().join("view/view.sock")).expect("binds"));
    let (code, _, err) = run(toolgate().arg("--socket-dir").arg(base.path()).arg("status"));
    assert_eq!(code, 69);
    assert!(err.contains("has ended"), "{err}");
}

/// Root may connect to everything, so as root the program runs as nobody.
#[test]
fn a_refused_connection_is_77_and_names_the_group() {
    let daemon = Daemon::start(&[]);
    let base = daemon.base.path();
    let mode = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("chmod");
    };
    mode(base, 0o755);
    mode(&base.join("control/control.sock"), 0o600);
    let connects = std::os::unix::net::UnixStream::connect(base.join("control/control.sock"));
    let mut command = if is_root() {
        let program = base.join("toolgate");
        fs::copy(env!("CARGO_BIN_EXE_toolgate"), &program).expect("copies");
        let mut command = std::process::Command::new(program);
        command.uid(65534).gid(65534);
        command
    } else {
        mode(&base.join("control/control.sock"), 0o000);
        toolgate()
    };
    connects.expect("the owner may connect");
    let (code, _, err) = run(command.arg("--socket-dir").arg(base).args(["config", "reload"]));
    assert_eq!(code, 77, "{err}");
    assert!(err.contains("toolgate-control"), "{err}");
}

/// As nobody where root runs this, else in a folder that is closed to everybody.
#[test]
fn whoever_may_not_write_is_told_to_use_sudo_and_nothing_is_written() {
    let base = tempfile::tempdir().expect("folder");
    let base = base.path();
    let main = base.join("toolgate.toml");
    fs::write(&main, "version = 1\n").expect("writes");
    let program = base.join("toolgate");
    fs::copy(env!("CARGO_BIN_EXE_toolgate"), &program).expect("copies");
    fs::set_permissions(base, fs::Permissions::from_mode(0o555)).expect("chmod");
    let mut command = std::process::Command::new(&program);
    if is_root() {
        command.uid(65534).gid(65534);
    }
    command.env_remove("TOOLGATE_RUNTIME_DIR").arg("--socket-dir").arg(base.join("run"));
    let (code, _, err) = run(command.args(["server", "add", "files", "--config"]).arg(&main).args(["--", "a b"]));
    fs::set_permissions(base, fs::Permissions::from_mode(0o755)).expect("chmod");
    assert_eq!(code, 77, "{err}");
    assert!(err.contains("`sudo toolgate --socket-dir ") && err.contains("-- 'a b'`"), "{err}");
    assert!(!base.join("conf.d").exists());
}

fn is_root() -> bool {
    fs::metadata("/proc/self").expect("procfs").uid() == 0
}

#[test]
fn a_reload_sends_what_was_said_and_prints_what_changed() {
    let daemon = Daemon::start(&[(
        "/v1/config/reload",
        "200 OK",
        r#"{"applied":false,"revision":7,"previous":7,"changes":["Server files is added."],
        "needs_restart":["The address of listener public."],"problems":[]}"#,
    )]);
    let (code, out, _) = daemon.run(&["config", "reload", "--dry-run", "--reason", "new server", "--if-match", "7"]);
    assert_eq!(code, 0);
    assert!(out.contains("- Server files is added.\n! The address of listener public."), "{out}");
    assert!(out.contains("Nothing was changed"), "{out}");
    let seen = daemon.seen.lock().expect("lock");
    let request = seen.last().expect("a request");
    assert_eq!(request.json(), json!({ "dry_run": true, "reason": "new server" }));
    assert_eq!(request.header("if-match"), Some("\"7\""));
}

const REFUSED: &str = r#"{"code":"bad_configuration","message":"The configuration has 1 error; the running one is kept.",
"problems":[{"severity":"error","message":"Unknown key.","file":"toolgate.toml","line":3,"column":1}]}"#;

#[test]
fn a_refused_configuration_is_78_with_every_problem() {
    let daemon = Daemon::start(&[("/v1/config/reload", "422 Unprocessable Content", REFUSED)]);
    let (code, _, err) = daemon.run(&["config", "reload"]);
    assert_eq!(code, 78);
    assert!(err.contains("toolgate.toml:3:1: error: Unknown key."), "{err}");
    assert!(err.contains("the running one is kept"), "{err}");
    let (code, out, _) = daemon.run(&["config", "reload", "--json"]);
    assert_eq!(code, 78);
    let said: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(said["error"]["problems"][0]["line"], 3);
}

#[test]
fn a_check_is_0_or_78() {
    let good = Daemon::start(&[("/v1/config/check", "200 OK", r#"{"ok":true,"files":["a.toml"],"problems":[]}"#)]);
    let (code, out, _) = good.run(&["config", "check"]);
    assert_eq!((code, out.as_str()), (0, "The configuration can be used: a.toml\n"));
    let bad = Daemon::start(&[(
        "/v1/config/check",
        "200 OK",
        r#"{"ok":false,"files":["a.toml"],"problems":[{"severity":"error","message":"No.","report":"error: No."}]}"#,
    )]);
    let (code, _, err) = bad.run(&["config", "check"]);
    assert_eq!(code, 78);
    assert!(err.contains("error: No."), "{err}");
}

#[test]
fn show_names_revision_files_and_values() {
    let daemon = Daemon::start(&[(
        "/v1/config",
        "200 OK",
        r#"{"revision":7,"loaded_at_ms":1,"files":["a.toml","conf.d/b.toml"],"warnings":["Soon."],
        "values":[{"key":"log.level","value":"\"info\"","origin":"default"}]}"#,
    )]);
    let (code, out, _) = daemon.run(&["config", "show"]);
    assert_eq!(code, 0);
    assert!(out.contains("Configuration 7 from a.toml, conf.d/b.toml"), "{out}");
    assert!(out.contains("log.level  \"info\"  default"), "{out}");
}

#[test]
fn a_daemon_of_another_age_is_named() {
    let daemon = Daemon::start(&[(
        "/v1/version",
        "200 OK",
        r#"{"version":"9.0.0","instance":"i","api":9,"api_minimum":8,"revision":1}"#,
    )]);
    let (code, _, err) = daemon.run(&["status"]);
    assert_eq!(code, 1);
    assert!(err.contains("9.0.0") && err.contains("Upgrade the toolgate command"), "{err}");
}

#[test]
fn a_probe_has_two_answers() {
    const FAILS: &str =
        r#"{"status":"unhealthy","checks":[{"name":"memory","status":"unhealthy","critical":true,"message":"Full."}]}"#;
    const WARNS: &str = r#"{"status":"warning","checks":[{"name":"disk","status":"unhealthy"}]}"#;
    let up = Daemon::start(&[("/v1/status", "200 OK", STATUS), ("/v1/health", "200 OK", WARNS)]);
    assert_eq!(up.run(&["probe"]).0, 0);
    assert_eq!(up.run(&["probe", "--ready"]).0, 0);
    let down = Daemon::start(&[("/v1/status", "200 OK", DEGRADED), ("/v1/health", "200 OK", FAILS)]);
    let (code, _, err) = down.run(&["probe"]);
    assert!(code == 1 && err.contains("memory: Full."), "{err}");
    let (code, _, err) = down.run(&["probe", "--ready"]);
    assert_eq!(code, 1);
    assert!(err.contains("server files is down"), "{err}");
    let nobody = tempfile::tempdir().expect("folder");
    assert_eq!(run(toolgate().arg("--socket-dir").arg(nobody.path()).arg("probe")).0, 1);
}

#[test]
fn a_probe_over_http_asks_the_listener() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("binds");
    let url = format!("http://{}", listener.local_addr().expect("address"));
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let reader = stream.try_clone().expect("clones");
            serve(reader, stream, |request, answer| match request.path.as_str() {
                "/health" => answer.json(&[], "{}"),
                _ => answer.send("503 Service Unavailable", &[], b"{}"),
            });
        }
    });
    assert_eq!(run(toolgate().args(["probe", "--url", &url])).0, 0);
    let (code, _, err) = run(toolgate().args(["probe", "--ready", "--url", &url]));
    assert_eq!(code, 1);
    assert!(err.contains("503"), "{err}");
}

#[test]
fn a_key_is_printed_once_with_the_hash_of_its_secret() {
    let arguments = ["key", "create", "--offline", "--json", "--owner", "Ada \"A\"", "--tier", "free"];
    let scopes = ["--scope", "weather/*", "--scope", "files/read_*"];
    let (code, out, _) = run(toolgate().args(arguments).args(scopes));
    assert_eq!(code, 0);
    let said: Value = serde_json::from_str(&out).expect("JSON");
    let key = said["key"].as_str().expect("a key");
    let (id, secret) = key.strip_prefix("tg_").and_then(|rest| rest.split_once('_')).expect("three parts");
    assert_eq!((id.len(), secret.len()), (12, 43));
    assert!(id.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()), "{id}");
    let hash = format!("sha256:{}", sha256(secret));
    assert_eq!(said["hash"], hash);
    let begin = format!("[key.{id}]\nhash = \"{hash}\"\nowner = \"Ada \\\"A\\\"\"\ncreated = \"20");
    let end = "\"\ntier = \"free\"\nscopes = [\"weather/*\", \"files/read_*\"]";
    let lines = said["toml"].as_str().expect("lines");
    assert!(lines.starts_with(&begin) && lines.ends_with(end), "{lines}");
    let (_, again, _) = run(toolgate().args(arguments).args(scopes));
    assert_ne!(out, again);
}

/// By another implementation than the program's.
fn sha256(text: &str) -> String {
    use std::io::Write;
    use std::process::{Command, Stdio};
    let mut child = Command::new("sha256sum").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("coreutils");
    child.stdin.take().expect("stdin").write_all(text.as_bytes()).expect("writes");
    let output = child.wait_with_output().expect("runs");
    common::text(&output.stdout)[..64].to_owned()
}

#[test]
fn an_owner_with_a_line_end_is_a_usage_error() {
    let (code, _, err) = run(toolgate().args(["key", "create", "--owner", "a\nhash = \"\""]));
    assert_eq!(code, 2);
    assert!(err.contains("control characters"), "{err}");
}

#[test]
fn each_client_gets_something_with_the_address() {
    let url = "https://gate.example.org/mcp";
    for client in [
        "claude-desktop",
        "claude-code",
        "cursor",
        "vscode",
        "windsurf",
        "zed",
        "codex",
        "gemini-cli",
        "inspector",
        "curl",
        "mcp-servers",
    ] {
        let (code, out, _) = run(toolgate().args(["client-config", "--for", client, url, "--key", "tg_a_b"]));
        assert_eq!(code, 0, "{client}");
        assert!(out.contains(url) && out.contains("tg_a_b"), "{client}: {out}");
        let (_, without, _) = run(toolgate().args(["client-config", "--for", client, url]));
        let says_where = ["TOOLGATE_KEY", "YOUR_KEY", "${input:"].iter().any(|word| without.contains(word));
        assert!(says_where, "{client}: {without}");
    }
}

#[test]
fn a_client_that_speaks_stdio_only_gets_the_bridge() {
    let (_, out, _) = run(toolgate().args([
        "client-config",
        "--for",
        "claude-desktop",
        "https://gate/mcp",
        "--key",
        "tg_a_b",
        "--ca",
        "ca.pem",
    ]));
    let said: Value = serde_json::from_str(&out).expect("JSON");
    let server = &said["mcpServers"]["toolgate"];
    assert_eq!(server["args"][0], "bridge");
    assert!(Path::new(server["args"][3].as_str().expect("a path")).is_absolute(), "{server}");
    assert_eq!(server["env"]["TOOLGATE_KEY"], "tg_a_b");
    assert!(Path::new(server["command"].as_str().expect("a path")).is_absolute(), "{server}");
}

#[test]
fn an_address_that_would_leak_the_key_is_refused() {
    let (code, _, err) = run(toolgate().args(["client-config", "--for", "curl", "http://10.0.0.1/mcp"]));
    assert_eq!(code, 2);
    assert!(err.contains("https://"), "{err}");
}

#[test]
fn completions_and_man_pages_are_made_from_the_table() {
    for shell in ["bash", "zsh", "fish"] {
        let (code, out, _) = run(toolgate().args(["completions", shell]));
        assert_eq!(code, 0);
        assert!(out.contains("client-config"), "{shell}");
    }
    let folder = tempfile::tempdir().expect("folder");
    assert_eq!(run(toolgate().arg("man").arg(folder.path())).0, 0);
    for page in ["toolgate.1", "toolgate-config-reload.1", "toolgate-key-create.1"] {
        let text = fs::read_to_string(folder.path().join(page)).expect(page);
        assert!(text.contains(".SH NAME"), "{page}");
    }
}
