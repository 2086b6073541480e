//! The scanner's position in a text, and the one loop that validates a value of any shape.
//! Called by `json` and by the envelope, which walks the outer levels itself.
//! Must hold: never moves past the end; leaves the position behind the value on success; checks all but UTF-8.

use super::{Fault, Key};
use crate::envelope::ScanError;

/// What wants to see the keys of every object that [`Cursor::value`] passes.
pub(crate) trait KeySink {
    fn open(&mut self);
    fn key(&mut self, key: Key);
    fn close(&mut self, text: &[u8]) -> Result<(), Fault>;
}

/// Nobody looks at the keys.
impl KeySink for () {
    #[inline]
    fn open(&mut self) {}
    #[inline]
    fn key(&mut self, _: Key) {}
    #[inline]
    fn close(&mut self, _: &[u8]) -> Result<(), Fault> {
        Ok(())
    }
}

/// The open containers, innermost in the lowest bit: 1 is an object, 0 an array.
#[derive(Clone, Copy)]
pub(crate) struct Depth {
    objects: u64,
    open: u32,
}

impl Depth {
    /// Outside of any container.
    pub(crate) const NONE: Self = Self::inside(0);

    /// Inside `open` containers whose shape the caller knows.
    pub(crate) const fn inside(open: u32) -> Self {
        Self { objects: 0, open }
    }

    fn push(&mut self, object: bool, at: usize) -> Result<(), Fault> {
        if self.open >= super::MAX_DEPTH {
            return Err(ScanError::TooDeep { at }.into());
        }
        self.open += 1;
        self.objects = (self.objects << 1) | u64::from(object);
        Ok(())
    }

    fn pop(&mut self) {
        self.open -= 1;
        self.objects >>= 1;
    }

    fn in_object(self) -> bool {
        self.objects & 1 == 1
    }
}

/// A position in a text.
#[derive(Clone)]
pub(crate) struct Cursor<'t> {
    text: &'t [u8],
    at: usize,
}

impl<'t> Cursor<'t> {
    pub(crate) fn new(text: &'t [u8], at: usize) -> Self {
        Self { text, at }
    }

    pub(crate) fn at(&self) -> usize {
        self.at
    }

