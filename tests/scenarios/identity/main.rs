//! Who may call: each method of identity, each outcome, in both eras.

mod fresh;
mod matrix;
mod resource;
mod stage;
