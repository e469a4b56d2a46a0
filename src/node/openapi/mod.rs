//! What there is to ask of a node, written down for programs: an OpenAPI 3.1 document made of the table of
//! routes, and the reference of the README, made of the same.
//!
//! Each route has its documentation in one of the tables of this folder, one for each kind of thing; what a route
//! needs stands in the table of routes alone, and a job's options in theirs. A test fails when a route has no
//! documentation; in builds with debug assertions a route that reads a part of the query that is not written
//! down panics, so that every other test sees to that.
//!
//! The document is for everybody: it is the same on all nodes of a version, but for the prefix under which a host
//! program serves it, which whoever asks knows. It is made when it is asked for first, and kept.

mod about_node;
pub mod doc;
mod feeds;
mod jobs;
mod keys;
mod options;
mod plugins;
mod processes;
pub mod reference;
mod refusals;
mod webhooks;

use serde_json::{json, Map, Value};

use self::doc::{Body, Doc, Param, Shape, JSON};
use super::permission::Needs;
use super::routes::{Route, ROUTES};
use crate::front::response::Response;
use crate::wire::http::Method;
use crate::wire::json;
use crate::VERSION;

/// The tables, each with what its routes are about: the document's tags.
const TABLES: &[(&str, &[Doc])] = &[
    ("node", about_node::DOCS),
    ("keys and users", keys::DOCS),
    ("jobs", jobs::DOCS),
    ("processes", processes::DOCS),
    ("feeds", feeds::DOCS),
    ("webhooks", webhooks::DOCS),
    ("plugins", plugins::DOCS),
];

/// The shapes of what is said and answered, as JSON Schemas.
const SHAPES: &str = include_str!("shapes.json");

/// What a part of a path means, by its name in the pattern.
#[rustfmt::skip]
const PARTS: &[(&str, Shape, &str)] = &[
    ("session", Shape::Is("SessionName"), "A session."),
    ("job", Shape::Is("JobLabel"), "A job's label in its session."),
    ("instance", Shape::Json(r#"{"type": "integer", "minimum": 0}"#), "The number of one of a job's instances."),
    ("pid", Shape::Json(r#"{"type": "integer", "minimum": 0}"#), "The number that gaffer gives to a process, not the kernel's."),
    ("label", Shape::Text, "The label of a stream of the process."),
    ("key", Shape::Text, "The id of a key, or the key itself."),
    ("user", Shape::Text, "A user's name."),
    ("hook", Shape::Text, "The id of a webhook."),
    ("name", Shape::Text, "The name of a plugin."),
    ("rest", Shape::Text, "The path of a file, with slashes between its parts."),
    ("part", Shape::Text, "A part of the dotted name of events, as `job`."),
];

/// Fields of answers, by what answers call them.
#[rustfmt::skip]
const HEADERS: &[(&str, &str, Shape)] = &[
    ("ETag", "Names this very answer: with If-None-Match it is not sent again.", Shape::Text),
    ("Location", "Where it is found.", Shape::Text),
    ("X-Api-Key", "The key, told this once.", Shape::Text),
    ("Retry-After", "In how many seconds it may be tried again.", Shape::Whole(0, 4_294_967_295)),
    ("Gaffer-Seq", "The number of what was written last.", Shape::Whole(0, u64::MAX)),
    ("Gaffer-Lost", "How many bytes are missing: kept no more, or more than fit.", Shape::Whole(0, u64::MAX)),
    ("Gaffer-Position", "The position behind what is kept, with `feed=kept`.", Shape::Whole(0, u64::MAX)),
    ("Last-Modified", "When the file was changed.", Shape::Text),
    ("Accept-Ranges", "That parts may be asked for.", Shape::Word(&["bytes"])),
    ("Content-Range", "Which part it is, or how long the file is.", Shape::Text),
    ("Sec-WebSocket-Accept", "That the key was read.", Shape::Text),
    ("Sec-WebSocket-Version", "The version that is spoken.", Shape::Word(&["13"])),
];

/// All that is written down.
pub fn written_down() -> impl Iterator<Item = &'static Doc> {
    TABLES.iter().flat_map(|(_, docs)| docs.iter())
}

/// What is written down of a route.
pub fn documented(method: Method, pattern: &str) -> Option<&'static Doc> {
    written_down().find(|doc| doc.method == method && doc.pattern == pattern)
}

/// The document as it is answered, of a node whose endpoints are below these segments.
pub(super) fn answer(prefix: &[String]) -> Response {
    let prefix: String = prefix.iter().map(|part| format!("/{part}")).collect();
    Response::json(200, &document(&prefix))
}

/// The document of a node whose endpoints are below this prefix, which may be empty.
pub fn document(prefix: &str) -> Value {
    let place = if prefix.is_empty() { "/" } else { prefix };
    let mut paths = Map::new();
    for (tag, docs) in TABLES {
        for doc in *docs {
            let route = ROUTES.iter().find(|r| r.method == doc.method && r.pattern == doc.pattern);
            let Some(route) = route else { continue };
            let path = paths.entry(path_of(doc.pattern)).or_insert_with(|| json!({}));
            path[method_word(doc.method)] = operation(doc, route, tag);
        }
    }
    let tags: Vec<Value> = TABLES.iter().map(|(tag, _)| json!({"name": tag})).collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "gaffer",
            "version": VERSION,
            "description": INTRODUCTION,
            "license": {"name": "Unlicense OR MIT", "identifier": "Unlicense OR MIT"},
        },
        "servers": [{"url": place}],
        "tags": tags,
        "paths": paths,
        "webhooks": {"event": {"post": posted()}},
        "components": {
            "schemas": schemas(),
            "responses": refusals::responses(),
            "headers": headers(),
            "securitySchemes": json::object(SECURITY.iter().map(|(name, scheme)| {
                ((*name).to_owned(), parsed(scheme))
            })),
        },
    })
}

