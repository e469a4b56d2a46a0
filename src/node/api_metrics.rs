//! `GET /metrics`.

use super::ctx::{Answer, Call, Ctx};
use crate::front::request::Request;
use crate::front::response::Response;
use crate::wire::openmetrics::Dialect;

/// All metrics of the node, in the dialect that is asked for.
pub fn metrics(_: &mut Ctx<'_>, call: &Call<'_>) -> Result<Answer, Response> {
    Ok(Answer::Metrics(dialect(call.request)))
}

/// The dialect that a request asks for.
pub(crate) fn dialect(request: &Request) -> Dialect {
    let accept: Vec<&str> = request.headers.get_all("accept").collect();
    Dialect::asked(Some(&accept.join(",")))
}

/// The answer to it. Nobody asks for the same again, and the tag of a long text takes its time.
pub(crate) fn answer(dialect: Dialect, body: Vec<u8>) -> Response {
    Response { body, ..Response::empty(200) }
        .with("Content-Type", dialect.content_type())
        .with("Cache-Control", "no-store")
        .with("Vary", "Accept")
}
