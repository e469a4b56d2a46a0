//! What the keys of an etcd mean for the registry. It takes no word for good: what is no node and no job is
//! passed over, counted, and told in the log once; what a registry has no room for, too.
//!
//! The keys of nodes say who they are, so nothing is kept here but counts. In a listing everything is
//! marked that is there, and at its end goes what is not.

use log::{info, warn};

use super::Hands;
use crate::base::sorted::SortedSet;
use crate::lookup::identity::{Identity, Named, Spelling};
use crate::lookup::registry::NodeNo;
use crate::wire::etcd::{Event, Header, Item, Kind};
use crate::wire::topology::{self, Key, Keys, NodeValue};

/// What is known of the keys.
#[derive(Default)]
pub(super) struct Picture {
    /// How many there are.
    keys: u64,
    /// The last change that is known.
    revision: i64,
    /// Which etcd it is.
    cluster: u64,
    /// How often everything was listed, or began to be.
    round: u32,
    /// Everything was listed once.
    ready: bool,
    /// What was none of ours, since the listing began,
    junk: u64,
    /// what was of a node that was not there,
    orphans: u64,
    /// and what there was no room for.
    refused: u64,
    /// What the log was told of already.
    told: SortedSet<&'static str>,
    /// Something came that can only be understood by another listing.
    doubt: bool,
}

impl Picture {
    pub(super) fn is_ready(&self) -> bool {
        self.ready
    }

    /// How many keys there are, and as of when.
    pub(super) fn extent(&self) -> (u64, i64) {
        (self.keys, self.revision)
    }

    pub(super) fn cluster(&self) -> u64 {
        self.cluster
    }

    pub(super) fn listings(&self) -> u32 {
        self.round
    }

    /// What was none of ours, had no node, and had no room.
    pub(super) fn odd(&self) -> (u64, u64, u64) {
        (self.junk, self.orphans, self.refused)
    }

    /// Whether there is a doubt, once.
    pub(super) fn take_doubt(&mut self) -> bool {
        std::mem::take(&mut self.doubt)
    }

    pub(super) fn begin_listing(&mut self) {
        self.round = self.round.wrapping_add(1);
        (self.junk, self.orphans, self.refused, self.doubt) = (0, 0, 0, false);
    }

    /// A key of a listing.
    pub(super) fn listed(&mut self, keys: &Keys, item: &Item, hands: &mut Hands<'_>) {
        self.put(keys, item, hands);
        self.doubt = false;
    }

    /// Everything was listed, so many keys: what was not is gone.
    pub(super) fn end_listing(&mut self, count: u64, header: Header, hands: &mut Hands<'_>) {
        for (no, job) in hands.registry.unmarked(self.round) {
            let change = match job {
                None => hands.registry.remove_node(no),
                Some(job) => hands.registry.remove_job(no, &job),
            };
            if let Some(change) = change {
                hands.tell(&change);
            }
        }
        (self.keys, self.revision, self.cluster) = (count, header.revision, header.cluster_id);
        self.ready = true;
    }

    /// Something changed.
    pub(super) fn changed(&mut self, keys: &Keys, event: &Event, hands: &mut Hands<'_>) {
        let item = &event.kv;
        match event.kind {
            Kind::Put => {
                self.keys += u64::from(item.create_revision == item.mod_revision);
                self.put(keys, item, hands);
            }
            Kind::Delete => {
                self.keys = self.keys.saturating_sub(1);
                if let Some(key) = keys.read(&item.key) {
                    gone(&key, hands);
                }
            }
        }
        self.revision = self.revision.max(item.mod_revision);
    }

    /// Nothing else changed up to this revision.
    pub(super) fn reached(&mut self, revision: i64) {
        self.revision = self.revision.max(revision);
    }

    /// The log is told of the first of each kind.
    fn warn_once(&mut self, kind: &'static str, item: &Item) {
        if self.told.insert(kind) {
            let key: String = String::from_utf8_lossy(&item.key).chars().take(100).collect();
            warn!("{}: {kind}; it is passed over, and so are others like it", key.escape_debug());
        }
    }

    /// A key has this value.
    fn put(&mut self, keys: &Keys, item: &Item, hands: &mut Hands<'_>) {
        let Some(key) = keys.read(&item.key) else {
            self.junk += 1;
            return self.warn_once("this key is none of a node or a job", item);
        };
        let done = match &key.job {
            None => self.put_node(&key, item, hands),
            Some(job) => self.put_job(&key, job, item, hands),
        };
        if let Err(kind) = done {
            // What stood there before does not any more.
            gone(&key, hands);
            self.junk += 1;
            self.warn_once(kind, item);
        }
    }

