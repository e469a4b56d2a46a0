//! Who follows what on the channel. A topic is kept under the name that its followers wrote, so its
//! text is made once for all of them; each has as many subscriptions to it as it asked for, and ends
//! them one by one.

use std::rc::Rc;
use std::time::{Duration, SystemTime};

use serde_json::{json, Map, Value};

use super::history::{History, Record};
use super::topics::{has_prefix, Topic, Watched, Written};
use super::watches::{Watcher, Watches};
use crate::base::clock::{epoch_seconds, Now};
use crate::base::ids::{Pid, SessionId, StreamNo};
use crate::base::limits;
use crate::base::sorted::{SortedMap, SortedSet};
use crate::supervisor::name::JobName;
use crate::wire::channel;

/// Takes a text of a topic to one of its followers.
pub type Deliver<'a> = &'a mut dyn FnMut(SessionId, &Rc<str>, &Rc<str>);

/// Everything that is followed.
#[derive(Default)]
pub struct Hub {
    topics: SortedMap<Rc<str>, Followed>,
    sessions: SortedMap<SessionId, SortedMap<Rc<str>, Subscribed>>,
    /// The topics about the output and the statistics of each process.
    of_process: SortedMap<Pid, SortedSet<Rc<str>>>,
    /// The topics about events.
    events: SortedSet<Rc<str>>,
    /// The topics about the output of jobs.
    logs: SortedSet<Rc<str>>,
    /// Who wants statistics, feeds too.
    pub watches: Watches,
}

/// A topic with its followers.
struct Followed {
    what: Followable,
    by: SortedSet<SessionId>,
}

/// A topic for which everything it names was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Followable {
    /// Events whose name begins so.
    Events(String),
    /// Statistics.
    Stats(Watched),
    /// What all instances use, in one message.
    Usage,
    /// A stream of a process, and what it is called there.
    Stream(Pid, StreamNo, String),
    /// The output of jobs.
    Logs(Written),
}

/// A session's part in a topic.
struct Subscribed {
    count: u32,
    interval: Duration,
}

/// Some bytes of a process's output.
pub struct Chunk<'a> {
    /// The job.
    pub job: &'a JobName,
    /// Which instance of it.
    pub instance: u32,
    /// Whether that is a one-off, whose number a kept instance may have too.
    pub once: bool,
    /// The process.
    pub pid: Pid,
    /// The stream.
    pub stream: StreamNo,
    /// What it is called where nobody has named it.
    pub label: &'a str,
    /// The number of this output, as `GET /logs` tells it.
    pub seq: u64,
    /// When it was written.
    pub at: SystemTime,
    /// What it wrote.
    pub bytes: &'a [u8],
}

/// No more will come of a run, not even the end of its last line.
pub struct EndOfOutput<'a> {
    /// The job.
    pub job: &'a JobName,
    /// Which instance of it.
    pub instance: u32,
    /// Whether that is a one-off.
    pub once: bool,
    /// The process.
    pub pid: Pid,
}

impl Chunk<'_> {
    /// It as the topic of a job's output tells it. What is no UTF-8 is replaced, as JSON has no other way.
    pub fn log(&self) -> Map<String, Value> {
        let mut told = instance_of("log", (self.job, self.instance, self.once), self.pid);
        told.insert("stream".to_owned(), json!(self.label));
        told.insert("fd".to_owned(), json!(self.stream.0));
        told.insert("seq".to_owned(), json!(self.seq));
        told.insert("ts".to_owned(), json!(epoch_seconds(self.at)));
        told.insert("data".to_owned(), json!(String::from_utf8_lossy(self.bytes)));
        told
    }
}

impl EndOfOutput<'_> {
    /// It as the topic of a job's output tells it.
    pub fn log(&self) -> Map<String, Value> {
        instance_of("log_end", (self.job, self.instance, self.once), self.pid)
    }
}

fn instance_of(
    event: &str,
    (job, instance, once): (&JobName, u32, bool),
    pid: Pid,
) -> Map<String, Value> {
    let mut told = Map::from_iter([
        ("event".to_owned(), json!(event)),
        ("name".to_owned(), json!(job.to_string())),
        ("instance".to_owned(), json!(instance)),
        ("pid".to_owned(), json!(pid.0)),
    ]);
    if once {
        told.insert("once".to_owned(), Value::Bool(true));
    }
    told
}

