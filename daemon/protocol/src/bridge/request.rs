//! A request on its way into the other era: metadata is put on each message, or taken off.
//! Called for every request that crosses, once its method is known to exist on the other side.
//! Must hold: nothing but the reserved members changes; what a client wrote there never passes for the gate's word.

use super::levels::Level;
use super::members::{self, Set, is_object};
use super::{capabilities, introduce, meta};
use crate::envelope::Envelope;
use crate::json::{Span, encode_str};
use crate::method::Method;
use crate::splice::{self, Edit};

/// What a modern request says in `_meta` of its sender.
const RESERVED: [&str; 4] = [meta::PROTOCOL_VERSION, meta::CLIENT_CAPABILITIES, meta::CLIENT_INFO, meta::LOG_LEVEL];
/// The revision that the gate speaks with modern servers, raw.
const VERSION: &[u8] = b"\"2026-07-28\"";
/// What a modern request carries when it is tried again.
const RETRY: [&str; 2] = ["inputResponses", "requestState"];

/// What a legacy client said of itself in `initialize`, as each of its requests says it in the modern era.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declared {
    /// Modern capabilities: a JSON object.
    pub capabilities: Vec<u8>,
    /// Name, version and what else there was: a JSON object.
    pub info: Option<Vec<u8>>,
}

impl Declared {
    /// Reads an `initialize` request. Information without `name` or `version`, which the modern era refuses, is left
    /// out: there it is optional.
    #[must_use]
    pub fn of_initialize(text: &[u8], envelope: &Envelope) -> Self {
        let capabilities = envelope.initialize_capabilities.map_or(&b"{}"[..], |span| span.of(text));
        let info = envelope.initialize_client.filter(|info| introduce::is_implementation(text, *info));
        Self {
            capabilities: capabilities::client_to_modern(capabilities),
            info: info.map(|info| info.of(text).to_vec()),
        }
    }
}

/// A legacy client's request as a modern server wants it. `level` is what the session's last `logging/setLevel` asked
/// for, and is only to be given where the server declares `logging`. A progress token and unknown metadata stay.
#[must_use]
pub fn to_modern(text: &[u8], envelope: &Envelope, client: &Declared, level: Option<Level>) -> Vec<u8> {
    again(text, envelope, client, level, &[])
}

