//! A node, its state directory, and those to whom it posts events, in one virtual time: they take messages
//! well, slowly, not at all, or take them and do not say so. Whatever one has taken is written down, and
//! what all have to get is known from what the node tells those who watch.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use data_encoding::BASE64;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::Value;
use sha2::Sha256;

use gaffer::base::clock::Now;
use gaffer::base::ids::LinkId;
use gaffer::node::gaffer::Legacy;
use gaffer::node::journal::Journal;
use gaffer::node::machine::{Machine as _, StateFile, Write};
use gaffer::node::webhooks::{Hook, Hooking};
use gaffer::wire::webhook::Url;

use crate::driven::Driven as _;
use crate::fake_node::{start, FakeNode};

/// How somebody takes messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// At once, and the connection goes on.
    Well,
    /// At once, and ends each connection with its answer.
    Closing,
    /// At once, and ends each connection a moment after its answer, without a word.
    Leaving,
    /// As the first servers did: the end of the answer is that of the connection.
    Old,
    /// Takes it, and never says so.
    Silent,
    /// Takes it, and breaks the connection instead of an answer.
    Cutting,
    /// Takes half of a request, and breaks the connection.
    Breaking,
    /// Answers that it cannot.
    Failing,
    /// Answers that it is to be asked later.
    Busy,
    /// Answers that it is elsewhere.
    Moved,
    /// Answers that it is no more.
    Gone,
    /// Cannot be connected to.
    Refusing,
    /// Does not even say that.
    Mute,
}

/// How many messages wait for one address here.
const QUEUE: usize = 1000;
pub(crate) const MODES: [Mode; 13] = [
    Mode::Well,
    Mode::Closing,
    Mode::Leaving,
    Mode::Old,
    Mode::Silent,
    Mode::Cutting,
    Mode::Breaking,
    Mode::Failing,
    Mode::Busy,
    Mode::Moved,
    Mode::Gone,
    Mode::Refusing,
    Mode::Mute,
];

/// Somebody to whom events are posted.
pub(crate) struct Receiver {
    pub(crate) url: Url,
    /// How the names begin of what he is to get; none while he is to get nothing.
    pub(crate) wants: Option<&'static str>,
    pub(crate) mode: Mode,
    /// The numbers of what he has to get,
    pub(crate) due: Vec<u64>,
    /// and of what he took, in the order in which he saw each first.
    pub(crate) taken: Vec<u64>,
    /// How often he got which message.
    pub(crate) times: BTreeMap<String, u32>,
    secret: String,
}

struct Line {
    receiver: usize,
    input: Vec<u8>,
}

pub(crate) struct World {
    pub(crate) node: Option<FakeNode>,
    pub(crate) now: Now,
    pub(crate) receivers: Vec<Receiver>,
    lines: BTreeMap<LinkId, Line>,
    disk: BTreeMap<StateFile, Vec<u8>>,
    /// The number of the last event that was seen.
    seen: u64,
    /// How many bytes come through at a time.
    pub(crate) pace: usize,
    /// Everything that was sent, in words.
    pub(crate) log: Vec<String>,
}

impl World {
    /// The first two are in the configuration, the others are not to get anything yet.
    pub(crate) fn new(count: usize) -> Self {
        let receiver = |number: usize| Receiver {
            url: Url::read(&format!("http://u:p@r{number}/in?n={number}")).expect("an address"),
            wants: [Some(""), Some("job.s")].get(number).copied().flatten(),
            mode: Mode::Well,
            due: Vec::new(),
            taken: Vec::new(),
            times: BTreeMap::new(),
            secret: String::new(),
        };
        let mut world = Self {
            node: None,
            now: start(),
            receivers: (0..count).map(receiver).collect(),
            lines: BTreeMap::new(),
            disk: BTreeMap::new(),
            seen: 0,
            pace: usize::MAX,
            log: Vec::new(),
        };
        world.begin();
        world
    }

    pub(crate) fn node(&mut self) -> &mut FakeNode {
        self.node.as_mut().expect("it runs")
    }

    fn entries(&self, file: StateFile) -> Vec<(String, Value)> {
        let Some(bytes) = self.disk.get(&file) else { return Vec::new() };
        let loaded = Journal::load(file.name(), bytes).expect("a journal");
        assert_eq!(loaded.damage, Vec::<String>::new());
        loaded.entries
    }

    /// The node begins, with what the last one left.
    pub(crate) fn begin(&mut self) {
        let legacy = Legacy {
            jobs: self.entries(StateFile::Jobs),
            webhooks: self.entries(StateFile::Webhooks),
            deliveries: self.entries(StateFile::Deliveries),
            ..Legacy::default()
        };
        let hook = |number: usize, event: &str| Hook {
            event: event.into(),
            url: self.receivers[number].url.clone(),
            place: format!("g.ini:{number}"),
        };
        let hooking = Hooking {
            node: "n1".into(),
            hooks: vec![hook(0, ""), hook(1, "job.s")],
            queue: Some(QUEUE),
        };
        // Later than numbers have grown meanwhile, which is by one in a millisecond.
        self.now = self.now.plus(Duration::from_secs(10));
        self.node = Some(FakeNode::hooked(legacy, Vec::new(), hooking, self.now));
        self.seen = 0;
        self.settle();
    }

