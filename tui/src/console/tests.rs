//! What the screens look like, and that no size and no sequence of keys breaks them.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use proptest::prelude::*;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier};

use super::draw::draw;
use super::fixture;
use super::screens::Screen;
use super::state::{Feed, Input, Privilege, Read, State};
use super::theme::{Ability, Level, Name, Theme};

const SIZES: [(u16, u16); 3] = [(80, 24), (120, 40), (200, 60)];

fn console(level: Level, ascii: bool) -> State {
    let theme = Theme::new(Name::Dark, Ability { level, ascii });
    let mut state = State::new(theme, 1_000, fixture::NOW_MS);
    let mut hear = |input| drop(state.update(input, fixture::NOW_MS));
    hear(Input::Feed(Feed::Connected(Privilege::Control)));
    for line in fixture::lines(30) {
        hear(Input::Feed(Feed::Watch(Box::new(line))));
    }
    for line in fixture::tail() {
        hear(Input::Feed(Feed::Tail(Box::new(line))));
    }
    let told = |read, value: serde_json::Value| Input::Told(read, Ok(value.to_string().into_bytes()));
    hear(told(Read::Certificates, serde_json::json!(fixture::certificates())));
    hear(told(Read::Audit, serde_json::json!(fixture::audit())));
    hear(told(Read::History(Vec::new(), 0, 0, 0), serde_json::json!(fixture::history())));
    state
}

fn key(state: &mut State, letter: char) {
    drop(state.update(Input::Key(KeyEvent::new(KeyCode::Char(letter), KeyModifiers::NONE)), fixture::NOW_MS));
}

fn drawn(state: &mut State, (width, height): (u16, u16)) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("terminal");
    terminal.draw(|frame| draw(frame.buffer_mut(), state)).expect("drawn");
    terminal.backend().buffer().clone()
}

fn text(buffer: &Buffer) -> String {
    let line = |y: u16| {
        let cells: String = (0..buffer.area.width).map(|x| buffer[(x, y)].symbol()).collect();
        format!("{}\n", cells.trim_end())
    };
    (0..buffer.area.height).map(line).collect()
}

fn open(screen: Screen) -> char {
    char::from_digit(u32::try_from(screen.index() + 1).unwrap_or(1), 10).unwrap_or('1')
}

#[test]
fn every_screen_at_every_size() {
    for screen in Screen::ALL {
        for size in SIZES {
            let mut state = console(Level::True, false);
            key(&mut state, open(screen));
            let name = format!("{}_{}x{}", screen.title().to_lowercase(), size.0, size.1);
            insta::assert_snapshot!(name, text(&drawn(&mut state, size)));
        }
    }
}

#[test]
fn what_lies_over_a_screen() {
    let cases: [(&str, &str); 7] = [
        ("help", "2?"),
        ("menu", "2a"),
        ("form", "6D"),
        ("inspect", "2ji"),
        ("palette", "2:se"),
        ("filter", "2/search"),
        ("timeline", "1t"),
    ];
    for (name, keys) in cases {
        for size in [(80, 24), (120, 40)] {
            let mut state = console(Level::True, false);
            keys.chars().for_each(|letter| key(&mut state, letter));
            insta::assert_snapshot!(format!("over_{name}_{}x{}", size.0, size.1), text(&drawn(&mut state, size)));
        }
    }
}

#[test]
fn the_picture_in_the_readme_is_what_is_drawn() {
    let readme = include_str!("../../../README.md");
    let mut state = console(Level::True, false);
    let picture = text(&drawn(&mut state, (80, 24)));
    assert!(readme.contains(&picture), "Put this into README.md:\n{picture}");
}

/// The styles of a screen as runs: where they begin, and what they are.
fn styles(buffer: &Buffer) -> String {
    let mut lines = String::new();
    for y in 0..buffer.area.height {
        let mut last = None;
        for x in 0..buffer.area.width {
            let cell = &buffer[(x, y)];
            let style = (cell.fg, cell.bg, cell.modifier);
            if last != Some(style) {
                let run = format!("{x}:{:?}/{:?}/{:?} ", cell.fg, cell.bg, cell.modifier);
                lines.push_str(&run);
                last = Some(style);
            }
        }
        lines.push('\n');
    }
    lines
}

