//! Files of sites, as the node serves them: which a path means, what is told of each, and how one comes that is
//! larger than what is held of it.

use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

use gaffer::base::ids::ConnId;
use gaffer::base::limits;
use gaffer::front::access::Access;
use gaffer::front::conditions::{accepts_gzip, decide, Validators, Verdict};
use gaffer::node::machine::Machine as _;
use gaffer::node::plugins::{file, Plugin, Site};
use gaffer::wire::http::{Headers, Method};
use proptest::prelude::*;

use crate::driven::Driven as _;
use crate::fake_node::{open, FakeNode};
use crate::permissions::node_of;

const HOST: &str = "Host: localhost:5000\r\n";

fn plugin(name: &str, site: Option<Site>) -> Plugin {
    let directory = PathBuf::from("/plugins").join(name);
    let (manifest, program, faults) = (None, None, Vec::new());
    Plugin { name: name.into(), directory, site, manifest, program, faults }
}

/// A node with two sites, and a plugin that has none.
fn node() -> FakeNode {
    let mut node = node_of(Access::default(), open());
    for (path, text) in [
        ("below/_site/index.html", "<p>below"),
        ("below/_site/app.js", "plain script"),
        ("below/_site/app.js.gz", "packed"),
        ("below/_site/sub/index.html", "<p>sub"),
        ("below/_site/sub/a b", "blank"),
        ("below/_site/.secret", "hidden"),
        ("below/_site/.git/config", "hidden"),
        ("below/_site/empty.txt", ""),
        ("below/outside", "outside"),
        ("whole/index.html", "<p>whole"),
        ("whole/plugin.json", "{}"),
        ("none/index.html", "<p>none"),
    ] {
        node.files.insert(PathBuf::from("/plugins").join(path), text.into());
    }
    node.plugins = vec![
        plugin("below", Some(Site::Below)),
        plugin("whole", Some(Site::Whole)),
        plugin("none", None),
    ];
    node.reconfigure(Vec::new());
    node
}

/// Adds a file of so many bytes.
fn add(node: &mut FakeNode, name: &str, length: usize) -> Vec<u8> {
    let bytes: Vec<u8> = (0..length).map(|at| u8::try_from(at % 251).expect("small")).collect();
    node.files.insert(PathBuf::from("/plugins/below/_site").join(name), bytes.clone());
    bytes
}

fn ask(node: &mut FakeNode, conn: ConnId, line: &str, fields: &str) {
    let text = format!("{line} HTTP/1.1\r\n{fields}\r\n");
    node.send(conn, text.as_bytes(), &mut || usize::MAX);
}

/// The head and the body of an answer.
fn answer(node: &mut FakeNode, line: &str, fields: &str) -> (String, String) {
    let conn = node.connect_tcp();
    ask(node, conn, line, fields);
    let answer = String::from_utf8_lossy(&node.take_answer(conn)).into_owned();
    node.vanish(conn);
    assert!(node.open_files.is_empty(), "{line} leaves a file open");
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer");
    (head.to_owned(), body.to_owned())
}

fn status(head: &str) -> u16 {
    head.split(' ').nth(1).and_then(|word| word.parse().ok()).expect("a status")
}

