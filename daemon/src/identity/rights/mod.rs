//! What a client may use: scopes and roles, decided by name and by arguments.
//!
//! Pure and shared: roles are compiled once per configuration, a client's [`Rights`] once per client. Whoever routes a
//! call asks them, and so does whoever shows a list.

mod condition;
mod decide;
mod memo;
mod role;
mod ruling;
mod scope;

pub use condition::{Condition, Outcome, Scalar, Test, Whole};
pub use decide::{Granted, Rights};
pub use role::{Required, Role, Rule, called};
pub use ruling::Ruling;
pub use scope::{Kind, Scope};

#[cfg(test)]
mod tests;