    /// The node is gone, with all its connections.
    pub(crate) fn kill(&mut self) {
        self.settle();
        self.node = None;
        self.lines.clear();
    }

    /// What the node wrote, and what it told.
    pub(crate) fn settle(&mut self) {
        let node = self.node.as_mut().expect("it runs");
        for (file, write) in std::mem::take(&mut node.stored) {
            let bytes = self.disk.entry(file).or_default();
            match write {
                Write::Append(more) => bytes.extend(more),
                Write::Replace(whole) => *bytes = whole,
            }
        }
        node.asked.clear();
        for (_, value) in self.entries(StateFile::Webhooks) {
            let of = |receiver: &&mut Receiver| value["url"] == receiver.url.text();
            if let Some(receiver) = self.receivers.iter_mut().find(of) {
                receiver.secret = value["secret"].as_str().expect("a secret").to_owned();
            }
        }
        self.watch();
    }

    /// Reads what happened, as somebody who watches does.
    fn watch(&mut self) {
        let node = self.node.as_mut().expect("it runs");
        let conn = node.connect_tcp();
        let head = format!(
            "GET /watch?feed=continuous&since={} HTTP/1.1\r\nHost: localhost\r\n\r\n",
            self.seen
        );
        node.send(conn, head.as_bytes(), &mut || usize::MAX);
        let told = String::from_utf8(node.take_answer(conn)).expect("text");
        node.vanish(conn);
        assert!(!told.contains("lagged"), "nothing is missed");
        for line in told.lines().filter(|line| line.starts_with("{\"event\"")) {
            let event: Value = serde_json::from_str(line).expect(line);
            let (name, seq) = (event["event"].as_str().expect("named"), event["seq"].as_u64());
            let seq = seq.expect("a number");
            self.seen = self.seen.max(seq);
            for receiver in &mut self.receivers {
                let begins = |prefix: &str| {
                    prefix.is_empty() || name == prefix || name.starts_with(&format!("{prefix}."))
                };
                if receiver.wants.is_some_and(begins) {
                    receiver.due.push(seq);
                }
            }
        }
    }

    /// Carries everything that there is to carry.
    pub(crate) fn exchange(&mut self) {
        for _ in 0..200_000 {
            let mut moved = self.answer_dials();
            for link in self.lines.keys().copied().collect::<Vec<_>>() {
                moved |= self.carry(link);
            }
            if !moved {
                return self.settle();
            }
        }
        panic!("they talk for ever");
    }

    fn answer_dials(&mut self) -> bool {
        let node = self.node.as_mut().expect("it runs");
        let dialled = std::mem::take(&mut node.dialled);
        let any = !dialled.is_empty();
        for (link, address) in dialled {
            if node.link_is_over(link) {
                continue;
            }
            let at = |receiver: &Receiver| receiver.url.address == address;
            let receiver = self.receivers.iter().position(at).expect("somebody is there");
            let mode = self.receivers[receiver].mode;
            if mode == Mode::Refusing {
                node.link_failed(link, "Connection refused");
            } else if mode != Mode::Mute {
                self.lines.insert(link, Line { receiver, input: Vec::new() });
                node.link_opened(link);
            }
        }
        any
    }

    fn carry(&mut self, link: LinkId) -> bool {
        let Some(mut line) = self.lines.remove(&link) else { return false };
        let node = self.node.as_mut().expect("it runs");
        let bytes = node.take_link_output(link, self.pace);
        if node.link_is_over(link) {
            node.link_closed(link);
            return true;
        }
        line.input.extend_from_slice(&bytes);
        let receiver = &mut self.receivers[line.receiver];
        if receiver.mode == Mode::Breaking && line.input.len() > 100 {
            node.link_closed(link);
            return true;
        }
        let Some(request) = Request::take(&mut line.input) else {
            self.lines.insert(link, line);
            return !bytes.is_empty();
        };
        let seq = receiver.take(&request, self.now);
        self.log.push(format!("{} {} {seq}", line.receiver, request.id));
        let answer = receiver.answer();
        let ends = matches!(
            receiver.mode,
            Mode::Closing | Mode::Leaving | Mode::Old | Mode::Cutting | Mode::Busy
        );
        self.lines.insert(link, line);
        for piece in answer.as_bytes().chunks(self.pace.min(answer.len().max(1))) {
            self.node.as_mut().expect("it runs").link_received(link, piece);
        }
        if ends {
            self.lines.remove(&link);
            self.node.as_mut().expect("it runs").link_closed(link);
        }
        true
    }

