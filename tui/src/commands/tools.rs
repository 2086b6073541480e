//! `toolgate tools`: how tools have changed since they were accepted, and the approval of what they are now.

use serde_json::Value;
use similar::TextDiff;
use toolgate_admin_api::{
    ApproveOutcome, ApproveRequest, DisableRequest, EnableRequest, Exit, Shown, ToolChange, ToolChanges, ToolOutcome,
    ToolRow,
};

use super::{Context, change, diff};
use crate::args::{Rows, ToolDisable, Tools, ToolsApprove};
use crate::client::admin::AdminClient;
use crate::failure::Failure;
use crate::output;

/// Lines around a difference.
const CONTEXT: usize = 2;

/// Runs one of them.
pub(super) async fn run(context: &Context, tools: Tools) -> Result<Exit, Failure> {
    match tools {
        Tools::Changes => changes(context).await,
        Tools::List(rows) => list(context, &rows).await,
        Tools::Disable(ToolDisable { server, tool, say, seconds, how }) => {
            let (dry_run, reason) = (how.dry_run, how.reason.clone());
            let request = DisableRequest { tool, say, seconds, dry_run, reason };
            let route = format!("/v1/servers/{server}/tools/disable");
            let outcome: ToolOutcome = change::post(context, &route, &request, &how).await?;
            Ok(change::tell(context, &outcome, &switched(&outcome)))
        }
        Tools::Enable { server, tool, how } => {
            let request = EnableRequest { tool, dry_run: how.dry_run, reason: how.reason.clone() };
            let route = format!("/v1/servers/{server}/tools/enable");
            let outcome: ToolOutcome = change::post(context, &route, &request, &how).await?;
            Ok(change::tell(context, &outcome, &switched(&outcome)))
        }
        Tools::Approve(approve) => self::approve(context, approve).await,
    }
}

async fn list(context: &Context, rows: &Rows) -> Result<Exit, Failure> {
    let mut client = AdminClient::view(&context.runtime_dir).await?;
    let answer = client.get(&format!("/v1/tools{}", change::query(rows))).await?;
    if context.json {
        return Ok(change::raw(&answer));
    }
    let tools: toolgate_admin_api::Tools = answer.read()?;
    let rows = tools.tools.iter().map(row).collect();
    let head = ["SERVER", "TOOL", "CALLS", "ERRORS", "REFUSED", "MOST CALLS", "STATE"];
    change::table(rows, &head, "No tool was called yet; `toolgate server show NAME` lists what a server offers.");
    Ok(Exit::Done)
}

fn row(tool: &ToolRow) -> Vec<String> {
    let most = tool.callers.first().map_or_else(String::new, |caller| format!("{} ({})", caller.client, caller.calls));
    let state = match (&tool.disabled, tool.withheld) {
        (Some(_), _) => "off",
        (None, true) => "withheld",
        (None, false) => "",
    };
    let counts = [tool.traffic.calls, tool.traffic.errors, tool.traffic.refused].map(|count| count.to_string());
    [tool.server.clone(), tool.tool.clone()].into_iter().chain(counts).chain([most, state.to_owned()]).collect()
}

fn switched(outcome: &ToolOutcome) -> String {
    let ToolOutcome { server, tool, applied, enabled, .. } = outcome;
    let is = if *applied { "is" } else { "would be" };
    let on = if *enabled { "on" } else { "off" };
    format!("{}{tool} at {server} {is} switched {on}.", change::rehearsed(*applied))
}

async fn changes(context: &Context) -> Result<Exit, Failure> {
    let mut client = AdminClient::view(&context.runtime_dir).await?;
    let answer = client.get("/v1/tools/changes").await?;
    if context.json {
        output::raw(answer.json());
        output::raw(b"\n");
        return Ok(Exit::Done);
    }
    let ToolChanges { changes } = answer.read()?;
    if changes.is_empty() {
        output::line("All tools are what they were when they were accepted.");
    }
    for change in &changes {
        output::line(&heading(change));
        diff::print(&difference(&change.before, &change.after));
    }
    Ok(Exit::Done)
}

fn heading(change: &ToolChange) -> String {
    let then = if change.withheld { ", withheld" } else { "" };
    format!("{} {}{then} (hash {})", change.server, Shown(&change.tool), change.hash)
}

fn difference(before: &str, after: &str) -> String {
    let (before, after) = (lines(before), lines(after));
    let diff = TextDiff::from_lines(&before, &after);
    diff.unified_diff().context_radius(CONTEXT).header("accepted", "now").to_string()
}

/// A portrait with a member per line; one that was cut is no JSON any more, and stays as it is.
fn lines(portrait: &str) -> String {
    let value = serde_json::from_str::<Value>(portrait).ok();
    let pretty = value.and_then(|value| serde_json::to_string_pretty(&value).ok());
    pretty.unwrap_or_else(|| portrait.to_owned()) + "\n"
}

async fn approve(context: &Context, approve: ToolsApprove) -> Result<Exit, Failure> {
    let ToolsApprove { server, tool, hash, how } = approve;
    let request = ApproveRequest { tool, hash, dry_run: how.dry_run, reason: how.reason.clone() };
    let route = format!("/v1/servers/{server}/tools/approve");
    let outcome: ApproveOutcome = change::post(context, &route, &request, &how).await?;
    if context.json {
        output::json(&outcome);
    } else {
        output::line(&sentence(&outcome));
    }
    Ok(Exit::Done)
}

fn sentence(outcome: &ApproveOutcome) -> String {
    let ApproveOutcome { server, tool, applied } = outcome;
    let tool = Shown(tool);
    if *applied {
        format!("{tool} at {server} is accepted as it is now.")
    } else {
        format!("Nothing was changed. {tool} at {server} would be accepted as it is now.")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changed_is_shown_by_lines() {
        let text = difference(r#"{"description":"Reads.","title":"t"}"#, r#"{"description":"Sends.","title":"t"}"#);
        assert!(text.contains("-  \"description\": \"Reads.\",\n+  \"description\": \"Sends.\",\n"), "{text}");
        assert!(difference("{\"a", "{\"b").contains("+{\"b"), "cut portraits are shown as they are");
    }

    #[test]
    fn it_says_what_it_did_and_what_it_would_do() {
        let mut outcome = ApproveOutcome { server: "s".into(), tool: "t".into(), applied: true };
        assert_eq!(sentence(&outcome), "t at s is accepted as it is now.");
        outcome.applied = false;
        assert!(sentence(&outcome).starts_with("Nothing was changed."));
    }
}
