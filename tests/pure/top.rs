//! `gaffer top` without a terminal and without a node: what a node says, keys and time go into the model,
//! and whole frames come out, as text files in `tests/golden/top`. `GOLDEN_WRITE=1` writes them anew; read
//! the difference before you keep it.

use std::path::Path;
use std::time::{Duration, Instant, UNIX_EPOCH};

use gaffer::base::clock::Now;
use gaffer::base::limits;
use gaffer::base::random::Random;
use gaffer::cli::top::draw::draw;
use gaffer::cli::top::facts::Scope;
use gaffer::cli::top::keys::{Key, Keys};
use gaffer::cli::top::model::{Look, Model, Wish};
use gaffer::client::{Error, Heard, Said};
use serde_json::{json, Value};

/// When these tests begin, in seconds since 1970.
const BEGIN: u64 = 1_790_000_000;
const SECOND: Duration = Duration::from_secs(1);

const LOOK: Look = Look { unicode: true, color: true, time: utc };

fn utc(seconds: f64) -> String {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is small")]
    let second = seconds as u64;
    format!("{:02}:{:02}:{:02}", second / 3600 % 24, second / 60 % 60, second % 60)
}

/// A node as far as `top` sees it: jobs, and an answer to each command.
struct Stage {
    model: Model,
    now: Now,
    jobs: Vec<Value>,
    /// What was wanted besides commands about jobs.
    wished: Vec<Wish>,
    /// The nodes that were told to do something, by their numbers.
    acted: Vec<usize>,
    /// Commands are refused with these words.
    refuses: Option<&'static str>,
}

fn instance(number: u64, state: &str, pid: Option<u64>) -> Value {
    json!({"instance": number, "state": state, "pid": pid, "os_pid": pid.map(|pid| pid + 1000),
        "once": false, "reason": "", "retry_at": null, "restarts": 0, "uptime": pid.map(|_| 4_000.0)})
}

fn job(name: &str, instances: Vec<Value>) -> Value {
    let wanted = instances.len();
    json!({"name": name, "desired": "up", "state": "running", "reason": "", "restarts": 0,
        "max_processes": wanted, "config": {"cmd": "serve", "redirect_output": ["out", "err"]},
        "instances": instances})
}

/// Four jobs, one of which fails again and again.
fn site() -> Vec<Value> {
    let mut failing = instance(1, "backoff", None);
    failing["reason"] = json!("exit 3 after 0.002 s, 4 in a row");
    failing["retry_at"] = json!(BEGIN + 11);
    failing["restarts"] = json!(3);
    let mut quiet = job("shop.quiet", vec![]);
    quiet["state"] = json!("stopped");
    quiet["reason"] = json!("stopped by request");
    let mut once = instance(2, "running", Some(9));
    once["once"] = json!(true);
    let cron = instance(1, "exited", None);
    let web = vec![instance(1, "running", Some(1)), instance(2, "running", Some(2))];
    vec![
        job("site.web", web),
        job("site.worker", vec![failing]),
        quiet,
        job("shop.cron", vec![cron, once]),
    ]
}

impl Stage {
    #[expect(clippy::disallowed_methods, reason = "a test needs one instant to count from")]
    fn new(jobs: Vec<Value>, look: Look) -> Self {
        let wall = UNIX_EPOCH + Duration::from_secs(BEGIN);
        let now = Now { mono: Instant::now(), wall };
        let nodes = vec![(None, "http://127.0.0.1:5000".into())];
        let model = Model::new(nodes, &Scope::default(), look);
        let mut stage =
            Self { model, now, jobs, wished: Vec::new(), acted: Vec::new(), refuses: None };
        stage.model.connected(0, stage.now);
        stage.settle();
        stage
    }

