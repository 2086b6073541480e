//! Queries: pairs of key and value, and which part of a long table is wanted in which order.

use toolgate_admin_api::{ApiError, ErrorCode};

/// Rows of a table that are sent where nobody says, and at most.
const ROWS: (usize, usize) = (200, 1_000);

/// Bytes of a filter: it is compared with every row.
const FILTER: usize = 256;

/// Which part of a table, and in which order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableOrder {
    /// The column; empty: the table's own.
    pub sort: String,
    /// The largest first.
    pub descending: bool,
    /// Words that a row has to have, one of them `!` before it: that it must not have.
    pub filter: String,
    /// Rows at most.
    pub limit: usize,
}

impl Default for TableOrder {
    fn default() -> Self {
        Self { sort: String::new(), descending: false, filter: String::new(), limit: ROWS.0 }
    }
}

impl TableOrder {
    /// Takes one pair of a query.
    pub(super) fn take(&mut self, key: &str, value: String) -> Result<(), ApiError> {
        match key {
            "sort" => self.sort = value,
            "descending" => self.descending = value == "true",
            "filter" if value.len() > FILTER => {
                let message = format!("The filter is longer than {FILTER} bytes.");
                return Err(ApiError::new(ErrorCode::BadRequest, message).field("filter"));
            }
            "filter" => self.filter = value,
            "limit" => self.limit = usize::try_from(number("limit", &value)?).unwrap_or(ROWS.1).min(ROWS.1),
            _ => return Err(unknown(key, "sort, descending, filter and limit")),
        }
        Ok(())
    }
}

/// The pairs of a query, decoded.
pub(in crate::admin) fn pairs(query: &str) -> Result<Vec<(String, String)>, ApiError> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decoded(key)?, decoded(value)?))
        })
        .collect()
}

/// Text in which `%` begins a byte, and nothing else is special.
fn decoded(text: &str) -> Result<String, ApiError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut pieces = text.split('%');
    bytes.extend(pieces.next().unwrap_or_default().bytes());
    for piece in pieces {
        let digits = piece.get(..2).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let Some(byte) = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) else { return Err(garbled()) };
        bytes.push(byte);
        bytes.extend(piece[2..].bytes());
    }
    String::from_utf8(bytes).map_err(|_| garbled())
}

fn garbled() -> ApiError {
    ApiError::new(ErrorCode::BadRequest, "The query is not percent-encoded UTF-8.").field("query")
}

/// A number of a query.
pub(in crate::admin) fn number(key: &str, value: &str) -> Result<u64, ApiError> {
    value.parse().map_err(|_| {
        ApiError::new(ErrorCode::BadRequest, format!("{key} is not a number.")).field(key).remedy("Write digits only.")
    })
}

/// A key of a query that nobody knows.
pub(in crate::admin) fn unknown(key: &str, known: &str) -> ApiError {
    ApiError::new(ErrorCode::BadRequest, format!("The query has an unknown key {key:?}."))
        .remedy(format!("Known are {known}."))
        .field("query")
}
