//! How well the gate can tell who calls: lists of revoked certificates, and wrong credentials.

use std::time::SystemTime;

use toolgate_protocol::verdict::Status;

use super::Finding;
use super::checks::days;
use crate::clock;
use crate::gate::Gate;
use crate::listen::tls::authority;

/// The part that tells of addresses that showed wrong credentials.
pub(super) const AUTHENTICATION: &str = "authentication";

/// One finding per listener that holds certificates against a list, and one of addresses that are blocked, if any are.
pub(super) fn findings(gate: &Gate) -> Vec<Finding> {
    let lists = lists(gate).into_iter().map(|(listener, list)| {
        let (status, message) = of_list(&list);
        Finding::new(format!("revocations:{listener}"), status, message)
    });
    lists.chain(of_failures(gate)).collect()
}

/// The lists of revoked certificates, by listener.
pub fn lists(gate: &Gate) -> Vec<(String, authority::Status)> {
    let mut found = Vec::new();
    for listener in gate.observed.listeners() {
        let secured = listener.secured();
        let Some(authority) = secured.as_ref().and_then(|secured| secured.clients.as_ref()) else { continue };
        found.push((listener.settings().name.clone(), (*authority.status()).clone()));
    }
    found
}

/// What is to be said of a list, and how bad it is.
pub fn of_list(list: &authority::Status) -> (Status, String) {
    if let Some(why) = &list.refused {
        let status = if list.is_expired() && list.denies { Status::Unhealthy } else { Status::Warning };
        return (status, format!("What is newer is not held against clients' certificates: {why}."));
    }
    let Some(file) = list.file.as_ref().map(|file| file.display()) else {
        return (Status::Healthy, "No list of revoked certificates is configured.".to_owned());
    };
    if list.is_expired() {
        let (status, cost) = if list.denies {
            (Status::Unhealthy, "every certificate is refused")
        } else {
            (Status::Warning, "what was revoked since is not known")
        };
        return (status, format!("The next update of {file} is overdue: {cost}."));
    }
    let left = list.next_update.and_then(|next| next.duration_since(SystemTime::now()).ok());
    let until = left.map_or_else(String::new, |left| format!(", and its next update is due in {}", days(left)));
    (Status::Healthy, format!("{file} has {} revoked certificates{until}.", list.count))
}

/// Anybody who reaches a listener can have himself blocked, so that it says nothing of how well the gate does.
fn of_failures(gate: &Gate) -> Option<Finding> {
    let (count, one) = gate.failures.blocked(clock::nanos());
    let message = format!("{} for showing wrong credentials, {} among them.", blocked(count), one?);
    Some(Finding::new(AUTHENTICATION, Status::Healthy, message))
}

/// So many addresses, in words.
pub fn blocked(count: usize) -> String {
    if count == 1 { "1 address is blocked".to_owned() } else { format!("{count} addresses are blocked") }
}
