//! Against a model that keeps every sample, and files as the disk may leave them.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// Samples that come in order, with pauses, among them one that takes longer than a day.
fn walk() -> impl Strategy<Value = Vec<(u64, f32)>> {
    let step = prop_oneof![8 => 1..4_u64, 2 => 1..400_u64, 1 => 1..20_000_u64];
    let value = prop_oneof![Just(0.0_f32), Just(1.0), 0.0..1000.0_f32];
    (0..1_000_000_u64, prop::collection::vec((step, value), 1..400)).prop_map(|(mut tick, steps)| {
        let mut samples = Vec::new();
        for (step, value) in steps {
            tick += step;
            samples.push((tick, value));
        }
        samples
    })
}

fn filled(samples: &[(u64, f32)]) -> (Track, BTreeMap<u64, f32>) {
    let mut track = Track::default();
    for (tick, value) in samples {
        track.put(*tick, *value);
    }
    (track, samples.iter().copied().collect())
}

proptest! {
    #[test]
    fn a_day_is_kept_exactly_and_nothing_is_made_up(samples in walk()) {
        let (track, model) = filled(&samples);
        let newest = samples.last().expect("one").0;
        for tick in newest.saturating_sub(DAY - 1)..=newest + 400 {
            prop_assert_eq!(track.at(tick), model.get(&tick).copied(), "tick {}", tick);
        }
        let (oldest, _) = track.bounds().expect("samples");
        prop_assert!(newest - oldest <= DAY + 360);
    }

    #[test]
    fn a_clock_that_goes_back_writes_over_and_never_loses_what_came_after(samples in walk(), back in 1..20_000_u64) {
        let (mut track, mut model) = filled(&samples);
        let newest = samples.last().expect("one").0;
        let tick = newest.saturating_sub(back);
        track.put(tick, 7.0);
        model.insert(tick, 7.0);
        prop_assert_eq!(track.at(newest), model.get(&newest).copied());
        if back < DAY && track.bounds().is_some_and(|(oldest, _)| oldest <= tick) {
            prop_assert_eq!(track.at(tick), Some(7.0));
        }
    }

    #[test]
    fn points_are_what_their_samples_say(samples in walk(), back in 0..DAY, points in 1..300_u64) {
        let (track, model) = filled(&samples);
        let newest = samples.last().expect("one").0;
        let from = newest.saturating_sub(back);
        let span = Span::new(millis(from) + 3, millis(newest) + 9_999, points);
        prop_assert!(span.points <= points && span.first <= from);
        prop_assert!(span.first + span.points * span.step > newest, "the newest sample is in it");
        let (means, most) = (span.of(&track, Combine::Mean), span.of(&track, Combine::Max));
        let (oldest, _) = track.bounds().expect("samples");
        for (at, (mean, max)) in means.into_iter().zip(most).enumerate() {
            let begin = span.first + at as u64 * span.step;
            let inside: Vec<f64> =
                model.range(begin.max(oldest)..(begin + span.step).max(oldest)).map(|(_, value)| f64::from(*value)).collect();
            prop_assert_eq!(max, inside.iter().copied().reduce(f64::max));
            let count = u32::try_from(inside.len()).expect("few samples");
            let wanted = (count > 0).then(|| inside.iter().sum::<f64>() / f64::from(count));
            prop_assert!(mean.zip(wanted).map_or(mean == wanted, |(one, other)| (one - other).abs() < 1e-6));
        }
    }

    #[test]
    fn what_is_written_is_read_and_what_is_damaged_is_not(
        tick in any::<u64>(),
        samples in prop::collection::vec((any::<u16>(), -1e30..1e30_f32), 0..80),
        flip in any::<(usize, u8)>(),
        cut in any::<usize>(),
    ) {
        let mut slot = layout::samples(tick, &samples);
        let whole = slot.len();
        prop_assert!(layout::slot_for(samples.len()).is_some_and(|size| whole <= size));
        // What lies behind is of an older and longer one.
        slot.resize(whole + 40, 0xa5);
        prop_assert_eq!(layout::read_samples(&slot), Some((tick, samples)));
        prop_assert_eq!(layout::read_samples(&slot[..cut % whole]), None);
        let at = flip.0 % whole;
        slot[at] ^= flip.1 | 1;
        prop_assert_eq!(layout::read_samples(&slot), None, "byte {} of {}", at, whole);
    }

    #[test]
    fn the_number_of_series_is_bounded_whoever_calls(names in prop::collection::vec((0..900_u32, 0..5_u64), 1..700)) {
        let mut store = Store::default();
        let mut tick = 1_000;
        for (number, step) in names {
            tick += step;
            store.put(&format!("calls@{number}"), tick, 1.0);
            store.put(&format!("calls:server/{number}"), tick, 1.0);
        }
        prop_assert!(store.names().count() <= Class::Client.most() + Class::Tool.most());
    }
}

