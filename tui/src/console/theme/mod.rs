//! What things look like: a role has a style, a theme says which.
//!
//! Whoever draws names roles and never colours. Without colours (`NO_COLOR`) a style is bold, reverse and underline
//! alone, since a terminal library that leaves colours out may leave out the reversal with them.

mod glyphs;
mod level;
mod palettes;

use ratatui::style::{Color, Modifier, Style};

pub(crate) use glyphs::Glyphs;
pub(crate) use level::{Ability, Level};
use palettes::Palette;

/// What a piece of the screen means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Role {
    /// What is to be read.
    Text,
    /// What stands beside it.
    Dim,
    /// The number that matters.
    Strong,
    /// Heads of columns and panes.
    Title,
    /// A key that may be pressed.
    Key,
    /// It works.
    Good,
    /// Somebody should look.
    Warn,
    /// It does not work.
    Bad,
    /// Neither good nor bad: drained by hand, being replaced.
    Info,
    /// A line of a graph.
    Graph,
    /// The second line of a graph.
    Second,
    /// Lines between panes.
    Border,
    /// The row that keys act on.
    Selected,
    /// A row that is marked.
    Marked,
    /// The line at the top.
    Header,
    /// The screen that is open, in the list of screens.
    Tab,
    /// A part of a call: waiting for a permit.
    PhaseQueue,
    /// Making a connection.
    PhaseConnect,
    /// Waiting for the first byte.
    PhaseFirst,
    /// Receiving the rest.
    PhaseStream,
}

/// A family of colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Name {
    /// For dark terminals; its colours differ for every kind of eyes
    Dark,
    /// For light terminals
    Light,
    /// The strongest contrasts, for bright rooms and weak eyes
    HighContrast,
    /// Blue, yellow and purple only
    ColourBlind,
}

impl Name {
    /// The one after it, round and round.
    pub(crate) fn next(self) -> Self {
        match self {
            Self::Dark => Self::Light,
            Self::Light => Self::HighContrast,
            Self::HighContrast => Self::ColourBlind,
            Self::ColourBlind => Self::Dark,
        }
    }

    /// As it is chosen on the command line.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Dark => "dark",
            Self::Light => "light",
            Self::HighContrast => "high-contrast",
            Self::ColourBlind => "colour-blind",
        }
    }

    fn palette(self) -> &'static Palette {
        match self {
            Self::Dark => &palettes::DARK,
            Self::Light => &palettes::LIGHT,
            Self::HighContrast => &palettes::HIGH_CONTRAST,
            Self::ColourBlind => &palettes::COLOUR_BLIND,
        }
    }
}

/// A colour in each of the levels that have colours.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tint {
    rgb: (u8, u8, u8),
    ansi: Color,
}

impl Tint {
    fn at(self, level: Level) -> Option<Color> {
        let (red, green, blue) = self.rgb;
        match level {
            Level::None => None,
            Level::Sixteen => Some(self.ansi),
            Level::Indexed => Some(Color::Indexed(indexed(red, green, blue))),
            Level::True => Some(Color::Rgb(red, green, blue)),
        }
    }
}

/// Styles and signs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Theme {
    pub(crate) name: Name,
    pub(crate) level: Level,
    pub(crate) glyphs: &'static Glyphs,
}

impl Theme {
    /// The theme for a terminal of this ability.
    pub(crate) fn new(name: Name, ability: Ability) -> Self {
        Self { name, level: ability.level, glyphs: if ability.ascii { &glyphs::ASCII } else { &glyphs::UNICODE } }
    }

    /// How something of this role looks.
    pub(crate) fn style(&self, role: Role) -> Style {
        if self.level == Level::None {
            return Style::new().add_modifier(colourless(role));
        }
        let palette = self.name.palette();
        let fore = |tint: Tint| Style { fg: tint.at(self.level), ..Style::new() };
        let on = |tint: Tint, back: Tint| Style { bg: back.at(self.level), ..fore(tint) };
        match role {
            Role::Text => palette.text.map_or(Style::new(), fore),
            Role::Dim => fore(palette.dim),
            Role::Strong => palette.text.map_or(Style::new(), fore).add_modifier(Modifier::BOLD),
            Role::Title => fore(palette.title).add_modifier(Modifier::BOLD),
            Role::Key => fore(palette.accent).add_modifier(Modifier::BOLD),
            Role::Good => fore(palette.good),
            Role::Warn => fore(palette.warn).add_modifier(Modifier::BOLD),
            Role::Bad => fore(palette.bad).add_modifier(Modifier::BOLD),
            Role::Info | Role::PhaseConnect => fore(palette.info),
            Role::Graph | Role::PhaseFirst => fore(palette.graph),
            Role::Second | Role::PhaseStream => fore(palette.second),
            Role::PhaseQueue => fore(palette.warn),
            Role::Border => fore(palette.border),
            Role::Selected => on(palette.selected_text, palette.selected),
            Role::Marked => fore(palette.accent).add_modifier(Modifier::UNDERLINED),
            Role::Header => on(palette.header_text, palette.header),
            Role::Tab => on(palette.tab_text, palette.tab).add_modifier(Modifier::BOLD),
        }
    }

