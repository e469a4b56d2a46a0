//! Who is let in, and for how long: callers of requests and sessions, what is done when a password is
//! hashed, what of keys and users is written down, and who is sent away because his key is gone. And the
//! audit: a line of the log for each change, with who made it.

use std::rc::Rc;
use std::time::{Instant, SystemTime};

use log::info;
use serde_json::json;

use super::api_auth::{busy, logged_in, not_logged_in};
use super::api_users::too_many_users;
use super::clients::demand;
use super::ctx::Hashing;
use super::feeds::End;
use super::gaffer::Gaffer;
use super::keys::caller::Caller;
use super::keys::door::{NotPut, Refused, Then};
use super::keys::key::{hash, KeyId};
use super::keys::user::User;
use super::machine::Effect;
use super::reply;
use crate::base::clock::Now;
use crate::base::ids::{ConnId, SessionId};
use crate::base::limits;
use crate::base::sorted::SortedMap;
use crate::base::timers::Timers;
use crate::front::passwords::{is_outdated, Outcome};
use crate::front::peer::Peer;
use crate::front::request::Request;
use crate::front::response::Response;
use crate::wire::http::Method;

/// Somebody who stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Guest {
    /// A session of the channel.
    Session(SessionId),
    /// A connection that follows something, or speaks with a process.
    Conn(ConnId),
}

/// All who stay. Each is somebody, or has not said yet who he is and has a little time for that.
#[derive(Default)]
pub(super) struct Guests {
    guests: SortedMap<Guest, Option<Rc<Caller>>>,
    timers: Timers<Guest>,
}

impl Guests {
    /// Somebody comes, of whom this is known.
    pub(super) fn come(&mut self, guest: Guest, caller: Option<Rc<Caller>>, now: Now) {
        match &caller {
            None => self.timers.set(guest, now.mono + limits::AUTHENTICATE),
            Some(caller) => self.watch(guest, caller.expires, now),
        }
        self.guests.insert(guest, caller);
    }

    /// Looks at somebody again when his time should be over.
    fn watch(&mut self, guest: Guest, expires: Option<SystemTime>, now: Now) {
        let left = expires.map(|end| end.duration_since(now.wall).unwrap_or_default());
        match left.and_then(|left| now.mono.checked_add(left)) {
            Some(at) => self.timers.set(guest, at),
            None => drop(self.timers.cancel(guest)),
        }
    }

    /// Who somebody is; the outer `None` for nobody who stays, the inner one for somebody who has not
    /// said so.
    pub(super) fn get(&self, guest: Guest) -> Option<Option<&Rc<Caller>>> {
        self.guests.get(&guest).map(Option::as_ref)
    }

    /// Somebody goes.
    pub(super) fn go(&mut self, guest: Guest) {
        self.guests.remove(&guest);
        self.timers.cancel(guest);
    }

    /// When somebody's time may be over.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// Checks that everybody is there, and that whoever has not said who he is has to.
    ///
    /// # Errors
    /// The first for whom it is not so, in words.
    pub(super) fn sweep(&self, is_there: impl Fn(Guest) -> bool) -> Result<(), String> {
        for (guest, caller) in &self.guests {
            if !is_there(*guest) {
                return Err(format!("{guest:?} is gone and still a guest"));
            }
            if caller.is_none() && self.timers.due_at(*guest).is_none() {
                return Err(format!("{guest:?} has all time to say who he is"));
            }
        }
        Ok(())
    }
}

/// A path as the log may have it: a key that is named there by its secret is told by its id. The node's own
/// endpoints are below these segments.
pub(super) fn path_told(request: &Request, prefix: &[String]) -> String {
    let Ok(segments) = request.segments() else { return "a path without a text".into() };
    let below = segments.strip_prefix(prefix).and_then(<[String]>::split_first);
    match below {
        Some((first, rest)) if first == "keys" => {
            let told = rest.iter().map(|named| match named.len() {
                // No key is as short as its id.
                0..=16 => format!("/{named}"),
                _ => format!("/{}", KeyId::of(&hash(named))),
            });
            format!("/keys{}", told.collect::<String>())
        }
        Some(_) | None => request.path.clone(),
    }
}

