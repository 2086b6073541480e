//! What a server of a hosted session says outside of calls, passed to the session's own stream.
//!
//! An HTTP server says it on its GET stream, an instance among its lines. Requests of servers get
//! ids of ours on the way; the HTTP server's session ends together with ours.

use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Weak;
use std::time::Duration;

use bytes::Bytes;
use http_body::Body as _;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use toolgate_protocol::sse::{Event, Parser};
use tracing::debug;

use crate::core::Core;
use crate::provenance::Provenance;
use crate::servers::exchange::refusal;
use crate::servers::http::{Answer, Method};
use crate::servers::http_call::{self, Conversation, Lines};
use crate::servers::http_reply::MAX_MESSAGE;
use crate::servers::leg::Leg;
use crate::servers::readable::Readable;
use crate::sessions::{Asked, Kind, Outward, Session};

/// How often a quiet stream looks whether its session is still there.
const LOOK: Duration = Duration::from_secs(5);
/// Before a stream that ended is opened anew, unless the server said another time. Grows while
/// the server fails to open one.
const PAUSE: Duration = Duration::from_secs(1);
/// The longest pause, whoever asks for it.
const MAX_PAUSE: Duration = Duration::from_secs(60);

/// What came of asking for a stream.
enum Opened {
    Stream(Box<Answer>),
    /// The server offers none, or the session that it belongs to is gone: no use in asking again.
    Never,
    /// The server is busy or down.
    NotNow,
}

/// Follows the server's stream for as long as the session lives, then ends the server's session.
pub async fn follow(core: Rc<Core>, leg: Leg, session: Weak<Session>) {
    let Some(conversation) = leg.conversation().cloned() else { return };
    let mut place = Place::default();
    let mut failed = PAUSE;
    while session.strong_count() > 0 {
        match open(&core, &leg, &conversation, &place).await {
            Opened::Stream(answer) => {
                failed = PAUSE;
                read(*answer, &core, &leg, &session, &mut place).await;
                watch(&session, place.pause.unwrap_or(PAUSE)).await;
            }
            Opened::NotNow => {
                watch(&session, failed.max(place.pause.unwrap_or(PAUSE))).await;
                failed = (failed * 2).min(MAX_PAUSE);
            }
            Opened::Never => watch(&session, Duration::MAX).await,
        }
    }
    request(&core, &leg, &conversation, Method::Delete, None).await;
}

/// Waits, though not longer than the session lives.
async fn watch(session: &Weak<Session>, mut pause: Duration) {
    while session.strong_count() > 0 && !pause.is_zero() {
        let step = pause.min(LOOK);
        sleep(step).await;
        pause -= step;
    }
}

/// Passes on what an instance says, until it or the session ends.
pub async fn pass_on(core: Rc<Core>, mut said: mpsc::Receiver<Bytes>, leg: Leg, session: Weak<Session>) {
    while let Some(message) = said.recv().await {
        let Some(session) = session.upgrade() else { return };
        deliver(message, &core, &leg, &session);
    }
    if leg.is_ended()
        && let Some(session) = session.upgrade()
        && let Kind::Hosted(hosted) = &session.kind
    {
        hosted.forget_asked(&leg);
    }
}

fn deliver(message: Bytes, core: &Rc<Core>, leg: &Leg, session: &Session) {
    let Kind::Hosted(hosted) = &session.kind else { return };
    let Some(message) = hosted.with_own_token(leg, message) else { return };
    match hosted.outward(leg, message) {
        Outward::Pass(message) => {
            for asked in hosted.outbox.deliver(message).into_iter().filter_map(|gone| hosted.unseen(gone)) {
                refuse(core, asked);
            }
        }
        Outward::Refuse(asked) => refuse(core, asked),
        Outward::Nothing => {}
    }
}

/// Tells a server that its request will not be answered, lest it wait.
pub fn refuse(core: &Rc<Core>, asked: Asked) {
    let core = Rc::clone(core);
    tokio::task::spawn_local(async move {
        let sent = asked.leg.send(&core, refusal(&asked.id), &Provenance::own()).await;
        if let Err(failure) = sent {
            debug!(server = asked.leg.server.settings.name, %failure, "a server was not told that its request is refused");
        }
    });
}

/// Where a stream goes on.
#[derive(Debug, Default)]
struct Place {
    last_event: Option<String>,
    pause: Option<Duration>,
}

async fn open(core: &Rc<Core>, leg: &Leg, conversation: &Conversation, place: &Place) -> Opened {
    let answer = request(core, leg, conversation, Method::Get, place.last_event.as_deref()).await;
    match answer {
        Some(answer) if answer.status == 200 => Opened::Stream(Box::new(answer)),
        Some(answer) if matches!(answer.status, 404 | 405) => Opened::Never,
        Some(_) | None => Opened::NotNow,
    }
}

async fn request(
    core: &Rc<Core>,
    leg: &Leg,
    conversation: &Conversation,
    method: Method,
    last_event: Option<&str>,
) -> Option<Answer> {
    let id = Provenance::own().id.bytes();
    let mut lines: Lines<'_> = vec![("accept", b"text/event-stream"), ("x-request-id", &id)];
    if let Some(session) = &conversation.session {
        lines.push(("mcp-session-id", session.as_bytes()));
    }
    if let Some(revision) = &conversation.revision {
        lines.push(("mcp-protocol-version", revision.as_bytes()));
    }
    if let Some(event) = last_event {
        lines.push(("last-event-id", event.as_bytes()));
    }
    let sent = http_call::send(core, &leg.server, method, conversation.endpoint, &lines, &[], None).await;
    sent.inspect_err(|failure| debug!(server = leg.server.settings.name, %failure, "no stream of a server")).ok()
}

async fn read(answer: Answer, core: &Rc<Core>, leg: &Leg, session: &Weak<Session>, place: &mut Place) {
    let mut parser = Parser::new(MAX_MESSAGE);
    let mut body = match Readable::new(&answer.headers, answer.body) {
        Ok(body) => body,
        Err(problem) => {
            return debug!(server = leg.server.settings.name, %problem, "a stream of a server cannot be read");
        }
    };
    loop {
        let next = timeout(LOOK, poll_fn(|context| Pin::new(&mut body).poll_frame(context))).await;
        let Ok(next) = next else {
            if session.strong_count() == 0 {
                return;
            }
            continue;
        };
        let Some(Ok(frame)) = next else { return };
        let Ok(data) = frame.into_data() else { continue };
        let mut rest = &data[..];
        loop {
            match parser.push(&mut rest) {
                Ok(Some(event)) => pass(event, core, leg, session, place),
                Ok(None) => break,
                // Only that event is lost; the parser has skipped it.
                Err(problem) => debug!(server = leg.server.settings.name, %problem, "an event of a server was dropped"),
            }
        }
    }
}

fn pass(event: Event, core: &Rc<Core>, leg: &Leg, session: &Weak<Session>, place: &mut Place) {
    if event.id.is_some() {
        place.last_event = event.id;
    }
    if let Some(millis) = event.retry {
        place.pause = Some(Duration::from_millis(millis).clamp(PAUSE, MAX_PAUSE));
    }
    let Some(session) = session.upgrade().filter(|_| !event.data.is_empty()) else { return };
    deliver(event.data, core, leg, &session);
}