/// What holds for all of it.
const INTRODUCTION: &str = "A node of gaffer: it supervises jobs, each of so many processes, in sessions.\n\n\
    HEAD works wherever GET does and answers its head. OPTIONS answers 204 with the methods of a path in `Allow`, \
    and other methods 405. Unknown parts of the query are ignored.\n\n\
    Beside what stands here there is the channel: below `/channel` every transport of SockJS 0.3, and a plain \
    websocket at `/channel/websocket`. It speaks JSON, one object a message: `SUB` and `UNSUB` for topics, `CMD` for \
    commands; events, statistics, output and results come. Routes and applications of a host program are not here, \
    either.\n\n\
    Where no key is asked for, and for root and gafferd's own user on the unix socket, none is needed, whatever an \
    operation says.";

/// How it is known who asks.
const SECURITY: &[(&str, &str)] = &[
    (
        "Key",
        r#"{"type": "apiKey", "in": "header", "name": "X-Api-Key", "description": "A key of this node."}"#,
    ),
    (
        "Token",
        r#"{"type": "http", "scheme": "bearer", "description": "The same key, for clients that can say it in Authorization alone."}"#,
    ),
    (
        "Certificate",
        r#"{"type": "mutualTLS", "description": "A client certificate that stands for a key, where certificates are asked for."}"#,
    ),
    (
        "Login",
        r#"{"type": "http", "scheme": "basic", "description": "A user's name and password, which are good for a key."}"#,
    ),
];

/// A JSON text of this folder.
fn parsed(text: &str) -> Value {
    serde_json::from_str(text).expect("a test reads all of them")
}

fn method_word(method: Method) -> String {
    method.name().to_ascii_lowercase()
}

/// The names in a pattern, in order. One that comes several times is numbered.
fn parts_of(pattern: &str) -> Vec<(&str, String)> {
    let open = pattern.split('/').filter_map(|part| part.strip_prefix([':', '#', '*']));
    let mut parts: Vec<(&str, String)> = Vec::new();
    for name in open {
        let before = parts.iter().filter(|(known, _)| *known == name).count();
        parts.push((name, if before == 0 { name.into() } else { format!("{name}{}", before + 1) }));
    }
    parts
}

/// A pattern as OpenAPI writes it.
fn path_of(pattern: &str) -> String {
    let mut names = parts_of(pattern).into_iter();
    let part = |part: &str| match part.starts_with([':', '#', '*']) {
        true => format!("{{{}}}", names.next().map(|(_, name)| name).unwrap_or_default()),
        false => part.to_owned(),
    };
    pattern.split('/').map(part).collect::<Vec<_>>().join("/")
}

fn operation(doc: &Doc, route: &Route, tag: &str) -> Value {
    let mut about = vec![reference::needed(route.needs)];
    about.extend(Some(doc.more).filter(|more| !more.is_empty()).map(str::to_owned));
    let in_path = parts_of(doc.pattern).into_iter().map(|(part, name)| {
        let known = PARTS.iter().find(|(known, _, _)| *known == part);
        let (_, shape, about) = known.expect("a test looks for all of them");
        parameter("path", &Param { name: "", about, shape: *shape, required: true }, &name)
    });
    let others = [("query", doc.query), ("header", doc.fields)].into_iter();
    let others = others.flat_map(|(place, params)| {
        params.iter().map(move |param| parameter(place, param, param.name))
    });
    let mut operation = json!({
        "operationId": doc.id,
        "tags": [tag],
        "summary": reference::plain(doc.about),
        "description": about.join("\n\n"),
        "security": security(doc, route.needs),
        "parameters": in_path.chain(others).collect::<Vec<_>>(),
        "responses": answers(doc, route.needs),
    });
    if let Some(body) = body(doc.body) {
        operation["requestBody"] = body;
    }
    operation
}

fn parameter(place: &str, param: &Param, name: &str) -> Value {
    let mut shape = schema(&param.shape);
    if matches!(param.shape, Shape::Text) {
        // No part of a request is a text with a NUL in it.
        shape["pattern"] = "^[^\\u0000]*$".into();
    }
    let mut parameter =
        json!({"name": name, "in": place, "description": param.about, "schema": shape});
    if param.required {
        parameter["required"] = true.into();
    }
    parameter
}

