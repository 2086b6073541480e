//! What is rendered, read again by another reader of systemd's rules, written from its manual.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// systemd's side: how it reads what was rendered.
pub(super) mod systemd {
    /// The words of a value, as a service has them: unquoted (systemd.syntax(7), "Quoting") and with
    /// specifiers replaced (systemd.unit(5)); an error where systemd would read something else.
    pub(in crate::generator) fn words(line: &str) -> Result<Vec<String>, String> {
        if line.contains(['\n', '\r', '\0']) || line.ends_with('\\') {
            return Err("the line ends elsewhere".into());
        }
        let mut words = Vec::new();
        let mut rest = line.trim_start_matches([' ', '\t']);
        while !rest.is_empty() {
            let (word, after) = word(rest)?;
            words.push(specifiers(&word)?);
            rest = after.trim_start_matches([' ', '\t']);
        }
        Ok(words)
    }

    fn word(text: &str) -> Result<(String, &str), String> {
        let mut bytes = Vec::new();
        let mut quote = None;
        let mut chars = text.char_indices();
        while let Some((at, c)) = chars.next() {
            match (c, quote) {
                (' ' | '\t', None) => return Ok((utf8(bytes)?, &text[at..])),
                ('"' | '\'', None) => quote = Some(c),
                (c, Some(open)) if c == open => quote = None,
                ('\\', _) => match chars.next().ok_or("a backslash at the end")?.1 {
                    'x' => {
                        let digits: String =
                            [chars.next(), chars.next()].into_iter().flatten().map(|(_, c)| c).collect();
                        bytes.push(u8::from_str_radix(&digits, 16).map_err(|e| e.to_string())?);
                    }
                    c @ ('\\' | '"' | '\'') => bytes.push(c as u8),
                    'n' => bytes.push(b'\n'),
                    't' => bytes.push(b'\t'),
                    's' => bytes.push(b' '),
                    other => return Err(format!("the escape {other:?} is not used here")),
                },
                (c, _) => bytes.extend(c.to_string().bytes()),
            }
        }
        if quote.is_some() { Err("a quote is not closed".into()) } else { Ok((utf8(bytes)?, "")) }
    }

    fn specifiers(word: &str) -> Result<String, String> {
        let mut pieces = word.split("%%");
        if pieces.clone().any(|piece| piece.contains('%')) {
            return Err(format!("{word:?} has a specifier"));
        }
        Ok(pieces.by_ref().collect::<Vec<_>>().join("%"))
    }

    fn utf8(bytes: Vec<u8>) -> Result<String, String> {
        String::from_utf8(bytes).map_err(|error| error.to_string())
    }

    /// `KEY=VALUE` lines by section and key, in their order.
    pub(in crate::generator) fn settings(text: &str) -> Vec<(String, String, String)> {
        let mut section = String::new();
        let mut found = Vec::new();
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with(['#', ';'])) {
            if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
                name.clone_into(&mut section);
            } else {
                let (key, value) = line.split_once('=').expect("a setting");
                found.push((section.clone(), key.to_owned(), value.to_owned()));
            }
        }
        found
    }
}

const FOLDER: &str = "/run/systemd/generator";

/// The units of a configuration, rendered as the generator does.
pub(super) fn rendered(text: &str) -> (Units, Vec<String>) {
    let (parts, mut problems) = parts(text);
    let (units, left_out) = render(&parts, FOLDER);
    problems.extend(left_out);
    (units, problems)
}

fn parts(text: &str) -> (Parts, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("toolgate.toml");
    std::fs::write(&path, format!("version = 1\n{text}")).unwrap();
    salvage(&path)
}

fn good(text: &str) -> Units {
    let (units, problems) = rendered(text);
    assert_eq!(problems, [] as [String; 0]);
    units
}

/// The values of a key, with the words of each.
fn values(units: &Units, path: &str, key: &str) -> Vec<String> {
    let text = units.text(path).unwrap_or_else(|| panic!("no {path} among {units:?}"));
    systemd::settings(text).into_iter().filter(|(_, name, _)| name == key).map(|(.., value)| value).collect()
}

