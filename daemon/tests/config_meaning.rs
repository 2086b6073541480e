//! What values mean once they are read, what `--dump` and `--json` show, and that no text of any
//! form ends the process.

use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;
use toolgated::config::settings::{Measure, Per, Transport};
use toolgated::config::{self, Environment, Scrutiny, Settings, check};

fn read(text: &str) -> Settings {
    config::from_text(text).unwrap_or_else(|report| panic!("{}", report.render(false)))
}

const EXAMPLE: &str = include_str!("config/valid/example.toml");
const EVERY_KIND: &str = include_str!("config/valid/every-kind.toml");
const PACKAGED: &str = include_str!("../../packaging/toolgate.toml");
const EXAMPLES: &str = include_str!("../../packaging/examples.toml");

#[test]
fn the_example_of_the_design_means_what_it_says() {
    let settings = read(EXAMPLE);
    let public = &settings.listeners[0];
    assert_eq!(public.name, "public");
    assert_eq!(public.addresses.len(), 2);
    assert!(public.serve.mcp && public.serve.health && !public.serve.metrics);
    let weather = &settings.servers["weather"];
    let Transport::Http(http) = &weather.transport else { panic!("not over HTTP") };
    assert_eq!(http.endpoints[1].authority(), "10.0.0.8:3001");
    assert_eq!(http.pool.max_connections, 50);
    assert!(weather.critical);
    assert_eq!(weather.tools.deny, ["delete_*"]);
    let Transport::Stdio(stdio) = &settings.servers["files"].transport else { panic!("not over stdio") };
    assert_eq!(stdio.instances.per, Some(Per::Session));
    assert_eq!(stdio.instances.memory, Some(256 << 20));
    assert_eq!(settings.profiles["support"].servers, ["weather", "files"]);
    let free = &settings.tiers["free"].limits;
    assert_eq!(free[0].measure, Measure::Rate { count: 100, period: Duration::from_secs(60), burst: 20 });
    assert_eq!(free[1].measure, Measure::Concurrent(10));
    assert_eq!(settings.limits[0].name, "limit.1");
    assert_eq!(settings.limits[0].measure, Measure::Window { count: 1000, period: Duration::from_secs(60) });
}

#[test]
fn numbers_of_conditions_are_kept_as_they_are_written() {
    let settings = read(EVERY_KIND);
    let tests: Vec<String> =
        settings.roles["reader"].when.iter().flat_map(|one| &one.tests).map(ToString::to_string).collect();
    let expected = [
        "a number not above 1e400",
        "a number not below 0.1",
        "one of \"x\", 1, -0.5, true",
        "a string like \"DE[0-9]{20}\"",
        "1000",
    ];
    assert_eq!(tests, expected);
    let named = |roles: &[std::sync::Arc<toolgated::identity::rights::Role>]| {
        roles.iter().map(|role| role.name.clone()).collect::<Vec<_>>()
    };
    assert_eq!(named(&settings.keys["abcd1234"].roles), ["reader"]);
    assert_eq!(named(&settings.organisations["acme"].roles), ["narrow", "reader"]);
    assert!(settings.roles["narrow"].allow.is_none() && settings.roles["reader"].deny.is_empty());
}

#[test]
fn the_most_telling_cost_comes_first() {
    let settings = read(
        "version = 1\n[listener.a]\naddress = \"127.0.0.1:1\"\nauth = \"key\"\n[server.x]\nendpoints = \"http://127.0.0.1:1/mcp\"\n\
         tools.cost = { \"*\" = 2, \"search_*\" = 5, \"search_all\" = 50, free = 0 }\n",
    );
    let costs: Vec<_> = settings.servers["x"].costs.iter().map(|(name, cost)| (name.as_str(), *cost)).collect();
    assert_eq!(costs, [("search_all", 50), ("free", 0), ("search_*", 5), ("*", 2)]);
}

