//! Which files the log has, and in which order they were written.

/// The file that is written.
pub const NAME: &str = "audit.jsonl";
/// Where the head is kept.
pub const HEAD: &str = "audit.head";

/// The name of an old file; 1 is the newest of them.
#[must_use]
pub fn numbered(number: u32) -> String {
    format!("{NAME}.{number}")
}

/// Those of a folder's names that are the log's, the oldest first.
#[must_use]
pub fn in_order<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let age = |name: &str| match name.strip_prefix(NAME)? {
        "" => Some(0),
        // Not `.01`, nor `.1.gz`.
        rest => rest.strip_prefix('.')?.parse::<u32>().ok().filter(|age| *age > 0 && numbered(*age) == name),
    };
    let mut known: Vec<_> = names.filter_map(|name| Some((age(name)?, name))).collect();
    known.sort_by_key(|(age, _)| std::cmp::Reverse(*age));
    known.into_iter().map(|(_, name)| name).collect()
}
