//! What is asked of the audit log: lines that fit, and whether it is whole.

use toolgate_admin_api::{ApiError, ErrorCode};

use super::super::query::Parameters;
use crate::audit::Query;

/// Lines where nobody says how many.
const USUAL: u64 = 100;

/// Reads `client=…&server=…&tool=…&call=…&outcome=…&kind=…&since=…&after=…&limit=…`.
pub(in super::super) fn query(text: &str) -> Result<Query, ApiError> {
    let mut parameters = Parameters::parse(text)?;
    let [client, server, tool, call, outcome, kind] =
        ["client", "server", "tool", "call", "outcome", "kind"].map(|name| parameters.take(name));
    let (since_ms, after) = (parameters.take_number("since")?, parameters.take_number("after")?);
    let limit = parameters.take_number("limit")?.unwrap_or(USUAL);
    parameters.finish()?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    Ok(Query { client, server, tool, call, outcome, kind, since_ms, after, limit })
}

/// Why the log cannot be read.
pub(crate) fn unreadable(problem: &std::io::Error) -> ApiError {
    let code =
        if problem.kind() == std::io::ErrorKind::NotFound { ErrorCode::NotFound } else { ErrorCode::Unavailable };
    ApiError::new(code, format!("The audit log cannot be read: {problem}."))
        .remedy("Give the daemon a state folder, and see that it may read what is in it.")
}
