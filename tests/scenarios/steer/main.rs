//! What operators do by hand, with its effect on clients of both eras, and the record of it.

mod calls;
mod clients;
mod commands;
mod endpoints;
mod kept;
mod keys;
mod killed;
mod limits;
mod queues;
mod schema;
mod sessions;
mod stage;
mod tools;
