//! Text to sections of keys and values: the syntax of CPython 3's `configparser.ConfigParser`, in
//! which gaffer's users wrote their gafferd.ini and gaffer.ini.
//!
//! What it reads, we read to the same values (`tests/golden/ini` holds its answers), with these
//! differences, each of which turns a silent mistake into an error or a dead key into a live one:
//!
//! - a key twice in one section is an error also across the parts of a repeated section;
//! - `env:NAME = value` is a key with a colon, where the original's key ended at it;
//! - after a section header only a comment may follow, and a key cannot begin with `[`;
//! - every reference of every section is resolved, not only those that somebody asks for.
//!
//! A line indented deeper than the key above it continues that key's value, whatever it looks
//! like: that is the reason for most files that "do not take" a key.

use super::text::{checked, numbered, quoted, ParseError};
use crate::base::limits;
use crate::base::sorted::SortedMap;

/// The section whose entries every other one inherits.
const DEFAULT: &str = "DEFAULT";

/// A file: its sections in the order of their first headers, without `[DEFAULT]`, whose entries
/// are in each of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ini {
    /// The sections. No two have the same name.
    pub sections: Vec<Section>,
}

/// One section, put together from all places where its header occurs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// What is between the brackets, as it is written.
    pub name: String,
    /// The line of its first header.
    pub line: usize,
    /// Its own entries in the order of the file, then the inherited ones. No two have the same key.
    pub entries: Vec<Entry>,
}

/// One key with its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The key in lower case.
    pub key: String,
    /// The key as it is written.
    pub raw_key: String,
    /// The value, references resolved. Its lines are trimmed and joined by `\n`.
    pub value: String,
    /// The line of the key.
    pub line: usize,
    /// Whether it comes from `[DEFAULT]`. Such a key may be meant for other sections, or only for
    /// references, so nobody should be told that it is unknown here.
    pub inherited: bool,
}

impl Ini {
    /// The section of that name.
    pub fn section(&self, name: &str) -> Option<&Section> {
        self.sections.iter().find(|section| section.name == name)
    }
}

impl Section {
    /// The entry with that key, which is in lower case.
    pub fn get(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }
}

/// Reads a file.
///
/// # Errors
/// At the first line that is no comment, header, entry or continuation; at a key that occurs
/// twice; at a reference that leads nowhere; and at the limits [`limits::TEXT_FILE`],
/// [`limits::INTERPOLATION_DEPTH`] and [`limits::INTERPOLATED`].
pub fn parse(text: &str) -> Result<Ini, ParseError> {
    let mut reader = Reader::default();
    for (number, line) in numbered(checked(text)?) {
        reader.line(number, line)?;
    }
    resolve(reader.finish())
}

/// The state between two lines.
#[derive(Default)]
struct Reader {
    sections: Vec<Section>,
    /// Where each section is in `sections`.
    places: SortedMap<String, usize>,
    /// The lines of the keys of each section.
    seen: SortedMap<(usize, String), usize>,
    /// The section under the last header.
    current: Option<usize>,
    /// Whether its last entry can be continued: not right after a header.
    open: bool,
    /// How far the last header or key was indented; what is deeper continues it.
    indent: usize,
}

impl Reader {
    fn line(&mut self, number: usize, line: &str) -> Result<(), ParseError> {
        let text = line.trim();
        if text.starts_with(['#', ';']) {
            return Ok(());
        }
        let indent = line.chars().take_while(|c| c.is_whitespace()).count();
        // Blank lines belong to a value until it turns out that nothing follows them.
        let continues = text.is_empty() || indent > self.indent;
        if let Some(entry) = self.open_entry() {
            if continues {
                entry.value.push('\n');
                entry.value.push_str(text);
                return Ok(());
            }
        }
        if text.is_empty() {
            return Ok(());
        }
        self.indent = indent;
        if text.starts_with('[') {
            let name = header(text).map_err(|message| ParseError::at(number, message))?;
            self.enter(number, name);
            return Ok(());
        }
        self.entry(number, text)
    }

    fn open_entry(&mut self) -> Option<&mut Entry> {
        let section = self.current.filter(|_| self.open)?;
        self.sections.get_mut(section)?.entries.last_mut()
    }

    fn enter(&mut self, line: usize, name: &str) {
        let place = *self.places.entry(name.to_owned()).or_insert_with(|| {
            self.sections.push(Section { name: name.to_owned(), line, entries: Vec::new() });
            self.sections.len() - 1
        });
        self.current = Some(place);
        self.open = false;
    }

