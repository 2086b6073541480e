//! What completions have behind what clap makes: names that the running daemon knows, in bash, zsh and fish.
//!
//! One table says which command is followed by names of which kind; a function of each shell, made from it, says what
//! `toolgate complete` is asked for where the cursor is.

use std::fmt::Write;

use clap_complete::Shell;

/// Commands whose first word is a name, and of which kind. Behind a server `tools` has a tool of it.
const NAMES: &[(&str, &str)] = &[
    ("server show", "servers"),
    ("server restart", "servers"),
    ("server drain", "servers"),
    ("server maintenance", "servers"),
    ("server resume", "servers"),
    ("server weight", "servers"),
    ("server check", "servers"),
    ("server remove", "servers"),
    ("breaker open", "servers"),
    ("breaker close", "servers"),
    ("breaker reset", "servers"),
    ("queues purge", "servers"),
    ("queues set", "servers"),
    ("queues revert", "servers"),
    ("cache clear", "servers"),
    ("tools disable", "tools"),
    ("tools enable", "tools"),
    ("tools approve", "tools"),
    ("sessions show", "sessions"),
    ("sessions end", "sessions"),
    ("calls cancel", "calls"),
    ("why", "calls"),
    ("clients suspend", "clients"),
    ("clients resume", "clients"),
    ("key show", "keys"),
    ("key rotate", "keys"),
    ("key suspend", "keys"),
    ("key resume", "keys"),
    ("key revoke", "keys"),
    ("key adopt", "keys"),
    ("limits set", "limits"),
    ("limits revert", "limits"),
    ("alerts ack", "alerts"),
    ("alerts silence", "alerts"),
];

/// Options whose value is a name, and of which kind.
const OPTIONS: &[(&str, &str)] = &[("--client", "clients"), ("--server", "servers"), ("--tool", "tools")];

/// The script of a shell, from clap's, with names that live.
pub(super) fn with_names(shell: Shell, script: &str) -> String {
    match shell {
        Shell::Bash => format!("{script}{}{BASH}", noun_of_line()),
        // What clap completes is asked by what completes names: under its name the script is loaded.
        Shell::Zsh => {
            let words = script.replacen("\n_toolgate() {", "\n_toolgate_words() {", 1);
            let (head, tail) = words.rsplit_once("\nif [ ").unwrap_or((&words, ""));
            format!("{head}\n{}{ZSH}\nif [ {tail}", noun_of_line())
        }
        Shell::Fish => format!("{script}{}", fish()),
        _ => script.to_owned(),
    }
}

/// For bash and zsh: what `complete` is asked for behind a line, which begins and ends with a space.
fn noun_of_line() -> String {
    let mut text = String::from("\n_toolgate_noun() {\n    local line=\"$1\" noun= rest=\n    case \"$line\" in\n");
    for (option, noun) in OPTIONS {
        let _ = writeln!(text, "        *\" {option} \") echo {noun}; return ;;");
    }
    text.push_str("    esac\n    case \"$line\" in\n");
    for (command, noun) in NAMES {
        let _ = writeln!(text, "        *\" {command} \"*) noun={noun} rest=\"${{line##* {command} }}\" ;;");
    }
    text.push_str(
        r#"    esac
    case "$noun:$rest" in
        :*) ;;
        tools:) echo servers ;;
        tools:-*|tools:*" "?*) ;;
        tools:*) echo "tools --of ${rest%% *}" ;;
        *:|*:-*) echo "$noun" ;;
    esac
}
"#,
    );
    text
}

/// A word is taken from the line as it is typed, since bash breaks words at colons, and ids of clients have one.
const BASH: &str = r#"
_toolgate_live() {
    _toolgate "$@"
    local line="${COMP_LINE:0:COMP_POINT}" word noun name
    word="${line##* }"
    case "$word" in -*) return ;; esac
    noun="$(_toolgate_noun " ${line% *} ")"
    [ -n "$noun" ] || return
    for name in $(toolgate complete $noun 2>/dev/null); do
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

