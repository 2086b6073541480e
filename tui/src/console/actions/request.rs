//! A plan as requests to the admin socket, one per object.

use serde_json::{Map, Value, json};

use super::super::data::Data;
use super::super::object::Object;
use super::{Plan, Verb, form};

/// How something is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    Post,
    Put,
    Delete,
}

/// A request that changes something, or asks what it would.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) route: String,
    pub(crate) body: Value,
    /// The revision that it is for, where that matters.
    pub(crate) if_match: Option<u64>,
}

/// The requests of a plan, or which of its values cannot be used.
pub(crate) fn requests(plan: &Plan, data: &Data, dry_run: bool, reason: &str) -> Result<Vec<Request>, String> {
    let objects = plan.objects.iter().map(Some);
    let objects: Vec<Option<&Object>> = if plan.objects.is_empty() { vec![None] } else { objects.collect() };
    objects.into_iter().map(|object| request(plan, object, data, dry_run, reason)).collect()
}

fn request(plan: &Plan, object: Option<&Object>, data: &Data, dry_run: bool, reason: &str) -> Result<Request, String> {
    let (method, route) = route(plan.verb, object)?;
    let mut body = body(plan, object)?;
    let bare = matches!(plan.verb, Verb::CheckNow | Verb::ConfigCheck);
    if !bare {
        let dry_run = dry_run || plan.verb == Verb::ConfigDiff;
        body.insert("dry_run".into(), json!(dry_run));
        if !reason.trim().is_empty() {
            body.insert("reason".into(), json!(reason.trim()));
        }
    }
    // To look at the files is no change.
    let if_match = if plan.verb == Verb::ConfigCheck { None } else { data.revision() };
    Ok(Request { method, route, body: Value::Object(body), if_match })
}

fn route(verb: Verb, object: Option<&Object>) -> Result<(Method, String), String> {
    let server = || object.and_then(Object::server).map(segment).ok_or("There is no server in the selection.");
    let id = || object.map(|object| segment(&object.id())).ok_or("Nothing is selected.");
    let of_server = |what: &str| server().map(|name| format!("/v1/servers/{name}/{what}"));
    let breaker = |what: &str| server().map(|name| format!("/v1/breakers/{name}/{what}"));
    let of = |kind: &str, what: &str| id().map(|id| format!("/v1/{kind}/{id}/{what}"));
    let route = match verb {
        Verb::Drain => of_server("drain")?,
        Verb::Maintenance => of_server("maintenance")?,
        Verb::Resume => of_server("resume")?,
        Verb::Weight => of_server("weight")?,
        Verb::CheckNow => of_server("check")?,
        Verb::BreakerOpen => breaker("open")?,
        Verb::BreakerClose => breaker("close")?,
        Verb::BreakerReset => breaker("reset")?,
        Verb::Recycle | Verb::Restart => of_server("restart")?,
        Verb::Purge => of_server("queue/purge")?,
        Verb::QueueDeadline => return Ok((Method::Put, of_server("queue/override")?)),
        Verb::QueueRevert => return Ok((Method::Delete, of_server("queue/override")?)),
        Verb::CacheClear => of_server("cache/clear")?,
        Verb::EndSession => of("sessions", "end")?,
        Verb::EndMatching => "/v1/sessions/end".to_owned(),
        Verb::CancelCall => of("calls", "cancel")?,
        Verb::Disable => of_server("tools/disable")?,
        Verb::Enable => of_server("tools/enable")?,
        Verb::Approve => of_server("tools/approve")?,
        Verb::Override => return Ok((Method::Put, of("limits", "override")?)),
        Verb::Revert => return Ok((Method::Delete, of("limits", "override")?)),
        Verb::LimitFor => "/v1/limits".to_owned(),
        Verb::Suspend => of("clients", "suspend")?,
        Verb::ResumeClient => of("clients", "resume")?,
        Verb::Acknowledge => of("alerts", "acknowledge")?,
        Verb::Silence => of("alerts", "silence")?,
        Verb::ConfigCheck => "/v1/config/check".to_owned(),
        Verb::ConfigDiff | Verb::ConfigReload => "/v1/config/reload".to_owned(),
    };
    Ok((Method::Post, route))
}

