//! Fake clients of the whole node: they pipeline, stall, send one byte at a time, read slowly, close
//! half or vanish. Whatever they do, each whole request has exactly one answer, in order.

use std::collections::VecDeque;

use gaffer::base::clock::Now;
use gaffer::base::ids::ConnId;
use gaffer::base::random::Random;
use gaffer::front::peer::Peer;
use gaffer::node::gaffer::Gaffer;
use gaffer::node::machine::Machine;
use serde_json::{json, Value};

/// One client.
pub(crate) struct Client {
    conn: ConnId,
    unsent: VecDeque<u8>,
    /// Where each whole request ends, counted from the first byte.
    ends: VecDeque<usize>,
    sent: usize,
    /// Whole requests that the node has.
    asked: usize,
    got: Vec<u8>,
    answered: usize,
    habit: Habit,
    half_closed: bool,
    cut_off: bool,
    /// The statuses of its answers, for the digest.
    pub(crate) statuses: Vec<u16>,
}

#[derive(Clone, Copy, PartialEq)]
enum Habit {
    /// Sends and reads all it can.
    Plain,
    /// Sends and reads a byte at a time.
    Dripping,
    /// Sends all but the end of its last request, and waits.
    Stalling,
    /// Reads nothing for long.
    Deaf,
}

/// What became of a client in a step.
#[derive(PartialEq)]
pub(crate) enum Fate {
    Stays,
    /// The node has ended the connection.
    Served,
    /// The client has.
    Vanished,
}

impl Client {
    /// Connects, if the node lets it.
    pub(crate) fn connect(node: &mut Gaffer, random: &mut Random, now: Now) -> Option<Self> {
        let conn = node.accepted(Peer::Unix { uid: Some(0) }, now)?;
        let habit = match random.below(8) {
            0 => Habit::Dripping,
            1 => Habit::Stalling,
            2 => Habit::Deaf,
            _ => Habit::Plain,
        };
        let (mut bytes, mut ends) = (Vec::new(), VecDeque::new());
        for _ in 0..=random.below(4) {
            let request = request(random);
            bytes.extend_from_slice(&request);
            ends.push_back(bytes.len());
            if find(&request, b"Connection: close").is_some() {
                // What comes behind it is not answered.
                break;
            }
        }
        if habit == Habit::Stalling {
            bytes.pop();
        }
        Some(Self {
            conn,
            unsent: bytes.into(),
            ends,
            sent: 0,
            asked: 0,
            got: Vec::new(),
            answered: 0,
            habit,
            half_closed: false,
            cut_off: false,
            statuses: Vec::new(),
        })
    }

    /// Does a little of what it came for.
    pub(crate) fn act(&mut self, node: &mut Gaffer, random: &mut Random, now: Now) -> Fate {
        if random.below(60) == 0 {
            node.closed(self.conn, now);
            return Fate::Vanished;
        }
        self.send(node, random, now);
        if self.unsent.is_empty() && !self.half_closed && random.below(10) == 0 {
            self.half_closed = true;
            node.input_ended(self.conn, now);
        }
        self.read(node, random, now)
    }

    fn send(&mut self, node: &mut Gaffer, random: &mut Random, now: Now) {
        if !node.wants_input(self.conn) || self.half_closed {
            return;
        }
        let most = match self.habit {
            Habit::Dripping => 1,
            Habit::Plain | Habit::Stalling | Habit::Deaf => 1 + random.below(400),
        };
        let count = usize::try_from(most).expect("small").min(self.unsent.len());
        let bytes: Vec<u8> = self.unsent.drain(..count).collect();
        if bytes.is_empty() {
            return;
        }
        self.sent += count;
        while self.ends.front().is_some_and(|end| *end <= self.sent) {
            self.ends.pop_front();
            self.asked += 1;
        }
        node.received(self.conn, &bytes, now);
    }

    /// Takes what is owed, and notices the end of the connection.
    fn read(&mut self, node: &mut Gaffer, random: &mut Random, now: Now) -> Fate {
        let owed = node.transmit(self.conn);
        let take = match self.habit {
            Habit::Plain | Habit::Stalling => owed.len(),
            Habit::Dripping => owed.len().min(1 + usize::from(random.below(4) == 0) * 50),
            Habit::Deaf if random.below(20) > 0 => 0,
            Habit::Deaf => owed.len(),
        };
        self.got.extend_from_slice(&owed[..take]);
        if take > 0 {
            node.sent(self.conn, take, now);
        }
        self.parse();
        if node.transmit(self.conn).is_empty() && node.is_finished(self.conn) {
            node.closed(self.conn, now);
            return Fate::Served;
        }
        Fate::Stays
    }

