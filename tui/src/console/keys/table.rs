//! The rows.

use crossterm::event::KeyCode;

use super::super::actions::Verb;
use super::super::screens::Screen;
use super::super::state::Edit;
use super::{Binding, Chord, Command, Context};

const fn row(
    context: Context,
    keys: &'static [Chord],
    shown: &'static str,
    meaning: &'static str,
    command: Command,
) -> Binding {
    Binding { keys, shown, meaning, hint: "", context, screens: &[], command }
}

const fn screen(keys: &'static [Chord], shown: &'static str, meaning: &'static str, command: Command) -> Binding {
    row(Context::Screen, keys, shown, meaning, command)
}

const fn edit(keys: &'static [Chord], shown: &'static str, meaning: &'static str, edit: Edit) -> Binding {
    row(Context::Field, keys, shown, meaning, Command::Edit(edit))
}

const fn hint(hint: &'static str, binding: Binding) -> Binding {
    Binding { hint, ..binding }
}

const fn only(screens: &'static [Screen], binding: Binding) -> Binding {
    Binding { screens, ..binding }
}

const fn of(letter: char) -> Chord {
    Chord::of(letter)
}

const fn key(code: KeyCode) -> Chord {
    Chord::key(code)
}

const fn act(
    screens: &'static [Screen],
    keys: &'static [Chord],
    shown: &'static str,
    what: &'static str,
    verb: Verb,
) -> Binding {
    only(screens, screen(keys, shown, what, Command::Act(verb)))
}

const fn go(keys: &'static [Chord], shown: &'static str, meaning: &'static str, to: Screen) -> Binding {
    screen(keys, shown, meaning, Command::Go(to))
}

/// Screens with graphs over time.
const GRAPHS: &[Screen] = &[Screen::Overview, Screen::Servers];

