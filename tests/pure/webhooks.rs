//! How the node keeps to its times with webhooks, and to its limits: the real machine in virtual time, and
//! somebody who is posted to and is spoken by hand.

use std::time::Duration;

use serde_json::{json, Value};

use gaffer::base::ids::{LinkId, OsPid, StreamNo};
use gaffer::base::limits;
use gaffer::base::process::{ExitStatus, Signal};
use gaffer::node::gaffer::Legacy;
use gaffer::node::machine::Machine as _;
use gaffer::node::webhooks::{Hook, Hooking};
use gaffer::wire::webhook::Url;

use crate::driven::Driven as _;
use crate::fake_node::{start, FakeNode};

const TICK: Duration = Duration::from_millis(1);
/// How many messages wait for one address here.
const QUEUE: usize = 1000;
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

fn hook(event: &str, url: &str) -> Hook {
    let url = Url::read(url).expect("an address");
    Hook { event: event.into(), url, place: "g.ini:7".into() }
}

/// A node that posts that jobs are loaded.
fn node() -> FakeNode {
    let hooks = vec![hook("load", "http://h/")];
    let hooking = Hooking { node: "n1".into(), hooks, queue: Some(QUEUE) };
    FakeNode::hooked(Legacy::default(), Vec::new(), hooking, start())
}

