//! The methods of MCP and what a gate must know of each.
//! Called for every message; a method that is not here is relayed untouched to where the path points.
//! Must hold: one row of [`TABLE`] per method, and every fact about a method stands in its row.

use crate::revision::Era;

/// The parameter that names what a request is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NamedBy {
    /// `params.name`: a tool or a prompt.
    Name,
    /// `params.uri`: a resource.
    Uri,
    /// `params.taskId`: a task.
    TaskId,
    /// `params.ref`: a prompt by `name` or a resource template by `uri`.
    Reference,
}

/// The server's capability under which a method is offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capability {
    /// `tools`
    Tools,
    /// `prompts`
    Prompts,
    /// `resources`
    Resources,
    /// `completions`
    Completions,
    /// `logging`
    Logging,
    /// `tasks` (2025-11-25), or the extension `io.modelcontextprotocol/tasks`.
    Tasks,
}

impl Capability {
    /// The key in the `capabilities` object.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tools => "tools",
            Self::Prompts => "prompts",
            Self::Resources => "resources",
            Self::Completions => "completions",
            Self::Logging => "logging",
            Self::Tasks => "tasks",
        }
    }
}

/// Who sends a method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// The client.
    Client,
    /// The server. In the modern era its requests travel inside of `input_required` results instead.
    Server,
    /// Either side.
    Both,
}

/// The eras in which a method is sent as a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Eras {
    /// Only before 2026-07-28.
    Legacy,
    /// Only since 2026-07-28.
    Modern,
    /// Throughout.
    Both,
}

/// One row of the table.
#[derive(Debug)]
struct Facts {
    method: Method,
    name: &'static str,
    sender: Sender,
    eras: Eras,
    capability: Option<Capability>,
    named_by: Option<NamedBy>,
    list: Option<&'static str>,
    cacheable: bool,
}

const fn row(method: Method, name: &'static str, sender: Sender, eras: Eras) -> Facts {
    Facts { method, name, sender, eras, capability: None, named_by: None, list: None, cacheable: false }
}

impl Facts {
    const fn of(mut self, capability: Capability) -> Self {
        self.capability = Some(capability);
        self
    }

    const fn by(mut self, named_by: NamedBy) -> Self {
        self.named_by = Some(named_by);
        self
    }

    const fn list(mut self, member: &'static str) -> Self {
        self.list = Some(member);
        self
    }

    const fn cacheable(mut self) -> Self {
        self.cacheable = true;
        self
    }
}

/// A method of MCP, request or notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "each variant is the method that its row of the table names")]
pub enum Method {
    ToolsCall,
    ToolsList,
    PromptsGet,
    PromptsList,
    ResourcesRead,
    ResourcesList,
    ResourceTemplatesList,
    ResourcesSubscribe,
    ResourcesUnsubscribe,
    Complete,
    Discover,
    Listen,
    Initialize,
    Ping,
    SetLevel,
    TasksGet,
    TasksUpdate,
    TasksResult,
    TasksCancel,
    TasksList,
    CreateMessage,
    Elicit,
    RootsList,
    Initialized,
    Cancelled,
    Progress,
    Message,
    ToolsChanged,
    PromptsChanged,
    ResourcesChanged,
    ResourceUpdated,
    RootsChanged,
    ElicitationComplete,
    TaskStatus,
    TaskChanged,
    SubscriptionAcknowledged,
}

