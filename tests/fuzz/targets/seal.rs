//! What clients carry for the gate: sealed cursors and states.
//! Must hold: what was not sealed here, or was sealed for somebody else, never opens, whatever was done to it.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use toolgate_fuzz::Dice;
use toolgated::seal::Seal;

static SEAL: LazyLock<Seal> = LazyLock::new(Seal::random);

fuzz_target!(|data: &[u8]| {
    let mut dice = Dice::of(data);
    let text = String::from_utf8_lossy(data);
    let (client, other) = text.split_at(text.floor_char_boundary(data.len() / 2));
    assert_eq!(SEAL.open(client, &text), None, "a text that nobody sealed opened");

    let sealed = SEAL.seal(client, data);
    assert_eq!(SEAL.open(client, &sealed).as_deref(), Some(data));
    assert!(client == other || SEAL.open(other, &sealed).is_none(), "it opened for another client");
    let forged = forge(&sealed, &text, &mut dice);
    assert!(forged == sealed || SEAL.open(client, &forged).is_none(), "a forged text opened: {forged}");
});

/// One change to a sealed text: a character, a cut, something put in, or padding.
fn forge(sealed: &str, text: &str, dice: &mut Dice) -> String {
    let at = dice.below(sealed.len());
    let (front, back) = sealed.split_at(at);
    match dice.below(5) {
        0 => {
            let character = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_+/= "[dice.below(68)];
            [front, &char::from(character).to_string(), &back[1..]].concat()
        }
        1 => front.to_owned(),
        2 => back.to_owned(),
        3 => [front, text, back].concat(),
        _ => [sealed, "="].concat(),
    }
}
