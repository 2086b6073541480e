//! `toolgate key import`: keys from JSON lines or CSV. What is wrong is told with its line; then nothing is imported.

use std::io::Read;
use std::path::Path;

use toolgate_admin_api::{Exit, ImportRequest, KeyImport, KeysOutcome};

use super::super::{Context, change};
use super::{count, named};
use crate::args::KeyImport as Arguments;
use crate::failure::Failure;

/// Bytes of a file that is read.
const LARGEST: u64 = 48 << 20;

/// A line that cannot be read.
#[derive(Debug, PartialEq, Eq)]
struct Fault {
    line: u64,
    message: String,
}

/// Reads the file and has the daemon take the keys in.
pub(super) async fn run(context: &Context, import: &Arguments) -> Result<Exit, Failure> {
    let (file, how) = (&import.file, &import.how);
    let text = read(file)?;
    let is_csv = file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv"));
    let keys = if is_csv { of_csv(&text) } else { of_lines(&text) };
    let keys = keys.map_err(|fault| {
        Failure::new(Exit::Failed, format!("{}:{}: {}.", file.display(), fault.line, fault.message))
            .remedy("Nothing was imported. `toolgate key import --help` says what a file has.")
    })?;
    let request = ImportRequest { keys, dry_run: how.dry_run, reason: how.reason.clone() };
    let outcome = change::post::<KeysOutcome>(context, "/v1/keys/import", &request, how).await;
    let outcome = outcome.map_err(|failure| in_file(failure, file))?;
    let has = if outcome.applied { "has" } else { "would have" };
    let text = match outcome.added {
        0 => format!("{}{} has no keys.", change::rehearsed(outcome.applied), file.display()),
        1..=100 => format!(
            "{}The store {has} {} more: {}.",
            change::rehearsed(outcome.applied),
            count(outcome.added),
            named(&outcome)
        ),
        many => format!("{}The store {has} {many} keys more.", change::rehearsed(outcome.applied)),
    };
    Ok(change::tell(context, &outcome, &text))
}

fn read(file: &Path) -> Result<String, Failure> {
    let unreadable = |error| Failure::local(format!("{} cannot be read", file.display()), error);
    let mut text = String::new();
    let mut source: Box<dyn Read> = if file == Path::new("-") {
        Box::new(std::io::stdin().lock())
    } else {
        Box::new(std::fs::File::open(file).map_err(unreadable)?)
    };
    let length = source.by_ref().take(LARGEST + 1).read_to_string(&mut text).map_err(unreadable)?;
    if length as u64 > LARGEST {
        return Err(Failure::new(Exit::Failed, format!("{} is larger than 48 MiB.", file.display()))
            .remedy("Import it in parts."));
    }
    Ok(text)
}

/// The daemon's complaints, with the file whose lines they name.
fn in_file(mut failure: Failure, file: &Path) -> Failure {
    if let Some(answer) = &mut failure.answer {
        for problem in &mut answer.problems {
            problem.file = Some(file.display().to_string());
        }
    }
    failure
}

/// A JSON object a line; empty lines are none.
fn of_lines(text: &str) -> Result<Vec<KeyImport>, Fault> {
    let lines = (1_u64..).zip(text.lines()).filter(|(_, text)| !text.trim().is_empty());
    let read = |(line, text): (u64, &str)| {
        let key: KeyImport =
            serde_json::from_str(text).map_err(|error| Fault { line, message: format!("this is no key: {error}") })?;
        Ok(KeyImport { line: Some(line), ..key })
    };
    lines.map(read).collect()
}

/// Comma-separated values as RFC 4180 has them, with the names of columns in the first line.
fn of_csv(text: &str) -> Result<Vec<KeyImport>, Fault> {
    let mut records = records(text)?.into_iter();
    let Some((_, names)) = records.next() else { return Ok(Vec::new()) };
    records
        .filter(|(_, fields)| fields.iter().any(|field| !field.is_empty()))
        .map(|(line, fields)| {
            if fields.len() != names.len() {
                let message = format!("there are {} fields, and {} columns", fields.len(), names.len());
                return Err(Fault { line, message });
            }
            let mut key = KeyImport { line: Some(line), ..KeyImport::default() };
            for (name, field) in names.iter().zip(fields) {
                set(&mut key, name.trim(), field).map_err(|message| Fault { line: 1, message })?;
            }
            Ok(key)
        })
        .collect()
}

