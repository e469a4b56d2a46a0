//! How it is with a lookupd, for those who start it again, send requests to it, or watch it: as a node tells it, and
//! to everybody. It measures nothing: all that is told is counted anyway.

use serde_json::json;

use super::lookupd::Lookupd;
use super::routes::{Answer, Call};
use crate::base::clock::Now;
use crate::front::response::Response;
use crate::node::api_metrics;
use crate::node::health;
use crate::wire::openmetrics::{Dialect, Exposition, Family, Kind, Labels};
use crate::VERSION;

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// Whether it knows what runs.
    Ready,
    /// How it is.
    Health,
    /// Its metrics.
    Metrics(Dialect),
}

const BUILD: Family =
    Family::new(Kind::Info, "gaffer_lookupd_build", "Which gaffer_lookupd this is.");
const CONNECTIONS: Family = Family::new(
    Kind::Gauge,
    "gaffer_lookupd_connections",
    "Connections of nodes and clients, by how they came and what they are used for.",
);
const LOST: Family = Family::new(
    Kind::Counter,
    "gaffer_lookupd_lost_messages",
    "Messages that were dropped because their readers did not keep up.",
);

/// What is asked of the metrics.
pub(super) fn metrics(call: &Call<'_>) -> Result<Answer, Response> {
    Ok(Answer::Probe(Probe::Metrics(api_metrics::dialect(call.request))))
}

impl Lookupd {
    /// Answers whoever asks how it is.
    pub(super) fn probe(&self, probe: Probe, now: Now) -> Response {
        let why = match (self.ended, self.incomplete(now).is_some()) {
            (true, _) => Some("the lookupd is shutting down"),
            (false, true) => Some("what runs is not known yet"),
            (false, false) => None,
        };
        let status = if why.is_none() { 200 } else { 503 };
        match probe {
            Probe::Ready => health::plain(status, &format!("{}\n", why.unwrap_or("ok"))),
            Probe::Health => {
                let mut value = json!({
                    "status": if why.is_none() { "pass" } else { "fail" },
                    "releaseId": VERSION,
                    "checks": {},
                });
                if let Some(why) = why {
                    value["output"] = why.into();
                }
                health::told(status, &value)
            }
            Probe::Metrics(dialect) => {
                api_metrics::answer(dialect, self.metrics(dialect, why.is_none()))
            }
        }
    }

    fn metrics(&self, dialect: Dialect, is_ready: bool) -> Vec<u8> {
        let (mut out, none) = (Exposition::new(dialect, 0), Labels::default());
        out.family(BUILD);
        out.sample(&none, &[("version", VERSION)], 1_u64);
        let (counts, stream) = (self.registry.counts(), self.stream.counts());
        for (name, help, number) in [
            ("gaffer_lookupd_ready", "Whether it knows what runs.", usize::from(is_ready)),
            ("gaffer_lookupd_nodes", "Nodes that are registered.", counts.nodes),
            ("gaffer_lookupd_jobs", "Jobs on all nodes, each once for each node.", counts.jobs),
            ("gaffer_lookupd_processes", "Processes on all nodes.", counts.processes),
            ("gaffer_lookupd_followers", "Those who follow what runs.", self.followers.len()),
            ("gaffer_lookupd_sessions", "Sessions of the event stream.", stream.sessions),
            ("gaffer_lookupd_queued_bytes", "What waits for those who follow.", stream.queued),
        ] {
            out.family(Family::new(Kind::Gauge, name, help));
            out.plain(number);
        }
        api_metrics::write_connections(CONNECTIONS, &self.clients, &mut out);
        out.family(LOST);
        out.plain(stream.lost);
        out.finish()
    }
}
