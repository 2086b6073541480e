//! What the process uses of the machine, of what it may.
//!
//! Read once a second by a thread that is no core. Only what is the process's own is read: a unit with
//! `ProcSubset=pid` sees nothing else, and what servers use is theirs.

use std::fs;
use std::path::PathBuf;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};
use toolgate_admin_api::Process;

use crate::cgroup;
use crate::cores::Cores;

/// A core that takes longer to take up a task is as good as stuck.
const PATIENCE: Duration = Duration::from_millis(500);

/// Remembers what the next reading is compared with.
#[derive(Debug)]
pub struct Reader {
    group: Option<PathBuf>,
    /// Processor time and time of the last reading.
    last: (Duration, Instant),
}

impl Default for Reader {
    fn default() -> Self {
        Self { group: cgroup::own().ok(), last: (cpu_time(), Instant::now()) }
    }
}

impl Reader {
    /// All that is read once a second, where `threads` threads serve and `limit` bytes may be used.
    pub fn process(&mut self, threads: usize, limit: Option<u64>, lag: Duration) -> Process {
        let processors = self.processors(threads);
        let (descriptors, descriptors_limit) = descriptors().unwrap_or_default();
        Process {
            cpu: self.cpu(processors),
            cpus: processors,
            memory: resident().unwrap_or_default(),
            memory_limit: self.memory_limit(limit),
            descriptors,
            descriptors_limit,
            load: load(),
            lag_ms: lag.as_secs_f64() * 1000.0,
            disk: 0.0,
        }
    }

    /// Processor time since the last reading, as a share of `processors`.
    fn cpu(&mut self, processors: f64) -> f64 {
        let (before, then) = std::mem::replace(&mut self.last, (cpu_time(), Instant::now()));
        let (used, span) = (self.last.0.saturating_sub(before), self.last.1 - then);
        used.as_secs_f64() / span.as_secs_f64().max(1e-9) / processors
    }

    /// Processors that `threads` threads may use.
    fn processors(&self, threads: usize) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "processors are few")]
        let threads = threads.max(1) as f64;
        threads.min(self.quota().unwrap_or(f64::MAX))
    }

    /// Bytes that may be used: `limit`, or what the group, or else the machine, has.
    fn memory_limit(&self, limit: Option<u64>) -> u64 {
        limit.or_else(|| self.group_memory()).unwrap_or_else(machine_memory)
    }

    fn group_memory(&self) -> Option<u64> {
        let read = |file| fs::read_to_string(self.group.as_ref()?.join(file)).ok()?.trim().parse().ok();
        // "max" is no number, and no limit.
        let limits: [Option<u64>; 2] = [read("memory.high"), read("memory.max")];
        limits.into_iter().flatten().min()
    }

    /// Processors that the group may use, where it is bounded.
    fn quota(&self) -> Option<f64> {
        let text = fs::read_to_string(self.group.as_ref()?.join("cpu.max")).ok()?;
        parse_quota(&text)
    }
}

/// `100000 50000`, or `max 100000`.
fn parse_quota(text: &str) -> Option<f64> {
    let (quota, period) = text.trim().split_once(' ')?;
    let (quota, period): (f64, f64) = (quota.parse().ok()?, period.parse().ok()?);
    (period > 0.0 && quota > 0.0).then(|| quota / period)
}

/// The longest that a core lets a task wait that is ready; at most [`PATIENCE`].
#[must_use]
pub fn lag(cores: &Cores) -> Duration {
    let (answer, answers) = mpsc::channel();
    let begun = Instant::now();
    for core in 0..cores.count() {
        let answer = answer.clone();
        // A core that takes no work gives no answer either.
        let _ = cores.try_spawn(core, move |_| async move {
            let _ = answer.send(begun.elapsed());
        });
    }
    drop(answer);
    let mut longest = Duration::ZERO;
    for _ in 0..cores.count() {
        let left = PATIENCE.saturating_sub(begun.elapsed());
        longest = longest.max(answers.recv_timeout(left).unwrap_or(PATIENCE));
    }
    longest
}

/// Open descriptors of the process, and how many may be open.
pub fn descriptors() -> Option<(u64, u64)> {
    let limit = getrlimit(Resource::Nofile).current?;
    // Since Linux 6.2 the folder's size is their number; before, it is 0.
    let folder = "/proc/self/fd";
    let open = match fs::metadata(folder).ok()?.len() {
        0 => fs::read_dir(folder).ok()?.count() as u64,
        open => open,
    };
    Some((open, limit))
}

/// Processor time of the process.
pub fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let (seconds, nanos) = (u64::try_from(time.tv_sec), u32::try_from(time.tv_nsec));
    Duration::new(seconds.unwrap_or(0), nanos.unwrap_or(0))
}

/// Bytes of memory that the process has in use.
#[must_use]
pub fn resident() -> Option<u64> {
    let text = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = text.split(' ').nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

/// The machine's load of the last minute.
fn load() -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a load is small")]
    let load = rustix::system::sysinfo().loads[0] as f64;
    load / 65_536.0
}

/// Bytes of memory that the machine has.
#[must_use]
pub fn machine_memory() -> u64 {
    let machine = rustix::system::sysinfo();
    machine.totalram * u64::from(machine.mem_unit)
}

/// A share.
#[expect(clippy::cast_precision_loss, reason = "a share")]
#[must_use]
pub fn ratio(used: u64, of: u64) -> f64 {
    used as f64 / of.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_is_measured() {
        let mut reader = Reader { group: None, ..Reader::default() };
        let begun = Instant::now();
        while cpu_time().saturating_sub(reader.last.0) < Duration::from_millis(20) {
            assert!(begun.elapsed() < Duration::from_secs(20), "no processor time passes");
            std::hint::black_box(Instant::now());
        }
        let process = reader.process(1, Some(1 << 30), Duration::from_millis(5));
        assert!(process.cpu > 0.0 && reader.cpu(4.0) >= 0.0, "{process:?}");
        assert!((1 << 20..1 << 34).contains(&process.memory), "{process:?}");
        assert_eq!((process.memory_limit, process.cpus, process.lag_ms), (1 << 30, 1.0, 5.0));
        assert!(process.descriptors > 0 && process.descriptors_limit >= process.descriptors, "{process:?}");
        assert!(reader.memory_limit(None) > process.memory);
    }

    #[test]
    fn the_group_bounds_what_may_be_used() {
        let folder = tempfile::tempdir().unwrap();
        let write = |file: &str, text: &str| fs::write(folder.path().join(file), text).unwrap();
        let reader = Reader { group: Some(folder.path().to_owned()), ..Reader::default() };
        assert_eq!((reader.group_memory(), reader.quota()), (None, None));
        write("memory.max", "max\n");
        write("memory.high", "1000\n");
        write("cpu.max", "50000 100000\n");
        assert_eq!((reader.group_memory(), reader.quota()), (Some(1000), Some(0.5)));
        write("memory.max", "500\n");
        assert_eq!(reader.group_memory(), Some(500));
        assert_eq!(parse_quota("max 100000\n"), None);
    }

    #[test]
    fn a_blocked_core_is_seen() {
        let gate = crate::listen::fixture::Gate::with(|_| {});
        let (release, blocked) = mpsc::channel::<()>();
        let (entered, wait) = mpsc::channel();
        let block = move |_| async move {
            let _ = entered.send(());
            let _ = blocked.recv();
        };
        gate.cores.try_spawn(0, block).expect("taken up");
        wait.recv().expect("blocked");
        assert_eq!(lag(&gate.cores), PATIENCE);
        drop(release);
    }
}
