//! The one table of keys: what is pressed, what it means, where, and what it does.
//!
//! Dispatch, the help overlay and the man page are all made from [`BINDINGS`]; nothing else looks at a key, except text
//! fields, which take every key that writes a letter.

mod incidents;
mod manual;
mod table;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::actions::Verb;
use super::screens::Screen;
use super::state::Edit;
pub(crate) use incidents::INCIDENTS;
pub(crate) use manual::manual;
pub(crate) use table::BINDINGS;

/// What has the keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Context {
    /// Everywhere but in a text field.
    Global,
    /// A screen.
    Screen,
    /// A text to read: help, details, an error.
    Text,
    /// The menu of actions.
    Menu,
    /// A question before a change.
    Dialog,
    /// A line of text that is being written.
    Field,
    /// The time line.
    Timeline,
}

impl Context {
    /// The heading in help and man page.
    pub(crate) fn heading(self) -> &'static str {
        match self {
            Self::Global => "Everywhere",
            Self::Screen => "On a screen",
            Self::Text => "In a text",
            Self::Menu => "In the menu of actions",
            Self::Dialog => "In a question",
            Self::Field => "In a line of text",
            Self::Timeline => "On the time line",
        }
    }
}

/// What a key does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Command {
    Go(Screen),
    NextScreen,
    PreviousScreen,
    Down,
    Up,
    PageDown,
    PageUp,
    HalfDown,
    HalfUp,
    First,
    Last,
    Enter,
    Back,
    Inspect,
    Filter,
    Palette,
    SortNext,
    SortReverse,
    Mark,
    Pause,
    Faster,
    Slower,
    Refresh,
    Menu,
    Act(Verb),
    Expand,
    Fold,
    Wrap,
    NextView,
    Window,
    CopyId,
    CopyRow,
    Mouse,
    Theme,
    Help,
    Timeline,
    Earlier,
    Later,
    MuchEarlier,
    MuchLater,
    Now,
    NextField,
    PreviousField,
    Edit(Edit),
    Yes,
    No,
    Quit,
    Leave,
    Suspend,
}

/// A row of the table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Binding {
    /// Any of these.
    pub(crate) keys: &'static [Chord],
    /// As it is written in help.
    pub(crate) shown: &'static str,
    /// In help: what it does.
    pub(crate) meaning: &'static str,
    /// In the line at the bottom, where that has room; empty: not there.
    pub(crate) hint: &'static str,
    pub(crate) context: Context,
    /// Only on these; empty: on all.
    pub(crate) screens: &'static [Screen],
    pub(crate) command: Command,
}

/// A key with its modifiers; Shift is part of a letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Chord(pub(crate) KeyCode, pub(crate) KeyModifiers);

impl Chord {
    /// A letter or sign.
    pub(crate) const fn of(letter: char) -> Self {
        Self(KeyCode::Char(letter), KeyModifiers::NONE)
    }

    /// A letter with Ctrl.
    pub(crate) const fn ctrl(letter: char) -> Self {
        Self(KeyCode::Char(letter), KeyModifiers::CONTROL)
    }

    /// Another key.
    pub(crate) const fn key(code: KeyCode) -> Self {
        Self(code, KeyModifiers::NONE)
    }

    fn is(self, event: &KeyEvent) -> bool {
        let meant = event.modifiers.difference(KeyModifiers::SHIFT);
        self.0 == event.code && self.1 == meant
    }

    /// The event that it is told by.
    #[cfg(test)]
    pub(crate) fn event(self) -> KeyEvent {
        KeyEvent::new(self.0, self.1)
    }
}

impl Binding {
    /// Whether it holds on a screen.
    pub(crate) fn on(&self, screen: Screen) -> bool {
        self.screens.is_empty() || self.screens.contains(&screen)
    }
}

/// What a key does now. In a text field only what is listed for text fields does anything.
pub(crate) fn find(context: Context, screen: Screen, event: &KeyEvent) -> Option<Command> {
    let row = |wanted: Context| {
        let holds =
            |row: &&Binding| row.context == wanted && row.on(screen) && row.keys.iter().any(|key| key.is(event));
        BINDINGS.iter().find(holds).map(|row| row.command)
    };
    let everywhere = if context == Context::Field { None } else { row(Context::Global) };
    everywhere.or_else(|| row(context))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_reached_by_each_of_its_keys() {
        for row in BINDINGS {
            let screens: &[Screen] = if row.screens.is_empty() { &Screen::ALL } else { row.screens };
            for screen in screens {
                for key in row.keys {
                    let context = if row.context == Context::Global { Context::Screen } else { row.context };
                    assert_eq!(find(context, *screen, &key.event()), Some(row.command), "{} on {screen:?}", row.shown);
                }
            }
        }
    }

    #[test]
    fn rows_say_what_they_do() {
        for row in BINDINGS {
            assert!(!row.keys.is_empty() && !row.shown.is_empty() && !row.meaning.is_empty(), "{row:?}");
            assert!(row.shown.len() <= 14 && row.meaning.len() <= 40, "{} is too long for the overlay", row.meaning);
        }
    }

    #[test]
    fn nothing_that_changes_the_gate_is_a_small_letter() {
        for row in BINDINGS.iter().filter(|row| matches!(row.command, Command::Act(_))) {
            for key in row.keys {
                assert!(matches!(key.0, KeyCode::Char(letter) if letter.is_ascii_uppercase()), "{}", row.shown);
            }
        }
    }

    #[test]
    fn a_text_field_keeps_what_is_written() {
        for letter in ('a'..='z').chain('A'..='Z').chain('0'..='9').chain("?!:/ ".chars()) {
            assert_eq!(find(Context::Field, Screen::Servers, &Chord::of(letter).event()), None, "{letter}");
        }
        assert_eq!(find(Context::Field, Screen::Servers, &Chord::ctrl('c').event()), Some(Command::Leave));
    }
}
