//! Which notifications cross between the eras as they are.
//! Called for each notification that came with a call, or that a client sent.
//! Must hold: a notification that the other era does not have is dropped here, or translated by another part of the
//! bridge; one that the gate does not know passes.

use crate::method::Method;

/// Whether a server's notification goes on to the client whose call it came with. Log messages also need
/// [`super::levels::may_see`]. List changes and updates never ride a call's answer in the modern era: see `listen`. The
/// end of an elicitation is not told there either, since the client learns it by trying again; and a server that
/// cancels its own request is heard by [`super::parking::Questions::withdrawn`].
#[must_use]
pub const fn passes_to_client(method: Option<Method>) -> bool {
    matches!(method, None | Some(Method::Progress | Method::Message))
}

/// Whether a client's notification goes on to a server of the other era. Only cancellations do, under the id that the
/// request has there, and over HTTP a modern server is told by closing the stream instead.
#[must_use]
pub const fn passes_to_server(method: Option<Method>) -> bool {
    matches!(method, None | Some(Method::Cancelled))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::revision::Era;

    #[test]
    fn nothing_crosses_that_the_other_era_does_not_have() {
        for method in Method::all().filter(|method| method.is_notification()) {
            let both = method.exists_in(Era::Legacy) && method.exists_in(Era::Modern);
            assert!(both || !passes_to_client(Some(method)) && !passes_to_server(Some(method)), "{}", method.as_str());
        }
        assert!(!passes_to_client(Some(Method::ElicitationComplete)) && !passes_to_server(Some(Method::RootsChanged)));
        assert!(passes_to_client(None) && passes_to_server(None));
    }
}
