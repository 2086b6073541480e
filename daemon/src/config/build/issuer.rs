//! `[issuer.NAME]`: whose tokens are believed, and what keys they are verified with.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use jsonwebtoken::Algorithm;

use super::super::environment::Reader;
use super::super::problem::Problem;
use super::super::secret::is_reference;
use super::super::section::Section;
use super::super::settings::{Claims, Endpoint, Issuer, KeySource, Listener, UpstreamTls};
use super::super::tree::{Entry, Node, Table};
use super::super::url;
use super::identity::{Groups, all_roles};
use super::secrets::{self, certificate_path};
use super::{Context, named, references};
use crate::identity::token::KeySet;

/// Bytes of a secret for HS256 (RFC 7518, section 3.2).
const SHORTEST_SECRET: usize = 32;

type Issuers = BTreeMap<String, Arc<Issuer>>;

/// All of them, by name.
pub(super) fn issuers(tree: &Table, groups: Groups<'_>, context: &mut Context<'_>) -> Issuers {
    let mut issuers = Issuers::new();
    for (entry, table) in named(tree, "issuer") {
        let Some(issuer) = issuer(entry, table, groups, context) else { continue };
        if let Some(same) = issuers.values().find(|other| other.issuer == issuer.issuer) {
            let message = format!("the issuer `{}` names itself the same", same.name);
            context.error("twice", entry.key_place, message, "write one [issuer.NAME] for each `iss`");
        }
        issuers.insert(entry.key.clone(), Arc::new(issuer));
    }
    issuers
}

/// Listeners that take tokens need somebody who issues them, and to know what they are for.
pub(super) fn check_listeners(tree: &Table, issuers: &Issuers, listeners: &[Arc<Listener>], context: &mut Context<'_>) {
    let wanted = |entry: &Entry, table: &Table| {
        let jwt = table.get("auth")?.elements().iter().find(|node| node.text() == Some("jwt"))?.place;
        Some((jwt, Arc::clone(listeners.iter().find(|listener| listener.name == entry.key)?)))
    };
    let mut taken = false;
    for (place, listener) in named(tree, "listener").filter_map(|(entry, table)| wanted(entry, table)) {
        taken = true;
        if named(tree, "issuer").next().is_none() {
            let help = "add [issuer.NAME] with its `issuer`, or remove \"jwt\"";
            context.error("no-issuer", place, "nobody issues tokens for this listener", help);
            continue;
        }
        let local = listener.addresses.iter().all(|address| address.ip().is_loopback());
        let known = local || !listener.hosts.is_empty() || listener.resource.is_some();
        // Who may choose the name that the gate believes to have may bring a token that is for somebody else.
        if !known && issuers.values().any(|issuer| issuer.audience.is_empty()) {
            let help = "add resource = \"https://…\", the URL under which clients reach it, or its `hosts`";
            context.error("no-resource", place, "nothing says which tokens are meant for this listener", help);
        }
    }
    if let Some((entry, _)) = named(tree, "issuer").next().filter(|_| !taken) {
        let help = "add \"jwt\" to `auth` of a listener";
        context.warning("no-effect", entry.key_place, "no listener takes tokens", help);
    }
}

fn issuer(entry: &Entry, table: &Table, groups: Groups<'_>, context: &mut Context<'_>) -> Option<Issuer> {
    let section = Section::new(Some(table), "issuer.*");
    let Some(name) = section.text("issuer") else {
        if section.lacks("issuer") {
            let message = format!("the issuer `{}` does not say how its tokens name it", entry.key);
            context.error(
                "missing-key",
                entry.key_place,
                message,
                "add issuer = \"https://…\": the `iss` of its tokens",
            );
        }
        return None;
    };
    let keys = source(entry, section, &name, context)?;
    let with_secret = matches!(keys, KeySource::Secret(_));
    let tier = section.text("tier").zip(section.written("tier")).and_then(|(name, node)| {
        let found = groups.tiers.get(&name).cloned();
        if found.is_none() {
            references::missing("tier", &name, node.place, groups.tiers.keys().map(String::as_str), context);
        }
        found
    });
    Some(Issuer {
        name: entry.key.clone(),
        issuer: name,
        audience: section.texts("audience"),
        keys,
        algorithms: algorithms(section, with_secret, context),
        leeway: section.duration("leeway"),
        refresh: section.duration("refresh"),
        stale: section.duration("stale"),
        required_scopes: required_scopes(section, context),
        tier,
        roles: all_roles(section, groups.roles, context),
        claims: Claims {
            subject: section.text("claims.subject").unwrap_or_default(),
            organisation: section.text("claims.organisation"),
            tier: section.text("claims.tier"),
            scopes: section.text("claims.scopes"),
            roles: section.text("claims.roles"),
        },
    })
}

