//! The table of keys as a section of the man page.

use super::super::screens::Screen;
use super::{BINDINGS, Binding, Context, INCIDENTS};

/// In the order of the page.
const CONTEXTS: [Context; 7] = [
    Context::Screen,
    Context::Global,
    Context::Timeline,
    Context::Text,
    Context::Menu,
    Context::Dialog,
    Context::Field,
];

/// The section, in the language of man pages.
pub(crate) fn manual() -> String {
    let mut page = String::from(".SH KEYS\n.SS \"What to press when something is wrong\"\n");
    for (what, keys) in INCIDENTS {
        page.extend([".TP\n", &escaped(what), "\n", &escaped(keys), "\n"]);
    }
    for context in CONTEXTS {
        page.extend([".SS \"", context.heading(), "\"\n"]);
        for row in BINDINGS.iter().filter(|row| row.context == context) {
            page.push_str(&entry(row));
        }
    }
    page
}

/// A row of the table.
fn entry(row: &Binding) -> String {
    format!(".TP\n\\fB{}\\fR\n{}\n", escaped(row.shown), escaped(&meaning(row)))
}

fn meaning(row: &Binding) -> String {
    let screens: Vec<&str> = row.screens.iter().map(|screen: &Screen| screen.title()).collect();
    if screens.is_empty() { row.meaning.to_owned() } else { format!("{}: {}", screens.join(", "), row.meaning) }
}

/// What would be a command there, or a dash that is no minus.
fn escaped(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-").replace('\'', "\\(aq");
    if text.starts_with('.') { format!("\\&{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_in_the_page() {
        let page = manual();
        for row in BINDINGS {
            assert!(page.contains(&entry(row)), "{}", row.shown);
        }
        assert!(page.lines().all(|line| !line.starts_with('\'')), "{page}");
    }
}
