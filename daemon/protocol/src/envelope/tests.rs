use super::*;

fn read(text: &str) -> Envelope {
    scan(text.as_bytes()).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn a_call_yields_its_spans() {
    let text = r#" {"jsonrpc":"2.0","id":7,"method":"tools\/call","params":{"n\u0061me":"echo","arguments":{"a":[1,2]},"_meta":{"progressToken":"t"}}} "#;
    let envelope = read(text);
    let text = text.as_bytes();
    assert_eq!(envelope.shape, Shape::Request);
    assert_eq!(envelope.id_raw(text), Some(&b"7"[..]));
    assert_eq!(envelope.method_str(text).as_deref(), Some("tools/call"));
    assert_eq!(envelope.name_str(text).as_deref(), Some("echo"));
    assert_eq!(envelope.target(text), envelope.name);
    assert_eq!(envelope.arguments.map(|span| span.of(text)), Some(&br#"{"a":[1,2]}"#[..]));
    assert_eq!(envelope.progress_token.map(|span| span.of(text)), Some(&b"\"t\""[..]));
}
