//! The sockets as a client sees them, with a daemon that only remembers what it was asked.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Instant;

use serde_json::{Value, json};
use toolgate_admin_api as api;
use toolgate_admin_api::{
    ApiError, ApproveOutcome, ApproveRequest, Audit, AuditLine, AuditLines, AuditRecord, AuditVerdict, BreakerOutcome,
    BreakerRequest, BreakerState, Caches, CallLife, Calls, CancelOutcome, Change, CheckOutcome, CheckRequest,
    ChecksOutcome, ClearOutcome, ClearRequest, ClientOutcome, Clients, ConfigView, DisableRequest, EnableRequest,
    EndMatching, EndOutcome, EndpointMode, ErrorCode, ExplainQuery, Explained, GrantsView, HistoryView, LimitsView,
    LogOutcome, LogRequest, ModeOutcome, ModeRequest, OverrideOutcome, OverrideRequest, PolicyExplained, PolicyQuery,
    PurgeRequest, QueueOutcome, QueueOverride, Queues, ReloadOutcome, ReloadRequest, RestartOutcome, RestartRequest,
    RevertRequest, Revision, RevokeOutcome, RevokeRequest, ServerStatus, ServerTools, SessionDetail, Sessions, Status,
    SuspendRequest, TemporaryLimit, ToolChanges, ToolOutcome, ToolRow, Tools, Version, WeightOutcome, WeightRequest,
};
use toolgate_protocol::breaker::State;
use toolgate_protocol::history::Span;

use super::query::TableQuery;
use super::*;
use crate::audit::Query;
use crate::observe::ledger::{Filter, Ledger, Tail};
use crate::servers::endpoints::Mode;

mod changes;
mod watching;

/// The text of a key that is made.
const KEY: &str = "tg_made_neverwritten";

const DEADLINE: Duration = Duration::from_secs(10);

#[derive(Default)]
struct Fake {
    /// What every topic says.
    said: AtomicU64,
    /// How often a topic was made.
    made: AtomicU64,
    /// Where calls would be.
    ledger: Ledger,
    /// What the topic of tools waits for, where it is to wait.
    stuck: Option<Mutex<Receiver<()>>>,
    /// Whether the running revision is held.
    held: AtomicBool,
    /// Modes that were changed while it was not.
    loose: AtomicU64,
    /// Bytes of a topic, about.
    length: AtomicUsize,
    reloads: Mutex<Vec<(Peer, ReloadRequest)>>,
    records: Mutex<Vec<AuditRecord>>,
    /// A reload says on the first that it runs, then waits for the second.
    slow: Option<(Sender<()>, Mutex<Receiver<()>>)>,
}

impl ToolOperations for Fake {
    fn tool_changes(&self) -> ToolChanges {
        ToolChanges::default()
    }

    fn approve_tool(&self, _peer: &Peer, server: &str, request: &ApproveRequest) -> Result<ApproveOutcome, ApiError> {
        Ok(ApproveOutcome { server: server.into(), tool: request.tool.clone(), applied: !request.dry_run })
    }
}

impl WatchOperations for Fake {
    fn topic(&self, question: &watch::Question) -> api::Topic {
        self.topic_of(question)
    }

    fn past(&self, names: &[String], span: Span) -> api::History {
        let series = names.iter().map(|name| api::Series {
            name: name.clone(),
            from_ms: span.from_ms(),
            step_ms: span.step_ms(),
            ..Default::default()
        });
        api::History { series: series.collect(), oldest_ms: 0 }
    }

    fn tail(&self, filter: Filter) -> Option<Tail> {
        self.ledger.subscribe(filter)
    }
}

impl PolicyOperations for Fake {
    fn explain_policy(&self, query: &PolicyQuery) -> Result<PolicyExplained, ApiError> {
        Ok(PolicyExplained { client: query.client.clone(), ..PolicyExplained::default() })
    }
}

impl AuditOperations for Fake {
    fn record(&self, record: AuditRecord) {
        self.records.lock().expect("lock").push(record);
    }

    fn audit(&self, most: usize) -> Audit {
        let records = self.records.lock().expect("lock");
        Audit { records: records.iter().take(most).cloned().collect() }
    }

