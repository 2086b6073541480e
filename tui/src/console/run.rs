//! The loop: what happens goes into the state, effects go out, and what changed is drawn.
//!
//! Keys, signals and the daemon have threads of their own and meet in one channel, so that nothing is waited for while
//! a key could be answered.

use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crossterm::event::{Event as TerminalEvent, KeyEventKind, MouseButton, MouseEventKind};
use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGTERM, SIGTSTP};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;
use toolgate_admin_api::Exit;

use super::draw::draw;
use super::state::{Effect, Feed, Input, State};
use super::terminal::{self, Terminal};
use super::wire::Wire;
use crate::failure::Failure;

/// Between two frames for news.
const FRAME: Duration = Duration::from_millis(100);

/// Between two frames for keys, so that a key that repeats does not draw more often than eyes see.
const KEY_FRAME: Duration = Duration::from_millis(16);

const TICK: Duration = Duration::from_secs(1);

/// Events that wait; whoever has more waits too.
const INBOX: usize = 1_024;

/// What the loop hears.
#[derive(Debug)]
pub(super) enum Event {
    Input(Input),
    /// From a recording, at its own time.
    Replayed(Feed, u64),
    Resized,
    Signal(i32),
    /// The terminal is gone.
    Broken,
}

/// Where events go.
pub(super) type Outbox = SyncSender<Event>;

/// The time that ages are counted from: a recording has its own.
#[derive(Debug, Clone, Copy, Default)]
struct Clock {
    /// Milliseconds to take away from the machine's time.
    behind: u64,
}

impl Clock {
    fn now_ms(self) -> u64 {
        wall_ms().saturating_sub(self.behind)
    }
}

/// In milliseconds since 1970.
pub(super) fn wall_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Runs the console until somebody quits. `source` starts whatever feeds it.
pub(super) fn run(mut state: State, source: impl FnOnce(Outbox) -> Result<Wire, Failure>) -> Result<Exit, Failure> {
    let (outbox, inbox) = sync_channel(INBOX);
    listen_to_signals(outbox.clone())?;
    let wire = source(outbox.clone())?;
    let terminal = Terminal::enter().map_err(|error| Failure::local("The terminal cannot be used", error))?;
    listen_to_keys(outbox)?;
    let mut console = Console { terminal, wire, clock: Clock::default(), last: None };
    let ended = console.run(&mut state, &inbox);
    terminal::restore();
    ended.map(|()| Exit::Done).map_err(|error| Failure::local("The terminal cannot be written to", error))
}

struct Console {
    terminal: Terminal,
    wire: Wire,
    clock: Clock,
    /// When the last frame was drawn.
    last: Option<Instant>,
}

/// How soon something is to be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    Never,
    Frame,
    Key,
}

/// Whether the console goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    On,
    End,
}

