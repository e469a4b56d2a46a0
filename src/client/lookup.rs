//! Several lookupds, asked as one: which nodes there are, and which of them runs what. All are asked at
//! the same time, and one that does not answer is told beside the answer of the others.
//!
//! What they say is merged. A node is the same if its name and its origin are. It is known, and has a job,
//! if one of those that answer says so: who asks it finds out whether that is still so. Of the processes of
//! a job on a node that lookupd is believed that heard of the node last (`last_seen`, by the clocks of the
//! lookupds), and where they heard of it at the same time, all of them.

use std::fmt;

use serde_json::Value;

use super::address::{self, Address};
use super::api::{encoded, Server};
use super::endpoint::Endpoint;
use super::error::Error;
use super::following::Follow;
use crate::base::sorted::{SortedMap, SortedSet};
use crate::supervisor::name::JobName;

/// The port of a lookupd that names none.
const DEFAULT_PORT: u16 = 5010;

/// Lookupds that know the same nodes, or each some of them.
///
/// ```no_run
/// use gaffer::client::Lookup;
///
/// let lookupds = ["http://l1:5010", "http://l2:5010"].map(Lookup::address);
/// let lookupds = lookupds.into_iter().collect::<Result<Vec<_>, _>>()?;
/// let lookup = Lookup::new(lookupds);
/// let answer = lookup.job("site.web")?;
/// for source in &answer.found {
///     println!("{} runs it as {:?}", source.node.origin, source.pids);
/// }
/// for silent in &answer.silent {
///     eprintln!("{silent}");
/// }
/// # Ok::<(), gaffer::client::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Lookup {
    lookupds: Vec<Endpoint>,
}

/// What was found, and who was not asked.
#[derive(Debug)]
pub struct Answer<T> {
    /// What those said that answered.
    pub found: T,
    /// Those that did not.
    pub silent: Vec<Silent>,
}

/// A lookupd that did not answer.
#[derive(Debug)]
pub struct Silent {
    /// Where it is.
    pub address: Address,
    /// Why not.
    pub error: Box<Error>,
}

/// A node, as it told lookupds who it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// What it is called. Several nodes of a host have the same name.
    pub name: String,
    /// Where clients reach it.
    pub origin: String,
    /// What it speaks.
    pub version: String,
    /// When a lookupd heard of it last, in seconds since 1970, where that was asked.
    pub last_seen: Option<f64>,
}

/// A node that has a job.
#[derive(Clone, Debug, PartialEq)]
pub struct Source {
    /// Which.
    pub node: Node,
    /// The numbers that it gave to the job's processes, ascending.
    pub pids: Vec<u64>,
}

/// A job, and where it is.
#[derive(Clone, Debug, PartialEq)]
pub struct LocatedJob {
    /// Its whole name, `session.label`, however its node writes it.
    pub name: String,
    /// The nodes that have it, by their names.
    pub sources: Vec<Source>,
}

/// A session with its jobs.
#[derive(Clone, Debug, PartialEq)]
pub struct LocatedSession {
    /// Its name.
    pub name: String,
    /// Its jobs, by their names.
    pub jobs: Vec<LocatedJob>,
}

/// What one lookupd said.
#[derive(Clone, Debug, Default)]
struct Told {
    nodes: Vec<Node>,
    /// The sources of jobs.
    sources: Vec<(String, Source)>,
}

impl Lookup {
    /// Where a lookupd is: `http://HOST:PORT`, `https://HOST:PORT`, `HOST:PORT` or `unix:PATH`. Without a
    /// port it is 5010.
    ///
    /// # Errors
    /// The text is no such thing.
    pub fn address(text: &str) -> Result<Address, Error> {
        address::read(text, "lookupd", DEFAULT_PORT)
    }

    /// These lookupds. Nothing is sent before the first call.
    pub fn new(lookupds: impl IntoIterator<Item = impl Into<Endpoint>>) -> Self {
        Self { lookupds: lookupds.into_iter().map(Into::into).collect() }
    }

