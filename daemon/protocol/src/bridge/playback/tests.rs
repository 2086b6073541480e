//! The rules one by one, and a simulation of servers that require input and clients that answer, late or twice.

use proptest::prelude::*;

use super::*;
use crate::bridge::capabilities::Ask;
use crate::bridge::fixture::{self, Dice, read, value};
use crate::bridge::{members, raw};
use crate::envelope::scan;

const CALL: &[u8] = br#"{"jsonrpc":"2.0","id":9,"method":"tools/call","params":{"name":"n", "arguments":{"x":1.0}}}"#;
const LIST: &[u8] = br#"{"jsonrpc":"2.0","id":9,"method":"tools/list"}"#;
const ALL: &[u8] = b"{\"elicitation\":{\"form\":{},\"url\":{}},\"sampling\":{},\"roots\":{}}";

fn playback(call: &'static [u8], capabilities: &[u8]) -> Playback {
    let client = Arc::new(Declared { capabilities: capabilities.to_vec(), info: None });
    Playback::new(Bytes::from_static(call), read(call), client, None)
}

fn require(playback: &mut Playback, result: &str) -> Step {
    let mut next = 100;
    playback.input_required(result.as_bytes(), members::whole(result.as_bytes()), &mut || {
        next += 1;
        next.to_string().into_bytes()
    })
}

fn answer(playback: &mut Playback, response: &str) -> Step {
    let text = format!(r#"{{"jsonrpc":"2.0",{response}}}"#);
    playback.answered(text.as_bytes(), &read(text.as_bytes()))
}

fn retry(step: Step) -> (String, u64) {
    let Step::Retry { request, after } = step else { panic!("a retry, not {step:?}") };
    (String::from_utf8(request).expect("UTF-8"), after)
}

const META: &str = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{"elicitation":{"form":{},"url":{}},"sampling":{},"roots":{}}}"#;