fn argv(units: &Units, server: &str) -> Vec<String> {
    let line = values(units, &server::service_unit(server), "ExecStart").remove(0);
    systemd::words(line.strip_prefix(':').expect("no variables are replaced")).expect("words")
}

const LISTENERS: &str = "\
    [listener.public]\naddress = [\"0.0.0.0:443\", \"[::]:443\"]\nauth = \"key\"\nplain = true\n\
    [listener.internal]\naddress = \"10.0.0.7:9090\"\nserve = [\"health\"]\nplain = true\n\
    [listener.any]\naddress = \"127.0.0.1:0\"\nauth = \"key\"\n";

#[test]
fn each_listener_has_a_socket_of_its_name() {
    let units = good(LISTENERS);
    assert_eq!(values(&units, "toolgated-public.socket", "ListenStream"), ["0.0.0.0:443", "[::]:443"]);
    assert_eq!(values(&units, "toolgated-public.socket", "FileDescriptorName"), ["public"]);
    assert_eq!(
        values(&units, "toolgated-public.socket", "TriggerLimitIntervalSec"),
        ["0"],
        "it never closes by itself"
    );
    assert!(values(&units, "toolgated-public.socket", "FreeBind").is_empty());
    assert_eq!(values(&units, "toolgated-internal.socket", "FreeBind"), ["yes"]);
    assert_eq!(
        values(&units, front::DROP_IN, "Sockets"),
        ["toolgated-public.socket", "toolgated-internal.socket"],
        "port 0 is bound by the gate itself"
    );
}

#[test]
fn bounds_of_the_gate_follow_the_configuration() {
    let value = |text: &str, key: &str| values(&good(text), front::DROP_IN, key).remove(0).parse::<usize>().unwrap();
    assert_eq!(value("", "FileDescriptorStoreMax"), 64);
    assert_eq!(value("", "LimitNOFILE"), 65_536);
    assert_eq!(value("", "TimeoutStopSec"), 45);
    let more = "[daemon]\ndrain_timeout = \"1m1ms\"\nmax_connections = 200_000\n\
        [server.a]\ncommand = [\"a\"]\ninstances = { max = 100, spares = 3 }\n\
        [server.b]\nendpoints = \"http://127.0.0.1:1/mcp\"\npool.max_connections = 500\n\
        [server.off]\ncommand = [\"off\"]\nenabled = false\ninstances.max = 1000\n";
    assert_eq!(value(more, "FileDescriptorStoreMax"), 64 + 105);
    assert_eq!(
        value(more, "LimitNOFILE"),
        262_144,
        "200,000 clients, 500 connections, 1,000 streams, 105 instances and some"
    );
    assert_eq!(value(more, "TimeoutStopSec"), 76);
    assert_eq!(values(&good(more), "toolgate-server-a.socket", "MaxConnections"), ["105"]);
    assert_eq!(values(&good(more), front::DROP_IN, "Wants"), ["toolgate-server-a.socket"]);
}