fn set(key: &mut KeyImport, name: &str, field: String) -> Result<(), String> {
    let some = |field: String| Some(field).filter(|field| !field.is_empty());
    let list = |field: &str| field.split_whitespace().map(str::to_owned).collect();
    match name.to_ascii_lowercase().as_str() {
        "id" => key.id = field,
        "hash" => key.hash = field,
        "owner" => key.owner = field,
        "organisation" => key.organisation = some(field),
        "tier" => key.tier = some(field),
        "roles" => key.roles = list(&field),
        "scopes" => key.scopes = list(&field),
        "networks" => key.networks = list(&field),
        "created" => key.created = some(field),
        "expires" => key.expires = some(field),
        _ => {
            return Err(format!(
                "there is no column {name:?}: id, hash, owner, organisation, tier, roles, scopes, networks, created and expires are known"
            ));
        }
    }
    Ok(())
}

/// Records with the lines that they begin on.
fn records(text: &str) -> Result<Vec<(u64, Vec<String>)>, Fault> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let (mut records, mut fields, mut field) = (Vec::new(), Vec::new(), String::new());
    let (mut line, mut begins, mut quoted) = (1, 1, None);
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        line += u64::from(letter == '\n');
        match (letter, quoted) {
            ('"', Some(_)) if letters.peek() == Some(&'"') => field.extend(letters.next()),
            ('"', Some(_)) => quoted = None,
            ('"', None) if field.is_empty() => quoted = Some(line),
            (',', None) => fields.push(std::mem::take(&mut field)),
            ('\r', None) if letters.peek() == Some(&'\n') => {}
            ('\n', None) => {
                fields.push(std::mem::take(&mut field));
                records.push((begins, std::mem::take(&mut fields)));
                begins = line;
            }
            _ => field.push(letter),
        }
    }
    if let Some(line) = quoted {
        return Err(Fault { line, message: "the quotation that begins here does not end".into() });
    }
    if !field.is_empty() || !fields.is_empty() {
        fields.push(field);
        records.push((begins, fields));
    }
    Ok(records)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn columns_have_names_and_lines_have_numbers() {
        let text =
            "id,owner,hash,scopes,tier\r\nann1,\"Ann, \"\"A\"\"\",sha256:00,a/* b/*,\r\n\r\nbob1,\"B\nob\",x,,free\n";
        let keys = of_csv(text).unwrap();
        assert_eq!((keys[0].owner.as_str(), keys[0].line), ("Ann, \"A\"", Some(2)));
        assert_eq!((keys[0].scopes.as_slice(), &keys[0].tier), (&["a/*".to_owned(), "b/*".to_owned()][..], &None));
        assert_eq!((keys[1].owner.as_str(), keys[1].line, keys[1].tier.as_deref()), ("B\nob", Some(4), Some("free")));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        let line = |text: &str| of_csv(text).map_err(|fault| fault.line);
        assert_eq!(line("id,owner\nann1,ann\nbob1"), Err(3));
        assert_eq!(line("id,colour\nann1,red"), Err(1));
        assert_eq!(line("id,owner\nann1,\"ann"), Err(2));
        let told = of_lines("{\"id\":\"ann1\"}\n\n{\"id\":1}").unwrap_err();
        assert_eq!(told.line, 3);
        assert_eq!(of_lines("{\"key\":\"tg_a_b\"}").map_err(|fault| fault.line), Err(1));
        assert!(of_lines("\n").unwrap().is_empty() && of_csv("").unwrap().is_empty());
    }

    proptest! {
        #[test]
        fn any_text_comes_through_its_quotes(fields in prop::collection::vec("[ -~äß\n\r\"]{0,9}", 1..5)) {
            let quoted: Vec<_> = fields.iter().map(|field| format!("\"{}\"", field.replace('"', "\"\""))).collect();
            let read = records(&format!("{}\n", quoted.join(","))).unwrap();
            prop_assert_eq!(read, vec![(1, fields)]);
        }
    }
}
