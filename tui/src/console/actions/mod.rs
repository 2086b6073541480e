//! What can be done with things: which changes a thing's state allows, what they ask for, and how they are sent.
//!
//! Nothing here talks to the daemon. A [`Plan`] becomes requests, first as a dry run and then in earnest.

mod form;
mod offers;
mod request;
mod told;

use std::collections::BTreeMap;

use super::data::Data;
use super::object::Object;
use crate::commands::is_zero;

pub(crate) use form::{Blank, Kind, blanks};
pub(crate) use offers::{allowed, offers};
pub(crate) use request::{Method, Request, requests, segment};
pub(crate) use told::{alike, raised, told};

/// A change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Verb {
    Drain,
    Maintenance,
    Resume,
    Weight,
    CheckNow,
    BreakerOpen,
    BreakerClose,
    BreakerReset,
    Recycle,
    Restart,
    Purge,
    QueueDeadline,
    QueueRevert,
    CacheClear,
    EndSession,
    EndMatching,
    CancelCall,
    Disable,
    Enable,
    Approve,
    Override,
    Revert,
    LimitFor,
    Suspend,
    ResumeClient,
    Acknowledge,
    Silence,
    ConfigCheck,
    ConfigDiff,
    ConfigReload,
}

/// How much somebody must say before a change is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Grade {
    /// Nothing: it has no effect on calls.
    Free,
    /// Yes.
    Ask,
    /// The name of the thing: it is wide, or cannot be taken back.
    Name,
}

impl Verb {
    /// In the menu and at the head of the question; the object follows.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Drain => "Drain",
            Self::Maintenance => "Take into maintenance",
            Self::Weight => "Set the weight of",
            Self::CheckNow => "Check now:",
            Self::BreakerOpen => "Force open the breaker of",
            Self::BreakerClose => "Force closed the breaker of",
            Self::BreakerReset => "Reset the breaker of",
            Self::Recycle => "Replace, one by one, the instances of",
            Self::Restart => "Replace, all at once, the instances of",
            Self::Purge => "Purge the queue of",
            Self::QueueDeadline => "Queue's deadline for a time:",
            Self::QueueRevert => "Queue's deadline as configured:",
            Self::CacheClear => "Forget the kept answers of",
            Self::EndSession => "End",
            Self::EndMatching => "End all sessions of",
            Self::CancelCall => "Cancel",
            Self::Disable => "Disable",
            Self::Enable => "Enable",
            Self::Approve => "Approve what has become of",
            Self::Override => "Set another value for",
            Self::Revert => "Revert",
            Self::LimitFor => "Set a limit for",
            Self::Suspend => "Suspend",
            Self::Resume | Self::ResumeClient => "Resume",
            Self::Acknowledge => "Acknowledge",
            Self::Silence => "Silence",
            Self::ConfigCheck => "Check the files on disk",
            Self::ConfigDiff => "Show what a reload would change",
            Self::ConfigReload => "Reload the files on disk",
        }
    }

    /// What must be said, as far as the kind of change tells; a dry run may ask for more.
    pub(crate) fn grade(self) -> Grade {
        match self {
            Self::CheckNow | Self::Acknowledge | Self::ConfigCheck | Self::ConfigDiff => Grade::Free,
            Self::EndMatching | Self::Suspend | Self::Restart | Self::BreakerOpen => Grade::Name,
            _ => Grade::Ask,
        }
    }

    /// What it is about where this is selected: instances are replaced together.
    pub(crate) fn about(self, object: &Object) -> Object {
        match (self, object) {
            (Self::Recycle | Self::Restart, Object::Instance(server, _)) => Object::Server(server.clone()),
            _ => object.clone(),
        }
    }

    /// It is about the gate as a whole, whatever is selected.
    pub(crate) fn is_global(self) -> bool {
        matches!(self, Self::ConfigCheck | Self::ConfigDiff | Self::ConfigReload)
    }
}

/// A change of one or several things, with what was written into its form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) verb: Verb,
    /// Empty for a change of the gate as a whole.
    pub(crate) objects: Vec<Object>,
    /// By the form's blanks, in their order.
    pub(crate) values: Vec<String>,
    /// Who owns the only client that it is about: ids of keys tell nobody whose they are.
    pub(crate) owner: Option<String>,
    /// What each of the tools was when the question began: only that is approved.
    pub(crate) hashes: BTreeMap<Object, String>,
}

impl Plan {
    /// A change that nothing was written for yet.
    pub(crate) fn new(verb: Verb, objects: Vec<Object>) -> Self {
        Self { verb, objects, values: Vec::new(), owner: None, hashes: BTreeMap::new() }
    }

    /// Holds fast what is being looked at. `Err` names what has not been seen yet.
    pub(crate) fn look(&mut self, data: &Data) -> Result<(), String> {
        if let [Object::Client(id)] = self.objects.as_slice() {
            self.owner = data.owner(id).map(str::to_owned);
        }
        if self.verb != Verb::Approve {
            return Ok(());
        }
        let changes = data.changes.as_ref().map(|changes| changes.changes.as_slice()).unwrap_or_default();
        for object in &self.objects {
            let Object::Tool(server, tool) = object else { continue };
            let Some(change) = changes.iter().find(|change| change.server == *server && change.tool == *tool) else {
                return Err(format!("What has become of {object} is not known yet: open the tools, and look with i."));
            };
            self.hashes.insert(object.clone(), change.hash.clone());
        }
        Ok(())
    }

    /// What is asked, with its object.
    pub(crate) fn title(&self) -> String {
        match self.objects.as_slice() {
            [] => self.verb.title().to_owned(),
            [object] => {
                let owner = self.owner.as_ref().map_or_else(String::new, |owner| format!(" of {owner}"));
                format!("{} {}{owner}", self.verb.title(), self.verb.about(object))
            }
            [first, ..] => format!("{} {} {}s", self.verb.title(), self.objects.len(), first.noun()),
        }
    }

    /// What is to be typed before a change of grade [`Grade::Name`].
    pub(crate) fn name(&self) -> String {
        match self.objects.as_slice() {
            [] => "reload".to_owned(),
            [object] => object.server().map_or_else(|| object.id(), str::to_owned),
            several => format!("all {}", several.len()),
        }
    }

    /// What must be said before it is known what would happen.
    pub(crate) fn grade(&self) -> Grade {
        let zero = matches!(self.verb, Verb::Override | Verb::LimitFor | Verb::Weight)
            && blanks_value(self, Kind::Value).is_some_and(is_zero);
        if self.objects.len() > 1 || zero { self.verb.grade().max(Grade::Name) } else { self.verb.grade() }
    }
}

/// What was written into the first blank of a kind.
fn blanks_value(plan: &Plan, kind: Kind) -> Option<&str> {
    let at = form::shape(plan.verb, plan.objects.first()).iter().position(|blank| blank.kind == kind)?;
    plan.values.get(at).map(String::as_str)
}
