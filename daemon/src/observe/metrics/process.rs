//! Metrics of the process and the load of its machine, as the kernel tells them.

use std::fs;

use super::page::Page;
use crate::clock;
use crate::gate::Gate;
use crate::overload::readings;

/// What the kernel counts a load of one as.
const LOAD_ONE: f64 = 65_536.0;

pub(super) fn collect(gate: &Gate, page: &mut Page) {
    page.set("process_cpu_seconds_total", readings::cpu_time().as_secs_f64());
    let [all, resident] = memory().unwrap_or_default();
    page.set("process_virtual_memory_bytes", all);
    page.set("process_resident_memory_bytes", resident);
    if let Some((open, max)) = readings::descriptors() {
        page.set("process_open_fds", open);
        page.set("process_max_fds", max);
    }
    if let Some(threads) = threads() {
        page.set("process_threads", threads);
    }
    let sample = gate.observed.sample();
    page.set("toolgate_processors", sample.process.cpus);
    page.set("toolgate_memory_limit_bytes", sample.process.memory_limit);
    page.set("toolgate_disk_used_ratio", sample.process.disk);
    page.set("toolgate_core_lag_seconds", sample.process.lag_ms / 1_000.0);
    let began = clock::unix_millis().saturating_sub(u64::try_from(gate.started.elapsed().as_millis()).unwrap_or(0));
    page.set("process_start_time_seconds", std::time::Duration::from_millis(began).as_secs_f64());
    let mut samples = page.of("toolgate_load_average");
    for (minutes, load) in ["1", "5", "15"].into_iter().zip(rustix::system::sysinfo().loads) {
        #[expect(clippy::cast_precision_loss, reason = "a load is far below 2^52")]
        samples.add(&[minutes], load as f64 / LOAD_ONE);
    }
}

/// Bytes of address space, and of memory in use.
fn memory() -> Option<[u64; 2]> {
    let text = fs::read_to_string("/proc/self/statm").ok()?;
    let mut pages = text.split(' ').map_while(|pages| pages.parse::<u64>().ok());
    let page = rustix::param::page_size() as u64;
    Some([pages.next()? * page, pages.next()? * page])
}

fn threads() -> Option<u64> {
    let text = fs::read_to_string("/proc/self/status").ok()?;
    text.lines().find_map(|line| line.strip_prefix("Threads:"))?.trim().parse().ok()
}
