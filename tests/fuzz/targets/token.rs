//! Tokens of clients and sets of keys of issuers.
//! Must hold: what the issuer did not sign is never believed, whatever was done to what it did sign; no key that can be
//! read is a secret; what is refused is refused for a reason, not by a panic.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use toolgate_fuzz::Dice;
use toolgated::identity::token::{Issuers, KeySet};

/// By the secret below, for `{"iss":"a","sub":"b","exp":8999999999999999}`; it ends when nobody asks any more.
const SIGNED: &str = "eyJhbGciOiJIUzI1NiJ9.\
                      eyJpc3MiOiJhIiwic3ViIjoiYiIsImV4cCI6ODk5OTk5OTk5OTk5OTk5OX0.\
                      btLkvOkCchGXaSeQUT1K0XaNMW-TCChIbJIPZeDVJU0";

static ISSUERS: LazyLock<Issuers> = LazyLock::new(|| {
    let text = "version = 1\n[listener.a]\naddress = [\"127.0.0.1:1\"]\nauth = [\"jwt\"]\n\
                [issuer.a]\nissuer = \"a\"\nsecret = \"a-secret-that-only-this-target-knows-of\"\n";
    let settings = toolgated::config::from_text(text).unwrap_or_else(|report| panic!("{:?}", report.problems));
    let issuers = Issuers::new(&settings, None);
    assert!(issuers.verify(SIGNED).is_ok(), "the token that is forged below is not good itself");
    issuers
});

fuzz_target!(|data: &[u8]| {
    let mut dice = Dice::of(data);
    let text = String::from_utf8_lossy(data);
    if text != SIGNED {
        assert!(ISSUERS.verify(&text).is_err(), "a text that nobody signed is believed");
    }
    let at = dice.below(SIGNED.len());
    let (front, back) = SIGNED.split_at(at);
    let forged = match dice.below(4) {
        0 => [front, &text, back].concat(),
        1 => [front, &text, &back[1..]].concat(),
        2 => front.to_owned(),
        _ => [back, front].concat(),
    };
    assert!(forged == SIGNED || ISSUERS.verify(&forged).is_err(), "a forged token is believed: {forged}");
    // A set says nothing of a key that it does not have.
    assert!(KeySet::parse(data).is_ok_and(|keys| !keys.is_empty()) || KeySet::parse(data).is_err());
});
