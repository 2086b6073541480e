//! The menu of what can be done with the selected row, or the marked ones.

use super::super::actions::{self, Verb};
use super::super::data::Data;
use super::super::keys::Command;
use super::super::object::Object;
use super::super::screens::{self, Screen};
use super::{Effect, Overlay, Privilege, Scroll, State};

/// A line of the menu.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Choice {
    /// Change something.
    Act(Verb),
    /// Look at what has to do with it.
    Go(&'static str, Screen, String),
    /// Everything about it.
    Inspect,
}

/// The menu.
#[derive(Debug, Clone)]
pub(crate) struct Menu {
    /// What it was opened for: it stays about that, whatever moves below.
    pub(crate) objects: Vec<Object>,
    pub(crate) choices: Vec<Choice>,
    pub(crate) selected: usize,
    /// Changes are not offered, since they may not be made.
    pub(crate) only_looks: bool,
    /// Who owns the client that it is about.
    owner: Option<String>,
}

impl Menu {
    pub(super) fn new(objects: &[Object], data: &Data, control: bool) -> Self {
        let mut choices: Vec<Choice> = Vec::new();
        if let (true, Some(first)) = (control, objects.first()) {
            let verbs = actions::offers(first, data);
            let all = verbs.into_iter().filter(|verb| actions::allowed(*verb, objects, data));
            choices.extend(all.map(Choice::Act));
        }
        if let [object] = objects {
            choices.push(Choice::Inspect);
            let relations = screens::relations(object, data).into_iter();
            choices.extend(relations.map(|(title, screen, filter)| Choice::Go(title, screen, filter)));
        }
        let owner = match objects {
            [Object::Client(id)] => data.owner(id).map(str::to_owned),
            _ => None,
        };
        Self { objects: objects.to_vec(), choices, selected: 0, only_looks: !control, owner }
    }

    /// What it is about.
    pub(crate) fn title(&self) -> String {
        match self.objects.as_slice() {
            [] => "Nothing is selected".to_owned(),
            [object] => match &self.owner {
                Some(owner) => format!("{object} of {owner}"),
                None => object.to_string(),
            },
            [first, ..] => format!("{} {}s", self.objects.len(), first.noun()),
        }
    }
}

impl State {
    /// A key in the menu.
    pub(super) fn on_menu(&mut self, command: Command, effects: &mut Vec<Effect>) {
        let Some(Overlay::Menu(menu)) = self.overlays.last_mut() else { return };
        match command {
            Command::Down => menu.selected = (menu.selected + 1).min(menu.choices.len().saturating_sub(1)),
            Command::Up => menu.selected = menu.selected.saturating_sub(1),
            Command::Back => drop(self.overlays.pop()),
            Command::Enter => {
                let (objects, choice) = (menu.objects.clone(), menu.choices.get(menu.selected).cloned());
                self.overlays.pop();
                self.choose(objects, choice, effects);
            }
            _ => {}
        }
    }

    fn choose(&mut self, objects: Vec<Object>, choice: Option<Choice>, effects: &mut Vec<Effect>) {
        match choice {
            Some(Choice::Act(verb)) => self.begin_with(verb, objects, effects),
            Some(Choice::Go(_, screen, filter)) => {
                self.overlays.clear();
                self.descend(screen, &filter);
            }
            Some(Choice::Inspect) => {
                if let Some(object) = objects.into_iter().next() {
                    self.overlays.push(Overlay::Details(object, Scroll::default()));
                }
            }
            None => {}
        }
    }

    /// The menu of what a text is about.
    pub(super) fn menu_of_text(&mut self) {
        if let Some(Overlay::Details(object, _)) = self.overlays.last() {
            let menu = Menu::new(std::slice::from_ref(object), &self.data, self.privilege == Privilege::Control);
            self.overlays.push(Overlay::Menu(menu));
        }
    }
}
