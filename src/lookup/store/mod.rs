//! A lookupd that answers from an etcd: what the nodes have written there (`wire/topology.rs`) is listed,
//! and from then on followed by a watch, so that any number of lookupds know the same. Nothing is written.
//!
//! Read in this order: `picture` (what keys mean for the registry), `follow` (listing and watch, on one
//! connection), `probe` (whether that is still so, on another), and this, which has both.
//!
//! While the etcd is away what was known last stands, and `GET /` says so. Whenever the watch is lost,
//! everything is listed again, and only the difference is told.

mod follow;
mod picture;
mod probe;

use std::time::Instant;

use serde_json::{json, Value};

use self::follow::Follow;
use self::picture::Picture;
use self::probe::{Probe, Verdict};
use super::following::Followers;
use super::registry::{Change, Registry};
use crate::base::address::Cluster;
use crate::base::clock::{epoch_seconds, Now};
use crate::base::ids::LinkId;
use crate::base::random::Random;
use crate::front::clients::Clients;
use crate::front::links::Links;
use crate::front::sockjs::Service;
use crate::node::machine::Effect;
use crate::wire::topology::Keys;

/// An etcd that is followed.
pub(super) struct Store {
    cluster: Cluster,
    keys: Keys,
    picture: Picture,
    follow: Follow,
    probe: Probe,
    random: Random,
}

/// What it works with.
pub(super) struct Hands<'a> {
    pub(super) registry: &'a mut Registry,
    pub(super) followers: &'a Followers,
    pub(super) stream: &'a mut Service,
    pub(super) clients: &'a mut Clients,
    pub(super) links: &'a mut Links,
    pub(super) effects: &'a mut Vec<Effect>,
    pub(super) now: Now,
}

impl Hands<'_> {
    fn tell(&mut self, change: &Change) {
        self.followers.tell(change, (&mut *self.stream, &mut *self.clients), self.now);
    }
}

impl Store {
    /// One that is tried when it is begun.
    pub(super) fn new(cluster: Cluster, seed: u64) -> Self {
        Self {
            keys: Keys::below(&cluster.prefix),
            cluster,
            picture: Picture::default(),
            follow: Follow::default(),
            probe: Probe::default(),
            random: Random::seeded(seed),
        }
    }

    /// Whether everything has been listed once: before that nobody can say what runs.
    pub(super) fn is_ready(&self) -> bool {
        self.picture.is_ready()
    }

    /// Whether it is still to be tried for the first time.
    pub(super) fn is_fresh(&self) -> bool {
        self.follow.is_fresh()
    }

    /// Tries it for the first time.
    pub(super) fn begin(&mut self, hands: &mut Hands<'_>) {
        self.follow.begin(hands.now);
        self.on_time(hands);
    }

    /// When [`Self::on_time`] wants to be called.
    pub(super) fn deadline(&self) -> Option<Instant> {
        [self.follow.deadline(), self.probe.deadline()].into_iter().flatten().min()
    }

    /// Time has passed.
    pub(super) fn on_time(&mut self, hands: &mut Hands<'_>) {
        let now = hands.now.mono;
        if self.follow.deadline().is_some_and(|due| due <= now) {
            match self.follow.on_time(&self.cluster, hands) {
                Ok(()) => {}
                Err(reason) => self.lose(&reason, hands),
            }
        }
        if self.probe.deadline().is_some_and(|due| due <= now) {
            let verdict = self.probe.on_time(&self.cluster, hands);
            self.judge(verdict, hands);
        }
    }

    /// A connection is there.
    pub(super) fn opened(&mut self, link: LinkId, hands: &mut Hands<'_>) {
        if self.follow.link() == Some(link) {
            self.picture.begin_listing();
            self.follow.opened(&self.keys, hands);
        } else if self.probe.link() == Some(link) {
            self.probe.opened(&self.keys, hands);
        }
    }

    /// A connection does not come about, or is no more.
    pub(super) fn lost(&mut self, link: LinkId, reason: &str, hands: &mut Hands<'_>) {
        if self.follow.link() == Some(link) {
            self.lose(reason, hands);
        } else if self.probe.link() == Some(link) {
            let verdict = self.probe.lost(&self.cluster, hands);
            self.judge(verdict, hands);
        }
    }

    /// It said something.
    pub(super) fn received(&mut self, link: LinkId, bytes: &[u8], hands: &mut Hands<'_>) {
        if self.follow.link() == Some(link) {
            let was_following = self.follow.is_following();
            let done = self.follow.received(bytes, (&self.keys, &mut self.picture), hands);
            if let Err(reason) = done {
                return self.lose(&reason, hands);
            }
            if !was_following && self.follow.is_following() {
                let (keys, revision) = self.picture.extent();
                log::info!("{}: {keys} keys at revision {revision}, and followed", self.cluster);
                self.probe.begin(hands.now);
            }
            if self.picture.take_doubt() {
                self.lose("a node is there whose jobs were there before it", hands);
            }
        } else if self.probe.link() == Some(link) {
            let verdict = self.probe.received(bytes, (&self.cluster, &self.picture), hands);
            self.judge(verdict, hands);
        }
    }

    fn judge(&mut self, verdict: Verdict, hands: &mut Hands<'_>) {
        match verdict {
            Verdict::Sound => {}
            Verdict::Lost(reason) => self.lose(&reason, hands),
        }
    }

    /// It is followed no more, and tried again.
    fn lose(&mut self, reason: &str, hands: &mut Hands<'_>) {
        self.probe.end(hands);
        self.follow.lose(reason, &self.cluster, &mut self.random, hands);
    }

    /// The lookupd ends.
    pub(super) fn end(&mut self, hands: &mut Hands<'_>) {
        self.probe.end(hands);
        self.follow.end(hands);
    }

    /// Whose a connection is.
    pub(super) fn owns(&self, link: LinkId) -> bool {
        [self.follow.link(), self.probe.link()].contains(&Some(link))
    }

    /// How it stands with it.
    pub(super) fn view(&self, now: Now) -> Value {
        let (keys, revision) = self.picture.extent();
        let retry_at = self.follow.retry_at(now).map(epoch_seconds);
        json!({
            "address": self.cluster.to_string(),
            "state": self.follow.word(),
            "since": epoch_seconds(self.follow.since(now)),
            "complete": self.picture.is_ready(),
            "revision": revision,
            "keys": keys,
            "last_error": self.follow.error(),
            "losses": self.follow.losses(),
            "retry_at": retry_at,
        })
    }

    /// How much of everything there was.
    pub(super) fn counters(&self) -> Value {
        let (keys, revision) = self.picture.extent();
        let (junk, orphans, refused) = self.picture.odd();
        json!({
            "following": self.follow.is_following(),
            "keys": keys,
            "revision": revision,
            "listings": self.picture.listings(),
            "strange_keys": junk,
            "jobs_without_node": orphans,
            "refused": refused,
        })
    }
}
