//! Results of `tools/call`: one that tells a model what it did wrong, and what may be kept of one.
//! Called where the gate answers a call itself, and where it keeps answers.
//! Must hold: a model reads what it can mend as a tool execution error (2025-11-25 and 2026-07-28, "Tools", "Error
//! Handling"); a protocol error would end its work.

use crate::error::result_body;
use crate::json::{self, Span, encode_str};
use crate::revision::Era;

/// The answer to a call that failed in a way that its caller can mend.
#[must_use]
pub fn execution_error(era: Era, id: &[u8], text: &str) -> Vec<u8> {
    let complete = match era {
        Era::Legacy => "",
        Era::Modern => r#","resultType":"complete""#,
    };
    let result = format!(r#"{{"content":[{{"type":"text","text":{}}}],"isError":true{complete}}}"#, encode_str(text));
    result_body(id, result.as_bytes())
}

/// Whether a result says how the matter stands for everybody who asks the same: it is complete and no error.
#[must_use]
pub fn is_lasting(text: &[u8], result: Span) -> bool {
    if !result.of(text).starts_with(b"{") {
        return false;
    }
    let failed = json::get(text, result, "isError").is_some_and(|failed| failed.of(text) != b"false");
    let complete = json::get(text, result, "resultType").is_none_or(|kind| json::str_eq(kind.of(text), "complete"));
    // A legacy call that became a task has a handle instead of an answer.
    !failed && complete && json::get(text, result, "task").is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_execution_error_is_a_result_of_its_era() {
        let legacy = String::from_utf8(execution_error(Era::Legacy, b"\"a\"", "At \"/n\": no.")).expect("UTF-8");
        assert_eq!(
            legacy,
            r#"{"jsonrpc":"2.0","id":"a","result":{"content":[{"type":"text","text":"At \"/n\": no."}],"isError":true}}"#
        );
        let modern = String::from_utf8(execution_error(Era::Modern, b"1", "no")).expect("UTF-8");
        assert!(modern.ends_with(r#""isError":true,"resultType":"complete"}}"#), "{modern}");
    }

    #[test]
    fn only_complete_results_last() {
        for (result, lasts) in [
            (r#"{"content":[]}"#, true),
            (r#"{"content":[],"isError":false,"resultType":"complete"}"#, true),
            (r#"{"content":[],"isError":true}"#, false),
            (r#"{"content":[],"isError":"yes"}"#, false),
            (r#"{"resultType":"input_required","inputRequests":{}}"#, false),
            (r#"{"resultType":"task","taskId":"1"}"#, false),
            (r#"{"task":{"taskId":"1"}}"#, false),
            ("7", false),
        ] {
            let span = Span::new(0, result.len());
            assert_eq!(is_lasting(result.as_bytes(), span), lasts, "{result}");
        }
    }
}
