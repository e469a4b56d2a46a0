//! `plugin.json`: what a program that extends the node is, what it wants to hear, what it wants to be allowed
//! to do, and which requests it answers.

use std::cmp::Ordering;
use std::fmt;

use serde_json::{json, Map, Value};

use crate::base::{limits, similar, sorting};
use crate::front::rights::{Permissions, Right};
use crate::node::permission::Needs;
use crate::node::topics;
use crate::wire::http::Method;
use crate::wire::json;

/// What a program says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// Its name, which is that of its folder.
    pub name: String,
    /// Which version of it.
    pub version: String,
    /// What it is for, in a line.
    pub description: String,
    /// What is run, below its folder.
    pub program: String,
    /// With which arguments.
    pub args: Vec<String>,
    /// The plugins without which it is of no use.
    pub mandatory: Vec<String>,
    /// What it asks to be allowed to do.
    pub permissions: Permissions,
    /// How the names of the events begin that it is told; all do so with an empty one.
    pub events: Vec<String>,
    /// The requests that it answers, those with the plainest patterns first.
    pub routes: Vec<ProgramRoute>,
}

/// A kind of request that a program answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgramRoute {
    /// The method. What answers GET answers HEAD too.
    pub method: Method,
    /// The path below that of the plugin's, with `:name` for a segment and `#name` for a number.
    pub pattern: String,
    /// What whoever asks has to have.
    pub needs: RouteNeeds,
}

/// What whoever asks a program has to have. A right is one on the session or job that the first open segments
/// of the pattern name, and on all jobs where there are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RouteNeeds {
    /// Nothing.
    Nothing,
    /// A right.
    Right(Right),
    /// To do everything.
    Admin,
}

/// The words for it, as they are written.
const NEEDS: [(&str, RouteNeeds); 5] = [
    ("nothing", RouteNeeds::Nothing),
    ("read", RouteNeeds::Right(Right::Read)),
    ("write", RouteNeeds::Right(Right::Write)),
    ("manage", RouteNeeds::Right(Right::Manage)),
    ("admin", RouteNeeds::Admin),
];

impl fmt::Display for RouteNeeds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = NEEDS.iter().find(|(_, needs)| needs == self).map(|(word, _)| *word);
        f.write_str(word.unwrap_or_default())
    }
}

/// The members there are.
const MEMBERS: [&str; 9] = [
    "name",
    "version",
    "description",
    "program",
    "args",
    "mandatory",
    "permissions",
    "events",
    "routes",
];

impl Manifest {
    /// Reads one that stands in the folder of this name.
    ///
    /// # Errors
    /// What is wrong, with the name of the member.
    pub fn read(folder: &str, text: &[u8]) -> Result<Self, String> {
        let value = json::parse(text).map_err(|error| format!("it is not JSON: {error}"))?;
        let Value::Object(members) = value else { return Err("expected a JSON object".into()) };
        if let Some(stranger) = members.keys().find(|name| !MEMBERS.contains(&name.as_str())) {
            let meant = similar::nearest(stranger, MEMBERS);
            let meant = meant.map(|meant| format!("; did you mean {meant}?")).unwrap_or_default();
            return Err(format!("{stranger}: there is no such member{meant}"));
        }
        let name = text_of(&members, "name")?.ok_or("name: it is missing")?;
        if name != folder {
            return Err(format!("name: expected that of its folder, {folder:?}, found {name:?}"));
        }
        let program = text_of(&members, "program")?
            .ok_or("program: it is missing; expected the path of what is run, below this folder")?;
        check_program(&program)?;
        let permissions = members.get("permissions").map(Permissions::read).transpose()?;
        let permissions = permissions.unwrap_or_default();
        if permissions.create_key || permissions.create_user {
            return Err("permissions: a plugin makes no keys and no users".into());
        }
        let events = texts(&members, "events")?;
        if events.len() > limits::PLUGIN_EVENTS {
            let most = limits::PLUGIN_EVENTS;
            return Err(format!("events: expected at most {most} names, found {}", events.len()));
        }
        let events = events.iter().map(|event| topics::prefix(event).to_owned()).collect();
        Ok(Self {
            name,
            version: text_of(&members, "version")?.unwrap_or_default(),
            description: text_of(&members, "description")?.unwrap_or_default(),
            program,
            args: texts(&members, "args")?,
            mandatory: texts(&members, "mandatory")?,
            permissions,
            events,
            routes: routes(&members)?,
        })
    }

    /// As the API tells it.
    pub fn to_value(&self) -> Map<String, Value> {
        let route = |route: &ProgramRoute| {
            let method = route.method.name();
            json!({"method": method, "path": route.pattern, "needs": route.needs.to_string()})
        };
        let routes: Vec<Value> = self.routes.iter().map(route).collect();
        let value = json!({
            "version": self.version,
            "description": self.description,
            "program": self.program,
            "args": self.args,
            "mandatory": self.mandatory,
            "asks": self.permissions.to_value(),
            "events": self.events,
            "routes": routes,
        });
        match value {
            Value::Object(map) => map,
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_) => Map::new(),
        }
    }
}