#[test]
fn a_path_of_a_site_leads_to_its_file_and_to_nothing_else() {
    let mut node = node();
    for (path, code, text) in [
        ("/_plugin/below/", 200, "<p>below"),
        ("/_plugin/below/index.html", 200, "<p>below"),
        ("/_plugin/below/app.js?v=1", 200, "plain script"),
        ("/_plugin/below/%61pp.js", 200, "plain script"),
        ("/_plugin/below/sub/", 200, "<p>sub"),
        ("/_plugin/below/sub/a%20b", 200, "blank"),
        ("/_plugin/whole/", 200, "<p>whole"),
        ("/_plugin/below", 301, "./below/"),
        ("/_plugin/below?x=1", 301, "./below/?x=1"),
        ("/_plugin/below/sub", 301, "./sub/"),
        ("/_plugin/below/s%75b?a/../b", 301, "./s%75b/?a/../b"),
        ("/_plugin/none", 404, ""),
        ("/_plugin/none/", 404, ""),
        ("/_plugin/other", 404, ""),
        ("/_plugin/other/", 404, ""),
        ("/_plugin/", 404, ""),
        ("/_plugin/whole/plugin.json", 404, ""),
        ("/_plugin/below/_site/index.html", 404, ""),
        ("/_plugin/below/index.html/", 404, ""),
        ("/_plugin/below/app.js/x", 404, ""),
        ("/_plugin/below/nothing", 404, ""),
        ("/_plugin/below/nothing/", 404, ""),
        ("/_plugin/below/.secret", 404, ""),
        ("/_plugin/below/%2esecret", 404, ""),
        ("/_plugin/below/.git/config", 404, ""),
        ("/_plugin/below/.well-known/x", 404, ""),
        ("/_plugin/below/%252e%252e/outside", 404, ""),
        ("/_plugin/below/..", 403, ""),
        ("/_plugin/below/../outside", 403, ""),
        ("/_plugin/below/%2e%2e/outside", 403, ""),
        ("/_plugin/below/.%2E/outside", 403, ""),
        ("/_plugin/below/sub/../index.html", 403, ""),
        ("/_plugin/below/./index.html", 403, ""),
        ("/_plugin/below/..%2foutside", 403, ""),
        ("/_plugin/below/..%5coutside", 403, ""),
        ("/_plugin/below/..\\outside", 400, ""),
        ("/_plugin/below/sub%2findex.html", 403, ""),
        ("/_plugin/below//etc/passwd", 403, ""),
        ("/_plugin/below/%2fetc/passwd", 403, ""),
        ("/_plugin/below//", 403, ""),
        ("/_plugin/below/sub//index.html", 403, ""),
        ("/_plugin/../_plugin/below/", 404, ""),
        ("/_plugin/%2e%2e/below/", 404, ""),
        ("/_plugin/below/a%00.html", 400, ""),
        ("/_plugin/below/a%ff", 400, ""),
        ("/_plugin/below/a%2", 400, ""),
    ] {
        let (head, body) = answer(&mut node, &format!("GET {path}"), HOST);
        assert_eq!(status(&head), code, "{path}: {head}");
        match code {
            200 => assert_eq!(body, text, "{path}"),
            301 => assert!(head.contains(&format!("Location: {text}\r\n")), "{path}: {head}"),
            _ => assert!(!body.contains("outside") && !body.contains("/plugins"), "{path}: {body}"),
        }
        let (told, none) = answer(&mut node, &format!("HEAD {path}"), HOST);
        // What cannot be read is answered before anybody knows how it was asked for.
        let none = if code == 400 { "" } else { none.as_str() };
        assert_eq!((told, none), (head, ""), "{path}");
    }
    let deep = "a/".repeat(limits::SITE_DEPTH);
    let (head, _) = answer(&mut node, &format!("GET /_plugin/below/{deep}a"), HOST);
    assert_eq!(status(&head), 404);
    for method in ["POST", "PUT", "DELETE", "PATCH"] {
        let (head, _) = answer(&mut node, &format!("{method} /_plugin/below/index.html"), HOST);
        assert!(status(&head) == 405 && head.contains("Allow: GET, HEAD"), "{head}");
    }
}

