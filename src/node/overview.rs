//! How it stands with all jobs at once, as far as whoever asks may read them, and what he may do with each: what a
//! page or a screen has to know to begin with, in one answer.

use serde_json::{json, Value};

use super::gaffer::Gaffer;
use super::keys::caller::Caller;
use crate::base::clock::{epoch_seconds, Now};
use crate::base::limits;
use crate::front::rights::{Need, Right};
use crate::supervisor::job::Job;
use crate::supervisor::name::JobName;
use crate::VERSION;

/// Of which jobs it is told.
pub enum Meant {
    /// Of one.
    One(JobName),
    /// Of all, or of all behind this name.
    All(Option<JobName>),
}

impl Gaffer {
    /// How it stands with one job, or with all: as many as an answer has room for, with which name to go on behind.
    pub(super) fn overview(&self, meant: &Meant, caller: &Caller, now: Now) -> Value {
        let of_job = |right, job: &JobName| caller.may(&Need::Job(right, job.clone()));
        let after = match meant {
            Meant::One(_) => None,
            Meant::All(after) => after.as_ref(),
        };
        let is_meant = |job: &&Job| match meant {
            Meant::One(name) => job.name == *name,
            Meant::All(_) => true,
        };
        let readable = self.supervisor.jobs_after(after).filter(is_meant);
        let (mut jobs, mut room, mut next) = (Vec::new(), limits::OVERVIEW, None);
        for job in readable.filter(|job| of_job(Right::Read, &job.name)) {
            if room == 0 {
                break;
            }
            let mut view = json!(self.supervisor.outline(job, now));
            let (write, manage) =
                (of_job(Right::Write, &job.name), of_job(Right::Manage, &job.name));
            view["may"] = json!({"write": write, "manage": manage});
            room = room.saturating_sub(1 + job.instances().count());
            next = (room == 0).then_some(&job.name);
            jobs.push(view);
        }
        let of_all = |right| caller.may(&Need::All(right));
        let mut node = json!({
            "name": self.lookups.name(),
            "version": VERSION,
            "started_at": epoch_seconds(self.history.begun()),
            "degraded": self.state.is_degraded(),
        });
        if of_all(Right::Manage) {
            node["origins"] = json!(self.named_origins());
            node["lookupds"] = json!(self.lookups.web_addresses());
        }
        let mut told = json!({
            "node": node,
            "may": {"read": of_all(Right::Read), "manage": of_all(Right::Manage), "admin": caller.is_admin()},
            "who": caller.who,
            "last_event": self.history.last(),
            "ts": now.epoch_seconds(),
            "jobs": jobs,
        });
        if let Some(next) = next {
            told["next"] = next.to_string().into();
        }
        told
    }
}
