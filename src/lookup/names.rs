//! The names of jobs, each kept once with a short number, however many nodes have a job of that name;
//! and which nodes those are. A name goes with the last of them, and its number is used again.

use std::ops::Bound;
use std::rc::Rc;

use super::identity::{session_of, Named, Spelling};
use super::registry::{NodeNo, Scope};
use crate::base::sorted::SortedMap;

/// The number of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct JobNo(u32);

/// All names.
#[derive(Default)]
pub(super) struct Names {
    /// By `session.label`.
    by_text: SortedMap<Rc<str>, JobNo>,
    slots: Vec<Option<Name>>,
    free: Vec<JobNo>,
}

struct Name {
    text: Rc<str>,
    /// The nodes that have it, ascending.
    on: Vec<NodeNo>,
}

impl Names {
    /// The number of a name that some node has.
    pub(super) fn find(&self, text: &str) -> Option<JobNo> {
        self.by_text.get(text).copied()
    }

    /// A node has a job of this name.
    pub(super) fn join(&mut self, text: &Rc<str>, node: NodeNo) -> JobNo {
        let no = self.find(text).unwrap_or_else(|| self.add(text));
        if let Some(name) = self.slot(no) {
            if let Err(at) = name.on.binary_search(&node) {
                name.on.insert(at, node);
            }
        }
        no
    }

    fn add(&mut self, text: &Rc<str>) -> JobNo {
        let name = Name { text: Rc::clone(text), on: Vec::new() };
        let no = match self.free.pop() {
            Some(no) => no,
            None => {
                let next = u32::try_from(self.slots.len()).expect("there are fewer entries");
                self.slots.push(None);
                JobNo(next)
            }
        };
        self.slots[no.0 as usize] = Some(name);
        self.by_text.insert(Rc::clone(text), no);
        no
    }

    /// A node has it no more.
    pub(super) fn leave(&mut self, no: JobNo, node: NodeNo) {
        let Some(name) = self.slot(no) else { return };
        if let Ok(at) = name.on.binary_search(&node) {
            name.on.remove(at);
        }
        if name.on.is_empty() {
            let text = Rc::clone(&name.text);
            self.by_text.remove(&text);
            self.slots[no.0 as usize] = None;
            self.free.push(no);
        }
    }

    fn slot(&mut self, no: JobNo) -> Option<&mut Name> {
        self.slots.get_mut(no.0 as usize)?.as_mut()
    }

    fn get(&self, no: JobNo) -> Option<&Name> {
        self.slots.get(no.0 as usize)?.as_ref()
    }

    /// A name, as some node writes it.
    pub(super) fn named(&self, no: JobNo, spelling: Spelling) -> Named {
        let text = self.get(no).map_or_else(|| "".into(), |name| Rc::clone(&name.text));
        Named { text, spelling }
    }

    /// The nodes that have it, ascending.
    pub(super) fn on(&self, no: JobNo) -> &[NodeNo] {
        self.get(no).map_or(&[], |name| &name.on)
    }

    /// The names that are meant, in their order, from this one on.
    pub(super) fn of<'a>(
        &'a self,
        scope: &Scope,
        from: Option<&Rc<str>>,
    ) -> impl Iterator<Item = (&'a Rc<str>, JobNo)> {
        // All names of a session stand together, for none of its characters is the dot behind it.
        let first: Option<Rc<str>> = match scope {
            Scope::All => None,
            Scope::Session(session) => Some(format!("{session}.").into()),
            Scope::Job(text) => Some(Rc::clone(text)),
        };
        let first = from.cloned().or(first).map_or(Bound::Unbounded, Bound::Included);
        let scope = scope.clone();
        let is_meant = move |text: &str| match &scope {
            Scope::All => true,
            Scope::Session(session) => session_of(text) == session,
            Scope::Job(wanted) => text == &**wanted,
        };
        let names = self.by_text.range((first, Bound::Unbounded));
        names.map(|(text, no)| (text, *no)).take_while(move |(text, _)| is_meant(text))
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.by_text.len()
    }

    /// Checks that each is found, and had by those that it says have it.
    ///
    /// # Errors
    /// The first that is not, in words.
    pub(super) fn sweep(&self, has: impl Fn(NodeNo, JobNo) -> bool) -> Result<(), String> {
        for (text, no) in &self.by_text {
            let Some(name) = self.get(*no).filter(|name| name.text == *text) else {
                return Err(format!("{text} leads to another name"));
            };
            if name.on.is_empty() {
                return Err(format!("nobody has {text}, and it is kept"));
            }
            if let Some(node) = name.on.iter().find(|node| !has(**node, *no)) {
                return Err(format!("{node:?} has no job {text}"));
            }
        }
        if self.by_text.len() + self.free.len() != self.slots.len() {
            return Err("a number of a name is lost".into());
        }
        Ok(())
    }
}
