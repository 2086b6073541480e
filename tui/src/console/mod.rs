//! The console: what an operator looks at all day, and acts through.
//!
//! `state` decides without I/O, `screens` says what each screen lists, `draw` paints it, `run` is the loop that joins
//! keys, daemon and terminal. `once` prints the same where there is no terminal.

mod actions;
mod canvas;
mod data;
mod details;
mod draw;
mod filter;
#[cfg(test)]
mod fixture;
mod graph;
mod keys;
mod object;
mod once;
mod replay;
mod run;
mod screens;
mod state;
mod table;
mod terminal;
#[cfg(test)]
mod tests;
mod theme;
mod units;
mod wire;

use std::io::{self, IsTerminal};

use toolgate_admin_api::Exit;

use crate::args::{Look, Replay, Top};
use crate::commands::{Context, block_on};
use crate::failure::Failure;
pub(crate) use keys::manual as keys_manual;
use state::State;
use theme::{Ability, Theme};
pub(crate) use theme::{Level, Name as ThemeName};
use wire::Wire;

/// Milliseconds between news where nobody says otherwise.
const INTERVAL_MS: u64 = 1_000;

/// `toolgate` alone: the console on a terminal, else the status once.
pub(crate) fn without_command(context: &Context) -> Result<Exit, Failure> {
    if context.json || !on_terminal() {
        return crate::commands::status::without_command(context);
    }
    top(context, &Top::default())
}

/// `toolgate top`: the console on a terminal, else what it would show, once.
pub(crate) fn top(context: &Context, top: &Top) -> Result<Exit, Failure> {
    if top.watch {
        return block_on(once::watch(&context.runtime_dir));
    }
    if top.once || context.json || !on_terminal() {
        return block_on(once::print(&context.runtime_dir, context.json));
    }
    // What keeps it from the daemon is better said before the screen is taken.
    block_on(crate::client::admin::AdminClient::view(&context.runtime_dir))?;
    run::run(state(&top.look), |outbox| Wire::start(&context.runtime_dir, outbox))
}

/// `toolgate replay`: the console on a recording, else the recording's end as text.
pub(crate) fn replay(context: &Context, replay: &Replay) -> Result<Exit, Failure> {
    if context.json || !on_terminal() {
        return replay::print(&replay.file, context.json);
    }
    let recording = replay::open(&replay.file)?;
    run::run(state(&replay.look).replay(), |outbox| replay::play(recording, outbox).map(|()| Wire::none()))
}

fn on_terminal() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal()
}

fn state(look: &Look) -> State {
    let found = Ability::detect();
    let ability = Ability { level: look.colours.unwrap_or(found.level), ascii: look.ascii || found.ascii };
    let theme = Theme::new(look.theme.unwrap_or(ThemeName::Dark), ability);
    State::new(theme, look.interval.unwrap_or(INTERVAL_MS), run::wall_ms())
}
