//! The shapes that are made of other tables: a job's options, and the names of signals. Nothing of them is
//! written twice.

use serde_json::{json, Map, Value};

use crate::base::{capabilities, limits, process};
use crate::supervisor::spec::RESOURCES;
use crate::supervisor::spec_keys::{Key, Kind, KEYS};
use crate::wire::json;

/// The shapes, by their names in the document.
pub(super) fn shapes() -> Vec<(&'static str, Value)> {
    let [session, job] = names();
    vec![
        session,
        job,
        ("SignalName", signal()),
        ("JobOptions", options(&[])),
        ("NewJob", options(&["name", "cmd"])),
        ("JobAnew", options(&["cmd"])),
    ]
}

/// The options, of which these have to be there.
fn options(required: &[&str]) -> Value {
    let mut all = Map::new();
    for key in KEYS {
        let needed = required.contains(&key.name);
        all.insert(key.name.into(), if needed { shape(key) } else { or_null(shape(key)) });
    }
    let mut options = json!({"type": "object", "properties": all, "additionalProperties": false});
    if required.is_empty() {
        options["description"] = "A job's options. One that is null is as good as none.".into();
    } else {
        options["required"] = json!(required);
        options["examples"] = json!([{"name": "web", "cmd": "serve --port 8000"}]);
    }
    options
}

/// The value of an option: as precise as can be said, else as its kind says.
fn shape(key: &Key) -> Value {
    let mut shape = refined(key.name).unwrap_or_else(|| of_kind(key));
    shape["description"] = format!("{}.", key.expects).into();
    shape
}

fn text() -> Value {
    json!({"type": "string", "pattern": "^[^\\u0000]*$"})
}

fn seconds() -> Value {
    json!({"type": "number", "minimum": 0, "maximum": limits::CONFIGURED_TIME.as_secs()})
}

/// A user or a group.
fn account() -> Value {
    let name = json!({"type": "string", "pattern": "^[^\\s\\u0000]+$"});
    json!({"anyOf": [name, {"type": "integer", "minimum": 0, "maximum": u32::MAX - 1}]})
}

fn of_kind(key: &Key) -> Value {
    match key.kind {
        Kind::Text => text(),
        Kind::Account => account(),
        Kind::Flag => json!({"type": "boolean"}),
        Kind::Whole => whole(key.expects),
        Kind::Seconds => seconds(),
        Kind::Words => json!({"anyOf": [{"type": "array", "items": text()}, text()]}),
        Kind::Names => json!({"type": "array", "items": text()}),
        Kind::Codes => {
            let (least, most) = (u8::MIN, u8::MAX);
            json!({"type": "array", "items": {"type": "integer", "minimum": least, "maximum": most}})
        }
        Kind::Size => json!({"anyOf": [
            {"type": "integer", "minimum": 0, "maximum": limits::OUTPUT_LOG_SIZE},
            {"type": "string", "pattern": "^ *[0-9]{1,5} *([bB]|[kKmMgG][iI]?[bB]?)? *$"},
        ]}),
        Kind::Table => json!({"type": "object"}),
        Kind::Numbers(names) => closed(names.iter().map(|name| (*name, number(name)))),
        Kind::Unused => json!({}),
    }
}

/// A whole number, between the bounds that are told.
fn whole(expects: &str) -> Value {
    let numbers = expects.split(' ').filter_map(|word| word.parse::<i64>().ok());
    let numbers: Vec<i64> = numbers.collect();
    match numbers.as_slice() {
        [least, most] => json!({"type": "integer", "minimum": least, "maximum": most}),
        _ => json!({"type": "integer", "minimum": i64::MIN, "maximum": i64::MAX}),
    }
}

/// A number of `flapping` or of `backoff`.
fn number(name: &str) -> Value {
    match name {
        "attempts" => {
            json!({"type": "integer", "minimum": 1, "maximum": limits::FLAPPING_ATTEMPTS})
        }
        "max_retry" => json!({"type": "integer", "minimum": -1, "maximum": u32::MAX}),
        "factor" => json!({"type": "number", "minimum": 1, "maximum": 1000}),
        "jitter" => json!({"type": "number", "minimum": 0, "maximum": 1}),
        _ => seconds(),
    }
}

