//! Keys of a screen and of the time line: moving, drilling down and coming back.

use super::super::canvas::fit;
use super::super::filter::Filter;
use super::super::keys::{Command, Context};
use super::super::object::Object;
use super::super::screens::Screen;
use super::super::theme::Role;
use super::super::units::short;
use super::{Effect, INTERVALS, Line, Menu, Overlay, Palette, Privilege, Scroll, State, WINDOWS};

/// Screens that are remembered on the way down.
const TRAIL: usize = 32;

/// A screen to come back to.
#[derive(Debug, Clone)]
pub(super) struct Place {
    screen: Screen,
    /// What the table that was drilled into had before.
    filter: Filter,
    /// The filter that drilling down set: typing another one and Esc comes back to it.
    arrived: Filter,
}

impl State {
    /// A key on a screen.
    pub(super) fn on_screen(&mut self, command: Command, effects: &mut Vec<Effect>) {
        let page = isize::try_from(self.table().page).unwrap_or(1);
        match command {
            Command::Go(screen) => self.open(screen),
            Command::NextScreen => self.open(Screen::ALL[(self.screen.index() + 1) % 9]),
            Command::PreviousScreen => self.open(Screen::ALL[(self.screen.index() + 8) % 9]),
            Command::Down => self.step(1),
            Command::Up => self.step(-1),
            Command::PageDown => self.step(page),
            Command::PageUp => self.step(-page),
            Command::HalfDown => self.step((page / 2).max(1)),
            Command::HalfUp => self.step(-(page / 2).max(1)),
            Command::First => self.step(isize::MIN / 2),
            Command::Last => self.step(isize::MAX / 2),
            Command::Enter => self.drill(),
            Command::Back => drop(self.back()),
            Command::Inspect => self.inspect(),
            Command::Filter => {
                let filter = self.table().filter.clone();
                self.overlays.push(Overlay::Filter(Line::new(filter.text()), filter, self.filters.len()));
            }
            Command::Palette => self.overlays.push(Overlay::Palette(Palette::new(self.commands.len()))),
            Command::SortNext => {
                let listing = self.listing();
                self.table_mut().sort_next(&listing);
            }
            Command::SortReverse => self.table_mut().sort_reverse(),
            Command::Mark => self.mark(),
            Command::Pause => self.hold(),
            Command::Faster => self.pace(-1),
            Command::Slower => self.pace(1),
            Command::Refresh => {
                self.refreshes += 1;
                self.asked.clear();
                self.remembered = None;
            }
            Command::Menu => self.open_menu(),
            Command::Act(verb) => self.begin(verb, effects),
            Command::Expand => self.panel = !self.panel,
            Command::Fold => self.table_mut().folded ^= true,
            Command::NextView => {
                let at = self.screen.index();
                self.views[at] = (self.views[at] + 1) % self.screen.views().len();
            }
            Command::Window => {
                self.window = (self.window + 1) % WINDOWS.len();
                self.say(format!("Graphs show the last {}.", short(WINDOWS[self.window] / 1000)), Role::Info);
            }
            Command::CopyId => self.copy_id(effects),
            Command::CopyRow => self.copy_row(effects),
            Command::Mouse => {
                self.mouse ^= true;
                let text = if self.mouse {
                    "The mouse selects; m gives it back to the terminal."
                } else {
                    "The mouse is the terminal's again."
                };
                self.say(text, Role::Info);
                effects.push(Effect::Mouse(self.mouse));
            }
            Command::Theme => self.next_theme(),
            Command::Timeline => self.rewind(),
            _ => {}
        }
    }

    /// Opens a screen by its key: the way back begins anew.
    pub(super) fn open(&mut self, screen: Screen) {
        self.trail.clear();
        self.screen = screen;
    }

