//! What was: `GET /v1/history`.

use toolgate_admin_api::{ApiError, ErrorCode, History};
use toolgate_protocol::history::{DAY, Span, millis};

use crate::admin::operations::Operations;
use crate::admin::query::Parameters;
use crate::clock;
use crate::observe::history::{GATE_SERIES, SERIES};

/// Points where nobody says how many.
const POINTS: u64 = 360;

/// What a time span is where nobody says when it begins, in milliseconds.
const HOUR: u64 = 3_600_000;

/// `series=calls,errors&from=MS&to=MS&points=N`; absent: the gate's series, of the hour before now.
pub(in crate::admin) fn read(daemon: &dyn Operations, query: &str) -> Result<History, ApiError> {
    let mut parameters = Parameters::parse(query)?;
    let series = parameters.take("series").unwrap_or_default();
    let to = parameters.take_number("to")?;
    let from = parameters.take_number("from")?;
    let points = parameters.take_number("points")?.unwrap_or(POINTS);
    parameters.finish()?;
    let names: Vec<String> = match series.as_str() {
        "" => GATE_SERIES.map(str::to_owned).to_vec(),
        series => series.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect(),
    };
    if names.len() > SERIES {
        let message = format!("Nobody is told of more than {SERIES} series at once.");
        return Err(ApiError::new(ErrorCode::BadRequest, message)
            .remedy("Ask for fewer; a name that ends with * stands for all that begin so.")
            .field("series"));
    }
    let now = clock::unix_millis();
    let to = to.unwrap_or(now).min(now);
    let from = from.unwrap_or(to.saturating_sub(HOUR)).clamp(to.saturating_sub(millis(DAY)), to);
    Ok(daemon.past(&names, Span::new(from, to, points)))
}