    /// # Errors
    /// It is no node, in words.
    fn put_node(
        &mut self,
        key: &Key,
        item: &Item,
        hands: &mut Hands<'_>,
    ) -> Result<(), &'static str> {
        const NONE: &str = "what stands under this key is no node";
        let value = NodeValue::read(&item.value);
        let value = value.filter(|value| (&value.name, &value.origin) == (&key.name, &key.origin));
        let value = value.ok_or(NONE)?;
        let who = Identity::new(&value.name, &value.origin, &value.version).map_err(|_| NONE)?;
        let known = hands.registry.node(&key.name, &key.origin);
        let same = known.filter(|no| hands.registry.identity(*no) == Some(&who));
        if let Some(no) = same {
            self.see(no, None, hands);
            return Ok(());
        }
        if let Some(change) = known.and_then(|no| hands.registry.remove_node(no)) {
            hands.tell(&change);
        }
        match hands.registry.add_node(who, hands.now.wall) {
            Ok(change) => {
                info!("node {} is there, at {}", change.node.name, change.node.origin);
                hands.tell(&change);
                hands.registry.mark(change.node_no(), None, self.round);
                // Its jobs may be among those that were passed over.
                self.doubt |= self.orphans > 0 || known.is_some();
            }
            Err(_) => {
                self.refused += 1;
                self.warn_once("there is no room for this node", item);
            }
        }
        Ok(())
    }

    /// # Errors
    /// It is no job, in words.
    fn put_job(
        &mut self,
        key: &Key,
        job: &str,
        item: &Item,
        hands: &mut Hands<'_>,
    ) -> Result<(), &'static str> {
        let named = Named::parse(job).ok();
        let named = named.filter(|named| named.spelling == Spelling::Dot);
        let named = named.ok_or("this key is none of a job")?;
        let pids = topology::read_job(&item.value).ok_or("what stands under this key is no job")?;
        let Some(no) = hands.registry.node(&key.name, &key.origin) else {
            self.orphans += 1;
            return Ok(());
        };
        if hands.registry.pids(no, &named.text).is_none() {
            match hands.registry.add_job(no, named.clone()) {
                Ok(change) => hands.tell(&change),
                Err(_) => {
                    self.refused += 1;
                    self.warn_once("there is no room for this job", item);
                    return Ok(());
                }
            }
        }
        if !set_pids(no, &named.text, &pids, hands) {
            self.refused += 1;
            self.warn_once("there is no room for all processes of this job", item);
        }
        self.see(no, Some(&named.text), hands);
        Ok(())
    }

    fn see(&self, no: NodeNo, job: Option<&str>, hands: &mut Hands<'_>) {
        hands.registry.mark(no, job, self.round);
        hands.registry.note_seen(no, hands.now.wall);
    }
}

/// A key is there no more.
fn gone(key: &Key, hands: &mut Hands<'_>) {
    let Some(no) = hands.registry.node(&key.name, &key.origin) else { return };
    let change = match &key.job {
        None => hands.registry.remove_node(no),
        Some(job) => {
            hands.registry.note_seen(no, hands.now.wall);
            hands.registry.remove_job(no, job)
        }
    };
    let Some(change) = change else { return };
    if key.job.is_none() {
        info!("node {} is gone: so is its key", change.node.name);
    }
    hands.tell(&change);
}

/// These processes of a job run, ascending, and no others; whether there was room for them.
fn set_pids(no: NodeNo, job: &str, pids: &[u64], hands: &mut Hands<'_>) -> bool {
    let before = hands.registry.pids(no, job).map(<[u64]>::to_vec).unwrap_or_default();
    for pid in before.iter().filter(|pid| pids.binary_search(pid).is_err()) {
        if let Ok(Some(change)) = hands.registry.remove_process(no, job, *pid) {
            hands.tell(&change);
        }
    }
    for pid in pids.iter().filter(|pid| before.binary_search(pid).is_err()) {
        match hands.registry.add_process(no, job, *pid) {
            Ok(Some(change)) => hands.tell(&change),
            Ok(None) => {}
            Err(_) => return false,
        }
    }
    true
}
