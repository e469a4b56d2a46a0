//! The application, the clients and their wires, and what happens at random.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant, UNIX_EPOCH};

use gaffer::base::clock::Now;
use gaffer::base::ids::{ConnId, SessionId};
use gaffer::base::random::Random;
use gaffer::front::clients::Clients;
use gaffer::front::outbox::Piece;
use gaffer::front::peer::Peer;
use gaffer::front::sockjs::{Counts, Happened, Options, Service};

use super::client::{Client, Line, Way};
use super::stream::Got;

/// What came up in a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen(BTreeMap<&'static str, u64>);

impl Seen {
    fn count(&mut self, what: &'static str) {
        *self.0.entry(what).or_default() += 1;
    }

    pub(super) fn add(&mut self, other: &Self) {
        for (what, count) in &other.0 {
            *self.0.entry(what).or_default() += count;
        }
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        self.0.iter().map(|(what, count)| (*what, *count))
    }
}

/// What the application knows of a session.
#[derive(Default)]
struct Talk {
    replies: u64,
    published: u64,
    /// Epoch and number of the last message.
    last: Option<(u64, u64)>,
    paused: bool,
    closed: bool,
}

/// Which connection of a client.
#[derive(Clone, Copy)]
enum Side {
    Receiver,
    Sender,
}

pub(super) struct World {
    service: Service,
    clients: Clients,
    now: Now,
    random: Random,
    talks: BTreeMap<SessionId, Talk>,
    people: Vec<Client>,
    seen: Seen,
}

impl World {
    #[expect(clippy::disallowed_methods, reason = "a test needs one instant to count from")]
    pub(super) fn run(seed: u64, steps: usize) -> Seen {
        let options = Options {
            legacy: true,
            response_limit: 8 * 1024,
            queue: 4 * 1024,
            sessions: 12,
            lagged: |_, lost| format!("lost {lost}"),
            ..Options::default()
        };
        let mut world = Self {
            service: Service::new("s", options, seed),
            clients: Clients::new(1000),
            now: Now { mono: Instant::now(), wall: UNIX_EPOCH },
            random: Random::seeded(seed),
            talks: BTreeMap::new(),
            people: Vec::new(),
            seen: Seen::default(),
        };
        for number in 0..14 {
            let way = Way::ALL[number % Way::ALL.len()];
            world.people.push(Client::new(format!("s{number}"), way));
        }
        for _ in 0..steps {
            world.step();
            world.check();
        }
        world.end();
        world.seen
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.random.below(100) < percent
    }

    fn step(&mut self) {
        let who = usize::try_from(self.random.below(14)).expect("small");
        match self.random.below(20) {
            0..4 => self.receive(who),
            4..8 => self.send(who),
            8..12 => self.read(who),
            12 => self.spoil(who),
            13 => self.publish(),
            14 | 15 => self.meddle(),
            _ => {
                let seconds =
                    [0, 0, 1, 1, 3, 6, 26][usize::try_from(self.random.below(7)).expect("small")];
                self.wait(Duration::from_secs(seconds));
            }
        }
        for who in 0..self.people.len() {
            if self.chance(60) {
                self.read(who);
            }
        }
    }

    /// A client that does not receive asks to.
    fn receive(&mut self, who: usize) {
        let request = self.people[who].receive_request();
        if self.people[who].receiver.busy {
            let owned = self.people[who].receiver.conn.is_some_and(|c| self.service.owns(c));
            if owned && !self.people[who].way.is_socket() && self.chance(10) {
                self.intrude(&request);
            }
            return;
        }
        if self.people[who].way.is_socket() {
            self.people[who].begin_anew();
        }
        self.people[who].receiver.busy = true;
        self.write(who, Side::Receiver, request.as_bytes());
    }

    /// A second receiver for a session that has one hears so, and changes nothing.
    fn intrude(&mut self, request: &str) {
        let Some(conn) = self.connect() else { return };
        self.feed(conn, request.as_bytes());
        let got = String::from_utf8(self.clients.transmit(conn).to_vec()).expect("text");
        assert!(got.contains("c[2010,"), "{got}");
        self.seen.count("second receivers");
        self.vanish_conn(conn);
    }

