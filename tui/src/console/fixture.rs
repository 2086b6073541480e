//! A gate with something going on in it, as lines of a watch: six servers, forty tools, twelve clients, alerts, an open
//! breaker, a certificate that was refused, a client that loops. The same numbers come out of every run.

use toolgate_admin_api::*;

use super::units::to_float;

/// When the fixture's gate is looked at: 2026-11-27 14:03:20 UTC.
pub(super) const NOW_MS: u64 = 1_795_788_200_000;

/// Uneven, and the same each time.
fn noise(seed: u64) -> f64 {
    let mut bits = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits ^= bits >> 29;
    bits = bits.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits ^= bits >> 32;
    to_float(bits % 1_000) / 1_000.0
}

fn wave(second: u64, seed: u64) -> f64 {
    1.0 + 0.35 * (to_float(second) / 47.0 + to_float(seed)).sin() + 0.3 * noise(second * 31 + seed)
}

/// Hello, and every topic at each of the last `seconds` seconds.
pub(super) fn lines(seconds: u64) -> Vec<WatchLine> {
    let hello = Hello {
        version: "0.1.0".into(),
        instance: "4f1c9a27".into(),
        host: "gate-1".into(),
        privilege: "control".into(),
        interval_ms: 1000,
    };
    let frames = (0..seconds).flat_map(|second| frame(10_000 + second, NOW_MS - (seconds - 1 - second) * 1000));
    std::iter::once(WatchLine::Hello(hello)).chain(frames).collect()
}

/// What the daemon remembers of the hour before.
pub(super) fn history() -> History {
    let (step_ms, points) = (10_000, 360);
    let from_ms = NOW_MS - step_ms * points;
    let of = |name: &str, unit: &str, base: f64, seed: u64| Series {
        name: name.into(),
        unit: unit.into(),
        from_ms,
        step_ms,
        points: (0..points).map(|point| Some(base * wave(point * 10, seed))).collect(),
    };
    let mut series = vec![
        of("calls", "per_second", 240.0, 1),
        of("errors", "per_second", 2.1, 2),
        of("refused", "per_second", 1.4, 3),
        of("p50", "us", 9_000.0, 4),
        of("p99", "us", 420_000.0, 5),
        of("in_flight", "count", 18.0, 6),
        of("sessions", "count", 300.0, 7),
        of("connections", "count", 420.0, 8),
    ];
    for (seed, name) in (20..).zip(SERVERS.map(|server| server.0)) {
        series.push(of(&format!("calls:{name}"), "per_second", 40.0, seed));
        series.push(of(&format!("errors:{name}"), "per_second", 0.4, seed + 1));
        series.push(of(&format!("p99:{name}"), "us", 80_000.0, seed + 2));
        series.push(of(&format!("in_flight:{name}"), "count", 4.0, seed + 3));
    }
    History { series, oldest_ms: NOW_MS - 86_400_000 }
}

fn frame(second: u64, at_ms: u64) -> Vec<WatchLine> {
    let topics = [
        Topic::Overview(Box::new(overview(second, at_ms))),
        Topic::Servers(servers(second)),
        Topic::Sessions(sessions(second)),
        Topic::Tools(tools(second, at_ms)),
        Topic::Limits(limits(at_ms)),
        Topic::Clients(clients(second, at_ms)),
        Topic::Health(Box::new(health(second, at_ms))),
        Topic::Calls(calls(second)),
        Topic::Queues(queues()),
        Topic::Config(Box::new(config(at_ms))),
    ];
    topics.map(|topic| WatchLine::Topic { at_ms, topic }).into()
}

fn times(base_us: u64) -> Percentiles {
    Percentiles { p50_us: base_us, p95_us: base_us * 5, p99_us: base_us * 12, max_us: base_us * 30 }
}

