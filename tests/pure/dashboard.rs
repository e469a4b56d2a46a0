//! The dashboard as it is sent: what it weighs, what its files may not have in them, and how they are answered.

use std::io::Read as _;
use std::path::Path;

use flate2::read::GzDecoder;
use gaffer::base::sorted::SortedSet;
use gaffer::front::access::Access;
use gaffer::node::api_dashboard::{Asset, ASSETS};
use gaffer::node::keys::door::Keeping;

use crate::driven::Driven as _;
use crate::fake_node::{open, FakeNode};
use crate::permissions::node_of;

/// What all of the page may weigh as it is sent, in bytes.
const MOST: usize = 60 * 1024;

fn text(asset: &Asset) -> String {
    let mut text = String::new();
    GzDecoder::new(asset.gzip).read_to_string(&mut text).expect("text, compressed");
    text
}

/// What a browser loads to show the page.
fn loaded() -> impl Iterator<Item = &'static Asset> {
    ASSETS.iter().filter(|asset| !asset.name.ends_with(".json"))
}

#[test]
fn the_page_is_light() {
    let weight: usize = loaded().map(|asset| asset.gzip.len()).sum();
    assert!(weight < MOST, "{weight} bytes");
}

#[test]
fn all_files_of_the_folder_are_there_and_as_they_are() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/dashboard");
    let there: SortedSet<String> = std::fs::read_dir(&folder)
        .expect("a folder")
        .map(|entry| entry.expect("one").file_name().into_string().expect("text"))
        .collect();
    let known: SortedSet<String> = ASSETS.iter().map(|asset| asset.name.to_owned()).collect();
    assert_eq!(known, there, "build.rs says which types there are");
    for asset in ASSETS {
        let plain = std::fs::read_to_string(folder.join(asset.name)).expect("it is there");
        assert_eq!(text(asset), plain, "{}", asset.name);
    }
}

#[test]
fn every_script_says_its_purpose_and_is_small() {
    for asset in loaded().filter(|asset| asset.name.ends_with(".js")) {
        let text = text(asset);
        assert!(text.starts_with("// "), "{} does not begin with its purpose", asset.name);
        assert!(text.lines().count() <= 350, "{} is long", asset.name);
    }
}

#[test]
fn what_a_process_prints_never_becomes_markup() {
    for asset in loaded() {
        let text = text(asset);
        for word in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "DOMParser",
            "createContextualFragment",
            "srcdoc",
            "eval(",
            "new Function",
            "localStorage",
        ] {
            assert!(!text.contains(word), "{} has {word}", asset.name);
        }
    }
}

#[test]
fn the_page_takes_nothing_from_elsewhere_and_has_no_script_or_style_within() {
    for asset in loaded() {
        let text = text(asset);
        // The name of a kind of picture is no address that is asked.
        let text = text.replace("http://www.w3.org/2000/svg", "");
        assert!(!text.contains("http://") && !text.contains("https://"), "{}", asset.name);
        for (at, _) in text.match_indices("from './") {
            let rest = text.get(at + "from './".len()..).expect("below");
            let name = rest.split('\'').next().expect("a name");
            assert!(ASSETS.iter().any(|known| known.name == name), "{}: {name}", asset.name);
        }
    }
    let page = text(ASSETS.iter().find(|asset| asset.name == "index.html").expect("it is there"));
    assert!(!page.contains("style=") && !page.contains("<style"), "{page}");
    assert_eq!(page.matches("<script").count(), 1);
    for (at, _) in page.match_indices(" on") {
        let rest =
            page.get(at + 1..).expect("below").trim_start_matches(|c: char| c.is_ascii_lowercase());
        assert!(!rest.starts_with('='), "no handlers either: {rest}");
    }
    for mark in ["src=\"", "href=\""] {
        for (at, _) in page.match_indices(mark) {
            let rest = page.get(at + mark.len()..).expect("below");
            assert!(!rest.starts_with('/'), "relative, for a node below a prefix: {rest}");
        }
    }
}

/// The head and the body of an answer.
fn asks(node: &mut FakeNode, method: &str, path: &str, fields: &str) -> (String, Vec<u8>) {
    let conn = node.connect_tcp();
    let request = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n");
    node.send(conn, request.as_bytes(), &mut || usize::MAX);
    let answer = node.take_answer(conn);
    node.vanish(conn);
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").expect("a head") + 4;
    let head = String::from_utf8(answer[..end].to_vec()).expect("text");
    (head, answer[end..].to_vec())
}

fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let begin = format!("{name}: ");
    head.lines().find_map(|line| line.strip_prefix(begin.as_str()))
}

