use super::*;
use crate::splice::apply;

const LIST: &str = r#"{"tools":[ {"name":"a","x":1.0} , {"description":"{\"name\":\"no\"}","n\u0061me":"b","inputSchema":{"name":"no"}},7,{"name":"c","big":123456789012345678901234567890}],"nextCursor":"","ttlMs":300,"cacheScope":"public","extra":1}"#;

fn whole(text: &str) -> Span {
    json::document(text.as_bytes()).expect("the test's result is JSON")
}

fn name<'t>(text: &'t [u8], item: &Item) -> std::borrow::Cow<'t, str> {
    json::decode_str(item.name.expect("it has a name").of(text))
}

#[test]
fn entries_and_hints_are_read() {
    let (text, result) = (LIST.as_bytes(), whole(LIST));
    let items = items(text, result, "tools");
    assert_eq!(items.iter().map(|item| name(text, item)).collect::<Vec<_>>(), ["a", "b", "c"]);
    assert_eq!(next_cursor(text, result).map(|cursor| cursor.of(text)), Some(&b"\"\""[..]));
    assert_eq!(cache_hints(text, result), CacheHints { ttl_ms: 300, scope: CacheScope::Public });
    assert_eq!(super::items(text, result, "prompts"), []);
}

#[test]
fn hints_that_cannot_be_read_are_the_most_cautious() {
    for text in [r#"{"ttlMs":-1,"cacheScope":"world"}"#, r#"{"ttlMs":1.5}"#, r#"{"ttlMs":"9"}"#, "{}"] {
        assert_eq!(cache_hints(text.as_bytes(), whole(text)), CacheHints { ttl_ms: 0, scope: CacheScope::Private });
    }
    assert_eq!(next_cursor(br#"{"nextCursor":null}"#, Span::new(0, 19)), None);
}

#[test]
fn resources_and_templates_have_uris_of_their_own() {
    let text = br#"{"uri":"a:b","name":"n","uriTemplate":"a:{x}"}"#;
    let item = item(text, Span::new(0, text.len()));
    assert_eq!(item.uri.map(|uri| uri.of(text)), Some(&br#""a:b""#[..]));
    assert_eq!(item.uri_template.map(|uri| uri.of(text)), Some(&br#""a:{x}""#[..]));
}

#[test]
fn entries_can_be_left_out_and_renamed() {
    let (text, result) = (LIST.as_bytes(), whole(LIST));
    for mask in 0..8_u8 {
        let mut seen = 0;
        let mut edits = retain(text, result, "tools", |_| {
            seen += 1;
            mask & (1 << (seen - 1)) != 0
        });
        let kept: Vec<Item> = items(text, result, "tools")
            .into_iter()
            .enumerate()
            .filter(|(at, _)| mask & (1 << at) != 0)
            .map(|(_, item)| item)
            .collect();
        let wanted: Vec<String> = kept.iter().map(|item| format!("s__{}", name(text, item))).collect();
        edits.extend(kept.iter().zip(&wanted).map(|(item, name)| rename(item.name.expect("named"), name)));
        let out = apply(text, &mut edits);
        let value: serde_json::Value = serde_json::from_slice(&out).expect("valid after the edits");
        let names: Vec<&str> = value["tools"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|tool| tool["name"].as_str().expect("a name"))
            .collect();
        assert_eq!(names, wanted, "{mask}");
        assert_eq!(value["extra"], 1);
        if mask & 4 != 0 {
            assert!(String::from_utf8(out).expect("UTF-8").contains("\"big\":123456789012345678901234567890"));
        }
    }
}

#[test]
fn a_merged_list_keeps_entries_as_they_are() {
    let text = LIST.as_bytes();
    let mut merged = Merged::new("tools");
    assert!(merged.is_empty());
    for item in items(text, whole(LIST), "tools") {
        let entry = item.span.of(text);
        let own = super::item(entry, Span::new(0, entry.len()));
        let mut edits = [rename(own.name.expect("named"), &format!("s__{}", name(entry, &own)))];
        merged.push(entry, &mut edits);
    }
    merged.limit(CacheHints { ttl_ms: 300, scope: CacheScope::Public });
    merged.limit(CacheHints { ttl_ms: 700, scope: CacheScope::Private });
    assert_eq!(merged.len(), 3);
    let tools = r#"{"tools":[{"name":"s__a","x":1.0},{"description":"{\"name\":\"no\"}","n\u0061me":"s__b","inputSchema":{"name":"no"}},{"name":"s__c","big":123456789012345678901234567890}]"#;
    let legacy = String::from_utf8(merged.clone().finish_legacy(Some("c\"1"))).expect("UTF-8");
    assert_eq!(legacy, format!(r#"{tools},"nextCursor":"c\"1"}}"#));
    let modern = String::from_utf8(merged.finish_modern(None)).expect("UTF-8");
    assert_eq!(modern, format!(r#"{tools},"resultType":"complete","ttlMs":300,"cacheScope":"private"}}"#));
}

#[test]
fn an_empty_merge_promises_nothing() {
    let out = String::from_utf8(Merged::new("prompts").finish_modern(None)).expect("UTF-8");
    assert_eq!(out, r#"{"prompts":[],"resultType":"complete","ttlMs":0,"cacheScope":"private"}"#);
}
