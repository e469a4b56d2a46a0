//! `GET /openapi.json`: it names every route and what that reads, it is sound, and what is answered is as it
//! says. And the README's reference, which is made of the same tables: `GOLDEN_WRITE=1` writes it anew.

use std::collections::BTreeSet;
use std::path::Path;

use gaffer::base::limits;
use gaffer::node::openapi::doc::Body;
use gaffer::node::openapi::{document, documented, reference, written_down};
use gaffer::node::routes::ROUTES;
use gaffer::supervisor::spec_keys::KEYS;
use gaffer::supervisor::spec_read;
use regex_lite::Regex;
use serde_json::{json, Map, Value};

use crate::api_traces::{pattern_fits, served};
use crate::json_schema::Schemas;
use crate::trace_client::Served;

/// Every value of a document, each with where it is.
fn walk<'a>(value: &'a Value, at: &str, see: &mut impl FnMut(&str, &'a Value)) {
    see(at, value);
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                walk(member, &format!("{at}/{}", name.replace('/', "~1")), see);
            }
        }
        Value::Array(list) => {
            for (number, item) in list.iter().enumerate() {
                walk(item, &format!("{at}/{number}"), see);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// All operations, each with its path and method.
fn operations<'a>(document: &'a Value) -> Vec<(&'a str, &'a str, &'a Value)> {
    let paths = document["paths"].as_object().expect("paths").iter();
    let of_path = |(path, methods): (&'a String, &'a Value)| {
        let methods = methods.as_object().expect("methods").iter();
        methods.map(move |(method, operation)| (path.as_str(), method.as_str(), operation))
    };
    paths.flat_map(of_path).collect()
}

#[test]
fn every_route_is_written_down_and_nothing_else() {
    for route in ROUTES {
        let name = format!("{} {}", route.method.name(), route.pattern);
        assert!(documented(route.method, route.pattern).is_some(), "{name} is not written down");
    }
    let mut ids = BTreeSet::new();
    let mut places = BTreeSet::new();
    for doc in written_down() {
        let name = format!("{} {}", doc.method.name(), doc.pattern);
        let is_route =
            |r: &&gaffer::node::routes::Route| r.method == doc.method && r.pattern == doc.pattern;
        assert!(ROUTES.iter().any(|route| is_route(&route)), "there is no {name}");
        assert!(ids.insert(doc.id) && places.insert(name.clone()), "{name} is written down twice");
        assert!(!doc.about.is_empty() && !doc.about.ends_with('.'), "{name}: {}", doc.about);
        assert!(doc.answers.iter().any(|answer| answer.status < 400), "{name} answers nothing");
        let statuses: BTreeSet<u16> = doc.answers.iter().map(|answer| answer.status).collect();
        assert_eq!(statuses.len(), doc.answers.len(), "{name} tells a status twice");
    }
    assert_eq!(operations(&document("")).len(), ROUTES.len());
}

#[test]
fn the_document_is_sound() {
    let document = document("");
    assert_eq!(document["openapi"], "3.1.0");
    let schemas = Schemas(&document);
    let mut referred = BTreeSet::new();
    walk(&document, "", &mut |at, value| {
        if let Some(reference) = value.get("$ref") {
            schemas.found(reference).unwrap_or_else(|error| panic!("{at}: {error}"));
            referred.insert(reference.as_str().expect("a text"));
        }
        if let (true, Some(pattern)) = (at.ends_with("/pattern"), value.as_str()) {
            Regex::new(pattern).unwrap_or_else(|error| panic!("{at}: {error}"));
        }
        // The keywords that are known here are all that is used.
        if value.get("type").is_some()
            && !at.contains("/properties/type")
            && !at.contains("securitySchemes")
        {
            let told = schemas.check(value, &Value::Null, at).err().unwrap_or_default();
            assert!(!told.contains("no keyword"), "{told}");
        }
    });
    for kind in ["schemas", "responses", "headers"] {
        for name in document["components"][kind].as_object().expect("some").keys() {
            let reference = format!("#/components/{kind}/{name}");
            let beginning = format!("{reference}/");
            let mut all = referred.iter();
            assert!(
                all.any(|r| *r == reference || r.starts_with(&beginning)),
                "{reference} is unused"
            );
        }
    }
    for (path, method, operation) in operations(&document) {
        let name = format!("{method} {path}");
        let parameters = operation["parameters"].as_array().expect("parameters");
        let of = |place: &str| -> BTreeSet<&str> {
            let all = parameters.iter().filter(|parameter| parameter["in"] == place);
            all.map(|parameter| parameter["name"].as_str().expect("a name")).collect()
        };
        let open = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
        assert_eq!(of("path"), open.collect(), "{name}");
        let count: usize = ["path", "query", "header"].iter().map(|place| of(place).len()).sum();
        assert_eq!(count, parameters.len(), "{name} has a parameter twice");
        let needed = |p: &&Value| p["in"] != "path" || p["required"] == true;
        assert!(parameters.iter().all(|parameter| needed(&parameter)), "{name}");
        for scheme in operation["security"].as_array().expect("security") {
            for scheme in scheme.as_object().expect("a requirement").keys() {
                assert!(
                    document["components"]["securitySchemes"].get(scheme).is_some(),
                    "{scheme}"
                );
            }
        }
    }
}

#[test]
fn a_prefix_stands_before_all_paths() {
    assert_eq!(document("")["servers"], json!([{"url": "/"}]));
    assert_eq!(document("/gaffer")["servers"], json!([{"url": "/gaffer"}]));
    assert_eq!(document("/gaffer")["paths"], document("")["paths"]);
}

/// What is not as it is written down of an answer, if there is something.
fn wrong(document: &Value, served: &Served) -> Result<(), String> {
    let method = if served.method == "HEAD" { "get" } else { &served.method.to_lowercase() };
    let fits = |route: &&gaffer::node::routes::Route| {
        route.method.name().eq_ignore_ascii_case(method)
            && pattern_fits(route.pattern, &served.path)
    };
    let Some(route) = ROUTES.iter().find(fits) else { return Ok(()) };
    let doc = documented(route.method, route.pattern).ok_or("it is not written down")?;
    let operations = operations(document);
    let operation = operations.iter().find(|(_, _, operation)| operation["operationId"] == doc.id);
    let (_, _, operation) = operation.ok_or("it is no operation")?;
    let told = &operation["responses"][served.status.to_string()];
    let schemas = Schemas(document);
    let told = match told.get("$ref") {
        Some(reference) => schemas.found(reference)?,
        None => told,
    };
    if told.is_null() {
        return Err(format!("{} is not written down", served.status));
    }
    let known = document["components"]["headers"].as_object().expect("headers");
    let strangers = served.fields.iter().filter(|field| known.contains_key(*field));
    for field in strangers {
        if told["headers"].get(field).is_none() {
            return Err(format!("{field} is not written down of {}", served.status));
        }
    }
    let Some(kind) = &served.kind else { return Ok(()) };
    let shape = told["content"].get(kind).or_else(|| told["content"].get("*/*"));
    let shape = shape.map(|content| &content["schema"]);
    let shape = shape.ok_or_else(|| format!("{kind} is not written down of {}", served.status))?;
    let Some(body) = served.body.as_ref().filter(|_| served.method != "HEAD") else {
        return Ok(());
    };
    match kind.as_str() {
        "application/json" | "application/health+json" => {
            let body: Value = serde_json::from_str(body).map_err(|error| error.to_string())?;
            // The document is its own test.
            if route.pattern == "/openapi.json" {
                Ok(())
            } else {
                schemas.check(shape, &body, "")
            }
        }
        "application/x-ndjson" => body.lines().try_for_each(|line| {
            let line: Value = serde_json::from_str(line).map_err(|error| error.to_string())?;
            schemas.check(shape, &line, "")
        }),
        _ => schemas.check(shape, &Value::from(body.as_str()), ""),
    }
}

#[test]
fn what_is_answered_is_as_it_is_written_down() {
    let document = document("");
    let served = served();
    assert!(served.len() > 500, "only {} answers", served.len());
    let mut findings = BTreeSet::new();
    for served in &served {
        if let Err(error) = wrong(&document, served) {
            findings.insert(format!("{} {}: {error}", served.method, served.path));
        }
    }
    assert!(findings.is_empty(), "{}", findings.into_iter().collect::<Vec<_>>().join("\n"));
    let lie = |status, body: &str| {
        let (method, path) = ("GET".into(), "/jobs/a/b/pids".into());
        let kind = Some("application/json".into());
        wrong(
            &document,
            &Served { method, path, status, kind, fields: vec![], body: Some(body.into()) },
        )
    };
    assert_eq!(lie(200, r#"{"pids": [1]}"#), Ok(()));
    for (status, body) in [(200, r#"{"pids": ["1"]}"#), (200, "{}"), (202, "{}"), (404, "{}")] {
        assert!(lie(status, body).is_err(), "{status} {body}");
    }
}

/// The texts that stand behind a beginning in the code of the endpoints.
fn literals(beginning: &str) -> BTreeSet<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/node");
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(folder).expect("the node") {
        let path = entry.expect("a file").path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        if !name.starts_with("api_") {
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("readable");
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        let code: String =
            code.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
        let after = code.split(beginning).skip(1);
        found.extend(after.filter_map(|rest| {
            let (literal, _) = rest.split_once('"')?;
            Some((name.clone(), literal.to_owned()))
        }));
    }
    found
}

/// Where endpoints read what is no member of a body.
const NO_MEMBERS: [&str; 3] = ["accept", "authorization", "last-event-id"];

#[test]
fn what_endpoints_read_of_bodies_and_of_the_query_is_written_down() {
    let document = document("");
    let mut members = BTreeSet::new();
    let schemas = Schemas(&document);
    for (_, _, operation) in operations(&document) {
        let shape = &operation["requestBody"]["content"]["application/json"]["schema"];
        let shape = match shape.get("$ref") {
            Some(reference) => schemas.found(reference).expect("sound"),
            None => shape,
        };
        members.extend(shape["properties"].as_object().into_iter().flatten().map(|(name, _)| name));
    }
    let mut count = 0;
    let reads = [
        "take(\"",
        "body.get(\"",
        "config.get(\"",
        "body.remove(\"",
        "text(body, \"",
        "text(&mut body, \"",
    ];
    for (file, member) in reads.into_iter().flat_map(literals) {
        count += 1;
        assert!(members.contains(&member), "src/node/{file}: {member} is written down of no body");
    }
    assert!(count > 15, "only {count} members are read");
    let queries: BTreeSet<&str> =
        written_down().flat_map(|doc| doc.query).map(|param| param.name).collect();
    let reads = ["query(\"", "includes(call, \"", "time(call, \""];
    let mut read: BTreeSet<String> =
        reads.into_iter().flat_map(literals).map(|(_, name)| name).collect();
    // Of every change and of statistics, in the context of endpoints.
    read.extend(["wait", "timeout", "pss"].map(str::to_owned));
    let read: BTreeSet<&str> = read.iter().map(String::as_str).collect();
    assert_eq!(queries, read);
    let fields: BTreeSet<String> =
        literals("headers.get(\"").into_iter().map(|(_, name)| name).collect();
    assert_eq!(fields.iter().map(String::as_str).collect::<Vec<_>>(), NO_MEMBERS);
    let has_body = |doc: &&gaffer::node::openapi::doc::Doc| !matches!(doc.body, Body::Nothing);
    assert!(written_down().filter(|doc| has_body(doc)).all(|doc| doc.method.name() != "GET"));
}

/// A configuration with one more option.
fn config(name: &str, value: &Value) -> Map<String, Value> {
    let mut config = Map::from_iter([("name".into(), json!("a")), ("cmd".into(), json!("a"))]);
    config.insert(name.to_owned(), value.clone());
    config
}

/// Values at the bounds of a shape, and beyond them.
fn bounds(shape: &Value) -> (Vec<Value>, Vec<Value>) {
    let whole = |name: &str| shape[name].as_i64();
    match (whole("minimum"), whole("maximum")) {
        (Some(least), Some(most)) => {
            let beyond = [least.checked_sub(1), most.checked_add(1)];
            (
                vec![json!(least), json!(most)],
                beyond.into_iter().flatten().map(|n| json!(n)).collect(),
            )
        }
        _ => (shape["enum"].as_array().cloned().unwrap_or_default(), Vec::new()),
    }
}

#[test]
fn options_are_read_as_they_are_written_down() {
    let document = document("");
    let options = document["components"]["schemas"]["JobOptions"]["properties"].clone();
    let mut tried = 0;
    let mut holds = |name: &str, value: &Value, expected: bool| {
        tried += 1;
        let read = spec_read::read(&config(name, value)).map(drop);
        assert_eq!(read.is_ok(), expected, "{name}: {value}: {read:?}");
    };
    for key in KEYS {
        assert!(options.get(key.name).is_some(), "{}", key.name);
        let shape = options[key.name]["anyOf"].get(0).unwrap_or(&options[key.name]).clone();
        let (within, beyond) = bounds(&shape);
        within.iter().for_each(|value| holds(key.name, value, true));
        beyond.iter().for_each(|value| holds(key.name, value, false));
        for (member, shape) in shape["properties"].as_object().into_iter().flatten() {
            let (within, beyond) = bounds(shape);
            within.iter().for_each(|value| holds(key.name, &json!({member: value}), true));
            beyond.iter().for_each(|value| holds(key.name, &json!({member: value}), false));
        }
        let items = bounds(&shape["items"]);
        items.0.iter().for_each(|value| holds(key.name, &json!([value]), true));
        let most = shape["maxItems"].as_u64().filter(|most| *most < 1000);
        if let Some(most) = most.and_then(|most| usize::try_from(most).ok()) {
            let list = |count: usize| -> Value { (0..count).map(|n| format!("a{n}")).collect() };
            if key.name != "capabilities" {
                holds(key.name, &list(most), true);
                holds(key.name, &list(most + 1), false);
            }
        }
    }
    for (_, name) in gaffer::base::process::NAMES {
        holds("stop_signal", &json!(name), true);
    }
    for resource in gaffer::supervisor::spec::RESOURCES {
        for limit in [json!(1), json!("unlimited"), json!([1, "unlimited"])] {
            holds("rlimits", &json!({(resource.0): limit}), true);
        }
    }
    assert!(tried > 100, "only {tried} values");
}

#[test]
fn bounds_of_texts_are_those_of_the_limits() {
    let document = document("");
    let schemas = Schemas(&document);
    let fits = |name: &str, text: String| {
        let shape = json!({"$ref": format!("#/components/schemas/{name}")});
        schemas.check(&shape, &json!(text), "").is_ok()
    };
    for (name, most) in [
        ("SessionName", limits::SESSION_NAME),
        ("JobLabel", limits::JOB_LABEL),
        ("Password", limits::PASSWORD),
        ("WebhookEvent", limits::WEBHOOK_EVENT),
        ("WebhookSecret", limits::WEBHOOK_SECRET.1),
    ] {
        assert!(fits(name, "x".repeat(most)) && !fits(name, "x".repeat(most + 1)), "{name}");
        assert!(!fits(name, String::new()), "{name}");
    }
    let label = &document["components"]["schemas"]["NewKey"]["properties"]["label"]["maxLength"];
    assert_eq!(label.as_u64(), u64::try_from(limits::KEY_LABEL).ok());
    let url = &document["components"]["schemas"]["NewWebhook"]["properties"]["url"]["maxLength"];
    assert_eq!(url.as_u64(), u64::try_from(limits::WEBHOOK_URL).ok());
}

/// What stands around the reference in the README.
const BEGIN: &str = "<!-- The table of routes, as `GOLDEN_WRITE=1 cargo test --test pure -- openapi` writes it. -->\n\n";
const END: &str = "\n<!-- The end of the table of routes. -->\n";

#[test]
fn the_readme_has_the_reference_of_the_routes() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = std::fs::read_to_string(&path).expect("a README");
    let (before, rest) = readme.split_once(BEGIN).expect("where the table begins");
    let (told, after) = rest.split_once(END).expect("where the table ends");
    let table = reference::table();
    if std::env::var_os("GOLDEN_WRITE").is_some() {
        std::fs::write(&path, [before, BEGIN, &table, END, after].concat()).expect("written");
        return;
    }
    let differs = told.lines().zip(table.lines()).find(|(told, line)| told != line);
    assert!(told == table, "GOLDEN_WRITE=1 writes it anew: {differs:?}");
    let cells = |line: &str| line.matches(" | ").count();
    assert!(table
        .lines()
        .all(|line| line.starts_with('|') && (line.contains("---") || cells(line) == 2)));
}