#[test]
fn files_are_sent_as_the_client_takes_them_and_not_twice() {
    // No key is asked for, though the node asks for one.
    let keeping = Keeping { require_key: true, owners: SortedSet::from([0]), root: false };
    let mut node = node_of(Access::default(), keeping);
    let mut tags = SortedSet::new();
    for asset in ASSETS {
        let path = format!("/_dashboard/{}", asset.name);
        let (head, body) = asks(&mut node, "GET", &path, "Accept-Encoding: gzip, br\r\n");
        assert!(head.starts_with("HTTP/1.1 200 "), "{path}: {head}");
        assert_eq!(field(&head, "Content-Encoding"), Some("gzip"));
        assert_eq!(body, asset.gzip, "{path}");
        for (name, value) in [
            ("X-Content-Type-Options", "nosniff"),
            ("Cache-Control", "no-cache"),
            ("Vary", "Accept-Encoding"),
            ("Cross-Origin-Resource-Policy", "same-origin"),
        ] {
            assert_eq!(field(&head, name), Some(value), "{path}: {head}");
        }
        let tag = field(&head, "ETag").expect("a tag").to_owned();
        let (plain_head, plain) = asks(&mut node, "GET", &path, "");
        assert_eq!(plain, text(asset).into_bytes(), "{path}");
        assert_eq!(field(&plain_head, "Content-Encoding"), None);
        let (again, none) = asks(
            &mut node,
            "GET",
            &path,
            &format!("Accept-Encoding: gzip\r\nIf-None-Match: {tag}\r\n"),
        );
        assert!(again.starts_with("HTTP/1.1 304 ") && none.is_empty(), "{again}");
        let (head_alone, none) = asks(&mut node, "HEAD", &path, "Accept-Encoding: gzip\r\n");
        assert!(none.is_empty(), "{head_alone}");
        assert_eq!(
            field(&head_alone, "Content-Length"),
            Some(asset.gzip.len().to_string().as_str())
        );
        assert!(
            tags.insert(tag) && tags.insert(field(&plain_head, "ETag").expect("one").to_owned())
        );
    }
    let (page, _) = asks(&mut node, "GET", "/_dashboard/", "");
    assert_eq!(field(&page, "Content-Type"), Some("text/html; charset=utf-8"));
    for (path, status) in [
        ("/_dashboard/nothing.js", "404"),
        ("/_dashboard//index.html", "404"),
        ("/_dashboard/a/index.html", "404"),
        ("/_dashboard/../index.html", "404"),
    ] {
        let (head, _) = asks(&mut node, "GET", path, "");
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{path}: {head}");
    }
    let (head, _) = asks(&mut node, "POST", "/_dashboard/index.html", "Content-Length: 0\r\n");
    assert!(head.starts_with("HTTP/1.1 405 "), "{head}");
}

#[test]
fn browsers_are_sent_to_the_page_and_programs_are_not() {
    let mut node = node_of(Access::default(), open());
    for (path, place) in [("/", "./_dashboard/"), ("/_dashboard", "./_dashboard/")] {
        let (head, _) = asks(&mut node, "GET", path, "Accept: text/html,*/*;q=0.8\r\n");
        assert!(head.starts_with("HTTP/1.1 30"), "{path}: {head}");
        assert_eq!(field(&head, "Location"), Some(place), "{path}");
    }
    for accept in ["", "Accept: */*\r\n", "Accept: application/json\r\n"] {
        let (head, body) = asks(&mut node, "GET", "/", accept);
        assert!(head.starts_with("HTTP/1.1 200 "), "{accept}: {head}");
        assert_eq!(field(&head, "Vary"), Some("Accept"));
        assert!(body.starts_with(b"{"), "{accept}");
    }
}

#[test]
fn the_page_may_ask_its_own_node_and_those_whose_pages_that_lets_in() {
    let mut alone = node_of(Access::default(), open());
    let (head, _) = asks(&mut alone, "GET", "/_dashboard/", "");
    let policy = field(&head, "Content-Security-Policy").expect("a policy").to_owned();
    assert_eq!(
        policy,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    let origins =
        vec!["https://n2.example".to_owned(), "http://n3:5000".to_owned(), "*".to_owned()];
    let mut beside = node_of(Access { hosts: Vec::new(), origins }, open());
    let (head, _) = asks(&mut beside, "GET", "/_dashboard/", "");
    let policy = field(&head, "Content-Security-Policy").expect("a policy");
    let reached =
        "connect-src 'self' http://n3:5000 ws://n3:5000 https://n2.example wss://n2.example;";
    assert!(policy.contains(reached), "{policy}");
    assert!(!policy.contains('*') && !policy.contains("unsafe"), "{policy}");
}
