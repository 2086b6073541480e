//! The rules one by one, and a simulation of clients, servers and a clock around one table.

use std::collections::HashMap;

use super::*;
use crate::bridge::fixture::{Dice, read, value};

const ALL: &[u8] = b"{\"elicitation\":{},\"sampling\":{},\"roots\":{}}";

fn arrive(questions: &mut Questions, request: &str, capabilities: &[u8]) -> Arrival {
    let text = format!(r#"{{"jsonrpc":"2.0",{request}}}"#);
    questions.arrived(text.as_bytes(), &read(text.as_bytes()), capabilities)
}

fn try_again(questions: &mut Questions, params: &str) -> Vec<String> {
    let text = format!(r#"{{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{params}}}"#);
    let responses = questions.retried(text.as_bytes(), &read(text.as_bytes()));
    responses.into_iter().map(|response| String::from_utf8(response).expect("UTF-8")).collect()
}

fn refusal(arrival: Arrival) -> i64 {
    let Arrival::Answer(answer) = arrival else { panic!("an answer, not {arrival:?}") };
    value(&answer)["error"]["code"].as_i64().expect("a code")
}

#[test]
fn what_a_server_asks_reaches_the_client_as_it_was_asked() {
    let mut questions = Questions::default();
    let form = r#""id":"x","method":"elicitation/create","params":{"message":"m\u0021","n":1.0}"#;
    assert_eq!(arrive(&mut questions, form, ALL), Arrival::Ask);
    assert_eq!(arrive(&mut questions, form, ALL), Arrival::Nothing, "delivered twice");
    assert_eq!(arrive(&mut questions, r#""id":1,"method":"roots/list""#, ALL), Arrival::Ask);
    assert_eq!(
        String::from_utf8_lossy(&questions.input_required(b"7", "sealed\"")),
        r#"{"jsonrpc":"2.0","id":7,"result":{"resultType":"input_required","inputRequests":{"toolgate.ask.1":{"method":"elicitation/create","params":{"message":"m\u0021","n":1.0}},"toolgate.ask.2":{"method":"roots/list"}},"requestState":"sealed\""}}"#
    );
    assert_eq!(
        try_again(&mut questions, r#"{"inputResponses":{"other":{},"toolgate.ask.1":{"action":"accept","k":1.0}}}"#),
        [r#"{"jsonrpc":"2.0","id":"x","result":{"action":"accept","k":1.0}}"#]
    );
    assert!(!questions.is_empty(), "the roots are still asked for");
    let rest = value(&questions.input_required(b"8", "s"));
    assert_eq!(rest["result"]["inputRequests"], value(br#"{"toolgate.ask.2":{"method":"roots/list"}}"#));
    assert_eq!(try_again(&mut questions, r#"{"inputResponses":{"toolgate.ask.1":{},"toolgate.ask.2":1}}"#), [""; 0]);
    assert_eq!(try_again(&mut questions, "{}"), [""; 0]);
    assert_eq!(
        try_again(&mut questions, r#"{"inputResponses":{"toolgate.ask.2":{"roots":[]}}}"#),
        [r#"{"jsonrpc":"2.0","id":1,"result":{"roots":[]}}"#]
    );
    assert!(questions.is_empty());
    assert_eq!(arrive(&mut questions, r#""id":1,"method":"roots/list""#, ALL), Arrival::Ask);
    assert!(value(&questions.input_required(b"9", "s"))["result"]["inputRequests"]["toolgate.ask.3"].is_object());
}

#[test]
fn nobody_is_asked_what_the_gate_can_answer() {
    let mut questions = Questions::default();
    let pong = Arrival::Answer(br#"{"jsonrpc":"2.0","id":1,"result":{}}"#.to_vec());
    assert_eq!(arrive(&mut questions, r#""id":1,"method":"ping""#, b"{}"), pong);
    for (request, code) in [
        (r#""id":1,"method":"roots/list""#, METHOD_NOT_FOUND),
        (r#""id":1,"method":"tasks/get","params":{"taskId":"t"}"#, METHOD_NOT_FOUND),
        (r#""id":1,"method":"elicitation/create","params":{"mode":"url"}"#, INVALID_PARAMS),
    ] {
        assert_eq!(refusal(arrive(&mut questions, request, b"{\"elicitation\":{}}")), code, "{request}");
    }
    assert_eq!(refusal(arrive(&mut questions, r#""id":1,"method":"sampling/createMessage""#, ALL)), INVALID_PARAMS);
    assert_eq!(arrive(&mut questions, r#""method":"elicitation/create""#, ALL), Arrival::Nothing);
    for id in 0..QUESTIONS {
        assert_eq!(arrive(&mut questions, &format!(r#""id":{id},"method":"roots/list""#), ALL), Arrival::Ask);
    }
    assert_eq!(refusal(arrive(&mut questions, r#""id":99,"method":"roots/list""#, ALL)), INTERNAL_ERROR);
}

#[test]
fn a_server_may_change_its_mind_and_a_client_go_away() {
    let mut questions = Questions::default();
    arrive(&mut questions, r#""id":1,"method":"roots/list""#, ALL);
    arrive(&mut questions, r#""id":"1","method":"roots/list""#, ALL);
    arrive(&mut questions, r#""id":2,"method":"elicitation/create","params":{}"#, ALL);
    let text = br#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#;
    assert!(questions.withdrawn(text, &read(text)));
    assert!(!questions.withdrawn(text, &read(text)));
    let told: Vec<serde_json::Value> = questions.give_up().iter().map(|response| value(response)).collect();
    assert_eq!((&told[0]["id"], &told[0]["error"]["code"]), (&"1".into(), &INTERNAL_ERROR.into()));
    assert_eq!((&told[1]["id"], &told[1]["result"]["action"]), (&2.into(), &"cancel".into()));
    assert_eq!(questions.give_up(), Vec::<Vec<u8>>::new());
}

#[test]
fn a_place_opens_to_its_owner_and_the_same_call() {
    let mut parked = Parked::new(7);
    let place = parked.park("ann", 1, 0, 'a').expect("there is room");
    assert_eq!(parked.retry(place, &"bob", &1, 5), Retry::Lost(Lost::Foreign));
    assert_eq!(parked.retry(place, &"ann", &2, 5), Retry::Lost(Lost::Different));
    assert_eq!(parked.retry(Place(99), &"ann", &1, 5), Retry::Lost(Lost::Gone));
    assert_eq!(parked.retry(place, &"ann", &1, 5), Retry::Resumes(&mut 'a'));
    assert_eq!(parked.retry(place, &"ann", &1, 6), Retry::Joins(&mut 'a'));
    assert_eq!(parked.retry(place, &"ann", &1, u64::MAX), Retry::Joins(&mut 'a'), "what runs does not expire");
    assert_eq!(parked.park_again(place, 10), Some(&mut 'a'));
    assert_eq!(parked.retry(place, &"ann", &1, 10 + PARKED_MILLIS), Retry::Lost(Lost::Gone));
    assert_eq!(parked.retry(place, &"ann", &1, 9 + PARKED_MILLIS), Retry::Resumes(&mut 'a'));
    assert_eq!(parked.take(place), Some('a'));
    assert_eq!(parked.retry(place, &"ann", &1, 0), Retry::Lost(Lost::Gone));
    assert!(parked.is_empty());
}

#[test]
fn an_owner_has_a_share_and_an_end_gives_it_back() {
    let mut parked = Parked::new(0);
    let places: Vec<Place> = (0..PER_OWNER).map(|call| parked.park("ann", call, 0, call).expect("room")).collect();
    assert_eq!(parked.park("ann", 99, 0, 99), Err(99));
    assert!(parked.park("bob", 1, 0, 1).is_ok());
    assert_eq!(parked.take(places[3]), Some(3));
    assert_eq!(parked.take(places[3]), None);
    assert!(parked.park("ann", 99, 0, 99).is_ok());
    assert!(parked.park("ann", 99, 0, 99).is_err());
}

/// One call on a legacy server, as the server sees it.
struct Call {
    owner: usize,
    questions: Questions,
    /// By id: how often the server got an answer.
    asked: HashMap<String, usize>,
}

impl Call {
    fn ask(&mut self, id: u64) {
        let request = format!(r#""id":{id},"method":"elicitation/create","params":{{"for":{}}}"#, self.owner);
        assert_eq!(arrive(&mut self.questions, &request, ALL), Arrival::Ask);
        self.asked.insert(id.to_string(), 0);
    }

    fn deliver(&mut self, responses: &[Vec<u8>]) {
        for response in responses {
            let response = value(response);
            let count = self.asked.get_mut(&response["id"].to_string()).expect("an answer to another call's question");
            *count += 1;
            let from = &response["result"]["from"];
            assert!(from.is_null() || *from == self.owner, "an answer of another client");
        }
    }

    fn end(mut self) {
        let rest = self.questions.give_up();
        self.deliver(&rest);
        assert!(self.asked.values().all(|count| *count == 1), "each question once: {:?}", self.asked);
    }
}

struct World {
    parked: Parked<usize, u64, Call>,
    /// All places that clients were ever told, and what each client believes is asked there.
    told: Vec<(Place, usize, u64, Vec<String>)>,
    running: Vec<Place>,
    /// Calls that wait for their client, and until when.
    waiting: Vec<(Place, u64)>,
    now: u64,
    ids: u64,
    resumed: usize,
    expired: usize,
    refused: usize,
}

impl World {
    fn step(&mut self, dice: &mut Dice) {
        match dice.below(8) {
            0 | 1 => self.call(dice),
            2 | 3 => self.retry(dice),
            4 => self.server(dice),
            5 => self.now += u64::try_from(dice.below(200_000)).expect("small"),
            _ => {
                let now = self.now;
                for (place, _) in self.waiting.extract_if(.., |(_, until)| *until <= now) {
                    self.expired += 1;
                    self.parked.take(place).expect("what waits is kept").end();
                }
            }
        }
        for owner in 0..2 {
            let held = self.told.iter().filter(|(place, of, ..)| *of == owner && self.parked.get_mut(*place).is_some());
            let held: std::collections::HashSet<Place> = held.map(|(place, ..)| *place).collect();
            assert!(held.len() <= PER_OWNER);
        }
    }

    /// A new call, during which the server asks something.
    fn call(&mut self, dice: &mut Dice) {
        let owner = dice.below(2);
        let mut call = Call { owner, questions: Questions::default(), asked: HashMap::new() };
        for _ in 0..=dice.below(3) {
            self.ids += 1;
            call.ask(self.ids);
        }
        let (digest, keys) = (self.ids, keys(&call));
        match self.parked.park(owner, digest, self.now, call) {
            Ok(place) => {
                self.waiting.push((place, self.now + PARKED_MILLIS));
                self.told.push((place, owner, digest, keys));
            }
            Err(call) => {
                self.refused += 1;
                call.end();
            }
        }
    }

    /// A client comes back with some of the answers, perhaps late, perhaps again, perhaps with another's state.
    fn retry(&mut self, dice: &mut Dice) {
        if self.told.is_empty() {
            return;
        }
        let (place, owner, digest, keys) = self.told[dice.below(self.told.len())].clone();
        let (who, what) = (if dice.one_in(8) { dice.below(3) } else { owner }, digest + u64::from(dice.one_in(8)));
        let call = match self.parked.retry(place, &who, &what, self.now) {
            Retry::Lost(_) => return,
            Retry::Joins(_) => {
                assert!(who == owner && what == digest);
                return;
            }
            Retry::Resumes(call) => call,
        };
        assert!(who == owner && what == digest, "a place opened to a stranger");
        self.resumed += 1;
        let waited = self.waiting.iter().position(|(waiting, _)| *waiting == place).expect("what is resumed waited");
        assert!(self.waiting.swap_remove(waited).1 > self.now, "a place outlives its time");
        let some: Vec<String> = keys.iter().filter(|_| !dice.one_in(3)).cloned().collect();
        let given: Vec<String> = some.iter().map(|key| format!(r#""{key}":{{"from":{owner}}}"#)).collect();
        let text = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"inputResponses":{{{}}}}}}}"#,
            given.join(",")
        );
        let responses = call.questions.retried(text.as_bytes(), &read(text.as_bytes()));
        call.deliver(&responses);
        if call.questions.is_empty() {
            self.running.push(place);
        } else {
            self.wait_again(place);
        }
    }

    /// A server whose call runs asks again, or is done.
    fn server(&mut self, dice: &mut Dice) {
        if self.running.is_empty() {
            return;
        }
        let place = self.running.swap_remove(dice.below(self.running.len()));
        if dice.one_in(2) {
            return self.parked.take(place).expect("what runs is kept").end();
        }
        self.ids += 1;
        let id = self.ids;
        self.parked.get_mut(place).expect("what runs is kept").ask(id);
        self.wait_again(place);
    }

    fn wait_again(&mut self, place: Place) {
        let keys = keys(self.parked.park_again(place, self.now).expect("it is kept"));
        self.waiting.push((place, self.now + PARKED_MILLIS));
        let before = self.told.iter().find(|(told, ..)| *told == place).expect("it was told").clone();
        self.told.push((place, before.1, before.2, keys));
    }
}

fn keys(call: &Call) -> Vec<String> {
    let asked = value(&call.questions.input_required(b"1", "s"));
    asked["result"]["inputRequests"].as_object().expect("requests").keys().cloned().collect()
}

#[test]
fn in_four_hundred_worlds_every_question_is_answered_once() {
    let (mut resumed, mut expired, mut refused) = (0, 0, 0);
    for seed in 1..=400 {
        let mut dice = Dice::new(seed);
        let mut world = World {
            parked: Parked::new(seed),
            told: Vec::new(),
            running: Vec::new(),
            waiting: Vec::new(),
            now: 0,
            ids: 0,
            resumed: 0,
            expired: 0,
            refused: 0,
        };
        for _ in 0..dice.below(250) {
            world.step(&mut dice);
        }
        let places: std::collections::BTreeSet<Place> = world.told.iter().map(|(place, ..)| *place).collect();
        places.into_iter().filter_map(|place| world.parked.take(place)).for_each(Call::end);
        assert!(world.parked.is_empty(), "seed {seed}");
        resumed += world.resumed;
        expired += world.expired;
        refused += world.refused;
    }
    let tame = format!("the schedules are too tame: {resumed} resumed, {expired} expired, {refused} refused");
    assert!(resumed > 3_000 && expired > 1_000 && refused > 50, "{tame}");
}
