//! What is collected for one answer of `/metrics`, and its text.

use prometheus::TextEncoder;
use prometheus::proto::{Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType};
use toolgate_protocol::latency::{COARSE, COARSE_US};

use super::table::{FAMILIES, Family, Kind};
use crate::observe::Shown;

/// Samples by metric.
#[derive(Debug)]
pub(super) struct Page(Vec<Vec<Metric>>);

/// Times in coarse buckets.
#[derive(Debug, Clone, Copy, Default)]
pub struct Times {
    /// By [`COARSE_US`].
    pub counts: [u64; COARSE],
    /// Of all of them, in microseconds.
    pub sum_us: u64,
}

/// Samples of one metric.
pub(super) struct Samples<'a> {
    family: &'static Family,
    metrics: &'a mut Vec<Metric>,
}

impl Page {
    pub(super) fn new() -> Self {
        Self(FAMILIES.iter().map(|_| Vec::new()).collect())
    }

    /// The samples of a metric of the table.
    pub(super) fn of(&mut self, name: &str) -> Samples<'_> {
        let at = FAMILIES.iter().position(|family| family.name == name);
        let at = at.unwrap_or_else(|| panic!("the metric {name} is not in the table"));
        Samples { family: &FAMILIES[at], metrics: &mut self.0[at] }
    }

    /// A metric without labels.
    pub(super) fn set(&mut self, name: &str, value: impl Into<Value>) {
        self.of(name).add(&[], value);
    }

    /// The text format; metrics without a sample are left out.
    pub(super) fn text(self) -> Result<String, prometheus::Error> {
        let families: Vec<_> = FAMILIES
            .iter()
            .zip(self.0)
            .filter(|(_, metrics)| !metrics.is_empty())
            .map(|(family, metrics)| {
                let mut told = MetricFamily::default();
                told.set_name(family.name.to_owned());
                told.set_help(format!("{}.", family.help));
                told.set_field_type(match family.kind {
                    Kind::Counter => MetricType::COUNTER,
                    Kind::Gauge => MetricType::GAUGE,
                    Kind::Histogram => MetricType::HISTOGRAM,
                });
                told.set_metric(metrics);
                told
            })
            .collect();
        TextEncoder::new().encode_to_string(&families)
    }
}

/// A number as the format has it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Value(f64);

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self(value)
    }
}

impl From<u64> for Value {
    #[expect(clippy::cast_precision_loss, reason = "the format has no other numbers")]
    fn from(value: u64) -> Self {
        Self(value as f64)
    }
}

impl From<usize> for Value {
    fn from(value: usize) -> Self {
        Self::from(value as u64)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::from(u64::from(value))
    }
}

impl Samples<'_> {
    /// Adds a sample; `labels` in the table's order.
    pub(super) fn add(&mut self, labels: &[&str], value: impl Into<Value>) {
        let mut metric = self.labelled(labels);
        let Value(value) = value.into();
        if self.family.kind == Kind::Counter {
            let mut counter = Counter::default();
            counter.set_value(value);
            metric.set_counter(counter);
        } else {
            let mut gauge = Gauge::default();
            gauge.set_value(value);
            metric.set_gauge(gauge);
        }
        self.metrics.push(metric);
    }

    /// Adds times.
    pub(super) fn add_times(&mut self, labels: &[&str], times: &Times) {
        let mut metric = self.labelled(labels);
        let mut below = 0;
        let buckets = COARSE_US.iter().zip(&times.counts).map(|(bound, count)| {
            below += count;
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(seconds(*bound));
            bucket.set_cumulative_count(below);
            bucket
        });
        let mut histogram = Histogram::default();
        histogram.set_bucket(buckets.collect());
        histogram.set_sample_count(times.counts.iter().sum());
        histogram.set_sample_sum(seconds(times.sum_us));
        metric.set_histogram(histogram);
        self.metrics.push(metric);
    }

    fn labelled(&self, labels: &[&str]) -> Metric {
        debug_assert_eq!(labels.len(), self.family.labels.len(), "labels of {}", self.family.name);
        let pair = |(name, value): (&&str, &&str)| {
            let mut pair = LabelPair::default();
            pair.set_name((*name).to_owned());
            pair.set_value(Shown(value).to_string());
            pair
        };
        Metric::from_label(self.family.labels.iter().zip(labels).map(pair).collect())
    }
}

#[expect(clippy::cast_precision_loss, reason = "microseconds of a process's life are far below 2^52")]
fn seconds(us: u64) -> f64 {
    us as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_written_with_their_labels_and_nothing_hostile() {
        let mut page = Page::new();
        page.of("mcp_tool_executions_total").add(&["a", "quo\"te\u{1b}[2J\n", "success"], 3_u64);
        page.set("toolgate_ready", true);
        let text = page.text().expect("encodes");
        assert!(text.contains("# TYPE mcp_tool_executions_total counter\n"), "{text}");
        let sample = r#"mcp_tool_executions_total{server="a",tool_name="quo\"te\\u{1b}[2J"#;
        assert!(text.contains(sample), "{text}");
        assert!(text.ends_with("toolgate_ready 1\n"), "{text}");
        assert_eq!(text.lines().count(), 6, "{text}");
    }

    #[test]
    fn buckets_add_up() {
        let mut times = Times { sum_us: 3_500_000, ..Times::default() };
        times.counts[0] = 2;
        times.counts[11] = 1;
        times.counts[COARSE - 1] = 4;
        let mut page = Page::new();
        page.of("mcp_request_duration_seconds").add_times(&["a", "ping", "ok"], &times);
        let text = page.text().expect("encodes");
        for line in ["le=\"0.0005\"} 2", "le=\"1\"} 2", "le=\"2\"} 3", "le=\"30\"} 3", "le=\"+Inf\"} 7"] {
            assert!(text.contains(line), "{line}: {text}");
        }
        assert!(text.contains("_sum{server=\"a\",method=\"ping\",status=\"ok\"} 3.5\n"), "{text}");
    }
}
