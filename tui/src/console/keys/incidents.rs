//! What to press when something is wrong: a line each for the help and the man page.

/// What it looks like, and the screen with the keys there.
pub(crate) const INCIDENTS: [(&str, &str); 8] = [
    ("something", "1 Enter on an alert leads to its cause"),
    ("an agent loops", "6 i who and what; L limits, D suspends"),
    ("a queue fills", "2 i who waits; P purges, Q shortens it"),
    ("a server leaks", "2 i memory, ends, stderr; N replaces it"),
    ("it is slow", "2 i phases, usual; D drains an endpoint"),
    ("it fails", "2 i last check; C checks, B resets"),
    ("a certificate", "7 i its end, why a newer one is refused"),
    ("files changed", "9 C checks, D tells what, L reloads"),
];

#[cfg(test)]
mod tests {
    use super::super::super::screens::Screen;
    use super::super::{BINDINGS, Context};
    use super::*;

    #[test]
    fn every_key_that_is_named_is_one_of_its_screen() {
        for (what, keys) in INCIDENTS {
            assert!(what.len() <= 14 && keys.len() <= 40, "{what}: {keys} is too long for the overlay");
            let screen = keys.chars().next().and_then(|digit| digit.to_digit(10)).expect("a screen comes first");
            let screen = Screen::ALL[screen as usize - 1];
            let letters = keys.split([' ', ';', ',']).filter(|word| word.len() == 1);
            for letter in letters.filter(|word| word.chars().all(char::is_alphabetic) && *word != "a") {
                let bound = |row: &&super::super::Binding| {
                    row.context == Context::Screen && row.on(screen) && row.shown.split(' ').any(|key| key == letter)
                };
                assert!(BINDINGS.iter().any(|row| bound(&row)), "{letter} is no key of {screen:?}");
            }
        }
    }
}
