use std::rc::Rc;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::LocalSet;
use toolgate_protocol::revision::LATEST_LEGACY;

use super::*;
use crate::config;
use crate::core::{Core, Load};
use crate::gate::Gate;
use crate::instance::notice::{self, Hello};
use crate::policy::Policy;
use crate::provenance::Provenance;
use crate::sessions::{Hosted, Place};

async fn instance(mut stream: UnixStream) {
    let hello = notice::line(&Hello { server: "old".to_owned(), pid: 7, cgroup: None });
    stream.write_all(&hello).await.unwrap();
    stream.read_to_end(&mut Vec::new()).await.unwrap();
}

#[test]
fn a_call_that_was_stopped_is_cancelled_however_its_server_ends_it() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("servers")).unwrap();
    let text = format!("version = 1\n[daemon]\nruntime_dir = {:?}\n[server.old]\ncommand = [\"x\"]\n", folder.path());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, async {
        let socket = UnixListener::bind(folder.path().join("servers/old.sock")).unwrap();
        tokio::task::spawn_local(async move {
            loop {
                tokio::task::spawn_local(instance(socket.accept().await.unwrap().0));
            }
        });
        let settings = config::from_text(&text).unwrap_or_else(|report| panic!("{}", report.render(false)));
        let core =
            Rc::new(Core::new(0, Arc::new(Load::default()), Gate::new(Policy::new(Arc::new(settings), None).unwrap())));
        let server = Arc::clone(&core.policy().servers["old"]);
        let request = Message::parse(r#"{"jsonrpc":"2.0","id":1,"method":"tools/call"}"#.into()).unwrap();
        let hosted = Hosted::new(LATEST_LEGACY, request.clone(), false);
        // Often enough that no luck makes up for the order.
        for _ in 0..32 {
            let leg = server.own_leg(Era::Legacy, "x").await.unwrap();
            let mut exchange = leg.call(&core, &request, &Provenance::own()).await.unwrap();
            let place = Place { leg: leg.clone(), id: exchange.id_there(), token: None, stop: Arc::default() };
            exchange.keep(hosted.runs(request.id_bytes(), place.clone()));
            let mut news = leg.news().unwrap().subscribe();
            leg.end_instance();
            assert_eq!(news.next().await, None, "its end is known");
            place.stop.notify_one();
            let Step::Lost(failure) = exchange.next().await else { panic!("a call that is over") };
            assert_eq!(failure.kind, Kind::Cancelled, "{failure}");
        }
    });
}