#[test]
fn an_hour_of_one_value_takes_no_room_and_is_still_there() {
    let mut track = Track::default();
    for tick in 0..10_000 {
        track.put(tick, if tick < 9_500 { 4.0 } else { 5.0 });
    }
    assert_eq!((track.at(9_000), track.at(9_499), track.at(9_500)), (Some(4.0), Some(4.0), Some(5.0)));
}

#[test]
fn the_name_says_what_a_series_is_of() {
    let named = ["calls", "calls:weather", "p99:weather/get_forecast", "calls@mail/ci", "calls@a:b"];
    let classes = [Class::Gate, Class::Server, Class::Tool, Class::Client, Class::Client];
    assert_eq!(named.map(Class::of), classes);
}

#[test]
fn who_did_nothing_for_an_hour_gives_way_and_who_is_busy_does_not() {
    let mut store = Store::default();
    for number in 0..Class::Client.most() {
        assert!(store.put(&format!("calls@{number}"), 1, 1.0));
    }
    assert!(!store.put("calls@new", 2, 1.0), "all are busy");
    for number in 1..Class::Client.most() {
        store.put(&format!("calls@{number}"), 400, 1.0);
    }
    // The first is still told of, and does nothing.
    store.put("calls@0", 400, 0.0);
    assert!(store.put("calls@new", 401, 1.0));
    assert!(store.get("calls@0").is_none() && store.get("calls@1").is_some());
    store.forget(401 + DAY);
    assert_eq!(store.names().collect::<Vec<_>>(), ["calls@new"]);
}

#[test]
fn every_server_keeps_its_day_whether_it_does_something_or_not() {
    for (servers, each) in [(50, 10), (500, 5)] {
        let mut store = Store::default();
        for tick in 1..=800 {
            for (server, kind) in (0..servers).flat_map(|server| (0..each).map(move |kind| (server, kind))) {
                // One in ten does something.
                let value = if server % 10 == 0 { 1.0 } else { 0.0 };
                assert!(store.put(&format!("{kind}:s{server}"), tick, value), "{servers} servers, tick {tick}");
            }
        }
        let first = |server: u32, kind: u32| store.get(&format!("{kind}:s{server}")).and_then(|track| track.at(1));
        assert!((0..servers).all(|server| (0..each).all(|kind| first(server, kind).is_some())), "{servers} servers");
    }
}

#[test]
fn a_server_that_is_gone_gives_way_and_one_that_is_idle_does_not() {
    let mut store = Store::default();
    for number in 0..Class::Server.most() {
        assert!(store.put(&format!("calls:s{number}"), 1, 0.0));
    }
    for number in 1..Class::Server.most() {
        store.put(&format!("calls:s{number}"), 400, 0.0);
    }
    assert!(store.put("calls:new", 401, 0.0), "the first is not told of any more");
    assert!(!store.put("calls:newer", 401, 1.0), "all others are there");
    assert!(store.get("calls:s0").is_none() && store.get("calls:s1").is_some());
}

#[test]
fn all_series_fit_a_slot_and_all_names_the_table() {
    let all: usize = [Class::Gate, Class::Server, Class::Tool, Class::Client].into_iter().map(Class::most).sum();
    assert!(layout::slot_for(all).is_some() && all <= usize::from(layout::NAMES));
    assert_eq!(layout::slot_for(0), Some(layout::SLOT.0));
    assert_eq!(layout::slot_for(10_000), None);
}

#[test]
fn heads_and_names_are_read_as_they_were_written() {
    assert_eq!(layout::read_head(&layout::head(1024)), Ok(1024));
    assert_eq!(layout::read_head(b"something else entirely"), Err(layout::Unreadable::Foreign));
    assert_eq!(layout::read_head(b""), Err(layout::Unreadable::Foreign));
    let mut later = layout::head(512);
    later[8] = 9;
    assert_eq!(layout::read_head(&later), Err(layout::Unreadable::Version(9)));
    assert_eq!(layout::read_head(&layout::head(513)), Err(layout::Unreadable::Foreign));
    assert_eq!(layout::read_name(&layout::name("calls:weather")), Some("calls:weather"));
    assert_eq!(layout::read_name(&[0; layout::NAME_ENTRY]), None);
    let longest = "x".repeat(store::NAME);
    assert_eq!(layout::read_name(&layout::name(&longest)), Some(longest.as_str()));
}