    /// What is wanted is done, until nothing is any more.
    fn settle(&mut self) {
        loop {
            self.model.tick(self.now);
            let deadline = self.model.deadline();
            assert!(deadline.is_none_or(|at| at > self.now.mono), "it would turn without a rest");
            let wishes = self.model.take_wishes();
            if wishes.is_empty() {
                return;
            }
            for (node, wish) in wishes {
                if let Wish::Command(id, name, args) = wish {
                    self.answer(node, id, name, &args);
                } else {
                    self.wished.push(wish);
                }
            }
        }
    }

    fn answer(&mut self, node: usize, id: String, name: &'static str, args: &[Value]) {
        let of = |job: &&Value| Some(&job["name"]) == args.first();
        let result = match name {
            "jobs" => {
                Ok(json!({"jobs": self.jobs.iter().map(|job| &job["name"]).collect::<Vec<_>>()}))
            }
            "info" => match self.jobs.iter().find(of) {
                Some(job) => Ok(json!({"info": job})),
                None => Err((404, "no such job or process")),
            },
            "deaths" => Ok(json!({"deaths": [{"instance": 1, "pid": 7, "ended_at": BEGIN - 60,
                "ran": 0.002, "reason": "exited with code 3", "summary": "exit 3 after 0.002 s",
                "planned": false,
                "last_lines": ["going down", "\u{1b}[2Jbye"]}]})),
            _ => {
                self.acted.push(node);
                self.wished.push(Wish::Command(String::new(), name, args.to_vec()));
                match self.refuses {
                    Some(reason) => Err((409, reason)),
                    None => Ok(json!({"ok": true})),
                }
            }
        };
        let refused = |(status, reason): (u16, &str)| Error::Refused {
            status,
            word: String::new(),
            reason: reason.to_owned(),
        };
        self.model.heard(node, Said::Answer { id, result: result.map_err(refused) }, self.now);
    }

    /// The first instance of `site.web` writes something, by this process and to this descriptor.
    fn writes(&mut self, pid: u64, fd: u64, text: &str) {
        let data = json!({"event": "log", "name": "site.web", "pid": pid, "fd": fd, "data": text});
        self.told("LOGS:site.web:1", data);
    }

    fn told(&mut self, topic: &str, data: Value) {
        let data = data.as_object().cloned().expect("an object");
        self.model.alive(0, self.now);
        self.model.heard(0, Said::Heard(Heard::Event { topic: topic.to_owned(), data }), self.now);
        self.settle();
    }

    fn stat(&mut self, pid: u64, cpu: f64, rss: u64) {
        self.told("STATS", json!({"pid": pid, "cpu": cpu, "rss": rss}));
    }

    fn pass(&mut self, time: Duration) {
        self.now = self.now.plus(time);
        self.settle();
    }

    fn press(&mut self, keys: &str) {
        for c in keys.chars() {
            let key = match c {
                '\n' => Key::Enter,
                '\t' => Key::Tab,
                '↓' => Key::Down,
                '↑' => Key::Up,
                '←' => Key::Left,
                '→' => Key::Right,
                '⇞' => Key::PageUp,
                '⎋' => Key::Esc,
                c => Key::Char(c),
            };
            self.model.key(&key, self.now);
        }
        self.settle();
    }

    fn frame(&mut self, size: (u16, u16)) -> Vec<String> {
        if self.model.size != size {
            self.model.resize(size);
        }
        let cells = draw(&mut self.model, self.now);
        let line = |y| {
            // The second cell of a wide character is empty.
            let cells = (0..size.0).map(|x| cells.cell((x, y)).map_or("", |cell| cell.symbol()));
            cells.collect::<String>().trim_end().to_owned()
        };
        (0..size.1).map(line).collect()
    }

    /// The frame with this in it, among others.
    fn shows(&mut self, text: &str) {
        let frame = self.frame((80, 24));
        assert!(frame.iter().any(|line| line.contains(text)), "{text:?} in\n{}", frame.join("\n"));
    }

    fn lacks(&mut self, text: &str) {
        let frame = self.frame((80, 24));
        assert!(!frame.iter().any(|line| line.contains(text)), "{text:?} in\n{}", frame.join("\n"));
    }

