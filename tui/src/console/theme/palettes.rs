//! The colours of each theme, in 24 bits and as one of the terminal's own 16.
//!
//! `DARK` and `LIGHT` take good, warning and bad from a set that people with any kind of colour vision tell apart
//! (bluish green, orange, vermillion); `COLOUR_BLIND` goes further, and differs in brightness too.

use ratatui::style::Color;

use super::Tint;

/// One theme.
#[derive(Debug)]
pub(super) struct Palette {
    /// The terminal's own where absent.
    pub(super) text: Option<Tint>,
    pub(super) dim: Tint,
    pub(super) title: Tint,
    pub(super) accent: Tint,
    pub(super) good: Tint,
    pub(super) warn: Tint,
    pub(super) bad: Tint,
    pub(super) info: Tint,
    pub(super) graph: Tint,
    pub(super) second: Tint,
    pub(super) border: Tint,
    pub(super) selected: Tint,
    pub(super) selected_text: Tint,
    pub(super) header: Tint,
    pub(super) header_text: Tint,
    pub(super) tab: Tint,
    pub(super) tab_text: Tint,
    /// From cold to hot.
    pub(super) heat: [Tint; 6],
}

const fn tint(rgb: u32, ansi: Color) -> Tint {
    let [_, red, green, blue] = rgb.to_be_bytes();
    Tint { rgb: (red, green, blue), ansi }
}

pub(super) static DARK: Palette = Palette {
    text: None,
    dim: tint(0x008a_8f98, Color::DarkGray),
    title: tint(0x007d_cfff, Color::Cyan),
    accent: tint(0x007d_cfff, Color::Cyan),
    good: tint(0x002f_c49b, Color::Green),
    warn: tint(0x00e6_9f00, Color::Yellow),
    bad: tint(0x00ff_6b3d, Color::Red),
    info: tint(0x0056_b4e9, Color::LightBlue),
    graph: tint(0x0056_b4e9, Color::LightBlue),
    second: tint(0x00bb_9af7, Color::Magenta),
    border: tint(0x0044_4b59, Color::DarkGray),
    selected: tint(0x002d_3f5e, Color::Blue),
    selected_text: tint(0x00ff_ffff, Color::White),
    header: tint(0x001f_2a3d, Color::Blue),
    header_text: tint(0x00d8_dee9, Color::White),
    tab: tint(0x007d_cfff, Color::Cyan),
    tab_text: tint(0x000b_1020, Color::Black),
    heat: [
        tint(0x0026_3b5e, Color::Blue),
        tint(0x002f_6690, Color::LightBlue),
        tint(0x003a_a0a8, Color::Cyan),
        tint(0x0097_c26b, Color::Green),
        tint(0x00e6_b84a, Color::Yellow),
        tint(0x00ff_e9a8, Color::White),
    ],
};

pub(super) static LIGHT: Palette = Palette {
    text: None,
    dim: tint(0x006b_7280, Color::DarkGray),
    title: tint(0x0000_5f9e, Color::Blue),
    accent: tint(0x0000_5f9e, Color::Blue),
    good: tint(0x0000_7a55, Color::Green),
    warn: tint(0x00a2_5f00, Color::Magenta),
    bad: tint(0x00c0_2b0a, Color::Red),
    info: tint(0x0000_72b2, Color::Blue),
    graph: tint(0x0000_72b2, Color::Blue),
    second: tint(0x007a_3e9d, Color::Magenta),
    border: tint(0x00c4_c9d1, Color::Gray),
    selected: tint(0x00cf_e3f7, Color::Cyan),
    selected_text: tint(0x0010_1820, Color::Black),
    header: tint(0x00e3_e9f1, Color::Gray),
    header_text: tint(0x0010_1820, Color::Black),
    tab: tint(0x0000_5f9e, Color::Blue),
    tab_text: tint(0x00ff_ffff, Color::White),
    heat: [
        tint(0x00d6_e4f0, Color::Gray),
        tint(0x00a3_c9e2, Color::Cyan),
        tint(0x0066_a5cf, Color::LightBlue),
        tint(0x0033_79b5, Color::Blue),
        tint(0x0055_4a9c, Color::Magenta),
        tint(0x007a_0177, Color::Red),
    ],
};

pub(super) static HIGH_CONTRAST: Palette = Palette {
    text: Some(tint(0x00ff_ffff, Color::White)),
    dim: tint(0x00d0_d0d0, Color::Gray),
    title: tint(0x00ff_ff00, Color::LightYellow),
    accent: tint(0x0000_ffff, Color::LightCyan),
    good: tint(0x0000_ff87, Color::LightGreen),
    warn: tint(0x00ff_ff00, Color::LightYellow),
    bad: tint(0x00ff_5f5f, Color::LightRed),
    info: tint(0x0000_ffff, Color::LightCyan),
    graph: tint(0x0000_ffff, Color::LightCyan),
    second: tint(0x00ff_87ff, Color::LightMagenta),
    border: tint(0x00ff_ffff, Color::White),
    selected: tint(0x00ff_ffff, Color::White),
    selected_text: tint(0x0000_0000, Color::Black),
    header: tint(0x00ff_ffff, Color::White),
    header_text: tint(0x0000_0000, Color::Black),
    tab: tint(0x00ff_ff00, Color::LightYellow),
    tab_text: tint(0x0000_0000, Color::Black),
    heat: [
        tint(0x0058_58ff, Color::LightBlue),
        tint(0x0000_afff, Color::LightCyan),
        tint(0x0000_ff87, Color::LightGreen),
        tint(0x00ff_ff00, Color::LightYellow),
        tint(0x00ff_875f, Color::LightRed),
        tint(0x00ff_ffff, Color::White),
    ],
};

pub(super) static COLOUR_BLIND: Palette = Palette {
    text: None,
    dim: tint(0x0090_959d, Color::DarkGray),
    title: tint(0x0056_b4e9, Color::LightBlue),
    accent: tint(0x0056_b4e9, Color::LightBlue),
    good: tint(0x0056_b4e9, Color::LightBlue),
    warn: tint(0x00f0_e442, Color::LightYellow),
    bad: tint(0x00e0_5fa8, Color::LightMagenta),
    info: tint(0x00b8_c4d6, Color::Gray),
    graph: tint(0x0056_b4e9, Color::LightBlue),
    second: tint(0x00f0_e442, Color::LightYellow),
    border: tint(0x0050_5662, Color::DarkGray),
    selected: tint(0x001d_4f7a, Color::Blue),
    selected_text: tint(0x00ff_ffff, Color::White),
    header: tint(0x001d_2f44, Color::Blue),
    header_text: tint(0x00e6_ebf2, Color::White),
    tab: tint(0x00f0_e442, Color::LightYellow),
    tab_text: tint(0x0000_0000, Color::Black),
    heat: [
        tint(0x0000_2051, Color::Blue),
        tint(0x0023_3e6c, Color::LightBlue),
        tint(0x0057_5d6d, Color::DarkGray),
        tint(0x007c_7b78, Color::Gray),
        tint(0x00bb_af71, Color::Yellow),
        tint(0x00fd_ea45, Color::LightYellow),
    ],
};
