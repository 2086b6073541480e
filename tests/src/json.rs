//! JSON as no serialiser writes it: odd numbers, escapes nobody needs, whitespace between any two tokens.
//!
//! The scenarios of fidelity generate values with the strategies here and write them with a [`Hand`].
//! What is written is JSON by RFC 8259 for every value and every style, and a style of zeros is the plain one.

use std::collections::HashSet;

use proptest::prelude::*;
use proptest::sample::select;

/// A value of which the writing is open.
#[derive(Debug, Clone)]
pub enum Json {
    /// Written as it stands: a number, a literal, a string with its quotes, or what a scenario will replace.
    Raw(String),
    /// A string by its characters.
    Text(String),
    /// In this order.
    Array(Vec<Json>),
    /// Members in this order; keys are not compared.
    Object(Vec<(String, Json)>),
}

impl Json {
    /// What stands as it is.
    #[must_use]
    pub fn raw(text: impl Into<String>) -> Self {
        Self::Raw(text.into())
    }

    /// A string.
    #[must_use]
    pub fn text(text: &str) -> Self {
        Self::Text(text.to_owned())
    }

    /// The value in one style.
    #[must_use]
    pub fn written(&self, style: &[u8]) -> String {
        let mut hand = Hand { style, choices: 0, out: String::new() };
        hand.space();
        hand.value(self);
        hand.space();
        hand.out
    }
}

/// Writes values; each choice takes the next byte of the style.
struct Hand<'s> {
    style: &'s [u8],
    choices: usize,
    out: String,
}

impl Hand<'_> {
    fn choose(&mut self) -> u8 {
        let choice = self.style.get(self.choices % self.style.len().max(1)).copied().unwrap_or(0);
        self.choices += 1;
        choice
    }

    fn space(&mut self) {
        let space = match self.choose() % 16 {
            9 => " ",
            10 => "\n",
            11 => "\r\n",
            12 => "\t",
            13 => "  \r",
            14 => "\n \n\t  ",
            15 => " \r\r\n",
            _ => "",
        };
        self.out.push_str(space);
    }

    fn value(&mut self, value: &Json) {
        match value {
            Json::Raw(text) => self.out.push_str(text),
            Json::Text(text) => self.string(text),
            Json::Array(values) => {
                self.container('[', ']', values, Self::value);
            }
            Json::Object(members) => self.container('{', '}', members, |hand, (key, value)| {
                hand.string(key);
                hand.space();
                hand.out.push(':');
                hand.space();
                hand.value(value);
            }),
        }
    }

    fn container<T>(&mut self, open: char, close: char, entries: &[T], write: impl Fn(&mut Self, &T)) {
        self.out.push(open);
        self.space();
        for (index, entry) in entries.iter().enumerate() {
            if index > 0 {
                self.out.push(',');
                self.space();
            }
            write(self, entry);
            self.space();
        }
        self.out.push(close);
    }

    fn string(&mut self, text: &str) {
        self.out.push('"');
        for char in text.chars() {
            self.char(char);
        }
        self.out.push('"');
    }

    fn char(&mut self, char: char) {
        let short = match char {
            '"' | '\\' | '/' => Some(char),
            '\u{8}' => Some('b'),
            '\u{c}' => Some('f'),
            '\n' => Some('n'),
            '\r' => Some('r'),
            '\t' => Some('t'),
            _ => None,
        };
        let needed = matches!(char, '\0'..='\u{1f}' | '"' | '\\');
        match (self.choose() % 8, short) {
            (0..=5, _) if !needed => self.out.push(char),
            (0..=6, Some(short)) => self.out.extend(['\\', short]),
            _ => self.code_units(char),
        }
    }

    fn code_units(&mut self, char: char) {
        for unit in char.encode_utf16(&mut [0; 2]) {
            let digits = if self.choose().is_multiple_of(2) { format!("{unit:04x}") } else { format!("{unit:04X}") };
            self.out.push_str("\\u");
            self.out.push_str(&digits);
        }
    }
}

