//! Webhooks: addresses to which events are posted, each with the names of those that go there, as the
//! configuration says or somebody over the API. It is pure. Each address has a queue of its own, and one
//! message is under way to it at a time, so that they come in their order, at least once. Where there is
//! nothing to send there is no timer, and without webhooks nothing is done at all.
//!
//! Read in this order: `outcome` (what answers mean), `signing`, `target` (one address), this table of them,
//! `trial` (tests, which go past the queues).

mod outcome;
mod signing;
mod target;
mod trial;

use std::time::{Instant, SystemTime};

use data_encoding::HEXLOWER;
use log::{error, info};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use self::signing::Signing;
pub use self::target::Hands;
use self::target::Target;
use self::trial::Trial;
use crate::base::clock::Now;
use crate::base::ids::{ConnId, LinkId};
use crate::base::limits;
use crate::base::random::Random;
use crate::base::sorted::{SortedMap, SortedSet};
use crate::node::history::Record;
use crate::node::keys::secrets::Secrets;
use crate::wire::json;
use crate::wire::webhook::{Message, Secret, Url};

/// What the configuration says of webhooks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hooking {
    /// What this node is called in messages.
    pub node: String,
    /// Where events go.
    pub hooks: Vec<Hook>,
    /// How many messages wait for one address, at most [`limits::WEBHOOK_QUEUE`], which it is if this is
    /// `None`.
    pub queue: Option<usize>,
}

/// Events that go to an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hook {
    /// How their names begin; all do so if it is empty.
    pub event: String,
    /// Where they go.
    pub url: Url,
    /// Where that is written.
    pub place: String,
}

/// What is wished over the API.
pub struct Wish {
    /// Where to.
    pub url: Url,
    /// How the names of events begin that go there.
    pub events: SortedSet<String>,
    /// What signs them; made where nothing is said.
    pub secret: Option<Secret>,
}

/// Why a wish is not granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Denied {
    /// There are as many addresses as there may be,
    TooMany,
    /// or as many names of events for this one.
    TooManyEvents,
    /// Nothing of the kind goes there.
    Nothing,
    /// It is written in a file, here.
    Filed(String),
    /// As many tests as may be are waited for.
    Busy,
}

/// All of them.
pub struct Webhooks {
    node: String,
    /// What the names of messages of this life of the node begin with.
    life: String,
    targets: SortedMap<String, Target>,
    /// How many messages wait for each of them.
    room: usize,
    /// Those to which nothing goes any more, and that are still to be left.
    gone: Vec<Target>,
    /// What those took to which nothing goes any more.
    past: Counts,
    /// Those of which something has to be kept.
    changed: SortedSet<String>,
    trials: Vec<Trial>,
    /// What came of tests, for whom.
    told: Vec<(ConnId, Value)>,
    /// How many tests there were.
    tests: u64,
    random: Random,
    secrets: Secrets,
    over: bool,
}

/// How it stands with all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// How many there are,
    pub targets: usize,
    /// and how many of them take nothing.
    pub failing: usize,
    /// Messages that wait.
    pub queued: usize,
    /// Messages that were ever taken,
    pub delivered: u64,
    /// and that were dropped.
    pub dropped: u64,
}

/// The name of events as it is kept, if it can be one.
///
/// # Errors
/// It cannot, in words.
pub fn event_name(text: &str) -> Result<String, String> {
    let most = limits::WEBHOOK_EVENT;
    let fits = !text.is_empty() && text.len() <= most;
    if !fits || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(format!(
            "expected the name of an event, how names begin, or . for all, in at most {most} characters"
        ));
    }
    Ok(crate::node::topics::prefix(text).to_owned())
}

impl Webhooks {
    /// None. `mark` is the word of this life of the node.
    pub fn new(mark: &str, seed: u64, secrets: &Secrets) -> Self {
        Self {
            node: String::new(),
            life: HEXLOWER.encode(&Sha256::digest(mark.as_bytes())[..6]),
            targets: SortedMap::new(),
            room: limits::WEBHOOK_QUEUE,
            gone: Vec::new(),
            past: Counts::default(),
            changed: SortedSet::new(),
            trials: Vec::new(),
            told: Vec::new(),
            tests: 0,
            random: Random::seeded(seed),
            secrets: secrets.apart("webhooks"),
            over: false,
        }
    }

