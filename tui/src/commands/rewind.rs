//! `toolgate rewind`: what the graphs showed at a time of the last day.

use std::time::SystemTime;

use toolgate_admin_api::{Exit, History, Series, Shown};

use super::Context;
use super::history::time;
use crate::args::Rewind;
use crate::client::admin::AdminClient;
use crate::failure::Failure;
use crate::output;

/// Columns of a graph.
const COLUMNS: u64 = 60;

/// What a graph is drawn with, from nothing to the most.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Prints the graphs, and what each series was at their right end.
pub(super) async fn run(context: &Context, rewind: &Rewind) -> Result<Exit, Failure> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let to = rewind.at.millis(u64::try_from(now.as_millis()).unwrap_or(u64::MAX));
    let from = to.saturating_sub(rewind.span * 1_000);
    let route = format!("/v1/history?series={}&from={from}&to={to}&points={COLUMNS}", series(rewind));
    let mut client = AdminClient::view(&context.runtime_dir).await?;
    let answer = client.get(&route).await?;
    if context.json {
        output::raw(answer.json());
        output::raw(b"\n");
        return Ok(Exit::Done);
    }
    let history: History = answer.read()?;
    output::line(&format!("{}, graphs from {}", time(to), time(from)));
    if history.series.iter().all(|series| series.points.iter().all(Option::is_none)) {
        let known = match history.oldest_ms {
            0 => "The daemon has no sample yet; it takes one every ten seconds.".to_owned(),
            oldest => format!("Nothing was recorded then; the oldest sample is of {}.", time(oldest)),
        };
        output::line(&known);
        return Ok(Exit::Failed);
    }
    let head = ["SERIES", "THEN", "LEAST", "MOST", "GRAPH"].map(String::from).to_vec();
    let rows = history.series.iter().map(row);
    output::raw(output::table(&std::iter::once(head).chain(rows).collect::<Vec<_>>()).as_bytes());
    Ok(Exit::Done)
}

/// The gate's series and its servers', or those of one server and its tools.
fn series(rewind: &Rewind) -> String {
    let gate = "calls,errors,refused,p50,p99,in_flight,waiting,sessions,connections,cpu,memory,bytes_in,bytes_out";
    match &rewind.server {
        None => format!("{gate},calls:*,errors:*,p99:*,in_flight:*,waiting:*"),
        Some(server) => {
            let words = ["calls", "errors", "refused", "p50", "p99", "in_flight", "waiting", "memory"];
            let own = words.map(|word| format!("{word}:{server}"));
            format!("{gate},{},calls:{server}/*,errors:{server}/*,p99:{server}/*", own.join(","))
        }
    }
}

fn row(series: &Series) -> Vec<String> {
    let known: Vec<f64> = series.points.iter().flatten().copied().collect();
    let most = known.iter().copied().reduce(f64::max);
    let least = known.iter().copied().reduce(f64::min);
    let then = series.points.last().copied().flatten();
    let shown = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| amount(value, &series.unit));
    let graph = series.points.iter().map(|point| bar(*point, most.unwrap_or(0.0))).collect();
    vec![Shown(&series.name).to_string(), shown(then), shown(least), shown(most), graph]
}

fn bar(point: Option<f64>, most: f64) -> char {
    let Some(value) = point else { return ' ' };
    let share = if most > 0.0 { (value / most).clamp(0.0, 1.0) } else { 0.0 };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 7")]
    let at = (share * 7.0).round() as usize;
    BARS[at]
}

/// A value in its unit, in three digits.
fn amount(value: f64, unit: &str) -> String {
    match unit {
        "us" if value >= 1e6 => format!("{:.2} s", value / 1e6),
        "us" if value >= 1e3 => format!("{:.1} ms", value / 1e3),
        "us" => format!("{value:.0} us"),
        "ratio" => format!("{:.1} %", value * 100.0),
        "per_second" => format!("{}/s", scaled(value, 1000.0)),
        "bytes" => format!("{}B", scaled(value, 1024.0)),
        "bytes_per_second" => format!("{}B/s", scaled(value, 1024.0)),
        _ => scaled(value, 1000.0).trim_end().to_owned(),
    }
}

fn scaled(value: f64, thousand: f64) -> String {
    let mut value = value;
    for unit in ["", "k", "M", "G"] {
        if value < thousand {
            let space = if thousand > 1000.0 { " " } else { "" };
            let digits = usize::from(value < 100.0 && value.fract().abs() > 0.05);
            return format!("{value:.digits$}{space}{unit}");
        }
        value /= thousand;
    }
    format!("{value:.0} T")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_have_units_and_few_digits() {
        let all = [
            amount(1234.0, "us"),
            amount(8_000_000.0, "us"),
            amount(0.93, "ratio"),
            amount(1234.0, "per_second"),
            amount(12.0, "count"),
            amount(0.5, "per_second"),
            amount(30.0 * 1024.0 * 1024.0, "bytes"),
        ];
        assert_eq!(all, ["1.2 ms", "8.00 s", "93.0 %", "1.2k/s", "12", "0.5/s", "30 MB"]);
    }

    #[test]
    fn a_graph_has_a_bar_per_point_and_shows_gaps() {
        let points = vec![Some(0.0), None, Some(7.0), Some(3.5)];
        let series = Series { name: "calls".into(), unit: "per_second".into(), points, ..Series::default() };
        assert_eq!(row(&series), ["calls", "3.5/s", "0/s", "7/s", "▁ █▅"]);
    }
}
