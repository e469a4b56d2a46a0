//! Whether the node lives, is ready and is well, for who distributes requests or starts a node again that is not.
//! Anybody may ask, so nothing is told here but how many.

use std::time::Instant;

use serde_json::{json, Value};

use super::ctx::{Answer, Call, Ctx};
use super::gaffer::Gaffer;
use crate::base::clock::Now;
use crate::front::response::Response;
use crate::wire::json;
use crate::VERSION;

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// Whether it is ready.
    Ready,
    /// How well it is.
    Health,
}

/// Why a node is not ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unready {
    Starting,
    Ending,
    Unwritten,
}

impl Unready {
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Starting => "the node is starting its jobs",
            Self::Ending => "the node is shutting down",
            Self::Unwritten => "the state directory cannot be written",
        }
    }
}

/// `GET /livez`: the loop turns.
pub(super) fn livez(_: &mut Ctx<'_>, _: &Call<'_>) -> Result<Answer, Response> {
    Ok(plain(200, "ok\n").into())
}

/// `GET /readyz`: whether requests should come here.
pub(super) fn readyz(_: &mut Ctx<'_>, _: &Call<'_>) -> Result<Answer, Response> {
    Ok(Answer::Probe(Probe::Ready))
}

/// `GET /health`: how it is, with reasons.
pub(super) fn health(_: &mut Ctx<'_>, _: &Call<'_>) -> Result<Answer, Response> {
    Ok(Answer::Probe(Probe::Health))
}

/// Nobody between us and who asks may keep it.
pub(crate) fn plain(status: u16, text: &str) -> Response {
    Response::text(status, text).with("Cache-Control", "no-store")
}

/// As "Health Check Response Format for HTTP APIs" has it (draft-inadarei-api-health-check-06).
pub(crate) fn told(status: u16, value: &Value) -> Response {
    let body = json::text(value).into_bytes();
    Response { body, ..Response::empty(status) }
        .with("Content-Type", "application/health+json")
        .with("Cache-Control", "no-store")
}

/// How many jobs there are, and how many of them need people.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counted {
    at: Instant,
    jobs: u64,
    failed: u64,
    unlogged: u64,
}

impl Gaffer {
    fn count_jobs(&self, now: Now) -> Counted {
        let mut counted = Counted { at: now.mono, jobs: 0, failed: 0, unlogged: 0 };
        for survey in self.supervisor.surveys() {
            counted.jobs += 1;
            counted.failed += u64::from(survey.has_failed());
            counted.unlogged += u64::from(survey.unlogged > 0);
        }
        counted
    }

    /// Whether requests should come here, or why not.
    pub(super) fn readiness(&self) -> Result<(), Unready> {
        match () {
            () if self.supervisor.pace().is_some() => Err(Unready::Ending),
            () if !self.is_started => Err(Unready::Starting),
            () if self.is_degraded() => Err(Unready::Unwritten),
            () => Ok(()),
        }
    }

    /// Answers whoever asks how the node is.
    pub(super) fn probe(&mut self, probe: Probe, now: Now) -> Response {
        let ready = self.readiness();
        match (probe, ready) {
            (Probe::Ready, Ok(())) => plain(200, "ok\n"),
            (Probe::Ready, Err(why)) => plain(503, &format!("{}\n", why.words())),
            (Probe::Health, _) => self.health(ready, now),
        }
    }

    fn health(&mut self, ready: Result<(), Unready>, now: Now) -> Response {
        // All jobs are looked at, and anybody may ask: it is done once for all who ask in one turn.
        let counted = self.counted.take().filter(|counted| counted.at == now.mono);
        let counted = counted.unwrap_or_else(|| self.count_jobs(now));
        let Counted { jobs, failed, unlogged, .. } = counted;
        self.counted = Some(counted);
        let worst = match (ready, failed + unlogged) {
            (Err(_), _) => "fail",
            (Ok(()), 0) => "pass",
            (Ok(()), _) => "warn",
        };
        let status = |is_well: bool| if is_well { "pass" } else { "warn" };
        let count = |what: u64| json!([{"observedValue": what, "observedUnit": "jobs", "status": status(what == 0)}]);
        let mut value = json!({
            "status": worst,
            "releaseId": VERSION,
            "checks": {
                "jobs:loaded": [{"observedValue": jobs, "observedUnit": "jobs", "status": "pass"}],
                "jobs:failed": count(failed),
                "jobs:unlogged": count(unlogged),
            },
        });
        if let Err(why) = ready {
            value["output"] = why.words().into();
        }
        told(if ready.is_ok() { 200 } else { 503 }, &value)
    }
}
