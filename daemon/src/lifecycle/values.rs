//! Effective values of the configuration, for those who look at the running daemon.
//!
//! Whoever may read the files sees more: a URL may have a credential in it, and the view socket has no secrets.

use toolgate_admin_api as api;

use crate::config::Effective;

/// A value without what may be secret in its URLs.
pub(super) fn told(effective: &Effective) -> api::ConfigValue {
    api::ConfigValue {
        key: effective.path.clone(),
        value: without_credentials(&effective.value),
        origin: effective.origin.clone(),
        default: effective.default.map(str::to_owned),
        in_effect: effective.effect.word().to_owned(),
        meaning: effective.doc.to_owned(),
    }
}

/// The text with `***` for the user and the query of each URL in it.
fn without_credentials(text: &str) -> String {
    let mut pieces = text.split("://");
    let mut told = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        told.push_str("://");
        let end = piece.find(['"', '\'', ' ', ',']).unwrap_or(piece.len());
        let (url, rest) = piece.split_at(end);
        let authority = url.find(['/', '?', '#']).unwrap_or(url.len());
        let host = url[..authority].rfind('@').map_or(0, |at| at + 1);
        if host > 0 {
            told.push_str("***@");
        }
        match url.find(['?', '#']) {
            Some(query) => {
                told.push_str(&url[host..query]);
                told.push_str("?***");
            }
            None => told.push_str(&url[host..]),
        }
        told.push_str(rest);
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_lose_what_may_be_secret() {
        for (text, told) in [
            ("\"30s\"", "\"30s\""),
            ("\"http://10.0.0.7:3001/mcp\"", "\"http://10.0.0.7:3001/mcp\""),
            ("[\"https://u:p@a/mcp?key=1\", \"http://b/\"]", "[\"https://***@a/mcp?***\", \"http://b/\"]"),
            ("\"https://a?token=x@y\"", "\"https://a?***\""),
            ("{ url = \"https://a/#t\", weight = 2 }", "{ url = \"https://a/?***\", weight = 2 }"),
        ] {
            assert_eq!(without_credentials(text), told);
        }
    }
}
