//! Limits as configurations place them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use toolgate_protocol::forwarded::Header;
use toolgate_protocol::names::Aliases;

use super::*;
use crate::config::settings::{self, Measure};

const SECOND: u64 = 1_000_000_000;
const NOW: u64 = 100 * SECOND;

fn limit(name: &str, per: LimitScope, measure: Measure) -> Arc<Limit> {
    let prefix = settings::Prefix { v4: 32, v6: 64 };
    Arc::new(Limit {
        name: name.to_owned(),
        per,
        prefix,
        measure,
        counted: Counted::Calls,
        message: None,
        written: settings::Written::default(),
    })
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
                pool: settings::Pool {
                    max_connections: 1,
                    max_per_endpoint: None,
                    idle_timeout: Duration::ZERO,
                    max_age: None,
                    min_idle: 0,
                    http2: false,
                },
                headers: Vec::new(),
                tls: settings::UpstreamTls::default(),
                lacks: None,
                forward_client: false,
                word: toolgate_protocol::reach::Word::Operator { link_local: false },
            }),
            tools: settings::Filter::default(),
            timeout: settings::Timeouts { connect: Duration::ZERO, first_byte: Duration::ZERO, total: None },
            tool_timeouts: BTreeMap::new(),
            aliases: Aliases::default(),
            queue: settings::Queue { max_size: 0, timeout: Duration::ZERO },
            max_calls_per_client: 0,
            adaptive: None,
            max_calls: 1,
            max_streams: 1,
            max_streams_per_client: 1,
            breaker: None,
            retry: None,
            health: None,
            weights: Vec::new(),
            limits: limits.to_vec(),
            costs: Vec::new(),
            answers: settings::Answers::default(),
            access: settings::access::Access::default(),
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
        loops: settings::Loops::default(),
        daemon: settings::Daemon {
            cores: 1,
            runtime_dir: PathBuf::new(),
            state_dir: PathBuf::new(),
            on_bad_config: settings::OnBadConfig::LastGood,
            drain_timeout: Duration::ZERO,
            lame_duck: Duration::ZERO,
            max_connections: 1,
            max_server_connections: 500,
            max_answer_memory: 1 << 28,
            max_sessions: 1,
            max_sessions_per_client: 1,
            session_timeout: Duration::ZERO,
        },
        warnings: Vec::new(),
        ..crate::config::from_text("version = 1").expect("what holds where nothing is written")
    }
}

const ANA: Keys<'static> = Keys {
    listener: "public",
    address: IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)),
    client: "ana",
    tier: Some("free"),
    organisation: Some("acme"),
    server: Some("s"),
    tool: Some("echo"),
    tell: true,
};

/// How many of 20 calls pass.
fn passing(limits: &Limits, keys: &Keys<'_>) -> usize {
    (0..20).filter(|_| limits.check(keys, NOW).is_ok()).count()
}

#[test]
fn no_limits_let_everything_pass() {
    assert_eq!(passing(&Limits::at(&settings(&[], &[], &[]), None, NOW), &ANA), 20);
}

#[test]
fn what_is_counted_together_is_the_scopes_business() {
    let other = IpAddr::from([198, 51, 100, 1]);
    for (scope, client, address, server, tool) in [
        (LimitScope::GLOBAL, 3, 3, 3, 3),
        (LimitScope::ADDRESS, 3, 6, 3, 3),
        (LimitScope::CLIENT, 6, 3, 3, 3),
        (LimitScope::SERVER, 3, 3, 6, 3),
        (LimitScope::TOOL, 3, 3, 6, 6),
        (LimitScope::CLIENT | LimitScope::TOOL, 6, 3, 6, 6),
    ] {
        let both = |changed: Keys<'_>| {
            let limits = Limits::at(&settings(&[per_minute("l", scope, 3)], &[], &[]), None, NOW);
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
            resource: None,
            auth: Vec::new(),
            any_certificate: false,
            tls: None,
            redirect_to_https: None,
            key_in_path: false,
            lenient: false,
            compression: Vec::new(),
            refusal_status: settings::RefusalStatus::Auto,
            rate_headers: false,
            bounds: bounds.clone(),
            security_headers: Vec::new(),
            limits,
        })
    };
    let own = vec![per_minute("own", LimitScope::CLIENT, 2)];
    let listeners = vec![listener("public", Vec::new()), listener("partner", own)];
    let all = [per_minute("each", LimitScope::LISTENER, 3)];
    let limits = Limits::at(&Settings { listeners, ..settings(&all, &[], &[]) }, None, NOW);
    assert_eq!(passing(&limits, &ANA), 3);
    assert_eq!(passing(&limits, &Keys { listener: "partner", ..ANA }), 2);
    assert_eq!(passing(&limits, &Keys { listener: "partner", client: "bo", ..ANA }), 1);
}