    fn search_audit(&self, query: &Query) -> Result<AuditLines, ApiError> {
        let line = AuditLine { client: query.client.clone(), number: query.limit as u64, ..AuditLine::default() };
        Ok(AuditLines { lines: vec![line] })
    }

    fn verify_audit(&self) -> Result<AuditVerdict, ApiError> {
        Ok(AuditVerdict { whole: true, ..AuditVerdict::default() })
    }
}

impl SteerOperations for Fake {
    fn end_session(&self, _handle: &str, request: &Change) -> Result<EndOutcome, ApiError> {
        Ok(EndOutcome { applied: !request.dry_run, ..EndOutcome::default() })
    }

    fn end_sessions(&self, request: &EndMatching) -> Result<EndOutcome, ApiError> {
        Ok(EndOutcome { applied: !request.dry_run, ..EndOutcome::default() })
    }

    fn suspend(&self, _peer: &Peer, client: &str, request: &SuspendRequest) -> Result<ClientOutcome, ApiError> {
        Ok(ClientOutcome { client: client.into(), applied: !request.dry_run, ..ClientOutcome::default() })
    }

    fn resume_client(&self, client: &str, request: &Change) -> Result<ClientOutcome, ApiError> {
        Ok(ClientOutcome { client: client.into(), applied: !request.dry_run, ..ClientOutcome::default() })
    }

    fn cancel(&self, id: &str, request: &Change) -> Result<CancelOutcome, ApiError> {
        Ok(CancelOutcome { id: id.into(), applied: !request.dry_run, ..CancelOutcome::default() })
    }

    fn disable_tool(&self, _peer: &Peer, _server: &str, _request: &DisableRequest) -> Result<ToolOutcome, ApiError> {
        Ok(ToolOutcome::default())
    }

    fn enable_tool(&self, _server: &str, _request: &EnableRequest) -> Result<ToolOutcome, ApiError> {
        Ok(ToolOutcome::default())
    }

    fn override_queue(&self, _server: &str, _request: &QueueOverride) -> Result<QueueOutcome, ApiError> {
        Ok(QueueOutcome::default())
    }

    fn revert_queue(&self, _server: &str, _request: &Change) -> Result<QueueOutcome, ApiError> {
        Ok(QueueOutcome::default())
    }

    fn purge_queue(&self, _server: &str, _request: &PurgeRequest) -> Result<QueueOutcome, ApiError> {
        Ok(QueueOutcome::default())
    }

    fn weigh(&self, _peer: &Peer, _server: &str, _request: &WeightRequest) -> Result<WeightOutcome, ApiError> {
        Ok(WeightOutcome::default())
    }

    fn check_now(&self, _server: &str, _request: &CheckRequest) -> Result<ChecksOutcome, ApiError> {
        Ok(ChecksOutcome::default())
    }

    fn add_limit(&self, peer: &Peer, request: &TemporaryLimit) -> Result<OverrideOutcome, ApiError> {
        let override_request = OverrideRequest { value: request.value.clone(), ..OverrideRequest::default() };
        self.override_limit(peer, "temporary.1", &override_request)
    }

    fn explain(&self, asked: &ExplainQuery) -> Result<Explained, ApiError> {
        Ok(Explained { client: asked.client.clone(), tool: asked.tool.clone(), ..Explained::default() })
    }

    fn set_log(&self, _request: &LogRequest) -> Result<LogOutcome, ApiError> {
        Ok(LogOutcome::default())
    }
}

impl KeyOperations for Fake {
    fn keys(&self, _query: &KeysQuery) -> Result<api::Keys, ApiError> {
        Ok(api::Keys::default())
    }

    fn key(&self, id: &str) -> Result<api::KeyRow, ApiError> {
        Ok(api::KeyRow { id: id.into(), ..api::KeyRow::default() })
    }

    fn create_key(&self, request: &api::KeyRequest) -> Result<api::KeyMade, ApiError> {
        let after = api::KeyRow { owner: request.owner.clone(), ..api::KeyRow::default() };
        let key = Some(KEY.to_owned());
        Ok(api::KeyMade { id: "made".into(), applied: !request.dry_run, key, after })
    }

