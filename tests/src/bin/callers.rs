//! `callers`: ten thousand callers of three tiers on a gate whose server serves a hundred at once.
//!
//! Starts a gate of its own; `tests/bench/callers` builds and runs it. Each tier's share is measured where all wait,
//! refusals where few may, and what a paying caller notices of a flood in rounds with and without it. Exits with 1
//! where a bar is missed.

#![expect(clippy::cast_precision_loss, reason = "figures for people")]

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use tokio::time::sleep;
use toolgate_tests::callers::{Callers, Phase, Tier};
use toolgate_tests::gate::{Gate, Setup};
use toolgate_tests::load::{Aim, Calls, Clients, Pace, Seen, Until};
use toolgate_tests::mcp::Era;
use toolgate_tests::processes::{cpu_seconds, memory, raise_descriptors};
use toolgate_tests::{slow, standin};

/// Calls at once.
const AT_ONCE: usize = 100;
/// Each takes as long.
const TOOL: &str = "wait-50";
/// Tiers and their weights.
const TIERS: [(&str, u32); 3] = [("free", 1), ("plus", 3), ("paid", 6)];
/// Keys of a tier.
const KEYS: usize = 4;
/// Callers of the paying tier that are measured.
const MEASURED: u32 = 16;

#[derive(Parser)]
struct Options {
    /// Callers of all tiers together.
    #[arg(long, default_value_t = 10_000)]
    callers: usize,
    /// Seconds of each long measurement.
    #[arg(long, default_value_t = 25)]
    seconds: u64,
    /// Rounds with and without a flood.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
}

/// A bar, and whether it is met.
struct Bars(bool);