/// An object of these members and no others.
fn closed<'a>(members: impl Iterator<Item = (&'a str, Value)>) -> Value {
    let members = json::object(members.map(|(name, shape)| (name.to_owned(), shape)));
    json!({"type": "object", "properties": members, "additionalProperties": false})
}

/// What its kind does not say of an option.
fn refined(name: &str) -> Option<Value> {
    let is = |name: &str| json!({"$ref": format!("#/components/schemas/{name}")});
    let list =
        |items: Value, most: usize| json!({"type": "array", "items": items, "maxItems": most});
    let labels = |most| {
        let pattern = format!("^[A-Za-z0-9_.+-]{{1,{}}}$", limits::STREAM_LABEL);
        list(json!({"type": "string", "pattern": pattern}), most)
    };
    Some(match name {
        "name" => is("JobLabel"),
        "cmd" => json!({"type": "string", "pattern": "^[^\\u0000]*[^\\s\\u0000][^\\u0000]*$"}),
        "env" => is("Environment"),
        "groups" => list(account(), limits::GROUPS - 1),
        "capabilities" => {
            list(json!({"enum": capabilities::NAMES.as_slice()}), capabilities::NAMES.len())
        }
        "redirect_output" => labels(2),
        "custom_streams" => {
            let mut labels = labels(limits::CUSTOM_STREAMS);
            labels["uniqueItems"] = true.into();
            labels
        }
        "listen" => {
            let pattern = format!("^[!-~]{{1,{}}}$", limits::EVENT_NAME);
            list(json!({"type": "string", "pattern": pattern}), limits::LISTEN)
        }
        "restart" => json!({"enum": ["always", "on-failure", "on-success", "never"]}),
        "stop_signal" => is("SignalName"),
        "umask" => json!({"type": "string", "pattern": "^[0-7]{1,3}$"}),
        "rlimits" => closed(RESOURCES.iter().map(|(name, _)| (*name, limit()))),
        _ => return None,
    })
}

/// A limit of a resource.
fn limit() -> Value {
    let one = json!({"anyOf": [{"type": "integer", "minimum": 0}, {"const": "unlimited"}]});
    let both = json!({"type": "array", "items": one, "minItems": 2, "maxItems": 2});
    json!({"anyOf": [one, both]})
}

/// A signal: its number, or its name, which is read in any case.
fn signal() -> Value {
    let names: Vec<&str> = process::NAMES.iter().map(|(_, name)| *name).collect();
    let most = process::MAX;
    let pattern = format!("^((SIG)?({}|RTMIN)|[1-9]|[1-5][0-9]|6[0-4])$", names.join("|"));
    let name = json!({"type": "string", "pattern": pattern, "examples": ["HUP", "SIGTERM", "15"]});
    json!({
        "description": "A signal's name, with or without SIG and in any case, or its number.",
        "anyOf": [{"type": "integer", "minimum": 1, "maximum": most}, name],
    })
}

/// A session's and a job's part of a name.
fn names() -> [(&'static str, Value); 2] {
    let name = |pattern: &str, most: usize| json!({"type": "string", "pattern": pattern, "maxLength": most});
    [
        ("SessionName", name("^[A-Za-z0-9_+-]+$", limits::SESSION_NAME)),
        // Not of dots alone.
        ("JobLabel", name("^[.]*[A-Za-z0-9_+@ -][A-Za-z0-9_.+@ -]*$", limits::JOB_LABEL)),
    ]
}

fn or_null(mut shape: Value) -> Value {
    let about = shape.as_object_mut().and_then(|shape| shape.remove("description"));
    let mut either = match shape.as_object().is_some_and(Map::is_empty) {
        true => shape,
        false => json!({"anyOf": [shape, {"type": "null"}]}),
    };
    either["description"] = about.unwrap_or_default();
    either
}
