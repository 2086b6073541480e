//! tmp
/// l
#[derive(Debug, Default)]
pub struct Limits;
/// h
#[derive(Debug)]
pub struct Held;
