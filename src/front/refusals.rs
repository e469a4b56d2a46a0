//! Answers to requests that lead nowhere, the same on every machine: a method that a path does not
//! take, and a websocket that is none.

use super::request::Request;
use super::response::Response;
use crate::wire::http::Method;
use crate::wire::ws::NoHandshake;

/// 204 for `OPTIONS`, which every path answers, else 405. Both say what is allowed.
pub fn wrong_method(request: &Request, allowed: &[Method]) -> Response {
    let mut names: Vec<String> = allowed.iter().map(|method| method.name().to_owned()).collect();
    names.push(Method::Options.name().to_owned());
    let response = match request.method {
        Method::Options => Response::empty(204),
        Method::Get
        | Method::Head
        | Method::Post
        | Method::Put
        | Method::Delete
        | Method::Patch
        | Method::Trace => Response::error(405, None),
    };
    response.with("Allow", names.join(", "))
}

/// The answer to a request that does not become a websocket.
pub fn no_handshake(lack: NoHandshake) -> Response {
    let body = serde_json::json!({"error": lack.status(), "reason": lack.to_string()});
    let response = Response::json(lack.status(), &body);
    match lack {
        NoHandshake::Version => response.with("Sec-WebSocket-Version", "13"),
        NoHandshake::Method | NoHandshake::Upgrade | NoHandshake::Connection | NoHandshake::Key => {
            response
        }
    }
}