    /// Opens a screen with a filter; Esc comes back here.
    pub(super) fn descend(&mut self, screen: Screen, filter: &str) {
        let arrived = Filter::parse(filter);
        if screen == Screen::Health {
            self.views[screen.index()] = 0;
        }
        let before = std::mem::replace(&mut self.tables[screen.index()].filter, arrived.clone());
        if self.trail.len() == TRAIL {
            self.trail.remove(0);
        }
        self.trail.push(Place { screen: self.screen, filter: before, arrived });
        self.screen = screen;
    }

    /// Takes marks away, then what was typed as a filter, then goes to where Enter came from. Says whether there was
    /// anything of it.
    pub(super) fn back(&mut self) -> bool {
        if !self.table().marked.is_empty() {
            self.table_mut().marked.clear();
            return true;
        }
        let arrived = self.trail.last().map(|place| place.arrived.clone()).unwrap_or_default();
        if self.table().filter != arrived {
            self.table_mut().filter = arrived;
            return true;
        }
        let Some(place) = self.trail.pop() else { return false };
        self.table_mut().filter = place.filter;
        self.screen = place.screen;
        true
    }

    /// Whether there is nothing that `q` would go back from.
    pub(crate) fn is_at_the_beginning(&self) -> bool {
        let table = self.table();
        let bare = self.overlays.is_empty() && self.timeline.is_none() && table.marked.is_empty();
        bare && self.trail.is_empty() && table.filter.is_empty()
    }

    fn drill(&mut self) {
        let Some(object) = self.selected() else { return };
        match Screen::below(&object, &self.view(), &self.table().filter) {
            Some((screen, filter)) if screen != self.screen || filter != self.table().filter.text() => {
                self.descend(screen, &filter);
            }
            _ => self.inspect(),
        }
    }

    pub(super) fn inspect(&mut self) {
        if let Some(object) = self.selected() {
            self.overlays.push(Overlay::Details(object, Scroll::default()));
        }
    }

    /// The row that keys act on, where there is one.
    pub(crate) fn selected(&self) -> Option<Object> {
        let listing = self.listing();
        let mut table = self.table().clone();
        table.settle(&listing.shown(self.table()));
        table.selected
    }

    /// The marked rows, else the selected one.
    pub(super) fn chosen(&self) -> Vec<Object> {
        let listing = self.listing();
        let shown = listing.shown(self.table());
        let marked = &self.table().marked;
        let marked: Vec<_> =
            shown.iter().filter(|row| marked.contains(&row.object)).map(|row| row.object.clone()).collect();
        if marked.is_empty() { self.selected().into_iter().collect() } else { marked }
    }

    pub(super) fn step(&mut self, by: isize) {
        if !self.overlays.is_empty() {
            return;
        }
        let listing = self.listing();
        let table = &mut self.tables[self.screen.index()];
        let rows = listing.shown(table);
        table.settle(&rows);
        table.step(&rows, by);
    }

    fn mark(&mut self) {
        let listing = self.listing();
        let table = &mut self.tables[self.screen.index()];
        let rows = listing.shown(table);
        table.settle(&rows);
        table.mark(&rows);
    }

    pub(super) fn click(&mut self, line: u16) {
        let Some(line) = line.checked_sub(self.first_row) else { return };
        if self.overlays.is_empty() && self.screen != Screen::Overview {
            let listing = self.listing();
            let table = &mut self.tables[self.screen.index()];
            let rows = listing.shown(table);
            let place = table.offset + usize::from(line);
            if place < rows.len() {
                table.go(&rows, place);
            }
        }
    }

    fn hold(&mut self) {
        self.held = match self.held.take() {
            Some(_) => None,
            None => Some(Box::new((self.data.clone(), self.now_ms))),
        };
    }

    fn pace(&mut self, by: isize) {
        self.interval = self.interval.saturating_add_signed(by).min(INTERVALS.len() - 1);
        self.say(format!("News every {} s.", super::super::units::to_float(self.interval_ms()) / 1000.0), Role::Info);
    }

