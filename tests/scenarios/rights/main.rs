//! What clients may use: roles and scopes, conditions on arguments, what lists show, and who tries to get round it.
//!
//! Each sentence holds for both eras, for servers by themselves and for merged views: [`stage::Way`] goes through them.

mod arguments;
mod explain;
mod lists;
mod names;
mod smuggling;
mod stage;
