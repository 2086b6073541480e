//! The terminal: taken in one place and given back in one place.
//!
//! [`restore`] may be called from anywhere and any number of times: at the end, after an error, from the panic hook and
//! for signals. It never panics, and it undoes everything that [`Terminal::enter`] and [`Terminal::mouse`] do.

use std::io::{self, Stdout, Write};
use std::panic;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use crossterm::event::{DisableBracketedPaste, DisableMouseCapture, EnableBracketedPaste, EnableMouseCapture};
use crossterm::terminal::{
    BeginSynchronizedUpdate, Clear, ClearType, EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen,
    disable_raw_mode, enable_raw_mode,
};
use crossterm::{cursor, execute, queue};
use ratatui::backend::CrosstermBackend;
use ratatui::buffer::Buffer;

/// The terminal is ours.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// The hook is set once: it calls the one before it.
static HOOK: Once = Once::new();

/// Bytes that are copied at most: terminals drop longer sequences, or hang in them.
const COPIED: usize = 74_000;

/// A terminal that is ours until [`restore`].
#[derive(Debug)]
pub(super) struct Terminal {
    inner: ratatui::Terminal<CrosstermBackend<Stdout>>,
}

impl Terminal {
    /// Takes the terminal.
    pub(super) fn enter() -> io::Result<Self> {
        HOOK.call_once(set_hook);
        take()?;
        let inner = ratatui::Terminal::new(CrosstermBackend::new(io::stdout())).inspect_err(|_| restore())?;
        Ok(Self { inner })
    }

    /// Draws what changed.
    pub(super) fn draw(&mut self, paint: impl FnOnce(&mut Buffer)) -> io::Result<()> {
        queue!(io::stdout(), BeginSynchronizedUpdate)?;
        let drawn = self.inner.draw(|frame| paint(frame.buffer_mut())).map(|_| ());
        execute!(io::stdout(), EndSynchronizedUpdate)?;
        drawn
    }

    /// Takes the terminal again after somebody else had it.
    pub(super) fn reenter(&mut self, mouse: bool) -> io::Result<()> {
        take()?;
        if mouse {
            Self::mouse(true)?;
        }
        // A new one knows nothing of what was drawn and draws everything; to clear the old one would ask the terminal
        // for its cursor, which not every one answers.
        execute!(io::stdout(), Clear(ClearType::All))?;
        self.inner = ratatui::Terminal::new(CrosstermBackend::new(io::stdout()))?;
        Ok(())
    }

    /// Has the terminal tell of the mouse, or keep it.
    pub(super) fn mouse(on: bool) -> io::Result<()> {
        if on { execute!(io::stdout(), EnableMouseCapture) } else { execute!(io::stdout(), DisableMouseCapture) }
    }

    /// Puts a text into the clipboard of whoever sits at the terminal, also through a remote shell (OSC 52).
    pub(super) fn copy(text: &str) -> io::Result<()> {
        let end = (0..=text.len().min(COPIED)).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        let encoded = STANDARD.encode(&text[..end]);
        let mut output = io::stdout();
        write!(output, "\u{1b}]52;c;{encoded}\u{7}")?;
        output.flush()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        restore();
    }
}

fn take() -> io::Result<()> {
    enable_raw_mode()?;
    TAKEN.store(true, Ordering::SeqCst);
    execute!(io::stdout(), EnterAlternateScreen, EnableBracketedPaste, cursor::Hide).inspect_err(|_| restore())
}

/// Gives the terminal back as it was. What fails here fails because the terminal is gone.
pub(super) fn restore() {
    if !TAKEN.swap(false, Ordering::SeqCst) {
        return;
    }
    let mut output = io::stdout();
    let _ = execute!(
        output,
        EndSynchronizedUpdate,
        DisableMouseCapture,
        DisableBracketedPaste,
        LeaveAlternateScreen,
        cursor::Show
    );
    let _ = disable_raw_mode();
}

/// A panic on any thread ends the console: the terminal is given back first, so that its message can be read.
fn set_hook() {
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        let ours = TAKEN.load(Ordering::SeqCst);
        restore();
        before(panic);
        if ours {
            std::process::exit(101);
        }
    }));
}

#[cfg(test)]
#[path = "../../tests/common/pty.rs"]
mod pty;

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// In the program that the test below starts: takes the terminal and panics, on the main thread or on another.
    #[test]
    fn panics_on_a_terminal() {
        let Some(thread) = std::env::var_os("TOOLGATE_TEST_PANIC") else { return };
        let _terminal = Terminal::enter().expect("taken");
        if thread == "other" {
            let _ = std::thread::spawn(|| panic!("on purpose")).join();
        }
        panic!("on purpose");
    }

    #[test]
    fn a_panic_gives_the_terminal_back_and_can_be_read() {
        for thread in ["main", "other"] {
            let pty = pty::Pty::new();
            let program = std::env::current_exe().expect("this program");
            let mut child = pty.spawn(
                Command::new(program)
                    .args(["--exact", "console::terminal::tests::panics_on_a_terminal", "--nocapture"])
                    .env("TOOLGATE_TEST_PANIC", thread),
            );
            assert_eq!(pty::ended(&mut child).code(), Some(101));
            pty.assert_restored();
            let written = pty.written();
            assert!(written.rfind("on purpose") > written.rfind("\u{1b}[?1049l"), "{written:?}");
        }
    }
}
