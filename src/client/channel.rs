//! The channel of a node over a plain websocket: topics to follow, and commands.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::os::fd::{AsFd, BorrowedFd};

use data_encoding::BASE64;
use serde_json::{json, Map, Value};
use tungstenite::protocol::{Role, WebSocket, WebSocketConfig};
use tungstenite::Message;

use super::endpoint::Endpoint;
use super::error::Error;
use super::http::Connection;
use super::stream::Stream;
use crate::sys::entropy;
use crate::wire::ws::accept_of;

/// A websocket to a node.
pub(super) struct Socket {
    ws: WebSocket<Stream>,
}

impl Socket {
    /// Opens a websocket at this target.
    pub(super) fn open(endpoint: &Endpoint, target: &str) -> Result<Self, Error> {
        let mut key = [0; 16];
        entropy::random_bytes(&mut key)
            .map_err(|errno| Error::Broken(std::io::Error::from_raw_os_error(errno.0)))?;
        let key = BASE64.encode(&key);
        let accept = accept_of(&key);
        let (stream, ahead) = Connection::open(endpoint)?.switch(target, (&key, &accept))?;
        let config = WebSocketConfig::default().write_buffer_size(0);
        Ok(Self { ws: WebSocket::from_partially_read(stream, ahead, Role::Client, Some(config)) })
    }

    pub(super) fn send(&mut self, message: Message) -> Result<(), Error> {
        self.ws.send(message).map_err(broken)
    }

    /// What lies below it, and the websocket itself, for who does not want to wait.
    pub(super) fn into_inner(self) -> WebSocket<Stream> {
        self.ws
    }

    /// The next message with something in it; `None` when the other end has closed.
    pub(super) fn next(&mut self) -> Result<Option<Message>, Error> {
        loop {
            match self.ws.read() {
                Ok(message @ (Message::Text(_) | Message::Binary(_))) => return Ok(Some(message)),
                Ok(Message::Close(_)) => return Ok(None),
                Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => {}
                Err(tungstenite::Error::ConnectionClosed | tungstenite::Error::AlreadyClosed) => {
                    return Ok(None);
                }
                Err(error) => return Err(broken(error)),
            }
        }
    }

    /// What [`Self::next`] gives, if that needs no waiting.
    fn next_if_there(&mut self) -> Result<Option<Option<Message>>, Error> {
        self.ws.get_ref().set_waiting(false)?;
        let next = match self.next() {
            Err(Error::Broken(error)) if error.kind() == ErrorKind::WouldBlock => Ok(None),
            next => next.map(Some),
        };
        self.ws.get_ref().set_waiting(true)?;
        next
    }
}

pub(super) fn broken(error: tungstenite::Error) -> Error {
    use tungstenite::error::ProtocolError::ResetWithoutClosingHandshake;
    if let tungstenite::Error::Io(error) = error {
        return Error::Broken(error);
    }
    // So it is when the other end was killed.
    if matches!(error, tungstenite::Error::Protocol(ResetWithoutClosingHandshake)) {
        let what = "it was closed without a word";
        return Error::Broken(std::io::Error::new(ErrorKind::UnexpectedEof, what));
    }
    Error::Strange(error.to_string())
}

/// A conversation on the channel.
pub struct Channel {
    socket: Socket,
    /// Heard while an answer was awaited.
    waiting: VecDeque<Heard>,
    commands: u64,
}

/// Something a channel says.
#[derive(Clone, Debug, PartialEq)]
pub enum Heard {
    /// A part of a topic that is followed.
    Event {
        /// Which.
        topic: String,
        /// What is said, with the topic and the event's name in it.
        data: Map<String, Value>,
    },
    /// So much of a topic was lost, because it came faster than it was read.
    Lagged {
        /// Which.
        topic: String,
        /// How many messages.
        lost: u64,
    },
}

/// What a look at a channel finds.
#[derive(Clone, Debug, PartialEq)]
pub enum Look {
    /// This was said.
    Heard(Heard),
    /// Nothing yet. There may be when its descriptor is readable.
    Nothing,
    /// The node has ended the conversation.
    Ended,
}

impl AsFd for Channel {
    /// For poll(2) only. What has been read of it already does not show there: [`Channel::look`] first.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.ws.get_ref().as_fd()
    }
}

impl Channel {
    /// Opens the channel of a node.
    ///
    /// # Errors
    /// Nobody answers there, or it refuses.
    pub fn open(endpoint: &Endpoint) -> Result<Self, Error> {
        let socket = Socket::open(endpoint, "/channel/websocket")?;
        Ok(Self { socket, waiting: VecDeque::new(), commands: 0 })
    }

    /// Follows a topic, such as `EVENTS`, `STREAM:7.out` or `STATS:site.web`; `wishes` may name an
    /// `interval` or an event as `since`.
    ///
    /// # Errors
    /// The node refuses it, or the connection broke.
    pub fn subscribe(&mut self, topic: &str, wishes: &Map<String, Value>) -> Result<(), Error> {
        self.say(&subscription(topic, wishes))?;
        self.await_answer(|said| match said {
            Said::Followed { topic: told, result } if told == topic => {
                Ok(result.map(|()| Value::Null))
            }
            other @ (Said::Heard(_) | Said::Followed { .. } | Said::Answer { .. }) => Err(other),
        })?;
        Ok(())
    }

    /// Follows a topic no more.
    ///
    /// # Errors
    /// The connection broke.
    pub fn unsubscribe(&mut self, topic: &str) -> Result<(), Error> {
        self.say(&end_of_subscription(topic))
    }

