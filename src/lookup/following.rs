//! Those who follow (the protocol, section 6.3): every session below `/lookup` is told what changes, and
//! with `?snapshot=1` first what is. A node is told when it says who it is, as `add_node` and then
//! `identify`; with `remove_node` goes all that it had.
//!
//! A snapshot is no copy. It is a walk through the registry that stops while its reader is busy. What
//! changes before the place that it has reached is told like everything else; what changes behind it is
//! not, as the walk comes by there. When it has come to the end everything has been told once, and
//! `snapshot_end` says so. Where what is known comes from an etcd, no walk begins before all of it is.

use std::rc::Rc;

use log::debug;
use serde_json::json;

use super::lookupd::Lookupd;
use super::registry::{Change, Counts, Place, Registry, What};
use crate::base::clock::Now;
use crate::base::ids::SessionId;
use crate::base::limits;
use crate::base::sorted::SortedMap;
use crate::front::clients::Clients;
use crate::front::outbox::Piece;
use crate::front::sockjs::{Happened, Opening, Service};
use crate::wire::json;

/// Where the event stream is mounted.
pub const PREFIX: &str = "lookup";

/// All who follow.
pub(super) struct Followers {
    reached: SortedMap<SessionId, Reached>,
    /// How many of them have not been told everything.
    behind: usize,
    /// What lost events are told by.
    topic: Rc<str>,
}

impl Default for Followers {
    fn default() -> Self {
        Self { reached: SortedMap::new(), behind: 0, topic: PREFIX.into() }
    }
}

/// How much a session has been told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reached {
    /// Everything up to here; nothing yet.
    Place(Option<Place>),
    /// Everything that it wanted.
    End,
}

impl Followers {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.reached.len()
    }

    /// How many of them have not been told everything.
    pub(super) fn behind(&self) -> usize {
        self.behind
    }

    fn open(&mut self, session: SessionId, opening: &Opening) {
        let value = opening.request.query_value("snapshot").ok().flatten();
        let reached = match value.as_deref() {
            Some("1" | "true") => Reached::Place(None),
            Some(_) | None => Reached::End,
        };
        self.behind += usize::from(reached != Reached::End);
        self.reached.insert(session, reached);
    }

    fn close(&mut self, session: SessionId) {
        let reached = self.reached.remove(&session);
        self.behind -= usize::from(reached.is_some_and(|reached| reached != Reached::End));
    }

    /// Tells a change to all who have been told of its place.
    pub(super) fn tell(
        &self,
        change: &Change,
        (stream, clients): (&mut Service, &mut Clients),
        now: Now,
    ) {
        let mut texts: Vec<Rc<str>> = Vec::new();
        for (session, reached) in &self.reached {
            if let Reached::Place(place) = reached {
                if Some(change.place) > *place {
                    continue;
                }
            }
            if texts.is_empty() {
                texts = told(change).into_iter().map(Rc::from).collect();
            }
            for text in &texts {
                let piece = Piece::Published(Rc::clone(&self.topic), Rc::clone(text));
                stream.send(*session, piece, clients, now);
            }
        }
    }

    /// Goes on with all walks, each as far as its reader comes along.
    fn walk(
        &mut self,
        registry: &Registry,
        (stream, clients): (&mut Service, &mut Clients),
        now: Now,
    ) {
        if self.behind == 0 {
            return;
        }
        for (session, reached) in &mut self.reached {
            while let Reached::Place(place) = *reached {
                let queued = stream.queued(*session);
                if queued.is_none_or(|queued| queued >= limits::LOOKUP_AHEAD) {
                    break;
                }
                let texts = match registry.after(place) {
                    Some(change) => {
                        *reached = Reached::Place(Some(change.place));
                        told(&change)
                    }
                    None => {
                        *reached = Reached::End;
                        self.behind -= 1;
                        vec![told_all(registry.counts())]
                    }
                };
                for text in texts {
                    stream.send(*session, Piece::Reply(text.into()), clients, now);
                }
            }
        }
    }

    /// Checks that everybody is there who follows, and told what there is room for.
    ///
    /// # Errors
    /// The first that is not, in words.
    pub(super) fn sweep(&self, stream: &Service) -> Result<(), String> {
        for (session, reached) in &self.reached {
            let queued = stream.queued(*session);
            if matches!(reached, Reached::Place(_))
                && queued.is_some_and(|queued| queued < limits::LOOKUP_AHEAD)
            {
                return Err(format!("{session:?} is not told everything, and has room"));
            }
        }
        let behind = self.reached.values().filter(|reached| **reached != Reached::End).count();
        let same = behind == self.behind;
        same.then_some(()).ok_or(format!("{behind} are behind, not {}", self.behind))
    }
}

impl Lookupd {
    /// Takes what happened on the event stream, and goes on with snapshots.
    pub(super) fn serve_stream(&mut self, now: Now) {
        loop {
            while let Some(happened) = self.stream.next(&mut self.clients, now) {
                match happened {
                    Happened::Opened(session, opening) => {
                        debug!("{}: follows as {session:?}", opening.peer);
                        self.followers.open(session, &opening);
                    }
                    // Nobody asks anything here.
                    Happened::Said(..) => {}
                    Happened::Closed(session) => self.followers.close(session),
                }
            }
            if self.is_complete() {
                self.followers.walk(&self.registry, (&mut self.stream, &mut self.clients), now);
            }
            if !self.stream.has_news() {
                return;
            }
        }
    }

    /// Tells a change to those who follow.
    pub(super) fn tell(&mut self, change: &Change, now: Now) {
        self.followers.tell(change, (&mut self.stream, &mut self.clients), now);
    }
}

/// A change, in words for those who follow.
fn told(change: &Change) -> Vec<String> {
    let info = &change.node.info;
    // A node's JSON begins with the brace of its object; its event does, too.
    let members = info.strip_prefix('{').unwrap_or_default();
    let of_node = |event: &str| format!("{{\"event\": \"{event}\", {members}");
    let of_job = |event: &str, job: &dyn std::fmt::Display| {
        format!("{{\"event\": \"{event}\", \"node\": {info}, \"job_name\": \"{job}\"}}")
    };
    let of_process = |event: &str, job: &dyn std::fmt::Display, pid: &u64| {
        format!(
            "{{\"event\": \"{event}\", \"node\": {info}, \"job_name\": \"{job}\", \"pid\": {pid}}}"
        )
    };
    vec![match &change.what {
        What::AddNode => return vec![of_node("add_node"), of_node("identify")],
        What::RemoveNode => of_node("remove_node"),
        What::AddJob(job) => of_job("add_job", job),
        What::RemoveJob(job) => of_job("remove_job", job),
        What::AddProcess(job, pid) => of_process("add_process", job, pid),
        What::RemoveProcess(job, pid) => of_process("remove_process", job, pid),
    }]
}

/// Everything was told.
fn told_all(counts: Counts) -> String {
    let Counts { nodes, jobs, processes, .. } = counts;
    json::text(&json!({
        "event": "snapshot_end", "nodes": nodes, "jobs": jobs, "processes": processes,
    }))
}
