//! What a limit's decision costs, and what a million keys weigh.
//!
//! `cargo bench -p toolgated --bench limiter` measures decisions with criterion and prints memory; it judges nothing.
//! A decision is all that a call pays for its limits: finding the key's cell, taking, and what the client is told.

use std::hint::black_box;
use std::time::Duration;

use criterion::Criterion;
use toolgated::config::from_text;
use toolgated::limits::{Keys, Limits};

/// The daemon's own: memory is measured as the daemon would use it.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const KEYS: u64 = 1_000_000;
const SECOND: u64 = 1_000_000_000;

const DECISIONS: [(&str, &str); 9] = [
    ("no limit", ""),
    ("rate per client", r#"{ per = "client", rate = "1000000/s" }"#),
    ("sliding window per client", r#"{ per = "client", rate = "1000000/s", algorithm = "sliding-window" }"#),
    ("quota per client", r#"{ per = "client", quota = "1000000000/day" }"#),
    ("calls in flight per client", r#"{ per = "client", concurrent = 100 }"#),
    ("rate per client and tool", r#"{ per = ["client", "tool"], rate = "1000000/s" }"#),
    ("rate of everybody", r#"{ per = "global", rate = "1000000/s" }"#),
    (
        "two sliding windows",
        r#"{ per = "global", rate = "1000000/s", algorithm = "sliding-window" }, { per = "client", rate = "1000000/s", algorithm = "sliding-window" }"#,
    ),
    (
        "six limits, two of them sliding windows",
        r#"{ per = "global", rate = "1000000/s", algorithm = "sliding-window" }, { per = "address", rate = "1000000/s" }, { per = "client", rate = "1000000/s", algorithm = "sliding-window" }, { per = ["client", "tool"], rate = "1000000/s" }, { per = "client", quota = "1000000000/day" }, { per = "client", concurrent = 100 }"#,
    ),
];

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(20)
        .configure_from_args();
    for (what, limit) in DECISIONS {
        let limits = limits(limit);
        let mut now = 1000 * SECOND;
        criterion.bench_function(what, |bencher| {
            bencher.iter(|| {
                now += 1000;
                limits.check(black_box(&keys("a client with a name")), now).is_ok()
            });
        });
    }
    let refusing = limits(r#"{ per = "client", rate = "1/h" }"#);
    criterion.bench_function("a refusal, with its words", |bencher| {
        bencher.iter(|| refusing.check(&keys("ana"), 1000 * SECOND).map_err(|refusal| refusal.to_string()).is_ok());
    });
    criterion.final_summary();
    for (what, limit) in [
        ("rate", r#"{ per = "client", rate = "10/h" }"#),
        ("sliding window", r#"{ per = "client", rate = "10/h", algorithm = "sliding-window" }"#),
        ("quota", r#"{ per = "client", quota = "10/day" }"#),
    ] {
        weigh(what, &limits(limit));
    }
}

/// A million keys that each made two calls, and what is left of them once they are idle.
fn weigh(what: &str, limits: &Limits) {
    let (before, now) = (resident(), 1000 * SECOND);
    for key in 0..KEYS {
        let client = format!("key:{key:016x}");
        for _ in 0..2 {
            assert!(limits.check(&keys(&client), now).is_ok());
        }
    }
    let (grown, remembered) = (resident().saturating_sub(before), limits.keys());
    limits.sweep(now + 25 * 3600 * SECOND);
    println!(
        "{what}: {remembered} keys weigh {} MB; a sweep after they are idle leaves {}",
        grown / 1024,
        limits.keys()
    );
}

fn keys(client: &str) -> Keys<'_> {
    Keys {
        listener: "public",
        address: [10, 0, 0, 1].into(),
        client,
        tier: Some("free"),
        organisation: None,
        server: Some("weather"),
        tool: Some("forecast"),
        tell: true,
    }
}

fn limits(limit: &str) -> Limits {
    let text = format!("version = 1\n[tier.free]\nlimits = [{limit}]\n");
    match from_text(&text) {
        Ok(settings) => Limits::new(&settings, None),
        Err(report) => panic!("{}", report.render(false)),
    }
}

/// Kilobytes of resident memory.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse().unwrap_or(0)
}
