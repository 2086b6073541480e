//! Values over time: what was heard since the console is open, and what the daemon remembers from before.

use std::collections::{BTreeMap, VecDeque};

use toolgate_admin_api::{History, Overview, Series, ServerRow, Traffic};

use super::super::units::to_float;

/// Series of the gate that the console shows.
pub(crate) const SERIES: &[&str] =
    &["calls", "errors", "refused", "p50", "p99", "in_flight", "waiting", "sessions", "connections", "cpu", "memory"];

/// Series of each server that the console shows.
pub(crate) const SERVER_SERIES: &[&str] = &["calls", "errors", "p99", "in_flight", "waiting", "memory"];

/// How long the newest thing that the daemon remembers holds: twice as long as between two of its samples.
const HOLDS_MS: u64 = 20_000;

/// Values of a series that are kept as they come.
const KEPT: usize = 900;

/// What was.
#[derive(Debug, Clone, Default)]
pub(crate) struct Past {
    heard: BTreeMap<String, VecDeque<(u64, f64)>>,
    /// By name.
    remembered: BTreeMap<String, Series>,
    /// The oldest moment that the daemon remembers.
    pub(crate) oldest_ms: u64,
}

impl Past {
    /// Takes over what the daemon remembers.
    pub(crate) fn remember(&mut self, history: History) {
        self.oldest_ms = history.oldest_ms;
        for series in history.series {
            self.remembered.insert(series.name.clone(), series);
        }
    }

    pub(super) fn saw_overview(&mut self, at_ms: u64, overview: &Overview) {
        self.traffic(at_ms, "", &overview.traffic);
        let status = &overview.status;
        self.saw(at_ms, "waiting", to_float(overview.waiting));
        self.saw(at_ms, "sessions", to_float(status.sessions));
        self.saw(at_ms, "connections", to_float(status.connections));
        self.saw(at_ms, "cpu", overview.process.cpu);
        self.saw(at_ms, "memory", to_float(overview.process.memory));
    }

    pub(super) fn saw_servers(&mut self, at_ms: u64, servers: &[ServerRow]) {
        for row in servers {
            let of = format!(":{}", row.status.name);
            self.traffic(at_ms, &of, &row.traffic);
            self.saw(at_ms, &format!("waiting{of}"), to_float(row.status.waiting));
            let instances = row.status.instances.as_ref();
            if let Some(each) = instances.map(|instances| &instances.each) {
                let memory = each.iter().filter_map(|instance| instance.memory).sum();
                self.saw(at_ms, &format!("memory{of}"), to_float(memory));
            }
        }
        let gone = |name: &str| {
            let server = name.split_once(':').map(|(_, server)| server);
            server.is_some_and(|server| !servers.iter().any(|row| row.status.name == server))
        };
        self.heard.retain(|name, _| !gone(name));
    }

    fn traffic(&mut self, at_ms: u64, of: &str, traffic: &Traffic) {
        let values = [
            ("calls", traffic.calls_per_second),
            ("errors", traffic.errors_per_second),
            ("refused", traffic.refused_per_second),
            ("p50", to_float(traffic.latency.p50_us)),
            ("p99", to_float(traffic.latency.p99_us)),
            ("in_flight", to_float(traffic.in_flight)),
        ];
        for (name, value) in values {
            self.saw(at_ms, &format!("{name}{of}"), value);
        }
    }

    fn saw(&mut self, at_ms: u64, name: &str, value: f64) {
        if !self.heard.contains_key(name) {
            self.heard.insert(name.to_owned(), VecDeque::new());
        }
        let Some(values) = self.heard.get_mut(name) else { return };
        if values.back().is_some_and(|(last, _)| *last >= at_ms) {
            return;
        }
        if values.len() == KEPT {
            values.pop_front();
        }
        values.push_back((at_ms, value));
    }

    /// The value of a series at a moment, where one is known.
    pub(crate) fn at(&self, name: &str, at_ms: u64) -> Option<f64> {
        self.span(name, at_ms.saturating_sub(15_000), at_ms.saturating_add(1), 1).pop().flatten()
    }

    /// The middle of what the daemon remembers of a series: what is normal for it.
    pub(crate) fn usual(&self, name: &str) -> Option<f64> {
        let mut points: Vec<f64> = self.remembered.get(name)?.points.iter().copied().flatten().collect();
        points.retain(|point| *point > 0.0);
        points.sort_by(f64::total_cmp);
        points.get(points.len() / 2).copied()
    }

