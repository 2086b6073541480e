//! The frames of an HTTP/2 client, by their headers alone: how many of them move no call.
//!
//! The guard before hyper feeds a [`Frames`] with all bytes of a connection, and tells it how many
//! were sent back. What a frame says is h2's business; here it only has a price.

mod kind;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub use kind::{Breach, Kind};

/// What every client says first (RFC 9113, section 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Bytes of a frame's header.
const HEADER: usize = 9;
/// Longest payload, unless another was announced (RFC 9113, section 6.5.2).
const LONGEST: u32 = 16_384;
/// Points at the start, and at most.
const BUDGET: u32 = 1000;
/// How long one point takes to come back.
const POINT: Duration = Duration::from_millis(10);
/// Points that a request gives back: clients may open a stream with a frame or two of control.
const REQUEST: u32 = 2;
/// Bytes of answers that pay for control frames to come. More would let a flood that follows a long
/// answer run on.
const ANSWERED: u32 = 16 * 1024;

const END_STREAM: u8 = 0x1;
const END_HEADERS: u8 = 0x4;
const PADDED: u8 = 0x8;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// The preface, of which this much has come.
    Preface(usize),
    /// A frame's header, of which this much has come.
    Header(usize),
    /// Payload, of which this much is still to come.
    Payload(u32),
}

/// Shortest payload of DATA that is a body's piece and not a frame for its own sake.
fn piece(flags: u8) -> u32 {
    // Padding and its length are at most 256 bytes.
    if flags & PADDED == 0 { 16 } else { 16 + 256 }
}

/// Follows the frames that one client sends.
///
/// Every frame that asks for nothing costs points; requests, time and the bytes of answers give
/// them back. A client that does what it came for never notices. One that floods ends after at most
/// a thousand frames, whatever it did before.
#[derive(Debug)]
pub struct Frames {
    next: Next,
    header: [u8; HEADER],
    points: u32,
    /// Since when points have not been given back, from the start of the connection.
    refilled: Duration,
    /// Bytes of answers that have paid for nothing yet.
    answered: u32,
    last_stream: u32,
    counts: [u32; Kind::ALL.len()],
    breach: Option<Breach>,
}

impl Default for Frames {
    fn default() -> Self {
        Self {
            next: Next::Preface(0),
            header: [0; HEADER],
            points: BUDGET,
            refilled: Duration::ZERO,
            answered: 0,
            last_stream: 0,
            counts: [0; Kind::ALL.len()],
            breach: None,
        }
    }
}

impl Frames {
    /// Takes the next bytes of the connection. After a breach everything is one.
    ///
    /// `now` says how long the connection has been open; it is asked only where a frame has a price.
    pub fn feed(&mut self, mut input: &[u8], now: impl Fn() -> Duration) -> Result<(), Breach> {
        if let Some(breach) = self.breach {
            return Err(breach);
        }
        while !input.is_empty() {
            match self.step(input, &now) {
                Ok(taken) => input = &input[taken..],
                Err(breach) => {
                    self.breach = Some(breach);
                    return Err(breach);
                }
            }
        }
        Ok(())
    }

    /// Counts bytes that were sent to the client: it has to say that it took them.
    pub fn answered(&mut self, bytes: usize) {
        let bytes = u32::try_from(bytes).unwrap_or(ANSWERED);
        self.answered = self.answered.saturating_add(bytes).min(ANSWERED);
    }

    /// Frames of this kind that came so far.
    #[must_use]
    pub fn count(&self, kind: Kind) -> u32 {
        self.counts[kind as usize]
    }

    /// The newest stream that the client opened; 0 before the first.
    #[must_use]
    pub fn last_stream(&self) -> u32 {
        self.last_stream
    }

    /// Takes some of the bytes, at least one.
    fn step(&mut self, input: &[u8], now: &impl Fn() -> Duration) -> Result<usize, Breach> {
        match self.next {
            Next::Preface(come) => {
                let taken = input.len().min(PREFACE.len() - come);
                if input[..taken] != PREFACE[come..come + taken] {
                    return Err(Breach::Preface);
                }
                let come = come + taken;
                self.next = if come == PREFACE.len() { Next::Header(0) } else { Next::Preface(come) };
                Ok(taken)
            }
            Next::Header(come) => {
                let taken = input.len().min(HEADER - come);
                self.header[come..come + taken].copy_from_slice(&input[..taken]);
                self.next = Next::Header(come + taken);
                if come + taken == HEADER {
                    self.frame(now)?;
                }
                Ok(taken)
            }
            Next::Payload(left) => {
                let taken = u32::try_from(input.len()).map_or(left, |here| here.min(left));
                self.next = if taken == left { Next::Header(0) } else { Next::Payload(left - taken) };
                Ok(taken as usize)
            }
        }
    }

    /// Takes a frame whose header is whole.
    fn frame(&mut self, now: &impl Fn() -> Duration) -> Result<(), Breach> {
        let [a, b, c, kind, flags, stream @ ..] = self.header;
        let length = u32::from_be_bytes([0, a, b, c]);
        if length > LONGEST {
            return Err(Breach::FrameTooLong);
        }
        let kind = Kind::of(kind);
        self.counts[kind as usize] = self.counts[kind as usize].saturating_add(1);
        self.next = if length == 0 { Next::Header(0) } else { Next::Payload(length) };
        match kind {
            Kind::Headers => {
                // The highest bit is reserved.
                self.last_stream = self.last_stream.max(u32::from_be_bytes(stream) & 0x7fff_ffff);
                if flags & END_HEADERS != 0 {
                    self.points = (self.points + REQUEST).min(BUDGET);
                }
                Ok(())
            }
            Kind::Data if flags & END_STREAM != 0 || length >= piece(flags) => Ok(()),
            kind => self.charge(kind, now),
        }
    }

    fn charge(&mut self, kind: Kind, now: &impl Fn() -> Duration) -> Result<(), Breach> {
        if let Some(price) = kind.price_in_bytes()
            && let Some(left) = self.answered.checked_sub(price)
        {
            self.answered = left;
            return Ok(());
        }
        self.refill(now());
        self.points = self.points.checked_sub(kind.price()).ok_or(Breach::Flood(kind))?;
        Ok(())
    }

    fn refill(&mut self, now: Duration) {
        let back = now.saturating_sub(self.refilled).as_millis() / POINT.as_millis();
        let back = u32::try_from(back).unwrap_or(u32::MAX);
        self.refilled = self.refilled.saturating_add(POINT.saturating_mul(back));
        self.points = self.points.saturating_add(back).min(BUDGET);
    }
}
