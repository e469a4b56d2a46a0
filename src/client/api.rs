//! A node, its jobs and its processes, as things with methods.

use serde_json::{json, Map, Value};

use super::address::Address;
use super::channel::Channel;
use super::error::Error;
use super::http::{Body, Connection, Reply};

/// A node.
pub struct Server {
    address: Address,
    connection: Option<Connection>,
}

/// What a job is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Run.
    Started,
    /// Stop.
    Stopped,
    /// Replace all its processes at once.
    Reloaded,
}

/// A job of a node.
pub struct Job<'a> {
    server: &'a mut Server,
    path: String,
}

/// A process of a node, by gaffer's own number.
pub struct Process<'a> {
    server: &'a mut Server,
    pid: u64,
}

impl Server {
    /// A node at this address. Nothing is sent before the first call.
    pub fn new(address: Address) -> Self {
        Self { address, connection: None }
    }

    /// Where it is.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Asks for anything; a path may have a query.
    ///
    /// # Errors
    /// The node does not answer. A refusal is an answer.
    pub fn ask(&mut self, method: &str, target: &str, body: &[u8]) -> Result<Reply, Error> {
        // A node closes what was idle for long: then it is asked again, once, over a new connection.
        if let Some(mut connection) = self.connection.take() {
            if let Ok(reply) = connection.ask(method, target, body) {
                self.connection = Some(connection);
                return Ok(reply);
            }
            if method != "GET" {
                // It may have been done all the same: look before asking twice.
                Connection::open(&self.address)?.ask("GET", "/ping", b"")?;
            }
        }
        let mut connection = Connection::open(&self.address)?;
        let reply = connection.ask(method, target, body)?;
        self.connection = Some(connection);
        Ok(reply)
    }

    fn get(&mut self, target: &str) -> Result<Value, Error> {
        self.ask("GET", target, b"")?.json()
    }

    fn send(&mut self, method: &str, target: &str, body: &Value) -> Result<Value, Error> {
        self.ask(method, target, body.to_string().as_bytes())?.json()
    }

    /// Its version.
    ///
    /// # Errors
    /// The node does not answer.
    pub fn version(&mut self) -> Result<String, Error> {
        Ok(self.get("/version")?["version"].as_str().unwrap_or_default().to_owned())
    }

    /// Whether it answers.
    ///
    /// # Errors
    /// It does not.
    pub fn ping(&mut self) -> Result<(), Error> {
        let reply = self.ask("GET", "/ping", b"")?;
        if reply.status == 200 {
            return Ok(());
        }
        Err(Error::of_answer(reply.status, &reply.body))
    }

    /// The names of its sessions.
    ///
    /// # Errors
    /// The node does not answer, or refuses; so it is with every call below.
    pub fn sessions(&mut self) -> Result<Vec<String>, Error> {
        Ok(texts(&self.get("/sessions")?["sessions"]))
    }

    /// The names of all jobs.
    ///
    /// # Errors
    /// As [`Self::sessions`].
    pub fn jobs(&mut self) -> Result<Vec<String>, Error> {
        Ok(texts(&self.get("/jobs")?["jobs"]))
    }

    /// The numbers of all processes.
    ///
    /// # Errors
    /// As [`Self::sessions`].
    pub fn pids(&mut self) -> Result<Vec<u64>, Error> {
        let pids = self.get("/pids")?;
        Ok(pids["pids"].as_array().into_iter().flatten().filter_map(Value::as_u64).collect())
    }

    /// Statistics of all jobs, each as [`Job::stats`] gives them.
    ///
    /// # Errors
    /// As [`Self::sessions`].
    pub fn stats(&mut self) -> Result<Vec<Value>, Error> {
        Ok(self.get("/stats")?["jobs"].as_array().cloned().unwrap_or_default())
    }

    /// Loads a job into a session: `config` has its options, its label as `name`.
    ///
    /// # Errors
    /// As [`Self::sessions`].
    pub fn load(&mut self, session: &str, config: &Map<String, Value>) -> Result<(), Error> {
        let target = format!("/jobs/{}", encoded(session));
        self.send("POST", &target, &Value::Object(config.clone())).map(drop)
    }

    /// A job, by its whole name `session.label`; one without a session is of `default`.
    pub fn job(&mut self, name: &str) -> Job<'_> {
        let (session, label) = name.split_once(['.', '/']).unwrap_or(("default", name));
        let path = format!("/jobs/{}/{}", encoded(session), encoded(label));
        Job { server: self, path }
    }

    /// A process.
    pub fn process(&mut self, pid: u64) -> Process<'_> {
        Process { server: self, pid }
    }

    /// The channel, over a connection of its own.
    ///
    /// # Errors
    /// As [`Channel::open`].
    pub fn channel(&self) -> Result<Channel, Error> {
        Channel::open(&self.address)
    }

    /// A body that goes on, over a connection of its own, such as `/watch?feed=continuous`.
    ///
    /// # Errors
    /// As [`Connection::follow`].
    pub fn follow(&self, target: &str) -> Result<Body, Error> {
        Connection::open(&self.address)?.follow(target)
    }
}

