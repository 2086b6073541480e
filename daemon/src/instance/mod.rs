//! `toolgated instance`: the wrapper around one run of a stdio server's command.

pub mod notice;