#[test]
fn what_is_told_of_a_file_is_exactly_this() {
    let mut node = node();
    let (head, body) = answer(&mut node, "GET /_plugin/below/app.js", HOST);
    let all = "HTTP/1.1 200 OK\r\n\
        Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
        Server: gaffer\r\n\
        ETag: \"7-c-ae1b96a73d22200\"\r\n\
        Last-Modified: Sun, 06 Nov 1994 08:47:57 GMT\r\n\
        Vary: Accept-Encoding\r\n\
        Content-Security-Policy: default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:; object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'\r\n\
        Content-Type: text/javascript; charset=utf-8\r\n\
        Accept-Ranges: bytes\r\n\
        X-Content-Type-Options: nosniff\r\n\
        Cross-Origin-Resource-Policy: same-origin\r\n\
        Cache-Control: no-cache\r\n\
        Content-Length: 12";
    assert_eq!((head.as_str(), body.as_str()), (all, "plain script"));
    let tag = "\"7-c-ae1b96a73d22200\"";
    let packed_tag = "\"7-6-ae1b96a73d22200-gz\"";
    let mut told =
        |fields: &str| answer(&mut node, "GET /_plugin/below/app.js", &(HOST.to_owned() + fields));
    let (head, body) = told("Accept-Encoding: br, gzip\r\n");
    assert_eq!(body, "packed");
    for line in [
        "Content-Encoding: gzip",
        &format!("ETag: {packed_tag}"),
        "Content-Length: 6",
        "Content-Type: text/javascript; charset=utf-8",
        "Vary: Accept-Encoding",
    ] {
        assert!(head.contains(line), "{line}: {head}");
    }
    let (head, body) = told("Accept-Encoding: gzip;q=0\r\n");
    assert!(body == "plain script" && !head.contains("Content-Encoding"), "{head}");
    let (head, body) = told(&format!("If-None-Match: {tag}\r\n"));
    assert_eq!((status(&head), body.as_str()), (304, ""));
    for line in [&format!("ETag: {tag}"), "Vary: Accept-Encoding", "Cache-Control: no-cache"] {
        assert!(head.contains(line), "{line}: {head}");
    }
    assert!(!head.contains("\nContent-Length:") && !head.contains("\nContent-Type:"), "{head}");
    // What is packed is another thing.
    let (head, _) = told(&format!("Accept-Encoding: gzip\r\nIf-None-Match: {tag}\r\n"));
    assert_eq!(status(&head), 200);
    let (head, _) = told(&format!("Accept-Encoding: gzip\r\nIf-None-Match: {packed_tag}\r\n"));
    assert_eq!(status(&head), 304);
    let (head, _) = told("If-Modified-Since: Sun, 06 Nov 1994 08:47:57 GMT\r\n");
    assert_eq!(status(&head), 304);
    let (head, _) = told("If-Match: \"x\"\r\n");
    assert_eq!(status(&head), 412);
    let (head, body) = told("Range: bytes=6-\r\n");
    assert_eq!((status(&head), body.as_str()), (206, "script"));
    assert!(
        head.contains("Content-Range: bytes 6-11/12") && head.contains("Content-Length: 6"),
        "{head}"
    );
    let (head, body) = told(&format!("Range: bytes=-3\r\nIf-Range: {tag}\r\n"));
    assert_eq!((status(&head), body.as_str()), (206, "ipt"));
    let (head, body) = told("Range: bytes=-3\r\nIf-Range: \"x\"\r\n");
    assert_eq!((status(&head), body.as_str()), (200, "plain script"));
    let (head, _) = told("Range: bytes=12-\r\n");
    assert!(status(&head) == 416 && head.contains("Content-Range: bytes */12"), "{head}");
    let (head, body) = told("Range: bytes=0-0,2-3\r\n");
    assert_eq!((status(&head), body.as_str()), (200, "plain script"));
    let (head, body) = answer(&mut node, "GET /_plugin/below/empty.txt", HOST);
    assert!(head.contains("Content-Length: 0") && body.is_empty(), "{head}");
}

#[test]
fn a_file_comes_as_its_client_takes_it_and_is_held_in_pieces() {
    let mut node = node();
    let bytes = add(&mut node, "large", 10 * limits::SITE_PIECE + 1);
    let conn = node.connect_tcp();
    ask(&mut node, conn, "GET /_plugin/below/large", HOST);
    let (mut got, mut most) = (Vec::new(), 0);
    loop {
        let owed = node.machine().transmit(conn).to_vec();
        if owed.is_empty() {
            break;
        }
        most = most.max(owed.len());
        let part = owed.len().min(10_000);
        got.extend_from_slice(&owed[..part]);
        node.sent(conn, part);
    }
    let at = got.windows(4).position(|four| four == b"\r\n\r\n").expect("a head") + 4;
    assert!(got[at..] == bytes, "{} bytes", got.len() - at);
    assert!(most <= limits::HTTP_OUTPUT_PAUSE + limits::SITE_PIECE + 1024, "{most} are held");
    assert!(node.open_files.is_empty() && !node.machine().is_finished(conn));
    // The next one on the same connection.
    ask(&mut node, conn, "GET /_plugin/below/", HOST);
    assert!(node.take_answer(conn).ends_with(b"<p>below"));
}

