//! Which rows of a table are shown: words that must occur, `!` before those that must not, and `field=value`.
//!
//! Drilling down writes such a filter, so that what it carried is seen, can be changed and is recalled like any other.

use std::collections::BTreeMap;

use super::table::Row;

/// A filter as it was typed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    text: String,
    terms: Vec<Term>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Term {
    negative: bool,
    field: Option<String>,
    /// As it was written: names of tools and clients have capitals.
    value: String,
    /// The same in small letters, as it is looked for.
    sought: String,
}

impl Filter {
    /// Reads what was typed.
    pub(crate) fn parse(text: &str) -> Self {
        let terms = text.split_whitespace().filter_map(Term::parse).collect();
        Self { text: text.trim().to_owned(), terms }
    }

    /// As it was typed.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// It lets everything through.
    pub(crate) fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// The value that a field must have, as it was written.
    pub(crate) fn value(&self, field: &str) -> Option<&str> {
        let wanted = |term: &&Term| !term.negative && term.field.as_deref() == Some(field);
        self.terms.iter().find(wanted).map(|term| term.value.as_str())
    }

    /// The same with the id of a client, by which alone the daemon knows it in calls and sessions, where its owner was
    /// written. What may mean several is left to [`Filter::matches`].
    pub(crate) fn by_id(&self, owners: &BTreeMap<String, String>) -> Self {
        let terms = self.terms.iter().filter_map(|term| term.by_id(owners)).collect();
        Self { text: self.text.clone(), terms }
    }

    /// The same as plain words for the daemon, which looks for them in what a row says; terms for other fields than
    /// these are left to [`Filter::matches`].
    pub(crate) fn words(&self, fields: &[&str]) -> String {
        let mut words = Vec::new();
        for term in &self.terms {
            let said = term.field.as_deref().is_none_or(|field| fields.contains(&field));
            let pieces = term.value.split(['*', '/']).filter(|piece| !piece.is_empty());
            match (term.negative, said) {
                (true, true) if term.field.is_none() => words.push(format!("!{}", term.value)),
                (false, true) => words.extend(pieces.map(str::to_owned)),
                _ => {}
            }
        }
        words.join(" ")
    }

    /// The same for the tail: names as conditions, in the case that they were written in, and the rest as words.
    /// What it does not know is left to [`Filter::matches`].
    pub(crate) fn conditions(&self) -> String {
        let mut said = Vec::new();
        for term in &self.terms {
            let value = term.value.as_str();
            let pieces = || value.split(['*', '/']).filter(|piece| !piece.is_empty()).map(str::to_owned);
            match (term.field.as_deref(), term.negative) {
                (None, true) => said.push(format!("!{value}")),
                (None, false) => said.extend(pieces()),
                (_, true) => {}
                (Some("client" | "session" | "server" | "method" | "tool" | "name"), _) if value.contains('*') => {
                    said.extend(pieces());
                }
                (Some(field @ ("client" | "session" | "server" | "method")), _) => {
                    said.push(format!("{field}={value}"));
                }
                (Some("tool" | "name"), _) => match value.split_once('/') {
                    Some((server, tool)) => said.extend([format!("server={server}"), format!("tool={tool}")]),
                    None => said.push(format!("tool={value}")),
                },
                _ => {}
            }
        }
        said.join(" ")
    }

    /// Whether a row is shown.
    pub(crate) fn matches(&self, row: &Row) -> bool {
        self.terms.iter().all(|term| term.holds(row) != term.negative)
    }
}

impl Term {
    fn parse(word: &str) -> Option<Self> {
        let (negative, word) = word.strip_prefix('!').map_or((false, word), |rest| (true, rest));
        let (field, value) = match word.split_once('=') {
            Some((field, value)) if !field.is_empty() => (Some(field.to_ascii_lowercase()), value),
            _ => (None, word),
        };
        (!value.is_empty()).then(|| Self { negative, field, value: value.to_owned(), sought: value.to_lowercase() })
    }

