//! What users allowed the gate to do for them at servers: kept sealed, for one client at one server each.
//!
//! Pages of the gate put grants here ([`pages`]), servers show their tokens (`servers::credentials::users`), operators list
//! and revoke them. What must hold: a grant is reached by the client that it was given for and at that server alone; a
//! refresh token is on disk before the access token that came with it is shown.

mod file;
pub mod link;
pub mod pages;
pub mod pending;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::task::spawn_blocking;
use tracing::{info, warn};

use crate::clock;
use crate::config::Secret;
use crate::lock::lock;
use crate::seal::Seal;
use crate::servers::credentials::oauth::wire::Granted;
use pending::Pending;

/// Grants of all clients at all servers; one that would be one more is refused.
const MOST: usize = 100_000;

/// Tokens of one client at one server.
#[derive(Debug, Clone)]
pub struct Grant {
    /// What the server is shown.
    pub access: Secret,
    /// What the next one is asked for with.
    pub refresh: Option<Secret>,
    /// When the access token lapses, in milliseconds since 1970.
    pub until: u64,
}

impl Grant {
    /// What a provider has given now.
    pub(crate) fn of(granted: Granted) -> Self {
        let lifetime = u64::try_from(granted.lifetime.as_millis()).unwrap_or(u64::MAX);
        let until = clock::unix_millis().saturating_add(lifetime);
        Self { access: granted.access, refresh: granted.refresh, until }
    }
}

/// Whose a grant is, and where.
pub type Place = (String, String);

/// A grant as operators see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The server.
    pub server: String,
    /// The client's id.
    pub client: String,
    /// The client's name for people, when it was given.
    pub owner: String,
    /// When it was given, in milliseconds since 1970.
    pub since: u64,
    /// When its tokens were asked for last.
    pub renewed: u64,
    /// Whether it goes on once its access token lapses.
    pub refreshes: bool,
}

#[derive(Debug, Clone)]
struct Held {
    grant: Grant,
    owner: String,
    since: u64,
    renewed: u64,
    /// Tells it from the one before at the same place.
    number: u64,
}

/// All of them.
#[derive(Debug)]
pub struct Grants {
    seal: Arc<Seal>,
    /// The key under which they are kept.
    sealed_by: Mutex<String>,
    /// Where they are kept; none where nothing outlives the process.
    folder: Option<PathBuf>,
    /// By server and client.
    all: Mutex<BTreeMap<Place, Held>>,
    /// What was sealed with a key that is not there, kept as it was: the key may come back.
    closed: Mutex<BTreeMap<Place, file::Row>>,
    /// Held while the file is written, so that an older text never comes last.
    writing: Mutex<()>,
    /// Grows with each grant that comes or goes.
    epoch: AtomicU64,
    trouble: Mutex<Option<String>>,
    /// Users on their way to a provider and back.
    pub pending: Mutex<Pending>,
}

impl Grants {
    /// Those that an earlier process left in the folder.
    pub fn open(folder: Option<&Path>, seal: Arc<Seal>) -> Self {
        let grants = Self {
            seal,
            sealed_by: Mutex::default(),
            folder: folder.map(Path::to_owned),
            all: Mutex::default(),
            closed: Mutex::default(),
            writing: Mutex::default(),
            epoch: AtomicU64::new(1),
            trouble: Mutex::default(),
            pending: Mutex::default(),
        };
        match folder.map(|folder| file::load(folder, &grants.seal)) {
            Some(Ok(file::Loaded { found, closed })) => {
                for (place, mut held) in found {
                    held.number = Self::next();
                    grants.all().insert(place, held);
                }
                if let Some(told) = told_of(closed.len()) {
                    grants.tell(told);
                }
                *lock(&grants.closed) = closed;
            }
            Some(Err(problem)) => {
                let aside = folder.is_some_and(|folder| file::set_aside(folder).is_ok());
                let kept = if aside { ", and lies beside its file" } else { "" };
                grants.tell(format!("what users allowed before the start cannot be read{kept}: {problem}"));
            }
            None => {}
        }
        grants
    }

    fn tell(&self, told: String) {
        warn!("{told}");
        *lock(&self.trouble) = Some(told);
    }

    /// The number of a client's grant at a server; none where there is none.
    pub fn number(&self, server: &str, client: &str) -> Option<u64> {
        self.all().get(&place(server, client)).map(|held| held.number)
    }

    /// A client's grant at a server.
    pub fn get(&self, server: &str, client: &str) -> Option<Grant> {
        self.all().get(&place(server, client)).map(|held| held.grant.clone())
    }

