//! Two gates in a row: a legacy client, a modern middle, a legacy server. What both ends say must arrive as it was said.

use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;

use super::parking::{Arrival, Parked, Questions, Retry};
use super::playback::{Playback, Step};
use super::request::{self, Declared};
use super::{digest, fixture, raw};
use crate::bridge::fixture::{Dice, read, value};
use crate::error::result_body;

const METHODS: [&str; 3] = ["elicitation/create", "sampling/createMessage", "roots/list"];

fn digest_of(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    digest::digest(text, &read(text), &mut |piece| out.extend_from_slice(piece));
    out
}

/// The far gate: a parked call on a legacy server.
struct Far {
    parked: Parked<&'static str, Vec<u8>, Questions>,
}

impl Far {
    /// Answers a retry: what the server hears.
    fn retried(&mut self, retry: &[u8]) -> Vec<Vec<u8>> {
        let envelope = read(retry);
        let place = envelope.request_state_str(retry).expect("it carries the state").parse().expect("our state");
        let place = super::parking::Place(place);
        let Retry::Resumes(questions) = self.parked.retry(place, &"near", &digest_of(retry), 1) else {
            panic!("the place does not open")
        };
        let heard = questions.retried(retry, &envelope);
        assert!(questions.is_empty(), "everything was answered");
        self.parked.park_again(place, 1);
        heard
    }

    /// The server asks; the far gate's answer to the request `id` of the near one.
    fn asked(&mut self, place: super::parking::Place, requests: &[Vec<u8>], capabilities: &[u8], id: &[u8]) -> Vec<u8> {
        let questions = self.parked.get_mut(place).expect("it is parked");
        for request in requests {
            assert_eq!(questions.arrived(request, &read(request), capabilities), Arrival::Ask);
        }
        questions.input_required(id, &place.0.to_string())
    }
}

proptest! {
    #[test]
    fn questions_and_answers_pass_two_gates_unchanged(
        rounds in prop::collection::vec(prop::collection::vec((0..3_usize, fixture::object(), fixture::object()), 1..4), 1..4),
        arguments in fixture::object(),
        seed: u64,
    ) {
        let mut dice = Dice::new(seed);
        let call = format!(
            r#"{{"jsonrpc":"2.0","id":"c","method":"tools/call","params":{{"name":"n","arguments":{arguments},"_meta":{{"progressToken":7}}}}}}"#
        );
        let client = Arc::new(Declared {
            capabilities: b"{\"elicitation\":{},\"sampling\":{},\"roots\":{}}".to_vec(),
            info: None,
        });
        let mut near = Playback::new(Bytes::from(call.clone()), read(call.as_bytes()), Arc::clone(&client), None);
        let first = near.first();
        prop_assert_eq!(request::to_legacy(&first, &read(&first)), call.as_bytes(), "the server gets the client's text");

        let mut far = Far { parked: Parked::new(seed) };
        let place = far.parked.park("near", digest_of(&first), 0, Questions::default()).expect("there is room");
        let mut ids = 0;
        for (round, questions) in rounds.iter().enumerate() {
            let requests: Vec<Vec<u8>> = questions.iter().enumerate().map(|(at, (method, params, _))| {
                format!(r#"{{"jsonrpc":"2.0","id":"s{round}-{at}","method":"{}","params":{params}}}"#, METHODS[*method]).into()
            }).collect();
            let required = far.asked(place, &requests, &client.capabilities, b"1");
            let envelope = read(&required);
            let step = near.input_required(&required, envelope.result.expect("a result"), &mut || {
                ids += 1;
                format!("\"g{ids}\"").into_bytes()
            });
            let Step::Ask(asked) = step else { panic!("{step:?}") };
            for (message, (method, params, _)) in asked.iter().zip(questions) {
                let envelope = read(message);
                let sent = envelope.method_str(message).map(std::borrow::Cow::into_owned);
                prop_assert_eq!(sent.as_deref(), Some(METHODS[*method]));
                prop_assert_eq!(raw(message, envelope.params), params.as_bytes(), "the client gets the server's text");
            }
            let mut order: Vec<usize> = (0..asked.len()).collect();
            let mut retry = None;
            while !order.is_empty() {
                let at = order.swap_remove(dice.below(order.len()));
                let id = raw(&asked[at], read(&asked[at]).id).to_vec();
                let response = result_body(&id, questions[at].2.as_bytes());
                match near.answered(&response, &read(&response)) {
                    Step::Nothing => prop_assert!(!order.is_empty(), "the last answer starts the retry"),
                    Step::Retry { request, .. } => retry = Some(request),
                    other => panic!("{other:?}"),
                }
            }
            let heard = far.retried(&retry.expect("a retry"));
            prop_assert_eq!(heard.len(), questions.len());
            for response in heard {
                let id = value(&response)["id"].as_str().expect("the server's id").to_owned();
                let at: usize = id.strip_prefix(&format!("s{round}-")).expect("of this round").parse().expect("a place");
                let envelope = read(&response);
                prop_assert_eq!(raw(&response, envelope.result), questions[at].2.as_bytes(), "the server gets the client's");
            }
        }
    }
}
