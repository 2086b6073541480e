//! HTTP/2 by hand: frames as bytes, headers as literals, so that a scenario can send what no client would.
//!
//! Floods and downgrade shapes use it. It keeps no state of streams and enforces nothing.

use std::io;
use std::time::Duration;

use tokio::time::{Instant, timeout, timeout_at};

use crate::http::{Connection, Target};
use crate::wait::PATIENCE;

/// What every client says first, with empty settings behind it.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
/// Types of frames.
#[expect(missing_docs, reason = "names of the specification")]
pub mod kind {
    pub const DATA: u8 = 0;
    pub const HEADERS: u8 = 1;
    pub const PRIORITY: u8 = 2;
    pub const RST_STREAM: u8 = 3;
    pub const SETTINGS: u8 = 4;
    pub const PING: u8 = 6;
    pub const GOAWAY: u8 = 7;
    pub const WINDOW_UPDATE: u8 = 8;
    pub const CONTINUATION: u8 = 9;
}
/// The stream's last frame of this side.
pub const END_STREAM: u8 = 1;
/// An acknowledgement, of SETTINGS and PING.
pub const ACK: u8 = 1;
/// The header block is whole.
pub const END_HEADERS: u8 = 4;

/// The bytes of a frame.
#[must_use]
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a payload").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A header block of literals that no table keeps.
#[must_use]
pub fn block(headers: &[(&[u8], &[u8])]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in headers {
        block.push(0);
        string(&mut block, name);
        string(&mut block, value);
    }
    block
}

/// A literal that the table keeps, under index 62.
#[must_use]
pub fn kept(name: &[u8], value: &[u8]) -> Vec<u8> {
    let mut block = vec![0x40];
    string(&mut block, name);
    string(&mut block, value);
    block
}

fn string(block: &mut Vec<u8>, text: &[u8]) {
    // RFC 7541, section 5.1: a prefix of seven bits.
    if text.len() < 127 {
        block.push(u8::try_from(text.len()).expect("short"));
    } else {
        block.push(127);
        let mut left = text.len() - 127;
        while left >= 128 {
            block.push(u8::try_from(left % 128).expect("seven bits") | 128);
            left /= 128;
        }
        block.push(u8::try_from(left).expect("seven bits"));
    }
    block.extend_from_slice(text);
}

/// One frame that came.
#[derive(Debug, Clone)]
pub struct Frame {
    /// Its type.
    pub kind: u8,
    /// Its flags.
    pub flags: u8,
    /// Its stream.
    pub stream: u32,
    /// What it holds.
    pub payload: Vec<u8>,
}

impl Frame {
    /// The error code of GOAWAY and `RST_STREAM`.
    #[must_use]
    pub fn code(&self) -> u32 {
        let at = if self.kind == kind::GOAWAY { 4 } else { 0 };
        u32::from_be_bytes(self.payload[at..at + 4].try_into().expect("four bytes"))
    }

    /// The status, where the block begins with it as the gate's encoder writes it.
    #[must_use]
    pub fn status(&self) -> u16 {
        // RFC 7541, appendix A.
        let indexed = [200, 204, 206, 304, 400, 404, 500];
        // The table's size may be set first.
        let at = self.payload.iter().position(|byte| byte & 0xe0 != 0x20).unwrap_or(0);
        if let byte @ 0x88..=0x8e = self.payload[at] {
            return indexed[usize::from(byte - 0x88)];
        }
        // A literal with the name at index 8, three digits plain or as Huffman code.
        let (length, value) = (self.payload[at + 1], &self.payload[at + 2..]);
        if length & 0x80 == 0 {
            return String::from_utf8_lossy(&value[..3]).parse().unwrap_or(0);
        }
        huffman_digits(&value[..usize::from(length & 0x7f)])
    }
}

/// RFC 7541, appendix B, of which a status needs the digits only.
fn huffman_digits(bytes: &[u8]) -> u16 {
    let bits: Vec<u8> = bytes.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1)).collect();
    let mut at = 0;
    let mut number = 0;
    let mut take = |count: usize| {
        let value = bits.get(at..at + count)?.iter().fold(0_u16, |value, bit| value << 1 | u16::from(*bit));
        at += count;
        Some(value)
    };
    for _ in 0..3 {
        let Some(five) = take(5) else { return 0 };
        // 0, 1, 2 have five bits; 3 to 9 have six.
        let digit = if five < 3 { five } else { (five << 1 | take(1).unwrap_or(0)) - 0b01_1001 + 3 };
        number = number * 10 + digit;
    }
    number
}

/// A client's connection.
pub struct Client {
    connection: Connection,
}

impl Client {
    /// Connects, and says the preface.
    pub async fn connect(target: &Target) -> io::Result<Self> {
        let mut connection = target.connect().await?;
        connection.send(PREFACE).await?;
        Ok(Self { connection })
    }