/// The session follows as much as it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooMany;

impl Hub {
    /// Follows a topic, once more if it does already.
    ///
    /// # Errors
    /// The session has too many topics.
    pub fn subscribe(
        &mut self,
        session: SessionId,
        topic: &str,
        what: Followable,
        interval: Option<Duration>,
        now: Now,
    ) -> Result<Rc<str>, TooMany> {
        let known = self.topics.get_key_value(topic);
        let name = known.map_or_else(|| topic.into(), |(known, _)| Rc::clone(known));
        let own = self.sessions.entry(session).or_default();
        if own.len() >= limits::SUBSCRIPTIONS && !own.contains_key(&name) {
            return Err(TooMany);
        }
        let subscribed = own
            .entry(Rc::clone(&name))
            .or_insert_with(|| Subscribed { count: 0, interval: what.usual_interval() });
        subscribed.count = subscribed.count.saturating_add(1);
        let before = subscribed.interval;
        subscribed.interval = interval.unwrap_or(before);
        let interval = subscribed.interval;
        match &what {
            Followable::Events(_) => drop(self.events.insert(Rc::clone(&name))),
            Followable::Logs(_) => drop(self.logs.insert(Rc::clone(&name))),
            Followable::Stream(..) => {}
            Followable::Stats(_) | Followable::Usage => {}
        }
        if let Some(watched) = what.watched() {
            let watcher = Watcher::Session(session, Rc::clone(&name));
            self.watches.remove(&watcher, watched, before);
            self.watches.add(watcher, watched, interval, now);
        }
        if let Some(pid) = what.process() {
            self.of_process.entry(pid).or_default().insert(Rc::clone(&name));
        }
        let followed = self.topics.entry(Rc::clone(&name));
        followed.or_insert(Followed { what, by: SortedSet::new() }).by.insert(session);
        Ok(name)
    }

    /// Ends one subscription; whether it was the session's last to this topic.
    pub fn unsubscribe(&mut self, session: SessionId, topic: &str) -> bool {
        let Some(own) = self.sessions.get_mut(&session) else { return false };
        let Some(subscribed) = own.get_mut(topic) else { return false };
        subscribed.count -= 1;
        if subscribed.count > 0 {
            return false;
        }
        let interval = subscribed.interval;
        own.remove(topic);
        if own.is_empty() {
            self.sessions.remove(&session);
        }
        self.leave(session, topic, interval);
        true
    }

    /// The session is gone, and all that it followed with it.
    pub fn forget(&mut self, session: SessionId) {
        for (topic, own) in self.sessions.remove(&session).unwrap_or_default() {
            self.leave(session, &topic, own.interval);
        }
    }

    fn leave(&mut self, session: SessionId, topic: &str, interval: Duration) {
        let Some((name, followed)) = self.topics.get_key_value(topic) else { return };
        if let Some(watched) = followed.what.watched() {
            let watcher = Watcher::Session(session, Rc::clone(name));
            self.watches.remove(&watcher, watched, interval);
        }
        let Some(followed) = self.topics.get_mut(topic) else { return };
        followed.by.remove(&session);
        if !followed.by.is_empty() {
            return;
        }
        let Some(followed) = self.topics.remove(topic) else { return };
        self.events.remove(topic);
        self.logs.remove(topic);
        let Some(pid) = followed.what.process() else { return };
        let Some(topics) = self.of_process.get_mut(&pid) else { return };
        topics.remove(topic);
        if topics.is_empty() {
            self.of_process.remove(&pid);
        }
    }

    /// A process is gone, and its number never comes again: nothing more will be told of its output or
    /// its statistics, so that nobody follows them any more. Whoever ends a subscription to them later
    /// is answered as ever.
    pub fn end_process(&mut self, pid: Pid) {
        for topic in self.of_process.get(&pid).cloned().unwrap_or_default() {
            let Some(followed) = self.topics.get(&topic) else { continue };
            for session in followed.by.clone() {
                let Some(own) = self.sessions.get_mut(&session) else { continue };
                let Some(subscribed) = own.remove(&topic) else { continue };
                if own.is_empty() {
                    self.sessions.remove(&session);
                }
                self.leave(session, &topic, subscribed.interval);
            }
        }
    }

