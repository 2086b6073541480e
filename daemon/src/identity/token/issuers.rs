//! All issuers of a configuration: from a token to the client that it stands for.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use super::claims::{self, Said};
use super::jws::Jws;
use super::verified::{self, Hash, Remembered};
use super::{Flaw, Issuer, Verified};
use crate::clock;
use crate::config::Settings;
use crate::config::settings::{Organisation, Tier};
use crate::identity::rights::{Granted, Role};
use crate::identity::{Client, Persona, issuer_of, number};
use crate::lock::lock;
use crate::observe::Shown;

/// Names of roles that the log is told of.
const MOST_STRANGE: usize = 256;

/// Whose tokens are believed.
#[derive(Debug, Default)]
pub struct Issuers {
    by_name: BTreeMap<String, Arc<Issuer>>,
    tiers: BTreeMap<String, Arc<Tier>>,
    organisations: BTreeMap<String, Arc<Organisation>>,
    roles: BTreeMap<String, Arc<Role>>,
    /// Roles that tokens name and nobody configured, with their issuers: each is told of once.
    strange: Arc<Mutex<BTreeSet<(String, String)>>>,
    remembered: Arc<Remembered>,
    /// Tokens that were refused before it was known whose they are, by flaw.
    refused: Arc<[AtomicU64; Flaw::ALL.len()]>,
    scopes: String,
}

/// Why a token does not tell who calls.
#[derive(Debug)]
pub enum Unverified {
    /// It is not good; with its issuer, where it is known.
    Flawed(Flaw, Option<Arc<Issuer>>),
    /// Its issuer has no such key, as far as is known after so many fetches.
    KeyUnknown(Arc<Issuer>, u64),
    /// No keys of its issuer are known after so many fetches.
    NoKeys(Arc<Issuer>, u64),
}

impl Issuers {
    /// Those of a configuration. One that did not change keeps its keys; tokens are remembered while nothing changed
    /// that they are judged by.
    #[must_use]
    pub fn new(settings: &Settings, before: Option<&Self>) -> Self {
        let known = |settings: &Arc<crate::config::settings::Issuer>| {
            let before = before.and_then(|before| before.by_name.get(&settings.name));
            before.filter(|before| before.settings() == settings).map(Arc::clone)
        };
        let by_name: BTreeMap<_, _> = settings
            .issuers
            .iter()
            .map(|(name, settings)| (name.clone(), known(settings).unwrap_or_else(|| Arc::new(Issuer::new(settings)))))
            .collect();
        let same = before.filter(|before| {
            let kept =
                |name: &String, now: &Arc<Issuer>| before.by_name.get(name).is_some_and(|old| Arc::ptr_eq(old, now));
            before.by_name.len() == by_name.len()
                && by_name.iter().all(|(name, now)| kept(name, now))
                && before.tiers == settings.tiers
                && before.organisations == settings.organisations
                && before.roles == settings.roles
        });
        let mut scopes: Vec<&str> = Vec::new();
        for scope in settings.issuers.values().flat_map(|issuer| &issuer.required_scopes) {
            if !scopes.contains(&scope.as_str()) {
                scopes.push(scope);
            }
        }
        Self {
            tiers: settings.tiers.clone(),
            organisations: settings.organisations.clone(),
            roles: settings.roles.clone(),
            strange: same.map(|before| Arc::clone(&before.strange)).unwrap_or_default(),
            remembered: same.map(|before| Arc::clone(&before.remembered)).unwrap_or_default(),
            refused: before.map(|before| Arc::clone(&before.refused)).unwrap_or_default(),
            scopes: scopes.join(" "),
            by_name,
        }
    }

    /// By name.
    pub fn each(&self) -> impl Iterator<Item = &Arc<Issuer>> {
        self.by_name.values()
    }

    /// Whether the client of this id was one of an issuer that is none of these.
    #[must_use]
    pub fn is_gone(&self, client: &str) -> bool {
        issuer_of(client).is_some_and(|issuer| !self.by_name.contains_key(issuer))
    }