    /// A series in so many columns of equal time up to `to_ms`: the mean of what was heard in each, else what the daemon
    /// remembers of it.
    pub(crate) fn span(&self, name: &str, from_ms: u64, to_ms: u64, columns: usize) -> Vec<Option<f64>> {
        let columns = columns.max(1);
        let length = to_ms.saturating_sub(from_ms).max(1);
        let column = |at_ms: u64| usize::try_from((at_ms - from_ms) * columns as u64 / length).unwrap_or(usize::MAX);
        let mut sums = vec![(0.0, 0_u32); columns];
        let heard = self.heard.get(name).into_iter().flatten();
        for (at_ms, value) in heard.filter(|(at_ms, _)| (from_ms..to_ms).contains(at_ms)) {
            if let Some((sum, count)) = sums.get_mut(column(*at_ms)) {
                *sum += value;
                *count += 1;
            }
        }
        let old = self.remembered.get(name);
        let middle = |index: usize| from_ms + length * (2 * index as u64 + 1) / (2 * columns as u64);
        sums.iter()
            .enumerate()
            .map(|(index, (sum, count))| match count {
                0 => old.and_then(|series| point(series, middle(index))).or_else(|| self.carried(name, middle(index))),
                count => Some(sum / f64::from(*count)),
            })
            .collect()
    }

    /// A topic comes only when it changed, so the value before a short gap still holds in it.
    fn carried(&self, name: &str, at_ms: u64) -> Option<f64> {
        let heard = self.heard.get(name)?;
        let (last, value) = heard.iter().rev().find(|(at, _)| *at <= at_ms)?;
        let next = heard.iter().find(|(at, _)| *at > at_ms);
        let holds = next.is_some() || at_ms - last < 30_000;
        holds.then_some(*value)
    }
}

fn point(series: &Series, at_ms: u64) -> Option<f64> {
    let after = at_ms.checked_sub(series.from_ms)?;
    let index = usize::try_from(after.checked_div(series.step_ms)?).ok()?;
    if let Some(value) = series.points.get(index).copied().flatten() {
        return Some(value);
    }
    // The newest sample holds until the next one is taken: what is heard goes on from there.
    let last = series.points.iter().rposition(Option::is_some).filter(|last| *last < index)?;
    let age_ms = series.step_ms.saturating_mul((index - last) as u64);
    series.points[last].filter(|_| age_ms <= HOLDS_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_heard_comes_before_what_is_remembered() {
        let mut past = Past::default();
        past.remember(History {
            series: vec![Series {
                name: "calls".into(),
                unit: "per_second".into(),
                from_ms: 0,
                step_ms: 10,
                points: vec![Some(1.0), None, Some(3.0), Some(9.0)],
            }],
            oldest_ms: 0,
        });
        past.saw(30, "calls", 4.0);
        past.saw(35, "calls", 6.0);
        assert_eq!(past.span("calls", 0, 40, 4), [Some(1.0), None, Some(3.0), Some(5.0)]);
        assert_eq!(past.span("unknown", 0, 40, 2), [None, None]);
        assert_eq!(past.at("calls", 36), Some(5.0));
    }

    #[test]
    fn between_the_last_sample_and_the_first_news_is_no_gap() {
        let mut past = Past::default();
        let series = |points: &[Option<f64>]| Series {
            name: "calls".into(),
            unit: "per_second".into(),
            from_ms: 0,
            step_ms: 10_000,
            points: points.to_vec(),
        };
        let of = |points: &[Option<f64>]| History { series: vec![series(points)], oldest_ms: 0 };
        past.remember(of(&[Some(1.0), None, Some(3.0), None]));
        past.saw(55_000, "calls", 7.0);
        let seen = past.span("calls", 0, 60_000, 6);
        assert_eq!(seen, [Some(1.0), None, Some(3.0), Some(3.0), Some(3.0), Some(7.0)]);
        past.remember(of(&[Some(1.0)]));
        assert_eq!(past.span("calls", 0, 50_000, 5), [Some(1.0), Some(1.0), Some(1.0), None, None]);
    }

    #[test]
    fn all_who_wait_count_also_where_their_queue_is_not_among_the_fullest() {
        let overview = super::super::super::fixture::lines(1).into_iter().find_map(|line| match line {
            toolgate_admin_api::WatchLine::Topic { topic: toolgate_admin_api::Topic::Overview(told), .. } => Some(told),
            _ => None,
        });
        let mut overview = overview.expect("an overview");
        (overview.waiting, overview.saturation) = (41, Vec::new());
        let mut past = Past::default();
        past.saw_overview(1_000, &overview);
        assert_eq!(past.at("waiting", 1_500), Some(41.0));
    }

    #[test]
    fn a_value_holds_until_the_next_one() {
        let mut past = Past::default();
        past.saw(1_000, "calls", 4.0);
        past.saw(5_000, "calls", 8.0);
        assert_eq!(past.span("calls", 1_000, 6_000, 5), [Some(4.0), Some(4.0), Some(4.0), Some(4.0), Some(8.0)]);
        assert_eq!(past.span("calls", 100_000, 110_000, 1), [None]);
    }
}
