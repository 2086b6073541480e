//! What the gate tells of its calls: in flight, afterwards, added up, and by session.

mod calls;
mod counts;
mod metrics;
mod sessions;
mod stage;
mod traces;
