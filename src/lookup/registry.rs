//! What runs where: nodes, their jobs, and the processes of those. It is pure, and knows neither
//! connections nor time: whoever learns what is so on some node says it here, and gets back what
//! changed by that, to tell it to those who follow.
//!
//! The ideas. The truth about a node stands with the node, so that it goes with it at once. A job's
//! name is kept once, however many nodes run it, and knows which they are, so that a job is found
//! without a search. Everything has a [`Place`] in one order; who walks through all of it remembers
//! the place it has come to, and nothing else. That is how an answer or a snapshot of any size is
//! written bit by bit while things change: what stands before the place has been told, what stands
//! behind it is told as it is when its turn comes.

use std::ops::Bound;
use std::rc::Rc;
use std::time::SystemTime;

use super::identity::{Identity, Named, Spelling};
use super::names::{JobNo, Names};
use crate::base::limits;
use crate::base::sorted::SortedMap;

/// A node's number: 1, 2, 3…, in the order in which they came, never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NodeNo(pub u64);

/// Everything.
pub struct Registry {
    nodes: SortedMap<NodeNo, Node>,
    /// By name and origin.
    known: SortedMap<(Rc<str>, Rc<str>), NodeNo>,
    names: Names,
    last: u64,
    jobs: usize,
    processes: usize,
    /// Most jobs and processes of all nodes.
    most: usize,
}

struct Node {
    identity: Rc<Identity>,
    seen: SystemTime,
    /// The round in which it was marked last.
    round: u32,
    jobs: SortedMap<JobNo, Job>,
}

/// A job on a node.
struct Job {
    spelling: Spelling,
    /// The round in which it was marked last.
    round: u32,
    /// The processes that run, ascending.
    pids: Vec<u64>,
}

/// Where something stands in the order of everything: a node before its jobs, a job before its
/// processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    node: NodeNo,
    job: Option<JobNo>,
    pid: Option<u64>,
}

/// Something that changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Where it stands or stood.
    pub place: Place,
    /// On which node.
    pub node: Rc<Identity>,
    /// What.
    pub what: What,
}

/// What changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// The node is there.
    AddNode,
    /// It is gone, with all that it had.
    RemoveNode,
    /// It has a job.
    AddJob(Named),
    /// It has it no more, nor any process of it.
    RemoveJob(Named),
    /// A process of a job runs.
    AddProcess(Named, u64),
    /// It runs no more.
    RemoveProcess(Named, u64),
}

/// Why something does not become so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// A node of this name and origin is there.
    NodeExists,
    /// There is no such node.
    NoNode,
    /// The node has this job.
    JobExists,
    /// It has no such job.
    NoJob,
    /// There are as many nodes as there may be.
    Nodes,
    /// The node has as many jobs as it may.
    Jobs,
    /// The job has as many processes as it may.
    Processes,
    /// There are as many jobs and processes of all nodes as there may be.
    Entries,
}

/// A job on a node, with what runs of it there.
#[derive(Clone, Debug)]
pub struct Source<'a> {
    /// The job, as the node calls it.
    pub job: Named,
    /// The node's number.
    pub no: NodeNo,
    /// The node.
    pub node: &'a Identity,
    /// The processes that run.
    pub pids: &'a [u64],
}

/// How far somebody has come who walks through all sources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The job of the last one,
    pub job: Named,
    /// and its node.
    pub no: NodeNo,
}

/// Whose sources are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Those of all jobs.
    All,
    /// Those of the jobs of a session.
    Session(String),
    /// Those of one job: `session.label`.
    Job(Rc<str>),
}

/// How much there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Nodes.
    pub nodes: usize,
    /// Names of jobs, each once.
    pub names: usize,
    /// Jobs, on each node anew.
    pub jobs: usize,
    /// Processes.
    pub processes: usize,
}

impl Change {
    /// The number of its node.
    pub fn node_no(&self) -> NodeNo {
        self.place.node
    }
}

impl Default for Registry {
    fn default() -> Self {
        Self {
            nodes: SortedMap::new(),
            known: SortedMap::new(),
            names: Names::default(),
            last: 0,
            jobs: 0,
            processes: 0,
            most: limits::LOOKUP_ENTRIES,
        }
    }
}

impl Registry {
    /// The node of this name and origin.
    pub fn node(&self, name: &str, origin: &str) -> Option<NodeNo> {
        self.known.get(&(name.into(), origin.into())).copied()
    }

