use std::time::{Duration, Instant};

use toolgate_protocol::json::Span;
use toolgate_protocol::list;

use super::*;

fn see(pinned: &Pinned, description: &str) {
    see_page(pinned, &[description], false, 0);
}

/// A page on which `t` stands with each of these descriptions.
fn see_page(pinned: &Pinned, descriptions: &[&str], is_followed: bool, at: u64) -> bool {
    let tools: Vec<String> =
        descriptions.iter().map(|text| format!(r#"{{"name":"t","description":{text:?}}},"#)).collect();
    let text = format!(r#"{{"tools":[{}{{"name":"u"}}]}}"#, tools.concat());
    let tools = list::items(text.as_bytes(), Span::new(0, text.len()), "tools");
    pinned.see(&Page { text: text.as_bytes(), tools: &tools, is_followed, at }, true)
}

#[test]
fn a_name_that_stands_for_two_tools_is_changed_whatever_their_order() {
    for order in [["Sends.", "Reads."], ["Reads.", "Sends."]] {
        let pinned = Pinned::new(&Arc::default(), "s");
        see(&pinned, "Reads.");
        for turn in 0..3 {
            assert_eq!(see_page(&pinned, &order, false, 0), turn == 0, "it is said once");
            assert!(pinned.is_changed("t"), "{order:?}");
        }
        // Approved, it is the other that nobody accepted.
        assert_eq!(pinned.approve("t", None, false), Ok(()));
        see_page(&pinned, &order, false, 0);
        assert!(pinned.is_changed("t"), "{order:?}");
        see(&pinned, "Sends.");
        assert!(!pinned.is_changed("t"), "{order:?}");
    }
    let pinned = Pinned::new(&Arc::default(), "s");
    see_page(&pinned, &["Reads.", "Reads."], false, 0);
    assert!(!pinned.is_changed("t"), "twice the same is the same");
    let pinned = Pinned::new(&Arc::default(), "new");
    see_page(&pinned, &["Reads.", "Sends.", "Reads."], false, 0);
    assert!(pinned.is_changed("t"), "also where nothing was accepted before");
    see_page(&pinned, &["Sends.", "Burns.", "Reads."], false, 0);
    assert!(pinned.is_changed("t"));
}

#[test]
fn a_later_page_of_a_list_does_not_take_back_what_an_earlier_one_said() {
    let pinned = Pinned::new(&Arc::default(), "s");
    see(&pinned, "Reads.");
    let mut now = 1_000_000;
    for _ in 0..3 {
        see_page(&pinned, &["Sends."], true, now);
        see_page(&pinned, &["Reads."], false, now + 20);
        assert!(pinned.is_changed("t"));
        now += 5_000;
    }
    see_page(&pinned, &["Reads."], false, now + ONE_LIST);
    assert!(!pinned.is_changed("t"), "a list of its own, long after");
    // A list of one page takes back at once.
    see_page(&pinned, &["Sends."], false, now + ONE_LIST);
    assert!(pinned.is_changed("t"));
    see_page(&pinned, &["Reads."], false, now + ONE_LIST);
    assert!(!pinned.is_changed("t"));
}

#[test]
fn a_change_is_known_until_it_is_approved_or_taken_back() {
    let pinned = Pinned::new(&Arc::default(), "s");
    see(&pinned, "Reads.");
    assert!(!pinned.is_changed("t") && pinned.told(true).is_empty());
    see(&pinned, "Reads. ");
    assert!(pinned.is_changed("t") && !pinned.is_changed("u"));
    assert!(pinned.told(true)[0].contains("`toolgate tools approve s t`"), "{:?}", pinned.told(true));
    see(&pinned, "Reads.");
    assert!(!pinned.is_changed("t"));
    see(&pinned, "Sends.");
    let change = pinned.changes().pop().expect("a change");
    assert_eq!(
        (&*change.before.text, &*change.after.text),
        (r#"{"description":"Reads."}"#, r#"{"description":"Sends."}"#)
    );
    assert_eq!(pinned.approve("t", Some(&[0; 32]), false), Err(NotApproved::Stale));
    assert_eq!(pinned.approve("t", Some(&change.after.hash), true), Ok(()));
    assert!(pinned.is_changed("t"), "a dry run changes nothing");
    assert_eq!(pinned.approve("t", Some(&change.after.hash), false), Ok(()));
    assert!(!pinned.is_changed("t") && pinned.changes().is_empty());
    assert_eq!(pinned.approve("t", None, false), Err(NotApproved::Unchanged));
}

#[test]
fn what_was_seen_outlives_the_process() {
    let folder = tempfile::tempdir().expect("a folder");
    let tools = folder.path().join("tools");
    {
        let pins = Arc::new(Pins::open(Some(&tools)));
        let pinned = Pinned::new(&pins, "s");
        see(&pinned, "Reads.");
        see(&pinned, "Sends.");
        pins.settle();
    }
    let pins = Arc::new(Pins::open(Some(&tools)));
    let pinned = Pinned::new(&pins, "s");
    assert!(pinned.is_changed("t"), "known before anybody lists");
    see(&pinned, "Reads.");
    assert!(!pinned.is_changed("t"));
    assert!(!Pinned::new(&pins, "other").is_changed("t"));
}

#[test]
fn the_thread_writes_by_itself() {
    let folder = tempfile::tempdir().expect("a folder");
    let pins = Arc::new(Pins::open(Some(folder.path())));
    see(&Pinned::new(&pins, "s"), "Reads.");
    let deadline = Instant::now() + Duration::from_secs(10);
    while !file::load(folder.path()).is_ok_and(|books| books.contains_key("s")) {
        assert!(Instant::now() < deadline, "nothing was written");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_file_that_cannot_be_used_is_set_aside() {
    let folder = tempfile::tempdir().expect("a folder");
    for text in [
        "no JSON",
        r#"{"version":2,"servers":{}}"#,
        r#"{"version":1,"servers":{"s":{"t":{"accepted":{"hash":"x","text":"","since_ms":1}}}}}"#,
    ] {
        std::fs::write(folder.path().join("pins.json"), text).expect("a file");
        assert!(file::load(folder.path()).expect_err("unfit").contains("set aside"), "{text}");
        assert_eq!(std::fs::read_to_string(folder.path().join("pins.json.aside")).expect("aside"), text);
        assert!(file::load(folder.path()).expect("no file").is_empty());
    }
}

#[test]
fn what_cannot_be_written_is_told_until_it_can() {
    let folder = tempfile::tempdir().expect("a folder");
    let tools = folder.path().join("tools");
    std::fs::write(&tools, "in the way").expect("a file");
    let pins = Arc::new(Pins { shelf: Arc::default(), writer: Writer::start(&tools, Arc::default()).ok() });
    pins.settle();
    assert!(pins.trouble().expect("trouble").contains("not remembered"));
    std::fs::remove_file(&tools).expect("a file");
    pins.settle();
    assert_eq!(pins.trouble(), None);
}

#[test]
fn hashes_are_read_as_they_are_written() {
    let hash = hash(b"x");
    assert_eq!(file::from_hex(&file::to_hex(&hash)), Some(hash));
    for wrong in ["", "0", &"g".repeat(64), &"é".repeat(32)] {
        assert_eq!(file::from_hex(wrong), None, "{wrong}");
    }
}

#[test]
fn what_is_not_remembered_is_told() {
    let pinned = Pinned::new(&Arc::default(), "s");
    let text = format!(r#"{{"tools":[{{"name":"{}"}}]}}"#, "n".repeat(LONGEST_NAME + 1));
    let tools = list::items(text.as_bytes(), Span::new(0, text.len()), "tools");
    let page = Page { text: text.as_bytes(), tools: &tools, is_followed: false, at: 0 };
    assert!(!pinned.see(&page, false));
    assert!(pinned.told(false)[0].contains("are not noticed"), "{:?}", pinned.told(false));
}

#[test]
fn a_tool_that_flaps_is_a_change_each_time_and_one_line() {
    let pinned = Pinned::new(&Arc::default(), "s");
    see(&pinned, "Reads.");
    for turn in 0..100 {
        see(&pinned, "Sends.");
        assert!(pinned.is_changed("t"), "{turn}");
        see(&pinned, "Reads.");
        assert!(!pinned.is_changed("t"), "{turn}");
    }
    assert_eq!(lock(&pinned.quiet).says("u", clock::millis()), Some(199), "one of 200 was said");
}
