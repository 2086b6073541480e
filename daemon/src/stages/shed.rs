//! What an overloaded gate refuses: new sessions first, then calls of whoever has the least weight.
//!
//! Everything else goes on: calls of other tiers, sessions that are open, and their ends. It is decided before anything is
//! counted: what the gate has no room for costs its client none of its limits.

use std::time::Duration;

use toolgate_protocol::envelope::Shape;
use toolgate_protocol::method::Method;
use toolgate_protocol::overload::Step;

use crate::call::Call;
use crate::failure::{Failure, Kind};
use crate::stages::limit;

const LOWEST: &str = "This gate is overloaded, and your calls have to wait for those of others. Nothing was done.";
/// A gate that lets go needs as long at least to come back.
const COME_BACK: Duration = Duration::from_secs(10);

/// Refuses a modern call by what its headers say of it, before [`limit::early`] counts it.
pub fn early(call: &Call) -> Result<(), Failure> {
    let step = call.core.gate.overload.step();
    if step < Step::Lowest || !call.policy.is_lowest(call.client()) || limit::early_method(call).is_none() {
        return Ok(());
    }
    Err(refusal(LOWEST))
}

/// Refuses a call that the gate has no room for now.
pub fn shed(call: &Call) -> Result<(), Failure> {
    let step = call.core.gate.overload.step();
    if step == Step::Normal {
        return Ok(());
    }
    let Some(message) = call.message.as_ref().filter(|message| message.shape() == Shape::Request) else {
        return Ok(());
    };
    match message.envelope.known_method {
        Some(Method::Ping) => Ok(()),
        Some(Method::Initialize) => Err(refusal("This gate is overloaded and opens no new sessions now.")),
        // What is counted was let through before it was.
        _ if step >= Step::Lowest && call.held.is_none() && call.policy.is_lowest(call.client()) => {
            Err(refusal(LOWEST))
        }
        _ => Ok(()),
    }
}

fn refusal(text: &str) -> Failure {
    let advice = format!("{text} Try again in {} s.", COME_BACK.as_secs());
    Failure::new(Kind::Overloaded, advice).retry_after(COME_BACK)
}
