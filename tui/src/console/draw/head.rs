//! The lines above a screen: who is looked at and how fresh it is, the screens, and what the table shows.

use ratatui::layout::Rect;

use super::super::canvas::{Canvas, cut, width};
use super::super::screens::Screen;
use super::super::state::{Link, Privilege, State};
use super::super::table::{Listing, TableState};
use super::super::theme::Role;
use super::super::units::{counted, long, short};

/// Data that is older is told to be.
const STALE_MS: u64 = 3_000;

/// How the connection and the data are, as a sign, words and a role.
fn freshness(state: &State) -> (&'static str, String, Role) {
    let glyphs = state.theme.glyphs;
    let age = state.data.heard_ms.map(|at| state.now_ms.saturating_sub(at));
    let old = age.map_or_else(|| "no data".to_owned(), |age| format!("data {} old", short(age / 1000)));
    match &state.link {
        Link::Connecting => (glyphs.idle, "connecting".to_owned(), Role::Warn),
        Link::Lost(_, since_ms) => {
            let gone = short(state.now_ms.saturating_sub(*since_ms) / 1000);
            (glyphs.bad, format!("lost {gone} ago, {old}"), Role::Bad)
        }
        Link::Ended => (glyphs.idle, "end of the recording".to_owned(), Role::Info),
        Link::Live => match (state.held_ms(), age) {
            (Some(since_ms), _) => {
                let held = short(state.now_ms.saturating_sub(since_ms) / 1000);
                (glyphs.info, format!("held {held}, p goes on"), Role::Info)
            }
            (None, Some(age)) if age > STALE_MS + state.interval_ms() => (glyphs.warn, old, Role::Warn),
            (None, Some(_)) => (glyphs.good, "live".to_owned(), Role::Good),
            (None, None) => (glyphs.idle, "connected".to_owned(), Role::Good),
        },
    }
}

fn alerts(state: &State) -> (String, Role) {
    let alerts = state.shown().overview.as_ref().map(|overview| overview.alerts.as_slice()).unwrap_or_default();
    let critical = alerts.iter().any(|alert| alert.severity == "critical");
    let glyphs = state.theme.glyphs;
    match alerts.len() {
        0 => (String::new(), Role::Dim),
        count => {
            let role = if critical { Role::Bad } else { Role::Warn };
            (format!("{} {}", if critical { glyphs.bad } else { glyphs.warn }, counted(count as u64, "alert")), role)
        }
    }
}

fn privilege(state: &State) -> (&'static str, Role) {
    match state.privilege {
        Privilege::View => ("VIEW", Role::Dim),
        Privilege::Control => ("CONTROL", Role::Strong),
        Privilege::Replay => ("REPLAY", Role::Info),
    }
}

/// Who is looked at, in the words that fit.
fn identity(state: &State) -> Vec<String> {
    let data = state.shown();
    let host = data.hello.as_ref().map(|hello| hello.host.clone()).filter(|host| !host.is_empty());
    let mut words = vec![host.unwrap_or_else(|| "toolgate".to_owned())];
    if let Some(overview) = &data.overview {
        let status = &overview.status;
        words.push(format!("v{}", status.version));
        words.push(format!("up {}", long(status.uptime_seconds)));
        words.push(format!("rev {}", status.revision));
        if status.draining {
            words.push("DRAINING".to_owned());
        } else if !status.ready {
            words.push("NOT READY".to_owned());
        }
    }
    if let Some(hello) = data.hello.as_ref().filter(|hello| !hello.instance.is_empty()) {
        let short: String = hello.instance.chars().take(8).collect();
        words.push(format!("instance {short}"));
    }
    words
}

/// The two lines at the top.
pub(super) fn header(canvas: &mut Canvas<'_>, area: Rect, state: &State) {
    let line = Rect { height: 1, ..area };
    canvas.paint(line, canvas.theme.style(Role::Header));
    let (sign, fresh, fresh_role) = freshness(state);
    let (alerts, alert_role) = alerts(state);
    let (privilege, privilege_role) = privilege(state);
    let fresh = format!("{sign} {fresh}");
    let parts = [(alerts.as_str(), alert_role), (privilege, privilege_role), (fresh.as_str(), fresh_role)];
    let right: u16 = parts.iter().filter(|(text, _)| !text.is_empty()).map(|(text, _)| width(text) + 2).sum();
    let room = area.width.saturating_sub(right + 1);
    let separator = format!(" {} ", canvas.theme.glyphs.separator);
    let mut text = String::from(" ");
    for (index, word) in identity(state).iter().enumerate() {
        let gap = if index == 0 { "" } else { separator.as_str() };
        if index > 0 && width(&text) + width(gap) + width(word) > room {
            break;
        }
        text.push_str(gap);
        text.push_str(word);
    }
    over(canvas, line, 0, &cut(&text, room, canvas.theme.glyphs.more), Role::Header);
    let mut x = area.width.saturating_sub(right);
    for (text, role) in parts.iter().filter(|(text, _)| !text.is_empty()) {
        over(canvas, line, x, text, *role);
        x += width(text) + 2;
    }
    tabs(canvas, Rect { y: area.y + 1, height: area.height.saturating_sub(1).min(1), ..area }, state);
}

