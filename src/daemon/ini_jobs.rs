//! What an INI configuration means: the sections of all its files in one table, later files over
//! earlier ones, and the jobs in them. Every error has its file and line.

use std::path::Path;
use std::rc::Rc;

use serde_json::{Map, Value};

use crate::base::similar;
use crate::base::sorted::SortedMap;
use crate::base::sorting;
use crate::supervisor::name::{JobName, NameError, DEFAULT_SESSION};
use crate::supervisor::spec::{JobEntry, Place};
use crate::supervisor::spec_keys;
use crate::supervisor::spec_read::{self, SpecError};
use crate::supervisor::spec_text;
use crate::wire::ini;

/// All sections of all files, in the order of their first appearance.
#[derive(Default)]
pub struct Table {
    sections: Vec<Section>,
    /// Where each is, by its name: a file has room for tens of thousands.
    places: SortedMap<String, usize>,
}

/// One section, put together of all files.
pub struct Section {
    /// Its name, as it was written first.
    pub name: String,
    /// Where it begins.
    pub place: String,
    /// Its keys, no two alike, in order.
    entries: Vec<Entry>,
    /// Where each is, by its key.
    places: SortedMap<String, usize>,
}

/// One key.
pub struct Entry {
    /// In lower case.
    pub key: String,
    /// As it was written.
    pub raw_key: String,
    /// Its value.
    pub value: String,
    /// Where.
    pub place: String,
    /// The folder of its file.
    pub folder: Rc<Path>,
    /// Whether it stands in `[DEFAULT]`, and so in every section.
    pub inherited: bool,
}

/// Sections that the original knew and that mean nothing here yet.
const WITHOUT_EFFECT: [&str; 1] = ["auth"];
/// Sections that are no job's and are read elsewhere.
const OF_THE_DAEMON: [&str; 4] = ["gaffer", "ssl", "lookup_ssl", "webhooks"];

impl Table {
    /// Adds a file. Its keys take the place of the same keys of files before it.
    ///
    /// # Errors
    /// It is no INI file, with file and line.
    pub fn add(&mut self, file: impl AsRef<Path>, text: &str) -> Result<(), String> {
        let folder: Rc<Path> = file.as_ref().parent().unwrap_or(Path::new("")).into();
        let file = file.as_ref().display();
        let parsed = ini::parse(text)
            .map_err(|error| format!("{file}:{}: {}", error.line, error.message))?;
        for section in parsed.sections {
            let place = format!("{file}:{}", section.line);
            let whole = self.section_or_new(section.name, place);
            for entry in section.entries {
                let place = format!("{file}:{}", entry.line);
                let ini::Entry { key, raw_key, value, inherited, .. } = entry;
                let folder = Rc::clone(&folder);
                whole.put(Entry { key, raw_key, value, place, folder, inherited });
            }
        }
        Ok(())
    }

    fn section_or_new(&mut self, name: String, place: String) -> &mut Section {
        let index = *self.places.entry(name.clone()).or_insert(self.sections.len());
        if index == self.sections.len() {
            let (entries, places) = (Vec::new(), SortedMap::new());
            self.sections.push(Section { name, place, entries, places });
        }
        &mut self.sections[index]
    }

    /// All of them.
    pub fn sections(&self) -> &[Section] {
        &self.sections
    }

    /// The section of this name.
    pub fn section(&self, name: &str) -> Option<&Section> {
        self.places.get(name).and_then(|index| self.sections.get(*index))
    }

    /// The jobs, those with the smallest priority first.
    ///
    /// # Errors
    /// What is wrong, with file and line.
    pub fn jobs(&self, warnings: &mut Vec<String>) -> Result<Vec<JobEntry>, String> {
        let mut jobs: Vec<(JobName, &Section)> = Vec::new();
        let mut envs: SortedMap<JobName, &Section> = SortedMap::new();
        for section in &self.sections {
            match kind(section, warnings)? {
                Kind::Job(name) => jobs.push((name, section)),
                Kind::Env(name) => {
                    if let Some(first) = envs.insert(name.clone(), section) {
                        return Err(format!(
                            "{}: the environment of {name} stands at {} already",
                            section.place, first.place
                        ));
                    }
                }
                Kind::Other => {}
            }
        }
        let mut placed = Vec::with_capacity(jobs.len());
        for (name, section) in jobs {
            let env = envs.remove(&name);
            job(name, section, env)?.join(&mut placed);
        }
        for (name, section) in envs {
            warnings
                .push(format!("{}: there is no job {name} for this environment", section.place));
        }
        sorting::sort_by_key(&mut placed, |job| job.spec.priority);
        Ok(placed)
    }
}

