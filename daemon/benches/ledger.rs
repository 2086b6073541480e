//! What it costs to keep account of a call, and to read the accounts of 1,000 tools of 50 servers.
//!
//! `cargo bench -p toolgated --bench ledger` prints a table; it judges nothing.

use std::fmt::Write as _;
use std::hint::black_box;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::Request;
use http::Response;
use toolgated::body::Body;
use toolgated::call::Call;
use toolgated::config;
use toolgated::core::{Core, Load};
use toolgated::gate::Gate;
use toolgated::listen::connection::{Connection, Origin, Protocol};
use toolgated::message::Message;
use toolgated::observe::ledger::Stage;
use toolgated::observe::metrics;
use toolgated::policy::Policy;
use toolgated::stages::record::Entry;

const SERVERS: usize = 50;
const TOOLS: usize = 20;
/// As many as a busy gate has.
const CORES: usize = 2;

fn main() {
    let gate = Gate::new(policy());
    let cores: Vec<_> =
        (0..CORES).map(|index| Rc::new(Core::new(index, Arc::new(Load::default()), Arc::clone(&gate)))).collect();
    let connection = connection(&gate);
    let answer = r#"{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"fine"}],"isError":false}}"#;
    for core in &cores {
        for place in 0..SERVERS * TOOLS {
            recorded(call(core, &connection, place), answer);
        }
    }
    let core = &cores[0];
    let mut place = 0;
    let without = each(100_000, || {
        place = (place + 7) % (SERVERS * TOOLS);
        drop(black_box(call(core, &connection, place)));
    });
    let with = each(100_000, || {
        place = (place + 7) % (SERVERS * TOOLS);
        recorded(black_box(call(core, &connection, place)), answer);
    });
    println!(
        "{:<48} {:>9.0} ns",
        "a call from begin to end, in the ledger",
        with.saturating_sub(without).as_secs_f64() * 1e9
    );
    print("/metrics", || metrics::text(&gate).expect("text").len());
    print("all tools", || gate.ledger.tools().len());
    print("all clients", || gate.ledger.clients().len());
    print("the traffic of the gate", || usize::try_from(gate.ledger.traffic().calls).unwrap_or(0));
    print("the traffic of all servers", || gate.ledger.servers().len());
    println!("{:<48} {:>9} bytes", "the text of /metrics", metrics::text(&gate).expect("text").len());
}

fn policy() -> Policy {
    let mut text =
        "version = 1\n[log]\naccess = false\n[listener.test]\naddress = \"127.0.0.1:1\"\nauth = \"none\"\n".to_owned();
    for server in 0..SERVERS {
        writeln!(text, "[server.s{server}]\nendpoints = \"http://127.0.0.1:1/mcp\"\nbreaker = {{ failures = 5 }}")
            .expect("a string takes it");
    }
    let settings = config::from_text(&text).unwrap_or_else(|report| panic!("{}", report.render(false)));
    Policy::new(Arc::new(settings), None).expect("a policy")
}

fn connection(gate: &Gate) -> Rc<Connection> {
    let listener = Arc::clone(&gate.settings.load().listeners[0]);
    let address = "127.0.0.1:2".parse().expect("an address");
    Rc::new(Connection::new((address, address), listener, Protocol::Http1, Origin::Client))
}

/// A call of a tool that has come as far as to be known.
fn call(core: &Rc<Core>, connection: &Rc<Connection>, place: usize) -> Call {
    let (server, tool) = (place % SERVERS, place / SERVERS);
    let head = Request::post("/mcp").body(()).expect("a request").into_parts().0;
    let mut call = Call::new(core, connection, head);
    let text = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"tool_number_{tool}","arguments":{{}}}}}}"#
    );
    call.view = call.policy.view(&format!("s{server}")).cloned();
    call.message = Some(Message::parse(text.into()).expect("a message"));
    call.client = Some(Arc::new(toolgated::identity::Client::of_address(call.address)));
    call
}

fn recorded(call: Call, answer: &'static str) {
    let mut entry = Entry::begin(call);
    let core = Rc::clone(&entry.call.core);
    core.desk.learn(&entry.call);
    core.desk.stage(&entry.call, Stage::Queue);
    core.desk.stage(&entry.call, Stage::Server);
    entry.call.times.admitted = Some(entry.call.started);
    entry.call.times.first_byte = Some(entry.call.started);
    drop(entry.finish(Response::new(Body::from(answer))));
}

/// The mean time of one turn, in the best of five runs.
fn each(turns: u32, mut work: impl FnMut()) -> Duration {
    let mut run = || {
        let begun = Instant::now();
        (0..turns).for_each(|_| work());
        begun.elapsed() / turns
    };
    (0..5).map(|_| run()).min().unwrap_or_default()
}

fn print(what: &str, mut work: impl FnMut() -> usize) {
    let took = each(20, || {
        black_box(work());
    });
    println!("{what:<48} {:>9.2} ms", took.as_secs_f64() * 1e3);
}
