//! `toolgate key`: keys of clients, in the daemon's store or in the files.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::how::{Final, How, seconds};
use super::{Edit, printable};

/// `toolgate key`
#[derive(Debug, Subcommand)]
pub(crate) enum Key {
    /// Make a key: prints it once, and the daemon knows it at once.
    #[command(after_help = "\
Example:
  toolgate key create --owner ci --tier free --scope 'weather/*' --network 10.0.0.0/8 --expires 90d

The daemon keeps the key in its store. With --write, or where no daemon runs, it is made for the files of the
configuration instead: these know neither --network nor --expires.")]
    Create(KeyCreate),

    /// List keys, in the order of their ids.
    List(KeyList),

    /// Show what is known of a key.
    Show {
        /// Its id, or the key itself, of which only the id is used.
        #[arg(value_parser = id)]
        key: String,
    },

    /// Give a key another secret: prints it once; the one before opens for a while too.
    #[command(after_help = "\
Example:
  toolgate key rotate k3v0aqm81xwz --overlap 24h

What is open with the secret before goes on; where that has leaked, revoke the key.")]
    Rotate(KeyRotate),

    /// Let a key do nothing, and end what is done with it; its client reads why.
    #[command(after_help = "\
Example:
  toolgate key suspend k3v0aqm81xwz --say \"You are in a loop. Ask SRE.\"")]
    Suspend(KeySuspend),

    /// Let it call again.
    Resume {
        /// Its id.
        #[arg(value_parser = id)]
        key: String,

        #[command(flatten)]
        how: How,
    },

    /// Take a key away for good, and end what is done with it.
    Revoke {
        /// Its id, or the key itself, of which only the id is used.
        #[arg(value_parser = id)]
        key: String,

        #[command(flatten)]
        how: Final,
    },

    /// Take keys in that were made elsewhere, by the hashes of their secrets: all of a file, or none.
    #[command(after_help = "\
A file that ends in .csv has a first line with the names of its columns; any other has a JSON object a line. Both know
id, hash (sha256: and 64 digits), owner, organisation, tier, roles, scopes, networks, created and expires (days, such as
2026-11-27). In CSV, spaces stand between roles, between scopes, and between networks.")]
    Import(KeyImport),

    /// Take keys that stand in the files into the store, so that their lines may be deleted.
    Adopt(KeyAdopt),
}

/// `toolgate key create`
#[derive(Debug, Args)]
pub(crate) struct KeyCreate {
    /// Whose key it is, as logs and limits name the client.
    #[arg(long, value_name = "NAME", value_parser = printable)]
    pub(crate) owner: String,

    /// The organisation that it belongs to.
    #[arg(long, value_name = "NAME", visible_alias = "organisation", value_parser = printable)]
    pub(crate) org: Option<String>,

    /// The tier whose limits apply; absent: its organisation's.
    #[arg(long, value_name = "TIER", value_parser = printable)]
    pub(crate) tier: Option<String>,

    /// A role that it has beside its organisation's; may be repeated.
    #[arg(long = "role", value_name = "ROLE", value_parser = printable)]
    pub(crate) roles: Vec<String>,

    /// What it may use of what its roles allow, as SERVER/TOOL with * and ?; may be repeated; none: all of that.
    #[arg(long = "scope", value_name = "PATTERN", value_parser = printable)]
    pub(crate) scopes: Vec<String>,

    /// A network that it may come from, such as 10.0.0.0/8; may be repeated; none: any.
    #[arg(long = "network", value_name = "NETWORK", value_parser = printable)]
    pub(crate) networks: Vec<String>,

    /// How long it is valid, such as 90d; absent: until it is revoked.
    #[arg(long, value_name = "DURATION", value_parser = seconds)]
    pub(crate) expires: Option<u64>,

    /// Ask no daemon: print lines to put into the configuration.
    #[arg(long)]
    pub(crate) offline: bool,

    /// Append these lines to conf.d/keys.toml and reload, instead of printing them.
    #[arg(long)]
    pub(crate) write: bool,

    /// Why, for the record of changes.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,

    /// Do it only while this revision of the configuration runs.
    #[arg(long, value_name = "REVISION")]
    pub(crate) if_match: Option<u64>,

    #[command(flatten)]
    pub(crate) edit: Edit,
}

/// `toolgate key list`
#[derive(Debug, Args)]
pub(crate) struct KeyList {
    /// Words that a key must have, or with ! before one must not: ids, names, a state, `files` or `store`.
    #[arg(long, value_name = "WORDS")]
    pub(crate) filter: Option<String>,

    /// Begin behind this id.
    #[arg(long, value_name = "ID")]
    pub(crate) after: Option<String>,

    /// Keys at most, up to 1,000.
    #[arg(long, value_name = "NUMBER", default_value_t = 100)]
    pub(crate) limit: u64,
}

/// `toolgate key rotate`
#[derive(Debug, Args)]
pub(crate) struct KeyRotate {
    /// Its id.
    #[arg(value_parser = id)]
    pub(crate) key: String,

    /// How long the secret before opens too, such as 24h, or 0s for no longer.
    #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = overlap)]
    pub(crate) overlap: u64,

    #[command(flatten)]
    pub(crate) how: How,
}

/// `toolgate key suspend`
#[derive(Debug, Args)]
pub(crate) struct KeySuspend {
    /// Its id.
    #[arg(value_parser = id)]
    pub(crate) key: String,

    /// What its client reads instead of answers.
    #[arg(long, value_name = "TEXT")]
    pub(crate) say: Option<String>,

    /// How long, such as 10m; absent: until it is resumed.
    #[arg(long = "for", value_name = "DURATION", value_parser = seconds)]
    pub(crate) seconds: Option<u64>,

    #[command(flatten)]
    pub(crate) how: How,
}

/// `toolgate key import`
#[derive(Debug, Args)]
pub(crate) struct KeyImport {
    /// The file; - for standard input, which is JSON lines.
    pub(crate) file: PathBuf,

    #[command(flatten)]
    pub(crate) how: How,
}

/// `toolgate key adopt`
#[derive(Debug, Args)]
pub(crate) struct KeyAdopt {
    /// Its id.
    #[arg(value_parser = id, required_unless_present = "all")]
    pub(crate) key: Option<String>,

    /// All that stand in the files and that the store does not have.
    #[arg(long, conflicts_with = "key")]
    pub(crate) all: bool,

    #[command(flatten)]
    pub(crate) how: How,
}

/// The id of a key, of which somebody may have the whole text at hand, or the client's name.
fn id(text: &str) -> Result<String, String> {
    let id = match text.strip_prefix("tg_") {
        Some(rest) => rest.split('_').next().unwrap_or_default(),
        None => text.strip_prefix("key:").unwrap_or(text),
    };
    if toolgate_protocol::key::is_id(id) {
        return Ok(id.to_owned());
    }
    Err("an id is 4 to 32 lower-case letters and digits: what stands between the two _ of a key".into())
}

/// As [`seconds`], but it may be nothing.
fn overlap(text: &str) -> Result<u64, String> {
    if matches!(text, "0" | "0s") { Ok(0) } else { seconds(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_named_by_its_id_alone() {
        for text in ["ann12", "key:ann12", "tg_ann12_secret_and_more"] {
            assert_eq!(id(text).as_deref(), Ok("ann12"), "{text}");
        }
        for text in ["", "tg_", "an", "Ann12", "address:10.0.0.1"] {
            assert!(id(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_overlap_may_be_nothing() {
        assert_eq!((overlap("0s"), overlap("24h")), (Ok(0), Ok(86_400)));
        assert!(overlap("soon").is_err());
    }
}
