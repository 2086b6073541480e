//! What is made from the table of commands: completions and man pages.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;

use clap::CommandFactory;
use clap_complete::Shell;
use toolgate_admin_api::Exit;

use crate::args::Arguments;
use crate::console;
use crate::failure::Failure;
use crate::output;

/// Prints the completion script of a shell.
pub(super) fn completions(shell: Shell) -> Exit {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "toolgate", &mut script);
    output::raw(&script);
    if shell == Shell::Bash {
        output::raw(LIVE.as_bytes());
    }
    Exit::Done
}

/// Behind what clap makes: names that the running daemon knows. A word is taken from the line as it is typed, since
/// bash breaks words at colons, and ids of clients have one.
const LIVE: &str = r#"
_toolgate_live() {
    _toolgate "$@"
    local line="${COMP_LINE:0:COMP_POINT}" word before noun= names name
    word="${line##* }"
    case "$word" in -*) return ;; esac
    case " $line" in
        *" server show "*|*" server restart "*|*" server drain "*|*" server maintenance "*|*" server resume "*) noun=servers ;;
        *" server weight "*|*" server check "*|*" server remove "*|*" breaker "*" "*|*" queues purge "*) noun=servers ;;
        *" queues set "*|*" queues revert "*|*" tools disable "*|*" tools enable "*|*" tools approve "*) noun=servers ;;
        *" cache clear "*) noun=servers ;;
        *" sessions show "*|*" sessions end "*) noun=sessions ;;
        *" calls cancel "*|*" why "*) noun=calls ;;
        *" clients suspend "*|*" clients resume "*) noun=clients ;;
        *" key show "*|*" key rotate "*|*" key suspend "*|*" key resume "*|*" key revoke "*|*" key adopt "*) noun=keys ;;
        *" limits set "*|*" limits revert "*) noun=limits ;;
    esac
    before="${line% *}"
    case "${before##* }" in
        --client) noun=clients ;;
        --server) noun=servers ;;
    esac
    [ -n "$noun" ] || return
    names="$(toolgate complete "$noun" 2>/dev/null)" || return
    for name in $names; do
        case "$name" in
            "$word"*)
                # What stands before the last colon of the word is kept by bash.
                case "$word" in *:*) name="${name#"${word%:*}:"}" ;; esac
                COMPREPLY+=("$name")
                ;;
        esac
    done
}
complete -F _toolgate_live -o nosort -o bashdefault -o default toolgate
"#;

/// Writes `toolgate.1` and a page per command into a folder, which must exist.
pub(super) fn man_pages(folder: &Path) -> Result<Exit, Failure> {
    clap_mangen::generate_to(Arguments::command(), folder)
        .and_then(|()| keys(&folder.join("toolgate-top.1")))
        .map_err(|error| Failure::local(format!("{} cannot be written", folder.display()), error))?;
    Ok(Exit::Done)
}

/// Adds the console's keys to its page.
fn keys(page: &Path) -> io::Result<()> {
    OpenOptions::new().append(true).open(page)?.write_all(console::keys_manual().as_bytes())
}
