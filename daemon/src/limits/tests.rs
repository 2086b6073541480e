//! Limits as configurations place them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use toolgate_protocol::forwarded::Header;
use toolgate_protocol::names::Aliases;

use super::*;
use crate::config::settings;

const SECOND: u64 = 1_000_000_000;
const NOW: u64 = 100 * SECOND;

fn limit(name: &str, per: LimitScope, measure: Measure) -> Arc<Limit> {
    Arc::new(Limit { name: name.to_owned(), per, measure, message: None })
}

fn per_minute(name: &str, per: LimitScope, count: u64) -> Arc<Limit> {
    limit(name, per, Measure::Rate { count, period: Duration::from_secs(60), burst: count })
}

fn at_once(name: &str, per: LimitScope, max: u64) -> Arc<Limit> {
    limit(name, per, Measure::Concurrent(max))
}

/// A configuration with limits everywhere, at tier `free` and at server `s`.
fn settings(everywhere: &[Arc<Limit>], free: &[Arc<Limit>], at_server: &[Arc<Limit>]) -> Settings {
    let server = |name: &str, limits: &[Arc<Limit>]| {
        let value = settings::Server {
            name: name.to_owned(),
            enabled: true,
            critical: false,
            transport: settings::Transport::Http(settings::Http {
                endpoints: Vec::new(),
                pool: settings::Pool { max_connections: 1, idle_timeout: Duration::ZERO, max_age: None, min_idle: 0 },
                headers: Vec::new(),
                tls: settings::UpstreamTls::default(),
                lacks: None,
                forward_client: false,
            }),
            tools: settings::Filter::default(),
            timeout: settings::Timeouts { connect: Duration::ZERO, first_byte: Duration::ZERO, total: None },
            tool_timeouts: BTreeMap::new(),
            aliases: Aliases::default(),
            queue: settings::Queue { max_size: 0, timeout: Duration::ZERO },
            max_calls_per_client: 0,
            adaptive: None,
            max_calls: 1,
            breaker: None,
            retry: None,
            health: None,
            weights: Vec::new(),
            limits: limits.to_vec(),
        };
        (name.to_owned(), Arc::new(value))
    };
    let tier = settings::Tier { weight: 1, name: "free".to_owned(), limits: free.to_vec() };
    Settings {
        revision: 1,
        origin: settings::Origin::Files,
        overload: None,
        files: Vec::new(),
        listeners: Vec::new(),
        servers: BTreeMap::from([server("s", at_server), server("t", &[])]),
        profiles: BTreeMap::new(),
        keys: BTreeMap::new(),
        tiers: BTreeMap::from([("free".to_owned(), Arc::new(tier))]),
        limits: everywhere.to_vec(),
        daemon: settings::Daemon {
            cores: 1,
            runtime_dir: PathBuf::new(),
            state_dir: PathBuf::new(),
            on_bad_config: settings::OnBadConfig::LastGood,
            drain_timeout: Duration::ZERO,
            lame_duck: Duration::ZERO,
            max_connections: 1,
            max_sessions: 1,
            max_sessions_per_client: 1,
            session_timeout: Duration::ZERO,
        },
        log: settings::Log { level: "info".to_owned(), format: settings::LogFormat::Auto, access: false },
        warnings: Vec::new(),
    }
}

const ANA: Keys<'static> = Keys {
    listener: "public",
    address: IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)),
    client: "ana",
    tier: Some("free"),
    server: Some("s"),
    tool: Some("echo"),
};

/// How many of 20 calls pass.
fn passing(limits: &Limits, keys: &Keys<'_>) -> usize {
    (0..20).filter(|_| limits.check(keys, NOW).is_ok()).count()
}

#[test]
fn no_limits_let_everything_pass() {
    assert_eq!(passing(&Limits::new(&settings(&[], &[], &[]), None), &ANA), 20);
}