    /// How they are come to.
    pub fn endpoints(&self) -> &[Endpoint] {
        &self.lookupds
    }

    /// The same without those that did not answer: who asks once more need not wait for them again.
    #[must_use]
    pub fn without(&self, silent: &[Silent]) -> Self {
        let is_silent = |one: &&Endpoint| silent.iter().any(|known| known.address == one.address);
        let others = self.lookupds.iter().filter(|one| !is_silent(one));
        Self { lookupds: others.cloned().collect() }
    }

    /// All nodes, by their names.
    ///
    /// # Errors
    /// No lookupd answers; so it is with every call below.
    pub fn nodes(&self) -> Result<Answer<Vec<Node>>, Error> {
        let answer = self.ask(&|_| Ok(Vec::new()))?;
        Ok(answer.map(|told| nodes(&told).into_values().collect()))
    }

    /// All jobs, by their names.
    ///
    /// # Errors
    /// As [`Self::nodes`].
    pub fn jobs(&self) -> Result<Answer<Vec<LocatedJob>>, Error> {
        let answer = self.ask(&|server| of_jobs(&get(server, "/jobs")?))?;
        Ok(answer.map(|told| merged(&told)))
    }

    /// The nodes that have a job; none if there is no such job. A name without a session is one of
    /// `default`.
    ///
    /// # Errors
    /// As [`Self::nodes`].
    pub fn job(&self, name: &str) -> Result<Answer<Vec<Source>>, Error> {
        let target = format!("/findJob?name={}", encoded(name));
        let answer = self.ask(&|server| {
            let answer = get(server, &target)?;
            list(&answer, "sources")?
                .iter()
                .map(|one| Ok((name.to_owned(), source(one)?)))
                .collect()
        })?;
        let first = |jobs: Vec<LocatedJob>| jobs.into_iter().next().map(|job| job.sources);
        Ok(answer.map(|told| first(merged(&told)).unwrap_or_default()))
    }

    /// All sessions, by their names; or those on nodes of this name.
    ///
    /// # Errors
    /// As [`Self::nodes`].
    pub fn sessions(&self, node: Option<&str>) -> Result<Answer<Vec<LocatedSession>>, Error> {
        let of_node = node.map(|node| format!("/{}", encoded(node))).unwrap_or_default();
        let target = format!("/sessions{of_node}");
        let answer = self.ask(&|server| {
            let answer = get(server, &target)?;
            let mut sources = Vec::new();
            for session in list(&answer, "sessions")? {
                let jobs = session["jobs"].as_object().ok_or_else(|| strange("jobs"))?;
                for (name, all) in jobs {
                    let all = all.as_array().ok_or_else(|| strange("sources"))?;
                    for one in all {
                        sources.push((whole(name), source(one)?));
                    }
                }
            }
            Ok(sources)
        })?;
        Ok(answer.map(|told| by_session(merged(&told))))
    }

    /// The jobs of a session, by their names.
    ///
    /// # Errors
    /// As [`Self::nodes`].
    pub fn session(&self, name: &str) -> Result<Answer<Vec<LocatedJob>>, Error> {
        let target = format!("/findSession?sessionid={}", encoded(name));
        let answer = self.ask(&|server| of_jobs(&get(server, &target)?))?;
        Ok(answer.map(|told| merged(&told)))
    }

