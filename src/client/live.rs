//! The channel of a node for a program that has other things to wait for, too: nothing here waits. What
//! is said is queued and goes out as the connection has room; what is heard is whatever has come.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use serde_json::{Map, Value};
use tungstenite::protocol::WebSocket;
use tungstenite::Message;

use super::channel::{self, Said, Socket};
use super::endpoint::Endpoint;
use super::error::Error;
use super::stream::Stream;

/// A conversation on the channel that is looked after by somebody's event loop.
pub struct Live {
    ws: WebSocket<Stream>,
}

/// What there is to hear.
#[derive(Debug)]
pub enum Hearing {
    /// This was said.
    Said(Said),
    /// Nothing more for now.
    Nothing,
    /// The node has ended the conversation.
    Over,
}

impl Live {
    /// Opens the channel of a node. Only this waits, for as long as a request may take.
    ///
    /// # Errors
    /// Nobody answers there, or it refuses.
    pub fn open(endpoint: &Endpoint) -> Result<Self, Error> {
        let ws = Socket::open(endpoint, "/channel/websocket")?.into_inner();
        ws.get_ref().set_waiting(false)?;
        Ok(Self { ws })
    }

    /// Follows a topic; whether the node lets it is heard as [`Said::Followed`].
    ///
    /// # Errors
    /// The connection broke.
    pub fn subscribe(&mut self, topic: &str, wishes: &Map<String, Value>) -> Result<(), Error> {
        self.say(&channel::subscription(topic, wishes))
    }

    /// Follows a topic no more.
    ///
    /// # Errors
    /// The connection broke.
    pub fn unsubscribe(&mut self, topic: &str) -> Result<(), Error> {
        self.say(&channel::end_of_subscription(topic))
    }

    /// Orders a command; what comes of it is heard as [`Said::Answer`] with this id.
    ///
    /// # Errors
    /// The connection broke.
    pub fn command(&mut self, id: &str, name: &str, args: &[Value]) -> Result<(), Error> {
        self.say(&channel::order(id, name, args))
    }

    /// What has come, one thing after the other.
    ///
    /// # Errors
    /// The connection broke.
    pub fn hear(&mut self) -> Result<Hearing, Error> {
        loop {
            let message = match self.ws.read() {
                Ok(message @ (Message::Text(_) | Message::Binary(_))) => message,
                Ok(Message::Close(_)) => return Ok(Hearing::Over),
                Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => continue,
                Err(tungstenite::Error::ConnectionClosed | tungstenite::Error::AlreadyClosed) => {
                    return Ok(Hearing::Over);
                }
                Err(error) if is_later(&error) => return Ok(Hearing::Nothing),
                Err(error) => return Err(channel::broken(error)),
            };
            if let Some(said) = channel::said(message)? {
                return Ok(Hearing::Said(said));
            }
        }
    }

    /// Sends what is queued, as far as there is room.
    ///
    /// # Errors
    /// The connection broke.
    pub fn flush(&mut self) -> Result<(), Error> {
        sent(self.ws.flush())
    }

    fn say(&mut self, message: &Value) -> Result<(), Error> {
        sent(self.ws.send(Message::text(message.to_string())))
    }
}

/// What could not be sent at once stays queued.
fn sent(result: Result<(), tungstenite::Error>) -> Result<(), Error> {
    match result {
        Err(error) if !is_later(&error) => Err(channel::broken(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

impl AsFd for Live {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.ws.get_ref().as_fd()
    }
}

/// Whether there is nothing wrong but the moment.
pub(super) fn is_later(error: &tungstenite::Error) -> bool {
    let kinds = [io::ErrorKind::WouldBlock, io::ErrorKind::Interrupted];
    matches!(error, tungstenite::Error::Io(error) if kinds.contains(&error.kind()))
}
