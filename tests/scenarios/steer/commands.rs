//! `toolgate` at a prompt: tables, confirmation, exit statuses, names that complete.

use std::process::Command;

use serde_json::{Value, json};
use toolgate_tests::caller::Caller;
use toolgate_tests::gate::program;

use crate::stage::{start, toolgate};

#[tokio::test]
async fn what_is_final_is_confirmed_by_name_and_recorded() {
    let (_three, gate) = start().await;
    let _session = Caller::legacy(&gate, "/mcp/old").await;
    let suspend = ["clients", "suspend", "key:test", "--say", "You loop.", "--for", "1h", "--reason", "a loop"];
    let (code, said) = toolgate(&gate, &suspend).await;
    assert!(code == 2 && said.contains("1 sessions") && said.contains("--confirm key:test"), "{code} {said}");
    let (code, said) = toolgate(&gate, &[&suspend[..], &["--confirm", "key:tset"]].concat()).await;
    assert!(code == 2 && said.contains("key:tset is confirmed"), "{code} {said}");
    let (code, said) = toolgate(&gate, &[&suspend[..], &["--confirm", "key:test"]].concat()).await;
    assert!(code == 0 && said.starts_with("key:test is suspended; 1 sessions"), "{code} {said}");
    let (code, said) = toolgate(&gate, &["clients", "list"]).await;
    assert!(code == 0 && said.contains("key:test") && said.contains("suspended by"), "{said}");
    let (code, said) = toolgate(&gate, &["audit", "tail", "-n", "1"]).await;
    assert!(code == 0 && said.contains("client.suspend") && said.contains("a loop") && said.contains("done"), "{said}");
    let (_, said) = toolgate(&gate, &["audit", "tail", "-n", "1", "--json"]).await;
    let record: Value = serde_json::from_str(&said).expect("a line of JSON");
    assert_eq!((&record["action"], &record["reason"]), (&json!("client.suspend"), &json!("a loop")));
    let (code, _) = toolgate(&gate, &["clients", "resume", "key:test"]).await;
    assert_eq!(code, 0);
    let (code, said) = toolgate(&gate, &["clients", "resume", "key:test"]).await;
    assert!(code == 1 && said.contains("is not suspended"), "{code} {said}");
}

#[tokio::test]
async fn sessions_are_listed_shown_and_ended() {
    let (_three, gate) = start().await;
    let client = Caller::legacy(&gate, "/mcp/old").await;
    client.call("1", "echo", json!({})).await.answer().await;
    let (code, said) = toolgate(&gate, &["sessions", "list", "--json"]).await;
    let sessions: Value = serde_json::from_str(&said).unwrap_or_else(|_| panic!("{code} {said}"));
    let id = sessions["sessions"][0]["id"].as_str().expect("an id").to_owned();
    assert_ne!(client.session.as_deref(), Some(id.as_str()), "nobody can use what is listed");
    let (code, said) = toolgate(&gate, &["sessions", "list"]).await;
    assert!(code == 0 && said.contains(&id) && said.contains("key:test"), "{said}");
    let (code, said) = toolgate(&gate, &["sessions", "show", &id]).await;
    assert!(code == 0 && said.contains(&id), "{said}");
    let (code, said) = toolgate(&gate, &["complete", "sessions"]).await;
    assert_eq!((code, said.trim()), (0, id.as_str()));
    let (code, said) = toolgate(&gate, &["sessions", "end", "--client", "key:test"]).await;
    assert!(code == 2 && said.contains("ends 1 sessions"), "{code} {said}");
    let (code, said) = toolgate(&gate, &["sessions", "end", &id]).await;
    assert!(code == 0 && said.starts_with("1 sessions and 0 calls"), "{code} {said}");
    let (code, said) = toolgate(&gate, &["sessions", "list"]).await;
    assert_eq!((code, said.as_str()), (0, "No sessions are open.\n"));
}

