//! Commands that are typed after `:`: screens with a filter, changes with their object, and a few words more.

use super::super::actions::Verb;
use super::super::data::Data;
use super::super::keys::Command;
use super::super::object::Object;
use super::super::screens::Screen;
use super::super::theme::{Name, Role};
use super::navigate::remember;
use super::{Effect, Line, State};

/// Completions that are listed.
pub(crate) const LISTED: usize = 8;

/// What a command's word is followed by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    /// A filter.
    Screen(Screen),
    /// The thing to change.
    Act(Verb, Kind),
    /// Nothing.
    Run(Command),
    /// A theme.
    Theme,
}

/// Which things a change is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Server,
    Tool,
    Client,
    Limit,
    Alert,
    Gate,
}

/// All words.
const WORDS: &[(&str, Word)] = &[
    ("overview", Word::Screen(Screen::Overview)),
    ("servers", Word::Screen(Screen::Servers)),
    ("sessions", Word::Screen(Screen::Sessions)),
    ("tools", Word::Screen(Screen::Tools)),
    ("limits", Word::Screen(Screen::Limits)),
    ("clients", Word::Screen(Screen::Clients)),
    ("health", Word::Screen(Screen::Health)),
    ("requests", Word::Screen(Screen::Requests)),
    ("config", Word::Screen(Screen::Config)),
    ("drain", Word::Act(Verb::Drain, Kind::Server)),
    ("maintenance", Word::Act(Verb::Maintenance, Kind::Server)),
    ("resume", Word::Act(Verb::Resume, Kind::Server)),
    ("check-now", Word::Act(Verb::CheckNow, Kind::Server)),
    ("purge", Word::Act(Verb::Purge, Kind::Server)),
    ("queue-deadline", Word::Act(Verb::QueueDeadline, Kind::Server)),
    ("recycle", Word::Act(Verb::Recycle, Kind::Server)),
    ("cache-clear", Word::Act(Verb::CacheClear, Kind::Server)),
    ("breaker-open", Word::Act(Verb::BreakerOpen, Kind::Server)),
    ("breaker-close", Word::Act(Verb::BreakerClose, Kind::Server)),
    ("breaker-reset", Word::Act(Verb::BreakerReset, Kind::Server)),
    ("disable", Word::Act(Verb::Disable, Kind::Tool)),
    ("enable", Word::Act(Verb::Enable, Kind::Tool)),
    ("approve", Word::Act(Verb::Approve, Kind::Tool)),
    ("suspend", Word::Act(Verb::Suspend, Kind::Client)),
    ("resume-client", Word::Act(Verb::ResumeClient, Kind::Client)),
    ("limit", Word::Act(Verb::LimitFor, Kind::Client)),
    ("override", Word::Act(Verb::Override, Kind::Limit)),
    ("revert", Word::Act(Verb::Revert, Kind::Limit)),
    ("acknowledge", Word::Act(Verb::Acknowledge, Kind::Alert)),
    ("silence", Word::Act(Verb::Silence, Kind::Alert)),
    ("check", Word::Act(Verb::ConfigCheck, Kind::Gate)),
    ("diff", Word::Act(Verb::ConfigDiff, Kind::Gate)),
    ("reload", Word::Act(Verb::ConfigReload, Kind::Gate)),
    ("rewind", Word::Run(Command::Timeline)),
    ("pause", Word::Run(Command::Pause)),
    ("refresh", Word::Run(Command::Refresh)),
    ("mouse", Word::Run(Command::Mouse)),
    ("theme", Word::Theme),
    ("help", Word::Run(Command::Help)),
    ("quit", Word::Run(Command::Leave)),
];

/// Fields that a filter of a screen may have.
const FIELDS: &[&str] = &["server", "client", "tool", "session", "state", "outcome"];

/// The line after `:`.
#[derive(Debug, Clone)]
pub(crate) struct Palette {
    pub(crate) line: Line,
    /// Which of the earlier commands is shown.
    recall: usize,
    /// The completion that Tab takes next.
    pub(crate) chosen: usize,
    /// What was typed when Tab was pressed first.
    typed: Option<String>,
}

impl Palette {
    pub(super) fn new(recall: usize) -> Self {
        Self { line: Line::default(), recall, chosen: 0, typed: None }
    }

    pub(super) fn write(&mut self, key: impl FnOnce(&mut Line)) {
        key(&mut self.line);
        (self.chosen, self.typed) = (0, None);
    }

    pub(super) fn insert(&mut self, text: &str) {
        self.line.insert(text);
        (self.chosen, self.typed) = (0, None);
    }

    /// Whole lines that what was typed may become.
    pub(crate) fn completions(&self, data: &Data) -> Vec<String> {
        let text = self.typed.clone().unwrap_or_else(|| self.line.text());
        let text = text.trim_start();
        let Some((word, rest)) = text.split_once(' ') else {
            return WORDS
                .iter()
                .filter(|(word, _)| word.starts_with(text))
                .map(|(word, _)| (*word).to_owned())
                .collect();
        };
        let (before, last) = rest.rsplit_once(' ').map_or(("", rest), |(before, last)| (before, last));
        let lead = if before.is_empty() { format!("{word} ") } else { format!("{word} {before} ") };
        let fitting = |name: &String| name.to_lowercase().starts_with(&last.to_lowercase());
        arguments(word, last, data).into_iter().filter(fitting).map(|name| format!("{lead}{name}")).collect()
    }
}