    /// Grows with each grant that comes or goes, so that what was made of them is made anew.
    pub fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// Keeps a grant that a user has just given; back when it is on disk. `false` where there are too many.
    pub async fn give(self: &Arc<Self>, server: &str, client: &str, owner: &str, grant: Grant) -> bool {
        let now = clock::unix_millis();
        let held = Held { grant, owner: owner.to_owned(), since: now, renewed: now, number: Self::next() };
        {
            let mut all = self.all();
            let place = place(server, client);
            if all.len() >= MOST && !all.contains_key(&place) {
                return false;
            }
            lock(&self.closed).remove(&place);
            all.insert(place, held);
        }
        self.epoch.fetch_add(1, Ordering::Release);
        self.written().await;
        info!(server, client = %crate::observe::Shown(client), "a user allowed the gate to act for them");
        true
    }

    /// Puts new tokens into a grant of this number; back when they are on disk. Whether it is still there.
    pub async fn renew(self: &Arc<Self>, server: &str, client: &str, number: u64, grant: Grant) -> bool {
        {
            let mut all = self.all();
            let Some(held) = all.get_mut(&place(server, client)).filter(|held| held.number == number) else {
                return false;
            };
            // A provider that gives no new refresh token means the old one to be used on (RFC 6749, section 6).
            let refresh = grant.refresh.clone().or_else(|| held.grant.refresh.clone());
            held.grant = Grant { refresh, ..grant };
            held.renewed = clock::unix_millis();
        }
        self.written().await;
        true
    }

    /// Forgets a grant, of this number where one is given; back when that is on disk.
    pub async fn forget(self: &Arc<Self>, server: &str, client: &str, number: Option<u64>) -> bool {
        let forgotten = self.take(server, client, number);
        if forgotten {
            self.written().await;
        }
        forgotten
    }

    /// The same for whoever may wait for a disk.
    pub fn revoke(&self, server: &str, client: &str) -> bool {
        let revoked = self.take(server, client, None);
        if revoked {
            self.write();
        }
        revoked
    }

    fn take(&self, server: &str, client: &str, number: Option<u64>) -> bool {
        let mut all = self.all();
        let place = place(server, client);
        let is_meant = all.get(&place).is_some_and(|held| number.is_none_or(|number| held.number == number));
        if is_meant {
            all.remove(&place);
            drop(all);
            self.epoch.fetch_add(1, Ordering::Release);
        }
        // What cannot be opened now is revoked as well, before its key comes back.
        is_meant || (number.is_none() && lock(&self.closed).remove(&place).is_some())
    }

    /// All of them, by server and client.
    pub fn list(&self) -> Vec<Listed> {
        let listed = |((server, client), held): (&Place, &Held)| Listed {
            server: server.clone(),
            client: client.clone(),
            owner: held.owner.clone(),
            since: held.since,
            renewed: held.renewed,
            refreshes: held.grant.refresh.is_some(),
        };
        self.all().iter().map(listed).collect()
    }

    /// Servers at which a client has one, be it one that cannot be opened now.
    pub fn servers_of(&self, client: &str) -> BTreeSet<String> {
        let of = |(server, of): &Place| (of == client).then(|| server.clone());
        let opened: BTreeSet<_> = self.all().keys().filter_map(of).collect();
        lock(&self.closed).keys().filter_map(of).chain(opened).collect()
    }

    /// Seals them anew where another key seals now: the one before opens for a while only.
    pub fn follow_seal(&self) {
        if *lock(&self.sealed_by) != self.seal.key() && !self.all().is_empty() {
            self.write();
        }
    }

    /// Why what is granted would not outlive the process, or was lost.
    pub fn trouble(&self) -> Option<String> {
        lock(&self.trouble).clone()
    }

    async fn written(self: &Arc<Self>) {
        let grants = Arc::clone(self);
        // A disk that does not answer holds up whoever asked, and no core.
        drop(spawn_blocking(move || grants.write()).await);
    }

    fn write(&self) {
        let Some(folder) = &self.folder else { return };
        let _turn = lock(&self.writing);
        let (all, closed, key) = (self.all().clone(), lock(&self.closed).clone(), self.seal.key());
        let written = file::save(folder, &self.seal, &all, &closed);
        let mut trouble = lock(&self.trouble);
        match written {
            Ok(()) => {
                *lock(&self.sealed_by) = key;
                let before = std::mem::replace(&mut *trouble, told_of(closed.len()));
                if before.is_some() && trouble.is_none() {
                    info!("what users allow is kept across a restart again");
                }
            }
            Err(problem) => {
                let told = format!("what users allow is not kept across a restart: {problem}");
                warn!(folder = %folder.display(), "{told}");
                *trouble = Some(told);
            }
        }
    }

