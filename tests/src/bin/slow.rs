//! `slow`: thousands of clients that send a byte at a time, and what a well-behaved one notices of them.
//!
//! Starts a gate of its own; `tests/bench/slow` builds and runs it. Exits with 1 where a bar is missed.

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use toolgate_tests::slow::{Part, Plan, gate, run};

#[derive(Parser)]
struct Options {
    /// Slow clients; half of them with their headers, half with their bodies.
    #[arg(long, default_value_t = 10_000)]
    clients: usize,
    /// Seconds that the gate waits for a head and for a body.
    #[arg(long, default_value_t = 20)]
    deadline: u64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let options = Options::parse();
    let deadline = Duration::from_secs(options.deadline);
    let gate = gate(deadline).await;
    let plan = Plan { clients: options.clients, deadline, alone: Duration::from_secs(10) };
    let outcome = run(&gate, plan).await;
    let (least, most) = outcome.span(deadline);
    let answered = outcome.waited.iter().filter(|waited| waited.status == Some(408)).count();
    let heads = outcome.waited.iter().filter(|waited| waited.part == Part::Head).count();
    println!("slow clients        {} ({heads} heads), {} could not connect", outcome.waited.len(), outcome.refused);
    println!("open at once        {}", outcome.together);
    println!("answered with 408   {answered}");
    println!("closed after        {:.1} % to {:.1} % of the deadline", least * 100.0, most * 100.0);
    println!("memory              {} kB, {} kB each", outcome.memory, outcome.memory / outcome.together.max(1) as u64);
    for (name, seen) in [("alone", &outcome.alone), ("among them", &outcome.among)] {
        println!(
            "well-behaved, {name:<10} {} calls, {} failed, p50 {} us, p99 {} us",
            seen.calls, seen.failed, seen.p50_us, seen.p99_us
        );
    }
    let kept = outcome.refused == 0
        && outcome.together == options.clients
        && answered == options.clients
        && least >= 0.9
        && most <= 1.1
        && outcome.among.failed == 0
        && outcome.among.p99_us <= 2 * outcome.alone.p99_us;
    println!("{}", if kept { "every bar is met" } else { "a bar is missed" });
    ExitCode::from(u8::from(!kept))
}
