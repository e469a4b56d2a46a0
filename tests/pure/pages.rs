//! What web pages try that an operator happens to look at: each thing that a page can have his browser
//! send, on each way in. Nothing of it is served, and nothing comes of it.

use gaffer::base::ids::ConnId;
use gaffer::base::limits;
use gaffer::base::sorted::SortedSet;
use gaffer::front::access::Access;
use gaffer::lookup::routes::ROUTES as LOOKUP_ROUTES;
use gaffer::node::keys::door::Keeping;
use gaffer::node::machine::Machine as _;
use gaffer::node::routes::ROUTES;
use gaffer::wire::http::Method;

use crate::driven::Driven;
use crate::fake_lookupd::FakeLookupd;
use crate::fake_node::{open, FakeNode};
use crate::permissions::{ask, body, node_of, path};
use crate::ws_client::{self, Said};

/// What a page of elsewhere can have a browser send without being asked for its leave.
const SHAPES: [(&str, &str); 9] = [
    ("a form", "Origin: http://evil.example\r\nSec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\nContent-Type: application/x-www-form-urlencoded\r\n"),
    ("a form of an old browser", "Origin: http://evil.example\r\nContent-Type: text/plain\r\n"),
    ("a form with a file", "Origin: http://evil.example\r\nContent-Type: multipart/form-data; boundary=x\r\n"),
    ("a form in a sandbox", "Origin: null\r\nSec-Fetch-Site: cross-site\r\nContent-Type: text/plain\r\n"),
    ("a beacon", "Origin: http://evil.example\r\nSec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: no-cors\r\nContent-Type: text/plain;charset=UTF-8\r\n"),
    ("a script's request", "Origin: http://evil.example\r\nSec-Fetch-Mode: cors\r\nContent-Type: application/json\r\n"),
    ("a page of another port", "Origin: http://localhost:3000\r\nSec-Fetch-Site: same-site\r\nContent-Type: application/json\r\n"),
    ("an image or a script", "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: no-cors\r\n"),
    ("a link", "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\n"),
];

/// A node that asks nobody for a key, with a job that runs.
fn node() -> FakeNode {
    node_of(Access::default(), open())
}

/// Sends a request with these fields, and gives the head and the body of its answer.
fn exchange<D: Driven>(
    on: &mut D,
    conn: ConnId,
    line: &str,
    fields: &str,
    body: &str,
) -> (String, String) {
    let length = body.len();
    let text = format!("{line} HTTP/1.1\r\n{fields}Content-Length: {length}\r\n\r\n{body}");
    on.send(conn, text.as_bytes(), &mut || usize::MAX);
    let answer = String::from_utf8_lossy(&on.take_answer(conn)).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    (head.to_owned(), body.to_owned())
}

fn asked(node: &mut FakeNode, line: &str, fields: &str, body: &str) -> (String, String) {
    let conn = node.connect_tcp();
    let answer = exchange(node, conn, line, fields, body);
    node.vanish(conn);
    answer
}

fn status(head: &str) -> u16 {
    head.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or_else(|| panic!("{head:?}"))
}

/// Asserts that nothing was done since this was asked last.
fn nothing_happened(node: &mut FakeNode, why: &str) {
    assert_eq!(std::mem::take(&mut node.asked), Vec::<String>::new(), "{why}");
    assert!(std::mem::take(&mut node.stored).is_empty(), "{why} is written down");
}

fn forget(node: &mut FakeNode) {
    node.asked.clear();
    node.stored.clear();
}

#[test]
fn a_form_of_another_page_changes_nothing() {
    let mut node = node();
    forget(&mut node);
    for route in ROUTES {
        let line = format!("{} {}", route.method.name(), path(route.pattern));
        for (shape, fields) in SHAPES {
            let fields = format!("Host: localhost:5000\r\n{fields}");
            let (head, told) = asked(&mut node, &line, &fields, body(route.method, route.pattern));
            assert_eq!(status(&head), 403, "{shape}: {line}: {told}");
            assert!(!head.contains("Access-Control-"), "{shape}: {line}: {head}");
            nothing_happened(&mut node, &format!("{shape}: {line}"));
        }
    }
    assert_eq!(ask(&mut node, "GET", "/jobs/app/web/state", None, "").1, "1");
}

