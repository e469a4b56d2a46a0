//! Registration: which node this is and what runs here, told to each lookupd over a websocket, or written
//! into an etcd, for as long as there are any. It is pure. Without one there is no timer; with one there is
//! a wake-up in each heartbeat.
//!
//! Read in this order: `told` (what is to be said), `lookup` (one lookupd), `kept` and `etcd` (the same for
//! one etcd), this table of them.

mod etcd;
mod kept;
mod lookup;
mod told;

use std::time::Instant;

use log::info;
use serde_json::{json, Value};

use self::etcd::Etcd;
use self::lookup::Lookup;
pub use self::lookup::{Hands, Identity};
pub use self::told::Truth;
use crate::base::address::{Address, Directory};
use crate::base::clock::Now;
use crate::base::ids::LinkId;
use crate::base::random::Random;
use crate::supervisor::name::JobName;

/// With whom a node registers, and as whom.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Registration {
    /// Where.
    pub lookups: Vec<Directory>,
    /// Who this node is.
    pub identity: Identity,
}

/// All places where a node registers.
pub struct Lookups {
    identity: Identity,
    all: Vec<Party>,
    /// Those that are named no more, and are still taken leave of.
    leaving: Vec<Etcd>,
    random: Random,
    ended: bool,
}

/// One of them.
enum Party {
    Lookupd(Lookup),
    Etcd(Box<Etcd>),
}

impl Party {
    fn new(place: Directory, who: &Identity, now: Now) -> Self {
        match place {
            Directory::Lookupd(address) => Self::Lookupd(Lookup::new(address, now)),
            Directory::Etcd(cluster) => Self::Etcd(Etcd::new(cluster, who.clone(), now).into()),
        }
    }

    fn is_at(&self, place: &Directory) -> bool {
        match (self, place) {
            (Self::Lookupd(lookup), Directory::Lookupd(address)) => lookup.address == *address,
            (Self::Etcd(etcd), Directory::Etcd(cluster)) => etcd.cluster == *cluster,
            (Self::Lookupd(_), Directory::Etcd(_)) | (Self::Etcd(_), Directory::Lookupd(_)) => {
                false
            }
        }
    }

    fn link(&self) -> Option<LinkId> {
        match self {
            Self::Lookupd(lookup) => lookup.link(),
            Self::Etcd(etcd) => etcd.link(),
        }
    }

    fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Lookupd(lookup) => lookup.deadline(),
            Self::Etcd(etcd) => etcd.deadline(),
        }
    }

    fn on_time(&mut self, random: &mut Random, hands: &mut Hands<'_>) {
        match self {
            Self::Lookupd(lookup) => lookup.on_time(random, hands),
            Self::Etcd(etcd) => etcd.on_time(random, hands),
        }
    }

    fn hurry(&mut self, hands: &Hands<'_>) {
        match self {
            Self::Lookupd(lookup) => lookup.hurry(hands),
            Self::Etcd(etcd) => etcd.hurry(hands),
        }
    }

    fn end(&mut self, reason: &str, hands: &mut Hands<'_>) {
        match self {
            Self::Lookupd(lookup) => lookup.end(reason, hands),
            Self::Etcd(etcd) => etcd.end(hands),
        }
    }
}

impl Lookups {
    /// None. The seed makes the jitter reproducible.
    pub fn new(seed: u64) -> Self {
        let random = Random::seeded(seed);
        let (all, leaving) = (Vec::new(), Vec::new());
        Self { identity: Identity::default(), all, leaving, random, ended: false }
    }

    /// Takes who is to be registered with now. What did not change goes on; a node that is another one
    /// now registers anew.
    pub fn configure(&mut self, to: Registration, hands: &mut Hands<'_>) {
        if self.ended {
            return;
        }
        let same = self.identity == to.identity;
        let stays = |party: &Party| same && to.lookups.iter().any(|place| party.is_at(place));
        let (mut kept, gone): (Vec<_>, Vec<_>) = self.all.drain(..).partition(stays);
        for mut party in gone {
            party.end("the configuration changed", hands);
            match party {
                Party::Lookupd(lookup) => info!("{}: this node took leave there", lookup.address),
                Party::Etcd(etcd) => {
                    info!("{}: this node takes leave there", etcd.cluster);
                    self.leaving.push(*etcd);
                }
            }
        }
        self.forget_those_left();
        for party in &mut kept {
            party.hurry(hands);
        }
        self.identity = to.identity;
        for place in to.lookups {
            let known = kept.iter().position(|party| party.is_at(&place));
            let party = known.map(|at| kept.remove(at));
            self.all.push(party.unwrap_or_else(|| Party::new(place, &self.identity, hands.now)));
        }
    }

    fn forget_those_left(&mut self) {
        self.leaving.retain(Etcd::is_leaving);
    }

    /// When [`Self::on_time`] wants to be called.
    pub fn deadline(&self) -> Option<Instant> {
        let leaving = self.leaving.iter().filter_map(Etcd::deadline);
        self.all.iter().filter_map(Party::deadline).chain(leaving).min()
    }