    fn rotate_key(&self, id: &str, request: &api::RotateRequest) -> Result<api::KeyMade, ApiError> {
        let key = Some(KEY.to_owned());
        Ok(api::KeyMade { id: id.into(), applied: !request.dry_run, key, ..api::KeyMade::default() })
    }

    fn suspend_key(&self, _peer: &Peer, id: &str, request: &SuspendRequest) -> Result<api::KeyOutcome, ApiError> {
        Ok(api::KeyOutcome { id: id.into(), applied: !request.dry_run, ..api::KeyOutcome::default() })
    }

    fn resume_key(&self, id: &str, request: &Change) -> Result<api::KeyOutcome, ApiError> {
        Ok(api::KeyOutcome { id: id.into(), applied: !request.dry_run, ..api::KeyOutcome::default() })
    }

    fn revoke_key(&self, _peer: &Peer, id: &str, request: &Change) -> Result<api::KeyOutcome, ApiError> {
        Ok(api::KeyOutcome { id: id.into(), applied: !request.dry_run, ..api::KeyOutcome::default() })
    }

    fn adopt_keys(&self, _id: Option<&str>, request: &Change) -> Result<api::KeysOutcome, ApiError> {
        Ok(api::KeysOutcome { applied: !request.dry_run, ..api::KeysOutcome::default() })
    }

    fn import_keys(&self, request: &api::ImportRequest) -> Result<api::KeysOutcome, ApiError> {
        let added = request.keys.len() as u64;
        Ok(api::KeysOutcome { applied: !request.dry_run, added, ..api::KeysOutcome::default() })
    }
}

impl CacheOperations for Fake {
    fn caches(&self) -> Caches {
        Caches::default()
    }

    fn clear_cache(&self, _peer: &Peer, server: &str, request: &ClearRequest) -> Result<ClearOutcome, ApiError> {
        Ok(ClearOutcome { server: server.into(), applied: !request.dry_run, entries: 0, bytes: 0 })
    }
}

impl GrantOperations for Fake {
    fn grants(&self) -> GrantsView {
        GrantsView::default()
    }

    fn revoke_grant(&self, server: &str, request: &RevokeRequest) -> Result<RevokeOutcome, ApiError> {
        Ok(RevokeOutcome { server: server.into(), client: request.client.clone(), applied: !request.dry_run })
    }
}

impl EndpointOperations for Fake {
    fn mode(&self, _peer: &Peer, name: &str, mode: Mode, request: &ModeRequest) -> Result<ModeOutcome, ApiError> {
        if !self.held.load(Ordering::Relaxed) {
            self.loose.fetch_add(1, Ordering::Relaxed);
        }
        let drains = mode == Mode::Drain;
        let mode = if drains { EndpointMode::Drain } else { EndpointMode::Ready };
        let (server, applied) = (name.into(), !request.dry_run);
        Ok(ModeOutcome { server, applied, mode, endpoints: Vec::new(), left: 1, deadline_ms: request.deadline_ms })
    }

    fn breaker(
        &self,
        _peer: &Peer,
        name: &str,
        wanted: State,
        request: &BreakerRequest,
    ) -> Result<BreakerOutcome, ApiError> {
        let state = if wanted == State::ForcedOpen { BreakerState::ForcedOpen } else { BreakerState::Closed };
        Ok(BreakerOutcome { server: name.into(), applied: !request.dry_run, state, endpoints: Vec::new() })
    }
}

impl LedgerOperations for Fake {
    fn tool_rows(&self, query: &TableQuery) -> Result<Tools, ApiError> {
        let row = |tool: &str| ToolRow { server: "weather".into(), tool: tool.into(), ..ToolRow::default() };
        let (total, tools) = query.select(vec![row("forecast"), row("alerts")])?;
        Ok(Tools { total, tools })
    }

    fn clients(&self, _query: &TableQuery) -> Result<Clients, ApiError> {
        Ok(Clients::default())
    }

    fn sessions(&self, _query: &TableQuery) -> Result<Sessions, ApiError> {
        Ok(Sessions::default())
    }

    fn session(&self, handle: &str) -> Result<SessionDetail, ApiError> {
        Err(ApiError::new(ErrorCode::NotFound, format!("There is no session {handle}.")))
    }