    /// Follows what changes, beginning with everything that is. Nothing waits here: connections come about
    /// one after the other, and are told as they do.
    ///
    /// # Errors
    /// The system lets nobody wait for several connections.
    ///
    /// ```no_run
    /// use gaffer::client::{Change, Lookup};
    ///
    /// let lookup = Lookup::new([Lookup::address("http://l1:5010")?]);
    /// let mut topology = lookup.follow()?;
    /// loop {
    ///     match topology.hear()? {
    ///         Change::AddProcess(node, job, pid) => println!("{job} runs on {} as {pid}", node.origin),
    ///         Change::Lost(silent) => eprintln!("{silent}"),
    ///         change => println!("{change:?}"),
    ///     }
    /// }
    /// # Ok::<(), gaffer::client::Error>(())
    /// ```
    pub fn follow(&self) -> Result<Follow, Error> {
        Follow::new(&self.lookupds)
    }

    /// Asks all for their nodes and for something more.
    fn ask(&self, more: &Question<'_>) -> Result<Answer<Vec<Told>>, Error> {
        let ask = |endpoint: &Endpoint| -> Result<Told, Error> {
            let mut server = Server::at(endpoint.clone());
            let answer = get(&mut server, "/nodes")?;
            let nodes: Result<_, Error> = list(&answer, "nodes")?.iter().map(node).collect();
            Ok(Told { nodes: nodes?, sources: more(&mut server)? })
        };
        let results: Vec<Result<Told, Error>> = std::thread::scope(|scope| {
            let all = self.lookupds.iter();
            let all: Vec<_> = all.map(|endpoint| scope.spawn(move || ask(endpoint))).collect();
            let panicked = |_| Err(Error::Strange("it could not be understood".into()));
            all.into_iter().map(|one| one.join().unwrap_or_else(panicked)).collect()
        });
        let (mut found, mut silent) = (Vec::new(), Vec::new());
        for (endpoint, result) in self.lookupds.iter().zip(results) {
            match result {
                Ok(told) => found.push(told),
                Err(error) => silent.push(Silent::new(&endpoint.address, error)),
            }
        }
        if found.is_empty() {
            return Err(Error::NoLookupd(silent));
        }
        Ok(Answer { found, silent })
    }
}

/// What a lookupd is asked besides its nodes.
type Question<'a> = dyn Fn(&mut Server) -> Result<Vec<(String, Source)>, Error> + Sync + 'a;

impl<T> Answer<T> {
    fn map<U>(self, of: impl FnOnce(T) -> U) -> Answer<U> {
        Answer { found: of(self.found), silent: self.silent }
    }
}

impl Silent {
    pub(super) fn new(address: &Address, error: Error) -> Self {
        Self { address: address.clone(), error: Box::new(error) }
    }
}

impl fmt::Display for Silent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = &self.address;
        match &*self.error {
            Error::NoNode { error, .. } => write!(f, "no lookupd answers at {address} ({error})"),
            Error::Broken(error) => write!(f, "the connection to {address} broke: {error}"),
            Error::Strange(what) => write!(f, "what answers at {address} is no lookupd ({what})"),
            error @ Error::Unsafe { .. } => write!(f, "{error}"),
            error @ (Error::Address { .. } | Error::NoLookupd(_) | Error::Refused { .. }) => {
                write!(f, "the lookupd at {address}: {error}")
            }
        }
    }
}

impl Node {
    /// What tells it from others: its name and its origin.
    pub fn identity(&self) -> (String, String) {
        (self.name.clone(), self.origin.clone())
    }
}

/// All nodes that anybody knows, each with the time at which it was heard of last.
fn nodes(told: &[Told]) -> SortedMap<(String, String), Node> {
    let mut all: SortedMap<(String, String), Node> = SortedMap::new();
    for node in told.iter().flat_map(|told| &told.nodes) {
        let known = all.entry(node.identity()).or_insert_with(|| node.clone());
        if known.last_seen < node.last_seen {
            *known = node.clone();
        }
    }
    all
}

