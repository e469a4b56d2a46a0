//! One address, and what waits to be sent there: one message after the other in their order, each until it is
//! taken. It is apart, dials, keeps a connection on which nothing is said, or asks; each has the one timer
//! that ends it. What waits stands in the state directory from when it came until it is taken.

use std::collections::VecDeque;
use std::time::{Duration, Instant, SystemTime};

use log::{debug, error, info, warn};
use serde_json::{json, Value};

use super::outcome::{judge, Verdict};
use super::signing::Signing;
use super::Counts;
use crate::base::clock::{epoch_seconds, Now};
use crate::base::ids::LinkId;
use crate::base::limits;
use crate::base::random::Random;
use crate::base::sorted::{SortedMap, SortedSet};
use crate::front::exchange::{Came, Exchange, Question, Reply};
use crate::front::links::Links;
use crate::front::retry::Retry;
use crate::node::machine::Effect;
use crate::node::state::State as Disk;
use crate::node::topics::has_prefix;
use crate::wire::webhook::{Message, Url};

/// What webhooks work with.
pub struct Hands<'a> {
    /// Connections of ours.
    pub links: &'a mut Links,
    /// What the shell has to do.
    pub effects: &'a mut Vec<Effect>,
    /// What outlives us.
    pub disk: &'a mut Disk,
    /// What time it is.
    pub now: Now,
}

impl Hands<'_> {
    /// Dials; what comes about may take its time until then.
    pub(super) fn dial(&mut self, url: &Url) -> Exchange {
        let link = self.links.dial();
        self.effects.push(Effect::Dial { link, address: url.address.clone() });
        let until = self.now.mono + limits::WEBHOOK_PATIENCE;
        Exchange::new(link, url.host(), limits::WEBHOOK_ANSWER, until)
    }
}

/// One address.
pub(super) struct Target {
    pub(super) url: Url,
    /// What it is called.
    pub(super) id: String,
    /// The names of events that files say, and where.
    pub(super) filed: SortedMap<String, String>,
    /// Those that were said over the API.
    pub(super) added: SortedSet<String>,
    pub(super) signing: Signing,
    /// How many messages were dropped in all its lives.
    pub(super) dropped: u64,
    /// What waits, oldest first.
    queue: VecDeque<String>,
    state: State,
    /// When a state ends that has no patience with the other end.
    due: Option<Instant>,
    retry: Retry,
    /// How often the first in the queue was refused as one that is wrong.
    refusals: u32,
    /// Since when nothing is taken.
    failing: Option<(Instant, SystemTime)>,
    dead: bool,
    /// Messages were dropped for want of room since one was taken last.
    dropping: bool,
    error: Option<(String, SystemTime)>,
    delivered: u64,
    last_delivery: Option<SystemTime>,
    /// The node ends: what is under way is waited for, and nothing is begun.
    over: bool,
}

enum State {
    /// There is no connection.
    Apart,
    Dialling(Exchange),
    /// Nothing is asked.
    Kept(Exchange, Use),
    Asking(Exchange, Use),
}

/// Why a message was not taken.
struct Fault {
    /// In words.
    reason: String,
    /// It is not to be tried again before so long.
    later: Duration,
    /// Whether nobody is there any more who takes messages.
    is_gone: bool,
}

impl From<&str> for Fault {
    fn from(reason: &str) -> Self {
        Self { reason: reason.to_owned(), later: Duration::ZERO, is_gone: false }
    }
}

/// Whether something was answered on a connection. Whoever keeps one may close it at any time, and one that
/// is lost so tells nothing of him.
#[derive(Clone, Copy, PartialEq)]
enum Use {
    First,
    Again,
}

impl Target {
    pub(super) fn new(url: Url, signing: Signing) -> Self {
        Self {
            id: url.id(),
            url,
            filed: SortedMap::new(),
            added: SortedSet::new(),
            signing,
            dropped: 0,
            queue: VecDeque::new(),
            state: State::Apart,
            due: None,
            retry: Retry::default(),
            refusals: 0,
            failing: None,
            dead: false,
            dropping: false,
            error: None,
            delivered: 0,
            last_delivery: None,
            over: false,
        }
    }