impl ProgramRoute {
    /// What it needs, as the node's own routes say it.
    pub fn needs(&self) -> Needs {
        let right = match self.needs {
            RouteNeeds::Nothing => return Needs::Nothing,
            RouteNeeds::Admin => return Needs::Admin,
            RouteNeeds::Right(right) => right,
        };
        let opens: Vec<&str> =
            self.pattern.split('/').filter_map(|part| part.strip_prefix([':', '#'])).collect();
        match opens.as_slice() {
            ["session", "job", ..] => Needs::Job(right),
            ["session", ..] => Needs::Session(right),
            _ => Needs::All(right),
        }
    }

    /// The pattern without the names in it: two of one shape take the same paths.
    fn shape(&self) -> Vec<&str> {
        let parts = self.pattern.split('/').filter(|part| !part.is_empty());
        let plain = |part| match str::as_bytes(part).first() {
            Some(b':') => ":",
            Some(b'#') => "#",
            Some(_) | None => part,
        };
        parts.map(plain).collect()
    }

    /// The plainer pattern first, segment by segment: what is said exactly before a number, and that before
    /// anything.
    fn order(&self, other: &Self) -> Ordering {
        let rank = |pattern: &str| {
            let rank = |part: &str| match part.as_bytes().first() {
                Some(b':') => 2,
                Some(b'#') => 1,
                Some(_) | None => 0,
            };
            pattern.split('/').map(rank).collect::<Vec<u8>>()
        };
        rank(&self.pattern)
            .cmp(&rank(&other.pattern))
            .then_with(|| self.pattern.cmp(&other.pattern))
    }
}

fn text_of(members: &Map<String, Value>, name: &str) -> Result<Option<String>, String> {
    match members.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.len() <= limits::PLUGIN_TEXT => {
            match text.chars().any(char::is_control) {
                true => Err(format!("{name}: expected a text in one line")),
                false => Ok(Some(text.clone())),
            }
        }
        Some(Value::String(_)) => {
            Err(format!("{name}: expected a text of at most {} bytes", limits::PLUGIN_TEXT))
        }
        Some(other) => Err(format!("{name}: expected a text, found {other}")),
    }
}

fn texts(members: &Map<String, Value>, name: &str) -> Result<Vec<String>, String> {
    let wrong = || format!("{name}: expected a list of texts");
    match members.get(name) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::Array(list)) => {
            let text = |value: &Value| value.as_str().map(str::to_owned).ok_or_else(wrong);
            list.iter().map(text).collect()
        }
        Some(_) => Err(wrong()),
    }
}

/// What is run stands in the plugin's own folder.
fn check_program(program: &str) -> Result<(), String> {
    let leaves = program.starts_with('/') || program.split('/').any(|part| part == "..");
    match leaves || program.is_empty() {
        true => Err(format!("program: expected a path below this folder, found {program:?}")),
        false => Ok(()),
    }
}

