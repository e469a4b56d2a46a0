//! Endpoints about plugins, and the files of their sites. These are everybody's: a browser asks for them without a
//! key. What their pages do then is done by requests of their own, with the key that they are given.

use super::ctx::{Answer, Call, Ctx};
use super::plugins::answer;
use super::plugins::file::Denied;
use super::reply;
use crate::front::conditions::accepts_gzip;
use crate::front::response::Response;

/// `GET /plugins`: what plugins there are, and how it stands with each.
pub fn all(ctx: &mut Ctx<'_>, _: &Call<'_>) -> Result<Answer, Response> {
    Ok(reply::value(&ctx.plugins.view(|name| ctx.programs.view(name, ctx.supervisor, ctx.now)))
        .into())
}

/// `GET /_plugin/NAME`: its pages lie below that.
pub fn site(ctx: &mut Ctx<'_>, call: &Call<'_>) -> Result<Answer, Response> {
    let plugin = ctx.plugins.get(call.part(0)).filter(|plugin| plugin.site.is_some());
    let there = plugin.map(|_| answer::folder(call.request).into());
    there.ok_or_else(|| Response::error(404, None))
}

/// `GET /_plugin/NAME/REST`: a file of its site.
pub fn file(ctx: &mut Ctx<'_>, call: &Call<'_>) -> Result<Answer, Response> {
    let plugin = ctx.plugins.get(call.part(0)).ok_or_else(|| Response::error(404, None))?;
    let rest = call.open.get(1..).unwrap_or_default();
    match plugin.file(rest, accepts_gzip(&call.request.headers)) {
        Ok(file) => Ok(Answer::File(file)),
        Err(Denied::Hidden) => Err(Response::error(404, None)),
        Err(Denied::Away) => Err(Response::error(403, Some("the path leads out of the site"))),
    }
}
