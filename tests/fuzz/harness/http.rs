//! Any bytes to an HTTP connection, cut anywhere: the requests and the answers must be the same as
//! in one piece, and every byte owed must be part of a well-formed response.

#![allow(
    unreachable_pub,
    reason = "the fuzz targets are another crate, the tests include this file"
)]

use std::time::{Instant, UNIX_EPOCH};

use gaffer::base::clock::Now;
use gaffer::base::random::Random;
use gaffer::front::conn::Conn;
use gaffer::front::request::Request;
use gaffer::front::response::Response;
use gaffer::wire::http::Method;

/// What came out of a connection.
#[derive(Debug, PartialEq, Eq)]
pub struct Exchange {
    /// The requests, in order.
    pub requests: Vec<Request>,
    /// All that the peer was sent.
    pub output: Vec<u8>,
    /// Whether the connection would go on.
    pub open: bool,
}

/// The fuzz target.
pub fn http(data: &[u8]) {
    let whole = exchange(data, usize::MAX);
    check_responses(&whole);
    assert_eq!(exchange(data, 1), whole, "byte by byte");
    let seed = data.iter().fold(1, |seed: u64, byte| seed.wrapping_mul(31) ^ u64::from(*byte));
    let mut random = Random::seeded(seed);
    for longest in [4, 40] {
        let cut = move || usize::try_from(random.below(longest) + 1).unwrap_or(1);
        assert_eq!(exchange_cut(data, cut), whole, "cut at random");
        random = Random::seeded(seed ^ longest);
    }
}

/// Sends `data` in pieces of this size and answers each request.
pub fn exchange(data: &[u8], piece: usize) -> Exchange {
    exchange_cut(data, || piece)
}

/// The same in pieces of any sizes.
#[allow(clippy::disallowed_methods, reason = "a test needs one instant to count from")]
pub fn exchange_cut(data: &[u8], mut cut: impl FnMut() -> usize) -> Exchange {
    let now = Now { mono: Instant::now(), wall: UNIX_EPOCH };
    let mut conn = Conn::new(now);
    let mut all = Exchange { requests: Vec::new(), output: Vec::new(), open: true };
    let mut rest = data;
    while !rest.is_empty() && conn.wants_input() {
        let (piece, after) = rest.split_at(cut().min(rest.len()));
        rest = after;
        conn.received(piece, now);
        drain(&mut conn, &mut all, now);
    }
    all.open = !conn.output_ended();
    assert!(conn.deadline().is_some() || conn.is_finished(), "it waits for ever");
    conn.ended(now);
    drain(&mut conn, &mut all, now);
    assert!(conn.is_finished(), "it outlives its peer");
    all
}

fn drain(conn: &mut Conn, all: &mut Exchange, now: Now) {
    while let Some(request) = conn.take_request() {
        let body = [request.path.as_bytes(), b" ", &request.body].concat();
        let text = String::from_utf8_lossy(&body).into_owned();
        all.requests.push(request);
        conn.answer(Response::text(200, text), now);
        flush(conn, all, now);
    }
    flush(conn, all, now);
}

fn flush(conn: &mut Conn, all: &mut Exchange, now: Now) {
    all.output.extend_from_slice(conn.owed());
    conn.sent(conn.owed().len(), now);
}

/// One response for each request, at most one more to refuse what could not be read, and nothing
/// that is not a response.
fn check_responses(exchange: &Exchange) {
    let mut methods = exchange.requests.iter().map(|request| request.method);
    let mut rest = exchange.output.as_slice();
    let mut refused = false;
    while !rest.is_empty() {
        assert!(!refused, "something follows a refusal");
        let end = rest.windows(4).position(|four| four == b"\r\n\r\n").expect("a whole head") + 4;
        let (head, after) = rest.split_at(end);
        let head = std::str::from_utf8(head).expect("an ASCII head");
        rest = after;
        let status = head.strip_prefix("HTTP/1.1 ").and_then(|line| line.get(..3));
        let status: u16 = status.and_then(|digits| digits.parse().ok()).expect("a status");
        if status == 100 {
            assert_eq!(head, "HTTP/1.1 100 Continue\r\n\r\n");
            continue;
        }
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
        let length: usize = length.map_or(0, |digits| digits.parse().expect("a length"));
        assert_eq!(head.contains("Content-Length"), status != 304, "{head}");
        let method = methods.next();
        refused = method.is_none();
        assert_eq!(refused, status >= 400, "{head}");
        assert!(!refused || head.contains("Connection: close\r\n"), "{head}");
        if method == Some(Method::Head) || (refused && rest.is_empty()) {
            continue;
        }
        assert!(rest.len() >= length, "a body is cut short: {head}");
        rest = &rest[length..];
    }
    assert_eq!(methods.next(), None, "a request without a response");
    assert!(!(refused && exchange.open), "open after a refusal");
}
