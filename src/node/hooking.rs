//! The node and its webhooks: what happened is told to them, and what came of tests to those who asked.

use super::gaffer::Gaffer;
use super::history::Record;
use super::reply;
use super::webhooks::{Denied, Hands, Hooking, Webhooks};
use crate::base::clock::Now;
use crate::base::ids::ConnId;
use crate::front::response::Response;

impl Gaffer {
    pub(super) fn with_webhooks<T>(
        &mut self,
        now: Now,
        act: impl FnOnce(&mut Webhooks, &mut Hands<'_>) -> T,
    ) -> T {
        let (links, effects, disk) = (&mut self.links, &mut self.effects, &mut self.state);
        act(&mut self.webhooks, &mut Hands { links, effects, disk, now })
    }

    /// Posts events to these from now on.
    pub(super) fn hook(&mut self, to: Hooking, now: Now) {
        self.with_webhooks(now, |webhooks, hands| webhooks.configure(to, hands));
    }

    pub(super) fn tell_webhooks(&mut self, record: &Record, now: Now) {
        self.with_webhooks(now, |webhooks, hands| webhooks.tell(record, hands));
    }

    /// Writes down what a request has changed, before it is answered.
    pub(super) fn keep_webhooks(&mut self, now: Now) {
        self.with_webhooks(now, |webhooks, hands| webhooks.fill(hands));
    }

    pub(super) fn end_webhooks(&mut self, now: Now) {
        self.with_webhooks(now, |webhooks, hands| webhooks.end(hands));
    }

    pub(super) fn pass_webhooks_time(&mut self, now: Now) {
        self.with_webhooks(now, |webhooks, hands| webhooks.on_time(hands));
    }

    /// Goes on with what there is to send, and answers who waits for a test; whether anybody did.
    pub(super) fn serve_webhooks(&mut self, now: Now) -> bool {
        self.keep_webhooks(now);
        let told = self.webhooks.take_told();
        let any = !told.is_empty();
        for (conn, told) in told {
            self.answer(conn, reply::value(&told), now);
        }
        any
    }

    /// Begins a test of a webhook, for which a client waits.
    ///
    /// # Errors
    /// The answer to give instead.
    pub(super) fn test_webhook(
        &mut self,
        conn: ConnId,
        id: &str,
        now: Now,
    ) -> Result<(), Response> {
        let asks = (conn, self.history.last());
        let begun = self.with_webhooks(now, |webhooks, hands| webhooks.test(id, asks, hands));
        begun.map_err(|denied| match denied {
            Denied::Busy => {
                Response::error(503, Some("too many tests are waited for")).with("Retry-After", "5")
            }
            Denied::Nothing | Denied::Filed(_) | Denied::TooMany | Denied::TooManyEvents => {
                Response::error(404, None)
            }
        })
    }
}
