//! tmp
use std::sync::Arc; use std::sync::atomic::AtomicU64; use crate::cores::Cores;
/// t
pub fn start(_c:&Cores,_h: Arc<AtomicU64>) {}
