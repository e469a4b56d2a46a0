//! The three error shapes that the original's clients know, and the plain answers.

use serde_json::{json, Value};

use crate::front::response::Response;
use crate::supervisor::tables::Refusal;

/// `{"ok": true}`.
pub fn ok(status: u16) -> Response {
    Response::json(status, &json!({"ok": true}))
}

/// A JSON answer with 200.
pub fn value(value: &Value) -> Response {
    Response::json(200, value)
}

/// An error about a job or process (E1 of the protocol): its code stands in `errno`.
pub fn manager_error(refusal: &Refusal) -> Response {
    let (status, word) = match refusal {
        Refusal::NotFound => (404, "not_found"),
        Refusal::Exists => (409, "process_conflict"),
        Refusal::NotStarted => (409, "not_started"),
        Refusal::Invalid(reason) => return bad_request(reason),
        Refusal::ShuttingDown => (503, "shutting_down"),
    };
    Response::json(status, &json!({"error": word, "errno": status, "reason": refusal.to_string()}))
}

/// An error about the body or an argument (E3).
pub fn bad_request(reason: &str) -> Response {
    Response::json(400, &json!({"error": "bad_request", "reason": reason}))
}

/// As [`bad_request`], with another word in `error`.
pub fn bad(word: &str, reason: &str) -> Response {
    Response::json(400, &json!({"error": word, "reason": reason}))
}

/// E3 with 404, another word in `error`, and a reason.
pub fn no_such(word: &str, reason: &str) -> Response {
    Response::json(404, &json!({"error": word, "reason": reason}))
}

/// E3 for a job that is not there.
pub fn no_such_job() -> Response {
    Response::json(404, &json!({"error": "not_found"}))
}
