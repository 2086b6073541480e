//! Secrets are planted in every place that takes one; everything is driven to succeed and to fail; then all that the
//! daemon, the keeper and the commands have written is searched for them, in every form that they could have there.
//!
//! `places` has the canaries, `drive` what is done, `search` how they are looked for. A key of the configuration that
//! takes a secret and has no canary fails the test.

mod drive;
mod places;
mod search;

use toolgate_tests::wait;

use drive::Stage;
use places::{Canaries, documented};
use search::{Found, processes};

#[test]
fn every_key_that_takes_a_secret_has_a_canary() {
    let canaries = Canaries::new();
    let known: Vec<_> = canaries.all().iter().map(|canary| canary.place).collect();
    for key in documented() {
        assert!(known.contains(&key.as_str()), "{key} takes a secret: give it a canary in places.rs");
    }
}

#[test]
fn the_search_finds_every_form() {
    let canaries = Canaries::new();
    for canary in canaries.all() {
        for (form, bytes) in search::forms(&canary.secret) {
            let folder = tempfile::tempdir().expect("a folder");
            std::fs::write(folder.path().join("x"), [b"before \x00", bytes.as_slice(), b" after"].concat())
                .expect("writes");
            let found = search::search(&canaries, folder.path(), &[]);
            assert!(found.iter().any(|found| found.place == canary.place), "{} as {form}", canary.place);
        }
    }
}

#[tokio::test]
async fn no_secret_is_in_anything_that_was_written() {
    let mut canaries = Canaries::new();
    let mut stage = Stage::start(&mut canaries).await;
    stage.succeed(&canaries).await;
    stage.fail(&canaries).await;
    stage.look().await;
    stage.back_up();
    for pid in [Some(stage.gate.pid()), stage.gate.keeper_pid()].into_iter().flatten() {
        let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).expect("limits");
        let core = limits.lines().find(|line| line.starts_with("Max core file size")).expect("a line");
        assert_eq!(core.split_whitespace().collect::<Vec<_>>()[4..6], ["0", "0"], "{core}");
    }
    stage.seen("processes", processes(&stage.gate));
    wait::until("the log to be written", async || stage.gate.log().contains("a reload was refused").then_some(()))
        .await;
    stage.stop().await;

    let found = search::search(&canaries, stage.gate.folder(), &stage.resting());
    let told: Vec<_> = found.iter().map(Found::to_string).collect();
    assert!(told.is_empty(), "secrets were written:\n{}", told.join("\n"));
    // A search that finds nothing anywhere would prove nothing: where they rest, they are.
    let resting = search::search(&canaries, canaries.folder(), &[]);
    for canary in canaries.all().iter().filter(|canary| canary.is_file) {
        assert!(resting.iter().any(|found| found.place == canary.place), "{} is where it was planted", canary.place);
    }
}