    /// Whether events of this name go there.
    pub(super) fn wants(&self, name: &str) -> bool {
        let mut names = self.filed.keys().chain(&self.added);
        names.any(|prefix| has_prefix(name, prefix))
    }

    /// Whether nobody says any more that something goes there.
    pub(super) fn is_unwanted(&self) -> bool {
        self.filed.is_empty() && self.added.is_empty()
    }

    pub(super) fn link(&self) -> Option<LinkId> {
        self.exchange().map(Exchange::link)
    }

    fn exchange(&self) -> Option<&Exchange> {
        match &self.state {
            State::Apart => None,
            State::Dialling(exchange) | State::Kept(exchange, _) | State::Asking(exchange, _) => {
                Some(exchange)
            }
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        match &self.state {
            State::Apart | State::Kept(..) => self.due,
            State::Dialling(exchange) | State::Asking(exchange, _) => exchange.deadline(),
        }
    }

    /// Where a message of it stands in the state directory.
    fn key(&self, message: &str) -> String {
        format!("{} {message}", self.id)
    }

    /// Takes a message over that stands there.
    pub(super) fn restore(&mut self, message: &str) {
        self.queue.push_back(message.to_owned());
    }

    /// Puts a message behind the others. Where there is no room the oldest makes it that is not under way.
    pub(super) fn push(&mut self, message: &Message<'_>, room: usize, hands: &mut Hands<'_>) {
        while self.queue.len() >= room.max(1) {
            self.make_room(hands);
        }
        hands.disk.delivery(&self.key(message.id), Some(message.body.into()), hands.effects);
        self.queue.push_back(message.id.to_owned());
    }

    /// Drops the oldest message that is not under way.
    pub(super) fn make_room(&mut self, hands: &mut Hands<'_>) {
        if !std::mem::replace(&mut self.dropping, true) {
            warn!("{}: {} messages wait; the oldest are dropped", self.url, self.queue.len());
        }
        let under_way = matches!(self.state, State::Asking(..)) && self.queue.len() > 1;
        self.drop_message(usize::from(under_way), hands);
    }

    fn drop_message(&mut self, at: usize, hands: &mut Hands<'_>) {
        self.take(at, hands);
        self.dropped += 1;
        self.keep(hands);
    }

    /// Takes a message out of the queue.
    fn take(&mut self, at: usize, hands: &mut Hands<'_>) {
        let Some(message) = self.queue.remove(at) else { return };
        if at == 0 {
            self.refusals = 0;
        }
        hands.disk.delivery(&self.key(&message), None, hands.effects);
    }

    /// Writes down what there is to know of it at the next start.
    pub(super) fn keep(&self, hands: &mut Hands<'_>) {
        let events: Vec<&String> = self.added.iter().collect();
        let mut value = json!({"url": self.url.text(), "events": events, "dropped": self.dropped});
        self.signing.write(&mut value);
        hands.disk.webhook(&self.id, Some(value), hands.effects);
    }

    /// Reads what was written down.
    pub(super) fn read(value: &Value) -> Option<Self> {
        let url = Url::read(value.get("url")?.as_str()?).ok()?;
        let mut target = Self::new(url, Signing::read(value)?);
        let events = value.get("events")?.as_array()?.iter();
        target.added = events.filter_map(|event| event.as_str().map(str::to_owned)).collect();
        target.dropped = value.get("dropped")?.as_u64()?;
        Some(target)
    }

    /// Nothing goes there any more: forgets what waits, and the connection.
    pub(super) fn leave(&mut self, hands: &mut Hands<'_>) {
        if !self.queue.is_empty() {
            warn!("{}: it is gone, and {} messages with it", self.url, self.queue.len());
        }
        while !self.queue.is_empty() {
            self.take(0, hands);
        }
        hands.disk.webhook(&self.id, None, hands.effects);
        self.part(hands);
    }

    /// Ends the connection, and every wait.
    fn part(&mut self, hands: &mut Hands<'_>) {
        if let Some(link) = self.link() {
            hands.links.forget(link);
        }
        self.state = State::Apart;
        self.due = None;
    }

    /// The node ends. What is under way has a moment to be answered.
    pub(super) fn end(&mut self, hands: &mut Hands<'_>) {
        self.over = true;
        match &self.state {
            State::Asking(exchange, _) => hands.links.await_answer(exchange.link()),
            State::Apart | State::Dialling(_) | State::Kept(..) => self.part(hands),
        }
    }

    /// Does what there is to do.
    pub(super) fn go_on(&mut self, hands: &mut Hands<'_>) {
        let Some(first) = self.queue.front() else { return };
        match &mut self.state {
            State::Apart if self.due.is_none() && !self.over => {
                self.state = State::Dialling(hands.dial(&self.url));
            }
            State::Kept(exchange, used) => {
                let key = format!("{} {first}", self.id);
                let body = hands.disk.delivery_body(&key).unwrap_or_default();
                let message = Message { id: first, body: &body };
                let time = hands.now.wall;
                let fields = self.signing.fields(&self.url, &message, time, self.dropped);
                let question = Question { target: &self.url.target, fields: &fields, body: &body };
                exchange.tell(question, limits::WEBHOOK_PATIENCE, hands.links, hands.now);
                let used = *used;
                self.due = None;
                if let State::Kept(exchange, _) = std::mem::replace(&mut self.state, State::Apart) {
                    self.state = State::Asking(exchange, used);
                }
            }
            State::Apart | State::Dialling(_) | State::Asking(..) => {}
        }
    }

    /// It is tried at once what was to be tried later: an operator wants so, or it is known to work again.
    pub(super) fn hurry(&mut self) {
        if matches!(self.state, State::Apart) {
            self.due = None;
        }
    }

    /// Its connection is there.
    pub(super) fn opened(&mut self, hands: &mut Hands<'_>) {
        match std::mem::replace(&mut self.state, State::Apart) {
            State::Dialling(mut exchange) => {
                exchange.opened();
                self.keep_connection(exchange, Use::First, hands);
            }
            other @ (State::Apart | State::Kept(..) | State::Asking(..)) => self.state = other,
        }
    }

    fn keep_connection(&mut self, exchange: Exchange, used: Use, hands: &mut Hands<'_>) {
        self.state = State::Kept(exchange, used);
        self.due = Some(hands.now.mono + limits::WEBHOOK_IDLE);
        if self.over && self.queue.is_empty() {
            return self.part(hands);
        }
        self.go_on(hands);
    }

    /// It said something.
    pub(super) fn received(&mut self, bytes: &[u8], random: &mut Random, hands: &mut Hands<'_>) {
        let came = match &mut self.state {
            State::Asking(exchange, _) => exchange.received(bytes),
            // What is said without being asked is no answer to what is asked next.
            State::Kept(..) => return self.part(hands),
            State::Apart | State::Dialling(_) => return,
        };
        match came {
            Ok(Came::Nothing) => {}
            Ok(Came::Whole(reply)) => self.answered(&reply, random, hands),
            Ok(Came::Lines(_) | Came::End(_)) => self.unanswered(NOT_ASKED, random, hands),
            Err(reason) => self.unanswered(&reason, random, hands),
        }
    }

    /// Its connection did not come about, or is no more.
    pub(super) fn lost(&mut self, reason: &str, random: &mut Random, hands: &mut Hands<'_>) {
        match &self.state {
            State::Apart => {}
            State::Kept(..) => self.part(hands),
            State::Dialling(_) => self.fail(reason.into(), random, hands),
            State::Asking(..) => self.unanswered(reason, random, hands),
        }
    }

    /// The time of its state is over.
    pub(super) fn on_time(&mut self, random: &mut Random, hands: &mut Hands<'_>) {
        match &self.state {
            State::Apart => {
                self.due = None;
                self.go_on(hands);
            }
            State::Kept(..) => self.part(hands),
            State::Dialling(_) => {
                self.fail("it cannot be connected to in time".into(), random, hands);
            }
            // What stays silent is not tried again at once, however often it has answered before.
            State::Asking(..) => {
                if !self.counts_so_far(random, hands) {
                    self.fail("it does not answer in time".into(), random, hands);
                }
            }
        }
    }

    /// No whole answer came, for this reason.
    fn unanswered(&mut self, reason: &str, random: &mut Random, hands: &mut Hands<'_>) {
        if self.counts_so_far(random, hands) {
            return;
        }
        match &self.state {
            State::Asking(_, Use::Again) => {
                debug!("{}: it has closed the connection that was kept: {reason}", self.url);
                self.part(hands);
                self.go_on(hands);
            }
            State::Apart | State::Dialling(_) | State::Kept(..) | State::Asking(..) => {
                self.fail(reason.into(), random, hands);
            }
        }
    }

    /// An answer does not come to its end: what is known of it counts. Gives whether anything is.
    fn counts_so_far(&mut self, random: &mut Random, hands: &mut Hands<'_>) -> bool {
        let State::Asking(exchange, _) = &mut self.state else { return false };
        let reply = exchange.so_far();
        if let Some(reply) = &reply {
            self.judged(reply, random, hands);
        }
        reply.is_some()
    }

    /// It answered, and the connection is as good as it was.
    fn answered(&mut self, reply: &Reply, random: &mut Random, hands: &mut Hands<'_>) {
        let is_taken = matches!(judge(reply), Verdict::Taken);
        match std::mem::replace(&mut self.state, State::Apart) {
            State::Asking(exchange, _) if is_taken && !exchange.is_spent() => {
                self.taken(hands);
                self.keep_connection(exchange, Use::Again, hands);
            }
            other @ (State::Apart | State::Dialling(_) | State::Kept(..) | State::Asking(..)) => {
                self.state = other;
                self.judged(reply, random, hands);
            }
        }
    }

    /// It answered, and the connection is of no use any more.
    fn judged(&mut self, reply: &Reply, random: &mut Random, hands: &mut Hands<'_>) {
        let later = Duration::from_secs(reply.retry_after.unwrap_or_default());
        let fault = |reason| Fault { reason, later, is_gone: false };
        match judge(reply) {
            Verdict::Taken => {
                self.part(hands);
                self.taken(hands);
                self.go_on(hands);
            }
            Verdict::Later(reason) => self.fail(fault(reason), random, hands),
            Verdict::Wrong(reason) => {
                self.refusals += 1;
                if self.refusals >= limits::WEBHOOK_REFUSALS {
                    let times = self.refusals;
                    warn!("{}: a message is dropped, refused {times} times: {reason}", self.url);
                    self.drop_message(0, hands);
                }
                self.fail(fault(reason), random, hands);
            }
            Verdict::Gone(reason) => {
                self.fail(Fault { is_gone: true, ..fault(reason) }, random, hands);
            }
        }
    }

    /// The first message was taken.
    fn taken(&mut self, hands: &mut Hands<'_>) {
        self.take(0, hands);
        if self.failing.take().is_some() {
            info!("{}: it takes messages again; {} wait", self.url, self.queue.len());
        }
        self.retry = Retry::default();
        (self.dead, self.dropping) = (false, false);
        self.delivered += 1;
        self.last_delivery = Some(hands.now.wall);
    }

    /// The first message was not taken: it is tried again.
    fn fail(&mut self, fault: Fault, random: &mut Random, hands: &mut Hands<'_>) {
        self.part(hands);
        let (now, Fault { reason, later, is_gone }) = (hands.now, fault);
        let (since, _) = *self.failing.get_or_insert((now.mono, now.wall));
        let for_long = now.mono.saturating_duration_since(since) >= limits::WEBHOOK_DEAD;
        let was_dead = self.dead;
        self.dead |= is_gone || for_long;
        let most = if self.dead { limits::WEBHOOK_DEAD_RETRY } else { limits::WEBHOOK_RETRY_MOST };
        let delay = self.retry.lost(Duration::ZERO, most, random);
        // One that says it is gone is not asked again soon, however few its faults were.
        let delay = if self.dead { delay.max(most / 2) } else { delay };
        let delay = delay.max(later.min(limits::WEBHOOK_DEAD_RETRY));
        if self.dead && !was_dead {
            let waiting = self.queue.len();
            error!("{}: it counts as dead, and {waiting} messages wait: {reason}", self.url);
        } else if self.retry.losses() == 1 {
            warn!("{}: a message is not delivered: {reason}; it is tried again", self.url);
        } else {
            debug!("{}: {reason}; again in {delay:?}", self.url);
        }
        self.error = Some((reason, now.wall));
        self.due = Some(now.mono + delay).filter(|_| !self.over && !self.queue.is_empty());
    }

    /// What is to be told of it.
    pub(super) fn view(&self, now: Now) -> Value {
        let filed = self.filed.iter().map(|(event, place)| (event, place.as_str()));
        let added = self.added.iter().map(|event| (event, "api"));
        let event = |(event, from): (&String, &str)| json!({"event": shown(event), "from": from});
        let events: Vec<Value> = filed.chain(added).map(event).collect();
        let waits = matches!(self.state, State::Apart) && self.due.is_some();
        let busy = matches!(self.state, State::Dialling(_) | State::Asking(..));
        let state = match () {
            () if self.dead => "dead",
            () if waits => "waiting",
            () if busy => "delivering",
            () => "idle",
        };
        let retry_at = self
            .due
            .filter(|_| waits)
            .map(|at| epoch_seconds(now.wall + at.saturating_duration_since(now.mono)));
        json!({
            "id": self.id,
            "url": self.url.shown(),
            "events": events,
            "state": state,
            "queued": self.queue.len(),
            "delivered": self.delivered,
            "dropped": self.dropped,
            "failures": self.retry.losses(),
            "failing_since": self.failing.map(|(_, at)| epoch_seconds(at)),
            "last_delivery": self.last_delivery.map(epoch_seconds),
            "last_error": self.error.as_ref().map(|(reason, _)| reason),
            "last_error_at": self.error.as_ref().map(|(_, at)| epoch_seconds(*at)),
            "retry_at": retry_at,
        })
    }

    /// Checks what is always so.
    ///
    /// # Errors
    /// The first that is not, in words.
    pub(super) fn sweep(&self, disk: &Disk) -> Result<(), String> {
        if self.queue.len() > limits::WEBHOOK_QUEUE {
            return Err(format!("{}: {} messages wait", self.url, self.queue.len()));
        }
        // One is enough: how many are kept is counted.
        let lost =
            self.queue.front().filter(|first| disk.delivery_body(&self.key(first)).is_none());
        if let Some(lost) = lost {
            return Err(format!("{}: the message {lost} is not kept", self.url));
        }
        let is_still = matches!(self.state, State::Apart) && self.due.is_none();
        if is_still && !self.queue.is_empty() && !self.over {
            return Err(format!("{}: messages wait for nothing", self.url));
        }
        Ok(())
    }

    /// Adds what is counted of it. What was taken and dropped counts on when it is left.
    pub(super) fn count(&self, counts: &mut Counts) {
        counts.delivered += self.delivered;
        counts.dropped += self.dropped;
    }

    /// Whether it took nothing when it was tried last, or is given up.
    pub(super) fn is_failing(&self) -> bool {
        self.dead || self.failing.is_some()
    }

    /// How many messages wait.
    pub(super) fn waiting(&self) -> usize {
        self.queue.len()
    }
}

/// What is no answer to what was asked.
const NOT_ASKED: &str = "it answers what was not asked";

/// The name of events as it is said.
fn shown(event: &str) -> &str {
    if event.is_empty() {
        "."
    } else {
        event
    }
}
