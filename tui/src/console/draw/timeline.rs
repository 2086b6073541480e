//! The time line: the calls of the span that graphs show, and the moment that is looked at.

use ratatui::layout::Rect;

use super::super::canvas::{Canvas, split_top};
use super::super::graph::spark;
use super::super::state::State;
use super::super::theme::Role;
use super::super::units::{date, long};

/// Draws the time line: a rule, a graph and its ends.
pub(super) fn paint(canvas: &mut Canvas<'_>, area: Rect, state: &State, at_ms: u64) {
    let view = state.view();
    let ago = long(state.now_ms.saturating_sub(at_ms) / 1000);
    let title = format!("{} UTC, {ago} ago", super::super::units::clock(at_ms));
    canvas.rule(area, 0, &title, "left and right move, z widens, Esc is now");
    let (_, rest) = split_top(area, 1);
    let (graph, ends) = split_top(rest, 1);
    let values = view.series("calls", graph.width);
    spark(canvas, graph, &values, Role::Graph, view.cursor(graph.width));
    let end = view.graphs_end();
    canvas.text(ends, 0, 0, &date(end.saturating_sub(view.window_ms)), Role::Dim);
    canvas.right(ends, 0, &date(end), Role::Dim);
}
