//! The audit log from outside: what is recorded of calls, refusals and changes, and that nobody can alter it unseen.

mod calls;
mod crash;
mod full;
mod stage;
