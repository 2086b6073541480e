//! A line of text that is being written.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// Characters that a line may have.
const MOST: usize = 400;

/// What a key of a line does that writes no letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Edit {
    Begin,
    End,
    Left,
    Right,
    Backspace,
    Delete,
    EraseWord,
    EraseBefore,
}

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

    /// Takes a key that writes; those that change or move are in the table of keys.
    pub(crate) fn key(&mut self, event: &KeyEvent) {
        let plain = !event.modifiers.intersects(KeyModifiers::CONTROL | KeyModifiers::ALT);
        if let (KeyCode::Char(letter), true) = (event.code, plain) {
            self.insert(letter.encode_utf8(&mut [0; 4]));
        }
    }

    /// Changes what is written, or moves the cursor.
    pub(crate) fn edit(&mut self, edit: Edit) {
        match edit {
            Edit::EraseBefore => drop(self.letters.drain(..std::mem::take(&mut self.cursor))),
            Edit::EraseWord => self.erase_word(),
            Edit::Backspace if self.cursor > 0 => {
                self.cursor -= 1;
                self.letters.remove(self.cursor);
            }
            Edit::Delete if self.cursor < self.letters.len() => drop(self.letters.remove(self.cursor)),
            Edit::Backspace | Edit::Delete => {}
            Edit::Left => self.cursor = self.cursor.saturating_sub(1),
            Edit::Right => self.cursor = (self.cursor + 1).min(self.letters.len()),
            Edit::Begin => self.cursor = 0,
            Edit::End => self.cursor = self.letters.len(),
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

    fn letter(line: &mut Line, letter: char, modifiers: KeyModifiers) {
        line.key(&KeyEvent::new(KeyCode::Char(letter), modifiers));
    }

    #[test]
    fn letters_go_where_the_cursor_is() {
        let mut line = Line::new("wether");
        for _ in 0..4 {
            line.edit(Edit::Left);
        }
        letter(&mut line, 'a', KeyModifiers::NONE);
        letter(&mut line, 'x', KeyModifiers::ALT);
        assert_eq!(line.text(), "weather");
        line.edit(Edit::End);
        line.edit(Edit::Backspace);
        assert_eq!(line.halves(), ("weathe".into(), String::new()));
    }

    #[test]
    fn words_and_the_whole_line_are_erased() {
        let mut line = Line::new("server=a  idle");
        line.edit(Edit::EraseWord);
        assert_eq!(line.text(), "server=a  ");
        line.edit(Edit::EraseWord);
        assert_eq!(line.text(), "");
        line.insert("a\u{1b}b\n");
        assert_eq!(line.text(), "ab");
        line.edit(Edit::EraseBefore);
        assert_eq!(line.text(), "");
    }
}
