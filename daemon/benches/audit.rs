//! What the audit log costs: what a call pays on its core, and what the thread that writes pays for its line.
//!
//! `cargo bench -p toolgated --bench audit` prints a table; it judges nothing.

use std::rc::Rc;
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use http::{Request, Response};
use rustix::time::{ClockId, clock_gettime};
use toolgated::body::Body;
use toolgated::call::Call;
use toolgated::config;
use toolgated::core::{Core, Load};
use toolgated::gate::Gate;
use toolgated::listen::connection::{Connection, Origin, Protocol};
use toolgated::message::Message;
use toolgated::policy::Policy;
use toolgated::stages::record::Entry;
use toolgated::state::State;

/// The daemon's own: what is handed over is freed by another thread.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Calls of a round: they fit into a ring.
const CALLS: u32 = 4_000;
const ROUNDS: u32 = 40;
const ARGUMENTS: &str =
    r#"{"account":"DE89370400440532013000","amount":"12.50","currency":"EUR","note":"for the tea"}"#;

fn main() {
    let without = measured("", false);
    println!("{:<44} {:>8.0} ns", "a call's end, without the log", without.core);
    for (what, table) in [
        ("hashed arguments", ""),
        ("redacted arguments", "arguments = \"redacted\"\nredact = [\"/account\"]\nredact_patterns = [\"sk-[a-z]+\"]"),
        ("no arguments", "arguments = \"none\""),
        ("only what is denied", "calls = \"denied\""),
    ] {
        let with = measured(table, true);
        println!("{:<44} {:>8.0} ns", format!("{what}: more on the core"), with.core - without.core);
        println!("{:<44} {:>8.0} ns", format!("{what}: the thread, per call"), with.thread);
    }
}

/// Means, in nanoseconds.
struct Cost {
    core: f64,
    thread: f64,
}

fn measured(table: &str, is_kept: bool) -> Cost {
    let folder = tempfile::tempdir().expect("a folder");
    let text = format!(
        "version = 1\n[daemon]\nstate_dir = \"{}\"\n[log]\naccess = false\n[audit]\nmin_free = 0\n{table}\n\
         [listener.test]\naddress = \"127.0.0.1:1\"\nauth = \"none\"\n[server.s]\nendpoints = \"http://127.0.0.1:1/mcp\"\n",
        folder.path().display()
    );
    let settings = config::from_text(&text).unwrap_or_else(|report| panic!("{}", report.render(false)));
    let state = is_kept.then(|| State::open(&settings.daemon).expect("a state folder").0);
    let gate = Gate::new(Policy::first(Arc::new(settings), state).expect("a policy"));
    let core = Rc::new(Core::new(0, Arc::new(Load::default()), Arc::clone(&gate)));
    let connection = connection(&gate);
    let (mut best, mut ended) = (f64::MAX, 0);
    let (process, own) = (clock(ClockId::ProcessCPUTime), clock(ClockId::ThreadCPUTime));
    for _ in 0..ROUNDS {
        let calls: Vec<_> = (0..CALLS).map(|_| call(&core, &connection)).collect();
        let begun = Instant::now();
        for entry in calls {
            drop(entry.finish(Response::new(Body::from("{}"))));
        }
        best = best.min(begun.elapsed().as_secs_f64() * 1e9 / f64::from(CALLS));
        ended += u64::from(CALLS);
        // Not while the next round is made: the thread is to be measured, and not to be in the way.
        let recorded = |lines: u64| lines >= ended || !is_kept || table.contains("denied");
        while !recorded(gate.audit.counts().0) {
            sleep(Duration::from_millis(5));
        }
    }
    gate.audit.end();
    let since = |which, begun| clock(which).saturating_sub(begun);
    let others = since(ClockId::ProcessCPUTime, process).saturating_sub(since(ClockId::ThreadCPUTime, own));
    let (lines, lost) = gate.audit.counts();
    assert_eq!(lost, 0, "of {lines} lines");
    Cost { core: best, thread: others.as_secs_f64() * 1e9 / f64::from(CALLS * ROUNDS) }
}

fn clock(which: ClockId) -> Duration {
    let time = clock_gettime(which);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

fn connection(gate: &Gate) -> Rc<Connection> {
    let listener = Arc::clone(&gate.settings.load().listeners[0]);
    let address = "127.0.0.1:2".parse().expect("an address");
    Rc::new(Connection::new((address, address), listener, Protocol::Http1, Origin::Client))
}

/// A call of a tool that has come as far as to be answered.
fn call(core: &Rc<Core>, connection: &Rc<Connection>) -> Box<Entry> {
    let head = Request::post("/mcp").body(()).expect("a request").into_parts().0;
    let mut call = Call::new(core, connection, head);
    let text = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"transfer","arguments":{ARGUMENTS}}}}}"#
    );
    call.view = call.policy.view("s").cloned();
    call.message = Some(Message::parse(text.into()).expect("a message"));
    call.client = Some(Arc::new(toolgated::identity::Client::of_address(call.address)));
    let entry = Entry::begin(call);
    core.desk.learn(&entry.call);
    entry
}
