//! What stands behind the `?` of an admin route: parameters, and how a table is sorted, filtered and cut.
//!
//! Tables take `sort`, `descending`, `filter`, `cursor` and `limit`; where a route has several, the table's name and a dot stand
//! before each. Used by the plain reads and by the watch, so that both understand the same.

mod rows;

use std::cmp::Ordering;
use std::collections::BTreeMap;

use toolgate_admin_api::{ApiError, ErrorCode};

/// Rows of a table where no limit is given.
const USUAL: usize = 1_000;
/// Words of a filter at most: each is looked for in each row.
pub const WORDS: usize = 16;
/// The largest limit.
const MOST: usize = 100_000;

/// Parameters of a request, each taken out by whoever understands it.
#[derive(Debug, Default)]
pub struct Parameters(BTreeMap<String, String>);

impl Parameters {
    /// Reads `name=value&…`; names that repeat are an error.
    pub fn parse(query: &str) -> Result<Self, ApiError> {
        let mut parameters = BTreeMap::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (Some(name), Some(value)) = (decoded(name), decoded(value)) else {
                return Err(unfit("query", "A parameter is not percent-encoded UTF-8."));
            };
            if parameters.insert(name.clone(), value).is_some() {
                return Err(unfit(&name, "A parameter is there twice."));
            }
        }
        Ok(Self(parameters))
    }

    /// The value of a parameter.
    pub fn take(&mut self, name: &str) -> Option<String> {
        self.0.remove(name)
    }

    /// A number.
    pub fn take_number(&mut self, name: &str) -> Result<Option<u64>, ApiError> {
        let Some(text) = self.take(name) else { return Ok(None) };
        text.parse().map(Some).map_err(|_| unfit(name, "This parameter is a whole number."))
    }

    /// `true` or `false`; a name alone is `true`.
    pub fn take_flag(&mut self, name: &str) -> Result<bool, ApiError> {
        match self.take(name).as_deref() {
            None | Some("false") => Ok(false),
            Some("true" | "") => Ok(true),
            Some(_) => Err(unfit(name, "This parameter is true or false.")),
        }
    }

    /// Words of a filter.
    pub fn take_words(&mut self, name: &str) -> Result<Words, ApiError> {
        let text = self.take(name).unwrap_or_default();
        if text.split_whitespace().nth(WORDS).is_some() {
            return Err(unfit(name, "A filter has 16 words at most."));
        }
        Ok(Words::new(&text))
    }

    /// How a table is wanted; `prefix` is empty, or the table's name and a dot.
    pub fn take_table(&mut self, prefix: &str) -> Result<TableQuery, ApiError> {
        self.take_rows(prefix, USUAL)
    }

    /// The same, with as many rows as there may be where none is given.
    pub fn take_whole(&mut self, prefix: &str) -> Result<TableQuery, ApiError> {
        self.take_rows(prefix, MOST)
    }

    /// The same, with another limit where none is given.
    pub fn take_rows(&mut self, prefix: &str, usual: usize) -> Result<TableQuery, ApiError> {
        let limit_name = format!("{prefix}limit");
        let limit = self.take_number(&limit_name)?;
        let limit = limit.map_or(usual, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
        if limit > MOST {
            return Err(unfit(&limit_name, "A table has 100,000 rows at most."));
        }
        Ok(TableQuery {
            sort: self.take(&format!("{prefix}sort")),
            descending: self.take_flag(&format!("{prefix}descending"))?,
            filter: self.take_words(&format!("{prefix}filter"))?,
            cursor: self.take_cursor(&format!("{prefix}cursor"))?,
            limit,
        })
    }

    fn take_cursor(&mut self, name: &str) -> Result<usize, ApiError> {
        Ok(self.take_number(name)?.map_or(0, |rows| usize::try_from(rows).unwrap_or(usize::MAX)))
    }

    /// What nobody has taken is an error.
    pub fn finish(self) -> Result<(), ApiError> {
        match self.0.into_keys().next() {
            None => Ok(()),
            Some(name) => Err(unfit(&name, "This path has no such parameter.")),
        }
    }
}

