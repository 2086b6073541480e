//! Numbers as they are written in JSON, compared exactly: 0.1 is a tenth, and 1e400 is no infinity.
//! Called where an operator bounds an argument of a call.
//! Must hold: no number is rounded, and none costs more than its text is long.

use std::cmp::Ordering;

/// A number within its text: 0.DIGITS times ten to the power of `point`. Zero has no digits.
#[derive(Clone, Copy, Debug)]
pub struct Decimal<'t> {
    negative: bool,
    /// Digits before and after the dot, without zeros at the very front and the very end.
    whole: &'t [u8],
    fraction: &'t [u8],
    point: i64,
}

impl<'t> Decimal<'t> {
    /// The number that a text is by the grammar of RFC 8259, section 6; `None` where it is none. An exponent beyond 64
    /// bits counts as the largest of those, so that only two such numbers cannot be told apart.
    #[must_use]
    pub fn parse(text: &'t [u8]) -> Option<Self> {
        let (negative, rest) = match text.strip_prefix(b"-") {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (whole, rest) = digits(rest);
        if whole.is_empty() || (whole.len() > 1 && whole[0] == b'0') {
            return None;
        }
        let (fraction, rest) = match rest.strip_prefix(b".") {
            Some(rest) => digits(rest),
            None => (&[][..], rest),
        };
        if fraction.is_empty() && text.contains(&b'.') {
            return None;
        }
        let exponent = exponent(rest)?;
        Some(Self::normal(negative, whole, fraction, exponent))
    }

    fn normal(negative: bool, whole: &'t [u8], fraction: &'t [u8], exponent: i64) -> Self {
        let mut point = exponent.saturating_add(length(whole));
        let (mut whole, mut fraction) = (whole, fraction);
        while let Some(rest) = whole.strip_prefix(b"0") {
            (whole, point) = (rest, point.saturating_sub(1));
        }
        while let Some(rest) = fraction.strip_suffix(b"0") {
            fraction = rest;
        }
        if whole.is_empty() {
            while let Some(rest) = fraction.strip_prefix(b"0") {
                (fraction, point) = (rest, point.saturating_sub(1));
            }
        }
        if fraction.is_empty() {
            while let Some(rest) = whole.strip_suffix(b"0") {
                whole = rest;
            }
        }
        let zero = whole.is_empty() && fraction.is_empty();
        Self { negative: negative && !zero, whole, fraction, point: if zero { 0 } else { point } }
    }

    fn is_zero(&self) -> bool {
        self.whole.is_empty() && self.fraction.is_empty()
    }

    fn digits(&self) -> impl Iterator<Item = u8> {
        self.whole.iter().chain(self.fraction).copied()
    }

    /// Without the sign.
    fn magnitude(&self, other: &Self) -> Ordering {
        match (self.is_zero(), other.is_zero()) {
            (true, true) => Ordering::Equal,
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
            // Without zeros at their ends, of two rows of digits that begin alike the longer one is more.
            (false, false) => self.point.cmp(&other.point).then_with(|| self.digits().cmp(other.digits())),
        }
    }
}

impl Ord for Decimal<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self.negative, other.negative) {
            (false, false) => self.magnitude(other),
            (true, true) => other.magnitude(self),
            (true, false) => Ordering::Less,
            (false, true) => Ordering::Greater,
        }
    }
}

impl PartialOrd for Decimal<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Decimal<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Decimal<'_> {}

fn digits(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    text.split_at(end)
}

/// What stands behind the digits; 0 where nothing does.
fn exponent(text: &[u8]) -> Option<i64> {
    let Some((b'e' | b'E', rest)) = text.split_first() else { return text.is_empty().then_some(0) };
    let (negative, rest) = match rest.split_first() {
        Some((b'-', rest)) => (true, rest),
        Some((b'+', rest)) => (false, rest),
        _ => (false, rest),
    };
    let (number, beyond) = digits(rest);
    if number.is_empty() || !beyond.is_empty() {
        return None;
    }
    let size = number.iter().fold(0_i64, |sum, digit| sum.saturating_mul(10).saturating_add(i64::from(digit - b'0')));
    Some(if negative { -size } else { size })
}

fn length(digits: &[u8]) -> i64 {
    i64::try_from(digits.len()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn number(text: &str) -> Decimal<'_> {
        Decimal::parse(text.as_bytes()).unwrap_or_else(|| panic!("{text} is a number"))
    }

    #[test]
    fn what_json_does_not_call_a_number_is_none() {
        for text in
            ["", "-", "+1", "01", "-01", "1.", ".5", "1e", "1e+", "1.e3", "0x1", "1 ", " 1", "NaN", "1e1.5", "--1"]
        {
            assert!(Decimal::parse(text.as_bytes()).is_none(), "{text:?}");
        }
    }

    #[test]
    fn the_same_number_is_the_same_however_it_is_written() {
        for (one, other) in [
            ("1000", "1e3"),
            ("1000", "1000.000"),
            ("0.1", "1E-1"),
            ("0.1", "100e-3"),
            ("-0", "0.000"),
            ("0e999999999999999999999", "-0e-5"),
            ("12.50", "0.125e+2"),
            ("1e400", "10e399"),
        ] {
            assert_eq!(number(one), number(other), "{one} {other}");
        }
    }

    #[test]
    fn no_number_is_rounded() {
        for (less, more) in [
            ("0.1", "0.10000000000000000001"),
            ("9007199254740992", "9007199254740993"),
            ("1e308", "1e309"),
            ("1e400", "1e401"),
            ("-1e401", "-1e400"),
            ("-1", "0"),
            ("-0.5", "1e-400"),
            ("1e-401", "1e-400"),
            ("999.99999999999999999999999", "1000"),
            ("1000", "1e9999999999999999999999999"),
            ("1e-9999999999999999999999999", "1"),
            ("12", "123"),
        ] {
            assert!(number(less) < number(more), "{less} {more}");
        }
    }

    proptest! {
        #[test]
        fn it_orders_as_integers_do(one: i64, other: i64, shift in 0_u32..30) {
            let zeros = "0".repeat(shift as usize);
            let texts = [format!("{one}{}", if one == 0 { "" } else { &zeros }), format!("{other}e{shift}")];
            prop_assert_eq!(number(&texts[0]).cmp(&number(&texts[1])), one.cmp(&other));
        }

        #[test]
        fn it_reads_what_json_reads(text in "-?[0-9]{0,3}(\\.[0-9]{0,2})?([eE][+-]?[0-9]{0,2})?") {
            let json = serde_json::from_str::<serde_json::Value>(&text).is_ok();
            prop_assert_eq!(Decimal::parse(text.as_bytes()).is_some(), json, "{}", text);
        }
    }
}
