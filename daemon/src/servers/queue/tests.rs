//! Waits, departures and refusals, with real wake-ups and several threads.

use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use super::*;
use crate::config::settings::Tier;
use crate::identity::Persona;

/// A client of a tier: 10 and more are of tier 1, which is served three times as often as those below.
fn client(number: u64) -> Flow {
    let tier = (number >= 10).then(|| Arc::new(Tier { name: "paid".to_owned(), weight: 3, limits: Vec::new() }));
    let persona = Persona { id: format!("key:{number}"), tier, ..Persona::default() };
    Flow::of(&Arc::new(Client::new(persona)))
}

type Entering<'a> = Pin<Box<dyn Future<Output = Result<Permit, Refusal>> + 'a>>;

/// Calls of these clients that wait in this order.
fn line_up<'a>(queue: &'a Arc<Queue>, clients: &[u64]) -> Vec<(u64, Entering<'a>)> {
    let enter = |number: &u64| -> (u64, Entering<'a>) { (*number, Box::pin(queue.enter(client(*number)))) };
    let mut waiting: Vec<_> = clients.iter().map(enter).collect();
    for (_, entered) in &mut waiting {
        assert!(entered.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
    waiting
}

const LONG: Duration = Duration::from_secs(60);

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// Polls once.
fn poll<F: Future + ?Sized>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn permits_go_to_those_who_wait_in_their_order() {
    runtime().block_on(async {
        let queue = Queue::new(1, 2, LONG);
        let held = queue.enter(client(1)).await.unwrap();
        let (mut second, mut third) = (pin!(queue.enter(client(2))), pin!(queue.enter(client(1))));
        assert!(poll(second.as_mut()).is_pending() && poll(third.as_mut()).is_pending());
        assert_eq!(queue.enter(client(3)).await.unwrap_err(), Refusal { reason: Reason::Full, retry_after: None });
        assert_eq!((queue.snapshot().in_flight, queue.snapshot().waiting), (1, 2));
        drop(held);
        assert!(queue.try_enter(None).is_none(), "nobody overtakes");
        assert!(poll(third.as_mut()).is_pending());
        let held = second.await.unwrap();
        drop(held);
        drop(third.await.unwrap());
        assert_eq!((queue.snapshot().in_flight, queue.snapshot().waiting), (0, 0));
    });
}

#[test]
fn of_what_lasts_long_none_is_held_back_for_a_heavier_tier() {
    runtime().block_on(async {
        let taken = |queue: Arc<Queue>| async move {
            let mut held = vec![queue.enter(client(10)).await.unwrap()];
            while let Ok(permit) = queue.enter(client(held.len() as u64 % 9)).await {
                held.push(permit);
            }
            held.len()
        };
        assert_eq!(taken(Queue::for_lasting(100, 100)).await, 100);
        assert_eq!(taken(Queue::for_clients(100, 100, 0, Duration::ZERO)).await, 93, "calls leave some");
        let queue = Queue::for_lasting(100, 3);
        let mut held = Vec::new();
        while let Ok(permit) = queue.enter(client(1)).await {
            held.push(permit);
        }
        assert_eq!(held.len(), 3, "each client has its own bound");
    });
}

#[test]
fn a_wait_ends_at_its_deadline() {
    runtime().block_on(async {
        let queue = Queue::new(1, 2, Duration::from_millis(5));
        let held = queue.try_enter(None).unwrap();
        let begun = Instant::now();
        assert_eq!(queue.enter(client(0)).await.unwrap_err().reason, Reason::Deadline);
        assert!(begun.elapsed() >= Duration::from_millis(5));
        assert_eq!(queue.snapshot().waiting, 0);
        drop(held);
        assert!(queue.try_enter(None).is_some());
    });
}

#[test]
fn one_who_leaves_takes_nothing_along() {
    runtime().block_on(async {
        let queue = Queue::new(1, 2, LONG);
        let held = queue.try_enter(None).unwrap();
        {
            let (mut gone, mut chosen) = (Box::pin(queue.enter(client(0))), Box::pin(queue.enter(client(0))));
            assert!(poll(gone.as_mut()).is_pending() && poll(chosen.as_mut()).is_pending());
            drop(gone);
            assert_eq!(queue.snapshot().waiting, 1);
            // The permit is sent, and its receiver dies before it looks.
            drop(held);
            assert_eq!(queue.snapshot().in_flight, 1);
        }
        assert_eq!((queue.snapshot().in_flight, queue.snapshot().waiting), (0, 0));
        let queue = Arc::into_inner(queue).expect("no permit is left");
        assert!(queue.waiting().line.is_empty());
    });
}

/// An outage must not look like a fast server: what was refused at once, or was left, is not measured.
#[test]
fn only_what_was_answered_is_measured() {
    let queue = Queue::new(4, 9, LONG);
    queue.measure(true);
    for _ in 0..100 {
        drop(queue.try_enter(None).unwrap());
    }
    assert_eq!(queue.sample(), Sample::default());
    let mut permit = queue.try_enter(None).unwrap();
    permit.answered();
    let unanswered = queue.try_enter(None).unwrap();
    assert_eq!(queue.sample().calls, 0, "it counts once it has ended");
    drop((permit, unanswered));
    let sample = queue.sample();
    assert!(sample.calls == 1 && sample.time > Duration::ZERO, "{sample:?}");
    assert_eq!((queue.sample(), queue.snapshot().in_flight), (Sample::default(), 0));
}

#[test]
fn a_raised_cap_admits_those_who_wait() {
    runtime().block_on(async {
        let queue = Queue::new(1, 9, LONG);
        let _held = queue.try_enter(None).unwrap();
        let mut next = pin!(queue.enter(client(0)));
        assert!(poll(next.as_mut()).is_pending());
        queue.set_cap(2);
        next.await.unwrap();
    });
}

const CAP: usize = 3;

async fn used(permit: Option<Permit>, inside: &AtomicUsize, served: &AtomicUsize) {
    let Some(permit) = permit else { return };
    assert!(inside.fetch_add(1, Ordering::SeqCst) < CAP, "more than the cap are in flight");
    tokio::task::yield_now().await;
    inside.fetch_sub(1, Ordering::SeqCst);
    served.fetch_add(1, Ordering::Relaxed);
    drop(permit);
}

#[test]
fn cores_that_come_and_go_lose_no_permit_and_never_exceed_the_cap() {
    let queue = Queue::new(CAP, 16, LONG);
    let (inside, served) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for core in 0..4_u64 {
            let (queue, inside, served) = (&queue, &inside, &served);
            scope.spawn(move || {
                runtime().block_on(tokio::task::LocalSet::new().run_until(async {
                    let call = async |number: u64| {
                        let mut entered = pin!(queue.enter(client(core)));
                        // Every third one goes away unless it is admitted within a few turns.
                        for _ in 0..number % 3 * 2 {
                            if let Poll::Ready(result) = poll(entered.as_mut()) {
                                return result.ok();
                            }
                            tokio::task::yield_now().await;
                        }
                        if number % 3 == 1 { None } else { entered.await.ok() }
                    };
                    for round in 0..400 {
                        let one = async |number| used(call(number).await, inside, served).await;
                        tokio::join!(one(round), one(round + 1), one(round + 2));
                    }
                }));
            });
        }
    });
    assert_eq!((queue.snapshot().in_flight, queue.snapshot().waiting), (0, 0));
    assert!(served.load(Ordering::Relaxed) > 1000, "{served:?} calls were served");
}

#[test]
fn clients_and_tiers_take_their_turns() {
    runtime().block_on(async {
        let queue = Queue::new(1, 99, LONG);
        let mut held = queue.try_enter(None);
        let mut waiting = line_up(&queue, &[1, 1, 1, 1, 2, 10, 10, 10, 10, 10, 10]);
        let (tiers, calls) = queue.look(4);
        let seen: Vec<_> =
            tiers.iter().map(|tier| (tier.name.as_deref(), tier.weight, tier.waiting, tier.clients)).collect();
        assert_eq!(seen, [(None, 1, 5, 2), (Some("paid"), 3, 6, 1)]);
        let number = |id: &str| -> u64 { id.strip_prefix("key:").unwrap().parse().unwrap() };
        let foretold: Vec<u64> = calls.iter().map(|call| number(call.client.as_ref().unwrap())).collect();
        let mut order = Vec::new();
        while !waiting.is_empty() {
            drop(held.take());
            let ready = waiting.iter_mut().position(|(_, entered)| match poll(entered.as_mut()) {
                Poll::Ready(permit) => {
                    held = permit.ok();
                    true
                }
                Poll::Pending => false,
            });
            order.push(waiting.remove(ready.expect("somebody has the permit")).0);
        }
        assert_eq!(foretold, order[..4]);
        let turns = |numbers: &[u64], who: u64| numbers.iter().filter(|number| **number == who).count();
        assert_eq!(turns(&order[..8], 10), 6, "three of four: {order:?}");
        assert_eq!((turns(&order[..8], 1), turns(&order[..8], 2)), (1, 1), "{order:?}");
    });
}

#[test]
fn one_client_cannot_fill_the_line() {
    runtime().block_on(async {
        let queue = Queue::new(1, 4, LONG);
        let _held = queue.try_enter(None).unwrap();
        let mut greedy = line_up(&queue, &[1, 1, 1, 1]);
        let modest = line_up(&queue, &[2]);
        let Poll::Ready(Err(refusal)) = poll(greedy[3].1.as_mut()) else { panic!("its youngest call has to go") };
        assert_eq!(refusal.reason, Reason::Displaced);
        assert_eq!(queue.enter(client(1)).await.unwrap_err().reason, Reason::Full);
        assert_eq!(queue.snapshot().waiting, 4);
        drop((greedy, modest));
        assert_eq!(queue.snapshot().waiting, 0);
    });
}

#[test]
fn the_refused_are_told_when_by_the_pace_of_the_line() {
    runtime().block_on(async {
        let queue = Queue::new(1, 4, LONG);
        let mut held = queue.try_enter(None);
        let mut waiting = line_up(&queue, &[1, 1, 1, 1]);
        drop(held.take());
        let Poll::Ready(Ok(permit)) = poll(waiting[0].1.as_mut()) else { panic!("it is next") };
        let _again = line_up(&queue, &[1]);
        let told = queue.enter(client(1)).await.unwrap_err().retry_after.expect("the line has moved");
        assert!(told > Duration::ZERO && told < LONG, "{told:?}");
        drop(permit);
    });
}

#[test]
fn a_client_at_its_bound_waits_for_its_own_calls_and_not_in_the_line() {
    runtime().block_on(async {
        let queue = Queue::for_clients(10, 2, 8, LONG);
        let enter = |number| queue.try_enter(client(number).client().map(|client| &**client));
        let (one, two) = (enter(1).unwrap(), enter(1).unwrap());
        assert!(enter(1).is_none() && enter(2).is_some(), "the bound is each client's own");
        let mut aside = line_up(&queue, &[1, 1]);
        let seen = queue.snapshot();
        assert_eq!((seen.in_flight, seen.waiting, seen.aside), (2, 0, 2), "{seen:?}");
        assert_eq!(queue.enter(client(1)).await.unwrap_err().reason, Reason::Own, "a quarter of 8 may wait");
        drop(one);
        let Poll::Ready(Ok(three)) = poll(aside[0].1.as_mut()) else { panic!("one has ended") };
        assert!(poll(aside[1].1.as_mut()).is_pending());
        queue.set_per_client(3);
        let Poll::Ready(Ok(four)) = poll(aside[1].1.as_mut()) else { panic!("there is more room") };
        assert_eq!(queue.snapshot().in_flight, 3);
        drop((two, three, four, aside));
        queue.sweep();
        assert_eq!((queue.snapshot().in_flight, queue.snapshot().aside), (0, 0));
        assert!(queue.clients.as_ref().unwrap().is_empty(), "who has no call is forgotten");
    });
}

#[test]
fn a_paying_call_finds_a_permit_beside_a_flood_and_a_tier_that_left_has_none_held_back() {
    runtime().block_on(async {
        let queue = Queue::new(20, 100, LONG);
        let enter = |number| queue.try_enter(client(number).client().map(|client| &**client));
        drop(enter(10).expect("a call of the heavier tier"));
        // Two of twenty, less the third that a weight of 1 beside 3 is; rounded up.
        let mut held: Vec<_> = std::iter::from_fn(|| enter(1)).collect();
        assert_eq!((held.len(), queue.snapshot().held_back), (18, 2));
        let mut flood = line_up(&queue, &[1, 2, 3, 4]);
        let Poll::Ready(Ok(paying)) = poll(pin!(queue.enter(client(10)))) else { panic!("there are two for it") };
        drop(held.pop());
        assert_eq!(
            flood.iter_mut().filter_map(|(_, entered)| granted(entered)).count(),
            0,
            "it refills what is held back"
        );
        drop(paying);
        let later: Vec<_> = flood.iter_mut().filter_map(|(_, entered)| granted(entered)).collect();
        assert_eq!((later.len(), queue.snapshot().in_flight), (1, 18));
        for _ in 0..=toolgate_protocol::permits::reserve::LOOKS {
            queue.tick();
        }
        let rest: Vec<_> = flood.iter_mut().skip(1).filter_map(|(_, entered)| granted(entered)).collect();
        assert_eq!((rest.len(), queue.snapshot().in_flight, queue.snapshot().held_back), (2, 20, 0));
    });
}

/// The permit, once.
fn granted(entered: &mut Entering<'_>) -> Option<Permit> {
    match poll(entered.as_mut()) {
        Poll::Ready(Ok(permit)) => Some(permit),
        _ => None,
    }
}

#[test]
fn another_bound_holds_for_those_who_wait() {
    let queue = Queue::new(1, 10, LONG);
    runtime().block_on(async {
        let _held = queue.try_enter(None).expect("a permit");
        let mut waiting = pin!(queue.enter(client(1)));
        assert!(poll(waiting.as_mut()).is_pending());
        queue.bound(10, Duration::from_millis(1));
        let refused = tokio::time::timeout(LONG / 2, waiting).await.expect("long before its old time");
        assert_eq!(refused.expect_err("no permit").reason, Reason::Deadline);
    });
}