/// HS256 and public keys exclude each other: a public key must never be taken for a secret.
fn algorithms(section: Section<'_>, with_secret: bool, context: &mut Context<'_>) -> Vec<Algorithm> {
    let written = section.written("algorithms");
    if with_secret && written.is_none() {
        return vec![Algorithm::HS256];
    }
    for node in written.map_or(&[][..], Node::elements) {
        let symmetric = node.text() == Some("HS256");
        if symmetric && !with_secret {
            let help = "remove it, or write a `secret` instead of `jwks`";
            context.error("conflict", node.place, "HS256 needs a secret, and this issuer has public keys", help);
        } else if with_secret && !symmetric {
            let help = "write algorithms = [\"HS256\"], or `jwks` instead of `secret`";
            context.error("conflict", node.place, "an issuer with a secret signs with HS256 alone", help);
        }
    }
    if let Some(node) = written.filter(|node| node.elements().is_empty()) {
        context.error("missing-key", node.place, "the list is empty", "name an algorithm, or remove the line");
    }
    section.list("algorithms", |text| text.parse().ok())
}

/// They stand in a header, with spaces between them (RFC 6749, section 3.3).
/// Scopes that tokens must have (RFC 6749, section 3.3).
pub(super) fn required_scopes(section: Section<'_>, context: &mut Context<'_>) -> Vec<String> {
    for node in section.written("required_scopes").map_or(&[][..], Node::elements) {
        let fits = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\');
        if node.text().is_some_and(|text| !text.is_empty() && !fits(text)) {
            let help = "write each scope as an element of its own, of letters, digits and signs";
            context.error("invalid-value", node.place, "this is not a scope", help);
        }
    }
    section.texts("required_scopes")
}

fn source(entry: &Entry, section: Section<'_>, issuer: &str, context: &mut Context<'_>) -> Option<KeySource> {
    let (jwks, secret) = (section.written("jwks"), section.entry("secret"));
    if let (Some(jwks), Some(secret)) = (jwks, secret) {
        let message = "an issuer has public keys or a secret, never both";
        let problem = Problem::error("conflict", jwks.place, message, "remove `jwks`, or `secret`");
        context.report.push(problem.also(secret.key_place, "the secret"));
        return None;
    }
    if let Some(entry) = secret {
        return shared(entry, context);
    }
    let tls = UpstreamTls {
        ca: section.valid("ca").and_then(|node| certificate_path(node, context)),
        ..UpstreamTls::default()
    };
    let Some(node) = jwks else {
        let place = section.written("issuer").map_or(entry.key_place, |node| node.place);
        let Ok(endpoint) = url::endpoint(issuer) else {
            let help = "add `jwks` or `secret`, or write the issuer as the URL that its metadata is found under";
            context.error("missing-key", place, "nothing says where this issuer's keys are", help);
            return None;
        };
        return secured(&endpoint, place, context).then_some(KeySource::Discovered(endpoint, tls));
    };
    let text = node.text().filter(|text| !text.is_empty())?;
    if let Some(path) = text.strip_prefix("file:") {
        let path = context.path(path, node.place);
        if context.environment.scrutiny.opens_certificates()
            && let Err(problem) = KeySet::from_file(&path)
        {
            let problem_of =
                if context.environment.scrutiny.does_without() { Problem::warning } else { Problem::error };
            let help = "write the issuer's set of JSON web keys into it, readable for the daemon";
            context.report.push(problem_of("unreadable-keys", node.place, &problem, help));
        }
        return Some(KeySource::File(path));
    }
    let Ok(endpoint) = url::endpoint(text) else {
        let help = "write \"file:PATH\", or \"https://…\" with the path of a set of JSON web keys";
        context.error("invalid-value", node.place, "no keys can be had from this", help);
        return None;
    };
    secured(&endpoint, node.place, context).then_some(KeySource::Url(endpoint, tls))
}

fn shared(entry: &Entry, context: &mut Context<'_>) -> Option<KeySource> {
    let secret = secrets::secret(entry, Reader::Front, context)?;
    if let Ok(secret) = &secret {
        let (length, unseen) = (secret.expose().len(), is_unseen(entry, secret.expose()));
        if !unseen && length < SHORTEST_SECRET {
            let message = format!("this secret has {length} bytes, and HS256 needs {SHORTEST_SECRET}");
            context.error(
                "weak-secret",
                entry.node.place,
                message,
                "agree with the issuer on a longer one, made at random",
            );
        }
    }
    Some(KeySource::Secret(secret.map_err(|fault| fault.sentence())))
}

