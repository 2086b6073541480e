//! What reaches the client aside from answers, and what it answers when it is asked.
//!
//! The handler of `main.rs`; `features.rs` reads what was heard.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rmcp::ErrorData;
use rmcp::model::{
    ClientCapabilities, ClientConfig, CreateMessageRequestParams, CreateMessageResult, ElicitRequestParams,
    ElicitResult, ElicitationAction, ElicitationCapability, Implementation, LoggingMessageNotificationParam,
    ProgressNotificationParam, ResourceUpdatedNotificationParam, Role, SamplingCapability, SamplingMessage,
    SamplingMessageContentBlock,
};
use rmcp::service::{NotificationContext, RequestContext, RoleClient};
use serde_json::{Value, json};

/// Notifications by kind, in order.
#[derive(Default)]
pub(crate) struct Notes {
    /// How many reports of progress arrived.
    pub(crate) progress: u64,
    /// The URIs of resources that were updated.
    pub(crate) updates: Vec<String>,
    /// How often the list of tools changed.
    pub(crate) changes: u64,
    /// The levels of log messages.
    pub(crate) logs: Vec<Value>,
}

/// The handler: keeps what it hears.
#[derive(Clone, Default)]
pub(crate) struct Heard(Arc<Mutex<Notes>>);

impl Heard {
    pub(crate) fn notes(&self) -> MutexGuard<'_, Notes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl rmcp::ClientHandler for Heard {
    fn get_info(&self) -> ClientConfig {
        let mut capabilities = ClientCapabilities::default();
        capabilities.elicitation = Some(ElicitationCapability::default());
        capabilities.sampling = Some(SamplingCapability::default());
        ClientConfig::new(capabilities, Implementation::new("toolgate-tests", "1.0.0"))
    }

    async fn create_elicitation(
        &self,
        _: ElicitRequestParams,
        _: RequestContext<RoleClient>,
    ) -> Result<ElicitResult, ErrorData> {
        let user = json!({"username": "ada", "email": "ada@example.org"});
        Ok(ElicitResult::new(ElicitationAction::Accept).with_content(user))
    }

    async fn create_message(
        &self,
        _: CreateMessageRequestParams,
        _: RequestContext<RoleClient>,
    ) -> Result<CreateMessageResult, ErrorData> {
        let message = SamplingMessage::new(Role::Assistant, SamplingMessageContentBlock::text("Berlin"));
        Ok(CreateMessageResult::new(message, "none".to_owned()))
    }

    async fn on_progress(&self, _: ProgressNotificationParam, _: NotificationContext<RoleClient>) {
        self.notes().progress += 1;
    }

    async fn on_resource_updated(&self, note: ResourceUpdatedNotificationParam, _: NotificationContext<RoleClient>) {
        self.notes().updates.push(note.uri);
    }

    async fn on_tool_list_changed(&self, _: NotificationContext<RoleClient>) {
        self.notes().changes += 1;
    }

    async fn on_logging_message(&self, note: LoggingMessageNotificationParam, _: NotificationContext<RoleClient>) {
        self.notes().logs.push(json!(note.level));
    }
}
