//! An etcd, as the node sees it: one lease, on which all keys of the node stand, so that they go when the
//! node is silent; the node's own key, and one for each job.
//!
//! After each connection the node sees to its lease, claims its own key, reads what else stands below that,
//! and from then on writes the difference to what is true, one request at a time. Whatever it writes stands
//! under the condition that its own key is as it claimed it: what an old connection had under way when it
//! was lost, and what a dead predecessor had, changes nothing any more. In each heartbeat the lease is kept
//! alive, and the node looks whether its keys are as it left them.
//!
//! A node that starts takes the place of another of its name and origin, which may be its own dead self.
//! Who has lost his place to another takes it again only when it is free.

use std::time::{Duration, Instant, SystemTime};

use log::{debug, info, warn};
use serde_json::{json, Value};

use super::kept::{Change, Kept, Trust};
use super::lookup::{Hands, Identity, VERSION};
use crate::base::address::Cluster;
use crate::base::clock::{epoch_seconds, Now};
use crate::base::ids::LinkId;
use crate::base::limits;
use crate::base::random::Random;
use crate::front::exchange::{Came, Exchange, Reply};
use crate::front::retry::Retry;
use crate::node::machine::Effect;
use crate::supervisor::name::JobName;
use crate::wire::etcd::{self, Ask, Done, Item, Lease, Op, Range, Ranged};
use crate::wire::topology::{self, Keys};

/// One etcd.
pub(super) struct Etcd {
    pub(super) cluster: Cluster,
    keys: Keys,
    who: Identity,
    state: State,
    /// When it began.
    since: SystemTime,
    /// When it is tried again, while it is down.
    due: Instant,
    /// When the lease is to be kept alive.
    beat: Instant,
    /// The lease that we have, if it still lives.
    lease: Option<i64>,
    /// When our own key was claimed; what is written stands under that.
    claim: i64,
    /// Whether it was, since the node began: from then on it is taken from nobody.
    settled: bool,
    kept: Kept,
    retry: Retry,
    /// Connections that were tried, so that each begins with another member.
    tries: usize,
    /// When the place was had, while it is.
    placed: Option<Instant>,
    error: Option<String>,
}

enum State {
    Down,
    Up(Exchange, Step),
    /// The lease is given back, or is to be once the answer is there that is awaited.
    Leaving(Exchange, Leave),
    Over,
}

/// What is awaited of an etcd.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    /// The connection.
    Connecting,
    /// A new lease.
    Granting,
    /// Whether the lease lives, on a new connection,
    Reviving,
    /// or in a heartbeat.
    Beating,
    /// Who has our key.
    Looking,
    /// That we have it.
    Claiming(Trust),
    /// Which keys of ours there are.
    Reading,
    /// That something is written.
    Writing,
    /// Whether all is as it was written.
    Checking,
    /// Nothing.
    Resting,
}

/// How far a farewell is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leave {
    Waiting,
    Revoking,
}

/// Why a place is lost.
const TAKEN: &str =
    "another node has this node's name and origin there; give them names or origins of their own";