impl Bars {
    fn check(&mut self, met: bool, what: &str) {
        println!("{} {what}", if met { "met:   " } else { "MISSED:" });
        self.0 &= met;
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    raise_descriptors();
    let options = Options::parse();
    let gate = gate().await;
    let aims = ["wide", "narrow"].map(|server| gate.aim(&format!("/mcp/{server}"), Era::Modern));
    let tiers = TIERS.map(|(tier, _)| Tier {
        keys: (0..KEYS).map(|number| gate.key_of(&format!("{tier}{number}"))).collect(),
        callers: options.callers.div_ceil(TIERS.len()),
    });
    let callers = Callers::connect(&aims, TOOL, &tiers).await;
    println!("{} callers are connected, {} kB of the gate's memory", options.callers, memory(gate.pid()).0);
    let mut bars = Bars(true);
    shares(&gate, &callers, options.seconds, &mut bars).await;
    refusals(&gate, &callers, options.seconds, &mut bars).await;
    flood(&gate, &callers, options.rounds, &mut bars).await;
    let busiest = standin::busiest();
    bars.check(busiest <= aims.len() * AT_ONCE, &format!("at most {busiest} calls at once were at the two servers"));
    let errors: Vec<_> = callers.tallies.iter().flat_map(|tally| tally.errors()).collect();
    bars.check(errors.is_empty(), &format!("{} errors {:?}", errors.len(), errors.iter().take(3).collect::<Vec<_>>()));
    callers.now(Phase::Pause);
    drop(gate);
    ExitCode::from(u8::from(!bars.0))
}

async fn gate() -> Gate {
    let url = slow::standin().await;
    let common = format!("endpoints = [{url:?}]\nmax_calls = {AT_ONCE}\npool = {{ max_connections = {AT_ONCE} }}\n");
    let mut setup = Setup::default()
        .server("wide", &format!("{common}queue = {{ max_size = 20000, timeout = \"120s\" }}"))
        .server("narrow", &common)
        .daemon("max_connections = 20000")
        .log("access = false")
        .listener("bounds = { connections = 20000, connections_per_address = 20000 }");
    for (tier, weight) in TIERS {
        setup = setup.table(&format!("[tier.{tier}]\nweight = {weight}\n"));
        for number in 0..KEYS {
            setup = setup.key(&format!("{tier}{number}"), &format!("tier = \"{tier}\""));
        }
    }
    setup.start().await
}

fn answered(callers: &Callers) -> Vec<u64> {
    callers.tallies.iter().map(|tally| tally.answered()).collect()
}

/// Runs for some seconds after as many in which every caller has its first answer; answers of each tier, and the gate's memory at both ends in kB.
async fn measure(gate: &Gate, callers: &Callers, seconds: u64) -> (Vec<u64>, u64, u64) {
    sleep(Duration::from_secs(seconds)).await;
    let (before, first, cpu) = (answered(callers), memory(gate.pid()).0, cpu_seconds(gate.pid()));
    sleep(Duration::from_secs(seconds)).await;
    let counts: Vec<_> = answered(callers).iter().zip(before).map(|(after, before)| after - before).collect();
    let (all, used) = (counts.iter().sum::<u64>(), cpu_seconds(gate.pid()) - cpu);
    println!("  {} calls/s, CPU of the gate {:.0} us per call", all / seconds, used * 1e6 / all.max(1) as f64);
    (counts, first, memory(gate.pid()).0)
}

/// All wait, and each tier has its share.
async fn shares(gate: &Gate, callers: &Callers, seconds: u64, bars: &mut Bars) {
    println!("all callers in one queue:");
    callers.now(Phase::Call { tiers: TIERS.len(), server: 0 });
    let (counts, first, last) = measure(gate, callers, seconds).await;
    let (all, weights): (u64, u32) = (counts.iter().sum(), TIERS.iter().map(|(_, weight)| weight).sum());
    for ((tier, weight), count) in TIERS.iter().zip(&counts) {
        let (share, own) = (*count as f64 / all.max(1) as f64, f64::from(*weight) / f64::from(weights));
        let off = share / own - 1.0;
        bars.check(off.abs() <= 0.05, &format!("{tier} has {:.2} % of {:.0} %", share * 100.0, own * 100.0));
    }
    flat(first, last, bars);
}

/// Where a thousand may wait, the others are refused in words, and come back when they were told to.
async fn refusals(gate: &Gate, callers: &Callers, seconds: u64, bars: &mut Bars) {
    println!("a queue of 1000 in front of the same server:");
    callers.now(Phase::Call { tiers: TIERS.len(), server: 1 });
    let (counts, first, last) = measure(gate, callers, seconds).await;
    for ((tier, _), (count, tally)) in TIERS.iter().zip(counts.iter().zip(&callers.tallies)) {
        println!("  {tier}: {count} answered; refused since the start: {:?}", tally.refused());
    }
    bars.check(counts.iter().all(|count| *count > 0), "every tier is served");
    flat(first, last, bars);
}

fn flat(first: u64, last: u64, bars: &mut Bars) {
    bars.check(last * 100 <= first * 105, &format!("memory from {first} to {last} kB"));
}

/// Rounds without and with a flood of the free tier; what a paying caller waits at the 99th percentile.
async fn flood(gate: &Gate, callers: &Callers, rounds: usize, bars: &mut Bars) {
    println!("a paying tier's call under a flood of the free tier:");
    let (mut alone, mut among) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        for (phase, times) in [(Phase::Pause, &mut alone), (Phase::Call { tiers: 1, server: 1 }, &mut among)] {
            callers.now(phase);
            // What was in flight or waits has ended by then.
            sleep(Duration::from_secs(6)).await;
            let aim = Aim { key: Some(gate.key_of("paid0")), ..gate.aim("/mcp/narrow", Era::Modern) };
            let seen = paying(aim).await;
            bars.check(
                seen.failed == 0,
                &format!("{phase:?}: p50 {} us, p99 {} us, {:?}", seen.p50_us, seen.p99_us, seen.reasons),
            );
            times.push(seen.p99_us);
        }
    }
    let ratios: Vec<_> = alone.iter().zip(&among).map(|(alone, among)| f64::from(*among) / f64::from(*alone)).collect();
    println!("  ratios {ratios:.2?}");
    let (alone, among) = (median(alone), median(among));
    let ratio = f64::from(among) / f64::from(alone);
    bars.check(ratio <= 1.25, &format!("p99 {alone} us alone, {among} us in the flood: {ratio:.2} x"));
}

fn median(mut times: Vec<u32>) -> u32 {
    times.sort_unstable();
    times[times.len() / 2]
}

/// In a thread of its own, so that the work of the flood's callers is not taken for the gate's.
async fn paying(aim: Aim) -> Seen {
    let work = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let calls = Calls { aim, tool: TOOL.to_owned(), padding: 100 };
            Clients::connect(calls, MEASURED, Pace::Closed).await.call(Until::Elapsed(Duration::from_secs(4))).await
        })
    };
    tokio::task::spawn_blocking(work).await.expect("the paying callers")
}
