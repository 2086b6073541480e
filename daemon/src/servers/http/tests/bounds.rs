//! The bound of connections to an endpoint, and the one to all servers.

use super::*;
use crate::servers::connections::Pool;

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Takes requests and never answers.
async fn silent() -> Raw {
    Raw::start(|mut tcp, _| async move {
        request(&mut tcp).await;
        request(&mut tcp).await;
    })
    .await
}

#[test]
fn an_idle_connection_of_another_server_gives_way() {
    on_a_core(async {
        let (one, two) = (Raw::answering(OK).await, Raw::answering(OK).await);
        let all = Connections::new(1);
        let servers = [&one, &two].map(|raw| server_within(&all, raw.address, |_, _| {}));
        for round in 1..=3 {
            for server in &servers {
                assert_eq!(call(&server.client(0)).await.1, "ok");
                assert_eq!((all.seen().open, server.open_connections()), (1, 1), "{round}");
            }
        }
        // Each time anew, for the other one had to go.
        assert_eq!((one.connections.get(), two.connections.get()), (3, 3));
        assert_eq!(call(&servers[1].client(1)).await.1, "ok");
    });
}

#[test]
fn whoever_finds_all_connections_in_use_waits_for_the_next_one_and_is_told_which_bound_it_was() {
    on_a_core(async {
        let (busy, other) = (silent().await, Raw::answering(OK).await);
        let all = Connections::new(1);
        let first = server_within(&all, busy.address, |_, timeout| timeout.first_byte = Duration::from_millis(100));
        let hasty = server_within(&all, other.address, |_, timeout| timeout.connect = Duration::from_millis(10));
        let patient = server_within(&all, other.address, |_, _| {});
        let client = first.client(0);
        let held = tokio::task::spawn_local(async move { client.send(post(&[b"{}"])).await.map(drop) });
        eventually("the call has a connection", || busy.connections.get() == 1).await;
        let refused = hasty.client(0).send(post(&[b"{}"])).await.unwrap_err();
        assert_eq!((refused.kind, refused.sent), (SendErrorKind::GateBound, false));
        assert!(refused.to_string().contains("daemon.max_server_connections"), "{refused}");
        assert_eq!(all.seen().waiting, 0, "who gave up does not wait");
        assert_eq!(call(&patient.client(0)).await.1, "ok");
        assert_eq!(held.await.unwrap().unwrap_err().kind, SendErrorKind::FirstByteTimeout);
        assert_eq!(all.seen(), Seen { open: 1, max: 1, waiting: 0 });
    });
}

#[test]
fn while_somebody_waits_nothing_becomes_idle_and_every_call_is_served() {
    on_a_core(async {
        let raws = [Raw::answering(OK).await, Raw::answering(OK).await, Raw::answering(OK).await];
        let all = Connections::new(2);
        let done = Rc::new(Cell::new(0));
        let servers: Vec<_> = raws.iter().map(|raw| server_within(&all, raw.address, |_, _| {})).collect();
        for number in 0..150 {
            let (client, done) = (servers[number % 3].client(number % 2), Rc::clone(&done));
            tokio::task::spawn_local(async move {
                assert_eq!(call(&client).await.1, "ok");
                done.set(done.get() + 1);
            });
        }
        eventually("a call has no connection", || {
            assert!(servers.iter().map(|server| server.open_connections()).sum::<usize>() <= 2 + 3 * 8);
            assert!(all.seen().open <= 2);
            done.get() == 150
        })
        .await;
        all.set_max(1);
        drop(servers);
        eventually("all are closed", || all.seen().open == 0).await;
        assert_eq!(all.seen().max, 1);
    });
}