/// All jobs that anybody knows, by their names.
fn merged(told: &[Told]) -> Vec<LocatedJob> {
    let nodes = nodes(told);
    // Of each job on each node: how late those heard of the node who tell of it, and its processes.
    type Known = (Option<f64>, Source, SortedSet<u64>);
    let mut jobs: SortedMap<&str, SortedMap<(String, String), Known>> = SortedMap::new();
    for one in told {
        let seen: SortedMap<_, _> =
            one.nodes.iter().map(|node| (node.identity(), node.last_seen)).collect();
        for (job, source) in &one.sources {
            let who = source.node.identity();
            let seen = seen.get(&who).copied().flatten();
            let pids = source.pids.iter().copied();
            let known = jobs.entry(job).or_default().entry(who);
            let known = known.or_insert_with(|| (seen, source.clone(), SortedSet::new()));
            if known.0 < seen {
                known.2.clear();
                known.0 = seen;
            }
            if known.0 == seen {
                known.2.extend(pids);
            }
        }
    }
    let located = |(who, (_, source, pids)): ((String, String), Known)| {
        let node = nodes.get(&who).cloned().unwrap_or(source.node);
        Source { node, pids: pids.into_iter().collect() }
    };
    let job = |(name, sources): (&str, SortedMap<_, Known>)| LocatedJob {
        name: name.to_owned(),
        sources: sources.into_iter().map(located).collect(),
    };
    jobs.into_iter().map(job).collect()
}

fn by_session(jobs: Vec<LocatedJob>) -> Vec<LocatedSession> {
    let mut sessions: SortedMap<String, Vec<LocatedJob>> = SortedMap::new();
    for job in jobs {
        let session = job.name.split('.').next().unwrap_or_default().to_owned();
        sessions.entry(session).or_default().push(job);
    }
    sessions.into_iter().map(|(name, jobs)| LocatedSession { name, jobs }).collect()
}

/// A job's name as `session.label`.
pub(super) fn whole(name: &str) -> String {
    let plain = || name.chars().filter(|c| !c.is_control()).collect();
    JobName::parse(name).map_or_else(|_| plain(), |name| name.to_string())
}

fn get(server: &mut Server, target: &str) -> Result<Value, Error> {
    server.ask("GET", target, b"")?.json()
}

fn strange(what: &str) -> Error {
    Error::Strange(format!("an answer without {what}"))
}

fn list<'a>(value: &'a Value, name: &str) -> Result<&'a Vec<Value>, Error> {
    value[name].as_array().ok_or_else(|| strange(name))
}

fn of_jobs(answer: &Value) -> Result<Vec<(String, Source)>, Error> {
    let mut sources = Vec::new();
    for job in list(answer, "jobs")? {
        let name = whole(job["name"].as_str().ok_or_else(|| strange("a name"))?);
        for one in list(job, "sources")? {
            sources.push((name.clone(), source(one)?));
        }
    }
    Ok(sources)
}

/// A node, as a lookupd tells of it.
pub(super) fn node(value: &Value) -> Result<Node, Error> {
    // It goes to terminals.
    let is_plain = |text: &&str| !text.chars().any(char::is_control);
    let text = |key: &str| {
        let text = value[key].as_str().filter(is_plain).map(str::to_owned);
        text.ok_or_else(|| strange(key))
    };
    Ok(Node {
        name: text("name")?,
        origin: text("origin")?,
        version: text("version")?,
        last_seen: value["last_seen"].as_f64(),
    })
}