    /// Numbers of the names of issuers that are none of those that come after.
    #[must_use]
    pub fn gone(&self, after: &Self) -> HashSet<u64> {
        let gone = self.by_name.keys().filter(|name| !after.by_name.contains_key(*name));
        gone.map(|name| number(name)).collect()
    }

    /// Scopes that tokens must have, with spaces between them; empty: none.
    #[must_use]
    pub fn scopes(&self) -> &str {
        &self.scopes
    }

    /// A token that was verified before, and still stands.
    #[must_use]
    pub fn known(&self, token: &str) -> Option<Arc<Verified>> {
        self.remembered.get(Hash::of(token))
    }

    /// Verifies a token, and remembers it.
    ///
    /// # Errors
    /// Where it is not good, or its issuer's keys are not known.
    pub fn verify(&self, token: &str) -> Result<Arc<Verified>, Unverified> {
        let flawed = |flaw| Unverified::Flawed(flaw, None);
        let jws = Jws::parse(token).map_err(flawed)?;
        // What it says of its issuer is only used to choose by whose keys it is verified.
        let named = jws.claims.get("iss").and_then(Value::as_str);
        let issuer = named.and_then(|named| self.by_name.values().find(|issuer| issuer.settings().issuer == named));
        let issuer = issuer.ok_or_else(|| flawed(Flaw::Issuer))?;
        let verified = Arc::new(self.judged(issuer, &jws)?);
        issuer.counts.verified.fetch_add(1, Ordering::Relaxed);
        self.remembered.put(Hash::of(token), &verified);
        Ok(verified)
    }

    fn judged(&self, issuer: &Arc<Issuer>, jws: &Jws<'_>) -> Result<Verified, Unverified> {
        let flawed = |flaw| Unverified::Flawed(flaw, Some(Arc::clone(issuer)));
        if !issuer.settings().algorithms.contains(&jws.algorithm) {
            return Err(flawed(Flaw::Algorithm));
        }
        // Before the keys: one that is taken away meanwhile takes along what was verified with it.
        let (generation, seen) = (issuer.generation(), issuer.fetches());
        let keys = issuer.keys();
        if keys.is_empty() {
            return Err(Unverified::NoKeys(Arc::clone(issuer), seen));
        }
        let mut candidates = keys.candidates(jws.kid.as_deref(), jws.algorithm).peekable();
        if candidates.peek().is_none() {
            return Err(Unverified::KeyUnknown(Arc::clone(issuer), seen));
        }
        if !candidates.any(|key| jws.is_signed_with(key)) {
            return Err(flawed(Flaw::Signature));
        }
        let said = claims::judge(&jws.claims, issuer.settings(), now()).map_err(flawed)?;
        Ok(Verified {
            generation,
            ends: said.ends,
            suffices: said.suffices,
            client: Arc::new(self.client(issuer, &said)),
            audiences: said.audiences,
            term: verified::term(issuer, said.ends),
            presented: AtomicBool::new(false),
            issuer: Arc::clone(issuer),
        })
    }

    /// A tier or an organisation that the token names and nobody configured is none.
    fn client(&self, issuer: &Issuer, said: &Said) -> Client {
        let organisation = said.organisation.as_ref().and_then(|name| self.organisations.get(name)).cloned();
        let named = said.tier.as_ref().and_then(|name| self.tiers.get(name)).cloned();
        let tier = named
            .or_else(|| organisation.as_ref()?.tier.clone())
            .or_else(|| issuer.settings().tier.as_ref().and_then(|tier| self.tiers.get(&tier.name)).cloned());
        let scopes = match &said.scopes {
            // No server has an empty name, where no pattern at all would allow everything.
            Some(none) if none.is_empty() => vec!["/".to_owned()],
            Some(scopes) => scopes.clone(),
            None => Vec::new(),
        };
        let roles = self.roles(issuer, said);
        Client::new(Persona {
            id: format!("jwt:{}/{}", issuer.settings().name, said.subject),
            owner: said.subject.clone(),
            tier,
            organisation,
            scopes,
            // As with scopes: who is asked for roles and has none may use nothing, but what its organisation allows.
            closed: said.roles.is_some() && roles.is_empty(),
            roles,
            granted: Some(Granted { has: said.granted.clone(), needs: issuer.settings().required_scopes.clone() }),
        })
    }

