//! What a token says once it is known who says it, judged by what the operator expects.

use serde_json::Value;

use super::Flaw;
use crate::config::settings::Issuer;
use crate::observe::is_unfit;

/// Bytes of a subject: it is an id in tables and logs.
const LONGEST_SUBJECT: usize = 200;

/// Audiences, scopes and roles of a token that count.
const MOST: usize = 64;

/// Bytes of a name of a role that count.
const LONGEST_NAME: usize = 64;

/// What counts of a token's claims.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Said {
    /// Who it is, fit for ids and logs.
    pub(super) subject: String,
    /// Whom it is for.
    pub(super) audiences: Vec<String>,
    /// The first second since 1970 at which it is refused.
    pub(super) ends: u64,
    /// It has the scopes that it must have.
    pub(super) suffices: bool,
    /// What it may use; absent: the operator did not say where that stands.
    pub(super) scopes: Option<Vec<String>>,
    /// What roles it has; absent: the operator did not say where that stands.
    pub(super) roles: Option<Vec<String>>,
    /// The OAuth scopes that it was granted.
    pub(super) granted: Vec<String>,
    pub(super) tier: Option<String>,
    pub(super) organisation: Option<String>,
}

/// Judges claims at a time in seconds since 1970 (RFC 7519, section 4.1). The audience is judged with each call: it
/// depends on where it comes.
pub(super) fn judge(claims: &Value, issuer: &Issuer, now: u64) -> Result<Said, Flaw> {
    let leeway = issuer.leeway.as_secs();
    // RFC 7800: who shows it would have to prove that it has a key.
    if claims.get("cnf").is_some_and(|bound| !bound.is_null()) {
        return Err(Flaw::Bound);
    }
    let ends = date(claims, "exp")?.ok_or(Flaw::Endless)?.saturating_add(leeway);
    if now >= ends {
        return Err(Flaw::Expired);
    }
    if date(claims, "nbf")?.is_some_and(|begins| now.saturating_add(leeway) < begins) {
        return Err(Flaw::NotYet);
    }
    let subject = at(claims, &issuer.claims.subject).and_then(Value::as_str).ok_or(Flaw::Subject)?;
    if !is_subject(subject) {
        return Err(Flaw::Subject);
    }
    let granted: Vec<String> = ["scope", "scp"].iter().flat_map(|name| words(claims.get(*name))).collect();
    let text = |path: &Option<String>| at(claims, path.as_ref()?)?.as_str().map(str::to_owned);
    Ok(Said {
        subject: subject.to_owned(),
        audiences: listed(claims.get("aud")),
        ends,
        suffices: issuer.required_scopes.iter().all(|scope| granted.contains(scope)),
        scopes: issuer.claims.scopes.as_ref().map(|path| words(at(claims, path))),
        roles: issuer.claims.roles.as_ref().map(|path| roles(at(claims, path))),
        granted,
        tier: text(&issuer.claims.tier),
        organisation: text(&issuer.claims.organisation),
    })
}

/// Whether this can be the subject of a token.
pub fn is_subject(text: &str) -> bool {
    !text.is_empty() && text.len() <= LONGEST_SUBJECT && !text.chars().any(is_unfit)
}

/// A claim by its name, or by a JSON pointer (RFC 6901).
fn at<'a>(claims: &'a Value, path: &str) -> Option<&'a Value> {
    if path.starts_with('/') { claims.pointer(path) } else { claims.get(path) }
}

/// A `NumericDate` (RFC 7519, section 2), of which the fraction does not count; one that is none makes the token invalid.
fn date(claims: &Value, name: &str) -> Result<Option<u64>, Flaw> {
    let Some(value) = claims.get(name).filter(|value| !value.is_null()) else { return Ok(None) };
    if let Some(seconds) = value.as_u64() {
        return Ok(Some(seconds));
    }
    // No date of ours needs more than 53 bits.
    let seconds = value.as_f64().filter(|seconds| (0.0..9e15).contains(seconds)).ok_or(Flaw::Malformed)?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within the bounds above")]
    Ok(Some(seconds as u64))
}

/// A text, or a list of texts.
fn listed(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::String(one)) => vec![one.clone()],
        Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).map(str::to_owned).take(MOST).collect(),
        _ => Vec::new(),
    }
}

/// The same, where spaces divide a text (RFC 8693, section 4.2).
fn words(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::String(text)) => text.split_ascii_whitespace().map(str::to_owned).take(MOST).collect(),
        other => listed(other),
    }
}