#[test]
fn a_limit_without_its_key_does_not_apply() {
    let limits = Limits::at(&settings(&[per_minute("l", LimitScope::TOOL, 1)], &[], &[]), None, NOW);
    assert_eq!(passing(&limits, &Keys { tool: None, ..ANA }), 20);
    let limits = Limits::at(&settings(&[per_minute("l", LimitScope::SERVER, 1)], &[], &[]), None, NOW);
    assert_eq!(passing(&limits, &Keys { server: None, ..ANA }), 20);
}

#[test]
fn a_limit_applies_where_it_stands() {
    let limits = settings(&[], &[per_minute("tier", LimitScope::CLIENT, 2)], &[per_minute("s", LimitScope::GLOBAL, 5)]);
    let limits = Limits::at(&limits, None, NOW);
    assert_eq!(passing(&limits, &ANA), 2);
    assert_eq!(passing(&limits, &Keys { tier: None, ..ANA }), 3, "the server's limit has two less");
    assert_eq!(passing(&limits, &Keys { tier: None, server: Some("t"), ..ANA }), 20);
}

#[test]
fn the_addresses_of_one_network_count_as_one() {
    let limits = Limits::at(&settings(&[per_minute("l", LimitScope::ADDRESS, 2)], &[], &[]), None, NOW);
    let from = |address: &str| passing(&limits, &Keys { address: address.parse().unwrap(), ..ANA });
    assert_eq!((from("2001:db8::1"), from("2001:db8::ffff"), from("2001:db8:0:1::1")), (2, 0, 2));
    assert_eq!((from("192.0.2.7"), from("::ffff:192.0.2.7")), (2, 0));
}