#[test]
fn a_server_that_hangs_with_all_of_its_callers_takes_no_connection_from_others() {
    on_a_core(async {
        let (hung, other) = (silent().await, Raw::answering(OK).await);
        let all = Connections::new(20);
        let greedy = server_within(&all, hung.address, |http, _| http.pool.max_connections = 100);
        let healthy = server_within(&all, other.address, |_, timeout| timeout.connect = Duration::from_millis(500));
        assert_eq!(call(&healthy.client(0)).await.1, "ok");
        for _ in 0..60 {
            let client = greedy.client(0);
            tokio::task::spawn_local(async move { client.send(post(&[b"{}"])).await.map(drop) });
        }
        eventually("they have all that they may", || all.seen().waiting > 0).await;
        for _ in 0..20 {
            assert_eq!(call(&healthy.client(0)).await.1, "ok");
        }
        assert_eq!(other.connections.get(), 1, "it was kept, whoever waits");
        // Nor does it need one that it has already: some are left for those with less than their share.
        let send = || async { healthy.client(1).send(post(&[b"{}"])).await };
        let (one, two) = tokio::join!(send(), send());
        assert!(one.is_ok() && two.is_ok(), "{one:?} {two:?}");
        assert!(all.seen().waiting > 0, "the others wait on");
    });
}

#[test]
fn of_those_who_wait_servers_take_turns_and_one_with_less_than_its_share_is_first() {
    on_a_core(async {
        let all = Connections::new(3);
        let pool = |number, open| Pool { number, open };
        let soon = || Instant::now() + Duration::from_secs(10);
        let mut held = Vec::new();
        for open in 1..=3 {
            held.push(all.open(pool(1, open), soon()).await.unwrap());
        }
        let order = Rc::new(std::cell::RefCell::new(Vec::new()));
        // Nobody has joined: the share is all three.
        for (number, open) in [(1, 4), (1, 5), (1, 6), (2, 2), (3, 4)] {
            let (all, order) = (Arc::clone(&all), Rc::clone(&order));
            tokio::task::spawn_local(async move {
                let permit = all.open(pool(number, open), soon()).await;
                order.borrow_mut().push(number);
                drop(permit);
            });
            settle().await;
        }
        held.pop();
        eventually("all are served", || order.borrow().len() == 5).await;
        // The second has no more than its share. Of the others the first looks already; then each has its turn.
        assert_eq!(*order.borrow(), [2, 1, 1, 3, 1]);
    });
}

#[test]
fn an_endpoint_at_its_bound_keeps_nobody_from_the_other() {
    on_a_core(async {
        let (busy, other) = (silent().await, Raw::answering(OK).await);
        let server = server(busy.address, |http, timeout| {
            let port = other.address.port();
            http.endpoints.push(settings::Endpoint { port, ..http.endpoints[0].clone() });
            (http.pool.max_connections, http.pool.max_per_endpoint) = (3, Some(2));
            timeout.connect = Duration::from_millis(50);
        });
        for _ in 0..2 {
            let client = server.client(0);
            tokio::task::spawn_local(async move { client.send(post(&[b"{}"])).await.map(drop) });
        }
        eventually("both have connections", || busy.connections.get() == 2).await;
        let refused = server.client(1).send(post(&[b"{}"])).await.unwrap_err();
        assert_eq!(refused.kind, SendErrorKind::EndpointBound);
        let answer = server.client(1).send(Outgoing { endpoint: 1, ..post(&[b"{}"]) }).await.unwrap();
        assert_eq!(text(answer).await.unwrap(), "ok");
        let (seen, to_each) = server.connections();
        assert_eq!((seen.open, seen.max, to_each), (3, 3, vec![2, 1]));
    });
}

#[test]
fn an_endpoint_at_its_bound_uses_what_other_cores_keep() {
    on_a_core(async {
        let raw = Raw::answering(OK).await;
        let server = server(raw.address, |http, _| http.pool.max_per_endpoint = Some(1));
        for number in 0..10 {
            assert_eq!(call(&server.client(number % 2)).await.1, "ok");
        }
        assert_eq!((server.connections().1, raw.connections.get()), (vec![1], 1));
    });
}

#[test]
fn connections_in_advance_that_are_too_old_at_once_are_not_made_over_and_over() {
    on_a_core(async {
        let raw = Raw::answering(OK).await;
        let server = server(raw.address, |http, _| (http.pool.min_idle, http.pool.max_age) = (2, Some(Duration::ZERO)));
        for look in 1..=3 {
            server.client(0).warm(0).await.unwrap();
            eventually("they are there", || raw.connections.get() == 2 * look).await;
        }
        settle().await;
        assert_eq!(raw.connections.get(), 6, "two for each look");
    });
}
