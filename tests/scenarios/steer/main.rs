//! What operators do by hand, with its effect on clients of both eras, and the record of it.

mod clients;
mod sessions;
mod stage;
