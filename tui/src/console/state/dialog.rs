//! A change from the key to the answer: what it has to be told, what it would do, whether it is meant, what it did.

use std::cell::Cell;

use serde_json::Value;

use super::super::actions::{self, Blank, Grade, Plan, Verb, alike, blanks, raised, requests, told};
use super::super::keys::Command;
use super::super::object::Object;
use super::super::screens::Screen;
use super::super::theme::Role;
use super::{Effect, Line, Overlay, Privilege, Scroll, State, Trouble};

/// Lines that a question is moved by.
const PAGE: usize = 5;

/// How far a change is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Its form is filled.
    Form,
    /// The daemon is asked what it would do.
    Asking,
    /// Somebody is asked whether it is meant.
    Ready,
    /// It is meant; the daemon is asked once more, since what it would do may have grown.
    Again,
    /// It is being made.
    Doing,
}

/// What has the keys within the question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Focus {
    Blank(usize),
    Reason,
    Name,
    No,
    Yes,
}

/// A change that is being prepared.
#[derive(Debug, Clone)]
pub(crate) struct Dialog {
    pub(crate) plan: Plan,
    pub(crate) blanks: Vec<Blank>,
    pub(crate) lines: Vec<Line>,
    pub(crate) reason: Line,
    /// What was typed of the name.
    pub(crate) name: Line,
    pub(crate) stage: Stage,
    pub(crate) focus: Focus,
    pub(crate) grade: Grade,
    /// What the daemon says that it would do.
    pub(crate) told: Vec<String>,
    /// What is wrong with what was written.
    pub(crate) problem: Option<String>,
    /// Lines that it is moved up by, where it does not fit.
    pub(crate) up: usize,
    /// As many as there were above when it was drawn last.
    pub(crate) above: Cell<usize>,
    ticket: u64,
    /// The revision that the dry run was made for.
    revision: Option<u64>,
}

impl Dialog {
    /// Keys write into a line.
    pub(crate) fn writes(&self) -> bool {
        matches!(self.stage, Stage::Form | Stage::Ready)
            && matches!(self.focus, Focus::Blank(_) | Focus::Reason | Focus::Name)
    }

    /// The line that is being written.
    pub(super) fn line(&mut self) -> Option<&mut Line> {
        match self.focus {
            Focus::Blank(index) => self.lines.get_mut(index),
            Focus::Reason => Some(&mut self.reason),
            Focus::Name => Some(&mut self.name),
            Focus::No | Focus::Yes => None,
        }
    }

    /// What Tab goes through.
    fn foci(&self) -> Vec<Focus> {
        match (self.stage, self.grade) {
            (Stage::Form, _) => (0..self.blanks.len()).map(Focus::Blank).chain([Focus::Reason]).collect(),
            (_, Grade::Name) => vec![Focus::Name, Focus::Reason, Focus::No],
            _ => vec![Focus::No, Focus::Yes, Focus::Reason],
        }
    }

    fn turn(&mut self, by: isize) {
        let foci = self.foci();
        let at = foci.iter().position(|focus| *focus == self.focus).unwrap_or(0);
        let count = isize::try_from(foci.len()).unwrap_or(1);
        let next = (isize::try_from(at).unwrap_or(0) + by).rem_euclid(count);
        self.focus = foci[usize::try_from(next).unwrap_or(0)];
    }

    fn is_last(&self) -> bool {
        self.foci().last() == Some(&self.focus)
    }
}

impl State {
    /// A key for a change: of the marked rows, else of the selected one.
    pub(super) fn begin(&mut self, verb: Verb, effects: &mut Vec<Effect>) {
        let objects = if verb.is_global() { Vec::new() } else { self.chosen() };
        self.begin_with(verb, objects, effects);
    }

