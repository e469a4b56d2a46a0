//! The answers of a service that belong to no session: greeting, capabilities, the page for old
//! browsers, preflights and refusals; and what every answer of a session carries.

use std::time::Duration;

use super::Options;
use crate::base::clock::Now;
use crate::front::access::CorsHeaders;
use crate::front::request::Request;
use crate::front::response::Response;
use crate::wire::http::{imf_fixdate, Method};
use crate::wire::sockjs;

const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

/// What must be asked for anew each time, by browsers and whoever stands between.
pub(super) const UNCACHED: &str = "no-store, no-cache, no-transform, must-revalidate, max-age=0";

/// The word by which clients know that this is a `SockJS` service.
pub(super) fn greeting(now: Now) -> Response {
    cached(Response::text(200, "Welcome to SockJS!\n"), now)
}

/// What the service can do, and some entropy for a client that has none.
pub(super) fn info(options: &Options, entropy: u32) -> Response {
    let body = format!(
        r#"{{"websocket":{},"cookie_needed":{},"origins":["*:*"],"entropy":{entropy}}}"#,
        options.websocket, options.cookie
    );
    typed(200, "application/json; charset=UTF-8", body).with("Cache-Control", UNCACHED)
}

/// The header of what is there to stand in pages of others, and in whose.
pub(super) fn framed(options: &Options) -> (&'static str, String) {
    let framers = options.framers.iter().fold(String::new(), |list, origin| list + " " + origin);
    ("Content-Security-Policy", format!("frame-ancestors 'self'{framers}"))
}

/// The page that loads the client script.
pub(super) fn iframe(options: &Options, now: Now) -> Response {
    let page = Response::html(200, sockjs::iframe(&options.sockjs_url));
    let (name, framers) = framed(options);
    cached(page, now).with("Cross-Origin-Resource-Policy", "cross-origin").with(name, framers)
}

/// The answer to OPTIONS: to an origin that may ask at all, what it may do here. `cors` holds what any
/// answer tells that origin.
pub(super) fn preflight(
    request: &Request,
    methods: &str,
    cors: &CorsHeaders,
    now: Now,
) -> Response {
    let mut response = cached(Response::empty(204), now).with("Allow", methods);
    if cors.is_empty() {
        return response.with("Vary", "Origin");
    }
    let kept = ["Access-Control-Allow-Origin", "Access-Control-Allow-Credentials", "Vary"];
    let told = cors.iter().filter(|(name, _)| kept.contains(name)).cloned();
    response.headers.extend(told);
    let wanted = request.headers.get("access-control-request-headers").unwrap_or_default();
    if !wanted.is_empty() {
        response = response.with("Access-Control-Allow-Headers", wanted);
    }
    response
        .with("Access-Control-Allow-Methods", methods)
        .with("Access-Control-Max-Age", YEAR.as_secs().to_string())
}

/// The answer to a method that a path does not take.
pub(super) fn wrong_method(methods: &str) -> Response {
    Response::empty(405).with("Allow", methods)
}

/// The methods of a path, as its answers name them.
pub(super) fn methods(method: Method) -> String {
    format!("{}, {method}", Method::Options)
}

/// A refusal in words for the client's developer.
pub(super) fn refused(status: u16, reason: impl Into<String>) -> Response {
    Response::text(status, reason).with("Cache-Control", UNCACHED)
}

/// Nothing is here, or nothing that this client may see.
pub(super) fn not_found() -> Response {
    refused(404, "Not Found\n")
}

/// The head of an answer with frames, or with thanks for messages.
pub(super) fn typed(status: u16, kind: &str, body: impl Into<Vec<u8>>) -> Response {
    Response { status, headers: vec![("Content-Type", kind.to_owned())], body: body.into() }
}

/// The cookie by which load balancers find the same server again: the client's own, or any.
pub(super) fn sticky_cookie(request: &Request) -> String {
    let pairs = request.headers.get_all("cookie").flat_map(|cookies| cookies.split(';'));
    let known = pairs.filter_map(|pair| pair.trim().strip_prefix("JSESSIONID=")).next();
    format!("JSESSIONID={}; Path=/", known.filter(|id| !id.is_empty()).unwrap_or("dummy"))
}

fn cached(response: Response, now: Now) -> Response {
    response
        .with("Cache-Control", format!("public, max-age={}", YEAR.as_secs()))
        .with("Expires", imf_fixdate(now.wall + YEAR))
}