/// Of so many calls a second, with this share of errors.
fn traffic(per_second: f64, errors: f64, base_us: u64, second: u64, seed: u64) -> Traffic {
    let calls_per_second = per_second * wave(second, seed);
    let calls = super::units::to_cells(per_second * to_float(second), usize::MAX >> 1) as u64;
    let errors_per_second = calls_per_second * errors;
    Traffic {
        calls,
        errors: super::units::to_cells(to_float(calls) * errors, usize::MAX >> 1) as u64,
        refused: calls / 200,
        in_flight: 1 + super::units::to_cells(calls_per_second / 16.0, 1_000) as u64,
        bytes_in: calls * 420,
        bytes_out: calls * 3_900,
        calls_per_second,
        errors_per_second,
        refused_per_second: calls_per_second / 200.0,
        latency: times(base_us),
        phases: Phases {
            queue: times(base_us / 12),
            connect: times(base_us / 40),
            first_byte: times(base_us * 3 / 4),
            stream: times(base_us / 8),
        },
    }
}

const SERVERS: [(&str, ServerState, Transport, f64, f64, u64); 6] = [
    ("weather", ServerState::Up, Transport::Http, 121.0, 0.002, 8_200),
    ("search", ServerState::Degraded, Transport::Http, 64.0, 0.071, 41_000),
    ("payments", ServerState::Up, Transport::Http, 31.0, 0.0, 19_000),
    ("files", ServerState::Up, Transport::Stdio, 18.0, 0.01, 2_100),
    ("tickets", ServerState::Down, Transport::Http, 0.0, 0.0, 0),
    ("notes", ServerState::Idle, Transport::Stdio, 0.0, 0.0, 0),
];

fn servers(second: u64) -> Vec<ServerRow> {
    (1..)
        .zip(SERVERS)
        .map(|(seed, (name, state, transport, rate, errors, base))| {
            let mut row = ServerRow {
                status: ServerStatus {
                    name: name.into(),
                    state,
                    reason: None,
                    transport,
                    era: Some(if seed == 3 { Era::Modern } else { Era::Legacy }),
                    critical: seed == 1,
                    in_flight: if rate > 0.0 {
                        super::units::to_cells(rate / 12.0 * wave(second, seed), 100) as u64
                    } else {
                        0
                    },
                    waiting: 0,
                    sessions: (transport == Transport::Stdio || seed < 3).then_some(if rate > 0.0 {
                        seed * 13 % 40
                    } else {
                        0
                    }),
                    endpoints: Vec::new(),
                    instances: None,
                    connections: (transport == Transport::Http).then_some(PoolStatus {
                        open: seed * 4,
                        max: 100,
                        waiting: 0,
                    }),
                },
                traffic: traffic(rate, errors, base, second, seed),
                max_calls: Some(100),
                max_waiting: 1_000,
                oldest_ms: 0,
                cache: None,
            };
            dress(&mut row, second);
            row
        })
        .collect()
}

/// What is particular to a server.
fn dress(row: &mut ServerRow, second: u64) {
    match row.status.name.as_str() {
        "weather" => {
            row.status.endpoints =
                vec![endpoint("http://10.0.0.7:3001/mcp", 5, 140), endpoint("http://10.0.0.8:3001/mcp", 5, 142)];
            row.cache = Some(CacheStatus {
                server: "weather".into(),
                entries: 420,
                max_entries: 1_000,
                bytes: 1_900_000,
                max_bytes: 8_000_000,
                hits: 88_000,
                misses: 14_000,
                shared: 310,
                waiting: 1,
                stale: 2,
                evictions: 0,
            });
        }
        "search" => {
            row.status.reason = Some("1 of 2 endpoints fails".into());
            row.status.waiting = 37;
            row.oldest_ms = 1_840;
            let mut bad = endpoint("http://10.0.1.5:8080/mcp", 0, 0);
            bad.trouble = Some("its breaker is open".into());
            bad.breaker = Some(BreakerStatus {
                state: BreakerState::Open,
                retry_in_ms: Some(24_000 - second % 20 * 1_000),
                cause: Some("5 calls in a row failed: connection refused".into()),
                opened: 3,
            });
            bad.last_check =
                Some(CheckStatus { age_ms: 4_200, took_ms: 1, problem: Some("connection refused".into()) });
            row.status.endpoints = vec![endpoint("http://10.0.1.4:8080/mcp", 5, 26), bad];
        }
        "payments" => {
            let mut drained = endpoint("https://pay-b.internal/mcp", 1, 2);
            drained.mode = EndpointMode::Drain;
            row.status.endpoints = vec![endpoint("https://pay-a.internal/mcp", 3, 0), drained];
        }
        "files" => row.status.instances = Some(instances(second)),
        "tickets" => {
            row.status.reason = Some("connection refused since 14:01".into());
            let mut down = endpoint("http://10.0.2.9:4000/mcp", 0, 0);
            down.trouble = Some("the last 3 checks failed".into());
            down.last_check =
                Some(CheckStatus { age_ms: 1_100, took_ms: 2, problem: Some("connection refused".into()) });
            row.status.endpoints = vec![down];
        }
        _ => row.status.instances = Some(Instances { running: 0, max: 20, ..Instances::default() }),
    }
}

