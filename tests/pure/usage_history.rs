//! What is kept of what instances used: by a node in virtual time, and the rings against a list of all that was
//! ever measured.

use std::time::{Duration, UNIX_EPOCH};

use proptest::prelude::*;
use serde_json::{json, Value};

use gaffer::base::arena::Key;
use gaffer::base::clock::Now;
use gaffer::base::ids::{ConnId, JobId, OsPid, Pid};
use gaffer::base::limits;
use gaffer::base::process::ExitStatus;
use gaffer::node::gaffer::Legacy;
use gaffer::node::keys::door::Keeping;
use gaffer::node::machine::{Machine as _, Usage};
use gaffer::node::usage_history::{Keep, Place, Told, UsageHistory};

use crate::driven::Driven as _;
use crate::fake_node::{open, start, FakeNode};
use crate::permissions::{ask, frames, key, opened, said};
use crate::ws_client::Said;

const STEP: Duration = limits::HISTORY_STEP;
const SLOTS: u64 = limits::HISTORY_SLOTS as u64;
const MOMENT: Duration = Duration::from_millis(1);

fn node(keep: Keep) -> FakeNode {
    FakeNode::remembering(keep, Legacy::default(), open())
}

fn load(node: &mut FakeNode, session: &str, job: &Value) {
    let (status, body) = ask(node, "POST", &format!("/jobs/{session}"), None, &job.to_string());
    assert_eq!(status, 200, "{body}");
}

fn history_as(node: &mut FakeNode, query: &str, secret: Option<&str>) -> Value {
    let (status, body) = ask(node, "GET", &format!("/stats/history{query}"), secret, "");
    assert_eq!(status, 200, "{body}");
    serde_json::from_str(&body).expect("JSON")
}

fn history(node: &mut FakeNode) -> Value {
    history_as(node, "", None)
}

fn jobs(history: &Value) -> Vec<&str> {
    let rows = history["instances"].as_array().expect("rows");
    rows.iter().filter_map(|row| row["job"].as_str()).collect()
}

fn subscribe(node: &mut FakeNode, conn: ConnId, topic: &str, interval: f64) {
    let message = json!({"event": "SUB", "data": {"topic": topic, "interval": interval}});
    let told = said(node, conn, &message.to_string());
    assert!(format!("{told:?}").contains("subscription_success"), "{told:?}");
}

fn unsubscribe(node: &mut FakeNode, conn: ConnId, topic: &str) {
    said(node, conn, &json!({"event": "UNSUB", "data": {"topic": topic}}).to_string());
}

/// Time passes in steps, so that everything happens at its time.
fn pass(node: &mut FakeNode, time: Duration) {
    for _ in 0..time.as_millis() / 500 {
        node.advance(Duration::from_millis(500));
    }
}

fn tables(node: &mut FakeNode, conn: ConnId) -> Vec<Value> {
    let text = |said: Said| match said {
        Said::Text(text) => serde_json::from_str::<Value>(&text).ok(),
        Said::Binary(_) | Said::Ping(_) | Said::Pong(_) | Said::Close(..) => None,
    };
    let all = frames(node.take_answer(conn)).into_iter().filter_map(text);
    all.filter(|told| told["data"]["event"] == "usage").map(|told| told["data"].clone()).collect()
}

