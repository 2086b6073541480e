//! What calls add to the stories of their sessions.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use memchr::memmem;
use toolgate_protocol::envelope::{self, Shape};
use toolgate_protocol::json;
use toolgate_protocol::method::Method;

use super::outcome::Outcome;
use super::row::{Ended, Kind, Row, cut};
use super::said;
use super::what::What;
use crate::call::Call;
use crate::sessions::story::{self, Event};

/// Bytes of a progress that are told.
const PROGRESS: usize = 40;

impl Row {
    fn event(&self, kind: story::Kind) -> Event {
        Event { call: Some(self.id), ..Event::now(kind, Arc::clone(&self.what)) }
    }
}

impl Ended {
    fn event(&self, kind: story::Kind) -> Event {
        Event {
            at_us: self.at_us,
            kind,
            ends: self.row.kind.is_call(),
            call: Some(self.row.id),
            what: Arc::clone(&self.row.what),
            detail: Cow::Borrowed(""),
            took_us: self.spent.total,
        }
    }
}

/// A client tells something, or begins to listen. Of a call its end is told.
pub(super) fn began(call: &Call, row: &Row) {
    let Some((session, _)) = &call.session else { return };
    let event = match row.kind {
        Kind::Listening => Event { detail: Cow::Borrowed("opened"), ..row.event(story::Kind::Stream) },
        Kind::Word if row.what.known.is_some() || !row.what.method.is_empty() => row.event(story::Kind::Notification),
        Kind::Word => Event { detail: Cow::Borrowed("the client's answer"), ..row.event(story::Kind::Answer) },
        Kind::Request | Kind::Subscription | Kind::Frame => return,
    };
    session.story.tell(event);
}

/// A call has ended, or a client stopped listening.
pub(super) fn ended(call: &Call, ended: &Ended) {
    let Some((session, _)) = &call.session else { return };
    let row = &ended.row;
    if row.kind == Kind::Listening {
        let event = Event { detail: Cow::Borrowed("closed"), ..ended.event(story::Kind::Stream) };
        return session.story.tell_and(event, |totals| totals.bytes_out += ended.bytes_out);
    }
    if !row.kind.is_call() {
        return;
    }
    let failed = matches!(ended.outcome, Outcome::Error | Outcome::Refused);
    let detail = match ended.failure {
        "" => ended.outcome.word(),
        failure => failure,
    };
    let kind = if failed { story::Kind::Error } else { story::Kind::Answer };
    let event = Event { detail: Cow::Borrowed(detail), ..ended.event(kind) };
    session.story.tell_and(event, |totals| {
        totals.last = Arc::clone(&row.what);
        totals.calls += 1;
        totals.errors += u64::from(failed);
        totals.bytes_in += ended.bytes_in;
        totals.bytes_out += ended.bytes_out;
    });
}

/// A client takes what a stream has for it slowly.
pub(super) fn slow(call: &Call, server: Option<Arc<str>>, waited: Duration) {
    let Some((session, _)) = &call.session else { return };
    let detail = Cow::Owned(format!("slow: an event waited {} ms for the client", waited.as_millis()));
    let call = Some(call.id).filter(|_| call.message.is_some());
    let what = Arc::new(What { server, ..What::default() });
    session.story.tell(Event { call, detail, ..Event::now(story::Kind::Stream, what) });
}

/// What servers say on a session's stream before an answer, or outside of one.
pub(super) fn heard(call: &Call, server: Option<&Arc<str>>, events: &[u8]) {
    let Some((session, _)) = &call.session else { return };
    if memmem::find(events, b"\"method\"").is_none() {
        return;
    }
    for message in said::messages(events).map(|message| &events[message]) {
        let Ok(envelope) = envelope::scan(message) else { continue };
        let kind = match envelope.shape {
            Shape::Request => story::Kind::Asked,
            Shape::Notification if envelope.known_method == Some(Method::Progress) => story::Kind::Progress,
            Shape::Notification => story::Kind::Notification,
            Shape::Response => continue,
        };
        let method = match envelope.known_method {
            Some(method) => Cow::Borrowed(method.as_str()),
            None => Cow::Owned(cut(&envelope.method_str(message).unwrap_or_default()).to_owned()),
        };
        let name = envelope.target_str(message).map(|name| cut(&name).into()).unwrap_or_default();
        let detail = if kind == story::Kind::Progress { Cow::Owned(progress(message)) } else { Cow::Borrowed("") };
        let call = Some(call.id).filter(|_| call.message.is_some());
        let what = What { server: server.cloned(), known: envelope.known_method, method, name };
        session.story.tell(Event { call, detail, ..Event::now(kind, Arc::new(what)) });
    }
}

/// `3/10`, or `3` where the server does not say of how many.
fn progress(message: &[u8]) -> String {
    let params = json::document(message).ok().and_then(|all| json::get(message, all, "params"));
    let number = |key: &str| {
        let span = params.and_then(|params| json::get(message, params, key))?;
        Some(String::from_utf8_lossy(span.of(message).get(..PROGRESS).unwrap_or(span.of(message))).into_owned())
    };
    match (number("progress").unwrap_or_default(), number("total")) {
        (progress, Some(total)) => format!("{progress}/{total}"),
        (progress, None) => progress,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_told_with_what_it_is_of() {
        for (params, told) in [(r#"{"progress":3,"total":10}"#, "3/10"), (r#"{"progress":0.5}"#, "0.5"), ("{}", "")] {
            let message = format!(r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{params}}}"#);
            assert_eq!(progress(message.as_bytes()), told);
        }
    }
}