    /// What was wanted since this was asked last.
    fn took(&mut self) -> Vec<Wish> {
        std::mem::take(&mut self.wished)
    }
}

/// A node that has been looked at for some seconds.
fn stage(look: Look) -> Stage {
    let mut stage = Stage::new(site(), look);
    for second in 0..8_u32 {
        stage.stat(1, 12.5 * f64::from(second), 80_000_000);
        stage.stat(2, 0.4, 40_000_000 + 4_000_000 * u64::from(second));
        stage.stat(9, 150.0, 1_500_000);
        stage.pass(SECOND);
    }
    stage.writes(1, 1, "GET / 200\nGET /größe 200\n");
    stage.writes(1, 2, "\u{1b}[31mslow\u{1b}[0m \u{1b}[2J\u{1b}]0;title\u{7}\n");
    stage.writes(1, 1, "no end yet");
    let event = json!({"event": "exit", "name": "site.worker", "pid": 7, "reason": "exited with code 3",
        "seq": 5, "ts": BEGIN + 5});
    stage.told("EVENTS", event.clone());
    let mut again = event;
    again["event"] = json!("job.site.worker.exit");
    stage.told("EVENTS", again);
    stage
}

fn golden(name: &str, frame: &[String]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name);
    let seen = frame.join("\n") + "\n";
    if std::env::var_os("GOLDEN_WRITE").is_some() {
        std::fs::write(&path, &seen).expect("the folder can be written");
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(seen == expected, "{name} is different:\n{seen}\nand was\n{expected}");
}

#[test]
fn frames_are_exactly_so_at_every_size() {
    for (file, size) in [
        ("golden/top/80x24.txt", (80, 24)),
        ("golden/top/120x40.txt", (120, 40)),
        ("golden/top/20x5.txt", (20, 5)),
        ("golden/top/40x12.txt", (40, 12)),
    ] {
        golden(file, &stage(LOOK).frame(size));
    }
    let plain = Look { unicode: false, color: false, ..LOOK };
    let frame = stage(plain).frame((80, 24));
    assert!(frame.iter().all(|line| line.is_ascii()), "{frame:?}");
    golden("golden/top/ascii.txt", &frame);
}

#[test]
fn pages_and_questions_are_exactly_so() {
    for (file, keys) in [
        ("golden/top/help.txt", "?"),
        ("golden/top/log.txt", "\n"),
        ("golden/top/deaths.txt", "↓↓d"),
        ("golden/top/info.txt", "i"),
        ("golden/top/events.txt", "\t"),
        ("golden/top/signals.txt", "t→→"),
        ("golden/top/scale.txt", "+++-"),
    ] {
        let mut stage = stage(LOOK);
        stage.frame((80, 24));
        stage.press(keys);
        golden(file, &stage.frame((80, 24)));
    }
}

#[test]
fn no_size_and_no_key_is_too_much_for_it() {
    let mut random = Random::seeded(7);
    let mut stage = stage(LOOK);
    let mut number = |below: u64| random.below(below);
    for _ in 0..400 {
        let size =
            (u16::try_from(number(130)).expect("small"), u16::try_from(number(45)).expect("small"));
        let mut keys = Keys::default();
        let bytes: Vec<u8> = (0..number(12))
            .map(|_| {
                b"\x1b[OABCDHF5~\r\n\t/sxSr+-tydiqe?wg\xc3"
                    [usize::try_from(number(31)).expect("small")]
            })
            .collect();
        keys.push(&bytes);
        while let Some(key) = keys.take().or_else(|| keys.expire()) {
            stage.model.key(&key, stage.now);
        }
        stage.settle();
        let frame = stage.frame(size);
        assert_eq!(frame.len(), usize::from(size.1));
        stage.pass(Duration::from_millis(number(3_000)));
    }
}

