//! A console in a terminal of tmux: keys go in, what is seen comes out.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};

use toolgate_tests::gate::{Gate, program};
use toolgate_tests::wait;

/// Where captures are kept; they are written anew where `TOOLGATE_CAPTURES` is set.
const CAPTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios/console/captures");

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A running console; tmux and the console end with it.
pub(crate) struct Screen {
    socket: String,
}

impl Screen {
    /// Opens the console of a gate in a terminal of 120 columns and 40 lines.
    pub(crate) async fn open(gate: &Gate) -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let screen = Self { socket: format!("toolgate-{}-{number}", std::process::id()) };
        let toolgate = program("toolgate");
        let command = format!(
            "env LANG=C.UTF-8 TERM=screen-256color {} --socket-dir {}",
            toolgate.display(),
            gate.runtime_dir().display()
        );
        screen.tmux(&["new-session", "-d", "-x", "120", "-y", "40", &command]);
        screen.until("CONTROL").await;
        screen
    }

    /// Presses keys by their names in tmux, such as `Enter` or `C-u`; other words are written.
    pub(crate) fn press(&self, keys: &[&str]) -> &Self {
        for key in keys {
            let named = matches!(*key, "Enter" | "Escape" | "Tab" | "Space" | "Up" | "Down") || key.starts_with("C-");
            if named {
                self.tmux(&["send-keys", key])
            } else {
                self.tmux(&["send-keys", "-l", key])
            };
        }
        self
    }

    /// What is seen.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.tmux(&["capture-pane", "-p"]).stdout).into_owned()
    }

    /// Waits until something is seen.
    pub(crate) async fn until(&self, text: &str) -> &Self {
        let seen = async || {
            let now = self.text();
            if now.contains(text) { Ok(()) } else { Err(now) }
        };
        if let Err(last) = wait::or_last(seen).await {
            panic!("{text:?} does not come up on\n{last}");
        }
        self
    }

    /// Waits until something is seen no more.
    pub(crate) async fn until_gone(&self, text: &str) -> &Self {
        wait::until(&format!("{text:?} to go"), async || (!self.text().contains(text)).then_some(())).await;
        self
    }

    /// Keeps what is seen beside the scenario.
    pub(crate) fn keep(&self, name: &str) -> &Self {
        if std::env::var_os("TOOLGATE_CAPTURES").is_some() {
            let folder = Path::new(CAPTURES);
            std::fs::create_dir_all(folder).expect("a folder");
            let file: PathBuf = folder.join(format!("{name}.txt"));
            std::fs::write(file, self.text()).expect("written");
        }
        self
    }

    fn tmux(&self, arguments: &[&str]) -> Output {
        let output = Command::new("tmux")
            .args(["-L", &self.socket, "-f", "/dev/null"])
            .args(arguments)
            .env_remove("TMUX")
            .output()
            .expect("tmux is installed");
        assert!(output.status.success(), "tmux {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        output
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = Command::new("tmux").args(["-L", &self.socket, "kill-server"]).env_remove("TMUX").output();
    }
}