/// So many jobs are loaded.
fn load(node: &mut FakeNode, count: usize) {
    for _ in 0..count {
        node.ask("POST /jobs/s", r#"{"name": "a", "cmd": "x", "start": false}"#);
        node.ask("DELETE /jobs/s/a", "");
    }
}

fn view(node: &mut FakeNode) -> Value {
    node.get("/webhooks")["webhooks"][0].clone()
}

/// The link that was dialled last, which has to be one.
fn dialled(node: &mut FakeNode) -> LinkId {
    let mut dialled = std::mem::take(&mut node.dialled);
    assert_eq!(dialled.len(), 1, "{dialled:?}");
    dialled.remove(0).0
}

/// The numbers of the messages that are on their way there.
fn heard(node: &mut FakeNode, link: LinkId) -> Vec<u64> {
    let text = String::from_utf8(node.take_link_output(link, usize::MAX)).expect("text");
    let bodies = text.lines().filter(|line| line.starts_with('{'));
    let number = |body: &str| {
        let body: Value = serde_json::from_str(body).expect("JSON");
        body["seq"].as_u64().expect("a number")
    };
    bodies.map(number).collect()
}

fn answer(node: &mut FakeNode, link: LinkId, text: &str) {
    node.link_received(link, text.as_bytes());
}

/// A link on which a first message is on its way.
fn asked(node: &mut FakeNode) -> LinkId {
    let link = dialled(node);
    node.link_opened(link);
    assert_eq!(heard(node, link).len(), 1, "one at a time");
    link
}

fn wait_for_dial(node: &mut FakeNode) -> Duration {
    let before = node.now.mono;
    let deadline = node.gaffer.deadline().expect("it is tried again");
    node.advance(deadline.saturating_duration_since(before));
    node.now.mono.saturating_duration_since(before)
}

#[test]
fn there_is_a_timer_only_while_there_is_something_to_send() {
    let mut node = node();
    assert_eq!(node.gaffer.deadline(), None);
    load(&mut node, 3);
    let link = asked(&mut node);
    for _ in 0..2 {
        answer(&mut node, link, OK);
        assert_eq!(heard(&mut node, link).len(), 1, "one after the other");
    }
    answer(&mut node, link, OK);
    let told = view(&mut node);
    assert_eq!((&told["queued"], &told["delivered"]), (&json!(0), &json!(3)));
    assert_eq!(node.gaffer.deadline(), Some(node.now.mono + limits::WEBHOOK_IDLE));
    node.advance(limits::WEBHOOK_IDLE - TICK);
    load(&mut node, 1);
    assert_eq!(heard(&mut node, link).len(), 1, "the connection is kept");
    answer(&mut node, link, OK);
    node.advance(limits::WEBHOOK_IDLE);
    assert!(node.link_is_over(link));
    node.link_closed(link);
    assert_eq!(node.gaffer.deadline(), None);
}

#[test]
fn connecting_and_answering_have_their_time_and_no_more() {
    for opens in [false, true] {
        let mut node = node();
        load(&mut node, 1);
        let link = dialled(&mut node);
        node.advance(limits::WEBHOOK_PATIENCE - TICK);
        if opens {
            node.link_opened(link);
            node.advance(limits::WEBHOOK_PATIENCE - TICK);
        }
        assert_eq!(view(&mut node)["state"], "delivering");
        node.advance(TICK);
        let told = view(&mut node);
        assert_eq!((&told["state"], &told["failures"]), (&json!("waiting"), &json!(1)));
        assert!(told["last_error"].as_str().is_some_and(|why| why.contains("in time")), "{told}");
        assert!(node.link_is_over(link));
    }
}

#[test]
fn it_is_tried_later_and_later_until_it_counts_as_dead_and_then_seldom() {
    let mut node = node();
    load(&mut node, 1);
    let begin = node.now.mono;
    let (mut longest, mut waits) = (Duration::ZERO, Vec::new());
    loop {
        let link = dialled(&mut node);
        node.link_failed(link, "Connection refused");
        let is_dead = view(&mut node)["state"] == "dead";
        let lasted = node.now.mono.saturating_duration_since(begin);
        assert_eq!(is_dead, lasted >= limits::WEBHOOK_DEAD, "after {lasted:?}");
        let waited = wait_for_dial(&mut node);
        waits.push(waited);
        if is_dead {
            let range = limits::WEBHOOK_DEAD_RETRY / 2..=limits::WEBHOOK_DEAD_RETRY;
            assert!(range.contains(&waited), "{waited:?}");
            break;
        }
        longest = longest.max(waited);
    }
    assert!(waits[0] < Duration::from_secs(1), "{waits:?}");
    assert!(longest <= limits::WEBHOOK_RETRY_MOST, "{longest:?}");
    assert!(longest > limits::WEBHOOK_RETRY_MOST * 3 / 4, "{longest:?}");
    let link = asked(&mut node);
    answer(&mut node, link, OK);
    let told = view(&mut node);
    assert_eq!((&told["state"], &told["failures"]), (&json!("idle"), &json!(0)));
    assert!(told["failing_since"].is_null() && told["last_error"] == "Connection refused");
}

#[test]
fn who_says_he_is_gone_counts_as_dead_until_a_test_shows_otherwise() {
    let mut node = node();
    load(&mut node, 1);
    let link = asked(&mut node);
    answer(&mut node, link, "HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n");
    let told = view(&mut node);
    assert_eq!((&told["state"], &told["queued"]), (&json!("dead"), &json!(1)));
    let due = node.gaffer.deadline().expect("it is tried again");
    assert!(due >= node.now.mono + limits::WEBHOOK_DEAD_RETRY / 2);
    let conn = node.connect_tcp();
    let path = format!("/webhooks/{}/test", told["id"].as_str().expect("an id"));
    let request = format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n");
    node.send(conn, request.as_bytes(), &mut || usize::MAX);
    let test = asked(&mut node);
    answer(&mut node, test, OK);
    let answered = String::from_utf8(node.take_answer(conn)).expect("text");
    assert!(answered.contains("\"delivered\": true"), "{answered}");
    let link = asked(&mut node);
    answer(&mut node, link, OK);
    assert_eq!(view(&mut node)["state"], "idle");
}

#[test]
fn a_wish_to_be_asked_later_is_granted_within_bounds() {
    for (said, waits) in [("40", 40), ("9999999", limits::WEBHOOK_DEAD_RETRY.as_secs())] {
        let mut node = node();
        load(&mut node, 1);
        let link = asked(&mut node);
        let text = format!("HTTP/1.1 503 x\r\nRetry-After: {said}\r\nContent-Length: 0\r\n\r\n");
        answer(&mut node, link, &text);
        assert_eq!(wait_for_dial(&mut node), Duration::from_secs(waits));
    }
}

#[test]
fn a_message_that_is_refused_too_often_holds_up_the_others_no_longer() {
    let mut node = node();
    load(&mut node, 2);
    for refusals in 1..=limits::WEBHOOK_REFUSALS {
        let link = asked(&mut node);
        answer(&mut node, link, "HTTP/1.1 422 x\r\nContent-Length: 2\r\n\r\nno");
        let told = view(&mut node);
        let dropped = u32::from(refusals == limits::WEBHOOK_REFUSALS);
        assert_eq!((&told["dropped"], &told["queued"]), (&json!(dropped), &json!(2 - dropped)));
        node.link_closed(link);
        wait_for_dial(&mut node);
    }
    let link = dialled(&mut node);
    node.link_opened(link);
    let bytes = node.take_link_output(link, usize::MAX);
    let text = String::from_utf8(bytes).expect("text");
    assert!(text.contains("\r\nGaffer-Dropped: 1\r\n"), "{text}");
    answer(&mut node, link, OK);
    assert_eq!(view(&mut node)["queued"], 0);
}

#[test]
fn so_many_messages_wait_and_the_oldest_that_is_not_under_way_makes_room() {
    let mut node = node();
    load(&mut node, QUEUE);
    let link = dialled(&mut node);
    node.link_opened(link);
    let first = heard(&mut node, link);
    let told = view(&mut node);
    assert_eq!((&told["queued"], &told["dropped"]), (&json!(QUEUE), &json!(0)));
    load(&mut node, 1);
    let told = view(&mut node);
    assert_eq!((&told["queued"], &told["dropped"]), (&json!(QUEUE), &json!(1)));
    answer(&mut node, link, OK);
    let next = heard(&mut node, link);
    // Each job that comes and goes is four events.
    assert_eq!(next[0], first[0] + 8, "the second one is gone");
}

#[test]
fn an_answer_counts_however_long_it_is_but_then_the_connection_is_of_no_use() {
    for (length, kept) in [(limits::WEBHOOK_ANSWER, true), (limits::WEBHOOK_ANSWER + 1, false)] {
        let mut node = node();
        load(&mut node, 1);
        let link = asked(&mut node);
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
        answer(&mut node, link, &head);
        answer(&mut node, link, &"x".repeat(length));
        assert_eq!(view(&mut node)["delivered"], 1);
        assert_eq!(!node.link_is_over(link), kept, "{length}");
    }
    let mut node = node();
    load(&mut node, 1);
    let link = asked(&mut node);
    answer(&mut node, link, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx");
    node.link_closed(link);
    assert_eq!(view(&mut node)["delivered"], 1, "its status was told");
}

#[test]
fn a_connection_that_was_kept_and_is_closed_is_no_failure() {
    let mut node = node();
    load(&mut node, 1);
    let link = asked(&mut node);
    answer(&mut node, link, OK);
    load(&mut node, 1);
    heard(&mut node, link);
    node.link_closed(link);
    let again = asked(&mut node);
    assert_eq!(view(&mut node)["failures"], 0);
    node.link_closed(again);
    assert_eq!(view(&mut node)["failures"], 1, "a new one that is closed is");
}

#[test]
fn what_the_configuration_says_no_more_is_gone_and_what_it_says_is_not_taken_away_here() {
    let mut node = node();
    let url = "http://h/";
    let path = view(&mut node)["id"].as_str().map(|id| format!("/webhooks/{id}")).expect("an id");
    let status = |node: &mut FakeNode, method: &str| {
        let conn = node.connect_tcp();
        let request =
            format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n");
        node.send(conn, request.as_bytes(), &mut || usize::MAX);
        let answer = String::from_utf8(node.take_answer(conn)).expect("text");
        node.vanish(conn);
        answer
    };
    let refused = status(&mut node, "DELETE");
    assert!(refused.starts_with("HTTP/1.1 409") && refused.contains("g.ini:7"), "{refused}");
    load(&mut node, 2);
    let link = asked(&mut node);
    node.reconfigure(Vec::new());
    assert_eq!(view(&mut node)["queued"], 2, "what did not change goes on");
    node.ask("POST /webhooks", &json!({"url": url, "event": "exit"}).to_string());
    node.webhooks.hooks.clear();
    node.reconfigure(Vec::new());
    assert_eq!(view(&mut node)["events"], json!([{"event": "exit", "from": "api"}]));
    assert_eq!(view(&mut node)["queued"], 2);
    assert!(status(&mut node, "DELETE").starts_with("HTTP/1.1 200"));
    assert!(status(&mut node, "GET").starts_with("HTTP/1.1 404"));
    assert!(node.link_is_over(link));
    node.link_closed(link);
    assert_eq!(node.gaffer.deadline(), None);
}

#[test]
fn the_end_waits_for_what_is_under_way_and_begins_nothing() {
    let mut node = node();
    load(&mut node, 3);
    let link = asked(&mut node);
    node.signal(Signal::TERM);
    assert!(node.gaffer.link_is_awaited(link));
    answer(&mut node, link, OK);
    assert_eq!(heard(&mut node, link).len(), 1, "as long as it goes well");
    answer(&mut node, link, "HTTP/1.1 500 x\r\nContent-Length: 0\r\n\r\n");
    assert!(node.link_is_over(link));
    node.link_closed(link);
    assert!(node.gaffer.deadline().is_none() && node.dialled.is_empty());
}

/// Asks for something; gives the status.
fn posted(node: &mut FakeNode, path: &str, body: &str) -> String {
    let conn = node.connect_tcp();
    let length = body.len();
    let head = format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}");
    node.send(conn, format!("{head}\r\n\r\n{body}").as_bytes(), &mut || usize::MAX);
    let answer = String::from_utf8(node.take_answer(conn)).expect("text");
    answer.split(' ').nth(1).unwrap_or_default().to_owned()
}

#[test]
fn there_are_so_many_addresses_and_names_and_no_more() {
    let mut node = node();
    let body = |number: usize, event: &str| {
        json!({"url": format!("http://h/{number}"), "event": event}).to_string()
    };
    for number in 1..limits::WEBHOOKS {
        assert_eq!(posted(&mut node, "/webhooks", &body(number, "a")), "200");
    }
    assert_eq!(posted(&mut node, "/webhooks", &body(limits::WEBHOOKS, "a")), "409");
    for number in 1..limits::WEBHOOK_EVENTS {
        assert_eq!(posted(&mut node, "/webhooks", &body(1, &format!("a{number}"))), "200");
    }
    assert_eq!(posted(&mut node, "/webhooks", &body(1, "b")), "409");
    assert_eq!(posted(&mut node, "/webhooks", &body(1, "a")), "200", "it is there already");
    for (length, status) in [(limits::WEBHOOK_EVENT, "200"), (limits::WEBHOOK_EVENT + 1, "400")] {
        assert_eq!(posted(&mut node, "/webhooks", &body(2, &"x".repeat(length))), status);
    }
}

#[test]
fn so_many_tests_are_waited_for_and_no_more() {
    let mut node = node();
    let path = view(&mut node)["id"].as_str().map(|id| format!("/webhooks/{id}/test"));
    let path = path.expect("an id");
    for _ in 0..limits::WEBHOOK_TESTS {
        assert_eq!(posted(&mut node, &path, ""), "", "it is waited for");
    }
    assert_eq!(posted(&mut node, &path, ""), "503");
    node.advance(limits::WEBHOOK_PATIENCE);
    node.dialled.clear();
    assert_eq!(posted(&mut node, &path, ""), "", "there is room again");
}

#[test]
fn messages_that_say_much_make_room_before_there_are_many_of_them() {
    let hooks = vec![hook("exit", "http://one/"), hook("exit", "http://two/")];
    let hooking = Hooking { node: "n1".into(), hooks, queue: None };
    let mut node = FakeNode::hooked(Legacy::default(), Vec::new(), hooking, start());
    node.ask("POST /jobs/s", r#"{"name": "a", "cmd": "x", "start": false}"#);
    let line = "x".repeat(limits::LAST_LINE) + "\n";
    let words = line.repeat(limits::LAST_LINES);
    // Twice as many as there is room for.
    let count = limits::WEBHOOKS_BYTES / words.len();
    for number in 0..i32::try_from(count).expect("few") {
        node.ask("POST /jobs/s/a/commit", "{}");
        node.output(OsPid(1001 + number), StreamNo::STDOUT, words.as_bytes());
        node.exit(OsPid(1001 + number), ExitStatus::Code(1), false);
    }
    let told = node.get("/webhooks");
    let all = told["webhooks"].as_array().expect("a list").iter();
    let queued = all.map(|hook| hook["queued"].as_u64().unwrap_or(0));
    let queued: Vec<usize> = queued.map(|n| usize::try_from(n).expect("few")).collect();
    let waiting: usize = queued.iter().sum();
    assert!(waiting * words.len() <= limits::WEBHOOKS_BYTES, "{queued:?}");
    assert!(waiting > count * 9 / 10 && queued.iter().all(|n| n * 3 > count), "{queued:?}");
}

#[test]
fn so_many_messages_wait_in_all_and_where_most_wait_the_oldest_makes_room() {
    let hooks = vec![hook("load", "http://h/"), hook("", "http://many/"), hook("", "http://too/")];
    let hooking = Hooking { node: "n1".into(), hooks, queue: None };
    let mut node = FakeNode::hooked(Legacy::default(), Vec::new(), hooking, start());
    node.ask("POST /jobs/s", r#"{"name": "a", "cmd": "x"}"#);
    // Each signal is told under two names, to the two that hear of everything.
    for _ in 0..limits::WEBHOOK_QUEUE / 2 + 10 {
        node.ask("POST /jobs/s/a/signal", r#"{"signal": "HUP"}"#);
    }
    let told = node.get("/webhooks");
    let all = told["webhooks"].as_array().expect("a list").iter();
    let waiting =
        |hook: &Value| hook["queued"].as_u64().and_then(|queued| usize::try_from(queued).ok());
    let mut queued: Vec<usize> = all.filter_map(waiting).collect();
    queued.sort_unstable();
    let most = limits::WEBHOOK_QUEUE;
    assert_eq!(queued, [1, most - 1, most], "who has little loses nothing");
    assert_eq!(queued.iter().sum::<usize>(), limits::WEBHOOKS_QUEUED);
}
