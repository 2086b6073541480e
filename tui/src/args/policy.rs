//! `toolgate policy`

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::printable;

/// `toolgate policy`
#[derive(Debug, Subcommand)]
pub(crate) enum Policy {
    /// Tell whether a call would be let through, and the rule that decides; exit status 1 where it would not.
    Explain(PolicyExplain),
}

/// `toolgate policy explain`
#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("what").required(true)), group(clap::ArgGroup::new("who").required(true).multiple(true)))]
pub(crate) struct PolicyExplain {
    /// The client, such as key:ci or address:10.0.0.7.
    #[arg(long, value_name = "CLIENT", group = "who", conflicts_with_all = ["roles", "scopes"])]
    pub(crate) client: Option<String>,

    /// Instead of a client: whoever has this role; may be repeated.
    #[arg(long = "role", value_name = "ROLE", group = "who", value_parser = printable)]
    pub(crate) roles: Vec<String>,

    /// Instead of a client: whoever has this scope; may be repeated.
    #[arg(long = "scope", value_name = "PATTERN", group = "who", value_parser = printable)]
    pub(crate) scopes: Vec<String>,

    /// The tool, as SERVER/TOOL.
    #[arg(long, value_name = "TOOL", group = "what")]
    pub(crate) tool: Option<String>,

    /// The resource, as SERVER/URI.
    #[arg(long, value_name = "URI", group = "what")]
    pub(crate) resource: Option<String>,

    /// The prompt, as SERVER/NAME.
    #[arg(long, value_name = "NAME", group = "what")]
    pub(crate) prompt: Option<String>,

    /// A file with the arguments of the tool's call, an object of JSON; - for standard input.
    #[arg(long, value_name = "FILE", requires = "tool")]
    pub(crate) args: Option<PathBuf>,
}
