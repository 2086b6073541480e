//! The table of routes: one row per thing that can be asked.
//!
//! `serve` looks a request up here and runs the row's function on a thread of its own. A new route is
//! a function and a row.

use http::Method;
use serde::Serialize;
use serde::de::DeserializeOwned;
use toolgate_admin_api::{Alerts, ApiError, ErrorCode, ExplainQuery, LimitsView, Socket};
use toolgate_protocol::breaker::State;

use super::audit;
use super::keys::KeysQuery;
use super::operations::{Operations, Peer};
use super::query::{Parameters, TableQuery};
use super::schema;
use super::watch::past;
use crate::servers::endpoints::Mode;

/// What a route gets to see.
pub(super) struct Request {
    pub(super) peer: Peer,
    /// The revision of `If-Match`.
    pub(super) if_match: Option<u64>,
    /// What the path has in the place of `{}`; empty where the route has none.
    pub(super) named: String,
    /// What stands behind the `?`; empty where nothing does.
    pub(super) query: String,
    /// Empty where none was sent.
    pub(super) body: Vec<u8>,
}

/// The route that takes a large body.
const IMPORT: &str = "/v1/keys/import";

/// The route that changes which revision runs, and so compares it itself.
const RELOAD: &str = "/v1/config/reload";

/// Bytes of a request's body, and of that of an import: 100,000 keys and more.
pub(super) const BODY_LIMIT: usize = 1 << 20;
const IMPORT_LIMIT: usize = 64 << 20;

/// The JSON body of an answer with status 200.
pub(super) type Answer = Result<Vec<u8>, ApiError>;

/// One thing that can be asked.
#[derive(Debug)]
pub(super) struct Route {
    pub(super) method: Method,
    /// One segment may be `{}`, which stands for any.
    pub(super) path: &'static str,
    /// The socket that suffices; control suffices for everything.
    pub(super) socket: Socket,
    pub(super) run: fn(&dyn Operations, &Request) -> Answer,
}

