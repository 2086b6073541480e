//! Sequences of keys as sentences.

use crossterm::event::{KeyCode, KeyModifiers};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use serde_json::json;
use toolgate_admin_api::{Busiest, Tools, Topic};

use super::super::actions::{self, Grade, Request, Verb};
use super::super::draw::draw;
use super::super::fixture;
use super::super::keys::{BINDINGS, Chord};
use super::super::object::Object;
use super::super::theme::{Ability, Level};
use super::*;

/// A console in front of the fixture's gate.
struct Operator {
    state: State,
    effects: Vec<Effect>,
}

impl Operator {
    fn new() -> Self {
        Self::with(Privilege::Control)
    }

    fn with(privilege: Privilege) -> Self {
        let theme = Theme::new(Name::Dark, Ability { level: Level::True, ascii: false });
        let mut operator = Self { state: State::new(theme, 1_000, fixture::NOW_MS), effects: Vec::new() };
        operator.hear(Input::Feed(Feed::Connected(privilege)));
        for line in fixture::lines(2) {
            operator.hear(Input::Feed(Feed::Watch(Box::new(line))));
        }
        for line in fixture::tail() {
            operator.hear(Input::Feed(Feed::Tail(Box::new(line))));
        }
        operator.effects.clear();
        operator
    }

    fn hear(&mut self, input: Input) {
        let effects = self.state.update(input, fixture::NOW_MS);
        self.effects.extend(effects);
    }

    /// Presses keys: letters, and the names of others in `<>`.
    fn press(&mut self, keys: &str) -> &mut Self {
        let mut rest = keys;
        while let Some(first) = rest.chars().next() {
            let (chord, taken) = match rest.strip_prefix('<').and_then(|named| named.split_once('>')) {
                Some((name, _)) => (named(name), name.len() + 2),
                None => (Chord::of(first), first.len_utf8()),
            };
            self.hear(Input::Key(chord.event()));
            rest = &rest[taken..];
        }
        self
    }

    /// What was sent last, answered with `answer` for each request.
    fn answer(&mut self, answer: &serde_json::Value) -> Vec<Request> {
        let sent = self.effects.iter().rev().find_map(|effect| match effect {
            Effect::Send(ticket, requests) => Some((*ticket, requests.clone())),
            _ => None,
        });
        let (ticket, requests) = sent.expect("something was sent");
        self.hear(Input::Answered(ticket, Ok(vec![answer.clone(); requests.len()])));
        requests
    }

    fn sent(&self) -> usize {
        self.effects.iter().filter(|effect| matches!(effect, Effect::Send(..))).count()
    }

    fn dialog(&self) -> &Dialog {
        match self.state.overlays.last() {
            Some(Overlay::Dialog(dialog)) => dialog,
            other => panic!("no question is open: {other:?}"),
        }
    }

    fn message(&self) -> &str {
        self.state.message.as_ref().map_or("", |message| &message.text)
    }
}

fn named(name: &str) -> Chord {
    match name {
        "enter" => Chord::key(KeyCode::Enter),
        "esc" => Chord::key(KeyCode::Esc),
        "tab" => Chord::key(KeyCode::Tab),
        "down" => Chord::key(KeyCode::Down),
        "up" => Chord::key(KeyCode::Up),
        "pgup" => Chord::key(KeyCode::PageUp),
        "pgdn" => Chord::key(KeyCode::PageDown),
        "left" => Chord::key(KeyCode::Left),
        "c-c" => Chord::ctrl('c'),
        "c-u" => Chord::ctrl('u'),
        "c-z" => Chord(KeyCode::Char('z'), KeyModifiers::CONTROL),
        other => panic!("no key is called {other}"),
    }
}

fn drained(left: u64) -> serde_json::Value {
    let endpoint = json!({"mode": "ready", "weight": 1, "in_flight": 3, "sessions": 14});
    json!({"server": "weather", "applied": false, "mode": "drain", "endpoints": [endpoint], "left": left})
}

#[test]
fn enter_leads_from_a_server_to_its_sessions_to_their_calls_and_esc_leads_back() {
    let mut operator = Operator::new();
    operator.press("2<enter>");
    assert_eq!((operator.state.screen, operator.state.table().filter.text()), (Screen::Sessions, "server=weather"));
    operator.press("<enter>");
    assert_eq!(operator.state.screen, Screen::Requests);
    assert!(operator.state.table().filter.text().starts_with("session="));
    operator.press("<esc><esc>");
    assert_eq!((operator.state.screen, operator.state.table().filter.text()), (Screen::Servers, ""));
    assert!(operator.effects.iter().all(|effect| !matches!(effect, Effect::Quit)));
}