impl Etcd {
    /// One that is tried at once.
    pub(super) fn new(cluster: Cluster, who: Identity, now: Now) -> Self {
        Self {
            keys: Keys::below(&cluster.prefix),
            cluster,
            who,
            state: State::Down,
            since: now.wall,
            due: now.mono,
            beat: now.mono,
            lease: None,
            claim: 0,
            settled: false,
            kept: Kept::default(),
            retry: Retry::default(),
            tries: 0,
            placed: None,
            error: None,
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        match &self.state {
            State::Down | State::Leaving(..) => Some(self.due),
            State::Up(_, Step::Resting) => Some(self.beat),
            State::Up(exchange, _) => exchange.deadline(),
            State::Over => None,
        }
    }

    /// Its connection, while it has one.
    pub(super) fn link(&self) -> Option<LinkId> {
        match &self.state {
            State::Up(exchange, _) | State::Leaving(exchange, _) => Some(exchange.link()),
            State::Down | State::Over => None,
        }
    }

    /// Whether it is still waited for at the end.
    pub(super) fn is_leaving(&self) -> bool {
        matches!(self.state, State::Leaving(..))
    }

    /// The time of its state is over.
    pub(super) fn on_time(&mut self, random: &mut Random, hands: &mut Hands<'_>) {
        match &self.state {
            State::Over => {}
            State::Down => self.dial(hands),
            State::Leaving(..) => self.leave_now(hands),
            State::Up(_, Step::Resting) => self.go_on(hands),
            State::Up(_, Step::Connecting) => {
                self.lose("it cannot be connected to in time", random, hands);
            }
            State::Up(..) => self.lose("it answers nothing", random, hands),
        }
    }

    fn dial(&mut self, hands: &mut Hands<'_>) {
        let Some(address) = self.cluster.member(self.tries).cloned() else { return };
        self.tries = self.tries.wrapping_add(1);
        let link = hands.links.dial();
        let until = hands.now.mono + limits::ETCD_PATIENCE;
        let exchange = Exchange::new(link, address.host(), limits::ETCD_ANSWER, until);
        hands.effects.push(Effect::Dial { link, address });
        self.since = hands.now.wall;
        self.state = State::Up(exchange, Step::Connecting);
    }

    /// One that is down is tried now: an operator wants so. One that is not is looked through.
    pub(super) fn hurry(&mut self, hands: &Hands<'_>) {
        match &self.state {
            State::Down => self.due = hands.now.mono,
            State::Up(..) => {
                self.beat = hands.now.mono;
                self.kept.note_all(hands.truth);
            }
            State::Leaving(..) | State::Over => {}
        }
    }

    /// Its connection is there.
    pub(super) fn opened(&mut self, hands: &mut Hands<'_>) {
        let State::Up(exchange, Step::Connecting) = &mut self.state else { return };
        exchange.opened();
        self.see_to_lease(hands);
    }

    fn see_to_lease(&mut self, hands: &mut Hands<'_>) {
        match self.lease {
            Some(lease) => self.ask(&etcd::keep_alive(lease), Step::Reviving, hands),
            None => self.ask(&etcd::grant(limits::ETCD_TTL), Step::Granting, hands),
        }
    }

    fn ask(&mut self, ask: &Ask, next: Step, hands: &mut Hands<'_>) {
        let State::Up(exchange, step) = &mut self.state else { return };
        let was_there = is_registered(step);
        exchange.ask((ask.target, &ask.body), limits::ETCD_PATIENCE, hands.links, hands.now);
        if was_there != is_registered(&next) {
            self.since = hands.now.wall;
        }
        *step = next;
    }

    /// It said something.
    pub(super) fn received(&mut self, bytes: &[u8], random: &mut Random, hands: &mut Hands<'_>) {
        let came = match &mut self.state {
            State::Up(exchange, _) | State::Leaving(exchange, _) => exchange.received(bytes),
            State::Down | State::Over => return,
        };
        let done = match came {
            Ok(Came::Nothing) => return,
            Ok(Came::Whole(reply)) => self.answered(&reply, hands),
            Ok(Came::Lines(_) | Came::End(_)) => Err("it answers what was not asked".into()),
            Err(reason) => Err(reason),
        };
        if let Err(reason) = done {
            self.lose(&reason, random, hands);
        }
    }

    /// It answered.
    ///
    /// # Errors
    /// Why it is of no use any more.
    fn answered(&mut self, reply: &Reply, hands: &mut Hands<'_>) -> Result<(), String> {
        let step = match &self.state {
            State::Up(_, step) => step.clone(),
            State::Leaving(..) => {
                self.go_on_leaving(hands);
                return Ok(());
            }
            State::Down | State::Over => return Ok(()),
        };
        let (status, body) = (reply.status, reply.body.as_slice());
        match step {
            Step::Granting => {
                let lease: Lease = etcd::read(status, body).map_err(|fault| fault.to_string())?;
                self.lease = Some(lease.id);
                self.beat = hands.now.mono + limits::LOOKUP_HEARTBEAT;
                self.look(hands);
            }
            Step::Reviving | Step::Beating => {
                self.revived(read_lease(reply)?, step == Step::Beating, hands);
            }
            Step::Looking => {
                let ranged: Ranged = etcd::read(status, body).map_err(|fault| fault.to_string())?;
                self.decide(ranged.kvs.first(), hands)?;
            }
            Step::Claiming(trust) => match self.read_done(reply)? {
                Some(done) if done.succeeded => {
                    self.claim = done.header.revision;
                    self.settled = true;
                    self.kept.begin_reading(trust);
                    let (first, _) = self.keys.jobs(&self.who.name, &self.who.origin);
                    self.read_from(first, hands);
                }
                Some(done) => self.decide(done.told().kvs.first(), hands)?,
                None => self.renew(hands),
            },
            Step::Reading => {
                let ranged: Ranged = etcd::read(status, body).map_err(|fault| fault.to_string())?;
                self.take_page(&ranged, hands);
            }
            Step::Writing => match self.read_done(reply)? {
                Some(done) if done.succeeded => {
                    self.kept.landed(done.header.revision);
                    self.go_on(hands);
                }
                Some(done) => self.decide(done.told().kvs.first(), hands)?,
                None => self.renew(hands),
            },
            Step::Checking => match self.read_done(reply)? {
                Some(done) if done.succeeded => self.checked(&done.told(), hands),
                Some(done) => self.decide(done.told().kvs.first(), hands)?,
                None => self.renew(hands),
            },
            Step::Connecting | Step::Resting => {}
        }
        Ok(())
    }

    /// What became of a transaction; `None` if our lease is gone.
    fn read_done(&self, reply: &Reply) -> Result<Option<Done>, String> {
        match etcd::read::<Done>(reply.status, &reply.body) {
            Ok(done) => Ok(Some(done)),
            Err(fault) if fault.is(etcd::NOT_FOUND) => Ok(None),
            Err(fault) => Err(fault.to_string()),
        }
    }

    /// It is known whether our lease lives.
    fn revived(&mut self, lease: Lease, in_heartbeat: bool, hands: &mut Hands<'_>) {
        if lease.ttl <= 0 {
            return self.renew(hands);
        }
        self.beat = hands.now.mono + limits::LOOKUP_HEARTBEAT;
        if !in_heartbeat {
            return self.look(hands);
        }
        let (key, end) = self.keys.jobs(&self.who.name, &self.who.origin);
        let told = etcd::Told::Newest;
        let newest = Range { key, end: Some(end), limit: 1, revision: 0, told };
        let ask = self.under_claim(&[Op::Range(newest)]);
        self.ask(&ask, Step::Checking, hands);
    }

    /// Our lease is gone, and all keys with it.
    fn renew(&mut self, hands: &mut Hands<'_>) {
        debug!("{}: the lease ran out", self.cluster);
        self.lease = None;
        self.see_to_lease(hands);
    }

    /// Something that is done only while our own key is as we claimed it.
    fn under_claim(&self, ops: &[Op]) -> Ask {
        let key = self.keys.node(&self.who.name, &self.who.origin);
        etcd::if_unchanged(&key, self.claim, ops)
    }

    fn look(&mut self, hands: &mut Hands<'_>) {
        let key = self.keys.node(&self.who.name, &self.who.origin);
        self.ask(&Range { key, ..Range::default() }.ask(), Step::Looking, hands);
    }

    /// It is known who has our key: claims it, if it is ours to have.
    ///
    /// # Errors
    /// It is not.
    fn decide(&mut self, there: Option<&Item>, hands: &mut Hands<'_>) -> Result<(), String> {
        let Some(lease) = self.lease else { return Err("there is no lease".into()) };
        let trust = match there {
            Some(item) if item.lease == lease => Trust::Same,
            Some(_) if self.settled => return Err(TAKEN.into()),
            Some(_) | None => Trust::None,
        };
        let Identity { name, origin } = &self.who;
        let key = self.keys.node(name, origin);
        let value = topology::node_value(name, origin, VERSION);
        let put = Op::Put(key.clone(), value, lease);
        let revision = there.map_or(0, |item| item.mod_revision);
        let ask = etcd::if_unchanged(&key, revision, &[put]);
        self.ask(&ask, Step::Claiming(trust), hands);
        Ok(())
    }

    fn read_from(&mut self, key: Vec<u8>, hands: &mut Hands<'_>) {
        let (_, end) = self.keys.jobs(&self.who.name, &self.who.origin);
        let (limit, told) = (limits::ETCD_PAGE, etcd::Told::Keys);
        let range = Range { key, end: Some(end), limit, revision: 0, told };
        self.ask(&range.ask(), Step::Reading, hands);
    }

    fn take_page(&mut self, ranged: &Ranged, hands: &mut Hands<'_>) {
        for item in &ranged.kvs {
            let key = self.keys.read(&item.key);
            let job = key.and_then(|key| key.job);
            let name = job
                .as_deref()
                .and_then(|text| JobName::parse(text).ok().filter(|name| name.to_string() == text));
            match name {
                Some(name) => self.kept.found(name, item.mod_revision),
                None => self.kept.found_stray(item.key.clone()),
            }
        }
        match ranged.kvs.last() {
            Some(last) if ranged.more => {
                // The next key there can be.
                let next = [last.key.as_slice(), &[0]].concat();
                self.read_from(next, hands);
            }
            Some(_) | None => {
                self.kept.end_reading(hands.truth);
                info!("{}: this node is registered there", self.cluster);
                self.error = None;
                self.placed.get_or_insert(hands.now.mono);
                self.go_on(hands);
            }
        }
    }

    /// Our keys were counted: if they are not as we left them, they are read again.
    fn checked(&mut self, told: &Ranged, hands: &mut Hands<'_>) {
        let newest = told.kvs.first().map_or(0, |item| item.mod_revision);
        let (count, known) = self.kept.extent();
        if (usize::try_from(told.count), newest) == (Ok(count), known) {
            self.kept.note_all(hands.truth);
            return self.go_on(hands);
        }
        warn!("{}: somebody else has changed this node's keys; they are put right", self.cluster);
        self.kept.begin_reading(Trust::Same);
        let (first, _) = self.keys.jobs(&self.who.name, &self.who.origin);
        self.read_from(first, hands);
    }

    /// Does what is due: keeps the lease alive, writes what there is to write, or rests.
    fn go_on(&mut self, hands: &mut Hands<'_>) {
        let Some(lease) = self.lease else { return };
        if self.beat <= hands.now.mono {
            return self.ask(&etcd::keep_alive(lease), Step::Beating, hands);
        }
        let Identity { name, origin } = &self.who;
        let op = |change: &Change| match change {
            Change::Put(job, pids) => {
                let key = self.keys.job(name, origin, &job.to_string());
                Op::Put(key, topology::job_value(pids.iter().copied()), lease)
            }
            Change::Delete(job) => Op::Delete(self.keys.job(name, origin, &job.to_string())),
            Change::Stray(key) => Op::Delete(key.clone()),
        };
        let ops: Vec<Op> = self.kept.next(hands.truth).iter().map(op).collect();
        if !ops.is_empty() {
            let ask = self.under_claim(&ops);
            return self.ask(&ask, Step::Writing, hands);
        }
        if let State::Up(_, step) = &mut self.state {
            if !is_registered(step) {
                self.since = hands.now.wall;
            }
            *step = Step::Resting;
        }
    }

    /// Something about a job may have changed.
    pub(super) fn note(&mut self, job: &JobName, hands_truth: &dyn super::Truth) {
        if self.is_told() {
            self.kept.note(job, hands_truth);
        }
    }

    /// Whether changes are written as they come. Before that all that is true is looked through.
    fn is_told(&self) -> bool {
        matches!(
            self.state,
            State::Up(_, Step::Writing | Step::Checking | Step::Beating | Step::Resting)
        )
    }

    /// Writes what there is to write.
    pub(super) fn fill(&mut self, hands: &mut Hands<'_>) {
        if matches!(self.state, State::Up(_, Step::Resting)) && self.kept.has_news() {
            self.go_on(hands);
        }
    }

    /// Its connection did not come about, or is no more.
    pub(super) fn lose(&mut self, reason: &str, random: &mut Random, hands: &mut Hands<'_>) {
        match &self.state {
            State::Over | State::Down => return,
            State::Leaving(..) => return self.leave_now(hands),
            State::Up(exchange, _) => hands.links.forget(exchange.link()),
        }
        let placed = self.placed.take();
        let lived =
            placed.map_or(Duration::ZERO, |at| hands.now.mono.saturating_duration_since(at));
        let delay = self.retry.lost(lived, limits::LOOKUPD_RETRY_MOST, random);
        if self.retry.losses() == 1 || placed.is_some() {
            warn!(
                "{}: this node's keys are not kept there: {reason}; it is tried again",
                self.cluster
            );
        } else {
            debug!("{}: {reason}; again in {delay:?}", self.cluster);
        }
        self.error = Some(reason.to_owned());
        self.state = State::Down;
        self.since = hands.now.wall;
        self.due = hands.now.mono + delay;
    }

    /// Takes leave: gives the lease back, for which it has a moment.
    pub(super) fn end(&mut self, hands: &mut Hands<'_>) {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Up(exchange, Step::Connecting) => hands.links.forget(exchange.link()),
            State::Up(exchange, _) => {
                self.due = hands.now.mono + limits::ETCD_FAREWELL;
                hands.links.await_answer(exchange.link());
                self.state = State::Leaving(exchange, Leave::Waiting);
                self.go_on_leaving(hands);
            }
            State::Down | State::Over => {}
            State::Leaving(exchange, leave) => self.state = State::Leaving(exchange, leave),
        }
    }

