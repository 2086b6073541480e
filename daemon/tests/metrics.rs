//! What is written about metrics, compared with the metrics that there are.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use toolgated::observe::metrics::{FAMILIES, Kind};

const BEGIN: &str = "<!-- metrics: begin -->\n";
const END: &str = "<!-- metrics: end -->\n";

fn packaging(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging").join(file)
}

fn read(file: &str) -> String {
    std::fs::read_to_string(packaging(file)).unwrap_or_else(|problem| panic!("{file}: {problem}"))
}

#[test]
fn every_metric_is_explained() {
    let mut table = "| metric | type | labels | tells |\n|---|---|---|---|\n".to_owned();
    for family in FAMILIES {
        let labels: Vec<_> = family.labels.iter().map(|label| format!("`{label}`")).collect();
        writeln!(table, "| `{}` | {} | {} | {} |", family.name, family.kind.word(), labels.join(", "), family.help)
            .expect("a string takes it");
    }
    let page = read("doc/metrics.md");
    let (before, rest) = page.split_once(BEGIN).expect("where the table begins");
    let (_, after) = rest.split_once(END).expect("where it ends");
    let wanted = format!("{before}{BEGIN}\n{table}\n{END}{after}");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        return std::fs::write(packaging("doc/metrics.md"), wanted).expect("the page is written");
    }
    assert!(page == wanted, "the table of metrics is stale: run UPDATE_DOCS=1 cargo test -p toolgated --test metrics");
}

/// Names that look like metrics of ours.
fn mentioned(text: &str) -> BTreeSet<&str> {
    let words = text.split(|char: char| !char.is_ascii_alphanumeric() && char != '_');
    words.filter(|word| ["mcp_", "toolgate_", "process_"].iter().any(|prefix| word.starts_with(prefix))).collect()
}

#[test]
fn rules_and_dashboard_ask_for_metrics_that_there_are() {
    let mut known = BTreeSet::new();
    for family in FAMILIES {
        known.insert(family.name.to_owned());
        if family.kind == Kind::Histogram {
            known.extend(["_bucket", "_sum", "_count"].map(|suffix| format!("{}{suffix}", family.name)));
        }
    }
    for (file, least) in [("prometheus/toolgate.rules.yml", 15), ("grafana/toolgate.json", 20)] {
        let text = read(file);
        let mentioned = mentioned(&text);
        assert!(mentioned.len() >= least, "{file}: {mentioned:?}");
        for name in mentioned {
            assert!(known.contains(name), "{file} asks for {name}, which is not there");
        }
    }
    let dashboard: serde_json::Value = serde_json::from_str(&read("grafana/toolgate.json")).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let ids: BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_u64()).collect();
    assert_eq!(ids.len(), panels.len(), "each panel has an id of its own");
}
