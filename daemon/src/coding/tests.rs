use std::io::Write as _;

use proptest::prelude::*;
use toolgate_protocol::coding::Coding;

use super::decode::{Decoder, Problem};
use super::encode::{Encoder, whole};

const MADE: [Coding; 3] = [Coding::Gzip, Coding::Brotli, Coding::Zstd];

fn zlib(body: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::new(9));
    encoder.write_all(body).expect("written");
    encoder.finish().expect("ended")
}

fn bare(body: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::new(9));
    encoder.write_all(body).expect("written");
    encoder.finish().expect("ended")
}

/// The body in every form in which a server may send it.
fn forms(body: &[u8]) -> Vec<(Coding, Vec<u8>)> {
    let mut forms: Vec<_> = MADE.map(|coding| (coding, whole(coding, body).expect("coded").to_vec())).into();
    forms.extend([(Coding::Deflate, zlib(body)), (Coding::Deflate, bare(body))]);
    forms
}

/// Decodes in pieces of this size.
fn decoded(coding: Coding, body: &[u8], piece: usize) -> Result<Vec<u8>, Problem> {
    let mut decoder = Decoder::new(coding)?;
    let mut out = Vec::new();
    for piece in body.chunks(piece) {
        out.extend_from_slice(&decoder.push(piece)?);
    }
    out.extend_from_slice(&decoder.finish()?);
    Ok(out)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn what_is_encoded_is_decoded_however_it_is_cut(
        words in prop::collection::vec("[a-z]{1,6}|\\PC{1,3}", 0..400), coded in 1_usize..700, plain in 1_usize..2000,
    ) {
        let body = words.concat().into_bytes();
        for (coding, form) in forms(&body) {
            prop_assert_eq!(decoded(coding, &form, coded), Ok(body.clone()), "{:?}", coding);
        }
        for coding in MADE {
            let mut encoder = Encoder::new(coding).expect("made here");
            let mut out = Vec::new();
            for piece in body.chunks(plain) {
                out.extend_from_slice(&encoder.push(piece).expect("taken"));
            }
            out.extend_from_slice(&encoder.finish().expect("ended"));
            prop_assert_eq!(decoded(coding, &out, 64), Ok(body.clone()), "{:?}", coding);
        }
    }

    #[test]
    fn a_cut_body_is_not_whole(words in prop::collection::vec("[a-z]{1,6}", 1..100), at in 0.0..1.0_f64) {
        let body = words.concat().into_bytes();
        for (coding, form) in forms(&body) {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a place in a short text")]
            let cut = &form[..(form.len() as f64 * at) as usize];
            prop_assert!(decoded(coding, cut, 50).is_err(), "{:?} at {} of {}", coding, cut.len(), form.len());
        }
    }

    #[test]
    fn rubbish_is_refused_and_nothing_panics(mut body in prop::collection::vec(any::<u8>(), 1..300), flip in any::<prop::sample::Index>()) {
        for coding in [Coding::Gzip, Coding::Deflate, Coding::Brotli, Coding::Zstd] {
            let _ = decoded(coding, &body, 7);
        }
        let at = flip.index(body.len());
        let text = body.clone();
        for (coding, mut form) in forms(&text) {
            let at = at % form.len();
            form[at] ^= 0x55;
            let _ = decoded(coding, &form, 7);
        }
        body.clear();
    }
}

#[test]
fn bodies_that_grow_too_much_are_given_up_early() {
    for length in [2 << 20, 16 << 20] {
        let zeroes = vec![b'0'; length];
        for (coding, form) in forms(&zeroes) {
            assert!(form.len() < length / 100, "{coding:?}");
            assert_eq!(decoded(coding, &form, 16 * 1024), Err(Problem::Growth), "{coding:?}");
        }
    }
}

#[test]
fn the_first_mebibyte_may_grow_as_it_likes() {
    let body = vec![b'0'; 1 << 20];
    for (coding, form) in forms(&body) {
        assert_eq!(decoded(coding, &form, 1000).map(|body| body.len()), Ok(1 << 20), "{coding:?}");
    }
}

#[test]
fn windows_that_no_answer_needs_are_refused() {
    let text = b"{\"jsonrpc\":\"2.0\"}".repeat(100);
    let mut far = zstd::stream::write::Encoder::new(Vec::new(), 3).expect("an encoder");
    far.window_log(27).expect("a window");
    far.write_all(&text).expect("written");
    assert_eq!(decoded(Coding::Zstd, &far.finish().expect("ended"), 100), Err(Problem::Broken));
    let wide = brotli::enc::BrotliEncoderParams { large_window: true, lgwin: 28, ..Default::default() };
    let mut large = brotli::CompressorWriter::with_params(Vec::new(), 4096, &wide);
    large.write_all(&text).expect("written");
    assert_eq!(decoded(Coding::Brotli, &large.into_inner(), 100), Err(Problem::Broken));
}

#[test]
fn something_behind_the_body_is_refused() {
    for (coding, form) in forms(b"{}") {
        if coding == Coding::Zstd {
            continue;
        }
        assert!(decoded(coding, &[&form[..], b"more"].concat(), 100).is_err(), "{coding:?}");
    }
}

#[test]
fn an_event_is_out_as_soon_as_it_is_in() {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
    let mut decoder = Decoder::new(Coding::Gzip).expect("a decoder");
    for event in ["data: {\"a\":1}\n\n", "data: {\"b\":2}\n\n"] {
        encoder.write_all(event.as_bytes()).and_then(|()| encoder.flush()).expect("written");
        let piece = std::mem::take(encoder.get_mut());
        assert_eq!(decoder.push(&piece).expect("decoded"), event);
    }
}
