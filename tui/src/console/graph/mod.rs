//! Graphs that are made of characters: lines over time, bars, and a map of how long calls took.

mod bar;
mod heat;
mod spark;

pub(crate) use bar::{bar, phases};
pub(crate) use heat::heat;
pub(crate) use spark::spark;
