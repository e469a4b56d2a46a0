//! The listing and the watch: Down → Connecting → Listing → Opening → Following, and Down again. All on one
//! connection, one after the other: pages of keys as they were at one revision, and from there on what
//! changes.

use std::time::{Duration, Instant, SystemTime};

use log::{debug, warn};

use super::picture::Picture;
use super::Hands;
use crate::base::address::Cluster;
use crate::base::clock::Now;
use crate::base::ids::LinkId;
use crate::base::limits;
use crate::base::random::Random;
use crate::front::exchange::{Came, Exchange, Reply};
use crate::front::retry::Retry;
use crate::node::machine::Effect;
use crate::wire::etcd::{self, Range, Ranged, Told, Watched};
use crate::wire::topology::Keys;

/// A listing and a watch.
pub(super) struct Follow {
    state: State,
    /// When the state began; `None`: when it was made.
    since: Option<SystemTime>,
    /// When it is tried again; `None` before it is tried for the first time.
    due: Option<Instant>,
    /// Since when it is followed.
    followed: Option<Instant>,
    retry: Retry,
    /// Connections that were tried, so that each begins with another member.
    tries: usize,
    /// Keys of a page.
    page: u64,
    error: Option<String>,
}

enum State {
    Down,
    Connecting(Exchange),
    /// Pages come.
    Listing(Exchange, Pages),
    /// A watch is asked for, from this revision on.
    Opening(Exchange, i64),
    Following(Exchange),
    /// The lookupd ends.
    Over,
}

/// Pages of a listing.
#[derive(Clone, Copy, Debug, Default)]
struct Pages {
    /// Of which revision they are; 0 before the first of them.
    revision: i64,
    /// Keys that have come.
    seen: u64,
}

impl Default for Follow {
    fn default() -> Self {
        Self {
            state: State::Down,
            since: None,
            due: None,
            followed: None,
            retry: Retry::default(),
            tries: 0,
            page: limits::ETCD_PAGE,
            error: None,
        }
    }
}

impl Follow {
    fn exchange(&self) -> Option<&Exchange> {
        match &self.state {
            State::Connecting(exchange)
            | State::Listing(exchange, _)
            | State::Opening(exchange, _)
            | State::Following(exchange) => Some(exchange),
            State::Down | State::Over => None,
        }
    }

    pub(super) fn link(&self) -> Option<LinkId> {
        self.exchange().map(Exchange::link)
    }

    pub(super) fn is_following(&self) -> bool {
        matches!(self.state, State::Following(_))
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        match &self.state {
            State::Down => self.due,
            State::Connecting(_)
            | State::Listing(..)
            | State::Opening(..)
            | State::Following(_)
            | State::Over => self.exchange().and_then(Exchange::deadline),
        }
    }

    /// Whether it is still to be tried for the first time.
    pub(super) fn is_fresh(&self) -> bool {
        self.due.is_none()
    }

    /// It is to be tried.
    pub(super) fn begin(&mut self, now: Now) {
        self.due = Some(now.mono);
    }

    fn enter(&mut self, state: State, now: Now) {
        self.state = state;
        self.since = Some(now.wall);
    }

    /// The time of its state is over.
    ///
    /// # Errors
    /// Why it is lost.
    pub(super) fn on_time(
        &mut self,
        cluster: &Cluster,
        hands: &mut Hands<'_>,
    ) -> Result<(), String> {
        match &self.state {
            State::Down => {
                self.dial(cluster, hands);
                Ok(())
            }
            State::Connecting(_) => Err("it cannot be connected to in time".into()),
            State::Listing(..) | State::Opening(..) | State::Following(_) => {
                Err("it answers nothing".into())
            }
            State::Over => Ok(()),
        }
    }

    fn dial(&mut self, cluster: &Cluster, hands: &mut Hands<'_>) {
        let Some(address) = cluster.member(self.tries).cloned() else { return };
        self.tries = self.tries.wrapping_add(1);
        let link = hands.links.dial();
        let until = hands.now.mono + limits::ETCD_PATIENCE;
        let exchange = Exchange::new(link, address.host(), limits::ETCD_ANSWER, until);
        hands.effects.push(Effect::Dial { link, address });
        self.enter(State::Connecting(exchange), hands.now);
    }

    /// Its connection is there.
    pub(super) fn opened(&mut self, keys: &Keys, hands: &mut Hands<'_>) {
        let State::Connecting(mut exchange) = std::mem::replace(&mut self.state, State::Down)
        else {
            return;
        };
        exchange.opened();
        let (first, _) = keys.all();
        self.list(exchange, (first, Pages::default()), keys, hands);
        self.since = Some(hands.now.wall);
    }

    /// Asks for a page, from a key on.
    fn list(
        &mut self,
        mut exchange: Exchange,
        (key, pages): (Vec<u8>, Pages),
        keys: &Keys,
        hands: &mut Hands<'_>,
    ) {
        let (_, end) = keys.all();
        let (limit, revision, told) = (self.page, pages.revision, Told::Whole);
        let ask = Range { key, end: Some(end), limit, revision, told }.ask();
        exchange.ask((ask.target, &ask.body), limits::ETCD_PATIENCE, hands.links, hands.now);
        self.state = State::Listing(exchange, pages);
    }

