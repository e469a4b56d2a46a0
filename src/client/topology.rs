//! What several lookupds say together, as it changes. Pure: their words come in, changes go out, each told
//! once. A node, a job or a process is there for as long as one of them says so.
//!
//! Everything has the lookupds that say it, and of which of their connections: what an earlier one said is
//! stale. It goes when a lookupd that is whole is there to say what is; until then it stays, so that the
//! only lookupd may come and go without a word.

use super::lookup::{Node, Silent};
use super::Address;
use crate::base::sorted::SortedMap;

/// A change of what several lookupds say together.
#[derive(Debug)]
pub enum Change {
    /// There is a node.
    AddNode(Node),
    /// It is gone, and all that it had.
    RemoveNode(Node),
    /// A node has a job.
    AddJob(Node, String),
    /// It has it no more, nor any process of it.
    RemoveJob(Node, String),
    /// A process of a job runs on a node.
    AddProcess(Node, String, u64),
    /// It runs no more.
    RemoveProcess(Node, String, u64),
    /// A lookupd has told all that it knows, and tells what changes from now on.
    Whole(Address),
    /// A lookupd does not answer any more, or not yet; it is tried again, and told once until it is whole.
    Lost(Silent),
}

/// What a lookupd says.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Word {
    Add(Node, Option<String>, Option<u64>),
    Remove(Node, Option<String>, Option<u64>),
    Whole,
}

/// Who says something, and since which of its connections.
type Said = SortedMap<usize, u64>;

#[derive(Default)]
struct KnownJob {
    said: Said,
    pids: SortedMap<u64, Said>,
}

struct KnownNode {
    node: Node,
    said: Said,
    jobs: SortedMap<String, KnownJob>,
}

/// One of them.
#[derive(Clone, Copy, Default)]
struct Lookupd {
    /// Which of its connections this is.
    life: u64,
    whole: bool,
}

/// What all say together.
pub(super) struct Topology {
    lookupds: Vec<Lookupd>,
    nodes: SortedMap<(String, String), KnownNode>,
}

impl Topology {
    /// Nothing yet, of so many lookupds.
    pub(super) fn new(count: usize) -> Self {
        Self { lookupds: vec![Lookupd::default(); count], nodes: SortedMap::new() }
    }

    /// A lookupd said this.
    pub(super) fn heard(&mut self, from: usize, word: Word) -> Vec<Change> {
        match word {
            Word::Add(node, job, pid) => self.add(from, node, job, pid),
            Word::Remove(node, job, pid) => {
                let place = (job.as_deref(), pid);
                let mut changes = Vec::new();
                let key = node.identity();
                if let Some(known) = self.nodes.get_mut(&key) {
                    if known.forget(place, &|who, _| who == from, &mut changes) {
                        self.nodes.remove(&key);
                    }
                }
                changes
            }
            Word::Whole => {
                if let Some(lookupd) = self.lookupds.get_mut(from) {
                    lookupd.whole = true;
                }
                self.forget_stale()
            }
        }
    }

    /// The connection to a lookupd is lost.
    pub(super) fn lost(&mut self, from: usize) -> Vec<Change> {
        if let Some(lookupd) = self.lookupds.get_mut(from) {
            lookupd.life += 1;
            lookupd.whole = false;
        }
        match self.lookupds.iter().any(|lookupd| lookupd.whole) {
            true => self.forget_stale(),
            false => Vec::new(),
        }
    }

    fn add(
        &mut self,
        from: usize,
        node: Node,
        job: Option<String>,
        pid: Option<u64>,
    ) -> Vec<Change> {
        let life = self.lookupds.get(from).map_or(0, |lookupd| lookupd.life);
        let mut changes = Vec::new();
        let known = self.nodes.entry(node.identity()).or_insert_with(|| {
            changes.push(Change::AddNode(node.clone()));
            KnownNode { node, said: Said::new(), jobs: SortedMap::new() }
        });
        known.said.insert(from, life);
        let Some(name) = job else { return changes };
        let node = &known.node;
        let job = known.jobs.entry(name.clone()).or_insert_with(|| {
            changes.push(Change::AddJob(node.clone(), name.clone()));
            KnownJob::default()
        });
        job.said.insert(from, life);
        let Some(pid) = pid else { return changes };
        let process = job.pids.entry(pid).or_insert_with(|| {
            changes.push(Change::AddProcess(node.clone(), name, pid));
            Said::new()
        });
        process.insert(from, life);
        changes
    }

    /// Forgets what only earlier connections said.
    fn forget_stale(&mut self) -> Vec<Change> {
        let mut changes = Vec::new();
        let lookupds = &self.lookupds;
        let is_stale = |who: usize, life: u64| lookupds.get(who).is_none_or(|l| l.life != life);
        self.nodes.retain(|_, known| !known.forget((None, None), &is_stale, &mut changes));
        changes
    }
}

