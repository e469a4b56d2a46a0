//! A request's body as JSON, with words for everything that can be wrong with it.

use serde_json::{Map, Value};

use crate::front::request::Request;
use crate::front::response::Response;
use crate::node::reply;
use crate::wire::json::parse;

/// The body as a JSON object.
///
/// # Errors
/// The 400 to answer: no JSON, a key given twice, or something that is no object.
pub fn object(request: &Request) -> Result<Map<String, Value>, Response> {
    if request.body.is_empty() {
        return Err(reply::bad_request("the body is empty; a JSON object is expected"));
    }
    match parse(&request.body) {
        Ok(Value::Object(map)) => Ok(map),
        Ok(_) => Err(reply::bad_request("the body is JSON, but no object")),
        Err(error) => Err(reply::bad_request(&format!("the body is not JSON: {error}"))),
    }
}