    fn copy_id(&mut self, effects: &mut Vec<Effect>) {
        if let Some(object) = self.selected() {
            let id = fit(&object.id()).into_owned();
            self.say(format!("Copied {id}"), Role::Info);
            effects.push(Effect::Copy(id));
        }
    }

    fn copy_row(&mut self, effects: &mut Vec<Effect>) {
        let listing = self.listing();
        let Some(selected) = self.selected() else { return };
        if let Some(row) = listing.rows.iter().find(|row| row.object == selected) {
            let cells: Vec<_> = row.cells.iter().map(|cell| fit(&cell.text)).collect();
            self.say("Copied the row.", Role::Info);
            effects.push(Effect::Copy(cells.join("\t")));
        }
    }

    fn open_menu(&mut self) {
        let objects = self.chosen();
        let menu = Menu::new(&objects, &self.data, self.privilege == Privilege::Control);
        self.overlays.push(Overlay::Menu(menu));
    }

    pub(super) fn help(&mut self) {
        if !matches!(self.overlays.last(), Some(Overlay::Help(_))) {
            self.overlays.push(Overlay::Help(Scroll::default()));
        }
    }

    /// Opens the time line on a screen that it is for.
    fn rewind(&mut self) {
        if !matches!(self.screen, Screen::Overview | Screen::Servers) {
            self.open(Screen::Overview);
        }
        self.timeline = Some(self.now_ms.saturating_sub(WINDOWS[self.window] / 4));
    }

    /// A key on the time line.
    pub(super) fn on_timeline(&mut self, command: Command) {
        let Some(at_ms) = self.timeline else { return };
        let small = (WINDOWS[self.window] / 60).max(10_000);
        let oldest = self.now_ms.saturating_sub(86_400_000);
        let to = match command {
            Command::Earlier => at_ms.saturating_sub(small),
            Command::Later => at_ms + small,
            Command::MuchEarlier => at_ms.saturating_sub(10 * small),
            Command::MuchLater => at_ms + 10 * small,
            Command::First => self.data.past.oldest_ms.max(oldest),
            Command::Now => self.now_ms,
            Command::Back => return self.timeline = None,
            Command::Window | Command::Go(_) | Command::Down | Command::Up => {
                return self.on_screen(command, &mut Vec::new());
            }
            _ => return,
        };
        self.timeline = Some(to.clamp(oldest, self.now_ms));
    }

    /// A key in the line of the filter.
    pub(super) fn on_filter(&mut self, command: Command, line: Line, before: Filter, recall: usize) {
        match command {
            Command::Enter => {
                let text = line.text().trim().to_owned();
                self.table_mut().filter = Filter::parse(&text);
                remember(&mut self.filters, text);
            }
            Command::Back => self.table_mut().filter = before,
            Command::PreviousField | Command::NextField => {
                let recall = if command == Command::PreviousField { recall.saturating_sub(1) } else { recall + 1 };
                let recall = recall.min(self.filters.len());
                let text = self.filters.get(recall).cloned().unwrap_or_default();
                self.overlays.push(Overlay::Filter(Line::new(&text), before, recall));
                self.live_filter();
            }
            _ => self.overlays.push(Overlay::Filter(line, before, recall)),
        }
    }

    /// The filter holds while it is being written.
    pub(super) fn live_filter(&mut self) {
        if let Some(Overlay::Filter(line, ..)) = self.overlays.last() {
            let filter = Filter::parse(&line.text());
            self.table_mut().filter = filter;
        }
    }

    /// Runs a command that was typed and that a key would run too.
    pub(super) fn run(&mut self, command: Command, effects: &mut Vec<Effect>) {
        self.command(command, Context::Screen, effects);
    }
}

/// Keeps what was written, once.
pub(super) fn remember(all: &mut Vec<String>, text: String) {
    const KEPT: usize = 50;
    if text.is_empty() {
        return;
    }
    all.retain(|known| *known != text);
    if all.len() == KEPT {
        all.remove(0);
    }
    all.push(text);
}