#[rustfmt::skip]
static TABLE: [Facts; 36] = {
    use Capability::{Completions, Logging, Prompts, Resources, Tasks, Tools};
    use NamedBy::{Name, Reference, TaskId, Uri};
    use Sender::{Client, Server};
    [
        row(Method::ToolsCall, "tools/call", Client, Eras::Both).of(Tools).by(Name),
        row(Method::ToolsList, "tools/list", Client, Eras::Both).of(Tools).list("tools").cacheable(),
        row(Method::PromptsGet, "prompts/get", Client, Eras::Both).of(Prompts).by(Name),
        row(Method::PromptsList, "prompts/list", Client, Eras::Both).of(Prompts).list("prompts").cacheable(),
        row(Method::ResourcesRead, "resources/read", Client, Eras::Both).of(Resources).by(Uri).cacheable(),
        row(Method::ResourcesList, "resources/list", Client, Eras::Both).of(Resources).list("resources").cacheable(),
        row(Method::ResourceTemplatesList, "resources/templates/list", Client, Eras::Both).of(Resources).list("resourceTemplates").cacheable(),
        row(Method::ResourcesSubscribe, "resources/subscribe", Client, Eras::Legacy).of(Resources).by(Uri),
        row(Method::ResourcesUnsubscribe, "resources/unsubscribe", Client, Eras::Legacy).of(Resources).by(Uri),
        row(Method::Complete, "completion/complete", Client, Eras::Both).of(Completions).by(Reference),
        row(Method::Discover, "server/discover", Client, Eras::Modern).cacheable(),
        row(Method::Listen, "subscriptions/listen", Client, Eras::Modern),
        row(Method::Initialize, "initialize", Client, Eras::Legacy),
        row(Method::Ping, "ping", Sender::Both, Eras::Legacy),
        row(Method::SetLevel, "logging/setLevel", Client, Eras::Legacy).of(Logging),
        row(Method::TasksGet, "tasks/get", Sender::Both, Eras::Both).of(Tasks).by(TaskId),
        row(Method::TasksUpdate, "tasks/update", Client, Eras::Modern).of(Tasks).by(TaskId),
        row(Method::TasksResult, "tasks/result", Sender::Both, Eras::Legacy).of(Tasks).by(TaskId),
        row(Method::TasksCancel, "tasks/cancel", Sender::Both, Eras::Both).of(Tasks).by(TaskId),
        row(Method::TasksList, "tasks/list", Sender::Both, Eras::Legacy).of(Tasks).list("tasks"),
        row(Method::CreateMessage, "sampling/createMessage", Server, Eras::Legacy),
        row(Method::Elicit, "elicitation/create", Server, Eras::Legacy),
        row(Method::RootsList, "roots/list", Server, Eras::Legacy),
        row(Method::Initialized, "notifications/initialized", Client, Eras::Legacy),
        row(Method::Cancelled, "notifications/cancelled", Sender::Both, Eras::Both),
        row(Method::Progress, "notifications/progress", Sender::Both, Eras::Both),
        row(Method::Message, "notifications/message", Server, Eras::Both).of(Logging),
        row(Method::ToolsChanged, "notifications/tools/list_changed", Server, Eras::Both).of(Tools),
        row(Method::PromptsChanged, "notifications/prompts/list_changed", Server, Eras::Both).of(Prompts),
        row(Method::ResourcesChanged, "notifications/resources/list_changed", Server, Eras::Both).of(Resources),
        row(Method::ResourceUpdated, "notifications/resources/updated", Server, Eras::Both).of(Resources).by(Uri),
        row(Method::RootsChanged, "notifications/roots/list_changed", Client, Eras::Legacy),
        row(Method::ElicitationComplete, "notifications/elicitation/complete", Server, Eras::Legacy),
        row(Method::TaskStatus, "notifications/tasks/status", Sender::Both, Eras::Legacy).of(Tasks).by(TaskId),
        row(Method::TaskChanged, "notifications/tasks", Server, Eras::Modern).of(Tasks).by(TaskId),
        row(Method::SubscriptionAcknowledged, "notifications/subscriptions/acknowledged", Server, Eras::Modern),
    ]
};

impl Method {
    /// The method of this name; `None` for one that the gate does not know.
    #[must_use]
    #[inline]
    pub fn parse(name: &str) -> Option<Self> {
        TABLE.iter().find(|facts| facts.name == name).map(|facts| facts.method)
    }

    /// All methods that the gate knows.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|facts| facts.method)
    }

    fn facts(self) -> &'static Facts {
        &TABLE[self as usize]
    }

    /// The name as it is sent.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.facts().name
    }

    /// Who may send it.
    #[must_use]
    pub fn sender(self) -> Sender {
        self.facts().sender
    }

    /// Whether it is sent as a message in this era.
    #[must_use]
    pub fn exists_in(self, era: Era) -> bool {
        match self.facts().eras {
            Eras::Both => true,
            Eras::Legacy => era == Era::Legacy,
            Eras::Modern => era == Era::Modern,
        }
    }

    /// The capability that a server must have declared for it.
    #[must_use]
    pub fn capability(self) -> Option<Capability> {
        self.facts().capability
    }

    /// The parameter that names its target.
    #[must_use]
    pub fn named_by(self) -> Option<NamedBy> {
        self.facts().named_by
    }

    /// The member of its result that holds the entries, when it is a paginated list.
    #[must_use]
    pub fn list_member(self) -> Option<&'static str> {
        self.facts().list
    }

    /// Whether complete results carry `ttlMs` and `cacheScope` in the modern era.
    #[must_use]
    pub fn is_cacheable(self) -> bool {
        self.facts().cacheable
    }

    /// Whether it is a notification by name: it has no answer.
    #[must_use]
    pub fn is_notification(self) -> bool {
        self.as_str().starts_with("notifications/")
    }

    /// Whether a modern request must repeat its target in the header `Mcp-Name`.
    #[must_use]
    pub fn needs_name_header(self) -> bool {
        matches!(
            self,
            Self::ToolsCall
                | Self::PromptsGet
                | Self::ResourcesRead
                | Self::TasksGet
                | Self::TasksUpdate
                | Self::TasksCancel
        )
    }

    /// Whether a modern server may answer it with `input_required`.
    #[must_use]
    pub fn may_require_input(self) -> bool {
        matches!(self, Self::ToolsCall | Self::PromptsGet | Self::ResourcesRead)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_stand_in_the_order_of_the_enum() {
        for (index, facts) in TABLE.iter().enumerate() {
            assert_eq!(facts.method as usize, index, "{}", facts.name);
            assert_eq!(Method::parse(facts.name), Some(facts.method));
        }
        assert_eq!(Method::parse("tools/Call"), None);
    }

    #[test]
    fn removed_methods_are_legacy() {
        for name in ["initialize", "ping", "logging/setLevel", "resources/subscribe", "notifications/initialized"] {
            let method = Method::parse(name).expect("the table knows it");
            assert!(method.exists_in(Era::Legacy) && !method.exists_in(Era::Modern), "{name}");
        }
        assert!(!Method::Discover.exists_in(Era::Legacy));
    }

    #[test]
    fn a_header_names_only_what_a_parameter_names() {
        for method in Method::all().filter(|method| method.needs_name_header()) {
            assert!(method.named_by().is_some(), "{}", method.as_str());
        }
    }
}
