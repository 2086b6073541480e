//! Conditions of alerts about keys whose secrets are old.

use std::sync::Arc;
use std::time::Duration;

use toolgate_protocol::alerts::Condition;
use toolgate_protocol::alerts::Severity::Warning;

use super::conditions::DAILY_MS;
use crate::clock;
use crate::config::settings::{AlertRules, Key};
use crate::gate::Gate;
use crate::policy::Policy;

/// Keys that are told one by one, of the files and of the store each; of more it is said how many there are.
const OLD_KEYS: usize = 20;

/// Keys that are too old.
pub(super) fn old(gate: &Gate, policy: &Policy, rules: &AlertRules) -> Vec<Condition> {
    let (mut told, further) = file_keys(policy, rules);
    let (stored, more) = stored_keys(gate, policy, rules);
    told.extend(stored);
    match further + more {
        0 => {}
        count => {
            let message = format!("{count} further keys are as old.");
            let remedy = "`toolgate key list --json` tells since when each has its secret.";
            told.push(daily(Condition::new("key_age", Warning, message, remedy)));
        }
    }
    told
}

fn daily(condition: Condition) -> Condition {
    Condition { spacing_ms: DAILY_MS, ..condition }
}

/// The oldest of the files, and how many more there are.
fn file_keys(policy: &Policy, rules: &AlertRules) -> (Vec<Condition>, usize) {
    let now = clock::unix_millis() / 1000;
    let is_old = |created: u64| Duration::from_secs(now.saturating_sub(created)) > rules.key_age;
    let by_age = |(one_since, one): &(u64, &Arc<Key>), (other_since, other): &(u64, &Arc<Key>)| {
        (one_since, &one.id).cmp(&(other_since, &other.id))
    };
    let dated = policy.settings.keys.values().filter_map(|key| Some((key.created?, key)));
    let mut old: Vec<_> = dated.filter(|(created, _)| is_old(*created)).collect();
    let further = old.len().saturating_sub(OLD_KEYS);
    if further > 0 {
        old.select_nth_unstable_by(OLD_KEYS, by_age);
        old.truncate(OLD_KEYS);
    }
    old.sort_unstable_by(by_age);
    let told = old.iter().map(|(created, key)| {
        let days = now.saturating_sub(*created) / 86_400;
        let message = format!("The key {} of {} is {days} days old.", key.id, key.owner);
        let remedy = "Make another with `toolgate key create`, hand it over, then take the old one out.";
        daily(Condition::new(format!("key_age:{}", key.id), Warning, message, remedy))
    });
    (told.collect(), further)
}

/// The same of the store.
fn stored_keys(gate: &Gate, policy: &Policy, rules: &AlertRules) -> (Vec<Condition>, usize) {
    let now = clock::unix_millis();
    let age = u64::try_from(rules.key_age.as_millis()).unwrap_or(u64::MAX);
    let (old, count) = gate.keys.index().old(now.saturating_sub(age), now, OLD_KEYS);
    let one = |(id, since): &(String, u64)| {
        let decision = gate.keys.decision(id, &policy.settings)?;
        let (owner, days) = (crate::observe::Shown(&decision.client.owner), now.saturating_sub(*since) / DAILY_MS);
        let message = format!("The secret of the key {id} of {owner} is {days} days old.");
        let remedy = format!("Give it another with `toolgate key rotate {id} --overlap 24h`, and hand it over.");
        Some(daily(Condition::new(format!("key_age:{id}"), Warning, message, &remedy)))
    };
    (old.iter().filter_map(one).collect(), count.saturating_sub(old.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> AlertRules {
        crate::config::from_text("version = 1").unwrap().alerts
    }

    #[test]
    fn an_old_key_is_told_where_its_age_is_known() {
        let key = |id: &str, created: &str| {
            format!("[key.{id}]\nhash = \"sha256:{}\"\ncreated = \"{created}\"\n", "0".repeat(64))
        };
        let text = format!("version = 1\n{}{}", key("abcd", "2020-01-01"), key("efgh", "2999-01-01"));
        let settings = crate::config::from_text(&text).unwrap();
        let policy = Policy::new(Arc::new(settings), None).unwrap();
        let (told, further) = file_keys(&policy, &rules());
        let ids: Vec<_> = told.iter().map(|told| (told.id.as_str(), told.severity)).collect();
        assert_eq!((ids, further), (vec![("key_age:abcd", Warning)], 0));
    }

    #[test]
    fn of_many_old_keys_the_oldest_are_told_and_how_many_more_there_are() {
        let key = |number: usize| {
            let hash = format!("{number:064x}");
            format!("[key.k{number:04}]\nhash = \"sha256:{hash}\"\ncreated = \"20{:02}-01-01\"\n", 20 - number % 10)
        };
        let text = format!("version = 1\n{}", (0..1_000).map(key).collect::<String>());
        let settings = crate::config::from_text(&text).unwrap();
        let policy = Policy::new(Arc::new(settings), None).unwrap();
        let gate = Gate::new(Policy::new(Arc::clone(&policy.settings), None).unwrap());
        let told = old(&gate, &policy, &rules());
        assert_eq!((told.len(), told[0].id.as_str()), (21, "key_age:k0009"));
        assert_eq!((told[20].id.as_str(), told[20].message.as_str()), ("key_age", "980 further keys are as old."));
    }
}