#[test]
fn a_form_of_our_own_page_changes_nothing_unless_it_is_json() {
    let mut node = node();
    forget(&mut node);
    let changing = ROUTES.iter().filter(|route| matches!(route.method, Method::Post | Method::Put));
    for route in changing {
        let line = format!("{} {}", route.method.name(), path(route.pattern));
        for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""] {
            let fields = format!(
                "Host: localhost:5000\r\nOrigin: http://localhost:5000\r\nContent-Type: {kind}\r\n"
            );
            let (head, told) = asked(&mut node, &line, &fields, body(route.method, route.pattern));
            assert_eq!(status(&head), 415, "{kind}: {line}: {told}");
            nothing_happened(&mut node, &line);
        }
    }
}

/// Paths that no table of routes has.
const OTHER_PATHS: [&str; 7] = [
    "/channel",
    "/channel/info",
    "/channel/0/a/xhr",
    "/channel/0/a/eventsource",
    "/channel/0/a/websocket",
    "/channel/websocket",
    "/nowhere",
];

#[test]
fn a_page_that_gives_our_address_its_own_name_reaches_no_path() {
    let mut node = node();
    forget(&mut node);
    let names = [
        "evil.example",
        "evil.example:5000",
        "localhost.evil.example:5000",
        "127.0.0.1.evil.example",
    ];
    let own = ROUTES.iter().map(|route| (route.method, path(route.pattern)));
    let others = OTHER_PATHS.iter().map(|path| (Method::Get, (*path).to_owned()));
    for (method, path) in own.chain(others) {
        for name in names {
            let fields = format!("Host: {name}\r\nOrigin: http://{name}\r\nSec-Fetch-Site: same-origin\r\nContent-Type: application/json\r\n");
            let line = format!("{} {path}", method.name());
            assert_eq!(status(&asked(&mut node, &line, &fields, "").0), 421, "{name}: {line}");
            // What the target says counts, whatever the field says.
            let line = format!("{} http://{name}{path}", method.name());
            let fields = "Host: localhost\r\n";
            assert_eq!(status(&asked(&mut node, &line, fields, "").0), 421, "{line}");
        }
        nothing_happened(&mut node, &path);
    }
    let mut lookupd = FakeLookupd::new(Access::default());
    let own = LOOKUP_ROUTES.iter().map(|route| route.pattern);
    for path in own.chain(["/lookup/info", "/lookup/websocket", "/lookup/0/a/xhr", "/nowhere"]) {
        let conn = lookupd.connect();
        let fields = "Host: evil.example:5010\r\nOrigin: http://evil.example:5010\r\n";
        let (head, _) = exchange(&mut lookupd, conn, &format!("GET {path}"), fields, "");
        assert_eq!(status(&head), 421, "{path}");
    }
}

/// The status that a handshake is answered with.
fn handshake<D: Driven>(on: &mut D, conn: ConnId, path: &str, fields: &str) -> u16 {
    let host = if fields.contains("Host: ") { "" } else { "Host: localhost:5000\r\n" };
    on.send(conn, &ws_client::handshake(path, host, fields), &mut || usize::MAX);
    let answer = on.take_answer(conn);
    status(&String::from_utf8_lossy(&answer))
}

#[test]
fn a_websocket_of_another_page_never_opens() {
    let foreign = [
        ("Origin: http://evil.example\r\n", 403),
        ("Origin: null\r\n", 403),
        ("Origin: http://localhost:3000\r\n", 403),
        ("Origin: http://localhost:5000.evil.example\r\n", 403),
        ("Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: websocket\r\n", 403),
        ("Host: evil.example\r\nOrigin: http://evil.example\r\n", 421),
    ];
    let own = "Origin: http://localhost:5000\r\n";
    let mut node = node();
    let sockets = [
        "/1/channel",
        "/1/channel/out",
        "/wstreams/1",
        "/channel/websocket",
        "/channel/0/a/websocket",
    ];
    for path in sockets {
        for (fields, refusal) in foreign {
            let conn = node.connect_tcp();
            assert_eq!(handshake(&mut node, conn, path, fields), refusal, "{path}: {fields}");
        }
        let conn = node.connect_tcp();
        assert_eq!(handshake(&mut node, conn, path, own), 101, "{path}: our own page");
    }
    let mut lookupd = FakeLookupd::new(Access::default());
    for path in ["/ws", "/lookup/websocket", "/lookup/0/a/websocket"] {
        for (fields, refusal) in foreign {
            let conn = lookupd.connect();
            assert_eq!(handshake(&mut lookupd, conn, path, fields), refusal, "{path}: {fields}");
        }
        let conn = lookupd.connect();
        assert_eq!(handshake(&mut lookupd, conn, path, own), 101, "{path}: our own page");
    }
}

