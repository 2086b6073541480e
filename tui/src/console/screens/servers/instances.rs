//! The instances of a command: their rows below its server, and everything about one.

use toolgate_admin_api::{Instance, InstanceRole, Instances};

use super::super::super::details::Details;
use super::super::super::object::Object;
use super::super::super::table::{Cell, Row};
use super::super::super::theme::Role;
use super::super::super::units::{bytes, clock, count, long, short, to_float};
use super::super::{View, words};

/// How many run of how many may.
pub(super) fn running(instances: &Instances) -> Cell {
    let text = format!("{}/{}", instances.running, instances.max);
    Cell::number(text, to_float(instances.running)).role(words::fullness(instances.running, instances.max))
}

/// Bytes of all of them, where each is counted.
pub(super) fn memory(instances: &Instances) -> Option<u64> {
    instances.each.iter().map(|instance| instance.memory).sum::<Option<u64>>().filter(|_| !instances.each.is_empty())
}

/// The row of one.
pub(super) fn row(server: &str, instance: &Instance) -> Row {
    let state = if instance.leaving { "leaving" } else { instance.role.word() };
    let mut cells = vec![
        Cell::new(format!("pid {} up {}", instance.pid, short(instance.age_seconds))),
        Cell::new(state).role(if instance.leaving { Role::Info } else { Role::Text }),
        Cell::new(""),
        Cell::count(instance.in_flight),
    ];
    cells.extend((4..13).map(|_| Cell::new("")));
    cells.push(instance.memory.map_or_else(Cell::none, Cell::bytes));
    let killed = instance.oom_kills.filter(|kills| *kills > 0);
    cells.extend([
        Cell::new(""),
        Cell::new(killed.map_or_else(String::new, |kills| format!("{kills} killed for memory"))).role(Role::Bad),
    ]);
    Row::new(Object::Instance(server.to_owned(), instance.pid), cells).field("state", state)
}

/// Everything about an instance, and how others of its server ended.
pub(in super::super) fn details(server: &str, pid: u32, view: &View<'_>) -> Details {
    let mut details = Details::default();
    let all = view.data.server(server).and_then(|row| row.status.instances.as_ref());
    let Some((all, one)) = all.and_then(|all| Some((all, all.each.iter().find(|one| one.pid == pid)?))) else {
        return details;
    };
    details.heading(format!("Instance {pid} of {server}"));
    let leaving = if one.leaving { ", leaving: it ends once nothing is in flight" } else { "" };
    details.value("serves", format!("{}{leaving}", served(one)));
    details.value("up", format!("{}, idle for {}", long(one.age_seconds), long(one.idle_seconds)));
    let peak = one.memory_peak.map_or_else(String::new, |peak| format!(", {} at most", bytes(peak)));
    let memory = one.memory.map_or_else(|| "nobody counts it".to_owned(), bytes);
    details.pair("memory", format!("{memory}{peak}"), Role::Strong);
    details
        .value("tasks", one.tasks.map_or_else(String::new, |tasks| format!("{} processes and threads", count(tasks))));
    if let Some(kills) = one.oom_kills.filter(|kills| *kills > 0) {
        details.pair("killed", format!("{kills} of its processes, because memory ran out"), Role::Bad);
    }
    details.value("calls", format!("{} in flight, {} answered", one.in_flight, count(one.answered)));
    let told = view.data.inspected.get(server).and_then(|told| told.instances.as_ref());
    lines(&mut details, all, told);
    details
}

fn served(instance: &Instance) -> &'static str {
    match instance.role {
        InstanceRole::Spare => "nobody yet: a spare",
        InstanceRole::Session => "one session",
        InstanceRole::Shared => "several: shared",
        InstanceRole::Unknown => "not known to this console",
    }
}

/// `told` has what instances wrote, where the daemon was asked for it.
pub(super) fn lines(details: &mut Details, instances: &Instances, told: Option<&Instances>) {
    details.heading(format!("Instances: {} of {}", instances.running, instances.max));
    if let Some(failures) = instances.failures.filter(|failures| *failures > 0) {
        details.pair("restarts", format!("{failures} ended on their own since the start"), Role::Warn);
    }
    for one in &instances.each {
        let memory = one.memory.map_or_else(String::new, |memory| {
            let peak = one.memory_peak.map_or_else(String::new, |peak| format!(" (peak {})", bytes(peak)));
            format!(", {}{peak}", bytes(memory))
        });
        let text = format!(
            "{}, up {}, {} in flight, {} answered{memory}",
            one.role.word(),
            long(one.age_seconds),
            one.in_flight,
            count(one.answered)
        );
        details.pieces("pid", vec![(format!("{:<8}", one.pid), Role::Strong), (text, Role::Text)]);
    }
    let Some(end) = told.and_then(|told| told.last_end.as_ref()).or(instances.last_end.as_ref()) else { return };
    details.pair("last end", format!("{} pid {}: {}", clock(end.at_ms), end.pid, end.how), Role::Warn);
    for line in &end.stderr {
        details.text(format!("  {line}"), Role::Dim);
    }
}
