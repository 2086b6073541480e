//! Answers without end: the watch and the tail, taken up again whenever they break off.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio::time::sleep;
use toolgate_admin_api::{Exit, TailLine, WatchLine};

use super::super::actions::segment;
use super::super::run::{Event, Outbox};
use super::super::state::{Feed, Input, Privilege, Subscription};
use crate::client::admin::{AdminClient, LineStream};
use crate::failure::Failure;

/// Between two attempts, growing from the first to the second.
const RETRY: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(5));

/// Follows the watch for as long as the console is there.
pub(super) async fn watch(runtime_dir: PathBuf, mut subscribed: watch::Receiver<Subscription>, outbox: Outbox) {
    let mut pause = RETRY.0;
    let mut probed = None;
    loop {
        let subscription = subscribed.borrow_and_update().clone();
        if subscription.topics.is_empty() {
            if subscribed.changed().await.is_err() {
                return;
            }
            continue;
        }
        let follow = follow(&runtime_dir, &subscription, &outbox, (&mut pause, &mut probed));
        let lost = tokio::select! {
            lost = follow => lost,
            changed = subscribed.changed() => match changed {
                Ok(()) => continue,
                Err(_) => return,
            },
        };
        if outbox.send(Event::Input(Input::Feed(Feed::Lost(lost)))).is_err() {
            return;
        }
        sleep(pause).await;
        pause = (pause * 2).min(RETRY.1);
    }
}

/// Follows one watch to its end; why it ended.
async fn follow(
    runtime_dir: &Path,
    subscription: &Subscription,
    outbox: &Outbox,
    (pause, probed): (&mut Duration, &mut Option<Privilege>),
) -> String {
    let client = match AdminClient::view(runtime_dir).await {
        Ok(client) => client,
        Err(failure) => return sentence(&failure),
    };
    let stream = match client.follow(&route(subscription)).await {
        Ok(stream) => stream,
        Err(failure) => return sentence(&failure),
    };
    *pause = RETRY.0;
    let privilege = match *probed {
        Some(privilege) => privilege,
        None => *probed.insert(privilege(runtime_dir).await),
    };
    if outbox.send(Event::Input(Input::Feed(Feed::Connected(privilege)))).is_err() {
        return String::new();
    }
    let each = |line: WatchLine| outbox.send(Event::Input(Input::Feed(Feed::Watch(Box::new(line))))).is_ok();
    lines(stream, each).await
}

/// Follows the calls that end, while somebody looks at them.
pub(super) async fn tail(runtime_dir: PathBuf, mut subscribed: watch::Receiver<Subscription>, outbox: Outbox) {
    loop {
        let Some(words) = subscribed.borrow_and_update().tail.clone() else {
            if subscribed.changed().await.is_err() {
                return;
            }
            continue;
        };
        let follow = async {
            let client = AdminClient::view(&runtime_dir).await?;
            let stream = client.follow(&format!("/v1/requests/tail?filter={}", segment(&words))).await?;
            lines(stream, |line: TailLine| outbox.send(Event::Input(Input::Feed(Feed::Tail(Box::new(line))))).is_ok())
                .await;
            Ok::<_, Failure>(())
        };
        let other =
            async { subscribed.wait_for(|subscription| subscription.tail.as_ref() != Some(&words)).await.is_err() };
        tokio::select! {
            followed = follow => {
                if let Err(failure) = followed
                    && outbox.send(Event::Input(Input::Feed(Feed::Untold(sentence(&failure))))).is_err()
                {
                    return;
                }
                sleep(RETRY.1).await;
            }
            gone = other => if gone { return },
        }
    }
}

/// Whether changes can be made. What follows is on the view socket, so that consoles leave the few connections of the
/// control socket to changes.
async fn privilege(runtime_dir: &Path) -> Privilege {
    match AdminClient::control(runtime_dir).await {
        Err(failure) if failure.exit == Exit::Denied => Privilege::View,
        // Where it is something else, the change will say what.
        _ => Privilege::Control,
    }
}

fn route(subscription: &Subscription) -> String {
    let mut route = format!("/v1/watch?topics={}&interval={}", subscription.topics.join(","), subscription.interval_ms);
    for (name, value) in &subscription.parameters {
        route.extend(["&", name, "=", &segment(value)]);
    }
    route
}

fn sentence(failure: &Failure) -> String {
    match &failure.remedy {
        Some(remedy) => format!("{} {remedy}", failure.message),
        None => failure.message.clone(),
    }
}

/// Reads lines until `each` wants no more or the daemon has no more; why it ended. A line that cannot be read is left out.
async fn lines<T: DeserializeOwned>(mut stream: LineStream, mut each: impl FnMut(T) -> bool) -> String {
    loop {
        let line = match stream.next().await {
            Ok(Some(line)) => line,
            Ok(None) => return "The daemon has ended the watch.".to_owned(),
            Err(failure) => return sentence(&failure),
        };
        if let Ok(line) = serde_json::from_slice(&line)
            && !each(line)
        {
            return String::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wanted_is_in_the_query() {
        let subscription = Subscription {
            topics: vec!["overview", "sessions"],
            interval_ms: 1000,
            parameters: vec![("sessions.filter".into(), "client=key:a b".into())],
            ..Subscription::default()
        };
        assert_eq!(
            route(&subscription),
            "/v1/watch?topics=overview,sessions&interval=1000&sessions.filter=client%3Dkey%3Aa%20b"
        );
    }
}
