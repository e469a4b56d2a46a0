//! Properties of the parsers of files people write: no text makes them panic, what is written by
//! the rules reads back, and lines are counted right.

use std::collections::BTreeMap;

use gaffer::base::size;
use gaffer::wire::webhook::Url;
use gaffer::wire::{ini, procfile};
use proptest::prelude::*;

use crate::fuzz_corpus::harness::text as harness;

fn config() -> ProptestConfig {
    // A failure prints its input; what is worth keeping goes to the fuzz corpus.
    ProptestConfig { failure_persistence: None, ..ProptestConfig::default() }
}

/// Texts that are nearly right, which arbitrary ones never are.
fn soup() -> impl Strategy<Value = String> {
    let pieces = [
        "[a]",
        "[DEFAULT]",
        "[",
        "]",
        "\n",
        "\n",
        "\n",
        "\r\n",
        "\r",
        " ",
        "\t",
        "=",
        ":",
        "#",
        ";",
        "'",
        "\"",
        "\\",
        "$",
        "${",
        "}",
        ":-",
        "%",
        "%%",
        "%(a)s",
        "%(b)s",
        "a",
        "B",
        "env:",
        "1",
        "export ",
        "é",
        "\u{feff}",
        "\0",
        "\u{2028}",
    ];
    prop::collection::vec(prop::sample::select(pieces.to_vec()), 0..40)
        .prop_map(|pieces| pieces.concat())
}

/// Lines that say nothing in all three grammars.
fn filler() -> impl Strategy<Value = String> {
    let fillers = ["", "", "", "\n", "# x = 'y\n", "\t# [z]\n", "\n#\n\n"];
    prop::sample::select(fillers.to_vec()).prop_map(str::to_owned)
}

/// A file that grows, and knows on which line it is.
#[derive(Default)]
struct Page(String);

