//! What every change keeps to, whichever it is.

use super::super::routes::{ROUTES, Request};
use super::*;

fn request(if_match: Option<u64>, query: &str) -> Request {
    let peer = Peer { uid: 0, pid: None };
    Request { peer, if_match, named: "x".into(), query: query.into(), body: Vec::new() }
}

#[test]
fn a_rehearsal_that_is_asked_for_behind_the_path_is_refused_and_no_change_is_made() {
    let daemon = Fake::default();
    for route in ROUTES.iter().filter(|route| route.method != http::Method::GET) {
        let refused = route.answer(&daemon, &request(None, "dry_run=true")).expect_err(route.path);
        assert_eq!((refused.code, refused.field.as_deref()), (ErrorCode::BadRequest, Some("query")), "{}", route.path);
    }
    assert!(daemon.reloads.lock().expect("lock").is_empty());
    let gate = start(Fake::default());
    let said = gate.post(Socket::Control, "/v1/config/reload?dry_run=true", "", "");
    assert_eq!((said.status, &said.body["field"]), (400, &json!("query")));
    assert!(gate.daemon.reloads.lock().expect("lock").is_empty());
}

#[test]
fn a_change_for_a_revision_is_made_while_that_one_is_held_and_for_another_not_at_all() {
    for route in ROUTES.iter().filter(|route| route.changes()) {
        let refused = route.answer(&Fake::default(), &request(Some(6), "")).expect_err(route.path);
        assert_eq!(refused.code, ErrorCode::Conflict, "{}", route.path);
    }
    let gate = start(Fake::default());
    let drain = |headers| gate.post(Socket::Control, "/v1/servers/web/drain", headers, "{}").status;
    assert_eq!((drain("if-match: \"7\"\r\n"), gate.daemon.loose.load(Ordering::Relaxed)), (200, 0));
    assert_eq!((drain("if-match: \"6\"\r\n"), gate.daemon.loose.load(Ordering::Relaxed)), (409, 0));
    assert_eq!((drain(""), gate.daemon.loose.load(Ordering::Relaxed)), (200, 1));
}
