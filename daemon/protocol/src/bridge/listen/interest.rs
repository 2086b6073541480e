//! Which resources of one legacy session are subscribed to, for all listen streams that share it.
//! Called when a listen stream opens or ends.
//! Must hold: a resource is subscribed to once, from the first stream that wants it to the last.

use std::collections::HashMap;

use crate::json::encode_str;
use crate::method::Method;

/// How many streams want each resource.
#[derive(Clone, Debug, Default)]
pub struct Interest {
    streams: HashMap<String, usize>,
}

impl Interest {
    /// A stream begins. The resources to subscribe to.
    #[must_use = "they must be subscribed to"]
    pub fn enter(&mut self, uris: &[String]) -> Vec<String> {
        let mut new = Vec::new();
        for uri in uris {
            let streams = self.streams.entry(uri.clone()).or_default();
            *streams += 1;
            if *streams == 1 {
                new.push(uri.clone());
            }
        }
        new
    }

    /// A stream that entered with these has ended. The resources to unsubscribe from.
    #[must_use = "they must be unsubscribed from"]
    pub fn leave(&mut self, uris: &[String]) -> Vec<String> {
        let mut old = Vec::new();
        for uri in uris {
            let Some(streams) = self.streams.get_mut(uri) else { continue };
            *streams -= 1;
            if *streams == 0 {
                self.streams.remove(uri);
                old.push(uri.clone());
            }
        }
        old
    }

    /// All resources that are wanted: what a session that began anew must be subscribed to.
    pub fn all(&self) -> impl Iterator<Item = &str> {
        self.streams.keys().map(String::as_str)
    }

    /// The legacy request that subscribes to a resource (or unsubscribes from it). `id` is raw.
    #[must_use]
    pub fn request(id: &[u8], uri: &str, subscribe: bool) -> Vec<u8> {
        let method = if subscribe { Method::ResourcesSubscribe } else { Method::ResourcesUnsubscribe };
        let tail = format!(r#","method":"{}","params":{{"uri":{}}}}}"#, method.as_str(), encode_str(uri));
        [b"{\"jsonrpc\":\"2.0\",\"id\":", id, tail.as_bytes()].concat()
    }
}
