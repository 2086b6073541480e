//! Whole numbers, written without the machinery of formatting.
//! Called for what is written with every call.
//! Must hold: the digits are those that `Display` writes.

/// Each pair of digits, from 00 on.
const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[b'0'; 2]; 100];
    let (mut tens, mut at) = (0, 0);
    while tens < 10 {
        let mut ones = 0;
        while ones < 10 {
            pairs[at] = [b'0' + tens, b'0' + ones];
            ones += 1;
            at += 1;
        }
        tens += 1;
    }
    pairs
};

/// Appends a number in decimal.
pub fn push_number(out: &mut Vec<u8>, number: u64) {
    let mut text = [0; 20];
    let (mut at, mut left) = (text.len(), number);
    while left >= 10 {
        at -= 2;
        text[at..at + 2].copy_from_slice(&PAIRS[(left % 100) as usize]);
        left /= 100;
    }
    // What is left of an even number of digits is nothing.
    if left > 0 || number == 0 {
        at -= 1;
        text[at] = PAIRS[(left % 10) as usize][1];
    }
    out.extend_from_slice(&text[at..]);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_are_written_as_display_writes_them(number: u64, short in 0_u32..64) {
            for number in [number, number >> short, 10_u64.pow(short % 20), 10_u64.pow(short % 20) - 1] {
                let mut out = b"at ".to_vec();
                push_number(&mut out, number);
                prop_assert_eq!(String::from_utf8(out).expect("digits"), format!("at {number}"));
            }
        }
    }
}
