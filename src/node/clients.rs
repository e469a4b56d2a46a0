//! The node and its clients: bytes to requests, requests to endpoints, answers to bytes.

use std::rc::Rc;

use log::debug;

use super::admission::{audit, path_told};
use super::channel;
use super::ctx::{Answer, Call, Ctx};
use super::gaffer::Gaffer;
use super::keys::caller::Caller;
use super::keys::door::Refused;
use super::measuring::measured_response;
use super::openapi;
use super::permission::{Needs, World};
use super::reply;
use super::routes::Target;
use super::waits::Asker;
use super::writers::{written_response, Writer};
use crate::base::clock::Now;
use crate::base::ids::ConnId;
use crate::front::access::CorsHeaders;
use crate::front::peer::Peer;
use crate::front::refusals::wrong_method;
use crate::front::request::Request;
use crate::front::response::Response;
use crate::front::router::Found;
use crate::wire::http::Method;

/// What becomes of a request, and who sent it.
struct Handled {
    answer: Answer,
    cors: CorsHeaders,
    caller: Option<Rc<Caller>>,
}

impl From<Answer> for Handled {
    fn from(answer: Answer) -> Self {
        Self { answer, cors: Vec::new(), caller: None }
    }
}

/// Whether a request may change something.
fn changes(request: &Request) -> bool {
    matches!(request.method, Method::Post | Method::Put | Method::Delete | Method::Patch)
}

/// What a request may change, in words for the audit.
fn change_told(caller: &Caller, request: &Request, prefix: &[String]) -> String {
    format!("{} {} {}", caller.who, request.method.name(), path_told(request, prefix))
}

/// The answer to somebody who has to say a key.
pub(super) fn demand(refused: Refused) -> Response {
    match refused {
        Refused::Nobody => Response::error(401, Some("a key is asked for: say it in X-Api-Key")),
        Refused::Stranger => {
            Response::error(403, Some("the key is not known, or not good any more"))
        }
    }
}

/// The answer to somebody who would be one too many of those who have not said who they are.
fn no_place() -> Response {
    let detail = "too many sessions have said no key; say it in X-Api-Key, or try again later";
    Response::error(503, Some(detail)).with("Retry-After", "5")
}

impl Gaffer {
    /// Serves whole requests of a connection, as long as each can be answered at once.
    pub(super) fn serve(&mut self, id: ConnId, now: Now) {
        while let Some(client) = self.clients.get_mut(id) {
            let Some(request) = client.conn.take_request() else { break };
            let peer = client.peer;
            let heard = self.hear(id, peer, &request, now);
            if !self.give_answer(id, request, heard, now) {
                break;
            }
        }
        self.clients.touch(id);
    }

    /// Gives an answer, or begins with what it needs; whether the next request can be served.
    fn give_answer(
        &mut self,
        id: ConnId,
        request: Request,
        (answer, caller): (Answer, Option<Rc<Caller>>),
        now: Now,
    ) -> bool {
        match answer {
            Answer::Now(response) => self.give(id, response, now),
            Answer::When(wait) => {
                self.waits.park(id, wait, now);
                return false;
            }
            Answer::Measure(measure) => match self.measure(Asker::Conn(id), measure) {
                Some(told) => self.give(id, measured_response(told), now),
                None => return false,
            },
            Answer::Follow(follow) => self.follow(id, follow, caller, now),
            Answer::Open(opening) => self.open(id, &request, opening, now),
            Answer::Hash(hashing) => return !self.hash(id, hashing, now),
            Answer::Write(writing) => match self.write(Writer::Conn(id), writing) {
                Some(done) => self.give(id, written_response(done), now),
                None => return false,
            },
            Answer::Kept(channel, since) => {
                let kept = self.kept(&channel, since);
                self.give(id, kept, now);
            }
            Answer::Logs(wish) => return !self.begin_logs(id, *wish, caller, now),
            Answer::Tend(wish) => {
                self.tend(id, wish);
                return false;
            }
            Answer::File(file) => return !self.send_file(id, request, file, now),
            Answer::Lookups => {
                let view = self.lookups_view(now);
                self.give(id, reply::value(&view), now);
            }
            Answer::TestWebhook(hook) => match self.test_webhook(id, &hook, now) {
                Ok(()) => return false,
                Err(refused) => self.give(id, refused, now),
            },
            Answer::Forward(forwarding) => {
                self.forward(id, forwarding, now);
                return false;
            }
            Answer::Document => {
                let document = self.document();
                self.give(id, document, now);
            }
            Answer::Dashboard(name) => self.give(id, self.dashboard(&name, &request), now),
            Answer::LogLevel(wish) => {
                let told = self.ask_log_level(wish);
                self.give(id, told, now);
            }
            Answer::Metrics(dialect) => return !self.scrape(id, dialect, now),
            Answer::Probe(probe) => {
                let told = self.probe(probe, now);
                self.give(id, told, now);
            }
            Answer::Counters => self.give(id, reply::value(&self.counters()), now),
            Answer::Channel(rest) => {
                self.channel.request(id, &request, &rest, &mut self.clients, now);
            }
        }
        true
    }

