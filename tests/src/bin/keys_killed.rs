//! `keys_killed`: a gate that is killed again and again while its keys are changed.
//!
//! Starts a gate of its own; `tests/bench/keys_killed` builds and runs it. Panics where an acknowledged change is lost.

use clap::Parser;
use toolgate_tests::keys::{Tally, kill};

#[derive(Parser)]
struct Options {
    /// How often it is killed.
    #[arg(long, default_value_t = 1000)]
    rounds: u64,
    /// Makes the same moments and changes again, as far as the machine lets it.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let options = Options::parse();
    let Tally { acknowledged, keys, unacknowledged, slowest } = kill(options.rounds, options.seed).await;
    println!("killed              {} times", options.rounds);
    println!("acknowledged        {acknowledged} changes, none lost; {keys} keys at the end");
    println!("not acknowledged    {unacknowledged} changes that happened all the same");
    println!("back                within {slowest:?} at most, with all keys told");
}
