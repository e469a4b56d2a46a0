//! The endpoints of `gaffer_lookupd` in one table: method, pattern, endpoint. The router, the
//! documentation's test and `OPTIONS` all read this.

use serde_json::json;

use super::listing::Listing;
use super::probes::{self, Probe};
use super::registry::Scope;
use crate::front::request::Request;
use crate::front::response::Response;
use crate::front::router::Router;
use crate::node::health;
use crate::supervisor::name::JobName;
use crate::wire::http::Method;
use crate::VERSION;

/// One line of the table.
pub struct Route {
    /// The method. What answers GET answers HEAD too.
    pub method: Method,
    /// The path, with `:name` for a segment.
    pub pattern: &'static str,
    endpoint: Endpoint,
}

/// One endpoint. It reaches nothing: what it answers is made of what the machine knows.
pub type Endpoint = fn(&Call<'_>) -> Result<Answer, Response>;

/// One request to an endpoint.
pub struct Call<'a> {
    /// As it came.
    pub request: &'a Request,
    /// What the route's pattern left open, in order.
    pub open: Vec<String>,
}

/// What an endpoint answers.
pub enum Answer {
    /// This.
    Now(Response),
    /// This, for as long as it takes.
    List(Box<Listing>),
    /// How it is.
    Probe(Probe),
    /// How much of everything there is.
    Counters,
    /// Who answers, and how it stands with where it knows that from.
    Welcome,
    /// A websocket to a node.
    Link,
}

const fn get(pattern: &'static str, endpoint: Endpoint) -> Route {
    Route { method: Method::Get, pattern, endpoint }
}

/// Every endpoint.
pub const ROUTES: &[Route] = &[
    get("/", |_| Ok(Answer::Welcome)),
    get("/ping", |_| Ok(Answer::Now(Response::html(200, "OK")))),
    get("/version", |_| Ok(Answer::Now(Response::json(200, &json!({"version": VERSION}))))),
    get("/livez", |_| Ok(Answer::Now(health::plain(200, "ok\n")))),
    get("/readyz", |_| Ok(Answer::Probe(Probe::Ready))),
    get("/health", |_| Ok(Answer::Probe(Probe::Health))),
    get("/metrics", probes::metrics),
    get("/debug/counters", |_| Ok(Answer::Counters)),
    get("/nodes", |_| list(Listing::nodes())),
    get("/sessions", |_| list(Listing::sessions(None))),
    get("/sessions/:node", |call| list(Listing::sessions(call.open.first().cloned()))),
    get("/jobs", |_| list(Listing::jobs(Scope::All))),
    get("/findJob", |call| {
        // What is no name is the name of no job.
        let scope = match JobName::parse(&call.value("name")?) {
            Ok(name) => Scope::Job(name.to_string().into()),
            Err(_) => Scope::Job("".into()),
        };
        list(Listing::sources(scope))
    }),
    get("/findSession", |call| list(Listing::jobs(Scope::Session(call.value("sessionid")?)))),
    get("/ws", |_| Ok(Answer::Link)),
];

fn list(listing: Listing) -> Result<Answer, Response> {
    Ok(Answer::List(Box::new(listing)))
}

/// The router of the endpoints.
pub fn router() -> Router<Endpoint> {
    let mut router = Router::default();
    for route in ROUTES {
        router.add(route.method, route.pattern, route.endpoint);
        router.add(Method::Head, route.pattern, route.endpoint);
    }
    router
}

impl Call<'_> {
    /// A value that the query has to have.
    fn value(&self, name: &str) -> Result<String, Response> {
        let bad = |detail: String| Response::error(400, Some(&detail));
        let value = self.request.query_value(name);
        let value = value.map_err(|error| bad(error.to_string()))?;
        value.ok_or_else(|| bad(format!("?{name}= is missing")))
    }
}