fn body(plan: &Plan, object: Option<&Object>) -> Result<Map<String, Value>, String> {
    let mut body = Map::new();
    let mut set = |name: &str, value: Value| body.insert(name.to_owned(), value);
    match (plan.verb, object) {
        (Verb::Recycle, _) => drop(set("rolling", json!(true))),
        (Verb::EndMatching | Verb::LimitFor, Some(Object::Client(id))) => drop(set("client", json!(id))),
        (Verb::LimitFor, Some(tool @ Object::Tool(..))) => drop(set("tool", json!(tool.id()))),
        (Verb::Disable | Verb::Enable, Some(Object::Tool(_, tool))) => drop(set("tool", json!(tool))),
        (Verb::Approve, Some(object @ Object::Tool(_, tool))) => {
            set("tool", json!(tool));
            let hash = plan.hashes.get(object).ok_or("It was not looked at.")?;
            set("hash", json!(hash));
        }
        (_, Some(Object::Endpoint(_, Some(url)))) => drop(set("endpoint", json!(url))),
        _ => {}
    }
    for (blank, value) in form::shape(plan.verb, object).iter().zip(&plan.values) {
        let value = value.trim();
        if value.is_empty() {
            if blank.required {
                return Err(format!("Write something for \"{}\": {}.", blank.label, blank.help));
            }
            continue;
        }
        let (name, value) = entry(plan.verb, blank.label, value)?;
        set(name, value);
    }
    Ok(body)
}

/// What a blank is called in the request, and its value.
fn entry(verb: Verb, label: &'static str, value: &str) -> Result<(&'static str, Value), String> {
    let span = |value: &str| crate::args::seconds(value).map_err(|error| format!("\"{label}\": {error}."));
    Ok(match (verb, label) {
        (_, "deadline") => ("deadline_ms", json!(span(value)? * 1000)),
        (_, "for") => ("seconds", json!(span(value)?)),
        (Verb::QueueDeadline, "wait") => ("timeout_ms", json!(milliseconds(value)?)),
        (Verb::Weight, "weight") => {
            let weight: u32 = value.parse().map_err(|_| "\"weight\": write a number from 0 to 1000.".to_owned())?;
            ("weight", json!(weight))
        }
        _ => (label, json!(value)),
    })
}

fn milliseconds(value: &str) -> Result<u64, String> {
    let number = value.strip_suffix("ms").map(|number| number.trim().parse::<u64>());
    match number {
        Some(Ok(number)) => Ok(number),
        Some(Err(_)) => Err("\"wait\": write a number and a unit, such as 500ms or 2s.".to_owned()),
        None => crate::args::seconds(value)
            .map(|seconds| seconds * 1000)
            .map_err(|_| "\"wait\": write a number and a unit, such as 500ms or 2s.".to_owned()),
    }
}

