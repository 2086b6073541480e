//! `toolgate policy`: who may do what, and by which rule.

use std::fs::File;
use std::io::{Read, stdin};
use std::path::Path;

use toolgate_admin_api::{Exit, PolicyCondition, PolicyExplained, PolicyQuery};

use super::{Context, change};
use crate::args::{Policy, PolicyExplain};
use crate::client::admin::AdminClient;
use crate::failure::Failure;
use crate::output;

/// Bytes of arguments that are read: the daemon takes no more.
const MOST: u64 = 1 << 20;

/// Runs one of them.
pub(super) async fn run(context: &Context, policy: Policy) -> Result<Exit, Failure> {
    let Policy::Explain(explain) = policy;
    self::explain(context, explain).await
}

async fn explain(context: &Context, explain: PolicyExplain) -> Result<Exit, Failure> {
    let PolicyExplain { client, roles, scopes, tool, resource, prompt, args } = explain;
    let arguments = args.as_deref().map(read).transpose()?;
    let query = PolicyQuery { client, roles, scopes, tool, resource, prompt, arguments };
    let answer = AdminClient::view(&context.runtime_dir).await?.post("/v1/policy/explain", &query, None).await?;
    let explained: PolicyExplained = answer.read()?;
    if context.json {
        change::raw(&answer);
    } else {
        tell(&explained);
    }
    Ok(if explained.allowed { Exit::Done } else { Exit::Failed })
}

fn read(file: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    let outcome = if file == Path::new("-") {
        stdin().lock().take(MOST).read_to_string(&mut text)
    } else {
        File::open(file).and_then(|file| file.take(MOST).read_to_string(&mut text))
    };
    outcome.map_err(|error| Failure::local(format!("{} cannot be read", file.display()), error))?;
    Ok(text)
}

fn tell(explained: &PolicyExplained) {
    output::line(&output::printable(&sentence(explained)));
    if let Some(answer) = &explained.answer {
        output::line(&output::printable(&format!("The client reads: {answer}")));
    }
    if !explained.conditions.is_empty() {
        let head = ["CONDITION", "VALUE", "MUST BE", "OUTCOME"];
        change::table(explained.conditions.iter().map(row).collect(), &head, "");
    }
}

fn sentence(explained: &PolicyExplained) -> String {
    let PolicyExplained { kind, server, name, allowed, rule, .. } = explained;
    let whose = explained.client.as_deref().unwrap_or("whoever has these roles and scopes");
    let may = if *allowed { "may use" } else { "may not use" };
    format!("{whose} {may} the {kind} {server}/{name}: {rule}.")
}

fn row(condition: &PolicyCondition) -> Vec<String> {
    let value = condition.value.clone().unwrap_or_else(|| "-".to_owned());
    let outcome = match (&*condition.outcome, condition.holds) {
        ("absent", true) => "absent, and passes",
        (word, _) => word,
    };
    vec![condition.rule.clone(), value, condition.wants.join(", and "), outcome.to_owned()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_who_may_what_by_which_rule() {
        let explained = PolicyExplained {
            client: Some("key:ci".into()),
            kind: "tool".into(),
            server: "bank".into(),
            name: "transfer".into(),
            rule: "role.teller.deny \"bank/*\" (a.toml:7)".into(),
            ..PolicyExplained::default()
        };
        let told = "key:ci may not use the tool bank/transfer: role.teller.deny \"bank/*\" (a.toml:7).";
        assert_eq!(sentence(&explained), told);
        let anybody = PolicyExplained { client: None, allowed: true, ..explained };
        assert!(sentence(&anybody).starts_with("whoever has these roles and scopes may use the tool "));
    }

    #[test]
    fn what_is_missing_is_shown_as_missing() {
        let condition = PolicyCondition { outcome: "absent".into(), holds: true, ..PolicyCondition::default() };
        assert_eq!(row(&condition)[1..], ["-".to_owned(), String::new(), "absent, and passes".to_owned()]);
    }
}
