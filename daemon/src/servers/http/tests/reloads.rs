//! Bounds and times that a reload changes under calls and connections.

use toolgate_protocol::chance::Chance;

use super::shared::{echoing, sharing};
use super::*;
use crate::servers::connections::Idle;

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Bytes of an answer that does not arrive with its head, so that its call keeps the connection until it has read it.
const LONG: usize = 20_000;

/// A server with such answers.
async fn long() -> Raw {
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {LONG}\r\n\r\n{}", "x".repeat(LONG));
    Raw::answering(answer.leak().as_bytes()).await
}

/// Changes what is configured of a server's connections while it runs.
fn reload(server: &HttpServer, change: impl FnOnce(&mut settings::Pool)) {
    let mut bounds = settings::Pool::clone(&server.bounds.load());
    change(&mut bounds);
    server.follow(&bounds);
}

/// Two endpoints that are one address.
fn doubled(http: &mut settings::Http) {
    http.endpoints.push(http.endpoints[0].clone());
}

/// A call that has its answer's head, and so a connection.
struct Held {
    endpoint: usize,
    /// It began where endpoints had a bound.
    bounded: bool,
    answer: Answer,
}

/// Calls of one seed, and what is configured around them.
struct Simulation {
    server: Arc<HttpServer>,
    chance: Chance,
    held: Vec<Held>,
    max: usize,
    each: Option<usize>,
}

impl Simulation {
    fn held_at(&self, endpoint: usize, bounded: bool) -> usize {
        self.held.iter().filter(|held| held.endpoint == endpoint && held.bounded == bounded).count()
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.chance.below(bound as u64)).unwrap()
    }

    async fn step(&mut self) {
        match self.below(10) {
            0..=4 => self.begin().await,
            5..=6 if !self.held.is_empty() => {
                let at = self.below(self.held.len());
                assert_eq!(text(self.held.swap_remove(at).answer).await.unwrap().len(), LONG);
            }
            7 if !self.held.is_empty() => {
                let at = self.below(self.held.len());
                drop(self.held.swap_remove(at));
            }
            8 => {
                (self.max, self.each) = (1 + self.below(6), Some(self.below(6)).filter(|each| *each > 0));
                let bounds = (self.max, self.each);
                reload(&self.server, |pool| (pool.max_connections, pool.max_per_endpoint) = bounds);
            }
            _ => {}
        }
    }

    /// Whoever may have a connection gets one at once; whoever may not, no right to one.
    async fn begin(&mut self) {
        let (endpoint, core, bounded) = (self.below(2), self.below(2), self.each.is_some());
        let room_there = self.each.is_none_or(|each| self.held_at(endpoint, true) < each.min(self.max));
        if self.held.len() >= self.max || !room_there {
            assert!(self.server.pool.try_permit(endpoint).is_none());
            return;
        }
        let answer = self.server.client(core).send(Outgoing { endpoint, ..post(&[b"{}"]) }).await;
        self.held.push(Held { endpoint, bounded, answer: answer.unwrap() });
    }

    fn check(&self) {
        let (seen, to_each) = self.server.connections();
        assert_eq!((seen.max, seen.waiting), (self.max, 0));
        assert_eq!(seen.open, self.held.len() + self.server.pool.idle());
        assert!(seen.open <= self.max.max(self.held.len()), "{seen:?}");
        assert_eq!(to_each.iter().sum::<usize>(), seen.open);
        for (endpoint, open) in to_each.into_iter().enumerate() {
            let (before, since) = (self.held_at(endpoint, false), self.held_at(endpoint, true));
            let may = self.each.map_or(usize::MAX, |each| before + each.min(self.max).max(since));
            assert!(open <= may, "{open} of {may}");
        }
    }
}

#[test]
fn whatever_bounds_follow_each_other_whoever_has_a_right_finds_room_and_nothing_idle_is_too_much() {
    on_a_core(async {
        for seed in 0..60 {
            let raw = long().await;
            let server = server(raw.address, |http, _| doubled(http));
            let mut simulation = Simulation { server, chance: Chance::new(seed), held: Vec::new(), max: 8, each: None };
            for _ in 0..150 {
                simulation.step().await;
                simulation.check();
            }
            for held in std::mem::take(&mut simulation.held) {
                assert_eq!(text(held.answer).await.unwrap().len(), LONG);
            }
            simulation.check();
        }
    });
}