/// What bash offers after a line.
fn completes(gate: &toolgate_tests::gate::Gate, line: &str) -> Vec<String> {
    let folder = program("toolgate").parent().expect("a folder").display().to_string();
    let script = format!(
        "PATH={folder}:$PATH; export TOOLGATE_RUNTIME_DIR={}; eval \"$(toolgate completions bash)\"; \
         COMP_LINE={line:?}; COMP_POINT=${{#COMP_LINE}}; COMP_WORDS=($COMP_LINE); \
         case \"$COMP_LINE\" in *' ') COMP_WORDS+=(\"\") ;; esac; COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); \
         _toolgate_live toolgate \"${{COMP_WORDS[COMP_CWORD]}}\" \"${{COMP_WORDS[COMP_CWORD-1]}}\"; \
         printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        gate.runtime_dir().display()
    );
    let output = Command::new("bash").args(["--norc", "-c", &script]).output().expect("bash");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() || !said.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    said.lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn names_that_live_complete_in_bash() {
    let (_three, gate) = start().await;
    Caller::modern(&gate, "/mcp/web").call("1", "echo", json!({})).await.answer().await;
    assert!(completes(&gate, "toolgate tools disable web ").contains(&"echo".to_owned()));
    assert!(completes(&gate, "toolgate limits explain --tool we").contains(&"web/echo".to_owned()));
    let (code, said) = toolgate(&gate, &["complete", "alerts"]).await;
    assert_eq!((code, said.as_str()), (0, ""), "nothing fires");
    assert!(completes(&gate, "toolgate server show w").contains(&"web".to_owned()));
    assert!(completes(&gate, "toolgate queues purge ").contains(&"old".to_owned()));
    assert!(completes(&gate, "toolgate clients suspend key:te").contains(&"test".to_owned()), "behind the colon");
    assert!(completes(&gate, "toolgate clients suspend --sa").contains(&"--say".to_owned()), "flags as before");
}

/// Says on the terminal, past what the harness keeps of a test that passes, that nothing was tested.
fn skipped(test: &str, why: &str) {
    let told = format!("\nSKIPPED: {test}: {why}\n");
    let terminal = std::fs::OpenOptions::new().append(true).open("/dev/stderr");
    let _ = terminal.and_then(|mut terminal| std::io::Write::write_all(&mut terminal, told.as_bytes()));
}

/// Groups that nobody has on this machine.
const VIEW: u32 = 60_001;
const CONTROL: u32 = 60_002;

/// Who may look is refused by the kernel where things are changed. Only root can play both.
#[tokio::test]
async fn a_member_of_the_view_group_cannot_reach_the_control_socket() {
    use std::os::unix::fs::{PermissionsExt, chown};

    if !rustix::process::getuid().is_root() {
        return skipped(
            "a_member_of_the_view_group_cannot_reach_the_control_socket",
            "only root can be two other users",
        );
    }
    let (_three, gate) = start().await;
    toolgate(&gate, &["log", "set", "debug", "--dry-run"]).await;
    let open = |path: &std::path::Path| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("permissions");
    };
    open(gate.folder());
    open(&gate.runtime_dir());
    for (name, group) in [("view", VIEW), ("control", CONTROL)] {
        let folder = gate.runtime_dir().join(name);
        let socket = folder.join(format!("{name}.sock"));
        for path in [&folder, &socket] {
            chown(path, None, Some(group)).expect("the group");
        }
        assert_eq!(std::fs::metadata(&socket).expect("the socket").permissions().mode() & 0o777, 0o660);
    }
    // Where others may start it.
    let copy = gate.folder().join("toolgate");
    std::fs::copy(program("toolgate"), &copy).expect("a copy");
    open(&copy);
    let as_viewer = |words: &[&str]| {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", "60000", "--regid", "60000", "--groups", &VIEW.to_string()]);
        let output =
            command.arg(&copy).arg("--socket-dir").arg(gate.runtime_dir()).args(words).output().expect("setpriv");
        let said = [output.stdout, output.stderr].concat();
        (output.status.code().expect("no signal"), String::from_utf8_lossy(&said).into_owned())
    };
    let (code, said) = as_viewer(&["clients", "list"]);
    assert_eq!(code, 0, "{said}");
    let (code, said) = as_viewer(&["clients", "suspend", "key:test", "--confirm", "key:test"]);
    assert!(code == 77 && said.contains("You may not connect") && said.contains("toolgate-control"), "{code} {said}");
    let (status, audit) = gate.control("GET", "/v1/audit").await;
    assert_eq!((status, audit["records"].as_array().map(Vec::len)), (200, Some(0)), "{audit}");
}

#[tokio::test]
async fn calls_are_told_as_they_end() {
    let (_three, gate) = start().await;
    let mut command = Command::new(program("toolgate"));
    command.arg("--socket-dir").arg(gate.runtime_dir()).args(["tail", "-n", "1", "tool=echo"]);
    let tail = command.stdout(std::process::Stdio::piped()).spawn().expect("toolgate");
    let pid = tail.id();
    let said = tokio::task::spawn_blocking(move || tail.wait_with_output());
    let client = Caller::modern(&gate, "/mcp/web");
    // It may not follow yet when the first of them ends.
    toolgate_tests::wait::until("the tail to have seen a call", || async {
        client.call("1", "echo", json!({})).await.answer().await;
        let ended = std::fs::read_to_string(format!("/proc/{pid}/stat")).map_or(true, |stat| stat.contains(") Z "));
        (ended || said.is_finished()).then_some(())
    })
    .await;
    let output = said.await.expect("a thread").expect("toolgate");
    let line = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(line.contains("key:test: tools/call echo at web: ok 200 in "), "{line}");
}