#[test]
fn nothing_is_done_before_it_is_confirmed() {
    let command = |name, args| Wish::Command(String::new(), name, args);
    let mut stage = stage(LOOK);
    stage.frame((80, 24));
    stage.took();
    for (keys, question, name, args) in [
        ("r", "Restart site.web,", "restart", vec![json!("site.web")]),
        ("x", "Stop site.web?", "stop_job", vec![json!("site.web")]),
        ("S", "Start site.web?", "start_job", vec![json!("site.web")]),
        ("+++", "Scale site.web from 2 to 5?", "scale", vec![json!("site.web"), json!("=5")]),
        ("---", "Scale site.web from 2 to 0?", "scale", vec![json!("site.web"), json!("=0")]),
        ("t\n", "Send TERM to process 1 of site.web.1?", "kill", vec![json!(1), json!("TERM")]),
        (
            "ta←\n",
            "Send KILL to all processes of site.web?",
            "killall",
            vec![json!("site.web"), json!("KILL")],
        ),
    ] {
        for no in ["n", "⎋", "q"] {
            stage.press(keys);
            stage.shows(question);
            // A key that means something elsewhere, and Enter, which answers nothing by mistake.
            stage.press("i\n");
            stage.shows(question);
            stage.press(no);
            stage.lacks(question);
            assert_eq!(stage.took(), [], "{keys:?} and no");
        }
        stage.press(keys);
        stage.press("y");
        assert_eq!(stage.took(), [command(name, args)], "{keys:?} and yes");
        stage.lacks(question);
    }
    stage.refuses = Some("the node ends");
    stage.press("ry");
    stage.shows("! the node ends");
    stage.pass(Duration::from_secs(6));
    stage.lacks("the node ends");
    assert!(!stage.model.is_over());
    stage.press("q");
    assert!(stage.model.is_over());
}

#[test]
fn a_one_off_is_stopped_by_itself_and_a_pasted_text_does_nothing() {
    let mut stage = stage(LOOK);
    stage.frame((80, 24));
    stage.press("GGG");
    stage.shows("output of shop.cron.2");
    stage.took();
    stage.model.key(&Key::Paste("xySyq".into()), stage.now);
    stage.settle();
    assert_eq!((stage.took(), stage.model.is_over()), (vec![], false));
    stage.press("x");
    stage.shows("Stop process 9 of shop.cron.2?");
}

#[test]
fn a_selection_that_stays_is_followed_and_keeps_its_place() {
    let mut stage = Stage::new(site(), LOOK);
    stage.frame((80, 24));
    stage.took();
    let since = |topic: &str| {
        let since = json!({"since": 0}).as_object().cloned().expect("an object");
        Wish::Subscribe(topic.to_owned(), since)
    };
    stage.pass(SECOND);
    assert_eq!(stage.took(), [since("LOGS:site.web:1")]);
    // Through the second to the third, which has no process.
    stage.press("↓");
    stage.press("↓");
    stage.pass(SECOND);
    let leave = Wish::Unsubscribe("LOGS:site.web:1".into());
    assert_eq!(stage.took(), [leave, since("LOGS:site.worker:1")]);
    stage.shows(">site.worker.1");
    // The order changes, the selected one stays.
    stage.press("s");
    stage.shows(">site.worker.1");
    stage.press("sssssss↑");
    stage.pass(SECOND);
    let leave = Wish::Unsubscribe("LOGS:site.worker:1".into());
    assert_eq!(stage.took(), [leave, since("LOGS:site.web:2")]);
    // Its process has a successor, which is followed without further ado.
    stage.told("LOGS:site.web:2", json!({"event": "log_end", "name": "site.web", "pid": 2}));
    stage.jobs[0]["instances"][1]["pid"] = json!(12);
    stage.told(
        "EVENTS",
        json!({"event": "spawn", "name": "site.web", "pid": 12, "seq": 9, "ts": BEGIN}),
    );
    stage.pass(SECOND);
    stage.shows("process 2 is over");
    let asked = |wish: &Wish| matches!(wish, Wish::Subscribe(..) | Wish::Unsubscribe(_));
    assert!(!stage.took().iter().any(asked));
    // It is gone: whatever is in its place is selected.
    stage.jobs.remove(0);
    stage.told("EVENTS", json!({"event": "unload", "name": "site.web", "seq": 10, "ts": BEGIN}));
    stage.shows(">shop.quiet");
}