#[test]
fn what_is_counted_together_is_the_scopes_business() {
    use LimitScope::{Address, Client, ClientTool, Global, Server, Tool};
    let other = IpAddr::from([198, 51, 100, 1]);
    for (scope, client, address, server, tool) in [
        (Global, 3, 3, 3, 3),
        (Address, 3, 6, 3, 3),
        (Client, 6, 3, 3, 3),
        (Server, 3, 3, 6, 3),
        (Tool, 3, 3, 6, 6),
        (ClientTool, 6, 3, 6, 6),
    ] {
        let both = |changed: Keys<'_>| {
            let limits = Limits::new(&settings(&[per_minute("l", scope, 3)], &[], &[]), None);
            passing(&limits, &ANA) + passing(&limits, &changed)
        };
        assert_eq!(both(Keys { client: "bo", ..ANA }), client, "{scope:?} by client");
        assert_eq!(both(Keys { address: other, ..ANA }), address, "{scope:?} by address");
        assert_eq!(both(Keys { server: Some("t"), ..ANA }), server, "{scope:?} by server");
        assert_eq!(both(Keys { tool: Some("add"), ..ANA }), tool, "{scope:?} by tool");
    }
}

#[test]
fn listeners_count_each_on_its_own() {
    let bounds = settings::Bounds {
        head_bytes: 1,
        headers: 1,
        uri_bytes: 1,
        body_bytes: 1,
        head_timeout: Duration::ZERO,
        body_timeout: Duration::ZERO,
        keep_alive: Duration::ZERO,
        connections: 1,
        connections_per_address: 1,
        streams: 1,
    };
    let listener = |name: &str, limits: Vec<Arc<Limit>>| {
        Arc::new(settings::Listener {
            name: name.to_owned(),
            addresses: Vec::new(),
            serve: settings::Serve::default(),
            allow: None,
            trusted_proxies: Vec::new(),
            address_header: Header::default(),
            proxy_protocol: false,
            hosts: Vec::new(),
            origins: Vec::new(),
            auth: Vec::new(),
            tls: None,
            redirect_to_https: None,
            key_in_path: false,
            lenient: false,
            compression: Vec::new(),
            refusal_status: settings::RefusalStatus::Auto,
            bounds: bounds.clone(),
            security_headers: Vec::new(),
            limits,
        })
    };
    let own = vec![per_minute("own", LimitScope::Client, 2)];
    let listeners = vec![listener("public", Vec::new()), listener("partner", own)];
    let all = [per_minute("each", LimitScope::Listener, 3)];
    let limits = Limits::new(&Settings { listeners, ..settings(&all, &[], &[]) }, None);
    assert_eq!(passing(&limits, &ANA), 3);
    assert_eq!(passing(&limits, &Keys { listener: "partner", ..ANA }), 2);
    assert_eq!(passing(&limits, &Keys { listener: "partner", client: "bo", ..ANA }), 1);
}

#[test]
fn a_limit_without_its_key_does_not_apply() {
    let limits = Limits::new(&settings(&[per_minute("l", LimitScope::Tool, 1)], &[], &[]), None);
    assert_eq!(passing(&limits, &Keys { tool: None, ..ANA }), 20);
    let limits = Limits::new(&settings(&[per_minute("l", LimitScope::Server, 1)], &[], &[]), None);
    assert_eq!(passing(&limits, &Keys { server: None, ..ANA }), 20);
}

#[test]
fn a_limit_applies_where_it_stands() {
    let limits = settings(&[], &[per_minute("tier", LimitScope::Client, 2)], &[per_minute("s", LimitScope::Global, 5)]);
    let limits = Limits::new(&limits, None);
    assert_eq!(passing(&limits, &ANA), 2);
    assert_eq!(passing(&limits, &Keys { tier: None, ..ANA }), 3, "the server's limit has two less");
    assert_eq!(passing(&limits, &Keys { tier: None, server: Some("t"), ..ANA }), 20);
}

#[test]
fn the_addresses_of_one_network_count_as_one() {
    let limits = Limits::new(&settings(&[per_minute("l", LimitScope::Address, 2)], &[], &[]), None);
    let from = |address: &str| passing(&limits, &Keys { address: address.parse().unwrap(), ..ANA });
    assert_eq!((from("2001:db8::1"), from("2001:db8::ffff"), from("2001:db8:0:1::1")), (2, 0, 2));
    assert_eq!((from("192.0.2.7"), from("::ffff:192.0.2.7")), (2, 0));
}

