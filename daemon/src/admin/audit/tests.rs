//! What is told of changes that were refused, and of their reasons.

use super::*;

#[test]
fn refused_changes_are_a_line_for_each_user_in_ten_seconds_with_their_count() {
    let (mut refusals, start) = (Refusals(BTreeMap::new()), Instant::now());
    let mut tell = |uid, seconds| refusals.tell(uid, start + Duration::from_secs(seconds));
    assert_eq!((tell(1, 0), tell(1, 1), tell(1, 9), tell(2, 9)), (Some(0), None, None, Some(0)));
    assert_eq!((tell(1, 10), tell(1, 19), tell(2, 30)), (Some(2), None, Some(0)));
    assert_eq!(tell(1, 40), Some(1));
}

#[test]
fn a_reason_may_be_as_long_as_is_kept() {
    let says = |length| says_too_much(format!("{{\"reason\":\"{}\"}}", "é".repeat(length)).as_bytes());
    assert!(!says(MOST_REASON) && says(MOST_REASON + 1) && !says_too_much(b"[]"));
}
