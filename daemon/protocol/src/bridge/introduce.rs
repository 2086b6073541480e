//! How a server of one era is introduced to a client of the other.
//! Called when the gate answers `initialize` from what `server/discover` said, or the other way round.
//! Must hold: what is promised is what the gate keeps; instructions and unknown members arrive as they were said.

use super::members::{self, Set, is_object, object};
use super::{capabilities, meta};
use crate::json::{self, Span, encode_str};
use crate::revision::{MODERN, Revision};

/// What only one era says of a server.
const MODERN_ONLY: [&str; 4] = ["resultType", "supportedVersions", "ttlMs", "cacheScope"];

/// The result of `initialize` at `revision` from the result of `server/discover`. A server that does not say who it
/// is appears under `name`, which legacy clients demand.
#[must_use]
pub fn initialize_result(text: &[u8], discovered: Span, revision: Revision, name: &str) -> Vec<u8> {
    let version = encode_str(revision.as_str());
    let capabilities = capabilities::server_to_legacy(super::raw(text, json::get(text, discovered, "capabilities")));
    let said = object(text, discovered, "_meta").and_then(|meta| json::get(text, meta, meta::SERVER_INFO));
    let info = match said.filter(|info| is_implementation(text, *info)) {
        Some(info) => info.of(text).to_vec(),
        None => format!(r#"{{"name":{},"version":"unknown"}}"#, encode_str(name)).into_bytes(),
    };
    let set: [Set<'_>; 3] =
        [("protocolVersion", version.as_bytes()), ("capabilities", &capabilities), ("serverInfo", &info)];
    members::rewritten(text, discovered, &set, &MODERN_ONLY)
}

/// The result of `server/discover` from the result of `initialize`. It may not be kept: how the server introduces
/// itself can change with every session.
#[must_use]
pub fn discover_result(text: &[u8], initialized: Span) -> Vec<u8> {
    let versions = format!("[{}]", encode_str(MODERN.as_str()));
    let capabilities = capabilities::server_to_modern(super::raw(text, json::get(text, initialized, "capabilities")));
    let info = json::get(text, initialized, "serverInfo").filter(|info| is_implementation(text, *info));
    let named: Vec<Set<'_>> = info.iter().map(|info| (meta::SERVER_INFO, info.of(text))).collect();
    let meta = match object(text, initialized, "_meta") {
        Some(old) => members::rewritten(text, old, &named, &[]),
        None => members::build(&named),
    };
    let set: [Set<'_>; 6] = [
        ("resultType", b"\"complete\""),
        ("supportedVersions", versions.as_bytes()),
        ("capabilities", &capabilities),
        ("ttlMs", b"0"),
        ("cacheScope", b"\"private\""),
        ("_meta", &meta),
    ];
    members::rewritten(text, initialized, &set, &["protocolVersion", "serverInfo"])
}

/// Whether a value says who somebody is: an object with the strings `name` and `version`.
pub(super) fn is_implementation(text: &[u8], info: Span) -> bool {
    let is_string = |key| json::get(text, info, key).is_some_and(|value| value.of(text).starts_with(b"\""));
    is_object(info.of(text)) && is_string("name") && is_string("version")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bridge::fixture::value;
    use crate::bridge::members::whole;

    fn greeted(discovered: &str) -> String {
        let text = discovered.as_bytes();
        let out = initialize_result(text, whole(text), Revision::V2025_06_18, "files");
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn a_modern_server_is_greeted_as_a_legacy_one() {
        assert_eq!(
            greeted(
                r#"{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{"logging":{},"resources":{"subscribe":true},"extensions":{"io.modelcontextprotocol/tasks":{}}},"instructions":"a\u0062","ttlMs":9,"cacheScope":"public","_meta":{"io.modelcontextprotocol/serverInfo":{"name":"n","version":"2","x":1.0}}}"#
            ),
            r#"{"capabilities":{"logging":{},"resources":{"subscribe":true},"extensions":{}},"instructions":"a\u0062","_meta":{"io.modelcontextprotocol/serverInfo":{"name":"n","version":"2","x":1.0}},"protocolVersion":"2025-06-18","serverInfo":{"name":"n","version":"2","x":1.0}}"#
        );
    }

    #[test]
    fn a_server_without_a_name_gets_ours() {
        for meta in ["", r#","_meta":{"io.modelcontextprotocol/serverInfo":{"name":"n"}}"#] {
            let out = value(greeted(&format!(r#"{{"capabilities":{{}}{meta}}}"#)).as_bytes());
            assert_eq!(out["serverInfo"], serde_json::json!({"name": "files", "version": "unknown"}));
        }
        for nothing in ["{}", "null", "[{}]"] {
            assert_eq!(value(greeted(nothing).as_bytes())["capabilities"], serde_json::json!({}));
            assert!(value(&discover_result(nothing.as_bytes(), whole(nothing.as_bytes()))).is_object());
        }
    }

    #[test]
    fn a_legacy_server_is_discovered_as_a_modern_one() {
        let text = br#"{"protocolVersion":"2025-11-25","capabilities":{"tasks":{},"tools":{"listChanged":true}},"serverInfo":{"name":"n","version":"1"},"instructions":"i","x":1.0}"#;
        assert_eq!(
            String::from_utf8_lossy(&discover_result(text, whole(text))),
            r#"{"capabilities":{"tools":{"listChanged":true}},"instructions":"i","x":1.0,"resultType":"complete","supportedVersions":["2026-07-28"],"ttlMs":0,"cacheScope":"private","_meta":{"io.modelcontextprotocol/serverInfo":{"name":"n","version":"1"}}}"#
        );
    }

    #[test]
    fn what_is_known_of_a_server_survives_both_ways() {
        let text = br#"{"protocolVersion":"2025-11-25","capabilities":{"logging":{}},"serverInfo":{"name":"n","version":"1"},"_meta":{"k":1}}"#;
        let there = discover_result(text, whole(text));
        let back = value(&initialize_result(&there, whole(&there), Revision::V2025_11_25, "other"));
        assert_eq!(back["serverInfo"], value(text)["serverInfo"]);
        assert_eq!(back["capabilities"], value(text)["capabilities"]);
        assert_eq!(back["_meta"]["k"], 1);
    }
}
