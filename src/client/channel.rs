//! The channel of a node over a plain websocket: topics to follow, and commands.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::os::fd::{AsFd, BorrowedFd};

use data_encoding::BASE64;
use serde_json::{json, Map, Value};
use tungstenite::protocol::{Role, WebSocket, WebSocketConfig};
use tungstenite::Message;

use super::address::Address;
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
    pub(super) fn open(address: &Address, target: &str) -> Result<Self, Error> {
        let mut key = [0; 16];
        entropy::random_bytes(&mut key)
            .map_err(|errno| Error::Broken(std::io::Error::from_raw_os_error(errno.0)))?;
        let key = BASE64.encode(&key);
        let accept = accept_of(&key);
        let (stream, ahead) = Connection::open(address)?.switch(target, (&key, &accept))?;
        let config = WebSocketConfig::default().write_buffer_size(0);
        Ok(Self { ws: WebSocket::from_partially_read(stream, ahead, Role::Client, Some(config)) })
    }

    pub(super) fn send(&mut self, message: Message) -> Result<(), Error> {
        self.ws.send(message).map_err(broken)
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

fn broken(error: tungstenite::Error) -> Error {
    if let tungstenite::Error::Io(error) = error {
        Error::Broken(error)
    } else {
        Error::Strange(error.to_string())
    }
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
    pub fn open(address: &Address) -> Result<Self, Error> {
        let socket = Socket::open(address, "/channel/websocket")?;
        Ok(Self { socket, waiting: VecDeque::new(), commands: 0 })
    }

    /// Follows a topic, such as `EVENTS`, `STREAM:7.out` or `STATS:site.web`; `wishes` may name an
    /// `interval` or an event as `since`.
    ///
    /// # Errors
    /// The node refuses it, or the connection broke.
    pub fn subscribe(&mut self, topic: &str, wishes: &Map<String, Value>) -> Result<(), Error> {
        let mut data = wishes.clone();
        data.insert("topic".into(), json!(topic));
        self.say(&json!({"event": "SUB", "data": data}))?;
        self.await_answer(|message| {
            (message.get("topic").and_then(Value::as_str) == Some(topic)).then_some(())?;
            match message.get("event").and_then(Value::as_str)? {
                "gaffer:subscription_success" => Some(Ok(Value::Null)),
                "gaffer:subscription_error" => Some(Err(refused(404, &message["data"]))),
                _ => None,
            }
        })?;
        Ok(())
    }

    /// Follows a topic no more.
    ///
    /// # Errors
    /// The connection broke.
    pub fn unsubscribe(&mut self, topic: &str) -> Result<(), Error> {
        self.say(&json!({"event": "UNSUB", "data": {"topic": topic}}))
    }

    /// Does a command, and gives its result.
    ///
    /// # Errors
    /// The node refuses it, or the connection broke.
    pub fn command(&mut self, name: &str, args: &[Value]) -> Result<Value, Error> {
        self.commands += 1;
        let id = self.commands.to_string();
        let data = json!({"identity": id, "name": name, "args": args});
        self.say(&json!({"event": "CMD", "data": data}))?;
        self.await_answer(|message| {
            let data = message.get("data")?;
            (data.get("id").and_then(Value::as_str) == Some(&id)).then_some(())?;
            match message.get("event").and_then(Value::as_str)? {
                "gaffer:command_success" => Some(Ok(data["result"].clone())),
                "gaffer:command_error" => {
                    let error = &data["error"];
                    let errno = error["errno"].as_u64().and_then(|n| u16::try_from(n).ok());
                    Some(Err(refused(errno.unwrap_or(500), error)))
                }
                _ => None,
            }
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
        while let Some(message) = self.receive()? {
            if let Some(heard) = heard(&message) {
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
            if let Some(heard) = heard(&read(&message)?) {
                return Ok(Look::Heard(heard));
            }
        }
        Ok(Look::Nothing)
    }

    fn say(&mut self, message: &Value) -> Result<(), Error> {
        self.socket.send(Message::text(message.to_string()))
    }

    fn receive(&mut self) -> Result<Option<Value>, Error> {
        self.socket.next()?.as_ref().map(read).transpose()
    }

    fn await_answer(
        &mut self,
        answer: impl Fn(&Value) -> Option<Result<Value, Error>>,
    ) -> Result<Value, Error> {
        while let Some(message) = self.receive()? {
            if let Some(answer) = answer(&message) {
                return answer;
            }
            self.waiting.extend(heard(&message));
        }
        Err(Error::Broken(ErrorKind::UnexpectedEof.into()))
    }
}

fn read(message: &Message) -> Result<Value, Error> {
    let Message::Text(text) = message else {
        return Err(Error::Strange("bytes on the channel".into()));
    };
    serde_json::from_str(text).map_err(|error| Error::Strange(error.to_string()))
}

fn refused(status: u16, error: &Value) -> Error {
    let text = |key: &str| error.get(key).and_then(Value::as_str).map(str::to_owned);
    let word = text("reason").unwrap_or_default();
    let reason = text("detail").unwrap_or_else(|| word.clone());
    Error::Refused { status, word, reason }
}

fn heard(message: &Value) -> Option<Heard> {
    let data = message.get("data")?;
    match message.get("event")?.as_str()? {
        "gaffer:event" => {
            let data = data.as_object()?.clone();
            let topic = data.get("topic")?.as_str()?.to_owned();
            Some(Heard::Event { topic, data })
        }
        "gaffer:lagged" => {
            let topic = message.get("topic")?.as_str()?.to_owned();
            Some(Heard::Lagged { topic, lost: data.get("lost")?.as_u64()? })
        }
        _ => None,
    }
}