/// Everything below a session's name, with its method.
const TRANSPORTS: [(&str, &str); 8] = [
    ("POST", "xhr"),
    ("POST", "xhr_streaming"),
    ("POST", "xhr_send"),
    ("GET", "eventsource"),
    ("GET", "jsonp?c=f"),
    ("POST", "jsonp_send"),
    ("GET", "htmlfile?c=f"),
    ("OPTIONS", "xhr"),
];

#[test]
fn no_way_of_sockjs_serves_another_page() {
    // Where other pages are let in, so are the ways of old browsers, and still nobody else.
    let named = Access { origins: vec!["https://page.example".into()], ..Access::default() };
    for access in [Access::default(), named] {
        let mut node = node_of(access, open());
        let (head, _) = asked(&mut node, "POST /channel/0/a/xhr", "Host: localhost\r\n", "");
        assert_eq!(status(&head), 200, "a session begins");
        forget(&mut node);
        let stop = r#"["{\"event\": \"CMD\", \"data\": {\"identity\": \"i\", \"name\": \"stop_job\", \"args\": [\"app.web\"]}}"]"#;
        let form = format!("d={}", stop.replace('"', "%22"));
        for (method, transport) in TRANSPORTS {
            let body = if transport == "jsonp_send" { &form } else { stop };
            for (shape, fields) in SHAPES {
                let fields = format!("Host: localhost:5000\r\n{fields}");
                for session in ["a", "b"] {
                    let line = format!("{method} /channel/0/{session}/{transport}");
                    let (head, told) = asked(&mut node, &line, &fields, body);
                    assert_eq!(status(&head), 403, "{shape}: {line}: {told}");
                    assert!(!head.contains("Access-Control-"), "{shape}: {line}: {head}");
                }
            }
        }
        for page in ["", "/info", "/iframe.html", "/iframe-1.html", "/chunking_test"] {
            let fields = "Host: localhost\r\nOrigin: http://evil.example\r\n";
            let (head, _) = asked(&mut node, &format!("GET /channel{page}"), fields, "");
            assert_eq!(status(&head), 403, "{page}");
        }
        nothing_happened(&mut node, "by SockJS");
    }
}

#[test]
fn ways_of_sockjs_for_old_browsers_are_not_there_unless_they_are_wanted() {
    let mut node = node();
    for line in [
        "GET /channel/0/a/jsonp?c=f",
        "POST /channel/0/a/jsonp_send",
        "GET /channel/0/a/htmlfile?c=f",
        "GET /channel/iframe.html",
        "GET /channel/iframe-abc.html",
    ] {
        let (head, _) = asked(&mut node, line, "Host: localhost\r\n", "");
        assert_eq!(status(&head), 404, "{line}");
    }
}

