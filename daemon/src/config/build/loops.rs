//! `[loops]`: what is done about clients that repeat themselves.

use super::super::section::Section;
use super::super::settings::{Levels, Loops};
use super::super::tree::Table;
use super::Context;

/// The table, or its defaults, which do nothing.
pub(super) fn loops(table: Option<&Table>, context: &mut Context<'_>) -> Loops {
    let section = Section::new(table, "loops");
    let loops = Loops {
        same: levels(section, "", context),
        surge: levels(section, "surge.", context),
        window: section.duration("window"),
        delay: section.duration("delay"),
        except: section.texts("except"),
    };
    for key in ["window", "delay", "except"] {
        if let Some(node) = section.written(key).filter(|_| !loops.act()) {
            context.warning(
                "no-effect",
                node.place,
                format!("`{key}` has no effect: nothing is done about loops"),
                "add one of `warn`, `slow` and `refuse`",
            );
        }
    }
    loops
}

fn levels(section: Section<'_>, prefix: &str, context: &mut Context<'_>) -> Levels {
    let at = |name: &str| section.maybe_count(&format!("{prefix}{name}")).and_then(|count| u32::try_from(count).ok());
    let levels = Levels { warn: at("warn"), slow: at("slow"), refuse: at("refuse") };
    let written = [("warn", levels.warn), ("slow", levels.slow), ("refuse", levels.refuse)];
    let written: Vec<_> = written.into_iter().filter_map(|(name, count)| Some((name, count?))).collect();
    for pair in written.windows(2) {
        let [(milder, from), (harder, to)] = pair else { continue };
        if let Some(node) = section.written(&format!("{prefix}{harder}")).filter(|_| to <= from) {
            context.error(
                "conflict",
                node.place,
                format!("`{harder}` comes after `{milder}`, and would never let it act"),
                format!("write a number above {from}, or remove `{milder}`"),
            );
        }
    }
    levels
}