    /// Begins a change of these.
    pub(super) fn begin_with(&mut self, verb: Verb, objects: Vec<Object>, effects: &mut Vec<Effect>) {
        let objects = if verb.is_global() { Vec::new() } else { objects };
        match self.privilege {
            Privilege::Control => {}
            Privilege::Replay => return self.say("This is a recording: there is nothing to change.", Role::Warn),
            Privilege::View => {
                let text = "Changes need the control socket: join the group toolgate-control, or use sudo.";
                return self.say(text, Role::Warn);
            }
        }
        if !actions::allowed(verb, &objects, &self.data) {
            let plan = Plan::new(verb, objects);
            let text = if plan.objects.is_empty() && !verb.is_global() {
                "Nothing is selected.".to_owned()
            } else {
                format!("Not possible now: {}. Press a for what is.", plan.title())
            };
            return self.say(text, Role::Warn);
        }
        let blanks = blanks(verb, &objects, &self.data, &self.table().filter);
        let mut plan = Plan::new(verb, objects);
        if let Err(unseen) = plan.look(self.shown()) {
            return self.say(unseen, Role::Warn);
        }
        let mut dialog = Dialog {
            lines: blanks.iter().map(|blank| Line::new(&blank.value)).collect(),
            focus: if blanks.is_empty() { Focus::No } else { Focus::Blank(0) },
            plan,
            blanks,
            reason: Line::default(),
            name: Line::default(),
            stage: Stage::Form,
            grade: verb.grade(),
            told: Vec::new(),
            problem: None,
            up: 0,
            above: Cell::default(),
            ticket: 0,
            revision: None,
        };
        if dialog.blanks.is_empty() {
            if dialog.grade == Grade::Free {
                self.perform(&mut dialog, effects);
            } else {
                self.try_out(&mut dialog, effects);
            }
        }
        self.overlays.push(Overlay::Dialog(Box::new(dialog)));
    }

    /// A key in the question.
    pub(super) fn on_dialog(&mut self, mut dialog: Box<Dialog>, command: Command, effects: &mut Vec<Effect>) {
        let mut stays = true;
        match command {
            Command::NextField => dialog.turn(1),
            Command::PreviousField => dialog.turn(-1),
            Command::Back | Command::No => stays = false,
            Command::PageUp => dialog.up = (dialog.up + PAGE).min(dialog.above.get()),
            Command::PageDown => dialog.up = dialog.up.saturating_sub(PAGE),
            Command::Yes => stays = self.answer(&mut dialog, Focus::Yes, effects),
            Command::Enter => {
                let focus = dialog.focus;
                stays = self.answer(&mut dialog, focus, effects);
            }
            _ => {}
        }
        if stays {
            self.overlays.push(Overlay::Dialog(dialog));
        }
    }

    /// Enter, or `y`; whether the question stays.
    fn answer(&mut self, dialog: &mut Dialog, focus: Focus, effects: &mut Vec<Effect>) -> bool {
        match (dialog.stage, focus) {
            (Stage::Form, _) if dialog.is_last() => self.try_out(dialog, effects),
            (Stage::Form, _) | (Stage::Ready, Focus::Reason | Focus::Blank(_)) => dialog.turn(1),
            (Stage::Ready, Focus::No) => return false,
            (Stage::Ready, Focus::Yes) if dialog.grade == Grade::Name => dialog.focus = Focus::Name,
            (Stage::Ready, Focus::Yes) => self.try_again(dialog, effects),
            (Stage::Ready, Focus::Name) if dialog.name.text().trim() == dialog.plan.name() => {
                self.try_again(dialog, effects);
            }
            (Stage::Ready, Focus::Name) => {
                dialog.problem = Some(format!("Type {} to do it, or press Esc.", dialog.plan.name()));
            }
            (Stage::Asking | Stage::Again | Stage::Doing, _) => {}
        }
        true
    }

    /// Asks the daemon what the change would do.
    fn try_out(&mut self, dialog: &mut Dialog, effects: &mut Vec<Effect>) {
        dialog.plan.values = dialog.lines.iter().map(Line::text).collect();
        dialog.revision = self.data.revision();
        match requests(&dialog.plan, &self.data, true, &dialog.reason.text()) {
            Ok(requests) => {
                dialog.problem = None;
                dialog.stage = Stage::Asking;
                dialog.ticket = self.ticket();
                effects.push(Effect::Send(dialog.ticket, requests));
            }
            Err(problem) => dialog.problem = Some(problem),
        }
    }

    /// What was asked about is no longer there, or is something else.
    fn has_moved(&self, dialog: &mut Dialog) -> bool {
        let other = dialog.revision.is_some() && dialog.revision != self.data.revision();
        let moved = other || !actions::allowed(dialog.plan.verb, &dialog.plan.objects, &self.data);
        if moved {
            dialog.problem = Some("It has changed in the meantime. Press Esc and look again.".to_owned());
        }
        moved
    }

    /// Asks the daemon once more what the change would do, before it is made.
    fn try_again(&mut self, dialog: &mut Dialog, effects: &mut Vec<Effect>) {
        if self.has_moved(dialog) {
            return;
        }
        match requests(&dialog.plan, &self.data, true, &dialog.reason.text()) {
            Ok(requests) => {
                dialog.problem = None;
                dialog.stage = Stage::Again;
                dialog.ticket = self.ticket();
                effects.push(Effect::Send(dialog.ticket, requests));
            }
            Err(problem) => dialog.problem = Some(problem),
        }
    }