fn endpoint(url: &str, in_flight: u64, sessions: u64) -> EndpointStatus {
    EndpointStatus {
        url: Some(url.into()),
        mode: EndpointMode::Ready,
        trouble: None,
        weight: 1,
        in_flight: Some(in_flight),
        sessions: Some(sessions),
        connections: Some(in_flight + 2),
        breaker: Some(BreakerStatus { state: BreakerState::Closed, retry_in_ms: None, cause: None, opened: 0 }),
        last_check: Some(CheckStatus { age_ms: 3_000, took_ms: 4, problem: None }),
    }
}

fn instances(second: u64) -> Instances {
    let each = (0..4_u64).map(|number| Instance {
        pid: 4_100 + u32::try_from(number).unwrap_or(0) * 17,
        role: if number == 3 { InstanceRole::Spare } else { InstanceRole::Session },
        age_seconds: 9_000 - number * 2_100,
        idle_seconds: number * 4,
        in_flight: u64::from(number == 0),
        answered: 12_400 / (number + 1),
        leaving: false,
        memory: Some(if number == 0 { 212_000_000 + second * 4_000 } else { 48_000_000 }),
        memory_peak: Some(if number == 0 { 256_000_000 } else { 61_000_000 }),
        tasks: Some(7),
        oom_kills: Some(0),
    });
    Instances {
        running: 4,
        spares: Some(1),
        max: 20,
        failures: Some(2),
        each: each.collect(),
        last_end: Some(InstanceEnd {
            pid: 4_021,
            at_ms: NOW_MS - 900_000,
            how: "it was killed because memory ran out".into(),
            status: None,
            signal: Some(9),
            oom_kills: 1,
            memory_peak: Some(268_000_000),
            stderr: Vec::new(),
        }),
    }
}

fn overview(second: u64, at_ms: u64) -> Overview {
    let all = servers(second);
    let mut tools = tools(second, at_ms).tools;
    tools.sort_by(|a, b| b.traffic.errors_per_second.total_cmp(&a.traffic.errors_per_second));
    tools.truncate(5);
    let mut worst: Vec<ServerRow> = all.iter().filter(|row| row.status.state.is_bad()).cloned().collect();
    worst.extend(all.iter().filter(|row| !row.status.state.is_bad()).take(3).cloned());
    let mut total = traffic(234.0, 0.021, 9_400, second, 9);
    total.in_flight = all.iter().map(|row| row.status.in_flight).sum();
    Overview {
        status: Status {
            server_connections: Some(PoolStatus { open: 96, max: 500, waiting: 0 }),
            instance: "4f1c9a27".into(),
            version: "0.1.0".into(),
            revision: 12,
            pid: 812,
            started_at_ms: at_ms - 274_000_000,
            uptime_seconds: 274_000 + second,
            draining: false,
            ready: true,
            not_ready: None,
            connections: 412,
            sessions: 318,
            calls_in_flight: total.in_flight,
            overload: None,
            listeners: Vec::new(),
            servers: Vec::new(),
            warnings: Vec::new(),
        },
        traffic: total,
        heat: heat(second, at_ms),
        waiting: all.iter().map(|row| row.status.waiting).sum(),
        saturation: vec![
            Saturation { what: "memory".into(), used: 412_000_000, max: 512_000_000 },
            Saturation { what: "calls:search".into(), used: 71, max: 100 },
            Saturation { what: "connections".into(), used: 412, max: 1_000 },
            Saturation { what: "instances:files".into(), used: 4, max: 20 },
            Saturation { what: "descriptors".into(), used: 1_130, max: 8_192 },
            Saturation { what: "queue:search".into(), used: 37, max: 1_000 },
        ],
        worst_servers: worst,
        worst_tools: tools,
        alerts: alerts(at_ms).into_iter().filter(|alert| alert.recovered_ms.is_none()).collect(),
        process: process(),
    }
}

