//! `/metrics`: the gate's numbers in Prometheus' text format.
//!
//! Made for each request on a thread that is no core, from what the ledger and the servers count anyway; nothing is
//! counted for it twice. Label values are bounded: names of the configuration, names that the ledger has room for, and
//! words of the gate.

mod calls;
mod gate;
mod issuers;
mod page;
mod process;
mod servers;
mod table;

use std::sync::Arc;

pub use page::Times;
pub use table::{FAMILIES, Family, Kind};

use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};

use crate::body::Body;
use crate::gate::Gate;
use page::Page;

const MEDIA_TYPE: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

/// The page, made beside the cores.
pub async fn answer(gate: &Arc<Gate>) -> Response<Body> {
    let made = Arc::clone(gate);
    // A panic was logged where it was caught.
    let text = match gate.ledger.scrape(move || text(&made)).await {
        Some(Ok(text)) => Some(text),
        Some(Err(problem)) => {
            tracing::error!(%problem, "metrics cannot be written");
            None
        }
        None => None,
    };
    let status = if text.is_some() { StatusCode::OK } else { StatusCode::INTERNAL_SERVER_ERROR };
    let mut response = Response::new(Body::from(text.unwrap_or_default()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, MEDIA_TYPE);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// All metrics, as they are now. It reads files of the kernel and looks at every call in flight: not for cores.
///
/// # Errors
/// Where the numbers cannot be written as text, which is a defect.
pub fn text(gate: &Arc<Gate>) -> Result<String, prometheus::Error> {
    let mut page = Page::new();
    calls::collect(&gate.ledger, &mut page);
    servers::collect(&gate.policy.load_full(), &mut page);
    gate::collect(gate, &mut page);
    issuers::collect(&gate.policy.load_full().issuers, &mut page);
    process::collect(gate, &mut page);
    page.text()
}
