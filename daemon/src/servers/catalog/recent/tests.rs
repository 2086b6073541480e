use std::cell::{Cell, RefCell};
use std::time::Duration;

use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::LocalSet;
use tokio::time::timeout;

use super::*;
use crate::config;
use crate::core::Load;
use crate::gate::Gate;
use crate::policy::Policy;
use crate::servers::fixture;

const DISCOVERED: &str =
    r#"{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{"tools":{"listChanged":true}}}"#;

/// A modern server of one tool.
struct Fake {
    /// What follows `"id":…,` in answers to lists; a counter stands for `@`.
    says: RefCell<String>,
    lists: Cell<usize>,
    /// Lists that may be answered.
    may_answer: Semaphore,
}

impl Fake {
    fn describe(&self, description: &str) {
        *self.says.borrow_mut() = format!(
            r#""result":{{"resultType":"complete","tools":[{{"name":"t","description":{description:?},"inputSchema":{{"type":"object"}}}}]}}"#
        );
    }
}

async fn serve(listener: TcpListener, fake: Rc<Fake>) {
    loop {
        let (socket, _) = listener.accept().await.unwrap();
        tokio::task::spawn_local(answer(socket, Rc::clone(&fake)));
    }
}

async fn answer(socket: TcpStream, fake: Rc<Fake>) {
    let mut socket = BufReader::new(socket);
    while let Some(message) = fixture::message(&mut socket).await {
        let says = if message.method() == "server/discover" {
            format!(r#""result":{DISCOVERED}"#)
        } else {
            fake.lists.set(fake.lists.get() + 1);
            fake.may_answer.acquire().await.unwrap().forget();
            fake.says.borrow().replace('@', &fake.lists.get().to_string())
        };
        let id = String::from_utf8(message.id_bytes().to_vec()).unwrap();
        let text = format!(r#"{{"jsonrpc":"2.0","id":{id},{says}}}"#);
        let head =
            format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n", text.len());
        socket.write_all((head + &text).as_bytes()).await.unwrap();
    }
}

/// A gate before such a server, which answers as many lists as it is asked for until it is told otherwise.
fn before(test: impl AsyncFnOnce(Rc<Core>, Arc<Server>, Rc<Fake>)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let written = format!(
            "version = 1\n[server.a]\nendpoints = \"http://{}/mcp\"\npin = \"block\"\ntimeout.first_byte = \"5s\"\n",
            listener.local_addr().unwrap()
        );
        let settings = config::from_text(&written).unwrap_or_else(|report| panic!("{}", report.render(false)));
        let gate = Gate::new(Policy::new(Arc::new(settings), None).unwrap());
        let core = Rc::new(Core::new(0, Arc::new(Load::default()), gate));
        let server = Arc::clone(&core.policy().servers["a"]);
        let fake =
            Fake { says: RefCell::default(), lists: Cell::new(0), may_answer: Semaphore::new(Semaphore::MAX_PERMITS) };
        fake.describe("Reads.");
        let fake = Rc::new(fake);
        tokio::task::spawn_local(serve(listener, Rc::clone(&fake)));
        timeout(Duration::from_secs(60), test(core, server, fake)).await.expect("it comes to an end");
    });
}

/// A minute goes by in which nobody lists.
fn leave_alone(server: &Server) {
    server.catalog.recent.since.store(clock::millis().wrapping_sub(FRESH), Ordering::Release);
}

#[test]
fn what_was_listed_long_ago_is_listed_again_before_anybody_goes_on() {
    before(async |core, server, fake| {
        recently_listed(&core, &server).await.unwrap();
        recently_listed(&core, &server).await.unwrap();
        assert!(server.catalog.is_recent() && fake.lists.get() == 1, "one list holds for a minute");
        fake.describe("Sends.");
        leave_alone(&server);
        assert!(!server.catalog.is_recent() && !server.answers.withholds("t"));
        recently_listed(&core, &server).await.unwrap();
        assert!(server.catalog.is_recent() && fake.lists.get() == 2);
        assert!(server.answers.withholds("t"), "whoever waited knows of the change");
    });
}

#[test]
fn what_changes_while_it_is_listed_is_listed_again() {
    before(async |core, server, fake| {
        recently_listed(&core, &server).await.unwrap();
        leave_alone(&server);
        let began = server.catalog.recent.begins();
        server.lists_changed();
        server.catalog.recent.ends(began);
        assert!(!server.catalog.is_recent());
        recently_listed(&core, &server).await.unwrap();
        assert!(server.catalog.is_recent() && fake.lists.get() == 2);
    });
}

#[test]
fn all_who_wait_share_one_list_which_outlives_who_began_it() {
    before(async |core, server, fake| {
        fake.may_answer.forget_permits(Semaphore::MAX_PERMITS);
        let wait = || {
            let (core, server) = (Rc::clone(&core), Arc::clone(&server));
            tokio::task::spawn_local(async move { recently_listed(&core, &server).await })
        };
        let first = wait();
        while fake.lists.get() == 0 {
            tokio::task::yield_now().await;
        }
        let others: Vec<_> = (0..20).map(|_| wait()).collect();
        first.abort();
        tokio::task::yield_now().await;
        fake.may_answer.add_permits(1);
        for other in others {
            other.await.unwrap().unwrap();
        }
        assert_eq!(fake.lists.get(), 1);
    });
}

#[test]
fn a_list_that_is_not_whole_vouches_for_nothing() {
    before(async |core, server, fake| {
        for (says, why) in [
            (r#""error":{"code":-32603,"message":"broken"}"#, "answered with an error"),
            (r#""result":{"resultType":"complete","tools":[],"nextCursor":"@"}"#, "does not come to an end"),
        ] {
            fake.says.replace(says.to_owned());
            let failure = recently_listed(&core, &server).await.unwrap_err();
            assert!(failure.kind == Kind::ServerGarbage && failure.message.contains(why), "{failure}");
            assert!(!server.catalog.is_recent());
        }
        fake.describe("Reads.");
        recently_listed(&core, &server).await.unwrap();
        assert!(server.catalog.is_recent(), "the next one asks again");
    });
}
