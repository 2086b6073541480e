//! The question before a change: its form, what the daemon says it would do, and the answers.

use ratatui::layout::Rect;

use super::super::actions::Grade;
use super::super::canvas::{Canvas, inset, wrapped};
use super::super::state::{Dialog, Focus, Line, Stage};
use super::super::theme::Role;
use super::bottom::written;
use super::overlay::centred;

/// Cells for what a line of the form is called.
const LABEL: u16 = 11;

/// Draws the question.
pub(super) fn paint(canvas: &mut Canvas<'_>, area: Rect, dialog: &Dialog) {
    let wide = area.width.saturating_sub(4).min(84);
    let rows = rows(dialog, wide.saturating_sub(4));
    let height = u16::try_from(rows.len()).unwrap_or(u16::MAX).saturating_add(2);
    let window = centred(area, wide, height);
    let role = if dialog.grade == Grade::Name { Role::Bad } else { Role::Border };
    let within = inset(canvas.frame(window, &dialog.plan.title(), role), 1, 0);
    // Where it does not fit, its end is what must be seen first, and that there is more to read before an answer.
    let above = rows.len().saturating_sub(usize::from(within.height));
    dialog.above.set(above);
    let skipped = above.saturating_sub(dialog.up);
    for (y, row) in (0..within.height).zip(rows.iter().skip(skipped)) {
        draw(canvas, within, y, row, dialog);
    }
    if skipped > 0 {
        let hidden = Row::Text(format!("{} lines above: PgUp shows them.", skipped + 1), Role::Bad);
        let first = Rect { height: within.height.min(1), ..within };
        canvas.clear(first);
        draw(canvas, within, 0, &hidden, dialog);
    }
}

enum Row<'a> {
    Text(String, Role),
    Entry(&'a str, &'a Line, Focus),
    Answers,
    Empty,
}

fn rows(dialog: &Dialog, wide: u16) -> Vec<Row<'_>> {
    let mut rows = Vec::new();
    let say = |rows: &mut Vec<Row<'_>>, text: &str, role: Role| {
        rows.extend(wrapped(text, wide).into_iter().map(|line| Row::Text(line, role)));
    };
    if dialog.plan.objects.len() > 1 {
        let names: Vec<String> = dialog.plan.objects.iter().take(6).map(super::super::object::Object::id).collect();
        let more = dialog.plan.objects.len().saturating_sub(6);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        say(&mut rows, &format!("{}{more}", names.join(", ")), Role::Dim);
    }
    match dialog.stage {
        Stage::Form => {
            for (index, (blank, line)) in dialog.blanks.iter().zip(&dialog.lines).enumerate() {
                rows.push(Row::Entry(blank.label, line, Focus::Blank(index)));
                if dialog.focus == Focus::Blank(index) {
                    rows.push(Row::Text(format!("{}{}", " ".repeat(usize::from(LABEL) + 1), blank.help), Role::Dim));
                }
            }
            rows.push(Row::Entry("reason", &dialog.reason, Focus::Reason));
        }
        Stage::Asking => say(&mut rows, "Asking the daemon what it would do.", Role::Dim),
        Stage::Again => say(&mut rows, "Asking the daemon once more what it would do.", Role::Dim),
        Stage::Doing => say(&mut rows, "It is being done.", Role::Dim),
        Stage::Ready => {
            for line in &dialog.told {
                say(&mut rows, line, Role::Strong);
            }
            rows.push(Row::Empty);
            if dialog.grade == Grade::Name {
                say(&mut rows, &format!("Type {} to do it.", dialog.plan.name()), Role::Text);
                rows.push(Row::Entry("name", &dialog.name, Focus::Name));
            }
            rows.push(Row::Entry("reason", &dialog.reason, Focus::Reason));
            rows.push(Row::Answers);
        }
    }
    if let Some(problem) = &dialog.problem {
        rows.push(Row::Empty);
        say(&mut rows, problem, Role::Bad);
    }
    rows.push(Row::Empty);
    rows.push(Row::Text(hint(dialog).to_owned(), Role::Dim));
    rows
}

fn hint(dialog: &Dialog) -> &'static str {
    match (dialog.stage, dialog.focus) {
        (Stage::Form, _) => "Enter goes on, Tab moves, Esc leaves. Nothing changes yet.",
        (Stage::Asking | Stage::Again | Stage::Doing, _) => "Esc closes this.",
        (Stage::Ready, Focus::Name) => "Enter does it once the name is right, Tab moves, Esc changes nothing.",
        (Stage::Ready, Focus::Reason) => "For the record of changes. Enter or Tab goes on.",
        (Stage::Ready, _) => "y yes, n no, Tab for a reason, Enter takes the answer that is marked.",
    }
}

fn draw(canvas: &mut Canvas<'_>, area: Rect, y: u16, row: &Row<'_>, dialog: &Dialog) {
    let line = Rect { y: area.y.saturating_add(y), height: 1, ..area }.intersection(area);
    match row {
        Row::Text(text, role) => drop(canvas.text(line, 0, 0, text, *role)),
        Row::Entry(label, text, focus) => {
            let focused = dialog.focus == *focus;
            canvas.text(line, 0, 0, label, if focused { Role::Key } else { Role::Dim });
            if focused {
                written(canvas, line, LABEL + 1, text);
            } else {
                canvas.text(line, LABEL + 1, 0, &text.text(), Role::Text);
            }
        }
        Row::Answers => {
            let role = |focus: Focus| if dialog.focus == focus { Role::Tab } else { Role::Text };
            let no = ("  No  ", role(Focus::No));
            let yes = ("  Yes  ", role(Focus::Yes));
            if dialog.grade == Grade::Name {
                canvas.pieces(line, LABEL + 1, 0, &[no]);
            } else {
                canvas.pieces(line, LABEL + 1, 0, &[no, ("  ", Role::Text), yes]);
            }
        }
        Row::Empty => {}
    }
}
