//! Instances of stdio servers, with the real program: how they start, how they end, what is left.

mod census;
mod ends;
mod groups;
mod keeper;
mod many;
mod wrapper;