    fn go_on_leaving(&mut self, hands: &mut Hands<'_>) {
        let State::Leaving(exchange, leave) = &mut self.state else { return };
        match (*leave, self.lease) {
            (Leave::Waiting, _) if !exchange.is_idle() => {}
            (Leave::Waiting, Some(lease)) => {
                let Ask { target, body } = etcd::revoke(lease);
                exchange.ask((target, &body), limits::ETCD_FAREWELL, hands.links, hands.now);
                *leave = Leave::Revoking;
            }
            (Leave::Waiting, None) | (Leave::Revoking, _) => self.leave_now(hands),
        }
    }

    fn leave_now(&mut self, hands: &mut Hands<'_>) {
        if let State::Leaving(exchange, _) = &self.state {
            hands.links.forget(exchange.link());
        }
        self.state = State::Over;
    }

    /// Whether all that is so stands there.
    pub(super) fn is_registered(&self) -> bool {
        matches!(self.state, State::Up(_, Step::Beating | Step::Checking | Step::Resting))
    }

    /// What is to be told of it.
    pub(super) fn view(&self, now: Now) -> Value {
        let (state, unanswered) = match &self.state {
            State::Down => ("down", 0),
            State::Up(_, Step::Connecting) => ("connecting", 0),
            State::Up(_, Step::Granting | Step::Reviving) => ("opening", 1),
            State::Up(_, Step::Looking | Step::Claiming(_)) => ("identifying", 1),
            State::Up(_, Step::Reading | Step::Writing) => ("registering", 1),
            State::Up(_, Step::Beating | Step::Checking) => ("registered", 1),
            State::Up(_, Step::Resting) => ("registered", 0),
            State::Leaving(..) | State::Over => ("over", 0),
        };
        let (jobs, processes) = if self.is_told() { self.kept.counts() } else { (0, 0) };
        let retry_at = matches!(self.state, State::Down)
            .then(|| epoch_seconds(now.wall + self.due.saturating_duration_since(now.mono)));
        json!({
            "address": self.cluster.to_string(),
            "state": state,
            "since": epoch_seconds(self.since),
            "jobs": jobs,
            "processes": processes,
            "unanswered": unanswered,
            "last_error": self.error,
            "losses": self.retry.losses(),
            "retry_at": retry_at,
        })
    }

    /// Checks that nothing is queued for nothing, and that what is not is true.
    ///
    /// # Errors
    /// The first that is not so, in words.
    pub(super) fn sweep(&self, truth: &dyn super::Truth) -> Result<(), String> {
        if !self.is_told() {
            return Ok(());
        }
        self.kept.sweep(truth).map_err(|what| format!("{}: {what}", self.cluster))
    }
}

/// Whether all that there was to write stood there when this step was begun.
fn is_registered(step: &Step) -> bool {
    matches!(step, Step::Resting | Step::Beating | Step::Checking)
}

/// The lease that a line of the answer tells.
fn read_lease(reply: &Reply) -> Result<Lease, String> {
    let lease = match reply.status {
        200 => etcd::line(&reply.body),
        status => etcd::read(status, &reply.body),
    };
    lease.map_err(|fault| fault.to_string())
}
