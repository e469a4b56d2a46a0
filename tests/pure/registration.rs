//! How the node keeps to its times with a lookupd, and to its limits: the real machine in virtual time,
//! and a lookupd that is spoken by hand.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{json, Value};

use gaffer::base::address::{Address, Directory};
use gaffer::base::limits;
use gaffer::base::process::Signal;
use gaffer::base::sorted::SortedSet;
use gaffer::front::access::Access;
use gaffer::front::links::Links;
use gaffer::node::console::Console;
use gaffer::node::gaffer::Legacy;
use gaffer::node::lookups::{Hands, Identity, Lookups, Registration, Truth};
use gaffer::node::machine::{Effect, Machine as _};
use gaffer::supervisor::name::JobName;

use crate::api_traces::file_job;
use crate::driven::Driven;
use crate::fake_link::End;
use crate::fake_node::FakeNode;

const TICK: Duration = Duration::from_millis(1);

pub(crate) fn registration(lookups: &[&str]) -> Registration {
    let address =
        |name: &&str| Directory::Lookupd(Address::Tcp { host: (*name).to_owned(), port: 5010 });
    Registration {
        lookups: lookups.iter().map(address).collect(),
        identity: Identity { name: "n1".into(), origin: "http://n1:5000".into() },
    }
}

/// A node with these jobs that registers with one lookupd.
fn node(jobs: &[&str]) -> FakeNode {
    let files = jobs.iter().map(|job| file_job(job)).collect();
    let (access, console) = (Access::default(), Console::default());
    let to = registration(&["l1"]);
    let mut node = FakeNode::registered(access, console, Legacy::default(), files, to);
    // It is tried as soon as time passes.
    node.advance(Duration::ZERO);
    node
}

/// How the node sees its lookupd.
pub(crate) fn view(node: &mut FakeNode) -> Value {
    node.get("/lookupds")["lookupds"][0].clone()
}

fn wait_for_dial(node: &mut FakeNode) -> Duration {
    let before = node.now.mono;
    let deadline = node.gaffer.deadline().expect("it is tried again");
    node.advance(deadline.saturating_duration_since(before));
    assert_eq!(node.dialled.len(), 1, "it is tried again");
    node.now.mono.saturating_duration_since(before)
}

/// Registered, with nothing left to tell.
fn registered(node: &mut FakeNode) -> End {
    let mut end = End::dialled(node);
    end.accept(node);
    end.agree(node);
    assert_eq!(view(node)["state"], "registered");
    end
}

#[test]
fn without_a_lookupd_there_is_no_timer_and_with_one_a_heartbeat() {
    let (access, console) = (Access::default(), Console::default());
    let alone = FakeNode::new(access, console, Legacy::default(), Vec::new());
    assert_eq!(alone.gaffer.deadline(), None);
    let mut node = node(&[]);
    let mut end = registered(&mut node);
    for _ in 0..4 {
        let due = node.gaffer.deadline().expect("a heartbeat");
        assert_eq!(due, node.now.mono + limits::LOOKUP_HEARTBEAT);
        node.advance(limits::LOOKUP_HEARTBEAT);
        let said = end.agree(&mut node);
        assert!(said.len() == 1 && said[0].contains("PING"), "{said:?}");
    }
}

#[test]
fn each_step_has_its_time_and_no_more() {
    type Reach = fn(&mut FakeNode, &mut End);
    let steps: [(&str, Duration, Reach); 4] = [
        ("connecting", limits::LOOKUPD_OPENING, |_, _| {}),
        ("opening", limits::LOOKUPD_OPENING, |node, end| node.link_opened(end.link)),
        ("identifying", limits::LOOKUPD_IDENTIFY, |node, end| end.accept(node)),
        ("registered", 2 * limits::LOOKUP_HEARTBEAT, |node, end| {
            end.accept(node);
            end.agree(node);
        }),
    ];
    for (state, time, reach) in steps {
        let mut node = node(&[]);
        let mut end = End::dialled(&mut node);
        reach(&mut node, &mut end);
        node.advance(time - TICK);
        assert_eq!(view(&mut node)["state"], state);
        node.advance(TICK);
        let lost = view(&mut node);
        assert!(lost["losses"] == 1 && !lost["last_error"].is_null(), "{state}: {lost}");
        assert!(node.link_is_over(end.link), "{state}: it is closed");
    }
}

