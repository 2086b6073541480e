//! A terminal without a screen: what a program writes to it is kept, and its modes are looked at.

#![allow(dead_code, unreachable_pub, reason = "each test program uses its own part of this")]

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags, open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

const DEADLINE: Duration = Duration::from_secs(20);

/// Both ends of a terminal.
pub struct Pty {
    keyboard: File,
    terminal: OwnedFd,
    written: Arc<Mutex<Vec<u8>>>,
}

impl Pty {
    /// A terminal of 100 columns and 30 lines.
    pub fn new() -> Self {
        let keyboard = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
        grantpt(&keyboard).expect("granted");
        unlockpt(&keyboard).expect("unlocked");
        let name = ptsname(&keyboard, Vec::new()).expect("a name");
        let terminal = open(name.as_c_str(), OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).expect("opens");
        let size = Winsize { ws_row: 30, ws_col: 100, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&terminal, size).expect("sized");
        let written = Arc::new(Mutex::new(Vec::new()));
        let keyboard = File::from(keyboard);
        let mut reader = keyboard.try_clone().expect("clones");
        let kept = Arc::clone(&written);
        thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(length @ 1..) = reader.read(&mut piece) {
                kept.lock().expect("lock").extend_from_slice(&piece[..length]);
            }
        });
        Self { keyboard, terminal, written }
    }

    /// Starts a program on it.
    pub fn spawn(&self, command: &mut Command) -> Child {
        let end = || Stdio::from(self.terminal.try_clone().expect("clones"));
        command.stdin(end()).stdout(end()).stderr(end()).spawn().expect("starts")
    }

    pub fn press(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).expect("pressed");
    }

    /// Everything that was written to it.
    pub fn written(&self) -> String {
        String::from_utf8_lossy(&self.written.lock().expect("lock")).into_owned()
    }

    /// Waits until something was written.
    pub fn wait_for(&self, text: &str) {
        self.wait_after(0, text);
    }

    /// Waits until something was written behind so many bytes.
    pub fn wait_after(&self, from: usize, text: &str) {
        let deadline = Instant::now() + DEADLINE;
        while !self.written().get(from..).is_some_and(|written| written.contains(text)) {
            assert!(Instant::now() < deadline, "no {text:?} in {:?}", self.written());
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Lines are edited and shown by the terminal: no program has taken it.
    pub fn is_plain(&self) -> bool {
        let modes = tcgetattr(self.terminal.as_fd()).expect("modes").local_modes;
        modes.contains(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG)
    }

    /// The last word on each of what a console takes was to give it back.
    pub fn assert_restored(&self) {
        assert!(self.is_plain(), "the terminal is still raw");
        // What the program wrote last may be on its way still.
        self.wait_for("\u{1b}[?25h");
        let written = self.written();
        for (taken, given) in
            [("\u{1b}[?1049h", "\u{1b}[?1049l"), ("\u{1b}[?2004h", "\u{1b}[?2004l"), ("\u{1b}[?25l", "\u{1b}[?25h")]
        {
            let (taken, given) = (written.rfind(taken), written.rfind(given));
            assert!(taken.is_some() && given > taken, "{written:?}");
        }
        let mouse = (written.rfind("\u{1b}[?1000h"), written.rfind("\u{1b}[?1000l"));
        assert!(mouse.1 >= mouse.0, "{written:?}");
    }
}

/// Waits for the end of a program.
pub fn ended(child: &mut Child) -> ExitStatus {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(status) = child.try_wait().expect("waits") {
            return status;
        }
        if Instant::now() > deadline {
            let _ = child.kill();
            panic!("it does not end");
        }
        thread::sleep(Duration::from_millis(10));
    }
}