#[test]
fn a_refused_call_uses_up_nothing_and_the_longest_wait_is_told() {
    let limits = Limits::new(
        &settings(
            &[per_minute("wide", LimitScope::Client, 10)],
            &[per_minute("narrow", LimitScope::ClientTool, 1)],
            &[per_minute("narrowest", LimitScope::Server, 1), at_once("calls", LimitScope::Client, 1)],
        ),
        None,
    );
    assert_eq!(passing(&limits, &ANA), 1);
    assert_eq!(passing(&limits, &Keys { tier: None, server: Some("t"), ..ANA }), 9);
    let refusal = limits.check(&ANA, NOW).unwrap_err();
    assert_eq!((refusal.limit.name.as_str(), refusal.retry_after_seconds()), ("narrow", 60));
    let refusal = limits.check(&ANA, NOW + 59 * SECOND + SECOND / 2).unwrap_err();
    assert_eq!((refusal.retry_after, refusal.retry_after_seconds()), (Duration::from_millis(500), 1));
    assert!(limits.check(&ANA, NOW + 60 * SECOND).is_ok());
}

#[test]
fn the_strictest_of_several_limits_answers() {
    let slow =
        limit("slow", LimitScope::Client, Measure::Rate { count: 1, period: Duration::from_secs(3600), burst: 1 });
    let limits = Limits::new(&settings(&[per_minute("fast", LimitScope::Client, 1), slow], &[], &[]), None);
    drop(limits.check(&ANA, NOW).unwrap());
    let refusal = limits.check(&ANA, NOW).unwrap_err();
    assert_eq!((refusal.limit.name.as_str(), refusal.retry_after_seconds()), ("slow", 3600));
}

#[test]
fn calls_in_flight_count_until_they_end() {
    let limits = Limits::new(&settings(&[at_once("l", LimitScope::Client, 2)], &[], &[]), None);
    let held = (limits.check(&ANA, NOW).unwrap(), limits.check(&ANA, NOW).unwrap());
    assert_eq!(limits.check(&ANA, NOW).unwrap_err().retry_after_seconds(), 1);
    assert!(limits.check(&Keys { client: "bo", ..ANA }, NOW).is_ok());
    drop(held);
    assert_eq!(passing(&limits, &ANA), 20);
}

#[test]
fn counters_survive_a_reload_where_the_limit_stays() {
    let everywhere = [per_minute("rate", LimitScope::Client, 3), at_once("calls", LimitScope::Server, 5)];
    let before = Limits::new(&settings(&everywhere, &[], &[]), None);
    let held = before.check(&ANA, NOW).unwrap();
    let after = Limits::new(&settings(&everywhere, &[], &[]), Some(&before));
    drop(before);
    assert_eq!(passing(&after, &ANA), 2, "one of three is used up");

    let raised = [per_minute("rate", LimitScope::Client, 6), at_once("calls", LimitScope::Server, 1)];
    let raised = Limits::new(&settings(&raised, &[], &[]), Some(&after));
    assert_eq!(raised.check(&ANA, NOW).unwrap_err().limit.name, "calls", "a call from before still counts");
    drop(held);
    assert_eq!(passing(&raised, &ANA), 6);
}

#[test]
fn idle_keys_are_forgotten() {
    let limits = Limits::new(&settings(&[per_minute("l", LimitScope::Client, 1)], &[], &[]), None);
    for client in 0..500 {
        drop(limits.check(&Keys { client: &client.to_string(), ..ANA }, NOW).unwrap());
    }
    limits.sweep(NOW + 59 * SECOND);
    assert_eq!(limits.keys(), 500);
    limits.sweep(NOW + 60 * SECOND);
    assert_eq!(limits.keys(), 0);
}

#[test]
fn a_refusal_tells_an_agent_what_to_do() {
    let limits = Limits::new(&settings(&[per_minute("free", LimitScope::Client, 1)], &[], &[]), None);
    drop(limits.check(&ANA, NOW).unwrap());
    assert_eq!(
        limits.check(&ANA, NOW).unwrap_err().to_string(),
        "The limit `free` is reached: 1 call per minute for you. Nothing was executed. \
         Wait 60 s, then repeat the call; do not repeat it sooner."
    );
}
