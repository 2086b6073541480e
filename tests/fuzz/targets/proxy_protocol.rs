//! PROXY headers of both versions.
//! Must hold: a header is whole at one length and at no other, whatever follows it; none is longer than the bound; what
//! is refused once is not whole with more bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use toolgate_protocol::proxy_protocol::{LONGEST, parse};

fuzz_target!(|input: &[u8]| {
    let whole = parse(input);
    match whole {
        Ok(Some(header)) => {
            assert!(header.length <= input.len() && header.length <= LONGEST);
            assert_eq!(parse(&input[..header.length]), whole, "what follows is part of it");
            assert!(
                (0..header.length).all(|length| parse(&input[..length]) == Ok(None)),
                "a part of it is whole, or refused"
            );
            if let Some(addresses) = header.addresses {
                for end in [addresses.source, addresses.destination] {
                    assert_eq!(end.ip().to_canonical(), end.ip());
                }
            }
        }
        Ok(None) => {
            assert!(input.len() < LONGEST, "it waits for more than any header has");
            assert!((0..input.len()).all(|length| parse(&input[..length]) == Ok(None)));
        }
        Err(fault) => {
            assert!(!fault.to_string().is_empty());
            assert!(
                (0..input.len()).all(|length| !matches!(parse(&input[..length]), Ok(Some(_)))),
                "whole, then refused"
            );
            assert!(parse(&[input, b"\r\n"].concat()).is_err(), "refused, then taken");
        }
    }
});
