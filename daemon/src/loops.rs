//! Watches for clients that repeat themselves: what `[loops]` says, and what all cores have noted.
//!
//! Part of a policy where something is done about loops, and nothing at all where not. What was noted goes on from
//! configuration to configuration. A shard's lock is held for one note.

use std::fmt::Write as _;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use toolgate_protocol::bridge::digest;
use toolgate_protocol::loops::{Repeats, Step, Surge, Surges};
use toolgate_protocol::names::Pattern;

use crate::config::settings;
use crate::lock::lock;
use crate::message::Message;

/// Locks among which calls and clients are spread.
const SHARDS: usize = 32;
/// Different calls, and clients, that a shard remembers at least; twice as many at most.
const CALLS: usize = 4096;
const CLIENTS: usize = 1024;

/// What is done about loops, and what was noted.
#[derive(Debug)]
pub struct Loops {
    rules: settings::Loops,
    except: Vec<Pattern>,
    watch: Arc<Watch>,
}

#[derive(Debug)]
struct Watch {
    keyed: RandomState,
    repeats: [Mutex<Repeats>; SHARDS],
    surges: [Mutex<Surges>; SHARDS],
}

/// What was seen of a call, and what follows from it.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// What is done.
    pub step: Step,
    same: u32,
    surge: Surge,
    /// It is the repetition, not the pace, that is the worse.
    repeats: bool,
    rules: &'a settings::Loops,
}

impl Loops {
    /// What a configuration does about loops; `None` where that is nothing.
    #[must_use]
    pub fn new(rules: &settings::Loops, before: Option<&Self>) -> Option<Self> {
        rules.act().then(|| Self {
            rules: rules.clone(),
            except: rules.except.iter().map(|pattern| Pattern::new(pattern)).collect(),
            watch: before.map_or_else(|| Arc::new(Watch::new()), |before| Arc::clone(&before.watch)),
        })
    }

    /// Whether a tool is meant to be asked again and again.
    #[must_use]
    pub fn excepts(&self, server: &str, tool: &str) -> bool {
        !self.except.is_empty() && {
            let name = format!("{server}/{tool}");
            self.except.iter().any(|pattern| pattern.matches(&name))
        }
    }

    /// Notes a call of a tool. `now` is [`crate::clock::nanos`].
    #[must_use]
    pub fn note(&self, client: &str, server: &str, message: &Message, now: u64) -> Seen<'_> {
        let window = u64::try_from(self.rules.window.as_nanos()).unwrap_or(u64::MAX);
        let mut same = 0;
        if !self.rules.same.are_none() {
            let call = self.watch.call(client, server, message);
            same = lock(&self.watch.repeats[shard(call)]).note(call, now, window);
        }
        let mut surge = Surge { times: 0, calls: 0 };
        if !self.rules.surge.are_none() {
            let client = self.watch.keyed.hash_one(client);
            surge = lock(&self.watch.surges[shard(client)]).note(client, now);
        }
        let (by_same, by_surge) = (self.rules.same.step(same), self.rules.surge.step(surge.times));
        Seen { step: by_same.max(by_surge), same, surge, repeats: by_same >= by_surge, rules: &self.rules }
    }

    /// How long a slowed call waits.
    #[must_use]
    pub fn delay(&self) -> Duration {
        self.rules.delay
    }
}

impl Watch {
    fn new() -> Self {
        Self {
            keyed: RandomState::new(),
            repeats: std::array::from_fn(|_| Mutex::new(Repeats::new(CALLS))),
            surges: std::array::from_fn(|_| Mutex::new(Surges::new(CLIENTS))),
        }
    }

    /// Who calls what with which arguments, as a number: however the arguments are written.
    fn call(&self, client: &str, server: &str, message: &Message) -> u64 {
        let mut hasher = self.keyed.build_hasher();
        for text in [client, server] {
            hasher.write_usize(text.len());
            hasher.write(text.as_bytes());
        }
        digest::digest(&message.bytes, &message.envelope, &mut |piece| hasher.write(piece));
        hasher.finish()
    }
}