/// Who may ask. Who needs nothing is not asked for anything, but for his password where that is what he is for.
fn security(doc: &Doc, needs: Needs) -> Value {
    match needs {
        Needs::Nothing if doc.pattern == "/auth" => json!([{"Login": []}]),
        Needs::Nothing => json!([]),
        Needs::Within => json!([{}, {"Key": []}, {"Certificate": []}]),
        Needs::Known
        | Needs::Admin
        | Needs::All(_)
        | Needs::Session(_)
        | Needs::Job(_)
        | Needs::Process(_)
        | Needs::Events
        | Needs::Registry
        | Needs::Keys
        | Needs::OwnKey
        | Needs::Users
        | Needs::OwnUser => json!([{"Key": []}, {"Certificate": []}]),
    }
}

fn body(body: Body) -> Option<Value> {
    let (content, required) = match body {
        Body::Nothing => return None,
        Body::Json(shape) => (json!({JSON: {"schema": schema(&shape)}}), true),
        Body::PerhapsJson(shape) => (json!({JSON: {"schema": schema(&shape)}}), false),
        Body::Digits(digits) => {
            let texts: Vec<String> = digits.iter().map(u8::to_string).collect();
            let content = json!({
                "text/plain": {"schema": {"enum": texts}}, JSON: {"schema": {"enum": digits}},
            });
            (content, true)
        }
        Body::Words(shape, words) => {
            let content = json!({
                JSON: {"schema": schema(&shape)}, "text/plain": {"schema": {"enum": words}},
            });
            (content, true)
        }
        Body::Bytes => (json!({doc::BYTES: {"schema": {}}}), false),
    };
    Some(json!({"content": content, "required": required}))
}

fn answers(doc: &Doc, needs: Needs) -> Value {
    let mut all = Map::new();
    let has_tag = doc.method == Method::Get && doc.answers.iter().any(|answer| answer.is_kept);
    for answer in doc.answers {
        let mut told = json!({"description": answer.about});
        let content = answer.content.iter();
        let content =
            content.map(|(kind, shape)| ((*kind).to_owned(), json!({"schema": schema(shape)})));
        let content = json::object(content);
        if !content.is_empty() {
            told["content"] = content.into();
        }
        let tag = Some(&"ETag").filter(|_| has_tag && answer.is_kept);
        let fields = answer.fields.iter().chain(tag);
        let fields = fields.map(|name| {
            ((*name).to_owned(), json!({"$ref": format!("#/components/headers/{name}")}))
        });
        let fields = json::object(fields);
        if !fields.is_empty() {
            told["headers"] = fields.into();
        }
        all.insert(answer.status.to_string(), told);
    }
    refusals::add(doc, needs, has_tag, &mut all);
    all.into()
}

fn schema(shape: &Shape) -> Value {
    match shape {
        Shape::Is(name) => json!({"$ref": format!("#/components/schemas/{name}")}),
        Shape::Text => json!({"type": "string"}),
        Shape::Word(words) => json!({"enum": words}),
        Shape::Whole(least, most) => json!({"type": "integer", "minimum": least, "maximum": most}),
        Shape::Number(least, most) => json!({"type": "number", "minimum": least, "maximum": most}),
        Shape::Json(text) => parsed(text),
    }
}

fn schemas() -> Map<String, Value> {
    let mut all = match parsed(SHAPES) {
        Value::Object(all) => all,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Map::new()
        }
    };
    all.extend(options::shapes().into_iter().map(|(name, shape)| (name.to_owned(), shape)));
    all
}

fn headers() -> Map<String, Value> {
    let one = |(name, about, shape): &(&str, &str, Shape)| {
        ((*name).to_owned(), json!({"description": about, "schema": schema(shape)}))
    };
    json::object(HEADERS.iter().map(one))
}

/// What is posted to webhooks.
fn posted() -> Value {
    let field = |name: &str, about: &str| {
        let shape = json!({"type": "string"});
        json!({"name": name, "in": "header", "required": true, "description": about, "schema": shape})
    };
    json!({
        "operationId": "eventPosted",
        "tags": ["webhooks"],
        "summary": "An event, posted to who wants it, at least once.",
        "parameters": [
            field("Webhook-Id", "Which message it is: the same when it comes again."),
            field("Webhook-Timestamp", "When it was sent, in seconds since 1970."),
            field("Webhook-Signature", "Its signatures after Standard Webhooks, with blanks between them."),
        ],
        "requestBody": {"required": true, "content": {JSON: {"schema": schema(&Shape::Is("Posted"))}}},
        "responses": {
            "2XX": {"description": "It is taken."},
            "410": {"description": "Nothing is wanted any more; it is seldom tried again."},
            "default": {"description": "It is sent again, later and later."},
        },
    })
}