#[test]
fn a_refused_call_uses_up_nothing_and_the_longest_wait_is_told() {
    let limits = Limits::new(
        &settings(
            &[per_minute("wide", LimitScope::CLIENT, 10)],
            &[per_minute("narrow", LimitScope::CLIENT | LimitScope::TOOL, 1)],
            &[per_minute("narrowest", LimitScope::SERVER, 1), at_once("calls", LimitScope::CLIENT, 1)],
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
        limit("slow", LimitScope::CLIENT, Measure::Rate { count: 1, period: Duration::from_secs(3600), burst: 1 });
    let limits = Limits::at(&settings(&[per_minute("fast", LimitScope::CLIENT, 1), slow], &[], &[]), None, NOW);
    drop(limits.check(&ANA, NOW).unwrap());
    let refusal = limits.check(&ANA, NOW).unwrap_err();
    assert_eq!((refusal.limit.name.as_str(), refusal.retry_after_seconds()), ("slow", 3600));
}

#[test]
fn calls_in_flight_count_until_they_end() {
    let limits = Limits::at(&settings(&[at_once("l", LimitScope::CLIENT, 2)], &[], &[]), None, NOW);
    let held = (limits.check(&ANA, NOW).unwrap(), limits.check(&ANA, NOW).unwrap());
    assert_eq!(limits.check(&ANA, NOW).unwrap_err().retry_after_seconds(), 1);
    assert!(limits.check(&Keys { client: "bo", ..ANA }, NOW).is_ok());
    drop(held);
    assert_eq!(passing(&limits, &ANA), 20);
}

#[test]
fn counters_survive_a_reload_where_the_limit_stays() {
    let everywhere = [per_minute("rate", LimitScope::CLIENT, 3), at_once("calls", LimitScope::SERVER, 5)];
    let before = Limits::at(&settings(&everywhere, &[], &[]), None, NOW);
    let held = before.check(&ANA, NOW).unwrap();
    let after = Limits::at(&settings(&everywhere, &[], &[]), Some(&before), NOW);
    drop(before);
    assert_eq!(passing(&after, &ANA), 2, "one of three is used up");

    let raised = [per_minute("rate", LimitScope::CLIENT, 6), at_once("calls", LimitScope::SERVER, 1)];
    let raised = Limits::at(&settings(&raised, &[], &[]), Some(&after), NOW);
    assert_eq!(raised.check(&ANA, NOW).unwrap_err().limit.name, "calls", "a call from before still counts");
    drop(held);
    assert_eq!(passing(&raised, &ANA), 3, "of six, three are used up");
}

#[test]
fn idle_keys_are_forgotten() {
    let limits = Limits::at(&settings(&[per_minute("l", LimitScope::CLIENT, 1)], &[], &[]), None, NOW);
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
    let limits = Limits::at(&settings(&[per_minute("free", LimitScope::CLIENT, 1)], &[], &[]), None, NOW);
    drop(limits.check(&ANA, NOW).unwrap());
    assert_eq!(
        limits.check(&ANA, NOW).unwrap_err().to_string(),
        "The limit `free` is reached: 1 call per minute for you. Nothing was executed. \
         Wait 60 s, then repeat the call; do not repeat it sooner."
    );
}

#[test]
fn pairs_of_scopes_count_what_is_alike_in_both() {
    let pair = |per| Limits::at(&settings(&[per_minute("l", per, 3)], &[], &[]), None, NOW);
    let (bo, other) = (Keys { client: "bo", ..ANA }, Keys { server: Some("t"), ..ANA });
    let limits = pair(LimitScope::CLIENT | LimitScope::SERVER);
    assert_eq!((passing(&limits, &ANA), passing(&limits, &bo), passing(&limits, &other)), (3, 3, 3));
    assert_eq!(passing(&limits, &Keys { tool: Some("add"), ..ANA }), 0);
    let limits = pair(LimitScope::TIER | LimitScope::SERVER);
    assert_eq!((passing(&limits, &ANA), passing(&limits, &bo), passing(&limits, &other)), (3, 0, 3));
    assert_eq!(passing(&limits, &Keys { tier: None, ..ANA }), 20, "no tier, no limit of it");
    let limits = pair(LimitScope::ADDRESS | LimitScope::TOOL);
    assert_eq!((passing(&limits, &ANA), passing(&limits, &bo)), (3, 0));
    assert_eq!(passing(&limits, &Keys { address: [198, 51, 100, 1].into(), ..ANA }), 3);
}

#[test]
fn clients_of_an_organisation_share_what_it_has() {
    let text = "version = 1\n[organisation.acme]\ntier = \"paid\"\n\
                limits = [{ per = \"organisation\", rate = \"3/min\" }]\n[tier.paid]\nweight = 4\n[tier.free]\n\
                [key.anna1]\nhash = \"sha256:HASH\"\norganisation = \"acme\"\n\
                [key.bobo1]\nhash = \"sha256:HASH\"\norganisation = \"acme\"\ntier = \"free\"\n";
    let settings = crate::config::from_text(&text.replace("HASH", &"0".repeat(64))).expect("it is right");
    let tiers = ["anna1", "bobo1"].map(|key| settings.keys[key].tier.as_ref().map(|tier| tier.name.as_str()));
    assert_eq!(tiers, [Some("paid"), Some("free")], "its own comes before the organisation's");
    let limits = Limits::at(&settings, None, NOW);
    assert_eq!(passing(&limits, &Keys { organisation: None, ..ANA }), 20);
    assert!(limits.check(&Keys { client: "bo", ..ANA }, NOW).is_ok());
    assert_eq!(passing(&limits, &ANA), 2);
}

#[test]
fn a_prefix_says_how_much_of_an_address_counts() {
    let wide =
        Limit { prefix: settings::Prefix { v4: 24, v6: 48 }, ..(*per_minute("l", LimitScope::ADDRESS, 2)).clone() };
    let limits = Limits::at(&settings(&[Arc::new(wide)], &[], &[]), None, NOW);
    let from = |address: &str| passing(&limits, &Keys { address: address.parse().unwrap(), ..ANA });
    assert_eq!((from("192.0.2.7"), from("192.0.2.200"), from("192.0.3.7")), (2, 0, 2));
    assert_eq!((from("2001:db8:0:1::1"), from("2001:db8:0:2::1"), from("2001:db8:1::1")), (2, 0, 2));
    assert_eq!(
        counters::describe(LimitScope::ADDRESS, settings::Prefix { v4: 24, v6: 48 }, &ANA),
        "address=192.0.2.0/24"
    );
}

#[test]
fn a_budget_counts_what_tools_cost() {
    let budget = Limit { counted: Counted::Cost, ..(*per_minute("budget", LimitScope::CLIENT, 100)).clone() };
    let mut settings = settings(&[Arc::new(budget)], &[], &[]);
    let server = Arc::get_mut(settings.servers.get_mut("s").unwrap()).unwrap();
    server.costs = vec![("echo".to_owned(), 30), ("free*".to_owned(), 0), ("*".to_owned(), 2)];
    let limits = Limits::at(&settings, None, NOW);
    assert_eq!(passing(&limits, &ANA), 3);
    let refusal = limits.check(&ANA, NOW).unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "The limit `budget` is reached: a cost of 100 per minute for you, and this call costs 30. Nothing was \
         executed. Wait 12 s, then repeat the call; do not repeat it sooner."
    );
    assert_eq!(passing(&limits, &Keys { tool: Some("free-for-all"), ..ANA }), 20);
    assert_eq!(passing(&limits, &Keys { tool: Some("add"), ..ANA }), 5);
    assert_eq!(passing(&limits, &Keys { tool: None, ..ANA }), 0);
}

#[test]
fn a_client_is_told_of_what_counts_it_alone() {
    let everywhere = [per_minute("all", LimitScope::GLOBAL, 2), per_minute("mine", LimitScope::CLIENT, 5)];
    let limits = Limits::at(&settings(&everywhere, &[], &[]), None, NOW);
    let told = limits.check(&ANA, NOW).unwrap().told.clone().unwrap();
    assert_eq!(
        (told.policy(), told.standing()),
        ("\"mine\";q=5;w=60".parse().unwrap(), "\"mine\";r=4;t=12".parse().unwrap())
    );
    assert!(limits.check(&Keys { tell: false, ..ANA }, NOW).unwrap().told.is_none());
    let refusal = limits.check(&ANA, NOW).unwrap_err();
    assert_eq!(refusal.told.standing(), "\"all\";r=0;t=60", "whoever is refused is told by what");
}

#[test]
fn a_quota_goes_on_in_the_next_process() {
    let quota = |per| limit("daily", per, Measure::Quota { count: 5, unit: toolgate_protocol::limiter::Unit::Day });
    for per in [LimitScope::GLOBAL, LimitScope::SERVER, LimitScope::CLIENT | LimitScope::TOOL] {
        let settings = settings(&[quota(per)], &[], &[]);
        let first = Limits::at(&settings, None, NOW);
        for _ in 0..3 {
            drop(first.check(&ANA, NOW).unwrap());
        }
        let saved = serde_json::to_string(&first.saved(NOW)).unwrap();
        let second = Limits::at(&settings, None, NOW);
        second.restore(&serde_json::from_str(&saved).unwrap(), NOW);
        assert_eq!(serde_json::to_string(&second.saved(NOW)).unwrap(), saved, "what nobody came for is kept");
        assert_eq!(passing(&second, &ANA), 2, "{per}");
        let refusal = second.check(&ANA, NOW).unwrap_err().to_string();
        assert!(refusal.starts_with("The limit `daily` is reached: 5 calls per day (UTC) "), "{refusal}");
        // A new period begins anew.
        let tomorrow = NOW + 25 * 3600 * SECOND;
        assert!(second.check(&ANA, tomorrow).is_ok());
    }
}

#[test]
fn an_override_holds_for_its_time_and_over_reloads() {
    let settings =
        settings(&[per_minute("free", LimitScope::CLIENT, 10)], &[per_minute("x", LimitScope::CLIENT, 99)], &[]);
    let limits = Limits::at(&settings, None, NOW);
    assert_eq!(passing(&limits, &ANA), 10);
    let measure = limits.read_override("free", "30/min", None).unwrap();
    let value = overrides::Override { measure, until: NOW + 20 * SECOND, who: "uid 0".to_owned(), reason: None };
    limits.set_override("free", value);
    let set = Limits::at(&settings, Some(&limits), NOW);
    assert_eq!(passing(&set, &ANA), 20, "of thirty, ten are used");
    let report = set.report(NOW);
    assert_eq!((report[0].configured.as_str(), report[0].effective.as_str()), ("10/min", "30/min"));
    assert_eq!((report[0].used, report[0].rejected, report[0].top[0].rejected), (30, 10, 10));
    let reloaded = Limits::at(&settings, Some(&set), NOW);
    assert_eq!(reloaded.report(NOW)[0].effective, "30/min");
    assert_eq!(reloaded.report(NOW + 20 * SECOND)[0].effective, "10/min", "it ends without anybody's doing");
    assert!(limits.revert_override("free").is_some());
    assert_eq!(Limits::at(&settings, Some(&reloaded), NOW).report(NOW)[0].effective, "10/min");
    for (name, value, burst, unfit) in [
        ("none", "1/s", None, overrides::Unfit::Unknown),
        ("free", "5", None, overrides::Unfit::Value(String::new())),
        ("free", "0/s", None, overrides::Unfit::Value(String::new())),
    ] {
        let refused = limits.read_override(name, value, burst).unwrap_err();
        assert_eq!(std::mem::discriminant(&refused), std::mem::discriminant(&unfit), "{name} {value}");
    }
}

#[test]
fn the_operators_own_words_are_followed_by_when_to_come_back() {
    for (message, begins) in [("Server is busy", "Server is busy. "), ("Too many!", "Too many! ")] {
        let own = Limit { message: Some(message.to_owned()), ..(*per_minute("l", LimitScope::CLIENT, 1)).clone() };
        let limits = Limits::at(&settings(&[Arc::new(own)], &[], &[]), None, NOW);
        drop(limits.check(&ANA, NOW).unwrap());
        let words = limits.check(&ANA, NOW).unwrap_err().to_string();
        assert_eq!(
            words.strip_prefix(begins),
            Some("Nothing was executed. Wait 60 s, then repeat the call; do not repeat it sooner.")
        );
    }
}

#[test]
fn each_kind_of_limit_admits_what_it_says() {
    let minute = Duration::from_secs(60);
    let window = limit("w", LimitScope::CLIENT, Measure::Window { count: 7, period: minute });
    let limits = Limits::at(&settings(&[window], &[per_minute("r", LimitScope::CLIENT, 15)], &[]), None, NOW);
    assert_eq!(passing(&limits, &ANA), 7);
    assert!(limits.check(&ANA, NOW + 59 * SECOND).is_err(), "no token comes back meanwhile");
    assert!(limits.check(&ANA, NOW + 61 * SECOND).is_ok());
    limits.sweep(NOW + 61 * SECOND);
    assert_eq!(limits.keys(), 2);
    limits.sweep(NOW + 200 * SECOND);
    assert_eq!(limits.keys(), 0);
}

/// The design's own example: a window for everybody, and a limit of a tier. Callers that the tier refuses must not keep
/// the window full for those who are below it.
#[test]
fn calls_that_one_limit_refuses_leave_no_trace_in_another() {
    let minute = Duration::from_secs(60);
    let all = |name: &str, count| limit(name, LimitScope::GLOBAL, Measure::Window { count, period: minute });
    let everywhere = [all("all", 1000), per_minute("spare", LimitScope::GLOBAL, 100_000), all("hour", 2000)];
    let limits = Limits::at(&settings(&everywhere, &[per_minute("free", LimitScope::CLIENT, 60)], &[]), None, NOW);
    let paying = Keys { tier: None, client: "paying", ..ANA };
    let (mut paying_refused, mut served) = (0, 0);
    for step in 0..10 * 60 * 100 {
        let now = NOW + step * SECOND / 100;
        served += u64::from(limits.check(&ANA, now).is_ok());
        if step % 10 == 0 {
            paying_refused += u64::from(limits.check(&paying, now).is_err());
        }
    }
    assert_eq!(paying_refused, 0, "of 6,000 calls at 600 per minute");
    assert!((600..=660).contains(&served), "{served}");
}

#[test]
fn what_is_refused_is_told_of_the_limit_that_holds_off_for_longest_in_any_order() {
    let window = |name: &str, seconds| {
        limit(name, LimitScope::GLOBAL, Measure::Window { count: 1, period: Duration::from_secs(seconds) })
    };
    let bucket = |name: &str, seconds| {
        limit(name, LimitScope::GLOBAL, Measure::Rate { count: 1, period: Duration::from_secs(seconds), burst: 1 })
    };
    for everywhere in [
        [window("short", 10), window("long", 60), bucket("shorter", 5)],
        [window("long", 60), bucket("short", 5), window("shorter", 10)],
        [bucket("long", 60), window("short", 10), window("shorter", 20)],
        [window("short", 10), bucket("long", 60), bucket("shorter", 5)],
    ] {
        let limits = Limits::at(&settings(&everywhere, &[], &[]), None, NOW);
        drop(limits.check(&ANA, NOW).unwrap());
        let refusal = limits.check(&ANA, NOW + SECOND).unwrap_err().to_string();
        assert!(refusal.starts_with("The limit `long` is reached"), "{refusal}");
        assert!(limits.check(&ANA, NOW + 61 * SECOND).is_ok(), "nothing was used up by the refusal");
    }
}

#[test]
fn what_is_no_call_meets_limits_that_know_only_where_it_comes_from() {
    let budget = Limit { counted: Counted::Cost, ..(*per_minute("budget", LimitScope::GLOBAL, 1)).clone() };
    let of_calls = [
        per_minute("client", LimitScope::CLIENT, 1),
        per_minute("pair", LimitScope::CLIENT | LimitScope::ADDRESS, 1),
        Arc::new(budget),
    ];
    let limits = Limits::at(&settings(&of_calls, &[per_minute("tier", LimitScope::ADDRESS, 1)], &[]), None, NOW);
    assert!(limits.check_other(&ANA, NOW).is_none(), "none of these is for it");
    for per in [LimitScope::GLOBAL, LimitScope::ADDRESS, LimitScope::LISTENER | LimitScope::ADDRESS] {
        let mut everywhere = of_calls.to_vec();
        everywhere.push(per_minute("all", per, 5));
        let limits = Limits::at(&settings(&everywhere, &[], &[]), None, NOW);
        let greeted = (0..10).filter(|_| limits.check_other(&ANA, NOW).expect("it applies").is_ok()).count();
        assert_eq!(greeted, 5, "{per}");
        assert!(limits.check_other(&ANA, NOW).expect("it applies").unwrap_err().to_string().contains("`all`"));
        // Calls come out of the same.
        assert!(limits.check(&ANA, NOW).is_err(), "{per}");
    }
    let limits = Limits::at(&settings(&[at_once("streams", LimitScope::ADDRESS, 2)], &[], &[]), None, NOW);
    let mut held: Vec<_> = (0..2).map(|_| limits.check_other(&ANA, NOW).unwrap().unwrap()).collect();
    assert!(limits.check_other(&ANA, NOW).unwrap().is_err() && limits.check(&ANA, NOW).is_err());
    held.pop();
    assert!(limits.check(&ANA, NOW).is_ok());
}

#[test]
fn limits_for_a_time_that_are_over_leave_room_for_others() {
    let limits = Limits::at(&settings(&[], &[], &[]), None, NOW);
    let add = |until| {
        let temporary = temporary::Temporary {
            client: Some("key:ana".into()),
            tool: None,
            measure: Measure::Concurrent(1),
            say: None,
            until,
            who: String::new(),
            reason: None,
        };
        limits.add_temporary(temporary, None)
    };
    assert_eq!((0..temporary::MOST).filter(|_| add(1).is_some()).count(), temporary::MOST);
    assert!(limits.have_room_for_temporary());
    assert_eq!((0..=temporary::MOST).filter(|_| add(u64::MAX).is_some()).count(), temporary::MOST);
    assert!(!limits.have_room_for_temporary());
}

#[test]
fn what_the_book_forgets_holds_no_longer() {
    let limits = Limits::at(&settings(&[per_minute("l", LimitScope::CLIENT, 3)], &[], &[]), None, NOW);
    let steering = crate::steering::Steering::default();
    let set = |limits: &Limits| {
        let (measure, until, who) = (Measure::Concurrent(1), u64::MAX, String::new());
        limits.set_override("l", overrides::Override { measure, until, who, reason: None });
    };
    set(&limits);
    let kept = crate::steering::Value { until_ms: u64::MAX, ..Default::default() };
    steering.change(|book| book.overrides.insert("l".into(), kept));
    assert!(!steering.end_forgotten(&limits));
    assert_eq!(limits.by_hand(), ["l"]);
    steering.change(|book| book.overrides.clear());
    assert_eq!(steering.forgotten(&limits), ["l"]);
    assert!(steering.end_forgotten(&limits));
    assert!(limits.by_hand().is_empty());
}
