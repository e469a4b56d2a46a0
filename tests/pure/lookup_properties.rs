//! What nodes say, under any text, and the registry under any order of changes: it has what a plain table
//! has, and who walks through it at any pace, hearing of what changes before its place, has that too.

use std::collections::{BTreeMap, BTreeSet};
use std::time::UNIX_EPOCH;

use proptest::prelude::*;
use serde_json::Value;

use gaffer::lookup::identity::{Identity, Named};
use gaffer::lookup::registry::{Change, NodeNo, Place, Refused, Registry, Scope, What};
use gaffer::wire::lookup::{self, Request, What as Wish};

use crate::fuzz_corpus::harness::lookup as harness;

fn settings() -> ProptestConfig {
    ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() }
}

fn wishes() -> impl Strategy<Value = Wish> {
    let text = || "[ -~é😀\\n]{0,30}";
    prop_oneof![
        Just(Wish::Ping),
        (text(), text(), text()).prop_map(|(name, origin, version)| Wish::Identify {
            name,
            origin,
            version
        }),
        text().prop_map(Wish::RegisterJob),
        text().prop_map(Wish::UnregisterJob),
        (text(), any::<u64>()).prop_map(|(job, pid)| Wish::RegisterProcess(job, pid)),
        (text(), any::<u64>()).prop_map(|(job, pid)| Wish::UnregisterProcess(job, pid)),
    ]
}

/// Something that happens.
#[derive(Clone, Debug)]
enum Step {
    Node(usize),
    NoNode(usize),
    Job(usize, usize),
    NoJob(usize, usize),
    Process(usize, usize, u64),
    NoProcess(usize, usize, u64),
    /// Who walks goes on.
    Walk,
}

const NAMES: [&str; 5] = ["a.web", "a/api", "solo", "a-b.web", "default.solo"];

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let (node, job, pid) = (|| 0..3usize, || 0..NAMES.len(), || 0..4u64);
    let step = prop_oneof![
        2 => node().prop_map(Step::Node),
        1 => node().prop_map(Step::NoNode),
        4 => (node(), job()).prop_map(|(n, j)| Step::Job(n, j)),
        2 => (node(), job()).prop_map(|(n, j)| Step::NoJob(n, j)),
        4 => (node(), job(), pid()).prop_map(|(n, j, p)| Step::Process(n, j, p)),
        2 => (node(), job(), pid()).prop_map(|(n, j, p)| Step::NoProcess(n, j, p)),
        6 => Just(Step::Walk),
    ];
    prop::collection::vec(step, 0..150)
}

/// What each node has: its jobs as it calls them, by what they mean.
type Table = BTreeMap<String, BTreeMap<String, (String, BTreeSet<u64>)>>;

/// Who walks through the registry and hears of changes.
#[derive(Default)]
struct Walker {
    place: Option<Place>,
    table: Table,
}

impl Walker {
    fn hear(&mut self, change: &Change) {
        if Some(change.place) <= self.place {
            self.note(change);
        }
    }

    fn walk(&mut self, registry: &Registry) -> bool {
        let Some(next) = registry.after(self.place) else { return false };
        self.place = Some(next.place);
        self.note(&next);
        true
    }

    fn note(&mut self, change: &Change) {
        let node = change.node.name.to_string();
        let jobs = self.table.get_mut(&node);
        match &change.what {
            What::AddNode => assert!(self.table.insert(node, BTreeMap::new()).is_none()),
            What::RemoveNode => drop(self.table.remove(&node).expect("it was told")),
            What::AddJob(job) => {
                let new = (job.to_string(), BTreeSet::new());
                assert!(jobs.expect("told").insert(job.text.to_string(), new).is_none());
            }
            What::RemoveJob(job) => drop(jobs.expect("told").remove(&*job.text).expect("told")),
            What::AddProcess(job, pid) => {
                let (_, pids) = jobs.expect("told").get_mut(&*job.text).expect("told");
                assert!(pids.insert(*pid));
            }
            What::RemoveProcess(job, pid) => {
                let (_, pids) = jobs.expect("told").get_mut(&*job.text).expect("told");
                assert!(pids.remove(pid));
            }
        }
    }
}

/// The registry beside a plain table of the same things.
#[derive(Default)]
struct Both {
    registry: Registry,
    table: Table,
    numbers: BTreeMap<String, NodeNo>,
    walker: Walker,
}

