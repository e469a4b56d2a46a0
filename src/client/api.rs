//! A node, its jobs and its processes, as things with methods.

use std::io::ErrorKind;
use std::time::Duration;

use data_encoding::BASE64;
use serde_json::{json, Map, Value};

use super::address::Address;
use super::channel::Channel;
use super::endpoint::Endpoint;
use super::error::Error;
use super::http::{Body, Connection, Reply, PATIENCE, WRITE_PATIENCE};

/// A node.
pub struct Server {
    endpoint: Endpoint,
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
    pub(super) server: &'a mut Server,
    pub(super) path: String,
    wait: Option<Duration>,
}

/// A process of a node, by gaffer's own number.
pub struct Process<'a> {
    server: &'a mut Server,
    pid: u64,
    wait: Option<Duration>,
}

impl Server {
    /// A node at this address. Nothing is sent before the first call.
    pub fn new(address: Address) -> Self {
        Self::at(address.into())
    }

    /// The same, with a key or with others to trust.
    pub fn at(endpoint: Endpoint) -> Self {
        Self { endpoint, connection: None }
    }

    /// The same node, over a connection of its own.
    #[must_use]
    pub fn another(&self) -> Self {
        Self::at(self.endpoint.clone())
    }

    /// How it is come to.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Where it is.
    pub fn address(&self) -> &Address {
        &self.endpoint.address
    }

    /// Asks for anything; a path may have a query.
    ///
    /// # Errors
    /// The node does not answer. A refusal is an answer.
    pub fn ask(&mut self, method: &str, target: &str, body: &[u8]) -> Result<Reply, Error> {
        self.ask_within(PATIENCE, (method, target, body))
    }

    /// Gets a key for a user's name and password; `None` if the user has none. It is good for some weeks.
    ///
    /// # Errors
    /// The node does not answer, asks for no keys (404), or knows no such user or another password (401).
    pub fn login(&self, name: &str, password: &str) -> Result<Option<String>, Error> {
        let basic = BASE64.encode(format!("{name}:{password}").as_bytes());
        let endpoint = Endpoint { basic: Some(basic), key: None, ..self.endpoint.clone() };
        let answer = Self::at(endpoint).ask("GET", "/auth", b"")?.json()?;
        let key = answer["api_key"].as_str().map(str::to_owned);
        // It goes into headers and files.
        if key.as_deref().is_some_and(|key| !key.bytes().all(|byte| byte.is_ascii_graphic())) {
            return Err(Error::Strange("a key that is none".into()));
        }
        Ok(key)
    }

    /// The same for an answer that may take so long.
    fn ask_within(
        &mut self,
        patience: Duration,
        (method, target, body): (&str, &str, &[u8]),
    ) -> Result<Reply, Error> {
        // A node closes what was idle for long: then it is asked again, once, over a new connection.
        if let Some(mut connection) = self.connection.take() {
            connection.set_patience(Some(patience))?;
            match connection.ask(method, target, body) {
                Ok(reply) => {
                    self.connection = Some(connection);
                    return Ok(reply);
                }
                // Who takes a request and says nothing may do it yet: it is not asked twice.
                Err(error @ Error::NoNode { .. }) => return Err(error),
                Err(Error::Broken(error)) if error.kind() == ErrorKind::TimedOut => {
                    return Err(error.into());
                }
                Err(_) => {}
            }
            if method != "GET" {
                // It may have been done all the same: look before asking twice.
                Connection::open(&self.endpoint)?.ask("GET", "/ping", b"")?;
            }
        }
        let mut connection = Connection::open(&self.endpoint)?;
        connection.set_patience(Some(patience))?;
        let reply = connection.ask(method, target, body)?;
        self.connection = Some(connection);
        Ok(reply)
    }

    /// How the last runs of all jobs ended, or of one, as far as they may be read: so many, newest last.
    ///
    /// # Errors
    /// As [`Self::jobs`].
    pub fn deaths(&mut self, job: Option<&str>, most: usize) -> Result<Vec<Value>, Error> {
        let job = job.map(|job| format!("&job={}", encoded(job))).unwrap_or_default();
        let told = self.get(&format!("/deaths?limit={most}{job}"))?;
        Ok(told["deaths"].as_array().cloned().unwrap_or_default())
    }

    fn get(&mut self, target: &str) -> Result<Value, Error> {
        self.ask("GET", target, b"")?.json()
    }

    fn send(&mut self, method: &str, target: &str, body: &Value) -> Result<Value, Error> {
        self.ask(method, target, body.to_string().as_bytes())?.json()
    }

