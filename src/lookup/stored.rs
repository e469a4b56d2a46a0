//! The lookupd and its etcd, if it has one: connections of its own, and what that changes for clients.

use super::lookupd::Lookupd;
use super::store::{Hands, Store};
use crate::base::clock::Now;
use crate::base::ids::LinkId;
use crate::front::response::Response;

impl Lookupd {
    /// Lets the store do something, and tells what changed by that.
    fn with_store(&mut self, now: Now, act: impl FnOnce(&mut Store, &mut Hands<'_>)) {
        let Some(store) = &mut self.store else { return };
        let mut hands = Hands {
            registry: &mut self.registry,
            followers: &self.followers,
            stream: &mut self.stream,
            clients: &mut self.clients,
            links: &mut self.dials,
            effects: &mut self.effects,
            now,
        };
        act(store, &mut hands);
        self.settle_all(now);
    }

    /// Tries it for the first time, when there is a time.
    pub(super) fn begin_store(&mut self, now: Now) {
        if self.store.as_ref().is_some_and(Store::is_fresh) && !self.ended {
            self.with_store(now, |store, hands| store.begin(hands));
        }
    }

    /// Whether what is known is all that there is to know.
    pub(super) fn is_complete(&self) -> bool {
        self.store.as_ref().is_none_or(Store::is_ready)
    }

    /// Why nothing can be said yet of what runs.
    pub(super) fn incomplete(&self, now: Now) -> Option<Response> {
        let store = self.store.as_ref().filter(|store| !store.is_ready())?;
        let view = store.view(now);
        let (state, error) = (&view["state"], &view["last_error"]);
        let reason = format!(
            "what runs is not known yet: {} is {}{}",
            view["address"].as_str().unwrap_or_default(),
            state.as_str().unwrap_or_default(),
            error.as_str().map(|error| format!(" ({error})")).unwrap_or_default(),
        );
        Some(Response::error(503, Some(&reason)).with("Retry-After", "1"))
    }

    pub(super) fn store_opened(&mut self, link: LinkId, now: Now) {
        self.with_store(now, |store, hands| store.opened(link, hands));
    }

    pub(super) fn store_received(&mut self, link: LinkId, bytes: &[u8], now: Now) {
        self.with_store(now, |store, hands| store.received(link, bytes, hands));
    }

    pub(super) fn store_lost(&mut self, link: LinkId, reason: &str, now: Now) {
        self.with_store(now, |store, hands| store.lost(link, reason, hands));
        self.dials.gone(link);
    }

    pub(super) fn pass_store_time(&mut self, now: Now) {
        self.dials.on_time(now);
        self.with_store(now, |store, hands| store.on_time(hands));
    }

    pub(super) fn end_store(&mut self, now: Now) {
        self.with_store(now, |store, hands| store.end(hands));
    }
}
