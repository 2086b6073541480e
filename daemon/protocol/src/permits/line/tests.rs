//! Whose turn it is: shares, turns, what a newcomer waits for, and who gives way in a full line.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn flow(tier: u64, weight: u32, client: u64) -> Flow {
    Flow { tier, weight, client }
}

/// Serves `steps` calls of a line in which every flow always has calls waiting, and counts them.
fn served(flows: &[Flow], steps: usize) -> BTreeMap<(u64, u64), usize> {
    let mut line = Line::default();
    for _ in 0..3 {
        for flow in flows {
            line.push(*flow, *flow);
        }
    }
    let mut counts = BTreeMap::new();
    for _ in 0..steps {
        let next: Flow = line.pop().expect("somebody waits");
        *counts.entry((next.tier, next.client)).or_default() += 1;
        line.push(next, next);
    }
    counts
}

#[test]
fn each_tier_gets_exactly_its_share_and_each_client_of_a_tier_the_same() {
    let flows = [flow(1, 1, 10), flow(2, 3, 20), flow(2, 3, 21), flow(2, 3, 22), flow(3, 6, 30), flow(3, 6, 31)];
    let counts = served(&flows, 10 * 6000);
    let of = |tier: u64, client: u64| counts[&(tier, client)];
    assert_eq!(of(1, 10), 6_000);
    assert_eq!([of(2, 20), of(2, 21), of(2, 22)], [6_000; 3]);
    assert_eq!([of(3, 30), of(3, 31)], [18_000; 2]);
}

#[test]
fn a_thousand_calls_of_one_client_delay_anothers_by_one_service() {
    for weights in [(1, 1), (1, 4), (4, 1)] {
        for same_tier in [true, false] {
            let mut line = Line::default();
            let many = flow(1, weights.0, 1);
            let other = if same_tier { flow(1, weights.0, 2) } else { flow(2, weights.1, 2) };
            for _ in 0..1000 {
                line.push(many, "many");
            }
            for _ in 0..100 {
                line.pop();
                line.push(many, "many");
            }
            line.push(other, "other");
            let before = (0..1000).take_while(|_| line.pop() == Some("many")).count();
            assert!(before <= 1, "{weights:?}, one tier: {same_tier}: {before} were before it");
        }
    }
}

#[test]
fn whoever_was_away_has_gathered_no_claims() {
    let mut line = Line::default();
    let (stays, returns) = (flow(1, 1, 1), flow(2, 1, 2));
    for _ in 0..500 {
        line.push(stays, 's');
    }
    for _ in 0..400 {
        assert_eq!(line.pop(), Some('s'));
    }
    for _ in 0..50 {
        line.push(returns, 'r');
    }
    let next: Vec<_> = (0..40).filter_map(|_| line.pop()).collect();
    assert_eq!(next.iter().filter(|who| **who == 's').count(), 20, "{next:?}");
}

#[test]
fn a_client_that_waits_with_a_call_at_a_time_loses_no_turn() {
    let mut line = Line::default();
    let (busy, modest) = (flow(1, 1, 1), flow(1, 1, 2));
    for _ in 0..100 {
        line.push(busy, 'b');
    }
    let mut waits = Vec::new();
    for _ in 0..20 {
        line.push(modest, 'm');
        waits.push((0..1000).take_while(|_| line.pop() == Some('b')).count());
    }
    assert!(waits.iter().all(|wait| *wait <= 1), "{waits:?}");
}

#[test]
fn a_full_line_takes_a_place_from_whoever_has_most() {
    let mut line = Line::default();
    for number in 0..8 {
        line.push(flow(1, 1, 1), ('g', number));
    }
    for number in 0..2 {
        line.push(flow(1, 1, 2), ('m', number));
    }
    assert_eq!(line.displace(flow(1, 1, 3)), Some(('g', 7)), "the youngest of the greediest");
    assert_eq!(line.displace(flow(1, 1, 1)), None, "nobody makes room for the greediest");
    assert_eq!(line.displace(flow(2, 4, 9)), Some(('g', 6)), "a tier that has none");
    for number in 0..3 {
        line.push(flow(2, 4, 9), ('p', number));
    }
    // Eight of weight 1 against four of weight 4: the heavier tier may have more.
    assert_eq!(line.displace(flow(2, 4, 9)), Some(('g', 5)));
    assert_eq!(line.len(), 10);
}

