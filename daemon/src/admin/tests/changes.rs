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
