//! `GET /v1/schema`: the interface as a document of `OpenAPI` 3.1.
//!
//! Made from the tables of routes and streams and from the wire types themselves; each row of those has one here. A
//! test holds the tables against each other.

use std::sync::LazyLock;

use schemars::generate::{SchemaGenerator, SchemaSettings};
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value, json};
use toolgate_admin_api::{self as api, Socket};

use super::audit::action;
use super::routes::ROUTES;
use super::streams::STREAMS;

type Make = fn(&mut SchemaGenerator) -> Schema;

/// What is said of one route or stream.
struct Described {
    method: &'static str,
    path: &'static str,
    summary: &'static str,
    parameters: &'static [(&'static str, &'static str, bool)],
    body: Option<Make>,
    answer: Make,
}

/// The schema of a wire type.
fn of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

const fn get(path: &'static str, summary: &'static str, answer: Make) -> Described {
    Described { method: "GET", path, summary, parameters: &[], body: None, answer }
}

const fn table(path: &'static str, summary: &'static str, answer: Make) -> Described {
    Described { parameters: TABLE, ..get(path, summary, answer) }
}

const fn post(path: &'static str, summary: &'static str, body: Make, answer: Make) -> Described {
    Described { method: "POST", path, summary, parameters: &[], body: Some(body), answer }
}

/// Name, meaning, and whether it is a number.
const TABLE: &[(&str, &str, bool)] = &[
    ("sort", "The column to sort by.", false),
    ("descending", "`true`: the largest first.", false),
    ("filter", "Words that a row must have, or with ! before one must not.", false),
    ("cursor", "Rows before the first of these: as many as were read.", true),
    ("limit", "Rows at most.", true),
];

