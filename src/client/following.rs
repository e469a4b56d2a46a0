//! Several lookupds, followed at once: their connections, and what they say as a topology. Nothing here
//! waits but [`Follow::hear`]; a connection comes about in a thread of its own, for that may wait.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd};
use std::sync::mpsc::{channel, Receiver, Sender};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token, Waker};
use serde_json::Value;
use tungstenite::protocol::WebSocket;
use tungstenite::Message;

use super::channel::{broken, Socket};
use super::endpoint::Endpoint;
use super::error::Error;
use super::live::is_later;
use super::lookup::{node, whole, Silent};
use super::stream::Stream;
use super::topology::{Change, Topology, Word};

/// Where the event stream is, beginning with everything.
const TARGET: &str = "/lookup/websocket?snapshot=1";
/// How long after a lookupd was lost it is tried again, at first and at last.
const RETRY: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(15));
/// How long a lookupd may say nothing: it is to say something every 25 seconds.
const SILENCE: Duration = Duration::from_secs(60);
/// What is heard of a lookupd before the others are listened to again.
const SHARE: usize = 256;

type Opened = (usize, Result<WebSocket<Stream>, Error>);

/// What several lookupds say together, as it changes.
///
/// A program that waits for other things, too, polls its descriptor for input, calls [`Self::look`] until
/// that gives nothing, and does so again at [`Self::deadline`] at the latest.
pub struct Follow {
    links: Vec<Link>,
    topology: Topology,
    told: VecDeque<Change>,
    poll: Poll,
    events: Events,
    opener: Sender<Opened>,
    opened: Receiver<Opened>,
    waker: Arc<Waker>,
}

/// The way to one of them.
struct Link {
    endpoint: Endpoint,
    state: State,
    retry_after: Duration,
    /// It was told that this one is lost.
    told: bool,
}

enum State {
    /// It is tried at this moment.
    Waiting(Instant),
    /// It comes about.
    Opening,
    /// It is there.
    Open {
        ws: Box<WebSocket<Stream>>,
        heard: Instant,
        /// There may be more to hear.
        more: bool,
    },
}

impl AsFd for Follow {
    /// For poll(2) only, and only behind [`Follow::look`].
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.poll.registry().as_fd()
    }
}

impl Follow {
    pub(super) fn new(lookupds: &[Endpoint]) -> Result<Self, Error> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), Token(lookupds.len()))?);
        let (opener, opened) = channel();
        let link = |endpoint: &Endpoint| Link {
            endpoint: endpoint.clone(),
            state: State::Waiting(now()),
            retry_after: RETRY.0,
            told: false,
        };
        let mut follow = Self {
            links: lookupds.iter().map(link).collect(),
            topology: Topology::new(lookupds.len()),
            told: VecDeque::new(),
            poll,
            events: Events::with_capacity(64),
            opener,
            opened,
            waker,
        };
        follow.on_time();
        Ok(follow)
    }

    /// The next change. Waits for it for ever; lookupds that are lost are changes.
    ///
    /// # Errors
    /// The system does not let us wait.
    pub fn hear(&mut self) -> Result<Change, Error> {
        loop {
            if let Some(change) = self.look()? {
                return Ok(change);
            }
            let left = self.deadline().map(|at| at.saturating_duration_since(now()));
            self.poll(left)?;
        }
    }

    /// The next change, if that needs no waiting.
    ///
    /// # Errors
    /// The system does not let us look.
    pub fn look(&mut self) -> Result<Option<Change>, Error> {
        loop {
            if let Some(change) = self.told.pop_front() {
                return Ok(Some(change));
            }
            self.poll(Some(Duration::ZERO))?;
            self.on_time();
            while let Ok((index, result)) = self.opened.try_recv() {
                self.take(index, result);
            }
            if !self.listen() && self.told.is_empty() {
                return Ok(None);
            }
        }
    }

    /// When to look again, even if nothing comes.
    pub fn deadline(&self) -> Option<Instant> {
        let due = |link: &Link| match &link.state {
            State::Waiting(at) => Some(*at),
            State::Opening => None,
            State::Open { heard, .. } => Some(*heard + SILENCE),
        };
        self.links.iter().filter_map(due).min()
    }

    fn poll(&mut self, patience: Option<Duration>) -> Result<(), Error> {
        match self.poll.poll(&mut self.events, patience) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error.into()),
            Ok(()) | Err(_) => {}
        }
        for event in &self.events {
            let link = self.links.get_mut(event.token().0);
            if let Some(State::Open { more, .. }) = link.map(|link| &mut link.state) {
                *more = true;
            }
        }
        Ok(())
    }

    /// Tries those that are due, and lets go of those that say nothing.
    fn on_time(&mut self) {
        let now = now();
        for index in 0..self.links.len() {
            let Some(link) = self.links.get_mut(index) else { continue };
            match &link.state {
                State::Waiting(at) if *at <= now => {
                    link.state = State::Opening;
                    let endpoint = link.endpoint.clone();
                    let (sender, waker) = (self.opener.clone(), Arc::clone(&self.waker));
                    #[expect(clippy::disallowed_methods, reason = "a connection may take long")]
                    std::thread::spawn(move || {
                        // Where nobody waits for it any more, all is over.
                        let _ = sender.send((index, open(&endpoint)));
                        let _ = waker.wake();
                    });
                }
                State::Open { heard, .. } if *heard + SILENCE <= now => {
                    let what = format!("nothing came for {} s", SILENCE.as_secs());
                    let error = io::Error::new(io::ErrorKind::TimedOut, what);
                    self.lose(index, Error::Broken(error));
                }
                State::Waiting(_) | State::Opening | State::Open { .. } => {}
            }
        }
    }

    fn take(&mut self, index: usize, result: Result<WebSocket<Stream>, Error>) {
        let watched = result.and_then(|ws| {
            let fd = ws.get_ref().as_fd().as_raw_fd();
            let mut source = SourceFd(&fd);
            self.poll.registry().register(&mut source, Token(index), Interest::READABLE)?;
            Ok(ws)
        });
        match watched {
            Ok(ws) => {
                if let Some(link) = self.links.get_mut(index) {
                    link.state = State::Open { ws: Box::new(ws), heard: now(), more: true };
                }
            }
            Err(error) => self.lose(index, error),
        }
    }

    fn lose(&mut self, index: usize, error: Error) {
        let Some(link) = self.links.get_mut(index) else { return };
        link.state = State::Waiting(now() + link.retry_after);
        link.retry_after = (link.retry_after * 2).min(RETRY.1);
        if !std::mem::replace(&mut link.told, true) {
            let silent = Silent::new(&link.endpoint.address, error);
            self.told.push_back(Change::Lost(silent));
        }
        self.told.extend(self.topology.lost(index));
    }

    /// Hears a share of each that has something to say; whether there is more.
    fn listen(&mut self) -> bool {
        let mut any = false;
        for index in 0..self.links.len() {
            for _ in 0..SHARE {
                let Some(link) = self.links.get_mut(index) else { break };
                let State::Open { ws, heard, more } = &mut link.state else { break };
                if !*more {
                    break;
                }
                match word(ws) {
                    Ok(Some(word)) => {
                        *heard = now();
                        if word == Some(Word::Whole) {
                            link.retry_after = RETRY.0;
                            link.told = false;
                            let address = link.endpoint.address.clone();
                            self.told.extend(self.topology.heard(index, Word::Whole));
                            self.told.push_back(Change::Whole(address));
                        } else if let Some(word) = word {
                            self.told.extend(self.topology.heard(index, word));
                        }
                    }
                    Ok(None) => {
                        *more = false;
                    }
                    Err(error) => self.lose(index, error),
                }
            }
            let link = self.links.get(index).map(|link| &link.state);
            any |= matches!(link, Some(State::Open { more: true, .. }));
        }
        any
    }
}

