//! Who calls, by each method, and what comes of credentials that are wrong.

mod certificates;
mod stage;