    /// It said something.
    ///
    /// # Errors
    /// Why it is lost.
    pub(super) fn received(
        &mut self,
        bytes: &[u8],
        (keys, picture): (&Keys, &mut Picture),
        hands: &mut Hands<'_>,
    ) -> Result<(), String> {
        let came = match &mut self.state {
            State::Listing(exchange, _) => {
                let came = exchange.received(bytes);
                if came.is_err() {
                    // It may be that a page is too long.
                    self.page = (self.page / 2).max(1);
                }
                came?
            }
            State::Opening(exchange, _) | State::Following(exchange) => exchange.received(bytes)?,
            State::Connecting(_) | State::Down | State::Over => return Ok(()),
        };
        match came {
            Came::Nothing => Ok(()),
            Came::Whole(reply) => self.answered(&reply, (keys, picture), hands),
            Came::Lines(lines) => {
                lines.iter().try_for_each(|line| self.watched(line, (keys, picture), hands))
            }
            Came::End(lines) => {
                lines.iter().try_for_each(|line| self.watched(line, (keys, picture), hands))?;
                Err("it tells no more of what changes".into())
            }
        }
    }

    fn answered(
        &mut self,
        reply: &Reply,
        (keys, picture): (&Keys, &mut Picture),
        hands: &mut Hands<'_>,
    ) -> Result<(), String> {
        let ranged: Ranged =
            etcd::read(reply.status, &reply.body).map_err(|fault| fault.to_string())?;
        if !matches!(self.state, State::Listing(..)) {
            return Err("it does not tell what changes".into());
        }
        let listing = std::mem::replace(&mut self.state, State::Down);
        let State::Listing(mut exchange, mut pages) = listing else { return Ok(()) };
        for item in &ranged.kvs {
            picture.listed(keys, item, hands);
            pages.seen += 1;
        }
        if pages.revision == 0 {
            pages.revision = ranged.header.revision;
        }
        if let Some(last) = ranged.kvs.last().filter(|_| ranged.more) {
            // The next key there can be.
            let next = [last.key.as_slice(), &[0]].concat();
            self.list(exchange, (next, pages), keys, hands);
            return Ok(());
        }
        // They were short enough, and may be longer the next time.
        self.page = self.page.saturating_mul(2).min(limits::ETCD_PAGE);
        let header = etcd::Header { revision: pages.revision, ..ranged.header };
        picture.end_listing(pages.seen, header, hands);
        let from = pages.revision + 1;
        let ask = etcd::watch(&keys.all(), from);
        exchange.follow((ask.target, &ask.body), limits::ETCD_PATIENCE, hands.links, hands.now);
        self.state = State::Opening(exchange, from);
        Ok(())
    }

    /// A line of the watch.
    ///
    /// # Errors
    /// It ends with that.
    fn watched(
        &mut self,
        line: &[u8],
        (keys, picture): (&Keys, &mut Picture),
        hands: &mut Hands<'_>,
    ) -> Result<(), String> {
        let watched: Watched = etcd::line(line).map_err(|fault| fault.to_string())?;
        if watched.canceled {
            return Err(match watched.compact_revision {
                0 => format!("the watch was ended: {}", watched.cancel_reason.escape_debug()),
                _ => "what changed is not known there any more".into(),
            });
        }
        if let State::Opening(_, from) = self.state {
            if watched.header.revision < from - 1 {
                return Err("it knows less than before".into());
            }
            if let State::Opening(exchange, _) = std::mem::replace(&mut self.state, State::Down) {
                self.enter(State::Following(exchange), hands.now);
                self.followed = Some(hands.now.mono);
                self.error = None;
            }
        }
        for event in &watched.events {
            picture.changed(keys, event, hands);
        }
        if watched.events.is_empty() && !watched.created {
            picture.reached(watched.header.revision);
        }
        Ok(())
    }

    /// It is lost, and tried again.
    pub(super) fn lose(
        &mut self,
        reason: &str,
        cluster: &Cluster,
        random: &mut Random,
        hands: &mut Hands<'_>,
    ) {
        if matches!(self.state, State::Over) {
            return;
        }
        if let Some(link) = self.link() {
            hands.links.forget(link);
        }
        let followed = self.followed.take();
        let now = hands.now.mono;
        let lived = followed.map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        let delay = self.retry.lost(lived, limits::LOOKUPD_RETRY_MOST, random);
        if self.retry.losses() == 1 || followed.is_some() {
            warn!("{cluster}: not followed: {reason}; what was known last stands, and it is tried again");
        } else {
            debug!("{cluster}: {reason}; again in {delay:?}");
        }
        self.error = Some(reason.to_owned());
        self.due = Some(now + delay);
        self.enter(State::Down, hands.now);
    }

    pub(super) fn end(&mut self, hands: &mut Hands<'_>) {
        if let Some(link) = self.link() {
            hands.links.forget(link);
        }
        self.state = State::Over;
    }

    /// Its state, in a word.
    pub(super) fn word(&self) -> &'static str {
        match &self.state {
            State::Down => "down",
            State::Connecting(_) => "connecting",
            State::Listing(..) | State::Opening(..) => "listing",
            State::Following(_) => "following",
            State::Over => "over",
        }
    }

    pub(super) fn since(&self, now: Now) -> SystemTime {
        self.since.unwrap_or(now.wall)
    }

    pub(super) fn error(&self) -> Option<&str> {
        self.error.as_deref()
    }

    pub(super) fn losses(&self) -> u32 {
        self.retry.losses()
    }

    /// When it is tried again, while it is down.
    pub(super) fn retry_at(&self, now: Now) -> Option<SystemTime> {
        let due = self.due.filter(|_| matches!(self.state, State::Down))?;
        Some(now.wall + due.saturating_duration_since(now.mono))
    }
}