#[test]
fn it_is_tried_again_later_and_later_by_chance_and_only_what_lasted_begins_anew() {
    let mut node = node(&[]);
    let mut longest = limits::LOOKUPD_RETRY;
    let mut waits = Vec::new();
    for _ in 0..60 {
        let end = End::dialled(&mut node);
        node.link_failed(end.link, "Connection refused");
        let waited = wait_for_dial(&mut node);
        assert!(waited <= longest, "{waited:?} of {longest:?}");
        longest = (2 * longest).min(limits::LOOKUPD_RETRY_MOST);
        waits.push(waited);
    }
    assert_eq!(longest, limits::LOOKUPD_RETRY_MOST);
    let late = &waits[10..];
    let (least, most) = (late.iter().min().expect("some"), late.iter().max().expect("some"));
    let half = longest / 2;
    assert!(*least >= half && *least < longest * 3 / 5, "{least:?}");
    assert!(*most > longest * 9 / 10, "{most:?}");
    for (lived, begins_anew) in
        [(limits::LOOKUPD_STABLE - TICK, false), (limits::LOOKUPD_STABLE, true)]
    {
        let mut end = End::dialled(&mut node);
        end.accept(&mut node);
        end.agree(&mut node);
        node.advance(limits::LOOKUP_HEARTBEAT);
        end.agree(&mut node);
        node.advance(lived - limits::LOOKUP_HEARTBEAT);
        end.agree(&mut node);
        node.link_closed(end.link);
        assert_eq!(view(&mut node)["losses"] == 1, begins_anew, "{lived:?}");
        wait_for_dial(&mut node);
    }
}

/// Nothing runs.
struct Nothing;

impl Truth for Nothing {
    fn jobs(&self) -> Vec<JobName> {
        Vec::new()
    }

    fn pids(&self, _: &JobName) -> Option<SortedSet<u64>> {
        None
    }
}

#[test]
fn a_thousand_nodes_that_lost_a_lookupd_at_once_do_not_come_back_at_once() {
    let mut now =
        FakeNode::new(Default::default(), Console::default(), Legacy::default(), vec![]).now;
    let (links, lookups) = (Links::default, Lookups::new);
    let mut nodes: Vec<_> = (0..1_000).map(|seed| (lookups(seed), links(), Vec::new())).collect();
    // How often it is dialled in each second while it is away.
    let mut dials = vec![0_u32; 120];
    for (lookups, links, effects) in &mut nodes {
        let mut hands = Hands { links, effects, truth: &Nothing, now };
        lookups.configure(registration(&["l1"]), &mut hands);
    }
    for tick in 0..dials.len() * 10 {
        for (lookups, links, effects) in &mut nodes {
            let mut hands = Hands { links, effects, truth: &Nothing, now };
            lookups.on_time(&mut hands);
            let asked: Vec<Effect> = hands.effects.drain(..).collect();
            for effect in asked {
                let Effect::Dial { link, .. } = effect else { panic!("{effect:?}") };
                dials[tick / 10] += 1;
                lookups.lost(link, "Connection refused", &mut hands);
            }
        }
        now = now.plus(Duration::from_millis(100));
    }
    println!("{dials:?}");
    let late = &dials[60..];
    assert!(late.iter().all(|count| *count < 150), "{late:?}");
    // Three quarters of the longest wait, on the average: 1,000 / 22.5 s.
    let mean = late.iter().sum::<u32>() / 60;
    assert!((35..60).contains(&mean), "{mean} a second");
}