    fn entry(&mut self, line: usize, text: &str) -> Result<(), ParseError> {
        let Some(place) = self.current else {
            return Err(ParseError::at(
                line,
                "this comes before the first section; write a header such as [gaffer] above it",
            ));
        };
        let Some((raw_key, value)) = split_entry(text) else {
            return Err(ParseError::at(
                line,
                "a key without a value; write \"key = value\", or indent the line if it continues \
                 the value above",
            ));
        };
        if raw_key.is_empty() {
            return Err(ParseError::at(line, "a value without a key; write \"key = value\""));
        }
        let key = raw_key.to_lowercase();
        let section = &mut self.sections[place];
        if let Some(first) = self.seen.insert((place, key.clone()), line) {
            let message = format!(
                "{} is already set in section {}, on line {first}; remove one of the two",
                quoted(&key),
                quoted(&section.name)
            );
            return Err(ParseError::at(line, message));
        }
        section.entries.push(Entry {
            key,
            raw_key: raw_key.to_owned(),
            value: value.to_owned(),
            line,
            inherited: false,
        });
        self.open = true;
        Ok(())
    }

    /// `[DEFAULT]`'s entries, and the other sections. Blank lines at the end of a value were only
    /// the distance to the next key.
    fn finish(mut self) -> (Vec<Entry>, Vec<Section>) {
        for entry in self.sections.iter_mut().flat_map(|section| &mut section.entries) {
            entry.value.truncate(entry.value.trim_end().len());
        }
        let defaults = match self.places.get(DEFAULT) {
            Some(place) => self.sections.remove(*place).entries,
            None => Vec::new(),
        };
        (defaults, self.sections)
    }
}

/// The name in a header. It ends at the first bracket after which only a comment follows, so that
/// both `[node "http://[::1]:5000"]` and `[job:web] ; see [1]` are what they look like.
fn header(text: &str) -> Result<&str, &'static str> {
    let inside = text.strip_prefix('[').unwrap_or(text);
    let ends = |rest: &str| {
        let trimmed = rest.trim_start();
        trimmed.is_empty() || (trimmed.len() < rest.len() && trimmed.starts_with(['#', ';']))
    };
    let mut brackets = inside.match_indices(']').map(|(at, _)| inside.split_at(at));
    let end = brackets.find(|(_, rest)| rest.strip_prefix(']').is_some_and(ends));
    match end {
        Some(("", _)) => Err("a section without a name; write one between the brackets"),
        Some((name, _)) => Ok(name),
        None if inside.contains(']') => {
            Err("text after the section header; put it on a line of its own")
        }
        None => Err("a section header without its end; write the closing ]"),
    }
}

/// Key and value around the first `=` or `:`, or after `env:NAME` around the next one.
fn split_entry(text: &str) -> Option<(&str, &str)> {
    let (key, value) = match split_variable(text) {
        Some(parts) => parts,
        None => text.split_once(['=', ':'])?,
    };
    Some((key.trim_end(), value.trim_start()))
}

/// `env:NAME = value`. Where no name or no second delimiter follows, as in `env: production`, the
/// key is `env` as ever.
fn split_variable(text: &str) -> Option<(&str, &str)> {
    let (prefix, rest) = text.split_at_checked("env:".len())?;
    if !prefix.eq_ignore_ascii_case("env:") {
        return None;
    }
    let (name, value) = rest.split_once(['=', ':'])?;
    let in_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
    let trimmed = name.trim_end();
    if trimmed.is_empty() || !trimmed.chars().all(in_name) {
        return None;
    }
    let key = text.get(..prefix.len() + trimmed.len())?;
    Some((key, value))
}

/// Gives every section what it inherits, and resolves all references.
fn resolve((defaults, sections): (Vec<Entry>, Vec<Section>)) -> Result<Ini, ParseError> {
    let mut room = limits::INTERPOLATED;
    let mut resolved = Vec::with_capacity(sections.len());
    for section in sections {
        let own: SortedMap<&str, &Entry> =
            section.entries.iter().map(|entry| (entry.key.as_str(), entry)).collect();
        let inherited: Vec<&Entry> =
            defaults.iter().filter(|entry| !own.contains_key(entry.key.as_str())).collect();
        let mut values = own;
        values.extend(inherited.iter().map(|entry| (entry.key.as_str(), *entry)));
        let origins = section.entries.iter().map(|entry| (entry, false));
        let origins = origins.chain(inherited.into_iter().map(|entry| (entry, true)));
        let mut entries = Vec::with_capacity(values.len());
        for (entry, inherited) in origins {
            let mut resolver = Resolver { name: &section.name, values: &values, room: &mut room };
            let value =
                resolver.entry(entry).map_err(|message| ParseError::at(entry.line, message))?;
            entries.push(Entry { value, inherited, ..entry.clone() });
        }
        resolved.push(Section { name: section.name.clone(), line: section.line, entries });
    }
    Ok(Ini { sections: resolved })
}