impl Section {
    /// Its keys in order.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The entry of a key, which is in lower case.
    pub fn get(&self, key: &str) -> Option<&Entry> {
        self.places.get(key).and_then(|index| self.entries.get(*index))
    }

    /// Takes a key in the place of an earlier one. A default says nothing where something is said.
    fn put(&mut self, entry: Entry) {
        let known = self.places.get(&entry.key).and_then(|index| self.entries.get_mut(*index));
        match known {
            Some(_) if entry.inherited => {}
            Some(known) => *known = entry,
            None => {
                self.places.insert(entry.key.clone(), self.entries.len());
                self.entries.push(entry);
            }
        }
    }
}

enum Kind {
    Job(JobName),
    Env(JobName),
    Other,
}

/// What a section is, by its name.
fn kind(section: &Section, warnings: &mut Vec<String>) -> Result<Kind, String> {
    let place = &section.place;
    if let Some((prefix, rest)) = section.name.split_once(':') {
        let name = || job_name(rest).map_err(|error| format!("{place}: {error}"));
        match prefix {
            "job" | "process" => return name().map(Kind::Job),
            "env" => return name().map(Kind::Env),
            "plugin" => return Ok(Kind::Other),
            _ => {}
        }
    }
    if OF_THE_DAEMON.contains(&section.name.as_str()) {
        return Ok(Kind::Other);
    }
    if WITHOUT_EFFECT.contains(&section.name.as_str()) {
        warnings.push(format!("{place}: [{}] has no effect in this version", section.name));
        return Ok(Kind::Other);
    }
    let known =
        ["job", "process", "env", "plugin"].into_iter().chain(OF_THE_DAEMON).chain(WITHOUT_EFFECT);
    let prefix = section.name.split(':').next().unwrap_or_default();
    if let Some(meant) = similar::nearest(prefix, known) {
        return Err(format!(
            "{place}: unknown section [{}]; did you mean {meant:?}?",
            section.name
        ));
    }
    warnings.push(format!("{place}: unknown section [{}] is passed over", section.name));
    Ok(Kind::Other)
}

/// `label`, or `session` and `label` parted by the first of `:`, `/` and `.`; session first.
fn job_name(text: &str) -> Result<JobName, NameError> {
    match text.split_once([':', '/', '.']) {
        Some((session, label)) => JobName::new(session, label),
        None => JobName::new(DEFAULT_SESSION, text),
    }
}

/// The options of a job in a section, with the variables of another; keys of these names are none.
pub(super) fn config_of(
    section: &Section,
    env: Option<&Section>,
    others: &[&str],
) -> Result<Map<String, Value>, String> {
    let mut config = Map::new();
    let mut variables = Map::new();
    for entry in env.into_iter().flat_map(|env| &env.entries).filter(|entry| !entry.inherited) {
        // As the original did: it could not see how a key was written.
        variables.insert(entry.raw_key.to_uppercase(), Value::from(entry.value.as_str()));
    }
    for entry in &section.entries {
        if entry.key.starts_with("env:") {
            let variable = entry.raw_key.split_once(':').map(|(_, name)| name.trim());
            let variable = variable.unwrap_or_default().to_owned();
            variables.insert(variable, Value::from(entry.value.as_str()));
            continue;
        }
        let is_default = entry.inherited && spec_keys::key(&entry.key).is_none();
        // Defaults for some sections stand in all of them.
        if entry.key == "name" || is_default || others.contains(&entry.key.as_str()) {
            continue;
        }
        let value = spec_text::value_of_text(&entry.key, &entry.value);
        let value = value.map_err(|error| format!("{}: {error}", entry.place))?;
        config.insert(entry.key.clone(), value);
    }
    if !variables.is_empty() {
        config.insert("env".into(), Value::Object(variables));
    }
    config.entry("os_env").or_insert(Value::from(true));
    list_words(&mut config);
    Ok(config)
}

fn job(name: JobName, section: &Section, env: Option<&Section>) -> Result<JobEntry, String> {
    let mut config = config_of(section, env, &[])?;
    config.insert("name".into(), Value::from(name.label()));
    let spec = spec_read::read(&config);
    let spec = spec.map_err(|error| format!("{}: {error}", place_of(&error, section, env)))?;
    let start = spec_read::wants_start(&config);
    let mut place = Place::new(section.place.clone());
    for entry in section.entries().iter().filter(|entry| spec_keys::key(&entry.key).is_some()) {
        place.add(&entry.key, entry.place.clone());
    }
    Ok(JobEntry { name, spec: Rc::new(spec), start, place })
}

