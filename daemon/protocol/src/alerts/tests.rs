use super::*;
use crate::chance::Chance;

const COOLDOWN: u64 = 300_000;

fn condition(id: &str, severity: Severity) -> Condition {
    Condition::new(id, severity, "It is wrong.", "Mend it.")
}

/// What a step says, as `+id` and `-id`.
fn step(alerts: &mut Alerts, now: u64, conditions: &[Condition]) -> Vec<String> {
    let told = alerts.observe(now, conditions.to_vec(), COOLDOWN);
    told.iter().map(|alert| format!("{}{}", if alert.fires() { '+' } else { '-' }, alert.condition.id)).collect()
}

#[test]
fn an_alert_is_told_once_per_cooldown_and_once_when_it_is_over() {
    let (mut alerts, wrong) = (Alerts::default(), [condition("cpu", Severity::Warning)]);
    assert_eq!(step(&mut alerts, 0, &wrong), ["+cpu"]);
    assert!((1..300).all(|second| step(&mut alerts, second * 1000, &wrong).is_empty()));
    assert_eq!(step(&mut alerts, COOLDOWN, &wrong), ["+cpu"]);
    assert_eq!(step(&mut alerts, COOLDOWN + 1, &[]), ["-cpu"]);
    assert!(step(&mut alerts, COOLDOWN + 2, &[]).is_empty());
    // What comes back within the cooldown is not told, and neither is that it is over once more.
    assert!(step(&mut alerts, COOLDOWN + 3, &wrong).is_empty());
    assert!(step(&mut alerts, COOLDOWN + 4, &[]).is_empty());
    assert_eq!(step(&mut alerts, 2 * COOLDOWN, &wrong), ["+cpu"]);
    assert_eq!(alerts.get("cpu").map(|alert| (alert.since, alert.told)), Some((2 * COOLDOWN, 1)));
}

#[test]
fn what_gets_worse_is_told_at_once_even_where_somebody_has_seen_it() {
    let mut alerts = Alerts::default();
    let (mild, bad) = (condition("memory", Severity::Warning), condition("memory", Severity::Critical));
    assert_eq!(step(&mut alerts, 0, std::slice::from_ref(&mild)), ["+memory"]);
    assert!(alerts.acknowledge("memory", "uid 0").is_some());
    assert_eq!(step(&mut alerts, 1, std::slice::from_ref(&bad)), ["+memory"]);
    // To and fro between the two says nothing new.
    assert!(step(&mut alerts, 2, std::slice::from_ref(&mild)).is_empty());
    assert!(step(&mut alerts, 3, std::slice::from_ref(&bad)).is_empty());
    assert_eq!(alerts.get("memory").and_then(|alert| alert.acknowledged.clone()), None);
}

#[test]
fn what_was_acknowledged_is_told_again_only_when_it_is_over() {
    let (mut alerts, wrong) = (Alerts::default(), [condition("cpu", Severity::Warning)]);
    step(&mut alerts, 0, &wrong);
    alerts.acknowledge("cpu", "uid 0");
    assert!(step(&mut alerts, 5 * COOLDOWN, &wrong).is_empty());
    assert_eq!(step(&mut alerts, 6 * COOLDOWN, &[]), ["-cpu"]);
    assert!(alerts.acknowledge("cpu", "uid 0").is_none(), "it is over");
    assert_eq!(step(&mut alerts, 7 * COOLDOWN, &wrong), ["+cpu"], "the next one is another one");
}

#[test]
fn a_silence_ends_by_itself() {
    let (mut alerts, wrong) = (Alerts::default(), [condition("cpu", Severity::Warning)]);
    step(&mut alerts, 0, &wrong);
    assert!(alerts.silence("cpu", 0, 10 * COOLDOWN).is_some() && alerts.silence("none", 0, 1).is_none());
    assert!(step(&mut alerts, 9 * COOLDOWN, &wrong).is_empty());
    assert_eq!(step(&mut alerts, 10 * COOLDOWN, &wrong), ["+cpu"]);
    // Whoever was told that it began is told that it is over.
    alerts.silence("cpu", 10 * COOLDOWN, 10 * COOLDOWN);
    assert_eq!(step(&mut alerts, 11 * COOLDOWN, &[]), ["-cpu"]);
}

#[test]
fn a_long_spacing_outlasts_the_cooldown() {
    let mut alerts = Alerts::default();
    let wrong = [Condition { spacing_ms: 4 * COOLDOWN, ..condition("certificate:a", Severity::Warning) }];
    assert_eq!(step(&mut alerts, 0, &wrong), ["+certificate:a"]);
    assert!(step(&mut alerts, 3 * COOLDOWN, &wrong).is_empty());
    let nearer = [Condition { step: 1, ..wrong[0].clone() }];
    assert_eq!(step(&mut alerts, 3 * COOLDOWN, &nearer), ["+certificate:a"]);
}