    /// Changes something, and waits until it has come about, if that is wished.
    fn change(
        &mut self,
        (method, target, body): (&str, &str, &[u8]),
        wait: Option<(Duration, &str)>,
    ) -> Result<Value, Error> {
        let Some((timeout, goal)) = wait else { return self.ask(method, target, body)?.json() };
        let seconds = timeout.as_secs_f64();
        let target = format!("{target}?wait={goal}&timeout={seconds}");
        self.ask_within(timeout + PATIENCE, (method, &target, body))?.json()
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
        match (reply.status, reply.body.trim_ascii()) {
            (200, b"OK") => Ok(()),
            (200, _) => Err(Error::Strange("something else than OK to a ping".into())),
            _ => Err(Error::of_answer(reply.status, &reply.body)),
        }
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
        Job { server: self, path, wait: None }
    }

    /// A process.
    pub fn process(&mut self, pid: u64) -> Process<'_> {
        Process { server: self, pid, wait: None }
    }

    /// The channel, over a connection of its own.
    ///
    /// # Errors
    /// As [`Channel::open`].
    pub fn channel(&self) -> Result<Channel, Error> {
        Channel::open(&self.endpoint)
    }

    /// A body that goes on, over a connection of its own, such as `/watch?feed=continuous`.
    ///
    /// # Errors
    /// As [`Connection::follow`].
    pub fn follow(&self, target: &str) -> Result<Body, Error> {
        Connection::open(&self.endpoint)?.follow(target)
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

    /// Lets what is done next answer only when it has come about: all instances run, or none is left; or
    /// when this time, at most an hour, is over.
    #[must_use]
    pub fn waiting(mut self, timeout: Duration) -> Self {
        self.wait = Some(timeout);
        self
    }

    fn change(&mut self, what: &str, body: &Value, goal: &str) -> Result<Value, Error> {
        let target = format!("{}{what}", self.path);
        let wait = self.wait.map(|timeout| (timeout, goal));
        self.server.change(("POST", &target, body.to_string().as_bytes()), wait)
    }

    /// All that the node tells of it.
    ///
    /// # Errors
    /// There is no such job, or as [`Server::sessions`]; so it is with every call below.
    pub fn info(&mut self) -> Result<Value, Error> {
        self.get("")
    }

    /// All that the node tells of it, with the values of its environment that look like secrets.
    ///
    /// # Errors
    /// As [`Self::info`], and only an administrator is told.
    pub fn info_with_secrets(&mut self) -> Result<Value, Error> {
        self.get("?secrets=1")
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
        let (body, goal) = match state {
            State::Stopped => (json!(0), "stopped"),
            State::Started => (json!(1), "running"),
            State::Reloaded => (json!(2), "running"),
        };
        self.change("/state", &body, goal).map(drop)
    }

    /// Restarts its instances one after the other.
    ///
    /// # Errors
    /// As [`Self::info`].
    pub fn restart(&mut self) -> Result<(), Error> {
        self.change("/restart", &Value::Null, "running").map(drop)
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
        let wait = self.wait.map(|timeout| (timeout, "stopped"));
        self.server.change(("DELETE", &self.path, b""), wait).map(drop)
    }
}

impl Process<'_> {
    /// Lets [`Self::stop`] answer only when the process is gone, or when this time, at most an hour, is
    /// over.
    #[must_use]
    pub fn waiting(mut self, timeout: Duration) -> Self {
        self.wait = Some(timeout);
        self
    }

    /// All that the node tells of it.
    ///
    /// # Errors
    /// There is no such process, or as [`Server::sessions`]; so it is with every call below.
    pub fn info(&mut self) -> Result<Value, Error> {
        self.server.get(&format!("/{}", self.pid))
    }

    /// The process and those that came from it, parents before their children: each with `os_pid`,
    /// `parent`, `name`, `state` and `rss`.
    ///
    /// # Errors
    /// As [`Self::info`].
    pub fn tree(&mut self) -> Result<Vec<Value>, Error> {
        let answer = self.server.get(&format!("/{}/tree", self.pid))?;
        Ok(answer["processes"].as_array().cloned().unwrap_or_default())
    }

    /// Stops it; a kept one is replaced.
    ///
    /// # Errors
    /// As [`Self::info`].
    pub fn stop(&mut self) -> Result<(), Error> {
        let wait = self.wait.map(|timeout| (timeout, "stopped"));
        self.server.change(("DELETE", &format!("/{}", self.pid), b""), wait).map(drop)
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
        self.server.ask_within(WRITE_PATIENCE, ("POST", &target, bytes))?.json().map(drop)
    }

    /// Tells it the end of a stream that is written to.
    ///
    /// # Errors
    /// As [`Self::info`].
    pub fn close(&mut self, stream: &str) -> Result<(), Error> {
        let target = format!("/streams/{}/{}?close=1", self.pid, encoded(stream));
        self.server.ask_within(WRITE_PATIENCE, ("POST", &target, b""))?.json().map(drop)
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
pub(super) fn encoded(segment: &str) -> String {
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
