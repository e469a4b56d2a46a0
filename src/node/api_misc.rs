//! Endpoints about the node itself.

use serde_json::{json, Value};

use super::ctx::{Answer, Call, Ctx};
use super::gaffer::Gaffer;
use super::reply;
use crate::front::conditions::prefers_html;
use crate::front::response::Response;
use crate::VERSION;

/// `GET /`: who we are. People who come with a browser are sent to the dashboard.
pub fn welcome(ctx: &mut Ctx<'_>, call: &Call<'_>) -> Result<Answer, Response> {
    if prefers_html(&call.request.headers) {
        return Ok(super::api_dashboard::below(call.request).into());
    }
    let mut welcome = json!({"welcome": "gaffer", "version": VERSION});
    if ctx.degraded {
        welcome["degraded"] = json!("the state directory cannot be written");
    }
    Ok(reply::value(&welcome).with("Vary", "Accept").into())
}

/// `GET /ping`: we live.
pub fn ping(_: &mut Ctx<'_>, _: &Call<'_>) -> Result<Answer, Response> {
    Ok(Response::html(200, "OK").into())
}

/// `GET /lookupds`: how it stands with each lookupd.
pub fn lookupds(_: &mut Ctx<'_>, _: &Call<'_>) -> Result<Answer, Response> {
    Ok(Answer::Lookups)
}

/// `GET /debug/counters`: how much of everything there is that clients cause.
pub fn counters(_: &mut Ctx<'_>, _: &Call<'_>) -> Result<Answer, Response> {
    Ok(Answer::Counters)
}

/// `GET /openapi.json`: what there is to ask. It is for everybody: the same on all nodes, it tells nothing of this.
pub fn openapi(_: &mut Ctx<'_>, _: &Call<'_>) -> Result<Answer, Response> {
    Ok(Answer::Document)
}

/// `GET /version`.
pub fn version(_: &mut Ctx<'_>, _: &Call<'_>) -> Result<Answer, Response> {
    Ok(reply::value(&json!({"name": "gaffer", "version": VERSION})).into())
}

impl Gaffer {
    /// How much of everything there is that clients cause: what a client leaves behind can be seen here.
    pub(super) fn counters(&self) -> Value {
        let (channel, stdins) = (self.channel.counts(), self.stdins.counts());
        let (topics, subscriptions) = self.hub.counts();
        let (feeds, feed_bytes) = self.feeds.counts();
        json!({
            "connections": self.clients.len(),
            "links": self.links.len(),
            "forwards": self.forwards.waiting(),
            "sessions": channel.sessions,
            "session_receivers": channel.receivers,
            "session_senders": channel.senders,
            "session_timers": channel.timers,
            "topics": topics,
            "subscriptions": subscriptions,
            "feeds": feeds,
            "files": self.sendings.len(),
            "log_readers": self.readers.len() + self.replays.len(),
            "stats_watches": self.hub.watches.len(),
            "waits": self.waits.len(),
            "passwords": self.door.waiting(),
            "writers": self.writers.len(),
            "queued_bytes": channel.queued + feed_bytes + self.links.owed_in_all(),
            "input_streams": stdins.streams,
            "input_bytes": stdins.owed,
            "input_bytes_lost": stdins.lost,
            "events": self.history.len(),
            "last_event": self.history.last(),
        })
    }
}