    /// The issuer's roles, and those that the token names, as the configuration has them now.
    fn roles(&self, issuer: &Issuer, said: &Said) -> Vec<Arc<Role>> {
        let own = issuer.settings().roles.iter().map(|role| &role.name);
        let mut roles: Vec<Arc<Role>> = own.filter_map(|name| self.roles.get(name)).cloned().collect();
        for name in said.roles.iter().flatten() {
            match self.roles.get(name) {
                Some(role) if roles.iter().any(|known| Arc::ptr_eq(known, role)) => {}
                Some(role) => roles.push(Arc::clone(role)),
                None => self.tell_strange(issuer, name),
            }
        }
        roles
    }

    fn tell_strange(&self, issuer: &Issuer, role: &str) {
        let issuer = &issuer.settings().name;
        let mut strange = lock(&self.strange);
        if strange.len() < MOST_STRANGE && strange.insert((issuer.clone(), role.to_owned())) {
            tracing::warn!(issuer, role = %Shown(role), "tokens name a role that the configuration does not have: it is ignored");
        }
    }

    /// Counts a token that was refused.
    pub fn refused(&self, issuer: Option<&Issuer>, flaw: Flaw) {
        let counts = issuer.map_or(&*self.refused, |issuer| &issuer.counts.refused);
        counts[flaw.index()].fetch_add(1, Ordering::Relaxed);
    }

    /// Tokens that were refused, by issuer's name (empty: it is not known) and flaw, where there were any.
    pub fn refusals(&self) -> impl Iterator<Item = (&str, Flaw, u64)> {
        let of_each = self.by_name.values().map(|issuer| (issuer.settings().name.as_str(), &issuer.counts.refused));
        let all = std::iter::once(("", &*self.refused)).chain(of_each);
        all.flat_map(|(name, counts)| {
            Flaw::ALL.into_iter().map(move |flaw| (name, flaw, counts[flaw.index()].load(Ordering::Relaxed)))
        })
        .filter(|(_, _, count)| *count > 0)
    }
}