/// How a table is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableQuery {
    sort: Option<String>,
    descending: bool,
    filter: Words,
    /// Rows before those that are wanted.
    cursor: usize,
    limit: usize,
}

impl Default for TableQuery {
    fn default() -> Self {
        Self { sort: None, descending: false, filter: Words::default(), cursor: 0, limit: USUAL }
    }
}

/// Words that a row must contain, in any of its texts, whatever their case; with `!` before it, must not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Words(Vec<(bool, String)>);

impl Words {
    /// Words that are separated by spaces.
    fn new(text: &str) -> Self {
        let word = |word: &str| match word.strip_prefix('!') {
            Some(rest) => (false, rest.to_lowercase()),
            None => (true, word.to_lowercase()),
        };
        Self(text.split_whitespace().map(word).filter(|(_, word)| !word.is_empty()).collect())
    }

    /// Whether a row with these texts fits.
    pub fn fit<'a>(&self, texts: impl Fn() -> Vec<&'a str>) -> bool {
        self.0.is_empty() || {
            let all = texts().join("\n").to_lowercase();
            self.0.iter().all(|(wanted, word)| all.contains(word.as_str()) == *wanted)
        }
    }
}

/// What a row is sorted by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// A number; the largest first is what most people look for.
    Number(u64),
    /// A text.
    Text(String),
}

/// A row of a table that can be sorted and filtered.
pub trait Row {
    /// What it can be sorted by; without a wish by the first, the largest first.
    const COLUMNS: &'static [&'static str];

    /// What this row has in a column of [`Self::COLUMNS`].
    fn key(&self, column: &str) -> Key;

    /// What is searched by a filter.
    fn texts(&self) -> Vec<&str>;

    /// Tells it from all other rows: rows that are alike otherwise keep their order.
    fn identity(&self) -> (&str, &str);
}

impl TableQuery {
    /// Whether the table can be sorted so.
    pub fn check<R: Row>(&self) -> Result<(), ApiError> {
        self.column::<R>().map(drop)
    }

    /// Has fewer rows, where there are more.
    #[must_use]
    pub fn at_most(self, rows: usize) -> Self {
        Self { limit: self.limit.min(rows), ..self }
    }

    /// The column to sort by, and whether the largest come first.
    fn column<R: Row>(&self) -> Result<(&'static str, bool), ApiError> {
        let Some(wanted) = self.sort.as_deref() else { return Ok((R::COLUMNS[0], true)) };
        let known = R::COLUMNS.iter().find(|column| **column == wanted);
        let known = known.ok_or_else(|| {
            let columns = R::COLUMNS.join(", ");
            unfit("sort", "The table has no such column.").remedy(format!("Sort by one of {columns}."))
        })?;
        Ok((*known, self.descending))
    }

    /// The rows that are wanted, and how many there are in all that fit the filter.
    pub fn select<R: Row>(&self, rows: Vec<R>) -> Result<(u64, Vec<R>), ApiError> {
        let rows = rows.into_iter().filter(|row| self.fits_row(row)).collect();
        self.pick::<R, R>(rows, R::key, |one, other| one.identity().cmp(&other.identity()))
    }

    /// The same of rows that have an order of their own, which holds where no other is wished for.
    pub fn select_in_order<R: Row>(&self, rows: Vec<R>) -> Result<(u64, Vec<R>), ApiError> {
        if self.sort.is_some() {
            return self.select(rows);
        }
        let rows: Vec<_> = rows.into_iter().filter(|row| self.fits_row(row)).collect();
        let total = rows.len() as u64;
        Ok((total, rows.into_iter().skip(self.cursor).take(self.limit).collect()))
    }

    /// Whether a row passes the filter.
    pub fn fits_row(&self, row: &impl Row) -> bool {
        self.filter.fit(|| row.texts())
    }

