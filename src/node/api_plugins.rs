//! Endpoints about plugins.

use super::ctx::{Answer, Call, Ctx};
use super::reply;
use crate::front::response::Response;

/// `GET /plugins`: what plugins there are, and how it stands with each.
pub fn all(ctx: &mut Ctx<'_>, _: &Call<'_>) -> Result<Answer, Response> {
    Ok(reply::value(&ctx.plugins.view(|name| ctx.programs.view(name, ctx.supervisor, ctx.now)))
        .into())
}