impl Page {
    /// Adds text and returns the line on which it begins.
    fn add(&mut self, text: &str) -> usize {
        let line = self.0.matches('\n').count() + 1;
        self.0.push_str(text);
        line
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_size_is_read_as_it_is_meant_or_refused(number: u64, digits in 0_u64..1 << 33, unit in "[kKmMgG]?(i?[bB])?", text: String) {
        prop_assert_eq!(size::parse(&number.to_string()), Ok(number));
        let shift = match unit.chars().next() {
            Some('k' | 'K') => 10,
            Some('m' | 'M') => 20,
            Some('g' | 'G') => 30,
            Some(_) | None => 0,
        };
        let is_unit = !unit.starts_with('i');
        prop_assert_eq!(size::parse(&format!("{digits}{unit}")).ok(), is_unit.then_some(digits << shift));
        if let Err(error) = size::parse(&text) {
            prop_assert!(error.contains("KB, MB or GB"));
        }
    }

    #[test]
    fn no_text_makes_a_parser_panic(text in prop_oneof![any::<String>(), soup()]) {
        harness::ini(text.as_bytes());
        harness::procfile(text.as_bytes());
        harness::dotenv(text.as_bytes());
        procfile::needs_shell(&text);
    }

    #[test]
    fn an_ini_file_reads_back_with_its_lines(
        sections in prop::collection::btree_map(
            "[A-Za-z][a-z:. ]{0,8}",
            prop::collection::btree_map(
                "[a-z]([a-z_. ]{0,6}[a-z])?",
                (filler(), "[=:]", prop::collection::vec("([!-\"$-:<-~]([ -~]{0,8}[!-~])?)?", 1..4)),
                0..5,
            ),
            0..4,
        ),
        ending in "(\r)?",
    ) {
        let mut page = Page::default();
        let mut expected = Vec::new();
        for (name, entries) in &sections {
            let section = page.add(&format!("[{name}]{ending}\n"));
            for (key, (filler, delimiter, lines)) in entries {
                page.add(filler);
                let raw_key = key.to_uppercase();
                let text = lines.join(&format!("{ending}\n  ")).replace('%', "%%");
                let line = page.add(&format!("{raw_key} {delimiter} {text}{ending}\n"));
                let value = lines.join("\n").trim_end().to_owned();
                expected.push((section, key.clone(), raw_key, value, line));
            }
        }
        let read = ini::parse(&page.0).expect("it is written by the rules");
        let found: Vec<_> = read.sections.iter().flat_map(|section| {
            section.entries.iter().map(|e| {
                (section.line, e.key.clone(), e.raw_key.clone(), e.value.clone(), e.line)
            })
        }).collect();
        prop_assert_eq!(found, expected);
        let names: Vec<&str> = read.sections.iter().map(|section| section.name.as_str()).collect();
        prop_assert_eq!(names, sections.keys().collect::<Vec<_>>());

        page.add("[end]\n");
        let line = page.add("no delimiter\n[z]\n");
        prop_assert_eq!(ini::parse(&page.0).map_err(|error| error.line), Err(line));
    }

    #[test]
    fn a_procfile_reads_back_with_its_lines(
        processes in prop::collection::btree_map(
            "[A-Za-z0-9_-]{1,8}",
            (filler(), "[ \t]{0,2}", "[!-~]([ -~]{0,12}[!-~])?"),
            0..8,
        ),
        stranger in "([a-z ]{1,4} [a-z]: x| [a-z]: x|[a-z]{1,5}:? *)",
    ) {
        let mut page = Page::default();
        let mut expected = Vec::new();
        for (name, (filler, blanks, command)) in &processes {
            page.add(filler);
            let line = page.add(&format!("{name}:{blanks}{command}\n"));
            expected.push(procfile::Process { name: name.clone(), command: command.clone(), line });
        }
        let line = page.add(&stranger);
        let read = procfile::parse(&page.0).expect("no name is there twice");
        prop_assert_eq!(read.processes, expected);
        prop_assert_eq!(read.ignored, [(line, stranger)]);
    }

    #[test]
    fn an_environment_reads_back_whatever_is_in_it(
        entries in prop::collection::vec(("[A-Za-z_][A-Za-z0-9_.]{0,8}", "[^\0]{0,20}"), 0..6),
    ) {
        let read = harness::read_dotenv(&harness::render_dotenv(&entries), &|_| None);
        prop_assert_eq!(read, Ok(entries));
    }

    #[test]
    fn an_environment_reads_back_from_each_kind_of_quotes(
        entries in prop::collection::vec(
            (filler(), "(export )?", "[A-Z]{1,3}", prop_oneof![
                "'[^'\0\r]{0,12}'",
                "\"[^\"\\\\$\0\r]{0,12}\"",
                "[!#-&(-~]([!-~]{0,6}[!-~])?",
            ]),
            0..6,
        ),
    ) {
        let mut page = Page::default();
        let mut expected = Vec::new();
        for (filler, export, key, value) in entries {
            if value.contains("${") && !value.starts_with('\'') {
                continue;
            }
            page.add(&filler);
            page.add(&format!("{export}{key}={value} # it's\n"));
            let quoted = value.strip_prefix(['\'', '"']).and_then(|v| v.strip_suffix(['\'', '"']));
            expected.push((key, quoted.unwrap_or(&value).to_owned()));
        }
        prop_assert_eq!(harness::read_dotenv(&page.0, &|_| None), Ok(expected));

        let line = page.add("no delimiter\nX=1\n");
        let error = harness::read_dotenv(&page.0, &|_| None).map_err(|error| error.line);
        prop_assert_eq!(error, Err(line));
    }

    #[test]
    fn references_see_the_entries_above_and_then_the_world(
        values in prop::collection::vec(("[A-C]", "[a-z]{0,3}", "[A-D]"), 0..8),
    ) {
        let world = |name: &str| (name == "C" || name == "D").then(|| format!("<{name}>"));
        let mut text = String::new();
        let mut known = BTreeMap::new();
        let mut expected = Vec::new();
        for (key, plain, name) in values {
            text.push_str(&format!("{key}={plain}${{{name}:-none}}\n"));
            let above = known.get(&name).cloned().or_else(|| world(&name));
            let meant = above.filter(|v: &String| !v.is_empty()).unwrap_or("none".into());
            let value = format!("{plain}{meant}");
            known.insert(key.clone(), value.clone());
            expected.push((key, value));
        }
        prop_assert_eq!(harness::read_dotenv(&text, &world), Ok(expected));
    }
}

/// Commands that need no shell, with the words `sh -c` runs for them: its own answers, by
/// `printf '%s\0'`.
const PLAIN: &[(&str, &[&str])] = &[
    ("bundle exec rails server -p 3000", &["bundle", "exec", "rails", "server", "-p", "3000"]),
    ("  a\t b  ", &["a", "b"]),
    ("a '' \"\" b''", &["a", "", "", "b"]),
    ("a 'b c'\"d e\"f", &["a", "b cd ef"]),
    ("a 'x\\ny' \"x\\ny\" x\\ny", &["a", "x\\ny", "x\\ny", "xny"]),
    ("a \"\\$B \\` \\\\ \\\" \\'\"", &["a", "$B ` \\ \" \\'"]),
    ("a '$B `c` | ; & < > ( ) * ? [ ~ #'", &["a", "$B `c` | ; & < > ( ) * ? [ ~ #"]),
    ("a \"| ; & < > ( ) * ? [ ~ #\"", &["a", "| ; & < > ( ) * ? [ ~ #"]),
    (
        "a \\$B \\| \\; \\* \\? \\[ \\~ \\# \\ ",
        &["a", "$B", "|", ";", "*", "?", "[", "~", "#", " "],
    ),
    ("a b#c d~e ''~ \\'", &["a", "b#c", "d~e", "~", "'"]),
    ("a --b=c d=e =f x=~", &["a", "--b=c", "d=e", "=f", "x=~"]),
    ("a 'b\nc' \"d\ne\"", &["a", "b\nc", "d\ne"]),
    ("a cd exec if ! { } time", &["a", "cd", "exec", "if", "!", "{", "}", "time"]),
    ("a ] ^b c! %d @e +f ,g", &["a", "]", "^b", "c!", "%d", "@e", "+f", ",g"]),
    ("é \"ü ü\" 'ß'", &["é", "ü ü", "ß"]),
];

#[test]
fn a_command_without_shell_syntax_has_the_words_the_shell_gives_it() {
    for (command, words) in PLAIN {
        assert!(!procfile::needs_shell(command), "{command:?}");
        let split = shlex::split(command).expect(command);
        assert_eq!(split, *words, "{command:?}");
    }
}

/// Addresses that are nearly right.
fn addresses() -> impl Strategy<Value = String> {
    let pieces = [
        "http://", "https://", "ftp://", "h", "[::1]", "[", "]", ":", "@", "/", "?", "8", "%40",
        "%", "#", " ", "u:p", "\r\n", "é",
    ];
    prop::collection::vec(prop::sample::select(pieces.to_vec()), 0..12)
        .prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn an_address_of_a_webhook_fits_into_a_head_and_shows_no_secret(text in addresses()) {
        let Ok(url) = Url::read(&text) else { return Ok(()) };
        let is_plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
        prop_assert!(url.target.starts_with('/') && is_plain(&url.target), "{}", url.target);
        prop_assert!(is_plain(&url.host()) && !url.host().contains(['/', '@', '?']));
        prop_assert!(url.basic.as_deref().is_none_or(is_plain));
        let shown = url.shown();
        let (_, rest) = shown.split_once("://").expect("it has a scheme");
        let authority = rest.split(['/', '?']).next().unwrap_or_default();
        prop_assert!(authority.split_once('@').is_none_or(|(user, _)| user == "********"), "{}", shown);
        prop_assert_eq!(shown.contains('?'), shown.ends_with("?********"));
        prop_assert_eq!(Url::read(url.text()).map(|again| again.id()), Ok(url.id()));
    }
}
