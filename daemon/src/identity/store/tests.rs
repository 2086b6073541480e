//! The store as a whole: with its file, its thread and its index.

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use toolgate_admin_api::Suspension;

use super::change::{Change, Refused};
use super::record::{Record, Standing, Stored};
use super::{NAME, Store};
use crate::clock;
use crate::config::Settings;
use crate::identity::proofs::{Proof, Proofs};
use crate::identity::{Client, key};

fn settings() -> Arc<Settings> {
    Arc::new(crate::config::from_text("version = 1\n").unwrap())
}

fn made(secret: &str, owner: &str) -> Change {
    let record = Record { owner: owner.into(), created_ms: 1, ..Record::default() };
    Change::Add(Box::new(Stored { record, proofs: [Proof::lasting(key::hash(secret)), Proof::NONE] }))
}

fn one(store: &Store, id: &str, change: Change) -> Result<Stored, Refused> {
    let outcome = store.change(vec![(id.to_owned(), change)]).unwrap();
    outcome.map(|mut changed| changed.remove(0).1).map_err(|(_, refused)| refused)
}

/// Whose key a text is, for calls at a time.
fn asked(store: &Store, settings: &Arc<Settings>, text: &str, now_ms: u64) -> Option<Arc<super::Decision>> {
    let presented = key::parse(text).unwrap();
    match key::find(presented, &Proofs::<Arc<Client>>::default(), store.index(), || now_ms)? {
        key::Owner::Stored(known) => Some(store.decide(presented.id, known, settings).unwrap()),
        key::Owner::Configured(_) => None,
    }
}

#[test]
fn what_was_acknowledged_is_there_after_a_restart() {
    let (folder, settings) = (tempfile::tempdir().unwrap(), settings());
    let store = Store::open(Some(folder.path()));
    assert_eq!(store.trouble(), None);
    one(&store, "ann1", made("first", "ann")).unwrap();
    one(&store, "bob1", made("other", "bob")).unwrap();
    one(&store, "bob1", Change::Revoke { at_ms: 5, who: "me".into() }).unwrap();
    let rotate = Change::Rotate { sha256: key::hash("second"), until_ms: 100, now_ms: 50 };
    one(&store, "ann1", rotate).unwrap();
    asked(&store, &settings, "tg_ann1_second", 60).unwrap().use_then(clock::millis());
    let (key, (last_ms, _)) = store.key("ann1").unwrap().unwrap();
    drop(store);
    let store = Store::open(Some(folder.path()));
    let (same, (written_ms, count)) = store.key("ann1").unwrap().unwrap();
    assert_eq!((store.index().len(), same, count), (2, key, 1), "uses are written at the end");
    // Each is reckoned from the time at which it was told.
    assert!(written_ms.abs_diff(last_ms) < 1000 && written_ms <= clock::unix_millis(), "{written_ms} {last_ms}");
    let owner = |text: &str, now| asked(&store, &settings, text, now).map(|found| found.client.owner.to_string());
    assert_eq!(owner("tg_ann1_first", 99).as_deref(), Some("ann"));
    assert_eq!((owner("tg_ann1_first", 100), owner("tg_ann1_wrong", 0)), (None, None));
    assert_eq!(owner("tg_ann1_second", 100).as_deref(), Some("ann"));
    assert!(asked(&store, &settings, "tg_bob1_other", 0).unwrap().revoked);
    assert_eq!(std::fs::metadata(folder.path().join(NAME)).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn no_decision_outlives_the_change_of_its_key() {
    let (folder, settings) = (tempfile::tempdir().unwrap(), settings());
    let store = Store::open(Some(folder.path()));
    one(&store, "ann1", made("first", "ann")).unwrap();
    let ask = || asked(&store, &settings, "tg_ann1_first", 10).unwrap();
    assert!(Arc::ptr_eq(&ask(), &ask()), "it is kept");
    let suspension = Suspension { say: "You loop.".into(), ..Suspension::default() };
    one(&store, "ann1", Change::Suspend(suspension)).unwrap();
    assert!(ask().client.suspension.is_some());
    one(&store, "ann1", Change::Resume).unwrap();
    assert!(ask().client.suspension.is_none());
    one(&store, "ann1", Change::Revoke { at_ms: 5, who: "me".into() }).unwrap();
    assert!(ask().revoked);
}

#[test]
fn changes_that_belong_together_are_made_together_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(Some(folder.path()));
    one(&store, "ann1", made("first", "ann")).unwrap();
    let all = ["bob1", "cid1", "ann1"].map(|id| (id.to_owned(), made("x", id)));
    assert_eq!(store.change(all.to_vec()).unwrap(), Err((2, Refused::Exists)));
    assert_eq!(store.index().len(), 1);
    assert_eq!(store.change(all[..2].to_vec()).unwrap().map(|changed| changed.len()), Ok(2));
    let mut ids = Vec::new();
    store
        .walk(Some("ann1"), |id, record, _| {
            ids.push((id.to_owned(), record.standing == Standing::Active));
            true
        })
        .unwrap();
    assert_eq!(ids, [("bob1".to_owned(), true), ("cid1".to_owned(), true)]);
}

#[test]
fn a_file_that_is_none_of_its_own_is_left_as_it_is_and_told() {
    let folder = tempfile::tempdir().unwrap();
    let text = b"this is not a database, whatever it is called".repeat(100);
    std::fs::write(folder.path().join(NAME), &text).unwrap();
    let store = Store::open(Some(folder.path()));
    assert!(store.trouble().is_some_and(|told| told.contains(NAME)), "{:?}", store.trouble());
    assert!(store.change(vec![("ann1".to_owned(), made("first", "ann"))]).is_err());
    assert!(store.index().is_empty());
    drop(store);
    assert_eq!(std::fs::read(folder.path().join(NAME)).unwrap(), text);
}

#[test]
fn without_a_folder_nothing_is_stored() {
    let store = Store::open(None);
    assert!(store.change(vec![("ann1".to_owned(), made("first", "ann"))]).is_err());
    assert!(store.trouble().is_none() && store.key("ann1").is_err());
}

#[test]
fn changes_from_many_sides_share_syncs_and_none_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(Some(folder.path()));
    std::thread::scope(|scope| {
        for side in 0..8 {
            let store = &store;
            scope.spawn(move || {
                for number in 0..10 {
                    one(store, &format!("key{side}x{number}"), made("secret", "ann")).unwrap();
                }
            });
        }
    });
    assert_eq!(store.index().len(), 80);
    drop(store);
    assert_eq!(Store::open(Some(folder.path())).index().len(), 80);
}
