//! Keys as people read them.

use toolgate_admin_api::{KeyRow, Shown};

use super::super::history;

/// The columns of a list.
pub(super) const HEAD: [&str; 9] = ["ID", "OWNER", "ORG", "TIER", "STATE", "KEPT IN", "EXPIRES", "LAST USED", "USES"];

/// A line of a list.
pub(super) fn row(key: &KeyRow) -> Vec<String> {
    vec![
        key.id.clone(),
        key.owner.clone(),
        key.organisation.clone().unwrap_or_default(),
        key.tier.clone().unwrap_or_default(),
        key.state.to_string(),
        kept_in(key).to_owned(),
        day(key.expires_ms),
        time(key.last_used_ms),
        if key.in_files { String::new() } else { key.uses.to_string() },
    ]
}

/// All that is known of a key, a line each.
pub(super) fn lines(key: &KeyRow) -> Vec<Vec<String>> {
    let suspended = key.suspended.as_ref().map(|suspension| {
        let until = suspension.until_ms.map_or_else(String::new, |until| format!(" until {}", history::time(until)));
        let said = if suspension.say.is_empty() { String::new() } else { format!(": {}", suspension.say) };
        format!("since {}{until} by {}{said}", history::time(suspension.since_ms), suspension.who)
    });
    let revoked = key
        .revoked_ms
        .map(|at| format!("{} by {}", history::time(at), key.revoked_by.as_deref().unwrap_or("somebody")));
    let list = |all: &[String], none: &str| if all.is_empty() { none.to_owned() } else { all.join(" ") };
    let told = [
        ("id", key.id.clone()),
        ("owner", key.owner.clone()),
        ("organisation", key.organisation.clone().unwrap_or_default()),
        ("tier", key.tier.clone().unwrap_or_default()),
        ("roles", list(&key.roles, "")),
        ("scopes", list(&key.scopes, if key.roles.is_empty() { "everything" } else { "what its roles allow" })),
        ("networks", list(&key.networks, "any")),
        ("state", key.state.to_string()),
        ("suspended", suspended.unwrap_or_default()),
        ("revoked", revoked.unwrap_or_default()),
        ("kept in", kept_in(key).to_owned()),
        ("created", time(key.created_ms)),
        ("expires", time(key.expires_ms)),
        ("rotated", time(key.rotated_ms)),
        (
            "old secret",
            key.overlap_until_ms.map_or_else(String::new, |end| format!("opens until {}", history::time(end))),
        ),
        ("last used", time(key.last_used_ms)),
        ("uses", if key.in_store { key.uses.to_string() } else { String::new() }),
    ];
    let told = told.into_iter().filter(|(_, text)| !text.is_empty());
    told.map(|(name, text)| vec![name.to_owned(), Shown(&text).to_string()]).collect()
}

fn kept_in(key: &KeyRow) -> &'static str {
    match (key.in_files, key.in_store) {
        (true, true) => "files and store",
        (true, false) => "files",
        (false, true) => "store",
        (false, false) => "",
    }
}

fn time(at_ms: Option<u64>) -> String {
    at_ms.map(history::time).unwrap_or_default()
}

fn day(at_ms: Option<u64>) -> String {
    time(at_ms).split(' ').next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_has_no_line() {
        let key = KeyRow { id: "ann1".into(), owner: "\u{1b}[2Jann".into(), in_store: true, ..KeyRow::default() };
        let told: Vec<_> = lines(&key).into_iter().map(|line| line.join(" ")).collect();
        assert!(told.contains(&"scopes everything".to_owned()) && told.contains(&"uses 0".to_owned()), "{told:?}");
        assert!(!told.iter().any(|line| line.starts_with("tier") || line.contains('\u{1b}')), "{told:?}");
    }
}