impl Job<'_> {
    fn get(&mut self, what: &str) -> Result<Value, Error> {
        let target = format!("{}{what}", self.path);
        self.server.get(&target)
    }

    fn post(&mut self, what: &str, body: &Value) -> Result<Value, Error> {
        let target = format!("{}{what}", self.path);
        self.server.send("POST", &target, body)
    }

    /// All that the node tells of it.
    ///
    /// # Errors
    /// There is no such job, or as [`Server::sessions`]; so it is with every call below.
    pub fn info(&mut self) -> Result<Value, Error> {
        self.get("")
    }

    /// Its statistics.
    ///
    /// # Errors
    /// As [`Self::info`].
    pub fn stats(&mut self) -> Result<Value, Error> {
        self.get("/stats")
    }

    /// How its last runs ended, newest first.
    ///
    /// # Errors
    /// As [`Self::info`].
    pub fn deaths(&mut self) -> Result<Vec<Value>, Error> {
        Ok(self.get("/deaths")?["deaths"].as_array().cloned().unwrap_or_default())
    }

    /// Starts, stops or reloads it.
    ///
    /// # Errors
    /// As [`Self::info`].
    pub fn set(&mut self, state: State) -> Result<(), Error> {
        let body = match state {
            State::Stopped => json!(0),
            State::Started => json!(1),
            State::Reloaded => json!(2),
        };
        self.post("/state", &body).map(drop)
    }

    /// Restarts its instances one after the other.
    ///
    /// # Errors
    /// As [`Self::info`].
    pub fn restart(&mut self) -> Result<(), Error> {
        self.post("/restart", &Value::Null).map(drop)
    }

    /// Changes how many instances are kept: `+1`, `-1` or `=3`. Gives the new number.
    ///
    /// # Errors
    /// As [`Self::info`].
    pub fn scale(&mut self, change: &str) -> Result<u64, Error> {
        let answer = self.post("/numprocesses", &json!({"scale": change}))?;
        Ok(answer["numprocesses"].as_u64().unwrap_or(0))
    }

    /// Sends a signal, by name or number, to all its processes.
    ///
    /// # Errors
    /// As [`Self::info`].
    pub fn signal(&mut self, signal: &str) -> Result<(), Error> {
        self.post("/signal", &json!({"signal": signal})).map(drop)
    }

    /// Starts a process more, which is not kept alive. Gives its number.
    ///
    /// # Errors
    /// As [`Self::info`].
    pub fn commit(&mut self, options: &Map<String, Value>) -> Result<u64, Error> {
        let answer = self.post("/commit", &Value::Object(options.clone()))?;
        Ok(answer["pid"].as_u64().unwrap_or(0))
    }

    /// Stops its processes and takes it away.
    ///
    /// # Errors
    /// As [`Self::info`].
    pub fn unload(&mut self) -> Result<(), Error> {
        let reply = self.server.ask("DELETE", &self.path, b"")?;
        reply.json().map(drop)
    }
}

impl Process<'_> {
    /// All that the node tells of it.
    ///
    /// # Errors
    /// There is no such process, or as [`Server::sessions`]; so it is with every call below.
    pub fn info(&mut self) -> Result<Value, Error> {
        self.server.get(&format!("/{}", self.pid))
    }

    /// Stops it; a kept one is replaced.
    ///
    /// # Errors
    /// As [`Self::info`].
    pub fn stop(&mut self) -> Result<(), Error> {
        let reply = self.server.ask("DELETE", &format!("/{}", self.pid), b"")?;
        reply.json().map(drop)
    }

    /// Sends it a signal, by name or number.
    ///
    /// # Errors
    /// As [`Self::info`].
    pub fn signal(&mut self, signal: &str) -> Result<(), Error> {
        let target = format!("/{}/signal", self.pid);
        self.server.send("POST", &target, &json!({"signal": signal})).map(drop)
    }

    /// Writes to a stream of it: `stdin`, or a custom one by its label.
    ///
    /// # Errors
    /// As [`Self::info`].
    pub fn write(&mut self, stream: &str, bytes: &[u8]) -> Result<(), Error> {
        let target = format!("/streams/{}/{}", self.pid, encoded(stream));
        self.server.ask("POST", &target, bytes)?.json().map(drop)
    }

    /// Tells it the end of a stream that is written to.
    ///
    /// # Errors
    /// As [`Self::info`].
    pub fn close(&mut self, stream: &str) -> Result<(), Error> {
        let target = format!("/streams/{}/{}?close=1", self.pid, encoded(stream));
        self.server.ask("POST", &target, b"")?.json().map(drop)
    }

    /// What is kept of a stream, which is not all of it: the last part, if it wrote much.
    ///
    /// # Errors
    /// As [`Self::info`].
    pub fn kept(&mut self, stream: &str) -> Result<Vec<u8>, Error> {
        let target = format!("/streams/{}/{}?feed=kept", self.pid, encoded(stream));
        let reply = self.server.ask("GET", &target, b"")?;
        if reply.status == 200 {
            return Ok(reply.body);
        }
        Err(Error::of_answer(reply.status, &reply.body))
    }

    /// What it writes to a stream from this position on, for as long as it lives.
    ///
    /// # Errors
    /// As [`Self::info`].
    pub fn read(&self, stream: &str, since: Option<u64>) -> Result<Body, Error> {
        let since = since.map(|since| format!("&since={since}")).unwrap_or_default();
        let target = format!("/streams/{}/{}?feed=continuous{since}", self.pid, encoded(stream));
        self.server.follow(&target)
    }
}

fn texts(value: &Value) -> Vec<String> {
    let list = value.as_array().into_iter().flatten();
    list.filter_map(Value::as_str).map(str::to_owned).collect()
}

/// A segment of a path, with everything but letters, digits and `-._~` encoded (RFC 3986).
fn encoded(segment: &str) -> String {
    let mut out = String::with_capacity(segment.len());
    for byte in segment.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out += &format!("%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_paths() {
        let mut server = Server::new(Address::default());
        for (name, path) in [
            ("web", "/jobs/default/web"),
            ("site.web.1", "/jobs/site/web.1"),
            ("site/a b@+", "/jobs/site/a%20b%40%2B"),
        ] {
            assert_eq!(server.job(name).path, path);
        }
    }
}
