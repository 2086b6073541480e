//! Refuses calls of which nothing could be recorded, where the operator would rather have none.

use std::time::Duration;

use toolgate_protocol::envelope::Shape;
use toolgate_protocol::method::Method;

use crate::call::Call;
use crate::failure::{Failure, Kind};

const COME_BACK: Duration = Duration::from_secs(10);

/// Checks a request: a ping asks for nothing that anybody would look for.
pub fn check(call: &Call) -> Result<(), Failure> {
    let Some(audit) = &call.core.audit else { return Ok(()) };
    if !audit.refuses(call.policy.settings.audit.on_full) {
        return Ok(());
    }
    let request = call.message.as_ref().filter(|message| message.shape() == Shape::Request);
    if request.is_none_or(|message| message.envelope.known_method == Some(Method::Ping)) {
        return Ok(());
    }
    let advice = format!(
        "This gate cannot record calls at present, and takes none until it can. Nothing was done. Try again in {} s.",
        COME_BACK.as_secs()
    );
    Err(Failure::new(Kind::AuditFull, advice).retry_after(COME_BACK))
}
