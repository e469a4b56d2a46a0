//! The built-in endpoints in one table: method, pattern, what it needs, endpoint. The router, the documentation's
//! test and `OPTIONS` all read this.

use super::api_dashboard as dashboard;
use super::api_log_level as log_level;
use super::api_metrics as metrics;
use super::api_pids as pids;
use super::ctx::Endpoint;
use super::health;
use super::host::HostRoute;
use super::permission::Needs;
use super::tending;
use super::{api_auth as auth, api_deaths as deaths, api_keys as keys, api_plugins as plugins};
use super::{api_feeds as feeds, api_jobs as jobs, api_logs as logs, api_misc as misc};
use super::{api_usage as usage, api_users as users, api_webhooks as webhooks};
use crate::front::rights::Right::{Manage, Read, Write};
use crate::front::router::Router;
use crate::wire::http::Method;

/// One line of the table.
pub struct Route {
    /// The method. What answers GET answers HEAD too.
    pub method: Method,
    /// The path, with `:name` for a segment, `#name` for a number and `*name` at the end for all
    /// that follows.
    pub pattern: &'static str,
    /// What whoever asks has to have.
    pub needs: Needs,
    /// What answers.
    pub(super) endpoint: Endpoint,
}

const fn route(method: Method, pattern: &'static str, needs: Needs, endpoint: Endpoint) -> Route {
    Route { method, pattern, needs, endpoint }
}

