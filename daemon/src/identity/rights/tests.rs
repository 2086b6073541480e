//! Decisions against those that are made the obvious way.

use std::sync::Arc;

use proptest::prelude::*;
use proptest::sample::select;
use toolgate_protocol::names::Pattern;

use super::*;

fn rules(place: &str, scopes: &[&str]) -> Vec<Rule> {
    scopes.iter().map(|scope| Rule::new(place, scope, "")).collect()
}

fn role(name: &str, allow: Option<&[&str]>, deny: &[&str]) -> Arc<Role> {
    Arc::new(Role {
        name: name.to_owned(),
        allow: allow.map(|allow| rules(&format!("role.{name}.allow"), allow)),
        deny: rules(&format!("role.{name}.deny"), deny),
        when: Vec::new(),
        required: None,
    })
}

/// The same for tokens with a scope.
fn scoped(role: &Arc<Role>, scopes: &[&str]) -> Arc<Role> {
    let text = format!("role.{}.required_scopes", role.name).into();
    let required = Some(Required { scopes: scopes.iter().map(ToString::to_string).collect(), text });
    let Role { name, allow, deny, .. } = &**role;
    Arc::new(Role { name: name.clone(), allow: allow.clone(), deny: deny.clone(), required, ..Role::default() })
}

fn granted(has: &[&str]) -> Granted {
    Granted { has: has.iter().map(ToString::to_string).collect(), needs: vec!["mcp".to_owned()] }
}

fn rights(scopes: &[&str], roles: &[Arc<Role>]) -> Rights {
    Rights::new(rules("scopes", scopes), roles.to_vec()).expect("they narrow something")
}

fn ruled(rights: &Rights, name: &str) -> (bool, String) {
    let (server, name) = name.split_once('/').expect("a name");
    let ruling = rights.rule(Kind::Tool, server, name);
    assert_eq!(rights.allow(Kind::Tool, server, name), ruling.allowed);
    (ruling.allowed, ruling.rule.to_string())
}

#[test]
fn who_has_neither_scopes_nor_roles_has_no_rights_to_look_at() {
    assert!(Rights::new(Vec::new(), Vec::new()).is_none());
}

#[test]
fn deny_wins_over_every_allow() {
    let rights = rights(&["*/*"], &[role("a", Some(&["bank/*"]), &[]), role("b", None, &["*/delete_*"])]);
    assert_eq!(ruled(&rights, "bank/delete_all"), (false, "role.b.deny \"*/delete_*\"".into()));
    assert_eq!(ruled(&rights, "bank/list"), (true, "role.a.allow \"bank/*\"".into()));
    assert_eq!(ruled(&rights, "files/list"), (false, "no role allows it".into()));
}

#[test]
fn roles_add_up_and_scopes_narrow_them() {
    let both = [role("a", Some(&["bank/*"]), &[]), role("b", Some(&["files/*"]), &[])];
    let rights = rights(&["*/list"], &both);
    assert_eq!(ruled(&rights, "bank/list"), (true, "role.a.allow \"bank/*\"".into()));
    assert_eq!(ruled(&rights, "files/list"), (true, "role.b.allow \"files/*\"".into()));
    assert_eq!(ruled(&rights, "files/read"), (false, "no scope allows it".into()));
}

#[test]
fn a_resource_has_one_spelling_or_none() {
    let rights =
        rights(&[], &[role("a", Some(&["f/resource:file:///srv/*"]), &["f/resource:file:///srv/priv%C3%A9/*"])]);
    let open = |uri| rights.allow(Kind::Resource, "f", uri);
    assert!(open("file:///srv/a") && !open("file:///srv/privé/x") && !open("file:///srv/priv%C3%A9/x"));
    for crooked in ["file:///srv/../etc/passwd", "file:///srv/%70riv", "file:///srv/./x", "FILE:///srv/x"] {
        let ruling = rights.rule(Kind::Resource, "f", crooked);
        assert!(!ruling.allowed && ruling.rule.contains("normal form"), "{crooked}");
    }
    let conditions = super::Rights::new(Vec::new(), vec![role("b", None, &[])]).expect("a role");
    assert!(conditions.allow(Kind::Resource, "f", "file:///srv/../x"), "where no name is closed nothing is compared");
}

