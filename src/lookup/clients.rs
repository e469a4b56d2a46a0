//! The lookupd and its clients: requests to endpoints, answers to bytes, and answers that go on.

use log::debug;
use serde_json::json;

use super::following::PREFIX;
use super::listing::Listing;
use super::lookupd::Lookupd;
use super::routes::{Answer, Call};
use crate::base::clock::Now;
use crate::base::ids::ConnId;
use crate::base::limits;
use crate::front::refusals::wrong_method;
use crate::front::request::Request;
use crate::front::response::Response;
use crate::front::router::Found;
use crate::wire::http::Method;
use crate::VERSION;

impl Lookupd {
    /// Serves whole requests of a connection, as long as each can be answered at once.
    pub(super) fn serve(&mut self, conn: ConnId, now: Now) {
        while let Some(client) = self.clients.get_mut(conn) {
            let Some(request) = client.conn.take_request() else { break };
            let peer = client.peer;
            debug!("{peer} {} {}", request.method.name(), request.path);
            let stream = stream_rest(&request);
            let admitted = match &stream {
                Some(_) => self.access.admit(&request, peer),
                None => self.access.check(&request, peer),
            };
            let cors = match admitted {
                Ok(cors) => cors,
                Err(refused) => {
                    client.cors = Vec::new();
                    self.give(conn, refused, now);
                    continue;
                }
            };
            client.cors = cors;
            if let Some(rest) = stream {
                self.stream.request(conn, &request, &rest, &mut self.clients, now);
                continue;
            }
            match self.route(&request) {
                Ok(Answer::Now(response)) | Err(response) => self.give(conn, response, now),
                Ok(Answer::Probe(probe)) => self.give(conn, self.probe(probe, now), now),
                Ok(Answer::Counters) => {
                    let counters = Response::json(200, &self.counters());
                    self.give(conn, counters, now);
                }
                Ok(Answer::Welcome) => {
                    let mut welcome = json!({"welcome": "gaffer-lookupd", "version": VERSION});
                    if let Some(store) = &self.store {
                        welcome["store"] = store.view(now);
                    }
                    self.give(conn, Response::json(200, &welcome), now);
                }
                Ok(Answer::List(listing)) => match self.incomplete(now) {
                    Some(refused) => self.give(conn, refused, now),
                    None => self.list(conn, *listing, now),
                },
                Ok(Answer::Link) => self.link(conn, &request, now),
            }
        }
        self.clients.touch(conn);
    }

    fn route(&self, request: &Request) -> Result<Answer, Response> {
        if request.method == Method::Options && request.path == "*" {
            return Err(Response::empty(204));
        }
        let segments = request.segments();
        let segments = segments.map_err(|error| Response::error(400, Some(&error.to_string())))?;
        match self.routes.find(request.method, &segments) {
            Found::Endpoint(endpoint, open) => endpoint(&Call { request, open }),
            Found::WrongMethod(allowed) => Err(wrong_method(request, &allowed)),
            Found::Nothing => Err(Response::error(404, None)),
        }
    }

    /// Answers the request that was taken last, with what its origin has to see.
    pub(super) fn give(&mut self, conn: ConnId, mut response: Response, now: Now) {
        let Some(client) = self.clients.get_mut(conn) else { return };
        response.headers.append(&mut client.cors);
        client.conn.answer(response, now);
    }

    /// Answers with a list: whole if it is small, and else with its beginning.
    fn list(&mut self, conn: ConnId, mut listing: Listing, now: Now) {
        let mut text = String::new();
        let done = listing.write(&self.registry, limits::LOOKUP_ANSWER, &mut text);
        let mut response = Response::empty(200).with("Content-Type", "application/json");
        if done {
            response.body = text.into_bytes();
            return self.give(conn, response, now);
        }
        let Some(client) = self.clients.get_mut(conn) else { return };
        response.headers.append(&mut client.cors);
        let response = response.with("Cache-Control", "no-store");
        if client.conn.begin(response, now) && client.conn.is_live() {
            client.conn.stream(&[text.as_bytes()], now);
            self.listings.insert(conn, listing);
            if text.len() < limits::LOOKUP_ANSWER {
                self.interrupt(conn, now);
            }
        }
    }

    /// Goes on with an answer, as far as there is room for it.
    pub(super) fn go_on(&mut self, conn: ConnId, now: Now) {
        self.interrupted.cancel(conn);
        let (Some(client), Some(listing)) =
            (self.clients.get_mut(conn), self.listings.get_mut(&conn))
        else {
            return;
        };
        while client.conn.has_room() {
            let mut text = String::new();
            let done = listing.write(&self.registry, limits::LOOKUP_AHEAD, &mut text);
            client.conn.stream(&[text.as_bytes()], now);
            if done {
                client.conn.end_stream(now);
                self.listings.remove(&conn);
                return;
            }
            if text.len() < limits::LOOKUP_AHEAD {
                return self.interrupt(conn, now);
            }
        }
        if !client.conn.is_live() {
            self.listings.remove(&conn);
        }
    }

    /// There was more to look at than to tell: the others have their turn.
    fn interrupt(&mut self, conn: ConnId, now: Now) {
        self.interrupted.set(conn, now.mono);
    }

    /// Nobody reads an answer any more.
    pub(super) fn drop_listing(&mut self, conn: ConnId) {
        self.listings.remove(&conn);
        self.interrupted.cancel(conn);
    }
}

/// The rest of a path that leads to the event stream.
fn stream_rest(request: &Request) -> Option<Vec<String>> {
    let mut segments = request.segments().ok()?;
    let leads = segments.first().is_some_and(|first| first == PREFIX);
    leads.then(|| segments.split_off(1))
}