/// What may follow a word.
fn arguments(word: &str, last: &str, data: &Data) -> Vec<String> {
    match find(word) {
        Some(Word::Screen(_)) => match last.split_once('=') {
            Some((field, _)) => values(field, data).into_iter().map(|value| format!("{field}={value}")).collect(),
            None => FIELDS.iter().map(|field| format!("{field}=")).collect(),
        },
        Some(Word::Act(_, kind)) => names(kind, data),
        Some(Word::Theme) => {
            [Name::Dark, Name::Light, Name::HighContrast, Name::ColourBlind].map(|name| name.word().to_owned()).to_vec()
        }
        Some(Word::Run(_)) | None => Vec::new(),
    }
}

fn values(field: &str, data: &Data) -> Vec<String> {
    match field {
        "server" => names(Kind::Server, data),
        "client" => names(Kind::Client, data),
        "tool" => names(Kind::Tool, data),
        "session" => data.sessions.iter().flat_map(|all| &all.sessions).map(|row| row.id.clone()).collect(),
        "state" => ["up", "degraded", "down", "disabled", "open"].map(str::to_owned).to_vec(),
        "outcome" => ["ok", "error", "refused", "gone", "in-flight"].map(str::to_owned).to_vec(),
        _ => Vec::new(),
    }
}

fn names(kind: Kind, data: &Data) -> Vec<String> {
    match kind {
        Kind::Server => {
            let known = data.servers.iter().flatten().map(|row| row.status.name.clone());
            known.collect()
        }
        Kind::Tool => {
            data.tools.iter().flat_map(|all| &all.tools).map(|row| format!("{}/{}", row.server, row.tool)).collect()
        }
        Kind::Client => data.clients.iter().flat_map(|all| &all.clients).map(|row| row.id.clone()).collect(),
        Kind::Limit => data.limits.iter().flat_map(|all| &all.limits).map(|limit| limit.name.clone()).collect(),
        Kind::Alert => data.overview.iter().flat_map(|all| &all.alerts).map(|alert| alert.id.clone()).collect(),
        Kind::Gate => Vec::new(),
    }
}

fn object(kind: Kind, name: &str) -> Option<Object> {
    let name = name.trim().to_owned();
    match kind {
        Kind::Gate => None,
        _ if name.is_empty() => None,
        Kind::Server => Some(Object::Server(name)),
        Kind::Tool => name.split_once('/').map(|(server, tool)| Object::Tool(server.to_owned(), tool.to_owned())),
        Kind::Client => Some(Object::Client(name)),
        Kind::Limit => Some(Object::Limit(name)),
        Kind::Alert => Some(Object::Alert(name)),
    }
}

/// A word, or the only one that begins so.
fn find(text: &str) -> Option<Word> {
    if text == "q" {
        return Some(Word::Run(Command::Leave));
    }
    let exact = WORDS.iter().find(|(word, _)| *word == text);
    let mut beginning = WORDS.iter().filter(|(word, _)| word.starts_with(text));
    let first = beginning.next();
    // Screens come first in the table: `:se` is servers, whatever else begins so.
    let is_screen = matches!(first, Some((_, Word::Screen(_))));
    let only = first.filter(|_| is_screen || beginning.next().is_none());
    exact.or(only).filter(|_| !text.is_empty()).map(|(_, word)| *word)
}

impl State {
    /// A key in the line of a command.
    pub(super) fn on_palette(&mut self, command: Command, mut palette: Palette, effects: &mut Vec<Effect>) {
        match command {
            Command::Enter => {
                let text = palette.line.text().trim().to_owned();
                remember(&mut self.commands, text.clone());
                self.typed(&text, effects);
            }
            Command::NextField => {
                let completions = palette.completions(&self.data);
                palette.typed.get_or_insert_with(|| palette.line.text());
                if let Some(text) = completions.get(palette.chosen % completions.len().max(1)) {
                    palette.line = Line::new(text);
                    palette.chosen = (palette.chosen + 1) % completions.len();
                }
                self.overlays.push(super::Overlay::Palette(palette));
            }
            Command::PreviousField => {
                palette.recall = palette.recall.saturating_sub(1);
                if let Some(text) = self.commands.get(palette.recall) {
                    palette.line = Line::new(text);
                }
                self.overlays.push(super::Overlay::Palette(palette));
            }
            Command::Back => {}
            _ => self.overlays.push(super::Overlay::Palette(palette)),
        }
    }

    /// Does what was typed.
    fn typed(&mut self, text: &str, effects: &mut Vec<Effect>) {
        let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
        match find(word) {
            Some(Word::Screen(screen)) if rest.trim().is_empty() => self.open(screen),
            Some(Word::Screen(screen)) => self.descend(screen, rest),
            Some(Word::Act(verb, kind)) => match object(kind, rest) {
                None if kind != Kind::Gate && !rest.trim().is_empty() => {
                    self.say(format!("\"{rest}\" is not how a {word} is written here."), Role::Warn);
                }
                None => self.begin(verb, effects),
                Some(object) => self.begin_with(verb, vec![object], effects),
            },
            Some(Word::Run(command)) => self.run(command, effects),
            Some(Word::Theme) => match <Name as clap::ValueEnum>::from_str(rest.trim(), true) {
                Ok(name) => self.set_theme(name),
                Err(_) => self.next_theme(),
            },
            None if text.is_empty() => {}
            None => self.say(format!("There is no command \"{word}\". Press : and Tab for all of them."), Role::Warn),
        }
    }
}