#[test]
fn a_role_that_allows_nothing_by_name_allows_nothing() {
    assert!(!ruled(&rights(&[], &[role("a", Some(&[]), &[])]), "bank/list").0);
    assert_eq!(ruled(&rights(&[], &[role("a", None, &["x/*"])]), "bank/list"), (true, "no role denies it".into()));
}

#[test]
fn a_scope_is_wanting_only_where_a_token_with_it_would_open_the_name() {
    let roles = [
        role("all", Some(&["bank/list"]), &["bank/delete"]),
        scoped(&role("reader", Some(&["bank/read"]), &[]), &["bank:read"]),
        scoped(&role("teller", Some(&["bank/*"]), &[]), &["bank:read", "bank:write"]),
    ];
    let make = |has: &[&str], scopes: &[&str]| rights(scopes, &roles).of_token(granted(has));
    let wanting = |rights: &Rights, name: &str| {
        let (ruling, shown) = (rights.rule(Kind::Tool, "bank", name), rights.allow(Kind::Tool, "bank", name));
        let wanting = rights.wanting(Kind::Tool, "bank", name);
        assert_eq!(shown, ruling.allowed || wanting.is_some(), "{name}");
        assert!(!ruling.allowed || wanting.is_none(), "{name}");
        (ruling.allowed, wanting)
    };
    let bare = make(&[], &[]);
    assert_eq!(wanting(&bare, "list"), (true, None), "another role allows it");
    assert_eq!(wanting(&bare, "read"), (false, Some("mcp bank:read".into())));
    assert_eq!(wanting(&bare, "transfer"), (false, Some("mcp bank:read bank:write".into())));
    assert_eq!(wanting(&bare, "delete"), (false, None), "denied whatever the token has");
    assert_eq!(bare.rule(Kind::Tool, "bank", "transfer").rule.to_string(), "role.teller.required_scopes");
    let reader = make(&["bank:read", "openid"], &[]);
    assert_eq!(wanting(&reader, "read"), (true, None));
    assert_eq!(wanting(&reader, "transfer"), (false, Some("mcp bank:read bank:write".into())));
    let teller = make(&["bank:write", "bank:read"], &[]);
    assert_eq!(wanting(&teller, "transfer"), (true, None));
    assert_eq!(wanting(&make(&[], &["bank/read"]), "transfer"), (false, None), "it may not know of it");
    // Who comes without a token needs no scopes.
    assert!(rights(&[], &roles).rule(Kind::Tool, "bank", "transfer").allowed);
    assert!(reader.cover(&bare) && teller.cover(&reader) && !bare.cover(&reader) && !reader.cover(&teller));
}

#[test]
fn who_must_be_allowed_by_a_role_has_nothing_without_one() {
    let closed = |roles: &[Arc<Role>]| Rights::closed(Vec::new(), roles.to_vec());
    assert_eq!(ruled(&closed(&[]), "bank/list"), (false, "no role allows it".into()));
    assert!(!closed(&[]).reach("bank") && closed(&[]).closes_names());
    assert!(!ruled(&closed(&[role("a", None, &["bank/delete"])]), "bank/list").0);
    assert!(ruled(&closed(&[role("a", Some(&["bank/*"]), &[])]), "bank/list").0);
}

#[test]
fn rights_cover_those_of_the_same_roles_and_fewer_scopes() {
    let all = [role("a", Some(&["bank/*"]), &[]), role("b", None, &["x/*"])];
    let turned = [Arc::clone(&all[1]), role("a", Some(&["bank/*"]), &[])];
    let (one, two) = (["bank/list"], ["bank/list", "bank/read"]);
    let cover = |scopes: &[&str], of: &[&str]| rights(scopes, &all).cover(&rights(of, &turned));
    assert!(cover(&[], &[]) && cover(&[], &one) && cover(&two, &one) && cover(&two, &two));
    assert!(!cover(&one, &two) && !cover(&one, &[]));
    assert!(!rights(&[], &all).cover(&rights(&[], &all[..1])), "the other has a role less, which may narrow this one");
    assert!(!rights(&[], &all[..1]).cover(&rights(&[], &all)));
}