#[test]
fn where_our_place_is_taken_it_is_tried_again_soon() {
    let mut node = node(&[]);
    for _ in 0..30 {
        let mut end = End::dialled(&mut node);
        end.accept(&mut node);
        assert!(end.heard(&mut node)[0].contains("IDENTIFY"));
        end.say(&mut node, r#"{"errno": 409, "reason": "", "msgid": "1"}"#);
        assert!(wait_for_dial(&mut node) <= limits::LOOKUPD_TAKEN);
    }
    assert!(view(&mut node)["last_error"].as_str().is_some_and(|why| why.contains("name")));
}

#[test]
fn so_many_messages_wait_for_their_answer_and_no_more() {
    let mut node = node(&[r#"s.many {"cmd": "x", "numprocesses": 200}"#]);
    let mut end = End::dialled(&mut node);
    end.accept(&mut node);
    end.heard(&mut node);
    end.say(&mut node, r#"{"ok": true, "msgid": "1"}"#);
    let first = end.heard(&mut node);
    assert_eq!(first.len(), limits::LOOKUPD_WINDOW);
    assert_eq!(view(&mut node)["unanswered"], limits::LOOKUPD_WINDOW);
    // What comes and goes meanwhile is never told.
    for _ in 0..50 {
        node.ask("POST /jobs/s", r#"{"name": "short", "cmd": "y"}"#);
        node.ask("DELETE /jobs/s/short", "");
    }
    assert_eq!(end.heard(&mut node), Vec::<String>::new());
    for id in 2..=65 {
        end.say(&mut node, &format!(r#"{{"ok": true, "msgid": "{id}"}}"#));
    }
    let rest = end.agree(&mut node);
    assert_eq!(first.len() + rest.len(), 201);
    assert!(!rest.iter().any(|text| text.contains("short")), "{rest:?}");
    assert_eq!(view(&mut node)["processes"], 200);
}

#[test]
fn what_a_lookupd_says_wrongly_loses_it_and_a_refusal_does_not() {
    let long = |length: usize| {
        let text = r#"{"ok": true, "msgid": "2", "x": ""}"#;
        text.replace(r#""""#, &format!("\"{}\"", "x".repeat(length - text.len())))
    };
    for (said, is_lost) in [
        ("nonsense".to_owned(), true),
        (r#"{"ok": true, "msgid": "77"}"#.into(), true),
        (r#"{"errno": 400, "reason": "invalid_json", "msgid": null}"#.into(), true),
        (r#"{"errno": 409, "reason": "it is there", "msgid": "2"}"#.into(), false),
        (r#"{"errno": 503, "reason": "full", "msgid": "2"}"#.into(), false),
        (r#"{"errno": 404, "reason": "", "msgid": "3"}"#.into(), true),
        (long(limits::LOOKUPD_MESSAGE), false),
        (long(limits::LOOKUPD_MESSAGE + 1), true),
    ] {
        let mut node = node(&[r#"s.a {"cmd": "x"}"#]);
        let mut end = End::dialled(&mut node);
        end.accept(&mut node);
        end.heard(&mut node);
        end.say(&mut node, r#"{"ok": true, "msgid": "1"}"#);
        assert_eq!(end.heard(&mut node).len(), 2);
        end.say(&mut node, &said);
        assert_eq!(view(&mut node)["state"] == "down", is_lost, "{:.60}", said);
    }
}

#[test]
fn a_lookupd_that_has_no_room_is_told_again_in_each_heartbeat() {
    let mut node = node(&[r#"s.a {"cmd": "x"}"#]);
    let mut end = End::dialled(&mut node);
    end.accept(&mut node);
    end.heard(&mut node);
    end.say(&mut node, r#"{"ok": true, "msgid": "1"}"#);
    end.heard(&mut node);
    end.say(&mut node, r#"{"errno": 503, "reason": "full", "detail": "no room", "msgid": "2"}"#);
    end.say(&mut node, r#"{"errno": 404, "reason": "", "msgid": "3"}"#);
    let full = view(&mut node);
    assert_eq!((&full["jobs"], &full["processes"]), (&json!(0), &json!(0)));
    assert!(full["last_error"].as_str().is_some_and(|why| why.contains("no room")), "{full}");
    node.advance(limits::LOOKUP_HEARTBEAT);
    let told = end.agree(&mut node);
    assert_eq!(told.len(), 3, "{told:?}");
    let there = view(&mut node);
    assert_eq!((&there["jobs"], &there["processes"]), (&json!(1), &json!(1)));
}

#[test]
fn the_end_takes_leave_and_leaves_nothing() {
    let mut node = node(&[r#"s.a {"cmd": "x"}"#]);
    let mut end = registered(&mut node);
    node.signal(Signal::TERM);
    let said = end.heard(&mut node);
    assert!(said.iter().any(|text| text.contains("UNREGISTER_PROCESS")), "{said:?}");
    assert_eq!(said.last().map(String::as_str), Some("close"));
    assert!(node.link_is_over(end.link));
    node.link_closed(end.link);
    assert_eq!(node.gaffer.deadline(), None);
}

#[test]
fn a_unix_socket_is_dialled_as_one() {
    let to = Registration {
        lookups: vec![Directory::Lookupd(Address::Unix("/l".into()))],
        ..registration(&[])
    };
    let (access, console) = (Access::default(), Console::default());
    let mut node = FakeNode::registered(access, console, Legacy::default(), Vec::new(), to);
    node.advance(Duration::ZERO);
    assert_eq!(node.dialled[0].1, Address::Unix(PathBuf::from("/l")));
    let mut end = End::dialled(&mut node);
    node.link_opened(end.link);
    let request = end.heard(&mut node);
    assert!(request.contains(&"Host: localhost".to_owned()), "{request:?}");
}