    /// Tells an event to whoever follows it.
    pub fn event(&self, record: &Record, deliver: Deliver<'_>) {
        if self.events.is_empty() {
            return;
        }
        for told in record.messages() {
            let mut members = None;
            for topic in &self.events {
                let Some(followed) = self.topics.get(topic) else { continue };
                let Followable::Events(prefix) = &followed.what else { continue };
                if !has_prefix(told.name, prefix) {
                    continue;
                }
                let members = members.get_or_insert_with(|| told.members());
                let text: Rc<str> = channel::event(topic, members).into();
                for session in &followed.by {
                    deliver(*session, topic, &text);
                }
            }
        }
    }

    /// How many events of a topic came after this one and are kept no more. Nobody knows to which topics
    /// those belonged, so all are counted.
    pub fn lost(&self, topic: &str, history: &History, since: u64) -> u64 {
        let followed = self.topics.get(topic).map(|followed| &followed.what);
        match followed {
            Some(Followable::Events(_)) => history.since(since).1,
            Some(
                Followable::Stats(_)
                | Followable::Usage
                | Followable::Stream(..)
                | Followable::Logs(_),
            )
            | None => 0,
        }
    }

    /// Tells a session what it missed of a topic since this event.
    pub fn catch_up(
        &self,
        session: SessionId,
        topic: &Rc<str>,
        (history, since): (&History, u64),
        deliver: Deliver<'_>,
    ) {
        let followed = self.topics.get(topic).map(|followed| &followed.what);
        let Some(Followable::Events(prefix)) = followed else { return };
        let after = if since > history.last() { 0 } else { since };
        for record in history.since(since).0 {
            for told in record.messages() {
                if told.seq > after && has_prefix(told.name, prefix) {
                    let text: Rc<str> = channel::event(topic, &told.members()).into();
                    deliver(session, topic, &text);
                }
            }
        }
    }

    /// Whether a topic tells of all instances in one message.
    pub fn is_usage(&self, topic: &str) -> bool {
        self.topics.get(topic).is_some_and(|followed| followed.what == Followable::Usage)
    }

    /// Which stream of which process a topic is, if it is one.
    pub fn stream(&self, topic: &str) -> Option<(Pid, StreamNo)> {
        match &self.topics.get(topic)?.what {
            Followable::Stream(pid, stream, _) => Some((*pid, *stream)),
            Followable::Events(_)
            | Followable::Stats(_)
            | Followable::Usage
            | Followable::Logs(_) => None,
        }
    }

    /// Whether anybody may follow the output of a process.
    pub fn follows_output(&self, pid: Pid) -> bool {
        !self.logs.is_empty() || self.of_process.contains_key(&pid)
    }

    /// Tells what a process wrote. What is no UTF-8 is replaced, as JSON has no other way.
    pub fn output(&self, chunk: &Chunk<'_>, deliver: Deliver<'_>) {
        self.log((chunk.job, chunk.instance), deliver, || chunk.log());
        for topic in self.of_process.get(&chunk.pid).into_iter().flatten() {
            let Some((text, followed)) = self.written(topic, chunk) else { continue };
            for session in &followed.by {
                deliver(*session, topic, &text);
            }
        }
    }

    /// Tells something to those who follow the output of an instance.
    fn log(
        &self,
        (job, instance): (&JobName, u32),
        deliver: Deliver<'_>,
        message: impl FnOnce() -> Map<String, Value>,
    ) {
        let is_meant = |topic: &&Rc<str>| {
            self.written_by(topic).is_some_and(|written| written.includes(job, instance))
        };
        let mut meant = self.logs.iter().filter(is_meant).peekable();
        if meant.peek().is_none() {
            return;
        }
        let members = channel::members(&message());
        for topic in meant {
            let Some(followed) = self.topics.get(topic) else { continue };
            let text: Rc<str> = channel::event(topic, &members).into();
            for session in &followed.by {
                deliver(*session, topic, &text);
            }
        }
    }

    /// Whose output a topic is about, if it is about that of jobs.
    pub fn written_by(&self, topic: &str) -> Option<&Written> {
        match &self.topics.get(topic)?.what {
            Followable::Logs(written) => Some(written),
            Followable::Events(_)
            | Followable::Stats(_)
            | Followable::Usage
            | Followable::Stream(..) => None,
        }
    }