/// All keys. In this order they are looked up and listed.
pub(crate) static BINDINGS: &[Binding] = &[
    row(Context::Global, &[Chord::ctrl('c')], "Ctrl-C", "quit, whatever is open", Command::Leave),
    row(Context::Global, &[Chord::ctrl('z')], "Ctrl-Z", "suspend; `fg` comes back", Command::Suspend),
    hint(
        "help",
        row(Context::Global, &[of('?'), key(KeyCode::F(1))], "? F1", "all keys of what is open", Command::Help),
    ),
    hint("back", row(Context::Global, &[of('q')], "q", "back, and at the beginning quit", Command::Quit)),
    go(&[of('1')], "1", "overview: the gate at a glance", Screen::Overview),
    go(&[of('2')], "2", "servers, their endpoints and instances", Screen::Servers),
    go(&[of('3')], "3", "sessions", Screen::Sessions),
    go(&[of('4')], "4", "tools", Screen::Tools),
    go(&[of('5')], "5", "limits", Screen::Limits),
    go(&[of('6')], "6", "clients", Screen::Clients),
    go(&[of('7')], "7", "alerts, checks, breakers, certificates", Screen::Health),
    go(&[of('8')], "8", "calls in flight, and as they end", Screen::Requests),
    go(&[of('9')], "9", "configuration, its problems and changes", Screen::Config),
    screen(&[key(KeyCode::Tab)], "Tab", "next screen", Command::NextScreen),
    screen(&[key(KeyCode::BackTab)], "Shift-Tab", "previous screen", Command::PreviousScreen),
    screen(&[of('j'), key(KeyCode::Down)], "j Down", "down", Command::Down),
    screen(&[of('k'), key(KeyCode::Up)], "k Up", "up", Command::Up),
    screen(&[of('g'), key(KeyCode::Home)], "g Home", "to the first row", Command::First),
    screen(&[of('G'), key(KeyCode::End)], "G End", "to the last row", Command::Last),
    screen(&[key(KeyCode::PageDown)], "PgDn", "down by a page", Command::PageDown),
    screen(&[key(KeyCode::PageUp)], "PgUp", "up by a page", Command::PageUp),
    screen(&[Chord::ctrl('d')], "Ctrl-D", "down by half a page", Command::HalfDown),
    screen(&[Chord::ctrl('u')], "Ctrl-U", "up by half a page", Command::HalfUp),
    hint(
        "open",
        screen(
            &[key(KeyCode::Enter), key(KeyCode::Right)],
            "Enter Right",
            "open what belongs to the row",
            Command::Enter,
        ),
    ),
    screen(&[key(KeyCode::Esc), key(KeyCode::Left)], "Esc Left", "take the filter away, or go back", Command::Back),
    hint("inspect", screen(&[of('i')], "i", "everything about the row, and remedies", Command::Inspect)),
    hint("actions", screen(&[of('a')], "a", "menu: all that can be done with the row", Command::Menu)),
    hint("filter", screen(&[of('/')], "/", "filter: words, !word, field=value", Command::Filter)),
    hint("command", screen(&[of(':')], ":", "a command, such as :sessions client=ci", Command::Palette)),
    hint("sort", screen(&[of('s')], "s", "sort by the next column", Command::SortNext)),
    screen(&[of('S')], "S", "turn the order round", Command::SortReverse),
    screen(&[of(' ')], "Space", "mark the row, or take its mark away", Command::Mark),
    hint("view", screen(&[of('v')], "v", "next view of this screen", Command::NextView)),
    hint("time line", screen(&[of('t')], "t", "rewind: how it was at another time", Command::Timeline)),
    only(GRAPHS, screen(&[of('z')], "z", "graphs of 2 min, 10 min, 1 h, 6 h, 24 h", Command::Window)),
    hint("pause", screen(&[of('p')], "p", "hold the display, and let it go on", Command::Pause)),
    screen(&[of('+'), of('=')], "+", "news more often", Command::Faster),
    screen(&[of('-')], "-", "news less often", Command::Slower),
    screen(&[of('r'), key(KeyCode::F(5))], "r F5", "ask for everything anew", Command::Refresh),
    screen(&[of('e')], "e", "show the row's panel, or hide it", Command::Expand),
    only(&[Screen::Servers], screen(&[of('f')], "f", "fold endpoints and instances, or unfold", Command::Fold)),
    screen(&[of('y')], "y", "copy the row's id", Command::CopyId),
    screen(&[of('Y')], "Y", "copy the row", Command::CopyRow),
    screen(&[of('m')], "m", "use the mouse, or give it back", Command::Mouse),
    screen(&[of('T')], "T", "next theme", Command::Theme),
    act(&[Screen::Servers], &[of('D')], "D", "drain: no new sessions, old ones go on", Verb::Drain),
    act(&[Screen::Servers], &[of('M')], "M", "maintenance: drain, then end sessions", Verb::Maintenance),
    act(&[Screen::Servers], &[of('R')], "R", "resume: take calls again", Verb::Resume),
    act(&[Screen::Servers], &[of('C')], "C", "check now", Verb::CheckNow),
    act(&[Screen::Servers], &[of('B')], "B", "reset the breaker", Verb::BreakerReset),
    act(&[Screen::Servers], &[of('P')], "P", "purge the queue", Verb::Purge),
    act(&[Screen::Servers], &[of('Q')], "Q", "another queue deadline, for a time", Verb::QueueDeadline),
    act(&[Screen::Servers], &[of('N')], "N", "new instances, one after the other", Verb::Recycle),
    act(&[Screen::Sessions], &[of('X')], "X", "end the session or the marked sessions", Verb::EndSession),
    act(&[Screen::Tools], &[of('D')], "D", "disable the tool", Verb::Disable),
    act(&[Screen::Tools], &[of('R')], "R", "enable the tool again", Verb::Enable),
    act(&[Screen::Tools], &[of('A')], "A", "approve what the tool has become", Verb::Approve),
    act(&[Screen::Tools, Screen::Clients], &[of('L')], "L", "a limit for it, for a time", Verb::LimitFor),
    act(&[Screen::Limits], &[of('L')], "L", "another value for the limit, for a time", Verb::Override),
    act(&[Screen::Limits], &[of('R')], "R", "revert the limit to what is configured", Verb::Revert),
    act(&[Screen::Clients], &[of('D')], "D", "suspend it, with words that it reads", Verb::Suspend),
    act(&[Screen::Clients], &[of('R')], "R", "let the client call again", Verb::ResumeClient),
    act(&[Screen::Clients], &[of('X')], "X", "end all sessions of the client", Verb::EndMatching),
    act(&[Screen::Overview, Screen::Health], &[of('A')], "A", "acknowledge the alert", Verb::Acknowledge),
    act(&[Screen::Overview, Screen::Health], &[of('Z')], "Z", "silence the alert for a time", Verb::Silence),
    act(&[Screen::Requests], &[of('X')], "X", "cancel the call in flight", Verb::CancelCall),
    act(&[Screen::Config], &[of('C')], "C", "check the files on disk", Verb::ConfigCheck),
    act(&[Screen::Config], &[of('D')], "D", "what a reload would change", Verb::ConfigDiff),
    act(&[Screen::Config], &[of('L')], "L", "reload the files on disk", Verb::ConfigReload),
    row(Context::Text, &[of('j'), key(KeyCode::Down)], "j Down", "down", Command::Down),
    row(Context::Text, &[of('k'), key(KeyCode::Up)], "k Up", "up", Command::Up),
    row(Context::Text, &[key(KeyCode::PageDown), of(' ')], "PgDn Space", "down by a page", Command::PageDown),
    row(Context::Text, &[key(KeyCode::PageUp)], "PgUp", "up by a page", Command::PageUp),
    row(Context::Text, &[of('g'), key(KeyCode::Home)], "g Home", "to the beginning", Command::First),
    row(Context::Text, &[of('G'), key(KeyCode::End)], "G End", "to the end", Command::Last),
    row(Context::Text, &[of('w')], "w", "break long lines, or cut them", Command::Wrap),
    row(Context::Text, &[of('a')], "a", "what can be done with it", Command::Menu),
    row(Context::Text, &[of('y')], "y", "copy its id", Command::CopyId),
    row(
        Context::Text,
        &[key(KeyCode::Esc), key(KeyCode::Enter), key(KeyCode::Left)],
        "Esc Enter",
        "close",
        Command::Back,
    ),
    row(Context::Menu, &[of('j'), key(KeyCode::Down)], "j Down", "down", Command::Down),
    row(Context::Menu, &[of('k'), key(KeyCode::Up)], "k Up", "up", Command::Up),
    row(Context::Menu, &[key(KeyCode::Enter)], "Enter", "choose; changes ask first", Command::Enter),
    row(Context::Menu, &[key(KeyCode::Esc), of('a')], "Esc a", "close", Command::Back),
    row(
        Context::Dialog,
        &[key(KeyCode::Tab), key(KeyCode::Right), key(KeyCode::Down)],
        "Tab Right",
        "to the next answer",
        Command::NextField,
    ),
    row(
        Context::Dialog,
        &[key(KeyCode::BackTab), key(KeyCode::Left), key(KeyCode::Up)],
        "Shift-Tab Left",
        "to the one before",
        Command::PreviousField,
    ),
    row(Context::Dialog, &[key(KeyCode::PageUp)], "PgUp", "what stands above", Command::PageUp),
    row(Context::Dialog, &[key(KeyCode::PageDown)], "PgDn", "what stands below", Command::PageDown),
    row(Context::Dialog, &[of('y')], "y", "yes, do it", Command::Yes),
    row(Context::Dialog, &[of('n'), key(KeyCode::Esc)], "n Esc", "no, change nothing", Command::No),
    row(Context::Dialog, &[key(KeyCode::Enter)], "Enter", "the answer that is chosen", Command::Enter),
    row(Context::Field, &[Chord::ctrl('c')], "Ctrl-C", "quit", Command::Leave),
    row(Context::Field, &[key(KeyCode::Enter)], "Enter", "take it", Command::Enter),
    row(Context::Field, &[key(KeyCode::Esc)], "Esc", "leave it as it was", Command::Back),
    row(
        Context::Field,
        &[key(KeyCode::Tab), key(KeyCode::Down)],
        "Tab Down",
        "complete, or the next line",
        Command::NextField,
    ),
    row(
        Context::Field,
        &[key(KeyCode::BackTab), key(KeyCode::Up)],
        "Shift-Tab Up",
        "an earlier one, or the line before",
        Command::PreviousField,
    ),
    edit(&[key(KeyCode::Left)], "Left", "a letter back", Edit::Left),
    edit(&[key(KeyCode::Right)], "Right", "a letter on", Edit::Right),
    edit(&[key(KeyCode::Home), Chord::ctrl('a')], "Home Ctrl-A", "to the beginning of the line", Edit::Begin),
    edit(&[key(KeyCode::End), Chord::ctrl('e')], "End Ctrl-E", "to the end of the line", Edit::End),
    edit(&[key(KeyCode::Backspace)], "Backspace", "erase the letter before", Edit::Backspace),
    edit(&[key(KeyCode::Delete)], "Delete", "erase the letter behind", Edit::Delete),
    edit(&[Chord::ctrl('w')], "Ctrl-W", "erase the word before", Edit::EraseWord),
    edit(&[Chord::ctrl('u')], "Ctrl-U", "erase all that stands before", Edit::EraseBefore),
    row(Context::Timeline, &[key(KeyCode::Left), of('h')], "Left h", "earlier", Command::Earlier),
    row(Context::Timeline, &[key(KeyCode::Right), of('l')], "Right l", "later", Command::Later),
    row(Context::Timeline, &[key(KeyCode::PageUp), of('H')], "PgUp H", "much earlier", Command::MuchEarlier),
    row(Context::Timeline, &[key(KeyCode::PageDown), of('L')], "PgDn L", "much later", Command::MuchLater),
    row(Context::Timeline, &[of('z')], "z", "graphs of more time", Command::Window),
    row(Context::Timeline, &[of('g'), key(KeyCode::Home)], "g Home", "as far back as is remembered", Command::First),
    row(Context::Timeline, &[of('G'), key(KeyCode::End)], "G End", "to now", Command::Now),
    row(Context::Timeline, &[of('1')], "1", "overview", Command::Go(Screen::Overview)),
    row(Context::Timeline, &[of('2')], "2", "servers", Command::Go(Screen::Servers)),
    row(Context::Timeline, &[of('j'), key(KeyCode::Down)], "j Down", "next row", Command::Down),
    row(Context::Timeline, &[of('k'), key(KeyCode::Up)], "k Up", "previous row", Command::Up),
    row(Context::Timeline, &[key(KeyCode::Esc), of('t')], "Esc t", "back to now", Command::Back),
];