#[test]
fn enter_leads_from_a_tool_to_its_clients_to_their_calls_of_it() {
    let mut operator = Operator::new();
    operator.press("4/charge<enter><enter>");
    let filter = operator.state.table().filter.text().to_owned();
    assert_eq!(operator.state.screen, Screen::Clients);
    assert!(filter.starts_with("tool=") && filter.contains("/charge"), "{filter}");
    assert!(!operator.state.listing().shown(operator.state.table()).is_empty());
    operator.press("<enter>");
    assert_eq!(operator.state.screen, Screen::Requests);
    assert!(operator.state.table().filter.text().contains("client=key:"));
    assert!(operator.state.table().filter.text().ends_with(&filter));
}

#[test]
fn an_alert_about_all_calls_leads_to_the_server_that_is_behind_it() {
    let operator = Operator::new();
    let way = |id: &str| {
        let object = Object::Alert(id.to_owned());
        Screen::below(&object, &operator.state.view(), &operator.state.table().filter).expect("a way")
    };
    let rows = operator.state.data.servers.as_deref().expect("servers");
    let slowest = rows.iter().max_by_key(|row| row.traffic.latency.p99_us).expect("a server");
    assert_eq!(way("response_time"), (Screen::Servers, format!("server={}", slowest.status.name)));
    assert_eq!(way("memory"), (Screen::Health, String::new()));
}

#[test]
fn nothing_is_done_to_many_names_that_are_counted_as_one() {
    let mut operator = Operator::new();
    let Some(tools) = operator.state.data.tools.as_mut() else { panic!("the fixture has tools") };
    tools.tools[0].tool = "_other".into();
    let others = Object::Tool(tools.tools[0].server.clone(), "_other".into());
    assert!(actions::offers(&others, &operator.state.data).is_empty());
    assert!(others.to_string().ends_with("/(other names)"), "{others}");
}

#[test]
fn an_instance_is_replaced_with_its_fellows_and_the_question_says_so() {
    let instance = Object::Instance("notes".into(), 7);
    let plan = Plan::new(Verb::Recycle, vec![instance]);
    assert_eq!(plan.title(), "Replace, one by one, the instances of server notes");
}

#[test]
fn the_tail_is_asked_for_the_calls_of_what_was_opened_and_its_refusal_is_read() {
    let mut operator = Operator::new();
    operator.press("3<enter>");
    let filter = operator.state.table().filter.text().to_owned();
    assert!(filter.starts_with("session="));
    let wanted = operator.effects.iter().rev().find_map(|effect| match effect {
        Effect::Subscribe(wanted) => wanted.tail.clone(),
        _ => None,
    });
    assert_eq!(wanted, Some(filter));
    operator.hear(Input::Feed(Feed::Untold("Too many follow the calls already.".into())));
    assert_eq!(operator.message(), "Too many follow the calls already.");
}

#[test]
fn a_filter_holds_while_it_is_written_and_esc_leaves_it_as_it_was() {
    let mut operator = Operator::new();
    operator.press("2/search");
    assert_eq!(operator.state.listing().shown(operator.state.table()).len(), 3);
    operator.press("<enter>/<c-u>zzz<esc>");
    assert_eq!(operator.state.table().filter.text(), "search");
    operator.press("/<up>");
    assert_eq!(operator.state.table().filter.text(), "search");
}

#[test]
fn a_letter_in_a_filter_is_a_letter() {
    let mut operator = Operator::new();
    operator.press("2/qXD1:?");
    assert_eq!((operator.state.screen, operator.state.overlays.len()), (Screen::Servers, 1));
    operator.press("<c-c>");
    assert_eq!(operator.effects.last(), Some(&Effect::Quit));
}

#[test]
fn a_drain_tells_what_it_would_do_before_it_is_done() {
    let mut operator = Operator::new();
    operator.press("2D");
    assert_eq!(operator.sent(), 0, "the form comes first");
    operator.press("5m<enter>an upgrade<enter>");
    let tried = operator.answer(&drained(1));
    assert_eq!(tried[0].body, json!({"dry_run": true, "deadline_ms": 300_000, "reason": "an upgrade"}));
    assert!(operator.dialog().told[0].contains("14 sessions"), "{:?}", operator.dialog().told);
    operator.press("<enter>");
    assert_eq!((operator.sent(), operator.state.overlays.len()), (1, 0), "the answer that is marked is no");
    operator.press("D<enter><enter>");
    operator.answer(&drained(1));
    operator.press("y");
    operator.answer(&drained(1));
    let done = operator.answer(&drained(1));
    assert_eq!(done[0].body, json!({"dry_run": false}));
    assert!(operator.message().contains("is drained"), "{}", operator.message());
}