/// What only the daemon can see is empty, or its reference, for whoever else checks.
fn is_unseen(entry: &Entry, value: &str) -> bool {
    entry.node.text().is_some_and(is_reference) && (value.is_empty() || is_reference(value))
}

/// Keys that came over a way on which others may write are anybody's.
fn secured(endpoint: &Endpoint, place: super::Place, context: &mut Context<'_>) -> bool {
    let local = endpoint.host == "localhost" || endpoint.host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    let secured = endpoint.tls || local;
    if !secured {
        let message = "keys that come without TLS are those of anybody on the way";
        context.error("plain-http", place, message, "write https://, or \"file:PATH\"");
    }
    secured
}

#[cfg(test)]
mod tests {
    use super::super::super::from_text;
    use super::super::super::problem::Severity;
    use super::super::super::settings::AuthMethod;
    use super::*;

    const LISTENER: &str = "version = 1\n[listener.a]\naddress = [\"127.0.0.1:1\"]\nauth = [\"key\", \"jwt\"]\n";

    fn codes(lines: &str) -> Vec<&'static str> {
        let text = format!("{LISTENER}[issuer.a]\nissuer = \"https://a.example\"\n{lines}");
        match from_text(&text) {
            Ok(_) => Vec::new(),
            Err(report) => {
                let errors = report.problems.iter().filter(|problem| problem.severity == Severity::Error);
                errors.map(|problem| problem.code).collect()
            }
        }
    }

    #[test]
    fn secrets_and_public_keys_exclude_each_other() {
        let table: &[(&str, &[&str])] = &[
            ("", &[]),
            ("jwks = \"file:/keys\"", &[]),
            ("jwks = \"https://a.example/keys\"", &[]),
            ("secret = \"file:/secret\"", &[]),
            ("secret = \"a literal that is too short\"", &["weak-secret"]),
            ("secret = \"file:/secret\"\njwks = \"file:/keys\"", &["conflict"]),
            ("algorithms = [\"HS256\"]", &["conflict"]),
            ("algorithms = [\"RS256\", \"HS256\"]", &["conflict"]),
            ("secret = \"file:/secret\"\nalgorithms = [\"RS256\"]", &["conflict"]),
            ("algorithms = [\"none\"]", &["invalid-value"]),
            ("algorithms = []", &["missing-key"]),
            ("jwks = \"http://a.example/keys\"", &["plain-http"]),
            ("jwks = \"http://127.0.0.1/keys\"", &[]),
            ("jwks = \"keys\"", &["invalid-value"]),
            ("required_scopes = [\"a b\"]", &["invalid-value"]),
            ("tier = \"none\"", &["unknown-name"]),
            ("roles = [\"none\"]", &["unknown-name"]),
            ("[issuer.b]\nissuer = \"https://a.example\"", &["twice"]),
        ];
        for (lines, wanted) in table {
            assert_eq!(codes(lines), *wanted, "{lines}");
        }
    }

    #[test]
    fn a_secret_alone_means_hs256_alone() {
        let text = format!("{LISTENER}[issuer.a]\nissuer = \"a\"\nsecret = \"file:/secret\"\n");
        let settings = from_text(&text).unwrap();
        assert_eq!(settings.issuers["a"].algorithms, [Algorithm::HS256]);
        assert_eq!(settings.listeners[0].auth, [AuthMethod::Key, AuthMethod::Jwt]);
    }

    #[test]
    fn a_listener_for_tokens_knows_who_issues_them_and_what_they_are_for() {
        let alone = from_text(LISTENER).unwrap_err();
        assert_eq!(alone.problems[0].code, "no-issuer");
        let open = LISTENER.replace("127.0.0.1:1", "0.0.0.0:1") + "plain = true\n";
        let with = |lines: &str, issuer: &str| {
            let text = format!("{open}{lines}\n[issuer.a]\nissuer = \"https://a.example\"\n{issuer}\n");
            from_text(&text).map_err(|report| report.problems[0].code)
        };
        assert_eq!(with("", "").unwrap_err(), "no-resource");
        assert!(with("hosts = [\"a.example\"]", "").is_ok());
        assert!(with("resource = \"https://a.example\"", "").is_ok());
        assert!(with("", "audience = [\"gate\"]").is_ok());
    }
}
