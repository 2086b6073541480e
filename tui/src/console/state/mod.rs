//! The console without a terminal and without a daemon: what comes in changes it and gives effects.
//!
//! Nothing here waits, reads a clock or draws. `draw` shows a [`State`], `run` carries the effects out.

mod ask;
mod dialog;
mod line;
mod menu;
mod navigate;
mod overlay;
mod palette;
mod read;
mod text;
mod traffic;

use std::collections::BTreeMap;

use crossterm::event::KeyEvent;

pub(crate) use dialog::{Dialog, Focus, Stage};
pub(crate) use line::{Edit, Line};
pub(crate) use menu::{Choice, Menu};
use navigate::Place;
pub(crate) use overlay::{Message, Overlay, Scroll};
pub(crate) use palette::{LISTED, Palette};
pub(crate) use read::Read;
pub(crate) use traffic::{Effect, Feed, Input, Link, Privilege, Subscription, Trouble};

use super::actions::Plan;
use super::data::Data;
use super::keys::{self, Command, Context};
use super::screens::{Screen, View};
use super::table::{Listing, TableState};
use super::theme::{Name, Role, Theme};

/// Spans of time that graphs show, in milliseconds.
pub(crate) const WINDOWS: [u64; 5] = [120_000, 600_000, 3_600_000, 21_600_000, 86_400_000];

/// Milliseconds between two lines of a topic, from which one is chosen.
const INTERVALS: [u64; 6] = [250, 500, 1_000, 2_000, 5_000, 10_000];

/// How long a message stays.
const MESSAGE_MS: u64 = 8_000;

/// The console.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) data: Data,
    /// What is shown instead while the display is held, and since when.
    held: Option<Box<(Data, u64)>>,
    pub(crate) screen: Screen,
    views: [usize; 9],
    tables: Vec<TableState>,
    trail: Vec<Place>,
    pub(crate) overlays: Vec<Overlay>,
    pub(crate) message: Option<Message>,
    pub(crate) link: Link,
    pub(crate) privilege: Privilege,
    pub(crate) now_ms: u64,
    window: usize,
    /// The moment that the time line points at.
    pub(crate) timeline: Option<u64>,
    interval: usize,
    pub(crate) mouse: bool,
    /// The selected row's panel is shown.
    pub(crate) panel: bool,
    pub(crate) theme: Theme,
    /// The line of the screen's first row, as it was drawn last.
    pub(crate) first_row: u16,
    /// Filters and commands that were written, the newest last.
    filters: Vec<String>,
    commands: Vec<String>,
    subscription: Subscription,
    refreshes: u64,
    tickets: u64,
    /// Changes that were sent and not answered yet, by ticket.
    sent: BTreeMap<u64, Plan>,
    asked: BTreeMap<Read, u64>,
    /// The span of time that the daemon's memory was asked for.
    remembered: Option<(u64, u64)>,
}

impl State {
    /// A console that has heard nothing yet.
    pub(crate) fn new(theme: Theme, interval_ms: u64, now_ms: u64) -> Self {
        let nearest = |index: &usize| INTERVALS[*index].abs_diff(interval_ms);
        Self {
            data: Data::default(),
            held: None,
            screen: Screen::Overview,
            views: [0; 9],
            tables: Screen::ALL.iter().map(|screen| screen.table()).collect(),
            trail: Vec::new(),
            overlays: Vec::new(),
            message: None,
            link: Link::Connecting,
            privilege: Privilege::View,
            now_ms,
            window: 1,
            timeline: None,
            interval: (0..INTERVALS.len()).min_by_key(nearest).unwrap_or(2),
            mouse: false,
            panel: true,
            theme,
            first_row: 0,
            filters: Vec::new(),
            commands: Vec::new(),
            subscription: Subscription::default(),
            refreshes: 0,
            tickets: 0,
            sent: BTreeMap::new(),
            asked: BTreeMap::new(),
            remembered: None,
        }
    }

    /// A console on a recording, which remembers nothing from before it.
    pub(crate) fn replay(self) -> Self {
        Self { privilege: Privilege::Replay, window: 0, ..self }
    }

    /// Something happened; what is to be done about it.
    pub(crate) fn update(&mut self, input: Input, now_ms: u64) -> Vec<Effect> {
        self.now_ms = now_ms;
        let mut effects = Vec::new();
        match input {
            Input::Key(event) => self.key(&event, &mut effects),
            Input::Paste(text) => self.paste(&text),
            Input::Click(line) => self.click(line),
            Input::Wheel(by) => self.step(by),
            Input::Feed(feed) => self.feed(feed),
            Input::Answered(ticket, answer) => self.answered(ticket, answer, &mut effects),
            Input::Told(read, answer) => self.told(read, answer),
            Input::Tick => {}
        }
        // Whoever looks at older calls is not pushed away from them by newer ones.
        if self.screen != Screen::Requests || self.table().at_top() {
            self.data.catch_up();
        }
        if self.message.as_ref().is_some_and(|message| now_ms.saturating_sub(message.since_ms) > MESSAGE_MS) {
            self.message = None;
        }
        self.ask(&mut effects);
        effects
    }

    /// What has the keys.
    pub(crate) fn context(&self) -> Context {
        match self.overlays.last() {
            Some(overlay) => overlay.context(),
            None if self.timeline.is_some() => Context::Timeline,
            None => Context::Screen,
        }
    }

    fn key(&mut self, event: &KeyEvent, effects: &mut Vec<Effect>) {
        let context = self.context();
        match keys::find(context, self.screen, event) {
            Some(command) => self.command(command, context, effects),
            None if context == Context::Field => self.write(|line| line.key(event)),
            None => {}
        }
    }

