//! Which arguments of a tool the modern era wants mirrored into `Mcp-Param-*` headers.
//!
//! Learned from the answers to `tools/list` that pass through: a client on stdio sends no headers,
//! and a gate must refuse calls that lack them.

use std::collections::HashMap;

use toolgate_protocol::envelope::Envelope;
use toolgate_protocol::header_value::{HeaderParam, header_params, param_value};
use toolgate_protocol::json;

/// Tools that are remembered; one beyond them is called without headers.
const TOOLS: usize = 10_000;

/// The mirrored arguments of the tools seen so far.
#[derive(Debug, Default)]
pub(super) struct Params {
    tools: HashMap<String, Vec<HeaderParam>>,
}

impl Params {
    /// Learns from an answer to `tools/list`; what has no annotation costs nothing.
    pub(super) fn learn(&mut self, answer: &[u8], envelope: &Envelope) {
        let tools = envelope.result.and_then(|result| json::get(answer, result, "tools"));
        let Some(tools) = tools.filter(|tools| tools.of(answer).starts_with(b"[")) else {
            return;
        };
        for tool in json::elements(answer, tools).filter(|tool| tool.of(answer).starts_with(b"{")) {
            let (Some(name), Some(schema)) = (json::get(answer, tool, "name"), json::get(answer, tool, "inputSchema"))
            else {
                continue;
            };
            let name = json::decode_str(name.of(answer));
            // A tool with a broken annotation was not offered to us by a gate that keeps the rules.
            match header_params(answer, schema).unwrap_or_default() {
                none if none.is_empty() => drop(self.tools.remove(&*name)),
                some if self.tools.len() < TOOLS => {
                    self.tools.insert(name.into_owned(), some);
                }
                _ => {}
            }
        }
    }

    /// Names and values of the headers of a `tools/call`.
    pub(super) fn headers(&self, message: &[u8], envelope: &Envelope) -> Vec<(String, String)> {
        let name = envelope.name_str(message);
        let params = name.and_then(|name| self.tools.get(&*name)).map(Vec::as_slice).unwrap_or_default();
        let value = |param: &HeaderParam| param_value(param, message, envelope.arguments);
        params.iter().filter_map(|param| Some((param.header.clone(), value(param)?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use toolgate_protocol::envelope;

    use super::*;

    #[test]
    fn a_learned_argument_becomes_a_header() {
        let list = br#"{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"t","inputSchema":{"type":"object",
            "properties":{"region":{"type":"string","x-mcp-header":"Region"}}}},{"name":"u","inputSchema":{}}]}}"#;
        let mut params = Params::default();
        params.learn(list, &envelope::scan(list).expect("scans"));
        let call = |text: &str| {
            let envelope = envelope::scan(text.as_bytes()).expect("scans");
            params.headers(text.as_bytes(), &envelope)
        };
        let with =
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t","arguments":{"region":"eu"}}}"#;
        assert_eq!(call(with), [("Mcp-Param-Region".to_owned(), "eu".to_owned())]);
        let without = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t","arguments":{}}}"#;
        assert_eq!(call(without), []);
        let other =
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"u","arguments":{"region":"eu"}}}"#;
        assert_eq!(call(other), []);
    }
}
