//! toolgate.toml(5), from the same table as the checker's knowledge of keys.

use std::io::{self, Write};

use clap_mangen::roff::{Roff, bold, italic, roman};
use toolgated::config::manual::{self, Row};
use toolgated::config::presets::PRESETS;

/// The name of the page's file.
pub(super) const FILE: &str = "toolgate.toml.5";

/// The examples that the package installs; a test checks them.
const EXAMPLES: &str = include_str!("../../../packaging/examples.toml");

const DESCRIPTION: &[&str] = &[
    "toolgated(8) reads /etc/toolgate/toolgate.toml, and after it /etc/toolgate/conf.d/*.toml in the order of names, \
     hidden files left out. All files together are one configuration: a listener, server, profile, key or tier stands \
     in one file whole. The main file says version = 1, and is best left as it was installed. The format is TOML; paths \
     are relative to the file that writes them.",
    "toolgated check reports every problem of the files at once, with line, column and remedy. systemctl reload \
     toolgated takes them over as a whole; where anything is wrong, nothing changes, the running configuration goes on \
     serving, and the command fails and says why.",
    "Durations are written as \"500ms\", \"30s\", \"5m\" or \"1d\", sizes as \"64KiB\" or \"10MiB\", rates as \"100/min\". A \
     list may be written as a single value where it has one element. NAME is chosen by the operator.",
    "A secret is written as where it is: \"file:PATH\"; \"credential:NAME\", a credential of the systemd unit; or \
     \"env:NAME\", a variable of the daemon. An environment variable of the daemon sets a single value: TOOLGATE_ and the \
     names that lead to it, joined by two underscores, as in TOOLGATE_LOG__LEVEL=debug.",
    "In effect says when a changed value holds after a reload. Next call: at once. New connections: open ones keep the \
     old value. Server starts anew: its instances end, or its connections are opened anew. Restart: after systemctl \
     restart toolgated. Not yet: it is checked, and has no effect in this version.",
];

/// Writes the page.
pub(super) fn write(source: &str, to: &mut impl Write) -> io::Result<()> {
    let mut page = Roff::new();
    page.control("TH", ["toolgate.toml", "5", "", source, "Configuration"]);
    heading(&mut page, "NAME");
    page.text([roman("toolgate.toml - configuration of the gate in front of MCP servers")]);
    heading(&mut page, "DESCRIPTION");
    paragraphs(&mut page, DESCRIPTION);
    heading(&mut page, "KEYS");
    for section in manual::sections() {
        page.control("SS", [&*section.heading.replace('`', "")]);
        for row in &section.rows {
            key(&mut page, row);
        }
    }
    heading(&mut page, "PRESETS");
    for preset in &PRESETS {
        let values = preset.values.iter().map(|(path, value)| format!("{} = {value}", path.replace(".*", ".NAME")));
        page.control("PP", []);
        page.text([bold(preset.name), roman(format!(": {}.", values.collect::<Vec<_>>().join("; ")))]);
    }
    heading(&mut page, "EXAMPLES");
    page.control("nf", []);
    for line in EXAMPLES.lines() {
        page.text([roman(line)]);
    }
    page.control("fi", []);
    heading(&mut page, "SEE ALSO");
    page.text([bold("toolgated"), roman("(8), "), bold("toolgate"), roman("(1)")]);
    page.to_writer(to)
}

fn heading(page: &mut Roff, text: &str) {
    page.control("SH", [text]);
}

fn paragraphs(page: &mut Roff, texts: &[&str]) {
    for text in texts {
        page.control("PP", []);
        page.text([roman(*text)]);
    }
}

fn key(page: &mut Roff, row: &Row) {
    page.control("TP", []);
    page.text([bold(&*row.path)]);
    page.text([roman(row.doc)]);
    let mut facts = vec![italic("Value: "), roman(format!("{}. ", row.value))];
    if let Some(default) = row.default {
        facts.extend([italic("Default: "), roman(format!("{default}. "))]);
    }
    facts.extend([italic("In effect: "), roman(format!("{}.", row.effect))]);
    page.text(facts);
}
