//! The parsers of files people write: what they return must be what the file says, and reading a
//! rendering of it must give it back.

use gaffer::base::limits;
use gaffer::wire::text::ParseError;
use gaffer::wire::{dotenv, ini, procfile};

/// An INI file: keys are lower case and unique, lines are in the file, and a rendering reads back.
pub fn ini(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let ini = match ini::parse(&text) {
        Ok(ini) => ini,
        Err(error) => return check_error(&text, &error),
    };
    let lines = text.lines().count();
    for (index, section) in ini.sections.iter().enumerate() {
        assert!((1..=lines).contains(&section.line), "{section:?}");
        assert!(ini.sections.iter().skip(index + 1).all(|other| other.name != section.name));
        let mut keys: Vec<&str> = section.entries.iter().map(|e| e.key.as_str()).collect();
        keys.sort_unstable();
        assert!(keys.windows(2).all(|two| two[0] != two[1]), "{section:?}");
        let mut last = section.line;
        for entry in section.entries.iter() {
            assert_eq!(entry.key, entry.raw_key.to_lowercase());
            let written = text.lines().nth(entry.line - 1).expect("its line is in the file");
            assert!(written.contains(&entry.raw_key), "{entry:?} is not on {written:?}");
            // Own entries come in the order of the file, then the inherited ones do.
            assert!(entry.inherited || entry.line > last, "{entry:?}");
            last = if entry.inherited { last } else { entry.line };
        }
    }
    let Some(rendered) = render_ini(&ini) else { return };
    let again = ini::parse(&rendered).unwrap_or_else(|e| panic!("{e} in {rendered:?}"));
    assert_eq!(entries_of(&again), entries_of(&ini), "{rendered:?}");
}

/// Sections with their keys and values.
type Entries<'a> = Vec<(&'a str, Vec<(&'a str, &'a str)>)>;

fn entries_of(ini: &ini::Ini) -> Entries<'_> {
    let sections = ini.sections.iter();
    sections
        .map(|s| {
            (
                s.name.as_str(),
                s.entries.iter().map(|e| (e.raw_key.as_str(), e.value.as_str())).collect(),
            )
        })
        .collect()
}

/// The file again, inherited entries as own ones; `None` if a reference made a value that cannot
/// be written, such as one that ends in blanks, or if it is too large.
pub fn render_ini(ini: &ini::Ini) -> Option<String> {
    let mut out = String::new();
    for section in &ini.sections {
        out.push_str(&format!("[{}]\n", section.name));
        for entry in &section.entries {
            let lines: Vec<&str> = entry.value.split('\n').collect();
            let later = &lines[1..];
            let writable = lines.iter().all(|line| line.trim() == *line)
                && later.iter().all(|line| !line.starts_with(['#', ';']))
                && entry.value.trim_end() == entry.value;
            if !writable {
                return None;
            }
            let value = lines.join("\n\t").replace('%', "%%");
            out.push_str(&format!("{} = {value}\n", entry.raw_key));
        }
    }
    (out.len() <= limits::TEXT_FILE).then_some(out)
}

/// A Procfile: every line is told once, names and commands have their form, a rendering reads
/// back, and a command that needs no shell splits.
pub fn procfile(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let file = match procfile::parse(&text) {
        Ok(file) => file,
        Err(error) => return check_error(&text, &error),
    };
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let mut rendered = String::new();
    let mut told: Vec<usize> = file.ignored.iter().map(|(line, _)| *line).collect();
    for process in &file.processes {
        assert!(!process.name.is_empty() && process.name.chars().all(is_name), "{process:?}");
        assert!(!process.command.is_empty() && process.command.trim() == process.command);
        if !procfile::needs_shell(&process.command) {
            let words = shlex::split(&process.command);
            assert!(words.is_some_and(|words| !words.is_empty()), "{process:?}");
        }
        told.push(process.line);
        rendered.push_str(&format!("{}: {}\n", process.name, process.command));
    }
    told.sort_unstable();
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let expected = text.lines().enumerate().filter(|(_, line)| {
        let line = line.trim();
        !line.is_empty() && !line.starts_with('#')
    });
    assert_eq!(told, expected.map(|(index, _)| index + 1).collect::<Vec<_>>());
    if rendered.len() > limits::TEXT_FILE {
        return;
    }
    let again = procfile::parse(&rendered).expect("a rendering is a Procfile");
    let pairs = |file: &procfile::Procfile| -> Vec<(String, String)> {
        file.processes.iter().map(|p| (p.name.clone(), p.command.clone())).collect()
    };
    assert_eq!((pairs(&again), again.ignored.len()), (pairs(&file), 0));
}

/// A .env file: keys have their form, sizes stay within what the system takes, and a rendering
/// reads back.
pub fn dotenv(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let lookup = |name: &str| match name {
        "A" => Some("outer \"$A\"\\\n".to_owned()),
        "B" => Some(String::new()),
        _ => None,
    };
    let entries = match read_dotenv(&text, &lookup) {
        Ok(entries) => entries,
        Err(error) => return check_error(&text, &error),
    };
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
    let mut size = 0;
    for (key, value) in &entries {
        assert!(!key.is_empty() && key.chars().all(is_name), "{key:?}");
        assert!(!key.starts_with(|c: char| c.is_ascii_digit()), "{key:?}");
        assert!(key.len() + value.len() < limits::ARGUMENT);
        size += key.len() + value.len();
    }
    assert!(size <= limits::ENVIRONMENT);
    let rendered = render_dotenv(&entries);
    if rendered.len() > limits::TEXT_FILE {
        return;
    }
    let again = read_dotenv(&rendered, &lookup);
    assert_eq!(again.as_ref(), Ok(&entries), "{rendered:?}");
}

/// Keys and values of a file.
pub fn read_dotenv(
    text: &str,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<Vec<(String, String)>, ParseError> {
    let entries = dotenv::parse(text, lookup)?;
    Ok(entries.into_iter().map(|entry| (entry.key, entry.value)).collect())
}

/// The entries again, each in double quotes.
pub fn render_dotenv(entries: &[(String, String)]) -> String {
    let mut out = String::new();
    for (key, value) in entries {
        let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('$', "\\$");
        out.push_str(&format!("{key}=\"{}\"\n", value.replace('\r', "\\r")));
    }
    out
}

/// An error is at a line of the file, and says something that fits into a log.
fn check_error(text: &str, error: &ParseError) {
    let lines = text.split('\n').count();
    assert!((1..=lines).contains(&error.line), "{error} in {lines} lines");
    assert!(!error.message.is_empty() && !error.message.contains(['\n', '\0']), "{error:?}");
    assert!(error.message.len() < 1000, "{error}");
}