    pub(crate) fn text(&self) -> &'t [u8] {
        self.text
    }

    #[inline]
    pub(crate) fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    /// Steps over one byte that was peeked.
    #[inline]
    pub(crate) fn advance(&mut self) {
        self.at += 1;
    }

    #[inline]
    pub(crate) fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    /// Refuses anything but whitespace up to the end of the text.
    pub(crate) fn finish(&mut self) -> Result<(), Fault> {
        self.skip_space();
        if self.at < self.text.len() {
            return Err(ScanError::Trailing { at: self.at }.into());
        }
        Ok(())
    }

    /// Consumes `byte` if it is the next one.
    #[inline]
    pub(crate) fn take(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    /// Consumes `byte`, or says that it was expected.
    #[inline]
    pub(crate) fn expect(&mut self, byte: u8, expected: &'static str) -> Result<(), Fault> {
        if self.take(byte) { Ok(()) } else { Err(self.wrong(expected)) }
    }

    /// Consumes `{` and the whitespace behind it; true when a member follows, false when the object has ended.
    pub(crate) fn enter_object(&mut self) -> Result<bool, Fault> {
        self.expect(b'{', "an object")?;
        self.skip_space();
        let empty = self.peek() == Some(b'}');
        self.at += usize::from(empty);
        Ok(!empty)
    }

    /// Consumes a key, its colon and the whitespace around both.
    #[inline]
    pub(crate) fn key(&mut self) -> Result<Key, Fault> {
        let start = self.at;
        self.expect(b'"', "a key in double quotes")?;
        let escaped = self.string_rest()?;
        let key = Key::new(start, self.at, escaped);
        self.skip_space();
        self.expect(b':', "a colon")?;
        self.skip_space();
        Ok(key)
    }

    /// Consumes what follows a member's value: true when another member begins, false when the object has ended.
    pub(crate) fn more_members(&mut self) -> Result<bool, Fault> {
        self.skip_space();
        match self.peek() {
            Some(b',') => {
                self.at += 1;
                self.skip_space();
                Ok(true)
            }
            Some(b'}') => {
                self.at += 1;
                Ok(false)
            }
            _ => Err(self.wrong("a comma or a closing brace")),
        }
    }

    /// Validates one value inside of `depth` open containers, showing `keys` the keys of every object in it.
    #[inline]
    pub(crate) fn value(&mut self, mut depth: Depth, keys: &mut impl KeySink) -> Result<(), Fault> {
        let outside = depth.open;
        loop {
            let entered = match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    self.string_rest()?;
                    false
                }
                Some(b'{') => self.open_object(&mut depth, keys)?,
                Some(b'[') => self.open_array(&mut depth)?,
                Some(b'-' | b'0'..=b'9') => self.number()?,
                Some(b't') => self.literal(b"true")?,
                Some(b'f') => self.literal(b"false")?,
                Some(b'n') => self.literal(b"null")?,
                _ => return Err(self.wrong("a value")),
            };
            if !entered && !self.next_value(&mut depth, outside, keys)? {
                return Ok(());
            }
        }
    }

    /// Moves behind a finished value: true when another value of an open container begins here.
    #[inline]
    fn next_value(&mut self, depth: &mut Depth, outside: u32, keys: &mut impl KeySink) -> Result<bool, Fault> {
        while depth.open > outside {
            self.skip_space();
            match (self.peek(), depth.in_object()) {
                (Some(b','), true) => {
                    self.at += 1;
                    self.skip_space();
                    keys.key(self.key()?);
                    return Ok(true);
                }
                (Some(b','), false) => {
                    self.at += 1;
                    self.skip_space();
                    return Ok(true);
                }
                (Some(b'}'), true) => keys.close(self.text)?,
                (Some(b']'), false) => {}
                (_, true) => return Err(self.wrong("a comma or a closing brace")),
                (_, false) => return Err(self.wrong("a comma or a closing bracket")),
            }
            self.at += 1;
            depth.pop();
        }
        Ok(false)
    }

    /// True when the object has a first value, which is where the cursor then stands.
    #[inline]
    fn open_object(&mut self, depth: &mut Depth, keys: &mut impl KeySink) -> Result<bool, Fault> {
        depth.push(true, self.at)?;
        if !self.enter_object()? {
            depth.pop();
            return Ok(false);
        }
        keys.open();
        keys.key(self.key()?);
        Ok(true)
    }

    /// True when the array has a first value, which is where the cursor then stands.
    #[inline]
    fn open_array(&mut self, depth: &mut Depth) -> Result<bool, Fault> {
        depth.push(false, self.at)?;
        self.at += 1;
        self.skip_space();
        if self.peek() == Some(b']') {
            self.at += 1;
            depth.pop();
            return Ok(false);
        }
        Ok(true)
    }

    fn literal(&mut self, word: &'static [u8]) -> Result<bool, Fault> {
        if !self.text[self.at..].starts_with(word) {
            return Err(self.wrong("true, false or null"));
        }
        self.at += word.len();
        Ok(false)
    }

    fn number(&mut self) -> Result<bool, Fault> {
        self.at += usize::from(self.peek() == Some(b'-'));
        match self.peek() {
            Some(b'0') => self.at += 1,
            _ => self.digits()?,
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            self.at += usize::from(matches!(self.peek(), Some(b'+' | b'-')));
            self.digits()?;
        }
        Ok(false)
    }

    /// At least one digit.
    fn digits(&mut self) -> Result<(), Fault> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at == start {
            return Err(self.wrong("a digit"));
        }
        Ok(())
    }

    /// Consumes a string behind its opening quote; true when it holds escapes.
    #[inline]
    pub(crate) fn string_rest(&mut self) -> Result<bool, Fault> {
        self.at = plain_run(self.text, self.at);
        if self.peek() == Some(b'"') {
            self.at += 1;
            return Ok(false);
        }
        self.escaped_rest()
    }

    /// The same from the first byte on that is neither plain nor the closing quote.
    fn escaped_rest(&mut self) -> Result<bool, Fault> {
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(true);
                }
                Some(b'\\') => self.escape()?,
                Some(_) => {
                    return Err(self.wrong("no control character inside a string (escape it)"));
                }
                None => return Err(self.wrong("a closing quote")),
            }
            self.at = plain_run(self.text, self.at);
        }
    }

    fn escape(&mut self) -> Result<(), Fault> {
        self.at += 1;
        match self.peek() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 1,
            Some(b'u') => {
                self.at += 1;
                for _ in 0..4 {
                    if !self.peek().is_some_and(|byte| byte.is_ascii_hexdigit()) {
                        return Err(self.wrong("four hexadecimal digits"));
                    }
                    self.at += 1;
                }
            }
            _ => return Err(self.wrong("an escape that JSON knows")),
        }
        Ok(())
    }

    #[cold]
    pub(crate) fn wrong(&self, expected: &'static str) -> Fault {
        ScanError::Syntax { at: self.at, expected, ended: self.at >= self.text.len() }.into()
    }
}

const LOW: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// The first byte at or after `at` that is a quote, a backslash or a control character, or the text's end.
#[inline]
fn plain_run(text: &[u8], mut at: usize) -> usize {
    while let Some(chunk) = text.get(at..).and_then(<[u8]>::first_chunk::<8>) {
        let word = u64::from_le_bytes(*chunk);
        // Eight bytes at once. A borrow can only spoil bytes above a true hit, so the lowest hit is exact.
        let hits =
            (zeroes(word ^ (LOW * 0x22)) | zeroes(word ^ (LOW * 0x5c)) | word.wrapping_sub(LOW * 0x20) & !word) & HIGH;
        if hits != 0 {
            return at + (hits.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    while text.get(at).is_some_and(|&byte| byte >= 0x20 && byte != b'"' && byte != b'\\') {
        at += 1;
    }
    at
}

#[inline]
const fn zeroes(word: u64) -> u64 {
    word.wrapping_sub(LOW) & !word
}
