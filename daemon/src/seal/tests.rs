//! The seal as its users see it, and its file.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use super::*;

fn sealing() -> Sealing {
    Sealing { overlap: Duration::from_secs(3600), ..Sealing::default() }
}

fn with_key(byte: u8) -> Sealing {
    Sealing { key: Some(SealKey::new([byte; 32])), ..sealing() }
}

#[test]
fn what_is_sealed_for_a_client_opens_for_that_client_only() {
    let seal = Seal::random();
    let sealed = seal.seal("key:ann", b"weather:page2");
    assert_eq!(seal.open("key:ann", &sealed).unwrap(), b"weather:page2");
    assert_eq!(seal.open("key:bob", &sealed), None);
    assert_eq!(Seal::random().open("key:ann", &sealed), None);
}

#[test]
fn nothing_forged_opens() {
    let seal = Seal::random();
    let sealed = seal.seal("key:ann", b"x");
    for index in 0..sealed.len() {
        let mut forged = sealed.clone().into_bytes();
        forged[index] = if forged[index] == b'A' { b'B' } else { b'A' };
        assert_eq!(seal.open("key:ann", std::str::from_utf8(&forged).unwrap()), None, "{index}");
    }
    for nothing in ["", "AAAA", "AAAAAAAA", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"] {
        assert_eq!(seal.open("key:ann", nothing), None, "{nothing}");
    }
}

#[test]
fn an_older_key_opens_and_the_newest_seals() {
    let seal = Seal::start(None, &sealing());
    let before = seal.seal("key:ann", b"x");
    let rehearsed = seal.rotate(false, true).unwrap();
    assert_eq!((rehearsed.keys.len(), seal.standing().keys.len()), (2, 1), "a rehearsal changes nothing");
    let after = seal.rotate(false, false).unwrap();
    assert_eq!(seal.standing(), after);
    assert!(after.keys[0].opens_until_ms.is_none() && after.keys[1].opens_until_ms.is_some());
    assert_eq!(seal.open("key:ann", &before).unwrap(), b"x");
    seal.rotate(true, false).unwrap();
    assert_eq!(seal.standing().keys.len(), 1);
    assert_eq!(seal.open("key:ann", &before), None, "no older key opens any more");
}

#[test]
fn its_own_keys_outlive_the_process_and_are_for_their_owner_alone() {
    let folder = tempfile::tempdir().unwrap();
    let seal = Seal::start(Some(folder.path()), &sealing());
    let sealed = seal.seal("key:ann", b"x");
    seal.rotate(false, false).unwrap();
    let standing = seal.standing();
    drop(seal);
    let again = Seal::start(Some(folder.path()), &sealing());
    assert_eq!(again.standing(), standing);
    assert_eq!(again.open("key:ann", &sealed).unwrap(), b"x");
    let file = folder.path().join("seal.json");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing unfinished stays");
}

#[test]
fn nodes_with_one_key_open_what_the_other_sealed_also_while_they_change_over() {
    let (one, two) = (Seal::start(None, &with_key(1)), Seal::start(None, &with_key(1)));
    assert_eq!(two.open("key:ann", &one.seal("key:ann", b"x")).unwrap(), b"x");
    assert_eq!(one.rotate(false, false), Err(NotRotated::Configured));
    let knows_the_next = Sealing { other_key: Some(SealKey::new([2; 32])), ..with_key(1) };
    one.follow(&knows_the_next);
    two.follow(&knows_the_next);
    two.follow(&Sealing { other_key: Some(SealKey::new([1; 32])), ..with_key(2) });
    for (sealed, opens) in [(two.seal("key:ann", b"y"), &one), (one.seal("key:ann", b"y"), &two)] {
        assert_eq!(opens.open("key:ann", &sealed).unwrap(), b"y");
    }
}

#[test]
fn a_configured_key_is_written_nowhere_and_opens_on_for_a_while() {
    let folder = tempfile::tempdir().unwrap();
    let seal = Seal::start(Some(folder.path()), &with_key(1));
    let sealed = seal.seal("key:ann", b"x");
    seal.follow(&sealing());
    assert_eq!(seal.open("key:ann", &sealed).unwrap(), b"x");
    assert_ne!(seal.standing().keys[0].id, seal.standing().keys[1].id);
    let text = fs::read_to_string(folder.path().join("seal.json")).unwrap();
    assert!(!text.contains("AQEBAQEB"), "{text}");
}

#[test]
fn keys_that_cannot_be_read_are_set_aside_and_told() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("seal.json");
    for (number, text) in
        ["no json", "{\"version\":9,\"keys\":[]}", "{\"version\":1,\"keys\":[{\"key\":\"AA\",\"made_at_ms\":1}]}"]
            .into_iter()
            .enumerate()
    {
        fs::write(&file, text).unwrap();
        let seal = Seal::start(Some(folder.path()), &sealing());
        assert!(seal.standing().kept);
        let aside = folder.path().join(format!("seal.json.aside-{}", number + 1));
        assert_eq!(fs::read_to_string(aside).unwrap(), text);
    }
}

#[test]
fn a_disk_that_takes_no_key_keeps_the_one_that_it_has() {
    let folder = tempfile::tempdir().unwrap();
    let seal = Seal::start(Some(folder.path()), &sealing());
    let before = seal.standing();
    fs::create_dir(folder.path().join(".seal.json.new")).unwrap();
    assert!(matches!(seal.rotate(false, false), Err(NotRotated::NotKept(_))));
    assert_eq!(seal.standing(), before);
    fs::remove_dir(folder.path().join(".seal.json.new")).unwrap();
    assert!(seal.rotate(false, false).is_ok() && seal.trouble().is_none());

    let missing = Seal::start(Some(&folder.path().join("missing")), &sealing());
    assert!(!missing.standing().kept && missing.trouble().unwrap().contains("cannot be kept"));
    assert!(missing.open("key:ann", &missing.seal("key:ann", b"x")).is_some(), "it serves all the same");
}

#[test]
fn no_key_is_shown() {
    let seal = Seal::start(None, &with_key(1));
    let shown = format!("{seal:?}{:?}", seal.standing());
    assert!(shown.contains("***") && !shown.contains("1, 1, 1"), "{shown}");
}