    /// Does a command, and gives its result.
    ///
    /// # Errors
    /// The node refuses it, or the connection broke.
    pub fn command(&mut self, name: &str, args: &[Value]) -> Result<Value, Error> {
        self.commands += 1;
        let id = self.commands.to_string();
        self.say(&order(&id, name, args))?;
        self.await_answer(|said| match said {
            Said::Answer { id: told, result } if told == id => Ok(result),
            other @ (Said::Heard(_) | Said::Followed { .. } | Said::Answer { .. }) => Err(other),
        })
    }

    /// The next thing said; `None` when the node has ended the conversation.
    ///
    /// # Errors
    /// The connection broke.
    pub fn hear(&mut self) -> Result<Option<Heard>, Error> {
        if let Some(heard) = self.waiting.pop_front() {
            return Ok(Some(heard));
        }
        while let Some(said) = self.receive()? {
            if let Said::Heard(heard) = said {
                return Ok(Some(heard));
            }
        }
        Ok(None)
    }

    /// The next thing said, if it is there already: for programs that wait for other things too.
    ///
    /// # Errors
    /// The connection broke.
    pub fn look(&mut self) -> Result<Look, Error> {
        if let Some(heard) = self.waiting.pop_front() {
            return Ok(Look::Heard(heard));
        }
        while let Some(message) = self.socket.next_if_there()? {
            let Some(message) = message else { return Ok(Look::Ended) };
            if let Some(Said::Heard(heard)) = said(message)? {
                return Ok(Look::Heard(heard));
            }
        }
        Ok(Look::Nothing)
    }

    fn say(&mut self, message: &Value) -> Result<(), Error> {
        self.socket.send(Message::text(message.to_string()))
    }

    /// The next thing said that means something to us.
    fn receive(&mut self) -> Result<Option<Said>, Error> {
        while let Some(message) = self.socket.next()? {
            if let Some(said) = said(message)? {
                return Ok(Some(said));
            }
        }
        Ok(None)
    }

    /// Waits for what `answer` takes; it gives back what it does not.
    fn await_answer(
        &mut self,
        answer: impl Fn(Said) -> Result<Result<Value, Error>, Said>,
    ) -> Result<Value, Error> {
        while let Some(said) = self.receive()? {
            match answer(said) {
                Ok(result) => return result,
                Err(Said::Heard(heard)) => self.waiting.push_back(heard),
                Err(Said::Followed { .. } | Said::Answer { .. }) => {}
            }
        }
        Err(Error::Broken(ErrorKind::UnexpectedEof.into()))
    }
}

/// What a node says on the channel.
#[derive(Debug)]
pub enum Said {
    /// Something of what is followed.
    Heard(Heard),
    /// A topic is followed, or is not any more, or why it is not.
    Followed {
        /// Which.
        topic: String,
        /// How it came out.
        result: Result<(), Error>,
    },
    /// What came of a command.
    Answer {
        /// As the command was called.
        id: String,
        /// How it came out.
        result: Result<Value, Error>,
    },
}

pub(super) fn subscription(topic: &str, wishes: &Map<String, Value>) -> Value {
    let mut data = wishes.clone();
    data.insert("topic".into(), json!(topic));
    json!({"event": "SUB", "data": data})
}

pub(super) fn end_of_subscription(topic: &str) -> Value {
    json!({"event": "UNSUB", "data": {"topic": topic}})
}

pub(super) fn order(id: &str, name: &str, args: &[Value]) -> Value {
    json!({"event": "CMD", "data": {"identity": id, "name": name, "args": args}})
}

/// What a message says; `None` if that means nothing to us.
pub(super) fn said(message: Message) -> Result<Option<Said>, Error> {
    let Message::Text(text) = message else {
        return Err(Error::Strange("bytes on the channel".into()));
    };
    let message = serde_json::from_str(&text);
    Ok(meant(message.map_err(|error| Error::Strange(error.to_string()))?))
}

fn meant(mut message: Value) -> Option<Said> {
    let event = message.get("event")?.as_str()?.to_owned();
    let topic = message.get("topic").and_then(Value::as_str).map(str::to_owned);
    let mut data = message.get_mut("data").map(Value::take).unwrap_or_default();
    let id = data.get("id").and_then(Value::as_str).map(str::to_owned);
    match event.as_str() {
        "gaffer:event" => {
            let Value::Object(data) = data else { return None };
            let topic = data.get("topic")?.as_str()?.to_owned();
            Some(Said::Heard(Heard::Event { topic, data }))
        }
        "gaffer:lagged" => {
            let lost = data.get("lost")?.as_u64()?;
            Some(Said::Heard(Heard::Lagged { topic: topic?, lost }))
        }
        "gaffer:subscription_success" => Some(Said::Followed { topic: topic?, result: Ok(()) }),
        "gaffer:subscription_error" => {
            Some(Said::Followed { topic: topic?, result: Err(refused(404, &data)) })
        }
        "gaffer:command_success" => {
            let result = data.get_mut("result").map(Value::take).unwrap_or_default();
            Some(Said::Answer { id: id?, result: Ok(result) })
        }
        "gaffer:command_error" => {
            let error = &data["error"];
            let errno = error["errno"].as_u64().and_then(|n| u16::try_from(n).ok());
            let result = Err(refused(errno.unwrap_or(500), error));
            Some(Said::Answer { id: id?, result })
        }
        _ => None,
    }
}

fn refused(status: u16, error: &Value) -> Error {
    let text = |key: &str| error.get(key).and_then(Value::as_str).map(str::to_owned);
    let word = text("reason").unwrap_or_default();
    let reason = text("detail").unwrap_or_else(|| word.clone());
    Error::Refused { status, word, reason }
}
