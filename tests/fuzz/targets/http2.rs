//! The budget of HTTP/2 frames.
//! Must hold: the verdict does not depend on the cuts between reads; a breach is final; a frame that asks for nothing is
//! never free for ever.
#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use toolgate_fuzz::Dice;
use toolgate_protocol::framing::http2::{Breach, Frames, Kind};

/// The breach, the newest stream, and how many frames of each kind came.
type Verdict = (Option<Breach>, u32, Vec<u32>);

fn verdict<'c>(answered: usize, pieces: impl IntoIterator<Item = &'c [u8]>) -> Verdict {
    let mut frames = Frames::default();
    frames.answered(answered);
    let mut breach = None;
    for piece in pieces {
        if let Err(found) = frames.feed(piece, || Duration::ZERO) {
            assert_eq!(frames.feed(b"x", || Duration::from_hours(1)), Err(found), "a breach is final");
            assert_eq!(found.goaway(frames.last_stream()).len(), 17);
            breach = Some(found);
            break;
        }
    }
    (breach, frames.last_stream(), Kind::ALL.map(|kind| frames.count(kind)).to_vec())
}

fuzz_target!(|input: &[u8]| {
    let mut dice = Dice::of(input);
    let answered = [0, 100, 1 << 20][dice.below(3)];
    let whole = verdict(answered, [input]);
    assert_eq!(verdict(answered, input.chunks(1)), whole, "byte by byte");
    assert_eq!(verdict(answered, dice.pieces(input)), whole, "in pieces");
    assert!(whole.1 <= 0x7fff_ffff, "the reserved bit is part of no stream");

    // Whatever came before, a flood after it ends within the budget.
    if whole.0.is_none() && input.len() >= 24 {
        let mut frames = Frames::default();
        frames.answered(answered);
        let _ = frames.feed(input, || Duration::ZERO);
        let ping = [0, 0, 0, 6, 0, 0, 0, 0, 0];
        let rest = 1 << 15;
        let ended = (0..rest).any(|_| frames.feed(&ping, || Duration::ZERO).is_err());
        assert!(ended, "a flood of {rest} frames was taken");
    }
});