    /// Takes an address over that the last daemon kept; whether it can be one.
    pub fn restore(&mut self, id: &str, value: &Value) -> bool {
        let target = Target::read(value).filter(|target| target.id == id);
        let Some(target) = target else {
            error!("the webhook {id} of the last run is damaged, and left out");
            return false;
        };
        self.targets.insert(id.to_owned(), target);
        true
    }

    /// Takes a message over that the last daemon did not deliver; whether there is anybody to take it.
    pub fn restore_delivery(&mut self, key: &str) -> bool {
        let Some((id, message)) = key.split_once(' ') else { return false };
        let Some(target) = self.targets.get_mut(id) else { return false };
        target.restore(message);
        true
    }

    /// Takes what the configuration says now.
    pub fn configure(&mut self, to: Hooking, hands: &mut Hands<'_>) {
        if self.over {
            return;
        }
        self.node = to.node;
        self.room = to.queue.unwrap_or(limits::WEBHOOK_QUEUE);
        for target in self.targets.values_mut() {
            target.filed.clear();
            target.hurry();
        }
        for Hook { event, url, place } in to.hooks {
            self.target(url).filed.insert(event, place);
        }
        let unwanted = self.targets.values().filter(|target| target.is_unwanted());
        for id in unwanted.map(|target| target.id.clone()).collect::<Vec<_>>() {
            self.gone.extend(self.targets.remove(&id));
        }
        self.fill(hands);
    }

    /// One, which is made if it is not there.
    fn target(&mut self, url: Url) -> &mut Target {
        let id = url.id();
        self.targets.entry(id.clone()).or_insert_with(|| {
            info!("{url}: events are posted there from now on");
            self.changed.insert(id);
            Target::new(url, Signing::new(Secret::of(&self.secrets.fresh())))
        })
    }

    /// Lets events go to an address. Gives what it is called, and its secret if that is new and was made
    /// here.
    ///
    /// # Errors
    /// Why not.
    pub fn add(&mut self, wish: Wish, now: SystemTime) -> Result<(String, Option<String>), Denied> {
        let id = wish.url.id();
        let known = self.targets.get(&id);
        if known.is_none() && self.targets.len() >= limits::WEBHOOKS {
            return Err(Denied::TooMany);
        }
        let before = known.map(|target| &target.added);
        let more = wish.events.iter().filter(|event| before.is_none_or(|b| !b.contains(*event)));
        if before.map_or(0, SortedSet::len) + more.count() > limits::WEBHOOK_EVENTS {
            return Err(Denied::TooManyEvents);
        }
        let is_new = known.is_none();
        let is_given = wish.secret.is_some();
        let target = self.target(wish.url);
        target.added.extend(wish.events);
        if let Some(secret) = wish.secret {
            match is_new {
                true => target.signing = Signing::new(secret),
                false => target.signing.renew(secret, now),
            }
        }
        let secret = (is_new && !is_given).then(|| target.signing.text().to_owned());
        self.changed.insert(id.clone());
        Ok((id, secret))
    }

    /// Lets events of this name go there no more, or none at all, as far as that was said over the API.
    ///
    /// # Errors
    /// Why not.
    pub fn remove(&mut self, id: &str, event: Option<&str>) -> Result<(), Denied> {
        let target = self.targets.get_mut(id).ok_or(Denied::Nothing)?;
        let removed = match event {
            Some(event) => target.added.remove(event),
            None => !std::mem::take(&mut target.added).is_empty(),
        };
        if !removed {
            let filed = match event {
                Some(event) => target.filed.get(event),
                None => target.filed.values().next(),
            };
            return Err(filed.map_or(Denied::Nothing, |place| Denied::Filed(place.clone())));
        }
        if target.is_unwanted() {
            info!("{}: nothing is posted there any more", target.url);
            self.gone.extend(self.targets.remove(id));
        } else {
            self.changed.insert(id.to_owned());
        }
        Ok(())
    }