    fn by_id(&self, owners: &BTreeMap<String, String>) -> Option<Self> {
        let mut owned = owners.iter().filter(|(_, owner)| match self.field.as_deref() {
            Some("client") => self.is(&owner.to_lowercase()),
            Some(_) => false,
            None => owner.to_lowercase().contains(&self.sought),
        });
        match (owned.next(), owned.next()) {
            _ if self.negative => Some(self.clone()),
            (None, _) => Some(self.clone()),
            (Some((id, _)), None) if self.field.is_some() => {
                Some(Self { value: id.clone(), sought: id.to_lowercase(), ..self.clone() })
            }
            _ => None,
        }
    }

    fn holds(&self, row: &Row) -> bool {
        match &self.field {
            None => {
                row.cells.iter().any(|cell| cell.text.to_lowercase().contains(&self.sought))
                    || row.fields.iter().any(|(_, value)| value.to_lowercase().contains(&self.sought))
            }
            Some(field) => row.fields.iter().any(|(name, value)| name == field && self.is(&value.to_lowercase())),
        }
    }

    /// A whole value, with or without what kind of name it is (`key:ci` is `ci`), or a glob of one.
    fn is(&self, value: &str) -> bool {
        let bare = value.split_once(':').map_or(value, |(_, bare)| bare);
        glob(&self.sought, value) || glob(&self.sought, bare)
    }
}

/// `*` stands for anything.
fn glob(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(first) else { return false };
    let mut pieces = rest.split('*').peekable();
    while let Some(piece) = pieces.next() {
        if pieces.peek().is_none() {
            return text.ends_with(piece);
        }
        match text.find(piece) {
            Some(at) => text = &text[at + piece.len()..],
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::super::object::Object;
    use super::super::table::Cell;
    use super::*;

    fn matches(filter: &str) -> bool {
        let row = Row::new(Object::Server("weather".into()), vec![Cell::new("weather"), Cell::new("degraded")])
            .field("server", "weather")
            .field("client", "key:ci-runner");
        Filter::parse(filter).matches(&row)
    }

    #[test]
    fn words_occur_and_words_after_a_bang_do_not() {
        assert!(matches("") && matches("  ") && matches("WEA") && matches("weather degr"));
        assert!(!matches("weather files") && !matches("!weather") && matches("!files weather"));
    }

    #[test]
    fn a_field_has_the_whole_value() {
        assert!(matches("server=weather") && !matches("server=wea") && matches("server=wea*"));
        assert!(matches("client=key:ci-runner") && matches("client=ci-runner") && matches("client=*run*"));
        assert!(matches("!server=files") && !matches("!server=weather"));
    }

    #[test]
    fn the_daemon_gets_the_words_that_it_can_look_for() {
        let words = |text: &str| Filter::parse(text).words(&["client", "tool"]);
        assert_eq!(words("client=key:ci tool=pay/charge late"), "key:ci pay charge late");
        assert_eq!(words("!late !client=ci state=open"), "!late");
    }

    #[test]
    fn the_daemon_is_asked_for_ids_where_owners_were_written() {
        let owners = [("key:1", "Billing"), ("key:2", "ci"), ("key:3", "ci")];
        let owners = owners.map(|(id, owner)| (id.to_owned(), owner.to_owned())).into();
        let asked = |text: &str| Filter::parse(text).by_id(&owners).conditions();
        assert_eq!(asked("client=billing tool=pay/charge"), "client=key:1 server=pay tool=charge");
        assert_eq!(asked("client=ci server=billing"), "server=billing", "which of two is not known");
        assert_eq!(asked("bill late"), "late", "a word may be a part of an owner's name");
        assert_eq!(asked("client=key:9 !ci"), "client=key:9 !ci");
    }

    #[test]
    fn the_tail_gets_names_as_conditions_in_their_own_case() {
        let conditions = |text: &str| Filter::parse(text).conditions();
        assert_eq!(conditions("session=9e37 client=key:Ci"), "session=9e37 client=key:Ci");
        assert_eq!(conditions("tool=web/createIssue late"), "server=web tool=createIssue late");
        assert_eq!(conditions("tool=web/create* !late !client=ci stage=queue"), "web create !late");
    }

    #[test]
    fn half_typed_terms_hide_nothing() {
        assert!(matches("!") && matches("server="));
        assert_eq!(Filter::parse("server=").value("server"), None);
        assert_eq!(Filter::parse("a server=Weather").value("server"), Some("Weather"));
        assert!(matches("server=Weather") && matches("DEGRADED"));
    }
}
