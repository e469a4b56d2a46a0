//! The node's inputs: each hands a fact on to whom it concerns. What follows from all that came in
//! together is settled once, behind them.

use std::time::Instant;

use log::{error, info};

use super::gaffer::Gaffer;
use super::machine::{Effect, Machine, StateFile, Usage};
use crate::base::clock::Now;
use crate::base::error::{Errno, Stage};
use crate::base::ids::{ConnId, InstanceId, OsPid, StreamNo};
use crate::base::process::Signal;
use crate::front::peer::Peer;
use crate::supervisor::effect::Start;
use crate::supervisor::facts::{Exit, Stray};
use crate::supervisor::spec::JobEntry;

impl Machine for Gaffer {
    fn accepted(&mut self, peer: Peer, now: Now) -> Option<ConnId> {
        self.accept(peer, now)
    }

    fn received(&mut self, conn: ConnId, bytes: &[u8], now: Now) {
        let Some(client) = self.clients.get_mut(conn) else { return };
        client.conn.received(bytes, now);
        self.serve(conn, now);
    }

    fn input_ended(&mut self, conn: ConnId, now: Now) {
        let Some(client) = self.clients.get_mut(conn) else { return };
        client.conn.ended(now);
        self.serve(conn, now);
    }

    fn closed(&mut self, conn: ConnId, _: Now) {
        self.drop_client(conn);
    }

    fn wants_input(&self, conn: ConnId) -> bool {
        self.clients.get(conn).is_some_and(|client| client.conn.wants_input())
    }

    fn transmit(&self, conn: ConnId) -> &[u8] {
        self.clients.get(conn).map_or(&[], |client| client.conn.owed())
    }

    fn sent(&mut self, conn: ConnId, count: usize, now: Now) {
        let Some(client) = self.clients.get_mut(conn) else { return };
        client.conn.sent(count, now);
        self.serve(conn, now);
    }

    fn output_ended(&self, conn: ConnId) -> bool {
        self.clients.get(conn).is_none_or(|client| client.conn.output_ended())
    }

    fn is_finished(&self, conn: ConnId) -> bool {
        self.clients.get(conn).is_none_or(|client| client.conn.is_finished())
    }

    fn take_dirty(&mut self) -> Vec<ConnId> {
        std::mem::take(&mut self.dirty).into_iter().collect()
    }

    fn spawned(&mut self, id: InstanceId, os_pid: OsPid, start_time: u64, now: Now) {
        self.supervisor.spawned(id, os_pid, start_time, now);
    }

    fn spawn_failed(&mut self, id: InstanceId, stage: Stage, errno: Errno, now: Now) {
        self.supervisor.spawn_failed(id, stage, errno, now);
    }

    fn output(&mut self, id: InstanceId, stream: StreamNo, bytes: &[u8], _: Now) {
        // What comes when its run is over has nobody any more whose words it could be.
        if self.supervisor.instance(id).is_none_or(|instance| instance.run.is_none()) {
            return;
        }
        self.outputs.push(id, stream, bytes);
        self.console.output(&self.supervisor, id, stream, bytes, &mut self.effects);
    }

    fn drained(&mut self, id: InstanceId, now: Now) {
        self.supervisor.drained(id, now);
    }

    fn exited(&mut self, id: InstanceId, exit: Exit, now: Now) {
        self.supervisor.exited(id, exit, now);
    }

    fn group_gone(&mut self, id: InstanceId, now: Now) {
        self.supervisor.group_gone(id, now);
    }

    fn strayed(&mut self, stray: Stray, now: Now) {
        self.supervisor.strayed(stray, now);
    }

    fn searched(&mut self) {
        self.searching = false;
    }

    fn node_mark(&self) -> &str {
        self.node()
    }

    fn sampled(&mut self, ticket: u64, usages: Vec<Option<Usage>>, now: Now) {
        self.note_sampled(ticket, &usages, now);
    }

    fn stored(&mut self, file: StateFile, result: Result<(), Errno>, now: Now) {
        self.note_stored(file, result, now);
    }

    fn reconfigured(&mut self, jobs: Result<Vec<JobEntry>, String>, now: Now) {
        let taken = jobs.and_then(|jobs| self.take_configuration(jobs, now));
        if let Err(reason) = taken {
            error!("the configuration stays as it was: {reason}");
        }
    }

    fn signalled(&mut self, signal: Signal, now: Now) {
        match signal {
            Signal::TERM | Signal::INT | Signal::QUIT => self.end(signal, now),
            Signal::HUP => {
                info!("SIGHUP: reading the configuration again");
                self.effects.push(Effect::ReadConfig);
            }
            Signal::USR1 => self.effects.push(Effect::ReopenLog),
            _ => {}
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.next_deadline()
    }

    fn on_time(&mut self, now: Now) {
        while let Some(conn) = self.patience.pop_due(now.mono) {
            let Some(client) = self.clients.get_mut(conn) else { continue };
            client.conn.on_time(now);
            self.serve(conn, now);
        }
        self.state.on_time(now, &mut self.effects);
        self.supervisor.on_time(now);
    }

    fn settle(&mut self, now: Now) {
        self.pump(now);
    }

    fn next_start(&mut self) -> Option<Start> {
        self.supervisor.next_start()
    }

    fn has_starts(&self) -> bool {
        self.supervisor.has_starts()
    }

    fn take_effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }
}