    fn parse(&mut self) {
        while let Some(head) = find(&self.got, b"\r\n\r\n") {
            let text = String::from_utf8(self.got[..head].to_vec()).expect("heads are text");
            let status = text.split(' ').nth(1).and_then(|status| status.parse().ok());
            let status: u16 = status.expect("a status");
            let length = text
                .lines()
                .find_map(|line| line.strip_prefix("Content-Length: "))
                .map_or(0, |length| length.parse().expect("a length"));
            let whole = head + 4 + length;
            if self.got.len() < whole {
                return;
            }
            let body: Vec<u8> = self.got.drain(..whole).skip(head + 4).collect();
            assert!(status != 500, "{}", String::from_utf8_lossy(&body));
            self.answered += 1;
            self.statuses.push(status);
            // One that was too slow is told so, as an answer more, and not listened to any more.
            self.cut_off |= status == 408;
            let most = self.asked + usize::from(self.cut_off);
            assert!(self.answered <= most, "an answer that nobody asked for");
        }
    }

    /// Is gone at once.
    pub(crate) fn vanish(self, node: &mut Gaffer, now: Now) {
        node.closed(self.conn, now);
    }

    /// At the end of all: nothing that was asked is without its answer, if there was time for it.
    pub(crate) fn check_served(&self) {
        if self.habit == Habit::Plain && self.unsent.is_empty() && !self.cut_off {
            assert_eq!(self.answered, self.asked, "{:?} was not answered", self.conn);
        }
    }
}

pub(crate) fn find(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    bytes.windows(needle.len()).position(|window| window == needle)
}

pub(crate) fn pick<'a>(random: &mut Random, from: &[&'a str]) -> &'a str {
    let at = random.below(u64::try_from(from.len()).expect("small"));
    from[usize::try_from(at).expect("small")]
}

/// A whole request: mostly sensible, sometimes nonsense.
fn request(random: &mut Random) -> Vec<u8> {
    let job = pick(random, &["a/web", "a/work", "b/web", "b/x.1", "c/nothing"]);
    let (session, label) = job.split_once('/').expect("both");
    let wait = pick(
        random,
        &["", "", "", "?wait=running&timeout=3", "?wait=stopped&timeout=2", "?wait=x"],
    );
    let pid = random.below(40);
    let (method, path, body) = match random.below(24) {
        0..=3 => ("POST", format!("/jobs/{session}{wait}"), config(label, random).to_string()),
        4 => ("PUT", format!("/jobs/{job}{wait}"), config(label, random).to_string()),
        5 => ("DELETE", format!("/jobs/{job}{wait}"), String::new()),
        6..=8 => {
            let scale = pick(random, &["=3", "+1", "-1", "=0", "=6", "x"]);
            ("POST", format!("/jobs/{job}/numprocesses{wait}"), json!({"scale": scale}).to_string())
        }
        9..=11 => {
            let state = pick(random, &["0", "1", "1", "2", "7"]);
            ("POST", format!("/jobs/{job}/state{wait}"), state.to_owned())
        }
        12 => ("POST", format!("/jobs/{job}/restart{wait}"), String::new()),
        13 => ("POST", format!("/jobs/{job}/commit"), "{}".to_owned()),
        14 => ("POST", format!("/jobs/{job}/signal"), json!({"signal": "HUP"}).to_string()),
        15 => ("DELETE", format!("/{pid}{wait}"), String::new()),
        16 => ("GET", format!("/{pid}/stats"), String::new()),
        17 => ("GET", format!("/jobs/{job}/stats"), String::new()),
        18 => ("GET", format!("/jobs/{job}"), String::new()),
        19 => ("GET", format!("/jobs/{job}/deaths"), String::new()),
        20 => (
            "GET",
            pick(random, &["/", "/jobs", "/pids", "/sessions", "/%ff", "/no"]).to_owned(),
            String::new(),
        ),
        21 | 22 => {
            let file = pick(random, &["", "/", "/a", "/a/b/", "/../a", "/a%00"]);
            ("GET", format!("/_plugin/site{file}"), String::new())
        }
        _ => ("POST", "/jobs/a".to_owned(), pick(random, &["{", "[]", "{\"cmd\": 1}"]).to_owned()),
    };
    let last = if random.below(6) == 0 { "Connection: close\r\n" } else { "" };
    format!(
        "{method} {path} HTTP/1.1\r\nHost: x\r\n{last}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

fn config(label: &str, random: &mut Random) -> Value {
    let cmd = pick(
        random,
        &["mixed", "mixed", "child", "child deaf", "child life=300 code=1", "child fail=exec:2"],
    );
    let restart = pick(random, &["always", "always", "on-failure", "never"]);
    json!({
        "name": label, "cmd": cmd, "numprocesses": random.below(4), "restart": restart,
        "graceful_timeout": 0.5, "start": random.below(6) > 0, "detach": random.below(8) == 0,
        "redirect_output": ["out", "err"], "redirect_input": random.below(4) > 0,
        "min_uptime": if random.below(2) == 0 { 0.0 } else { 0.3 },
    })
}