/// The same, with what a retry carries (`inputResponses`, `requestState`).
pub(super) fn again(
    text: &[u8],
    envelope: &Envelope,
    client: &Declared,
    level: Option<Level>,
    retry: &[Set<'_>],
) -> Vec<u8> {
    let level = level.map(|level| encode_str(level.as_str()));
    let metadata = metadata(client, level.as_deref());
    let new_meta;
    let mut params = retry.to_vec();
    let mut edits = Vec::new();
    if let Some(old) = object(text, envelope.meta) {
        edits = members::rewrite(text, old, &metadata, &RESERVED);
    } else {
        new_meta = members::build(&metadata);
        params.push(("_meta", &new_meta));
    }
    edits.extend(set_params(text, envelope, &params));
    splice::apply(text, &mut edits)
}

/// A request of the gate's own on a client's behalf. `id`, and the values of `params`, are raw.
pub(super) fn made(id: &[u8], method: Method, client: &Declared, params: &[Set<'_>]) -> Vec<u8> {
    let meta = members::build(&metadata(client, None));
    let params = members::build(&[&[("_meta", &meta[..])], params].concat());
    let method = encode_str(method.as_str());
    members::build(&[("jsonrpc", b"\"2.0\""), ("id", id), ("method", method.as_bytes()), ("params", &params)])
}

fn metadata<'a>(client: &'a Declared, level: Option<&'a str>) -> Vec<Set<'a>> {
    let mut metadata: Vec<Set<'_>> =
        vec![(meta::PROTOCOL_VERSION, VERSION), (meta::CLIENT_CAPABILITIES, &client.capabilities)];
    metadata.extend(client.info.as_deref().map(|info| (meta::CLIENT_INFO, info)));
    metadata.extend(level.map(|level| (meta::LOG_LEVEL, level.as_bytes())));
    metadata
}

fn set_params(text: &[u8], envelope: &Envelope, set: &[Set<'_>]) -> Vec<Edit<'static>> {
    if let Some(params) = object(text, envelope.params) {
        return members::rewrite(text, params, set, &RETRY);
    }
    members::rewrite(text, envelope.whole, &[("params", &members::build(set))], &[])
}

/// A modern client's request as a legacy server wants it: without the reserved metadata, which servers of both eras
/// refuse after `initialize`, and without what belongs to retries. `_meta` and `params` go when nothing else was in
/// them.
#[must_use]
pub fn to_legacy(text: &[u8], envelope: &Envelope) -> Vec<u8> {
    members::strip(text, envelope, &RESERVED, &RETRY)
}

fn object(text: &[u8], span: Option<Span>) -> Option<Span> {
    span.filter(|span| is_object(span.of(text)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::bridge::fixture::{self, read, value};

    fn client() -> Declared {
        Declared {
            capabilities: b"{\"roots\":{}}".to_vec(),
            info: Some(b"{\"name\":\"c\",\"version\":\"1\"}".to_vec()),
        }
    }

    fn modern(text: &str) -> String {
        let text = text.as_bytes();
        String::from_utf8(to_modern(text, &read(text), &client(), Some(Level::Error))).expect("UTF-8")
    }

    fn legacy(text: &str) -> String {
        String::from_utf8(to_legacy(text.as_bytes(), &read(text.as_bytes()))).expect("UTF-8")
    }

    fn call(params: &str) -> String {
        format!(r#"{{"jsonrpc":"2.0","id":1.0,"method":"tools/call"{params}}}"#)
    }

    const META: &str = r#""io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{"roots":{}},"io.modelcontextprotocol/clientInfo":{"name":"c","version":"1"},"io.modelcontextprotocol/logLevel":"error""#;

    #[test]
    fn metadata_finds_its_place_in_every_shape() {
        for (params, wanted) in [
            ("", format!(r#","params":{{"_meta":{{{META}}}}}"#)),
            (r#","params":null"#, format!(r#","params":{{"_meta":{{{META}}}}}"#)),
            (r#","params":{ }"#, format!(r#","params":{{"_meta":{{{META}}} }}"#)),
            (r#","params":{"a":1.0}"#, format!(r#","params":{{"a":1.0,"_meta":{{{META}}}}}"#)),
            (r#","params":{"_meta":null,"a":1}"#, format!(r#","params":{{"_meta":{{{META}}},"a":1}}"#)),
            (
                r#","params":{"_meta":{"progressToken":1e2}}"#,
                format!(r#","params":{{"_meta":{{"progressToken":1e2,{META}}}}}"#),
            ),
        ] {
            assert_eq!(modern(&call(params)), call(&wanted), "{params}");
        }
    }

    #[test]
    fn what_a_legacy_client_wrote_there_does_not_pass_for_ours() {
        let text = call(
            r#","params":{"requestState":"mine","_meta":{"io.modelcontextprotocol\/clientInfo":0,"io.modelcontextprotocol/logLevel":"debug"},"inputResponses":{}}"#,
        );
        let none = Declared { capabilities: b"{}".to_vec(), info: None };
        let out = to_modern(text.as_bytes(), &read(text.as_bytes()), &none, None);
        let meta = r#"{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}"#;
        assert_eq!(String::from_utf8(out).expect("UTF-8"), call(&format!(r#","params":{{"_meta":{meta}}}"#)));
    }

    #[test]
    fn a_modern_request_loses_its_metadata_and_nothing_else() {
        for (params, wanted) in [
            (format!(r#","params":{{"_meta":{{{META}}}}}"#), ""),
            (format!(r#","params":{{"_meta":{{{META}}},"name":"n"}}"#), r#","params":{"name":"n"}"#),
            (
                format!(
                    r#","params":{{"requestState":"s","_meta":{{{META},"traceparent":"t"}},"inputResponses":{{}}}}"#
                ),
                r#","params":{"_meta":{"traceparent":"t"}}"#,
            ),
            (r#","params":{"_meta":{}}"#.to_owned(), r#","params":{"_meta":{}}"#),
            (r#","params":{}"#.to_owned(), r#","params":{}"#),
            (String::new(), ""),
        ] {
            assert_eq!(legacy(&call(&params)), call(wanted), "{params}");
        }
    }

    #[test]
    fn a_client_without_a_version_stays_anonymous() {
        for (info, kept) in [(r#"{"name":"a"}"#, None), (r#"{"name":"a","version":"1","x":[1.0]}"#, Some(()))] {
            let text = format!(
                r#"{{"jsonrpc":"2.0","id":0,"method":"initialize","params":{{"protocolVersion":"2025-06-18","capabilities":{{"elicitation":{{}}}},"clientInfo":{info}}}}}"#
            );
            let declared = Declared::of_initialize(text.as_bytes(), &read(text.as_bytes()));
            assert_eq!(declared.info, kept.map(|()| info.as_bytes().to_vec()));
            assert_eq!(declared.capabilities, b"{\"elicitation\":{}}");
        }
    }

    #[test]
    fn the_version_is_the_modern_one() {
        assert_eq!(VERSION, encode_str(crate::revision::MODERN.as_str()).as_bytes());
    }

    proptest! {
        #[test]
        fn there_and_back_again_is_the_same_text(params in fixture::object(), extra in fixture::object()) {
            // With a member and a key of metadata that stay, neither container is only there for the gate.
            let text = call(&format!(r#","params":{{"name":"n","_meta":{{"progressToken":1,"x":{extra}}},"y":{params}}}"#));
            let there = modern(&text);
            prop_assert_eq!(read(there.as_bytes()).missing_meta(there.as_bytes()), None);
            prop_assert_eq!(modern(&there), there.as_str(), "twice is once");
            prop_assert_eq!(legacy(&there), text);
        }

        #[test]
        fn any_params_survive_but_for_emptiness(params in fixture::object()) {
            let text = call(&format!(r#","params":{params}"#));
            let mut back = value(legacy(&modern(&text)).as_bytes());
            let map = back.as_object_mut().expect("an object");
            map.entry("params").or_insert_with(|| serde_json::json!({}));
            prop_assert_eq!(back, value(text.as_bytes()));
        }
    }
}
