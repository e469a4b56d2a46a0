//! `GET /metrics`.

use super::ctx::{Answer, Call, Ctx};
use crate::front::clients::{Clients, USES, WAYS};
use crate::front::request::Request;
use crate::front::response::Response;
use crate::wire::openmetrics::{Dialect, Exposition, Family, Labels};

/// All metrics of the node, in the dialect that is asked for.
pub fn metrics(_: &mut Ctx<'_>, call: &Call<'_>) -> Result<Answer, Response> {
    Ok(Answer::Metrics(dialect(call.request)))
}

/// The dialect that a request asks for.
pub(crate) fn dialect(request: &Request) -> Dialect {
    let accept: Vec<&str> = request.headers.get_all("accept").collect();
    Dialect::asked(Some(&accept.join(",")))
}

/// How many connections there are, by how they came and what they are used for.
pub(crate) fn write_connections(family: Family, clients: &Clients, out: &mut Exposition) {
    out.family(family);
    for (way, by_use) in WAYS.iter().zip(clients.counts()) {
        for (of, count) in USES.iter().zip(by_use) {
            out.sample(&Labels::default(), &[("transport", way), ("use", of)], count);
        }
    }
}

/// The answer to it. Nobody asks for the same again, and the tag of a long text takes its time.
pub(crate) fn answer(dialect: Dialect, body: Vec<u8>) -> Response {
    Response { body, ..Response::empty(200) }
        .with("Content-Type", dialect.content_type())
        .with("Cache-Control", "no-store")
        .with("Vary", "Accept")
}
