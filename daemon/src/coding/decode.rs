//! A body on its way out of a coding, piece by piece, and no further than it is worth.
//!
//! What a few bytes can be made to grow into is decided by whoever wrote them: growth is bounded while it happens, in
//! the sink that the decoders write to.

use std::fmt;
use std::io::{self, Write};

use brotli_decompressor::{BrotliDecoderParameter, DecompressorWriter};
use bytes::Bytes;
use flate2::write::{DeflateDecoder, GzDecoder, ZlibDecoder};
use toolgate_protocol::coding::Coding;

/// Bytes that a body may have whatever it was before.
const FREE: u64 = 1 << 20;
/// How many times its coded size a longer body may have.
const RATIO: u64 = 10;
/// 2 to this power bounds what zstd may look back, and reserves for it: RFC 9659.
const WINDOW: u32 = 23;
const BUFFER: usize = 16 * 1024;

/// Why a body could not be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Problem {
    /// It is coded in a way that is not known, or in several.
    Coding,
    /// It grows beyond what it may.
    Growth,
    /// It breaks the rules of its coding.
    Broken,
    /// It ends before its end.
    Truncated,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Coding => "its `Content-Encoding` is not gzip, deflate, br or zstd alone",
            Self::Growth => "the body grows more than tenfold, beyond its first MiB, when it is decompressed",
            Self::Broken => "the body is not what its `Content-Encoding` says",
            Self::Truncated => "the compressed body ends before its end",
        })
    }
}

impl std::error::Error for Problem {}

/// Where decoders write to.
#[derive(Debug, Default)]
struct Sink {
    made: Vec<u8>,
    total: u64,
    allowed: u64,
    burst: bool,
}

impl Write for Sink {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        self.total += piece.len() as u64;
        if self.total > self.allowed {
            self.burst = true;
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.made.extend_from_slice(piece);
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

enum Inner {
    /// Some servers send bare deflate in its name, others what the name stands for: the first byte tells.
    Deflate,
    Zlib(ZlibDecoder<Sink>),
    Bare(DeflateDecoder<Sink>),
    Gzip(Box<GzDecoder<Sink>>),
    Brotli(Box<DecompressorWriter<Sink>>),
    Zstd(Box<zstd::stream::write::Decoder<'static, Sink>>),
}

/// A decoder in the middle of a body.
pub struct Decoder {
    inner: Inner,
    taken: u64,
}

impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoder").field("taken", &self.taken).finish_non_exhaustive()
    }
}

impl Decoder {
    /// A decoder at the start of a body.
    pub fn new(coding: Coding) -> Result<Self, Problem> {
        let inner = match coding {
            Coding::Deflate => Inner::Deflate,
            Coding::Gzip => Inner::Gzip(Box::new(GzDecoder::new(Sink::default()))),
            Coding::Brotli => {
                let mut writer = DecompressorWriter::new(Sink::default(), BUFFER);
                // An extension that RFC 7932 does not have, with windows of a GiB.
                writer.set_parameter(BrotliDecoderParameter::BROTLI_DECODER_PARAM_LARGE_WINDOW, 0);
                Inner::Brotli(Box::new(writer))
            }
            Coding::Zstd => {
                let writer = zstd::stream::write::Decoder::new(Sink::default()).and_then(|mut writer| {
                    writer.window_log_max(WINDOW)?;
                    Ok(writer)
                });
                Inner::Zstd(Box::new(writer.map_err(|_| Problem::Coding)?))
            }
        };
        Ok(Self { inner, taken: 0 })
    }

    /// Takes a piece; gives back what it held, as far as that is known.
    pub fn push(&mut self, piece: &[u8]) -> Result<Bytes, Problem> {
        let Some(first) = piece.first() else { return Ok(Bytes::new()) };
        if matches!(self.inner, Inner::Deflate) {
            // RFC 1950, section 2.2: the method is 8; as the start of a bare block it would be an odd one.
            self.inner = match first & 15 {
                8 => Inner::Zlib(ZlibDecoder::new(Sink::default())),
                _ => Inner::Bare(DeflateDecoder::new(Sink::default())),
            };
        }
        self.taken += piece.len() as u64;
        let allowed = self.taken.saturating_mul(RATIO).max(FREE);
        let written = match &mut self.inner {
            Inner::Deflate => return Ok(Bytes::new()),
            Inner::Zlib(writer) => feed(writer, ZlibDecoder::get_mut, piece, allowed),
            Inner::Bare(writer) => feed(writer, DeflateDecoder::get_mut, piece, allowed),
            Inner::Gzip(writer) => feed(&mut **writer, GzDecoder::get_mut, piece, allowed),
            Inner::Brotli(writer) => feed(&mut **writer, DecompressorWriter::get_mut, piece, allowed),
            Inner::Zstd(writer) => feed(&mut **writer, zstd::stream::write::Decoder::get_mut, piece, allowed),
        };
        written.map(Bytes::from)
    }

    /// Ends the body; gives back the rest.
    pub fn finish(self) -> Result<Bytes, Problem> {
        let sink = match self.inner {
            Inner::Deflate => Err(()),
            Inner::Zlib(writer) => writer.finish().map_err(drop),
            Inner::Bare(writer) => writer.finish().map_err(drop),
            Inner::Gzip(writer) => writer.finish().map_err(drop),
            Inner::Brotli(writer) => writer.into_inner().map_err(drop),
            Inner::Zstd(writer) => writer.finish().map_err(drop),
        };
        sink.map(|sink| sink.made.into()).map_err(|()| Problem::Truncated)
    }
}

/// Writes a piece through a decoder; gives back what came out at its sink.
fn feed<D: Write>(
    decoder: &mut D,
    sink: impl Fn(&mut D) -> &mut Sink,
    piece: &[u8],
    allowed: u64,
) -> Result<Vec<u8>, Problem> {
    sink(decoder).allowed = allowed;
    // Flushed, so that an event is out as soon as it is in.
    let written = decoder.write_all(piece).and_then(|()| decoder.flush());
    let sink = sink(decoder);
    match written {
        Ok(()) => Ok(std::mem::take(&mut sink.made)),
        Err(_) if sink.burst => Err(Problem::Growth),
        Err(_) => Err(Problem::Broken),
    }
}
