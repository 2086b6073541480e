//! A gate that is killed while its keys are changed: nothing that was acknowledged may be lost, and its store opens.
//!
//! `tests/bench/keys_killed` kills it a thousand times, the scenario a few times.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::http::{Connection, request};
use crate::site::Site;
use crate::wait;

/// Sides that change keys at the same time, each its own.
const SIDES: usize = 4;

/// What is known of a key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Known {
    state: String,
    /// The newest secret that was acknowledged, as the whole key; none where only the id is known.
    key: Option<String>,
}

/// The keys of one side, and what may or may not have happened to one of them.
#[derive(Debug, Default)]
struct Side {
    keys: BTreeMap<String, Known>,
    open: Option<(Option<String>, &'static str)>,
    acknowledged: u64,
}

/// What came of all rounds.
#[derive(Debug, Default)]
pub struct Tally {
    /// Changes that were acknowledged.
    pub acknowledged: u64,
    /// Keys that were there at the end.
    pub keys: u64,
    /// Changes that nobody acknowledged and that happened.
    pub unacknowledged: u64,
    /// The longest that a killed gate took until it told its keys.
    pub slowest: Duration,
}

/// Numbers that look random: a seed makes the same ones again.
#[derive(Debug, Clone)]
struct Random(u64);

impl Random {
    fn below(&mut self, most: u64) -> u64 {
        // Steele and others' SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % most
    }
}

/// Kills a gate `rounds` times.
///
/// # Panics
/// When a change that was acknowledged is lost, or the gate does not come back; with the round.
pub async fn kill(rounds: u64, seed: u64) -> Tally {
    let mut site = Site::new();
    site.write("toolgate.toml", &site.main_text().replace("auth = \"none\"", "auth = [\"key\"]"));
    let sides: Vec<_> = (0..SIDES).map(|_| Arc::new(Mutex::new(Side::default()))).collect();
    let (mut random, mut tally) = (Random(seed), Tally::default());
    for round in 0..=rounds {
        let began = Instant::now();
        site.start().await;
        let listed = listed(&site).await;
        tally.slowest = tally.slowest.max(began.elapsed());
        for side in &sides {
            tally.unacknowledged += settle(&mut side.lock().expect("no side panicked"), &listed, round);
        }
        opens(&site, &sides, round).await;
        if round == rounds {
            tally.keys = listed.len() as u64;
            break;
        }
        let control = site.path("run/control/control.sock");
        let changing: Vec<_> = sides
            .iter()
            .map(|side| tokio::spawn(changes(control.clone(), Arc::clone(side), Random(random.below(u64::MAX)))))
            .collect();
        tokio::time::sleep(Duration::from_micros(random.below(300_000))).await;
        site.kill().await;
        for side in changing {
            side.await.expect("no side panicked");
        }
    }
    tally.acknowledged = sides.iter().map(|side| side.lock().expect("no side panicked").acknowledged).sum();
    tally
}

/// All keys as the gate tells them.
async fn listed(site: &Site) -> BTreeMap<String, String> {
    let (mut all, mut after) = (BTreeMap::new(), String::new());
    loop {
        let (status, answer) = site.control("GET", &format!("/v1/keys?limit=1000&after={after}")).await;
        assert_eq!(status, 200, "{answer}\n{}", site.log());
        for row in answer["keys"].as_array().expect("rows") {
            let text = |name: &str| row[name].as_str().expect("a text").to_owned();
            all.insert(text("id"), text("state"));
        }
        match answer["next"].as_str() {
            Some(next) => next.clone_into(&mut after),
            None => return all,
        }
    }
}

/// Holds what a side knows against what there is; the one change that nobody acknowledged may have happened or not.
fn settle(side: &mut Side, listed: &BTreeMap<String, String>, round: u64) -> u64 {
    let open = side.open.take();
    let mut happened = 0;
    for (id, known) in &mut side.keys {
        let Some(state) = listed.get(id) else { panic!("round {round}: the key {id} is lost: {known:?}") };
        let may_be = match &open {
            Some((Some(open), verb)) if open == id => after(verb, &known.state),
            _ => None,
        };
        if *state != known.state {
            assert_eq!(Some(state.as_str()), may_be, "round {round}: {id} is otherwise than {known:?}; open: {open:?}");
            state.clone_into(&mut known.state);
            happened += 1;
        }
        if let Some((Some(open), "rotate")) = &open
            && open == id
        {
            // Nobody was told the secret that it may have now.
            known.key = None;
        }
    }
    happened
}

/// What a change makes of a state.
fn after(verb: &str, state: &str) -> Option<&'static str> {
    match (verb, state) {
        ("suspend", "active" | "suspended") => Some("suspended"),
        ("revoke", "active" | "suspended") => Some("revoked"),
        ("resume", "suspended") | ("rotate", "active") => Some("active"),
        _ => None,
    }
}