    /// Tells those who follow the output of an instance that one of its runs is over.
    pub fn end_of_output(&self, end: &EndOfOutput<'_>, deliver: Deliver<'_>) {
        self.log((end.job, end.instance), deliver, || end.log());
    }

    /// Tells a session what a process had written to a stream before it began to follow that.
    pub fn recall(
        &self,
        session: SessionId,
        topic: &Rc<str>,
        chunk: &Chunk<'_>,
        deliver: Deliver<'_>,
    ) {
        if let Some((text, _)) = self.written(topic, chunk) {
            deliver(session, topic, &text);
        }
    }

    /// The text of what a process wrote, if the topic is of that stream.
    fn written(&self, topic: &str, chunk: &Chunk<'_>) -> Option<(Rc<str>, &Followed)> {
        let followed = self.topics.get(topic)?;
        let Followable::Stream(_, stream, label) = &followed.what else { return None };
        if *stream != chunk.stream {
            return None;
        }
        let members = channel::members(&Map::from_iter([
            ("event".to_owned(), json!(label)),
            ("name".to_owned(), json!(chunk.job.to_string())),
            ("pid".to_owned(), json!(chunk.pid.0)),
            ("data".to_owned(), json!(String::from_utf8_lossy(chunk.bytes))),
        ]));
        Some((channel::event(topic, &members).into(), followed))
    }

    /// How many topics are followed, and in how many subscriptions.
    pub fn counts(&self) -> (usize, usize) {
        let each = self.sessions.values().flat_map(SortedMap::values);
        (self.topics.len(), each.map(|own| usize::try_from(own.count).unwrap_or(0)).sum())
    }

    /// Everybody who follows something.
    pub fn sessions(&self) -> impl Iterator<Item = SessionId> + '_ {
        self.sessions.keys().copied()
    }

    /// Whether a session follows a topic.
    pub fn follows(&self, session: SessionId, topic: &str) -> bool {
        self.sessions.get(&session).is_some_and(|own| own.contains_key(topic))
    }

    /// Checks that both sides of every subscription know of each other.
    ///
    /// # Errors
    /// What does not fit, in words.
    pub fn sweep(&self) -> Result<(), String> {
        for (topic, followed) in &self.topics {
            if followed.by.is_empty() {
                return Err(format!("{topic} is followed by nobody and kept"));
            }
            for session in &followed.by {
                if !self.sessions.get(session).is_some_and(|own| own.contains_key(topic)) {
                    return Err(format!("{session:?} does not know that it follows {topic}"));
                }
            }
        }
        for (session, own) in &self.sessions {
            for topic in own.keys() {
                if !self.topics.get(topic).is_some_and(|known| known.by.contains(session)) {
                    return Err(format!("{topic} does not know that {session:?} follows it"));
                }
            }
        }
        let indexed = self.of_process.values().flatten().chain(&self.events).chain(&self.logs);
        match indexed.clone().find(|topic| !self.topics.contains_key(*topic)) {
            Some(topic) => Err(format!("{topic} is indexed and not followed")),
            None => Ok(()),
        }
    }
}

impl Followable {
    /// Whose output or statistics it is alone.
    fn process(&self) -> Option<Pid> {
        match self {
            Self::Stream(pid, _, _) | Self::Stats(Watched::Process(pid)) => Some(*pid),
            Self::Events(_)
            | Self::Logs(_)
            | Self::Usage
            | Self::Stats(Watched::Job(_) | Watched::All) => None,
        }
    }

    /// Whom it has measured again and again.
    fn watched(&self) -> Option<&Watched> {
        match self {
            Self::Stats(watched) => Some(watched),
            Self::Usage => Some(&Watched::All),
            Self::Events(_) | Self::Stream(..) | Self::Logs(_) => None,
        }
    }

    /// How often, when nobody says otherwise.
    fn usual_interval(&self) -> Duration {
        match self {
            Self::Usage => limits::USAGE_INTERVAL,
            Self::Events(_) | Self::Stats(_) | Self::Stream(..) | Self::Logs(_) => {
                limits::STATS_INTERVAL
            }
        }
    }