    fn next() -> u64 {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        NEXT.fetch_add(1, Ordering::Relaxed)
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<Place, Held>> {
        lock(&self.all)
    }
}

/// What is said of grants that cannot be opened; none where there are none.
fn told_of(closed: usize) -> Option<String> {
    let told = "users are asked again, unless the key comes back that what they allowed was sealed with";
    (closed > 0).then(|| format!("{closed} {told}"))
}

fn place(server: &str, client: &str) -> Place {
    (server.to_owned(), client.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::settings::Sealing;

    fn grant(number: u32) -> Grant {
        let secret = |what: &str| Secret::new(format!("{what}-{number}"));
        Grant { access: secret("access"), refresh: Some(secret("refresh")), until: 7 }
    }

    fn on_a_runtime<T>(work: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
    }

    #[test]
    fn a_grant_is_there_after_a_restart_and_nobody_elses_and_not_to_be_read_in_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let seal = Arc::new(Seal::start(Some(folder.path()), &Sealing::default()));
        let open = |seal: &Arc<Seal>| Arc::new(Grants::open(Some(folder.path()), Arc::clone(seal)));
        let grants = open(&seal);
        assert!(on_a_runtime(grants.give("crm", "key:ana", "ana", grant(1))));
        assert!(on_a_runtime(grants.renew("crm", "key:ana", grants.number("crm", "key:ana").unwrap(), grant(2))));
        let text = std::fs::read_to_string(folder.path().join(file::NAME)).unwrap();
        assert!(!text.contains("access-") && !text.contains("refresh-"), "{text}");
        let again = open(&seal);
        let found = again.get("crm", "key:ana").unwrap();
        assert_eq!((found.access.expose(), found.refresh.unwrap().expose()), ("access-2", "refresh-2"));
        assert!(again.get("crm", "key:bob").is_none() && again.get("hr", "key:ana").is_none());
        seal.rotate(true, false).unwrap();
        grants.follow_seal();
        assert!(open(&seal).get("crm", "key:ana").is_some(), "they are sealed anew with a key that is new");
        let other = open(&Arc::new(Seal::random()));
        assert!(other.get("crm", "key:ana").is_none() && other.trouble().is_some(), "sealed with another key");
        on_a_runtime(other.give("crm", "key:bob", "bob", grant(3)));
        assert_eq!((other.servers_of("key:ana").len(), other.servers_of("key:eve").len()), (1, 0));
        assert!(other.trouble().is_some() && open(&seal).get("crm", "key:ana").is_some(), "the key has come back");
        assert!(other.revoke("crm", "key:ana") && other.trouble().is_none());
        assert!(open(&seal).get("crm", "key:ana").is_none(), "revoked while it could not be opened");
    }

    #[test]
    fn what_was_sealed_for_one_place_opens_at_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let seal = Arc::new(Seal::random());
        let grants = Arc::new(Grants::open(Some(folder.path()), Arc::clone(&seal)));
        on_a_runtime(grants.give("crm", "key:ana", "ana", grant(1)));
        let path = folder.path().join(file::NAME);
        let moved = std::fs::read_to_string(&path).unwrap().replace("key:ana", "key:eve");
        std::fs::write(&path, moved).unwrap();
        assert!(Grants::open(Some(folder.path()), seal).get("crm", "key:eve").is_none());
    }

    #[test]
    fn tokens_do_not_come_back_into_a_grant_that_was_revoked_meanwhile() {
        let grants = Arc::new(Grants::open(None, Arc::new(Seal::random())));
        on_a_runtime(async {
            grants.give("crm", "key:ana", "ana", grant(1)).await;
            let number = grants.number("crm", "key:ana").unwrap();
            let epoch = grants.epoch();
            assert!(grants.revoke("crm", "key:ana") && grants.epoch() > epoch);
            assert!(!grants.renew("crm", "key:ana", number, grant(2)).await);
            grants.give("crm", "key:ana", "ana", grant(3)).await;
            assert!(!grants.forget("crm", "key:ana", Some(number)).await, "another grant by now");
            assert_eq!(grants.get("crm", "key:ana").unwrap().access.expose(), "access-3");
        });
    }
}
