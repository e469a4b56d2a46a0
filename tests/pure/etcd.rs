//! Nodes and lookupds with an etcd between them, step by step: what is written, what becomes of it when one
//! of them dies, and what is answered meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{json, Value};

use gaffer::base::limits;
use gaffer::base::process::Signal;
use gaffer::node::machine::Machine as _;

use crate::driven::Driven;
use crate::etcd_world::{key, load, Who, World};
use crate::lookup_node::Socket;
use crate::lookup_simulation::follower::Follower;

const TICK: Duration = Duration::from_millis(1);
const TTL: Duration = Duration::from_secs(limits::ETCD_TTL);

/// A world in which everybody has found the etcd.
fn settled(nodes: usize, lookupds: usize) -> World {
    let mut world = World::new(nodes, lookupds);
    world.pass(Duration::from_secs(1));
    world.check().expect("all is known");
    world
}

fn follows(world: &mut World, number: usize) -> Value {
    world.lookupd(number).get("/").1["store"].clone()
}

#[test]
fn what_runs_is_written_and_known_to_all() {
    let mut world = settled(2, 2);
    load(world.node(0), "a", 2);
    load(world.node(1), "a", 1);
    world.exchange();
    world.check().expect("all is known at once");
    let known = world.known(1).expect("it knows");
    assert_eq!(known["n0"]["s.a"], BTreeSet::from([1, 2]));
    let own = key("n0");
    let (value, lease) = world.etcd.value(&own).expect("it is there");
    let value: Value = serde_json::from_str(&value).expect("JSON");
    assert_eq!(value, json!({"name": "n0", "origin": "http://n0:5000", "version": "0.1"}));
    let job = world.etcd.value(&format!("{own}/s.a"));
    assert_eq!(job, Some((r#"{"pids": [1, 2]}"#.to_owned(), lease)), "all is on one lease");
    let view = world.view(0);
    assert_eq!(
        (&view["address"], &view["state"], &view["jobs"], &view["processes"]),
        (&json!("etcd://e1:2379,e2:2379/g"), &json!("registered"), &json!(1), &json!(2))
    );
    world.node(0).ask("DELETE /jobs/s/a", "");
    world.pass(Duration::from_secs(1));
    world.check().expect("it is gone everywhere");
    let store = follows(&mut world, 0);
    assert_eq!((&store["state"], &store["complete"]), (&json!("following"), &json!(true)));
    assert_eq!((&store["keys"], &store["revision"]), (&json!(3), &json!(world.etcd.revision())));
}

#[test]
fn only_what_is_so_in_the_end_is_written() {
    let mut world = settled(1, 1);
    let before = world.etcd.revision();
    world.lines.values_mut().for_each(|line| line.cut = true);
    for _ in 0..50 {
        load(world.node(0), "short", 1);
        world.exchange();
        world.node(0).ask("DELETE /jobs/s/short", "");
        world.exchange();
    }
    world.lines.values_mut().for_each(|line| line.cut = false);
    world.exchange();
    let written = world.etcd.revision() - before;
    assert!(written <= 2, "{written} times");
    world.check().expect("all is known");
}

#[test]
fn while_nothing_changes_there_are_heartbeats_and_looks_and_nothing_is_written() {
    let mut world = settled(1, 1);
    load(world.node(0), "a", 1);
    world.pass(Duration::from_secs(1));
    let (before, revision) = (world.etcd.asked.clone(), world.etcd.revision());
    world.pass(4 * limits::LOOKUP_HEARTBEAT);
    let more = world.etcd.asked.iter().map(|(target, count)| {
        (target.as_str(), count - before.get(target).copied().unwrap_or_default())
    });
    let more: BTreeMap<&str, u64> = more.filter(|(_, count)| *count > 0).collect();
    let expected =
        BTreeMap::from([("/v3/kv/range", 4), ("/v3/kv/txn", 4), ("/v3/lease/keepalive", 4)]);
    assert_eq!((more, world.etcd.revision()), (expected, revision));
}

#[test]
fn what_is_on_a_dead_node_goes_with_its_lease() {
    let mut world = settled(2, 2);
    load(world.node(0), "a", 2);
    world.pass(Duration::from_secs(10));
    world.kill(Who::Node(0), true);
    world.pass(TTL - Duration::from_secs(12));
    assert!(world.known(0).expect("it knows").contains_key("n0"), "it may still live");
    world.pass(Duration::from_secs(15));
    world.check().expect("it is gone");
    assert_eq!(world.etcd.keys(), [key("n1")]);
}

#[test]
fn a_node_that_starts_again_takes_its_place_at_once_and_leaves_no_ghosts() {
    let mut world = settled(1, 1);
    let mut follower = Follower::new(world.lookupd(0));
    load(world.node(0), "old", 2);
    load(world.node(0), "both", 3);
    world.exchange();
    world.kill(Who::Node(0), true);
    world.start_node(0, "n0", &[r#"s.both {"cmd": "x"}"#, r#"s.new {"cmd": "x"}"#]);
    world.pass(Duration::from_secs(1));
    world.check().expect("only what runs is known");
    follower.read(world.lookupd(0), usize::MAX);
    let truth = world.truth();
    assert_eq!(follower.picture, truth, "and told");
    // The lease of the dead one takes nothing with it.
    world.pass(2 * TTL);
    world.check().expect("all is known");
}

#[test]
fn of_two_nodes_of_one_name_the_later_has_the_place_until_it_ends() {
    let mut world = World::new(2, 1);
    world.kill(Who::Node(1), false);
    world.start_node(0, "twin", &[r#"s.first {"cmd": "x"}"#]);
    world.pass(Duration::from_secs(50));
    world.start_node(1, "twin", &[r#"s.second {"cmd": "x"}"#]);
    let jobs = |world: &mut World| -> Vec<String> {
        let known = world.known(0).expect("it knows");
        known.get("twin").into_iter().flat_map(BTreeMap::keys).cloned().collect()
    };
    let (mut down, mut flips) = (0, 0);
    for second in 0..300 {
        world.pass(Duration::from_secs(1));
        if second > 20 {
            flips += u32::from(jobs(&mut world) != ["s.second"]);
        }
        let view = world.view(0);
        if view["state"] == "down" {
            let why = view["last_error"].as_str().unwrap_or_default();
            assert!(why.contains("another node has this node's name"), "{view}");
            down += 1;
        }
    }
    assert!(down > 100 && flips == 0, "{down} {flips}");
    assert_eq!(world.view(1)["state"], "registered");
    world.node(1).signal(Signal::TERM);
    world.exchange();
    world.kill(Who::Node(1), false);
    world.pass(limits::LOOKUPD_RETRY_MOST + Duration::from_secs(1));
    assert_eq!(jobs(&mut world), ["s.first"], "the place is free");
}

#[test]
fn what_an_old_connection_still_writes_changes_nothing() {
    let mut world = settled(1, 1);
    let line = world.lines.keys().copied().find(|(who, _)| *who == Who::Node(0));
    world.lines.get_mut(&line.expect("it has one")).expect("it is there").cut = true;
    load(world.node(0), "a", 5);
    world.pass(limits::ETCD_PATIENCE + Duration::from_secs(2));
    load(world.node(0), "b", 1);
    world.node(0).ask("DELETE /jobs/s/a", "");
    world.pass(Duration::from_secs(5));
    world.check().expect("it has another connection");
    assert!(!world.late.is_empty(), "something is still under way");
    world.deliver_late();
    world.pass(TICK);
    world.check().expect("nothing came of it");
}

#[test]
fn what_somebody_else_changes_is_put_right() {
    let mut world = settled(1, 1);
    load(world.node(0), "a", 1);
    load(world.node(0), "b", 1);
    world.exchange();
    let own = key("n0");
    type Act = fn(&mut World, &str);
    let acts: [(&str, Act); 6] = [
        ("a job is deleted", |world, own| world.etcd.delete(&format!("{own}/s.a"))),
        ("one is there that is not", |world, own| {
            world.etcd.put(&format!("{own}/s.ghost"), r#"{"pids": [9]}"#);
        }),
        ("one says something else", |world, own| {
            world.etcd.put(&format!("{own}/s.a"), r#"{"pids": [8, 9]}"#);
        }),
        ("one says nonsense", |world, own| world.etcd.put(&format!("{own}/s.b"), "nonsense")),
        ("a key is none of a job", |world, own| world.etcd.put(&format!("{own}/%"), "x")),
        ("the node itself is deleted", |world, own| world.etcd.delete(own)),
    ];
    for (what, act) in acts {
        act(&mut world, &own);
        world.pass(limits::LOOKUP_HEARTBEAT + Duration::from_secs(2));
        world.check().expect(what);
        assert_eq!(world.etcd.keys().len(), 3, "{what}: {:?}", world.etcd.keys());
    }
    world.etcd.delete(&own);
    world.etcd.put(&own, &json!({"name": "n0", "origin": "x", "version": "0.1"}).to_string());
    world.pass(2 * TTL);
    let why = world.view(0)["last_error"].clone();
    assert!(why.as_str().is_some_and(|why| why.contains("another node")), "{why}");
}

#[test]
fn a_lease_that_ran_out_is_replaced_and_everything_stands_there_again() {
    let mut world = settled(1, 1);
    load(world.node(0), "a", 3);
    world.exchange();
    world.etcd.expire_all();
    world.exchange();
    assert_eq!(world.known(0), Some(BTreeMap::new()));
    load(world.node(0), "b", 1);
    world.pass(TICK);
    world.check().expect("it is noticed at the next write");
    world.etcd.expire_all();
    world.pass(limits::LOOKUP_HEARTBEAT + TICK);
    world.check().expect("or in the next heartbeat");
    // A node that sleeps for longer than its lease.
    world.asleep.insert(Who::Node(0));
    world.pass(2 * TTL);
    assert_eq!(world.known(0), Some(BTreeMap::new()));
    world.wake(Who::Node(0));
    world.pass(Duration::from_secs(15));
    world.check().expect("it is there again");
}

#[test]
fn an_etcd_that_comes_back_has_everything_again_with_its_data_or_without() {
    for (what, act) in [
        ("with its data", FakeEtcdAct::Restart),
        ("without", FakeEtcdAct::Forget),
        ("from a backup", FakeEtcdAct::GoBack),
    ] {
        let mut world = settled(2, 2);
        load(world.node(0), "a", 2);
        world.pass(Duration::from_secs(3));
        let backup = world.etcd.revision();
        load(world.node(0), "b", 2);
        world.node(0).ask("DELETE /jobs/s/a", "");
        world.pass(Duration::from_secs(60));
        let mut follower = Follower::new(world.lookupd(0));
        world.stop_etcd(false);
        world.pass(Duration::from_secs(20));
        world.check().expect("what was known last stands");
        assert_eq!(follows(&mut world, 0)["state"], "down");
        load(world.node(1), "c", 1);
        match act {
            FakeEtcdAct::Restart => {}
            FakeEtcdAct::Forget => world.etcd.forget(),
            FakeEtcdAct::GoBack => world.etcd.go_back(backup),
        }
        world.up = true;
        for _ in 0..135 {
            world.pass(Duration::from_secs(1));
            follower.read(world.lookupd(0), usize::MAX);
        }
        world.check().expect(what);
        let truth = world.truth();
        assert_eq!(follower.picture, truth, "{what}");
    }
}

#[derive(Clone, Copy)]
enum FakeEtcdAct {
    Restart,
    Forget,
    GoBack,
}

#[test]
fn nothing_is_said_to_run_before_it_is_known() {
    let mut world = World::new(1, 1);
    load(world.node(0), "a", 1);
    world.up = false;
    world.pass(Duration::from_secs(3));
    for path in ["/nodes", "/jobs", "/sessions", "/findJob?name=s.a", "/findSession?sessionid=s"] {
        let (status, why) = world.lookupd(0).get(path);
        let reason = why["detail"].as_str().unwrap_or_default();
        assert_eq!(status, 503, "{path}: {why}");
        assert!(reason.contains("etcd://e1:2379,e2:2379/g is down (Connection refused)"), "{why}");
    }
    let mut follower = Follower::new(world.lookupd(0));
    follower.read(world.lookupd(0), usize::MAX);
    assert!(!follower.is_whole, "it is told nothing yet");
    let (status, welcome) = world.lookupd(0).get("/");
    assert_eq!((status, &welcome["welcome"]), (200, &json!("gaffer-lookupd")));
    assert_eq!(welcome["store"]["complete"], false);
    world.up = true;
    world.pass(Duration::from_secs(20));
    world.check().expect("it is known now");
    follower.read(world.lookupd(0), usize::MAX);
    let truth = world.truth();
    assert!(follower.is_whole);
    assert_eq!(follower.picture, truth);
    let socket = Socket::open(world.lookupd(0), "/lookup/websocket");
    assert!(!world.lookupd(0).machine.is_finished(socket.conn));
}

#[test]
fn with_a_store_no_node_is_taken() {
    let mut world = settled(0, 1);
    let conn = world.lookupd(0).connect();
    let ask = crate::ws_client::handshake("/ws", "Host: localhost\r\n", "");
    world.lookupd(0).send(conn, &ask, &mut || usize::MAX);
    let answer = String::from_utf8(world.lookupd(0).take_answer(conn)).expect("text");
    assert!(answer.starts_with("HTTP/1.1 409 "), "{answer}");
    assert!(answer.contains("--lookupd-address etcd://"), "{answer}");
}

#[test]
fn a_watch_that_stops_without_a_word_is_noticed_by_two_looks() {
    let mut world = settled(1, 1);
    world.pass(Duration::from_secs(1));
    world.etcd.mute = true;
    load(world.node(0), "a", 1);
    world.exchange();
    assert!(world.check().is_err());
    let listings =
        |world: &mut World| world.lookupd(0).get("/debug/counters").1["store"]["listings"].clone();
    assert_eq!(listings(&mut world), 1);
    world.pass(2 * limits::LOOKUP_HEARTBEAT);
    world.pass(Duration::from_secs(1));
    world.check().expect("it is listed again");
    assert_eq!(listings(&mut world), 2);
    world.etcd.mute = false;
    // A line that is cut is noticed when it does not answer.
    world.lines.iter_mut().for_each(|((who, _), line)| line.cut = *who == Who::Lookupd(0));
    load(world.node(0), "b", 1);
    world.pass(limits::LOOKUP_HEARTBEAT + 2 * limits::ETCD_PATIENCE + Duration::from_secs(20));
    world.check().expect("it has another line");
}

#[test]
fn an_etcd_that_went_back_without_a_word_is_listed_again() {
    let mut world = World::new(0, 1);
    let own = "g/nodes/x@http:%2F%2Fx:1";
    world.etcd.put(own, r#"{"name": "x", "origin": "http://x:1", "version": "0.1"}"#);
    world.etcd.put(&format!("{own}/s.a"), r#"{"pids": [1]}"#);
    let backup = world.etcd.revision();
    world.etcd.put(&format!("{own}/s.a"), r#"{"pids": [2]}"#);
    world.pass(Duration::from_secs(1));
    let pids = |world: &mut World| world.known(0).map(|known| known["x"]["s.a"].clone());
    assert_eq!(pids(&mut world), Some(BTreeSet::from([2])));
    world.stop_etcd(true);
    world.etcd.go_back(backup);
    world.up = true;
    world.pass(limits::LOOKUP_HEARTBEAT + 2 * limits::ETCD_PATIENCE + Duration::from_secs(5));
    assert_eq!(pids(&mut world), Some(BTreeSet::from([1])), "as many keys, and none is newer");
}

#[test]
fn a_log_that_is_compacted_has_everything_listed_again() {
    let mut world = settled(1, 1);
    load(world.node(0), "a", 1);
    world.asleep.insert(Who::Lookupd(0));
    world.pass(Duration::from_secs(5));
    load(world.node(0), "b", 1);
    world.pass(Duration::from_secs(5));
    world.etcd.compact();
    world.etcd.restart();
    world.wake(Who::Lookupd(0));
    world.pass(Duration::from_secs(5));
    world.check().expect("it is listed again");
}

#[test]
fn what_is_none_of_ours_is_passed_over_and_counted() {
    let mut world = settled(1, 1);
    load(world.node(0), "a", 1);
    for (at, value) in [
        ("g/nodes/", "x"),
        ("g/nodes/x", "x"),
        ("g/nodes/x@http:%2F%2Fx:1", "no JSON"),
        ("g/nodes/y@http:%2F%2Fy:1", r#"{"name": "z", "origin": "http://y:1", "version": "0.1"}"#),
        ("g/nodes/z@ftp:%2F%2Fz", r#"{"name": "z", "origin": "ftp://z", "version": "0.1"}"#),
        ("g/nodes/x@http:%2F%2Fx:1/s.a", r#"{"pids": [1]}"#),
        ("g/nodes/x@http:%2F%2Fx:1/s", r#"{"pids": [1]}"#),
        ("g/elsewhere", "x"),
    ] {
        world.etcd.put(at, value);
    }
    world.exchange();
    world.check().expect("nothing of it is known");
    let counted = world.lookupd(0).get("/debug/counters").1["store"].clone();
    assert_eq!((&counted["strange_keys"], &counted["jobs_without_node"]), (&json!(6), &json!(1)));
    // The node of a job that was passed over comes.
    let value = r#"{"name": "x", "origin": "http://x:1", "version": "0.1"}"#;
    world.etcd.put("g/nodes/x@http:%2F%2Fx:1", value);
    world.pass(Duration::from_secs(2));
    let known = world.known(0).expect("it knows");
    assert_eq!(known["x"]["s.a"], BTreeSet::from([1]));
    world.pass(Duration::from_secs(60));
    let counted = world.lookupd(0).get("/debug/counters").1["store"].clone();
    assert_eq!(counted["listings"], 2, "strange keys cause no further listing");
}

#[test]
fn much_is_listed_in_pages() {
    let mut world = World::new(0, 0);
    let own = "g/nodes/x@http:%2F%2Fx:1";
    world.etcd.put(own, r#"{"name": "x", "origin": "http://x:1", "version": "0.1"}"#);
    let count = 3 * limits::ETCD_PAGE;
    for number in 1..count {
        world.etcd.put(&format!("{own}/s.{number}"), r#"{"pids": [1]}"#);
    }
    world.lookupds.push(None);
    world.start_lookupd(0);
    world.pass(TICK);
    assert_eq!(follows(&mut world, 0)["keys"], count);
    assert_eq!(world.etcd.asked["/v3/kv/range"], 3);
    assert_eq!(world.lookupd(0).get("/debug/counters").1["processes"], count - 1);
}

#[test]
fn pages_that_are_too_long_become_shorter() {
    let mut world = World::new(0, 0);
    let own = "g/nodes/x@http:%2F%2Fx:1";
    world.etcd.put(own, r#"{"name": "x", "origin": "http://x:1", "version": "0.1"}"#);
    let pids: Vec<String> = (0..15_000_u64).map(|pid| (1_000_000 + pid).to_string()).collect();
    let value = format!("{{\"pids\": [{}]}}", pids.join(", "));
    let many = 2 * limits::ETCD_ANSWER / (value.len() * 4 / 3);
    for number in 0..many {
        world.etcd.put(&format!("{own}/s.{number:03}"), &value);
    }
    world.lookupds.push(None);
    world.start_lookupd(0);
    world.lookupd(0).trusted = true;
    world.pass(Duration::from_secs(60));
    assert_eq!(world.lookupd(0).get("/debug/counters").1["processes"], many * 15_000);
    assert!(follows(&mut world, 0)["losses"].as_u64().is_some_and(|losses| losses > 3));
}

#[test]
fn each_step_has_its_time_and_no_more() {
    let mut world = World::new(1, 0);
    world.mute = true;
    world.kill(Who::Node(0), false);
    world.start_node(0, "n0", &[]);
    world.exchange();
    assert_eq!(world.view(0)["state"], "connecting");
    world.pass(limits::ETCD_PATIENCE - TICK);
    assert_eq!(world.view(0)["state"], "connecting");
    world.pass(TICK);
    let view = world.view(0);
    assert_eq!(view["losses"], 1, "{view}");
    assert!(view["last_error"].as_str().is_some_and(|why| why.contains("in time")), "{view}");
    world.mute = false;
    world.pass(Duration::from_secs(1));
    assert_eq!(world.view(0)["state"], "registered");
    let asked = world.etcd.asked.clone();
    assert_eq!((asked["/v3/lease/grant"], asked.get("/v3/lease/keepalive")), (1, None));
    // It is silent from one heartbeat to the next.
    world.lines.values_mut().for_each(|line| line.cut = true);
    world.pass(limits::LOOKUP_HEARTBEAT + limits::ETCD_PATIENCE);
    let view = world.view(0);
    assert!(view["losses"].as_u64().is_some_and(|losses| losses >= 1), "{view}");
}

#[test]
fn a_refusal_has_it_tried_again_with_another_member() {
    let mut world = settled(1, 1);
    world.etcd.failing = 3;
    load(world.node(0), "a", 1);
    world.exchange();
    let view = world.view(0);
    assert_eq!(
        (&view["state"], &view["last_error"]),
        (&json!("down"), &json!("etcdserver: no leader"))
    );
    world.pass(Duration::from_secs(5));
    world.check().expect("it was tried again");
    let dials: Vec<String> =
        world.node(0).asked.iter().filter(|asked| asked.starts_with("dial")).cloned().collect();
    assert!(
        dials[0].ends_with("http://e1:2379") && dials[1].ends_with("http://e2:2379"),
        "{dials:?}"
    );
}

#[test]
fn the_end_gives_the_lease_back_but_waits_only_so_long() {
    let mut world = settled(2, 1);
    for number in 0..2 {
        load(world.node(number), "a", 1);
    }
    world.exchange();
    let dead = world.lines.keys().copied().find(|(who, _)| *who == Who::Node(1));
    let (_, link) = dead.expect("it has one");
    world.lines.get_mut(&(Who::Node(1), link)).expect("it is there").cut = true;
    for number in 0..2 {
        world.node(number).signal(Signal::TERM);
        assert!(world.node(number).asked.contains(&"exit 0".to_owned()));
    }
    assert!(world.node(1).gaffer.link_is_awaited(link));
    world.exchange();
    assert_eq!(world.node(0).gaffer.deadline(), None, "nothing is left");
    let known: Vec<String> = world.known(0).expect("it knows").into_keys().collect();
    assert_eq!(known, ["n1"], "the other's is gone at once");
    world.pass(limits::ETCD_FAREWELL - TICK);
    assert!(world.node(1).gaffer.link_is_awaited(link));
    world.pass(TICK);
    assert!(!world.node(1).gaffer.link_is_awaited(link));
    assert_eq!(world.node(1).gaffer.deadline(), None);
}

#[test]
fn a_configuration_that_names_it_no_more_gives_the_lease_back() {
    let mut world = settled(1, 1);
    load(world.node(0), "a", 1);
    world.exchange();
    let named = std::mem::take(&mut world.node(0).registration.lookups);
    world.node(0).reconfigure(vec![]);
    world.exchange();
    assert_eq!(world.known(0), Some(BTreeMap::new()));
    assert_eq!(world.node(0).get("/debug/counters")["links"], 0);
    world.node(0).registration.lookups = named;
    world.node(0).reconfigure(vec![]);
    world.pass(TICK);
    world.check().expect("it is there again");
}
