//! The stages of a call, one file each; `pipeline` has their order. `queue` is entered by whoever
//! calls a server, `batch` by messages that came as one, `ending` watches over what outlives the
//! gate's time, `unread` over what a refused client goes on to send, `contain` over defects.

pub mod address;
pub mod authorise;
pub mod batch;
pub mod compress;
pub mod contain;
pub mod ending;
pub mod forward;
pub mod identify;
pub mod limit;
pub mod loops;
pub mod notice;
pub mod queue;
pub mod read;
pub mod record;
pub mod route;
pub mod secure;
pub mod session;
pub mod shed;
pub mod suspended;
pub mod unread;
mod warned;