#[test]
fn the_last_endpoint_is_drained_only_by_its_name() {
    let mut operator = Operator::new();
    operator.press("2D<enter><enter>");
    operator.answer(&drained(0));
    operator.press("y<enter>");
    assert_eq!(operator.sent(), 1, "y is a letter of the name here");
    assert!(operator.dialog().problem.as_deref().is_some_and(|problem| problem.contains("weather")));
    operator.press("<c-u>weather<enter>");
    assert_eq!(operator.sent(), 2);
}

#[test]
fn a_yes_holds_for_what_was_read_and_not_for_what_it_has_grown_to() {
    let mut operator = Operator::new();
    operator.press("2D<enter><enter>");
    operator.answer(&drained(1));
    operator.press("y");
    let mut grown = drained(1);
    grown["endpoints"][0]["sessions"] = json!(400);
    assert_eq!(operator.answer(&grown)[0].body["dry_run"], true);
    assert_eq!(operator.sent(), 2, "it is asked again and not done");
    assert!(operator.dialog().told[0].contains("400"), "{:?}", operator.dialog().told);
    operator.press("y");
    assert_eq!(operator.answer(&drained(0))[0].body["dry_run"], true);
    assert_eq!((operator.sent(), operator.dialog().grade), (3, Grade::Name), "it is the last one by now");
    operator.press("weather<enter>");
    operator.answer(&drained(0));
    assert_eq!(operator.answer(&drained(0))[0].body["dry_run"], false);
}

#[test]
fn a_question_is_about_what_it_was_asked_about() {
    let mut operator = Operator::new();
    operator.press("2D<enter><enter>");
    operator.answer(&drained(1));
    let none = toolgate_admin_api::WatchLine::Topic { at_ms: fixture::NOW_MS, topic: Topic::Servers(Vec::new()) };
    operator.hear(Input::Feed(Feed::Watch(Box::new(none))));
    operator.press("y");
    assert_eq!(operator.sent(), 1);
    assert!(operator.dialog().problem.as_deref().is_some_and(|problem| problem.contains("changed")));
}

#[test]
fn what_the_state_does_not_allow_is_not_offered() {
    let mut operator = Operator::new();
    operator.press("2a");
    let Some(Overlay::Menu(menu)) = operator.state.overlays.last() else { panic!("no menu") };
    assert!(menu.choices.contains(&Choice::Act(Verb::Drain)));
    assert!(!menu.choices.contains(&Choice::Act(Verb::Resume)));
    operator.press("<esc>R");
    assert_eq!(operator.sent(), 0);
    assert!(operator.message().starts_with("Not possible now"), "{}", operator.message());
}

#[test]
fn who_may_only_look_is_told_how_to_be_allowed_more() {
    let mut operator = Operator::with(Privilege::View);
    operator.press("2D");
    assert_eq!((operator.sent(), operator.state.overlays.len()), (0, 0));
    assert!(operator.message().contains("toolgate-control"));
}

#[test]
fn marked_rows_are_ended_together_and_counted() {
    let mut operator = Operator::new();
    operator.press("3  X");
    let tried = operator.answer(&json!({"applied": false, "sessions": 1, "calls": 1}));
    assert_eq!(tried.len(), 2);
    assert_eq!(operator.dialog().told, ["2 sessions would end, with 2 calls in flight."]);
    assert_eq!(operator.dialog().grade, Grade::Name);
    operator.press("all 2<enter>");
    operator.answer(&json!({"applied": false, "sessions": 1, "calls": 1}));
    operator.answer(&json!({"applied": true, "sessions": 1, "calls": 1}));
    assert_eq!(operator.message(), "2 sessions ended, with 2 calls in flight.");
    assert!(operator.state.table().marked.is_empty());
}