const ZSH: &str = r#"
_toolgate() {
    local noun line=" ${(j: :)words[1,CURRENT-1]} "
    local -a names
    noun="$(_toolgate_noun "$line")"
    if [[ -n $noun && ${words[CURRENT]} != -* ]]; then
        names=(${(f)"$(toolgate complete ${=noun} 2>/dev/null)"})
        if (( ${#names} )); then
            compadd -a names
            return
        fi
    fi
    _toolgate_words "$@"
}
"#;

fn fish() -> String {
    let mut text = String::from(
        "\nfunction __toolgate_noun\n    set -l line \" \"(string join \" \" -- (commandline -opc))\" \"\n    \
         set -l noun\n    set -l rest\n    switch $line\n",
    );
    for (option, noun) in OPTIONS {
        let _ = writeln!(text, "        case '* {option} '\n            echo {noun}\n            return");
    }
    text.push_str("    end\n    switch $line\n");
    for (command, noun) in NAMES {
        let _ = writeln!(
            text,
            "        case '* {command} *'\n            set noun {noun}\n            \
             set rest (string replace -r '.* {command} ' '' -- $line)"
        );
    }
    text.push_str(
        r#"    end
    test -n "$noun"; or return 1
    set -l given (string split -n ' ' -- $rest | string match -v -- '-*')
    switch $noun:(count $given)
        case tools:0
            echo servers
        case tools:1
            echo tools
            echo --of
            echo $given[1]
        case '*:0'
            echo $noun
        case '*'
            return 1
    end
end
complete -c toolgate -n '__toolgate_noun >/dev/null' -f -a '(toolgate complete (__toolgate_noun) 2>/dev/null)'
"#,
    );
    text
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::process::{Command, Stdio};

    use clap::CommandFactory;

    use super::*;
    use crate::args::Arguments;
    use crate::commands::generate;

    #[test]
    fn every_command_and_option_of_the_tables_is_one() {
        fn all(command: &clap::Command, options: &mut HashSet<String>) {
            options.extend(command.get_arguments().filter_map(|arg| Some(format!("--{}", arg.get_long()?))));
            command.get_subcommands().for_each(|command| all(command, options));
        }
        let mut options = HashSet::new();
        all(&Arguments::command(), &mut options);
        assert!(OPTIONS.iter().all(|(option, _)| options.contains(*option)));
        for (command, _) in NAMES {
            let mut found = Arguments::command();
            for word in command.split(' ') {
                found = found.find_subcommand(word).unwrap_or_else(|| panic!("toolgate {command}")).clone();
            }
            assert!(found.get_positionals().next().is_some(), "toolgate {command} takes no name");
        }
    }

    /// What a shell says, where it is here.
    fn said(shell: &str, script: &str) -> Option<String> {
        let ran = Command::new(shell).args(["-c", script]).stdin(Stdio::null()).output();
        let Ok(ran) = ran else {
            eprintln!("SKIPPED: {shell} is not here, so nothing is known of its completions");
            return None;
        };
        assert!(ran.status.success() && ran.stderr.is_empty(), "{shell}: {}", String::from_utf8_lossy(&ran.stderr));
        Some(String::from_utf8_lossy(&ran.stdout).split_whitespace().collect::<Vec<_>>().join(" "))
    }

    /// Lines as they are typed, and what the daemon is asked for.
    const TYPED: &[(&str, &str)] = &[
        ("toolgate server show ", "servers"),
        ("toolgate --json server drain ", "servers"),
        ("toolgate server show web ", ""),
        ("toolgate tools disable ", "servers"),
        ("toolgate tools disable web ", "tools --of web"),
        ("toolgate tools disable web pay ", ""),
        ("toolgate limits explain --client ", "clients"),
        ("toolgate limits explain --client key:a --tool ", "tools"),
        ("toolgate why ", "calls"),
        ("toolgate status ", ""),
    ];

    #[test]
    fn every_shell_asks_for_what_the_line_is_about() {
        for shell in [Shell::Bash, Shell::Zsh] {
            for (line, noun) in TYPED {
                let script = format!("{}\n_toolgate_noun \" {line}\"", noun_of_line());
                if let Some(said) = said(&shell.to_string(), &script) {
                    assert_eq!(said, *noun, "{shell}: {line}");
                }
            }
        }
        for (line, noun) in TYPED {
            let typed = format!("function commandline; string split -n ' ' -- '{line}'; end");
            if let Some(said) = said("fish", &format!("{typed}\n{}\n__toolgate_noun; true", fish())) {
                assert_eq!(said, *noun, "fish: {line}");
            }
        }
    }

    #[test]
    fn names_are_offered_by_each_shell_as_it_loads_its_script() {
        let asked = "toolgate() { [ \"$*\" = 'complete servers' ] && echo web; }";
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("_toolgate"), generate::script(Shell::Zsh)).unwrap();
        // Loaded by its name at the first question, as zsh does; and asked once more.
        let script = format!(
            "{asked}\ncompdef() {{ :; }}\ncompadd() {{ print -l -- $names; }}\n_arguments() {{ print other; }}\n\
             fpath=({} $fpath); autoload -U _toolgate\nwords=(toolgate server show ''); CURRENT=4\n_toolgate\n_toolgate\n\
             words=(toolgate --); CURRENT=2\n_toolgate",
            folder.path().display()
        );
        if let Some(said) = said("zsh", &script) {
            assert_eq!(said, "web web other");
        }
        let fish = generate::script(Shell::Fish);
        let script = format!(
            "function toolgate; test \"$argv\" = 'complete servers'; and echo web; end\n{fish}\n\
             complete -C 'toolgate server show '"
        );
        if let Some(said) = said("fish", &script) {
            assert!(said.split(' ').any(|word| word == "web"), "{said}");
        }
    }
}