/// Names of roles.
fn roles(value: Option<&Value>) -> Vec<String> {
    words(value).into_iter().filter(|name| !name.is_empty() && name.len() <= LONGEST_NAME).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const NOW: u64 = 1_800_000_000;

    fn issuer(lines: &str) -> Issuer {
        let text = format!(
            "version = 1\n[listener.a]\naddress = [\"127.0.0.1:1\"]\nauth = [\"jwt\"]\n[issuer.a]\nissuer = \"https://a.example\"\n{lines}"
        );
        let mut settings = crate::config::from_text(&text).unwrap();
        std::sync::Arc::into_inner(settings.issuers.remove("a").unwrap()).unwrap()
    }

    fn claims(more: &Value) -> Value {
        let mut claims = json!({"sub": "ann", "exp": NOW + 60});
        for (name, value) in more.as_object().unwrap() {
            claims[name] = value.clone();
        }
        claims
    }

    fn flaw(more: &Value) -> Option<Flaw> {
        judge(&claims(more), &issuer(""), NOW).err()
    }

    #[test]
    fn times_hold_with_leeway() {
        let table = [
            (json!({}), None),
            (json!({"exp": NOW - 29}), None),
            (json!({"exp": NOW - 30}), Some(Flaw::Expired)),
            (json!({"exp": NOW - 31}), Some(Flaw::Expired)),
            (json!({"exp": 0}), Some(Flaw::Expired)),
            (json!({"exp": 1_800_000_060.5}), None),
            (json!({"exp": u64::MAX}), None),
            (json!({"exp": -5}), Some(Flaw::Malformed)),
            (json!({"exp": 1e300}), Some(Flaw::Malformed)),
            (json!({"exp": "1800000060"}), Some(Flaw::Malformed)),
            (json!({"exp": null}), Some(Flaw::Endless)),
            (json!({"nbf": NOW + 30}), None),
            (json!({"nbf": NOW + 31}), Some(Flaw::NotYet)),
            (json!({"nbf": u64::MAX}), Some(Flaw::NotYet)),
            (json!({"nbf": "soon"}), Some(Flaw::Malformed)),
            (json!({"cnf": {"jkt": "x"}}), Some(Flaw::Bound)),
        ];
        for (more, wanted) in table {
            assert_eq!(flaw(&more), wanted, "{more}");
        }
    }

    #[test]
    fn a_subject_is_an_id() {
        for sub in [json!(null), json!(""), json!(7), json!("a\nb"), json!("\u{202e}x"), json!("x".repeat(201))] {
            assert_eq!(flaw(&json!({"sub": sub})), Some(Flaw::Subject), "{sub}");
        }
        for sub in ["ann", "auth0|5f7c", "Ä n n", "a/b"] {
            assert_eq!(flaw(&json!({"sub": sub})), None, "{sub}");
        }
    }

    #[test]
    fn claims_are_found_where_the_operator_says() {
        let issuer = issuer(
            "required_scopes = [\"mcp\"]\nclaims = { subject = \"/user/id\", organisation = \"org\", tier = \"/x/tier\", scopes = \"tools\" }",
        );
        let said = |more: Value| judge(&claims(&more), &issuer, NOW);
        assert_eq!(said(json!({})), Err(Flaw::Subject));
        let said = said(json!({
            "user": {"id": "7"}, "org": "acme", "x": {"tier": "gold"}, "tools": ["a/*", "b/c"], "scope": "openid mcp",
            "aud": ["one", "two", 3],
        }))
        .unwrap();
        assert_eq!((said.subject.as_str(), said.ends), ("7", NOW + 90));
        assert_eq!((said.organisation.as_deref(), said.tier.as_deref()), (Some("acme"), Some("gold")));
        assert_eq!(
            (said.scopes, said.audiences),
            (Some(vec!["a/*".into(), "b/c".into()]), vec!["one".into(), "two".into()])
        );
        assert!(said.suffices);
    }

    #[test]
    fn scopes_are_words_or_a_list_and_none_is_not_all() {
        let issuer = issuer("required_scopes = [\"a\", \"b\"]\nclaims.scopes = \"scope\"");
        let said = |scope: Value| judge(&claims(&json!({ "scope": scope })), &issuer, NOW).unwrap();
        assert!(said(json!("b  a")).suffices && said(json!(["a", "b"])).suffices && !said(json!("a")).suffices);
        assert_eq!(said(json!(null)).scopes, Some(Vec::new()));
        let scp = judge(&claims(&json!({"scp": ["a", "b"]})), &issuer, NOW).unwrap();
        assert!(scp.suffices);
    }

    #[test]
    fn roles_are_names_within_bounds() {
        let issuer = issuer("claims.roles = \"/realm/roles\"");
        let said = |roles: Value| {
            judge(&claims(&json!({"realm": {"roles": roles}})), &issuer, NOW).unwrap().roles.expect("they are mapped")
        };
        assert_eq!(said(json!(["teller", "", 7, "x".repeat(65), "reader"])), ["teller", "reader"]);
        assert_eq!(said(json!("teller reader")), ["teller", "reader"]);
        assert_eq!(said(json!((0..100).map(|number| format!("r{number}")).collect::<Vec<_>>())).len(), MOST);
        assert!(said(json!(null)).is_empty() && said(json!({"a": 1})).is_empty());
    }

    proptest! {
        /// Later is never better: a token that was refused as ended stays so, and none passes after its end.
        #[test]
        fn a_token_ends_once(exp in 0_u64..10_000, nbf in 0_u64..10_000, now in 0_u64..20_000, later in 0_u64..20_000) {
            let issuer = issuer("");
            let claims = json!({"sub": "a", "exp": exp, "nbf": nbf});
            let first = judge(&claims, &issuer, now);
            prop_assert_eq!(first == Err(Flaw::Expired), now >= exp + 30);
            if first == Err(Flaw::Expired) {
                prop_assert_eq!(judge(&claims, &issuer, now + later), Err(Flaw::Expired));
            }
            if first.is_ok() {
                prop_assert!(now < exp + 30 && now + 30 >= nbf);
            }
        }
    }
}
