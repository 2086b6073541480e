use std::future::poll_fn;

use tokio::task::LocalSet;
use tokio::time::timeout;
use toolgate_protocol::revision::LATEST_LEGACY;

use super::*;
use crate::config;
use crate::core::Load;
use crate::gate::Gate;
use crate::message::Message;
use crate::policy::Policy;
use crate::sessions::{Bounds, CHANGE_GAP, Table};

#[test]
fn a_reader_that_lagged_hears_of_all_lists_and_of_the_one_that_it_was_told_of_last() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, async {
        let settings = config::from_text("version = 1\n").unwrap_or_else(|report| panic!("{}", report.render(false)));
        let gate = Gate::new(Policy::new(Arc::new(settings), None).unwrap());
        let core = Rc::new(Core::new(0, Arc::new(Load::default()), gate));
        let initialize = Message::parse(r#"{"jsonrpc":"2.0","id":1,"method":"initialize"}"#.into()).unwrap();
        let kind = Kind::Hosted(Box::new(Hosted::new(LATEST_LEGACY, initialize, false)));
        let opened = Table::default().open(&"key:ann".into(), "", kind, Bounds { all: 1, per_client: 1 });
        let session = opened.unwrap().session;
        let mut reading = session.hosted().unwrap().outbox.open();
        let follower = Follower { core: Rc::clone(&core), session: Arc::downgrade(&session) };
        follower.pass_on(&session, Word::Said(listen::announcement(List::Tools).into()));
        follower.pass_on(&session, Word::Lagged);
        let mut heard = Vec::new();
        for _ in 0..4 {
            let event = timeout(Duration::from_secs(20), poll_fn(|context| reading.poll_next(context))).await;
            let text = String::from_utf8(event.expect("an announcement").unwrap().text.to_vec()).unwrap();
            let is_about = |list: &List| text.contains(list.method().as_str());
            heard.push(List::ALL.into_iter().find(is_about).expect("a list"));
        }
        assert_eq!(heard, [List::Tools, List::Prompts, List::Resources, List::Tools], "{CHANGE_GAP} ms apart");
    });
}
