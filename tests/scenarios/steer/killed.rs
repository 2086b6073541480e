//! A gate that is killed while its keys are changed; `tests/bench/keys_killed` does it a thousand times.

#[tokio::test]
async fn no_change_of_a_key_that_was_acknowledged_is_lost() {
    let tally = toolgate_tests::keys::kill(12, 7).await;
    assert!(tally.acknowledged > 12, "hardly anything was changed: {tally:?}");
}