impl Both {
    fn step(&mut self, step: &Step) {
        let change = match step {
            Step::Walk => {
                self.walker.walk(&self.registry);
                return;
            }
            Step::Node(n) => {
                let name = format!("n{n}");
                let who = Identity::new(&name, "http://n", "0.1").expect("an identity");
                let added = self.registry.add_node(who, UNIX_EPOCH);
                assert_eq!(added.is_err(), self.table.contains_key(&name));
                if let Ok(change) = &added {
                    self.table.insert(name.clone(), BTreeMap::new());
                    self.numbers.insert(name, change.node_no());
                }
                added.ok()
            }
            Step::NoNode(n) => {
                let name = format!("n{n}");
                let removed =
                    self.numbers.remove(&name).and_then(|no| self.registry.remove_node(no));
                assert_eq!(removed.is_some(), self.table.remove(&name).is_some());
                removed
            }
            Step::Job(n, job) | Step::NoJob(n, job) => {
                let adds = matches!(step, Step::Job(..));
                self.job(&format!("n{n}"), NAMES[*job], adds)
            }
            Step::Process(n, job, pid) | Step::NoProcess(n, job, pid) => {
                let adds = matches!(step, Step::Process(..));
                self.process(&format!("n{n}"), NAMES[*job], *pid, adds)
            }
        };
        if let Some(change) = change {
            self.walker.hear(&change);
        }
        self.registry.sweep().expect("sound");
    }

    fn job(&mut self, node: &str, job: &str, adds: bool) -> Option<Change> {
        let named = Named::parse(job).expect("a name");
        let no = *self.numbers.get(node)?;
        let jobs = self.table.get_mut(node).expect("it is there");
        if !adds {
            let removed = self.registry.remove_job(no, &named.text);
            assert_eq!(removed.is_some(), jobs.remove(&*named.text).is_some());
            return removed;
        }
        let added = self.registry.add_job(no, named.clone());
        if jobs.contains_key(&*named.text) {
            assert_eq!(added, Err(Refused::JobExists));
            return None;
        }
        jobs.insert(named.text.to_string(), (job.to_owned(), BTreeSet::new()));
        Some(added.expect("new"))
    }

    fn process(&mut self, node: &str, job: &str, pid: u64, adds: bool) -> Option<Change> {
        let named = Named::parse(job).expect("a name");
        let no = *self.numbers.get(node)?;
        let pids = self.table.get_mut(node).expect("there").get_mut(&*named.text);
        let done = match adds {
            true => self.registry.add_process(no, &named.text, pid),
            false => self.registry.remove_process(no, &named.text, pid),
        };
        let Some((_, pids)) = pids else {
            assert_eq!(done, Err(Refused::NoJob));
            return None;
        };
        let changes = if adds { pids.insert(pid) } else { pids.remove(&pid) };
        let done = done.expect("there is the job");
        assert_eq!(done.is_some(), changes);
        done
    }
}

proptest! {
    #![proptest_config(settings())]

    #[test]
    fn what_a_node_says_reads_back(wish in wishes(), msgid in any::<Option<i64>>()) {
        let request = Request { msgid: msgid.map_or(Value::Null, Value::from), what: wish };
        let text = harness::render(&request).to_string();
        prop_assert_eq!(lookup::parse(&text), Ok(request));
        harness::message(text.as_bytes());
    }

    #[test]
    fn any_text_is_a_message_or_refused(
        data in prop::collection::vec(any::<u8>(), 0..100),
        text in "[A-Z_a-z0-9:. {}\"\\[\\],]{0,80}",
    ) {
        harness::message(&data);
        harness::message(text.as_bytes());
    }

    #[test]
    fn the_registry_has_what_a_plain_table_has_and_so_has_who_walks(steps in steps()) {
        let mut both = Both::default();
        for step in &steps {
            both.step(step);
        }
        let mut listed: BTreeMap<(String, String), BTreeSet<u64>> = BTreeMap::new();
        for source in both.registry.sources(&Scope::All, None) {
            let key = (source.node.name.to_string(), source.job.to_string());
            let pids = source.pids.iter().copied().collect();
            prop_assert!(listed.insert(key, pids).is_none(), "told twice");
        }
        let flat = |table: &Table| -> BTreeMap<(String, String), BTreeSet<u64>> {
            let of = |(node, jobs): (&String, &BTreeMap<String, (String, BTreeSet<u64>)>)| {
                let node = node.clone();
                let each = jobs.values();
                each.map(move |(job, pids)| ((node.clone(), job.clone()), pids.clone()))
                    .collect::<Vec<_>>()
            };
            table.iter().flat_map(of).collect()
        };
        prop_assert_eq!(&listed, &flat(&both.table));
        while both.walker.walk(&both.registry) {}
        prop_assert_eq!(&both.walker.table, &both.table);
    }
}
