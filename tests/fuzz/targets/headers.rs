//! Header values of the modern era.
//! Must hold: a value that was wrapped for a header is read again as it was; one value has one wrapping; a header that a
//! client of ours derives from a body mirrors that body.
#![no_main]

use libfuzzer_sys::fuzz_target;
use toolgate_protocol::envelope::scan;
use toolgate_protocol::header_value::{Mirrored, check_param, decode, encode, header_params, mirrors, param_value};
use toolgate_protocol::json;
use toolgate_protocol::method::Method;

fuzz_target!(|data: &[u8]| {
    if let Some(value) = decode(data) {
        round_trip(&value);
    }
    if let Ok(value) = std::str::from_utf8(data) {
        round_trip(value);
    }
    // A schema and a message that may be a call of such a tool.
    let mut parts = data.splitn(2, |byte| *byte == 0);
    let (schema, text) = (parts.next().unwrap_or_default(), parts.next().unwrap_or(data));
    message(text, data);
    let Ok(whole) = json::document(schema) else { return };
    let Ok(params) = header_params(schema, whole) else { return };
    let Ok(call) = scan(text) else { return };
    for param in &params {
        let value = param_value(param, text, call.arguments);
        let checked = check_param(param, value.as_deref().map(str::as_bytes), text, call.arguments);
        assert!(checked.is_ok(), "{} is not mirrored by its own header: {checked:?}", param.header);
        assert!(check_param(param, Some(b"\x01"), text, call.arguments).is_err());
    }
});

fn round_trip(value: &str) {
    let header = encode(value);
    assert!(header.bytes().all(|byte| matches!(byte, 0x20..=0x7e | b'\t')), "it may not stand in a header");
    assert_eq!(header.trim_matches([' ', '\t']), header);
    assert_eq!(decode(header.as_bytes()).as_deref(), Some(value));
}

fn message(text: &[u8], data: &[u8]) {
    let Ok(envelope) = scan(text) else { return };
    let _ = mirrors(&Mirrored { version: Some(data), method: Some(data), name: Some(data) }, &envelope, text);
    let name = envelope.target_str(text).map(|name| encode(&name).into_owned());
    let (version, method) = (envelope.protocol_version_str(text), envelope.method_str(text));
    let is_plain = |text: &str| encode(text) == text;
    // Version and method are never wrapped, so that unsafe ones cannot be mirrored.
    if !version.as_deref().is_none_or(is_plain) || !method.as_deref().is_none_or(is_plain) {
        return;
    }
    let headers = Mirrored {
        version: version.as_deref().map(str::as_bytes),
        method: method.as_deref().map(str::as_bytes),
        name: name
            .as_deref()
            .map(str::as_bytes)
            .filter(|_| envelope.known_method.is_some_and(Method::needs_name_header)),
    };
    let version_is_text = envelope.protocol_version.is_none() || version.is_some();
    if version_is_text {
        assert_eq!(mirrors(&headers, &envelope, text), Ok(()));
    }
}