fn source(value: &Value) -> Result<Source, Error> {
    let pids = list(value, "pids")?.iter().filter_map(Value::as_u64).collect();
    Ok(Source { node: node(&value["node_info"])?, pids })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn one(name: &str, origin: &str, last_seen: Option<f64>) -> Node {
        let (name, origin) = (name.to_owned(), origin.to_owned());
        Node { name, origin, version: "0.1".into(), last_seen }
    }

    fn told(node: &Node, jobs: &[(&str, &[u64])]) -> Told {
        let plain = Node { last_seen: None, ..node.clone() };
        let source = |(job, pids): &(&str, &[u64])| {
            ((*job).to_owned(), Source { node: plain.clone(), pids: pids.to_vec() })
        };
        Told { nodes: vec![node.clone()], sources: jobs.iter().map(source).collect() }
    }

    fn pids(told: &[Told]) -> Vec<(String, Vec<u64>)> {
        let all = merged(told);
        all.into_iter().map(|job| (job.name, job.sources[0].pids.clone())).collect()
    }

    #[test]
    fn of_processes_who_heard_of_the_node_last_is_believed() {
        let seen = |at| one("n", "http://n:1", at);
        for (first, second, expected) in [
            (Some(1.0), Some(2.0), vec![3]),
            (Some(2.0), Some(1.0), vec![1, 2]),
            (Some(1.0), Some(1.0), vec![1, 2, 3]),
            (None, None, vec![1, 2, 3]),
            (None, Some(1.0), vec![3]),
        ] {
            let all =
                [told(&seen(first), &[("a.b", &[2, 1])]), told(&seen(second), &[("a.b", &[3])])];
            assert_eq!(pids(&all), [("a.b".to_owned(), expected)], "{first:?} {second:?}");
        }
    }

    #[test]
    fn what_one_of_them_knows_is_known() {
        let seen = |at| one("n", "http://n:1", Some(at));
        let all = [told(&seen(1.0), &[("a.b", &[1])]), told(&seen(2.0), &[("a.c", &[])])];
        assert_eq!(pids(&all), [("a.b".to_owned(), vec![1]), ("a.c".to_owned(), vec![])]);
        let there = nodes(&all);
        assert_eq!(there.values().next().expect("one").last_seen, Some(2.0));
        let other = told(&one("n", "http://n:2", None), &[("a.b", &[7])]);
        let jobs = merged(&[all[0].clone(), other.clone()]);
        assert_eq!(jobs[0].sources.len(), 2, "two nodes of one host");
        assert_eq!(nodes(&[all[0].clone(), other]).len(), 2);
    }

    #[test]
    fn answers_are_read_and_what_is_none_is_refused() {
        let info = json!({"name": "n", "origin": "http://n:1", "version": "0.1"});
        let source = json!({"name": "n", "pids": [4, 5], "node_info": info});
        let jobs = of_jobs(&json!({"jobs": [{"name": "solo", "sources": [source]}]}));
        let jobs = jobs.expect("an answer");
        assert_eq!((jobs[0].0.as_str(), &jobs[0].1.pids), ("default.solo", &vec![4, 5]));
        for bad in [
            json!({}),
            json!({"jobs": [{}]}),
            json!({"jobs": [{"name": "a", "sources": [{"pids": []}]}]}),
        ] {
            assert!(of_jobs(&bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_lookupd_has_a_port_of_its_own() {
        let shown = |text| Lookup::address(text).map(|address| address.to_string());
        assert_eq!(shown("l1").expect("one"), "http://l1:5010");
        assert_eq!(shown("unix:/l").expect("one"), "unix:/l");
        let error = shown("ftp://l1").expect_err("no address").to_string();
        assert!(error.starts_with("\"ftp://l1\" is not a lookupd's address"), "{error}");
    }

    #[test]
    fn without_an_answer_each_is_told() {
        let none = Lookup::new(Vec::<Endpoint>::new()).nodes().expect_err("none");
        assert_eq!(none.to_string(), "no lookupd is named");
        let all = ["unix:/none/a", "unix:/none/b"].map(|text| Lookup::address(text).expect("one"));
        let lookup = Lookup::new(all);
        let error = lookup.nodes().expect_err("nobody is there");
        let Error::NoLookupd(silent) = &error else { panic!("{error}") };
        assert_eq!(lookup.without(&silent[..1]).endpoints().len(), 1);
        let error = error.to_string();
        let both = ["no lookupd answers at unix:/none/a", "; no lookupd answers at unix:/none/b"];
        assert!(both.iter().all(|part| error.contains(part)), "{error}");
    }
}
