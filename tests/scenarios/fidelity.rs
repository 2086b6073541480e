//! What passes keeps its bytes: what needs no edit all of them, what needs one all but the edited span's.
//!
//! Requests, answers and notifications are made of known pieces and compared as text at both ends, so that
//! nothing here parses what it judges. One gate serves all cases, in both eras, over HTTP and stdio.

use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use tokio::runtime::Runtime;
use toolgate_tests::caller::Caller;
use toolgate_tests::fake::Speaks;
use toolgate_tests::fake::http::Http;
use toolgate_tests::fake::record::{ID, Record, TOKEN};
use toolgate_tests::fake::stdio::Stdio;
use toolgate_tests::gate::{Gate, Setup};
use toolgate_tests::http::{EventStream, Head};
use toolgate_tests::json::{Json, Keys, number, style, text, unknown, value};
use toolgate_tests::mcp::Era;

/// Cases on each way.
const CASES: u32 = 40;
/// `bounds.body_bytes` and `line_bytes` where nothing else is written.
const BOUND: usize = 10 << 20;
/// More than any id of the gate's has digits.
const ID_DIGITS: usize = 20;

/// Stands for the tool's name in a request.
const NAME: char = '\u{3}';
/// Stands for the URI of a link in an answer.
const URI: char = '\u{4}';
const LINK: &str = "mem://one";

const JSON: &str = "application/json";
const EVENTS: &str = "text/event-stream";

/// A way through the gate.
#[derive(Debug, Clone, Copy)]
struct Way {
    path: &'static str,
    era: Era,
    /// The server behind it.
    server: &'static str,
}

impl Way {
    fn is_stdio(self) -> bool {
        self.server == "std"
    }

    /// Whether names and URIs are edited.
    fn is_merged(self) -> bool {
        self.path == "/mcp"
    }

    /// Whether nothing is edited.
    fn is_mirrored(self) -> bool {
        !self.is_stdio() && !self.is_merged()
    }

    fn tool(self) -> String {
        if self.is_merged() { format!("{}__told", self.server) } else { "told".to_owned() }
    }
}

const fn way(path: &'static str, era: Era, server: &'static str) -> Way {
    Way { path, era, server }
}

const WAYS: [Way; 8] = [
    way("/mcp/web", Era::Legacy, "web"),
    way("/mcp/web", Era::Modern, "web"),
    way("/mcp/std", Era::Legacy, "std"),
    way("/mcp/std", Era::Modern, "std"),
    way("/mcp", Era::Legacy, "web"),
    way("/mcp", Era::Modern, "web"),
    way("/mcp", Era::Legacy, "std"),
    way("/mcp", Era::Modern, "std"),
];

struct Stage {
    gate: Gate,
    web: Http,
    std: Stdio,
}

impl Stage {
    async fn start() -> Self {
        let (web, std) = (Http::start(Speaks::Both).await, Stdio::new(Speaks::Both));
        let setup = Setup::default().server("web", &web.endpoints()).server("std", &std.command());
        Self { gate: setup.start().await, web, std }
    }

    async fn caller(&self, way: Way) -> Caller {
        match way.era {
            Era::Legacy => Caller::legacy(&self.gate, way.path).await,
            Era::Modern => {
                Caller::modern(&self.gate, way.path).with("Mcp-Method", "tools/call").with("Mcp-Name", &way.tool())
            }
        }
    }

    fn record(&self, way: Way) -> &Record {
        if way.is_stdio() { &self.std.record } else { &self.web.record }
    }
}

/// What a server sends for a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// The answer alone.
    Whole,
    /// The answer alone; over HTTP as an event.
    Event,
    /// Progress before the answer.
    Progress,
}

/// One call, all its texts written with the characters that stand for what ends fill in.
#[derive(Debug)]
struct Case {
    request: String,
    progress: String,
    answer: String,
    form: Form,
    /// As the client writes them.
    id: String,
    token: String,
    name: String,
    uri: String,
}

fn filled(text: &str, pieces: &[(char, &str)]) -> String {
    pieces.iter().fold(text.to_owned(), |text, (place, piece)| text.replace(*place, piece))
}

/// Line ends as spaces of the same length. Strings hold none.
fn on_one_line(text: &str) -> String {
    text.split('\r').flat_map(|piece| piece.split('\n')).collect::<Vec<_>>().join(" ")
}

/// The data of an event whose lines those of `text` are.
fn as_data(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n")
}

