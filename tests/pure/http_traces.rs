//! Golden traces of HTTP connections: what a peer sends and exactly what it gets, as text files in
//! `tests/golden/conn`. Each is replayed whole, byte by byte, and in random pieces.
//!
//! A line of a trace is one of
//!
//! - `# …`: a remark; empty lines are remarks too
//! - `> …`: the peer sends this and CRLF; `>> …`: this and nothing more
//! - `wait 10`: seconds pass
//! - `end`: the peer shuts its side down
//! - `< …` and `<< …`: what the peer gets, all in all, with CRLF or nothing more
//! - `open`, `ending` (nothing more will be sent) or `closed`: how the connection is left
//!
//! with the escapes `\r`, `\n`, `\t`, `\\` and `\xHH`. With `GOLDEN_WRITE=1` in the environment the
//! test writes what it saw into the files instead; read the difference before you keep it.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, UNIX_EPOCH};

use gaffer::base::clock::Now;
use gaffer::base::random::Random;
use gaffer::front::conn::Conn;
use gaffer::front::request::Request;
use gaffer::front::response::Response;
use gaffer::wire::http::Method;

/// Sun, 06 Nov 1994 08:49:37 GMT, the example of RFC 9110.
const WALL: Duration = Duration::from_secs(784_111_777);

enum Step {
    Send(Vec<u8>),
    Wait(Duration),
    End,
}

#[derive(Default)]
struct Trace {
    steps: Vec<Step>,
    answer: Vec<u8>,
    left: String,
}

#[test]
fn every_trace_gives_its_exact_answer_however_it_is_cut() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/conn");
    let mut paths: Vec<PathBuf> = std::fs::read_dir(&folder)
        .expect("traces")
        .map(|entry| entry.expect("one").path())
        .collect();
    paths.sort();
    assert!(paths.len() >= 10, "only {} traces", paths.len());
    for path in paths {
        let text = std::fs::read_to_string(&path).expect("a readable trace");
        if std::env::var_os("GOLDEN_WRITE").is_some() {
            std::fs::write(&path, rewritten(&text)).expect("a writable trace");
            continue;
        }
        let trace = parse(&text);
        let name = path.display();
        check(&trace, || usize::MAX, &format!("{name}, whole"));
        check(&trace, || 1, &format!("{name}, byte by byte"));
        for seed in 0..50 {
            let mut random = Random::seeded(seed);
            let piece = || usize::try_from(random.below(30) + 1).unwrap_or(1);
            check(&trace, piece, &format!("{name}, cut by seed {seed}"));
        }
    }
}

fn check(trace: &Trace, piece: impl FnMut() -> usize, how: &str) {
    let (answer, left) = replay(&trace.steps, piece);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert_eq!(text(&answer), text(&trace.answer), "{how}");
    assert_eq!(answer, trace.answer, "{how}");
    assert_eq!(left, trace.left, "{how}");
}

#[expect(clippy::disallowed_methods, reason = "a test needs one instant to count from")]
fn replay(steps: &[Step], mut piece: impl FnMut() -> usize) -> (Vec<u8>, &'static str) {
    let mut now = Now { mono: Instant::now(), wall: UNIX_EPOCH + WALL };
    let mut conn = Conn::new(now);
    let mut answer = Vec::new();
    for step in steps {
        match step {
            Step::Send(bytes) => {
                let mut rest = bytes.as_slice();
                while !rest.is_empty() {
                    let (first, after) = rest.split_at(piece().min(rest.len()));
                    rest = after;
                    conn.received(first, now);
                    serve(&mut conn, &mut answer, now);
                }
            }
            Step::Wait(time) => {
                now = now.plus(*time);
                conn.on_time(now);
            }
            Step::End => conn.ended(now),
        }
        serve(&mut conn, &mut answer, now);
    }
    let left = match (conn.is_finished(), conn.output_ended()) {
        (true, _) => "closed",
        (false, true) => "ending",
        (false, false) => "open",
    };
    (answer, left)
}

fn serve(conn: &mut Conn, answer: &mut Vec<u8>, now: Now) {
    while let Some(request) = conn.take_request() {
        conn.answer(respond(&request), now);
    }
    answer.extend_from_slice(conn.owed());
    conn.sent(conn.owed().len(), now);
}

/// A small application.
fn respond(request: &Request) -> Response {
    match (request.method, request.path.as_str()) {
        (Method::Get | Method::Head, "/hello") => Response::text(200, "hello"),
        (Method::Get, "/host") => Response::text(200, request.host().unwrap_or("none")),
        (Method::Post, "/echo") => Response::html(202, String::from_utf8_lossy(&request.body)),
        (Method::Options, "*") => Response::empty(204),
        (Method::Get, "/jobs") => {
            Response::json(200, &serde_json::json!({"jobs": ["default.a", "default.b"]}))
        }
        _ => Response::error(404, None),
    }
}

fn parse(text: &str) -> Trace {
    let mut trace = Trace::default();
    for line in text.lines() {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "" | "#" => {}
            ">" => trace.send([unescape(rest).as_slice(), b"\r\n"].concat()),
            ">>" => trace.send(unescape(rest)),
            "<" => trace.answer.extend([unescape(rest).as_slice(), b"\r\n"].concat()),
            "<<" => trace.answer.extend(unescape(rest)),
            "wait" => {
                trace.steps.push(Step::Wait(Duration::from_secs(rest.parse().expect("seconds"))))
            }
            "end" => trace.steps.push(Step::End),
            "open" | "ending" | "closed" => trace.left = word.to_string(),
            other => panic!("unknown word {other:?} in a trace"),
        }
    }
    trace
}

impl Trace {
    /// What is sent in a row is one step, so that pieces cross the lines.
    fn send(&mut self, bytes: Vec<u8>) {
        match self.steps.last_mut() {
            Some(Step::Send(before)) => before.extend(bytes),
            Some(Step::Wait(_) | Step::End) | None => self.steps.push(Step::Send(bytes)),
        }
    }
}

pub(crate) fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        match rest.next() {
            Some(b'r') => bytes.push(b'\r'),
            Some(b'n') => bytes.push(b'\n'),
            Some(b't') => bytes.push(b'\t'),
            Some(b'\\') => bytes.push(b'\\'),
            Some(b'x') => {
                let digits = [(); 2].map(|()| rest.next().expect("two digits"));
                let digits = std::str::from_utf8(&digits).expect("two digits");
                bytes.push(u8::from_str_radix(digits, 16).expect("two digits"));
            }
            other => panic!("unknown escape {other:?} in a trace"),
        }
    }
    bytes
}

/// The trace with what is seen now.
fn rewritten(text: &str) -> String {
    let (answer, left) = replay(&parse(text).steps, || usize::MAX);
    let expected = ["<", "<<", "open", "ending", "closed"];
    let kept =
        text.lines().filter(|line| !expected.contains(&line.split(' ').next().unwrap_or_default()));
    let mut out = kept.collect::<Vec<_>>().join("\n").trim_end().to_string() + "\n\n";
    let answer = String::from_utf8(answer).expect("text");
    // A response begins on a line of its own, even behind a body that does not end in one.
    let answer = answer.replace("HTTP/1.1 ", "\0HTTP/1.1 ");
    for piece in answer.split('\0').flat_map(|response| response.split_inclusive("\r\n")) {
        out += &match piece.strip_suffix("\r\n") {
            Some("") => "<\n".to_string(),
            Some(line) => format!("< {line}\n"),
            None => format!("<< {piece}\n"),
        };
    }
    out + left + "\n"
}
