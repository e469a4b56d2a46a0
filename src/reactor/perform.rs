//! Carries out what the machine asks for, and brings the results back to it at once; but for what the
//! worker does, which comes back as an input of a later turn.

use log::{error, warn};

use super::children::Adopted;
use super::readings::Told as Read;
use super::sampler::{self, How};
use super::served::Told;
use super::strays;
use super::token::Source;
use super::turn::{Farewell, Reactor};
use crate::base::clock::Now;
use crate::base::ids::OsPid;
use crate::base::limits;
use crate::base::process::ExitStatus;
use crate::front::passwords::Outcome;
use crate::node::machine::{Branch, Effect, Machine, Standing};
use crate::supervisor::effect::{Ask, Start};
use crate::supervisor::facts::Exit;
use crate::sys::procfs::{self, Stat};
use crate::sys::startup;

impl<M: Machine> Reactor<M> {
    /// Takes effects and performs them, and starts processes, until there are none or this turn has
    /// done its share; the rest stays in order for the next turn.
    pub(super) fn perform_all(&mut self, now: Now) {
        for _ in 0..limits::EFFECT_ROUNDS {
            self.collect(now);
            let starts = self.spawns_left > 0 && self.machine.has_starts();
            if self.effects.is_empty() && !starts && !self.sampler.may_work() {
                break;
            }
            while let Some(effect) = self.effects.pop_front() {
                self.perform(effect, now);
            }
            self.start_processes(now);
            for (ticket, usages) in self.sampler.work(now.mono) {
                self.machine.sampled(ticket, usages, now);
            }
            if std::mem::take(&mut self.released) {
                self.look_for_strays(now);
            }
        }
        self.collect(now);
    }

    /// Starts what is to be started, up to what is left of this turn's share.
    fn start_processes(&mut self, now: Now) {
        while self.spawns_left > 0 {
            let Some(Start { id, order, logs }) = self.machine.next_start() else { return };
            self.spawns_left -= 1;
            if self.clock.turn_took() > limits::SPAWN_TIME {
                // This is the last one for now.
                self.spawns_left = 0;
            }
            let shell = (self.poll.registry(), &mut self.sources);
            match self.children.spawn(id, &order, shell) {
                Ok((os_pid, start_time)) => {
                    self.children.store.begin(id, *logs);
                    self.machine.spawned(id, os_pid, start_time, now);
                }
                Err(failed) => self.machine.spawn_failed(id, failed.stage, failed.errno, now),
            }
        }
    }

    /// Takes what the machine asks for now. Writes are performed at once, before all that waits and
    /// before any client is told: what was promised is in its file.
    fn collect(&mut self, now: Now) {
        self.machine.settle(now);
        for effect in self.machine.take_effects() {
            match effect {
                Effect::Store { .. } => self.perform(effect, now),
                Effect::Kernel(_)
                | Effect::Sample { .. }
                | Effect::StopSampling
                | Effect::Account { .. }
                | Effect::Climb { .. }
                | Effect::Hash { .. }
                | Effect::Dial { .. }
                | Effect::OpenFile { .. }
                | Effect::ReadFile { .. }
                | Effect::CloseFile(_)
                | Effect::Tend { .. }
                | Effect::BeginReading { .. }
                | Effect::ReadOn { .. }
                | Effect::EndReading(_)
                | Effect::Search
                | Effect::ReadConfig
                | Effect::Print(_)
                | Effect::ReopenLog
                | Effect::SetLogLevel(_)
                | Effect::Exit(_) => self.effects.push_back(effect),
            }
        }
    }