#[test]
fn a_crowd_of_modest_clients_makes_room_for_a_tier_that_has_less() {
    let mut line = Line::default();
    for client in 0..100 {
        line.push(flow(1, 1, client), client);
    }
    assert_eq!(line.displace(flow(1, 1, 200)), None, "each has one");
    for taken in 0..50 {
        assert!(line.displace(flow(2, 1, 300)).is_some(), "{taken}");
        line.push(flow(2, 1, 300), 300);
    }
    assert_eq!(line.displace(flow(2, 1, 300)), None, "half of it is theirs");
}

#[test]
fn a_line_seen_as_something_else_has_the_same_order() {
    let mut line = Line::default();
    for number in 0..30_u64 {
        line.push(flow(number % 3, 1 + u32::try_from(number % 3).unwrap(), number % 7), number);
    }
    line.pop();
    let mut seen = line.map(|number| number * 2);
    let order: Vec<_> = std::iter::from_fn(|| line.pop()).map(|number| number * 2).collect();
    assert_eq!(std::iter::from_fn(|| seen.pop()).collect::<Vec<_>>(), order);
    assert_eq!(order.len(), 29);
}

#[derive(Debug, Clone)]
enum Step {
    Push(Flow),
    Pop,
    Leave(usize),
    Displace(Flow),
}

fn step() -> impl Strategy<Value = Step> {
    // A client belongs to one tier, a tier may change its weight.
    let flow =
        || (0..4_u64, 0..20_u32, 0..4_u64).prop_map(|(tier, weight, client)| flow(tier, weight, 4 * tier + client));
    prop_oneof![
        4 => flow().prop_map(Step::Push),
        3 => Just(Step::Pop),
        2 => any::<usize>().prop_map(Step::Leave),
        1 => flow().prop_map(Step::Displace),
    ]
}

proptest! {
    /// Beside a plain list of who waits: nobody is lost, invented or taken twice, and within a client it goes by age.
    #[test]
    fn who_waits_is_never_lost(steps in prop::collection::vec(step(), 0..200)) {
        let (mut line, mut known) = (Line::default(), BTreeMap::<Ticket, (Flow, u32)>::new());
        let mut number = 0;
        for step in steps {
            match step {
                Step::Push(flow) => {
                    number += 1;
                    known.insert(line.push(flow, number), (flow, number));
                }
                Step::Pop => match line.pop() {
                    Some(taken) => {
                        let at = known.iter().find(|(_, (_, number))| *number == taken).map(|(ticket, _)| *ticket);
                        let (flow, _) = known.remove(&at.expect("it waited")).expect("it waited");
                        let older = known.values().any(|(other, number)| other.client == flow.client && *number < taken);
                        prop_assert!(!older, "an older call of the same client still waits");
                    }
                    None => prop_assert!(known.is_empty()),
                },
                Step::Leave(at) => {
                    let ticket = known.keys().nth(at % known.len().max(1)).copied();
                    if let Some(ticket) = ticket {
                        let (_, number) = known.remove(&ticket).expect("known");
                        prop_assert_eq!(line.remove(ticket), Some(number));
                        prop_assert_eq!(line.remove(ticket), None);
                    }
                }
                Step::Displace(flow) => if let Some(taken) = line.displace(flow) {
                    let at = known.iter().find(|(_, (_, number))| *number == taken).map(|(ticket, _)| *ticket);
                    let (victim, _) = known.remove(&at.expect("it waited")).expect("it waited");
                    prop_assert!(victim.client != flow.client, "a client displaced itself");
                },
            }
            prop_assert_eq!(line.len(), known.len());
            prop_assert_eq!(line.oldest(), known.first_key_value().map(|(_, (_, number))| number));
        }
        let rest = std::iter::from_fn(|| line.pop()).count();
        prop_assert_eq!(rest, known.len());
    }

    /// Whatever the weights, after each whole round every tier has had its weight in calls.
    #[test]
    fn shares_are_exact(weights in prop::collection::vec(1..=MAX_WEIGHT / 20, 1..6), rounds in 1..4_usize) {
        let flows: Vec<_> = (0..).zip(&weights).map(|(tier, weight)| flow(tier, *weight, tier)).collect();
        let round: usize = weights.iter().map(|weight| *weight as usize).sum();
        let counts = served(&flows, rounds * round);
        for flow in flows {
            prop_assert_eq!(counts[&(flow.tier, flow.client)], rounds * flow.weight as usize);
        }
    }
}
