//! What lies over a screen, and what is said at its bottom.

use super::super::filter::Filter;
use super::super::keys::Context;
use super::super::object::Object;
use super::super::theme::Role;
use super::{Dialog, Line, Menu, Palette};

/// Something that lies over the screen.
#[derive(Debug, Clone)]
pub(crate) enum Overlay {
    Help(Scroll),
    Details(Object, Scroll),
    /// A title and lines, such as a failure with its remedy.
    Notice(String, Vec<(String, Role)>, Scroll),
    Menu(Menu),
    Dialog(Box<Dialog>),
    /// What is being written, and the filter to go back to.
    Filter(Line, Filter, usize),
    Palette(Palette),
}

/// Which part of a long text is seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Scroll {
    pub(crate) offset: usize,
    pub(crate) wrap: bool,
    /// Lines in all and lines in sight, as they were drawn last.
    pub(crate) lines: usize,
    pub(crate) page: usize,
}

impl Default for Scroll {
    fn default() -> Self {
        Self { offset: 0, wrap: true, lines: 0, page: 1 }
    }
}

/// Something to say at the bottom of the screen for a while.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    pub(crate) text: String,
    pub(crate) role: Role,
    pub(super) since_ms: u64,
}

impl Overlay {
    /// What has the keys while it is the topmost.
    pub(crate) fn context(&self) -> Context {
        match self {
            Self::Help(_) | Self::Details(..) | Self::Notice(..) => Context::Text,
            Self::Menu(_) => Context::Menu,
            Self::Dialog(dialog) if dialog.writes() => Context::Field,
            Self::Dialog(_) => Context::Dialog,
            Self::Filter(..) | Self::Palette(_) => Context::Field,
        }
    }
}
