//! One session: what it owes its client, what its client sent, and who receives now. It is a table
//! entry; the service changes it.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::rc::Rc;

use sha2::{Digest as _, Sha256};

use super::Opening;
use crate::base::ids::ConnId;
use crate::front::outbox::{Next, Outbox};
use crate::front::peer::{Fingerprint, Peer};
use crate::front::request::Request;
use crate::wire::sockjs::{Envelope, Messages};

/// A session.
pub(super) struct Session {
    /// Its name in URLs. A websocket is its session, and nobody else asks for it.
    pub(super) name: Option<Rc<str>>,
    pub(super) who: Who,
    /// What began it, until the application is told.
    pub(super) opening: Option<Box<Opening>>,
    pub(super) life: Life,
    pub(super) outbox: Outbox<str>,
    pub(super) receiver: Option<Receiver>,
    /// It has no connections: the application carries its messages both ways.
    pub(super) is_lent: bool,
    /// What the client sent and nobody took yet, in order.
    pub(super) sends: VecDeque<Sent>,
    /// The application takes no messages now.
    pub(super) paused: bool,
    /// It stands in the list of those that may have something to tell.
    pub(super) listed: bool,
}

/// Whether messages go to and fro.
pub(super) enum Life {
    /// They do.
    Open,
    /// The application has ended it: what is queued is sent, and then this.
    Ending(u16, String),
    /// It is over; whoever asks is told with this frame.
    Over {
        /// The frame.
        frame: Rc<str>,
        /// The application knows.
        told: bool,
    },
}

/// Where frames go now.
pub(super) struct Receiver {
    pub(super) conn: ConnId,
    pub(super) way: Way,
    /// Bytes of frames that went out.
    pub(super) sent: usize,
}

/// How frames go out.
#[derive(Clone)]
pub(super) enum Way {
    /// Over a websocket.
    Socket,
    /// Over a websocket without frames: each text is a message.
    Raw,
    /// One frame answers the request.
    Poll(Envelope),
    /// The answer goes on, frame after frame.
    Stream(Envelope),
}

/// What a client sent at once.
pub(super) struct Sent {
    /// The request that is answered when all is taken. A websocket awaits no answer.
    pub(super) conn: Option<(ConnId, Thanks)>,
    pub(super) messages: VecDeque<String>,
}

/// How messages are acknowledged.
#[derive(Clone, Copy)]
pub(super) enum Thanks {
    /// Without a word.
    Nothing,
    /// With `ok`: browsers take a form's empty answer for a failure.
    Ok,
}

/// Whose a session is: another client that knows its name does not get it. On one machine all come from
/// one address, so that what they say of themselves counts, too.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Who {
    place: Place,
    certificate: Option<Fingerprint>,
    /// The hash of the key that was said, as nobody should hold that for so long.
    key: Option<[u8; 32]>,
    /// The page's, as far as a browser tells it.
    origin: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Ip(IpAddr),
    User(Option<u32>),
}

impl Who {
    /// Whoever sends this request from there.
    pub(super) fn of(request: &Request, peer: Peer) -> Self {
        let place = match peer {
            Peer::Tcp { remote, .. } => Place::Ip(remote.ip().to_canonical()),
            Peer::Unix { uid } => Place::User(uid),
        };
        let key = request.key();
        Self {
            place,
            certificate: peer.certificate(),
            key: key.map(|key| Sha256::digest(key.as_bytes()).into()),
            origin: request.headers.get("origin").map(str::to_owned),
        }
    }

    /// Somebody whom no request can be from.
    pub(super) fn nobody() -> Self {
        Self { place: Place::User(None), certificate: None, key: None, origin: None }
    }

    /// Whether it is the same who asks now. A page that reads from its own origin tells no origin, and the
    /// same page tells it when it sends.
    pub(super) fn is(&self, asks: &Self) -> bool {
        let pages = self.origin.as_ref().zip(asks.origin.as_ref());
        let same =
            (self.place, self.certificate, self.key) == (asks.place, asks.certificate, asks.key);
        same && pages.is_none_or(|(own, other)| own == other)
    }
}

impl Session {
    pub(super) fn is_open(&self) -> bool {
        matches!(self.life, Life::Open)
    }

    /// The next frame of messages: as many as come to about `most` bytes, at least one.
    pub(super) fn next_frame(
        &mut self,
        most: usize,
        lagged: fn(&str, u64) -> String,
    ) -> Option<String> {
        let mut frame = Messages::default();
        while frame.len() < most {
            match self.outbox.pop() {
                Some(Next::Text(text)) => frame.push(&text),
                Some(Next::Lagged(topic, lost)) => frame.push(&lagged(&topic, lost)),
                None => break,
            }
        }
        (!frame.is_empty()).then(|| frame.finish())
    }

    /// The next message as it is.
    pub(super) fn next_text(&mut self, lagged: fn(&str, u64) -> String) -> Option<Rc<str>> {
        Some(match self.outbox.pop()? {
            Next::Text(text) => text,
            Next::Lagged(topic, lost) => lagged(&topic, lost).into(),
        })
    }
}