    fn calls(&self, _query: &TableQuery) -> Result<Calls, ApiError> {
        Ok(Calls::default())
    }

    fn call(&self, id: &str) -> Result<CallLife, ApiError> {
        Err(ApiError::new(ErrorCode::NotFound, format!("There is no call {id}.")))
    }
}

impl LimitOperations for Fake {
    fn limits(&self) -> LimitsView {
        LimitsView { revision: 7, limits: Vec::new() }
    }

    fn override_limit(&self, _peer: &Peer, name: &str, request: &OverrideRequest) -> Result<OverrideOutcome, ApiError> {
        Ok(OverrideOutcome {
            name: name.into(),
            applied: !request.dry_run,
            before: "10/min".into(),
            after: request.value.clone(),
            expires_in_seconds: Some(request.seconds),
        })
    }

    fn revert_limit(&self, _peer: &Peer, name: &str, _request: &RevertRequest) -> Result<OverrideOutcome, ApiError> {
        Err(ApiError::new(ErrorCode::NotFound, format!("There is no limit {name}.")))
    }
}

impl SealOperations for Fake {
    fn seal_keys(&self) -> api::SealKeys {
        api::SealKeys::default()
    }

    fn rotate_seal(&self, request: &api::SealRotate) -> Result<api::SealRotation, ApiError> {
        Ok(api::SealRotation { applied: !request.dry_run, ..api::SealRotation::default() })
    }
}

impl HealthOperations for Fake {
    fn health(&self) -> api::Health {
        api::Health { status: "healthy".into(), ..api::Health::default() }
    }

    fn certificates(&self) -> api::Certificates {
        api::Certificates::default()
    }

    fn acknowledge(&self, peer: &Peer, id: &str, request: &api::Change) -> Result<api::AlertOutcome, ApiError> {
        let alert = api::Alert { id: id.into(), acknowledged: Some(peer.to_string()), ..api::Alert::default() };
        Ok(api::AlertOutcome { applied: !request.dry_run, alert })
    }

    fn silence(&self, id: &str, request: &api::SilenceRequest) -> Result<api::AlertOutcome, ApiError> {
        let alert =
            api::Alert { id: id.into(), silenced_until_ms: Some(request.seconds * 1000), ..api::Alert::default() };
        Ok(api::AlertOutcome { applied: !request.dry_run, alert })
    }
}

impl Operations for Fake {
    fn version(&self) -> Version {
        Version { version: "0.1.0".into(), instance: "i-1".into(), api: 1, api_minimum: 1, revision: 7 }
    }

    fn status(&self) -> Status {
        serde_json::from_value(json!({
            "instance": "i-1", "version": "0.1.0", "revision": 7, "pid": 1, "started_at_ms": 1,
            "uptime_seconds": 1, "draining": false, "ready": true, "connections": 0, "sessions": 0,
            "calls_in_flight": 0, "listeners": [], "servers": [],
        }))
        .expect("a status")
    }

    fn queues(&self) -> Queues {
        Queues { servers: Vec::new() }
    }

    fn config(&self) -> ConfigView {
        ConfigView {
            revision: 7,
            loaded_at_ms: 1,
            files: vec!["/etc/toolgate/toolgate.toml".into()],
            warnings: Vec::new(),
            from_history: None,
            values: Vec::new(),
        }
    }

    fn history(&self) -> HistoryView {
        HistoryView { running: 7, from_history: None, revisions: Vec::new() }
    }

    fn revision(&self, number: u64) -> Result<Revision, ApiError> {
        Err(ApiError::new(ErrorCode::NotFound, format!("Revision {number} is not in the history.")))
    }

    fn tools(&self, server: &str) -> Result<ServerTools, ApiError> {
        Ok(ServerTools { server: server.into(), ..ServerTools::default() })
    }

    fn server(&self, name: &str) -> Result<ServerStatus, ApiError> {
        Err(ApiError::new(ErrorCode::NotFound, format!("There is no server {name}.")))
    }

    fn restart(&self, _peer: &Peer, name: &str, request: &RestartRequest) -> Result<RestartOutcome, ApiError> {
        Ok(RestartOutcome { server: name.into(), applied: !request.dry_run, ended: 0, leaving: 1 })
    }