    /// Finds the answer to a request, and notes what goes out with it.
    fn hear(
        &mut self,
        id: ConnId,
        peer: Peer,
        request: &Request,
        now: Now,
    ) -> (Answer, Option<Rc<Caller>>) {
        debug!("{peer} {} {}", request.method.name(), path_told(request, &self.prefix));
        let Handled { answer, cors, caller } = match self.channel_rest(request) {
            Some(rest) => self.let_in(request, peer, rest, now),
            None => self.handle(request, peer, now),
        };
        if let Some(client) = self.clients.get_mut(id) {
            client.cors = cors;
            let changer = caller.as_ref().filter(|_| changes(request));
            client.audited = changer.map(|caller| change_told(caller, request, &self.prefix));
        }
        (answer, caller)
    }

    /// Whether a request goes on to the channel, and with what.
    fn let_in(&mut self, request: &Request, peer: Peer, rest: Vec<String>, now: Now) -> Handled {
        match self.access.admit(request, peer) {
            Ok(cors) if self.has_no_place_for(request, peer, &rest, now) => {
                Handled { cors, ..Answer::from(no_place()).into() }
            }
            Ok(cors) => Handled { cors, ..Answer::Channel(rest).into() },
            Err(refused) => Answer::from(refused).into(),
        }
    }

    /// What there is to ask. It is made once.
    fn document(&mut self) -> Response {
        let prefix = &self.prefix;
        self.document.get_or_insert_with(|| openapi::answer(prefix)).clone()
    }

    /// A connection changed: whatever has become of it is served.
    pub(super) fn changed(&mut self, id: ConnId, now: Now) {
        if self.channel.owns(id) {
            self.channel.conn_changed(id, &mut self.clients, now);
        } else if self.sendings.is_sent(id) {
            self.read_on(id);
        } else if self.readers.reads(id) {
            self.read_logs_on(id);
        } else if let Some(feed) = self.feeds.get(id) {
            if feed.form.is_socket() {
                self.hear_socket(id, now);
            } else {
                self.flush_feed(id, now);
            }
        } else if self.forwards.serves(id) {
            self.go_on_for(id, now);
        }
        self.serve(id, now);
    }

    /// The rest of a path that leads to the channel.
    fn channel_rest(&self, request: &Request) -> Option<Vec<String>> {
        let mut segments = request.segments().ok()?;
        let below = segments.strip_prefix(self.prefix.as_slice())?;
        let leads = below.first().is_some_and(|first| first == channel::PREFIX);
        leads.then(|| segments.split_off(self.prefix.len() + 1))
    }

    fn handle(&mut self, request: &Request, peer: Peer, now: Now) -> Handled {
        let cors = match self.access.check(request, peer) {
            Ok(cors) => cors,
            Err(refused) => return Answer::from(refused).into(),
        };
        // What has ended in this turn is seen whole, with its last words.
        self.close_books(now);
        let mut caller = None;
        let answer = self.route(request, peer, &mut caller, now).unwrap_or_else(Answer::from);
        self.keep_door(now);
        self.keep_webhooks(now);
        Handled { answer, cors, caller }
    }

    fn route(
        &mut self,
        request: &Request,
        peer: Peer,
        asks: &mut Option<Rc<Caller>>,
        now: Now,
    ) -> Result<Answer, Response> {
        if request.method == Method::Options && request.path == "*" {
            return Ok(Response::empty(204).into());
        }
        let segments =
            request.segments().map_err(|error| reply::bad_request(&error.to_string()))?;
        if let Some(answer) = self.route_program((request, peer), &segments, asks, now) {
            return answer;
        }
        let (target, open) = match self.routes.find(request.method, &segments) {
            Found::Endpoint(target, open) => (*target, open),
            Found::WrongMethod(allowed) => return Err(wrong_method(request, &allowed)),
            Found::Nothing => return Err(self.of_no_route(request, peer, asks, now)),
        };
        let needs = match target {
            Target::Own(route) => route.needs,
            Target::Host(number) => self.apps.routes[number].needs,
        };
        let doc = match target {
            Target::Own(route) if cfg!(debug_assertions) => {
                openapi::documented(route.method, route.pattern)
            }
            Target::Own(_) | Target::Host(_) => None,
        };
        let call = Call { request, peer, open, doc };
        let caller = self.let_by(&call, needs, asks, now)?;
        let route = match target {
            Target::Own(route) => route,
            Target::Host(number) => {
                return Ok(self.ask_host(number, (request, &call.open), &caller, now).into());
            }
        };
        let degraded = self.state.is_degraded();
        let (supervisor, door) = (&mut self.supervisor, &mut self.door);
        let webhooks = &mut self.webhooks;
        let (plugins, programs) = (&self.plugins, &self.programs);
        let caller = &caller;
        let usages = &self.usages;
        let mut ctx =
            Ctx { supervisor, door, webhooks, plugins, programs, usages, caller, now, degraded };
        (route.endpoint)(&mut ctx, &call)
    }

