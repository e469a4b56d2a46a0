//! A node as the lookupd sees it, for tests: it asks for its websocket, says things, and reads what it
//! is answered.

use serde_json::{json, Value};

use gaffer::base::ids::ConnId;

use crate::driven::Driven;
use crate::fake_lookupd::FakeLookupd;
use crate::ws_client::{self, Said};

/// A connection that speaks the node protocol, or follows.
pub(crate) struct Socket {
    pub(crate) conn: ConnId,
    input: Vec<u8>,
    is_open: bool,
}

impl Socket {
    /// Asks for a websocket.
    pub(crate) fn open(lookupd: &mut FakeLookupd, path: &str) -> Self {
        let conn = lookupd.connect();
        let bytes = ws_client::handshake(path, "Host: localhost\r\n", "");
        lookupd.send(conn, &bytes, &mut || usize::MAX);
        Self { conn, input: Vec::new(), is_open: false }
    }

    /// A node that has said who it is.
    pub(crate) fn node(lookupd: &mut FakeLookupd, name: &str) -> Self {
        let mut node = Self::open(lookupd, "/ws");
        let answer = node.asks(lookupd, identify(name));
        assert_eq!(answer["ok"], true, "{answer}");
        node
    }

    pub(crate) fn say(&self, lookupd: &mut FakeLookupd, message: &Value) {
        self.send(lookupd, ws_client::TEXT, message.to_string().as_bytes());
    }

    pub(crate) fn send(&self, lookupd: &mut FakeLookupd, opcode: u8, payload: &[u8]) {
        lookupd.send(self.conn, &ws_client::frame(opcode, payload), &mut || usize::MAX);
    }

    /// Says something and gives its answer, which has to be the only thing that comes.
    pub(crate) fn asks(&mut self, lookupd: &mut FakeLookupd, message: Value) -> Value {
        self.say(lookupd, &message);
        let mut heard = self.hear(lookupd);
        assert_eq!(heard.len(), 1, "{message}: {heard:?}");
        let text = text(heard.remove(0)).expect("a text");
        serde_json::from_str(&text).expect("JSON")
    }

    /// Takes all that it is owed.
    pub(crate) fn hear(&mut self, lookupd: &mut FakeLookupd) -> Vec<Said> {
        let bytes = lookupd.take_answer(self.conn);
        self.take(&bytes)
    }

    /// What these bytes say.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Vec<Said> {
        self.input.extend_from_slice(bytes);
        if !self.is_open {
            let end = self.input.windows(4).position(|four| four == b"\r\n\r\n");
            let Some(end) = end else { return Vec::new() };
            assert!(self.input.starts_with(b"HTTP/1.1 101 "), "it becomes a websocket");
            self.input.drain(..end + 4);
            self.is_open = true;
        }
        std::iter::from_fn(|| ws_client::take(&mut self.input)).collect()
    }

    /// The texts of all that it is owed.
    pub(crate) fn texts(&mut self, lookupd: &mut FakeLookupd) -> Vec<String> {
        self.hear(lookupd).into_iter().filter_map(text).collect()
    }
}

fn text(said: Said) -> Option<String> {
    match said {
        Said::Text(text) => Some(text),
        Said::Binary(_) | Said::Ping(_) | Said::Pong(_) | Said::Close(..) => None,
    }
}

pub(crate) fn identify(name: &str) -> Value {
    json!({
        "msgid": "i", "type": "IDENTIFY", "name": name, "origin": "http://n:1", "version": "0.1",
    })
}

pub(crate) fn register_job(job: &str) -> Value {
    json!({"msgid": "j", "type": "REGISTER_JOB", "job_name": job})
}

pub(crate) fn register_process(job: &str, pid: u64) -> Value {
    json!({"msgid": "p", "type": "REGISTER_PROCESS", "job_name": job, "pid": pid})
}

pub(crate) fn ping() -> Value {
    json!({"msgid": "b", "type": "PING"})
}
