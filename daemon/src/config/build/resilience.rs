//! `breaker`, `retry` and `health` of a server: what happens when it fails. Each is there when one of its keys is.

use std::time::Duration;

use toolgate_protocol::breaker::Rules;
use toolgate_protocol::health::Thresholds;

use super::super::section::Section;
use super::super::settings::{Filter, Health, Retry};
use super::super::tree::Node;

/// When calls are refused because they would fail; none unless something of it is written.
pub(super) fn breaker(section: Section<'_>) -> Option<Rules> {
    if !is_written(section, "breaker") {
        return None;
    }
    let millis = |path: &str, standard: u64| {
        let written = section.maybe_duration(path).map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
        written.unwrap_or(standard)
    };
    let failures = section.maybe_count("breaker.failures").unwrap_or(5);
    let slow_is_written = section.valid("breaker.slow").is_some();
    Some(Rules {
        failures: u32::try_from(failures).ok().filter(|failures| *failures > 0),
        failure_rate: section.maybe_percent("breaker.failure_rate"),
        slow: millis("breaker.slow", 10_000),
        slow_rate: section.maybe_percent("breaker.slow_rate").or(slow_is_written.then_some(50)),
        window: millis("breaker.window", 30_000),
        min_calls: section.maybe_count("breaker.min_calls").unwrap_or(10),
        open_for: millis("breaker.open_for", 30_000),
        max_open: millis("breaker.max_open", 300_000),
    })
}

/// When a call is made once more. Where there are several endpoints, one that cannot be reached is no reason to fail.
pub(super) fn retry(section: Section<'_>, endpoints: usize) -> Option<Retry> {
    if !is_written(section, "retry") && endpoints < 2 {
        return None;
    }
    let standard = Retry::default();
    let attempts = section.maybe_count("retry.attempts").and_then(|count| u32::try_from(count).ok());
    let retry = Retry {
        attempts: attempts.unwrap_or(standard.attempts),
        budget: section.maybe_percent("retry.budget").unwrap_or(standard.budget),
        idempotent: Filter { allow: section.texts("retry.idempotent"), deny: Vec::new() },
    };
    (retry.attempts > 1).then_some(retry)
}

/// How endpoints are looked after; none unless something of it is written, or where it is switched off.
pub(super) fn health(section: Section<'_>) -> Option<Health> {
    if !is_written(section, "health") || section.written("health.active").is_some() && !section.bool("health.active") {
        return None;
    }
    let time = |path: &str, seconds: u64| section.maybe_duration(path).unwrap_or(Duration::from_secs(seconds));
    let count = |path: &str, standard: u32| {
        section.maybe_count(path).and_then(|count| u32::try_from(count).ok()).unwrap_or(standard)
    };
    let interval = time("health.interval", 10);
    Some(Health {
        initial_delay: section.maybe_duration("health.initial_delay").unwrap_or(interval / 10),
        interval,
        timeout: time("health.timeout", 5),
        thresholds: Thresholds { rise: count("health.rise", 1), fall: count("health.fall", 3) },
    })
}

fn is_written(section: Section<'_>, table: &str) -> bool {
    section.written(table).and_then(Node::table).is_some()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::super::from_text;
    use super::super::super::settings::{Server, Transport};
    use super::*;

    fn server(lines: &str) -> Arc<Server> {
        let text = format!("version = 1\n[server.a]\n{lines}\n");
        let settings = from_text(&text).unwrap_or_else(|report| panic!("{}", report.render(false)));
        Arc::clone(&settings.servers["a"])
    }

    const ONE: &str = "endpoints = \"http://127.0.0.1:1/mcp\"\n";

    #[test]
    fn nothing_is_there_that_is_not_written() {
        let plain = server(ONE);
        assert_eq!((&plain.breaker, &plain.retry, &plain.health), (&None, &None, &None));
        let two = server("endpoints = [\"http://127.0.0.1:1/mcp\", \"http://127.0.0.1:2/mcp\"]");
        assert_eq!((&two.breaker, &two.retry, &two.health), (&None, &Some(Retry::default()), &None));
        assert_eq!(server(&format!("{ONE}retry.attempts = 1")).retry, None);
        assert_eq!(server(&format!("{ONE}health = {{ active = false, rise = 1 }}")).health, None);
    }

    #[test]
    fn one_key_brings_the_customary_values_of_the_others() {
        let all = server(&format!("{ONE}breaker.open_for = \"1s\"\nhealth.fall = 1\nretry.idempotent = [\"get_*\"]"));
        let breaker = all.breaker.as_ref().expect("a breaker");
        assert_eq!((breaker.failures, breaker.open_for, breaker.max_open), (Some(5), 1000, 300_000));
        assert_eq!((breaker.failure_rate, breaker.slow_rate), (None, None));
        let health = all.health.as_ref().expect("checks");
        assert_eq!((health.interval.as_secs(), health.timeout.as_secs()), (10, 5));
        assert_eq!((health.initial_delay.as_secs(), health.thresholds), (1, Thresholds { rise: 1, fall: 1 }));
        let slow =
            server(&format!("{ONE}health = {{ initial_delay = \"1m\", rise = 2 }}")).health.clone().expect("checks");
        assert_eq!((slow.initial_delay.as_secs(), slow.thresholds), (60, Thresholds { rise: 2, fall: 3 }));
        let retry = all.retry.as_ref().expect("retries");
        assert_eq!((retry.attempts, retry.budget, &*retry.idempotent.allow[0]), (2, 10, "get_*"));
        let slow = server(&format!("{ONE}breaker = {{ failures = 0, slow = \"2s\" }}")).breaker.clone().expect("one");
        assert_eq!((slow.failures, slow.slow, slow.slow_rate), (None, 2000, Some(50)));
    }

    #[test]
    fn endpoints_may_have_weights() {
        let weighed =
            server("endpoints = [\"http://127.0.0.1:1/mcp\", { url = \"http://127.0.0.1:2/mcp\", weight = 3 }]");
        let Transport::Http(http) = &weighed.transport else { panic!() };
        let urls: Vec<_> = http.endpoints.iter().map(|endpoint| endpoint.url.as_str()).collect();
        assert_eq!(urls, ["http://127.0.0.1:1/mcp", "http://127.0.0.1:2/mcp"]);
        assert_eq!(weighed.weights, [1, 3]);
        for (wrong, said) in [
            ("[{ weight = 3 }]", "no URL"),
            ("[{ url = \"ftp://x\" }]", "URL of a server"),
            ("[{ url = \"http://a/\", wait = 1 }]", "there is no key `wait`"),
            ("[{ url = \"http://a/\", weight = 0 }]", "too small"),
        ] {
            let report = from_text(&format!("version = 1\n[server.a]\nendpoints = {wrong}\n")).expect_err(wrong);
            assert!(report.render(false).contains(said), "{}", report.render(false));
        }
    }
}
