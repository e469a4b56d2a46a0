//! How it stands with all jobs at once, as far as whoever asks may read them, and what he may do with each: what a
//! page or a screen has to know to begin with, in one answer.

use serde_json::{json, Value};

use super::gaffer::Gaffer;
use super::history::seconds;
use super::keys::caller::Caller;
use crate::base::clock::{epoch_seconds, Now};
use crate::front::rights::{Need, Right};
use crate::supervisor::name::JobName;
use crate::VERSION;

impl Gaffer {
    /// How it stands with one job, or with all.
    pub(super) fn overview(&self, name: Option<&JobName>, caller: &Caller, now: Now) -> Value {
        let of_job = |right, job: &JobName| caller.may(&Need::Job(right, job.clone()));
        let meant = |job: &&JobName| name.is_none_or(|name| name == *job);
        let jobs = self.supervisor.job_names().filter(meant).filter(|job| of_job(Right::Read, job));
        let view = |job: &JobName| {
            let mut view = json!(self.supervisor.view_job(job, now).ok()?);
            let members = view.as_object_mut()?;
            members.remove("config");
            let may =
                json!({"write": of_job(Right::Write, job), "manage": of_job(Right::Manage, job)});
            members.insert("may".into(), may);
            Some(view)
        };
        let jobs: Vec<Value> = jobs.filter_map(view).collect();
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
        json!({
            "node": node,
            "may": {"read": of_all(Right::Read), "manage": of_all(Right::Manage), "admin": caller.is_admin()},
            "who": caller.who,
            "last_event": self.history.last(),
            "ts": seconds(now),
            "jobs": jobs,
        })
    }
}