/// Holds secrets against what they open, some of each side.
async fn opens(site: &Site, sides: &[Arc<Mutex<Side>>], round: u64) {
    for side in sides {
        let keys: Vec<_> = {
            let held = side.lock().expect("no side panicked");
            let known = held.keys.values().rev().filter_map(|known| Some((known.state.clone(), known.key.clone()?)));
            known.take(4).collect()
        };
        for (state, key) in keys {
            let body = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"}).to_string();
            let target = site.target();
            let mut connection = target.connect().await.expect("a connection");
            let bearer = format!("Bearer {key}");
            let headers = [
                ("Authorization", bearer.as_str()),
                ("Content-Type", "application/json"),
                ("Accept", "application/json, text/event-stream"),
            ];
            let raw = request("POST", "/mcp", &target.host, &headers, body.as_bytes());
            let (head, body) = connection.exchange(&raw).await.expect("an answer");
            let body = String::from_utf8_lossy(&body).into_owned();
            assert_eq!(head.status == 401, state == "revoked", "round {round}: {state}: {} {body}", head.status);
            assert_eq!(body.contains("suspended you"), state == "suspended", "round {round}: {state}: {body}");
        }
    }
}

/// Changes keys until the gate is gone.
async fn changes(control: PathBuf, side: Arc<Mutex<Side>>, mut random: Random) {
    let Ok(mut connection) = Connection::unix(&control).await else { return };
    while one(&mut connection, &side, &mut random).await.is_some() {}
}

async fn one(connection: &mut Connection, side: &Mutex<Side>, random: &mut Random) -> Option<()> {
    let (id, verb) = {
        let mut side = side.lock().expect("nobody panicked");
        let usable: Vec<_> =
            side.keys.iter().filter(|(_, known)| known.state != "revoked").map(|(id, _)| id.clone()).collect();
        let chosen = if usable.is_empty() || random.below(3) == 0 {
            (None, "create")
        } else {
            let at = usize::try_from(random.below(usable.len() as u64)).unwrap_or_default();
            let verb = ["rotate", "suspend", "resume", "revoke"][usize::try_from(random.below(4)).unwrap_or_default()];
            (Some(usable[at].clone()), verb)
        };
        side.open = Some(chosen.clone());
        chosen
    };
    let path = id.as_ref().map_or_else(|| "/v1/keys".to_owned(), |id| format!("/v1/keys/{id}/{verb}"));
    let body = if verb == "create" { r#"{"owner":"killed"}"# } else { "{}" };
    let raw = request("POST", &path, "localhost", &[("Content-Type", "application/json")], body.as_bytes());
    let (head, body) = connection.exchange(&raw).await.ok()?;
    let answer: Value = serde_json::from_slice(&body).ok()?;
    let mut side = side.lock().expect("nobody panicked");
    side.open = None;
    if head.status != 200 {
        // To resume what is not suspended is refused.
        assert!(head.status == 400 && verb == "resume", "{verb}: {answer}");
        return Some(());
    }
    side.acknowledged += 1;
    let id = answer["id"].as_str().expect("an id").to_owned();
    let known = side.keys.entry(id).or_insert_with(|| Known { state: "active".into(), key: None });
    match verb {
        "create" | "rotate" => known.key = answer["key"].as_str().map(str::to_owned),
        _ => answer["after"].as_str().expect("a state").clone_into(&mut known.state),
    }
    Some(())
}

impl Site {
    /// Kills the daemon and takes note of its end.
    async fn kill(&mut self) {
        self.signal(Signal::KILL);
        wait::until("the killed daemon's end", || std::future::ready((!self.runs()).then_some(()))).await;
        self.forget_daemon();
    }
}
