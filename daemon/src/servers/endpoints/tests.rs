//! Which endpoint takes a call, and that whoever asks before it waits is told the same.

use std::time::Duration;

use toolgate_protocol::breaker::State;

use super::*;
use crate::failure::Kind;
use crate::policy::Policy;

/// Endpoints of which the first that is not avoided is the best, and those that let a call pass.
fn found(to: To, all: usize, passing: &[usize]) -> (Option<usize>, Vec<usize>) {
    let mut asked = Vec::new();
    let choose = |avoided: &[usize]| (0..all).find(|at| !avoided.contains(at));
    let found = among(to, choose, |at| {
        asked.push(at);
        passing.contains(&at).then_some(())
    });
    (found.map(|(at, ())| at), asked)
}

#[test]
fn a_call_that_loses_a_probe_to_another_goes_to_the_next_endpoint() {
    assert_eq!(found(To::Any, 3, &[0, 1, 2]), (Some(0), vec![0]));
    assert_eq!(found(To::Any, 3, &[2]), (Some(2), vec![0, 1, 2]));
    assert_eq!(found(To::Any, 3, &[]), (None, vec![0, 1, 2]), "each is asked once");
    assert_eq!(found(To::AnyBut(0), 3, &[0, 2]), (Some(2), vec![1, 2]));
    assert_eq!(found(To::AnyBut(0), 3, &[0]), (Some(0), vec![1, 2, 0]), "it is better than none");
    assert_eq!(found(To::AnyBut(1), 2, &[]), (None, vec![0, 1]));
    assert_eq!(found(To::Any, 0, &[]), (None, Vec::new()));
}

/// A server with as many endpoints, whose breakers open upon one failure and let a probe go a millisecond later.
fn server(endpoints: usize) -> Arc<Server> {
    let urls: Vec<_> = (1..=endpoints).map(|port| format!("http://127.0.0.1:{port}/mcp")).collect();
    let rules = "breaker = { failures = 1, open_for = \"1ms\", max_open = \"1ms\" }";
    let text = format!("version = 1\n[server.some]\nendpoints = {urls:?}\n{rules}\n");
    let policy = Policy::new(Arc::new(crate::config::from_text(&text).unwrap()), None).unwrap();
    Arc::clone(&policy.servers["some"])
}

fn try_admit(server: &Arc<Server>, to: To) -> Result<Box<Attempt>, Failure> {
    admit(server, to, Duration::from_secs(60)).map(|(_, attempt)| attempt.expect("breakers want to know"))
}

/// A call to an endpoint fails, and the time comes for a probe.
fn fails(server: &Arc<Server>, at: usize) {
    try_admit(server, To::Session(at)).unwrap().failed();
    let failed = clock::millis();
    while clock::millis() < failed + 2 {
        std::thread::yield_now();
    }
}

/// What a refusal says to its client, but for the time.
fn told(refused: Result<(), Failure>) -> Option<(Kind, Option<String>)> {
    refused.err().map(|failure| (failure.kind, failure.cause))
}

#[test]
fn who_asks_before_waiting_is_told_what_the_call_would_be_told() {
    for seed in 0..60 {
        let mut chance = Chance::new(seed);
        let all = 1 + usize::try_from(seed % 3).unwrap();
        let server = server(all);
        let mut running = Vec::new();
        for _ in 0..60 {
            let mut some = |bound: usize| usize::try_from(chance.below(bound as u64)).unwrap();
            let (at, to) = (some(all), [To::Any, To::AnyBut(some(all)), To::Session(some(all))][some(3)]);
            let endpoint = server.endpoints.get(at);
            match some(12) {
                0 => endpoint.force(State::ForcedOpen),
                1 => endpoint.force(State::ForcedClosed),
                2 => endpoint.force(State::Closed),
                3 => endpoint.set_mode(Mode::Drain),
                4 => {
                    endpoint.set_mode(Mode::Maintenance);
                    endpoint.close();
                }
                5 => endpoint.set_mode(Mode::Ready),
                6 => endpoint.standing.set_fit(some(2) == 0),
                7 | 8 if would_admit(&server, Some(To::Session(at))).is_ok() => fails(&server, at),
                9 => drop(running.pop()),
                _ => {}
            }
            let unsure = would_admit(&server, None);
            // Asking twice takes nothing.
            let foretold = [(); 2].map(|()| told(would_admit(&server, Some(to))));
            let said = try_admit(&server, to);
            assert_eq!(foretold[0], foretold[1]);
            assert_eq!(foretold[0], said.as_ref().err().map(|failure| (failure.kind, failure.cause.clone())), "{to:?}");
            assert!(said.is_err() || unsure.is_ok(), "{to:?}: where its session is unknown it must not be refused");
            running.extend(said);
        }
    }
}

#[test]
fn while_endpoints_are_tried_again_calls_may_come_back_in_a_second() {
    for all in [1, 2] {
        let server = server(all);
        (0..all).for_each(|at| fails(&server, at));
        let probes: Vec<_> = (0..all).map(|_| try_admit(&server, To::Any).unwrap()).collect();
        assert!(probes.iter().all(|probe| probe.is_probe()));
        for refused in [would_admit(&server, Some(To::Any)), try_admit(&server, To::Any).map(drop)] {
            let refused = refused.unwrap_err();
            assert_eq!((refused.kind, refused.retry_after), (Kind::BreakerOpen, Some(Duration::from_secs(1))), "{all}");
        }
    }
}