static DESCRIBED: &[Described] = &[
    get("/v1/version", "Who answers, and which revision runs.", of::<api::Version>),
    get("/v1/schema", "This document.", of::<Map<String, Value>>),
    get("/v1/status", "The daemon at a glance.", of::<api::Status>),
    get("/v1/queues", "Who waits for which server.", of::<api::Queues>),
    get("/v1/config", "The running configuration and its files.", of::<api::ConfigView>),
    get("/v1/config/history", "Accepted configurations without their texts.", of::<api::HistoryView>),
    get("/v1/config/history/{}", "One of them with its texts.", of::<api::Revision>),
    Described {
        parameters: &[
            ("series", "Names, with commas between them.", false),
            ("from", "Milliseconds since 1970.", true),
            ("to", "Milliseconds since 1970.", true),
            ("points", "Points of each series.", true),
        ],
        ..get("/v1/history", "What graphs showed in the last 24 hours.", of::<api::watch::History>)
    },
    table("/v1/servers", "Servers with their endpoints.", of::<Vec<api::ServerStatus>>),
    get("/v1/servers/{}", "One server, with the last words of its instances.", of::<api::ServerStatus>),
    get("/v1/servers/{}/tools", "What a server offers, asked now.", of::<api::ServerTools>),
    post(
        "/v1/servers/{}/tools/approve",
        "Accept what a tool is now.",
        of::<api::ApproveRequest>,
        of::<api::ApproveOutcome>,
    ),
    post("/v1/servers/{}/tools/disable", "Switch a tool off.", of::<api::DisableRequest>, of::<api::ToolOutcome>),
    post("/v1/servers/{}/tools/enable", "Switch it on again.", of::<api::EnableRequest>, of::<api::ToolOutcome>),
    get("/v1/grants", "What users allowed clients at servers.", of::<api::GrantsView>),
    post(
        "/v1/servers/{}/grants/revoke",
        "Forget what a user allowed a client.",
        of::<api::RevokeRequest>,
        of::<api::RevokeOutcome>,
    ),
    post("/v1/servers/{}/restart", "Replace its instances.", of::<api::RestartRequest>, of::<api::RestartOutcome>),
    post("/v1/servers/{}/drain", "Send nothing new there.", of::<api::ModeRequest>, of::<api::ModeOutcome>),
    post(
        "/v1/servers/{}/maintenance",
        "The same, and end its sessions.",
        of::<api::ModeRequest>,
        of::<api::ModeOutcome>,
    ),
    post("/v1/servers/{}/resume", "Have it serve again.", of::<api::ModeRequest>, of::<api::ModeOutcome>),
    post(
        "/v1/servers/{}/weight",
        "Give an endpoint another weight, or its configured one back.",
        of::<api::WeightRequest>,
        of::<api::WeightOutcome>,
    ),
    post("/v1/servers/{}/check", "Check endpoints now.", of::<api::CheckRequest>, of::<api::ChecksOutcome>),
    post("/v1/servers/{}/cache/clear", "Forget kept answers.", of::<api::ClearRequest>, of::<api::ClearOutcome>),
    post(
        "/v1/servers/{}/queue/purge",
        "Take calls out of the queue.",
        of::<api::PurgeRequest>,
        of::<api::QueueOutcome>,
    ),
    Described {
        method: "PUT",
        ..post(
            "/v1/servers/{}/queue/override",
            "Bound the queue otherwise for a time.",
            of::<api::QueueOverride>,
            of::<api::QueueOutcome>,
        )
    },
    Described {
        method: "DELETE",
        ..post(
            "/v1/servers/{}/queue/override",
            "Give it its configured bounds back.",
            of::<api::Change>,
            of::<api::QueueOutcome>,
        )
    },
    post(
        "/v1/breakers/{}/open",
        "Refuse all calls, also without a configured breaker.",
        of::<api::BreakerRequest>,
        of::<api::BreakerOutcome>,
    ),
    post("/v1/breakers/{}/close", "Let all calls through.", of::<api::BreakerRequest>, of::<api::BreakerOutcome>),
    post("/v1/breakers/{}/reset", "Count failures from here on.", of::<api::BreakerRequest>, of::<api::BreakerOutcome>),
    table("/v1/tools", "Tools, with what calls to them did.", of::<api::Tools>),
    get("/v1/tools/changes", "Tools that are not what they were.", of::<api::ToolChanges>),
    table("/v1/clients", "Clients, with what they call.", of::<api::Clients>),
    post("/v1/clients/{}/suspend", "Let a client do nothing.", of::<api::SuspendRequest>, of::<api::ClientOutcome>),
    post("/v1/clients/{}/resume", "Let it call again.", of::<api::Change>, of::<api::ClientOutcome>),
    table("/v1/sessions", "Sessions of the legacy era.", of::<api::Sessions>),
    get("/v1/sessions/{}", "One session, with what went on in it.", of::<api::SessionDetail>),
    post("/v1/sessions/{}/end", "End a session.", of::<api::Change>, of::<api::EndOutcome>),
    post("/v1/sessions/end", "End sessions that match.", of::<api::EndMatching>, of::<api::EndOutcome>),
    table("/v1/calls", "Calls that run.", of::<api::Calls>),
    get("/v1/calls/{}", "The life of one call.", of::<api::CallLife>),
    post("/v1/calls/{}/cancel", "End a call.", of::<api::Change>, of::<api::CancelOutcome>),
    table("/v1/limits", "Limits, with what they have counted.", of::<api::LimitsView>),
    post(
        "/v1/limits",
        "Add a limit for a client, a tool or both, for a time.",
        of::<api::TemporaryLimit>,
        of::<api::OverrideOutcome>,
    ),
    Described {
        parameters: &[
            ("client", "The client's id.", false),
            ("tool", "`SERVER/TOOL`.", false),
            ("listener", "The listener that the call comes to.", false),
        ],
        ..get("/v1/limits/explain", "Every limit that a call would meet.", of::<api::Explained>)
    },
    Described {
        method: "PUT",
        ..post(
            "/v1/limits/{}/override",
            "Set a limit to another value for a time.",
            of::<api::OverrideRequest>,
            of::<api::OverrideOutcome>,
        )
    },
    Described {
        method: "DELETE",
        ..post("/v1/limits/{}/override", "Take that away.", of::<api::RevertRequest>, of::<api::OverrideOutcome>)
    },
    Described {
        parameters: &[
            ("after", "The id behind which the answer begins.", false),
            ("filter", "Words that a key must have, or with ! before one must not.", false),
            ("limit", "Keys at most.", true),
        ],
        ..get("/v1/keys", "Keys of the files and of the store, in the order of their ids.", of::<api::Keys>)
    },
    get("/v1/keys/{}", "One key.", of::<api::KeyRow>),
    post("/v1/keys", "Make a key, whose text is in the answer alone.", of::<api::KeyRequest>, of::<api::KeyMade>),
    post("/v1/keys/{}/rotate", "Give a key another secret.", of::<api::RotateRequest>, of::<api::KeyMade>),
    post("/v1/keys/{}/suspend", "Let a key do nothing.", of::<api::SuspendRequest>, of::<api::KeyOutcome>),
    post("/v1/keys/{}/resume", "Let it call again.", of::<api::Change>, of::<api::KeyOutcome>),
    post("/v1/keys/{}/revoke", "Take a key away for good.", of::<api::Change>, of::<api::KeyOutcome>),
    post("/v1/keys/{}/adopt", "Take a key of the files into the store.", of::<api::Change>, of::<api::KeysOutcome>),
    post("/v1/keys/adopt", "Take all keys of the files into the store.", of::<api::Change>, of::<api::KeysOutcome>),
    post(
        "/v1/keys/import",
        "Take keys in by the hashes of their secrets: all, or none.",
        of::<api::ImportRequest>,
        of::<api::KeysOutcome>,
    ),
    get("/v1/health", "Checks, alerts, breakers and what the process uses.", of::<api::Health>),
    get("/v1/certs", "Certificates that are served.", of::<api::Certificates>),
    get("/v1/alerts", "Alerts that fire, then those that recovered of late.", of::<api::Alerts>),
    post(
        "/v1/alerts/{}/acknowledge",
        "Say that somebody looks after an alert.",
        of::<api::Change>,
        of::<api::AlertOutcome>,
    ),
    post(
        "/v1/alerts/{}/silence",
        "Send nothing of an alert for a time.",
        of::<api::SilenceRequest>,
        of::<api::AlertOutcome>,
    ),
    get("/v1/cache", "Answers that are kept.", of::<api::Caches>),
    post(
        "/v1/policy/explain",
        "Whether a call would be let through, and by which rule.",
        of::<api::PolicyQuery>,
        of::<api::PolicyExplained>,
    ),
    Described {
        method: "PUT",
        ..post("/v1/log", "Set the level of the log for a time.", of::<api::LogRequest>, of::<api::LogOutcome>)
    },
    get("/v1/seal", "Which sealing keys there are; no key itself.", of::<api::SealKeys>),
    post("/v1/seal/rotate", "Have a fresh key seal from now on.", of::<api::SealRotate>, of::<api::SealRotation>),
    Described {
        parameters: &[("limit", "Records at most.", true)],
        ..get("/v1/audit", "The newest changes that somebody made, or tried to.", of::<api::Audit>)
    },
    Described {
        parameters: &[
            ("client", "The client's id.", false),
            ("server", "The server.", false),
            ("tool", "The tool, prompt or resource.", false),
            ("call", "The call's id.", false),
            ("outcome", "How it ended.", false),
            ("kind", "The kind of line.", false),
            ("since", "Milliseconds since 1970: not older.", true),
            ("after", "The number of a line: only those behind it.", true),
            ("limit", "Lines at most: the newest.", true),
        ],
        ..get("/v1/audit/search", "Lines of the audit log that fit.", of::<api::AuditLines>)
    },
    get("/v1/audit/verify", "Whether the audit log is as it was written.", of::<api::AuditVerdict>),
    Described {
        method: "POST",
        ..get("/v1/config/check", "What is wrong with the files on disk.", of::<api::CheckOutcome>)
    },
    post("/v1/config/reload", "Take the files on disk over.", of::<api::ReloadRequest>, of::<api::ReloadOutcome>),
    Described {
        parameters: &[
            ("topics", "Names, with commas between them; absent: all.", false),
            ("interval", "Milliseconds between two looks.", true),
            ("since", "Milliseconds since 1970 of what is known already.", true),
        ],
        ..get("/v1/watch", "What changes, as lines of JSON, without an end.", of::<api::WatchLine>)
    },
    Described {
        parameters: &[
            ("filter", "Words, or `member=value`, that a call must have, or with ! before one must not.", false),
            ("rate", "Lines a second at most.", true),
        ],
        ..get("/v1/requests/tail", "Calls as they end, as lines of JSON, without an end.", of::<api::TailLine>)
    },
];

