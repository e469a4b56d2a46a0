//! The node's inputs: each hands a fact on to whom it concerns. What follows from all that came in
//! together is settled once, behind them.

use std::time::Instant;

use log::{debug, error, info};

use super::gaffer::Gaffer;
use super::machine::{
    Branch, Configuration, Effect, Logged, Machine, Standing, StateFile, Tended, Usage,
};
use super::plugins::file::{Unopened, Unread, What};
use super::reading::{Begun, Portion, Whom};
use crate::base::clock::Now;
use crate::base::error::{Errno, Stage};
use crate::base::ids::{ConnId, InstanceId, LinkId, OsPid, StreamNo};
use crate::base::limits;
use crate::base::process::Signal;
use crate::front::clients::Clients;
use crate::front::passwords::Outcome;
use crate::supervisor::effect::Start;
use crate::supervisor::facts::{Exit, Stray};

impl Machine for Gaffer {
    fn clients(&self) -> &Clients {
        &self.clients
    }

    fn clients_mut(&mut self) -> &mut Clients {
        &mut self.clients
    }

    fn client_changed(&mut self, conn: ConnId, now: Now) {
        self.changed(conn, now);
    }

    fn closed(&mut self, conn: ConnId, now: Now) {
        self.drop_client(conn, now);
    }

    fn spawned(&mut self, id: InstanceId, os_pid: OsPid, start_time: u64, now: Now) {
        self.supervisor.spawned(id, os_pid, start_time, now);
        self.begin_talk(id, now);
    }

    fn spawn_failed(&mut self, id: InstanceId, stage: Stage, errno: Errno, now: Now) {
        self.supervisor.spawn_failed(id, stage, errno, now);
    }

    fn output(&mut self, id: InstanceId, stream: StreamNo, bytes: &[u8], now: Now) -> Option<u64> {
        // What comes when its run is over has nobody any more whose words it could be.
        let run = self.supervisor.instance(id).and_then(|instance| instance.run.as_ref());
        let pid = run.map(|run| run.pid)?;
        self.supervisor.count_output(id, stream, bytes.len());
        if self.tap(id, stream, bytes, now) {
            return None;
        }
        self.outputs.push(id, (pid, stream), bytes, now.wall);
        self.stir_readers(id);
        self.console.output(&self.supervisor, id, stream, bytes, &mut self.effects);
        self.tell_output(id, stream, bytes, now);
        self.tell_listeners_output(id, stream, bytes);
        Some(self.outputs.last())
    }

    fn logged(&mut self, id: InstanceId, stream: StreamNo, logged: Logged, now: Now) {
        self.note_logged(id, stream, logged, now);
    }

    fn tended(&mut self, conn: ConnId, tended: Tended, now: Now) {
        self.note_tended(conn, tended, now);
    }

    fn wants_output(&self, id: InstanceId, stream: StreamNo) -> bool {
        self.wants_talk(id, stream)
    }

    fn is_followed(&self, id: InstanceId, stream: StreamNo) -> bool {
        self.follows(id, stream)
    }

    fn take_wanted_outputs(&mut self) -> Vec<(InstanceId, StreamNo)> {
        self.take_wanted_talks()
    }

    fn input_owed(&self, id: InstanceId, stream: StreamNo) -> &[u8] {
        self.stdins.owed(id, stream)
    }

    fn input_taken(&mut self, id: InstanceId, stream: StreamNo, count: usize, _: Now) {
        self.stdins.taken(id, stream, count);
    }

    fn input_refused(&mut self, id: InstanceId, stream: StreamNo, errno: Errno, _: Now) {
        let lost = self.stdins.refused(id, stream);
        debug!("stream {} of {id:?} is not read any more: {errno}, {lost} bytes lost", stream.0);
    }

    fn input_ends(&self, id: InstanceId, stream: StreamNo) -> bool {
        self.stdins.ends(id, stream)
    }

