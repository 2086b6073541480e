use proptest::prelude::*;

use super::Coding::{Brotli, Deflate, Gzip, Zstd};
use super::*;

const ALL: &[Coding] = &[Zstd, Brotli, Gzip];

fn best(lines: &[&str]) -> Option<Coding> {
    Accepted::new(lines.iter().map(|line| line.as_bytes())).best(ALL)
}

#[test]
fn the_client_decides_and_among_equals_the_operator() {
    let table: &[(&[&str], Option<Coding>)] = &[
        (&[], None),
        (&[""], None),
        (&["gzip"], Some(Gzip)),
        (&["GZip, Br"], Some(Brotli)),
        (&["x-gzip"], Some(Gzip)),
        (&["gzip, deflate, br, zstd"], Some(Zstd)),
        (&["gzip", "zstd;q=0.5"], Some(Gzip)),
        (&["gzip;q=0.5, zstd;q=0.501"], Some(Zstd)),
        (&["gzip; q=0, br;Q=0.001"], Some(Brotli)),
        (&["*"], Some(Zstd)),
        (&["*;q=0.1, zstd;q=0"], Some(Brotli)),
        (&["*;q=0, gzip"], Some(Gzip)),
        (&["identity"], None),
        (&["identity, gzip;q=0.9"], None),
        (&["identity;q=0.9, gzip;q=0.9"], Some(Gzip)),
        (&["deflate, compress"], None),
        (&["gzip;q=2"], None),
        (&["gzip;q=1.001"], None),
        (&["gzip;q=0.0000"], None),
        (&["gzip;q=x, br;q=1.000"], Some(Brotli)),
        (&["gzip;level=3;q=0"], None),
    ];
    for (lines, expected) in table {
        assert_eq!(best(lines), *expected, "{lines:?}");
    }
}

#[test]
fn content_encodings_are_told_apart() {
    let table: &[(Option<&str>, Encoded)] = &[
        (None, Encoded::Plain),
        (Some(""), Encoded::Plain),
        (Some("identity"), Encoded::Plain),
        (Some("GZIP"), Encoded::Once(Gzip)),
        (Some(" deflate "), Encoded::Once(Deflate)),
        (Some("identity, br"), Encoded::Once(Brotli)),
        (Some("gzip, gzip"), Encoded::Otherwise),
        (Some("compress"), Encoded::Otherwise),
    ];
    for (value, expected) in table {
        assert_eq!(encoded(value.map(str::as_bytes)), *expected, "{value:?}");
    }
    for coding in [Gzip, Deflate, Brotli, Zstd] {
        assert_eq!(Coding::parse(coding.name().as_bytes()), Some(coding));
    }
}

proptest! {
    #[test]
    fn nothing_is_chosen_that_is_not_allowed(line in "[a-z*;=,. 0-9q]{0,60}", index in 0_usize..3) {
        let accepted = Accepted::new([line.as_bytes()]);
        let offered = &ALL[index..];
        if let Some(coding) = accepted.best(offered) {
            prop_assert!(accepted.allows(coding) && offered.contains(&coding));
            prop_assert!(line.contains(coding.name()) || line.contains('*'));
        }
    }
}
