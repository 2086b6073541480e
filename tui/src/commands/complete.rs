//! `toolgate complete`: names that live now, for completions. What cannot be asked completes to nothing.

use serde_json::Value;
use toolgate_admin_api::Exit;

use super::Context;
use crate::args::Noun;
use crate::client::admin::AdminClient;
use crate::failure::Failure;
use crate::output;

/// Names that are offered.
const MOST: usize = 200;

/// Prints a name a line.
pub(super) async fn run(context: &Context, noun: Noun, of: Option<&str>) -> Result<Exit, Failure> {
    let (route, list, member) = match noun {
        Noun::Servers => ("/v1/servers", "", "/name"),
        Noun::Sessions => ("/v1/sessions", "/sessions", "/id"),
        Noun::Calls => ("/v1/calls", "/calls", "/id"),
        Noun::Clients => ("/v1/clients", "/clients", "/id"),
        Noun::Keys => ("/v1/keys", "/keys", "/id"),
        Noun::Limits => ("/v1/limits", "/limits", "/name"),
        Noun::Tools => ("/v1/tools", "/tools", "/tool"),
        Noun::Alerts => ("/v1/alerts", "/alerts", "/id"),
    };
    let Ok(mut client) = AdminClient::view(&context.runtime_dir).await else { return Ok(Exit::Done) };
    let Ok(answer) = client.get(route).await else { return Ok(Exit::Done) };
    let answer: Value = answer.read()?;
    let rows = answer.pointer(list).and_then(Value::as_array).into_iter().flatten();
    // A name that a shell would take apart is not completed.
    let plain = |name: &String| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._:/".contains(&byte));
    let name = |row: &Value| {
        let name = row.pointer(member)?.as_str()?;
        let server = row["server"].as_str().filter(|_| noun == Noun::Tools);
        match (server, of) {
            (Some(server), Some(of)) => (server == of).then(|| name.to_owned()),
            (Some(server), None) => Some(format!("{server}/{name}")),
            (None, _) => Some(name.to_owned()),
        }
    };
    for name in rows.filter_map(name).filter(plain).take(MOST) {
        output::line(&name);
    }
    Ok(Exit::Done)
}