#[test]
fn what_is_measured_for_others_is_kept_and_the_rest_are_gaps() {
    let mut node = node(Keep::Watched);
    load(&mut node, "s", &json!({"name": "web", "cmd": "serve", "numprocesses": 2}));
    assert_eq!(history(&mut node)["instances"], json!([]), "nobody has looked");
    let (conn, _) = opened(&mut node, "/channel/websocket", None);
    subscribe(&mut node, conn, "USAGE", 2.0);
    pass(&mut node, STEP * 3);
    unsubscribe(&mut node, conn, "USAGE");
    pass(&mut node, STEP * 2);
    node.usage = Usage { rss: 1 << 20, threads: 1, fds: 4, ..node.usage };
    assert_eq!(ask(&mut node, "GET", "/1/stats", None, "").0, 200);
    let told = history(&mut node);
    let row = &told["instances"][0];
    let kib = 12_345_678 / 1024 * 1024;
    assert_eq!(
        (&row["job"], &row["instance"], &row["pid"]),
        (&json!("s.web"), &json!(1), &json!(1))
    );
    assert_eq!(row["mem"], json!([kib, kib, kib, null, null, 1 << 20]), "{row}");
    assert_eq!(row["threads"], json!([3, 3, 3, null, null, 1]));
    assert_eq!(row["fds"], json!([7, 7, 7, null, null, 4]));
    // 1.08 s in the two seconds before the first measurement, nothing in those before the second.
    assert_eq!(row["cpu"], json!([27.0, 0.0, 0.0, null, null, 0.0]));
    assert_eq!(row["restarts"], json!([]));
    assert_eq!(told["instances"][1]["mem"], json!([kib, kib, kib, null, null, null]));
    assert_eq!((&told["step"], &told["kept"]), (&json!(5), &json!("watched")));
    let until = told["until"].as_f64().expect("a time");
    let now = node.now.epoch_seconds();
    assert!(now <= until && until - now <= STEP.as_secs_f64(), "{until} at {now}");
    // Of a step that is not over there is something to tell once something was measured in it.
    pass(&mut node, STEP);
    assert_eq!(history(&mut node)["until"], json!(until));
    pass(&mut node, STEP);
    let told = history(&mut node);
    assert_eq!(told["until"], json!(until + STEP.as_secs_f64()));
    assert_eq!(told["instances"][0]["threads"], json!([3, 3, 3, null, null, 1, null]));
}

#[test]
fn an_answer_has_a_bound_and_says_how_many_it_leaves_out() {
    let mut node = node(Keep::Always);
    load(&mut node, "a", &json!({"name": "web", "cmd": "serve", "numprocesses": 2_000}));
    pass(&mut node, STEP);
    assert_eq!(history(&mut node).get("left_out"), None);
    pass(&mut node, STEP * 119);
    let (_, text) = ask(&mut node, "GET", "/stats/history", None, "");
    assert!((limits::HISTORY_ANSWER..limits::HISTORY_ANSWER + 10_000).contains(&text.len()));
    let told: Value = serde_json::from_str(&text).expect("JSON");
    let shown = told["instances"].as_array().expect("a list").len();
    assert_eq!(told["left_out"], json!(2_000 - shown), "all are told or counted");
}

#[test]
fn everything_is_measured_for_anybody_only_so_often() {
    let mut node = node(Keep::Watched);
    let (conn, _) = opened(&mut node, "/channel/websocket", None);
    let least = limits::USAGE_LEAST.as_secs_f64();
    let mut told = |interval: f64| {
        let message = json!({"event": "SUB", "data": {"topic": "USAGE", "interval": interval}});
        format!("{:?}", said(&mut node, conn, &message.to_string()))
    };
    assert!(told(least - 0.001).contains("interval: expected 1 seconds or more of USAGE"));
    assert!(told(least).contains("subscription_success"));
}

#[test]
fn since_and_names_say_what_is_told() {
    let mut node = node(Keep::Always);
    load(&mut node, "a", &json!({"name": "web", "cmd": "serve"}));
    load(&mut node, "a", &json!({"name": "db.x", "cmd": "serve"}));
    load(&mut node, "b", &json!({"name": "web", "cmd": "serve"}));
    pass(&mut node, STEP * 10);
    let all = history(&mut node);
    assert_eq!(jobs(&all), ["a.web", "a.db.x", "b.web"]);
    assert_eq!(all["instances"][0]["cpu"].as_array().map(Vec::len), Some(10));
    for (query, names) in [
        ("?session=a", vec!["a.web", "a.db.x"]),
        ("?session=a&job=db.x", vec!["a.db.x"]),
        ("?job=b.web", vec!["b.web"]),
        ("?job=a/db.x", vec!["a.db.x"]),
        ("?session=c", vec![]),
        ("?session=b&job=none", vec![]),
    ] {
        assert_eq!(jobs(&history_as(&mut node, query, None)), names, "{query}");
    }
    let until = all["until"].as_f64().expect("a time");
    for (since, count) in [(0.0, 10), (5.0, 1), (5.1, 2), (49.9, 10), (100.0, 10)] {
        let since = if since == 0.0 { 0.0 } else { until - since };
        let told = history_as(&mut node, &format!("?since={since:.3}"), None);
        assert_eq!(told["until"], all["until"]);
        assert_eq!(told["instances"][0]["mem"].as_array().map(Vec::len), Some(count), "{since}");
    }
    assert_eq!(
        history_as(&mut node, "?since=20s", None)["instances"][0]["cpu"],
        json!([0.0, 0.0, 0.0, 0.0, 0.0])
    );
    assert_eq!(history_as(&mut node, &format!("?since={until}"), None)["instances"], json!([]));
    assert_eq!(ask(&mut node, "GET", "/stats/history?since=x", None, "").0, 400);
    let head = node.connect_tcp();
    node.send(head, b"GET /stats/history HTTP/1.1\r\nHost: localhost\r\n\r\n", &mut || usize::MAX);
    let answer = String::from_utf8(node.take_answer(head)).expect("text");
    assert!(answer.contains("Cache-Control: no-store\r\n") && !answer.contains("Etag"), "{answer}");
}