#[test]
fn a_session_is_only_of_the_page_and_the_key_that_began_it() {
    let pages = ["https://one.example", "https://two.example"];
    let access = Access { origins: pages.map(str::to_owned).to_vec(), ..Access::default() };
    let keeping = Keeping { require_key: true, owners: SortedSet::new(), root: false };
    let mut node = node_of(access, keeping);
    let [one, two] = pages.map(|page| format!("Host: localhost\r\nOrigin: {page}\r\n"));
    let with = |page: &str, key: &str| format!("{page}X-Api-Key: {key}\r\n");
    let mine = with(&one, "manage job");
    let begin = |node: &mut FakeNode, name: &str, fields: &str| {
        let (head, told) = asked(node, &format!("POST /channel/0/{name}/xhr"), fields, "");
        assert_eq!((status(&head), &*told), (200, "o\n"), "{name}");
    };
    begin(&mut node, "a", &mine);
    for (who, fields) in [
        ("another page", with(&two, "manage job")),
        ("another key", with(&one, "admin")),
        ("no key", one.clone()),
        ("a key that is none", with(&one, "wrong")),
    ] {
        for line in
            ["POST /channel/0/a/xhr", "POST /channel/0/a/xhr_send", "GET /channel/0/a/eventsource"]
        {
            let (head, told) = asked(&mut node, line, &fields, r#"["x"]"#);
            assert_eq!(status(&head), 404, "{who}: {line}: {told}");
        }
    }
    let (head, _) = asked(&mut node, "POST /channel/0/a/xhr_send", &mine, "[\"x\"]");
    assert_eq!(status(&head), 204, "whose it is");
    // A page that reads from its own origin does not tell it, and tells it when it sends.
    let silent = with("Host: localhost\r\n", "manage job");
    begin(&mut node, "b", &silent);
    let (head, _) = asked(&mut node, "POST /channel/0/b/xhr_send", &mine, "[\"x\"]");
    assert_eq!(status(&head), 204);
}

#[test]
fn looking_changes_nothing() {
    let mut node = node();
    let before = ask(&mut node, "GET", "/jobs/app/web", None, "").1;
    forget(&mut node);
    for route in ROUTES {
        for method in ["GET", "HEAD", "OPTIONS", "TRACE", "PATCH"] {
            let line = format!("{method} {}", path(route.pattern));
            let fields = "Host: localhost\r\nX-HTTP-Method-Override: DELETE\r\n";
            let (head, _) = asked(&mut node, &line, fields, body(route.method, route.pattern));
            assert!(status(&head) < 500, "{line}: {head}");
            node.asked.retain(|asked| asked != "stop sampling");
            nothing_happened(&mut node, &line);
        }
    }
    assert_eq!(ask(&mut node, "GET", "/jobs/app/web", None, "").1, before);
}

#[test]
fn no_answer_can_be_read_framed_or_guessed_at_by_other_pages() {
    let mut node = node();
    let safe = |why: &str, head: &str| {
        let has = |line: &str| head.to_ascii_lowercase().contains(&line.to_ascii_lowercase());
        assert!(has("\r\nX-Content-Type-Options: nosniff"), "{why}: {head}");
        assert!(has("\r\nCross-Origin-Resource-Policy: same-origin"), "{why}: {head}");
        assert!(!has("Access-Control-"), "{why}: {head}");
        if has("\r\nContent-Type: text/html") {
            assert!(has("default-src 'self'; frame-ancestors 'none'"), "{why}: {head}");
        }
    };
    let lines =
        ROUTES.iter().map(|route| format!("{} {}", route.method.name(), path(route.pattern)));
    let others = OTHER_PATHS.iter().map(|path| format!("GET {path}"));
    for line in lines.chain(others) {
        let (head, _) = asked(&mut node, &line, "Host: localhost\r\n", "");
        safe(&line, &head);
    }
    // Nothing that is said comes back as a page.
    for (line, fields) in [
        ("GET /%3Cscript%3Ealert(1)%3C/script%3E", "Host: localhost\r\n"),
        ("GET /jobs/%3Cscript%3E/%3Cscript%3E", "Host: localhost\r\n"),
        ("GET /channel/%3Cscript%3E", "Host: localhost\r\n"),
        ("GET /channel/0/a/jsonp?c=%3Cscript%3E", "Host: localhost\r\n"),
        ("DELETE /jobs", "Host: localhost\r\n"),
        ("GET /jobs", "Host: evil.example\r\n"),
        ("GET /jobs", "Host: localhost\r\nOrigin: <script>\r\n"),
        ("GET /jobs", "Host: <script>\r\n"),
        ("<SCRIPT> /", "Host: localhost\r\n"),
        ("GET /<script>", "Host: localhost\r\n"),
    ] {
        let (head, told) = asked(&mut node, line, fields, "");
        safe(line, &head);
        assert!(!head.contains("Content-Type: text/html"), "{line}: {head}");
        assert!(!told.to_ascii_lowercase().contains("<script>"), "{line}: {told}");
    }
}

#[test]
fn a_callback_is_a_name_and_no_script() {
    let origins = vec!["https://page.example".into()];
    let mut lookupd = FakeLookupd::new(Access { origins, ..Access::default() });
    let mut n = 0;
    for (callback, good) in [
        ("f", true),
        ("_jp.a1b2c3", true),
        ("%3Cscript%3E", false),
        ("f%28%29", false),
        ("alert(1)//", false),
        ("a%0d%0ab", false),
        ("", false),
        ("%ff", false),
    ] {
        for transport in ["jsonp", "htmlfile"] {
            let conn = lookupd.connect();
            let line = format!("GET /lookup/0/s{n}/{transport}?c={callback}");
            let (head, told) = exchange(&mut lookupd, conn, &line, "Host: localhost\r\n", "");
            assert_eq!(status(&head) == 200, good, "{line}: {told}");
            assert!(good || !told.contains("script>"), "{line}: {told}");
            n += 1;
        }
    }
}

#[test]
fn a_page_of_ours_for_old_browsers_stands_in_pages_of_named_origins_alone() {
    let origins = vec!["https://page.example".into()];
    let mut lookupd = FakeLookupd::new(Access { origins, ..Access::default() });
    for path in ["/lookup/iframe.html", "/lookup/0/a/htmlfile?c=f"] {
        let conn = lookupd.connect();
        let line = format!("GET {path}");
        let (head, _) = exchange(&mut lookupd, conn, &line, "Host: localhost\r\n", "");
        let policy = "Content-Security-Policy: frame-ancestors 'self' https://page.example\r\n";
        assert!(status(&head) == 200 && head.contains(policy), "{path}: {head}");
    }
}

#[test]
fn methods_and_upgrades_that_mean_nothing_here_get_nothing() {
    let mut node = node();
    let host = "Host: localhost\r\nX-Api-Key: hush\r\n";
    let (head, told) = asked(&mut node, "TRACE /", host, "");
    assert_eq!(status(&head), 405);
    assert!(!told.contains("hush"), "nothing is echoed: {told}");
    assert_eq!(status(&asked(&mut node, "CONNECT localhost:22", host, "").0), 501);
    assert_eq!(status(&asked(&mut node, "PROPFIND /", host, "").0), 501);
    assert_eq!(status(&asked(&mut node, "OPTIONS *", host, "").0), 204);
    let h2c = "Host: localhost\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n";
    let (head, told) = asked(&mut node, "GET /ping", h2c, "");
    assert_eq!((status(&head), &*told), (200, "OK"), "it is not asked for again");
    assert_eq!(status(&asked(&mut node, "GET /1/channel", h2c, "").0), 400);
    let (head, told) = asked(&mut node, "HEAD /jobs", host, "");
    assert_eq!((status(&head), &*told), (200, ""));
    for twice in
        ["Host: localhost\r\nHost: localhost\r\n", "Host: localhost\r\nOrigin: a\r\nOrigin: b\r\n"]
    {
        assert_eq!(status(&asked(&mut node, "GET /ping", twice, "").0), 400, "{twice}");
    }
}

#[test]
fn a_frame_that_is_said_to_be_huge_ends_the_websocket_before_it_comes() {
    let mut node = node();
    for path in ["/1/channel", "/channel/websocket", "/channel/0/a/websocket"] {
        let conn = node.connect_tcp();
        assert_eq!(handshake(&mut node, conn, path, ""), 101);
        // A text of 2^40 bytes, of which only the head is there.
        let head = [0x81, 0xff, 0, 0, 1, 0, 0, 0, 0, 0, 1, 2, 3, 4];
        node.send(conn, &head, &mut || usize::MAX);
        let mut answer = node.take_answer(conn);
        let said = std::iter::from_fn(|| ws_client::take(&mut answer)).last();
        assert!(matches!(said, Some(Said::Close(1009, _))), "{path}: {said:?}");
    }
}

#[test]
fn fragments_without_end_are_one_message_that_is_too_long() {
    let mut node = node();
    let conn = node.connect_tcp();
    assert_eq!(handshake(&mut node, conn, "/1/channel", ""), 101);
    let mut bytes = ws_client::fragment(ws_client::TEXT, b"x");
    for _ in 0..limits::WS_MESSAGE {
        bytes.extend(ws_client::fragment(0, b"x"));
    }
    node.send(conn, &bytes, &mut || usize::MAX);
    let said = ws_client::take(&mut node.take_answer(conn));
    assert!(matches!(said, Some(Said::Close(1009, _))), "{said:?}");
}

#[test]
fn pings_of_somebody_who_reads_nothing_are_not_read_for_ever() {
    let mut node = node();
    let conn = node.connect_tcp();
    assert_eq!(handshake(&mut node, conn, "/channel/websocket", ""), 101);
    let ping = ws_client::frame(ws_client::PING, &[b'x'; 125]);
    let mut pings = 0;
    while node.gaffer.wants_input(conn) {
        node.send(conn, &ping, &mut || usize::MAX);
        pings += 1;
        assert!(pings < 10_000, "they are read for ever");
    }
    let owed = node.gaffer.clients().get(conn).map_or(0, |client| client.conn.owed().len());
    assert!(owed < 2 * limits::HTTP_OUTPUT_PAUSE, "{owed} bytes of pongs are owed");
}
