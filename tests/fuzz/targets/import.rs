//! The import of a desktop client's `mcpServers`.
//! Must hold: nothing panics; what is written is TOML that the daemon takes; no note is empty.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use toolgated::import::convert;

fuzz_target!(|text: &str| {
    let imported = match convert(text, Path::new("/etc/toolgate/secrets")) {
        Ok(imported) => imported,
        Err(sentence) => {
            assert!(!sentence.is_empty());
            return;
        }
    };
    assert!(imported.notes.iter().all(|note| !note.is_empty()));
    if let Err(report) = imported.check() {
        panic!("the result would not be accepted:\n{}\n{}", imported.toml, report.render(false));
    }
});