/// The answer to a change of a user that is not made any more.
fn not_put(why: NotPut) -> Response {
    match why {
        NotPut::Stranger => demand(Refused::Stranger),
        NotPut::Gone => Response::error(404, None),
        NotPut::There => Response::error(409, Some("there is a user of this name")),
        NotPut::TooMany => Response::error(409, Some(&too_many_users())),
        NotPut::Changed => Response::error(409, Some("the user was changed meanwhile")),
    }
}

/// Why somebody who stays is sent away.
const KEY_IS_GONE: &str = "the key is not good any more, or one is asked for now";

impl Gaffer {
    /// Who sends a request.
    ///
    /// # Errors
    /// A key is asked for, and none that is good was said.
    pub(super) fn caller(
        &self,
        request: &Request,
        peer: Peer,
        now: Now,
    ) -> Result<Rc<Caller>, Refused> {
        self.door.caller(request.key(), peer, now.wall)
    }

    /// Whether a request would begin a session of the channel, its client says no key that is good, and
    /// too many such sessions are there.
    pub(super) fn has_no_place_for(
        &self,
        request: &Request,
        peer: Peer,
        rest: &[String],
        now: Now,
    ) -> bool {
        // A browser asks for leave without the key that it will say.
        let asks_leave = request.method == Method::Options;
        if asks_leave || !self.channel.begins(rest) || self.caller(request, peer, now).is_ok() {
            return false;
        }
        let known = self.guests.guests.iter();
        let known =
            known.filter(|(guest, caller)| matches!(guest, Guest::Session(_)) && caller.is_some());
        self.channel.len() >= limits::SOCKJS_STRANGERS + known.count()
    }

    /// Hashes a password, and does something then.
    pub(super) fn hash(&mut self, conn: ConnId, hashing: Hashing, now: Now) -> bool {
        let Hashing { task, then } = hashing;
        let Some(ticket) = self.door.wait(conn, then) else {
            self.give(conn, busy(), now);
            return false;
        };
        self.effects.push(Effect::Hash { ticket, task });
        true
    }

    /// A password is hashed, or held against its hash.
    pub(super) fn note_hashed(&mut self, ticket: u64, outcome: Outcome, now: Now) {
        let Some((conn, then)) = self.door.hashed(ticket) else { return };
        let answer = match (then, outcome) {
            (_, Outcome::Failed(reason)) => Some(Response::error(500, Some(&reason))),
            (Then::Login { name, password, stored, from }, Outcome::Checked(true)) => {
                let is = self.door.users.get(&name).map(|user| &user.password);
                Some(if is == stored.as_ref() {
                    self.door.forgive(&name, &from);
                    self.log_in(conn, &name, password, now)
                } else {
                    not_logged_in()
                })
            }
            (Then::Login { .. }, Outcome::Checked(false)) => Some(not_logged_in()),
            (Then::Put(put), Outcome::Made(password)) => {
                let done = self.door.put(*put, password, now.wall);
                Some(done.map_or_else(not_put, |()| reply::ok(200)))
            }
            (Then::Upgrade { name, old }, Outcome::Made(password)) => {
                let user = self.door.users.get(&name).filter(|user| user.password == old);
                if let Some(user) = user.cloned() {
                    self.door.put_user(&name, User { password, ..user });
                }
                None
            }
            // What was asked for is what is told.
            (Then::Login { .. }, Outcome::Made(_)) | (_, Outcome::Checked(_)) => None,
        };
        self.keep_door(now);
        if let Some(answer) = answer {
            self.answer(conn, answer, now);
        }
    }

    fn log_in(&mut self, conn: ConnId, name: &str, password: String, now: Now) -> Response {
        let stored = self.door.users.get(name).map(|user| user.password.clone());
        if let Some(old) = stored.filter(|stored| is_outdated(stored)) {
            let task = self.door.hashing(password);
            let then = Then::Upgrade { name: name.to_owned(), old };
            if let Some(ticket) = self.door.wait(conn, then) {
                self.effects.push(Effect::Hash { ticket, task });
            }
        }
        // Nobody gets a key that he could not be told.
        let there = self.clients.get(conn).is_some_and(|client| !client.conn.is_finished());
        let key = if there { self.door.login(name, now.wall) } else { None };
        logged_in(key.as_deref())
    }