/// Every built-in endpoint.
#[rustfmt::skip]
pub const ROUTES: &[Route] = &[
    route(Method::Get, "/", Needs::Nothing, misc::welcome),
    route(Method::Get, "/ping", Needs::Nothing, misc::ping),
    route(Method::Get, "/version", Needs::Nothing, misc::version),
    route(Method::Get, "/openapi.json", Needs::Nothing, misc::openapi),
    route(Method::Get, "/livez", Needs::Nothing, health::livez),
    route(Method::Get, "/readyz", Needs::Nothing, health::readyz),
    route(Method::Get, "/health", Needs::Nothing, health::health),
    route(Method::Get, "/metrics", Needs::All(Read), metrics::metrics),
    route(Method::Get, "/debug/counters", Needs::All(Manage), misc::counters),
    route(Method::Get, "/log-level", Needs::All(Manage), log_level::show),
    route(Method::Put, "/log-level", Needs::All(Manage), log_level::set),
    route(Method::Get, "/lookupds", Needs::All(Manage), misc::lookupds),
    route(Method::Get, "/plugins", Needs::All(Manage), plugins::all),
    route(Method::Get, "/_plugin/:name", Needs::Nothing, plugins::site),
    route(Method::Get, "/_plugin/:name/*rest", Needs::Nothing, plugins::file),
    route(Method::Get, "/_dashboard", Needs::Nothing, dashboard::folder),
    route(Method::Get, "/_dashboard/*rest", Needs::Nothing, dashboard::file),
    route(Method::Get, "/auth", Needs::Nothing, auth::login),
    route(Method::Get, "/keys", Needs::Registry, keys::all),
    route(Method::Post, "/keys", Needs::Keys, keys::create),
    route(Method::Get, "/keys/:key", Needs::OwnKey, keys::show),
    route(Method::Delete, "/keys/:key", Needs::OwnKey, keys::delete),
    route(Method::Get, "/users", Needs::Registry, users::all),
    route(Method::Post, "/users", Needs::Users, users::create),
    route(Method::Get, "/users/:user", Needs::OwnUser, users::show),
    route(Method::Put, "/users/:user", Needs::Users, users::replace),
    route(Method::Delete, "/users/:user", Needs::Users, users::delete),
    route(Method::Put, "/users/:user/password", Needs::OwnUser, users::set_password),
    route(Method::Put, "/users/:user/key", Needs::Users, users::set_key),
    route(Method::Get, "/webhooks", Needs::Admin, webhooks::all),
    route(Method::Post, "/webhooks", Needs::Admin, webhooks::add),
    route(Method::Get, "/webhooks/:hook", Needs::Admin, webhooks::show),
    route(Method::Delete, "/webhooks/:hook", Needs::Admin, webhooks::delete),
    route(Method::Post, "/webhooks/:hook/secret", Needs::Admin, webhooks::renew),
    route(Method::Post, "/webhooks/:hook/test", Needs::Admin, webhooks::test),
    route(Method::Get, "/sessions", Needs::All(Manage), jobs::sessions),
    route(Method::Get, "/jobs", Needs::All(Manage), jobs::all),
    route(Method::Get, "/jobs/:session", Needs::Session(Manage), jobs::of_session),
    route(Method::Post, "/jobs/:session", Needs::Session(Manage), jobs::load),
    route(Method::Get, "/jobs/:session/:job", Needs::Job(Read), jobs::show),
    route(Method::Put, "/jobs/:session/:job", Needs::Job(Manage), jobs::update),
    route(Method::Delete, "/jobs/:session/:job", Needs::Job(Manage), jobs::unload),
    route(Method::Get, "/jobs/:session/:job/stats", Needs::Job(Read), jobs::stats),
    route(Method::Get, "/jobs/:session/:job/numprocesses", Needs::Job(Read), jobs::number),
    route(Method::Post, "/jobs/:session/:job/numprocesses", Needs::Job(Manage), jobs::scale),
    route(Method::Get, "/jobs/:session/:job/state", Needs::Job(Read), jobs::state),
    route(Method::Post, "/jobs/:session/:job/state", Needs::Job(Manage), jobs::set_state),
    route(Method::Get, "/jobs/:session/:job/pids", Needs::Job(Read), jobs::pids),
    route(Method::Get, "/jobs/:session/:job/deaths", Needs::Job(Read), deaths::of_job),
    route(Method::Get, "/deaths", Needs::Known, deaths::all),
    route(Method::Post, "/jobs/:session/:job/signal", Needs::Job(Manage), jobs::signal),
    route(Method::Post, "/jobs/:session/:job/commit", Needs::Job(Manage), jobs::commit),
    route(Method::Post, "/jobs/:session/:job/restart", Needs::Job(Manage), jobs::restart),
    route(Method::Get, "/pids", Needs::All(Manage), pids::all),
    route(Method::Get, "/#pid", Needs::Process(Read), pids::show),
    route(Method::Delete, "/#pid", Needs::Process(Manage), pids::stop),
    route(Method::Post, "/#pid/signal", Needs::Process(Manage), pids::signal),
    route(Method::Get, "/#pid/stats", Needs::Process(Read), pids::stats),
    route(Method::Get, "/#pid/tree", Needs::Process(Read), pids::tree),
    route(Method::Get, "/#pid/channel", Needs::Within, feeds::process),
    route(Method::Get, "/#pid/channel/:label", Needs::Within, feeds::process),
    route(Method::Get, "/wstreams/#pid", Needs::Within, feeds::socket),
    route(Method::Get, "/streams/#pid/:label", Needs::Process(Read), feeds::stream),
    route(Method::Post, "/streams/#pid/:label", Needs::Process(Write), feeds::write),
    route(Method::Get, "/logs/:session/:job", Needs::Job(Read), logs::logs),
    route(Method::Get, "/logs/:session/:job/#instance", Needs::Job(Read), logs::logs),
    route(Method::Get, "/logs", Needs::All(Manage), tending::taken),
    route(Method::Post, "/logs/reopen", Needs::All(Manage), tending::reopen),
    route(Method::Delete, "/logs/:session/:job", Needs::Job(Manage), tending::clear),
    route(Method::Post, "/logs/:session/:job/rotate", Needs::Job(Manage), tending::rotate),
    route(Method::Get, "/stats", Needs::All(Read), feeds::all_stats),
    route(Method::Get, "/stats/history", Needs::Known, usage::history),
    route(Method::Get, "/stats/:session/:job", Needs::Job(Read), feeds::job_stats),
    route(Method::Get, "/watch", Needs::Events, feeds::watch),
    route(Method::Get, "/watch/:part", Needs::Events, feeds::watch),
    route(Method::Get, "/watch/:part/:part", Needs::Events, feeds::watch),
    route(Method::Get, "/watch/:part/:part/:part", Needs::Events, feeds::watch),
    route(Method::Get, "/watch/:part/:part/:part/:part", Needs::Events, feeds::watch),
];

/// Where a path leads.
#[derive(Clone, Copy)]
pub(super) enum Target {
    /// To a built-in endpoint.
    Own(&'static Route),
    /// To the host's route of this number.
    Host(usize),
}

/// The router of the built-in endpoints, below a prefix that may be empty, and of a host's own.
pub(super) fn router(prefix: &str, hosts: &[HostRoute]) -> Router<Target> {
    let mut router = Router::default();
    let own = ROUTES
        .iter()
        .map(|route| (route.method, format!("{prefix}{}", route.pattern), Target::Own(route)));
    let hosts = (0..)
        .zip(hosts)
        .map(|(number, route)| (route.method, route.pattern.clone(), Target::Host(number)));
    for (method, pattern, target) in own.chain(hosts) {
        router.add(method, &pattern, target);
        if method == Method::Get {
            router.add(Method::Head, &pattern, target);
        }
    }
    router
}
