//! Keys in a text that is only read: help, details, a notice.

use super::super::keys::Command;
use super::{Effect, Overlay, Scroll, State};

impl State {
    /// A key in a text.
    pub(super) fn on_text(&mut self, command: Command, effects: &mut Vec<Effect>) {
        match command {
            Command::Back => drop(self.overlays.pop()),
            Command::Menu => self.menu_of_text(),
            Command::CopyId => {
                if let Some(Overlay::Details(object, _)) = self.overlays.last() {
                    let id = object.id();
                    effects.push(Effect::Copy(id.clone()));
                    self.say(format!("Copied {id}"), super::Role::Info);
                }
            }
            command => {
                if let Some(Overlay::Help(scroll) | Overlay::Details(_, scroll) | Overlay::Notice(_, _, scroll)) =
                    self.overlays.last_mut()
                {
                    scroll.turn(command);
                }
            }
        }
    }
}

impl Scroll {
    fn turn(&mut self, command: Command) {
        let most = self.lines.saturating_sub(self.page);
        self.offset = match command {
            Command::Down => self.offset.saturating_add(1),
            Command::Up => self.offset.saturating_sub(1),
            Command::PageDown => self.offset.saturating_add(self.page),
            Command::PageUp => self.offset.saturating_sub(self.page),
            Command::First => 0,
            Command::Last => most,
            Command::Wrap => {
                self.wrap ^= true;
                self.offset
            }
            _ => self.offset,
        }
        .min(most);
    }
}