    /// Who a node is.
    pub fn identity(&self, node: NodeNo) -> Option<&Identity> {
        self.nodes.get(&node).map(|node| &*node.identity)
    }

    /// A node is there, and said so at this time.
    ///
    /// # Errors
    /// There is one of its name and origin, or there are too many.
    pub fn add_node(&mut self, who: Identity, seen: SystemTime) -> Result<Change, Refused> {
        let key = (Rc::clone(&who.name), Rc::clone(&who.origin));
        if self.known.contains_key(&key) {
            return Err(Refused::NodeExists);
        }
        if self.nodes.len() >= limits::LOOKUP_NODES {
            return Err(Refused::Nodes);
        }
        self.last += 1;
        let no = NodeNo(self.last);
        let identity = Rc::new(who);
        let (identity_of_it, jobs) = (Rc::clone(&identity), SortedMap::new());
        let node = Node { identity: identity_of_it, seen, round: 0, jobs };
        self.known.insert(key, no);
        self.nodes.insert(no, node);
        let place = Place { node: no, job: None, pid: None };
        Ok(Change { place, node: identity, what: What::AddNode })
    }

    /// A node is gone.
    pub fn remove_node(&mut self, no: NodeNo) -> Option<Change> {
        let node = self.nodes.remove(&no)?;
        self.known.remove(&(Rc::clone(&node.identity.name), Rc::clone(&node.identity.origin)));
        self.jobs -= node.jobs.len();
        for (name, job) in node.jobs {
            self.processes -= job.pids.len();
            self.names.leave(name, no);
        }
        let place = Place { node: no, job: None, pid: None };
        Some(Change { place, node: node.identity, what: What::RemoveNode })
    }

    /// A node gave a sign of life at this time.
    pub fn note_seen(&mut self, no: NodeNo, seen: SystemTime) {
        if let Some(node) = self.nodes.get_mut(&no) {
            node.seen = seen;
        }
    }

    /// A node has a job.
    ///
    /// # Errors
    /// It has it already, or there are too many.
    pub fn add_job(&mut self, no: NodeNo, named: Named) -> Result<Change, Refused> {
        let is_full = self.is_full();
        let node = self.nodes.get_mut(&no).ok_or(Refused::NoNode)?;
        let known = self.names.find(&named.text);
        if known.is_some_and(|name| node.jobs.contains_key(&name)) {
            return Err(Refused::JobExists);
        }
        if node.jobs.len() >= limits::LOOKUP_NODE_JOBS {
            return Err(Refused::Jobs);
        }
        if is_full {
            return Err(Refused::Entries);
        }
        let name = self.names.join(&named.text, no);
        node.jobs.insert(name, Job { spelling: named.spelling, round: 0, pids: Vec::new() });
        self.jobs += 1;
        let place = Place { node: no, job: Some(name), pid: None };
        let job = self.names.named(name, named.spelling);
        Ok(Change { place, node: Rc::clone(&node.identity), what: What::AddJob(job) })
    }

    /// A node has a job no more. Nothing changes if it had none of that name.
    pub fn remove_job(&mut self, no: NodeNo, text: &str) -> Option<Change> {
        let node = self.nodes.get_mut(&no)?;
        let name = self.names.find(text)?;
        let job = node.jobs.remove(&name)?;
        let named = self.names.named(name, job.spelling);
        self.names.leave(name, no);
        self.jobs -= 1;
        self.processes -= job.pids.len();
        let place = Place { node: no, job: Some(name), pid: None };
        Some(Change { place, node: Rc::clone(&node.identity), what: What::RemoveJob(named) })
    }

    /// A process of a job runs. Nothing changes if that is known.
    ///
    /// # Errors
    /// The node has no such job, or there are too many.
    pub fn add_process(
        &mut self,
        no: NodeNo,
        text: &str,
        pid: u64,
    ) -> Result<Option<Change>, Refused> {
        let is_full = self.is_full();
        let (node, name) = find(&mut self.nodes, &self.names, no, text)?;
        let job = node.jobs.get_mut(&name).ok_or(Refused::NoJob)?;
        let Err(at) = job.pids.binary_search(&pid) else { return Ok(None) };
        if job.pids.len() >= limits::LOOKUP_JOB_PROCESSES {
            return Err(Refused::Processes);
        }
        if is_full {
            return Err(Refused::Entries);
        }
        job.pids.insert(at, pid);
        self.processes += 1;
        let place = Place { node: no, job: Some(name), pid: Some(pid) };
        let what = What::AddProcess(self.names.named(name, job.spelling), pid);
        Ok(Some(Change { place, node: Rc::clone(&node.identity), what }))
    }

