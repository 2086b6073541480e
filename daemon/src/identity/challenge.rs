//! `WWW-Authenticate`: what a client whose credential is missing or not good has to do (RFC 6750, section 3; RFC 9728,
//! section 5.1; MCP, "Authorization").

use std::fmt::Write as _;

use http::HeaderValue;

use super::resource::Resource;
use crate::call::Call;
use crate::failure::{Failure, Kind};

/// The challenge that goes with a failure.
pub fn of(call: &Call, failure: &Failure) -> HeaderValue {
    let error = match failure.kind {
        Kind::CredentialRefused => Some("invalid_token"),
        Kind::ScopeInsufficient => Some("insufficient_scope"),
        // RFC 6750, section 3.1: who brought nothing is told of no error.
        _ => None,
    };
    let mut text = "Bearer".to_owned();
    let mut put = |name: &str, value: &str| {
        let comma = if text.len() > "Bearer".len() { "," } else { "" };
        // Writing to a String cannot fail.
        let _ = write!(text, "{comma} {name}=\"{}\"", quotable(value));
    };
    if let Some(error) = error {
        put("error", error);
        put("error_description", &failure.message);
    }
    if call.entrance.listener.takes_tokens() {
        let view = call.view.as_ref().map_or("", |view| &view.name);
        put("resource_metadata", &Resource::of(call).description(view));
        let scopes = failure.scopes.as_deref().unwrap_or_else(|| call.policy.issuers.scopes());
        if !scopes.is_empty() {
            put("scope", scopes);
        }
    } else {
        put("realm", "toolgate");
    }
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("Bearer"))
}

/// What may stand between quotes without an escape (RFC 6750, section 3).
fn quotable(text: &str) -> String {
    let fits = |c: char| (' '..='~').contains(&c) && c != '"' && c != '\\';
    text.chars().map(|c| if fits(c) { c } else { '?' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_ends_a_quoted_value_but_its_quote() {
        assert_eq!(quotable("a\"b\\c\r\nd\u{7f}é…"), "a?b?c??d???");
        assert_eq!(quotable("https://a.example/mcp?x=[1] `tg_`"), "https://a.example/mcp?x=[1] `tg_`");
    }
}