fn routes(members: &Map<String, Value>) -> Result<Vec<ProgramRoute>, String> {
    let expected = r#"an object such as {"GET /hello/:name": "nothing"}"#;
    let map = match members.get("routes") {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Object(map)) => map,
        Some(_) => return Err(format!("routes: expected {expected}")),
    };
    if map.len() > limits::PLUGIN_ROUTES {
        let most = limits::PLUGIN_ROUTES;
        return Err(format!("routes: expected at most {most}, found {}", map.len()));
    }
    let mut routes = Vec::with_capacity(map.len());
    for (text, needs) in map {
        let wrong = |what: String| format!("routes: {text:?}: {what}");
        let (method, pattern) =
            text.split_once(' ').ok_or_else(|| wrong("expected a method and a path".into()))?;
        let method = [Method::Get, Method::Post, Method::Put, Method::Patch, Method::Delete]
            .into_iter()
            .find(|known| known.name() == method)
            .ok_or_else(|| wrong("expected GET, POST, PUT, PATCH or DELETE".into()))?;
        let plain = |c: char| c.is_ascii_alphanumeric() || "-._~:#/".contains(c);
        if !pattern.starts_with('/') || !pattern.chars().all(plain) {
            return Err(wrong("expected a path such as /hello/:name".into()));
        }
        let word = needs.as_str().unwrap_or_default();
        let known = NEEDS.iter().find(|(known, _)| *known == word);
        let (_, needs) = *known.ok_or_else(|| {
            wrong(format!("expected nothing, read, write, manage or admin, found {needs}"))
        })?;
        let route = ProgramRoute { method, pattern: pattern.to_owned(), needs };
        let same = |other: &&ProgramRoute| other.method == method && other.shape() == route.shape();
        if let Some(other) = routes.iter().find(same) {
            return Err(wrong(format!("it takes the same paths as {:?}", other.pattern)));
        }
        routes.push(route);
    }
    sorting::sort_by(&mut routes, ProgramRoute::order);
    Ok(routes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Manifest, String> {
        Manifest::read("hello", text.as_bytes())
    }

    #[test]
    fn what_a_program_says_of_itself_is_read() {
        let manifest = read(
            r#"{"name": "hello", "version": "1.2", "description": "Greets", "program": "bin/run",
                "args": ["-v"], "mandatory": ["base"], "permissions": {"manage": ["site"]},
                "events": ["job.site.", "."],
                "routes": {"GET /:any": "admin", "GET /all": "nothing", "POST /double/:session/:job": "manage",
                           "GET /#pid": "read", "GET /of/:session": "read"}}"#,
        );
        let manifest = manifest.expect("sound");
        assert_eq!((manifest.program.as_str(), manifest.args.len()), ("bin/run", 1));
        assert_eq!(manifest.events, ["job.site", ""]);
        let routes: Vec<_> =
            manifest.routes.iter().map(|r| (r.pattern.as_str(), r.needs())).collect();
        assert_eq!(
            routes,
            [
                ("/all", Needs::Nothing),
                ("/of/:session", Needs::Session(Right::Read)),
                ("/double/:session/:job", Needs::Job(Right::Manage)),
                ("/#pid", Needs::All(Right::Read)),
                ("/:any", Needs::Admin),
            ]
        );
        assert_eq!(manifest.to_value()["routes"][0]["needs"], "nothing");
        let least = read(r#"{"name": "hello", "program": "run"}"#).expect("sound");
        assert_eq!((least.version.as_str(), least.permissions), ("", Permissions::default()));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_member() {
        let with = |more: &str| format!(r#"{{"name": "hello", "program": "run", {more}}}"#);
        let many = |count: usize| {
            let routes: Vec<String> =
                (0..count).map(|n| format!(r#""GET /{n}": "read""#)).collect();
            with(&format!(r#""routes": {{{}}}"#, routes.join(", ")))
        };
        let events = |count: usize| with(&format!(r#""events": {:?}"#, vec!["a"; count]));
        let long = |bytes: usize| with(&format!(r#""version": {:?}"#, "x".repeat(bytes)));
        for good in
            [many(limits::PLUGIN_ROUTES), events(limits::PLUGIN_EVENTS), long(limits::PLUGIN_TEXT)]
        {
            assert!(read(&good).is_ok());
        }
        for (text, message) in [
            ("{", "it is not JSON"),
            ("[]", "expected a JSON object"),
            ("{}", "name: it is missing"),
            (r#"{"name": "x"}"#, r#"name: expected that of its folder, "hello""#),
            (r#"{"name": "hello"}"#, "program: it is missing"),
            (r#"{"name": "hello", "program": "../run"}"#, "program: expected a path below"),
            (r#"{"name": "hello", "program": "/bin/sh"}"#, "program: expected a path below"),
            (&with(r#""event": []"#), "event: there is no such member; did you mean events?"),
            (&with(r#""events": "all""#), "events: expected a list of texts"),
            (&with(r#""version": 1"#), "version: expected a text, found 1"),
            (&with("\"description\": \"a\\nb\""), "description: expected a text in one line"),
            (&with(r#""permissions": {"manage": "all"}"#), "permissions.manage: expected a list"),
            (
                &with(r#""permissions": {"create_key": true}"#),
                "permissions: a plugin makes no keys",
            ),
            (&with(r#""routes": []"#), "routes: expected an object"),
            (&with(r#""routes": {"/x": "read"}"#), r#"routes: "/x": expected a method and a path"#),
            (&with(r#""routes": {"HEAD /x": "read"}"#), "routes: \"HEAD /x\": expected GET,"),
            (&with(r#""routes": {"GET x": "read"}"#), "routes: \"GET x\": expected a path"),
            (&with(r#""routes": {"GET /x": "all"}"#), "routes: \"GET /x\": expected nothing,"),
            (
                &with(r#""routes": {"GET /a/:x": "nothing", "GET /a/:y/": "admin"}"#),
                "routes: \"GET /a/:y/\": it takes the same paths as \"/a/:x\"",
            ),
            (&many(limits::PLUGIN_ROUTES + 1), "routes: expected at most"),
            (&events(limits::PLUGIN_EVENTS + 1), "events: expected at most"),
            (&long(limits::PLUGIN_TEXT + 1), "version: expected a text of at most"),
        ] {
            let error = read(text).expect_err(message);
            assert!(error.starts_with(message), "{error}");
        }
    }
}
