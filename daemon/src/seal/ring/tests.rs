//! Rings over time, whatever settings and operators do.

use std::time::Duration;

use proptest::prelude::*;

use super::*;

const OVERLAP_MS: u64 = 1_000;

fn key(number: u8) -> SealKey {
    SealKey::new([number; 32])
}

fn sealing(configured: Option<u8>, other: Option<u8>) -> Sealing {
    Sealing {
        key: configured.map(key),
        other_key: other.map(key),
        overlap: Duration::from_millis(OVERLAP_MS),
        rotate_every: None,
    }
}

#[test]
fn age_alone_asks_for_a_rotation_and_then_for_forgetting() {
    let every = Sealing { rotate_every: Some(Duration::from_secs(5)), ..sealing(None, None) };
    let ring = Ring::of(Vec::new()).under(&every, 0, || key(1));
    assert_eq!((ring.is_due(&every, 4_999), ring.is_due(&every, 5_000)), (Due::Nothing, Due::Rotation));
    let ring = ring.rotated(&every, 5_000, key(2));
    assert_eq!((ring.is_due(&every, 5_999), ring.is_due(&every, 6_000)), (Due::Nothing, Due::Forgetting));
    assert_eq!(ring.under(&every, 6_000, || unreachable!("one seals")).0.len(), 1);
    let configured = Sealing { key: Some(key(9)), ..every };
    let ring = ring.under(&configured, 6_000, || unreachable!("one is configured"));
    assert_eq!(ring.is_due(&configured, 6_500), Due::Nothing, "a configured key has no age");
}

#[derive(Debug, Clone)]
enum Step {
    Wait(u64),
    Rotate,
    Alone,
    Configure(Option<u8>, Option<u8>),
}

fn step() -> impl Strategy<Value = Step> {
    let configured = || proptest::option::of(200_u8..203);
    prop_oneof![
        (1..2 * OVERLAP_MS).prop_map(Step::Wait),
        Just(Step::Rotate),
        Just(Step::Alone),
        (configured(), configured()).prop_map(|(key, other)| Step::Configure(key, other)),
    ]
}

proptest! {
    /// Whatever happens, what was sealed opens for the overlap after its key was retired, unless somebody said
    /// otherwise; one key seals; a key that was retired never seals again; and configured keys are told from own ones.
    #[test]
    fn whatever_was_sealed_opens_for_its_overlap(steps in proptest::collection::vec(step(), 0..30)) {
        let (mut now, mut next, mut settings) = (0, 1, sealing(None, None));
        let mut ring = Ring::of(Vec::new()).under(&settings, now, || key(0));
        let mut sealed: Vec<(u64, SealKey, Vec<u8>)> = Vec::new();
        for step in steps {
            match step {
                Step::Wait(span) => now += span,
                Step::Rotate | Step::Alone if settings.key.is_some() => {}
                Step::Rotate => ring = ring.rotated(&settings, now, key(next)),
                Step::Alone => {
                    ring = ring.rotated(&settings, now, key(next)).alone(&settings, now);
                    sealed.retain(|(_, by, _)| settings.other_key.as_ref() == Some(by));
                }
                Step::Configure(configured, other) => settings = sealing(configured, other),
            }
            next += 1;
            ring = ring.under(&settings, now, || key(next));
            next += 1;
            let first = ring.sealing();
            prop_assert!(first.retired_ms.is_none());
            prop_assert_eq!(first.origin == Origin::Configured, settings.key.is_some());
            sealed.push((now, first.key.clone(), first.seal(b"owner", b"text")));
            for (at, _, text) in sealed.iter().filter(|(at, ..)| now < at + OVERLAP_MS) {
                let opened = ring.open(b"owner", text);
                prop_assert_eq!(opened.as_deref(), Some(&b"text"[..]), "sealed at {}, now {}", at, now);
            }
            let mut keys: Vec<_> = ring.all().map(|held| held.id).collect();
            keys.sort_unstable();
            keys.dedup();
            prop_assert_eq!(keys.len(), ring.all().count(), "each key once");
            prop_assert!(ring.all().all(|held| held.retired_ms.is_none_or(|at| now < at + OVERLAP_MS)));
        }
    }
}
