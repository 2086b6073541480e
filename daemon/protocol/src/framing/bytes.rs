//! Which bytes may stand where in a head (RFC 9110, section 5; RFC 9112, section 3).

/// A character of a token: of methods and header names.
#[must_use]
pub fn is_token(byte: u8) -> bool {
    TOKEN[usize::from(byte)]
}

static TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 128 {
        #[expect(clippy::cast_possible_truncation, reason = "below 128")]
        let character = byte as u8;
        table[byte] = character.is_ascii_alphanumeric();
        byte += 1;
    }
    let marks = b"!#$%&'*+-.^_`|~";
    let mut index = 0;
    while index < marks.len() {
        table[marks[index] as usize] = true;
        index += 1;
    }
    table
};

/// Visible ASCII.
pub(super) fn is_visible(byte: u8) -> bool {
    matches!(byte, 0x21..=0x7e)
}

/// Whether no byte is a control character other than tab. Without a branch per byte: the compiler
/// looks at many bytes at once.
#[must_use]
pub fn is_value(value: &[u8]) -> bool {
    #[expect(clippy::needless_bitwise_bool, reason = "see above: a lazy operator is a branch")]
    let control = |byte: u8| (byte < 0x20) & (byte != b'\t') | (byte == 0x7f);
    !value.iter().fold(false, |found, byte| found | control(*byte))
}

/// Without spaces and tabs at both ends.
pub(super) fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}
