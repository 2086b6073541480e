//! Every feature of the protocol, one after the other: the steps of `tests/peers/clients/matrix.py` for rmcp.
//!
//! As `features.py` and `features.mjs` have them. Each yields `failed` and `text`, and what else is to be judged.

use std::time::Duration;

use rmcp::model::{
    CallToolRequest, CallToolRequestParams, ClientRequest, GetPromptRequestParams, LoggingLevel,
    ReadResourceRequestParams, RequestMetaObject, ServerNotification, SetLevelRequestParams, SubscribeRequestParams,
    SubscriptionFilter,
};
use rmcp::service::{PeerRequestOptions, ServiceError, Subscription};
use serde_json::{Map, Value, json};

use crate::heard::{Heard, Notes};
use crate::{Service, shown};

const WATCHED: &str = "test://watched-resource";

/// One client at its features.
struct Features<'a> {
    service: &'a Service,
    heard: &'a Heard,
    tag: &'a str,
    modern: bool,
    patience: Duration,
}

pub(crate) async fn features(service: &Service, plan: &Value, heard: &Heard) -> Value {
    let of = Features {
        service,
        heard,
        tag: plan["tag"].as_str().expect("a tag"),
        modern: plan["era"] == "modern",
        patience: Duration::from_secs_f64(plan["patience"].as_f64().expect("seconds")),
    };
    let mut seen = Map::new();
    seen.insert("list".to_owned(), outcome(of.list().await));
    seen.insert("call".to_owned(), of.said("test_simple_text", json!({})).await);
    seen.insert("failing".to_owned(), of.said("test_error_handling", json!({})).await);
    seen.insert("progress".to_owned(), of.progress().await);
    seen.insert("cancel".to_owned(), of.cancel().await);
    seen.insert("elicitation".to_owned(), of.said("test_elicitation", json!({"message": "Who are you?"})).await);
    let question = json!({"prompt": "What is the capital of Germany?"});
    seen.insert("sampling".to_owned(), of.said("test_sampling", question).await);
    seen.insert("read".to_owned(), outcome(of.read().await));
    seen.insert("subscription".to_owned(), outcome(of.subscription().await));
    seen.insert("change".to_owned(), outcome(of.change().await));
    seen.insert("prompt".to_owned(), outcome(of.prompt().await));
    seen.insert("completion".to_owned(), outcome(of.completion().await));
    seen.insert("logging".to_owned(), outcome(of.logging().await));
    Value::Object(seen)
}

/// What came of a step that may end with an error of rmcp.
fn outcome(result: Result<Value, ServiceError>) -> Value {
    match result {
        Ok(Value::String(text)) => json!({"failed": false, "text": text}),
        Ok(seen) => seen,
        Err(error) => json!({"failed": true, "text": error.to_string()}),
    }
}

/// `seen` with one member more.
fn with(mut seen: Value, name: &str, value: impl Into<Value>) -> Value {
    seen[name] = value.into();
    seen
}

