//! What lies over a screen: details, notices, the menu and completions.

use ratatui::layout::Rect;

use super::super::canvas::{Canvas, cut, inset, width, wrapped};
use super::super::details::Details;
use super::super::keys::{BINDINGS, Binding, Context};
use super::super::screens::{self, Screen};
use super::super::state::{Choice, Menu, Overlay, Palette, Scroll, State};
use super::super::theme::Role;
use super::{dialog, help};

/// Draws all of them, the one that has the keys last.
pub(super) fn paint(canvas: &mut Canvas<'_>, area: Rect, state: &mut State) {
    let mut overlays = std::mem::take(&mut state.overlays);
    let over = overlays.iter().rev().find(|overlay| !matches!(overlay, Overlay::Help(_))).map(Overlay::context);
    let over = over.unwrap_or(if state.timeline.is_some() { Context::Timeline } else { Context::Screen });
    for overlay in &mut overlays {
        match overlay {
            Overlay::Help(scroll) => help::paint(canvas, area, state, over, scroll),
            Overlay::Details(object, scroll) => {
                let details = screens::details(object, &state.view());
                text(canvas, area, &object.to_string(), &details, scroll);
            }
            Overlay::Notice(title, lines, scroll) => notice(canvas, area, title, lines, scroll),
            Overlay::Menu(menu) => self::menu(canvas, area, menu),
            Overlay::Dialog(dialog) => dialog::paint(canvas, area, dialog),
            Overlay::Filter(..) => {}
            Overlay::Palette(palette) => completions(canvas, area, state, palette),
        }
    }
    state.overlays = overlays;
}

/// A box of this size in the middle of the area.
pub(super) fn centred(area: Rect, width: u16, height: u16) -> Rect {
    let (width, height) = (width.min(area.width), height.min(area.height));
    Rect { x: area.x + (area.width - width) / 2, y: area.y + (area.height - height) / 2, width, height }
}

/// Lines over most of the screen.
fn text(canvas: &mut Canvas<'_>, area: Rect, title: &str, details: &Details, scroll: &mut Scroll) {
    let window = centred(area, area.width.saturating_sub(4).min(132), area.height.saturating_sub(4));
    let within = inset(canvas.frame(window, title, Role::Border), 1, 0);
    if details.is_empty() {
        canvas.text(within, 0, 0, "It is no longer there.", Role::Dim);
    }
    scroll.page = usize::from(within.height.max(1));
    scroll.lines = details.paint(canvas, within, scroll.offset, scroll.wrap);
    foot(canvas, window, scroll);
}

/// Which part of the text is seen, in the frame's last line.
pub(super) fn foot(canvas: &mut Canvas<'_>, window: Rect, scroll: &mut Scroll) {
    scroll.offset = scroll.offset.min(scroll.lines.saturating_sub(scroll.page));
    let last = Rect { y: window.bottom().saturating_sub(1), height: 1, ..inset(window, 2, 0) };
    let end = (scroll.offset + scroll.page).min(scroll.lines);
    let note = if scroll.lines > scroll.page {
        format!(" {}-{end} of {}, Esc closes ", scroll.offset + 1, scroll.lines)
    } else {
        " Esc closes ".to_owned()
    };
    canvas.right(last.intersection(window), 0, &note, Role::Dim);
}

fn notice(canvas: &mut Canvas<'_>, area: Rect, title: &str, lines: &[(String, Role)], scroll: &mut Scroll) {
    let wide = area.width.saturating_sub(8).min(90);
    let mut details = Details::default();
    let mut height = 2_u16;
    for (line, role) in lines {
        for (index, part) in line.lines().enumerate() {
            // What the daemon laid out in columns keeps its spaces.
            let keep = index > 0 || part.starts_with(' ');
            let parts = if keep { vec![part.to_owned()] } else { wrapped(part, wide.saturating_sub(4)) };
            height = height.saturating_add(u16::try_from(parts.len()).unwrap_or(u16::MAX));
            for part in parts {
                details.text(part, *role);
            }
        }
    }
    let window = centred(area, wide, height.min(area.height.saturating_sub(4)));
    let within = inset(canvas.frame(window, title, Role::Warn), 1, 0);
    scroll.page = usize::from(within.height.max(1));
    scroll.lines = details.paint(canvas, within, scroll.offset, false);
    foot(canvas, window, scroll);
}