    /// How hot a cell of the heat map is; `share` is from 0 to 1.
    pub(crate) fn heat(&self, share: f64) -> Style {
        if self.level == Level::None {
            return Style::new();
        }
        let steps = &self.name.palette().heat;
        let step = super::units::to_cells(share * super::units::to_float(steps.len() as u64), steps.len() - 1);
        Style { fg: steps[step].at(self.level), ..Style::new() }
    }
}

/// What tells roles apart without colours.
fn colourless(role: Role) -> Modifier {
    match role {
        Role::Strong | Role::Title | Role::Key | Role::Warn => Modifier::BOLD,
        Role::Bad => Modifier::BOLD.union(Modifier::UNDERLINED),
        Role::Marked => Modifier::UNDERLINED,
        Role::Selected | Role::Tab => Modifier::REVERSED,
        Role::Header => Modifier::REVERSED.union(Modifier::BOLD),
        _ => Modifier::empty(),
    }
}

/// The nearest of the 240 colours that terminals agree on: a cube of six steps, and a ramp of greys.
fn indexed(red: u8, green: u8, blue: u8) -> u8 {
    const STEPS: [u8; 6] = [0, 95, 135, 175, 215, 255];
    let near = |value: u8| (0_u8..6).min_by_key(|&step| STEPS[usize::from(step)].abs_diff(value)).unwrap_or(0);
    let distance = |to: (u8, u8, u8)| {
        [(red, to.0), (green, to.1), (blue, to.2)].iter().map(|(a, b)| u32::from(a.abs_diff(*b)).pow(2)).sum::<u32>()
    };
    let (r, g, b) = (near(red), near(green), near(blue));
    let cube = (STEPS[usize::from(r)], STEPS[usize::from(g)], STEPS[usize::from(b)]);
    let grey = (0_u8..24).min_by_key(|step| distance((8 + 10 * step, 8 + 10 * step, 8 + 10 * step))).unwrap_or(0);
    let shade = 8 + 10 * grey;
    if distance((shade, shade, shade)) < distance(cube) { 232 + grey } else { 16 + 36 * r + 6 * g + b }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROLES: [Role; 12] = [
        Role::Text,
        Role::Dim,
        Role::Strong,
        Role::Title,
        Role::Key,
        Role::Good,
        Role::Warn,
        Role::Bad,
        Role::Selected,
        Role::Marked,
        Role::Header,
        Role::Tab,
    ];

    #[test]
    fn without_colours_there_are_none() {
        for name in [Name::Dark, Name::Light, Name::HighContrast, Name::ColourBlind] {
            let theme = Theme::new(name, Ability { level: Level::None, ascii: false });
            for role in ROLES {
                let style = theme.style(role);
                assert_eq!((style.fg, style.bg), (None, None), "{role:?}");
                let known = Modifier::BOLD | Modifier::REVERSED | Modifier::UNDERLINED;
                assert!(known.contains(style.add_modifier), "{role:?}");
            }
            assert_eq!(theme.heat(1.0), Style::new());
        }
    }

    #[test]
    fn good_and_bad_never_look_alike() {
        for level in [Level::None, Level::Sixteen, Level::Indexed, Level::True] {
            for name in [Name::Dark, Name::Light, Name::HighContrast, Name::ColourBlind] {
                let theme = Theme::new(name, Ability { level, ascii: false });
                let styles = [Role::Good, Role::Warn, Role::Bad].map(|role| theme.style(role));
                assert!(
                    styles[0] != styles[1] && styles[1] != styles[2] && styles[0] != styles[2],
                    "{name:?} {level:?}"
                );
            }
        }
    }

    #[test]
    fn a_colour_of_the_cube_is_itself() {
        assert_eq!(indexed(255, 0, 0), 196);
        assert_eq!(indexed(0, 0, 0), 16);
        assert_eq!(indexed(128, 128, 128), 244);
    }
}