/// Seconds since 1970.
#[must_use]
pub fn now() -> u64 {
    clock::unix_millis() / 1000
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::hmac;
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use serde_json::json;

    use super::super::Terms;
    use super::*;
    use crate::identity::rights::Kind;

    const SECRET: &str = "a-secret-that-only-these-tests-know-of";

    fn issuers(lines: &str, before: Option<&Issuers>) -> Issuers {
        let text = format!(
            "version = 1\n[listener.a]\naddress = [\"127.0.0.1:1\"]\nauth = [\"jwt\"]\n\
             [issuer.a]\nissuer = \"a\"\nsecret = \"{SECRET}\"\naudience = [\"gate\"]\n{lines}"
        );
        let settings = crate::config::from_text(&text).unwrap_or_else(|report| panic!("{:?}", report.problems));
        Issuers::new(&settings, before)
    }

    fn signed(more: &Value) -> String {
        let mut claims = json!({"iss": "a", "sub": "ann", "aud": "gate", "exp": now() + 600});
        for (name, value) in more.as_object().unwrap() {
            claims[name] = value.clone();
        }
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let text = format!("{}.{}", part(&json!({"alg": "HS256"})), part(&claims));
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes()), text.as_bytes());
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(tag.as_ref()))
    }

    #[test]
    fn a_token_with_one_other_character_is_not_believed() {
        let (issuers, good) = (issuers("", None), signed(&json!({})));
        assert!(issuers.verify(&good).is_ok());
        for at in 0..good.len() {
            for other in ["A", "b", "_", "", ".", "="] {
                let forged = [&good[..at], other, &good[at + 1..]].concat();
                assert!(forged == good || issuers.verify(&forged).is_err(), "{forged}");
                assert!(forged == good || issuers.known(&forged).is_none());
            }
        }
    }

    #[test]
    fn what_was_verified_is_known_until_what_it_is_judged_by_changes() {
        let (first, token) = (issuers("", None), signed(&json!({})));
        assert!(first.known(&token).is_none());
        first.verify(&token).unwrap();
        assert!(first.known(&token).is_some());
        assert!(issuers("", Some(&first)).known(&token).is_some(), "a reload that changes nothing");
        for lines in [
            "leeway = \"1s\"",
            "[tier.new]\nweight = 2",
            "[organisation.new]",
            "[role.new]\nallow = [\"web/*\"]",
            "[issuer.b]\nissuer = \"b\"\nsecret = \"file:/b\"",
        ] {
            assert!(issuers(lines, Some(&first)).known(&token).is_none(), "{lines}");
        }
        assert!(first.is_gone("jwt:b/ann") && !first.is_gone("jwt:a/ann") && !first.is_gone("key:b"));
    }

    #[test]
    fn what_nobody_configured_is_none() {
        let lines = "tier = \"basic\"\nclaims = { tier = \"tier\", organisation = \"org\", scopes = \"tools\" }\n\
                     [tier.basic]\n[tier.gold]\n[organisation.acme]\ntier = \"gold\"\n[organisation.poor]\n";
        let issuers = issuers(lines, None);
        let client = |more: Value| Arc::clone(issuers.verify(&signed(&more)).unwrap().client());
        let tier = |client: &Client| client.tier.as_ref().map(|tier| tier.name.clone());
        let organisation = |client: &Client| client.organisation.as_ref().map(|organisation| organisation.name.clone());
        let table = [
            (json!({}), "basic", None),
            (json!({"tier": "gold"}), "gold", None),
            (json!({"tier": "none", "org": "none"}), "basic", None),
            (json!({"tier": 7, "org": ["acme"]}), "basic", None),
            (json!({"org": "acme"}), "gold", Some("acme")),
            (json!({"org": "acme", "tier": "basic"}), "basic", Some("acme")),
            (json!({"org": "poor"}), "basic", Some("poor")),
        ];
        for (more, wanted, whose) in table {
            let client = client(more.clone());
            assert_eq!((tier(&client).as_deref(), organisation(&client).as_deref()), (Some(wanted), whose), "{more}");
            assert_eq!((&*client.id, &*client.owner), ("jwt:a/ann", "ann"));
            assert!(!client.may_use(Kind::Tool, "web", "echo"), "it has no scopes where they are asked for");
        }
        let scoped = client(json!({"tools": "web/* more/x"}));
        assert!(
            scoped.may_use(Kind::Tool, "web", "echo")
                && scoped.may_use(Kind::Tool, "more", "x")
                && !scoped.may_use(Kind::Tool, "more", "y")
        );
    }

    #[test]
    fn roles_are_the_issuers_and_those_that_a_token_names_and_the_configuration_has() {
        let lines = "roles = [\"all\"]\nclaims.roles = \"/realm/roles\"\nclaims.organisation = \"org\"\n\
                     [role.all]\ndeny = [\"*/delete\"]\n[role.reader]\nallow = [\"web/read\"]\n\
                     [role.writer]\nallow = [\"web/write\"]\n[organisation.acme]\nroles = [\"reader\"]\n";
        let with = |issuers: &Issuers, more: Value| Arc::clone(issuers.verify(&signed(&more)).unwrap().client());
        let named = |roles: Value| json!({"realm": {"roles": roles}});
        let may = |client: &Client| ["read", "write", "delete"].map(|tool| client.may_use(Kind::Tool, "web", tool));
        let some = issuers(lines, None);
        assert_eq!(may(&with(&some, named(json!(["reader"])))), [true, false, false]);
        assert_eq!(may(&with(&some, named(json!(["reader", "writer", "reader", "admin"])))), [true, true, false]);
        let none = issuers(&lines.replacen("roles = [\"all\"]\n", "", 1), None);
        assert_eq!(may(&with(&none, json!({}))), [false; 3], "who is asked for roles and has none may use nothing");
        assert_eq!(may(&with(&none, named(json!(["admin", 7])))), [false; 3]);
        assert_eq!(may(&with(&none, json!({"org": "acme"}))), [true, false, false], "but what its organisation allows");
        assert_eq!(lock(&none.strange).len(), 1, "what is ignored is told of once");
        with(&none, named(json!(["admin"])));
        assert_eq!(lock(&none.strange).len(), 1);
        let strangers = (0..300).map(|number| format!("r{number}")).collect::<Vec<_>>();
        for names in strangers.chunks(60) {
            with(&none, named(json!(names)));
        }
        assert_eq!(lock(&none.strange).len(), MOST_STRANGE);
    }

    #[test]
    fn what_a_token_opened_goes_on_with_a_newer_one_that_opens_as_much() {
        let issuers = issuers("claims.scopes = \"tools\"\nrequired_scopes = [\"mcp\"]", None);
        let ends = now() + 100;
        let token = |more: Value| {
            let mut claims = json!({"exp": ends, "tools": "a/* b/*", "scope": "mcp"});
            for (name, value) in more.as_object().unwrap() {
                claims[name] = value.clone();
            }
            issuers.verify(&signed(&claims)).unwrap()
        };
        let earlier = token(json!({}));
        let follows = |more: Value| {
            let terms = Terms::default();
            let later = token(more);
            terms.present(&earlier);
            earlier.presented.store(false, Ordering::Relaxed);
            terms.present(&later);
            terms.present(&later);
            let renewed = terms.renewed(earlier.client.number, earlier.term());
            terms.forget(earlier.term().ends_ms);
            assert_eq!(terms.renewed(earlier.client.number, earlier.term()), None, "it is forgotten");
            assert!(renewed.is_none_or(|term| term == later.term()));
            renewed.is_some()
        };
        assert!(follows(json!({"exp": ends + 1})));
        assert!(follows(json!({"exp": ends + 1, "tools": "a/* b/* c/*", "jti": "2"})));
        assert!(!follows(json!({"exp": ends + 1, "tools": "a/*"})), "it opens less");
        assert!(!follows(json!({"exp": ends, "jti": "2"})), "it ends no later");
        assert!(!follows(json!({"exp": ends + 1, "sub": "bob"})), "it is somebody else's");
    }

    #[test]
    fn the_first_end_is_due_and_told_once() {
        let terms = Terms::default();
        assert!(!terms.are_due(u64::MAX - 1));
        for ends in [50, 70, 30, 90] {
            terms.hear(ends);
        }
        assert!(!terms.are_due(29) && terms.are_due(30) && !terms.are_due(100));
        terms.hear(50);
        assert!(terms.are_due(100));
    }

    #[test]
    fn refusals_are_counted_by_issuer_and_reason() {
        let issuers = issuers("", None);
        let flaw = |token: &str| match issuers.verify(token) {
            Err(Unverified::Flawed(flaw, issuer)) => {
                issuers.refused(issuer.as_deref(), flaw);
                flaw
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(flaw("nothing"), Flaw::Malformed);
        assert_eq!(flaw(&signed(&json!({"iss": "b"}))), Flaw::Issuer);
        assert_eq!(flaw(&signed(&json!({"exp": 1}))), Flaw::Expired);
        assert_eq!(flaw(&signed(&json!({"exp": 1}))), Flaw::Expired);
        let all: Vec<_> = issuers.refusals().collect();
        assert_eq!(all, [("", Flaw::Malformed, 1), ("", Flaw::Issuer, 1), ("a", Flaw::Expired, 2)]);
    }
}