fn process() -> Process {
    Process {
        cpu: 0.34,
        cpus: 4.0,
        memory: 412_000_000,
        memory_limit: 512_000_000,
        descriptors: 1_130,
        descriptors_limit: 8_192,
        load: 1.42,
        lag_ms: 0.4,
        disk: 0.61,
    }
}

fn heat(second: u64, at_ms: u64) -> Vec<HeatColumn> {
    let column = |back: u64| {
        let counts = (0..=HEAT_BOUNDS_US.len() as u64).map(|bucket| {
            let middle = 4.0 + noise(second - back) * 1.5;
            let far = (to_float(bucket) - middle).abs();
            super::units::to_cells(220.0 * (-far * far / 3.0).exp() + noise(bucket * 77 + second - back) * 1.3, 1_000)
                as u64
        });
        HeatColumn { at_ms: at_ms - back * 1_000, counts: counts.collect() }
    };
    (0..60).rev().map(column).collect()
}

fn alerts(at_ms: u64) -> Vec<Alert> {
    let alert = |id: &str, severity: &str, message: &str, remedy: &str, ago: u64| Alert {
        id: id.into(),
        severity: severity.into(),
        message: message.into(),
        remedy: remedy.into(),
        since_ms: at_ms - ago * 1_000,
        told: 1,
        ..Alert::default()
    };
    vec![
        alert(
            "server_down:tickets",
            "critical",
            "The server tickets cannot be reached.",
            "Look at `systemctl status` of it; the last check says connection refused.",
            140,
        ),
        alert(
            "certificate:public",
            "critical",
            "The certificate of listener public ends tomorrow.",
            "A newer file was refused: its key does not belong to it. Install both files again.",
            5_400,
        ),
        alert(
            "breaker_open:search",
            "warning",
            "The breaker of http://10.0.1.5:8080/mcp is open.",
            "Its server refuses connections; the breaker tries again by itself.",
            310,
        ),
        Alert {
            acknowledged: Some("anna".into()),
            ..alert(
                "memory",
                "warning",
                "Memory is at 80 % of its limit.",
                "Give the unit more memory, or fewer sessions.",
                2_000,
            )
        },
        Alert {
            recovered_ms: Some(at_ms - 700_000),
            ..alert(
                "queue:search",
                "warning",
                "The queue of search was full.",
                "More endpoints, or a smaller queue.",
                1_900,
            )
        },
    ]
}

const CLIENTS: [&str; 12] = [
    "key:agent-7",
    "key:ci-runner",
    "key:support-bot",
    "key:mobile",
    "key:billing",
    "key:nightly",
    "key:dev-anna",
    "key:dev-otto",
    "address:10.0.0.44",
    "key:partner-x",
    "key:old-laptop",
    "key:unused",
];

const TOOLS: [&str; 10] =
    ["forecast", "lookup", "charge", "read_file", "create", "list", "update", "delete_all", "summary", "export"];

fn tools(second: u64, at_ms: u64) -> Tools {
    let tools = (0..40_u64).map(|number| {
        let (server, _, _, rate, errors, base) = SERVERS[usize::try_from(number % 4).unwrap_or(0)];
        let name = format!(
            "{}{}",
            TOOLS[usize::try_from(number % 10).unwrap_or(0)],
            if number < 10 { String::new() } else { format!("_{}", number / 10) }
        );
        let share = 1.0 / to_float(number / 4 + 2);
        let mut row = ToolRow {
            server: server.into(),
            tool: name,
            traffic: traffic(rate * share, errors * share * 2.0, base + number * 900, second, number),
            callers: (0..3)
                .map(|rank| Caller {
                    client: CLIENTS[usize::try_from((number + rank) % 9).unwrap_or(0)].into(),
                    calls: 4_000 / (number + 1) / (rank + 1),
                })
                .collect(),
            largest: 1_200 * (number + 1),
            ..ToolRow::default()
        };
        match number {
            2 => row.callers.insert(0, Caller { client: "key:agent-7".into(), calls: 16_200 }),
            5 => row.changed_ms = Some(at_ms - 400_000),
            6 => (row.withheld, row.changed_ms) = (true, Some(at_ms - 7_200_000)),
            9 => row.disabled = Some("This tool is being repaired.".into()),
            _ => {}
        }
        row
    });
    Tools { total: 40, tools: tools.collect() }
}