#[test]
fn there_is_an_end_to_how_many_are_kept() {
    let mut alerts = Alerts::default();
    let many: Vec<_> = (0..MOST + 5).map(|number| condition(&format!("n:{number}"), Severity::Warning)).collect();
    assert_eq!(step(&mut alerts, 0, &many).len(), MOST);
    assert_eq!((alerts.listed().len(), alerts.crowded_out()), (MOST, 5));
    step(&mut alerts, 1, &many[1..MOST]);
    assert_eq!(step(&mut alerts, 2, &many[1..=MOST]), [format!("+n:{MOST}")], "the one that is over gives way");
    step(&mut alerts, 3, &[]);
    step(&mut alerts, 3 + REMEMBERED_MS, &[]);
    assert!(alerts.listed().is_empty());
}

#[test]
fn what_is_critical_displaces_warnings_and_is_not_displaced() {
    let mut alerts = Alerts::default();
    let warnings: Vec<_> = (0..MOST).map(|number| condition(&format!("n:{number:04}"), Severity::Warning)).collect();
    step(&mut alerts, 0, &warnings);
    let fire = [warnings.clone(), vec![condition("fire", Severity::Critical)]].concat();
    assert_eq!(step(&mut alerts, 1, &fire), ["+fire"]);
    assert_eq!((alerts.listed().len(), alerts.crowded_out()), (MOST, 1));
    assert!(alerts.get("n:0999").is_none(), "the newest warning gives way");
    // It neither comes back nor pushes another out.
    assert!(step(&mut alerts, 2, &fire).is_empty());
    assert_eq!((alerts.listed()[0].condition.id.as_str(), alerts.crowded_out()), ("fire", 1));
    let all: Vec<_> = (0..=MOST).map(|number| condition(&format!("c:{number:04}"), Severity::Critical)).collect();
    step(&mut alerts, 3, &all);
    assert_eq!((alerts.listed().len(), alerts.crowded_out()), (MOST, 1), "none of them displaces another");
    step(&mut alerts, 4, &[]);
    assert_eq!(alerts.crowded_out(), 0, "all that holds has room");
}

#[test]
fn the_worst_are_listed_first_and_what_is_over_last() {
    let mut alerts = Alerts::default();
    let (a, b, c) =
        (condition("a", Severity::Warning), condition("b", Severity::Critical), condition("c", Severity::Critical));
    step(&mut alerts, 0, &[a.clone(), b.clone(), c]);
    step(&mut alerts, 1, &[a, b]);
    let ids: Vec<_> = alerts.listed().iter().map(|alert| alert.condition.id.clone()).collect();
    assert_eq!(ids, ["b", "a", "c"]);
}

#[test]
fn what_an_earlier_process_told_is_over_only_after_a_while_or_once_seen_again() {
    let (a, b) = (condition("a", Severity::Warning), condition("b", Severity::Warning));
    let mut before = Alerts::default();
    step(&mut before, 0, &[a.clone(), b.clone()]);
    let restored = |now| Alerts::restored(before.listed().into_iter().cloned(), now, 60_000);
    let mut alerts = restored(1000);
    assert!(step(&mut alerts, 1000, &[]).is_empty());
    assert!(alerts.listed().iter().all(|alert| alert.fires()));
    assert!(step(&mut alerts, 2000, std::slice::from_ref(&a)).is_empty());
    assert_eq!(step(&mut alerts, 3000, &[]), ["-a"], "it was seen again");
    assert!(step(&mut alerts, 60_999, &[]).is_empty());
    assert_eq!(step(&mut alerts, 61_000, &[]), ["-b"]);
    assert_eq!(step(&mut restored(1000), 999, &[]), ["-a", "-b"], "the clock was set back");
}

/// Any coming and going: never told more often than once per cooldown and rank, each end once and only of what was told;
/// taken over by another process in between.
#[test]
fn whatever_comes_and_goes_is_told_once_per_cooldown() {
    for seed in 0..200 {
        let mut chance = Chance::new(seed);
        let mut alerts = Alerts::default();
        let mut open: BTreeMap<String, bool> = BTreeMap::new();
        let mut last: BTreeMap<String, (u64, Severity)> = BTreeMap::new();
        let mut now = 0;
        for _ in 0..400 {
            now += chance.below(COOLDOWN / 2);
            let conditions: Vec<_> = ["a", "b", "c"]
                .iter()
                .filter_map(|id| match chance.below(3) {
                    0 => None,
                    1 => Some(condition(id, Severity::Warning)),
                    _ => Some(condition(id, Severity::Critical)),
                })
                .collect();
            if chance.below(20) == 0 {
                let kept: Vec<Alert> = alerts.listed().into_iter().cloned().collect();
                alerts = Alerts::restored(kept, now, 0);
            }
            for told in alerts.observe(now, conditions.clone(), COOLDOWN) {
                let id = told.condition.id.clone();
                assert_eq!(told.fires(), conditions.iter().any(|holds| holds.id == id), "seed {seed}");
                if told.fires() {
                    if let Some((at, severity)) = last.get(&id) {
                        assert!(now - at >= COOLDOWN || told.condition.severity > *severity, "seed {seed}");
                    }
                    last.insert(id.clone(), (now, told.condition.severity));
                    open.insert(id, true);
                } else {
                    assert_eq!(open.insert(id, false), Some(true), "seed {seed}: an end without a beginning");
                }
            }
            // Nothing that was told stays open once it is over.
            for (id, is_open) in &open {
                assert!(!is_open || conditions.iter().any(|holds| holds.id == *id), "seed {seed}");
            }
        }
    }
}
