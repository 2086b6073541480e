//! What stands before and around the edge: proxies in front, compression on both sides, early refusals.

mod address;
mod coded;
mod compression;
mod encodings;
mod refusals;
mod unread;
