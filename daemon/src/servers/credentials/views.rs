//! What a path offers to single clients: the same servers, each as the facet that the client is met as.
//!
//! Made once per client and configuration. Of a view whose servers have no facets nothing is made, and nothing looked up.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use crate::identity::Client;
use crate::lock::lock;
use crate::policy::View;

/// Clients of one shard that are remembered; beyond it all of them are made anew.
const MOST: usize = 512;

/// So that not all calls take one lock. A power of two.
const SHARDS: usize = 16;

/// Views of single clients.
#[derive(Debug, Default)]
pub struct OwnViews {
    shards: [Mutex<HashMap<Arc<str>, Own>>; SHARDS],
}

#[derive(Debug)]
struct Own {
    /// What the choice depended on, beside the client's id.
    organisation: Option<String>,
    tier: Option<String>,
    /// How many grants had come and gone.
    epoch: u64,
    view: Arc<View>,
}

impl Own {
    fn is_of(&self, client: &Client) -> bool {
        self.organisation.as_deref() == client.organisation.as_ref().map(|organisation| organisation.name.as_str())
            && self.tier.as_deref() == client.tier.as_ref().map(|tier| tier.name.as_str())
    }
}

impl OwnViews {
    /// The view of a client.
    pub fn of(&self, view: &View, client: &Client) -> Arc<View> {
        let place = usize::try_from(client.number % SHARDS as u64).unwrap_or_default();
        // Before the servers are asked: a grant that comes meanwhile is looked for again.
        let epoch =
            view.servers.iter().filter_map(|server| server.users()).map(|users| users.epoch()).max().unwrap_or(0);
        let mut shard = lock(&self.shards[place]);
        if let Some(own) = shard.get(&client.id).filter(|own| own.epoch == epoch && own.is_of(client)) {
            return Arc::clone(&own.view);
        }
        let made = Arc::new(view.as_met_by(client));
        let own = Own {
            organisation: client.organisation.as_ref().map(|organisation| organisation.name.clone()),
            tier: client.tier.as_ref().map(|tier| tier.name.clone()),
            epoch,
            view: Arc::clone(&made),
        };
        if shard.len() >= MOST {
            shard.clear();
        }
        shard.insert(Arc::clone(&client.id), own);
        made
    }
}