/// Raw values that models of JSON change, lose or refuse.
const ODD: [&str; 14] = [
    "-0",
    "1.0",
    "1e400",
    "-1E+05",
    "0.10000000000000000000000000000000000001",
    "18446744073709551616",
    "123456789012345678901234567890",
    "null",
    "true",
    "false",
    r#""\ud800""#,
    r#""\uDEAD\uD83D""#,
    r#""\u0000""#,
    r#""\ud83d\uDE00\/""#,
];

/// Keys that mean something elsewhere.
const KEYS: [&str; 14] = [
    "",
    "id",
    "Id",
    "name",
    "NAME",
    "method",
    "params",
    "result",
    "jsonrpc",
    "_meta",
    "uri",
    "arguments",
    "progressToken",
    "__proto__",
];

/// How a message may be written.
pub fn style() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 0..97)
}

/// Any string.
pub fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => "[ -~]{0,12}",
        1 => proptest::collection::vec(any::<char>(), 0..12).prop_map(String::from_iter),
        1 => select(vec!["\u{2028}\u{feff}", "\r\n", "</script>", "é中😀", "\u{7f}\u{80}"]).prop_map(str::to_owned),
    ]
}

/// A number of any length.
pub fn number() -> impl Strategy<Value = String> {
    "-?(0|[1-9][0-9]{0,40})(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?"
}

/// Whether an object may have a key twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keys {
    /// Each once, as JSON has it that any reader understands alike.
    Unique,
    /// As they come.
    Repeated,
}

/// Any value, of up to 60 containers within each other.
pub fn value(keys: Keys) -> impl Strategy<Value = Json> {
    let shallow = scalar().prop_recursive(4, 24, 5, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Json::Array),
            proptest::collection::vec((key(), inner), 0..5).prop_map(move |members| object(keys, members)),
        ]
    });
    let deep = (scalar(), proptest::collection::vec(any::<bool>(), 0..=60)).prop_map(|(inmost, levels)| {
        levels.into_iter().fold(inmost, |inside, is_array| {
            if is_array { Json::Array(vec![inside]) } else { Json::Object(vec![("deep".to_owned(), inside)]) }
        })
    });
    prop_oneof![7 => shallow, 1 => deep]
}

/// Members that no receiver knows, to stand among those that it does.
pub fn unknown(keys: Keys) -> impl Strategy<Value = Vec<(String, Json)>> {
    let key = key().prop_map(|key| format!("x{key}"));
    proptest::collection::vec((key, value(keys)), 0..4).prop_map(unique)
}

fn scalar() -> impl Strategy<Value = Json> {
    prop_oneof![select(&ODD[..]).prop_map(Json::raw), number().prop_map(Json::Raw), text().prop_map(Json::Text),]
}

fn key() -> impl Strategy<Value = String> {
    prop_oneof![select(&KEYS[..]).prop_map(str::to_owned), text()]
}

fn object(keys: Keys, members: Vec<(String, Json)>) -> Json {
    Json::Object(if keys == Keys::Unique { unique(members) } else { members })
}

fn unique(mut members: Vec<(String, Json)>) -> Vec<(String, Json)> {
    let mut seen = HashSet::new();
    members.retain(|(key, _)| seen.insert(key.clone()));
    members
}

#[cfg(test)]
mod tests {
    use serde::de::IgnoredAny;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_json_that_means_the_same_in_every_style(text in text(), value in value(Keys::Unique), style in style()) {
            let written = Json::Array(vec![Json::Text(text.clone()), value.clone()]).written(&style);
            let read: (String, IgnoredAny) = serde_json::from_str(&written).expect("JSON");
            prop_assert_eq!(read.0, text);
        }
    }

    #[test]
    fn a_style_decides_about_escapes_and_whitespace() {
        let value = Json::Object(vec![("a".to_owned(), Json::text("/\n"))]);
        assert_eq!(value.written(&[]), r#"{"a":"/\n"}"#);
        assert_eq!(value.written(&[15]), " \r\r\n{ \r\r\n\"\\u0061\" \r\r\n: \r\r\n\"\\u002F\\u000A\" \r\r\n} \r\r\n");
        assert_eq!(value.written(&[6]), r#"{"\u0061":"\/\n"}"#);
    }
}
