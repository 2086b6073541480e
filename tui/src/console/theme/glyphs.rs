//! The signs that the console draws, and what stands for them where only ASCII can be drawn.

/// Signs of one kind of terminal.
#[derive(Debug)]
pub(crate) struct Glyphs {
    /// Eight heights, from the lowest.
    pub(crate) levels: [&'static str; 8],
    /// How full a cell of the heat map is, from nothing.
    pub(crate) shades: [&'static str; 5],
    pub(crate) bar: &'static str,
    pub(crate) bar_rest: &'static str,
    pub(crate) horizontal: &'static str,
    pub(crate) vertical: &'static str,
    /// Top left, top right, bottom left, bottom right.
    pub(crate) corners: [&'static str; 4],
    pub(crate) branch: &'static str,
    pub(crate) last_branch: &'static str,
    pub(crate) good: &'static str,
    pub(crate) warn: &'static str,
    pub(crate) bad: &'static str,
    pub(crate) idle: &'static str,
    pub(crate) info: &'static str,
    pub(crate) ascending: &'static str,
    pub(crate) descending: &'static str,
    pub(crate) mark: &'static str,
    pub(crate) separator: &'static str,
    pub(crate) more: &'static str,
    pub(crate) chevron: &'static str,
}

pub(super) static UNICODE: Glyphs = Glyphs {
    levels: ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"],
    shades: [" ", "░", "▒", "▓", "█"],
    bar: "█",
    bar_rest: "░",
    horizontal: "─",
    vertical: "│",
    corners: ["╭", "╮", "╰", "╯"],
    branch: "├ ",
    last_branch: "└ ",
    good: "●",
    warn: "▲",
    bad: "✖",
    idle: "○",
    info: "◆",
    ascending: "↑",
    descending: "↓",
    mark: "✓",
    separator: "·",
    more: "…",
    chevron: "›",
};

pub(super) static ASCII: Glyphs = Glyphs {
    levels: ["_", ".", ",", "-", "=", "+", "*", "#"],
    shades: [" ", ".", ":", "+", "#"],
    bar: "#",
    bar_rest: ".",
    horizontal: "-",
    vertical: "|",
    corners: ["+", "+", "+", "+"],
    branch: "|-",
    last_branch: "`-",
    good: "*",
    warn: "!",
    bad: "x",
    idle: "o",
    info: "~",
    ascending: "^",
    descending: "v",
    mark: "+",
    separator: "|",
    more: "~",
    chevron: ">",
};