    /// Whether all rows pass the filter.
    pub fn takes_all(&self) -> bool {
        self.filter.0.is_empty()
    }

    /// The first of these in the order that is wanted, and how many there are in all. For rows of `R` that are
    /// made of what is picked, where making all of them would cost too much.
    pub fn pick<R: Row, T>(
        &self,
        rows: Vec<T>,
        key: impl Fn(&T, &str) -> Key,
        identity: impl Fn(&T, &T) -> Ordering,
    ) -> Result<(u64, Vec<T>), ApiError> {
        let (column, descending) = self.column::<R>()?;
        let mut keyed: Vec<_> = rows.into_iter().map(|row| (key(&row, column), row)).collect();
        let order = |(one_key, one): &(Key, T), (other_key, other): &(Key, T)| {
            let by_key = if descending { other_key.cmp(one_key) } else { one_key.cmp(other_key) };
            by_key.then_with(|| identity(one, other))
        };
        let total = keyed.len() as u64;
        let end = self.cursor.saturating_add(self.limit);
        if end < keyed.len() {
            // What is not shown need not be in order.
            keyed.select_nth_unstable_by(end, order);
            keyed.truncate(end);
        }
        keyed.sort_unstable_by(order);
        Ok((total, keyed.into_iter().skip(self.cursor).map(|(_, row)| row).collect()))
    }
}

fn unfit(field: &str, message: &str) -> ApiError {
    ApiError::new(ErrorCode::BadRequest, message).field(field.to_owned())
}