#[test]
fn a_node_that_nobody_watches_measures_nothing_and_lets_go_of_what_it_kept() {
    for keep in [Keep::Off, Keep::Watched] {
        let mut node = node(keep);
        load(&mut node, "s", &json!({"name": "web", "cmd": "serve"}));
        let idle = node.gaffer.deadline();
        pass(&mut node, STEP * 3);
        assert_eq!((node.measured, node.gaffer.deadline().map(|_| ())), (0, None), "{idle:?}");
        assert_eq!(ask(&mut node, "GET", "/stats", None, "").0, 200);
        assert_eq!(node.measured, 1);
        assert_eq!(node.gaffer.deadline(), None, "nothing is to be done for what is kept");
        let kept = usize::from(keep == Keep::Watched);
        assert_eq!(counted(&mut node), kept);
        pass(&mut node, STEP * 119);
        assert_eq!(counted(&mut node), kept);
        // Nothing wakes it up: it is done at the next occasion.
        node.advance(STEP);
        assert_eq!(counted(&mut node), 0);
        assert_eq!(history(&mut node)["kept"], keep.word());
    }
}

/// How many rings there are, when somebody has asked something.
fn counted(node: &mut FakeNode) -> usize {
    assert_eq!(ask(node, "GET", "/ping", None, "").0, 200);
    node.gaffer.usages().len()
}

#[test]
fn a_node_that_always_keeps_it_measures_every_five_seconds() {
    let mut node = node(Keep::Always);
    load(&mut node, "s", &json!({"name": "web", "cmd": "serve"}));
    pass(&mut node, STEP * 4);
    assert_eq!(node.measured, 4);
    // Others who want the same interval do not have it measured twice.
    let (conn, _) = opened(&mut node, "/channel/websocket", None);
    subscribe(&mut node, conn, "USAGE", 5.0);
    pass(&mut node, STEP * 2);
    assert_eq!((node.measured, tables(&mut node, conn).len()), (6, 2));
    node.vanish(conn);
    pass(&mut node, STEP * 130);
    let told = history(&mut node);
    let cpu = told["instances"][0]["cpu"].as_array().expect("an array");
    assert_eq!(
        (cpu.len(), cpu.iter().filter(|slot| slot.is_null()).count()),
        (limits::HISTORY_SLOTS, 0)
    );
    assert_eq!(node.measured, 136);
    node.signal(gaffer::base::process::Signal::TERM);
    assert!(node.asked.iter().any(|asked| asked == "exit 0"), "{:?}", node.asked);
    assert_eq!(node.gaffer.deadline(), None);
}

