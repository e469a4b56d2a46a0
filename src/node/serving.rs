//! The node sends files of sites: what is read comes piece by piece, as their clients take it.

use log::debug;

use super::gaffer::Gaffer;
use super::machine::Effect;
use super::plugins::answer::{self, Told};
use super::plugins::file::{Unopened, Unread, Wanted, What};
use super::plugins::sending::{Asked, Progress};
use crate::base::clock::Now;
use crate::base::ids::ConnId;
use crate::front::request::Request;
use crate::front::response::Response;

impl Gaffer {
    /// Begins to send a file; false where it is refused at once.
    pub(super) fn send_file(
        &mut self,
        conn: ConnId,
        request: Request,
        file: Wanted,
        now: Now,
    ) -> bool {
        let name = file.names.last().cloned().unwrap_or_default();
        if self.sendings.is_full() {
            match self.sendings.stalled(now) {
                Some(other) => self.break_off(other, "it makes room for others"),
                None => {
                    let busy = Response::error(503, Some("too many files are being sent"));
                    self.give(conn, busy.with("Retry-After", "1"), now);
                    return false;
                }
            }
        }
        self.sendings.begin(conn, Asked { request, name }, now);
        self.effects.push(Effect::OpenFile { conn, file });
        true
    }

    pub(super) fn note_file_opened(
        &mut self,
        conn: ConnId,
        opened: Result<What, Unopened>,
        now: Now,
    ) {
        let Some(Asked { request, name }) = self.sendings.opened(conn) else { return };
        let told = match opened {
            Ok(what) => answer::found(&request, &name, &what, now.wall),
            Err(why) => Told::Whole(answer::not_found(&request, why)),
        };
        match told {
            Told::Whole(response) => {
                self.effects.push(Effect::CloseFile(conn));
                self.answer(conn, response, now);
            }
            Told::Bytes(mut head, bytes) => {
                let Some(client) = self.clients.get_mut(conn) else { return };
                head.headers.append(&mut client.cors);
                let length = bytes.end - bytes.start;
                let goes_on = self.clients.change(conn, |conn| conn.begin_sized(head, length, now));
                if goes_on == Some(true) {
                    self.sendings.read(conn, bytes, now);
                    self.read_on(conn);
                } else {
                    self.effects.push(Effect::CloseFile(conn));
                    self.serve(conn, now);
                }
            }
        }
    }

    /// Reads the next piece for a client that has room for it.
    pub(super) fn read_on(&mut self, conn: ConnId) {
        if !self.clients.get(conn).is_some_and(|client| client.conn.has_room()) {
            return;
        }
        if let Some(piece) = self.sendings.next(conn) {
            self.effects.push(Effect::ReadFile { conn, at: piece.at, length: piece.length });
        }
    }

    pub(super) fn note_file_read(&mut self, conn: ConnId, read: Result<Vec<u8>, Unread>, now: Now) {
        let bytes = match read {
            Ok(bytes) => bytes,
            Err(why) => return self.break_off(conn, &why.to_string()),
        };
        match self.sendings.took(conn, bytes.len(), now) {
            None => {}
            Some(Progress::Wrong) => self.break_off(conn, "it is shorter than it was"),
            Some(Progress::More) => {
                self.clients.change(conn, |conn| conn.send_piece(bytes, now));
                self.read_on(conn);
            }
            Some(Progress::Last) => {
                self.forget_file(conn);
                self.clients.change(conn, |conn| conn.send_piece(bytes, now));
                self.serve(conn, now);
            }
        }
    }

    /// The client finds the end of the connection before that of the file.
    fn break_off(&mut self, conn: ConnId, why: &str) {
        if self.forget_file(conn) {
            debug!("{conn:?}: the file is not sent to its end: {why}");
            self.clients.change(conn, |conn| conn.break_off());
        }
    }

    /// Nothing more is read for a client; whether something was.
    pub(super) fn forget_file(&mut self, conn: ConnId) -> bool {
        let forgotten = self.sendings.forget(conn);
        if forgotten {
            self.effects.push(Effect::CloseFile(conn));
        }
        forgotten
    }
}