#[test]
fn every_level_of_colours_has_its_own_colours_and_the_same_text() {
    for screen in Screen::ALL {
        let mut texts = Vec::new();
        for level in [Level::None, Level::Sixteen, Level::Indexed, Level::True] {
            let mut state = console(level, false);
            key(&mut state, open(screen));
            let buffer = drawn(&mut state, (120, 40));
            for cell in &buffer.content {
                for colour in [cell.fg, cell.bg] {
                    let fits = match level {
                        Level::None => colour == Color::Reset,
                        Level::Sixteen => !matches!(colour, Color::Rgb(..) | Color::Indexed(_)),
                        Level::Indexed => matches!(colour, Color::Reset | Color::Indexed(_)),
                        Level::True => matches!(colour, Color::Reset | Color::Rgb(..)),
                    };
                    assert!(fits, "{screen:?} {level:?} {colour:?}");
                }
            }
            insta::assert_snapshot!(format!("styles_{}_{level:?}", screen.title().to_lowercase()), styles(&buffer));
            texts.push(text(&buffer));
        }
        assert!(texts.windows(2).all(|pair| pair[0] == pair[1]), "{screen:?}");
    }
}

#[test]
fn without_colours_the_selected_row_is_still_seen() {
    for screen in Screen::ALL {
        let mut state = console(Level::None, false);
        key(&mut state, open(screen));
        let buffer = drawn(&mut state, (120, 40));
        let reversed = (3..39).filter(|y| buffer[(4, *y)].modifier.contains(Modifier::REVERSED)).count();
        assert!(reversed >= 1, "{screen:?}");
    }
}

#[test]
fn ascii_is_only_ascii() {
    for screen in Screen::ALL {
        let mut state = console(Level::True, true);
        key(&mut state, open(screen));
        for size in SIZES {
            let text = text(&drawn(&mut state, size));
            let other = text.chars().find(|letter| !letter.is_ascii());
            assert_eq!(other, None, "{screen:?} at {size:?}");
        }
    }
}

#[test]
fn names_from_outside_steer_no_terminal() {
    let mut state = console(Level::True, false);
    if let Some(tools) = &mut state.data.tools {
        tools.tools[0].tool = "bad\u{1b}[2J\u{202e}\u{9b}name".into();
    }
    key(&mut state, '4');
    for size in SIZES {
        let buffer = drawn(&mut state, size);
        let unfit =
            buffer.content.iter().flat_map(|cell| cell.symbol().chars()).find(|it| toolgate_admin_api::is_unfit(*it));
        assert_eq!(unfit, None);
    }
}

#[test]
fn a_daemon_that_has_said_nothing_yet_is_waited_for() {
    let theme = Theme::new(Name::Dark, Ability { level: Level::None, ascii: false });
    for screen in Screen::ALL {
        let mut state = State::new(theme, 1_000, fixture::NOW_MS);
        key(&mut state, open(screen));
        let text = text(&drawn(&mut state, (80, 24)));
        assert!(text.contains("connecting"), "{text}");
    }
}

#[test]
fn small_terminals_get_a_line() {
    let mut state = console(Level::True, false);
    let text = text(&drawn(&mut state, (59, 15)));
    assert!(text.starts_with("● live 3"), "{text}");
    assert_eq!(text.lines().filter(|line| !line.is_empty()).count(), 1);
}

fn any_key() -> impl Strategy<Value = KeyEvent> {
    let codes = prop_oneof![
        8 => proptest::char::range(' ', '~').prop_map(KeyCode::Char),
        4 => prop_oneof![
            Just(KeyCode::Enter), Just(KeyCode::Esc), Just(KeyCode::Tab), Just(KeyCode::BackTab), Just(KeyCode::Up),
            Just(KeyCode::Down), Just(KeyCode::Left), Just(KeyCode::Right), Just(KeyCode::PageDown), Just(KeyCode::PageUp),
            Just(KeyCode::Home), Just(KeyCode::End), Just(KeyCode::Backspace), Just(KeyCode::Delete), Just(KeyCode::F(1)),
        ],
    ];
    (codes, proptest::bool::weighted(0.1))
        .prop_map(|(code, ctrl)| KeyEvent::new(code, if ctrl { KeyModifiers::CONTROL } else { KeyModifiers::NONE }))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn no_size_and_no_keys_break_it(
        keys in prop::collection::vec(any_key(), 0..60),
        sizes in prop::collection::vec((0_u16..220, 0_u16..70), 1..5),
        ascii: bool,
    ) {
        let mut state = console(Level::Indexed, ascii);
        for (index, event) in keys.iter().enumerate() {
            drop(state.update(Input::Key(*event), fixture::NOW_MS + index as u64 * 300));
            let (width, height) = sizes[index % sizes.len()];
            let mut buffer = Buffer::empty(Rect::new(0, 0, width, height));
            draw(&mut buffer, &mut state);
        }
    }

    #[test]
    fn every_small_size_is_drawn(width in 0_u16..90, height in 0_u16..30) {
        let mut state = console(Level::True, false);
        for screen in Screen::ALL {
            key(&mut state, open(screen));
            let mut buffer = Buffer::empty(Rect::new(0, 0, width, height));
            draw(&mut buffer, &mut state);
        }
    }
}
