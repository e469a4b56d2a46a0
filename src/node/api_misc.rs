//! Endpoints about the node itself.

use serde_json::json;

use super::ctx::{Answer, Call, Ctx};
use super::reply;
use crate::front::response::Response;
use crate::VERSION;

/// `GET /`: who we are.
pub fn welcome(ctx: &mut Ctx<'_>, _: &Call<'_>) -> Result<Answer, Response> {
    let mut welcome = json!({"welcome": "gaffer", "version": VERSION});
    if ctx.degraded {
        welcome["degraded"] = json!("the state directory cannot be written");
    }
    Ok(reply::value(&welcome).into())
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