impl KnownNode {
    /// Takes back what `whose` fits of all that stands at a place: of the node, a job or a process. Gives
    /// whether nobody knows the node any more.
    fn forget(
        &mut self,
        (job, pid): (Option<&str>, Option<u64>),
        whose: &dyn Fn(usize, u64) -> bool,
        changes: &mut Vec<Change>,
    ) -> bool {
        let Self { node, said, jobs } = self;
        if job.is_none() {
            said.retain(|who, life| !whose(*who, *life));
            if said.is_empty() {
                changes.push(Change::RemoveNode(node.clone()));
                return true;
            }
        }
        jobs.retain(|name, known| {
            if job.is_some_and(|job| job != name) {
                return true;
            }
            if pid.is_none() {
                known.said.retain(|who, life| !whose(*who, *life));
                if known.said.is_empty() {
                    changes.push(Change::RemoveJob(node.clone(), name.clone()));
                    return false;
                }
            }
            known.pids.retain(|number, said| {
                if pid.is_some_and(|pid| pid != *number) {
                    return true;
                }
                said.retain(|who, life| !whose(*who, *life));
                if said.is_empty() {
                    changes.push(Change::RemoveProcess(node.clone(), name.clone(), *number));
                }
                !said.is_empty()
            });
            true
        });
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str) -> Node {
        let (origin, version) = (format!("http://{name}:1"), "0.1".into());
        Node { name: name.into(), origin, version, last_seen: None }
    }

    fn shown(change: &Change) -> String {
        match change {
            Change::AddNode(node) => format!("+{}", node.name),
            Change::RemoveNode(node) => format!("-{}", node.name),
            Change::AddJob(node, job) => format!("+{} {job}", node.name),
            Change::RemoveJob(node, job) => format!("-{} {job}", node.name),
            Change::AddProcess(node, job, pid) => format!("+{} {job} {pid}", node.name),
            Change::RemoveProcess(node, job, pid) => format!("-{} {job} {pid}", node.name),
            Change::Whole(_) | Change::Lost(_) => unreachable!("told by others"),
        }
    }

    /// `0+n a.b 1`: lookupd 0 adds that; `0-n a.b`, `0!` it is whole, `0x` it is lost.
    fn step(topology: &mut Topology, text: &str) -> Vec<String> {
        let mut chars = text.chars();
        let from = chars.next().and_then(|c| c.to_digit(10)).expect("a digit");
        let from = usize::try_from(from).expect("small");
        let sign = chars.next().expect("a sign");
        let mut words = chars.as_str().split(' ');
        let place = (
            node(words.next().expect("a node")),
            words.next().map(str::to_owned),
            words.next().map(|pid| pid.parse().expect("a number")),
        );
        let changes = match sign {
            '+' => topology.heard(from, Word::Add(place.0, place.1, place.2)),
            '-' => topology.heard(from, Word::Remove(place.0, place.1, place.2)),
            '!' => topology.heard(from, Word::Whole),
            _ => topology.lost(from),
        };
        changes.iter().map(shown).collect()
    }

    fn play(steps: &[(&str, &[&str])]) {
        let mut topology = Topology::new(2);
        for (at, (text, expected)) in steps.iter().enumerate() {
            assert_eq!(step(&mut topology, text), *expected, "step {at}: {text}");
        }
    }

    #[test]
    fn each_change_is_told_once() {
        play(&[
            ("0+n", &["+n"]),
            ("0+n", &[]),
            ("0+n a.b", &["+n a.b"]),
            ("0+n a.b 1", &["+n a.b 1"]),
            ("0!", &[]),
            ("1+n a.b 1", &[]),
            ("1+n a.b 2", &["+n a.b 2"]),
            ("0-n a.b 1", &[]),
            ("1-n a.b 1", &["-n a.b 1"]),
            ("1-n a.b 7", &[]),
            ("0-n a.b", &[]),
            ("1-n a.b", &["-n a.b"]),
            ("0-n", &[]),
            ("1-n", &["-n"]),
            ("1-n", &[]),
        ]);
    }

    #[test]
    fn with_a_node_goes_what_only_its_lookupd_said_of_it() {
        play(&[
            ("0+n a.b 1", &["+n", "+n a.b", "+n a.b 1"]),
            ("0+n a.c", &["+n a.c"]),
            ("1+n a.b 2", &["+n a.b 2"]),
            ("0-n", &["-n a.b 1", "-n a.c"]),
            ("1-n", &["-n"]),
        ]);
    }

    #[test]
    fn a_lookupd_that_is_lost_takes_nothing_away_that_another_says() {
        play(&[
            ("0+n a.b 1", &["+n", "+n a.b", "+n a.b 1"]),
            ("0+m", &["+m"]),
            ("0!", &[]),
            ("1+n a.b", &[]),
            ("1!", &[]),
            ("0x", &["-m", "-n a.b 1"]),
            ("0+m", &["+m"]),
            ("0!", &[]),
            ("1x", &["-n"]),
        ]);
    }

    #[test]
    fn while_none_is_whole_what_was_said_stays() {
        play(&[
            ("0+n a.b 1", &["+n", "+n a.b", "+n a.b 1"]),
            ("0+m", &["+m"]),
            ("0!", &[]),
            ("0x", &[]),
            ("0+n a.b", &[]),
            ("0x", &[]),
            ("0+n a.b", &[]),
            ("0+n a.b 2", &["+n a.b 2"]),
            ("0!", &["-m", "-n a.b 1"]),
            ("0x", &[]),
            ("1+k", &["+k"]),
            ("1!", &["-n"]),
        ]);
    }
}
