//! What it costs to find out whose key is shown, with 100,000 keys in the store, and how long the store takes to open.
//!
//! `cargo bench -p toolgated --bench keys` measures with criterion; it judges nothing.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::Criterion;
use toolgated::config::{Settings, from_text};
use toolgated::identity::key::{self, Owner};
use toolgated::identity::proofs::{Proof, Proofs};
use toolgated::identity::store::change::Change;
use toolgated::identity::store::record::{Record, Stored};
use toolgated::identity::store::{NAME, Store};

/// The daemon's own: memory is measured as the daemon would use it.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const KEYS: usize = 100_000;
/// Keys that are shown again and again.
const SHOWN: usize = 1_000;

fn main() {
    let folder = tempfile::tempdir().expect("a folder");
    let before = resident();
    let store = filled(folder.path());
    println!("{KEYS} keys weigh {} MB in memory", resident().saturating_sub(before) >> 10);
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(2))
        .sample_size(20)
        .configure_from_args();
    looks(&mut criterion, &store);
    criterion.final_summary();
    let crashed = tempfile::tempdir().expect("a folder");
    std::fs::copy(folder.path().join(NAME), crashed.path().join(NAME)).expect("a copy");
    drop(store);
    opens("closed in good order", folder.path(), false);
    opens("cut off, as by SIGKILL", crashed.path(), true);
}

fn looks(criterion: &mut Criterion, store: &Store) {
    let files = Proofs::default();
    let both = [settings(), settings()];
    let texts =
        |secret: &str| -> Vec<_> { (0..SHOWN).map(|at| format!("tg_{}_{secret}{}", id(at * 97), at * 97)).collect() };
    let (right, wrong) = (texts("secret"), texts("Secret"));
    let unknown: Vec<_> = (0..SHOWN).map(|at| format!("tg_nobody{at:06}_secret{}", at * 97)).collect();
    let mut at = 0;
    let mut next = move |most: usize| {
        at = (at + 1) % most;
        at
    };
    let mut measure = |what: &str, shown: &[String], settings: &[Arc<Settings>]| {
        criterion.bench_function(what, |bencher| {
            bencher.iter(|| {
                let at = next(shown.len() * settings.len());
                let presented = key::parse(black_box(&shown[at / settings.len()]))?;
                match key::find(presented, &files, store.index(), || 1)? {
                    Owner::Stored(known) => store.decide(presented.id, known, &settings[at % settings.len()]).ok(),
                    Owner::Configured(_) => None,
                }
            });
        });
    };
    measure("a key whose decision is kept", &right, &both[..1]);
    // What was decided for one configuration is nothing for the other, each time.
    measure("a key that is read from the file", &right, &both);
    measure("a wrong secret", &wrong, &both[..1]);
    measure("an unknown id", &unknown, &both[..1]);
}

/// The median of opening a store, and of it to the first key, over a few times.
fn opens(what: &str, folder: &Path, again: bool) {
    let original = std::fs::read(folder.join(NAME)).expect("a store");
    let mut times: Vec<_> = (0..9)
        .map(|_| {
            if again {
                std::fs::write(folder.join(NAME), &original).expect("a store");
            }
            let began = Instant::now();
            let store = Store::open(Some(folder));
            let took = began.elapsed();
            assert_eq!(store.index().len(), KEYS, "{:?}", store.trouble());
            took
        })
        .collect();
    times.sort();
    println!("a store of {KEYS} keys, {what}, opens in {:?}; {:?} at most", times[4], times[8]);
}

fn filled(folder: &Path) -> Store {
    let store = Store::open(Some(folder));
    let key = |at: usize| {
        let record = Record {
            owner: format!("client {at}"),
            tier: at.is_multiple_of(2).then(|| "free".to_owned()),
            scopes: vec!["weather/*".into(), "files/read_*".into()],
            created_ms: 1_795_737_600_000,
            expires_ms: Some(4_000_000_000_000),
            ..Record::default()
        };
        let proofs = [Proof::lasting(key::hash(&format!("secret{at}"))), Proof::NONE];
        (id(at), Change::Add(Box::new(Stored { record, proofs })))
    };
    store.change((0..KEYS).map(key).collect()).expect("a store").expect("new keys");
    store
}

fn id(at: usize) -> String {
    format!("key{:09}", at * 7919)
}

fn settings() -> Arc<Settings> {
    match from_text("version = 1\n[tier.free]\nlimits = []\n") {
        Ok(settings) => Arc::new(settings),
        Err(report) => panic!("{}", report.render(false)),
    }
}

/// Kilobytes of resident memory.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse().unwrap_or(0)
}
