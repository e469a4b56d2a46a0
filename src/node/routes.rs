//! The built-in endpoints in one table: method, pattern, endpoint. The router, the documentation's
//! test and `OPTIONS` all read this.

use super::api_pids as pids;
use super::ctx::Endpoint;
use super::{api_feeds as feeds, api_jobs as jobs, api_logs as logs, api_misc as misc};
use crate::front::router::Router;
use crate::wire::http::Method;

/// One line of the table.
pub struct Route {
    /// The method. What answers GET answers HEAD too.
    pub method: Method,
    /// The path, with `:name` for a segment and `#name` for a number.
    pub pattern: &'static str,
    endpoint: Endpoint,
}

const fn route(method: Method, pattern: &'static str, endpoint: Endpoint) -> Route {
    Route { method, pattern, endpoint }
}

/// Every built-in endpoint.
#[rustfmt::skip]
pub const ROUTES: &[Route] = &[
    route(Method::Get, "/", misc::welcome),
    route(Method::Get, "/ping", misc::ping),
    route(Method::Get, "/version", misc::version),
    route(Method::Get, "/debug/counters", misc::counters),
    route(Method::Get, "/lookupds", misc::lookupds),
    route(Method::Get, "/sessions", jobs::sessions),
    route(Method::Get, "/jobs", jobs::all),
    route(Method::Get, "/jobs/:session", jobs::of_session),
    route(Method::Post, "/jobs/:session", jobs::load),
    route(Method::Get, "/jobs/:session/:job", jobs::show),
    route(Method::Put, "/jobs/:session/:job", jobs::update),
    route(Method::Delete, "/jobs/:session/:job", jobs::unload),
    route(Method::Get, "/jobs/:session/:job/stats", jobs::stats),
    route(Method::Get, "/jobs/:session/:job/numprocesses", jobs::number),
    route(Method::Post, "/jobs/:session/:job/numprocesses", jobs::scale),
    route(Method::Get, "/jobs/:session/:job/state", jobs::state),
    route(Method::Post, "/jobs/:session/:job/state", jobs::set_state),
    route(Method::Get, "/jobs/:session/:job/pids", jobs::pids),
    route(Method::Get, "/jobs/:session/:job/deaths", jobs::deaths),
    route(Method::Post, "/jobs/:session/:job/signal", jobs::signal),
    route(Method::Post, "/jobs/:session/:job/commit", jobs::commit),
    route(Method::Post, "/jobs/:session/:job/restart", jobs::restart),
    route(Method::Get, "/pids", pids::all),
    route(Method::Get, "/#pid", pids::show),
    route(Method::Delete, "/#pid", pids::stop),
    route(Method::Post, "/#pid/signal", pids::signal),
    route(Method::Get, "/#pid/stats", pids::stats),
    route(Method::Get, "/#pid/tree", pids::tree),
    route(Method::Get, "/#pid/channel", feeds::process),
    route(Method::Get, "/#pid/channel/:label", feeds::process),
    route(Method::Get, "/wstreams/#pid", feeds::socket),
    route(Method::Get, "/streams/#pid/:label", feeds::stream),
    route(Method::Post, "/streams/#pid/:label", feeds::write),
    route(Method::Get, "/logs/:session/:job", logs::logs),
    route(Method::Get, "/logs/:session/:job/#instance", logs::logs),
    route(Method::Get, "/stats", feeds::all_stats),
    route(Method::Get, "/stats/:session/:job", feeds::job_stats),
    route(Method::Get, "/watch", feeds::watch),
    route(Method::Get, "/watch/:part", feeds::watch),
    route(Method::Get, "/watch/:part/:part", feeds::watch),
    route(Method::Get, "/watch/:part/:part/:part", feeds::watch),
    route(Method::Get, "/watch/:part/:part/:part/:part", feeds::watch),
];

/// The router of the built-in endpoints.
pub fn router() -> Router<Endpoint> {
    let mut router = Router::default();
    for route in ROUTES {
        router.add(route.method, route.pattern, route.endpoint);
        if route.method == Method::Get {
            router.add(Method::Head, route.pattern, route.endpoint);
        }
    }
    router
}