/// All routes, in the order of the documentation.
pub(super) static ROUTES: &[Route] = &[
    get("/v1/version", |daemon, _| json(&daemon.version())),
    get("/v1/schema", |_, _| Ok(schema::document())),
    get("/v1/status", |daemon, _| json(&daemon.status())),
    get("/v1/queues", |daemon, _| json(&daemon.queues())),
    get("/v1/config", |daemon, _| json(&daemon.config())),
    get("/v1/config/history", |daemon, _| json(&daemon.history())),
    guarded("/v1/config/history/{}", |daemon, request| json(&daemon.revision(number(request)?)?)),
    get("/v1/history", |daemon, request| json(&past::read(daemon, &request.query)?)),
    get("/v1/servers", |daemon, request| json(&whole_table(request)?.select_in_order(daemon.servers())?.1)),
    get("/v1/tools", |daemon, request| json(&daemon.tool_rows(&table(request)?)?)),
    get("/v1/clients", |daemon, request| json(&daemon.clients(&table(request)?)?)),
    get("/v1/sessions", |daemon, request| json(&daemon.sessions(&table(request)?)?)),
    guarded("/v1/sessions/{}", |daemon, request| json(&daemon.session(&request.named)?)),
    get("/v1/calls", |daemon, request| json(&daemon.calls(&table(request)?)?)),
    get("/v1/calls/{}", |daemon, request| json(&daemon.call(&request.named)?)),
    get("/v1/tools/changes", |daemon, _| json(&daemon.tool_changes())),
    post("/v1/servers/{}/tools/approve", |daemon, request| {
        json(&daemon.approve_tool(&request.peer, &request.named, &body(request)?)?)
    }),
    get("/v1/cache", |daemon, _| json(&daemon.caches())),
    post("/v1/servers/{}/cache/clear", |daemon, request| {
        json(&daemon.clear_cache(&request.peer, &request.named, &body(request)?)?)
    }),
    get("/v1/grants", |daemon, _| json(&daemon.grants())),
    post("/v1/servers/{}/grants/revoke", |daemon, request| {
        json(&daemon.revoke_grant(&request.named, &body(request)?)?)
    }),
    guarded("/v1/servers/{}/tools", |daemon, request| json(&daemon.tools(&request.named)?)),
    guarded("/v1/servers/{}", |daemon, request| json(&daemon.server(&request.named)?)),
    post("/v1/servers/{}/restart", |daemon, request| {
        json(&daemon.restart(&request.peer, &request.named, &body(request)?)?)
    }),
    post("/v1/servers/{}/drain", |daemon, request| mode(daemon, request, Mode::Drain)),
    post("/v1/servers/{}/maintenance", |daemon, request| mode(daemon, request, Mode::Maintenance)),
    post("/v1/servers/{}/resume", |daemon, request| mode(daemon, request, Mode::Ready)),
    post("/v1/breakers/{}/open", |daemon, request| breaker(daemon, request, State::ForcedOpen)),
    post("/v1/breakers/{}/close", |daemon, request| breaker(daemon, request, State::ForcedClosed)),
    post("/v1/breakers/{}/reset", |daemon, request| breaker(daemon, request, State::Closed)),
    get("/v1/keys", |daemon, request| json(&daemon.keys(&KeysQuery::parse(&request.query)?)?)),
    get("/v1/keys/{}", |daemon, request| json(&daemon.key(&request.named)?)),
    post("/v1/keys", |daemon, request| json(&daemon.create_key(&body(request)?)?)),
    post("/v1/keys/{}/rotate", |daemon, request| json(&daemon.rotate_key(&request.named, &body(request)?)?)),
    post("/v1/keys/{}/suspend", |daemon, request| {
        json(&daemon.suspend_key(&request.peer, &request.named, &body(request)?)?)
    }),
    post("/v1/keys/{}/resume", |daemon, request| json(&daemon.resume_key(&request.named, &body(request)?)?)),
    post("/v1/keys/{}/revoke", |daemon, request| {
        json(&daemon.revoke_key(&request.peer, &request.named, &body(request)?)?)
    }),
    post("/v1/keys/{}/adopt", |daemon, request| json(&daemon.adopt_keys(Some(&request.named), &body(request)?)?)),
    post("/v1/keys/adopt", |daemon, request| json(&daemon.adopt_keys(None, &body(request)?)?)),
    post(IMPORT, |daemon, request| json(&daemon.import_keys(&body(request)?)?)),
    get("/v1/health", |daemon, _| json(&daemon.health())),
    get("/v1/certs", |daemon, _| json(&daemon.certificates())),
    get("/v1/alerts", |daemon, _| json(&Alerts { alerts: daemon.health().alerts })),
    post("/v1/alerts/{}/acknowledge", |daemon, request| {
        json(&daemon.acknowledge(&request.peer, &name(request)?, &body(request)?)?)
    }),
    post("/v1/alerts/{}/silence", |daemon, request| json(&daemon.silence(&name(request)?, &body(request)?)?)),
    get("/v1/limits", |daemon, request| {
        let (wanted, view) = (whole_table(request)?, daemon.limits());
        json(&LimitsView { limits: wanted.select_in_order(view.limits)?.1, ..view })
    }),
    change(Method::PUT, "/v1/limits/{}/override", |daemon, request| {
        json(&daemon.override_limit(&request.peer, &name(request)?, &body(request)?)?)
    }),
    change(Method::DELETE, "/v1/limits/{}/override", |daemon, request| {
        json(&daemon.revert_limit(&request.peer, &name(request)?, &body(request)?)?)
    }),
    post("/v1/sessions/{}/end", |daemon, request| json(&daemon.end_session(&request.named, &body(request)?)?)),
    post("/v1/sessions/end", |daemon, request| json(&daemon.end_sessions(&body(request)?)?)),
    post("/v1/clients/{}/suspend", |daemon, request| {
        json(&daemon.suspend(&request.peer, &name(request)?, &body(request)?)?)
    }),
    post("/v1/clients/{}/resume", |daemon, request| json(&daemon.resume_client(&name(request)?, &body(request)?)?)),
    post("/v1/calls/{}/cancel", |daemon, request| json(&daemon.cancel(&name(request)?, &body(request)?)?)),
    post("/v1/servers/{}/tools/disable", |daemon, request| {
        json(&daemon.disable_tool(&request.peer, &request.named, &body(request)?)?)
    }),
    post("/v1/servers/{}/tools/enable", |daemon, request| json(&daemon.enable_tool(&request.named, &body(request)?)?)),
    change(Method::PUT, "/v1/servers/{}/queue/override", |daemon, request| {
        json(&daemon.override_queue(&request.named, &body(request)?)?)
    }),
    change(Method::DELETE, "/v1/servers/{}/queue/override", |daemon, request| {
        json(&daemon.revert_queue(&request.named, &body(request)?)?)
    }),
    post("/v1/servers/{}/queue/purge", |daemon, request| json(&daemon.purge_queue(&request.named, &body(request)?)?)),
    post("/v1/servers/{}/weight", |daemon, request| {
        json(&daemon.weigh(&request.peer, &request.named, &body(request)?)?)
    }),
    post("/v1/servers/{}/check", |daemon, request| json(&daemon.check_now(&request.named, &body(request)?)?)),
    post("/v1/limits", |daemon, request| json(&daemon.add_limit(&request.peer, &body(request)?)?)),
    get("/v1/limits/explain", |daemon, request| json(&daemon.explain(&asked(request)?)?)),
    asking("/v1/policy/explain", |daemon, request| json(&daemon.explain_policy(&body(request)?)?)),
    change(Method::PUT, "/v1/log", |daemon, request| json(&daemon.set_log(&body(request)?)?)),
    get("/v1/seal", |daemon, _| json(&daemon.seal_keys())),
    post("/v1/seal/rotate", |daemon, request| json(&daemon.rotate_seal(&body(request)?)?)),
    guarded("/v1/audit", |daemon, request| json(&daemon.audit(limit(request, crate::audit::REMEMBERED)?))),
    guarded("/v1/audit/search", |daemon, request| json(&daemon.search_audit(&audit::query(&request.query)?)?)),
    guarded("/v1/audit/verify", |daemon, _| json(&daemon.verify_audit()?)),
    post("/v1/config/check", |daemon, _| json(&daemon.check())),
    post(RELOAD, |daemon, request| json(&daemon.reload(&request.peer, &body(request)?, request.if_match)?)),
];

