//! Who may call: each method of identity, each outcome, in both eras; and where the gate connects to.

mod addresses;
mod certificates;
mod door;
mod failures;
mod fresh;
mod matrix;
mod names;
mod reach;
mod resource;
mod stage;
mod steps;
mod terms;