/// What a choice says.
fn label(choice: &Choice, menu: &Menu) -> String {
    match choice {
        Choice::Act(verb) => {
            let title = verb.title();
            let object = match menu.objects.as_slice() {
                _ if verb.is_global() => String::new(),
                [object] => format!(" {}", verb.about(object).id()),
                several => format!(" all {}", several.len()),
            };
            format!("{title}{object}")
        }
        Choice::Go(title, ..) => format!("Go to {}", title.to_lowercase()),
        Choice::Inspect => "Inspect".to_owned(),
    }
}

/// The key that does the same without the menu, on this kind of row.
fn key_of(choice: &Choice, menu: &Menu) -> &'static str {
    let screen = menu.objects.first().map(home);
    let same = |row: &&Binding| match choice {
        Choice::Act(verb) => {
            row.command == super::super::keys::Command::Act(*verb) && screen.is_some_and(|screen| row.on(screen))
        }
        Choice::Inspect => row.command == super::super::keys::Command::Inspect,
        Choice::Go(..) => false,
    };
    BINDINGS.iter().find(same).map_or("", |row| row.shown)
}

/// The screen of a thing.
fn home(object: &super::super::object::Object) -> Screen {
    use super::super::object::Object;
    match object {
        Object::Server(_) | Object::Endpoint(..) | Object::Instance(..) => Screen::Servers,
        Object::Session(_) => Screen::Sessions,
        Object::Tool(..) => Screen::Tools,
        Object::Limit(_) => Screen::Limits,
        Object::Client(_) => Screen::Clients,
        Object::Alert(_) | Object::Check(_) | Object::Certificate(..) => Screen::Health,
        Object::Call(_) => Screen::Requests,
        Object::Value(_) | Object::Problem(_) | Object::Record(_) => Screen::Config,
    }
}

fn menu(canvas: &mut Canvas<'_>, area: Rect, menu: &Menu) {
    let labels: Vec<String> = menu.choices.iter().map(|choice| label(choice, menu)).collect();
    let widest = super::super::details::widest(labels.iter().map(String::as_str));
    let title = menu.title();
    let wide = (widest + 10).max(width(&title) + 8).clamp(30, area.width.saturating_sub(4).max(30));
    let lines = u16::try_from(labels.len().max(1)).unwrap_or(u16::MAX);
    let note = u16::from(menu.only_looks) * 2;
    let window = centred(area, wide, lines.saturating_add(2 + note).min(area.height.saturating_sub(2)));
    let within = canvas.frame(window, &title, Role::Border);
    let room = within.height.saturating_sub(note);
    let first = (menu.selected + 1).saturating_sub(usize::from(room));
    if labels.is_empty() {
        canvas.text(within, 1, 0, "There is nothing to do here.", Role::Dim);
    }
    for (y, (index, label)) in (0..room).zip(labels.iter().enumerate().skip(first)) {
        let line = Rect { y: within.y + y, height: 1, ..within };
        let role = if matches!(menu.choices[index], Choice::Act(_)) { Role::Text } else { Role::Dim };
        canvas.text(line, 1, 0, &cut(label, line.width.saturating_sub(7), canvas.theme.glyphs.more), role);
        canvas.right(
            Rect { width: line.width.saturating_sub(1), ..line },
            0,
            key_of(&menu.choices[index], menu),
            Role::Key,
        );
        if index == menu.selected {
            canvas.paint(line, canvas.theme.style(Role::Selected));
        }
    }
    if menu.only_looks {
        canvas.text(within, 1, within.height.saturating_sub(1), "Changes: group toolgate-control", Role::Dim);
    }
}

fn completions(canvas: &mut Canvas<'_>, area: Rect, state: &State, palette: &Palette) {
    let all = palette.completions(state.shown());
    let shown = all.len().min(super::super::state::LISTED);
    if shown == 0 {
        return;
    }
    let height = u16::try_from(shown).unwrap_or(8) + 2;
    let widest = super::super::details::widest(all.iter().take(shown).map(String::as_str));
    let wide = (widest + 4).clamp(24, area.width.saturating_sub(2).max(24));
    let window =
        Rect { x: area.x + 1, y: area.bottom().saturating_sub(height + 1), width: wide, height }.intersection(area);
    let title = if all.len() > shown { format!("Tab: {shown} of {}", all.len()) } else { "Tab".to_owned() };
    let within = inset(canvas.frame(window, &title, Role::Border), 1, 0);
    let typed = palette.line.text();
    for (y, text) in (0..within.height).zip(&all) {
        let role = if *text == typed { Role::Key } else { Role::Text };
        canvas.text(within, 0, y, text, role);
    }
}
