//! A gate is lost and put back: backups made while it serves, verified, refused where anything is wrong, and restored.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;
use toolgate_tests::site::{Said, Site};
use toolgate_tests::wait;

const PASSPHRASE: &str = "six words that nobody else has said";

/// A daemon that has served, with something in every part that is kept.
async fn served() -> Site {
    let mut site = Site::new();
    site.start().await;
    let hash = "00".repeat(32);
    let key = format!("[key.anna]\nhash = \"sha256:{hash}\"\n");
    site.write("conf.d/a.toml", &format!("[server.a]\nendpoints = \"http://127.0.0.1:1/mcp\"\n{key}"));
    site.toolgate(&["config", "reload"]).done();
    site.toolgate(&["clients", "suspend", "key:anna", "--say", "loop", "--confirm", "key:anna"]).done();
    site.toolgate(&["seal", "rotate", "--reason", "a year is over"]).done();
    for (name, text) in [("words", PASSPHRASE), ("other", "another six words of somebody"), ("key", &"7f".repeat(32))] {
        site.write(name, text);
    }
    site
}

/// `toolgate backup` with what tells it where this site is.
fn backup(site: &Site, words: &[&str]) -> Said {
    let (config, state) = (site.path("toolgate.toml"), site.path("state"));
    let place = ["--config", config.to_str().expect("UTF-8"), "--state-dir", state.to_str().expect("UTF-8")];
    let place: &[&str] = if words[0] == "verify" { &[] } else { &place };
    let (verb, rest) = words.split_at(1);
    site.toolgate(&[&["backup"], verb, place, rest].concat())
}

fn path(site: &Site, name: &str) -> String {
    site.path(name).display().to_string()
}

/// Every file below a folder with its bytes, locks and counts of starts left out.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).expect("a folder").map(|entry| entry.expect("an entry").path()) {
            if entry.is_dir() {
                folders.push(entry);
            } else {
                let name = entry.strip_prefix(folder).expect("below it").display().to_string();
                found.insert(name, std::fs::read(&entry).expect("a file"));
            }
        }
    }
    found
}

fn seal_keys(site: &Site) -> Value {
    site.toolgate(&["seal", "show", "--json"]).done().json()["keys"].clone()
}

#[tokio::test]
async fn what_was_lost_is_put_back_and_what_was_there_is_kept() {
    let mut site = served().await;
    let (file, words) = (path(&site, "gate.backup"), path(&site, "words"));
    let keys = seal_keys(&site);
    let made = backup(&site, &["create", &file, "--passphrase-file", &words, "--json"]).done().json();
    assert_eq!(
        (&made["sealed"], &made["revision"], &made["left_out"]),
        (&true.into(), &2.into(), &Value::Array(vec![]))
    );
    let verified = backup(&site, &["verify", &file, "--passphrase-file", &words]).done();
    assert!(
        verified.out.contains("sealing keys") && verified.out.contains("history of the configuration"),
        "{verified:?}"
    );

    let refused = backup(&site, &["restore", &file, "--passphrase-file", &words, "--confirm", "gate.backup"]);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.err.contains("A daemon has the state"), "{}", refused.err);

    site.stop().await;
    site.write("toolgate.toml", "version = 1\n# lost\n");
    site.write("conf.d/b.toml", "[server.b]\nendpoints = \"http://127.0.0.1:2/mcp\"\n");
    std::fs::remove_file(site.path("conf.d/a.toml")).expect("removes");
    for name in ["seal.json", "steering.json", "config/0000000001.json", "config/0000000002.json"] {
        std::fs::remove_file(site.path("state").join(name)).expect("removes");
    }
    let asked = backup(&site, &["restore", &file, "--passphrase-file", &words]);
    assert_eq!(asked.code, 2, "{asked:?}");
    assert!(site.read("toolgate.toml").expect("a file").contains("# lost"), "nothing was changed");
    let restored =
        backup(&site, &["restore", &file, "--passphrase-file", &words, "--confirm", "gate.backup", "--json"]);
    let kept = restored.done().json()["kept"].as_array().expect("names").len();
    assert_eq!(kept, 3, "the main file, a file of conf.d and the state");
    assert!(site.read("toolgate.toml.before-restore").expect("it is kept").contains("# lost"));
    assert!(site.path("state.before-restore").is_dir());
    assert_eq!(site.drop_ins(), ["a.toml", "b.toml.before-restore"]);

    site.start().await;
    let history = site.toolgate(&["config", "history", "--json"]).done().json();
    assert_eq!((&history["running"], history["revisions"].as_array().map(Vec::len)), (&2.into(), Some(2)), "{history}");
    assert_eq!(seal_keys(&site), keys, "what clients hold opens");
    let clients = site.toolgate(&["clients", "list", "--json"]).done().out;
    assert!(clients.contains("key:anna") && clients.contains("loop"), "{clients}");
    let audit = site.toolgate(&["audit", "tail", "--json"]).done().out;
    assert!(audit.contains("a year is over"), "{audit}");
}

