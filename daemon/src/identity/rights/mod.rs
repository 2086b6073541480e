//! What a client may use: scopes and roles, decided by name and by arguments.

mod ruling;

pub use ruling::Ruling;
