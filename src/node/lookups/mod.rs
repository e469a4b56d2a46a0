//! Registration with lookupds: which node this is and what runs here, told to each of them over a
//! websocket, for as long as there are any. It is pure. Without a lookupd there is no timer; with one
//! there is a wake-up in each heartbeat.
//!
//! Read in this order: `told` (what is to be said), `lookup` (one lookupd), this table of them.

mod lookup;
mod told;

use std::time::Instant;

use log::info;
use serde_json::{json, Value};

use self::lookup::Lookup;
pub use self::lookup::{Hands, Identity};
pub use self::told::Truth;
use crate::base::address::Address;
use crate::base::ids::LinkId;
use crate::base::random::Random;
use crate::supervisor::name::JobName;

/// With whom a node registers, and as whom.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Registration {
    /// The lookupds.
    pub lookups: Vec<Address>,
    /// Who this node is.
    pub identity: Identity,
}

/// All lookupds of a node.
pub struct Lookups {
    identity: Identity,
    all: Vec<Lookup>,
    random: Random,
    ended: bool,
}

impl Lookups {
    /// None. The seed makes the jitter reproducible.
    pub fn new(seed: u64) -> Self {
        let random = Random::seeded(seed);
        Self { identity: Identity::default(), all: Vec::new(), random, ended: false }
    }

    /// Takes who is to be registered with now. What did not change goes on; a node that is another one
    /// now registers anew.
    pub fn configure(&mut self, to: Registration, hands: &mut Hands<'_>) {
        if self.ended {
            return;
        }
        let same = self.identity == to.identity;
        let stays = |lookup: &Lookup| same && to.lookups.contains(&lookup.address);
        let (mut kept, gone): (Vec<_>, Vec<_>) = self.all.drain(..).partition(stays);
        for mut lookup in gone {
            info!("{}: this node takes leave there", lookup.address);
            lookup.end("the configuration changed", hands);
        }
        for lookup in &mut kept {
            lookup.hurry(hands);
        }
        self.identity = to.identity;
        for address in to.lookups {
            let known = kept.iter().position(|lookup| lookup.address == address);
            let new = || Lookup::new(address, hands.now);
            self.all.push(known.map(|at| kept.remove(at)).unwrap_or_else(new));
        }
    }

    /// When [`Self::on_time`] wants to be called.
    pub fn deadline(&self) -> Option<Instant> {
        self.all.iter().filter_map(Lookup::deadline).min()
    }

    /// Time has passed.
    pub fn on_time(&mut self, hands: &mut Hands<'_>) {
        for lookup in &mut self.all {
            if lookup.deadline().is_some_and(|due| due <= hands.now.mono) {
                lookup.on_time(&mut self.random, hands);
            }
        }
    }

    /// A connection is there.
    pub fn opened(&mut self, link: LinkId, hands: &mut Hands<'_>) {
        if let Some(lookup) = of(&mut self.all, link) {
            lookup.opened(&mut self.random, hands);
        }
    }

    /// A connection does not come about, or is no more.
    pub fn lost(&mut self, link: LinkId, reason: &str, hands: &mut Hands<'_>) {
        if let Some(lookup) = of(&mut self.all, link) {
            lookup.lose(reason, &mut self.random, hands);
        }
    }

    /// A lookupd said something.
    pub fn received(&mut self, link: LinkId, bytes: &[u8], hands: &mut Hands<'_>) {
        if let Some(lookup) = of(&mut self.all, link) {
            lookup.received(bytes, &self.identity, &mut self.random, hands);
        }
    }

    /// Something about a job may have changed.
    pub fn note(&mut self, job: &JobName, truth: &dyn Truth) {
        for lookup in &mut self.all {
            lookup.note(job, truth);
        }
    }

    /// Tells what there is to tell.
    pub fn fill(&mut self, hands: &mut Hands<'_>) {
        for lookup in &mut self.all {
            lookup.fill(hands);
        }
    }

    /// Takes leave of all: the node ends.
    pub fn end(&mut self, hands: &mut Hands<'_>) {
        self.ended = true;
        for lookup in &mut self.all {
            lookup.end("the node ends", hands);
        }
    }

    /// Whose a connection is.
    pub fn owns(&self, link: LinkId) -> bool {
        self.all.iter().any(|lookup| lookup.link() == Some(link))
    }

    /// How it stands with each.
    pub fn view(&self, hands: &Hands<'_>) -> Value {
        let lookups: Vec<Value> = self.all.iter().map(|lookup| lookup.view(hands.now)).collect();
        let (name, origin) = (&self.identity.name, &self.identity.origin);
        json!({"name": name, "origin": origin, "lookupds": lookups})
    }

    /// Checks what is always so.
    ///
    /// # Errors
    /// The first that is not, in words.
    pub fn sweep(&self, truth: &dyn Truth) -> Result<(), String> {
        self.all.iter().try_for_each(|lookup| lookup.sweep(truth))
    }
}

/// Whose connection this is.
fn of(all: &mut [Lookup], link: LinkId) -> Option<&mut Lookup> {
    all.iter_mut().find(|lookup| lookup.link() == Some(link))
}