    fn send(&mut self, who: usize) {
        let count = self.random.below(3) + 1;
        let person = &mut self.people[who];
        if !person.is_open {
            return;
        }
        if person.way.is_socket() {
            let messages = person.messages(count);
            let framed = person.way == Way::Socket;
            let texts = match framed {
                true => vec![serde_json::to_string(&messages).expect("JSON")],
                false => messages,
            };
            let bytes: Vec<u8> =
                texts.iter().flat_map(|text| frame(0x81, text.as_bytes())).collect();
            return self.write(who, Side::Receiver, &bytes);
        }
        if person.sender.busy {
            return;
        }
        person.sender.busy = true;
        let (name, broken) = (person.name.clone(), self.random.below(100) < 5);
        let body = match broken {
            true => "[\"x".to_owned(),
            false => serde_json::to_string(&self.people[who].messages(count)).expect("JSON"),
        };
        let what = if self.people[who].way == Way::Jsonp { "jsonp_send" } else { "xhr_send" };
        let length = body.len();
        let request = format!(
            "POST /s/9/{name}/{what} HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        self.write(who, Side::Sender, request.as_bytes());
    }

    /// A client reads some of what it is owed.
    fn read(&mut self, who: usize) {
        for side in [Side::Receiver, Side::Sender] {
            let line = self.line(who, side);
            let Some(conn) = line.conn.filter(|_| !line.stalled) else { continue };
            let most = usize::try_from(1 << self.random.below(14)).expect("small");
            let owed = self.clients.transmit(conn);
            let owed = owed[..owed.len().min(most)].to_vec();
            if !owed.is_empty() {
                self.line(who, side).stream.push(&owed);
                self.clients.change(conn, |conn| conn.sent(owed.len(), self.now));
                self.drive(conn);
            }
            self.look(who, side);
        }
    }

    /// A client makes sense of what it has read.
    fn look(&mut self, who: usize, side: Side) {
        match side {
            Side::Receiver => self.people[who].take_received(),
            Side::Sender => {
                while let Some(got) = self.people[who].sender.stream.next() {
                    let Got::Answer(status, body) = got else { panic!("{got:?}") };
                    assert!([200, 204, 404, 500, 503].contains(&status), "{status} {body}");
                    self.people[who].sender.busy = false;
                    self.seen.count("answers to senders");
                }
            }
        }
        let conn = self.line(who, side).conn;
        if conn.is_some_and(|conn| self.clients.is_finished(conn)) {
            self.hang_up(who, side);
        }
    }

    /// A client does what clients should not.
    fn spoil(&mut self, who: usize) {
        let side = if self.chance(80) { Side::Receiver } else { Side::Sender };
        let Some(conn) = self.line(who, side).conn else { return };
        match self.random.below(5) {
            0 => {
                self.seen.count("clients that vanish");
                self.hang_up(who, side);
            }
            1 => {
                self.seen.count("clients that end their side");
                self.clients.change(conn, |conn| conn.ended(self.now));
                self.drive(conn);
                self.read(who);
                self.hang_up(who, side);
            }
            2 if self.people[who].way.is_socket() && self.people[who].is_open => {
                self.seen.count("clients that close");
                let code = if self.chance(50) { 0x88 } else { 0x82 };
                self.write(who, Side::Receiver, &frame(code, &1000_u16.to_be_bytes()));
            }
            _ => {
                self.seen.count("clients that stall");
                let line = self.line(who, side);
                line.stalled = !line.stalled;
            }
        }
    }

    /// The application says the same to all.
    fn publish(&mut self) {
        let size = usize::try_from(self.random.below(3000)).expect("small");
        for _ in 0..self.random.below(10) {
            for id in self.talks.keys().copied().collect::<Vec<_>>() {
                let Some(talk) = self.talks.get_mut(&id).filter(|talk| !talk.closed) else {
                    continue;
                };
                let text = format!("p{} {}", talk.published, "\u{200c}".repeat(size / 3));
                talk.published += 1;
                let piece = Piece::Published("topic".into(), text.into());
                self.service.send(id, piece, &mut self.clients, self.now);
            }
        }
        self.happen();
    }

    /// The application does something to one session.
    fn meddle(&mut self) {
        let count = u64::try_from(self.talks.len()).expect("few");
        let which = usize::try_from(self.random.below(count)).expect("small");
        let Some((id, talk)) = self.talks.iter_mut().nth(which) else { return };
        let id = *id;
        match self.random.below(8) {
            0 => {
                self.seen.count("ends by the application");
                talk.closed = true;
                self.service.close(id, 3000, "Go away!", &mut self.clients, self.now);
            }
            1 => {
                self.seen.count("floods of replies");
                for _ in 0..80 {
                    self.reply(id);
                }
            }
            _ if talk.paused => {
                talk.paused = false;
                self.service.resume(id);
            }
            _ => {
                self.seen.count("pauses");
                talk.paused = true;
                self.service.pause(id);
            }
        }
        self.happen();
    }

    fn reply(&mut self, id: SessionId) {
        let Some(talk) = self.talks.get_mut(&id) else { return };
        let text = format!("r{}", talk.replies);
        talk.replies += 1;
        self.service.send(id, Piece::Reply(text.into()), &mut self.clients, self.now);
    }

    /// The application takes what happened.
    fn happen(&mut self) {
        while let Some(happened) = self.service.next(&mut self.clients, self.now) {
            match happened {
                Happened::Opened(id, _) => {
                    self.seen.count("sessions");
                    assert!(self.talks.insert(id, Talk::default()).is_none(), "opened twice");
                }
                Happened::Said(id, text) => {
                    let talk = self.talks.get_mut(&id).expect("an open session");
                    assert!(!talk.paused && !talk.closed, "said in vain");
                    let (epoch, number) = text.split_once('.').expect("two numbers");
                    let said = (epoch.parse().expect("one"), number.parse().expect("one"));
                    if let Some(last) = talk.last {
                        let next = last.0 == said.0 && said.1 == last.1 + 1;
                        assert!(next || said.0 > last.0, "{said:?} follows {last:?}");
                    }
                    talk.last = Some(said);
                    self.seen.count("messages");
                    self.reply(id);
                    if self.chance(5) {
                        self.talks.get_mut(&id).expect("an open session").paused = true;
                        self.service.pause(id);
                    }
                }
                Happened::Closed(id) => {
                    self.seen.count("ends");
                    assert!(self.talks.remove(&id).is_some(), "closed twice");
                }
            }
        }
    }

    fn wait(&mut self, time: Duration) {
        let until = self.now.plus(time);
        loop {
            let due =
                [self.service.deadline(), self.clients.deadline()].into_iter().flatten().min();
            let Some(due) = due.filter(|due| *due <= until.mono) else { break };
            self.now = self.now.plus(due.saturating_duration_since(self.now.mono));
            while let Some(conn) = self.clients.next_due(self.now) {
                self.drive(conn);
            }
            self.service.on_time(&mut self.clients, self.now);
            self.happen();
            for who in 0..self.people.len() {
                self.read(who);
            }
        }
        self.now = until;
    }

    fn connect(&mut self) -> Option<ConnId> {
        let remote = SocketAddr::from(([127, 0, 0, 1], 40_000));
        self.clients.accept(Peer::Tcp { remote, tls: None }, self.now)
    }

    fn line(&mut self, who: usize, side: Side) -> &mut Line {
        match side {
            Side::Receiver => &mut self.people[who].receiver,
            Side::Sender => &mut self.people[who].sender,
        }
    }

    /// A client sends bytes, over a connection that it makes if it has none.
    fn write(&mut self, who: usize, side: Side, bytes: &[u8]) {
        if self.line(who, side).conn.is_none() {
            let conn = self.connect();
            self.line(who, side).conn = conn;
        }
        let Some(conn) = self.line(who, side).conn else { return };
        self.feed(conn, bytes);
    }

    fn feed(&mut self, conn: ConnId, bytes: &[u8]) {
        let mut rest = bytes;
        let longest = [1, 10, 1000][usize::try_from(self.random.below(3)).expect("small")];
        while !rest.is_empty() {
            let (first, after) = rest.split_at(rest.len().min(longest));
            rest = after;
            self.clients.change(conn, |conn| conn.received(first, self.now));
            self.drive(conn);
        }
    }

    /// What a machine does with a connection that changed.
    fn drive(&mut self, id: ConnId) {
        loop {
            self.service.conn_changed(id, &mut self.clients, self.now);
            self.happen();
            let Some(client) = self.clients.get_mut(id) else { return };
            let Some(request) = client.conn.take_request() else { break };
            let rest = request.segments().expect("a path");
            self.service.request(id, &request, &rest[1..], &mut self.clients, self.now);
        }
        self.happen();
    }

    /// A client's connection is gone, and what it did not read with it.
    fn hang_up(&mut self, who: usize, side: Side) {
        let Some(conn) = self.line(who, side).conn else { return };
        match side {
            Side::Receiver => self.people[who].begin_anew(),
            Side::Sender => self.people[who].sender = Line::default(),
        }
        self.vanish_conn(conn);
    }

    fn vanish_conn(&mut self, conn: ConnId) {
        self.service.conn_gone(conn, &mut self.clients, self.now);
        self.clients.remove(conn);
        self.happen();
    }

    fn check(&mut self) {
        self.service.sweep(&self.clients).expect("a sound service");
        self.clients.sweep().expect("sound clients");
    }

    /// Everybody goes, time passes, and nothing is left.
    fn end(&mut self) {
        for who in 0..self.people.len() {
            for side in [Side::Receiver, Side::Sender] {
                self.hang_up(who, side);
            }
            let [messages, beats, gaps, ends] = self.people[who].seen;
            for (what, count) in [
                ("messages to clients", messages),
                ("heartbeats", beats),
                ("gaps", gaps),
                ("ends told", ends),
            ] {
                *self.seen.0.entry(what).or_default() += count;
            }
        }
        self.wait(Duration::from_secs(10));
        self.check();
        // What was lost is counted for good; nothing else is left.
        let counts = self.service.counts();
        assert_eq!(counts, Counts { lost: counts.lost, ..Counts::default() });
        assert!(self.clients.is_empty() && self.talks.is_empty());
    }
}

/// A client's frame: masked, final.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [1, 2, 3, 4];
    let length = u8::try_from(payload.len()).ok().filter(|length| *length < 126);
    let mut bytes = vec![first, 0x80 | length.expect("a short one")];
    bytes.extend(mask);
    bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}
