//! How calls reach servers and answers reach clients.
//!
//! Three ways: `mirror` passes one HTTP server's conversation on message for message; `hosted`
//! ends legacy sessions here, in front of stdio servers and merged views; `stateless` does the
//! same for modern requests. What they share stands beside them.

pub mod announce;
pub mod answer;
pub mod awaited;
pub mod course;
pub mod crossing;
pub mod driven;
pub mod farewell;
pub mod greet;
pub mod hosted;
pub mod links;
pub mod listed;
pub mod lists;
pub mod mirror;
pub mod names;
pub mod noticed;
pub mod overhear;
pub mod resumed;
pub mod stateless;
pub mod stream;
pub mod subscribe;
pub mod together;
