//! A scope: a pattern over what servers offer, such as `weather/*`, `files/resource:file:///srv/*`, `crm/prompt:intro`.

use std::iter::once;

use toolgate_protocol::method::{Method, NamedBy};
use toolgate_protocol::names::{Pattern, resource};

/// What a name names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A tool.
    Tool,
    /// A prompt.
    Prompt,
    /// A resource or a template of resources, by its URI.
    Resource,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Tool, Self::Prompt, Self::Resource];

    /// Its word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Tool => "tool",
            Self::Prompt => "prompt",
            Self::Resource => "resource",
        }
    }

    /// What a request's method is about. What a completion is for, its reference tells; a task is not named by rules.
    pub fn of(method: Method) -> Option<Self> {
        match method.named_by()? {
            NamedBy::Name if method == Method::ToolsCall => Some(Self::Tool),
            NamedBy::Name => Some(Self::Prompt),
            NamedBy::Uri => Some(Self::Resource),
            NamedBy::TaskId | NamedBy::Reference => None,
        }
    }

    /// What a list is of; `None` where the method is none.
    pub fn of_list(method: Method) -> Option<Self> {
        match method {
            Method::ToolsList => Some(Self::Tool),
            Method::PromptsList => Some(Self::Prompt),
            Method::ResourcesList | Method::ResourceTemplatesList => Some(Self::Resource),
            _ => None,
        }
    }
}

/// A scope, compiled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    text: Box<str>,
    /// None: tools, prompts and resources alike.
    kind: Option<Kind>,
    /// The pattern before the first slash; none: `name` is matched against `server/name`, across the slash.
    server: Option<Pattern>,
    name: Pattern,
}

impl Scope {
    /// Every text is a scope.
    pub fn new(text: &str) -> Self {
        let Some((server, rest)) = text.split_once('/') else {
            return Self { text: text.into(), kind: None, server: None, name: Pattern::new(text) };
        };
        let of_kind = |kind: &Kind| Some((*kind, rest.strip_prefix(kind.word())?.strip_prefix(':')?));
        let (kind, name) = match Kind::ALL.iter().find_map(of_kind) {
            Some((kind, name)) => (Some(kind), name),
            None => (None, rest),
        };
        let name = match kind {
            None | Some(Kind::Resource) => Pattern::new(&resource::spelled(name)),
            Some(Kind::Tool | Kind::Prompt) => Pattern::new(name),
        };
        Self { text: text.into(), kind, server: Some(Pattern::new(server)), name }
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The one kind that it speaks of, where it names one.
    pub fn kind(&self) -> Option<Kind> {
        self.kind
    }

    /// The one server that it speaks of, where it names one.
    pub fn server(&self) -> Option<&str> {
        self.server.as_ref().filter(|server| server.is_literal()).map(Pattern::as_str)
    }

    /// Whether it can match anything: a pattern without a slash needs a star to reach beyond a server's name.
    pub fn can_match(&self) -> bool {
        self.server.is_some() || !self.name.is_literal()
    }

    /// Whether it is about what has this name.
    pub fn matches(&self, kind: Kind, server: &str, name: &str) -> bool {
        if self.kind.is_some_and(|own| own != kind) {
            return false;
        }
        match &self.server {
            Some(servers) => servers.matches(server) && self.name.matches(name),
            None => self.name.matches_chars(server.chars().chain(once('/')).chain(name.chars())),
        }
    }

    /// Whether it is about anything of a server.
    pub fn reaches(&self, server: &str) -> bool {
        // A pattern without a slash may match across it: its names tell.
        self.server.as_ref().is_none_or(|servers| servers.matches(server))
    }

    /// Whether it is about all of a server.
    pub fn covers(&self, server: &str) -> bool {
        self.kind.is_none() && self.name.as_str() == "*" && self.reaches(server)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Kind; 3] = Kind::ALL;

    fn matched(scope: &str, server: &str, name: &str) -> Vec<Kind> {
        ALL.into_iter().filter(|kind| Scope::new(scope).matches(*kind, server, name)).collect()
    }

    #[test]
    fn a_scope_without_a_kind_is_about_all_of_them() {
        assert_eq!(matched("weather/*", "weather", "forecast"), ALL);
        assert_eq!(matched("weather/fore*", "weather", "forecast"), ALL);
        assert_eq!(matched("*", "weather", "forecast"), ALL);
        assert_eq!(matched("weather*", "weather", "forecast"), ALL);
        assert_eq!(matched("weather", "weather", "forecast"), []);
    }

    #[test]
    fn a_kind_keeps_it_to_itself() {
        assert_eq!(matched("files/resource:file:///srv/*", "files", "file:///srv/a/b"), [Kind::Resource]);
        assert_eq!(matched("files/resource:file:///srv/*", "files", "file:///etc/passwd"), []);
        assert_eq!(matched("*/prompt:intro", "crm", "intro"), [Kind::Prompt]);
        assert_eq!(matched("*/tool:read_?", "crm", "read_a"), [Kind::Tool]);
        // A word that is none of the three belongs to the name.
        assert_eq!(matched("crm/note:*", "crm", "note:a"), ALL);
    }

    #[test]
    fn a_servers_pattern_does_not_reach_into_names() {
        assert_eq!(matched("team-*/public", "team-a", "secret/public"), []);
        assert_eq!(matched("*/echo", "web", "deep/echo"), []);
        assert_eq!(matched("*/*/echo", "web", "deep/echo"), ALL);
    }

    #[test]
    fn names_keep_their_case() {
        assert_eq!(matched("bank/transfer", "bank", "Transfer"), []);
        assert_eq!(matched("bank/transfer", "bank", "transfer "), []);
    }

    #[test]
    fn it_reaches_what_it_may_match_of_a_server() {
        for (scope, server, reaches, covers) in [
            ("weather/*", "weather", true, true),
            ("weather/a", "weather", true, false),
            ("weather/prompt:*", "weather", true, false),
            ("weather/*", "files", false, false),
            ("*", "files", true, true),
            ("w*/*", "weather", true, true),
        ] {
            let scope = Scope::new(scope);
            assert_eq!((scope.reaches(server), scope.covers(server)), (reaches, covers), "{}", scope.as_str());
        }
    }
}