    /// Gives an address another secret: this one, or one that is made, which is told this once.
    ///
    /// # Errors
    /// There is no such address.
    pub fn renew(
        &mut self,
        id: &str,
        secret: Option<Secret>,
        now: SystemTime,
    ) -> Result<Option<String>, Denied> {
        let target = self.targets.get_mut(id).ok_or(Denied::Nothing)?;
        let is_given = secret.is_some();
        let secret = secret.unwrap_or_else(|| Secret::of(&self.secrets.fresh()));
        target.signing.renew(secret, now);
        self.changed.insert(id.to_owned());
        Ok((!is_given).then(|| target.signing.text().to_owned()))
    }

    /// What is told of one.
    pub fn view(&self, id: &str, now: Now) -> Option<Value> {
        self.targets.get(id).map(|target| target.view(now))
    }

    /// What is told of all.
    pub fn view_all(&self, now: Now) -> Vec<Value> {
        self.targets.values().map(|target| target.view(now)).collect()
    }

    /// Something happened: whoever wants it gets it.
    pub fn tell(&mut self, record: &Record, hands: &mut Hands<'_>) {
        if self.targets.is_empty() {
            return;
        }
        for told in record.messages() {
            let mut wanting = self.targets.values_mut().filter(|t| t.wants(told.name)).peekable();
            if wanting.peek().is_none() {
                continue;
            }
            let id = format!("{}-{}", self.life, told.seq);
            let body = format!("{{{}, \"node\": {}}}", told.members(), json::text(&self.node));
            for target in wanting {
                target.push(&Message { id: &id, body: &body }, self.room, hands);
            }
            self.make_room(hands);
        }
    }

    /// Drops messages where most wait, until as many are left as may wait in all.
    fn make_room(&mut self, hands: &mut Hands<'_>) {
        let is_full = |disk: &crate::node::state::State| {
            disk.deliveries() > limits::WEBHOOKS_QUEUED
                || disk.delivery_bytes() > limits::WEBHOOKS_BYTES
        };
        while is_full(hands.disk) {
            let Some(most) = self.targets.values_mut().max_by_key(|target| target.waiting()) else {
                return;
            };
            most.make_room(hands);
        }
    }

    /// Does what there is to do, and writes down what changed.
    pub fn fill(&mut self, hands: &mut Hands<'_>) {
        for mut target in std::mem::take(&mut self.gone) {
            target.count(&mut self.past);
            target.leave(hands);
        }
        for id in std::mem::take(&mut self.changed) {
            if let Some(target) = self.targets.get(&id) {
                target.keep(hands);
            }
        }
        for target in self.targets.values_mut() {
            target.go_on(hands);
        }
    }

    /// Begins a test of an address, for a client; what comes of it is told by [`Self::take_told`].
    ///
    /// # Errors
    /// Why not.
    pub fn test(
        &mut self,
        id: &str,
        (conn, seq): (ConnId, u64),
        hands: &mut Hands<'_>,
    ) -> Result<(), Denied> {
        let target = self.targets.get(id).ok_or(Denied::Nothing)?;
        if self.trials.len() >= limits::WEBHOOK_TESTS || self.over {
            return Err(Denied::Busy);
        }
        self.tests += 1;
        let message = format!("{}-{seq}-test-{}", self.life, self.tests);
        let ts = json::text(&hands.now.epoch_seconds());
        let node = json::text(&self.node);
        let body =
            format!("{{\"event\": \"test\", \"seq\": {seq}, \"ts\": {ts}, \"node\": {node}}}");
        self.trials.push(Trial::begin(target, conn, (message, body), hands));
        Ok(())
    }

    /// What came of tests, for those who wait for it.
    pub fn take_told(&mut self) -> Vec<(ConnId, Value)> {
        std::mem::take(&mut self.told)
    }

    /// When [`Self::on_time`] wants to be called.
    pub fn deadline(&self) -> Option<Instant> {
        let targets = self.targets.values().filter_map(Target::deadline);
        targets.chain(self.trials.iter().filter_map(Trial::deadline)).min()
    }

