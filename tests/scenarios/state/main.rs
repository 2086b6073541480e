//! Restarts and crashes of the front, seen by clients that go on: no session and no stdio server is lost.
//!
//! `tests/machine` shows the same with a real systemd; here a player of it keeps what the gate hands over.

mod damage;
mod hangs;
mod restarts;
mod streams;
mod workers;