/// The document.
pub(super) fn document() -> Vec<u8> {
    static DOCUMENT: LazyLock<Vec<u8>> = LazyLock::new(|| serde_json::to_vec(&make()).unwrap_or_default());
    DOCUMENT.clone()
}

fn make() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.meta_schema = None;
        settings.definitions_path = "/components/schemas".into();
    });
    // What is read may lack what has a default, and what is written has it.
    let mut reads = settings.clone().for_deserialize().into_generator();
    let mut writes = settings.for_serialize().into_generator();
    let failure = answer("Why not.", &of::<api::ApiError>(&mut writes), "application/json");
    let mut paths = Map::new();
    for row in DESCRIBED {
        let is_stream = STREAMS.iter().any(|stream| stream.path == row.path);
        let schema = (row.answer)(&mut writes);
        let media = if is_stream { "application/jsonl" } else { "application/json" };
        let mut operation = json!({
            "summary": row.summary,
            "operationId": operation_id(row),
            "x-toolgate-socket": socket(row).name(),
            "parameters": parameters(row),
            "responses": { "200": answer("Done.", &schema, media), "default": failure },
        });
        if let Some(body) = row.body {
            let schema = body(&mut reads);
            operation["requestBody"] = json!({ "content": { "application/json": { "schema": schema } } });
        }
        let path = paths.entry(row.path.replace("{}", "{name}")).or_insert_with(|| json!({}));
        path[row.method.to_lowercase()] = operation;
    }
    let mut schemas = reads.take_definitions(true);
    schemas.extend(writes.take_definitions(true));
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "The admin sockets of toolgated",
            "version": format!("{}", api::API_VERSION),
            "description": "HTTP/1.1 over Unix sockets: `view.sock` takes the reads that are marked so, `control.sock` takes everything. `/v1` only grows.",
        },
        "servers": [{ "url": "http://localhost" }],
        "paths": paths,
        "components": { "schemas": schemas },
    })
}