#[test]
fn a_looping_agent_gets_a_limit_for_the_tool_that_it_calls_most() {
    let mut operator = Operator::new();
    operator.press("6L");
    let written: Vec<String> = operator.dialog().lines.iter().map(Line::text).collect();
    assert_eq!(written, ["payments/charge", "5/min", "", "10m"]);
    operator.press("<enter><enter><enter><enter><enter>");
    let tried = operator.answer(
        &json!({"name": "temporary.1", "applied": false, "before": "-", "after": "5/min", "expires_in_seconds": 600}),
    );
    assert_eq!(tried[0].route, "/v1/limits");
    assert_eq!(operator.dialog().told, ["No more than 5/min of its calls of payments/charge would pass for 10m."]);
}

#[test]
fn a_limit_is_for_the_tool_as_it_is_written_and_not_for_a_pattern() {
    let mut operator = Operator::new();
    let mut clients = operator.state.data.clients.clone().expect("clients");
    let busiest = Busiest { tool: "web/createIssue".into(), calls_last_minute: 9_000 };
    for row in &mut clients.clients {
        row.busiest = Some(busiest.clone());
    }
    operator.state.data.clients = Some(clients);
    operator.press("6/tool=web/CREATEissue<enter>L");
    assert_eq!(operator.dialog().lines[0].text(), "web/createIssue");
    operator.press("<esc>/<c-u>tool=WEB/*<enter>L");
    assert_eq!(operator.dialog().lines[0].text(), "web/createIssue");
}

#[test]
fn what_was_looked_at_is_approved_and_not_what_it_has_become_since() {
    let mut operator = Operator::new();
    let row = operator.state.data.tools.as_ref().and_then(|all| all.tools.iter().find(|row| row.changed_ms.is_some()));
    let (server, tool) = row.map(|row| (row.server.clone(), row.tool.clone())).expect("one has changed");
    let seen = |hash: &str| {
        let change = json!({
            "server": server, "tool": tool, "withheld": false, "accepted_at_ms": 1, "changed_at_ms": 2,
            "hash": hash, "before": "{}", "after": "{}",
        });
        Input::Told(Read::ToolChanges, Ok(json!({"changes": [change]}).to_string().into_bytes()))
    };
    operator.press(&format!("4/tool={server}/{tool}<enter>A"));
    assert_eq!((operator.sent(), operator.state.overlays.len()), (0, 0));
    assert!(operator.message().contains("not known yet"), "{}", operator.message());
    operator.hear(seen("aa"));
    operator.press("A");
    let answer = json!({"server": server, "tool": tool, "applied": false});
    assert_eq!(operator.answer(&answer)[0].body["hash"], "aa");
    operator.hear(seen("bb"));
    operator.press("y");
    operator.answer(&answer);
    let done = &operator.answer(&answer)[0].body;
    assert_eq!((&done["hash"], &done["dry_run"]), (&json!("aa"), &json!(false)));
}

#[test]
fn what_is_copied_is_fit_for_a_terminal() {
    let mut operator = Operator::new();
    let mut tools = operator.state.data.tools.clone().expect("tools");
    for row in &mut tools.tools {
        row.tool = "pay\n\u{1b}[2Jrm".into();
    }
    operator.state.data.tools = Some(tools);
    operator.press("4yY");
    let copied: Vec<_> = operator
        .effects
        .iter()
        .filter_map(|it| match it {
            Effect::Copy(text) => Some(text),
            _ => None,
        })
        .collect();
    assert_eq!(copied.len(), 2);
    assert!(copied.iter().all(|text| text.contains(r"pay\u{a}\u{1b}[2Jrm") && !text.contains('\n')), "{copied:?}");
}

