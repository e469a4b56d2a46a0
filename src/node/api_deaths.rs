//! Endpoints about how runs ended: those of one job, and those of all.

use serde_json::json;

use super::api_jobs::loaded;
use super::api_logs::time;
use super::ctx::{Answer, Call, Ctx};
use super::reply::{self, bad_request, manager_error};
use crate::base::limits;
use crate::front::response::Response;
use crate::front::rights::{Need, Right};
use crate::logs::index;
use crate::supervisor::name::JobName;

/// How many are told where nobody says.
const USUAL: usize = 100;

/// `GET /jobs/S/L/deaths`: how its last runs ended, newest first.
pub fn of_job(ctx: &mut Ctx<'_>, call: &Call<'_>) -> Result<Answer, Response> {
    let name = loaded(ctx, call).map_err(|refusal| manager_error(&refusal))?;
    let deaths = ctx.supervisor.view_deaths(&name);
    let deaths = deaths.map_err(|refusal| manager_error(&refusal))?;
    Ok(reply::value(&json!({"name": name.to_string(), "deaths": deaths})).into())
}

/// `GET /deaths`: how the last runs of all jobs ended, as far as whoever asks may read those; newest last.
pub fn all(ctx: &mut Ctx<'_>, call: &Call<'_>) -> Result<Answer, Response> {
    let since = time(call, "since", ctx.now.wall)?.map(index::time);
    let of = call.query("job")?;
    let most = match call.query("limit")? {
        None => USUAL,
        Some(text) => {
            let wrong = || {
                let most = limits::DEATHS_TOLD;
                bad_request(&format!("limit: expected a whole number from 1 to {most}"))
            };
            let most = text.parse().ok().filter(|most| (1..=limits::DEATHS_TOLD).contains(most));
            most.ok_or_else(wrong)?
        }
    };
    let is_meant = |name: &JobName| match of.as_deref() {
        None => true,
        Some(text) if text.contains(['.', '/']) => JobName::parse(text).as_ref() == Ok(name),
        Some(session) => name.session() == session,
    };
    let may = |name: &JobName| ctx.caller.may(&Need::Job(Right::Read, name.clone()));
    let means = |name: &JobName| is_meant(name) && may(name);
    let deaths = ctx.supervisor.view_all_deaths(means, since, most);
    Ok(reply::value(&json!({"deaths": deaths})).into())
}