fn answer(description: &str, schema: &Schema, media: &str) -> Value {
    json!({ "description": description, "content": { media: { "schema": schema } } })
}

fn operation_id(row: &Described) -> String {
    if row.method == "GET" {
        let words: Vec<_> = row
            .path
            .trim_start_matches("/v1/")
            .split('/')
            .map(|word| if word == "{}" { "one" } else { word })
            .collect();
        return format!("get.{}", words.join("."));
    }
    format!("{}{}", action(row.method, row.path), if row.path.contains("{}") { "" } else { ".all" })
}

fn parameters(row: &Described) -> Value {
    let schema =
        |number: &bool| if *number { json!({ "type": "integer", "minimum": 0 }) } else { json!({ "type": "string" }) };
    let query = row.parameters.iter().map(|(name, description, number)| {
        json!({ "in": "query", "name": name, "description": description, "schema": schema(number) })
    });
    let named = row.path.contains("{}").then(
        || json!({ "in": "path", "name": "name", "required": true, "schema": { "type": "string", "minLength": 1 } }),
    );
    let changes = row.method != "GET" && row.path != "/v1/config/check";
    let matches = changes.then(|| {
        json!({ "in": "header", "name": "If-Match", "schema": { "type": "string" },
            "description": "Do it only while this revision runs, such as \"7\"." })
    });
    named.into_iter().chain(query).chain(matches).collect()
}

/// The socket that suffices.
fn socket(row: &Described) -> Socket {
    let known = ROUTES.iter().find(|route| route.path == row.path && route.method.as_str() == row.method);
    known.map_or(Socket::View, |route| route.socket)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_route_and_stream_is_described_once_and_nothing_else_is() {
        let routes = ROUTES.iter().map(|route| (route.method.as_str(), route.path));
        let known: BTreeSet<_> = routes.chain(STREAMS.iter().map(|stream| ("GET", stream.path))).collect();
        let described: BTreeSet<_> = DESCRIBED.iter().map(|row| (row.method, row.path)).collect();
        assert_eq!(known, described);
        assert_eq!(DESCRIBED.len(), described.len(), "a row is there twice");
    }

    #[test]
    fn the_document_hangs_together() {
        let document = make();
        let schemas = document["components"]["schemas"].as_object().expect("schemas");
        let mut ids = BTreeSet::new();
        for (path, operations) in document["paths"].as_object().expect("paths") {
            for operation in operations.as_object().expect("operations").values() {
                assert!(ids.insert(operation["operationId"].to_string()), "{path}: {}", operation["operationId"]);
            }
        }
        let text = document.to_string();
        for (at, _) in text.match_indices("\"$ref\":\"") {
            let reference = text[at + 8..].split('"').next().unwrap_or_default();
            let name = reference.strip_prefix("#/components/schemas/").unwrap_or_else(|| panic!("{reference}"));
            assert!(schemas.contains_key(name), "{reference}");
        }
        assert!(schemas["SuspendRequest"]["additionalProperties"] == false, "{}", schemas["SuspendRequest"]);
    }
}
