//! One lookupd, as the node sees it: Down → Dialling → Opening → Identifying → Told, and Down again.
//! Each state has the one timer that ends it, and what is only known in it.

use std::time::{Duration, Instant, SystemTime};

use log::{debug, info, warn};
use serde_json::{json, Value};

use super::told::{Told, Truth};
use crate::base::address::Address;
use crate::base::clock::{epoch_seconds, Now};
use crate::base::ids::LinkId;
use crate::base::limits;
use crate::base::random::Random;
use crate::base::sorted::SortedMap;
use crate::front::links::Links;
use crate::front::retry::Retry;
use crate::node::machine::Effect;
use crate::supervisor::name::JobName;
use crate::wire::lookup::{self, Answer, Refusal, What};
use crate::wire::opening::Opening;
use crate::wire::ws::{Heard, WebSocket};

/// The version of the protocol, as nodes say it.
pub(super) const VERSION: &str = "0.1";
/// We go away (RFC 6455 section 7.4.1).
const GOING_AWAY: u16 = 1001;

/// Who a node says it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// What it is called.
    pub name: String,
    /// Where clients reach it.
    pub origin: String,
}

/// What a lookupd's side of the node works with.
pub struct Hands<'a> {
    /// Connections of ours.
    pub links: &'a mut Links,
    /// What the shell has to do.
    pub effects: &'a mut Vec<Effect>,
    /// What runs.
    pub truth: &'a dyn Truth,
    /// What time it is.
    pub now: Now,
}

/// One lookupd.
pub(super) struct Lookup {
    pub(super) address: Address,
    state: State,
    /// When its state ends by itself.
    due: Instant,
    /// When it began.
    since: SystemTime,
    retry: Retry,
    error: Option<String>,
}

enum State {
    Down,
    Dialling(LinkId),
    Opening(LinkId, Opening, Vec<u8>),
    Identifying(LinkId, Box<Talk>),
    Told(LinkId, Box<Talk>, Told),
    /// The node ends.
    Over,
}

/// A websocket to a lookupd, and what it still has to answer.
struct Talk {
    ws: WebSocket,
    input: Vec<u8>,
    asked: SortedMap<u64, What>,
    last: u64,
    /// When it said something last, or was asked something while nothing was left to answer.
    heard: Instant,
    since: Instant,
}

impl Lookup {
    /// One that is tried at once.
    pub(super) fn new(address: Address, now: Now) -> Self {
        let (state, due, since) = (State::Down, now.mono, now.wall);
        Self { address, state, due, since, retry: Retry::default(), error: None }
    }

