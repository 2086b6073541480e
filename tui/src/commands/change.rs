//! What changes by hand have in common: confirmation, routes, and how their outcomes are told.

use serde::Serialize;
use serde::de::DeserializeOwned;
use toolgate_admin_api::{Exit, Shown};

use super::Context;
use crate::args::{Final, How, Rows};
use crate::client::admin::{AdminClient, Answer};
use crate::failure::Failure;
use crate::output;

/// It lets nothing through: `0`, `00/min`, `+0`.
pub(crate) fn is_zero(value: &str) -> bool {
    let value = value.trim();
    let value = value.strip_prefix('+').unwrap_or(value);
    let digits = &value[..value.bytes().take_while(u8::is_ascii_digit).count()];
    !digits.is_empty() && digits.bytes().all(|digit| digit == b'0')
}

/// Whether a wide or final change was confirmed with the name of its object; `told` says what it would do.
pub(super) fn confirmed(how: &Final, object: &str, told: &str) -> Result<(), Failure> {
    match how.confirm.as_deref() {
        Some(confirmed) if confirmed == object => Ok(()),
        Some(other) => Err(Failure::new(Exit::Usage, format!("{} is confirmed, and {object} is meant.", Shown(other)))
            .remedy("Name with --confirm what is changed.")),
        None => Err(Failure::new(Exit::Usage, format!("Nothing was changed. {told}"))
            .remedy(format!("Add --confirm {} to do it.", output::shell_word(object)))),
    }
}

/// A name in a path: what is not plainly a letter of one is `%` and two digits.
pub(super) fn segment(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    name.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// Which rows a table is to have, as a query.
pub(super) fn query(rows: &Rows) -> String {
    let mut query = format!("?limit={}", rows.limit);
    for (name, value) in [("filter", &rows.filter), ("sort", &rows.sort)] {
        if let Some(value) = value {
            query.extend(["&", name, "=", &segment(value)]);
        }
    }
    if rows.descending {
        query.push_str("&descending=true");
    }
    query
}

/// Asks for a change.
pub(super) async fn post<T: DeserializeOwned>(
    context: &Context,
    route: &str,
    request: &impl Serialize,
    how: &How,
) -> Result<T, Failure> {
    AdminClient::control(&context.runtime_dir).await?.post(route, request, how.if_match).await?.read()
}

/// Tells an outcome: JSON for programs, a sentence for people.
pub(super) fn tell(context: &Context, outcome: &impl Serialize, sentence: &str) -> Exit {
    if context.json {
        output::json(outcome);
    } else {
        output::line(&output::printable(sentence));
    }
    Exit::Done
}

/// A table for people, or the daemon's own JSON; `none` is said where there are no rows.
pub(super) fn table(rows: Vec<Vec<String>>, head: &[&str], none: &str) {
    if rows.is_empty() {
        return output::line(none);
    }
    let head = head.iter().map(|cell| (*cell).to_owned()).collect();
    let shown = rows.into_iter().map(|row| row.iter().map(|cell| Shown(cell).to_string()).collect());
    output::raw(output::table(&std::iter::once(head).chain(shown).collect::<Vec<_>>()).as_bytes());
}

/// Prints an answer as it came.
pub(super) fn raw(answer: &Answer) -> Exit {
    output::raw(answer.json());
    output::raw(b"\n");
    Exit::Done
}

/// `1h30m`
pub(super) fn span(seconds: u64) -> String {
    let parts = [(seconds / 86_400, "d"), (seconds / 3600 % 24, "h"), (seconds / 60 % 60, "m"), (seconds % 60, "s")];
    let parts = parts.iter().filter(|(count, _)| *count > 0).map(|(count, unit)| format!("{count}{unit}"));
    let text = parts.collect::<Vec<_>>().concat();
    if text.is_empty() { "0s".to_owned() } else { text }
}

/// What stands before a sentence about something that was only rehearsed.
pub(super) fn rehearsed(applied: bool) -> &'static str {
    if applied { "" } else { "Nothing was changed. " }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_written_in_several_ways() {
        assert!(["0", " 00 ", "+0", "0/min", "000/5min"].into_iter().all(is_zero));
        assert!(!["", "5", "05/min", "10/min", "none"].into_iter().any(is_zero));
    }

    #[test]
    fn any_name_fits_into_a_path() {
        assert_eq!(segment("tier.free.1"), "tier.free.1");
        assert_eq!(segment("a b/ü"), "a%20b%2F%C3%BC");
    }

    #[test]
    fn a_final_change_names_its_object() {
        let how = |confirm: Option<&str>| Final { confirm: confirm.map(str::to_owned), ..Final::default() };
        assert!(confirmed(&how(Some("key:ci")), "key:ci", "It ends 3 sessions.").is_ok());
        let failure = confirmed(&how(None), "key:ci", "It ends 3 sessions.").unwrap_err();
        assert!(failure.exit == Exit::Usage && failure.message.ends_with("It ends 3 sessions."));
        assert_eq!(failure.remedy.as_deref(), Some("Add --confirm key:ci to do it."));
        assert!(confirmed(&how(Some("key:cd")), "key:ci", "").is_err());
    }
}