#[test]
fn a_failure_is_shown_with_its_remedy() {
    let mut operator = Operator::new();
    operator.press("3X");
    let trouble = Trouble { message: "No.".into(), remedy: Some("Ask again.".into()), lines: Vec::new() };
    operator.hear(Input::Answered(1, Err(trouble)));
    match operator.state.overlays.last() {
        Some(Overlay::Notice(_, lines, _)) => assert_eq!(lines[1].0, "Ask again."),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_command_opens_a_screen_with_a_filter_and_tab_completes_live_names() {
    let mut operator = Operator::new();
    operator.press(":sess client=key:ag<tab><enter>");
    assert_eq!((operator.state.screen, operator.state.table().filter.text()), (Screen::Sessions, "client=key:agent-7"));
    operator.press(":theme light<enter>");
    assert_eq!(operator.state.theme.name, Name::Light);
    operator.press(":nonsense<enter>");
    assert!(operator.message().contains("no command"));
    operator.press(":drain search<enter>");
    assert_eq!(operator.dialog().plan.objects, [Object::Server("search".into())]);
}

#[test]
fn a_held_display_stays_while_news_come() {
    let mut operator = Operator::new();
    operator.press("4p");
    let none = toolgate_admin_api::WatchLine::Topic { at_ms: fixture::NOW_MS, topic: Topic::Tools(Tools::default()) };
    operator.hear(Input::Feed(Feed::Watch(Box::new(none))));
    assert_eq!(operator.state.listing().rows.len(), 40);
    operator.press("p");
    assert_eq!(operator.state.listing().rows.len(), 0);
}

#[test]
fn a_lost_daemon_leaves_what_was_known() {
    let mut operator = Operator::new();
    operator.press("2");
    operator.hear(Input::Feed(Feed::Lost("gone".into())));
    operator.state.update(Input::Feed(Feed::Lost("gone".into())), fixture::NOW_MS + 5_000);
    assert_eq!(operator.state.link, Link::Lost("gone".into(), fixture::NOW_MS));
    assert!(!operator.state.listing().rows.is_empty());
    operator.hear(Input::Feed(Feed::Connected(Privilege::View)));
    assert_eq!(operator.message(), "Connected again.");
}

#[test]
fn only_what_is_in_sight_is_subscribed_to() {
    let mut operator = Operator::new();
    operator.press("3");
    let [Effect::Subscribe(wanted), Effect::Read(Read::Clients)] = operator.effects.as_slice() else {
        panic!("{:?}", operator.effects)
    };
    assert_eq!(wanted.topics, ["overview", "sessions"]);
    let told = |name: &str| wanted.parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    assert_eq!((told("sessions.limit"), told("sessions.filter")), (Some("200"), None));
    operator.press("/key:mobile<enter>");
    let Some(Effect::Subscribe(wanted)) = operator.effects.last() else { panic!("{:?}", operator.effects) };
    assert!(wanted.parameters.contains(&("sessions.filter".into(), "key:mobile".into())));
    // The daemon knows clients by their ids, people by their owners.
    operator.press("/<c-u>client=MOBILE<enter>");
    let Some(Effect::Subscribe(wanted)) = operator.effects.last() else { panic!("{:?}", operator.effects) };
    assert!(wanted.parameters.contains(&("sessions.filter".into(), "key:mobile".into())), "{wanted:?}");
    operator.press("8");
    let Some(Effect::Subscribe(wanted)) = operator.effects.iter().rev().find(|it| matches!(it, Effect::Subscribe(_)))
    else {
        panic!("{:?}", operator.effects)
    };
    assert_eq!(wanted.tail.as_deref(), Some(""));
}

#[test]
fn the_time_line_shows_what_was() {
    let mut operator = Operator::new();
    operator.state.data.past.remember(fixture::history());
    operator.press("2t");
    let first = operator.state.timeline.expect("open");
    operator.press("<left><left>");
    assert!(operator.state.timeline.is_some_and(|at| at < first));
    operator.press("G");
    assert_eq!(operator.state.timeline, Some(fixture::NOW_MS));
    operator.press("<esc>");
    assert_eq!(operator.state.timeline, None);
}

#[test]
fn health_has_a_log_of_alerts_and_of_what_operators_changed_the_newest_first() {
    let mut operator = Operator::new();
    operator.press("7");
    assert!(operator.effects.contains(&Effect::Read(Read::Audit)), "{:?}", operator.effects);
    operator.hear(Input::Told(Read::Audit, Ok(json!(fixture::audit()).to_string().into_bytes())));
    while operator.state.screen.views()[operator.state.views[operator.state.screen.index()]] != "events" {
        operator.press("v");
    }
    let mut buffer = Buffer::empty(Rect::new(0, 0, 160, 50));
    draw(&mut buffer, &mut operator.state);
    let lines: Vec<String> =
        buffer.content.chunks(160).map(|line| line.iter().map(ratatui::buffer::Cell::symbol).collect()).collect();
    let at =
        |text: &str| lines.iter().position(|line| line.contains(text)).unwrap_or_else(|| panic!("{text}: {lines:#?}"));
    assert!(at("config.reload") < at("client.suspend") && at("client.suspend") < at("server.drain"));
    assert!(lines[at("client.suspend")].contains("agent-7 loops"));
    let of_kind = |kind: &str| lines.iter().filter(|line| line.split_whitespace().any(|word| word == kind)).count();
    assert!(of_kind("alert") > 0 && of_kind("change") == 4, "{lines:#?}");
}

#[test]
fn q_goes_back_and_at_the_beginning_quits() {
    let mut operator = Operator::new();
    operator.press("2<enter>?q");
    assert_eq!((operator.state.screen, operator.state.overlays.len()), (Screen::Sessions, 0));
    operator.press("q");
    assert_eq!(operator.state.screen, Screen::Servers);
    operator.press("q");
    assert_eq!(operator.effects.last(), Some(&Effect::Quit));
}

/// Everything of a state that a key can change.
fn digest(state: &State) -> String {
    format!(
        "{:?}{:?}{:?}{:?}{:?}{:?}{:?}{:?}{:?}{:?}{:?}{:?}",
        state.screen,
        state.views,
        state.tables,
        state.trail,
        state.overlays,
        state.message,
        state.window,
        state.timeline,
        state.interval,
        state.panel,
        state.theme.name,
        (state.held_ms(), state.refreshes, state.mouse)
    )
}

#[test]
fn a_question_that_does_not_fit_is_read_by_pages() {
    let mut operator = Operator::new();
    operator.press("1jjjj2D<enter><enter>");
    operator.answer(&drained(1));
    if let Some(Overlay::Dialog(dialog)) = operator.state.overlays.last_mut() {
        dialog.told = (0..20).map(|number| format!("Line {number}.")).collect();
    }
    let seen = |operator: &mut Operator| -> String {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 80, 15));
        draw(&mut buffer, &mut operator.state);
        buffer.content.iter().map(ratatui::buffer::Cell::symbol).collect()
    };
    let end = seen(&mut operator);
    assert!(end.contains("lines above: PgUp shows them."), "{end}");
    operator.press("<pgup>");
    assert_ne!(seen(&mut operator), end);
    operator.press("<pgup><pgup><pgup><pgup><pgup><pgup>");
    let beginning = seen(&mut operator);
    assert!(beginning.contains("Line 0.") && !beginning.contains("lines above"), "{beginning}");
    operator.press("<pgdn><pgdn><pgdn><pgdn>");
    assert_eq!(seen(&mut operator), end, "no key was lost beyond the beginning");
}

