//! Files as the clients write them, imported, checked and loaded.

use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::config::{self, Environment, Scrutiny, Settings};

fn imported(text: &str) -> Imported {
    let imported = convert(text, Path::new("/etc/toolgate/secrets")).unwrap();
    if let Err(report) = imported.check() {
        panic!("{}\n{}", imported.toml, report.render(false));
    }
    imported
}

fn note(imported: &Imported, words: &str) {
    assert!(imported.notes.iter().any(|note| note.contains(words)), "no note has {words:?}: {:#?}", imported.notes);
}

const CLAUDE_DESKTOP: &str = r#"{
    "mcpServers": {
        "File System": { "command": "npx", "args": ["-y", "@modelcontextprotocol/server-filesystem", "/srv"] },
        "github": {
            "command": "github-mcp",
            "env": { "GITHUB_TOKEN": "ghp_canarycanary", "LOG": "debug", "EMPTY": "", "RETRIES": 3 },
            "autoApprove": ["*"]
        },
        "windows": { "command": "cmd", "args": ["/c", "npx", "-y", "x"] }
    },
    "globalShortcut": ""
}"#;

#[test]
fn secrets_go_to_files_and_names_become_valid() {
    let imported = imported(CLAUDE_DESKTOP);
    assert!(!imported.toml.contains("canary"), "{}", imported.toml);
    assert!(!format!("{imported:?}").contains("canary"));
    assert_eq!(imported.secrets.len(), 1);
    assert_eq!(imported.secrets[0].path, Path::new("/etc/toolgate/secrets/github.github-token"));
    note(&imported, "File System: is called file-system here");
    note(&imported, "npx fetches the program from the network");
    note(&imported, "not carried over: autoApprove");
    note(&imported, "`cmd /c` of Windows was removed");
    assert!(imported.toml.contains("env.RETRIES = \"3\""), "{}", imported.toml);
    assert!(!imported.toml.contains("EMPTY"), "{}", imported.toml);
}

#[test]
fn names_that_become_the_same_are_told_apart() {
    let imported = imported(
        r#"{ "mcpServers": { "a b": { "command": "x" }, "a-b": { "command": "y" }, "é": { "command": "z" } } }"#,
    );
    for name in ["[server.a-b]", "[server.a-b-2]", "[server.server]"] {
        assert!(imported.toml.contains(name), "{name}: {}", imported.toml);
    }
}

#[test]
fn a_server_that_the_daemon_would_refuse_does_not_cost_the_others() {
    let imported = imported(
        r#"{ "mcpServers": {
            "A": { "url": "http://h:0/mcp", "headers": { "Authorization": "Bearer canary" } },
            "a": { "url": "http://h:1/mcp" },
            "b": { "command": "" } } }"#,
    );
    note(&imported, "A: was left out: this is not the URL of a server; write http://");
    note(&imported, "b: was left out: ");
    assert!(imported.secrets.is_empty() && imported.servers.len() == 1);
    assert!(imported.toml.starts_with("[server.a]\n"), "its name is free again: {}", imported.toml);
}

#[test]
fn what_vs_code_writes() {
    let imported = imported(
        r#"{
            // asked for once
            "inputs": [{ "type": "promptString", "id": "key", "password": true }],
            "servers": {
                "remote": { "type": "http", "url": "https://mcp.example.org/mcp", "headers": { "Authorization": "Bearer ${input:key}", "X-Team": "blue", "X-Api-Key": "${input:key}" } },
                "old": { "type": "sse", "url": "https://mcp.example.org/sse" },
                "odd": { "type": "ws", "url": "https://mcp.example.org/ws" },
                "local": { "type": "stdio", "command": "x", "cwd": "${workspaceFolder}", "envFile": "${workspaceFolder}/.env" },
                "filled": { "command": "x", "args": ["${workspaceFolder}"] },
            },
        }"#,
    );
    note(&imported, "remote: headers.X-Api-Key was asked for by the client");
    note(&imported, "remote: bearer was asked for by the client");
    assert!(imported.toml.contains("endpoints = [\"https://mcp.example.org/sse\"]\ntransport = \"sse\"\n"));
    note(&imported, "odd: was left out: its transport \"ws\"");
    note(&imported, "local: its working directory");
    note(&imported, "local: envFile");
    note(&imported, "filled: was left out");
    assert_eq!(imported.servers.len(), 3);
    let joined: Vec<_> = imported.servers.iter().map(|(_, toml)| toml.as_str()).collect();
    assert_eq!(joined.join("\n"), imported.toml);
}

#[test]
fn what_cursor_and_claude_code_write() {
    let imported = imported(
        r#"{
            "mcpServers": {
                "a": { "url": "http://127.0.0.1:3000/mcp", "headers": { "Authorization": "Bearer canary" } },
                "b": { "command": "x", "env": { "TOKEN": "${env:B_TOKEN}", "OTHER": "${C_TOKEN}", "STANDARD": "${D:-x}" }, "disabled": true },
                "c": { "command": "x", "args": ["--api-key", "canary-canary"] },
                "d": { "note": "nothing" },
                "e": 3
            },
            "projects": { "/home/me/p": { "mcpServers": { "inner": { "command": "x" } } } }
        }"#,
    );
    assert!(imported.toml.contains("bearer = \"file:/etc/toolgate/secrets/a.authorization\""), "{}", imported.toml);
    assert!(imported.toml.contains("env.TOKEN = \"env:B_TOKEN\""), "{}", imported.toml);
    assert!(imported.toml.contains("enabled = false"), "{}", imported.toml);
    note(&imported, "STANDARD was left out");
    note(&imported, "arguments are readable by every user");
    note(&imported, "d: was left out");
    note(&imported, "e: is not an object");
    note(&imported, "the servers of the project /home/me/p were left out: inner");
}

#[test]
fn a_file_of_something_else_is_refused() {
    for (text, words) in [("{", "not JSON"), ("{}", "neither"), ("[]", "neither"), ("{\"mcp\":{}}", "neither")] {
        let sentence = convert(text, Path::new("/s")).unwrap_err();
        assert!(sentence.contains(words), "{text}: {sentence}");
    }
}

fn load(folder: &Path) -> Settings {
    let main = folder.join("toolgate.toml");
    fs::write(&main, "version = 1\n").unwrap();
    let environment = Environment { scrutiny: Scrutiny::Daemon, ..Environment::default() };
    match config::load(&main, &environment) {
        Ok((settings, _)) => settings,
        Err(report) => panic!("{}", report.render(false)),
    }
}

#[test]
fn what_was_written_is_loaded_and_not_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("claude_desktop_config.json");
    fs::write(&file, CLAUDE_DESKTOP).unwrap();
    let args = ImportArgs {
        file,
        output: folder.path().join("conf.d/imported.toml"),
        secrets: folder.path().join("secrets"),
        force: false,
        print: false,
    };
    assert!(run(&args).is_ok());
    let settings = load(folder.path());
    let config::settings::Transport::Stdio(github) = &settings.servers["github"].transport else { panic!("not stdio") };
    let token = github.environment.iter().find(|(name, _)| name == "GITHUB_TOKEN").unwrap();
    assert_eq!(token.1.expose(), "ghp_canarycanary");
    let secret = folder.path().join("secrets/github.github-token");
    assert_eq!(fs::metadata(secret).unwrap().permissions().mode() & 0o777, 0o600);

    let Err(Failure { code, lines }) = run(&args) else { panic!("it was overwritten") };
    assert_eq!(code, EX_CANTCREAT);
    assert!(lines[0].contains("exists already"), "{lines:?}");
    assert!(run(&ImportArgs { force: true, ..args }).is_ok());
}