#[test]
fn requests_behind_a_file_wait_for_it_and_one_who_sends_no_more_has_all() {
    let mut node = node();
    let bytes = add(&mut node, "large", 3 * limits::SITE_PIECE);
    let conn = node.connect_tcp();
    let line = |path: &str| format!("GET /_plugin/below/{path} HTTP/1.1\r\n{HOST}\r\n");
    let all = line("large") + &line("") + &line("nothing") + &line("large");
    node.send(conn, all.as_bytes(), &mut || usize::MAX);
    node.half_close(conn);
    let got = node.take_answer(conn);
    let text = String::from_utf8_lossy(&got);
    let statuses: Vec<&str> =
        text.split("HTTP/1.1 ").skip(1).filter_map(|part| part.get(..3)).collect();
    assert_eq!(statuses, ["200", "200", "404", "200"]);
    assert!(got.ends_with(&bytes) && node.machine().is_finished(conn));
    node.vanish(conn);
}

#[test]
fn a_file_that_changes_while_it_is_sent_ends_the_connection_before_its_length() {
    for become_ in [&b"short"[..], &[b'x'; 3 * limits::SITE_PIECE]] {
        let mut node = node();
        let bytes = add(&mut node, "large", 3 * limits::SITE_PIECE);
        let conn = node.connect_tcp();
        ask(&mut node, conn, "GET /_plugin/below/large", HOST);
        let path = PathBuf::from("/plugins/below/_site/large");
        node.files.insert(path, become_.to_vec());
        let got = node.take_answer(conn);
        assert!(got.len() < bytes.len(), "{} bytes", got.len());
        assert!(node.machine().is_finished(conn) && node.open_files.is_empty());
        node.vanish(conn);
    }
}

#[test]
fn a_client_that_goes_leaves_no_file_open() {
    for disk_waits in [false, true] {
        let mut node = node();
        add(&mut node, "large", 10 * limits::SITE_PIECE);
        node.disk_waits = disk_waits;
        let conn = node.connect_tcp();
        ask(&mut node, conn, "GET /_plugin/below/large", HOST);
        assert_eq!(node.open_files.len(), 1);
        node.vanish(conn);
        assert!(node.open_files.is_empty());
        node.disk_goes_on();
        assert_eq!(node.get("/debug/counters")["files"], 0);
    }
}

#[test]
fn so_many_files_are_sent_at_a_time_and_who_takes_none_of_his_makes_room() {
    let mut node = node();
    add(&mut node, "large", 10 * limits::SITE_PIECE);
    let begin = |node: &mut FakeNode| {
        let conn = node.connect_tcp();
        ask(node, conn, "GET /_plugin/below/large", HOST);
        conn
    };
    let begun = |node: &mut FakeNode, conn: ConnId| {
        node.machine().transmit(conn).starts_with(b"HTTP/1.1 200")
    };
    let conns: Vec<ConnId> = (0..limits::SITE_FILES).map(|_| begin(&mut node)).collect();
    assert!(conns.iter().all(|conn| begun(&mut node, *conn)));
    let refused = begin(&mut node);
    assert!(node.machine().transmit(refused).starts_with(b"HTTP/1.1 503"));
    node.now = node.now.plus(limits::SITE_STALLED - Duration::from_millis(1));
    // All but the second move.
    for conn in conns.iter().enumerate().filter(|(at, _)| *at != 1).map(|(_, conn)| *conn) {
        let owed = node.machine().transmit(conn).len();
        node.sent(conn, owed);
    }
    let refused = begin(&mut node);
    assert!(node.machine().transmit(refused).starts_with(b"HTTP/1.1 503"));
    node.now = node.now.plus(Duration::from_millis(1));
    let taken = begin(&mut node);
    assert!(begun(&mut node, taken) && node.machine().is_finished(conns[1]));
    let refused = begin(&mut node);
    assert!(node.machine().transmit(refused).starts_with(b"HTTP/1.1 503"));
    assert_eq!(node.open_files.len(), limits::SITE_FILES);
}