    /// Time has passed.
    pub fn on_time(&mut self, hands: &mut Hands<'_>) {
        let now = hands.now.mono;
        let is_due = |due: Option<Instant>| due.is_some_and(|due| due <= now);
        for target in self.targets.values_mut().filter(|target| is_due(target.deadline())) {
            target.on_time(&mut self.random, hands);
        }
        for trial in self.trials.iter_mut().filter(|trial| is_due(trial.deadline())) {
            trial.lost("it does not answer in time", hands);
        }
        self.end_trials();
    }

    /// A connection is there.
    pub fn opened(&mut self, link: LinkId, hands: &mut Hands<'_>) {
        if let Some(target) = of(&mut self.targets, link) {
            target.opened(hands);
        }
        if let Some(trial) = self.trials.iter_mut().find(|trial| trial.link() == link) {
            let signing = self.targets.get(&trial.target).map(|target| &target.signing);
            trial.opened(signing, hands);
        }
    }

    /// Somebody said something.
    pub fn received(&mut self, link: LinkId, bytes: &[u8], hands: &mut Hands<'_>) {
        if let Some(target) = of(&mut self.targets, link) {
            target.received(bytes, &mut self.random, hands);
        }
        if let Some(trial) = self.trials.iter_mut().find(|trial| trial.link() == link) {
            trial.received(bytes, hands);
        }
        self.end_trials();
    }

    /// A connection does not come about, or is no more.
    pub fn lost(&mut self, link: LinkId, reason: &str, hands: &mut Hands<'_>) {
        if let Some(target) = of(&mut self.targets, link) {
            target.lost(reason, &mut self.random, hands);
        }
        if let Some(trial) = self.trials.iter_mut().find(|trial| trial.link() == link) {
            trial.lost(reason, hands);
        }
        self.end_trials();
    }

    /// Tells of tests that are over. What an address has taken shows that it takes more.
    fn end_trials(&mut self) {
        let (over, trials) = std::mem::take(&mut self.trials).into_iter().partition(Trial::is_over);
        self.trials = trials;
        let over: Vec<Trial> = over;
        for trial in over {
            if let Some(target) = self.targets.get_mut(&trial.target).filter(|_| trial.is_taken()) {
                target.hurry();
            }
            self.told.push(trial.told());
        }
    }

    /// The node ends: what is under way has a moment, and the rest is for its next life.
    pub fn end(&mut self, hands: &mut Hands<'_>) {
        self.over = true;
        for target in self.targets.values_mut() {
            target.end(hands);
        }
        for trial in &mut self.trials {
            trial.lost("the node ends", hands);
        }
        self.end_trials();
    }

    /// Whose a connection is.
    pub fn owns(&self, link: LinkId) -> bool {
        let target = self.targets.values().any(|target| target.link() == Some(link));
        target || self.trials.iter().any(|trial| trial.link() == link)
    }

    /// How it stands with all of them.
    pub fn counts(&self) -> Counts {
        let mut counts = self.past;
        self.targets.values().chain(&self.gone).for_each(|target| target.count(&mut counts));
        counts.targets = self.targets.len();
        counts.failing = self.targets.values().filter(|target| target.is_failing()).count();
        counts.queued = self.waiting();
        counts
    }

    /// How many messages wait in all.
    fn waiting(&self) -> usize {
        self.targets.values().map(Target::waiting).sum()
    }

    /// Checks what is always so.
    ///
    /// # Errors
    /// The first that is not, in words.
    pub fn sweep(&self, disk: &crate::node::state::State) -> Result<(), String> {
        if !(self.gone.is_empty() && self.changed.is_empty() && self.told.is_empty()) {
            return Err("something of webhooks is still to be told or kept".into());
        }
        let (kept, waiting) = (disk.deliveries(), self.waiting());
        if kept != waiting {
            return Err(format!("{kept} messages for webhooks are kept, and {waiting} wait"));
        }
        self.targets.values().try_for_each(|target| target.sweep(disk))
    }
}

/// Whose connection this is.
fn of(targets: &mut SortedMap<String, Target>, link: LinkId) -> Option<&mut Target> {
    targets.values_mut().find(|target| target.link() == Some(link))
}