    /// A process of a job runs no more. Nothing changes if none was known.
    ///
    /// # Errors
    /// The node has no such job.
    pub fn remove_process(
        &mut self,
        no: NodeNo,
        text: &str,
        pid: u64,
    ) -> Result<Option<Change>, Refused> {
        let (node, name) = find(&mut self.nodes, &self.names, no, text)?;
        let job = node.jobs.get_mut(&name).ok_or(Refused::NoJob)?;
        let Ok(at) = job.pids.binary_search(&pid) else { return Ok(None) };
        job.pids.remove(at);
        if job.pids.is_empty() {
            job.pids = Vec::new();
        }
        self.processes -= 1;
        let place = Place { node: no, job: Some(name), pid: Some(pid) };
        let what = What::RemoveProcess(self.names.named(name, job.spelling), pid);
        Ok(Some(Change { place, node: Rc::clone(&node.identity), what }))
    }

    /// The processes of a job, ascending, if the node has it.
    pub fn pids(&self, no: NodeNo, text: &str) -> Option<&[u64]> {
        let name = self.names.find(text)?;
        self.nodes.get(&no)?.jobs.get(&name).map(|job| job.pids.as_slice())
    }

    /// A node, or one of its jobs, was said to be there in a round in which everything is said.
    pub fn mark(&mut self, no: NodeNo, job: Option<&str>, round: u32) {
        let name = job.map(|text| self.names.find(text));
        let Some(node) = self.nodes.get_mut(&no) else { return };
        match name {
            None => node.round = round,
            Some(name) => {
                if let Some(job) = name.and_then(|name| node.jobs.get_mut(&name)) {
                    job.round = round;
                }
            }
        }
    }

    /// The nodes that were not marked in a round, and of the others the jobs that were not.
    pub fn unmarked(&self, round: u32) -> Vec<(NodeNo, Option<Rc<str>>)> {
        let mut all = Vec::new();
        for (no, node) in &self.nodes {
            if node.round != round {
                all.push((*no, None));
                continue;
            }
            let jobs = node.jobs.iter().filter(|(_, job)| job.round != round);
            all.extend(
                jobs.map(|(name, job)| (*no, Some(self.names.named(*name, job.spelling).text))),
            );
        }
        all
    }

    /// What stands behind this place, as if it had just come: first a node, then its jobs, each
    /// followed by its processes.
    pub fn after(&self, place: Option<Place>) -> Option<Change> {
        let Some(Place { node: no, job, pid }) = place else {
            return self.nodes.first_key_value().map(|(no, node)| node_at(*no, node));
        };
        if let Some(node) = self.nodes.get(&no) {
            let here = job.and_then(|name| node.jobs.get(&name).map(|job| (name, job)));
            if let Some((name, job)) = here {
                let from = pid.map_or(0, |pid| job.pids.partition_point(|known| *known <= pid));
                if let Some(pid) = job.pids.get(from) {
                    let what = What::AddProcess(self.names.named(name, job.spelling), *pid);
                    let place = Place { node: no, job: Some(name), pid: Some(*pid) };
                    return Some(Change { place, node: Rc::clone(&node.identity), what });
                }
            }
            let from = job.map_or(Bound::Unbounded, Bound::Excluded);
            if let Some((name, job)) = node.jobs.range((from, Bound::Unbounded)).next() {
                let what = What::AddJob(self.names.named(*name, job.spelling));
                let place = Place { node: no, job: Some(*name), pid: None };
                return Some(Change { place, node: Rc::clone(&node.identity), what });
            }
        }
        let next = self.nodes.range((Bound::Excluded(no), Bound::Unbounded)).next();
        next.map(|(no, node)| node_at(*no, node))
    }

