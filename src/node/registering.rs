//! The node and those it connects to: connections of ours to whom they belong, and to lookupds what
//! changed.

use super::gaffer::Gaffer;
use super::lookups::{Hands, Lookups, Registration};
use crate::base::clock::Now;
use crate::base::ids::LinkId;

impl Gaffer {
    fn with_lookups(&mut self, now: Now, act: impl FnOnce(&mut Lookups, &mut Hands<'_>)) {
        let (links, effects) = (&mut self.links, &mut self.effects);
        let mut hands = Hands { links, effects, truth: &self.supervisor, now };
        act(&mut self.lookups, &mut hands);
    }

    /// Registers with these from now on.
    pub(super) fn register(&mut self, to: Registration, now: Now) {
        self.with_lookups(now, |lookups, hands| lookups.configure(to, hands));
    }

    pub(super) fn note_link_opened(&mut self, link: LinkId, now: Now) {
        self.with_lookups(now, |lookups, hands| lookups.opened(link, hands));
        self.with_webhooks(now, |webhooks, hands| webhooks.opened(link, hands));
    }

    pub(super) fn note_link_lost(&mut self, link: LinkId, reason: &str, now: Now) {
        self.with_lookups(now, |lookups, hands| lookups.lost(link, reason, hands));
        self.with_webhooks(now, |webhooks, hands| webhooks.lost(link, reason, hands));
        self.end_forward(link, reason, now);
        self.links.gone(link);
    }

    pub(super) fn hear_link(&mut self, link: LinkId, bytes: &[u8], now: Now) {
        self.with_lookups(now, |lookups, hands| lookups.received(link, bytes, hands));
        self.with_webhooks(now, |webhooks, hands| webhooks.received(link, bytes, hands));
        self.hear_forward(link, bytes, now);
    }

    pub(super) fn tell_lookups(&mut self, now: Now) {
        self.with_lookups(now, Lookups::fill);
    }

    pub(super) fn end_lookups(&mut self, now: Now) {
        self.with_lookups(now, Lookups::end);
    }

    pub(super) fn pass_lookup_time(&mut self, now: Now) {
        self.links.on_time(now);
        self.with_lookups(now, Lookups::on_time);
    }

    /// How it stands with each lookupd.
    pub(super) fn lookups_view(&mut self, now: Now) -> serde_json::Value {
        let mut view = serde_json::Value::Null;
        self.with_lookups(now, |lookups, hands| view = lookups.view(hands));
        view
    }
}
