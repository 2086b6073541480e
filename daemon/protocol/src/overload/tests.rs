//! Steps up and down, hysteresis, and a gate whose load answers to them.

use super::*;

fn at(second: u64) -> Duration {
    Duration::from_secs(second)
}

fn cpu(used: f64) -> Option<Pressure> {
    let allowed = Numbers { cpu: Some(0.8), ..Numbers::default() };
    Pressure::of(&Numbers { cpu: Some(used), ..Numbers::default() }, &allowed)
}

/// The levels of some seconds under this use.
fn levels(overload: &mut Overload, from: u64, seconds: u64, used: impl Fn(u64) -> f64) -> Vec<u8> {
    (from..from + seconds)
        .map(|second| {
            overload.observe(at(second), cpu(used(second)));
            overload.level()
        })
        .collect()
}

#[test]
fn it_goes_step_by_step_and_comes_back_by_itself() {
    let mut overload = Overload::default();
    assert_eq!(levels(&mut overload, 0, 10, |_| 0.95), [0, 0, 0, 1, 1, 1, 2, 2, 2, 3]);
    assert_eq!(levels(&mut overload, 10, 40, |_| 0.95).last(), Some(&HIGHEST));
    let down = levels(&mut overload, 50, 80, |_| 0.3);
    assert_eq!((down[9], down[10], down[20], down[60]), (6, 5, 4, 0));
    assert!(down[61..].iter().all(|level| *level == 0));
}

#[test]
fn a_peak_is_no_overload_and_a_dip_no_recovery() {
    let mut overload = Overload::default();
    let peaks = levels(&mut overload, 0, 100, |second| if second % 3 == 0 { 0.5 } else { 1.0 });
    assert!(peaks.iter().all(|level| *level == 0), "{peaks:?}");
    levels(&mut overload, 100, 4, |_| 0.9);
    assert_eq!(overload.level(), 1);
    // Below what is allowed, and not well below.
    let between = levels(&mut overload, 104, 60, |_| 0.76);
    assert!(between.iter().all(|level| *level == 1), "{between:?}");
    let dips = levels(&mut overload, 164, 100, |second| if second % 9 == 0 { 0.78 } else { 0.5 });
    assert!(dips.iter().all(|level| *level == 1), "{dips:?}");
}

#[test]
fn what_presses_most_counts_and_what_is_unknown_does_not() {
    let allowed = Numbers { cpu: Some(0.8), memory: Some(0.85), lag: Some(0.1), ..Numbers::default() };
    let used = Numbers { cpu: Some(0.4), memory: Some(0.8), queue_age: Some(900.0), ..Numbers::default() };
    let pressure = Pressure::of(&used, &allowed).unwrap();
    assert_eq!((pressure.resource, pressure.used, pressure.allowed), (Resource::Memory, 0.8, 0.85));
    let lag = Numbers { lag: Some(0.3), ..used };
    assert_eq!(Pressure::of(&lag, &allowed).unwrap().resource, Resource::Lag);
    assert_eq!(Pressure::of(&Numbers::default(), &allowed), None);
    assert!(!Overload::default().observe(at(100), None));
}

#[test]
fn shares_shrink_only_at_the_last_step() {
    assert!((share(2, 0.7) - 1.0).abs() < 1e-9 && (share(0, 0.7) - 1.0).abs() < 1e-9);
    assert!((share(3, 0.7) - 0.7).abs() < 1e-9 && (share(5, 0.7) - 0.343).abs() < 1e-9);
    assert_eq!([0, 1, 2, 3, 6].map(Step::of), [Step::Normal, Step::Sessions, Step::Lowest, Step::Shrink, Step::Shrink]);
}

/// What each step sheds lowers the use; whatever the demand, it settles, and ends when the demand does.
#[test]
fn it_settles_and_recovers_under_any_demand() {
    for percent in (50..=400_u32).step_by(7) {
        let demand = f64::from(percent) / 100.0;
        let relief = |level: u8| match Step::of(level) {
            Step::Normal => 1.0,
            Step::Sessions => 0.9,
            Step::Lowest => 0.6,
            Step::Shrink => 0.6 * share(level, 0.7),
        };
        let mut overload = Overload::default();
        let mut changes = 0;
        for second in 0..600 {
            changes += usize::from(overload.observe(at(second), cpu((demand * relief(overload.level())).min(1.0))));
        }
        // A step that lets go of a third may be taken back and forth, but not faster than it is measured.
        assert!(changes <= 600 / 13 * 2 + usize::from(HIGHEST), "{percent} %: {changes} changes");
        for second in 600..700 {
            overload.observe(at(second), cpu(0.2));
        }
        assert_eq!(overload.level(), 0, "{percent} %");
    }
}