/// Resolves the references of one section, as `configparser.BasicInterpolation` does.
struct Resolver<'a> {
    name: &'a str,
    /// Its own and inherited entries by key, unresolved.
    values: &'a SortedMap<&'a str, &'a Entry>,
    /// What is left of [`limits::INTERPOLATED`] for the whole file.
    room: &'a mut usize,
}

impl Resolver<'_> {
    fn entry(&mut self, entry: &Entry) -> Result<String, String> {
        self.charge(size_of::<Entry>() + 2 * entry.key.len())?;
        let mut out = String::new();
        self.append(&entry.value, 1, &mut out)?;
        Ok(out)
    }

    fn append(&mut self, value: &str, depth: usize, out: &mut String) -> Result<(), String> {
        self.charge(value.len())?;
        if depth > limits::INTERPOLATION_DEPTH {
            return Err(format!(
                "references lead more than {} deep in section {}, perhaps in a circle; write the value \
                 itself somewhere on the way",
                limits::INTERPOLATION_DEPTH,
                quoted(self.name)
            ));
        }
        let mut rest = value;
        while let Some((plain, after)) = rest.split_once('%') {
            out.push_str(plain);
            if let Some(literal) = after.strip_prefix('%') {
                out.push('%');
                rest = literal;
                continue;
            }
            let reference = after.strip_prefix('(').and_then(|inside| inside.split_once(')'));
            let reference = reference.and_then(|(key, end)| Some((key, end.strip_prefix('s')?)));
            let Some((key, end)) = reference.filter(|(key, _)| !key.is_empty()) else {
                return Err(
                    "a % that begins neither %% nor %(key)s; write %% for a plain one".into()
                );
            };
            rest = end;
            let Some(named) = self.values.get(key.to_lowercase().as_str()) else {
                return Err(format!(
                    "%(…)s refers to {}, which is no key of section {} or [DEFAULT]; add the key, or \
                     write %% for a plain %",
                    quoted(key),
                    quoted(self.name)
                ));
            };
            if named.value.contains('%') {
                self.append(&named.value, depth + 1, out)?;
            } else {
                self.charge(named.value.len())?;
                out.push_str(&named.value);
            }
        }
        out.push_str(rest);
        Ok(())
    }

    /// Takes room for some bytes, and a little for the effort.
    fn charge(&mut self, bytes: usize) -> Result<(), String> {
        const EFFORT: usize = 16;
        match self.room.checked_sub(bytes + EFFORT) {
            Some(left) => {
                *self.room = left;
                Ok(())
            }
            None => Err(format!(
                "with [DEFAULT] and references resolved the file is larger than {} bytes; inherit \
                 or refer to less",
                limits::INTERPOLATED
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `key=value` of a section, inherited ones with a `^` before them.
    fn entries(text: &str, section: &str) -> Vec<String> {
        let ini = parse(text).unwrap_or_else(|error| panic!("{error} in {text:?}"));
        let section = ini.section(section).unwrap_or_else(|| panic!("no {section} in {text:?}"));
        let mark = |entry: &Entry| if entry.inherited { "^" } else { "" };
        section.entries.iter().map(|e| format!("{}{}={}", mark(e), e.key, e.value)).collect()
    }

    #[test]
    fn syntax_table() {
        let table: &[(&str, &[&str])] = &[
            ("[s]\na = 1\nB: 2\nc=x:y\nd:x=y", &["a=1", "b=2", "c=x:y", "d=x=y"]),
            ("\u{feff}[s]\r\na = 1\r\nb = 2", &["a=1", "b=2"]),
            ("[s]\n# a = 1\n  ; b = 2\nc = 3 ; kept\nd =", &["c=3 ; kept", "d="]),
            ("[s]\na = 1\n  2\n\n  3\n\n\nb = 4\n", &["a=1\n2\n\n3", "b=4"]),
            ("[s]\na =\n  1\n # gone\n  2\n", &["a=\n1\n2"]),
            ("[s]\n  a = 1\n  b = 2\n    3\n c = 4", &["a=1", "b=2\n3", "c=4"]),
            ("[s]\na = 1\n[t]\nz = 0\n[s]\nb = 2", &["a=1", "b=2"]),
            ("[s]\nenv:PATH = /bin:/x\nENV:b:c=d", &["env:path=/bin:/x", "env:b=c=d"]),
            ("[s]\nenv: production\n", &["env=production"]),
            ("[s]\nenv:some words = x\n", &["env=some words = x"]),
            ("[s]\nenv = production\nenvy:a=b", &["env=production", "envy=a=b"]),
            ("[DEFAULT]\na = 1\nb = 2\n[s]\nB = 3\n", &["b=3", "^a=1"]),
            (
                "[s]\na = 100%%\nb = %(A)s %(c)s\n[DEFAULT]\nc = %(a)s!",
                &["a=100%", "b=100% 100%!", "^c=100%!"],
            ),
            ("[s] ; the [best]\na = 1", &["a=1"]),
        ];
        for (text, expected) in table {
            assert_eq!(entries(text, "s"), *expected, "{text:?}");
        }
    }

    #[test]
    fn an_entry_knows_its_spelling_and_its_line() {
        let ini = parse("# x\n[job:web]\n\nenv:RailsEnv = a\n  b\nCMD: c\n").unwrap();
        let section = ini.section("job:web").unwrap();
        let told: Vec<_> = section.entries.iter().map(|e| (e.raw_key.as_str(), e.line)).collect();
        assert_eq!(section.line, 2);
        assert_eq!(told, [("env:RailsEnv", 4), ("CMD", 6)]);
        assert_eq!(section.get("cmd").map(|entry| entry.value.as_str()), Some("c"));
        assert_eq!(section.get("CMD"), None);
    }

    #[test]
    fn a_header_ends_where_it_looks_like_it() {
        let table = [
            ("[a]", Ok("a")),
            ("[ a ]", Ok(" a ")),
            ("[node \"http://[::1]:5000\"]", Ok("node \"http://[::1]:5000\"")),
            ("[a] # [b]", Ok("a")),
            ("[a]#b]", Ok("a]#b")),
        ];
        for (text, expected) in table {
            assert_eq!(header(text), expected, "{text:?}");
        }
        for bad in ["[]", "[a", "[a] b", "[job:web = x"] {
            assert!(header(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn errors_have_their_line_and_the_cure() {
        let table = [
            ("a = 1", 1, "[gaffer]"),
            ("\n[a\n", 2, "closing ]"),
            ("[]", 1, "write one"),
            ("[a] b", 1, "line of its own"),
            ("[a]\nb = 1\n\nc\n", 4, "key = value"),
            ("[a]\n= 1\n", 2, "key = value"),
            ("[a]\nb = 1\nB : 2\n", 3, "\"b\" is already set in section \"a\", on line 2"),
            ("[a]\nb = 1\n[c]\n[a]\nb = 2\n", 5, "on line 2"),
            ("[DEFAULT]\nb = 1\nb = 2\n", 3, "\"DEFAULT\""),
            ("[a]\nb = 1\nc = %(d)s\n", 3, "\"d\", which is no key of section \"a\""),
            ("[DEFAULT]\nc = %(d)s\n[a]\nd = 1\n[b]\n", 2, "section \"b\""),
            ("[a]\nb = 50%\n", 2, "write %%"),
            ("[a]\nb = %(c)d\n", 2, "write %%"),
            ("[a]\nb = %()s\n", 2, "write %%"),
            ("[a]\nb = %(c)s\nc = %(b)s\n", 2, "circle"),
            ("[a]\nb = x\0\n", 2, "NUL"),
        ];
        for (text, line, words) in table {
            let error = parse(text).expect_err(text);
            assert_eq!(error.line, line, "{text:?}: {error}");
            assert!(error.message.contains(words), "{text:?}: {error}");
        }
    }

    #[test]
    fn references_at_their_depth_are_taken_and_one_deeper_is_not() {
        // The last value has a % too, and so is a level of its own.
        let chain = |levels: usize| {
            let link = |n: usize| format!("k{n} = %(k{})s\n", n + 1);
            let links: String = (1..levels).map(link).collect();
            format!("[s]\nk{levels} = end%%\n{links}")
        };
        let taken = entries(&chain(limits::INTERPOLATION_DEPTH), "s");
        assert!(taken.contains(&"k1=end%".to_owned()), "{taken:?}");
        let error = parse(&chain(limits::INTERPOLATION_DEPTH + 1)).unwrap_err();
        assert_eq!(error.line, 3, "{error}");
        assert!(error.message.contains("deep"), "{error}");
    }

    #[test]
    fn a_file_that_grows_to_its_limit_is_taken_and_one_beyond_is_not() {
        let long = "x".repeat(limits::TEXT_FILE / 2);
        let text =
            |uses: usize| format!("[DEFAULT]\nx = {long}\n[s]\ny = {}", "%(x)s".repeat(uses));
        // Half a file for the inherited x itself, the rest for y.
        let most = 2 * limits::INTERPOLATED / limits::TEXT_FILE - 2;
        assert!(parse(&text(most)).is_ok());
        let error = parse(&text(most + 1)).unwrap_err();
        assert_eq!(error.line, 2, "{error}");
        assert!(error.message.contains("refer to less"), "{error}");
    }

    #[test]
    fn growth_without_length_is_limited_too() {
        let mut text = String::from("[s]\nk9 = %(k9x)s\nk9x =\n");
        for level in 1..9 {
            text.push_str(&format!("k{level} = {}\n", format!("%(k{})s", level + 1).repeat(100)));
        }
        assert!(parse(&text).unwrap_err().message.contains("refer to less"));
    }
}
