//! `toolgate seal`: the keys of what clients hold for the gate.

use clap::Subcommand;

use super::how::Final;

/// `toolgate seal`
#[derive(Debug, Subcommand)]
pub(crate) enum Seal {
    /// List keys: which one seals, and until when older ones open. Keys themselves are not shown.
    Show,

    /// Have a fresh key of the gate's own seal; the one before opens for `seal.overlap`.
    Rotate {
        /// No older key opens any more, for a key that somebody may have: cursors and states that clients hold are void.
        /// Needs --confirm seal.
        #[arg(long)]
        alone: bool,

        #[command(flatten)]
        how: Final,
    },
}
