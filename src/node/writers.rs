//! Who writes to processes and has to wait because one does not read: parked with its message, in the
//! order of arrival, until there is room in the queue. Each client waits with one message at the most,
//! since nothing more is read of it meanwhile.

use std::collections::VecDeque;

use serde_json::{json, Value};

use super::ctx::Writing;
use super::gaffer::Gaffer;
use super::reply;
use super::stdins::{Address, Full, Stdins};
use crate::base::clock::Now;
use crate::base::ids::{ConnId, InstanceId, SessionId, StreamNo};
use crate::base::sorted::SortedMap;
use crate::front::response::Response;
use crate::wire::frame::Kind;

/// Who writes.
#[derive(Clone, Debug, PartialEq)]
pub enum Writer {
    /// A request.
    Conn(ConnId),
    /// A command of a session, by what its client calls it.
    Command(SessionId, Value),
    /// A websocket to the process, by the id of its frame.
    Socket(ConnId, String),
}

impl Writer {
    /// Whether both are the same client's.
    fn is_client_of(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Command(one, _), Self::Command(two, _)) => one == two,
            (Self::Conn(one) | Self::Socket(one, _), Self::Conn(two) | Self::Socket(two, _)) => {
                one == two
            }
            (Self::Command(..), Self::Conn(_) | Self::Socket(..))
            | (Self::Conn(_) | Self::Socket(..), Self::Command(..)) => false,
        }
    }
}

/// Those who wait.
#[derive(Default)]
pub struct Writers {
    parked: SortedMap<Address, VecDeque<(Writer, Writing)>>,
}

impl Writers {
    /// Whether somebody waits for this stream: who comes later waits behind.
    fn is_crowded(&self, at: Address) -> bool {
        self.parked.contains_key(&at)
    }

    fn park(&mut self, writer: Writer, writing: Writing) {
        self.parked.entry(writing.to).or_default().push_back((writer, writing));
    }

    fn next(&mut self, at: Address) -> Option<(Writer, Writing)> {
        let queue = self.parked.get_mut(&at)?;
        let first = queue.pop_front();
        if queue.is_empty() {
            self.parked.remove(&at);
        }
        first
    }

    fn put_back(&mut self, writer: Writer, writing: Writing) {
        self.parked.entry(writing.to).or_default().push_front((writer, writing));
    }

    /// Takes away what a client wanted to write: it is gone. Gives the streams on which others come
    /// first now.
    pub fn forget(&mut self, is_gone: impl Fn(&Writer) -> bool) -> Vec<Address> {
        let mut changed = Vec::new();
        for (at, queue) in &mut self.parked {
            if queue.front().is_some_and(|(writer, _)| is_gone(writer)) {
                changed.push(*at);
            }
            queue.retain(|(writer, _)| !is_gone(writer));
        }
        self.parked.retain(|_, queue| !queue.is_empty());
        changed
    }

    /// Whether a client waits.
    pub fn waits(&self, is_it: impl Fn(&Writer) -> bool) -> bool {
        self.parked.values().flatten().any(|(writer, _)| is_it(writer))
    }

    /// Checks that everybody who waits is there, waits once, and waits for room: `exists` says whether
    /// a client is there.
    ///
    /// # Errors
    /// The first that does not, in words.
    pub fn sweep(&self, stdins: &Stdins, exists: impl Fn(&Writer) -> bool) -> Result<(), String> {
        let mut seen: Vec<&Writer> = Vec::new();
        for (at, queue) in &self.parked {
            let first = queue.front().ok_or("an empty line of writers is kept")?;
            if stdins.takes(*at, first.1.bytes.len()) {
                return Err(format!("{:?} waits for room that there is", first.0));
            }
            for (writer, _) in queue {
                if !exists(writer) {
                    return Err(format!("{writer:?} waits and is gone"));
                }
                if seen.iter().any(|known| writer.is_client_of(known)) {
                    return Err(format!("{writer:?} waits twice"));
                }
                seen.push(writer);
            }
        }
        Ok(())
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.parked.values().map(VecDeque::len).sum()
    }

    /// Whether nobody does.
    pub fn is_empty(&self) -> bool {
        self.parked.is_empty()
    }
}