#[test]
fn a_server_gets_what_was_granted_and_nothing_else() {
    let plain = good("[server.files]\ncommand = [\"mcp-files\", \"/srv\"]\n");
    let service = server::service_unit("files");
    let value = |units: &Units, key: &str| values(units, &service, key);
    assert_eq!(argv(&plain, "files"), ["/usr/bin/toolgated", "instance", "files", "--", "mcp-files", "/srv"]);
    assert_eq!(value(&plain, "PrivateNetwork"), ["yes"]);
    assert_eq!(value(&plain, "RestrictAddressFamilies"), ["AF_UNIX"]);
    assert_eq!(value(&plain, "ProtectHome"), ["yes"]);
    assert_eq!(value(&plain, "MemoryMax"), [] as [&str; 0]);
    assert_eq!(value(&plain, "User"), ["tg-files"]);

    let more = good(
        "[server.files]\ncommand = [\"mcp-files\"]\nnetwork = true\nnetwork_allow = [\"10.0.0.0/8\", \"::1\"]\n\
        read = \"/home/a b\"\nwrite = [\"/srv/x%\", \"/root/w\"]\ngroups = [\"shared\"]\ndirectory = \"/srv\"\n\
        instances = { memory = \"256M\", tasks = 64, cpu = \"150%\" }\n",
    );
    assert_eq!(value(&more, "PrivateNetwork"), [] as [&str; 0]);
    assert_eq!(value(&more, "IPAddressAllow"), ["10.0.0.0/8", "::1/128"]);
    assert_eq!(value(&more, "IPAddressDeny"), ["any"]);
    assert_eq!(value(&more, "ProtectHome"), ["tmpfs"]);
    assert_eq!(systemd::words(&value(&more, "BindReadOnlyPaths")[0]).unwrap(), ["-/home/a b"]);
    assert_eq!(systemd::words(&value(&more, "ReadWritePaths")[0]).unwrap(), ["-/srv/x%"]);
    assert_eq!(value(&more, "BindPaths"), ["-/root/w"]);
    assert_eq!(value(&more, "SupplementaryGroups"), ["shared"]);
    assert_eq!((value(&plain, "UMask"), value(&more, "UMask")), (vec!["0077".into()], vec!["0007".into()]));
    assert_eq!(value(&more, "MemoryMax"), ["268435456"]);
    assert_eq!(value(&more, "CPUQuota"), ["150%"]);
    let words = argv(&more, "files");
    let after = |option: &str| -> Vec<&str> {
        words.iter().zip(&words[1..]).filter(|(name, _)| *name == option).map(|(_, value)| value.as_str()).collect()
    };
    assert_eq!(after("--read"), ["/home/a b"]);
    assert!(after("--write").starts_with(&["/srv/x%", "/root/w", "/var/lib/toolgate-servers/files"]));
    assert_eq!(after("--directory"), ["/srv"]);
}

/// The score of `systemd-analyze security` hardly notices some of these.
#[test]
fn what_instances_and_the_gate_give_up_is_written() {
    let both = [
        "NoNewPrivileges=yes",
        "CapabilityBoundingSet=",
        "AmbientCapabilities=",
        "ProtectSystem=strict",
        "ProtectHome=yes",
        "PrivateTmp=yes",
        "PrivateDevices=yes",
        "DevicePolicy=closed",
        "PrivateMounts=yes",
        "PrivateIPC=yes",
        "ProtectProc=invisible",
        "ProcSubset=pid",
        "ProtectClock=yes",
        "ProtectHostname=yes",
        "ProtectControlGroups=yes",
        "ProtectKernelLogs=yes",
        "ProtectKernelModules=yes",
        "ProtectKernelTunables=yes",
        "RestrictNamespaces=yes",
        "RestrictRealtime=yes",
        "RestrictSUIDSGID=yes",
        "RemoveIPC=yes",
        "KeyringMode=private",
        "LockPersonality=yes",
        "SystemCallArchitectures=native",
        "SystemCallFilter=@system-service",
        "SystemCallFilter=~@privileged @resources",
        "SystemCallErrorNumber=EPERM",
        "LimitCORE=0",
        "UMask=0077",
    ];
    let gate = include_str!("../../../systemd/toolgated.service");
    let of_gate = [
        "MemoryDenyWriteExecute=yes",
        "NoExecPaths=/",
        "ExecPaths=/usr/bin/toolgated /usr/bin/toolgate /usr/lib /lib /lib64",
        "StartLimitIntervalSec=0",
        "Restart=always",
        "StateDirectoryMode=0700",
    ];
    let units = good("[server.files]\ncommand = [\"x\"]\n");
    let instance = units.text(&server::service_unit("files")).unwrap();
    let of_instance =
        ["DynamicUser=yes", "PrivateUsers=yes", "PrivateNetwork=yes", "IPAddressDeny=any", "KillMode=mixed"];
    let lacks = |unit: &str, line: &&&str| !unit.lines().any(|written| written == **line);
    let missing: Vec<_> = both.iter().chain(&of_gate).filter(|line| lacks(gate, line)).collect();
    assert!(missing.is_empty(), "toolgated.service lacks {missing:?}");
    let missing: Vec<_> = both.iter().chain(&of_instance).filter(|line| lacks(instance, line)).collect();
    assert!(missing.is_empty(), "the unit of an instance lacks {missing:?}");
    assert!(!gate.lines().any(|line| line.starts_with("RuntimeDirectory=") || line.starts_with("PrivateUsers=")));
}