    /// The nodes behind this one, in the order in which they came, and when each was heard of last.
    pub fn nodes(
        &self,
        after: Option<NodeNo>,
    ) -> impl Iterator<Item = (NodeNo, &Identity, SystemTime)> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let nodes = self.nodes.range((from, Bound::Unbounded));
        nodes.map(|(no, node)| (*no, &*node.identity, node.seen))
    }

    /// All sources behind a mark, by the names of their jobs and then in the order of their nodes.
    pub fn sources<'a>(
        &'a self,
        scope: &Scope,
        after: Option<&'a Mark>,
    ) -> impl Iterator<Item = Source<'a>> {
        let names = self.names.of(scope, after.map(|mark| &mark.job.text));
        names.flat_map(move |(text, name)| {
            let of_spelling = move |spelling| {
                let named = Named { text: Rc::clone(text), spelling };
                let on = self.names.on(name);
                let from = after.map_or(0, |mark| match named.cmp(&mark.job) {
                    std::cmp::Ordering::Less => on.len(),
                    std::cmp::Ordering::Equal => on.partition_point(|no| *no <= mark.no),
                    std::cmp::Ordering::Greater => 0,
                });
                let rest = on.get(from..).unwrap_or_default().iter();
                rest.filter_map(move |no| self.source(*no, name, &named))
            };
            Spelling::ALL.into_iter().flat_map(of_spelling)
        })
    }

    fn source(&self, no: NodeNo, name: JobNo, named: &Named) -> Option<Source<'_>> {
        let node = self.nodes.get(&no)?;
        let job = node.jobs.get(&name).filter(|job| job.spelling == named.spelling)?;
        Some(Source { job: named.clone(), no, node: &node.identity, pids: &job.pids })
    }

    /// How much there is.
    pub fn counts(&self) -> Counts {
        Counts {
            nodes: self.nodes.len(),
            names: self.names.len(),
            jobs: self.jobs,
            processes: self.processes,
        }
    }

    fn is_full(&self) -> bool {
        self.jobs + self.processes >= self.most
    }

    /// Checks that everything that knows of something else is known to that.
    ///
    /// # Errors
    /// The first that is not so, in words.
    pub fn sweep(&self) -> Result<(), String> {
        let mut counts = Counts { names: self.names.len(), ..Counts::default() };
        for (no, node) in &self.nodes {
            counts.nodes += 1;
            let Identity { name, origin, .. } = &*node.identity;
            if self.node(name, origin) != Some(*no) {
                return Err(format!("{no:?} is not found by its name and origin"));
            }
            for (name, job) in &node.jobs {
                counts.jobs += 1;
                counts.processes += job.pids.len();
                if !self.names.on(*name).contains(no) {
                    return Err(format!("{name:?} does not know that {no:?} has it"));
                }
                if !job.pids.windows(2).all(|two| two[0] < two[1]) {
                    return Err(format!("the processes of {name:?} on {no:?} are in no order"));
                }
            }
        }
        if self.known.len() != self.nodes.len() {
            return Err("a node is known that is not there".into());
        }
        let has =
            |no: NodeNo, name| self.nodes.get(&no).is_some_and(|n| n.jobs.contains_key(&name));
        self.names.sweep(has)?;
        if self.counts() != counts {
            return Err(format!("{:?} are counted, and {counts:?} are there", self.counts()));
        }
        Ok(())
    }
}

fn node_at(no: NodeNo, node: &Node) -> Change {
    let place = Place { node: no, job: None, pid: None };
    Change { place, node: Rc::clone(&node.identity), what: What::AddNode }
}