    /// Changes the state, and its timer with it.
    fn enter(&mut self, state: State, patience: Duration, now: Now) {
        self.state = state;
        self.since = now.wall;
        self.due = now.mono + patience;
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Over => None,
            State::Down
            | State::Dialling(_)
            | State::Opening(..)
            | State::Identifying(..)
            | State::Told(..) => Some(self.due),
        }
    }

    /// Its connection, while it has one.
    pub(super) fn link(&self) -> Option<LinkId> {
        match &self.state {
            State::Down | State::Over => None,
            State::Dialling(link)
            | State::Opening(link, ..)
            | State::Identifying(link, _)
            | State::Told(link, ..) => Some(*link),
        }
    }

    /// The time of its state is over.
    pub(super) fn on_time(&mut self, random: &mut Random, hands: &mut Hands<'_>) {
        let lost = match &self.state {
            State::Over => return,
            State::Down => return self.dial(hands),
            State::Dialling(_) => "it cannot be connected to in time",
            State::Opening(..) => "it opens no websocket in time",
            State::Identifying(..) => "it does not say in time whether it knows this node",
            State::Told(_, talk, _) if talk.is_silent(hands.now) => "it answers nothing",
            State::Told(..) => return self.beat(hands),
        };
        self.lose(lost, random, hands);
    }

    fn dial(&mut self, hands: &mut Hands<'_>) {
        let link = hands.links.dial();
        hands.effects.push(Effect::Dial { link, address: self.address.clone() });
        self.enter(State::Dialling(link), limits::LOOKUPD_OPENING, hands.now);
    }

    /// One that is down is tried now: an operator wants so.
    pub(super) fn hurry(&mut self, hands: &Hands<'_>) {
        match &mut self.state {
            State::Down => self.due = hands.now.mono,
            State::Told(_, _, told) => told.note_all(hands.truth),
            State::Dialling(_) | State::Opening(..) | State::Identifying(..) | State::Over => {}
        }
    }

    /// Its connection is there.
    pub(super) fn opened(&mut self, random: &mut Random, hands: &mut Hands<'_>) {
        let State::Dialling(link) = self.state else { return };
        let mut key = [0; 16];
        key[..8].copy_from_slice(&random.next_u64().to_le_bytes());
        key[8..].copy_from_slice(&random.next_u64().to_le_bytes());
        let opening = Opening::new(key);
        hands.links.say(link, opening.request(&self.address.host(), "/ws").as_bytes());
        let state = State::Opening(link, opening, Vec::new());
        self.enter(state, limits::LOOKUPD_OPENING, hands.now);
    }

    /// It said something.
    pub(super) fn received(
        &mut self,
        bytes: &[u8],
        who: &Identity,
        random: &mut Random,
        hands: &mut Hands<'_>,
    ) {
        let (talk, link) = match &mut self.state {
            State::Down | State::Dialling(_) | State::Over => return,
            State::Opening(link, opening, input) => {
                input.extend_from_slice(bytes);
                let (link, done) = (*link, opening.answered(input));
                let input = std::mem::take(input);
                return match done {
                    None => self.wait_for_head(input),
                    Some(Ok(())) => self.identify(link, input, who, random, hands),
                    Some(Err(reason)) => self.lose(&reason, random, hands),
                };
            }
            State::Identifying(link, talk) | State::Told(link, talk, _) => (talk, *link),
        };
        talk.heard = hands.now.mono;
        talk.input.extend_from_slice(bytes);
        let mut out = Vec::new();
        let mut lost = None;
        while lost.is_none() {
            let Some(heard) = self.hear(&mut out) else { break };
            lost = match heard {
                Heard::Text(text) => self.answered(&text, hands).err(),
                Heard::Sign => None,
                Heard::Binary(_) => Some("it says bytes instead of an answer".into()),
                Heard::Close | Heard::Over => Some("it has closed the connection".into()),
            };
        }
        hands.links.say(link, &out);
        match lost {
            Some(reason) => self.lose(&reason, random, hands),
            None => self.fill(hands),
        }
    }

    /// The head of its answer is not whole yet.
    fn wait_for_head(&mut self, input: Vec<u8>) {
        if let State::Opening(_, _, kept) = &mut self.state {
            *kept = input;
        }
    }

    fn hear(&mut self, out: &mut Vec<u8>) -> Option<Heard> {
        match &mut self.state {
            State::Identifying(_, talk) | State::Told(_, talk, _) => {
                talk.ws.hear(&mut talk.input, out)
            }
            State::Down | State::Dialling(_) | State::Opening(..) | State::Over => None,
        }
    }

    /// It is a websocket: says who we are.
    fn identify(
        &mut self,
        link: LinkId,
        input: Vec<u8>,
        who: &Identity,
        random: &mut Random,
        hands: &mut Hands<'_>,
    ) {
        let ws = WebSocket::client(limits::LOOKUPD_MESSAGE, random.next_u64());
        let now = hands.now.mono;
        let asked = SortedMap::new();
        let mut talk = Talk { ws, input, asked, last: 0, heard: now, since: now };
        let (name, origin) = (who.name.clone(), who.origin.clone());
        let what = What::Identify { name, origin, version: VERSION.into() };
        talk.ask(link, what, hands);
        self.enter(State::Identifying(link, talk.into()), limits::LOOKUPD_IDENTIFY, hands.now);
    }

    /// It answered something.
    ///
    /// # Errors
    /// Why it is of no use any more.
    fn answered(&mut self, text: &str, hands: &mut Hands<'_>) -> Result<(), String> {
        let answer = lookup::answer(text).ok_or("it says what is no answer")?;
        let Answer { msgid, done } = answer;
        let (State::Identifying(_, talk) | State::Told(_, talk, _)) = &mut self.state else {
            return Ok(());
        };
        let Some(what) = msgid.and_then(|msgid| talk.asked.remove(&msgid)) else {
            return Err(match done {
                Ok(()) => "it answers what it was not asked".into(),
                Err(refusal) => format!("it does not understand this node: {}", shown(&refusal)),
            });
        };
        match (what, done) {
            (What::Identify { .. }, Ok(())) => {
                self.become_told(hands);
                Ok(())
            }
            (What::Identify { .. }, Err(refusal)) if refusal.errno == 409 => Err(TAKEN.into()),
            (What::Identify { .. }, Err(refusal)) => {
                Err(format!("it does not take this node: {}", shown(&refusal)))
            }
            (_, Ok(())) | (What::Ping, Err(_)) => Ok(()),
            (what, Err(refusal)) => self.refused(&what, &refusal),
        }
    }

    fn become_told(&mut self, hands: &mut Hands<'_>) {
        info!("{}: this node is registered there", self.address);
        let State::Identifying(link, talk) = std::mem::replace(&mut self.state, State::Over) else {
            return;
        };
        let mut told = Told::default();
        told.note_all(hands.truth);
        self.error = None;
        self.enter(State::Told(link, talk, told), limits::LOOKUP_HEARTBEAT, hands.now);
    }

    /// It refused something that was told.
    ///
    /// # Errors
    /// It does not know what it was told before.
    fn refused(&mut self, what: &What, refusal: &Refusal) -> Result<(), String> {
        let State::Told(_, _, told) = &mut self.state else { return Ok(()) };
        match what {
            // It knows it already, and that is all that was wanted.
            What::RegisterJob(_) if refusal.errno == 409 => return Ok(()),
            What::RegisterJob(job) => told.refuse_job(job),
            What::RegisterProcess(job, pid) => {
                if refusal.errno == 404 {
                    // What it did not take it does not know.
                    let forgotten = format!("it has forgotten the job {job}");
                    return if told.knows(job) { Err(forgotten) } else { Ok(()) };
                }
                told.refuse_process(job, *pid);
            }
            What::UnregisterJob(_)
            | What::UnregisterProcess(..)
            | What::Identify { .. }
            | What::Ping => return Ok(()),
        }
        let refused = format!("it does not take {}: {}", subject(what), shown(refusal));
        if self.error.is_none() {
            warn!("{}: {refused}; it is told again", self.address);
        }
        self.error = Some(refused);
        Ok(())
    }

    /// Says that we live, and looks whether all is told.
    fn beat(&mut self, hands: &mut Hands<'_>) {
        self.due = hands.now.mono + limits::LOOKUP_HEARTBEAT;
        let State::Told(link, talk, told) = &mut self.state else { return };
        told.note_all(hands.truth);
        if talk.asked.len() < limits::LOOKUPD_WINDOW {
            talk.ask(*link, What::Ping, hands);
        }
        self.fill(hands);
    }

    /// Something about a job may have changed.
    pub(super) fn note(&mut self, job: &JobName, truth: &dyn Truth) {
        if let State::Told(_, _, told) = &mut self.state {
            told.note(job, truth);
        }
    }

    /// Tells what there is to tell, while few enough messages are without an answer. A few at a time, as
    /// for each lot the processes of a job are looked through.
    pub(super) fn fill(&mut self, hands: &mut Hands<'_>) {
        let State::Told(link, talk, told) = &mut self.state else { return };
        let room = limits::LOOKUPD_WINDOW.saturating_sub(talk.asked.len());
        if room < limits::LOOKUPD_WINDOW / 2 || !told.has_news() {
            return;
        }
        for what in told.next(room, hands.truth) {
            talk.ask(*link, what, hands);
        }
    }

    /// Its connection did not come about, or is no more.
    pub(super) fn lose(&mut self, reason: &str, random: &mut Random, hands: &mut Hands<'_>) {
        let lived = match &self.state {
            State::Told(_, talk, _) => hands.now.mono.saturating_duration_since(talk.since),
            State::Down | State::Dialling(_) | State::Opening(..) | State::Identifying(..) => {
                Duration::ZERO
            }
            State::Over => return,
        };
        if let Some(link) = self.link() {
            hands.links.forget(link);
        }
        let most = if reason == TAKEN { limits::LOOKUPD_TAKEN } else { limits::LOOKUPD_RETRY_MOST };
        let delay = self.retry.lost(lived, most, random);
        if self.retry.losses() == 1 || lived > Duration::ZERO {
            warn!(
                "{}: this node is not registered there: {reason}; it is tried again",
                self.address
            );
        } else {
            debug!("{}: {reason}; again in {delay:?}", self.address);
        }
        self.error = Some(reason.to_owned());
        self.enter(State::Down, delay, hands.now);
    }

    /// Takes leave: everything that was told goes with the connection.
    pub(super) fn end(&mut self, reason: &str, hands: &mut Hands<'_>) {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Identifying(link, mut talk) | State::Told(link, mut talk, _) => {
                let mut out = Vec::new();
                talk.ws.close(GOING_AWAY, reason, &mut out);
                hands.links.say(link, &out);
                hands.links.end(link, hands.now);
            }
            State::Dialling(link) | State::Opening(link, ..) => hands.links.forget(link),
            State::Down | State::Over => {}
        }
    }

    /// Whether it knows all that is so.
    pub(super) fn is_registered(&self) -> bool {
        matches!(&self.state, State::Told(_, _, told) if !told.has_news())
    }

    /// What is to be told of it.
    pub(super) fn view(&self, now: Now) -> Value {
        let (state, (jobs, processes), unanswered) = match &self.state {
            State::Down => ("down", (0, 0), 0),
            State::Dialling(_) => ("connecting", (0, 0), 0),
            State::Opening(..) => ("opening", (0, 0), 0),
            State::Identifying(_, talk) => ("identifying", (0, 0), talk.asked.len()),
            State::Told(_, talk, told) if told.has_news() => {
                ("registering", told.counts(), talk.asked.len())
            }
            State::Told(_, talk, told) => ("registered", told.counts(), talk.asked.len()),
            State::Over => ("over", (0, 0), 0),
        };
        let retry_at = match &self.state {
            State::Down => {
                Some(epoch_seconds(now.wall + self.due.saturating_duration_since(now.mono)))
            }
            State::Dialling(_)
            | State::Opening(..)
            | State::Identifying(..)
            | State::Told(..)
            | State::Over => None,
        };
        json!({
            "address": self.address.to_string(),
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

    /// Checks that no more is asked than may be, and nothing is queued for nothing.
    ///
    /// # Errors
    /// The first that is not so, in words.
    pub(super) fn sweep(&self, truth: &dyn Truth) -> Result<(), String> {
        let State::Told(_, talk, told) = &self.state else { return Ok(()) };
        if talk.asked.len() > limits::LOOKUPD_WINDOW {
            return Err(format!("{}: too much is asked at once", self.address));
        }
        told.sweep(truth)?;
        told.check(truth).map_err(|what| format!("{}: {what}", self.address))
    }
}

/// Why a lookupd does not take us yet.
const TAKEN: &str = "another connection is known there by this node's name and origin";

impl Talk {
    fn ask(&mut self, link: LinkId, what: What, hands: &mut Hands<'_>) {
        if self.asked.is_empty() {
            self.heard = hands.now.mono;
        }
        self.last += 1;
        let mut out = Vec::new();
        self.ws.text_masked(&lookup::request(self.last, &what), &mut out);
        hands.links.say(link, &out);
        self.asked.insert(self.last, what);
    }

    /// Whether it has answered nothing for a whole heartbeat, though it was asked.
    fn is_silent(&self, now: Now) -> bool {
        !self.asked.is_empty() && self.heard + limits::LOOKUP_HEARTBEAT <= now.mono
    }
}

/// What a message is about.
fn subject(what: &What) -> String {
    match what {
        What::Identify { .. } | What::Ping => "this node".into(),
        What::RegisterJob(job) | What::UnregisterJob(job) => job.clone(),
        What::RegisterProcess(job, pid) | What::UnregisterProcess(job, pid) => {
            format!("process {pid} of {job}")
        }
    }
}

fn shown(refusal: &Refusal) -> String {
    let words = [refusal.reason.as_ref(), refusal.detail.as_str()];
    let words: Vec<&str> = words.into_iter().filter(|word| !word.is_empty()).collect();
    format!("{} {}", refusal.errno, words.join(": ")).trim_end().to_owned()
}