/// Text on the header's background.
fn over(canvas: &mut Canvas<'_>, line: Rect, x: u16, text: &str, role: Role) {
    let header = canvas.theme.style(Role::Header);
    let own = canvas.theme.style(role);
    let style = if role == Role::Text || role == Role::Strong || role == Role::Dim { header } else { own };
    let style = ratatui::style::Style { bg: header.bg, ..style }.add_modifier(header.add_modifier);
    canvas.styled(line, x, 0, text, style);
}

/// The screens with their keys; where all do not fit, only the open one has its whole name.
fn tabs(canvas: &mut Canvas<'_>, area: Rect, state: &State) {
    let open = state.screen;
    let whole: u16 = Screen::ALL.iter().map(|screen| width(screen.title()) + 4).sum();
    let gap: u16 = u16::from(whole < area.width);
    let mut x = 0_u16;
    for (index, screen) in Screen::ALL.into_iter().enumerate() {
        let key = (index + 1).to_string();
        let spaces = " ".repeat(usize::from(gap));
        if screen == open {
            x += canvas.text(area, x, 0, &format!("{spaces}{key}{spaces}{}{spaces}", screen.title()), Role::Tab);
        } else {
            x = canvas.pieces(
                area,
                x,
                0,
                &[
                    (&spaces, Role::Dim),
                    (&key, Role::Key),
                    (&spaces, Role::Dim),
                    (screen.title(), Role::Dim),
                    (&spaces, Role::Dim),
                ],
            );
        }
        x += u16::from(gap == 0);
    }
    let graphs = format!("graphs: last {} ", short(state.view().window_ms / 1000));
    if state.screen == Screen::Overview && x + width(&graphs) < area.width {
        canvas.right(area, 0, &graphs, Role::Dim);
    }
}

/// The line above a table: the screen, its filter, its order and how many rows there are.
pub(super) fn title(canvas: &mut Canvas<'_>, area: Rect, state: &State, listing: &Listing, table: &TableState) {
    let mut title = state.screen.title().to_owned();
    let views = state.screen.views();
    if let Some(view) = views.get(state.view().part).filter(|_| views.len() > 1) {
        title.extend([" (", view, ")"]);
    }
    if !table.filter.is_empty() {
        title.extend(["  ", canvas.theme.glyphs.chevron, " ", table.filter.text()]);
    }
    if state.depth() > 0 {
        title.push_str("  (Esc goes back)");
    }
    let top = |depth: u8| depth == 0;
    let shown = listing.shown(table).iter().filter(|row| top(row.depth)).count();
    let all = listing.rows.iter().filter(|row| top(row.depth)).count();
    let mut note = match listing.total {
        Some(total) if total > all as u64 => format!("{shown} of {total}, the first {all} are known"),
        _ if shown == all => format!("{all}"),
        _ => format!("{shown} of {all}"),
    };
    let newer = state.data.newer.len();
    if state.screen == Screen::Requests && newer > 0 {
        note = format!("{newer} newer, g shows them, {note}");
    }
    if !table.marked.is_empty() {
        note = format!("{} marked, {note}", table.marked.len());
    }
    let room = area.width.saturating_sub(width(&note) + 8);
    canvas.rule(area, 0, &cut(&title, room, canvas.theme.glyphs.more), &note);
}

/// All there is where a screen has no room.
pub(super) fn status_line(canvas: &mut Canvas<'_>, area: Rect, state: &State) {
    let (sign, fresh, role) = freshness(state);
    let (alerts, alert_role) = alerts(state);
    let traffic = state.data.overview.as_ref().map_or_else(String::new, |overview| {
        let traffic = &overview.traffic;
        format!(
            " {}/s err {}/s p99 {} ",
            super::super::units::rate(traffic.calls_per_second),
            super::super::units::rate(traffic.errors_per_second),
            super::super::units::span_us(traffic.latency.p99_us)
        )
    });
    canvas.pieces(
        area,
        0,
        0,
        &[(sign, role), (" ", Role::Text), (&fresh, role), (&traffic, Role::Text), (&alerts, alert_role)],
    );
}