/// A node, and the number of a job's name.
fn find<'a>(
    nodes: &'a mut SortedMap<NodeNo, Node>,
    names: &Names,
    no: NodeNo,
    text: &str,
) -> Result<(&'a mut Node, JobNo), Refused> {
    let node = nodes.get_mut(&no).ok_or(Refused::NoNode)?;
    let name = names.find(text).ok_or(Refused::NoJob)?;
    Ok((node, name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::UNIX_EPOCH;

    fn who(name: &str) -> Identity {
        Identity::new(name, "http://n:5000", "0.1").expect("an identity")
    }

    fn named(text: &str) -> Named {
        Named::parse(text).expect("a name")
    }

    fn node(registry: &mut Registry, name: &str) -> NodeNo {
        registry.add_node(who(name), UNIX_EPOCH).expect("room").place.node
    }

    #[test]
    fn what_was_not_said_in_a_round_is_found_at_its_end() {
        let mut registry = Registry::default();
        let (one, two) = (node(&mut registry, "n1"), node(&mut registry, "n2"));
        for (no, job) in [(one, "a.x"), (one, "a.y"), (two, "a.x")] {
            registry.add_job(no, named(job)).expect("room");
        }
        registry.add_process(one, "a.x", 7).expect("room");
        assert_eq!(registry.pids(one, "a.x"), Some(&[7][..]));
        assert_eq!((registry.pids(two, "a.y"), registry.pids(NodeNo(9), "a.x")), (None, None));
        registry.mark(one, None, 3);
        registry.mark(one, Some("a.y"), 3);
        registry.mark(two, Some("a.x"), 3);
        registry.mark(two, Some("no.such"), 3);
        assert_eq!(registry.unmarked(3), [(one, Some("a.x".into())), (two, None)]);
        assert_eq!(registry.unmarked(4), [(one, None), (two, None)]);
    }

    /// What a walk through everything sees.
    fn walk(registry: &Registry) -> Vec<String> {
        let mut seen = Vec::new();
        let mut place = None;
        while let Some(change) = registry.after(place) {
            seen.push(match change.what {
                What::AddNode => change.node.name.to_string(),
                What::AddJob(job) => job.to_string(),
                What::AddProcess(job, pid) => format!("{job} {pid}"),
                What::RemoveNode | What::RemoveJob(_) | What::RemoveProcess(..) => {
                    panic!("a walk sees what is there")
                }
            });
            place = Some(change.place);
        }
        seen
    }

    fn sources(registry: &Registry, scope: &Scope) -> Vec<String> {
        let told = |s: Source<'_>| format!("{} on {} {:?}", s.job, s.node.name, s.pids);
        let whole: Vec<String> = registry.sources(scope, None).map(told).collect();
        let (mut one_by_one, mut mark) = (Vec::new(), None);
        loop {
            let next = registry.sources(scope, mark.as_ref()).next();
            let Some(source) = next else { break };
            let reached = Mark { job: source.job.clone(), no: source.no };
            one_by_one.push(told(source));
            mark = Some(reached);
        }
        assert_eq!(one_by_one, whole, "a walk can stop and go on anywhere");
        whole
    }

    #[test]
    fn what_nodes_have_is_found_by_job_and_by_session() {
        let mut registry = Registry::default();
        let (a, b) = (node(&mut registry, "a"), node(&mut registry, "b"));
        for (no, job) in [(b, "s.web"), (a, "s.web"), (a, "s-t.x"), (b, "solo"), (a, "s/api")] {
            registry.add_job(no, named(job)).expect("new");
        }
        for (no, job, pid) in [(a, "s.web", 3), (a, "s.web", 1), (b, "default.solo", 2)] {
            assert!(registry.add_process(no, job, pid).expect("known").is_some());
        }
        registry.sweep().expect("sound");
        assert_eq!(
            sources(&registry, &Scope::All),
            [
                "solo on b [2]",
                "s-t.x on a []",
                "s/api on a []",
                "s.web on a [1, 3]",
                "s.web on b []"
            ]
        );
        assert_eq!(
            sources(&registry, &Scope::Session("s".into())),
            ["s/api on a []", "s.web on a [1, 3]", "s.web on b []"]
        );
        assert_eq!(sources(&registry, &Scope::Job("default.solo".into())), ["solo on b [2]"]);
        assert!(sources(&registry, &Scope::Job("s.we".into())).is_empty());
        assert!(sources(&registry, &Scope::Session("".into())).is_empty());
        assert_eq!(registry.counts(), Counts { nodes: 2, names: 4, jobs: 5, processes: 3 });
    }

    #[test]
    fn everything_goes_with_its_node() {
        let mut registry = Registry::default();
        let (a, b) = (node(&mut registry, "a"), node(&mut registry, "b"));
        for no in [a, b] {
            registry.add_job(no, named("s.web")).expect("new");
            registry.add_process(no, "s.web", 1).expect("known");
        }
        registry.add_job(a, named("s.own")).expect("new");
        assert_eq!(registry.remove_node(a).map(|change| change.what), Some(What::RemoveNode));
        registry.sweep().expect("sound");
        assert_eq!(walk(&registry), ["b", "s.web", "s.web 1"]);
        assert!(registry.remove_node(a).is_none());
        assert_eq!(registry.add_job(a, named("s.x")), Err(Refused::NoNode));
        let again = node(&mut registry, "a");
        assert_eq!(walk(&registry), ["b", "s.web", "s.web 1", "a"]);
        assert_ne!(a, again, "a number is never used twice");
        registry.remove_node(b);
        registry.remove_node(again);
        assert_eq!(registry.counts(), Counts::default());
        registry.sweep().expect("sound");
    }

    #[test]
    fn what_is_so_already_changes_nothing() {
        let mut registry = Registry::default();
        let a = node(&mut registry, "a");
        let twin = registry.add_node(who("a"), UNIX_EPOCH);
        assert_eq!(twin, Err(Refused::NodeExists));
        registry.add_job(a, named("solo")).expect("new");
        assert_eq!(registry.add_job(a, named("default/solo")), Err(Refused::JobExists));
        assert!(registry.add_process(a, "default.solo", 1).expect("known").is_some());
        assert_eq!(registry.add_process(a, "default.solo", 1), Ok(None));
        assert_eq!(registry.remove_process(a, "default.solo", 2), Ok(None));
        assert_eq!(registry.remove_process(a, "s.web", 2), Err(Refused::NoJob));
        assert_eq!(registry.add_process(a, "s.web", 2), Err(Refused::NoJob));
        assert!(registry.remove_job(a, "s.web").is_none());
        let removed = registry.remove_job(a, "default.solo").map(|change| change.what);
        assert_eq!(removed, Some(What::RemoveJob(named("solo"))), "as it was said");
        assert_eq!(registry.counts().processes, 0);
        registry.sweep().expect("sound");
    }

    #[test]
    fn a_node_has_so_many_jobs_and_a_job_so_many_processes() {
        let mut registry = Registry::default();
        let a = node(&mut registry, "a");
        for number in 0..limits::LOOKUP_NODE_JOBS {
            registry.add_job(a, named(&format!("s.{number}"))).expect("room");
        }
        assert_eq!(registry.add_job(a, named("s.more")), Err(Refused::Jobs));
        for pid in 0..limits::LOOKUP_JOB_PROCESSES {
            let pid = u64::try_from(pid).expect("a number");
            assert!(registry.add_process(a, "s.0", pid).expect("room").is_some());
        }
        assert_eq!(registry.add_process(a, "s.0", u64::MAX), Err(Refused::Processes));
        assert_eq!(registry.add_process(a, "s.0", 0), Ok(None), "it is there");
        assert!(registry.add_process(a, "s.1", u64::MAX).is_ok());
        registry.sweep().expect("sound");
    }

    #[test]
    fn there_are_so_many_nodes_and_so_many_entries() {
        let mut registry = Registry::default();
        for number in 0..limits::LOOKUP_NODES {
            node(&mut registry, &number.to_string());
        }
        assert_eq!(registry.add_node(who("more"), UNIX_EPOCH), Err(Refused::Nodes));
        assert_eq!(registry.most, limits::LOOKUP_ENTRIES);
        let mut registry = Registry { most: 3, ..Registry::default() };
        let a = node(&mut registry, "a");
        registry.add_job(a, named("s.a")).expect("room");
        registry.add_process(a, "s.a", 1).expect("room");
        registry.add_process(a, "s.a", 2).expect("room");
        assert_eq!(registry.add_process(a, "s.a", 3), Err(Refused::Entries));
        assert_eq!(registry.add_job(a, named("s.b")), Err(Refused::Entries));
        registry.remove_process(a, "s.a", 1).expect("known");
        registry.add_job(a, named("s.b")).expect("room again");
        registry.sweep().expect("sound");
    }

    #[test]
    fn a_number_of_a_name_is_used_again_and_leads_to_the_new_one() {
        let mut registry = Registry::default();
        let a = node(&mut registry, "a");
        registry.add_job(a, named("s.old")).expect("new");
        registry.add_process(a, "s.old", 1).expect("known");
        let place = registry.after(None).and_then(|n| registry.after(Some(n.place)));
        let place = place.expect("the job").place;
        registry.remove_job(a, "s.old").expect("known");
        let added = registry.add_job(a, named("s.new")).expect("new");
        assert_eq!(added.place, place);
        assert_eq!(registry.remove_process(a, "s.old", 1), Err(Refused::NoJob));
        assert_eq!(walk(&registry), ["a", "s.new"]);
        registry.sweep().expect("sound");
    }
}