fn clients(second: u64, at_ms: u64) -> Clients {
    let row = |(number, id): (u64, &str)| {
        let rate =
            [96.0, 41.0, 33.0, 22.0, 14.0, 9.0, 4.0, 3.0, 2.0, 0.8, 0.0, 0.0][usize::try_from(number).unwrap_or(0)];
        let mut row = ClientRow {
            id: id.to_owned(),
            owner: id.split_once(':').map_or(id, |(_, name)| name).to_owned(),
            tier: Some(if number % 3 == 0 { "paid" } else { "free" }.to_owned()),
            scopes: if number == 4 { vec!["payments/*".into()] } else { Vec::new() },
            sessions: (48_u64).saturating_sub(number * 5),
            waiting: if number == 0 { 35 } else { 0 },
            traffic: traffic(rate, 0.01, 11_000, second, number + 50),
            last_seen_ms: (number < 11).then(|| at_ms - number * number * 40_000),
            ..ClientRow::default()
        };
        match number {
            0 => row.busiest = Some(Busiest { tool: "payments/charge".into(), calls_last_minute: 5_412 }),
            3 => row.expires_at_ms = Some(at_ms + 3 * 86_400_000),
            9 => {
                row.suspended = Some(Suspension {
                    say: "Your key is suspended; write to ops@example.org.".into(),
                    since_ms: at_ms - 600_000,
                    until_ms: None,
                    who: "anna".into(),
                    reason: Some("loops".into()),
                });
            }
            10 => row.expires_at_ms = Some(at_ms - 86_400_000),
            _ => {
                row.busiest = Some(Busiest {
                    tool: format!("weather/{}", TOOLS[usize::try_from(number % 10).unwrap_or(0)]),
                    calls_last_minute: 400 / (number + 1),
                });
            }
        }
        row
    };
    Clients { total: 12, clients: (0..).zip(CLIENTS).map(row).collect() }
}

fn sessions(second: u64) -> Sessions {
    let session = |number: u64| SessionRow {
        id: format!("{:016x}", 0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(number + 3)),
        client: CLIENTS[usize::try_from(number % 9).unwrap_or(0)].into(),
        view: if number.is_multiple_of(4) { "support".into() } else { String::new() },
        servers: match number % 3 {
            0 => vec!["weather".into()],
            1 => vec!["search".into(), "files".into()],
            _ => vec!["files".into()],
        },
        protocol: "2025-11-25".into(),
        agent: "claude-code/2.1.0".into(),
        age_seconds: 60 + number * 311,
        idle_seconds: number * number / 3 + second % 2,
        in_flight: u64::from(number.is_multiple_of(5)),
        streams: u64::from(number.is_multiple_of(2)),
        bytes_in: 40_000 + number * 3_210,
        bytes_out: 900_000 + number * 77_000,
        calls: 900 - number * 17,
        errors: if number.is_multiple_of(7) { 12 } else { 0 },
        last: "tools/call forecast".into(),
    };
    Sessions { total: 318, sessions: (0..24).map(session).collect() }
}

fn limits(at_ms: u64) -> LimitsView {
    let limit =
        |name: &str, place: &str, per: &str, configured: &str, capacity: u64, used: u64, rejected: u64| LimitStatus {
            forgotten: 0,
            name: name.into(),
            place: place.into(),
            per: per.into(),
            counted: "calls".into(),
            configured: configured.into(),
            effective: configured.into(),
            keys: 12,
            capacity,
            used,
            rejected,
            rejected_per_second: to_float(rejected) / 400.0,
            top: Vec::new(),
            set: None,
        };
    let mut all = vec![
        limit("limit.1", "limit", "global", "1000/min", 1_000, 870, 14),
        limit("tier.free.1", "tier.free", "client", "100/min", 100, 100, 1_204),
        limit("tier.paid.1", "tier.paid", "client", "10000/min", 10_000, 5_412, 0),
        limit("server.payments.1", "server.payments", "client, tool", "10/s", 10, 4, 0),
        limit("listener.public.1", "listener.public", "address", "100/15min", 100, 61, 9),
    ];
    all[1].top = vec![
        LimitKey { key: "client=key:ci-runner".into(), rejected: 1_180 },
        LimitKey { key: "client=key:dev-otto".into(), rejected: 24 },
    ];
    all[3].effective = "2/s".into();
    all[3].set = Some(LimitOverride {
        value: "2/s".into(),
        expires_in_seconds: 430,
        expires_at_ms: at_ms + 430_000,
        who: "anna".into(),
        reason: Some("agent-7 loops".into()),
    });
    LimitsView { revision: 12, limits: all }
}

