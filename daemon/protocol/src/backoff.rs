//! tmp
/// v
pub enum Verdict { /// a
 Start, /// b
 Wait { /// c
 millis: u64 }, /// d
 Quarantined }
/// b
#[derive(Debug)]
pub struct Backoff;
impl Backoff {
 /// n
 pub fn new(_seed: u64) -> Self { Self }
 /// v
 pub fn verdict(&self, _now: u64) -> Verdict { Verdict::Start }
 /// f
 pub fn failed(&mut self, _now: u64) {}
 /// s
 pub fn succeeded(&mut self) {}
}