fn open(endpoint: &Endpoint) -> Result<WebSocket<Stream>, Error> {
    let ws = Socket::open(endpoint, TARGET)?.into_inner();
    ws.get_ref().set_waiting(false)?;
    Ok(ws)
}

/// What a lookupd says next: nothing for now, something that means nothing to us, or this.
fn word(ws: &mut WebSocket<Stream>) -> Result<Option<Option<Word>>, Error> {
    match ws.read() {
        Ok(Message::Text(text)) => {
            let value: Value =
                serde_json::from_str(&text).map_err(|error| Error::Strange(error.to_string()))?;
            meant(&value).map(Some)
        }
        Ok(Message::Close(_))
        | Err(tungstenite::Error::ConnectionClosed | tungstenite::Error::AlreadyClosed) => {
            Err(Error::Broken(io::Error::other("it ended the conversation")))
        }
        // What is to be said to a ping goes out with the next read.
        Ok(Message::Binary(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => {
            Ok(Some(None))
        }
        Err(error) if is_later(&error) => Ok(None),
        Err(error) => Err(broken(error)),
    }
}

/// What a message says, if that means anything to us.
fn meant(value: &Value) -> Result<Option<Word>, Error> {
    let event = value["event"].as_str().unwrap_or_default();
    let of_job = || -> Result<_, Error> {
        let job = value["job_name"].as_str().map(whole);
        let job = job.ok_or_else(|| Error::Strange("an event without a job".into()))?;
        Ok((node(&value["node"])?, Some(job), value["pid"].as_u64()))
    };
    let word = match event {
        "identify" => Word::Add(node(value)?, None, None),
        "remove_node" => Word::Remove(node(value)?, None, None),
        "add_job" | "add_process" => {
            let (node, job, pid) = of_job()?;
            Word::Add(node, job, pid)
        }
        "remove_job" | "remove_process" => {
            let (node, job, pid) = of_job()?;
            Word::Remove(node, job, pid)
        }
        "snapshot_end" => Word::Whole,
        "gaffer:lagged" => {
            return Err(Error::Broken(io::Error::other("it was read too slowly; it begins anew")));
        }
        _ => return Ok(None),
    };
    Ok(Some(word))
}

/// This moment.
fn now() -> Instant {
    #[expect(clippy::disallowed_methods, reason = "a library's call has no reactor")]
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn words_of_a_lookupd_are_understood_and_others_left() {
        let info = json!({"name": "n", "origin": "http://n:1", "version": "0.1"});
        let plain = node(&info).expect("a node");
        let of_process =
            json!({"event": "remove_process", "node": info, "job_name": "solo", "pid": 1});
        let expected = Word::Remove(plain.clone(), Some("default.solo".into()), Some(1));
        assert_eq!(meant(&of_process).expect("sound"), Some(expected));
        let mut identify = info;
        identify["event"] = json!("identify");
        let added = Word::Add(plain, None, None);
        assert_eq!(meant(&identify).expect("sound"), Some(added));
        assert_eq!(meant(&json!({"event": "snapshot_end"})).expect("sound"), Some(Word::Whole));
        assert_eq!(meant(&json!({"event": "add_node"})).expect("left"), None);
        assert_eq!(meant(&json!({"event": "of_tomorrow"})).expect("left"), None);
        for bad in [json!({"event": "add_job"}), json!({"event": "gaffer:lagged", "lost": 1})] {
            assert!(meant(&bad).is_err(), "{bad}");
        }
    }
}