    fn command(&mut self, command: Command, context: Context, effects: &mut Vec<Effect>) {
        match (command, context) {
            (Command::Leave, _) => effects.push(Effect::Quit),
            (Command::Suspend, _) => effects.push(Effect::Suspend),
            (Command::Help, _) => self.help(),
            (Command::Quit, Context::Screen) => {
                if !self.back() {
                    effects.push(Effect::Quit);
                }
            }
            (Command::Quit, Context::Timeline) => self.timeline = None,
            (Command::Quit, _) => drop(self.overlays.pop()),
            (command, Context::Screen | Context::Global) => self.on_screen(command, effects),
            (command, Context::Timeline) => self.on_timeline(command),
            (command, Context::Text) => self.on_text(command, effects),
            (command, Context::Menu) => self.on_menu(command, effects),
            (command, Context::Dialog | Context::Field) => self.on_answer(command, effects),
        }
    }

    /// A key of a question or of a line of text.
    fn on_answer(&mut self, command: Command, effects: &mut Vec<Effect>) {
        if let Command::Edit(edit) = command {
            return self.write(|line| line.edit(edit));
        }
        match self.overlays.pop() {
            Some(Overlay::Dialog(dialog)) => self.on_dialog(dialog, command, effects),
            Some(Overlay::Filter(line, before, recall)) => self.on_filter(command, line, before, recall),
            Some(Overlay::Palette(palette)) => self.on_palette(command, palette, effects),
            other => self.overlays.extend(other),
        }
    }

    /// What a key does to the line that is being written.
    fn write(&mut self, key: impl FnOnce(&mut Line)) {
        match self.overlays.last_mut() {
            Some(Overlay::Filter(line, ..)) => key(line),
            Some(Overlay::Palette(palette)) => palette.write(key),
            Some(Overlay::Dialog(dialog)) => {
                if let Some(line) = dialog.line() {
                    key(line);
                }
            }
            _ => return,
        }
        self.live_filter();
    }

    fn paste(&mut self, text: &str) {
        match self.overlays.last_mut() {
            Some(Overlay::Filter(line, ..)) => line.insert(text),
            Some(Overlay::Palette(palette)) => palette.insert(text),
            Some(Overlay::Dialog(dialog)) => {
                if let Some(line) = dialog.line() {
                    line.insert(text);
                }
            }
            _ => return,
        }
        self.live_filter();
    }

    fn feed(&mut self, feed: Feed) {
        match feed {
            Feed::Connected(privilege) => {
                if matches!(self.link, Link::Lost(..)) {
                    self.say("Connected again.", Role::Good);
                    self.asked.clear();
                    self.remembered = None;
                }
                self.link = Link::Live;
                self.privilege = privilege;
            }
            Feed::Watch(line) => {
                let first = self.data.overview.is_none();
                self.data.watch(*line, self.now_ms);
                if first {
                    self.fit_window();
                }
            }
            Feed::Tail(line) => self.data.tail(*line),
            Feed::Lost(why) => {
                let since_ms = match self.link {
                    Link::Lost(_, since_ms) => since_ms,
                    _ => self.now_ms,
                };
                self.link = Link::Lost(why, since_ms);
            }
            Feed::Untold(why) if self.link == Link::Live => self.say(why, Role::Warn),
            Feed::Untold(_) => {}
            Feed::Ended => self.link = Link::Ended,
        }
    }

    /// Graphs of a gate that has just begun would be all gap.
    fn fit_window(&mut self) {
        let uptime = self.data.overview.as_ref().map(|overview| overview.status.uptime_seconds * 1000);
        if uptime.is_some_and(|uptime| uptime < WINDOWS[self.window] / 2) {
            self.window = 0;
        }
    }

    /// What is shown: the newest, or what was when the display was held.
    pub(crate) fn shown(&self) -> &Data {
        self.held.as_deref().map_or(&self.data, |(data, _)| data)
    }

    /// Since when the display is held.
    pub(crate) fn held_ms(&self) -> Option<u64> {
        self.held.as_deref().map(|(_, since_ms)| *since_ms)
    }

    /// What the screen is drawn from.
    pub(crate) fn view(&self) -> View<'_> {
        View {
            data: self.shown(),
            now_ms: self.held_ms().unwrap_or(self.now_ms),
            at_ms: self.timeline,
            window_ms: WINDOWS[self.window],
            part: self.views[self.screen.index()],
        }
    }

    /// The rows of the open screen.
    pub(crate) fn listing(&self) -> Listing {
        self.screen.listing(&self.view(), &self.table().filter)
    }

    /// The state of the open screen's table.
    pub(crate) fn table(&self) -> &TableState {
        &self.tables[self.screen.index()]
    }

    /// The same, to change it.
    pub(crate) fn table_mut(&mut self) -> &mut TableState {
        &mut self.tables[self.screen.index()]
    }

    /// Milliseconds between two lines of a topic.
    pub(crate) fn interval_ms(&self) -> u64 {
        INTERVALS[self.interval]
    }

    /// Screens that Esc goes back to.
    pub(crate) fn depth(&self) -> usize {
        self.trail.len()
    }

    /// Puts a message at the bottom.
    fn say(&mut self, text: impl Into<String>, role: Role) {
        self.message = Some(Message { text: text.into(), role, since_ms: self.now_ms });
    }

    fn next_theme(&mut self) {
        self.set_theme(self.theme.name.next());
    }

    fn set_theme(&mut self, name: Name) {
        self.theme.name = name;
        self.say(format!("Theme {}.", name.word()), Role::Info);
    }
}

#[cfg(test)]
mod tests;