    /// Who asks, if he may ask what needs this; he is told in the audit in any case.
    ///
    /// # Errors
    /// The answer to give instead.
    pub(super) fn let_by(
        &self,
        call: &Call<'_>,
        needs: Needs,
        asks: &mut Option<Rc<Caller>>,
        now: Now,
    ) -> Result<Rc<Caller>, Response> {
        let caller = match (self.caller(call.request, call.peer, now), needs) {
            (Ok(caller), _) => caller,
            (Err(_), Needs::Nothing | Needs::Within) => Caller::nobody(),
            (Err(refused), _) => return Err(demand(refused)),
        };
        *asks = Some(Rc::clone(&caller));
        let world = World { supervisor: &self.supervisor, door: &self.door };
        match world.permits(&caller, needs, call)? {
            true => Ok(caller),
            false => Err(Response::error(403, Some("the key does not permit this"))),
        }
    }

    /// What is answered for a path that no route has: what an application of the host says, to one who is
    /// let in.
    fn of_no_route(
        &mut self,
        request: &Request,
        peer: Peer,
        asks: &mut Option<Rc<Caller>>,
        now: Now,
    ) -> Response {
        if !self.has_apps() {
            return Response::error(404, None);
        }
        let caller = match self.caller(request, peer, now) {
            Ok(caller) => caller,
            Err(refused) => return demand(refused),
        };
        *asks = Some(Rc::clone(&caller));
        let said = self.ask_apps(request, &caller, now);
        said.unwrap_or_else(|| Response::error(404, None))
    }

    /// Answers a parked request.
    pub(super) fn answer(&mut self, id: ConnId, response: Response, now: Now) {
        self.give(id, response, now);
        self.serve(id, now);
    }

    /// Answers the request that was taken last, with what its origin has to see.
    pub(super) fn give(&mut self, id: ConnId, response: Response, now: Now) {
        let Some(response) = self.dressed(id, response) else { return };
        let Some(client) = self.clients.get_mut(id) else { return };
        client.conn.answer(response, now);
    }

    /// The same for an answer whose body follows, to this length if that is known; whether it does.
    pub(super) fn begin_answer(
        &mut self,
        id: ConnId,
        response: Response,
        length: Option<u64>,
        now: Now,
    ) -> bool {
        let Some(response) = self.dressed(id, response) else { return false };
        let begun = self.clients.change(id, |conn| match length {
            Some(length) => conn.begin_sized(response, length, now),
            None => conn.begin(response, now) && conn.is_live(),
        });
        begun == Some(true)
    }

    /// The same for a body that comes to an end by itself.
    pub(super) fn begin_finite(&mut self, id: ConnId, response: Response, now: Now) -> bool {
        let Some(response) = self.dressed(id, response) else { return false };
        self.clients.change(id, |conn| conn.begin_finite(response, now)) == Some(true)
    }

    /// An answer with all that those see who asked for it, told in the audit if they may have changed
    /// something.
    fn dressed(&mut self, id: ConnId, mut response: Response) -> Option<Response> {
        let client = self.clients.get_mut(id)?;
        let class = usize::from(response.status / 100).wrapping_sub(1);
        if let Some(count) = self.answered.get_mut(class) {
            *count += 1;
        }
        response.headers.append(&mut client.cors);
        let here =
            |(name, value): &&mut (&str, String)| *name == "Location" && value.starts_with('/');
        if let Some((_, place)) = response.headers.iter_mut().find(here) {
            place.insert_str(
                0,
                &self.prefix.iter().map(|part| format!("/{part}")).collect::<String>(),
            );
        }
        if let Some(what) = client.audited.take() {
            audit(&what, client.peer, response.status);
        }
        Some(response)
    }

    pub(super) fn drop_client(&mut self, id: ConnId, now: Now) {
        self.channel.conn_gone(id, &mut self.clients, now);
        self.clients.remove(id);
        self.drop_feed(id);
        self.forget_forward(id);
        self.forget_file(id);
        self.forget_reader(id);
        self.waits.forget(id);
        self.forget_writers(|writer| *writer == Writer::Conn(id));
    }
}