    /// What a topic names, if it needs no search.
    pub fn of(topic: Topic) -> Result<Self, (Pid, Option<String>)> {
        match topic {
            Topic::Events(prefix) => Ok(Self::Events(prefix)),
            Topic::Process(pid) => Ok(Self::Events(format!("proc.{pid}"))),
            Topic::Stats(watched) => Ok(Self::Stats(watched)),
            Topic::Usage => Ok(Self::Usage),
            Topic::Logs(written) => Ok(Self::Logs(written)),
            Topic::Stream(pid, label) => Err((pid, label)),
        }
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test needs one instant to count from")]
mod tests {
    use super::*;
    use crate::base::arena::Key;
    use crate::supervisor::event::Event;
    use crate::supervisor::name::JobName;
    use std::time::{Instant, UNIX_EPOCH};

    fn session(index: u32) -> SessionId {
        SessionId(Key { index, generation: 0 })
    }

    fn now() -> Now {
        Now { mono: Instant::now(), wall: UNIX_EPOCH }
    }

    fn events(hub: &mut Hub, index: u32, topic: &str, prefix: &str) {
        let what = Followable::Events(prefix.into());
        hub.subscribe(session(index), topic, what, None, now()).expect("room");
        hub.sweep().expect("whole");
    }

    #[test]
    fn a_text_is_made_once_for_all_who_wrote_the_topic_alike() {
        let mut hub = Hub::default();
        events(&mut hub, 1, "EVENTS", "");
        events(&mut hub, 2, "EVENTS", "");
        events(&mut hub, 3, "events:job.a", "job.a");
        let mut history = History::new(now());
        let record = history.add(&Event::Start(JobName::parse("a.b").expect("name")), now());
        let mut told: Vec<(u32, String, Rc<str>)> = Vec::new();
        hub.event(&record, &mut |to, topic, text| {
            told.push((to.0.index, topic.to_string(), Rc::clone(text)));
        });
        let to: Vec<(u32, &str)> =
            told.iter().map(|(to, topic, _)| (*to, topic.as_str())).collect();
        assert_eq!(
            to,
            [(1, "EVENTS"), (2, "EVENTS"), (1, "EVENTS"), (2, "EVENTS"), (3, "events:job.a")]
        );
        assert!(Rc::ptr_eq(&told[0].2, &told[1].2));
        assert!(told[4].2.contains(r#""event": "job.a.b.start""#), "{}", told[4].2);
        assert!(told[4].2.contains(r#""topic": "events:job.a""#), "{}", told[4].2);
    }

    #[test]
    fn as_many_subscriptions_end_as_were_begun() {
        let mut hub = Hub::default();
        events(&mut hub, 1, "EVENTS", "");
        events(&mut hub, 1, "EVENTS", "");
        assert_eq!(hub.counts(), (1, 2));
        assert!(!hub.unsubscribe(session(1), "EVENTS"));
        assert!(hub.unsubscribe(session(1), "EVENTS"));
        assert!(!hub.unsubscribe(session(1), "EVENTS"));
        assert_eq!(hub.counts(), (0, 0));
        hub.sweep().expect("whole");
    }

    #[test]
    fn a_session_that_vanishes_leaves_nothing() {
        let mut hub = Hub::default();
        events(&mut hub, 1, "EVENTS", "");
        events(&mut hub, 2, "EVENTS", "");
        let stream = Followable::Stream(Pid(7), StreamNo::STDOUT, "out".into());
        hub.subscribe(session(1), "STREAM:7", stream, None, now()).expect("room");
        assert!(hub.follows_output(Pid(7)));
        hub.forget(session(1));
        hub.sweep().expect("whole");
        assert!(!hub.follows_output(Pid(7)));
        assert_eq!(hub.counts(), (1, 1));
        hub.forget(session(2));
        assert_eq!(hub.counts(), (0, 0));
        assert!(hub.of_process.is_empty() && hub.events.is_empty());
    }

    #[test]
    fn nobody_follows_a_process_that_is_gone() {
        let mut hub = Hub::default();
        let stream = Followable::Stream(Pid(7), StreamNo::STDOUT, "out".into());
        hub.subscribe(session(1), "STREAM:7", stream, None, now()).expect("room");
        let stats = Followable::Stats(Watched::Process(Pid(7)));
        hub.subscribe(session(2), "STATS:7", stats, None, now()).expect("room");
        events(&mut hub, 2, "EVENTS", "");
        assert!(hub.watches.deadline().is_some());
        hub.end_process(Pid(7));
        hub.sweep().expect("whole");
        assert_eq!(hub.counts(), (1, 1), "events go on");
        assert!(hub.watches.deadline().is_none(), "nothing is measured for it");
        assert!(!hub.unsubscribe(session(1), "STREAM:7"));
    }

    #[test]
    fn output_goes_to_those_who_follow_this_stream() {
        let mut hub = Hub::default();
        for (index, stream, label) in [(1, StreamNo::STDOUT, "out"), (2, StreamNo::STDERR, "err")] {
            let what = Followable::Stream(Pid(7), stream, label.into());
            hub.subscribe(session(index), &format!("STREAM:7.{label}"), what, None, now())
                .expect("room");
        }
        let job = JobName::parse("a.b").expect("name");
        let mut told = Vec::new();
        hub.output(&chunk(&job, 3), &mut |to, _, text| {
            told.push((to.0.index, text.to_string()));
        });
        assert_eq!(told.len(), 1);
        assert_eq!(told[0].0, 2);
        assert!(told[0].1.contains("\"data\": \"x\u{fffd}\""), "{}", told[0].1);
        assert!(told[0].1.contains("\"event\": \"err\""), "{}", told[0].1);
    }

    #[test]
    fn a_session_follows_so_many_topics_and_no_more() {
        let mut hub = Hub::default();
        for number in 0..limits::SUBSCRIPTIONS {
            events(&mut hub, 1, &format!("EVENTS:{number}"), "x");
        }
        let what = Followable::Events(String::new());
        assert_eq!(hub.subscribe(session(1), "EVENTS", what.clone(), None, now()), Err(TooMany));
        assert!(hub.subscribe(session(1), "EVENTS:0", what.clone(), None, now()).is_ok());
        assert!(hub.subscribe(session(2), "EVENTS", what, None, now()).is_ok());
    }

    fn chunk(job: &JobName, seq: u64) -> Chunk<'_> {
        let stream = StreamNo::STDERR;
        let (instance, once, at) = (2, false, UNIX_EPOCH);
        Chunk { job, instance, once, pid: Pid(7), stream, label: "err", seq, at, bytes: b"x\xff" }
    }

    #[test]
    fn the_output_of_a_job_goes_to_those_who_follow_it_or_its_session() {
        let mut hub = Hub::default();
        let job = |text: &str| JobName::parse(text).expect("name");
        for (index, topic, written) in [
            (1, "LOGS:a.b", Written::Job(job("a.b"), None)),
            (2, "LOGS:a", Written::Session("a".into())),
            (3, "LOGS:a.bb", Written::Job(job("a.bb"), None)),
            (4, "LOGS:a.b:1", Written::Job(job("a.b"), Some(1))),
            (5, "LOGS:a.b:2", Written::Job(job("a.b"), Some(2))),
        ] {
            let what = Followable::Logs(written);
            hub.subscribe(session(index), topic, what, None, now()).expect("room");
        }
        assert!(hub.follows_output(Pid(9)), "of a process that is not known yet");
        let mut told = Vec::new();
        let mut tell = |to: SessionId, _: &Rc<str>, text: &Rc<str>| {
            told.push((to.0.index, text.to_string()));
        };
        let job = job("a.b");
        hub.output(&chunk(&job, 5), &mut tell);
        let end = EndOfOutput { job: &job, instance: 2, once: false, pid: Pid(7) };
        hub.end_of_output(&end, &mut tell);
        let to: Vec<u32> = told.iter().map(|(to, _)| *to).collect();
        assert_eq!(to, [2, 1, 5, 2, 1, 5]);
        for part in
            [r#""event": "log", "fd": 2, "instance": 2"#, r#""seq": 5"#, "\"data\": \"x\u{fffd}\""]
        {
            assert!(told[0].1.contains(part), "{part}: {}", told[0].1);
        }
        assert!(told[3].1.contains(r#""event": "log_end""#), "{}", told[3].1);
        for index in 1..=5 {
            hub.forget(session(index));
            hub.sweep().expect("whole");
        }
        assert!(hub.logs.is_empty() && !hub.follows_output(Pid(9)));
    }
}
