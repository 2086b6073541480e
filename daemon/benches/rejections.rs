//! Whether the time of a rejection tells how right a key was: two kinds of wrong keys, rejected in a random order, and
//! Student's t of the difference of their times, as dudect asks it.
//!
//! What a key costs depends on where its row lies in memory, which is the same for all of one table's rejections: these
//! are no independent samples. So each table, made anew, gives one difference, and t is that of the tables' differences.
//!
//! `cargo bench -p toolgated --bench rejections` prints t for each pair with the difference in nanoseconds, and exits with
//! 1 where t is 4.5 or more: then the times differ, with a probability beyond doubt.

use std::hint::black_box;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use toolgated::identity::Client;
use toolgated::identity::key;
use toolgated::identity::proofs::{Proof, Proofs};
use toolgated::identity::store::index::Index;
use toolgated::identity::store::record::Line;

/// Times of each kind, over all tables.
const TIMES: usize = 800_000;
/// Times before these that do not count.
const WARM: usize = 5_000;
const KEYS: usize = 100_000;
/// Keys that are shown: so few that what they touch stays at hand. Unknown ids share rows, and of all keys those would
/// touch fewer than known ones do.
const SHOWN: usize = 400;
/// Tables, one after the other.
const TABLES: usize = 32;
/// From here on times differ.
const BAR: f64 = 4.5;

/// Makes the keys of one kind.
type Kind<'a> = &'a dyn Fn(usize) -> String;

fn main() -> ExitCode {
    let last_wrong = |at: usize| format!("{}#", &secret(at)[..42]);
    let first_wrong = |at: usize| format!("#{}", &secret(at)[1..]);
    let pairs: [(&str, [Kind<'_>; 2]); 3] = [
        (
            "a secret that is wrong at its end / at its beginning",
            [&|at| text(&id(at), &last_wrong(at)), &|at| text(&id(at), &first_wrong(at))],
        ),
        (
            "an id that is known / unknown",
            [&|at| text(&id(at), &first_wrong(at)), &|at| text(&id(at).replace("ey", "ex"), &first_wrong(at))],
        ),
        (
            "an unknown id that begins as a known one does / as none does",
            [&|at| text(&format!("{}z", &id(at)[..11]), &first_wrong(at)), &|at| {
                text(&format!("z{}", &id(at)[1..]), &first_wrong(at))
            }],
        ),
    ];
    let mut worst: f64 = 0.0;
    for (what, kinds) in &pairs {
        let difference = compare(kinds);
        let t = difference.mean / difference.spread().sqrt();
        worst = worst.max(t.abs());
        println!("t = {t:>6.2}  {:>6.2} ns  {what}", difference.mean);
    }
    println!("{} (bar: |t| < {BAR})", if worst < BAR { "the same" } else { "different" });
    if worst < BAR { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// By how much two kinds of keys, all of which are rejected, differ in each table.
fn compare(kinds: &[Kind<'_>; 2]) -> Sum {
    let mut random = 0x5eed_u64;
    let differences = (0..TABLES).map(|_| {
        let times = reject(&filled(), kinds, &mut random);
        // What the machine did meanwhile is none of the kinds'.
        let mut pooled: Vec<_> = times.concat();
        pooled.sort_unstable();
        let most = pooled[pooled.len() * 9 / 10];
        let [one, other] = times.map(|times| Sum::of(times.into_iter().filter(|took| *took <= most).map(f64::from)));
        one.mean - other.mean
    });
    Sum::of(differences)
}

/// Shows keys of both kinds in a random order, and notes how long each took.
fn reject(index: &Index, kinds: &[Kind<'_>; 2], random: &mut u64) -> [Vec<u32>; 2] {
    let mut times = [Vec::new(), Vec::new()];
    let files = Proofs::<Arc<Client>>::default();
    let mut shown = String::with_capacity(128);
    for round in 0..2 * TIMES / TABLES + WARM {
        *random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let kind = usize::from(*random >> 63 == 1);
        // Each time another key, and in the same place: what one key or one place costs is none of the kinds'.
        let at = usize::try_from((*random >> 20) & 0x7fff_ffff).unwrap_or_default() % SHOWN * (KEYS / SHOWN);
        shown.clear();
        // Both are made, so that what is done before the clock starts is the same too.
        let both = [kinds[0](at), kinds[1](at)];
        shown.push_str(&both[kind]);
        let began = Instant::now();
        let found = key::parse(black_box(&shown)).and_then(|presented| key::find(presented, &files, index, || 1));
        let took = began.elapsed();
        assert!(black_box(found).is_none(), "a wrong key opens: {shown}");
        // Until caches and predictors are warm, nothing counts.
        if round >= WARM {
            times[kind].push(u32::try_from(took.as_nanos()).unwrap_or(u32::MAX));
        }
    }
    times
}

fn filled() -> Index {
    let index = Index::default();
    let line =
        |at| Line { proofs: [Proof::lasting(key::hash(&secret(at))), Proof::NONE], expires_ms: u64::MAX, since_ms: 0 };
    index.put((0..KEYS).map(|at| (id(at), line(at))), 0);
    index
}

/// Mean and variance, by Welford's way.
#[derive(Default)]
struct Sum {
    count: f64,
    mean: f64,
    squares: f64,
}

impl Sum {
    fn of(numbers: impl Iterator<Item = f64>) -> Self {
        let mut sum = Self::default();
        for took in numbers {
            sum.count += 1.0;
            let off = took - sum.mean;
            sum.mean += off / sum.count;
            sum.squares += off * (took - sum.mean);
        }
        sum
    }

    /// The variance of the mean.
    fn spread(&self) -> f64 {
        self.squares / (self.count - 1.0) / self.count
    }
}

fn text(id: &str, secret: &str) -> String {
    format!("tg_{id}_{secret}")
}

fn id(at: usize) -> String {
    format!("key{:09}", at * 7919)
}

fn secret(at: usize) -> String {
    format!("{at:05}abcdefghijklmnopqrstuvwxyzABCDEFGHIJKL")
}