/// What became of something written.
pub(super) type Written = Result<(), Full>;

impl Gaffer {
    /// Writes to a process: at once, or when there is room; then who wrote is parked, and `None` is
    /// given.
    pub(super) fn write(&mut self, writer: Writer, writing: Writing) -> Option<Written> {
        if self.writers.is_crowded(writing.to) && !self.stdins.is_closed(writing.to.0, writing.to.1)
        {
            self.writers.park(writer, writing);
            return None;
        }
        match self.put(&writing) {
            Err(Full::Now) => {
                self.writers.park(writer, writing);
                None
            }
            done => Some(done),
        }
    }

    fn put(&mut self, writing: &Writing) -> Written {
        let (id, stream) = writing.to;
        if !writing.bytes.is_empty() || !writing.close {
            self.stdins.push(id, stream, &writing.bytes)?;
        }
        if writing.close {
            self.stdins.close(id, stream);
        }
        Ok(())
    }

    /// A client is gone. Those behind it may need less room than it did.
    pub(super) fn forget_writers(&mut self, is_gone: impl Fn(&Writer) -> bool) {
        for (id, stream) in self.writers.forget(is_gone) {
            self.stdins.try_again(id, stream);
        }
    }

    /// Serves those who waited, where there is room now. Whether any was: each may have more to say.
    pub(super) fn serve_writers(&mut self, now: Now) -> bool {
        let mut served = false;
        for at in self.stdins.take_freed() {
            while let Some((writer, writing)) = self.writers.next(at) {
                match self.put(&writing) {
                    Err(Full::Now) => {
                        self.writers.put_back(writer, writing);
                        break;
                    }
                    done => self.tell_written(writer, done, now),
                }
                served = true;
            }
        }
        served
    }

    /// The run is over: nobody will read what is still to be written.
    pub(super) fn end_writers(&mut self, id: InstanceId, now: Now) {
        let all = (id, StreamNo(0))..=(id, StreamNo(u16::MAX));
        let keys: Vec<Address> = self.writers.parked.range(all).map(|(at, _)| *at).collect();
        for at in keys {
            while let Some((writer, _)) = self.writers.next(at) {
                self.tell_written(writer, Err(Full::Closed), now);
            }
        }
    }

    fn tell_written(&mut self, writer: Writer, done: Written, now: Now) {
        match writer {
            Writer::Conn(conn) => self.answer(conn, written_response(done), now),
            Writer::Command(session, identity) => {
                self.end_command(session, &identity, written_result(done), now);
            }
            Writer::Socket(conn, id) => {
                self.reply_written(conn, &id, done);
                self.hear_socket(conn, now);
            }
        }
    }

    /// Answers a frame.
    pub(super) fn reply_written(&mut self, conn: ConnId, id: &str, done: Written) {
        match done {
            Ok(()) => self.feeds.reply(conn, Kind::Response, id, "OK"),
            Err(full) => {
                let (error, errno) = match full {
                    Full::TooLong => ("EMSGSIZE", 413),
                    Full::Closed | Full::Now => ("EIO", 500),
                };
                let body = json!({"error": error, "errno": errno, "reason": full.to_string()});
                self.feeds.reply(conn, Kind::Error, id, &crate::wire::json::text(&body));
            }
        }
    }
}

/// The answer to a request that wrote.
pub(super) fn written_response(done: Written) -> Response {
    match done {
        Ok(()) => reply::ok(200),
        Err(full) => {
            let (status, word) = match full {
                Full::TooLong => (413, "too_long"),
                Full::Closed | Full::Now => (409, "stream_closed"),
            };
            let reason = full.to_string();
            Response::json(status, &json!({"error": word, "errno": status, "reason": reason}))
        }
    }
}

/// The result of a command that wrote.
pub(super) fn written_result(done: Written) -> Result<Value, super::commands::Failure> {
    done.map(|()| json!({"ok": true})).map_err(|full| {
        let (errno, reason) = match full {
            Full::TooLong => (413, "too_long"),
            Full::Closed | Full::Now => (409, "stream_closed"),
        };
        super::commands::Failure { errno, reason: reason.to_owned(), detail: full.to_string() }
    })
}
