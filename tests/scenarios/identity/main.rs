//! Who calls, by each method, and what comes of credentials that are wrong.

mod addresses;
mod certificates;
mod failures;
mod names;
mod reach;
mod stage;
