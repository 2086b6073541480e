//! Once a second, on a thread that is no core: how much the gate has to do, and how many calls servers may have for it.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::Builder;
use std::time::{Duration, Instant};

use toolgate_admin_api::Process;
use toolgate_protocol::overload::{self, Numbers, Pressure};
use tracing::{info, warn};

use crate::config::settings;
use crate::cores::Cores;
use crate::gate::Gate;
use crate::overload::readings::{self, Reader};
use crate::overload::{allowed, words};
use crate::policy::Policy;

const INTERVAL: Duration = Duration::from_secs(1);

/// Beats until dropped.
#[derive(Debug)]
pub(super) struct Pulse {
    /// Dropped, it ends the thread at its next turn.
    _end: mpsc::Sender<()>,
}

struct Beat {
    gate: Arc<Gate>,
    cores: Cores,
    reader: Reader,
    machine: overload::Overload,
    begun: Instant,
    last: Instant,
}

impl Pulse {
    /// Starts the thread.
    pub(super) fn start(gate: &Arc<Gate>, cores: &Cores) -> io::Result<Self> {
        let (end, ended) = mpsc::channel::<()>();
        let mut beat = Beat::new(gate, cores);
        Builder::new().name("pulse".into()).spawn(move || {
            beat.once();
            while ended.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
                beat.once();
            }
        })?;
        Ok(Self { _end: end })
    }
}

impl Beat {
    fn new(gate: &Arc<Gate>, cores: &Cores) -> Self {
        let now = Instant::now();
        Self {
            gate: Arc::clone(gate),
            cores: cores.clone(),
            reader: Reader::default(),
            machine: overload::Overload::default(),
            begun: now,
            last: now,
        }
    }

    fn once(&mut self) {
        let policy = self.gate.policy.load_full();
        let settings = policy.settings.overload.as_ref();
        let limit = settings.and_then(|settings| settings.memory_limit);
        let process = self.reader.process(self.cores.count(), limit, readings::lag(&self.cores));
        self.gate.observed.read(process);
        match settings {
            Some(settings) => {
                let used = numbers(&process, settings, &policy);
                self.follow(Pressure::of(&used, &allowed(settings)));
            }
            // Switched off by a reload.
            None if self.machine.level() > 0 => {
                self.machine = overload::Overload::default();
                self.tell(None);
            }
            None => {}
        }
        let share = self.gate.overload.share(settings);
        let now = Instant::now();
        let span = now - std::mem::replace(&mut self.last, now);
        for server in policy.servers.values() {
            server.observe(span, share);
        }
        policy.connections.tick();
    }

    fn follow(&mut self, pressure: Option<Pressure>) {
        if self.machine.observe(self.begun.elapsed(), pressure) {
            self.tell(pressure);
        }
    }

    fn tell(&self, pressure: Option<Pressure>) {
        let (before, level) = (self.gate.overload.told().map_or(0, |told| told.level), self.machine.level());
        self.gate.overload.set(level, pressure);
        let step = words(overload::Step::of(level));
        match self.gate.overload.told() {
            Some(told) if level > before => warn!(overload = level, reason = told.reason, "overload: {step}"),
            Some(told) => info!(overload = level, reason = told.reason, "the overload eases: {step}"),
            None => info!("the overload is over: {step}"),
        }
    }
}

/// What was read, as it is compared with what is allowed.
fn numbers(process: &Process, settings: &settings::Overload, policy: &Policy) -> Numbers {
    let oldest = || policy.servers.values().map(|server| server.queue.snapshot().oldest).max();
    Numbers {
        cpu: Some(process.cpu),
        memory: Some(readings::ratio(process.memory, process.memory_limit)),
        descriptors: Some(readings::ratio(process.descriptors, process.descriptors_limit)),
        lag: Some(process.lag_ms / 1000.0),
        queue_age: settings.queue_age.and_then(|_| oldest()).map(|age| age.as_secs_f64()),
    }
}

#[cfg(test)]
mod tests {
    use toolgate_protocol::overload::{RISE, Step};

    use super::*;
    use crate::config;

    fn policy(text: &str) -> Policy {
        let settings = config::from_text(&format!("version = 1\n{text}")).unwrap();
        Policy::new(Arc::new(settings), None).unwrap()
    }

    fn beat(text: &str) -> Beat {
        let gate = Gate::new(policy(text));
        Beat::new(&gate, &Cores::start(1, &gate).unwrap())
    }

    #[test]
    fn a_gate_without_room_goes_up_a_step_and_a_reload_brings_it_back() {
        let mut beat = beat("[overload]\nmemory_limit = \"1MiB\"\n");
        beat.once();
        assert_eq!(beat.gate.overload.step(), Step::Normal, "not at once");
        // As if the first had been a while ago.
        beat.begun -= RISE;
        beat.once();
        assert_eq!(beat.gate.overload.step(), Step::Sessions);
        let told = beat.gate.overload.told().unwrap();
        assert!(told.level == 1 && told.reason.contains("memory"), "{told:?}");
        beat.gate.policy.store(Arc::new(policy("")));
        beat.once();
        assert!(beat.gate.overload.told().is_none());
    }

    #[test]
    fn a_shrunk_server_has_its_calls_back_when_it_is_over() {
        let server = "[server.a]\nendpoints = \"http://127.0.0.1:1/mcp\"\nmax_calls = 100\n";
        let mut beat = beat(&format!("{server}[overload]\ncpu = \"100%\"\n"));
        let cap = |beat: &Beat| beat.gate.policy.load().servers["a"].queue.snapshot().cap;
        beat.gate.overload.set(4, None);
        beat.once();
        assert_eq!(cap(&beat), 49);
        beat.gate.overload.set(0, None);
        beat.once();
        assert_eq!(cap(&beat), 100);
    }
}
