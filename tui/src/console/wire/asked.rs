//! Single questions and changes.

use std::path::Path;

use serde_json::Value;

use super::super::actions::{Method, Request};
use super::super::state::{Read, Trouble};
use crate::client::admin::AdminClient;
use crate::failure::Failure;

/// Asks for what a route tells.
pub(super) async fn read(runtime_dir: &Path, read: &Read) -> Result<Vec<u8>, Trouble> {
    let asked = async {
        let mut client = if read.needs_control() {
            AdminClient::control(runtime_dir).await?
        } else {
            AdminClient::view(runtime_dir).await?
        };
        Ok(client.get(&read.route()).await?.json().to_vec())
    };
    asked.await.map_err(trouble)
}

/// Makes changes one after the other; the first that fails ends it, and says how many were made.
pub(super) async fn send(runtime_dir: &Path, requests: &[Request]) -> Result<Vec<Value>, Trouble> {
    let mut client = AdminClient::control(runtime_dir).await.map_err(trouble)?;
    let mut answers = Vec::with_capacity(requests.len());
    for request in requests {
        match change(&mut client, request).await {
            Ok(answer) => answers.push(answer),
            Err(failure) => {
                let mut trouble = trouble(failure);
                if !answers.is_empty() {
                    trouble.lines.push(format!("{} of {} were done before.", answers.len(), requests.len()));
                }
                return Err(trouble);
            }
        }
    }
    Ok(answers)
}

async fn change(client: &mut AdminClient, request: &Request) -> Result<Value, Failure> {
    let Request { method, route, body, if_match } = request;
    let method = match method {
        Method::Post => http::Method::POST,
        Method::Put => http::Method::PUT,
        Method::Delete => http::Method::DELETE,
    };
    client.change(method, route, body, *if_match).await?.read()
}

fn trouble(failure: Failure) -> Trouble {
    let Failure { message, remedy, lines, answer, .. } = failure;
    let problems = answer.iter().flat_map(|answer| &answer.problems).map(crate::output::problem);
    Trouble { message, remedy, lines: problems.chain(lines).collect() }
}
