//! A line of text that is being written.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// Characters that a line may have.
const MOST: usize = 400;

/// The text and where the next letter goes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Line {
    letters: Vec<char>,
    cursor: usize,
}

impl Line {
    /// A line that has a text already.
    pub(crate) fn new(text: &str) -> Self {
        let letters: Vec<char> = text.chars().filter(|letter| !letter.is_control()).take(MOST).collect();
        Self { cursor: letters.len(), letters }
    }

    /// What is written.
    pub(crate) fn text(&self) -> String {
        self.letters.iter().collect()
    }

    /// What stands before the cursor, and behind it.
    pub(crate) fn halves(&self) -> (String, String) {
        let (before, behind) = self.letters.split_at(self.cursor);
        (before.iter().collect(), behind.iter().collect())
    }

    /// Writes something at the cursor; what is no text is left out.
    pub(crate) fn insert(&mut self, text: &str) {
        for letter in text.chars().filter(|letter| !letter.is_control()) {
            if self.letters.len() < MOST {
                self.letters.insert(self.cursor, letter);
                self.cursor += 1;
            }
        }
    }

    /// Takes a key that writes or moves.
    pub(crate) fn key(&mut self, event: &KeyEvent) {
        let ctrl = event.modifiers.contains(KeyModifiers::CONTROL);
        match event.code {
            KeyCode::Char('u') if ctrl => drop(self.letters.drain(..std::mem::take(&mut self.cursor))),
            KeyCode::Char('w') if ctrl => self.erase_word(),
            KeyCode::Char('a') if ctrl => self.cursor = 0,
            KeyCode::Char('e') if ctrl => self.cursor = self.letters.len(),
            KeyCode::Char(letter) if !ctrl && !event.modifiers.contains(KeyModifiers::ALT) => {
                self.insert(letter.encode_utf8(&mut [0; 4]));
            }
            KeyCode::Backspace if self.cursor > 0 => {
                self.cursor -= 1;
                self.letters.remove(self.cursor);
            }
            KeyCode::Delete if self.cursor < self.letters.len() => drop(self.letters.remove(self.cursor)),
            KeyCode::Left => self.cursor = self.cursor.saturating_sub(1),
            KeyCode::Right => self.cursor = (self.cursor + 1).min(self.letters.len()),
            KeyCode::Home => self.cursor = 0,
            KeyCode::End => self.cursor = self.letters.len(),
            _ => {}
        }
    }

    fn erase_word(&mut self) {
        let before = &self.letters[..self.cursor];
        let end = before.iter().rposition(|letter| !letter.is_whitespace()).map_or(0, |at| at + 1);
        let begin = before[..end].iter().rposition(|letter| letter.is_whitespace()).map_or(0, |at| at + 1);
        self.letters.drain(begin..self.cursor);
        self.cursor = begin;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn press(line: &mut Line, code: KeyCode, modifiers: KeyModifiers) {
        line.key(&KeyEvent::new(code, modifiers));
    }

    #[test]
    fn letters_go_where_the_cursor_is() {
        let mut line = Line::new("wether");
        for _ in 0..4 {
            press(&mut line, KeyCode::Left, KeyModifiers::NONE);
        }
        press(&mut line, KeyCode::Char('a'), KeyModifiers::NONE);
        assert_eq!(line.text(), "weather");
        press(&mut line, KeyCode::End, KeyModifiers::NONE);
        press(&mut line, KeyCode::Backspace, KeyModifiers::NONE);
        assert_eq!(line.halves(), ("weathe".into(), String::new()));
    }

    #[test]
    fn words_and_the_whole_line_are_erased() {
        let mut line = Line::new("server=a  idle");
        press(&mut line, KeyCode::Char('w'), KeyModifiers::CONTROL);
        assert_eq!(line.text(), "server=a  ");
        press(&mut line, KeyCode::Char('w'), KeyModifiers::CONTROL);
        assert_eq!(line.text(), "");
        line.insert("a\u{1b}b\n");
        assert_eq!(line.text(), "ab");
        press(&mut line, KeyCode::Char('u'), KeyModifiers::CONTROL);
        assert_eq!(line.text(), "");
    }
}
