//! The configuration: any text as the main file.
//! Must hold: nothing panics; what cannot be used has an error; every problem renders, with its place and its remedy.
#![no_main]

use libfuzzer_sys::fuzz_target;
use toolgated::config::{Severity, from_text};

fuzz_target!(|text: &str| {
    let report = match from_text(text) {
        Ok(settings) => {
            assert!(settings.warnings.iter().all(|warning| !warning.is_empty()));
            return;
        }
        Err(report) => report,
    };
    assert!(report.problems.iter().any(|problem| problem.severity == Severity::Error), "refused without a reason");
    for problem in &report.problems {
        assert!(!problem.message.is_empty() && !problem.help.is_empty());
        assert!(report.sentence(problem).contains(&problem.help));
        if let Some(place) = problem.place {
            let (line, column) = report.sources.position(place);
            assert!(line >= 1 && line <= text.matches('\n').count() + 1 && column >= 1);
        }
    }
    assert!(!report.render(false).is_empty() && !report.render(true).is_empty());
});