#[test]
fn a_filter_is_seen_as_it_is_typed() {
    let mut stage = stage(LOOK);
    stage.press("/work");
    stage.shows("filter: work_");
    stage.shows(">worker.1 ");
    stage.lacks("web.1");
    stage.press("\n");
    stage.shows("filter \"work\"");
    stage.press("/zzz");
    stage.shows("no row has the filter in it");
    stage.press("⎋");
    stage.shows("filter \"work\"");
    stage.press("⎋");
    stage.shows("site.web.1");
    stage.press("/");
    stage.model.key(&Key::Paste("x".repeat(limits::TOP_FILTER - 1)), stage.now);
    stage.press("yz");
    let filter = &stage.model.filter;
    assert_eq!((filter.len(), filter.ends_with("xy")), (limits::TOP_FILTER, true));
}

#[test]
fn a_lost_node_is_told_instead_of_old_numbers_and_comes_back_with_what_was_missed() {
    let mut stage = stage(LOOK);
    stage.shows("GET / 200");
    stage.took();
    stage.model.lost(0, "the connection to the node broke", stage.now);
    stage.shows("disconnected since 14:13:28, trying again");
    stage.shows("http://127.0.0.1:5000: the connection to the node broke");
    stage.shows("? unknown");
    for gone in ["running", "backoff", "12.5", "cpu", "restarts"] {
        stage.lacks(gone);
    }
    stage.press("ry");
    stage.shows("! not done: the node is not there");
    let mut tries = 0;
    for _ in 0..20 {
        stage.pass(SECOND);
        if stage.took().contains(&Wish::Connect) {
            tries += 1;
            stage.model.lost(0, "refused", stage.now);
        }
    }
    assert!((5..=8).contains(&tries), "{tries}");
    stage.shows("disconnected since 14:13:28, trying again");
    stage.shows("http://127.0.0.1:5000: refused");
    stage.model.connected(0, stage.now);
    stage.settle();
    let said = |wish: &Wish| {
        let Wish::Subscribe(topic, wishes) = wish else { return None };
        Some(format!("{topic} {}", Value::from(wishes.clone())))
    };
    let subscribed: Vec<String> = stage.took().iter().filter_map(said).collect();
    assert_eq!(subscribed[..2], [r#"EVENTS {"since":5}"#, r#"STATS {"interval":1.0}"#]);
    stage.shows("running");
    stage.lacks("disconnected");
    assert_eq!(subscribed[2..], [r#"LOGS:site.web:1 {"since":0}"#]);
}

#[test]
fn a_node_that_says_nothing_is_hung_up_on() {
    let mut quiet = Stage::new(vec![job("a.b", vec![])], LOOK);
    let mut busy = stage(LOOK);
    busy.took();
    busy.pass(SECOND * 9);
    quiet.pass(SECOND * 59);
    for stage in [&mut busy, &mut quiet] {
        stage.lacks("disconnected");
        stage.pass(SECOND);
        assert!(stage.took().contains(&Wish::HangUp));
        stage.shows("it said nothing for");
    }
}

#[test]
fn what_is_lost_of_events_is_asked_for() {
    let mut stage = stage(LOOK);
    stage.jobs.push(job("new.one", vec![]));
    stage.lacks("new.one");
    let lagged = Heard::Lagged { topic: "EVENTS".into(), lost: 3 };
    stage.model.heard(0, Said::Heard(lagged), stage.now);
    stage.settle();
    stage.shows("new.one");
    let lagged = Heard::Lagged { topic: "LOGS:site.web:1".into(), lost: 3 };
    stage.model.heard(0, Said::Heard(lagged), stage.now);
    stage.shows("some of it is not kept");
    let result = Err(Error::Refused { status: 404, word: String::new(), reason: "no more".into() });
    stage.model.heard(0, Said::Followed { topic: "LOGS:site.web:1".into(), result }, stage.now);
    stage.shows("- no more");
}

#[test]
fn a_log_that_is_looked_at_stands_still() {
    let mut stage = Stage::new(site(), LOOK);
    stage.frame((80, 24));
    stage.pass(SECOND);
    let lines =
        |from: usize, to: usize| (from..to).map(|n| format!("line {n}\n")).collect::<String>();
    stage.writes(1, 1, &lines(0, 100));
    stage.press("\n");
    stage.shows("line 99");
    stage.press("⇞");
    stage.shows("line 77");
    stage.lacks("line 78");
    stage.writes(1, 1, &lines(100, 200));
    stage.shows("line 77");
    stage.lacks("line 78");
    stage.press("f");
    stage.shows("line 199");
    stage.press("g");
    stage.shows("line 0");
    // Only errors, of which there is one; and a line longer than the screen.
    stage.writes(1, 2, &format!("{} end\n", "x".repeat(100)));
    stage.press("ef");
    stage.lacks("line 1");
    stage.lacks(" end");
    stage.press("w");
    stage.shows("! xxxxxxxxxxxxxxxxxxxxxx end");
    stage.press("q");
    stage.shows("errors of site.web.1");
}

#[test]
fn only_so_many_jobs_are_asked_about_at_a_time() {
    let count = limits::TOP_ASKED + 1;
    let names: Vec<String> = (0..count).map(|n| format!("a.j{n}")).collect();
    let mut stage = Stage::new(vec![], LOOK);
    stage.model.lost(0, "", stage.now);
    stage.model.connected(0, stage.now);
    let asked = |wishes: &[(usize, Wish)]| {
        wishes.iter().filter(|(_, wish)| matches!(wish, Wish::Command(_, "info", _))).count()
    };
    let wishes = stage.model.take_wishes();
    let id = wishes.iter().find_map(|(_, wish)| {
        let Wish::Command(id, "jobs", _) = wish else { return None };
        Some(id.clone())
    });
    let id = id.expect("it asks for the jobs");
    stage.model.heard(0, Said::Answer { id, result: Ok(json!({"jobs": names})) }, stage.now);
    stage.model.tick(stage.now);
    let wishes = stage.model.take_wishes();
    assert_eq!(asked(&wishes), limits::TOP_ASKED);
    let Some((_, Wish::Command(id, ..))) = wishes.first().cloned() else { panic!("{wishes:?}") };
    let info = json!({"info": job("a.j0", vec![])});
    stage.model.heard(0, Said::Answer { id, result: Ok(info) }, stage.now);
    stage.model.tick(stage.now);
    assert_eq!(asked(&stage.model.take_wishes()), 1);
}

#[test]
fn what_is_remembered_is_bounded() {
    let mut stage = Stage::new(site(), LOOK);
    for n in 0..=limits::TOP_EVENTS {
        stage.told("EVENTS", json!({"event": "update", "name": "x.y", "seq": n + 1, "ts": BEGIN}));
    }
    assert_eq!(stage.model.nodes[0].facts.happened().len(), limits::TOP_EVENTS);
    for n in 0..=limits::TOP_SAMPLES {
        stage.stat(1, f64::from(u32::try_from(n).expect("small")), 1);
    }
    let used = stage.model.nodes[0].facts.used(1).expect("measured");
    let first = used.cpu.last(usize::MAX).next();
    assert_eq!((used.cpu.last(usize::MAX).count(), first), (limits::TOP_SAMPLES, Some(1.0)));
}

#[test]
fn only_the_jobs_that_are_meant_are_shown() {
    let mut stage = Stage::new(vec![], LOOK);
    let scope = Scope { patterns: vec!["shop.*".into(), "site.worker".into()] };
    stage.model = Model::new(vec![(None, "unix:/s".into())], &scope, LOOK);
    stage.jobs = site();
    stage.model.connected(0, stage.now);
    stage.settle();
    stage.stat(1, 50.0, 1 << 30);
    stage.stat(9, 1.0, 1 << 20);
    stage.shows("3 jobs");
    stage.lacks("web");
    stage.lacks("1G");
    stage.told("EVENTS", json!({"event": "load", "name": "site.other", "seq": 1, "ts": BEGIN}));
    stage.shows("3 jobs");
}

/// Three nodes with the same jobs, of which the last was never there.
fn three() -> Stage {
    let mut stage = Stage::new(site(), LOOK);
    let node = |name: &str| (Some(name.to_owned()), format!("http://{name}:5000"));
    stage.model = Model::new(["n1", "n2", "n3"].map(node).into(), &Scope::default(), LOOK);
    for number in 0..3 {
        stage.model.begins(number, stage.now);
    }
    stage.settle();
    stage.model.connected(0, stage.now);
    stage.model.connected(1, stage.now);
    stage.model.lost(2, "connection refused", stage.now);
    stage.settle();
    stage.took();
    stage
}

#[test]
fn many_nodes_are_on_one_screen_and_keys_act_on_that_of_the_row() {
    let mut stage = three();
    stage.shows("3 nodes, 1 lost  8 jobs: 2 backoff, 2 exited, 6 running");
    stage.shows(">n1   site.web.1    ● running");
    stage.shows(" n2   site.web.1    ● running");
    stage.shows(" n3                 ? lost");
    stage.pass(SECOND * 3);
    stage.shows("lost 3.0s ago: connection refused");
    stage.press("/n2\n");
    stage.lacks("n1 ");
    stage.press("r");
    stage.shows("n2: Restart site.web, one instance after the other?");
    stage.press("y");
    assert_eq!(stage.acted, [1]);
    stage.shows("n2: site.web restarts");
    stage.press("i");
    stage.shows("n2: what the node tells of site.web");
    stage.press("⎋⎋/n3\n");
    stage.press("ry");
    assert_eq!(stage.acted, [1], "there is nothing to act on");
}

#[test]
fn a_node_that_is_lost_stays_with_its_age_and_what_it_says_again() {
    let mut stage = three();
    stage.model.lost(0, "it broke", stage.now);
    stage.pass(SECOND * 5);
    stage.shows("3 nodes, 2 lost");
    stage.shows("n1   site.web.1    ? lost      lost 5.0s ago: it broke");
    stage.shows("n2   site.web.1    ● running");
    stage.press("r");
    stage.shows("n1: Restart site.web");
    stage.press("y");
    stage.shows("! n1: not done: the node is not there");
    assert!(stage.acted.is_empty());
    stage.model.connected(0, stage.now);
    stage.settle();
    stage.shows("n1   site.web.1    ● running");
    let subscribed = stage.took().into_iter();
    let subscribed =
        subscribed.filter(|wish| matches!(wish, Wish::Subscribe(topic, _) if topic == "EVENTS"));
    assert_eq!(subscribed.count(), 1, "of this node alone");
}

#[test]
fn output_is_that_of_the_node_of_the_row() {
    let mut stage = three();
    stage.frame((80, 24));
    stage.pass(SECOND);
    let log = |text: &str| {
        let data = json!({"event": "log", "name": "site.web", "pid": 1, "fd": 1, "data": text});
        let data = data.as_object().cloned().expect("an object");
        Said::Heard(Heard::Event { topic: "LOGS:site.web:1".into(), data })
    };
    stage.model.heard(0, log("of the first\n"), stage.now);
    stage.model.heard(1, log("of the second\n"), stage.now);
    stage.shows("n1: output of site.web.1");
    stage.shows("of the first");
    stage.lacks("of the second");
}