#[tokio::test]
async fn whatever_is_wrong_with_a_file_changes_nothing() {
    let mut site = served().await;
    let [sealed, open, words, other, key] = ["sealed", "open", "words", "other", "key"].map(|name| path(&site, name));
    backup(&site, &["create", &sealed, "--passphrase-file", &words]).done();
    let made = backup(&site, &["create", &open, "--json"]).done().json();
    assert_eq!(made["left_out"], serde_json::json!(["sealing keys"]), "{made}");
    assert!(backup(&site, &["create", &open]).code != 0, "nothing is written over");
    site.stop().await;
    let before = (files(&site.path("state")), files(&site.path("conf.d")), site.read("toolgate.toml"));

    let whole = std::fs::read(&sealed).expect("a backup");
    let plain = std::fs::read(&open).expect("a backup");
    let variants: [(&str, Vec<u8>); 6] = [
        ("cut", whole[..whole.len() / 2].to_vec()),
        ("cut-by-one", whole[..whole.len() - 1].to_vec()),
        ("changed", changed(&whole, whole.len() / 2)),
        ("head", changed(&whole, 40)),
        ("version", changed(&whole, 16)),
        ("longer", [whole.as_slice(), b"x"].concat()),
    ];
    for (name, bytes) in &variants {
        std::fs::write(site.path(name), bytes).expect("writes");
        refused(&site, &path(&site, name), &["--passphrase-file", &words], 1);
    }
    for (name, bytes) in
        [("plain-cut", plain[..plain.len() - 1].to_vec()), ("plain-changed", changed(&plain, plain.len() / 2))]
    {
        std::fs::write(site.path(name), bytes).expect("writes");
        refused(&site, &path(&site, name), &[], 1);
    }
    let said = refused(&site, &sealed, &["--passphrase-file", &other], 1);
    assert!(said.contains("is not the one that it was sealed with"), "{said}");
    let said = refused(&site, &path(&site, "version"), &["--passphrase-file", &words], 1);
    assert!(said.contains("version") && said.contains("this release knows 1"), "{said}");
    refused(&site, &sealed, &["--key-file", &key], 1);
    refused(&site, &sealed, &[], 2);
    refused(&site, &open, &["--key-file", &key], 1);
    refused(&site, &path(&site, "toolgate.toml"), &[], 1);
    let after = (files(&site.path("state")), files(&site.path("conf.d")), site.read("toolgate.toml"));
    assert_eq!(after, before);
}

fn changed(bytes: &[u8], at: usize) -> Vec<u8> {
    let mut changed = bytes.to_vec();
    changed[at] ^= 0x20;
    changed
}

/// Neither verified nor restored; what was said of it.
fn refused(site: &Site, file: &str, secret: &[&str], code: i32) -> String {
    let name = Path::new(file).file_name().and_then(|name| name.to_str()).expect("a name");
    let verified = backup(site, &[&["verify", file], secret].concat());
    let restored = backup(site, &[&["restore", file], secret, &["--confirm", name]].concat());
    assert_eq!((verified.code, restored.code), (code, code), "{file}: {verified:?} {restored:?}");
    restored.err
}

#[tokio::test]
async fn backups_made_under_load_of_changes_are_each_of_one_revision() {
    let site = served().await;
    let folder = path(&site, "kept");
    std::fs::create_dir(&folder).expect("a folder");
    let key = path(&site, "key");
    for round in 0..6 {
        site.write(
            "conf.d/a.toml",
            &format!("[server.a]\nendpoints = \"http://127.0.0.1:1/mcp\"\nmax_calls = {}\n", round + 1),
        );
        let mut reload = site.begin_toolgate(&["config", "reload"]);
        let file = path(&site, &format!("kept/{round}.backup"));
        backup(&site, &["create", &file, "--key-file", &key]).done();
        reload.wait().expect("a reload");
        let verified = backup(&site, &["verify", &file, "--key-file", &key, "--json"]).done().json();
        let manifest = &verified["manifest"];
        let newest = manifest["files"].as_array().expect("files").iter();
        let newest =
            newest.filter_map(|file| file["path"].as_str()?.strip_prefix("state/config/")?.strip_suffix(".json"));
        let newest = newest.map(|number| number.parse::<u64>().expect("a number")).max();
        assert_eq!(newest, manifest["revision"].as_u64(), "{manifest}");
    }
}

#[tokio::test]
async fn the_newest_are_kept_and_somebody_is_told() {
    let site = served().await;
    let folder = site.path("kept");
    std::fs::create_dir(&folder).expect("a folder");
    for day in 1..=3 {
        let old = folder.join(format!("toolgate-2026-01-0{day}T020000Z.backup"));
        std::fs::write(old, "old").expect("writes");
    }
    let (kept, sent) = (path(&site, "kept"), path(&site, "sent"));
    std::fs::create_dir(&sent).expect("a folder");
    let said = backup(&site, &["create", &kept, "--keep", "2", "--json", "--then", "cp", "-v"]);
    assert_eq!(said.code, 1, "cp wants two names: {said:?}");
    let names: Vec<_> = files(&folder).into_keys().collect();
    assert_eq!(names.len(), 2, "{names:?}");
    assert_eq!(names[0], "toolgate-2026-01-03T020000Z.backup");

    // Two backups in one second would have one name.
    wait::until("the next second", async || {
        let said = backup(&site, &["create", &kept, "--keep", "2", "--then", "cp", "-v", "--target-directory", &sent]);
        (said.code == 0).then_some(())
    })
    .await;
    let newest = files(&folder).into_keys().next_back().expect("a backup");
    assert_eq!(files(Path::new(&sent)).get(&newest), files(&folder).get(&newest), "it was sent away");
}