    /// Time passes, from one deadline of the node to the next.
    pub(crate) fn pass(&mut self, by: Duration) {
        let target = self.now.plus(by).mono;
        loop {
            self.exchange();
            let due = self.node().gaffer.deadline().unwrap_or(target);
            let wait = due.min(target).saturating_duration_since(self.now.mono);
            self.now = self.now.plus(wait);
            self.node().advance(wait);
            if self.now.mono == target {
                return self.exchange();
            }
        }
    }

    /// How the node sees one of them.
    pub(crate) fn view(&mut self, number: usize) -> Value {
        let id = self.receivers[number].url.id();
        self.node().get(&format!("/webhooks/{id}"))
    }

    /// Checks that each has all that it has to have, but for what was dropped.
    pub(crate) fn check(&mut self) {
        for number in 0..self.receivers.len() {
            if self.receivers[number].wants.is_none() {
                continue;
            }
            let view = self.view(number);
            let receiver = &self.receivers[number];
            let due: BTreeSet<u64> = receiver.due.iter().copied().collect();
            let taken: BTreeSet<u64> = receiver.taken.iter().copied().collect();
            assert!(taken.is_subset(&due), "{number}: it got what it did not want");
            let lost = due.difference(&taken).count();
            assert_eq!(view["queued"], 0, "{number}: {view}");
            let dropped = view["dropped"].as_u64().expect("a number");
            // What was taken without a word may have been dropped later, and is counted.
            assert!(lost as u64 <= dropped, "{number}: {lost} of {dropped} dropped are lost");
        }
    }
}

impl Receiver {
    /// Takes a message, if the mode is so; gives its number.
    fn take(&mut self, request: &Request, now: Now) -> u64 {
        let seq = request.body["seq"].as_u64().expect("a number");
        assert_eq!(request.body["node"], "n1");
        assert!(request.head.starts_with(&format!("POST {} HTTP/1.1\r\n", self.url.target)));
        assert!(request.head.contains("\r\nAuthorization: Basic dTpw\r\n"), "{}", request.head);
        let secret = self.secret.strip_prefix("whsec_").expect("it is made");
        let key = BASE64.decode(secret.as_bytes()).expect("base64");
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("any length");
        mac.update(format!("{}.{}.{}", request.id, request.timestamp, request.text).as_bytes());
        let signed = format!("v1,{}", BASE64.encode(&mac.finalize().into_bytes()));
        assert_eq!(request.signature, signed);
        let seconds = now.wall.duration_since(std::time::UNIX_EPOCH).expect("later").as_secs();
        assert_eq!(request.timestamp, seconds.to_string());
        let takes = matches!(
            self.mode,
            Mode::Well | Mode::Closing | Mode::Leaving | Mode::Old | Mode::Silent | Mode::Cutting
        );
        if takes {
            let times = self.times.entry(request.id.clone()).or_default();
            *times += 1;
            if *times == 1 {
                assert!(self.taken.last() < Some(&seq), "{seq} comes in its order");
                self.taken.push(seq);
            }
        }
        seq
    }

    fn answer(&self) -> &'static str {
        match self.mode {
            Mode::Well | Mode::Leaving => "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
            Mode::Closing => "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n",
            Mode::Old => "HTTP/1.0 200 OK\r\n\r\nthank you",
            Mode::Silent | Mode::Cutting | Mode::Breaking | Mode::Refusing | Mode::Mute => "",
            Mode::Failing => "HTTP/1.1 500 x\r\nContent-Length: 4\r\n\r\noops",
            Mode::Busy => "HTTP/1.1 429 x\r\nRetry-After: 30\r\nContent-Length: 0\r\n\r\n",
            Mode::Moved => {
                "HTTP/1.1 301 x\r\nLocation: http://r0/other\r\nContent-Length: 0\r\n\r\n"
            }
            Mode::Gone => "HTTP/1.1 410 x\r\nContent-Length: 0\r\n\r\n",
        }
    }
}

struct Request {
    head: String,
    text: String,
    body: Value,
    id: String,
    timestamp: String,
    signature: String,
}

impl Request {
    /// Takes one, once it is whole.
    fn take(input: &mut Vec<u8>) -> Option<Self> {
        let end = input.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
        let head = String::from_utf8(input[..end].to_vec()).expect("text");
        let field = |name: &str| {
            let value = head.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")));
            value.unwrap_or_else(|| panic!("no {name} in {head}")).to_owned()
        };
        let length: usize = field("Content-Length").parse().expect("a number");
        if input.len() < end + length {
            return None;
        }
        let text = String::from_utf8(input[end..end + length].to_vec()).expect("text");
        input.drain(..end + length);
        let body = serde_json::from_str(&text).expect("JSON");
        let (id, timestamp) = (field("Webhook-Id"), field("Webhook-Timestamp"));
        let signature = field("Webhook-Signature");
        Some(Self { head, text, body, id, timestamp, signature })
    }
}
