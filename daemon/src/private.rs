//! The memory of whoever holds secrets stays its own.
//!
//! Called first by the front and the keeper, before they read a secret.

use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit};

/// No core file is written, not even where the machine hands cores to a program, whatever limit it was started with; and
/// no process of the same user may attach, or read memory and environment below `/proc`. What cannot be had is told.
pub fn keep_memory() {
    // Units have set it already, and may forbid the call.
    let is_limited = getrlimit(Resource::Core).maximum == Some(0);
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    let limited = if is_limited { Ok(()) } else { setrlimit(Resource::Core, none) };
    // Cores that are piped to a program obey this alone.
    let closed = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    for problem in [limited.err(), closed.err()].into_iter().flatten() {
        eprintln!("toolgated: the memory of this process is not protected from its user: {problem}");
    }
}

#[cfg(test)]
mod tests {
    use rustix::process::dumpable_behavior;

    use super::*;

    #[test]
    fn nobody_of_the_same_user_looks_into_it() {
        keep_memory();
        assert_eq!(dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
        let limit = getrlimit(Resource::Core);
        assert_eq!((limit.current, limit.maximum), (Some(0), Some(0)));
    }
}
