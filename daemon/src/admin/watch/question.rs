//! What a watch asks for, read from its query.
//!
//! `topics=overview,sessions&interval=1000&since=MS`, and for topics that are long tables
//! `sessions.sort=idle&sessions.descending=true&sessions.filter=WORDS&sessions.limit=200`.

use std::time::Duration;

use toolgate_admin_api::{ApiError, CallRow, ClientRow, ErrorCode, SessionRow, ToolRow};

use crate::admin::query::{Parameters, TableQuery};

/// Milliseconds between two lines of a topic: the least, the most, and what is taken where nobody says.
const INTERVAL: (u64, u64, u64) = (250, 10_000, 1_000);

/// Intervals are rounded to multiples of this many milliseconds, so that readers share the work.
pub(super) const STEP: u64 = 250;

/// Rows of a table where nobody says how many, and at most: it is sent every second.
const ROWS: (usize, usize) = (200, 1_000);

/// What can be watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// The gate at a glance.
    Overview,
    /// Servers.
    Servers,
    /// Sessions.
    Sessions,
    /// Tools.
    Tools,
    /// Limits.
    Limits,
    /// Clients.
    Clients,
    /// Health.
    Health,
    /// Calls in flight.
    Calls,
    /// Queues.
    Queues,
    /// The configuration.
    Config,
}

/// Their words, in the order of the documentation.
const SUBJECTS: [(&str, Subject); 10] = [
    ("overview", Subject::Overview),
    ("servers", Subject::Servers),
    ("sessions", Subject::Sessions),
    ("tools", Subject::Tools),
    ("limits", Subject::Limits),
    ("clients", Subject::Clients),
    ("health", Subject::Health),
    ("calls", Subject::Calls),
    ("queues", Subject::Queues),
    ("config", Subject::Config),
];

/// One thing that is asked for, in one order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// What.
    pub subject: Subject,
    /// Which part of it, where it is a long table.
    pub table: TableQuery,
}

impl Question {
    fn check(&self) -> Result<(), ApiError> {
        match self.subject {
            Subject::Sessions => self.table.check::<SessionRow>(),
            Subject::Tools => self.table.check::<ToolRow>(),
            Subject::Clients => self.table.check::<ClientRow>(),
            Subject::Calls => self.table.check::<CallRow>(),
            _ => Ok(()),
        }
    }
}

/// Everything that one reader asks for.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::admin) struct Asked {
    pub(super) interval: Duration,
    /// What was made no later than this, in milliseconds since 1970, is known to the reader.
    pub(super) since: u64,
    /// Each subject once.
    pub(super) questions: Vec<Question>,
}

impl Asked {
    /// Reads a query.
    pub(in crate::admin) fn read(query: &str) -> Result<Self, ApiError> {
        let mut parameters = Parameters::parse(query)?;
        let topics = parameters.take("topics").unwrap_or_default();
        let (least, most, usual) = INTERVAL;
        let wanted = parameters.take_number("interval")?.unwrap_or(usual).clamp(least, most);
        let since = parameters.take_number("since")?.unwrap_or(0);
        // A table of a topic that is not watched is kept in the query by readers that switch between topics.
        let tables = SUBJECTS.iter().map(|(word, subject)| {
            let table = parameters.take_rows(&format!("{word}."), ROWS.0)?.at_most(ROWS.1);
            Ok::<_, ApiError>(Question { subject: *subject, table })
        });
        let tables = tables.collect::<Result<Vec<_>, _>>()?;
        parameters.finish()?;
        let mut questions: Vec<Question> = Vec::new();
        for word in topics.split(',').map(str::trim).filter(|word| !word.is_empty()) {
            let subject = subject(word)?;
            if questions.iter().all(|question| question.subject != subject) {
                questions.extend(tables.iter().find(|question| question.subject == subject).cloned());
            }
        }
        if questions.is_empty() {
            return Err(ApiError::new(ErrorCode::BadRequest, "The watch does not say what to watch.")
                .remedy(format!("Add topics=overview,servers; there are {}.", known()))
                .field("topics"));
        }
        questions.iter().try_for_each(Question::check)?;
        Ok(Self { interval: Duration::from_millis(wanted.div_ceil(STEP) * STEP), since, questions })
    }
}

fn subject(word: &str) -> Result<Subject, ApiError> {
    SUBJECTS.iter().find(|(known, _)| *known == word).map(|(_, subject)| *subject).ok_or_else(|| {
        ApiError::new(ErrorCode::BadRequest, format!("There is no topic {word:?}."))
            .remedy(format!("There are {}.", known()))
            .field("topics")
    })
}

fn known() -> String {
    SUBJECTS.map(|(word, _)| word).join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_says_what_how_often_and_in_which_order() {
        let asked =
            Asked::read("topics=overview,sessions&interval=1100&since=7&sessions.sort=idle&sessions.filter=a%20b")
                .unwrap();
        assert_eq!((asked.interval, asked.since), (Duration::from_millis(1250), 7));
        let [overview, sessions] = &asked.questions[..] else { panic!("{asked:?}") };
        let table = |query| Parameters::parse(query).unwrap().take_rows("", ROWS.0).unwrap();
        assert_eq!((overview.subject, &overview.table), (Subject::Overview, &table("")));
        assert_eq!((sessions.subject, &sessions.table), (Subject::Sessions, &table("sort=idle&filter=a+b")));
    }

    #[test]
    fn an_interval_is_kept_within_its_bounds_and_a_topic_comes_once() {
        for (wanted, given) in [("1", 250), ("0", 250), ("250", 250), ("251", 500), ("99999999", 10_000)] {
            let asked = Asked::read(&format!("topics=tools,tools&interval={wanted}")).unwrap();
            assert_eq!((asked.interval, asked.questions.len()), (Duration::from_millis(given), 1));
        }
    }

    #[test]
    fn what_cannot_be_understood_is_said() {
        let nothing = [
            "",
            "topics=",
            "topics=weather",
            "topics=tools&interval=soon",
            "topics=tools&colour=red",
            "topics=tools&tools.sort=red",
        ];
        let order = ["topics=tools&tools.colour=red", "topics=tools&tools.limit=x", "topics=tools&a.b=c", "topics=%zz"];
        for query in nothing.into_iter().chain(order) {
            assert_eq!(Asked::read(query).unwrap_err().code, ErrorCode::BadRequest, "{query}");
        }
    }
}