/// A name or a value without its escapes.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use toolgate_admin_api::{SessionRow, ToolRow, Traffic};

    use super::*;

    fn tool(server: &str, tool: &str, calls: u64) -> ToolRow {
        let traffic = Traffic { calls, ..Traffic::default() };
        ToolRow { server: server.into(), tool: tool.into(), traffic, ..ToolRow::default() }
    }

    fn selected(query: &str, rows: Vec<ToolRow>) -> Result<(u64, Vec<String>), ApiError> {
        let mut parameters = Parameters::parse(query)?;
        let table = parameters.take_table("")?;
        parameters.finish()?;
        let (total, rows) = table.select(rows)?;
        Ok((total, rows.into_iter().map(|row| row.tool).collect()))
    }

    fn rows() -> Vec<ToolRow> {
        vec![tool("a", "pay", 3), tool("b", "look", 9), tool("a", "look up", 9), tool("c", "Find", 1)]
    }

    #[test]
    fn without_a_wish_the_first_column_sorts_downwards() {
        let all = ["look up", "look", "pay", "Find"].map(str::to_owned).to_vec();
        let rates = [0.3, 9.0, 9.0, 0.1];
        let busy = rows().into_iter().zip(rates).map(|(mut row, rate)| {
            row.traffic.calls_per_second = rate;
            row
        });
        assert_eq!(selected("", busy.collect()).expect("rows"), (4, all));
    }

    #[test]
    fn rows_are_filtered_sorted_and_cut_in_this_order() {
        assert_eq!(selected("sort=calls&filter=look&limit=1", rows()).expect("rows").0, 2);
        assert_eq!(selected(&format!("filter={}", "look+".repeat(16)), rows()).expect("rows").0, 2);
        assert_eq!(selected("sort=tool&filter=LOOK+%21b", rows()).expect("rows"), (1, vec!["look up".to_owned()]));
        let (_, upwards) = selected("sort=calls&descending=false", rows()).expect("rows");
        assert_eq!(upwards, ["Find", "pay", "look up", "look"]);
        let (_, downwards) = selected("sort=calls&descending", rows()).expect("rows");
        assert_eq!(downwards, ["look up", "look", "pay", "Find"], "those that are alike keep their order");
    }

    #[test]
    fn a_cursor_goes_on_where_the_last_answer_ended() {
        let all = selected("sort=tool", rows()).expect("rows").1;
        for each in 1..=5 {
            let page = |at: usize| selected(&format!("sort=tool&limit={each}&cursor={at}"), rows()).expect("rows");
            let pages: Vec<String> = (0..=rows().len()).step_by(each).flat_map(|at| page(at).1).collect();
            assert_eq!(pages, all, "{each} at a time");
            assert_eq!(page(each).0, 4, "the total is of all");
        }
        assert_eq!(
            selected("cursor=99999999999999999999", rows()).expect_err("too long").field.as_deref(),
            Some("cursor")
        );
    }

    #[test]
    fn an_order_of_their_own_holds_where_no_other_is_wished_for() {
        let in_order = |query: &str| {
            let mut parameters = Parameters::parse(query).expect("parameters");
            let (total, rows) = parameters.take_table("").expect("a table").select_in_order(rows()).expect("rows");
            (total, rows.into_iter().map(|row| row.tool).collect::<Vec<_>>())
        };
        assert_eq!(in_order("limit=2&cursor=1"), (4, vec!["look".to_owned(), "look up".to_owned()]));
        assert_eq!(in_order("filter=look&limit=1"), (2, vec!["look".to_owned()]));
        assert_eq!(in_order("sort=tool&limit=1"), (4, vec!["Find".to_owned()]));
    }

    #[test]
    fn what_fails_or_is_refused_most_comes_first_of_a_table_that_is_cut() {
        let row = |name: &str, (calls, errors, refused): (f64, f64, f64)| {
            let mut row = tool("s", name, 0);
            row.traffic.calls_per_second = calls;
            row.traffic.errors_per_second = errors;
            row.traffic.refused_per_second = refused;
            row
        };
        let rows =
            || vec![row("busy", (900.0, 0.0, 0.0)), row("fails", (0.2, 0.1, 0.0)), row("refused", (0.1, 0.0, 0.1))];
        let first = |query: &str| selected(query, rows()).expect("rows").1;
        assert_eq!(first("sort=error_rate&descending&limit=1"), ["fails"]);
        assert_eq!(first("sort=refused_rate&descending&limit=1"), ["refused"]);
    }

    #[test]
    fn what_is_not_understood_is_said() {
        for (query, field) in [
            ("sort=colour", "sort"),
            ("limit=many", "limit"),
            ("limit=100001", "limit"),
            ("descending=perhaps", "descending"),
            ("filter=%zz", "query"),
            ("filter=%", "query"),
            ("filter=a&filter=b", "filter"),
            ("filters=a", "filters"),
            (&format!("filter={}", "a+".repeat(17)), "filter"),
        ] {
            let error = selected(query, rows()).expect_err(query);
            assert_eq!((error.code, error.field.as_deref()), (ErrorCode::BadRequest, Some(field)), "{query}");
        }
    }

    #[test]
    fn several_tables_of_one_request_have_a_prefix_each() {
        let mut parameters = Parameters::parse("tools.limit=1&sessions.sort=idle").expect("parameters");
        let tools = parameters.take_table("tools.").expect("a table");
        let sessions = parameters.take_table("sessions.").expect("a table");
        parameters.finish().expect("nothing is left");
        assert_eq!(tools.select(rows()).expect("rows").1.len(), 1);
        let idle = |idle_seconds| SessionRow { idle_seconds, ..SessionRow::default() };
        let (_, sorted) = sessions.select(vec![idle(3), idle(1)]).expect("rows");
        assert_eq!(sorted[0].idle_seconds, 1);
    }

    #[test]
    fn every_column_has_a_key_of_its_own_kind() {
        fn check<R: Row>(row: &R) {
            for column in R::COLUMNS {
                let _ = row.key(column);
            }
        }
        check(&ToolRow::default());
        check(&SessionRow::default());
        check(&toolgate_admin_api::ClientRow::default());
        check(&toolgate_admin_api::CallRow::default());
    }
}
