//! Whether an etcd lives, and the watch with it: in each heartbeat the keys are counted and the newest is
//! looked for, on a connection of its own and with another member where there is one. A watch that says
//! nothing from one look to the next, while both find something else than is known, has stopped.

use std::time::Instant;

use log::debug;

use super::picture::Picture;
use super::Hands;
use crate::base::address::Cluster;
use crate::base::clock::Now;
use crate::base::ids::LinkId;
use crate::base::limits;
use crate::front::exchange::{Came, Exchange, Reply};
use crate::node::machine::Effect;
use crate::wire::etcd::{self, Range, Ranged, Told};
use crate::wire::topology::Keys;

/// Looks in a row that may fail.
const MISSES: u32 = 2;

/// A look at an etcd, again and again.
#[derive(Default)]
pub(super) struct Probe {
    state: State,
    /// When it looks next.
    due: Option<Instant>,
    /// Looks in a row that failed.
    misses: u32,
    /// The last look found something else than was known: what was known then.
    doubt: Option<i64>,
    tries: usize,
    /// The keys, to ask with on a connection that is there.
    ask: Option<etcd::Ask>,
}

#[derive(Default)]
enum State {
    /// There is no connection.
    #[default]
    Off,
    Connecting(Exchange),
    Idle(Exchange),
    Asked(Exchange),
}

/// What a look says of the watch.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing against it.
    Sound,
    /// It is to be begun anew, for this reason.
    Lost(String),
}

impl Probe {
    pub(super) fn link(&self) -> Option<LinkId> {
        match &self.state {
            State::Off => None,
            State::Connecting(exchange) | State::Idle(exchange) | State::Asked(exchange) => {
                Some(exchange.link())
            }
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        match &self.state {
            State::Connecting(exchange) | State::Asked(exchange) => exchange.deadline(),
            State::Off | State::Idle(_) => self.due,
        }
    }

    /// The watch has begun.
    pub(super) fn begin(&mut self, now: Now) {
        (self.misses, self.doubt) = (0, None);
        self.due = Some(now.mono + limits::LOOKUP_HEARTBEAT);
    }

    /// The watch has ended.
    pub(super) fn end(&mut self, hands: &mut Hands<'_>) {
        self.drop_link(hands);
        self.due = None;
    }

    fn drop_link(&mut self, hands: &mut Hands<'_>) {
        if let Some(link) = self.link() {
            hands.links.forget(link);
        }
        self.state = State::Off;
    }

    /// It is time to look, or a look takes too long.
    pub(super) fn on_time(&mut self, cluster: &Cluster, hands: &mut Hands<'_>) -> Verdict {
        match std::mem::take(&mut self.state) {
            State::Off => self.dial(cluster, hands),
            State::Idle(exchange) => self.look(exchange, hands),
            late @ (State::Connecting(_) | State::Asked(_)) => {
                self.state = late;
                return self.miss("it answers nothing", cluster, hands);
            }
        }
        Verdict::Sound
    }

    fn dial(&mut self, cluster: &Cluster, hands: &mut Hands<'_>) {
        self.tries = self.tries.wrapping_add(1);
        let Some(address) = cluster.member(self.tries).cloned() else { return };
        let link = hands.links.dial();
        let until = hands.now.mono + limits::ETCD_PATIENCE;
        let exchange = Exchange::new(link, address.host(), limits::ETCD_ANSWER, until);
        hands.effects.push(Effect::Dial { link, address });
        self.state = State::Connecting(exchange);
    }

    /// Its connection is there.
    pub(super) fn opened(&mut self, keys: &Keys, hands: &mut Hands<'_>) {
        if let State::Connecting(mut exchange) = std::mem::take(&mut self.state) {
            exchange.opened();
            let (key, end) = keys.all();
            let told = Told::Newest;
            self.ask = Some(Range { key, end: Some(end), limit: 1, revision: 0, told }.ask());
            self.look(exchange, hands);
        }
    }

    fn look(&mut self, mut exchange: Exchange, hands: &mut Hands<'_>) {
        let Some(ask) = &self.ask else { return };
        exchange.ask((ask.target, &ask.body), limits::ETCD_PATIENCE, hands.links, hands.now);
        self.state = State::Asked(exchange);
    }

    /// Its connection did not come about, or is no more.
    pub(super) fn lost(&mut self, cluster: &Cluster, hands: &mut Hands<'_>) -> Verdict {
        if matches!(self.state, State::Idle(_)) {
            // Nothing was asked. There will be another one when something is.
            self.drop_link(hands);
            return Verdict::Sound;
        }
        self.miss("it cannot be asked", cluster, hands)
    }

    /// A look failed: looks again at once, but not for ever.
    fn miss(&mut self, why: &str, cluster: &Cluster, hands: &mut Hands<'_>) -> Verdict {
        self.drop_link(hands);
        self.misses += 1;
        if self.misses >= MISSES {
            return Verdict::Lost(why.to_owned());
        }
        debug!("{cluster}: {why}; it is asked again");
        self.dial(cluster, hands);
        Verdict::Sound
    }

    /// It said something.
    pub(super) fn received(
        &mut self,
        bytes: &[u8],
        (cluster, picture): (&Cluster, &Picture),
        hands: &mut Hands<'_>,
    ) -> Verdict {
        let came = match &mut self.state {
            State::Asked(exchange) | State::Idle(exchange) | State::Connecting(exchange) => {
                exchange.received(bytes)
            }
            State::Off => return Verdict::Sound,
        };
        let ranged = match came {
            Ok(Came::Nothing) => return Verdict::Sound,
            Ok(Came::Whole(Reply { status, body, .. })) => {
                etcd::read::<Ranged>(status, &body).map_err(|fault| fault.to_string())
            }
            Ok(Came::Lines(_) | Came::End(_)) => Err("it answers what was not asked".into()),
            Err(why) => Err(why),
        };
        let ranged = match ranged {
            Ok(ranged) => ranged,
            Err(why) => return self.miss(&why, cluster, hands),
        };
        if let State::Asked(exchange) = std::mem::take(&mut self.state) {
            self.state = State::Idle(exchange);
        }
        self.misses = 0;
        self.due = Some(hands.now.mono + limits::LOOKUP_HEARTBEAT);
        self.compare(&ranged, picture)
    }

    fn compare(&mut self, ranged: &Ranged, picture: &Picture) -> Verdict {
        let (keys, revision) = picture.extent();
        if ranged.header.cluster_id != picture.cluster() {
            return Verdict::Lost("it is another etcd than before".into());
        }
        if ranged.header.revision < revision {
            return Verdict::Lost("it knows less than before".into());
        }
        let newest = ranged.kvs.first().map_or(0, |item| item.mod_revision);
        let differs = ranged.count != keys || newest > revision;
        if differs && self.doubt == Some(revision) {
            return Verdict::Lost("it does not tell what changes".into());
        }
        self.doubt = differs.then_some(revision);
        Verdict::Sound
    }
}
