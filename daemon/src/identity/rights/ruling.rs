//! What was decided of a call, and by which rule.

use std::sync::{Arc, LazyLock};

/// The decision about what a call wants to use. It is shared with the rule: to keep one allocates nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ruling {
    /// Whether the client may.
    pub allowed: bool,
    /// The rule that decided and where it is written, such as `role.support.deny[0] "bank/delete_*" (FILE:LINE)`.
    pub rule: Arc<str>,
}

impl Ruling {
    /// Of a method that no rule can be about.
    pub fn of_no_method() -> Self {
        static RULE: LazyLock<Arc<str>> = LazyLock::new(|| "no rule knows the method".into());
        Self { allowed: false, rule: Arc::clone(&RULE) }
    }
}
