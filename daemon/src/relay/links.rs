//! URIs of resources in what servers say, as a merged view offers them: `server+` in front.
//!
//! Used by the ways that merge. A client may read what it was shown a link to, so links in
//! results and updates must be URIs that lead back to their server.

use std::sync::Arc;

use bytes::Bytes;
use toolgate_protocol::json::{self, Span};
use toolgate_protocol::method::Method;
use toolgate_protocol::names;
use toolgate_protocol::splice::{self, Edit};

use crate::call::Call;
use crate::message::Message;
use crate::servers::Server;

/// Makes one server's messages fit for a merged view.
#[derive(Debug)]
pub struct Links {
    server: Arc<Server>,
}

impl Links {
    /// What a call's answers need; `None` where they pass as they are.
    pub fn of(call: &Call, server: &Arc<Server>) -> Option<Self> {
        let method = call.message().envelope.known_method?;
        let shows = matches!(method, Method::ToolsCall | Method::PromptsGet | Method::ResourcesRead);
        (shows && call.view().single().is_none()).then(|| Self { server: Arc::clone(server) })
    }

    /// An answer with the view's URIs.
    pub fn answer(&self, answer: Bytes) -> Bytes {
        let Ok(message) = Message::parse(answer.clone()) else { return answer };
        let Some(result) = message.envelope.result else { return answer };
        let uris = shown(&answer, result);
        if uris.is_empty() {
            return answer;
        }
        let rename = |uri: Span| Edit::replace(uri, offered(&self.server.settings.name, &answer, uri));
        let mut edits: Vec<Edit<'_>> = uris.into_iter().map(rename).collect();
        splice::apply(&answer, &mut edits).into()
    }
}

/// `notifications/resources/updated` with the view's URI; everything else as it is.
pub fn updated(server: &str, message: Message) -> Bytes {
    match message.envelope.uri.filter(|_| message.method() == "notifications/resources/updated") {
        Some(uri) => message.with(&[(Some(uri), &offered(server, &message.bytes, uri))]).into(),
        None => message.bytes,
    }
}

fn offered(server: &str, text: &[u8], uri: Span) -> Vec<u8> {
    json::encode_str(&names::join_uri(server, &json::decode_str(uri.of(text)))).into_bytes()
}

/// The URIs in a result: contents that were read, links, and embedded resources.
fn shown(text: &[u8], result: Span) -> Vec<Span> {
    let mut uris: Vec<Span> = items(text, result, "contents").filter_map(|item| uri(text, item)).collect();
    uris.extend(items(text, result, "content").filter_map(|block| in_block(text, block)));
    for message in items(text, result, "messages") {
        let Some(content) = json::get(text, message, "content") else { continue };
        match content.of(text).first() {
            Some(b'[') => uris.extend(json::elements(text, content).filter_map(|block| in_block(text, block))),
            _ => uris.extend(in_block(text, content)),
        }
    }
    uris
}

fn in_block(text: &[u8], block: Span) -> Option<Span> {
    let kind = json::get(text, block, "type")?.of(text);
    if json::str_eq(kind, "resource_link") {
        return uri(text, block);
    }
    uri(text, json::get(text, block, "resource").filter(|_| json::str_eq(kind, "resource"))?)
}

fn uri(text: &[u8], object: Span) -> Option<Span> {
    json::get(text, object, "uri").filter(|uri| uri.of(text).starts_with(b"\""))
}

fn items<'t>(text: &'t [u8], object: Span, member: &str) -> impl Iterator<Item = Span> + 't {
    let array = json::get(text, object, member).filter(|array| array.of(text).starts_with(b"["));
    array.into_iter().flat_map(|array| json::elements(text, array)).filter(|item| item.of(text).starts_with(b"{"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uris(result: &str) -> Vec<String> {
        let text = format!(r#"{{"jsonrpc":"2.0","id":1,"result":{result}}}"#);
        let message = Message::parse(text.into()).unwrap();
        let found = shown(&message.bytes, message.envelope.result.unwrap());
        found.into_iter().map(|uri| json::decode_str(uri.of(&message.bytes)).into_owned()).collect()
    }

    #[test]
    fn every_place_where_a_result_shows_a_resource_is_found() {
        assert_eq!(uris(r#"{"contents":[{"uri":"a:1","text":"uri"},{"uri":"a:2"}]}"#), ["a:1", "a:2"]);
        let blocks = r#"[{"type":"text","text":"x","uri":"no"},{"type":"resource_link","uri":"a:3"},{"type":"resource","resource":{"uri":"a:4"}}]"#;
        assert_eq!(uris(&format!(r#"{{"content":{blocks}}}"#)), ["a:3", "a:4"]);
        let link = r#"{"role":"user","content":{"type":"resource","resource":{"uri":"a:5"}}}"#;
        assert_eq!(uris(&format!(r#"{{"messages":[{link},{{"content":{blocks}}}]}}"#)), ["a:5", "a:3", "a:4"]);
    }

    #[test]
    fn what_only_looks_alike_is_left_alone() {
        for result in [
            r#"{"content":"text"}"#,
            r#"{"contents":[7,{"uri":7}]}"#,
            r#"{"structuredContent":{"uri":"x"}}"#,
            "{}",
            "null",
        ] {
            assert!(uris(result).is_empty(), "{result}");
        }
    }
}