    fn perform(&mut self, effect: Effect, now: Now) {
        match effect {
            Effect::Kernel(ask) => self.ask_kernel(ask, now),
            Effect::Sample { ticket, targets, keep, pss } => {
                self.sampler.ask(ticket, targets, How { keep, pss });
            }
            Effect::StopSampling => self.sampler.stop(),
            Effect::Account { ticket } => {
                let standing = self.standing();
                self.machine.accounted(ticket, standing, now);
            }
            Effect::Climb { ticket, leader } => self.machine.climbed(ticket, climb(leader), now),
            Effect::Store { file, write } => {
                if let Some(result) = self.files.write(file, write, &mut self.worker) {
                    self.machine.stored(file, result, now);
                }
            }
            Effect::Hash { ticket, task } => {
                if let Err(error) = self.hasher.give((ticket, task)) {
                    let failed = Outcome::Failed(format!("no password can be checked: {error}"));
                    self.machine.hashed(ticket, failed, now);
                }
            }
            Effect::Dial { link, address } => self.dial(link, address, now),
            Effect::OpenFile { conn, file } => {
                if let Some(told) = self.served.open(conn, file) {
                    self.tell_of_file(told, now);
                }
            }
            Effect::ReadFile { conn, at, length } => {
                if let Some(told) = self.served.read(conn, at, length) {
                    self.tell_of_file(told, now);
                }
            }
            Effect::CloseFile(conn) => self.served.close(conn),
            Effect::BeginReading { whom, asking } => {
                let told = self.readings.begin(whom, *asking, &mut self.children.store);
                self.tell_of_reading(told, now);
            }
            Effect::ReadOn { whom, fresh } => {
                let told = self.readings.read_on(whom, fresh, &mut self.children.store);
                self.tell_of_reading(told, now);
            }
            Effect::EndReading(whom) => self.readings.end(whom),
            Effect::Search => {
                self.ends = true;
                self.look_for_strays(now);
                self.machine.searched();
            }
            Effect::ReadConfig => {
                let read = self.world.read_config();
                self.settling.note();
                if read.is_ok() {
                    self.secure();
                }
                self.machine.reconfigured(read, now);
            }
            Effect::Print(lines) => {
                if !self.world.print(&lines, now) {
                    self.machine.unread(now);
                }
            }
            Effect::Tend { conn, wish } => {
                let tended = self.tend(wish, now);
                self.machine.tended(conn, tended, now);
            }
            Effect::ReopenLog => self.reopen_logs(now),
            Effect::SetLogLevel(level) => self.world.set_log_level(level),
            Effect::Exit(code) => {
                let until = now.mono + limits::FAREWELL;
                self.farewell.get_or_insert(Farewell { code, until });
            }
        }
    }

    /// Opens our own log again, and those of jobs.
    fn reopen_logs(&mut self, now: Now) {
        if let Err(reason) = self.world.reopen_log() {
            error!("the log file is not opened again: {reason}");
        }
        self.children.store.reopen(now);
    }

    fn ask_kernel(&mut self, ask: Ask, now: Now) {
        let shell = (self.poll.registry(), &mut self.sources);
        match ask {
            Ask::Adopt { id, os_pid, start_time } => {
                let adopted = self.children.adopt(id, os_pid, start_time, shell);
                if adopted != Adopted::Watched {
                    // A group that is alive is ended, and waited for until it is not.
                    let group_alive = adopted == Adopted::Unwatched;
                    let exit = Exit { group_alive, ..Exit::of(ExitStatus::Unknown) };
                    self.machine.exited(id, exit, now);
                }
            }
            Ask::Signal { id, signal, whom } => self.children.signal(id, signal, whom),
            Ask::Survey(id) => self.children.survey(id, &mut self.machine, now),
            Ask::Log { id, logs } => {
                self.children.store.end(id, now);
                self.children.store.begin(id, *logs);
                // Who waited for where it went does not any more.
                let streams = self.children.streams_of(id);
                self.again.extend(streams.into_iter().map(|stream| Source::Pipe(id, stream)));
            }
            Ask::Release(id) => {
                self.children.release(id, shell.0, shell.1);
                self.children.store.end(id, now);
                self.released = true;
                self.settling.note();
            }
        }
    }

    /// After a run is over, what escaped from it may have become our child. When everything ends,
    /// that goes for whatever is our child.
    fn look_for_strays(&mut self, now: Now) {
        let known = |os_pid| self.children.knows(os_pid);
        let mut strays = strays::among_own_children(self.machine.node_mark(), known);
        if self.ends && self.children.owns_all() {
            strays.extend(strays::unmarked(known));
        }
        for stray in strays {
            self.machine.strayed(stray, now);
        }
    }

    pub(super) fn tell_of_file(&mut self, told: Told, now: Now) {
        match told {
            Told::Opened(conn, opened) => self.machine.file_opened(conn, opened, now),
            Told::Read(conn, read) => self.machine.file_read(conn, read, now),
        }
    }