#[test]
fn cores_that_call_while_bounds_change_are_all_served() {
    on_a_core(async {
        let raw = Raw::answering(OK).await;
        let server = server(raw.address, |http, _| doubled(http));
        let calls = |core: usize, server: &Arc<HttpServer>| {
            let server = Arc::clone(server);
            async move {
                let rounds = (0..6).map(|number| {
                    let client = server.client(core);
                    tokio::task::spawn_local(async move {
                        for round in 0..100 {
                            let request = Outgoing { endpoint: (number + round) % 2, ..post(&[b"{}"]) };
                            assert_eq!(text(client.send(request).await.unwrap()).await.unwrap(), "ok");
                        }
                    })
                });
                for round in rounds.collect::<Vec<_>>() {
                    round.await.unwrap();
                }
            }
        };
        let there = calls(1, &server);
        let (tell, mut told) = tokio::sync::oneshot::channel();
        let other = std::thread::spawn(move || on_a_core(there));
        let changing = std::thread::spawn({
            let server = Arc::clone(&server);
            move || {
                let mut chance = Chance::new(7);
                while told.try_recv().is_err() {
                    let (max, each) = (1 + chance.below(6), chance.below(4));
                    reload(&server, |pool| {
                        pool.max_connections = usize::try_from(max).unwrap();
                        pool.max_per_endpoint = usize::try_from(each).ok().filter(|each| *each > 0);
                    });
                    assert!(server.open_connections() <= 8);
                    std::thread::yield_now();
                }
            }
        });
        calls(0, &server).await;
        eventually("the other core is served", || other.is_finished()).await;
        other.join().unwrap();
        tell.send(()).unwrap();
        changing.join().unwrap();
        reload(&server, |pool| (pool.max_connections, pool.max_per_endpoint) = (1, None));
        assert!(server.open_connections() <= 1);
        assert_eq!(server.pool.idle(), server.open_connections());
    });
}

#[test]
fn a_raised_bound_serves_who_waits() {
    on_a_core(async {
        let raw = long().await;
        let server = server(raw.address, |http, _| http.pool.max_connections = 1);
        let changes: [fn(&mut settings::Pool); 3] = [
            |pool| pool.max_connections = 2,
            |pool| (pool.max_connections, pool.max_per_endpoint) = (9, Some(2)),
            |pool| pool.max_per_endpoint = None,
        ];
        let mut held = vec![server.client(0).send(post(&[b"{}"])).await.unwrap()];
        for change in changes {
            while let Some(permit) = server.pool.try_permit(0) {
                drop(permit);
                held.push(server.client(0).send(post(&[b"{}"])).await.unwrap());
            }
            let client = server.client(1);
            let waiting = tokio::task::spawn_local(async move { call(&client).await.1 });
            eventually("it waits", || server.waiting() == 1).await;
            reload(&server, change);
            assert_eq!(waiting.await.unwrap().len(), LONG);
        }
    });
}

#[test]
fn idle_connections_follow_other_times_at_once() {
    on_a_core(async {
        let changes: [fn(&mut settings::Pool); 2] = [
            |pool| pool.idle_timeout = Duration::from_millis(20),
            |pool| pool.max_age = Some(Duration::from_millis(20)),
        ];
        for change in changes {
            let (plain, shared) = (Raw::answering(OK).await, echoing(9).await);
            for server in [server(plain.address, |_, _| {}), sharing(&shared, |_, _| {})] {
                for client in [server.client(0), server.client(0).aside()] {
                    call(&client).await;
                }
                let open = || server.open_connections() + server.aside.open();
                assert_eq!(open(), 2);
                reload(&server, change);
                eventually("they are closed", || open() == 0).await;
            }
        }
    });
}

#[test]
fn shared_connections_beyond_a_lowered_bound_take_no_calls_and_end_with_their_last_one() {
    on_a_core(async {
        let raw = echoing(1).await;
        let server = sharing(&raw, |http, _| http.pool.max_connections = 3);
        let client = server.client(0);
        let long = vec![b'x'; 100_000];
        let mut held = Vec::new();
        for _ in 0..3 {
            held.push(client.send(post(&[&long])).await.unwrap());
        }
        assert_eq!(server.open_connections(), 3);
        reload(&server, |pool| pool.max_connections = 1);
        for answer in held {
            assert_eq!(text(answer).await.unwrap().len(), 100_000, "none is cut off");
        }
        eventually("two have ended", || server.open_connections() == 1).await;
        assert_eq!(call(&client).await.1, "{}");
        assert_eq!(raw.connections.get(), 3, "the one that is left serves on");
        let held = client.send(post(&[&long])).await.unwrap();
        let other = server.client(1);
        let waiting = tokio::task::spawn_local(async move { call(&other).await.1 });
        eventually("it waits", || server.waiting() == 1).await;
        reload(&server, |pool| pool.max_connections = 2);
        assert_eq!(waiting.await.unwrap(), "{}");
        reload(&server, |pool| pool.max_per_endpoint = Some(1));
        assert_eq!(text(held).await.unwrap().len(), 100_000);
        eventually("those without the endpoint's permit end", || server.open_connections() == 0).await;
        for _ in 0..3 {
            assert_eq!(call(&client).await.1, "{}");
        }
        assert_eq!((raw.connections.get(), server.connections().1), (5, vec![1]));
    });
}