    fn take_dirty_inputs(&mut self) -> Vec<(InstanceId, StreamNo)> {
        self.stdins.take_dirty()
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

    fn link_opened(&mut self, link: LinkId, now: Now) {
        self.note_link_opened(link, now);
    }

    fn link_failed(&mut self, link: LinkId, reason: &str, now: Now) {
        self.note_link_lost(link, reason, now);
    }

    fn link_received(&mut self, link: LinkId, bytes: &[u8], now: Now) {
        self.hear_link(link, bytes, now);
    }

    fn link_closed(&mut self, link: LinkId, now: Now) {
        self.note_link_lost(link, "the connection ended", now);
    }

    fn link_wants_input(&self, link: LinkId) -> bool {
        self.forwards.wants_input(link)
    }

    fn link_owed(&self, link: LinkId) -> &[u8] {
        self.links.owed(link)
    }

    fn link_sent(&mut self, link: LinkId, count: usize, _: Now) {
        self.links.sent(link, count);
    }

    fn link_is_awaited(&self, link: LinkId) -> bool {
        self.links.is_awaited(link)
    }

    fn link_is_finished(&self, link: LinkId) -> bool {
        self.links.is_finished(link)
    }

    fn take_dirty_links(&mut self) -> Vec<LinkId> {
        self.links.take_dirty()
    }

    fn sampled(&mut self, ticket: u64, usages: Vec<Option<Usage>>, now: Now) {
        self.note_sampled(ticket, &usages, now);
    }

    fn accounted(&mut self, ticket: u64, standing: Standing, now: Now) {
        self.note_accounted(ticket, standing, now);
    }

    fn climbed(&mut self, ticket: u64, tree: Vec<Branch>, now: Now) {
        self.note_climbed(ticket, &tree, now);
    }

    fn stored(&mut self, file: StateFile, result: Result<(), Errno>, now: Now) {
        self.note_stored(file, result, now);
    }

    fn hashed(&mut self, ticket: u64, outcome: Outcome, now: Now) {
        self.note_hashed(ticket, outcome, now);
    }

    fn file_opened(&mut self, conn: ConnId, opened: Result<What, Unopened>, now: Now) {
        self.note_file_opened(conn, opened, now);
    }

    fn file_read(&mut self, conn: ConnId, read: Result<Vec<u8>, Unread>, now: Now) {
        self.note_file_read(conn, read, now);
    }

    fn reading_begun(&mut self, whom: Whom, begun: Begun, now: Now) {
        match whom {
            Whom::Conn(conn) => self.note_reading_begun(conn, begun, now),
            Whom::Replay(number) => self.note_replay_begun(number, begun, now),
        }
    }

    fn read_on(&mut self, whom: Whom, portion: Portion, now: Now) {
        match whom {
            Whom::Conn(conn) => self.note_read_on(conn, &portion, now),
            Whom::Replay(number) => self.note_replayed(number, portion, now),
        }
    }

    fn reconfigured(&mut self, read: Result<Configuration, String>, now: Now) {
        let taken = read.and_then(|read| {
            // What is in the log is told this once, and is so whatever is wrong with the jobs.
            if let Some(level) = read.log_level {
                self.set_log_level(level);
            }
            self.take_configuration(read.jobs, now)?;
            self.register(read.registration, now);
            self.hook(read.webhooks, now);
            self.programs.configure(&read.plugins);
            self.renew_talks(now);
            self.plugins.replace(read.plugins);
            self.door.keeping = read.keeping;
            self.send_away(now);
            self.restart_apps(now);
            Ok(())
        });
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
        // The time of all that are left is still over, and the next turn comes at once.
        for _ in 0..limits::DUE_SHARE {
            let Some(conn) = self.clients.next_due(now) else { break };
            self.changed(conn, now);
        }
        self.channel.on_time(&mut self.clients, now);
        self.feeds.on_time(&mut self.clients, now);
        self.beat_readers(now);
        self.watch(now);
        self.state.on_time(now, &mut self.effects);
        self.supervisor.on_time(now);
        self.pass_lookup_time(now);
        self.pass_webhooks_time(now);
        self.pass_forward_time(now);
        self.pass_talk_time(now);
        self.pass_guests_time(now);
        self.pass_app_time(now);
        self.listeners.pass_time(now);
    }

    fn settle(&mut self, now: Now) {
        self.pump(now);
    }

    fn next_start(&mut self) -> Option<Start> {
        let start = self.supervisor.next_start()?;
        self.stdins.open(start.id, &start.order);
        self.listeners.join(start.id, &self.supervisor);
        Some(start)
    }

    fn has_starts(&self) -> bool {
        self.supervisor.has_starts()
    }

    fn take_effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test needs one instant to count from")]
mod tests {
    use super::*;
    use crate::base::process::ExitStatus;
    use crate::node::gaffer::Legacy;
    use crate::node::stdins::Full;
    use crate::node::testing;
    use crate::supervisor::name::JobName;
    use crate::supervisor::spec::JobEntry;
    use crate::supervisor::spec_read;
    use serde_json::json;
    use std::time::UNIX_EPOCH;

    const IN: StreamNo = StreamNo::STDIN;

    /// A node with one job, whose process is to be started.
    fn node(now: Now) -> Gaffer {
        let mut gaffer = Gaffer::new(testing::setup());
        let config = json!({"cmd": "cat", "redirect_input": true});
        let spec = spec_read::read(config.as_object().expect("an object")).expect("valid");
        let name = JobName::parse("s.cat").expect("a name");
        let entry = JobEntry { name, spec: spec.into(), start: true, place: Default::default() };
        gaffer.begin(Legacy::default(), vec![entry], now);
        gaffer
    }

    #[test]
    fn what_a_run_did_not_read_is_not_for_the_next() {
        let now = Now { mono: Instant::now(), wall: UNIX_EPOCH };
        let mut gaffer = node(now);
        let id = gaffer.next_start().expect("one starts").id;
        gaffer.spawned(id, OsPid(1000), 1, now);
        assert_eq!(gaffer.stdins.push(id, IN, b"hello"), Ok(()));
        assert_eq!(gaffer.take_dirty_inputs(), [(id, IN)]);
        gaffer.input_taken(id, IN, 2, now);
        assert_eq!(gaffer.input_owed(id, IN), b"llo");
        gaffer.exited(id, Exit::of(ExitStatus::Code(0)), now);
        gaffer.settle(now);
        assert_eq!(gaffer.stdins.push(id, IN, b"late"), Err(Full::Closed));
        assert_eq!(gaffer.stdins.counts().lost, 3);
        gaffer.sweep().expect("what is always so");
        let now = now.plus(std::time::Duration::from_secs(100));
        gaffer.on_time(now);
        gaffer.settle(now);
        gaffer.take_effects();
        assert_eq!(gaffer.next_start().expect("it starts again").id, id);
        gaffer.spawned(id, OsPid(1001), 2, now);
        assert_eq!(gaffer.input_owed(id, IN), b"");
        gaffer.stdins.push(id, IN, b"again").expect("room");
        gaffer.stdins.close(id, IN);
        assert!(gaffer.input_ends(id, IN));
        gaffer.input_refused(id, IN, Errno(32), now);
        assert_eq!((gaffer.input_owed(id, IN), gaffer.stdins.counts().lost), (&b""[..], 8));
    }
}