#[test]
fn what_is_not_written_has_the_promised_default() {
    let settings = read(
        "version = 1\n[listener.a]\naddress = \"127.0.0.1:1\"\nauth = \"key\"\n[server.x]\nendpoints = \"http://127.0.0.1:1/mcp\"\n",
    );
    let bounds = &settings.listeners[0].bounds;
    assert_eq!(bounds.body_bytes, 10 << 20);
    assert_eq!(bounds.keep_alive, Duration::from_secs(65));
    assert!(bounds.head_timeout <= Duration::from_secs(66));
    let timeout = &settings.servers["x"].timeout;
    assert_eq!(
        (timeout.connect, timeout.first_byte, timeout.total),
        (Duration::from_secs(2), Duration::from_secs(30), None)
    );
    assert!(settings.limits.is_empty());
}

#[test]
fn security_headers_are_set_and_can_be_removed() {
    let settings = read(EVERY_KIND);
    let header = |listener: usize, name: &str| {
        let headers = &settings.listeners[listener].security_headers;
        headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
    };
    assert_eq!(header(0, "strict-transport-security").as_deref(), Some("max-age=31536000"));
    assert_eq!(header(1, "strict-transport-security"), None);
    assert_eq!(header(0, "x-frame-options"), None);
    assert_eq!(header(1, "x-frame-options").as_deref(), Some("DENY"));
    assert_eq!(header(0, "x-foo").as_deref(), Some("bar"));
    assert_eq!(header(0, "content-security-policy").as_deref(), Some("default-src 'self'"));
}

#[test]
fn a_missing_secret_keeps_no_start_from_serving_and_refuses_everybody_else() {
    let folder = tempfile::tempdir().expect("a folder");
    let main = folder.path().join("toolgate.toml");
    let given = folder.path().join("given");
    std::fs::create_dir(&given).expect("a folder");
    std::fs::write(given.join("empty"), "\n").expect("a credential");
    std::fs::write(folder.path().join("empty"), "\r\n").expect("a file");
    std::fs::write(folder.path().join("garbled"), "a\u{1b}b\n").expect("a file");
    let variables = [("CREDENTIALS_DIRECTORY".to_owned(), given.display().to_string())];
    for (secret, told) in [
        ("credential:none", "/none cannot be read"),
        ("credential:empty", "write it to /etc/toolgate/credentials/empty"),
        ("file:none", "/none cannot be read"),
        ("file:empty", "/empty is empty"),
        ("env:NONE", "\"NONE\" is not set"),
        ("file:garbled", "a control character"),
    ] {
        for line in ["bearer", "headers.x-key"] {
            let text =
                format!("version = 1\n[server.a]\nendpoints = \"http://127.0.0.1:1/mcp\"\n{line} = \"{secret}\"\n");
            std::fs::write(&main, text).expect("a file");
            let load = |scrutiny| config::load(&main, &Environment { variables: variables.clone().into(), scrutiny });
            let (settings, _) = load(Scrutiny::Start).expect("a start serves");
            let lacks = settings.servers["a"].lacks().unwrap_or_default();
            // A file may come by and by; what it lacks is told by whoever reads it again.
            assert!(secret.starts_with("file:") || lacks.contains(told), "{secret}: {lacks}");
            assert!(settings.warnings.iter().any(|warning| warning.contains(told)), "{:?}", settings.warnings);
            assert!(load(Scrutiny::Front).is_err(), "{secret}");
        }
    }
    std::fs::write(
        &main,
        "version = 1\n[server.a]\nendpoints = \"http://127.0.0.1:1/mcp\"\nbearer = \"credential:a/b\"\n",
    )
    .expect("a file");
    let environment = Environment { variables: variables.into(), scrutiny: Scrutiny::Start };
    assert!(config::load(&main, &environment).is_err(), "what is written wrongly is no secret that is missing");
}

#[test]
fn a_command_is_refused_an_empty_secret_by_every_reader() {
    let folder = tempfile::tempdir().expect("a folder");
    let main = folder.path().join("toolgate.toml");
    std::fs::write(folder.path().join("empty"), "").expect("a file");
    std::fs::write(&main, "version = 1\n[server.a]\ncommand = [\"a\"]\nenv.X = \"file:empty\"\n").expect("a file");
    for scrutiny in [Scrutiny::Operator, Scrutiny::Keeper, Scrutiny::Daemon] {
        let report = config::load(&main, &Environment { scrutiny, ..Environment::default() }).expect_err("refused");
        assert!(report.render(false).contains("empty is empty"), "{}", report.render(false));
    }
}

