//! What of a turn each client has: so many are accepted, so much is read and written, and then the others have theirs.
//! Whoever had to wait comes first in the next turn.

use log::{debug, error};

use super::sockets::{Accept, Step};
use super::token::Source;
use super::turn::Reactor;
use crate::base::clock::Now;
use crate::base::ids::ConnId;
use crate::base::limits;
use crate::base::sorted::SortedSet;
use crate::front::response::too_many_clients;
use crate::node::machine::Machine;

impl<M: Machine> Reactor<M> {
    /// Accepts the clients of a listener, so many in a turn.
    pub(super) fn accept(&mut self, listener: usize, now: Now) {
        self.stuck.remove(&listener);
        for _ in 0..limits::ACCEPT_SHARE {
            let accepted = match self.sockets.accept_next(listener) {
                Accept::Client(accepted) => accepted,
                Accept::Lost(error) => {
                    debug!("accept: {error}");
                    continue;
                }
                Accept::Nobody => return,
                Accept::Stuck => {
                    self.stuck.insert(listener, now.mono + limits::ACCEPT_PAUSE);
                    return;
                }
            };
            let peer = accepted.peer;
            let Some(conn) = self.machine.accepted(peer, now) else {
                debug!("{peer}: turned away, too many clients");
                accepted.refuse(&too_many_clients(now.wall));
                continue;
            };
            let source = self.sources.insert(Source::Conn(conn));
            if let Err(error) = self.sockets.add(conn, source, accepted, self.poll.registry()) {
                error!("{peer}: {error}");
                self.sources.remove(source);
                self.machine.closed(conn, now);
            }
        }
        self.again.insert(Source::Listener(listener));
    }

    /// Reads what clients have sent, from where the turn before had no more time.
    pub(super) fn read_conns(&mut self, conns: &SortedSet<ConnId>, now: Now) {
        let mut left = limits::CONNS_READ_SHARE;
        for conn in from(self.unheard.take(), conns) {
            if left == 0 {
                self.unheard.get_or_insert(conn);
                self.again.insert(Source::Conn(conn));
                continue;
            }
            let mut share = self.share_of(conn, conns.len()).min(left);
            left -= share;
            self.read_conn(conn, &mut share, now);
            left += share;
        }
    }

    /// What one of so many clients may say in a turn. Where many have something to say each says little at a
    /// time, so that none waits long; but a handshake of TLS costs what it costs.
    fn share_of(&self, conn: ConnId, crowd: usize) -> usize {
        match self.sockets.is_shaking_hands(conn) {
            true => limits::CONN_READ_SHARE,
            false => (limits::CONNS_READ_SHARE / crowd.max(1))
                .clamp(limits::CONN_READ_LEAST, limits::CONN_READ_SHARE),
        }
    }

    fn read_conn(&mut self, conn: ConnId, share: &mut usize, now: Now) {
        match self.sockets.read(conn, share, &mut self.machine, now) {
            Step::Rest => {}
            Step::Again => drop(self.again.insert(Source::Conn(conn))),
            Step::Close => self.close_conn(conn, now),
        }
        self.owed.insert(conn);
    }

    /// Writes what clients are owed, from where the turn before had no more time. An answer that is sent has
    /// the next request served, so this bounds that work, too.
    pub(super) fn write_conns(&mut self, left: &mut usize, now: Now) {
        let owed = std::mem::take(&mut self.owed);
        for conn in from(self.unwritten.take(), &owed) {
            if *left == 0 {
                self.unwritten.get_or_insert(conn);
                self.owed.insert(conn);
                continue;
            }
            if self.sockets.is_writable(conn) {
                let due = self.machine.transmit(conn).len().min(limits::CONN_WRITE_SHARE);
                *left = left.saturating_sub(due);
            }
            match self.sockets.write(conn, &mut self.machine, now) {
                Step::Rest => {}
                Step::Again => drop(self.again.insert(Source::Conn(conn))),
                Step::Close => {
                    self.close_conn(conn, now);
                    continue;
                }
            }
            if self.sockets.is_readable(conn) && self.machine.wants_input(conn) {
                self.again.insert(Source::Conn(conn));
            }
        }
    }
}

/// All of these, beginning with the first that had to wait.
fn from(first: Option<ConnId>, conns: &SortedSet<ConnId>) -> Vec<ConnId> {
    let turn_of = |conn: &ConnId| first.is_none_or(|first| *conn >= first);
    let (first, later): (Vec<ConnId>, Vec<ConnId>) = conns.iter().copied().partition(turn_of);
    first.into_iter().chain(later).collect()
}
