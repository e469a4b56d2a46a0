//! What is refused whatever is asked: because a request is none, because of where it comes from, or because of
//! what a route needs. It stands once in the document, and every operation refers to it.

use serde_json::{json, Map, Value};

use super::doc::Doc;
use crate::node::permission::Needs;
use crate::wire::http::Method;
use crate::wire::json;

/// A refusal that many routes have in common: what the document calls it, its status, and what it means.
struct Common {
    name: &'static str,
    status: u16,
    about: &'static str,
}

const fn common(name: &'static str, status: u16, about: &'static str) -> Common {
    Common { name, status, about }
}

/// The answer to who has the answer already.
const UNCHANGED: Common = common(
    "Unchanged",
    304,
    "You have it already: the tag of If-None-Match is that of the answer.",
);
/// The answer to who says no key.
const NO_KEY: Common = common("NoKey", 401, "A key is asked for on this node, and none was said.");
/// The answer to a browser that sends something else.
const NOT_JSON: Common =
    common("NotJson", 415, "A browser has to send its body as application/json.");

/// Those of every route.
const ALWAYS: &[Common] = &[
    common("BadRequest", 400, "The request, its query or its body is not as it has to be; it is told why."),
    common(
        "Forbidden",
        403,
        "The key is not known, or not good any more, or does not permit this; or a page of another origin asks.",
    ),
    common("TooSlow", 408, "The request came too slowly."),
    common("BodyTooLong", 413, "The body is too long."),
    common("TargetTooLong", 414, "Path and query are too long."),
    common("Expectation", 417, "The only expectation understood is 100-continue."),
    common("Misdirected", 421, "The node does not answer under this name; `--allowed-host` allows it."),
    common("HeadTooLong", 431, "The head is too long, or has too many fields."),
    common("NoSuchCoding", 501, "The only transfer coding understood is chunked."),
    common("TooManyClients", 503, "Too many clients are here."),
    common("NoSuchVersion", 505, "Only HTTP/1.0 and HTTP/1.1 are spoken."),
];

/// All of them, as the document has them.
pub(super) fn responses() -> Map<String, Value> {
    let special = [UNCHANGED, NO_KEY, NOT_JSON];
    let all = ALWAYS.iter().chain(&special);
    let response = |common: &Common| {
        let mut response = json!({"description": common.about});
        match common.status {
            304 => response["headers"] = json!({"ETag": {"$ref": "#/components/headers/ETag"}}),
            503 => {
                response["headers"] =
                    json!({"Retry-After": {"$ref": "#/components/headers/Retry-After"}})
            }
            _ => {}
        }
        if common.status >= 400 {
            let shape = json!({"$ref": "#/components/schemas/Error"});
            response["content"] = json!({"application/json": {"schema": shape}});
        }
        (common.name.to_owned(), response)
    };
    json::object(all.map(response))
}

/// Adds to the answers of a route what it refuses beside them.
pub(super) fn add(doc: &Doc, needs: Needs, has_tag: bool, answers: &mut Map<String, Value>) {
    let needs_key = !matches!(needs, Needs::Nothing | Needs::Within);
    // Asked of a browser whether or not there is a body.
    let sends = matches!(doc.method, Method::Post | Method::Put);
    let special = [(has_tag, &UNCHANGED), (needs_key, &NO_KEY), (sends, &NOT_JSON)];
    let special = special.into_iter().filter(|(is_so, _)| *is_so).map(|(_, common)| common);
    for common in ALWAYS.iter().chain(special) {
        let refers = json!({"$ref": format!("#/components/responses/{}", common.name)});
        answers.entry(common.status.to_string()).or_insert(refers);
    }
}
