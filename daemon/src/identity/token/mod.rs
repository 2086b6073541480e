//! Tokens: JSON web tokens (RFC 7519) of issuers that the operator trusts.
//!
//! The stage `identify` asks [`Issuers`] for the client of a token. What a token is and says is judged without I/O
//! (`jws`, `claims`, `keys`); keys are fetched beside the cores ([`Refresher`]). One that was verified is
//! remembered until it ends, so that its next call costs a hash and a look-up.

mod claims;
mod fetch;
mod flaw;
mod issuer;
mod issuers;
mod jws;
mod keys;
mod refresher;
mod saved;
mod terms;
mod verified;

pub use claims::is_subject;
pub use flaw::Flaw;
pub use issuer::Issuer;
pub use issuers::{Issuers, Unverified, now};
pub use keys::KeySet;
pub use refresher::Refresher;
pub use terms::Terms;
pub use verified::Verified;
