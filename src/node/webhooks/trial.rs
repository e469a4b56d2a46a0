//! A test of an address: one message over a connection of its own, past all that waits, and what came of it.

use std::time::Instant;

use serde_json::{json, Value};

use super::outcome::{judge, told, Verdict};
use super::signing::Signing;
use super::target::{Hands, Target};
use crate::base::clock;
use crate::base::ids::{ConnId, LinkId};
use crate::base::limits;
use crate::front::exchange::{Came, Exchange, Question, Reply};
use crate::wire::webhook::{Message, Url};

/// A test.
pub(super) struct Trial {
    /// Who waits for it.
    conn: ConnId,
    /// What the address is called.
    pub(super) target: String,
    url: Url,
    id: String,
    body: String,
    exchange: Exchange,
    began: Instant,
    end: Option<(Value, bool)>,
}

impl Trial {
    pub(super) fn begin(
        target: &Target,
        conn: ConnId,
        (id, body): (String, String),
        hands: &mut Hands<'_>,
    ) -> Self {
        let exchange = hands.dial(&target.url);
        let (url, target) = (target.url.clone(), target.id.clone());
        Self { conn, target, url, id, body, exchange, began: hands.now.mono, end: None }
    }

    pub(super) fn link(&self) -> LinkId {
        self.exchange.link()
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.exchange.deadline()
    }

    /// Its connection is there.
    pub(super) fn opened(&mut self, signing: Option<&Signing>, hands: &mut Hands<'_>) {
        self.exchange.opened();
        let Some(signing) = signing.filter(|_| self.exchange.is_idle()) else {
            return self.lost("it was taken away", hands);
        };
        let message = Message { id: &self.id, body: &self.body };
        let fields = signing.fields(&self.url, &message, hands.now.wall, 0);
        let question = Question { target: &self.url.target, fields: &fields, body: &self.body };
        self.exchange.tell(question, limits::WEBHOOK_PATIENCE, hands.links, hands.now);
    }

    /// The other end said something.
    pub(super) fn received(&mut self, bytes: &[u8], hands: &mut Hands<'_>) {
        match self.exchange.received(bytes) {
            Ok(Came::Nothing) => {}
            Ok(Came::Whole(reply)) => self.answered(&reply, hands),
            Ok(Came::Lines(_) | Came::End(_)) => self.lost("it answers what was not asked", hands),
            Err(reason) => self.lost(&reason, hands),
        }
    }

    fn answered(&mut self, reply: &Reply, hands: &mut Hands<'_>) {
        let error = match judge(reply) {
            Verdict::Taken => None,
            Verdict::Later(reason) | Verdict::Wrong(reason) | Verdict::Gone(reason) => Some(reason),
        };
        let answer = told(&reply.body);
        self.finish(json!({"status": reply.status, "answer": answer, "error": error}), hands);
    }

    /// No whole answer comes, for this reason.
    pub(super) fn lost(&mut self, reason: &str, hands: &mut Hands<'_>) {
        match self.exchange.so_far() {
            Some(reply) => self.answered(&reply, hands),
            None => self.finish(json!({"status": null, "answer": null, "error": reason}), hands),
        }
    }

    fn finish(&mut self, mut told: Value, hands: &mut Hands<'_>) {
        if self.end.is_some() {
            return;
        }
        let taken = told["error"].is_null();
        let took = hands.now.mono.saturating_duration_since(self.began);
        told["delivered"] = json!(taken);
        told["id"] = json!(self.id);
        told["seconds"] = json!(clock::seconds(took));
        hands.links.forget(self.link());
        self.end = Some((told, taken));
    }

    pub(super) fn is_over(&self) -> bool {
        self.end.is_some()
    }

    /// Whether the address took it.
    pub(super) fn is_taken(&self) -> bool {
        matches!(self.end, Some((_, true)))
    }

    /// What came of it, for whom.
    pub(super) fn told(self) -> (ConnId, Value) {
        let told = self.end.map(|(told, _)| told);
        (self.conn, told.unwrap_or_default())
    }
}