impl Features<'_> {
    async fn said(&self, tool: &'static str, arguments: Value) -> Value {
        shown(self.service.call_tool(params(tool, &arguments)).await)
    }

    /// Polls until what was heard meets `enough`, or patience ends.
    async fn hear(&self, enough: impl Fn(&Notes) -> bool) {
        let polled = async {
            while !enough(&self.heard.notes()) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let _ = tokio::time::timeout(self.patience, polled).await;
    }

    async fn counts(&self) -> Value {
        let counts = self.said("counts", json!({})).await;
        let counts: Value = serde_json::from_str(counts["text"].as_str().unwrap_or_default()).unwrap_or_default();
        counts[self.tag].clone()
    }

    /// Polls until the server counts one call of the tag under `name`, or patience ends.
    async fn counted(&self, name: &str) {
        let polled = async {
            while self.counts().await[name] != 1 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let _ = tokio::time::timeout(self.patience, polled).await;
    }

    async fn list(&self) -> Result<Value, ServiceError> {
        let tools = self.service.list_all_tools().await?;
        Ok(tools.iter().map(|tool| &*tool.name).collect::<Vec<_>>().join(" ").into())
    }

    async fn progress(&self) -> Value {
        let seen = self.said("test_tool_with_progress", json!({})).await;
        // Progress is dispatched beside answers: what came on the same stream may be counted a moment later.
        self.hear(|notes| notes.progress >= 3).await;
        with(seen, "reports", self.heard.notes().progress)
    }

    async fn cancel(&self) -> Value {
        let call = CallToolRequest::new(params("slow", &json!({"seconds": 20, "tag": self.tag})));
        let request = ClientRequest::CallToolRequest(call);
        let sent = self.service.send_cancellable_request(request, PeerRequestOptions::no_options()).await;
        let handle = match sent {
            Ok(handle) => handle,
            Err(error) => return json!({"failed": false, "text": error.to_string()}),
        };
        self.counted("began").await;
        let ended = handle.rx.is_terminated() || !handle.rx.is_empty();
        let cancelled = handle.cancel(Some("no longer wanted".to_owned())).await.is_ok();
        self.counted("cancelled").await;
        let mut seen = json!({"failed": cancelled && !ended, "text": "cancelled"});
        for (name, count) in self.counts().await.as_object().into_iter().flatten() {
            seen[name] = count.clone();
        }
        seen
    }

    async fn read(&self) -> Result<Value, ServiceError> {
        let read = self.service.read_resource(ReadResourceRequestParams::new("test://static-text")).await?;
        Ok(json!(read)["contents"][0]["text"].clone())
    }

    async fn subscription(&self) -> Result<Value, ServiceError> {
        let mut stream = None;
        if self.modern {
            let filter = SubscriptionFilter::builder().resource_subscriptions([WATCHED.to_owned()]).build();
            stream = Some(self.service.listen(filter).await?);
        } else {
            self.service.subscribe(SubscribeRequestParams::new(WATCHED)).await?;
        }
        let seen = self.said("test_trigger_resource_update", json!({})).await;
        self.listened(stream).await?;
        self.hear(|notes| !notes.updates.is_empty()).await;
        Ok(with(seen, "updates", self.heard.notes().updates.clone()))
    }

    async fn change(&self) -> Result<Value, ServiceError> {
        let mut stream = None;
        // A legacy server announces changes of lists unasked.
        if self.modern {
            let filter = SubscriptionFilter::builder().tools_list_changed().build();
            stream = Some(self.service.listen(filter).await?);
        }
        let seen = self.said("test_trigger_tool_change", json!({})).await;
        self.listened(stream).await?;
        self.hear(|notes| notes.changes > 0).await;
        Ok(with(seen, "changes", self.heard.notes().changes))
    }

    /// Notes the first message of a modern subscription, which no handler hears, and ends it.
    async fn listened(&self, stream: Option<Subscription>) -> Result<(), ServiceError> {
        let Some(mut stream) = stream else { return Ok(()) };
        let first = tokio::time::timeout(self.patience, stream.next()).await;
        if let Ok(Some(note)) = first.unwrap_or(Ok(None)) {
            let mut notes = self.heard.notes();
            match note {
                ServerNotification::ResourceUpdatedNotification(updated) => notes.updates.push(updated.params.uri),
                ServerNotification::ToolListChangedNotification(_) => notes.changes += 1,
                _ => {}
            }
        }
        stream.cancel().await
    }

    async fn prompt(&self) -> Result<Value, ServiceError> {
        let prompt = self.service.get_prompt(GetPromptRequestParams::new("test_simple_prompt")).await?;
        Ok(json!(prompt)["messages"][0]["content"]["text"].clone())
    }

    async fn completion(&self) -> Result<Value, ServiceError> {
        let values = self.service.complete_prompt_simple("test_prompt_with_arguments", "arg1", "te").await?;
        Ok(values.join(" ").into())
    }

    async fn logging(&self) -> Result<Value, ServiceError> {
        let mut call = params("log_levels", &json!({}));
        if self.modern {
            let mut meta = RequestMetaObject::default();
            meta.set_log_level(LoggingLevel::Warning);
            call.meta = Some(meta);
        } else {
            self.service.set_level(SetLevelRequestParams::new(LoggingLevel::Warning)).await?;
        }
        let seen = shown(self.service.call_tool(call).await);
        self.hear(|notes| !notes.logs.is_empty()).await;
        Ok(with(seen, "logs", self.heard.notes().logs.clone()))
    }
}

fn params(tool: &'static str, arguments: &Value) -> CallToolRequestParams {
    let mut params = CallToolRequestParams::new(tool);
    params.arguments = arguments.as_object().cloned();
    params
}