    /// Time has passed.
    pub fn on_time(&mut self, hands: &mut Hands<'_>) {
        let is_due = |due: Option<Instant>, now: Now| due.is_some_and(|due| due <= now.mono);
        for party in &mut self.all {
            if is_due(party.deadline(), hands.now) {
                party.on_time(&mut self.random, hands);
            }
        }
        for etcd in &mut self.leaving {
            if is_due(etcd.deadline(), hands.now) {
                etcd.on_time(&mut self.random, hands);
            }
        }
        self.forget_those_left();
    }

    /// A connection is there.
    pub fn opened(&mut self, link: LinkId, hands: &mut Hands<'_>) {
        match of(&mut self.all, link) {
            Some(Party::Lookupd(lookup)) => lookup.opened(&mut self.random, hands),
            Some(Party::Etcd(etcd)) => etcd.opened(hands),
            None => {}
        }
    }

    /// A connection does not come about, or is no more.
    pub fn lost(&mut self, link: LinkId, reason: &str, hands: &mut Hands<'_>) {
        match of(&mut self.all, link) {
            Some(Party::Lookupd(lookup)) => lookup.lose(reason, &mut self.random, hands),
            Some(Party::Etcd(etcd)) => etcd.lose(reason, &mut self.random, hands),
            None => {}
        }
        if let Some(etcd) = self.leaving.iter_mut().find(|etcd| etcd.link() == Some(link)) {
            etcd.lose(reason, &mut self.random, hands);
        }
        self.forget_those_left();
    }

    /// Somebody said something.
    pub fn received(&mut self, link: LinkId, bytes: &[u8], hands: &mut Hands<'_>) {
        match of(&mut self.all, link) {
            Some(Party::Lookupd(lookup)) => {
                lookup.received(bytes, &self.identity, &mut self.random, hands);
            }
            Some(Party::Etcd(etcd)) => etcd.received(bytes, &mut self.random, hands),
            None => {}
        }
        if let Some(etcd) = self.leaving.iter_mut().find(|etcd| etcd.link() == Some(link)) {
            etcd.received(bytes, &mut self.random, hands);
        }
        self.forget_those_left();
    }

    /// Something about a job may have changed.
    pub fn note(&mut self, job: &JobName, truth: &dyn Truth) {
        for party in &mut self.all {
            match party {
                Party::Lookupd(lookup) => lookup.note(job, truth),
                Party::Etcd(etcd) => etcd.note(job, truth),
            }
        }
    }

    /// Tells what there is to tell.
    pub fn fill(&mut self, hands: &mut Hands<'_>) {
        for party in &mut self.all {
            match party {
                Party::Lookupd(lookup) => lookup.fill(hands),
                Party::Etcd(etcd) => etcd.fill(hands),
            }
        }
    }

    /// Takes leave of all: the node ends.
    pub fn end(&mut self, hands: &mut Hands<'_>) {
        self.ended = true;
        for party in &mut self.all {
            party.end("the node ends", hands);
        }
    }

    /// Whose a connection is.
    pub fn owns(&self, link: LinkId) -> bool {
        self.all.iter().any(|party| party.link() == Some(link))
            || self.leaving.iter().any(|etcd| etcd.link() == Some(link))
    }

    /// With how many of them the node is registered, and how many there are.
    pub fn counts(&self) -> (usize, usize) {
        let registered = self.all.iter().filter(|party| match party {
            Party::Lookupd(lookup) => lookup.is_registered(),
            Party::Etcd(etcd) => etcd.is_registered(),
        });
        (registered.count(), self.all.len())
    }

    /// What this node is called there.
    pub fn name(&self) -> &str {
        &self.identity.name
    }

    /// The addresses of those that a web page could ask, too.
    pub fn web_addresses(&self) -> Vec<String> {
        let address = |party: &Party| match party {
            Party::Lookupd(lookup) => match &lookup.address {
                tcp @ (Address::Tcp { .. } | Address::Tls { .. }) => Some(tcp.to_string()),
                Address::Unix(_) => None,
            },
            Party::Etcd(_) => None,
        };
        self.all.iter().filter_map(address).collect()
    }

    /// How it stands with each.
    pub fn view(&self, hands: &Hands<'_>) -> Value {
        let view = |party: &Party| match party {
            Party::Lookupd(lookup) => lookup.view(hands.now),
            Party::Etcd(etcd) => etcd.view(hands.now),
        };
        let lookups: Vec<Value> = self.all.iter().map(view).collect();
        let (name, origin) = (&self.identity.name, &self.identity.origin);
        json!({"name": name, "origin": origin, "lookupds": lookups})
    }

    /// Checks what is always so.
    ///
    /// # Errors
    /// The first that is not, in words.
    pub fn sweep(&self, truth: &dyn Truth) -> Result<(), String> {
        self.all.iter().try_for_each(|party| match party {
            Party::Lookupd(lookup) => lookup.sweep(truth),
            Party::Etcd(etcd) => etcd.sweep(truth),
        })
    }
}

/// Whose connection this is.
fn of(all: &mut [Party], link: LinkId) -> Option<&mut Party> {
    all.iter_mut().find(|party| party.link() == Some(link))
}