/// A name in a path: what is not plainly a letter of one is `%` and two digits.
pub(crate) fn segment(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    name.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(verb: Verb, object: Object, values: &[&str]) -> Plan {
        let values = values.iter().map(|value| (*value).to_owned()).collect();
        let hashes = [(object.clone(), "5e".to_owned())].into();
        Plan { values, hashes, ..Plan::new(verb, vec![object]) }
    }

    fn one(plan: &Plan, dry_run: bool) -> Request {
        requests(plan, &Data::default(), dry_run, " why ").expect("can be sent").remove(0)
    }

    #[test]
    fn a_drain_of_one_endpoint_names_it() {
        let plan = plan(Verb::Maintenance, Object::Endpoint("web".into(), Some("http://a/mcp".into())), &["90s"]);
        let request = one(&plan, true);
        assert_eq!((request.method, request.route.as_str()), (Method::Post, "/v1/servers/web/maintenance"));
        let body = json!({"endpoint": "http://a/mcp", "deadline_ms": 90_000, "dry_run": true, "reason": "why"});
        assert_eq!(request.body, body);
    }

    #[test]
    fn a_limit_for_a_client_and_a_tool_has_both() {
        let tool = plan(Verb::LimitFor, Object::Tool("web".into(), "pay".into()), &["key:a", "2/min", "", "10m"]);
        let body = json!({"tool": "web/pay", "client": "key:a", "value": "2/min", "seconds": 600, "dry_run": false, "reason": "why"});
        assert_eq!(one(&tool, false).body, body);
        let client = plan(Verb::LimitFor, Object::Client("key:a".into()), &["web/pay", "2/min", "", "10m"]);
        assert_eq!(one(&client, false).body, body);
    }

    #[test]
    fn bodies_are_what_the_daemon_reads() {
        use toolgate_admin_api as api;
        fn reads<T: serde::de::DeserializeOwned>(plan: &Plan) {
            let body = one(plan, true).body;
            serde_json::from_value::<T>(body.clone()).unwrap_or_else(|error| panic!("{body}: {error}"));
        }
        let server = || Object::Server("web".into());
        let tool = || Object::Tool("web".into(), "pay".into());
        reads::<api::ModeRequest>(&plan(Verb::Drain, server(), &[""]));
        reads::<api::ModeRequest>(&plan(Verb::Resume, server(), &[]));
        reads::<api::BreakerRequest>(&plan(Verb::BreakerReset, server(), &[]));
        reads::<api::RestartRequest>(&plan(Verb::Recycle, server(), &[]));
        reads::<api::PurgeRequest>(&plan(Verb::Purge, server(), &["key:a"]));
        reads::<api::QueueOverride>(&plan(Verb::QueueDeadline, server(), &["500ms", "10m"]));
        reads::<api::Change>(&plan(Verb::QueueRevert, server(), &[]));
        reads::<api::ClearRequest>(&plan(Verb::CacheClear, server(), &[]));
        reads::<api::CheckRequest>(&plan(Verb::CheckNow, server(), &[]));
        reads::<api::WeightRequest>(&plan(Verb::Weight, Object::Endpoint("web".into(), Some("u".into())), &["5"]));
        reads::<api::Change>(&plan(Verb::EndSession, Object::Session("a".into()), &[]));
        reads::<api::EndMatching>(&plan(Verb::EndMatching, Object::Client("a".into()), &[]));
        reads::<api::Change>(&plan(Verb::CancelCall, Object::Call("a".into()), &[]));
        reads::<api::DisableRequest>(&plan(Verb::Disable, tool(), &["words", "1h"]));
        reads::<api::EnableRequest>(&plan(Verb::Enable, tool(), &[]));
        reads::<api::ApproveRequest>(&plan(Verb::Approve, tool(), &[]));
        reads::<api::OverrideRequest>(&plan(Verb::Override, Object::Limit("a".into()), &["5/min", "10m"]));
        reads::<api::RevertRequest>(&plan(Verb::Revert, Object::Limit("a".into()), &[]));
        reads::<api::TemporaryLimit>(&plan(Verb::LimitFor, tool(), &["", "5/min", "words", "10m"]));
        reads::<api::SuspendRequest>(&plan(Verb::Suspend, Object::Client("a".into()), &["words", ""]));
        reads::<api::Change>(&plan(Verb::ResumeClient, Object::Client("a".into()), &[]));
        reads::<api::Change>(&plan(Verb::Acknowledge, Object::Alert("a:b".into()), &[]));
        reads::<api::SilenceRequest>(&plan(Verb::Silence, Object::Alert("a:b".into()), &["1h"]));
        let reload = Plan::new(Verb::ConfigReload, Vec::new());
        reads::<api::ReloadRequest>(&reload);
    }

    #[test]
    fn every_change_is_for_the_revision_that_is_on_screen() {
        let status = json!({
            "instance": "i", "version": "0", "revision": 12, "pid": 1, "started_at_ms": 1, "uptime_seconds": 1,
            "draining": false, "ready": true, "connections": 0, "sessions": 0, "calls_in_flight": 0,
            "listeners": [], "servers": []
        });
        let overview = json!({"status": status, "traffic": {}});
        let data = Data { overview: serde_json::from_value(overview).expect("an overview"), ..Data::default() };
        let if_match = |plan: &Plan| requests(plan, &data, false, "").expect("a request")[0].if_match;
        for (verb, object) in [
            (Verb::Restart, Object::Server("web".into())),
            (Verb::BreakerOpen, Object::Server("web".into())),
            (Verb::Approve, Object::Tool("web".into(), "pay".into())),
            (Verb::EndSession, Object::Session("a".into())),
            (Verb::Suspend, Object::Client("key:a".into())),
            (Verb::Acknowledge, Object::Alert("a".into())),
        ] {
            assert_eq!(if_match(&plan(verb, object, &["", ""])), Some(12), "{verb:?}");
        }
        assert_eq!(if_match(&Plan::new(Verb::ConfigReload, Vec::new())), Some(12));
        assert_eq!(if_match(&Plan::new(Verb::ConfigCheck, Vec::new())), None, "to look changes nothing");
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        let refused = |verb, values: &[&str]| {
            requests(&plan(verb, Object::Server("web".into()), values), &Data::default(), true, "")
                .expect_err("refused")
        };
        assert!(refused(Verb::Maintenance, &[""]).contains("deadline"));
        assert!(refused(Verb::Maintenance, &["soon"]).contains("such as 90s"));
        assert!(refused(Verb::QueueDeadline, &["2x", "10m"]).contains("500ms"));
    }

    #[test]
    fn any_name_fits_into_a_path() {
        let plan = plan(Verb::Suspend, Object::Client("key:a b/c".into()), &["", ""]);
        assert_eq!(one(&plan, true).route, "/v1/clients/key%3Aa%20b%2Fc/suspend");
    }
}