#[test]
fn no_unit_shows_a_value_of_the_environment() {
    let units = good(
        "[server.files]\ncommand = [\"x\"]\n[server.files.env]\nPLAIN = \"canary one\"\nTOKEN = \"credential:t\"\n\
        KEY = \"file:secrets/key\"\nLITERAL_TOKEN = \"canary two\"\n",
    );
    for (path, unit) in units.iter() {
        assert_eq!(unit.secret, unit.text.contains("canary"), "{path}");
    }
    assert_eq!(units.text("toolgate-server-files.env"), Some("PLAIN=canary one\0LITERAL_TOKEN=canary two\0"));
    let loaded = values(&units, &server::service_unit("files"), "LoadCredential");
    assert_eq!(loaded[0], "t:/etc/toolgate/credentials/t");
    assert!(loaded[1].starts_with("toolgate.variable-2:/") && loaded[1].ends_with("/secrets/key"), "{loaded:?}");
    assert_eq!(loaded[2], "toolgate.environment:/run/systemd/generator/toolgate-server-files.env");
    let words = argv(&units, "files");
    assert!(words.join(" ").contains("--secret TOKEN=t --secret KEY=toolgate.variable-2"), "{words:?}");
}

#[test]
fn credentials_of_the_gate_are_loaded_for_the_gate() {
    let units = good(
        "[server.w]\nendpoints = \"http://127.0.0.1:1/mcp\"\nbearer = \"credential:token\"\n\
        headers = { x-key = \"credential:key\", x-plain = \"plain\", x-file = \"file:/etc/x\" }\n",
    );
    let loaded = values(&units, front::DROP_IN, "LoadCredential");
    assert_eq!(loaded, ["key:/etc/toolgate/credentials/key", "token:/etc/toolgate/credentials/token"]);
}

#[test]
fn what_is_left_out_keeps_its_credentials_for_the_revision_that_still_serves() {
    let server = "[server.w]\nendpoints = \"http://127.0.0.1:1/mcp\"\nbearer = \"credential:token\"\n\
        [server.w.headers]\nx-key = \"credential:key\"\n\
        [server.f]\ncommand = [\"f\"]\n[server.f.env]\nT = \"credential:of-f\"\n";
    let whole = rendered(server).0;
    for (right, wrong) in [
        ("bearer = ", "baerer = "),
        ("[server.w]", "[sever.w]"),
        ("[server.w]", "[server.w"),
        ("/mcp\"", "/mcp"),
        ("[server.w.headers]", "[server.w.headers"),
        ("endpoints", "transport = \"fax\"\nendpoints"),
        ("command", "comand"),
        ("[\"f\"]", "[\"f\""),
        ("= \"credential:of-f\"", "= credential:of-f\""),
    ] {
        let units = rendered(&server.replace(right, wrong)).0;
        for key in ["LoadCredential", "SetCredential"] {
            let wanted = values(&whole, front::DROP_IN, key);
            assert_eq!(values(&units, front::DROP_IN, key), wanted, "{wrong}");
        }
    }
    let comment = server.replace("[server.w]", "[server.w\n# bearer = \"credential:old\"");
    let loaded = values(&rendered(&comment).0, front::DROP_IN, "LoadCredential");
    assert_eq!(loaded.len(), 2, "{loaded:?}");
}