/// A state in which a key of this context does something.
fn ready(context: Context, screen: Screen, command: Command) -> Operator {
    let mut operator = Operator::new();
    operator.press(&(screen.index() + 1).to_string());
    match context {
        Context::Global | Context::Screen => {
            operator.press("jj");
            operator.state.table_mut().page = 3;
            if matches!(command, Command::Back) {
                operator.press("/a<enter>");
            }
            if matches!(command, Command::SortReverse) {
                operator.press("s");
            }
        }
        Context::Text => {
            operator.press("i");
            if let Some(Overlay::Details(_, scroll)) = operator.state.overlays.last_mut() {
                *scroll = Scroll { offset: 5, lines: 50, page: 3, wrap: true };
            }
        }
        Context::Menu => drop(operator.press("aj")),
        Context::Dialog => {
            operator.press("1jjjj2D<enter><enter>");
            operator.answer(&drained(1));
            if let Some(Overlay::Dialog(dialog)) = operator.state.overlays.last_mut() {
                dialog.above.set(20);
                dialog.up = 3;
            }
        }
        Context::Field if command == Command::PreviousField => drop(operator.press("/x<enter>/")),
        Context::Field if matches!(command, Command::Edit(Edit::Left | Edit::Right | Edit::Delete | Edit::End)) => {
            operator.press(":some words<left><left>");
        }
        Context::Field => drop(operator.press(":s")),
        Context::Timeline if command == Command::Go(Screen::Servers) => drop(operator.press("1t")),
        Context::Timeline => drop(operator.press("2jt<left><left>")),
    }
    operator
}

#[test]
fn every_row_of_the_table_of_keys_does_something() {
    for row in BINDINGS {
        let screens: &[Screen] = if row.screens.is_empty() { &[Screen::Servers] } else { row.screens };
        for screen in screens {
            // Going to the screen that is open changes nothing.
            let screen = if row.command == Command::Go(*screen) { Screen::Tools } else { *screen };
            let screen = if row.command == Command::NextView { Screen::Health } else { screen };
            let mut operator = ready(row.context, screen, row.command);
            let before = digest(&operator.state);
            operator.effects.clear();
            operator.hear(Input::Key(row.keys[0].event()));
            let done = digest(&operator.state) != before || !operator.effects.is_empty();
            assert!(done, "{} ({}) does nothing on {screen:?}", row.shown, row.meaning);
        }
    }
}