#[test]
fn an_instance_that_is_restarted_goes_on_in_its_place_and_one_that_is_gone_has_none() {
    let mut node = node(Keep::Always);
    load(&mut node, "s", &json!({"name": "web", "cmd": "serve", "numprocesses": 2}));
    pass(&mut node, STEP * 2);
    node.exit(OsPid(1001), ExitStatus::Code(0), false);
    pass(&mut node, STEP * 2);
    let told = history(&mut node);
    let row = &told["instances"][0];
    assert_eq!((&row["pid"], &row["restarts"]), (&json!(3), &json!([2])), "{row}");
    assert_eq!(row["threads"], json!([3, 3, 3, 3]));
    // A restart that was asked for is one, too.
    let (status, body) = ask(&mut node, "POST", "/jobs/s/web/restart", None, "");
    assert!(status < 300, "{body}");
    pass(&mut node, STEP * 2);
    let told = history(&mut node);
    let marks: Vec<&Value> = (0..2).map(|at| &told["instances"][at]["restarts"]).collect();
    assert_eq!(marks, [&json!([2, 4]), &json!([4])], "{told}");
    // What is stopped keeps its chart; what is scaled away has no place any more.
    assert!(ask(&mut node, "POST", "/jobs/s/web/state", None, "0").0 < 300);
    let told = history(&mut node);
    assert_eq!((jobs(&told).len(), &told["instances"][0]["pid"]), (2, &Value::Null));
    assert!(ask(&mut node, "POST", "/jobs/s/web/state", None, "1").0 < 300);
    assert_eq!(
        ask(&mut node, "POST", "/jobs/s/web/numprocesses", None, r#"{"scale": "=1"}"#).0,
        200
    );
    assert_eq!(jobs(&history(&mut node)), ["s.web"]);
    pass(&mut node, STEP * 2);
    assert_eq!(counted(&mut node), 1);
    // A one-off has a chart of its own while it lives.
    assert_eq!(ask(&mut node, "POST", "/jobs/s/web/commit", None, "{}").0, 200);
    pass(&mut node, STEP);
    let told = history(&mut node);
    assert_eq!((jobs(&told).len(), &told["instances"][1]["once"]), (2, &json!(true)));
    let pid = told["instances"][1]["pid"].clone();
    assert_eq!(ask(&mut node, "DELETE", &format!("/{pid}"), None, "").0, 202);
    assert_eq!(jobs(&history(&mut node)), ["s.web"]);
    assert_eq!(ask(&mut node, "DELETE", "/jobs/s/web", None, "").0, 200);
    assert_eq!(history(&mut node)["instances"], json!([]));
}

#[test]
fn one_message_tells_of_all_jobs_that_a_session_may_read() {
    let keys = ["admin", "read all", "read a", "nothing"];
    let rights =
        [json!({"admin": true}), json!({"read": ["*"]}), json!({"read": ["a"]}), json!({})];
    let kept = keys.iter().zip(&rights).map(|(secret, rights)| {
        let key = key(secret, rights);
        (key.id().to_string(), key.to_value())
    });
    let legacy = Legacy { keys: kept.collect(), ..Legacy::default() };
    let keeping = Keeping { require_key: true, owners: Default::default(), root: false };
    let mut node = FakeNode::remembering(Keep::Watched, legacy, keeping);
    for (session, job) in [
        ("a", json!({"name": "web", "cmd": "serve", "numprocesses": 2})),
        ("b", json!({"name": "db", "cmd": "serve"})),
    ] {
        let path = format!("/jobs/{session}");
        assert_eq!(ask(&mut node, "POST", &path, Some("admin"), &job.to_string()).0, 200);
    }
    let conns = keys.map(|secret| {
        let (conn, _) = opened(&mut node, "/channel/websocket", Some(secret));
        said(&mut node, conn, r#"{"event": "SUB", "data": {"topic": "USAGE"}}"#);
        conn
    });
    node.advance(limits::USAGE_INTERVAL - MOMENT);
    assert_eq!(node.measured, 0);
    node.advance(MOMENT);
    assert_eq!(node.measured, 3, "once for all of them");
    let told = conns.map(|conn| tables(&mut node, conn));
    let rows = |told: &[Value]| told[0]["instances"].as_array().map(Vec::len);
    assert_eq!(told.each_ref().map(|told| rows(told)), [Some(3), Some(3), Some(2), Some(0)]);
    assert_eq!(told[0], told[1]);
    assert_eq!(
        told[2][0],
        json!({
            "topic": "USAGE", "event": "usage", "ts": node.now.epoch_seconds(),
            "total": {"instances": 2, "processes": 4, "cpu": 108.0, "mem": 24_691_356,
                "mem_total": 1 << 30, "threads": 6, "fds": 14},
            "instances": [
                {"job": "a.web", "instance": 1, "pid": 1, "os_pid": 1001, "cpu": 54.0,
                    "mem": 12_345_678, "threads": 3, "fds": 7, "processes": 2},
                {"job": "a.web", "instance": 2, "pid": 2, "os_pid": 1002, "cpu": 54.0,
                    "mem": 12_345_678, "threads": 3, "fds": 7, "processes": 2},
            ],
        })
    );
    let seen = |node: &mut FakeNode, secret| {
        history_as(node, "", Some(secret))["instances"].as_array().map(Vec::len)
    };
    assert_eq!(keys.map(|secret| seen(&mut node, secret)), [Some(3), Some(3), Some(2), Some(0)]);
    assert_eq!(ask(&mut node, "GET", "/stats/history", None, "").0, 401);
    for conn in conns {
        unsubscribe(&mut node, conn, "USAGE");
    }
    pass(&mut node, STEP);
    assert_eq!(node.measured, 3, "nobody wants it any more");
    assert!(node.asked.iter().any(|asked| asked == "stop sampling"), "{:?}", node.asked);
}

#[test]
fn the_proportional_share_is_measured_for_who_asks_for_it() {
    let mut node = node(Keep::Watched);
    load(&mut node, "s", &json!({"name": "web", "cmd": "serve", "numprocesses": 2}));
    let mut get = |path: &str| -> Value {
        serde_json::from_str(&ask(&mut node, "GET", path, None, "").1).expect("JSON")
    };
    assert_eq!(get("/1/stats?pss=1")["stats"]["mem_pss"], 9_999_360);
    assert_eq!(get("/1/stats")["stats"].get("mem_pss"), None);
    assert_eq!(get("/1/stats?pss=0")["stats"].get("mem_pss"), None);
    let job = get("/jobs/s/web/stats?pss=true");
    assert_eq!(
        (&job["mem_pss"], &job["stats"][1]["mem_pss"]),
        (&json!(19_998_720), &json!(9_999_360))
    );
    assert_eq!(get("/jobs/s/web/stats").get("mem_pss"), None);
    assert_eq!(get("/1/stats?pss=x")["error"], "bad_request");
    assert_eq!(get("/jobs/s/web/stats?pss=2")["error"], "bad_request");
}

#[test]
fn a_slot_holds_the_most_that_it_can_and_cuts_what_is_beyond() {
    let now = start();
    let place = place(0);
    let told = |usage: Usage, cpu: f64| {
        let mut history = UsageHistory::new(Keep::Watched);
        history.begin((None, now.mono), |_| true);
        history.note(place, Pid(1), (&usage, cpu), now.mono);
        let window = history.window(None, now).expect("it has one");
        let slot = window.slots(&place).last().flatten().expect("it is filled");
        (slot.cpu, slot.memory, slot.threads, slot.fds)
    };
    let usage = |rss, threads, fds| Usage { rss, threads, fds, ..Usage::default() };
    let most = (u64::from(u32::MAX) * 1024, u16::MAX.into(), u16::MAX.into());
    let full = (1_073_741_823, most.0, u16::MAX, u16::MAX);
    assert_eq!(told(usage(most.0, most.1, most.2), 107_374_182.3), full);
    assert_eq!(told(usage(most.0 + 1024, most.1 + 1, most.2 + 1), 107_374_182.4), full);
    assert_eq!(told(usage(1023, 1, 0), 0.04), (0, 0, 1, 0));
}

fn place(index: u32) -> Place {
    Place { job: JobId(Key { index, generation: 0 }), once: false, number: 1 }
}

/// What happens: so many milliseconds pass, and then a process is measured, perhaps another than before.
#[derive(Clone, Copy, Debug)]
struct Happening {
    passes: u64,
    place: u32,
    restarts: bool,
    stale: bool,
    cpu: u16,
    kib: u32,
}

fn happenings() -> impl Strategy<Value = Vec<Happening>> {
    let passes = prop_oneof![20 => 0..9_000u64, 3 => 9_000..200_000u64, 1 => 500_000..700_000u64];
    let one = (
        passes,
        0..2u32,
        prop::bool::weighted(0.1),
        prop::bool::weighted(0.1),
        any::<u16>(),
        any::<u32>(),
    );
    let one = one.prop_map(|(passes, place, restarts, stale, cpu, kib)| Happening {
        passes,
        place,
        restarts,
        stale,
        cpu,
        kib,
    });
    prop::collection::vec(one, 1..200)
}

/// All that was ever measured of one place: slot, process, CPU and memory.
type Measured = Vec<(u64, u64, f64, u64)>;

/// What a slot has to tell of that.
fn expected(all: &Measured, slot: u64) -> Option<Told> {
    let (_, pid, _, memory) = *all.iter().rev().find(|(at, ..)| *at == slot)?;
    let of_last: Vec<f64> = all
        .iter()
        .filter(|(at, by, ..)| (*at, *by) == (slot, pid))
        .map(|(_, _, cpu, _)| *cpu)
        .collect();
    let mean = of_last.iter().sum::<f64>() / of_last.len() as f64;
    let before = all.iter().rev().find(|(at, ..)| *at < slot).map(|(_, pid, ..)| *pid);
    let first = all.iter().find(|(at, ..)| *at == slot).map(|(_, pid, ..)| *pid);
    let begins = first != Some(pid) || before.is_some_and(|before| before != pid);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "below 65,536")]
    let cpu = (mean * 10.0).round() as u32;
    Some(Told { cpu, memory, threads: 1, fds: 2, begins })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn rings_tell_what_a_list_of_everything_tells(happenings in happenings()) {
        let begun = Now { wall: UNIX_EPOCH + Duration::from_secs(1_000_000), ..start() };
        let (mut now, mut epoch) = (begun, begun);
        let mut history = UsageHistory::new(Keep::Watched);
        let mut pids = [1u64, 1];
        let mut all: [Measured; 2] = [Vec::new(), Vec::new()];
        let mut last: Option<Now> = None;
        for one in happenings {
            now = now.plus(Duration::from_millis(one.passes));
            let idle = last.is_some_and(|last| now.mono - last.mono >= STEP * 120);
            history.begin((None, now.mono), |_| true);
            if idle || last.is_none() {
                epoch = now;
                all = [Vec::new(), Vec::new()];
            }
            last = Some(now);
            let at = one.place as usize;
            pids[at] += u64::from(one.restarts);
            let slot = |now: Now| u64::try_from((now.mono - epoch.mono).as_millis()).unwrap() / 5000;
            // A ring that was let go knows no earlier process.
            for measured in &mut all {
                let newest = measured.last().map_or(0, |(slot, ..)| *slot);
                if slot(now) - newest >= SLOTS {
                    measured.clear();
                }
            }
            let (pid, is_stale) = match one.stale {
                true => (pids[at] - 1, !all[at].is_empty()),
                false => (pids[at], false),
            };
            let memory = u64::from(one.kib) * 1024;
            let usage = Usage { rss: memory + 1, threads: 1, fds: 2, ..Usage::default() };
            let cpu = f64::from(one.cpu) / 10.0;
            if one.stale && !is_stale {
                // Whoever is measured first is not stale.
                continue;
            }
            history.note(place(one.place), Pid(pid), (&usage, cpu), now.mono);
            if !is_stale || all[at].last().is_some_and(|(_, newest, ..)| *newest <= pid) {
                all[at].push((slot(now), pid, cpu, memory));
            }
            let window = history.window(None, now).expect("something was measured");
            prop_assert_eq!(window.length, (slot(now) + 1).min(SLOTS));
            let end = epoch.wall + STEP * u32::try_from(slot(now) + 1).unwrap();
            prop_assert_eq!(window.until, end);
            for index in 0..2 {
                let told: Vec<Option<Told>> = window.slots(&place(index)).collect();
                if told.is_empty() {
                    prop_assert!(all[index as usize].is_empty());
                    continue;
                }
                let first = slot(now) + 1 - window.length;
                let wanted: Vec<Option<Told>> =
                    (first..=slot(now)).map(|slot| expected(&all[index as usize], slot)).collect();
                prop_assert_eq!(told, wanted);
            }
            // Later, with nothing measured, all that changes is where the window ends.
            let later = now.plus(STEP * 7);
            let window = history.window(Some(later.wall - STEP * 3), later).expect("it is kept");
            prop_assert!(window.length <= 3 && window.until <= later.wall);
            prop_assert!(window.places().next().is_none());
        }
    }
}
