//! What it costs to decide whether a client may use a name, and whether its arguments are what they must be.
//!
//! `cargo bench -p toolgated --bench rights` measures with criterion; it judges nothing. From how many patterns on it
//! pays to remember decisions is read off here.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::Criterion;
use toolgated::config::from_text;
use toolgated::identity::rights::{Kind, Rights};
use toolgated::identity::{Client, Persona};

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(20)
        .configure_from_args();
    let open = Client::new(Persona::default());
    criterion.bench_function("no rights of its own", |bencher| {
        bencher.iter(|| black_box(&open).may_use(Kind::Tool, black_box("bank"), black_box("transfer")));
    });
    for count in [1, 4, 8, 64, 512] {
        let rights = with(count);
        criterion.bench_function(&format!("{count} patterns"), |bencher| {
            bencher.iter(|| rights.allow(Kind::Tool, black_box("bank"), black_box("transfer")));
        });
    }
    let rights = with(8);
    let long = format!("{}transfer", "x".repeat(300));
    criterion.bench_function("8 patterns, of a name too long to be remembered", |bencher| {
        bencher.iter(|| rights.allow(Kind::Tool, black_box("bank"), black_box(&long)));
    });
    criterion.bench_function("8 patterns, with the rule for the record", |bencher| {
        bencher.iter(|| rights.rule(Kind::Tool, black_box("bank"), black_box("transfer")));
    });
    let text = br#"{"from":"DE12","to":"DE34","amount":999.95,"currency":"EUR","note":"for the rent of May"}"#;
    let span = toolgate_protocol::json::document(text).expect("JSON");
    criterion.bench_function("three conditions", |bencher| {
        bencher.iter(|| rights.refuse("bank", "transfer", black_box(Some((&text[..], span)))).is_none());
    });
    criterion.final_summary();
}

/// Rights of so many patterns, of which the last one matches; and of three conditions.
fn with(count: usize) -> Rights {
    let others = (1..count).map(|number| format!("\"server-{number}/read_*\""));
    let patterns: Vec<_> = others.chain(["\"bank/trans*\"".to_owned()]).collect();
    let text = format!(
        r#"version = 1
        [server.bank]
        endpoints = ["http://127.0.0.1:1/mcp"]
        [role.teller]
        allow = [{}]
        when = [
          {{ tool = "bank/transfer", argument = "/amount", at_most = 1000 }},
          {{ tool = "bank/transfer", argument = "/currency", one_of = ["EUR", "CHF"] }},
          {{ tool = "bank/*", argument = "/to", matches = "[A-Z]{{2}}[0-9]+" }},
        ]"#,
        patterns.join(", ")
    );
    let settings = from_text(&text).expect("a configuration");
    let roles: Vec<_> = settings.roles.values().map(Arc::clone).collect();
    Rights::new(Vec::new(), roles).expect("rights")
}