const fn get(path: &'static str, run: fn(&dyn Operations, &Request) -> Answer) -> Route {
    Route { method: Method::GET, path, socket: Socket::View, run }
}

/// A read that is not for everybody who may look.
const fn guarded(path: &'static str, run: fn(&dyn Operations, &Request) -> Answer) -> Route {
    Route { method: Method::GET, path, socket: Socket::Control, run }
}

/// A question with a body: it changes nothing.
const fn asking(path: &'static str, run: fn(&dyn Operations, &Request) -> Answer) -> Route {
    Route { method: Method::POST, path, socket: Socket::View, run }
}

const fn post(path: &'static str, run: fn(&dyn Operations, &Request) -> Answer) -> Route {
    change(Method::POST, path, run)
}

const fn change(method: Method, path: &'static str, run: fn(&dyn Operations, &Request) -> Answer) -> Route {
    Route { method, path, socket: Socket::Control, run }
}

impl Route {
    /// Whether it changes something, and belongs into the record. To look at the files or ask for a decision changes
    /// nothing.
    pub(super) fn changes(&self) -> bool {
        self.method != Method::GET && !["/v1/config/check", "/v1/policy/explain"].contains(&self.path)
    }

    /// The revision that must run for as long as the change takes.
    pub(super) fn is_for(&self, request: &Request) -> Option<u64> {
        request.if_match.filter(|_| self.path != RELOAD)
    }

    /// Bytes of its body at most.
    pub(super) fn body_limit(&self) -> usize {
        if self.path == IMPORT { IMPORT_LIMIT } else { BODY_LIMIT }
    }

    /// Does what was asked, and records it where it is a change.
    pub(super) fn answer(&self, daemon: &dyn Operations, request: &Request) -> Answer {
        if self.changes() { audit::watched(self, daemon, request) } else { self.perform(daemon, request) }
    }

    /// Does what was asked. What a body says is never looked for behind the `?`, where a `dry_run` would be overlooked.
    pub(super) fn perform(&self, daemon: &dyn Operations, request: &Request) -> Answer {
        if self.method != Method::GET && !request.query.is_empty() {
            return Err(ApiError::new(ErrorCode::BadRequest, "This path takes nothing behind a `?`.")
                .remedy("Send dry_run, reason and all else in the body, as JSON.")
                .field("query"));
        }
        (self.run)(daemon, request)
    }

    /// What `path` has in the place of `{}`, where it is a path of this row; a fixed path has nothing there.
    fn named<'a>(&self, path: &'a str) -> Option<&'a str> {
        let Some((before, after)) = self.path.split_once("{}") else { return (self.path == path).then_some("") };
        let named = path.strip_prefix(before)?.strip_suffix(after)?;
        (!named.is_empty() && !named.contains('/')).then_some(named)
    }
}