#[test]
fn who_waits_for_the_disk_makes_no_room_for_others() {
    let mut node = node();
    add(&mut node, "large", 10 * limits::SITE_PIECE);
    node.disk_waits = true;
    let begin = |node: &mut FakeNode| {
        let conn = node.connect_tcp();
        ask(node, conn, "GET /_plugin/below/large", HOST);
        conn
    };
    let conns: Vec<ConnId> = (0..limits::SITE_FILES).map(|_| begin(&mut node)).collect();
    node.now = node.now.plus(limits::SITE_STALLED * 10);
    let refused = begin(&mut node);
    assert!(node.machine().transmit(refused).starts_with(b"HTTP/1.1 503"));
    node.disk_goes_on();
    for conn in conns {
        assert!(node.machine().transmit(conn).starts_with(b"HTTP/1.1 200"), "it is served at last");
    }
}

#[test]
fn a_site_is_for_who_goes_there_and_for_its_own_pages() {
    let mut node = node();
    for (fields, code) in [
        ("Host: localhost:5000\r\nSec-Fetch-Site: none\r\nSec-Fetch-Mode: navigate\r\n", 200),
        ("Host: localhost:5000\r\nSec-Fetch-Site: same-origin\r\nSec-Fetch-Mode: no-cors\r\n", 200),
        ("Host: localhost:5000\r\nOrigin: http://localhost:5000\r\n", 200),
        ("Host: localhost:5000\r\nSec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: no-cors\r\n", 403),
        ("Host: localhost:5000\r\nSec-Fetch-Site: same-site\r\nSec-Fetch-Dest: iframe\r\n", 403),
        ("Host: localhost:5000\r\nOrigin: http://evil.example\r\n", 403),
        ("Host: evil.example\r\nSec-Fetch-Site: none\r\n", 421),
    ] {
        let (head, _) = answer(&mut node, "GET /_plugin/below/", fields);
        assert_eq!(status(&head), code, "{fields}: {head}");
    }
}

fn settings() -> ProptestConfig {
    ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(settings())]

    #[test]
    fn whatever_is_asked_for_of_a_file_is_within_it(
        range in "(bytes)?=?[0-9 ,=-]{0,30}",
        others in prop::collection::vec((0..7usize, "[ -~]{0,40}"), 0..4),
        length in prop_oneof![0..10u64, any::<u64>()],
    ) {
        let names = ["If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since", "If-Range", "Accept-Encoding", "Range"];
        let mut headers = Headers::default();
        headers.push("Range", &range);
        others.iter().for_each(|(at, value)| headers.push(names[*at], value));
        let validators = Validators { tag: "\"t\"".into(), modified: UNIX_EPOCH };
        if let Verdict::Part(part) = decide((Method::Get, &headers), &validators, length, UNIX_EPOCH) {
            prop_assert!(part.start < part.end && part.end <= length, "{part:?} of {length}");
        }
        accepts_gzip(&headers);
    }

    #[test]
    fn no_names_lead_back(rest in prop::collection::vec("(\\.{0,3}|[a./\\\\%\u{0}]{0,4})", 0..6)) {
        if let Ok(names) = file::names(&rest) {
            prop_assert!(!names.is_empty());
            for name in names {
                prop_assert!(!name.is_empty() && !name.starts_with('.'), "{name:?}");
                prop_assert!(!name.contains(['/', '\\', '\0']), "{name:?}");
            }
        }
    }
}