fn event(text: &str) -> String {
    format!(": a comment\r\nid: 7\nevent: message\ndata: {}\n\n", as_data(text).replace('\n', "\ndata: "))
}

/// What an instance writes: a line end would end the message, and a CR before it would belong to the line end.
fn line(text: &str) -> String {
    let text = text.replace('\n', " ");
    if text.ends_with('\r') { text + " " } else { text }
}

impl Case {
    fn sent(&self) -> String {
        filled(&self.request, &[(ID, &self.id), (TOKEN, &self.token), (NAME, &self.name)])
    }

    /// What must reach the server; `id` is the one that did.
    fn expected_there(&self, way: Way, id: &str) -> String {
        let name = if way.is_merged() { r#""told""# } else { &self.name };
        if way.is_mirrored() {
            return filled(&self.request, &[(ID, &self.id), (TOKEN, &self.token), (NAME, name)]);
        }
        // A leg names each request, and its progress, by an id of the gate's own.
        let request = if way.is_stdio() { on_one_line(&self.request) } else { self.request.clone() };
        filled(&request, &[(ID, id), (TOKEN, id), (NAME, name)])
    }

    /// Media type and body, for [`Record::tell`].
    fn told(&self, way: Way) -> (&'static str, String) {
        let answer = filled(&self.answer, &[(URI, &self.uri)]);
        match (way.is_stdio(), self.form) {
            (true, Form::Progress) => (JSON, line(&self.progress) + "\r\n" + &line(&answer)),
            (true, _) => (JSON, line(&answer)),
            (false, Form::Whole) => (JSON, answer),
            (false, Form::Event) => (EVENTS, event(&answer)),
            (false, Form::Progress) => (EVENTS, event(&self.progress) + &event(&answer)),
        }
    }

    /// Media type and body that must reach the client; of a stream that the gate writes, the data of its events.
    fn expected_here(&self, way: Way) -> (&'static str, Vec<String>) {
        let uri = format!("\"{}+{LINK}\"", way.server);
        let uri = if way.is_merged() { &uri } else { &self.uri };
        let ours = |text: &str| filled(text, &[(ID, &self.id), (TOKEN, &self.token), (URI, uri)]);
        if way.is_mirrored() {
            let (media_type, body) = self.told(way);
            return (media_type, vec![ours(&body)]);
        }
        // Data of events whose line ends could not tell where they came from would be split, hence the spaces.
        let data = |text: &str| on_one_line(&ours(&if way.is_stdio() { line(text) } else { as_data(text) }));
        match (way.is_stdio(), self.form) {
            (_, Form::Progress) => (EVENTS, vec![data(&self.progress), data(&self.answer)]),
            (true, _) => (JSON, vec![ours(&line(&self.answer))]),
            (false, Form::Whole) => (JSON, vec![ours(&self.answer)]),
            (false, Form::Event) => (JSON, vec![ours(&as_data(&self.answer))]),
        }
    }

    /// Plays the call; what did not arrive as it should is told.
    async fn play(&self, stage: &Stage, way: Way, caller: &Caller) -> Result<(), String> {
        let record = stage.record(way);
        record.clear();
        let (media_type, body) = self.told(way);
        record.tell(media_type, &body);
        let reply = caller.post(&self.sent()).await;
        let head = reply.head.clone();
        let body = String::from_utf8(reply.raw().await).expect("text");
        self.judge_there(way, record)?;
        self.judge_here(way, &head, body)
    }

    fn judge_there(&self, way: Way, record: &Record) -> Result<(), String> {
        let received = record.of("tools/call");
        let [received] = &received[..] else { return Err(format!("{} calls arrived", received.len())) };
        let expected = self.expected_there(way, &id_of(&received.text));
        same("the request", &received.text, &expected)
    }

    fn judge_here(&self, way: Way, head: &Head, body: String) -> Result<(), String> {
        let (mut media_type, mut expected) = self.expected_here(way);
        if !way.is_mirrored() && head.header("content-type") == Some(EVENTS) && media_type == JSON {
            // An answer that is late comes as an event, so that its client can resume.
            media_type = EVENTS;
            expected = expected.iter().map(|answer| on_one_line(&as_data(answer))).collect();
        }
        if (head.status, head.header("content-type")) != (200, Some(media_type)) {
            return Err(format!("{head:?}, {}", shown(body.as_bytes())));
        }
        let arrived = if media_type == EVENTS && !way.is_mirrored() { data(body) } else { vec![body] };
        if arrived.len() != expected.len() {
            return Err(format!("{} messages arrived of {}", arrived.len(), expected.len()));
        }
        arrived.iter().zip(&expected).try_for_each(|(arrived, expected)| same("the answer", arrived, expected))
    }
}

/// The raw id of a request.
fn id_of(text: &str) -> String {
    #[derive(serde::Deserialize)]
    struct Request {
        id: Box<serde_json::value::RawValue>,
    }
    serde_json::from_str::<Request>(text).expect("a request").id.get().to_owned()
}

fn data(stream: String) -> Vec<String> {
    let mut stream = EventStream::of(stream.into_bytes());
    std::iter::from_fn(|| stream.next_event()).collect()
}

/// Compares texts that may be long.
fn same(what: &str, arrived: &str, expected: &str) -> Result<(), String> {
    if arrived == expected {
        return Ok(());
    }
    let (arrived, expected) = (arrived.as_bytes(), expected.as_bytes());
    let at = arrived.iter().zip(expected).take_while(|(one, other)| one == other).count();
    let bytes = (arrived.len(), expected.len());
    let (arrived, expected) = (shown(&arrived[at..]), shown(&expected[at..]));
    Err(format!("{what} differs at byte {at}, {bytes:?} bytes in all\narrived:  {arrived}\nexpected: {expected}"))
}

fn shown(text: &[u8]) -> String {
    format!("{:?}", String::from_utf8_lossy(&text[..text.len().min(400)]))
}

// Messages

fn place(place: char) -> Json {
    Json::raw(place)
}

fn member(key: &str, value: Json) -> (String, Json) {
    (key.to_owned(), value)
}

/// Known members and unknown ones, in any order.
fn mixed(known: impl Strategy<Value = Vec<(String, Json)>>, keys: Keys) -> impl Strategy<Value = Json> {
    let all = (known, unknown(keys)).prop_map(|(known, unknown)| [known, unknown].concat());
    all.prop_shuffle().prop_map(Json::Object)
}

fn message(rest: impl Strategy<Value = Vec<(String, Json)>>) -> impl Strategy<Value = Json> {
    let known = rest.prop_map(|rest| [vec![member("jsonrpc", Json::text("2.0"))], rest].concat());
    mixed(known, Keys::Unique)
}

fn request(era: Era) -> impl Strategy<Value = Json> {
    let known = match era {
        Era::Legacy => vec![member("progressToken", place(TOKEN))],
        Era::Modern => vec![
            member("progressToken", place(TOKEN)),
            member("io.modelcontextprotocol/protocolVersion", Json::text("2026-07-28")),
            member("io.modelcontextprotocol/clientCapabilities", Json::raw("{}")),
        ],
    };
    let arguments = mixed(Just(vec![]), Keys::Unique);
    let params = (mixed(Just(known), Keys::Unique), arguments).prop_map(|(meta, arguments)| {
        vec![member("name", place(NAME)), member("arguments", arguments), member("_meta", meta)]
    });
    message(mixed(params, Keys::Unique).prop_map(|params| {
        vec![member("id", place(ID)), member("method", Json::text("tools/call")), member("params", params)]
    }))
}

fn progress() -> impl Strategy<Value = Json> {
    let known =
        number().prop_map(|number| vec![member("progressToken", place(TOKEN)), member("progress", Json::Raw(number))]);
    let params = mixed(known, Keys::Unique);
    message(
        params
            .prop_map(|params| vec![member("method", Json::text("notifications/progress")), member("params", params)]),
    )
}

fn answer() -> impl Strategy<Value = Json> {
    let link = Just(vec![member("type", Json::text("resource_link")), member("uri", place(URI))]);
    let content = (mixed(link, Keys::Unique), any::<bool>()).prop_map(|(link, there)| {
        let blocks = if there { vec![link] } else { vec![] };
        vec![member("content", Json::Array(blocks)), member("resultType", Json::text("complete"))]
    });
    let result = mixed(content, Keys::Repeated).prop_map(|result| member("result", result));
    let error = (text(), value(Keys::Repeated)).prop_map(|(message, data)| {
        vec![member("code", Json::raw("-32042")), member("message", Json::Text(message)), member("data", data)]
    });
    let error = mixed(error, Keys::Repeated).prop_map(|error| member("error", error));
    message(prop_oneof![3 => result, 1 => error].prop_map(|outcome| vec![member("id", place(ID)), outcome]))
}

/// A raw id or token.
fn name_of_a_request() -> impl Strategy<Value = String> {
    let string = (text(), style()).prop_map(|(text, style)| Json::Text(text).written(&style).trim().to_owned());
    let whole = "-?(0|[1-9][0-9]{0,30})";
    prop_oneof![string, whole, number()]
}

fn case(way: Way) -> impl Strategy<Value = Case> {
    let messages = (request(way.era), progress(), answer());
    let form = select(vec![Form::Whole, Form::Event, Form::Progress]);
    (messages, form, name_of_a_request(), name_of_a_request(), style()).prop_map(
        move |((request, progress, answer), form, id, token, style)| Case {
            request: request.written(&style),
            progress: progress.written(&style),
            answer: answer.written(&style),
            form,
            id,
            token,
            name: Json::text(&way.tool()).written(&style).trim().to_owned(),
            uri: Json::text(LINK).written(&style).trim().to_owned(),
        },
    )
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

#[test]
fn whatever_is_written_arrives_as_it_was_written() {
    let runtime = runtime();
    let stage = runtime.block_on(Stage::start());
    for way in WAYS {
        let caller = runtime.block_on(stage.caller(way));
        let config = Config { cases: CASES, failure_persistence: None, max_shrink_iters: 500, ..Config::default() };
        let played = TestRunner::new(config)
            .run(&case(way), |case| runtime.block_on(case.play(&stage, way, &caller)).map_err(TestCaseError::fail));
        if let Err(failure) = played {
            panic!("{way:?}: {failure}");
        }
    }
}

// The bound

/// A message of exactly `bytes` bytes: odd values and long plain runs in the place of `~` in `frame`.
fn of_length(frame: &str, bytes: usize) -> String {
    let (before, after) = frame.split_once('~').expect("a place");
    let run = ["\"", &"plain ".repeat(5000), "\u{20ac}\\u0061\\/\\ud800\", 1e400,\r\n123456789012345678901234567890,"]
        .concat();
    let values = run.repeat(bytes / run.len() - 1) + "-0";
    let room = bytes.checked_sub(before.len() + values.len() + after.len()).expect("room");
    [before, &values, &" ".repeat(room), after].concat()
}

fn long_case(way: Way, form: Form, bytes: usize) -> Case {
    let id = "77".to_owned();
    let meta = match way.era {
        Era::Legacy => String::new(),
        Era::Modern => {
            r#""io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{},"#
                .to_owned()
        }
    };
    let name = format!("\"{}\"", way.tool());
    let request = format!(
        r#"{{"id":{ID},"jsonrpc":"2.0","params":{{"arguments":{{"a":[~]}},"_meta":{{{meta}"progressToken":{TOKEN}}},"name":{NAME}}},"method":"tools/call"}}"#
    );
    let answer = format!(r#"{{"result":{{"content":[],"x":[~],"resultType":"complete"}},"id":{ID},"jsonrpc":"2.0"}}"#);
    Case {
        // A place is one byte long.
        request: of_length(&request, bytes + 3 - id.len() - id.len() - name.len()),
        progress: format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":{TOKEN},"progress":1}}}}"#
        ),
        answer: of_length(&answer, bytes - ID_DIGITS),
        form,
        token: id.clone(),
        id,
        name,
        uri: format!("\"{LINK}\""),
    }
}

#[tokio::test]
async fn messages_of_just_the_bound_pass_both_ways() {
    let stage = Stage::start().await;
    for (way, form) in WAYS.into_iter().zip([Form::Whole, Form::Event, Form::Progress].into_iter().cycle()) {
        let case = long_case(way, form, BOUND);
        assert_eq!(case.sent().len(), BOUND);
        let played = case.play(&stage, way, &stage.caller(way).await).await;
        played.unwrap_or_else(|problem| panic!("{way:?}, {form:?}: {problem}"));
    }
}

#[tokio::test]
async fn one_byte_more_than_the_bound_is_refused_before_the_server_hears_of_it() {
    let stage = Stage::start().await;
    for way in [way("/mcp/web", Era::Modern, "web"), way("/mcp/std", Era::Legacy, "std")] {
        let caller = stage.caller(way).await;
        let case = long_case(way, Form::Whole, BOUND + 1);
        let reply = caller.post(&case.sent()).await;
        assert_eq!(reply.head.status, 413, "{way:?}");
        assert!(stage.record(way).of("tools/call").is_empty(), "{way:?}");
    }
}
