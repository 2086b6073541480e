//! A stdio server leaks memory: seen with its age, its restarts and its last words, and recycled under its session.

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use toolgate_tests::caller::Caller;
use toolgate_tests::gate::{Gate, Setup, program};
use toolgate_tests::wait;

use crate::screen::Screen;
use crate::{recorded, said};

/// Calls after which it is seen; each of them leaks 16 MB.
const CALLS: u64 = 10;

/// The process that answers the session.
async fn called(client: &Caller) -> String {
    let answer = client.call("5", "pid", json!({})).await.answer().await;
    answer["result"]["content"][0]["text"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
}

async fn instances(gate: &Gate) -> Value {
    said(gate, "/v1/servers/notes").await["instances"].clone()
}

/// Bytes of the instance that uses most, whoever counts them.
async fn memory(gate: &Gate) -> Option<u64> {
    let instances = instances(gate).await;
    instances["each"].as_array().into_iter().flatten().filter_map(|one| one["memory"].as_u64()).max()
}

#[tokio::test]
async fn a_server_that_leaks_is_seen_and_recycled_and_its_session_goes_on() {
    let unruly = program("unruly").display().to_string();
    let gate = Setup::default().stdio("notes", &[&unruly, "--leak"], "per = \"session\"").start().await;
    let client = Caller::legacy(&gate, "/mcp/notes").await;
    // An earlier one was killed, as the kernel does where memory runs out.
    let first = called(&client).await;
    let pid = first.parse().ok().and_then(Pid::from_raw).expect("a process id");
    kill_process(pid, Signal::KILL).expect("a running instance");
    wait::until("its end", || async { (instances(&gate).await["failures"] == 1).then_some(()) }).await;
    for _ in 0..CALLS {
        called(&client).await;
    }
    let full = wait::until("the leak to be counted", || async {
        memory(&gate).await.filter(|bytes| *bytes > CALLS * 16_000_000)
    })
    .await;

    let screen = Screen::open(&gate).await;
    // Which of its instances, how old, and how much memory.
    screen.press(&["2", "/", "server=notes", "Enter"]).until("pid ").await;
    screen.until(&mib(full)).await.keep("leak_seen");
    screen.press(&["j", "j", "i"]).until("one session").await.until("1 ended on their own since the start").await;
    screen.until("its process was ended by signal 9").await.until("cache: 1 results kept, none let go").await;
    screen.keep("leak_inspected").press(&["q"]);
    screen.press(&["N"]).until("instances of notes would end once nothing is in flight; sessions stay.").await;
    screen.keep("leak_recycle").press(&["y"]).until("instances of notes end once nothing is in flight").await;
    recorded(&gate, "server.restart", "notes", None).await;

    let (session, before) = (client.session.clone(), first);
    let now = called(&client).await;
    assert_ne!(now, before);
    assert_eq!(client.session, session);
    assert_eq!(said(&gate, "/v1/sessions").await["total"], 1);
    let after =
        wait::until("the old instance to be gone", || async { memory(&gate).await.filter(|bytes| *bytes < full / 2) })
            .await;
    screen.until(&mib(after)).await.until_gone("leaving").await.keep("leak_mended");
    assert_eq!(instances(&gate).await["failures"], 1, "a recycling is no failure");
}

/// As the console writes it.
fn mib(bytes: u64) -> String {
    let tenths = (bytes * 10 + (1 << 19)) >> 20;
    if tenths < 100 {
        format!("{}.{} MiB", tenths / 10, tenths % 10)
    } else {
        format!("{} MiB", (bytes + (1 << 19)) >> 20)
    }
}