#[test]
fn one_server_is_compared_on_its_own() {
    let old = read(EXAMPLE);
    let new = read(&EXAMPLE.replace("max_size = 1000", "max_size = 1001"));
    assert_ne!(old.servers["weather"], new.servers["weather"]);
    assert_eq!(old.servers["files"], new.servers["files"]);
}

#[test]
fn the_packaged_file_is_usable_as_it_is_and_with_all_its_examples() {
    let settings = read(PACKAGED);
    assert_eq!(settings.warnings, Vec::<String>::new());
    let local = &settings.listeners[0];
    assert!(local.addresses.iter().all(|address| address.ip().is_loopback()), "nobody else connects yet");
    let tls = local.tls.as_ref().expect("TLS from the first start");
    assert!(tls.certificates[0].chain.ends_with("tls/local.crt"), "in the state folder, which the text does not know");
    assert!(tls.self_signed.as_ref().is_some_and(|names| names.contains(&"localhost".to_owned())));
    let all: String = EXAMPLES
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(example) if !example.starts_with(' ') => format!("{example}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    assert_ne!(all, EXAMPLES);
    let settings = read(&format!("{PACKAGED}{all}"));
    assert_eq!(settings.listeners.len(), 4);
    assert_eq!(settings.servers.len(), 5);
}

#[test]
fn a_dump_names_the_origin_of_every_value_and_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    let main = folder.path().join("toolgate.toml");
    std::fs::create_dir(folder.path().join("conf.d")).unwrap();
    std::fs::write(&main, "version = 1\nlog.level = \"warn\"\n").unwrap();
    let text = "[server.x]\ncommand = [\"a b\", \"c\"]\nenv = { TOKEN = \"canary\", REF = \"env:NAME\" }\n";
    std::fs::write(folder.path().join("conf.d/10.toml"), text).unwrap();
    let variables = [("TOOLGATE_LOG__LEVEL".to_owned(), "debug".to_owned())].into();
    let (report, dump) = check::inspect(&main, &Environment { variables, ..Environment::default() });
    assert!(!report.has_errors(), "{}", report.render(false));
    let line = |start: &str| {
        dump.lines().find(|line| line.starts_with(start)).unwrap_or_else(|| panic!("no {start} in:\n{dump}"))
    };
    assert!(line("log.level = \"debug\"").ends_with("# TOOLGATE_LOG__LEVEL"));
    assert!(line("log.access = true").ends_with("# default"));
    assert!(line("server.x.command = [\"a b\", \"c\"]").ends_with("10.toml:2"));
    assert!(line("server.x.env.TOKEN").contains("***"));
    assert!(line("server.x.env.REF").contains("env:NAME"));
    assert!(!dump.contains("canary"));
}

#[test]
fn the_json_report_has_what_scripts_need() {
    let report = config::from_text("version = 1\n[log]\nlevle = \"info\"\n").unwrap_err();
    let json = report.to_json();
    assert_eq!(json["usable"], false);
    let problem = json["problems"].as_array().unwrap().iter().find(|problem| problem["code"] == "unknown-key").unwrap();
    assert_eq!(problem["severity"], "error");
    assert_eq!((&problem["line"], &problem["column"]), (&3.into(), &1.into()));
    assert_eq!(problem["file"], "toolgate.toml");
    assert_eq!(problem["help"], "did you mean `level`?");
}

#[test]
fn a_file_that_does_not_exist_is_one_problem() {
    let report = config::load(Path::new("/nonexistent/toolgate.toml"), &Environment::default()).unwrap_err();
    assert_eq!(report.problems.len(), 1);
    assert!(report.render(false).contains("/nonexistent/toolgate.toml cannot be read"));
}

/// What a slip of the hand, an editor or a merge does to a file.
#[derive(Debug, Clone)]
enum Slip {
    Delete(usize, usize),
    Insert(usize, String),
    Swap(usize, usize),
    Repeat(usize),
}