    pub(super) fn tell_of_reading(&mut self, told: Option<Read>, now: Now) {
        match told {
            None => {}
            Some(Read::Begun(whom, begun)) => self.machine.reading_begun(whom, begun, now),
            Some(Read::On(whom, portion)) => self.machine.read_on(whom, portion, now),
        }
    }

    /// Closes a connection and tells the machine.
    pub(super) fn close_conn(&mut self, conn: crate::base::ids::ConnId, now: Now) {
        if let Some(source) = self.sockets.close(conn, self.poll.registry()) {
            self.sources.remove(source);
        }
        self.settling.note();
        self.machine.closed(conn, now);
    }

    /// Says which turn was long, and what it did.
    pub(super) fn watch_turn(&mut self, did: &str) {
        let took = self.clock.turn_took();
        self.turns.add(took);
        if took > limits::SLOW_TURN {
            warn!("a turn of the loop took {} ms: {did}", took.as_millis());
        }
    }
}

impl<M: Machine> Reactor<M> {
    /// How it stands with the shell and its process. What turns took is told of those before this one.
    fn standing(&self) -> Standing {
        Standing {
            turns: self.turns,
            started: Some(self.started),
            usage: sampler::own(),
            most_fds: startup::nofile().map(|(now, _)| now),
            logs: self.children.store.taken(),
            most_logs: self.children.store.most(),
        }
    }
}

/// What has come from a process.
fn climb(leader: OsPid) -> Vec<Branch> {
    procfs::tree(leader, limits::TREE).into_iter().filter_map(branch).collect()
}

/// A process of a tree; `None` if it is gone by now.
fn branch(stat: Stat) -> Option<Branch> {
    Some(Branch {
        os_pid: stat.os_pid,
        parent: OsPid(stat.ppid),
        name: procfs::name(stat.os_pid)?,
        state: char::from(stat.state),
        rss: stat.rss_bytes,
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{key, reactor, Script};
    use super::*;
    use crate::base::process::Signal;
    use crate::supervisor::effect::Whom;
    use crate::sys::testing;
    use std::time::Duration;

    #[test]
    fn who_samples_has_answers_and_no_wake_up_in_between() {
        let name = "who_samples_has_answers_and_no_wake_up_in_between";
        testing::alone(&format!("reactor::perform::tests::{name}"), || {
            let order = Box::new(testing::order("sleep", &["1000"]));
            let starts = [Start { id: key(0), order, logs: Box::default() }].into();
            let mut reactor = reactor(Script { starts, ..Script::default() });
            reactor.turn(Some(Duration::ZERO)).expect("a turn");
            let targets = vec![reactor.machine.spawned[0]];
            for (ticket, keep) in [(1, false), (2, true), (3, true)] {
                let targets = targets.clone();
                reactor.machine.asks.push(Effect::Sample { ticket, targets, keep, pss: false });
                // One that is only for what was asked, and as many as there are processes.
                while reactor.machine.sampled.is_empty() {
                    reactor.turn(Some(Duration::ZERO)).expect("a turn");
                }
                let (answered, usages) = reactor.machine.sampled.remove(0);
                assert_eq!((answered, usages[0].map(|usage| usage.processes)), (ticket, Some(1)));
                assert!(reactor.sampler.is_idle(), "it may sleep");
            }
            reactor.machine.asks.push(Effect::StopSampling);
            reactor.turn(Some(Duration::ZERO)).expect("a turn");
            reactor.children.signal(key(0), Signal::KILL, Whom::Group);
            while reactor.machine.ended.is_empty() {
                reactor.turn(None).expect("a turn");
            }
        });
    }

    #[test]
    fn however_often_a_turn_performs_it_starts_no_more_than_its_share() {
        let name = "however_often_a_turn_performs_it_starts_no_more_than_its_share";
        testing::alone(&format!("reactor::perform::tests::{name}"), || {
            let starts = (0..40).map(|n| {
                let order = Box::new(testing::order("true", &[]));
                Start { id: key(n), order, logs: Box::default() }
            });
            let script = Script { starts: starts.collect(), ..Script::default() };
            let mut reactor = reactor(script);
            let mut before = 0;
            while before < 40 {
                reactor.machine.dirty = 5;
                reactor.turn(None).expect("a turn");
                let all = reactor.machine.spawned.len();
                // Fewer where a machine is slow.
                assert!((1..=limits::SPAWN_SHARE).contains(&(all - before)), "{before} to {all}");
                before = all;
            }
        });
    }
}
