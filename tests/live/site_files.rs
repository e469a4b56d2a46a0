//! Sites of plugins in front of the real gafferd: what clients try that want more than the files of a site, and
//! files that change while they are sent.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::process::Command;
use std::time::Duration;

use gaffer::embed::{Config, Daemon};
use tempfile::TempDir;

use super::http::Client;
use super::node::{Folder, Node, HUP};
use super::until::until;

/// More than a socket holds.
const LARGE: usize = 48 << 20;

fn node(files: &[(&str, &[u8])]) -> Node {
    let folder = Folder::new().args(&["-p", "@plugins"]);
    fs::create_dir(folder.path("plugins")).expect("a folder");
    for (name, bytes) in files {
        folder.write(&format!("plugins/{name}"), "");
        fs::write(folder.path(&format!("plugins/{name}")), bytes).expect("written");
    }
    folder.start()
}

/// Sends bytes as they are, and gives all that comes until the other end closes.
fn raw(node: &Node, bytes: &str) -> Vec<u8> {
    let mut client = Client::tcp(node.port).expect("it listens");
    client.send(bytes.as_bytes()).expect("sent");
    client.rest().expect("it ends")
}

/// The whole answer to GET.
fn got(node: &Node, path: &str, fields: &str) -> (String, Vec<u8>) {
    let line =
        format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{fields}\r\n");
    let answer = raw(node, &line);
    let at = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("a head") + 4;
    (String::from_utf8_lossy(&answer[..at]).into_owned(), answer[at..].to_vec())
}

fn status(head: &str) -> u16 {
    head.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or(0)
}

/// What is open of a process below a folder.
fn open_below(node: &Node, name: &str) -> usize {
    let below = node.path(name).canonicalize().expect("there");
    let fds = fs::read_dir(format!("/proc/{}/fd", node.os_pid)).expect("it runs");
    let links = fds.filter_map(|fd| fs::read_link(fd.ok()?.path()).ok());
    links.filter(|link| link.starts_with(&below)).count()
}