fn slip() -> impl Strategy<Value = Slip> {
    let text = prop_oneof![
        prop::sample::select(vec![
            "\"",
            "[",
            "]",
            "{",
            "}",
            "=",
            ".",
            ",",
            "\n",
            "#",
            "'''",
            "\u{0}",
            "é",
            "99999999999999999999",
            "-1",
            "1e400",
            "[[limit]]",
            "[server.x]",
            "false",
            "\\"
        ])
        .prop_map(str::to_owned),
        "\\PC{0,4}",
    ];
    prop_oneof![
        (any::<usize>(), 1..20_usize).prop_map(|(at, length)| Slip::Delete(at, length)),
        (any::<usize>(), text).prop_map(|(at, text)| Slip::Insert(at, text)),
        (any::<usize>(), any::<usize>()).prop_map(|(one, other)| Slip::Swap(one, other)),
        any::<usize>().prop_map(Slip::Repeat),
    ]
}

fn apply(text: &str, slip: &Slip) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    let mut lines: Vec<&str> = text.lines().collect();
    match slip {
        _ if chars.is_empty() || lines.is_empty() => text.to_owned(),
        Slip::Delete(at, length) => {
            let at = at % chars.len();
            chars.drain(at..(at + length).min(chars.len()));
            chars.into_iter().collect()
        }
        Slip::Insert(at, more) => {
            let at = at % chars.len();
            chars.splice(at..at, more.chars());
            chars.into_iter().collect()
        }
        Slip::Swap(one, other) => {
            let count = lines.len();
            lines.swap(one % count, other % count);
            lines.join("\n")
        }
        Slip::Repeat(at) => {
            let at = at % lines.len();
            lines.insert(at, lines[at]);
            lines.join("\n")
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn a_thousand_damaged_files_are_answered_with_a_report(
        base in prop::sample::select(vec![EXAMPLE, EVERY_KIND, PACKAGED]),
        slips in prop::collection::vec(slip(), 1..6),
    ) {
        let text = slips.iter().fold(base.to_owned(), |text, slip| apply(&text, slip));
        let folder = tempfile::tempdir().unwrap();
        let main = folder.path().join("toolgate.toml");
        std::fs::write(&main, &text).unwrap();
        let (report, _) = check::inspect(&main, &Environment::default());
        prop_assert_eq!(report.has_errors(), config::from_text(&text).is_err());
        prop_assert_eq!(report.render(true).contains("cannot be used"), report.has_errors());
        for problem in &report.problems {
            prop_assert!(!problem.message.is_empty() && !problem.help.is_empty());
        }
        let shown = report.to_json();
        prop_assert_eq!(shown["problems"].as_array().map(Vec::len), Some(report.problems.len()));
    }
}

#[test]
fn each_process_looks_at_its_own_secrets_only() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("toolgate.toml");
    let text = r#"
version = 1
[listener.a]
address = "127.0.0.1:1"
auth = "key"
tls.certificates = [{ chain = "chain.pem", key = "key.pem" }]
[server.http]
endpoints = "http://127.0.0.1:1/mcp"
bearer = "file:of-the-front"
headers = { x-key = "env:OF_THE_FRONT" }
[server.stdio]
command = "x"
env = { TOKEN = "file:of-the-keeper", OTHER = "env:OF_THE_KEEPER" }
"#;
    std::fs::write(&file, text).unwrap();
    let report = |scrutiny| {
        let environment = Environment { scrutiny, ..Environment::default() };
        let (Ok((_, report)) | Err(report)) = config::load(&file, &environment);
        report.render(false)
    };
    let (front, keeper) = (report(Scrutiny::Front), report(Scrutiny::Keeper));
    for missing in ["of-the-front cannot be read", "\"OF_THE_FRONT\" is not set", "chain.pem cannot be read"] {
        assert!(front.contains(missing) && !keeper.contains(missing), "{missing}:\n{front}\n{keeper}");
    }
    for missing in ["of-the-keeper cannot be read", "\"OF_THE_KEEPER\" is not set"] {
        assert!(keeper.contains(missing) && !front.contains(missing), "{missing}:\n{front}\n{keeper}");
    }
    let operator = report(Scrutiny::Operator);
    assert!(operator.contains("of-the-front cannot") && operator.contains("of-the-keeper cannot"), "{operator}");
}