impl Console {
    fn run(&mut self, state: &mut State, inbox: &Receiver<Event>) -> io::Result<()> {
        let mut ticked = Instant::now();
        let mut due = Due::Key;
        if self.feed(state, Input::Tick)? == Next::End {
            return Ok(());
        }
        loop {
            let wait = self.wait(due).min(TICK.saturating_sub(ticked.elapsed()));
            match inbox.recv_timeout(wait) {
                Ok(event) => {
                    let mut next = self.event(state, event, &mut due)?;
                    // Whatever else has come is part of the same frame.
                    for event in inbox.try_iter().take(INBOX) {
                        if next == Next::On {
                            next = self.event(state, event, &mut due)?;
                        }
                    }
                    if next == Next::End {
                        return Ok(());
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
            if ticked.elapsed() >= TICK {
                ticked = Instant::now();
                due = due.max(Due::Frame);
                if self.feed(state, Input::Tick)? == Next::End {
                    return Ok(());
                }
            }
            if due != Due::Never && self.wait(due).is_zero() {
                self.terminal.draw(|buffer| draw(buffer, state))?;
                self.last = Some(Instant::now());
                due = Due::Never;
            }
        }
    }

    /// How long until the next frame may be drawn.
    fn wait(&self, due: Due) -> Duration {
        let span = match due {
            Due::Never => return TICK,
            Due::Frame => FRAME,
            Due::Key => KEY_FRAME,
        };
        self.last.map_or(Duration::ZERO, |last| span.saturating_sub(last.elapsed()))
    }

    fn event(&mut self, state: &mut State, event: Event, due: &mut Due) -> io::Result<Next> {
        match event {
            Event::Input(input) => {
                let urgent = !matches!(input, Input::Feed(_) | Input::Tick);
                *due = (*due).max(if urgent { Due::Key } else { Due::Frame });
                self.feed(state, input)
            }
            Event::Replayed(feed, at_ms) => {
                self.clock.behind = wall_ms().saturating_sub(at_ms);
                *due = (*due).max(Due::Frame);
                self.feed(state, Input::Feed(feed))
            }
            Event::Resized => {
                *due = Due::Key;
                Ok(Next::On)
            }
            Event::Signal(SIGTSTP) => {
                *due = Due::Key;
                self.suspend(state)
            }
            Event::Signal(SIGCONT) => {
                *due = Due::Key;
                self.terminal.reenter(state.mouse).map(|()| Next::On)
            }
            Event::Signal(_) | Event::Broken => Ok(Next::End),
        }
    }

    fn feed(&mut self, state: &mut State, input: Input) -> io::Result<Next> {
        for effect in state.update(input, self.clock.now_ms()) {
            match effect {
                Effect::Quit => return Ok(Next::End),
                Effect::Suspend => self.suspend(state)?,
                Effect::Copy(text) => {
                    Terminal::copy(&text)?;
                    Next::On
                }
                Effect::Mouse(on) => {
                    Terminal::mouse(on)?;
                    Next::On
                }
                Effect::Subscribe(subscription) => self.wire.subscribe(subscription),
                Effect::Read(read) => self.wire.read(read),
                Effect::Send(ticket, requests) => self.wire.send(ticket, requests),
            };
        }
        Ok(Next::On)
    }

    /// Stops as any program does for Ctrl-Z, with the terminal given back for as long.
    fn suspend(&mut self, state: &State) -> io::Result<Next> {
        terminal::restore();
        emulate_default_handler(SIGTSTP)?;
        self.terminal.reenter(state.mouse)?;
        Ok(Next::On)
    }
}

fn listen_to_signals(outbox: Outbox) -> Result<(), Failure> {
    let cannot = |error| Failure::local("Signals cannot be waited for", error);
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP, SIGTSTP, SIGCONT]).map_err(cannot)?;
    let told = move || {
        for signal in signals.forever() {
            if outbox.send(Event::Signal(signal)).is_err() {
                return;
            }
        }
    };
    thread::Builder::new().name("signals".into()).spawn(told).map_err(cannot)?;
    Ok(())
}

/// The thread ends with the process: nothing wakes it from waiting for a key.
fn listen_to_keys(outbox: Outbox) -> Result<(), Failure> {
    let told = move || {
        loop {
            let event = match crossterm::event::read() {
                Ok(TerminalEvent::Key(key)) if key.kind != KeyEventKind::Release => Event::Input(Input::Key(key)),
                Ok(TerminalEvent::Paste(text)) => Event::Input(Input::Paste(text)),
                Ok(TerminalEvent::Mouse(mouse)) => match mouse.kind {
                    MouseEventKind::Down(MouseButton::Left) => Event::Input(Input::Click(mouse.row)),
                    MouseEventKind::ScrollDown => Event::Input(Input::Wheel(3)),
                    MouseEventKind::ScrollUp => Event::Input(Input::Wheel(-3)),
                    _ => continue,
                },
                Ok(TerminalEvent::Resize(..)) => Event::Resized,
                Ok(_) => continue,
                Err(_) => Event::Broken,
            };
            let broken = matches!(event, Event::Broken);
            if outbox.send(event).is_err() || broken {
                return;
            }
        }
    };
    let started = thread::Builder::new().name("keys".into()).spawn(told);
    started.map(|_| ()).map_err(|error| Failure::local("Keys cannot be waited for", error))
}
