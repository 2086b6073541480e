//! `toolgated check [--json] [--dump] [FILE]`: what a reload would say, without a daemon.
//!
//! Called by main, by units before a start, and by scripts. Exit 0 when the configuration can be
//! used, 78 (`EX_CONFIG`) when not.

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::problem::{Problem, Report, Severity};
use super::{Environment, Scrutiny, complete, dump, files, finish};
use crate::generator::drift;

/// Where the package puts the main file.
pub const STANDARD_PATH: &str = "/etc/toolgate/toolgate.toml";

/// Exit code of a configuration that cannot be used (`sysexits.h`).
pub const EX_CONFIG: u8 = 78;

/// Checks a configuration without starting anything.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// The main file; conf.d/*.toml beside it is read too
    #[arg(default_value = STANDARD_PATH)]
    pub file: PathBuf,
    /// Print the report as JSON on standard output
    #[arg(long)]
    pub json: bool,
    /// Print every effective value with its origin
    #[arg(long)]
    pub dump: bool,
}

/// Reports on standard error, or with `--json` on standard output.
#[must_use]
pub fn check(args: &CheckArgs) -> ExitCode {
    let environment = Environment::of_process(Scrutiny::Operator);
    let (mut report, dump) = inspect(&args.file, &environment);
    if let Some(drift) = drift::find(&args.file) {
        report.push(Problem {
            severity: Severity::Warning,
            code: "units",
            place: None,
            help: drift.remedy().unwrap_or_else(|| "change the file; systemd has no keeper's environment".into()),
            message: drift.what,
            also: None,
        });
    }
    // A reader that went away does not change whether the configuration is good.
    let _ = if args.json {
        writeln!(std::io::stdout(), "{}", report.to_json())
    } else {
        let colours =
            std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        write!(std::io::stderr(), "{}", report.render(colours))
    };
    if args.dump && !args.json {
        let _ = write!(std::io::stdout(), "{dump}");
    }
    if report.has_errors() { ExitCode::from(EX_CONFIG) } else { ExitCode::SUCCESS }
}

/// The report of a configuration and its effective values, whether it can be used or not.
#[must_use]
pub fn inspect(file: &Path, environment: &Environment) -> (Report, String) {
    let mut report = Report::default();
    let mut tree = files::read(file, &mut report);
    complete(&mut tree, environment, &mut report);
    let dump = dump::dump(&tree, &report.sources);
    let report = match finish(&tree, report, environment) {
        Ok((_, report)) | Err(report) => report,
    };
    (report, dump)
}
