//! What an overloaded gate refuses: new sessions first, then calls of whoever has the least weight.
//!
//! Everything else goes on: calls of other tiers, sessions that are open, and their ends.

use std::time::Duration;

use toolgate_protocol::envelope::Shape;
use toolgate_protocol::method::Method;
use toolgate_protocol::overload::Step;

use crate::call::Call;
use crate::failure::{Failure, Kind};

/// A gate that lets go needs as long at least to come back.
const COME_BACK: Duration = Duration::from_secs(10);

/// Refuses a call that the gate has no room for now.
pub fn shed(call: &Call) -> Result<(), Failure> {
    let step = call.core.gate.overload.step();
    if step == Step::Normal {
        return Ok(());
    }
    let Some(message) = call.message.as_ref().filter(|message| message.shape() == Shape::Request) else {
        return Ok(());
    };
    let text = match message.envelope.known_method {
        Some(Method::Ping) => return Ok(()),
        Some(Method::Initialize) => "This gate is overloaded and opens no new sessions now.",
        _ if step >= Step::Lowest && call.policy.is_lowest(call.client()) => {
            "This gate is overloaded, and your calls have to wait for those of others. Nothing was done."
        }
        _ => return Ok(()),
    };
    let advice = format!("{text} Try again in {} s.", COME_BACK.as_secs());
    Err(Failure::new(Kind::Overloaded, advice).retry_after(COME_BACK))
}