/// Makes `args` a list, as all who load jobs over the API give it and as clients expect it who put it
/// behind `cmd` again. A shell's line is left whole, as is one with an open quote, which is told.
fn list_words(config: &mut Map<String, Value>) {
    if config.get("shell") == Some(&Value::Bool(true)) {
        return;
    }
    let words = config.get("args").and_then(Value::as_str).and_then(shlex::split);
    if let Some(words) = words {
        config.insert("args".into(), words.into());
    }
}

/// Where an error about a key is: at the key, or at the section that lacks it.
pub(super) fn place_of<'a>(
    error: &SpecError,
    section: &'a Section,
    env: Option<&'a Section>,
) -> &'a str {
    let key = match error {
        SpecError::Missing(_) => return &section.place,
        SpecError::Unknown { key, .. } | SpecError::Bad { key, .. } => key,
    };
    let top = key.split('.').next().unwrap_or(key);
    let entry = section.get(top);
    let variable = key.strip_prefix("env.").and_then(|name| {
        let all = env.into_iter().chain([section]).flat_map(|section| &section.entries);
        let named = |entry: &&Entry| {
            entry.raw_key.rsplit(':').next().is_some_and(|raw| raw.eq_ignore_ascii_case(name))
        };
        all.into_iter().find(named)
    });
    variable.or(entry).map_or(section.place.as_str(), |entry| entry.place.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::limits;

    fn jobs(text: &str) -> Result<Vec<JobEntry>, String> {
        let mut table = Table::default();
        table.add("g.ini", text)?;
        table.jobs(&mut Vec::new())
    }

    fn names(text: &str) -> Vec<String> {
        jobs(text).expect("valid").iter().map(|job| job.name.to_string()).collect()
    }

    #[test]
    fn sections_are_jobs_session_first() {
        let text = "[job:web]\ncmd = a\n[process:site:api]\ncmd: b\n[job:s.x.1]\ncmd=c\n[job:t/y]\ncmd=d\n";
        assert_eq!(names(text), ["default.web", "site.api", "s.x.1", "t.y"]);
    }

    #[test]
    fn the_smallest_priority_comes_first_and_ties_keep_their_order() {
        let text = "[job:a]\ncmd=a\n[job:b]\ncmd=b\npriority=1\n[job:c]\ncmd=c\n[job:d]\ncmd=d\npriority=-1\n";
        assert_eq!(names(text), ["default.d", "default.b", "default.a", "default.c"]);
    }

    #[test]
    fn environment_comes_from_both_places() {
        let text = "[job:a]\ncmd=a\nenv:http_proxy = x\n[env:a]\npath = /bin\nb = 50%%\n";
        let spec = &jobs(text).expect("valid")[0].spec;
        let env: Vec<_> = spec.env.iter().map(|(k, v)| format!("{k}={v}")).collect();
        assert_eq!(env, ["B=50%", "PATH=/bin", "http_proxy=x"]);
        assert!(spec.os_env, "on in files");
    }

    #[test]
    fn arguments_are_a_list_but_those_of_a_shell() {
        let config = |text: &str| jobs(text).expect("valid")[0].spec.config.map();
        let listed = config("[job:a]\ncmd = a\nargs = -m 'two words' $X\n");
        assert_eq!(listed["args"], serde_json::json!(["-m", "two words", "$X"]));
        let line = config("[job:a]\ncmd = a\nargs = 'two words' | b\nshell = true\n");
        assert_eq!(line["args"], "'two words' | b");
        assert!(config("[job:a]\ncmd = a\nargs =\n")["args"].is_null());
        let open = jobs("[job:a]\ncmd = a\nargs = 'two\n").expect_err("an open quote");
        assert_eq!(open, "g.ini:3: args: expected every quote to be closed, found \"'two\"");
    }

    #[test]
    fn later_files_win_and_flapping_is_read_both_ways() {
        let mut table = Table::default();
        table.add("a", "[job:a]\ncmd=a\nflapping = 2, 1., 7., 5\n").expect("valid");
        table.add("b", "[job:a]\ncmd=b\n").expect("valid");
        let placed = table.jobs(&mut Vec::new()).expect("valid");
        let spec = &placed[0].spec;
        assert_eq!(spec.config.map()["cmd"], "b");
        assert_eq!(spec.rules.flapping.map(|flapping| flapping.attempts), Some(2));
    }

    #[test]
    fn the_defaults_of_a_later_file_take_nothing_back() {
        let mut table = Table::default();
        table.add("a", "[job:a]\ncmd=a\nnumprocesses=3\n[gaffer]\npidfile=x\n").expect("valid");
        let later = "[DEFAULT]\nnumprocesses=1\npidfile=y\n[job:a]\nnice=1\n[gaffer]\nbacklog=1\n";
        table.add("b", later).expect("valid");
        let placed = table.jobs(&mut Vec::new()).expect("valid");
        assert_eq!(placed[0].spec.numprocesses, 3);
        let gaffer = table.section("gaffer").expect("there");
        let pidfile = gaffer.get("pidfile");
        assert_eq!(
            pidfile.map(|entry| (entry.value.as_str(), entry.inherited)),
            Some(("x", false))
        );
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "how long it takes is the matter")]
    fn the_largest_files_are_read_in_a_moment() {
        let began = std::time::Instant::now();
        // Each of these holds tens of thousands of something, and each of those is looked for.
        let filled = |head: &str, line: &dyn Fn(usize) -> String| {
            let mut text = head.to_owned();
            for n in 0.. {
                let line = line(n);
                if text.len() + line.len() > limits::TEXT_FILE {
                    break;
                }
                text.push_str(&line);
            }
            text
        };
        let mut table = Table::default();
        for text in [
            filled("", &|n| format!("[x:{n:x}]\n")),
            filled("[job:a]\ncmd=a\n", &|n| format!("env:{n:x}=\n")),
            filled("", &|n| format!("[job:{n:x}]\ncmd=a\n")),
        ] {
            // The second time every key and section is there already.
            table.add("a", &text).expect("valid");
            table.add("b", &text).expect("valid");
        }
        let jobs = table.jobs(&mut Vec::new()).expect("valid");
        assert!(jobs.len() > 40_000, "{}", jobs.len());
        let sized = table.section("job:a").map(|section| section.entries().len());
        assert!(sized > Some(50_000), "{sized:?}");
        // Two seconds; with a search for each it was minutes.
        assert!(began.elapsed().as_secs() < 60, "{:?}", began.elapsed());
    }

    #[test]
    fn a_later_file_changes_a_key_in_its_place() {
        let mut table = Table::default();
        table.add("a", "[x]\na=1\nb=2\n[y]\n").expect("valid");
        table.add("b", "[y]\n[x]\nc=4\na=3\n").expect("valid");
        let entries = table.section("x").expect("there").entries();
        let said: Vec<_> =
            entries.iter().map(|e| format!("{} {}={}", e.place, e.key, e.value)).collect();
        assert_eq!(said, ["b:4 a=3", "a:3 b=2", "b:3 c=4"]);
        let order: Vec<_> = table.sections.iter().map(|section| section.name.as_str()).collect();
        assert_eq!(order, ["x", "y"]);
    }

    #[test]
    fn faults_have_file_and_line() {
        for (text, message) in [
            ("[job:a]\nargs = x\n", "g.ini:1: cmd is missing"),
            (
                "[job:a]\ncmd = x\nnumproceses = 2\n",
                "g.ini:3: unknown key \"numproceses\"; did you mean \"numprocesses\"?",
            ),
            (
                "[job:a]\ncmd = x\nnumprocesses = two\n",
                "g.ini:3: numprocesses: expected a whole number from 0 to 10000, found \"two\"",
            ),
            (
                "[job:a]\ncmd = x\nnice = 99\n",
                "g.ini:3: nice: expected a whole number from -20 to 19, found 99",
            ),
            (
                "[job:a]\ncmd = x\n[env:a]\nb = 1\n[env:default:a]\nc = 2\n",
                "g.ini:5: the environment of default.a stands at g.ini:3 already",
            ),
            ("[jbo:a]\ncmd = x\n", "g.ini:1: unknown section [jbo:a]; did you mean \"job\"?"),
            (
                "[job:a b:c]\ncmd = x\n",
                "g.ini:1: \"a b\" is not a session name: 1 to 64 of A-Z a-z 0-9 _ + -",
            ),
        ] {
            assert_eq!(jobs(text).err().as_deref(), Some(message));
        }
    }
}