impl Seen<'_> {
    /// For how long a refused call should stay away.
    #[must_use]
    pub fn retry_after(&self) -> Duration {
        if self.repeats { self.rules.window } else { Duration::from_secs(60) }
    }

    /// What `toolgate/loop` in a result's `_meta` is: an object of JSON.
    #[must_use]
    pub fn warning(&self) -> String {
        let mut text = String::from("{");
        // Writing to a String cannot fail.
        let levels = if self.repeats {
            let _ = write!(text, "\"calls\":{},\"windowSeconds\":{}", self.same, self.rules.window.as_secs());
            self.rules.same
        } else {
            let _ = write!(text, "\"callsThisMinute\":{},\"timesUsual\":{}", self.surge.calls, self.surge.times);
            self.rules.surge
        };
        if let Some(from) = levels.refuse {
            let _ = write!(text, ",\"refusedFrom\":{from}");
        }
        let _ = write!(text, ",\"slowed\":{}", self.step == Step::Slow);
        let words = format!("{} {}", self.observation(), self.advice());
        let _ = write!(text, ",\"message\":{}}}", serde_json::Value::from(words));
        text
    }

    /// Words that an agent obeys.
    #[must_use]
    pub fn refusal(&self) -> String {
        let wait = self.retry_after().as_secs();
        format!(
            "{} Nothing was executed. Stop: {} If it is really needed, wait {wait} s before the next try.",
            self.observation(),
            self.advice()
        )
    }

    fn observation(&self) -> String {
        if self.repeats {
            let (same, window) = (self.same, self.rules.window.as_secs());
            return format!("You made this same call, with the same arguments, {same} times within {window} s.");
        }
        let Surge { times, calls } = self.surge;
        format!("You made {calls} calls in this minute, {times} times as many as you usually make.")
    }

    fn advice(&self) -> &'static str {
        if self.repeats {
            "asking again will not change the answer. Use the result that you have, change the arguments, or tell your \
             user that you are stuck."
        } else {
            "call only what you need next, or tell your user that you are stuck."
        }
    }
}

fn shard(number: u64) -> usize {
    // The maps use the low bits and the seven highest.
    (number >> 40) as usize % SHARDS
}

#[cfg(test)]
mod tests {
    use toolgate_protocol::loops::Levels;

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn rules(except: &[&str]) -> settings::Loops {
        settings::Loops {
            same: Levels { warn: Some(3), slow: Some(4), refuse: Some(5) },
            surge: Levels::default(),
            window: Duration::from_secs(60),
            delay: Duration::from_secs(2),
            except: except.iter().map(|text| (*text).to_owned()).collect(),
        }
    }

    fn call(arguments: &str) -> Message {
        let text = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"t","arguments":{arguments}}}}}"#
        );
        Message::parse(text.into()).unwrap()
    }

    #[test]
    fn nothing_is_watched_where_nothing_is_done() {
        assert!(Loops::new(&settings::Loops::default(), None).is_none());
    }

    #[test]
    fn one_client_one_tool_the_same_arguments_however_they_are_written() {
        let loops = Loops::new(&rules(&[]), None).unwrap();
        let spellings = [r#"{"a":1,"b":"x"}"#, r#"{ "b": "\u0078", "a": 1 }"#];
        let step = |client, server, arguments| loops.note(client, server, &call(arguments), SECOND).step;
        let steps: Vec<_> = (0..5).map(|round| step("ana", "s", spellings[round % 2])).collect();
        assert_eq!(steps, [Step::Pass, Step::Pass, Step::Warn, Step::Slow, Step::Refuse]);
        assert_eq!(step("bo", "s", spellings[0]), Step::Pass);
        assert_eq!(step("ana", "t", spellings[0]), Step::Pass);
        assert_eq!(step("ana", "s", r#"{"a":1.0,"b":"x"}"#), Step::Pass);
        let reloaded = Loops::new(&rules(&["s/poll_*"]), Some(&loops)).unwrap();
        assert_eq!(reloaded.note("ana", "s", &call(spellings[0]), SECOND).step, Step::Refuse);
        assert!(reloaded.excepts("s", "poll_job") && !reloaded.excepts("t", "poll_job"));
    }

    #[test]
    fn a_warning_is_json_and_a_refusal_tells_what_to_do() {
        let loops = Loops::new(&rules(&[]), None).unwrap();
        let mut seen = loops.note("ana", "s", &call("{}"), SECOND);
        for _ in 1..4 {
            seen = loops.note("ana", "s", &call("{}"), SECOND);
        }
        let warning: serde_json::Value = serde_json::from_str(&seen.warning()).unwrap();
        assert_eq!(
            (&warning["calls"], &warning["refusedFrom"], &warning["slowed"]),
            (&4.into(), &5.into(), &true.into())
        );
        assert_eq!(
            seen.refusal(),
            "You made this same call, with the same arguments, 4 times within 60 s. Nothing was executed. Stop: asking \
             again will not change the answer. Use the result that you have, change the arguments, or tell your user \
             that you are stuck. If it is really needed, wait 60 s before the next try."
        );
    }
}
