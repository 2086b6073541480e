//! Incidents, from what is first seen to what mends them, each by keys alone.

mod certificate;
mod gone;
mod leak;
mod looping;
mod slow;

use std::process::Command;

use toolgate_tests::gate::{Gate, program};

/// `toolgate` at a prompt: its exit status and what it said.
fn toolgate(gate: &Gate, words: &[&str]) -> (i32, String) {
    let mut command = Command::new(program("toolgate"));
    let output = command.arg("--socket-dir").arg(gate.runtime_dir()).args(words).output().expect("toolgate");
    (output.status.code().expect("no signal"), String::from_utf8_lossy(&output.stdout).into_owned())
}