fn health(second: u64, at_ms: u64) -> Health {
    let check = |name: &str, status: &str, message: &str, critical: bool| Check {
        name: name.into(),
        status: status.into(),
        message: message.into(),
        critical,
        age_ms: second % 30 * 1_000,
        took_us: 2_400,
    };
    Health {
        status: "warning".into(),
        checks: vec![
            check("memory", "warning", "412 MB of 512 MB are used.", false),
            check("server:weather", "healthy", "2 of 2 endpoints answer.", true),
            check("server:search", "warning", "1 of 2 endpoints answers.", false),
            check("server:tickets", "unhealthy", "Connection refused.", false),
            check("disk", "healthy", "61 % of the state folder's file system is used.", false),
        ],
        alerts: alerts(at_ms),
        advice: Some(Advice {
            action: "stay".into(),
            replicas: 2,
            current: 2,
            reason: "The processors are at 34 % of 70 %.".into(),
        }),
        process: process(),
    }
}

fn calls(second: u64) -> Calls {
    let call = |number: u64| CallRow {
        id: format!("01jd{number:04x}-{second:x}"),
        stage: ["server", "queue", "stream"][usize::try_from(number % 3).unwrap_or(0)].into(),
        age_ms: 8_400 / (number + 1),
        client: CLIENTS[usize::try_from(number % 9).unwrap_or(0)].into(),
        session: String::new(),
        server: ["search", "payments"][usize::try_from(number % 2).unwrap_or(0)].into(),
        method: "tools/call".into(),
        name: TOOLS[usize::try_from(number % 10).unwrap_or(0)].into(),
    };
    Calls { total: 6, calls: (0..6).map(call).collect() }
}

fn queues() -> Queues {
    let calls = (0..37_u64).map(|position| QueuedCall {
        position,
        client: if position < 35 { "key:agent-7" } else { "key:mobile" }.into(),
        tier: Some("free".into()),
        waited_ms: 1_840 - position * 40,
    });
    Queues {
        servers: vec![QueueStatus {
            held_back: 0,
            server: "search".into(),
            in_flight: 71,
            cap: 100,
            max_calls: 100,
            waiting: 37,
            timeout_ms: 5_000,
            max_size: 1_000,
            waiting_for_own: 0,
            oldest_ms: 1_840,
            adaptive: None,
            tiers: Vec::new(),
            calls: calls.collect(),
        }],
    }
}

fn config(at_ms: u64) -> ConfigView {
    let value = |key: &str, value: &str, origin: &str| ConfigValue {
        key: key.into(),
        value: value.into(),
        origin: origin.into(),
    };
    ConfigView {
        revision: 12,
        loaded_at_ms: at_ms - 7_000_000,
        files: vec!["/etc/toolgate/toolgate.toml".into(), "/etc/toolgate/conf.d/keys.toml".into()],
        warnings: vec!["key.old-laptop: it has expired; nobody can use it.".into()],
        from_history: None,
        values: vec![
            value("listener.public.address", "[\"0.0.0.0:443\", \"[::]:443\"]", "/etc/toolgate/toolgate.toml:4"),
            value("listener.public.auth", "[\"key\", \"jwt\"]", "/etc/toolgate/toolgate.toml:8"),
            value("server.weather.endpoints", "2 URLs", "/etc/toolgate/toolgate.toml:20"),
            value("server.weather.queue.max_size", "1000", "default"),
            value("server.files.instances.memory", "256M", "/etc/toolgate/toolgate.toml:41"),
            value("key.ci-runner.secret", "***", "/etc/toolgate/conf.d/keys.toml:9"),
            value("log.level", "info", "environment"),
        ],
    }
}