#[test]
fn nothing_outside_a_site_is_to_be_had_from_it() {
    let node = node(&[
        ("x/_site/index.html", b"<p>index"),
        ("x/_site/sub/index.html", b"<p>sub"),
        ("x/_site/.git/config", b"secret of git"),
        ("x/plugin.json", b"{\"secret\": 1}"),
        ("whole/index.html", b"<p>whole"),
    ]);
    node.folder().write("outside", "secret outside");
    let site = |name: &str| node.path(&format!("plugins/x/_site/{name}"));
    symlink("/etc/passwd", site("passwd")).expect("made");
    symlink("/etc", site("etc")).expect("made");
    symlink(node.path("outside"), site("out.html")).expect("made");
    symlink("../..", site("up")).expect("made");
    symlink("index.html", site("own.html")).expect("made");
    symlink("loop", site("loop")).expect("made");
    symlink("/proc/self", site("proc")).expect("made");
    symlink("/etc/passwd", site("index.html.gz")).expect("made");
    assert!(Command::new("mkfifo").arg(site("pipe")).status().expect("it runs").success());
    let _socket = UnixListener::bind(site("socket")).expect("bound");
    fs::create_dir(site("empty")).expect("made");
    for (path, code) in [
        ("/_plugin/x/../plugin.json", 403),
        ("/_plugin/x/../../../outside", 403),
        ("/_plugin/x/../../../../../../../etc/passwd", 403),
        ("/_plugin/x/%2e%2e/plugin.json", 403),
        ("/_plugin/x/%2E%2E%2Fplugin.json", 403),
        ("/_plugin/x/..%2f..%2f..%2f..%2fetc%2fpasswd", 403),
        ("/_plugin/x/..%5c..%5cetc%5cpasswd", 403),
        ("/_plugin/x/..\\..\\etc\\passwd", 400),
        ("/_plugin/x/sub/%2e%2e/%2e%2e/plugin.json", 403),
        ("/_plugin/x/sub/..;/index.html", 404),
        ("/_plugin/x/%252e%252e/plugin.json", 404),
        ("/_plugin/x/%c0%ae%c0%ae/plugin.json", 400),
        ("/_plugin/x/\u{ff0e}\u{ff0e}/plugin.json", 400),
        ("/_plugin/x//etc/passwd", 403),
        ("/_plugin/x/%2fetc/passwd", 403),
        ("/_plugin/x/%2fetc%2fpasswd", 403),
        ("/_plugin/x/file:///etc/passwd", 403),
        ("/_plugin/x/index.html%00.js", 400),
        ("/_plugin/x/%00", 400),
        ("/_plugin/x/index.html%0d%0aX:%20y", 404),
        ("/_plugin/x/passwd", 403),
        ("/_plugin/x/etc/passwd", 403),
        ("/_plugin/x/etc", 403),
        ("/_plugin/x/etc/", 403),
        ("/_plugin/x/out.html", 403),
        ("/_plugin/x/up/plugin.json", 403),
        ("/_plugin/x/own.html", 403),
        ("/_plugin/x/loop", 403),
        ("/_plugin/x/proc/environ", 403),
        ("/_plugin/x/pipe", 403),
        ("/_plugin/x/socket", 403),
        ("/_plugin/x/empty/", 404),
        ("/_plugin/x/.git/config", 404),
        ("/_plugin/x/plugin.json", 404),
        ("/_plugin/whole/../x/plugin.json", 403),
        ("/_plugin/../plugins/x/plugin.json", 404),
        ("/_plugin/%2e%2e/outside", 404),
        ("/_plugin/x%2f..%2f..%2foutside", 404),
    ] {
        let (head, body) = got(&node, path, "Accept-Encoding: gzip\r\n");
        assert_eq!(status(&head), code, "{path}: {head}");
        let told = head + &String::from_utf8_lossy(&body);
        let folder = node.path("").display().to_string();
        for secret in ["secret", "root:", &folder, "\r\nX:"] {
            assert!(!told.contains(secret), "{path}: {told}");
        }
    }
    // What is asked for without a slash is that path all the same.
    let absolute = raw(&node, "GET http://localhost/_plugin/x/../plugin.json HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    assert!(absolute.starts_with(b"HTTP/1.1 403"));
    // A link beside it is not what is compressed.
    let (head, body) = got(&node, "/_plugin/x/", "Accept-Encoding: gzip\r\n");
    assert!(body == b"<p>index" && !head.contains("Content-Encoding"), "{head}");
    assert_eq!(open_below(&node, "plugins"), 0);
}

#[test]
fn a_range_is_bounded_by_what_there_is() {
    let bytes: Vec<u8> = (0..=255).cycle().take(300_000).collect();
    let node = node(&[("x/index.html", &bytes)]);
    for (range, code, told) in [
        ("bytes=0-0", 206, 0..1),
        ("bytes=65535-65536", 206, 65_535..65_537),
        ("bytes=100000-", 206, 100_000..300_000),
        ("bytes=-1", 206, 299_999..300_000),
        ("bytes=-99999999999999999999999999", 206, 0..300_000),
        ("bytes=0-99999999999999999999999999", 206, 0..300_000),
        ("bytes=300000-", 416, 0..0),
        ("bytes=99999999999999999999999999-", 416, 0..0),
        ("bytes=18446744073709551615-18446744073709551616", 416, 0..0),
        ("bytes=9223372036854775807-9223372036854775808", 416, 0..0),
        ("bytes=5-2", 200, 0..300_000),
        ("bytes=0-1,5-6", 200, 0..300_000),
        ("bytes=0-,0-,0-,0-,0-,0-,0-", 200, 0..300_000),
        ("bytes=-0", 416, 0..0),
        ("bytes=x", 200, 0..300_000),
    ] {
        let (head, body) = got(&node, "/_plugin/x/", &format!("Range: {range}\r\n"));
        assert_eq!(status(&head), code, "{range}: {head}");
        if code == 416 {
            assert!(head.contains("Content-Range: bytes */300000\r\n"), "{head}");
        } else {
            assert!(body == bytes[told.clone()], "{range}: {} bytes", body.len());
            assert!(head.contains(&format!("Content-Length: {}\r\n", told.len())), "{head}");
        }
    }
}

/// A client that has begun to read a large file, and then waits.
fn begun(node: &Node) -> (TcpStream, Vec<u8>) {
    let mut stream = TcpStream::connect(("127.0.0.1", node.port)).expect("it listens");
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a time");
    let request = b"GET /_plugin/x/large HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(request).expect("sent");
    let mut first = vec![0; 1000];
    stream.read_exact(&mut first).expect("it begins");
    assert!(first.starts_with(b"HTTP/1.1 200 OK\r\n"));
    (stream, first)
}

/// The body that comes in all.
fn rest((mut stream, mut bytes): (TcpStream, Vec<u8>)) -> Vec<u8> {
    // What is broken off may end with a reset.
    let _ = stream.read_to_end(&mut bytes);
    let at = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("a head") + 4;
    bytes.split_off(at)
}

#[test]
fn a_file_that_changes_while_it_is_sent_never_looks_whole() {
    let node = node(&[("x/index.html", b"x"), ("x/large", &vec![b'a'; LARGE])]);
    let path = node.path("plugins/x/large");
    // Another in its place: what was begun is what there was.
    let reading = begun(&node);
    fs::write(node.path("other"), vec![b'b'; LARGE]).expect("written");
    fs::rename(node.path("other"), &path).expect("renamed");
    let body = rest(reading);
    assert!(body.len() == LARGE && body.iter().all(|byte| *byte == b'a'));
    // The next request has the new one.
    assert!(rest(begun(&node)).iter().all(|byte| *byte == b'b'));
    let changes: [(&str, &dyn Fn()); 3] = [
        ("it is cut", &|| {
            let file = fs::OpenOptions::new().write(true).open(&path).expect("there");
            file.set_len(1 << 20).expect("cut");
        }),
        ("it is written anew", &|| fs::write(&path, vec![b'c'; LARGE]).expect("written")),
        ("it grows", &|| {
            let mut file = fs::OpenOptions::new().append(true).open(&path).expect("there");
            file.write_all(b"more").expect("written");
        }),
    ];
    for (what, change) in changes {
        fs::write(&path, vec![b'b'; LARGE]).expect("written");
        let reading = begun(&node);
        change();
        let body = rest(reading);
        assert!(body.len() < LARGE, "{what}: {} bytes", body.len());
        assert!(body.iter().all(|byte| *byte == b'b'), "{what}");
    }
    until("no file is open", || open_below(&node, "plugins") == 0);
    assert_eq!(node.get("/debug/counters")["files"], 0);
}

#[test]
fn a_reader_who_waits_holds_nobody_up_and_leaves_no_file_open() {
    let node = node(&[("x/index.html", b"index"), ("x/large", &vec![b'a'; LARGE])]);
    let readers: Vec<_> = (0..20).map(|_| begun(&node)).collect();
    assert_eq!(node.ask("GET", "/_plugin/x/", "").body, b"index");
    until("they are counted", || node.get("/debug/counters")["files"] == 20);
    assert_eq!(open_below(&node, "plugins"), 20);
    drop(readers);
    until("no file is open", || open_below(&node, "plugins") == 0);
}

#[test]
fn sites_come_change_and_go_with_a_reload_and_their_files_at_once() {
    let node = node(&[("a/index.html", b"one")]);
    let page = |name: &str| got(&node, &format!("/_plugin/{name}/"), "");
    let (head, body) = page("a");
    assert_eq!(body, b"one");
    let tag = |head: &str| {
        let line = head.lines().find(|line| line.starts_with("ETag: ")).expect("a tag");
        line.trim_start_matches("ETag: ").to_owned()
    };
    let before = tag(&head);
    let unchanged =
        |tag: &str| status(&got(&node, "/_plugin/a/", &format!("If-None-Match: {tag}\r\n")).0);
    assert_eq!(unchanged(&before), 304);
    node.folder().write("plugins/a/next", "two");
    fs::rename(node.path("plugins/a/next"), node.path("plugins/a/index.html")).expect("renamed");
    let (head, body) = page("a");
    assert_eq!(body, b"two", "without a reload");
    assert_ne!(tag(&head), before);
    assert_eq!(unchanged(&before), 200);
    assert_eq!(status(&page("b").0), 404);
    node.folder().write("plugins/b/_site/index.html", "b");
    node.folder().write("plugins/a/_site/index.html", "three");
    assert_eq!(page("a").1, b"two");
    node.signal(HUP);
    until("b is there", || status(&page("b").0) == 200);
    assert_eq!(page("a").1, b"three");
    assert_eq!(status(&got(&node, "/_plugin/a/_site/index.html", "").0), 404);
    fs::remove_dir_all(node.path("plugins/a")).expect("ours");
    assert_eq!(status(&page("a").0), 404, "what is gone is gone");
    node.signal(HUP);
    until("a is gone", || !node.get("/plugins").to_string().contains("\"a\""));
    assert_eq!(status(&got(&node, "/_plugin/a", "").0), 404);
}

#[test]
fn a_node_in_another_program_has_sites_below_its_prefix() {
    let folder = TempDir::new().expect("a folder");
    fs::create_dir_all(folder.path().join("plugins/x/_site")).expect("made");
    fs::write(folder.path().join("plugins/x/_site/index.html"), "<p>x").expect("written");
    let socket = folder.path().join("s");
    let config = Config::new().socket(&socket).plugins_dir(folder.path().join("plugins"));
    let mut node = Daemon::builder(config).prefix("/gaffer").build().expect("sound");
    let asking = std::thread::scope(|scope| {
        let (path, stop) = (socket.clone(), node.handle());
        let asking = scope.spawn(move || {
            let mut client = Client::unix(&path).expect("it listens");
            let page = client.request("GET", "/gaffer/_plugin/x/", "").expect("answered");
            let told = client.request("GET", "/gaffer/plugins", "").expect("answered").json();
            let none = client.request("GET", "/_plugin/x/", "").expect("answered").status;
            client.send(b"GET /gaffer/_plugin/x HTTP/1.0\r\n\r\n").expect("sent");
            let sent_on = String::from_utf8(client.rest().expect("it ends")).expect("text");
            stop.shut_down().expect("it runs");
            (page.text(), told["plugins"][0]["site"].clone(), none, sent_on)
        });
        node.run().expect("it runs");
        asking.join().expect("it is answered")
    });
    let (page, site, none, sent_on) = asking;
    assert_eq!((page.as_str(), none), ("<p>x", 404));
    assert_eq!(site, "/gaffer/_plugin/x/");
    assert!(sent_on.contains("\r\nLocation: ./x/\r\n"), "{sent_on}");
}