    /// Makes the change, unless what it is about is no longer what was asked about.
    fn perform(&mut self, dialog: &mut Dialog, effects: &mut Vec<Effect>) {
        if self.has_moved(dialog) {
            dialog.stage = Stage::Ready;
            return;
        }
        match requests(&dialog.plan, &self.data, false, &dialog.reason.text()) {
            Ok(requests) => {
                dialog.problem = None;
                dialog.stage = Stage::Doing;
                dialog.ticket = self.ticket();
                self.sent.insert(dialog.ticket, dialog.plan.clone());
                effects.push(Effect::Send(dialog.ticket, requests));
            }
            Err(problem) => {
                dialog.stage = if dialog.stage == Stage::Again { Stage::Ready } else { dialog.stage };
                dialog.problem = Some(problem);
            }
        }
    }

    fn ticket(&mut self) -> u64 {
        self.tickets += 1;
        self.tickets
    }

    /// The daemon's answer to a dry run or to a change.
    pub(super) fn answered(&mut self, ticket: u64, answer: Result<Vec<Value>, Trouble>, effects: &mut Vec<Effect>) {
        let open = self
            .overlays
            .iter()
            .position(|overlay| matches!(overlay, Overlay::Dialog(dialog) if dialog.ticket == ticket));
        if let Some(plan) = self.sent.remove(&ticket) {
            if let Some(at) = open {
                self.overlays.remove(at);
            }
            return self.done(&plan, answer);
        }
        let Some(at) = open else { return };
        let Some(Overlay::Dialog(dialog)) = self.overlays.get_mut(at) else { return };
        match answer {
            Ok(answers) => {
                let now = told(&dialog.plan, &answers, true);
                let grade = raised(&dialog.plan, &answers).max(dialog.plan.grade());
                let again = dialog.stage == Stage::Again;
                let same = grade == dialog.grade && alike(&dialog.told, &now);
                dialog.told = now;
                dialog.grade = grade;
                if again && same {
                    if let Overlay::Dialog(mut dialog) = self.overlays.remove(at) {
                        self.perform(&mut dialog, effects);
                        self.overlays.insert(at, Overlay::Dialog(dialog));
                    }
                    return;
                }
                if again {
                    dialog.problem = Some("It would do something else by now: read it again.".to_owned());
                    dialog.name = Line::default();
                }
                dialog.stage = Stage::Ready;
                dialog.focus = if dialog.grade == Grade::Name { Focus::Name } else { Focus::No };
            }
            Err(trouble) if dialog.blanks.is_empty() => {
                self.overlays.retain(|overlay| !matches!(overlay, Overlay::Dialog(dialog) if dialog.ticket == ticket));
                self.trouble(trouble);
            }
            Err(trouble) => {
                dialog.stage = Stage::Form;
                dialog.focus = Focus::Blank(0);
                let remedy = trouble.remedy.map_or_else(String::new, |remedy| format!(" {remedy}"));
                dialog.problem = Some(format!("{}{remedy}", trouble.message));
            }
        }
    }

    /// A change was made, or could not be.
    fn done(&mut self, plan: &Plan, answer: Result<Vec<Value>, Trouble>) {
        let answers = match answer {
            Ok(answers) => answers,
            Err(trouble) => return self.trouble(trouble),
        };
        self.table_mut().marked.clear();
        // What it did is to be seen at once, and not with the next line.
        self.refreshes += 1;
        self.asked.clear();
        if plan.verb == Verb::ConfigCheck {
            self.data.checked = answers.first().and_then(|answer| serde_json::from_value(answer.clone()).ok());
            self.views[Screen::Config.index()] = 1;
        }
        let lines = told(plan, &answers, plan.verb == Verb::ConfigDiff);
        match lines.as_slice() {
            [] => self.say(format!("Done: {}.", plan.title()), Role::Good),
            [line] => self.say(line.clone(), Role::Good),
            _ => {
                let lines = lines.into_iter().map(|line| (line, Role::Text)).collect();
                self.overlays.push(Overlay::Notice(plan.title(), lines, Scroll::default()));
            }
        }
    }

    fn trouble(&mut self, trouble: Trouble) {
        let mut lines = vec![(trouble.message, Role::Bad)];
        lines.extend(trouble.lines.into_iter().map(|line| (line, Role::Text)));
        lines.extend(trouble.remedy.map(|remedy| (remedy, Role::Text)));
        self.overlays.push(Overlay::Notice("It was not done".to_owned(), lines, Scroll::default()));
    }
}