#[test]
fn questions_are_asked_and_their_answers_sent_along() {
    let mut call = playback(CALL, ALL);
    let step = require(
        &mut call,
        r#"{"resultType":"input_required","inputRequests":{"a\u0031":{"method":"elicitation/create","params":{"message":"m","n":1.0}},"r":{"method":"roots/list"}},"requestState":"s\u0021"}"#,
    );
    let Step::Ask(asked) = step else { panic!("questions") };
    let asked: Vec<_> = asked.iter().map(|one| String::from_utf8_lossy(one)).collect();
    assert_eq!(
        asked,
        [
            r#"{"jsonrpc":"2.0","id":101,"method":"elicitation/create","params":{"message":"m","n":1.0}}"#,
            r#"{"jsonrpc":"2.0","id":102,"method":"roots/list"}"#
        ]
    );
    assert_eq!(answer(&mut call, r#""id":102,"result":{"roots":[]}"#), Step::Nothing);
    assert_eq!(answer(&mut call, r#""id":102,"result":{"roots":[1]}"#), Step::Nothing, "twice");
    assert_eq!(answer(&mut call, r#""id":"101","result":{}"#), Step::Nothing, "another id");
    let (text, after) = retry(answer(&mut call, r#""id":101,"result":{"action":"accept","content":{"k":1.50}}"#));
    assert_eq!(after, 0);
    assert_eq!(
        text,
        format!(
            r#"{{"jsonrpc":"2.0","id":9,"method":"tools/call","params":{{"name":"n", "arguments":{{"x":1.0}},"inputResponses":{{"a\u0031":{{"action":"accept","content":{{"k":1.50}}}},"r":{{"roots":[]}}}},"requestState":"s\u0021",{META}}}}}"#
        )
    );
    assert_eq!(answer(&mut call, r#""id":101,"result":{}"#), Step::Nothing, "late");
}

#[test]
fn a_state_of_an_earlier_round_is_not_sent_again() {
    let mut call = playback(CALL, ALL);
    let (text, _) = retry(require(&mut call, r#"{"requestState":"one","inputRequests":{}}"#));
    assert!(text.contains(r#""requestState":"one""#) && !text.contains("inputResponses"));
    let Step::Ask(_) = require(&mut call, r#"{"inputRequests":{"r":{"method":"roots/list","params":null}}}"#) else {
        panic!("questions")
    };
    let (text, _) = retry(answer(&mut call, r#""id":101,"result":{}"#));
    assert!(!text.contains("requestState"), "{text}");
}

#[test]
fn quiet_rounds_wait_longer_and_end() {
    let mut call = playback(CALL, ALL);
    let mut waits = Vec::new();
    for _ in 0..QUIET_ROUNDS {
        waits.push(retry(require(&mut call, r#"{"requestState":"s"}"#)).1);
    }
    assert_eq!(waits[..4], [0, 100, 200, 400]);
    assert_eq!(waits[15], 5_000);
    assert_eq!(require(&mut call, r#"{"requestState":"s"}"#), Step::Fail(Failure::TooManyRounds, vec![]));
    assert_eq!(require(&mut call, r#"{"requestState":"s"}"#), Step::Nothing, "it is over");
}

#[test]
fn a_url_gets_the_id_that_legacy_clients_demand() {
    let mut call = playback(CALL, ALL);
    let url = r#"{"inputRequests":{"u":{"method":"elicitation/create","params":{"mode":"url","url":"https://x","message":"m"}}}}"#;
    let Step::Ask(asked) = require(&mut call, url) else { panic!("a question") };
    assert_eq!(value(&asked[0])["params"]["elicitationId"], "toolgate.101");
}

#[test]
fn a_client_that_errs_cancels_a_form_and_ends_all_else() {
    const BOTH: &str = r#"{"inputRequests":{"f":{"method":"elicitation/create","params":{}},"s":{"method":"sampling/createMessage","params":{}}}}"#;
    let mut call = playback(CALL, ALL);
    require(&mut call, BOTH);
    assert_eq!(answer(&mut call, r#""id":101,"error":{"code":-1,"message":"no"}"#), Step::Nothing);
    let (text, _) = retry(answer(&mut call, r#""id":102,"result":{"role":"x"}"#));
    assert!(text.contains(r#""inputResponses":{"f":{"action":"cancel"},"s":{"role":"x"}}"#), "{text}");

    let mut call = playback(CALL, ALL);
    require(&mut call, BOTH);
    let Step::Fail(failure, open) = answer(&mut call, r#""id":102,"error":{"code":-1,"message":"no","x":1.0}"#) else {
        panic!("a failure")
    };
    assert_eq!(open, [b"101".to_vec()], "the form is still shown");
    assert_eq!(failure.answer(b"9"), br#"{"jsonrpc":"2.0","id":9,"error":{"code":-1,"message":"no","x":1.0}}"#);
}

#[test]
fn what_was_not_declared_is_not_asked() {
    let mut call = playback(CALL, b"{\"roots\":{}}");
    let both = r#"{"inputRequests":{"r":{"method":"roots/list"},"s":{"method":"sampling/createMessage","params":{}}}}"#;
    let Step::Fail(failure, open) = require(&mut call, both) else { panic!("a failure") };
    assert_eq!((&failure, open), (&Failure::Undeclared(Ask::Sampling), vec![]));
    assert_eq!(value(&failure.answer(b"\"x\""))["error"]["data"]["requiredCapabilities"]["sampling"], value(b"{}"));
}

#[test]
fn malformed_wishes_end_the_call() {
    for result in [
        "{}",
        r#"{"requestState":1}"#,
        r#"{"inputRequests":[]}"#,
        r#"{"inputRequests":{"a":1}}"#,
        r#"{"inputRequests":{"a":{"method":"ping"}}}"#,
        r#"{"inputRequests":{"a":{"method":"elicitation/create"}}}"#,
        r#"{"inputRequests":{"a":{"method":"elicitation/create","params":[]}}}"#,
        r#"{"inputRequests":{"a":{"method":"roots/list"},"\u0061":{"method":"roots/list"}}}"#,
    ] {
        let step = require(&mut playback(CALL, ALL), result);
        assert!(matches!(step, Step::Fail(Failure::Malformed(_), _)), "{result}: {step:?}");
    }
    let step = require(&mut playback(LIST, ALL), r#"{"requestState":"s"}"#);
    assert!(matches!(step, Step::Fail(Failure::Malformed(_), _)), "{step:?}");
}

proptest! {
    #[test]
    fn no_wish_makes_it_panic(requests in fixture::any_value(), state in fixture::any_value(), one in fixture::object()) {
        for result in [
            one.clone(),
            format!(r#"{{"inputRequests":{requests},"requestState":{state}}}"#),
            format!(r#"{{"inputRequests":{{"a":{{"method":"elicitation/create","params":{one}}}}}}}"#),
            format!(r#"{{"inputRequests":{{"a":{one}}},"requestState":"s"}}"#),
        ] {
            match require(&mut playback(CALL, ALL), &result) {
                Step::Nothing => prop_assert!(false, "the call would hang"),
                Step::Ask(asked) => prop_assert!(asked.iter().all(|message| scan(message).is_ok())),
                Step::Retry { request, .. } => prop_assert!(scan(&request).is_ok()),
                Step::Fail(failure, _) => prop_assert!(scan(&failure.answer(b"1")).is_ok()),
            }
        }
    }
}

#[test]
fn an_end_gives_up_what_is_open() {
    let mut call = playback(CALL, ALL);
    require(&mut call, r#"{"inputRequests":{"a":{"method":"roots/list"},"b":{"method":"roots/list"}}}"#);
    answer(&mut call, r#""id":101,"result":{}"#);
    assert_eq!(call.end(), [b"102".to_vec()]);
    assert_eq!(call.end(), Vec::<Vec<u8>>::new());
    assert_eq!(answer(&mut call, r#""id":102,"result":{}"#), Step::Nothing);
}

/// The world of one call: what the server asked in this round, and what the client was asked.
struct World {
    call: Playback,
    first: Vec<u8>,
    ids: usize,
    /// By the id at the client: the key, and the answer that was given.
    asked: Vec<(String, String, Option<String>)>,
    state: Option<String>,
    retries: usize,
}

impl World {
    fn new() -> Self {
        let call = playback(CALL, ALL);
        Self { first: call.first(), call, ids: 0, asked: Vec::new(), state: None, retries: 0 }
    }

    /// The server requires something; true when it is the client's turn.
    fn server(&mut self, dice: &mut Dice) -> bool {
        let count = dice.below(4);
        self.state = (count == 0 || dice.one_in(2)).then(|| format!("\"state {}\"", dice.below(99)));
        let requests: Vec<String> = (0..count)
            .map(|key| {
                let method = ["elicitation/create", "sampling/createMessage", "roots/list"][dice.below(3)];
                format!(r#""k{key}":{{"method":"{method}","params":{{}}}}"#)
            })
            .collect();
        let state = self.state.as_ref().map(|state| format!(r#","requestState":{state}"#)).unwrap_or_default();
        let text = format!(r#"{{"inputRequests":{{{}}}{state}}}"#, requests.join(","));
        let ids = &mut self.ids;
        let step = self.call.input_required(text.as_bytes(), members::whole(text.as_bytes()), &mut || {
            *ids += 1;
            ids.to_string().into_bytes()
        });
        match step {
            Step::Ask(messages) => {
                assert_eq!(messages.len(), count);
                self.asked = messages
                    .iter()
                    .enumerate()
                    .map(|(key, message)| (value(message)["id"].to_string(), format!("k{key}"), None))
                    .collect();
                true
            }
            Step::Retry { request, .. } => {
                assert_eq!(count, 0);
                self.asked.clear();
                self.check(&request);
                false
            }
            other => panic!("{other:?}"),
        }
    }

    /// The client answers something, or repeats itself, or answers what nobody asked; true when the server has it all.
    fn client(&mut self, dice: &mut Dice) -> bool {
        if dice.one_in(4) {
            let id = dice.below(2 * self.ids + 2);
            let is_open = self.asked.iter().any(|(asked, _, answer)| *asked == id.to_string() && answer.is_none());
            if !is_open {
                assert_eq!(answer(&mut self.call, &format!(r#""id":{id},"result":{{"stray":true}}"#)), Step::Nothing);
            }
            return false;
        }
        let at = dice.below(self.asked.len());
        let (id, _, given) = &mut self.asked[at];
        let result = format!(r#"{{"n":{}.0}}"#, dice.below(1000));
        let step = answer(&mut self.call, &format!(r#""id":{id},"result":{result}"#));
        if given.is_some() {
            assert_eq!(step, Step::Nothing, "an answer counts once");
            return false;
        }
        *given = Some(result);
        if self.asked.iter().any(|(_, _, given)| given.is_none()) {
            assert_eq!(step, Step::Nothing);
            return false;
        }
        let Step::Retry { request, .. } = step else { panic!("{step:?}") };
        self.check(&request);
        true
    }

    /// A retry is the first request and what it adds: each answer under its key, and the state of this round.
    fn check(&mut self, request: &[u8]) {
        self.retries += 1;
        let envelope = scan(request).expect("a message");
        let params = envelope.params.expect("params");
        let mut edits = members::rewrite(request, params, &[], &["inputResponses", "requestState"]);
        assert_eq!(crate::splice::apply(request, &mut edits), self.first);
        assert_eq!(raw(request, envelope.request_state), self.state.as_deref().unwrap_or_default().as_bytes());
        let given: Vec<String> = self
            .asked
            .iter()
            .map(|(_, key, given)| format!(r#""{key}":{}"#, given.as_ref().expect("each was answered")))
            .collect();
        let given = if given.is_empty() { String::new() } else { format!("{{{}}}", given.join(",")) };
        assert_eq!(String::from_utf8_lossy(raw(request, envelope.input_responses)), given);
    }
}

#[test]
fn in_two_thousand_calls_every_question_is_answered_once_or_given_up_once() {
    let (mut retries, mut given_up) = (0, 0);
    for seed in 1..=2_000 {
        let mut dice = Dice::new(seed);
        let mut world = World::new();
        let mut client = false;
        for _ in 0..dice.below(60) {
            client = if client { !world.client(&mut dice) } else { world.server(&mut dice) };
            if world.call.rounds >= QUIET_ROUNDS {
                break;
            }
        }
        let open: Vec<Vec<u8>> = world
            .asked
            .iter()
            .filter(|(_, _, given)| client && given.is_none())
            .map(|(id, ..)| id.clone().into_bytes())
            .collect();
        assert_eq!(world.call.end(), open, "seed {seed}");
        for id in &open {
            let late = format!(r#""id":{},"result":{{}}"#, String::from_utf8_lossy(id));
            assert_eq!(answer(&mut world.call, &late), Step::Nothing, "seed {seed}");
        }
        retries += world.retries;
        given_up += open.len();
    }
    assert!(retries > 5_000 && given_up > 500, "the schedules are too tame: {retries} retries, {given_up} given up");
}
