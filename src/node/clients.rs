//! The node and its clients: bytes to requests, requests to endpoints, answers to bytes.

use log::debug;

use super::ctx::{Answer, Call, Ctx, Measure};
use super::gaffer::Gaffer;
use super::machine::{Effect, Usage};
use super::reply::{self, framework_error, manager_error};
use super::stats::Measured;
use super::waits::Measuring;
use crate::base::clock::Now;
use crate::base::ids::{ConnId, InstanceId, OsPid, Pid};
use crate::front::access::CorsHeaders;
use crate::front::peer::Peer;
use crate::front::request::Request;
use crate::front::response::Response;
use crate::front::router::Found;
use crate::supervisor::tables::Refusal;
use crate::wire::http::Method;

impl Gaffer {
    /// Serves whole requests of a connection, as long as each can be answered at once.
    pub(super) fn serve(&mut self, id: ConnId, now: Now) {
        while let Some(client) = self.clients.get_mut(id) {
            let Some(request) = client.conn.take_request() else { break };
            let peer = client.peer;
            let (answer, cors) = self.handle(&request, peer, now);
            debug!("{peer} {} {}", request.method.name(), request.path);
            if let Some(client) = self.clients.get_mut(id) {
                client.cors = cors;
            }
            match answer {
                Answer::Now(response) => self.give(id, response, now),
                Answer::When(wait) => {
                    self.waits.park(id, wait, now);
                    break;
                }
                Answer::Measure(measure) => {
                    let targets = self.targets(&measure);
                    if !targets.is_empty() {
                        self.measure(id, measure, targets);
                        break;
                    }
                    // Nobody to ask: what is told is that nothing runs.
                    let response = self.told(&measure, &[]);
                    self.give(id, response, now);
                }
            }
        }
        self.clients.touch(id);
    }

    fn handle(&mut self, request: &Request, peer: Peer, now: Now) -> (Answer, CorsHeaders) {
        let cors = match self.access.check(request, peer) {
            Ok(cors) => cors,
            Err(refused) => return (refused.into(), Vec::new()),
        };
        // What has ended in this turn is seen whole, with its last words.
        self.close_books();
        let answer = self.route(request, now).unwrap_or_else(Answer::from);
        (answer, cors)
    }

    fn route(&mut self, request: &Request, now: Now) -> Result<Answer, Response> {
        if request.method == Method::Options && request.path == "*" {
            return Ok(Response::empty(204).into());
        }
        let segments =
            request.segments().map_err(|error| reply::bad_request(&error.to_string()))?;
        let (endpoint, open) = match self.routes.find(request.method, &segments) {
            Found::Endpoint(endpoint, open) => (*endpoint, open),
            Found::WrongMethod(allowed) => return Err(wrong_method(request, &allowed)),
            Found::Nothing => return Err(framework_error(404, "not_found")),
        };
        let degraded = self.state.is_degraded();
        let mut ctx = Ctx { supervisor: &mut self.supervisor, now, degraded };
        endpoint(&mut ctx, &Call { request, open })
    }

    /// Answers a parked request.
    pub(super) fn answer(&mut self, id: ConnId, response: Response, now: Now) {
        self.give(id, response, now);
        self.serve(id, now);
    }

    /// Answers the request that was taken last, with what its origin has to see.
    fn give(&mut self, id: ConnId, mut response: Response, now: Now) {
        let Some(client) = self.clients.get_mut(id) else { return };
        response.headers.append(&mut client.cors);
        client.conn.answer(response, now);
    }

    fn measure(&mut self, id: ConnId, measure: Measure, targets: Vec<(InstanceId, Pid, OsPid)>) {
        let orders = targets.iter().map(|(_, _, os_pid)| *os_pid).collect();
        let ticket = self.waits.measure(id, Measuring { measure, targets });
        self.effects.push(Effect::Sample { ticket, targets: orders, keep: false });
    }

    fn targets(&self, measure: &Measure) -> Vec<(InstanceId, Pid, OsPid)> {
        let live = match measure {
            Measure::Job(name) => self.supervisor.live_instances(name).unwrap_or_default(),
            Measure::Process(pid) => {
                let id = self.supervisor.instance_id(*pid);
                id.map(|id| vec![(id, *pid)]).unwrap_or_default()
            }
        };
        let with_os_pid = |(id, pid)| Some((id, pid, self.supervisor.os_pid(id)?));
        live.into_iter().filter_map(with_os_pid).collect()
    }

    /// Answers the request for which this was measured.
    pub(super) fn note_sampled(&mut self, ticket: u64, usages: &[Option<Usage>], now: Now) {
        let Some((conn, measuring)) = self.waits.measured(ticket) else { return };
        let mut measured = Vec::with_capacity(measuring.targets.len());
        let usages = usages.iter().copied().chain(std::iter::repeat(None));
        for ((id, pid, os_pid), usage) in measuring.targets.into_iter().zip(usages) {
            let started =
                self.supervisor.instance(id).and_then(|i| i.run.as_ref()).map(|r| r.started);
            let cpu = match usage.zip(started) {
                Some((usage, started)) => self.stats.cpu(id, pid, usage, (now.mono, started.mono)),
                None => 0.0,
            };
            measured.push(Measured { pid, os_pid, usage, cpu });
        }
        let response = self.told(&measuring.measure, &measured);
        self.answer(conn, response, now);
    }

    fn told(&self, measure: &Measure, measured: &[Measured]) -> Response {
        match measure {
            Measure::Job(name) => reply::value(&self.stats.job(&name.to_string(), measured)),
            Measure::Process(_) => match measured.first() {
                Some(one) => reply::value(&serde_json::json!({"stats": self.stats.process(one)})),
                None => manager_error(&Refusal::NotFound),
            },
        }
    }

    pub(super) fn drop_client(&mut self, id: ConnId) {
        self.clients.remove(id);
        self.waits.forget(id);
    }
}

/// 204 for `OPTIONS`, which every path answers, else 405. Both say what is allowed.
fn wrong_method(request: &Request, allowed: &[Method]) -> Response {
    let mut names: Vec<String> = allowed.iter().map(|method| method.name().to_owned()).collect();
    names.push(Method::Options.name().to_owned());
    let mut response = match request.method {
        Method::Options => Response::empty(204),
        Method::Get
        | Method::Head
        | Method::Post
        | Method::Put
        | Method::Delete
        | Method::Patch
        | Method::Trace => framework_error(405, "Method Not Allowed"),
    };
    response.headers.push(("Allow", names.join(", ")));
    response
}