/// A scope the obvious way, by the text.
fn about(scope: &str, kind: Kind, server: &str, name: &str) -> bool {
    match scope.split_once('/') {
        None => Pattern::new(scope).matches(&format!("{server}/{name}")),
        Some((servers, rest)) => {
            let words = ["tool", "prompt", "resource"];
            let (wanted, names) = words
                .iter()
                .find_map(|word| Some((Some(*word), rest.strip_prefix(&format!("{word}:"))?)))
                .unwrap_or((None, rest));
            wanted.is_none_or(|wanted| wanted == kind.word())
                && Pattern::new(servers).matches(server)
                && Pattern::new(names).matches(name)
        }
    }
}

/// What a client may use, the obvious way.
fn naive(scopes: &[&str], roles: &[(Option<Vec<&str>>, Vec<&str>)], kind: Kind, server: &str, name: &str) -> bool {
    let any = |rules: &[&str]| rules.iter().any(|scope| about(scope, kind, server, name));
    let denied = roles.iter().any(|(_, deny)| any(deny));
    let lists: Vec<_> = roles.iter().filter_map(|(allow, _)| allow.as_ref()).collect();
    let by_roles = lists.is_empty() || lists.iter().any(|allow| any(allow));
    !denied && by_roles && (scopes.is_empty() || any(scopes))
}

const SCOPES: [&str; 16] = [
    "a/*",
    "a/x",
    "b/*",
    "*/x",
    "*",
    "a*",
    "*x",
    "?/y",
    "a/tool:*",
    "a/prompt:x",
    "b/resource:*",
    "b/resource:x/*",
    "a/x/y",
    "a",
    "*/tool:y",
    "b/*y",
];

fn scopes(most: usize) -> impl Strategy<Value = Vec<&'static str>> {
    prop::collection::vec(select(&SCOPES[..]), 0..most)
}

proptest! {
    #[test]
    fn a_compiled_decision_is_the_obvious_one(
        own in scopes(4),
        roles in prop::collection::vec((prop::option::of(scopes(5)), scopes(3), any::<bool>()), 0..4),
        asked in prop::collection::vec(
            (select(&[Kind::Tool, Kind::Prompt, Kind::Resource][..]), select(&["a", "b", "ab"][..]),
             select(&["x", "y", "x/y", "xy", "", "tool:y"][..])), 1..12),
    ) {
        let compiled: Vec<_> =
            roles.iter().enumerate().map(|(at, (allow, deny, unmet))| {
                let role = role(&at.to_string(), allow.as_deref(), deny);
                if *unmet { scoped(&role, &["more"]) } else { role }
            }).collect();
        let rights = Rights::new(rules("scopes", &own), compiled).map(|rights| rights.of_token(granted(&[])));
        for (kind, server, name) in asked {
            // What a role that needs more scopes allows is shown, and not let through.
            let of = |met: bool| roles.iter().map(|(allow, deny, unmet)| {
                let none = allow.as_ref().map(|_| Vec::new());
                (if met && *unmet { none } else { allow.clone() }, deny.clone())
            }).collect::<Vec<_>>();
            let (expected, open) = (naive(&own, &of(false), kind, server, name), naive(&own, &of(true), kind, server, name));
            let decided = rights.as_ref().is_none_or(|rights| rights.allow(kind, server, name));
            prop_assert_eq!(decided, expected, "{:?} {}/{}", kind, server, name);
            if let Some(rights) = &rights {
                // The second time it may be remembered.
                prop_assert_eq!(rights.rule(kind, server, name).allowed, open);
                prop_assert_eq!(rights.wanting(kind, server, name).is_some(), expected && !open);
                prop_assert_eq!(rights.look(kind, server, name), rights.decided(kind, server, name));
                prop_assert!(!expected || rights.reach(server), "what may be used is reached");
                prop_assert!(expected || rights.closes_names());
            }
        }
    }
}