    fn check(&self) -> CheckOutcome {
        CheckOutcome { ok: true, files: Vec::new(), problems: Vec::new() }
    }

    fn at_revision(
        &self,
        revision: u64,
        change: &mut dyn FnMut() -> Result<Vec<u8>, ApiError>,
    ) -> Result<Vec<u8>, ApiError> {
        if revision != 7 {
            return Err(ApiError::stale(7));
        }
        self.held.store(true, Ordering::Relaxed);
        let answer = change();
        self.held.store(false, Ordering::Relaxed);
        answer
    }

    fn reload(&self, peer: &Peer, request: &ReloadRequest, if_match: Option<u64>) -> Result<ReloadOutcome, ApiError> {
        if let Some((running, go_on)) = &self.slow {
            running.send(()).expect("the test waits");
            let _ = go_on.lock().expect("lock").recv_timeout(DEADLINE);
        }
        if if_match.is_some_and(|revision| revision != 7) {
            return Err(ApiError::stale(7));
        }
        assert_ne!(request.reason.as_deref(), Some("panic"), "asked to");
        self.reloads.lock().expect("lock").push((*peer, request.clone()));
        Ok(ReloadOutcome {
            applied: !request.dry_run,
            revision: 8,
            previous: 7,
            changes: Vec::new(),
            needs_restart: Vec::new(),
            problems: Vec::new(),
        })
    }
}

impl Fake {
    /// All topics are clients: their number says which answer it is, and their ids are long where a test wants that.
    fn topic_of(&self, question: &watch::Question) -> api::Topic {
        self.made.fetch_add(1, Ordering::Relaxed);
        if let Some(stuck) = self.stuck.as_ref().filter(|_| question.subject == watch::Subject::Tools) {
            let _ = crate::lock::lock(stuck).recv();
        }
        let id = format!("{:?}{}", question.subject, "x".repeat(self.length.load(Ordering::Relaxed)));
        let total = self.said.load(Ordering::Relaxed);
        api::Topic::Clients(api::Clients { total, clients: vec![api::ClientRow { id, ..Default::default() }] })
    }
}

struct Gate {
    base: tempfile::TempDir,
    daemon: Arc<Fake>,
    admin: Admin,
}

fn start(daemon: Fake) -> Gate {
    let base = tempfile::tempdir().expect("folder");
    let daemon = Arc::new(daemon);
    let admin = Admin::start(base.path(), Arc::clone(&daemon) as Arc<dyn Operations>).expect("starts");
    Gate { base, daemon, admin }
}

/// What came back.
struct Said {
    status: u16,
    head: String,
    body: Value,
}

impl Gate {
    fn connect(&self, socket: Socket) -> UnixStream {
        let stream = UnixStream::connect(socket.path(self.base.path())).expect("connects");
        stream.set_read_timeout(Some(DEADLINE)).expect("deadline");
        stream
    }

    fn send(&self, socket: Socket, request: &str) -> Said {
        let mut stream = self.connect(socket);
        stream.write_all(request.as_bytes()).expect("writes");
        read(stream)
    }

    fn get(&self, socket: Socket, path: &str) -> Said {
        self.send(socket, &format!("GET {path} HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n"))
    }

    fn post(&self, socket: Socket, path: &str, headers: &str, body: &str) -> Said {
        let length = body.len();
        self.send(
            socket,
            &format!(
                "POST {path} HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n{headers}\
                 content-length: {length}\r\n\r\n{body}"
            ),
        )
    }
}

fn read(mut stream: UnixStream) -> Said {
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("reads");
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    Said {
        status: head[9..12].parse().expect("a status"),
        head: head.to_ascii_lowercase(),
        body: serde_json::from_str(body).expect("JSON"),
    }
}

#[test]
fn reads_work_on_both_sockets_and_name_the_daemon() {
    let gate = start(Fake::default());
    for socket in [Socket::View, Socket::Control] {
        for path in ["/v1/version", "/v1/status", "/v1/config"] {
            let said = gate.get(socket, path);
            assert_eq!(said.status, 200, "{path}");
            assert_eq!(said.body["revision"], 7, "{path}");
            assert!(said.head.contains("toolgate-instance: i-1"), "{}", said.head);
            assert!(said.head.contains("etag: \"7\""), "{}", said.head);
        }
    }
}