    /// Sends bytes as they are.
    pub async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.connection.send(bytes).await
    }

    /// The next frame; none when the other side has closed.
    ///
    /// # Panics
    /// When neither comes.
    pub async fn next(&mut self) -> Option<Frame> {
        self.next_by(Instant::now() + PATIENCE).await.unwrap_or_else(|()| panic!("no frame and no end"))
    }

    /// The same, or an error at the deadline.
    pub async fn next_by(&mut self, deadline: Instant) -> Result<Option<Frame>, ()> {
        loop {
            if let Some(frame) = take(self.connection.held()) {
                return Ok(Some(frame));
            }
            match timeout_at(deadline, self.connection.receive()).await {
                Err(_) => return Err(()),
                Ok(Err(_)) => return Ok(None),
                Ok(Ok(())) => {}
            }
        }
    }

    /// How this stream is answered: a status, or the code of the frame that ends it.
    ///
    /// # Panics
    /// When it is not.
    pub async fn outcome(&mut self, stream: u32) -> Outcome {
        while let Some(frame) = self.next().await {
            match frame.kind {
                kind::HEADERS if frame.stream == stream => return Outcome::Status(frame.status()),
                kind::RST_STREAM if frame.stream == stream => return Outcome::Reset(frame.code()),
                kind::GOAWAY if frame.code() != 0 => return Outcome::Goaway(frame.code()),
                kind::SETTINGS if frame.flags & ACK == 0 => {
                    self.send(&self::frame(kind::SETTINGS, ACK, 0, &[])).await.ok();
                }
                _ => {}
            }
        }
        Outcome::Closed
    }

    /// Sends `flood` until the connection ends, at most `most` times; what came of it.
    pub async fn flood(&mut self, most: usize, mut flood: impl FnMut(u32) -> Vec<u8>) -> Flooded {
        let mut flooded = Flooded { sent: 0, goaway: None, ended: false };
        let mut number = 0;
        while flooded.sent < most && !flooded.ended {
            let batch: Vec<u8> = (0..BATCH).flat_map(|index| flood(number + index)).collect();
            number += BATCH;
            flooded.sent += BATCH as usize;
            // What cannot be sent any more was closed; the last frames are still to be read.
            let _ = timeout(PATIENCE, self.send(&batch)).await;
            self.look(&mut flooded, Duration::from_millis(3)).await;
        }
        self.look(&mut flooded, PATIENCE / 3).await;
        flooded
    }

    async fn look(&mut self, flooded: &mut Flooded, patience: Duration) {
        let deadline = Instant::now() + patience;
        while !flooded.ended {
            match self.next_by(deadline).await {
                Err(()) => return,
                Ok(None) => flooded.ended = true,
                Ok(Some(frame)) if frame.kind == kind::GOAWAY && frame.code() != 0 => {
                    flooded.goaway = Some(frame.code());
                }
                Ok(Some(_)) => {}
            }
        }
    }
}

/// Rounds of a flood between two looks at what came back.
const BATCH: u32 = 20;

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// With an answer.
    Status(u16),
    /// By `RST_STREAM` with this code.
    Reset(u32),
    /// By GOAWAY with this code.
    Goaway(u32),
    /// The connection was closed without a word.
    Closed,
}

/// What became of a flood.
#[derive(Debug, Clone, Copy)]
pub struct Flooded {
    /// Rounds that were sent, or given to the socket at least.
    pub sent: usize,
    /// The code of GOAWAY.
    pub goaway: Option<u32>,
    /// Whether the connection was closed.
    pub ended: bool,
}

fn take(held: &mut Vec<u8>) -> Option<Frame> {
    let header = held.get(..9)?;
    let length = u32::from_be_bytes([0, header[0], header[1], header[2]]) as usize;
    let (kind, flags) = (header[3], header[4]);
    let stream = u32::from_be_bytes(header[5..9].try_into().expect("four bytes")) & 0x7fff_ffff;
    let payload = held.get(9..9 + length)?.to_vec();
    held.drain(..9 + length);
    Some(Frame { kind, flags, stream, payload })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_read_in_every_form() {
        let status = |payload: &[u8]| Frame { kind: 1, flags: 4, stream: 1, payload: payload.to_vec() }.status();
        assert_eq!(status(&[0x88]), 200);
        assert_eq!(status(&[0x20, 0x8c]), 400);
        assert_eq!(status(b"\x48\x03431"), 431);
        // 413 = 011010 00001 011001
        assert_eq!(status(&[0x48, 0x83, 0b0110_1000, 0b0010_1100, 0b1111_1111]), 413);
        // 302 from RFC 7541, C.6.1
        assert_eq!(status(&[0x48, 0x82, 0x64, 0x02]), 302);
    }
}