/// The row for a request that came in on `socket`, and what its path names.
pub(super) fn find<'a>(
    method: &Method,
    path: &'a str,
    socket: Socket,
    control_path: &std::path::Path,
) -> Result<(&'static Route, &'a str), ApiError> {
    let on_path = || ROUTES.iter().filter(|route| route.named(path).is_some());
    if on_path().next().is_none() {
        let streams = super::streams::STREAMS.iter().map(|stream| stream.path);
        let known: Vec<_> = ROUTES.iter().map(|route| route.path).chain(streams).collect();
        return Err(ApiError::new(ErrorCode::NotFound, "There is nothing at this path.")
            .remedy(format!("Known are {}.", known.join(", "))));
    }
    let Some(route) = on_path().find(|route| route.method == *method) else {
        let methods: Vec<_> = on_path().map(|route| route.method.as_str()).collect();
        let message = format!("This path takes {} only.", methods.join(" and "));
        return Err(ApiError::new(ErrorCode::MethodNotAllowed, message));
    };
    if route.socket == Socket::Control && socket == Socket::View {
        return Err(ApiError::new(ErrorCode::Denied, "The view socket changes nothing, and tells no secret.").remedy(
            format!(
                "Use {}, which members of the group {} may connect to.",
                control_path.display(),
                Socket::Control.group()
            ),
        ));
    }
    Ok((route, route.named(path).unwrap_or_default()))
}

fn mode(daemon: &dyn Operations, request: &Request, mode: Mode) -> Answer {
    json(&daemon.mode(&request.peer, &request.named, mode, &body(request)?)?)
}

fn breaker(daemon: &dyn Operations, request: &Request, wanted: State) -> Answer {
    json(&daemon.breaker(&request.peer, &request.named, wanted, &body(request)?)?)
}

/// `limit` of the query: how many at most.
fn limit(request: &Request, most: usize) -> Result<usize, ApiError> {
    let mut parameters = Parameters::parse(&request.query)?;
    let limit = parameters.take_number("limit")?;
    parameters.finish()?;
    Ok(limit.and_then(|limit| usize::try_from(limit).ok()).map_or(most, |limit| limit.min(most)))
}

/// Whose call to what is meant.
fn asked(request: &Request) -> Result<ExplainQuery, ApiError> {
    let mut parameters = Parameters::parse(&request.query)?;
    let [client, tool, listener] = ["client", "tool", "listener"].map(|name| parameters.take(name));
    parameters.finish()?;
    Ok(ExplainQuery { client: client.unwrap_or_default(), tool: tool.unwrap_or_default(), listener })
}

/// The revision that the path names.
fn number(request: &Request) -> Result<u64, ApiError> {
    request.named.parse().map_err(|_| {
        ApiError::new(ErrorCode::BadRequest, "The path does not name a revision.")
            .remedy("End it with a number, such as /v1/config/history/7.")
            .field("path")
    })
}

/// The name that the path has, which an operator has chosen: what a path cannot have stands there as `%` and two digits.
pub(super) fn name(request: &Request) -> Result<String, ApiError> {
    decoded(&request.named).ok_or_else(unnamed)
}

/// Text without its percent-encoding; `None` where that is none, or no UTF-8.
fn decoded(text: &str) -> Option<String> {
    let mut pieces = text.split('%');
    let mut bytes: Vec<u8> = pieces.next().unwrap_or_default().into();
    for piece in pieces {
        let digits = piece.get(..2).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        bytes.extend(&piece.as_bytes()[2..]);
    }
    String::from_utf8(bytes).ok()
}

fn unnamed() -> ApiError {
    ApiError::new(ErrorCode::BadRequest, "The path's name is not percent-encoded UTF-8.").field("path")
}

/// How the one table of a route is wanted.
fn table(request: &Request) -> Result<TableQuery, ApiError> {
    let mut parameters = Parameters::parse(&request.query)?;
    let table = parameters.take_table("")?;
    parameters.finish()?;
    Ok(table)
}

/// The same of one whose rows the configuration bounds: all of them, where nobody says how many.
fn whole_table(request: &Request) -> Result<TableQuery, ApiError> {
    let mut parameters = Parameters::parse(&request.query)?;
    let table = parameters.take_whole("")?;
    parameters.finish()?;
    Ok(table)
}

fn json(value: &impl Serialize) -> Answer {
    serde_json::to_vec(value)
        .map_err(|error| ApiError::new(ErrorCode::Internal, format!("The answer failed: {error}.")))
}

/// The request's body; an empty one is the default.
fn body<T: DeserializeOwned + Default>(request: &Request) -> Result<T, ApiError> {
    if request.body.is_empty() {
        return Ok(T::default());
    }
    let body = serde_json::from_slice(&request.body).map_err(|error| {
        ApiError::new(ErrorCode::BadRequest, format!("The body cannot be used: {error}."))
            .remedy("Send a JSON object with the documented fields only, or upgrade the daemon.")
            .field("body")
    })?;
    if audit::says_too_much(&request.body) {
        let message = format!("A reason has {} characters at most.", audit::MOST_REASON);
        return Err(ApiError::new(ErrorCode::BadRequest, message)
            .remedy("Say it in a sentence, or where to read on.")
            .field("reason"));
    }
    Ok(body)
}