#[test]
fn an_absent_credential_keeps_no_unit_down_and_is_told() {
    let text = "[server.w]\nendpoints = \"http://127.0.0.1:1/mcp\"\nbearer = \"credential:token\"\n\
        [server.f]\ncommand = [\"f\"]\nenv.T = \"credential:t\"\nenv.F = \"file:/etc/f\"\n";
    let units = good(text);
    // An empty value would be passed over: systemd starts a unit without a file only where a default says something.
    assert_eq!(values(&units, front::DROP_IN, "SetCredential"), ["token:\\n"]);
    let defaults = values(&units, &server::service_unit("f"), "SetCredential");
    assert_eq!(defaults, ["t:\\n", "toolgate.variable-1:\\n"]);
    let (parts, _) = parts(text);
    let told = front::absent(&parts, |_| Some(false));
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told.iter().any(|told| told.contains("/etc/toolgate/credentials/token")), "{told:?}");
    for unknown in [None, Some(true)] {
        assert_eq!(front::absent(&parts, |_| unknown), [] as [String; 0]);
    }
}

#[test]
fn a_bound_path_with_a_colon_is_refused() {
    let server = |path: &str| format!("[server.a]\ncommand = [\"a\"]\nwrite = [\"{path}\"]\n");
    let (units, problems) = rendered(&server("/home/a:/etc"));
    assert!(units.text("toolgate-server-a.socket").is_none());
    assert!(problems.iter().any(|problem| problem.contains("colon")), "{problems:?}");
    good(&server("/srv/a:b"));
}

#[test]
fn a_variable_of_a_keeper_is_said_to_be_out_of_reach() {
    let (units, problems) =
        rendered("[server.a]\ncommand = [\"a\"]\nenv.X = \"env:Y\"\n[server.b]\ncommand = [\"b\"]\n");
    assert!(units.text("toolgate-server-a.socket").is_none());
    assert!(units.text("toolgate-server-b.socket").is_some());
    assert!(problems[0].contains("credential:NAME"), "{problems:?}");
}

#[test]
fn what_is_written_is_what_was_rendered_and_only_the_gate_reads_secrets() {
    use std::os::unix::fs::PermissionsExt as _;
    let units = good(&format!("{}\n[server.f]\ncommand = [\"f\"]\nenv.A = \"b\"\n", LISTENERS.replace(":0", ":1")));
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(write::all(&units, folder.path()), [] as [String; 0]);
    let read = Units::read(folder.path());
    let texts = |units: &Units| -> BTreeMap<String, String> {
        units.iter().map(|(path, unit)| (path.to_owned(), unit.text.clone())).collect()
    };
    assert_eq!(texts(&read), texts(&units));
    let mode = |path: &str| folder.path().join(path).metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("toolgate-server-f.env") & 0o007, 0);
    assert_eq!(mode("toolgate-server-f.socket"), 0o644);
    assert_eq!(write::all(&units, &folder.path().join("toolgate-server-f.env/below")).len(), texts(&units).len());
}

#[test]
fn the_generators_name_is_what_counts() {
    let called = |words: &[&str]| called_as_generator(words.iter().map(Into::into));
    assert_eq!(called(&["/usr/lib/systemd/system-generators/toolgate-generator", "/a", "/b", "/c"]), Some("/a".into()));
    assert_eq!(called(&["toolgate-generator"]), Some(PathBuf::new()));
    assert_eq!(called(&["/usr/bin/toolgated", "run"]), None);
    assert_eq!(called(&[]), None);
}

proptest! {
    #[test]
    fn any_command_reaches_systemd_as_it_was_written(
        command in proptest::collection::vec("[^\0]*", 1..5),
        directory in "/[^\0]{0,9}",
    ) {
        let words: Vec<String> = command.iter().map(|word| toml::Value::from(word.as_str()).to_string()).collect();
        let directory_text = toml::Value::from(directory.as_str()).to_string();
        let (units, _) = rendered(&format!("[server.x]\ncommand = [{}]\ndirectory = {directory_text}\n", words.join(", ")));
        prop_assume!(units.text("toolgate-server-x.socket").is_some());
        let read = argv(&units, "x");
        let begin = ["/usr/bin/toolgated", "instance", "--directory", directory.as_str(), "x", "--"];
        let expected: Vec<&str> = begin.into_iter().chain(command.iter().map(String::as_str)).collect();
        prop_assert_eq!(read, expected);
    }
}