/// Calls that ended, as the tail tells them.
pub(super) fn tail() -> Vec<TailLine> {
    let line = |number: u64| {
        let outcome = match number % 11 {
            3 => "error",
            7 => "refused",
            _ => "ok",
        };
        let base = 2_000 + super::units::to_cells(noise(number) * 80_000.0, 100_000) as u64;
        RequestLine {
            at_ms: NOW_MS - (60 - number) * 450,
            id: format!("01jc{number:06x}"),
            client: CLIENTS[usize::try_from(number % 9).unwrap_or(0)].into(),
            session: String::new(),
            listener: "public".into(),
            server: SERVERS[usize::try_from(number % 4).unwrap_or(0)].0.into(),
            method: "tools/call".into(),
            name: TOOLS[usize::try_from(number % 10).unwrap_or(0)].into(),
            outcome: outcome.into(),
            status: if outcome == "error" { 502 } else { 200 },
            failure: match outcome {
                "error" => "server",
                "refused" => "limit",
                _ => "",
            }
            .into(),
            cause: match outcome {
                "error" => "connection refused",
                "refused" => "limit tier.free.1",
                _ => "",
            }
            .into(),
            bytes_in: 380,
            bytes_out: 4_100 + number * 13,
            read_us: 90,
            queue_us: base / 10,
            connect_us: base / 30,
            first_byte_us: base * 3 / 4,
            stream_us: base / 9,
            total_us: base,
        }
    };
    (0..60).map(|number| TailLine::Request(line(number))).collect()
}

/// Certificates, as the daemon tells them when it is asked.
pub(super) fn certificates() -> Certificates {
    let certificate = |listener: &str, name: &str, days: u64, refused: Option<&str>| Certificate {
        listener: listener.into(),
        file: format!("/etc/toolgate/tls/{listener}.pem"),
        names: vec![name.into()],
        issuer: "Example CA 3".into(),
        fingerprint: "ab".repeat(32),
        not_before_ms: NOW_MS - 80 * 86_400_000,
        not_after_ms: NOW_MS + days * 86_400_000,
        loaded_ms: NOW_MS - 80 * 86_400_000,
        refused: refused.map(str::to_owned),
    };
    Certificates {
        certificates: vec![
            certificate(
                "public",
                "mcp.example.org",
                1,
                Some("The key does not belong to the certificate. Install both files again."),
            ),
            certificate("internal", "gate.internal", 64, None),
        ],
    }
}

/// Changes, as the daemon tells them when it is asked.
pub(super) fn audit() -> Audit {
    let record = |number: u64, action: &str, target: &str, outcome: &str| AuditRecord {
        number,
        at_ms: NOW_MS - (40 - number) * 60_000,
        uid: 1_000,
        user: "anna".into(),
        pid: Some(4_242),
        action: action.into(),
        target: target.into(),
        reason: Some("agent-7 loops".into()),
        outcome: outcome.into(),
        revision: 12,
        ..AuditRecord::default()
    };
    Audit {
        records: vec![
            record(31, "server.drain", "payments", "done"),
            record(32, "limit.override", "server.payments.1", "done"),
            record(33, "client.suspend", "key:partner-x", "done"),
            record(34, "config.reload", "", "refused: 2 errors"),
        ],
    }
}

/// Writes a recording that the console plays: `TOOLGATE_RECORDING=FILE cargo test -p toolgate recording_is_written`.
#[test]
fn recording_is_written() {
    use std::io::Write;
    let Some(path) = std::env::var_os("TOOLGATE_RECORDING") else { return };
    let mut file = std::io::BufWriter::new(std::fs::File::create(path).expect("file"));
    let mut told = tail().into_iter();
    for line in lines(120) {
        serde_json::to_writer(&mut file, &line).expect("written");
        writeln!(file).expect("written");
        if let WatchLine::Topic { topic: Topic::Config(_), at_ms } = line
            && let Some(TailLine::Request(request)) = told.next()
        {
            let line = TailLine::Request(RequestLine { at_ms, ..request });
            serde_json::to_writer(&mut file, &line).expect("written");
            writeln!(file).expect("written");
        }
    }
}
