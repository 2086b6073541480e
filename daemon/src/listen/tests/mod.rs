//! The front door as clients meet it, over loopback.

mod admission;
mod deadlines;
mod drain;
mod early;
mod framing;
mod panics;
mod proxied;
mod tls;
