//! Keys that are written instead of pasted.

use toolgate_tests::site::Site;

#[tokio::test]
async fn a_key_is_appended_and_known_at_once() {
    let mut site = Site::new();
    site.write("conf.d/keys.toml", "# ours\n[tier.free]\nlimits = []");
    site.start().await;
    let looked = site.toolgate(&["key", "create", "--owner", "ana", "--write", "--dry-run"]).done();
    assert!(!looked.out.contains("tg_"), "a key that nobody knows is not shown: {}", looked.out);
    let made = site.toolgate(&["key", "create", "--owner", "ana", "--tier", "free", "--write", "--json"]).done().json();
    let (key, id) = (made["key"].as_str().expect("a key"), made["id"].as_str().expect("an id"));
    assert!(key.starts_with(&format!("tg_{id}_")));
    assert_eq!((&made["reload"]["applied"], &made["reload"]["revision"]), (&true.into(), &2.into()));
    let text = site.read("conf.d/keys.toml").expect("a file");
    assert!(text.starts_with("# ours\n[tier.free]\nlimits = []\n\n[key."), "{text}");
    assert!(!text.contains(key), "{text}");
    let history = site.toolgate(&["config", "history", "--json"]).done().json();
    assert_eq!(history["revisions"][0]["reason"], format!("key create --owner ana ({id})"));
    let before = site.read("conf.d/keys.toml");
    let refused = site.toolgate(&["key", "create", "--owner", "bo", "--tier", "none", "--write"]);
    assert_eq!(refused.code, 78, "{refused:?}");
    assert!(!refused.out.contains("tg_"), "{}", refused.out);
    assert_eq!(site.read("conf.d/keys.toml"), before, "a tier that does not exist leaves no trace");
}

#[tokio::test]
async fn no_key_is_lost_where_several_are_made_at_once() {
    const KEYS: usize = 20;
    let mut site = Site::new();
    site.start().await;
    let made: Vec<_> = std::thread::scope(|scope| {
        let site = &site;
        let make = || site.toolgate(&["key", "create", "--owner", "ana", "--write", "--json"]).done().json();
        let threads: Vec<_> = (0..KEYS).map(|_| scope.spawn(make)).collect();
        threads.into_iter().map(|thread| thread.join().expect("a key")).collect()
    });
    let text = site.read("conf.d/keys.toml").expect("a file");
    for key in &made {
        let id = key["id"].as_str().expect("an id");
        assert!(text.contains(&format!("[key.{id}]\n")), "{id} is lost: {text}");
    }
    assert_eq!(text.matches("[key.").count(), KEYS, "{text}");
}
