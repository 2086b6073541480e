//! The stages of a call, one file each; `pipeline` has their order. `queue` is entered by whoever
//! calls a server, `batch` by messages that came as one, `ending` watches over what outlives the
//! gate's time, `unread` over what a refused client goes on to send, `contain` over defects,
//! `lapse` over what outlives its credential.

pub mod address;
pub mod authorise;
pub mod batch;
pub mod certified;
pub mod compress;
pub mod consent;
pub mod contain;
pub mod ending;
pub mod facet;
pub mod forward;
pub mod identify;
pub mod lapse;
pub mod limit;
pub mod loops;
pub mod notice;
pub mod queue;
pub mod read;
pub mod record;
pub mod recorded;
pub mod route;
pub mod secure;
pub mod session;
pub mod shed;
pub mod suspended;
pub mod unread;
mod warned;