#[test]
fn the_view_socket_names_the_control_socket() {
    let gate = start(Fake::default());
    for path in ["/v1/config/check", "/v1/config/reload"] {
        let said = gate.post(Socket::View, path, "", "");
        assert_eq!((said.status, &said.body["code"]), (403, &json!("denied")));
        let remedy = said.body["remedy"].as_str().expect("a remedy");
        assert!(remedy.contains("control/control.sock"), "{remedy}");
        assert!(remedy.contains("toolgate-control"), "{remedy}");
    }
    assert!(gate.daemon.reloads.lock().expect("lock").is_empty());
}

#[test]
fn a_server_is_restarted_by_those_who_act() {
    let gate = start(Fake::default());
    let path = "/v1/servers/files/restart";
    assert_eq!(gate.post(Socket::View, path, "", "").status, 403);
    let said = gate.post(Socket::Control, path, "", r#"{"rolling": true, "dry_run": true}"#);
    assert_eq!((said.status, &said.body["server"], &said.body["applied"]), (200, &json!("files"), &json!(false)));
    assert_eq!(gate.post(Socket::Control, path, "", r#"{"roling": true}"#).status, 400);
}

#[test]
fn a_path_names_what_is_asked_for_and_texts_are_for_those_who_act() {
    let gate = start(Fake::default());
    let said = gate.get(Socket::Control, "/v1/servers/files/tools");
    assert_eq!((said.status, &said.body["server"]), (200, &json!("files")));
    let said = gate.get(Socket::Control, "/v1/config/history/12");
    assert_eq!((said.status, &said.body["message"]), (404, &json!("Revision 12 is not in the history.")));
    assert_eq!(gate.get(Socket::Control, "/v1/config/history/twelve").status, 400);
    for path in ["/v1/servers//tools", "/v1/servers/a/b/tools", "/v1/config/history/", "/v1/servers/"] {
        let said = gate.get(Socket::Control, path);
        assert!(said.body["message"].as_str().is_some_and(|text| text.starts_with("There is nothing")), "{path}");
    }
    assert_eq!(gate.get(Socket::View, "/v1/config/history").status, 200);
    for path in ["/v1/config/history/7", "/v1/servers/files/tools", "/v1/servers/files"] {
        assert_eq!(gate.get(Socket::View, path).status, 403, "{path}");
    }
}

#[test]
fn a_reload_carries_who_why_and_whether() {
    let gate = start(Fake::default());
    let body = r#"{"dry_run":true,"reason":"new server"}"#;
    let said = gate.post(Socket::Control, "/v1/config/reload", "if-match: \"7\"\r\n", body);
    assert_eq!((said.status, &said.body["applied"]), (200, &json!(false)));
    let reloads = gate.daemon.reloads.lock().expect("lock");
    let (peer, request) = &reloads[0];
    assert_eq!(peer.uid, rustix::process::getuid().as_raw());
    assert_eq!(peer.pid, i32::try_from(std::process::id()).ok());
    assert!(request.dry_run);
    assert_eq!(request.reason.as_deref(), Some("new server"));
}

#[test]
fn an_empty_body_is_a_reload_for_real() {
    let gate = start(Fake::default());
    let said = gate.post(Socket::Control, "/v1/config/reload", "", "");
    assert_eq!((said.status, &said.body["applied"]), (200, &json!(true)));
}

#[test]
fn a_stale_revision_is_a_conflict() {
    let gate = start(Fake::default());
    let said = gate.post(Socket::Control, "/v1/config/reload", "if-match: \"6\"\r\n", "");
    assert_eq!((said.status, &said.body["code"]), (409, &json!("conflict")));
    let said = gate.post(Socket::Control, "/v1/config/reload", "if-match: latest\r\n", "");
    assert_eq!((said.status, &said.body["field"]), (400, &json!("if-match")));
    assert!(gate.daemon.reloads.lock().expect("lock").is_empty());
}

#[test]
fn what_is_wrong_with_a_request_is_said() {
    let gate = start(Fake::default());
    let post = |headers: &str, body: &str| {
        let said = gate.post(Socket::Control, "/v1/config/reload", headers, body);
        (said.status, said.body["code"].as_str().expect("a code").to_owned())
    };
    assert_eq!(post("", r#"{"dryrun":true}"#), (400, "bad_request".into()));
    assert_eq!(post("", "not json"), (400, "bad_request".into()));
    let reasoned = |length| post("", &json!({"reason": "é".repeat(length), "dry_run": true}).to_string());
    assert_eq!(reasoned(1025), (400, "bad_request".into()));
    assert_eq!(post("origin: https://example.org\r\n", ""), (403, "denied".into()));
    assert_eq!(gate.get(Socket::Control, "/v1/config/reload").status, 405);
    let said = gate.get(Socket::View, "/v1/nothing");
    assert_eq!(said.status, 404);
    assert!(said.body["remedy"].as_str().expect("a remedy").contains("/v1/status"));
    assert!(gate.daemon.reloads.lock().expect("lock").is_empty());
}

#[test]
fn a_body_over_the_limit_is_refused() {
    let gate = start(Fake::default());
    let mut stream = gate.connect(Socket::Control);
    let head = "POST /v1/config/reload HTTP/1.1\r\nhost: admin\r\ncontent-length: 2000000\r\n\r\n";
    stream.write_all(head.as_bytes()).expect("writes");
    // The daemon answers and closes somewhere in the middle of this.
    let _ = stream.write_all(&vec![b' '; 2_000_000]);
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).expect("an answer");
    assert_eq!(&answer, b"HTTP/1.1 413");
}

#[test]
fn the_cap_on_one_socket_leaves_the_other_free() {
    let gate = start(Fake::default());
    let idle: Vec<_> = (0..96).map(|_| gate.connect(Socket::View)).collect();
    let said = read(gate.connect(Socket::View));
    assert_eq!((said.status, &said.body["code"]), (503, &json!("unavailable")));
    assert_eq!(gate.get(Socket::Control, "/v1/status").status, 200);
    drop(idle);
    let until = Instant::now() + DEADLINE;
    while gate.get_or_busy() == 503 {
        assert!(Instant::now() < until, "the permits of closed connections did not come back");
        std::thread::yield_now();
    }
}

impl Gate {
    /// A read that may meet the cap, where the refusal may come before the request is sent.
    fn get_or_busy(&self) -> u16 {
        let mut stream = self.connect(Socket::View);
        let _ = stream.write_all(b"GET /v1/version HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n");
        read(stream).status
    }
}

#[test]
fn status_answers_while_a_reload_runs() {
    let (running, runs) = channel();
    let (go_on, waits) = channel();
    let gate = start(Fake { slow: Some((running, Mutex::new(waits))), ..Fake::default() });
    std::thread::scope(|scope| {
        let reload = scope.spawn(|| gate.post(Socket::Control, "/v1/config/reload", "", "").status);
        runs.recv_timeout(DEADLINE).expect("the reload runs");
        assert_eq!(gate.get(Socket::View, "/v1/status").status, 200);
        go_on.send(()).expect("the reload waits");
        assert_eq!(reload.join().expect("no panic"), 200);
    });
}

#[test]
fn a_panicking_operation_is_an_answer_and_not_the_end() {
    let gate = start(Fake::default());
    let said = gate.post(Socket::Control, "/v1/config/reload", "", r#"{"reason":"panic"}"#);
    assert_eq!((said.status, &said.body["code"]), (500, &json!("internal")));
    assert_eq!(gate.get(Socket::Control, "/v1/status").status, 200);
}

#[test]
fn the_heartbeat_beats_and_the_end_removes_the_sockets() {
    let gate = start(Fake::default());
    let heartbeat = gate.admin.heartbeat();
    let until = Instant::now() + DEADLINE;
    while heartbeat.load(Ordering::Relaxed) < 2 {
        assert!(Instant::now() < until, "no second beat");
        std::thread::sleep(Duration::from_millis(5));
    }
    drop(gate.admin);
    assert!(!Socket::View.path(gate.base.path()).exists());
    assert!(!Socket::Control.path(gate.base.path()).exists());
}

#[test]
fn endpoints_and_breakers_are_steered_from_the_control_socket_only() {
    let gate = start(Fake::default());
    let drained = gate.post(Socket::Control, "/v1/servers/weather/drain", "", r#"{"deadline_ms":5000}"#);
    assert_eq!(
        (drained.status, &drained.body["mode"], &drained.body["deadline_ms"]),
        (200, &json!("drain"), &json!(5000))
    );
    let opened = gate.post(Socket::Control, "/v1/breakers/weather/open", "", r#"{"dry_run":true}"#);
    assert_eq!(
        (opened.status, &opened.body["state"], &opened.body["applied"]),
        (200, &json!("forced_open"), &json!(false))
    );
    assert_eq!(gate.post(Socket::View, "/v1/breakers/weather/reset", "", "").status, 403);
    assert_eq!(gate.post(Socket::Control, "/v1/servers/weather/drain", "", r#"{"when":5}"#).status, 400);
    assert_eq!(gate.get(Socket::View, "/v1/servers").body, json!([]));
}

/// Every route that changes something leaves a record, refused or done, and a rehearsal leaves none.
#[test]
fn no_change_forgets_its_record() {
    let gate = start(Fake::default());
    let changes: Vec<_> = routes::ROUTES.iter().filter(|route| route.changes()).collect();
    assert!(changes.len() > 10, "{}", changes.len());
    for route in changes {
        let path = route.path.replace("{}", "web");
        let ask = |body: &str, headers: &str| {
            let (method, length) = (&route.method, body.len());
            let head = format!("{method} {path} HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n{headers}");
            gate.send(Socket::Control, &format!("{head}content-length: {length}\r\n\r\n{body}"))
        };
        let newest = || gate.daemon.records.lock().expect("lock").pop();
        let said = ask(r#"{"reason":"why \u001b[2J"}"#, "");
        let record = newest().unwrap_or_else(|| panic!("{path} left no record: {} {}", said.status, said.body));
        assert_eq!(record.uid, rustix::process::getuid().as_raw(), "{path}");
        assert_eq!(record.pid, i32::try_from(std::process::id()).ok(), "{path}");
        assert_eq!(record.reason.as_deref(), Some(r"why \u{1b}[2J"), "{path}");
        assert_eq!((record.outcome == "done"), (said.status == 200), "{path}: {}", record.outcome);
        assert!(record.action.split_once('.').is_some_and(|(noun, verb)| !noun.is_empty() && !verb.is_empty()));
        assert!(!path.contains("web") || record.target == "web", "{path}: {}", record.target);
        assert!(!format!("{record:?}").contains("neverwritten"), "{path} records a secret");
        let said = ask(r#"{"reason":"late"}"#, "if-match: \"6\"\r\n");
        assert_eq!(said.status, 409, "{path} takes a stale revision: {}", said.body);
        let record = newest().unwrap_or_else(|| panic!("{path} left no record of a refusal"));
        assert_ne!(record.outcome, "done", "{path}");
        ask(r#"{"dry_run":true}"#, "");
        assert!(newest().is_none(), "{path} recorded a rehearsal");
        assert_eq!(
            gate.send(
                Socket::View,
                &format!("{} {path} HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n", route.method)
            )
            .status,
            403
        );
        assert!(newest().is_none(), "{path} lets the view socket fill the record");
    }
}

#[test]
fn alerts_are_named_by_paths_and_changed_from_the_control_socket_only() {
    let gate = start(Fake::default());
    assert_eq!(gate.get(Socket::View, "/v1/health").body["status"], "healthy");
    let seen = gate.post(Socket::Control, "/v1/alerts/certificate%3apublic%3a%2fetc%2fa.pem/acknowledge", "", "");
    assert_eq!((seen.status, &seen.body["alert"]["id"]), (200, &json!("certificate:public:/etc/a.pem")));
    let silenced = gate.post(Socket::Control, "/v1/alerts/cpu/silence", "", r#"{"seconds":60,"dry_run":true}"#);
    assert_eq!(
        (silenced.status, &silenced.body["applied"], &silenced.body["alert"]["silenced_until_ms"]),
        (200, &json!(false), &json!(60_000))
    );
    assert_eq!(gate.post(Socket::View, "/v1/alerts/cpu/acknowledge", "", "").status, 403);
}
