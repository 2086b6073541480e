//! `${…}` in the files of desktop clients.
//!
//! Claude Code writes `${NAME}` and `${NAME:-standard}`, Cursor and VS Code `${env:NAME}`,
//! VS Code `${input:ID}`, and editors `${workspaceFolder}` and its like.

/// What a value with `${…}` stands for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Meaning<'a> {
    /// No `${…}` in it.
    Plain,
    /// The value of a variable, and nothing else.
    Variable(&'a str),
    /// Asked for by the client; the value is nothing else.
    Input(&'a str),
    /// `${…}` that the gate cannot fill in; the first of them.
    Foreign(&'a str),
}

/// Tells what a value stands for.
pub(super) fn meaning(value: &str) -> Meaning<'_> {
    let Some(start) = value.find("${") else {
        return Meaning::Plain;
    };
    let Some(length) = value[start..].find('}') else {
        return Meaning::Plain;
    };
    let whole = &value[start..=start + length];
    let inner = &whole[2..whole.len() - 1];
    if whole.len() < value.len() {
        return Meaning::Foreign(whole);
    }
    if let Some(id) = inner.strip_prefix("input:") {
        return Meaning::Input(id);
    }
    let name = inner.strip_prefix("env:").unwrap_or(inner);
    if !name.is_empty() && name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_') {
        return Meaning::Variable(name);
    }
    if inner.starts_with("env:") && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') && !name.is_empty() {
        return Meaning::Variable(name);
    }
    Meaning::Foreign(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_what_a_value_stands_for() {
        let table = [
            ("x", Meaning::Plain),
            ("${", Meaning::Plain),
            ("${TOKEN}", Meaning::Variable("TOKEN")),
            ("${env:Token}", Meaning::Variable("Token")),
            ("${input:key}", Meaning::Input("key")),
            ("${workspaceFolder}", Meaning::Foreign("${workspaceFolder}")),
            ("${TOKEN:-none}", Meaning::Foreign("${TOKEN:-none}")),
            ("${env:}", Meaning::Foreign("${env:}")),
            ("Bearer ${TOKEN}", Meaning::Foreign("${TOKEN}")),
        ];
        for (value, expected) in table {
            assert_eq!(meaning(value), expected, "{value}");
        }
    }
}
