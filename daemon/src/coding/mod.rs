//! Bodies that are compressed: towards clients who ask for it, and from servers that did it unasked.
//!
//! `stages::compress` encodes, `servers::readable` decodes. Both work in pieces, so that no body holds a core for long,
//! and neither holds more of a body than a piece.

pub mod decode;
pub mod encode;
#[cfg(test)]
mod tests;
