//! What clients are told of a limit: `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-10).
//!
//! All that does not change from call to call is written once per configuration.

use std::fmt::Write as _;
use std::sync::Arc;

use http::HeaderValue;
use toolgate_protocol::limiter::{Standing, Unit};

use super::applied::Bound;
use crate::config::settings::{Counted, Limit, Measure};

/// A limit in headers.
#[derive(Debug)]
pub(super) struct Advert {
    /// Its name as a string of structured fields, quotes included.
    name: String,
    policy: HeaderValue,
}

/// Where a client stands below a limit.
#[derive(Debug, Clone)]
pub struct Told {
    advert: Arc<Advert>,
    /// What would be admitted at once.
    pub remaining: u64,
    /// Seconds until all of it is there again, where known.
    reset: Option<u64>,
}

impl Advert {
    pub(super) fn new(limit: &Limit, measure: Measure) -> Self {
        let name = quoted(&limit.name);
        let mut policy = name.clone();
        // Writing to a String cannot fail.
        let _ = match measure {
            Measure::Rate { count, period, .. } | Measure::Window { count, period } => {
                let _ = write!(policy, ";q={count}");
                // Windows are whole seconds.
                if period.subsec_nanos() == 0 { write!(policy, ";w={}", period.as_secs()) } else { Ok(()) }
            }
            Measure::Quota { count, unit: Unit::Day } => write!(policy, ";q={count};w=86400"),
            // Months differ.
            Measure::Quota { count, unit: Unit::Month } => write!(policy, ";q={count}"),
            Measure::Concurrent(max) => write!(policy, ";q={max};qu=\"concurrent-requests\""),
        };
        if limit.counted == Counted::Cost {
            policy.push_str(";qu=\"cost\"");
        }
        let policy = HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static(""));
        Self { name, policy }
    }
}

impl Told {
    pub(super) fn new(bound: &Bound, standing: Standing) -> Self {
        let reset = standing.reset.map(|nanos| nanos.div_ceil(1_000_000_000));
        Self { advert: Arc::clone(&bound.advert), remaining: standing.remaining, reset }
    }

    /// The value of `RateLimit-Policy`.
    #[must_use]
    pub fn policy(&self) -> HeaderValue {
        self.advert.policy.clone()
    }

    /// The value of `RateLimit`.
    #[must_use]
    pub fn standing(&self) -> HeaderValue {
        let mut text = String::with_capacity(self.advert.name.len() + 24);
        let _ = write!(text, "{};r={}", self.advert.name, self.remaining);
        if let Some(reset) = self.reset {
            let _ = write!(text, ";t={reset}");
        }
        HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""))
    }
}

/// RFC 9651, section 3.3.3: printable ASCII; what else a name has becomes `_`.
fn quoted(name: &str) -> String {
    let mut text = String::from("\"");
    for letter in name.chars() {
        match letter {
            '"' | '\\' => text.extend(['\\', letter]),
            ' '..='~' => text.push(letter),
            _ => text.push('_'),
        }
    }
    text.push('"');
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::settings::{LimitScope, Prefix, Written};

    #[test]
    fn headers_are_structured_fields() {
        let minute = Duration::from_secs(60);
        for (name, measure, counted, policy) in [
            ("free", Measure::Rate { count: 100, period: minute, burst: 20 }, Counted::Calls, "\"free\";q=100;w=60"),
            ("a\"b\\é", Measure::Window { count: 5, period: minute }, Counted::Calls, "\"a\\\"b\\\\_\";q=5;w=60"),
            ("half", Measure::Window { count: 5, period: minute / 120 }, Counted::Calls, "\"half\";q=5"),
            ("d", Measure::Quota { count: 9, unit: Unit::Day }, Counted::Cost, "\"d\";q=9;w=86400;qu=\"cost\""),
            ("m", Measure::Quota { count: 9, unit: Unit::Month }, Counted::Calls, "\"m\";q=9"),
            ("c", Measure::Concurrent(3), Counted::Calls, "\"c\";q=3;qu=\"concurrent-requests\""),
        ] {
            let prefix = Prefix { v4: 32, v6: 64 };
            let (name, per, written) = (name.to_owned(), LimitScope::CLIENT, Written::default());
            let limit = Limit { name: name.clone(), per, prefix, measure, counted, message: None, written };
            let bound = Bound::new(&limit, measure);
            let told = Told::new(&bound, Standing { remaining: 7, reset: Some(1) });
            assert_eq!(told.policy(), policy);
            let name = quoted(&name);
            assert_eq!(told.standing(), format!("{name};r=7;t=1").as_str());
            assert_eq!(
                Told::new(&bound, Standing { remaining: 0, reset: None }).standing(),
                format!("{name};r=0").as_str()
            );
        }
    }
}