    /// Writes down what changed of keys and users, and sends those away who lost their key.
    pub(super) fn keep_door(&mut self, now: Now) {
        let changes = self.door.take_changes();
        for id in changes.keys {
            let value = self.door.keys.get(&id).map(|key| key.to_value());
            self.state.key(&id.to_string(), value, &mut self.effects);
        }
        for name in changes.users {
            let value = self.door.users.get(&name).map(User::to_value);
            self.state.user(&name, value, &mut self.effects);
        }
        if !changes.gone.is_empty() {
            self.send_away(now);
        }
    }

    /// Sends those away who would not be let in any more as who they are.
    pub(super) fn send_away(&mut self, now: Now) {
        let lost = |caller: &Option<Rc<Caller>>| {
            caller.as_ref().is_some_and(|caller| !self.door.is_good(caller, now.wall))
        };
        let guests = self.guests.guests.iter().filter(|(_, caller)| lost(caller));
        let guests: Vec<Guest> = guests.map(|(guest, _)| *guest).collect();
        for guest in guests {
            self.dismiss(guest, KEY_IS_GONE, now);
        }
    }

    /// Time has passed for those who stay.
    pub(super) fn pass_guests_time(&mut self, now: Now) {
        while let Some(guest) = self.guests.timers.pop_due(now.mono) {
            match self.guests.guests.get(&guest) {
                Some(Some(caller)) if self.door.is_good(caller, now.wall) => {
                    // The wall clock was set back.
                    let expires = caller.expires;
                    self.guests.watch(guest, expires, now);
                }
                Some(Some(_)) => self.dismiss(guest, KEY_IS_GONE, now),
                Some(None) => self.demand_key(guest, Refused::Nobody, now),
                None => {}
            }
        }
    }

    /// Tells somebody that a key is asked for, and sends him away.
    pub(super) fn demand_key(&mut self, guest: Guest, refused: Refused, now: Now) {
        match guest {
            Guest::Session(session) => {
                let text = crate::wire::channel::auth_required(refused == Refused::Stranger);
                self.reply(session, text, now);
            }
            Guest::Conn(conn) => {
                let body = json!({"error": "AUTH_REQUIRED", "errno": 403});
                let text = crate::wire::json::text(&body);
                self.feeds.reply(conn, crate::wire::frame::Kind::Error, "gaffer_error", &text);
            }
        }
        self.dismiss(guest, "a key is asked for", now);
    }

    fn dismiss(&mut self, guest: Guest, reason: &str, now: Now) {
        self.guests.go(guest);
        match guest {
            Guest::Session(session) => {
                self.channel.close(session, 1008, reason, &mut self.clients, now);
            }
            Guest::Conn(conn) if self.readers.reads(conn) => self.end_reader(conn, now),
            Guest::Conn(conn) => {
                self.feeds.end(conn, End::because(1008, reason));
                self.flush_feed(conn, now);
            }
        }
    }
}

/// Writes down that somebody changed something, or may not.
pub(super) fn audit(what: &str, peer: Peer, status: u16) {
    info!("audit: {what} from {peer}: {status}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::http::{Headers, Version};

    #[test]
    fn a_key_that_a_path_names_by_its_secret_is_told_by_its_id() {
        let (secret, prefix) = ("0123456789abcdef0123456789abcdef", ["gaffer".to_owned()]);
        let id = KeyId::of(&hash(secret)).to_string();
        let told = |path: String, prefix: &[String]| {
            let (method, version, headers) = (Method::Get, Version::Http11, Headers::default());
            let (query, authority, body) = (None, None, Vec::new());
            let request = Request { method, path, query, authority, version, headers, body };
            path_told(&request, prefix)
        };
        assert_eq!(told(format!("/keys/{secret}"), &[]), format!("/keys/{id}"));
        assert_eq!(told(format!("/gaffer/keys/{secret}"), &prefix), format!("/keys/{id}"));
        assert_eq!(told(format!("/keys/{id}"), &[]), format!("/keys/{id}"));
        assert_eq!(told("/gaffer/jobs/a".into(), &prefix), "/gaffer/jobs/a");
    }
}
