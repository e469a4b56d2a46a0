//! The children of this daemon as the kernel has them: their process groups, their streams, and
//! which of them have ended. Output is read before an end is told, so that no last line is lost.
//! Nothing here waits for a child: what it does not take stays with the machine until it does.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::time::Instant;

use log::debug;
use mio::event::Event;
use mio::unix::SourceFd;
use mio::{Interest, Registry};

use super::killings::Killings;
use super::resting::Resting;
use super::scratch::Scratch;
use super::store::Store;
use super::system::System;
use super::token::{Source, SourceId};
use crate::base::arena::Arena;
use crate::base::clock::Now;
use crate::base::error::Errno;
use crate::base::few::Few;
use crate::base::ids::{InstanceId, OsPid, StreamNo};
use crate::base::limits;
use crate::base::order::SpawnOrder;
use crate::base::process::{ExitStatus, Rusage, Signal};
use crate::base::sorted::{SortedMap, SortedSet};
use crate::node::machine::Machine;
use crate::supervisor::effect::Whom;
use crate::supervisor::facts::Exit;
use crate::sys::memory::OomKills;
use crate::sys::reap::Reaped;
use crate::sys::spawn::{SpawnError, Spawner};
use crate::sys::{fds, procfs, reap};

/// All children, and processes that were taken over.
pub struct Children {
    by_id: SortedMap<InstanceId, Child>,
    by_os_pid: SortedMap<OsPid, InstanceId>,
    spawner: Spawner,
    scratch: Scratch,
    /// Children whose leader is gone and whose group is not, or was not when last looked at.
    lingering: SortedSet<InstanceId>,
    /// Children that are none of our business: those that were there before us, and those that were
    /// let go to survive us.
    left_alone: SortedSet<OsPid>,
    /// Whether every child of the process is ours to reap.
    owns_all: bool,
    /// Streams that are read together now and then.
    resting: Resting,
    /// Where what they write is kept.
    pub(super) store: Store,
    /// Whom the kernel killed for want of memory.
    killings: Killings,
    /// The system's processes, as this turn sees them.
    pub(super) system: System,
}

/// One child.
struct Child {
    os_pid: OsPid,
    /// What is between it and us, by its own descriptor.
    streams: Few<StreamNo, Stream>,
    /// Set for a process that is not our child: told by the poll when it ends.
    watch: Option<(OwnedFd, SourceId)>,
    leader_gone: bool,
    /// Whether it leads a group of its own.
    leads: bool,
    /// What we had of memory when it was made: with as much it is told in any case.
    floor: u64,
}

/// A stream of a child: a pipe, or for both ways a socket.
struct Stream {
    file: File,
    source: SourceId,
    /// What it writes.
    output: Way,
    /// What it reads.
    input: Way,
    /// Whoever writes it has ended that: there is an end to be read.
    hung: bool,
    /// When something was read of it last,
    read_at: Option<Instant>,
    /// and whether the poll does not tell of it, since it is read when its rest is over.
    rests: bool,
    /// Whether it has got more room.
    widened: bool,
}

/// One of a stream's two ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// There is none, or none any more.
    Closed,
    /// The kernel will say when it goes on.
    Waits,
    /// It may be tried.
    Open,
}

/// What became of a process that was to be taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Adopted {
    /// Its end will be told.
    Watched,
    /// It lives, but its end can only be seen by looking at its group again and again.
    Unwatched,
    /// It is gone, or another has its pid.
    Gone,
}

/// What reading a stream, or reaping, came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// There is nothing more, now or for ever.
    Dry,
    /// It had its share of this turn.
    Again,
}

/// What writing to a stream came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Writing {
    /// So many bytes went out.
    pub count: usize,
    /// More is owed, and would perhaps be taken.
    pub more: bool,
}

type Sources = Arena<SourceId, Source>;

impl Children {
    /// No children yet.
    pub fn new(spawner: Spawner, store: Store, owns_all: bool) -> Self {
        Self {
            by_id: SortedMap::new(),
            by_os_pid: SortedMap::new(),
            spawner,
            scratch: Scratch::default(),
            lingering: SortedSet::new(),
            left_alone: procfs::own_children().into_iter().collect(),
            owns_all,
            resting: Resting::default(),
            store,
            killings: Killings::new(OomKills::of_own_group()),
            system: System::default(),
        }
    }

    /// Gives the memory back that only reading needs.
    pub fn let_go(&mut self) {
        self.scratch.let_go();
    }

    /// Starts a process.
    ///
    /// # Errors
    /// How far it came and why it did not go on.
    pub fn spawn(
        &mut self,
        id: InstanceId,
        order: &SpawnOrder,
        (registry, sources): (&Registry, &mut Sources),
    ) -> Result<(OsPid, u64), SpawnError> {
        let born = self.spawner.spawn(order)?;
        let mut child = Child::new(born.os_pid, true);
        for (stream, fd) in born.streams {
            let source = sources.insert(Source::Pipe(id, stream));
            let (pipe, interest) = Stream::new(stream, fd, source);
            let raw = pipe.file.as_raw_fd();
            let registered = registry.register(&mut SourceFd(&raw), source.token(), interest);
            if let Err(error) = registered {
                // The process runs; that it goes unheard is better than that it does not run.
                log::error!("stream {} of {} is not served: {error}", stream.0, born.os_pid);
                sources.remove(source);
                continue;
            }
            child.streams.insert(stream, pipe);
        }
        self.by_os_pid.insert(born.os_pid, id);
        self.by_id.insert(id, child);
        Ok((born.os_pid, born.start_time))
    }

    /// Takes a process over that is there already.
    pub fn adopt(
        &mut self,
        id: InstanceId,
        os_pid: OsPid,
        start_time: u64,
        (registry, sources): (&Registry, &mut Sources),
    ) -> Adopted {
        let same = |stat: &procfs::Stat| stat.start_time == start_time && stat.state != b'Z';
        let Some(stat) = procfs::stat(os_pid) else { return self.adopt_group(id, os_pid) };
        if !same(&stat) {
            return Adopted::Gone;
        }
        let mut child = Child::new(os_pid, stat.pgrp == os_pid.0);
        let own = i32::try_from(std::process::id()).unwrap_or(0);
        if stat.ppid == own {
            self.by_os_pid.insert(os_pid, id);
            self.by_id.insert(id, child);
            return Adopted::Watched;
        }
        let pidfd = match reap::open_pidfd(os_pid) {
            Ok(pidfd) => pidfd,
            Err(Errno(libc::ESRCH)) => return Adopted::Gone,
            Err(errno) => {
                log::error!("{os_pid} cannot be watched: {errno}; its group is ended");
                return self.adopt_group(id, os_pid);
            }
        };
        // The descriptor holds whoever had the pid when it was opened: look once more who that is.
        if procfs::stat(os_pid).is_some_and(|stat| !same(&stat)) {
            return Adopted::Gone;
        }
        let source = sources.insert(Source::Watched(id));
        let raw = pidfd.as_raw_fd();
        let watched = registry.register(&mut SourceFd(&raw), source.token(), Interest::READABLE);
        if let Err(error) = watched {
            log::error!("{os_pid} cannot be watched: {error}; its group is ended");
            sources.remove(source);
            return self.adopt_group(id, os_pid);
        }
        child.watch = Some((pidfd, source));
        self.by_id.insert(id, child);
        Adopted::Watched
    }

    /// Takes over a process of which nothing but its group can be looked at, or says that there is
    /// none.
    fn adopt_group(&mut self, id: InstanceId, os_pid: OsPid) -> Adopted {
        if !self.system.group_lives(os_pid) {
            return Adopted::Gone;
        }
        let mut child = Child::new(os_pid, true);
        child.leader_gone = true;
        self.by_id.insert(id, child);
        self.lingering.insert(id);
        Adopted::Unwatched
    }

    /// Sends a signal.
    pub fn signal(&self, id: InstanceId, signal: Signal, whom: Whom) {
        let Some(child) = self.by_id.get(&id) else { return };
        let result = match (whom, &child.watch) {
            (Whom::Group, _) if child.leads => reap::signal_group(child.os_pid, signal),
            (Whom::Leader | Whom::Group, _) if child.leader_gone => return,
            (Whom::Leader | Whom::Group, Some((pidfd, _))) => reap::signal_pidfd(pidfd, signal),
            (Whom::Leader | Whom::Group, None) => reap::signal(child.os_pid, signal),
        };
        match result {
            Ok(()) | Err(Errno(libc::ESRCH)) => {}
            Err(errno) => log::warn!("{signal} could not be sent to {}: {errno}", child.os_pid),
        }
    }

    /// Notes what the kernel says of a stream, and gives whether it may be written to.
    pub fn note(&mut self, id: InstanceId, stream: StreamNo, event: &Event) -> bool {
        let Some(pipe) = self.stream(id, stream) else { return false };
        // An error on either way is found by trying it.
        if event.is_readable() || event.is_read_closed() || event.is_error() {
            pipe.output.reopen();
            pipe.hung |= event.is_read_closed() || event.is_error();
        }
        let writable = event.is_writable() || event.is_write_closed() || event.is_error();
        if writable {
            pipe.input.reopen();
        }
        writable && pipe.input == Way::Open
    }

    /// When something is to be done without an event.
    pub(super) fn deadline(&self) -> Option<Instant> {
        [self.resting.until(), self.store.deadline()].into_iter().flatten().min()
    }

    /// The streams whose rest is over.
    pub(super) fn wake(&mut self, now: Now) -> SortedSet<(InstanceId, StreamNo)> {
        let due = self.resting.take_due(now);
        for (id, stream) in &due {
            if let Some(pipe) = self.stream(*id, *stream) {
                pipe.output.reopen();
            }
        }
        due
    }

    /// The streams of a child.
    pub(super) fn streams_of(&self, id: InstanceId) -> Vec<StreamNo> {
        let streams = self.by_id.get(&id).into_iter().flat_map(|child| child.streams.keys());
        streams.copied().collect()
    }

    fn stream(&mut self, id: InstanceId, stream: StreamNo) -> Option<&mut Stream> {
        self.by_id.get_mut(&id)?.streams.get_mut(&stream)
    }

    /// Reads a stream up to a share, from which what was read is taken, and closes it at its end.
    pub fn read<M: Machine>(
        &mut self,
        (id, stream): (InstanceId, StreamNo),
        share: &mut usize,
        machine: &mut M,
        (registry, sources): (&Registry, &mut Sources),
        now: Now,
    ) -> Reading {
        let Some(child) = self.by_id.get_mut(&id) else { return Reading::Dry };
        let is_over = child.leader_gone;
        let pipe = child.streams.get_mut(&stream).filter(|pipe| pipe.output != Way::Closed);
        let Some(pipe) = pipe else { return Reading::Dry };
        while pipe.output == Way::Open {
            let wanted = machine.wants_output(id, stream) && self.store.takes(id, stream, now);
            if !is_over && !wanted {
                return Reading::Dry;
            }
            if *share == 0 {
                return Reading::Again;
            }
            let room = (*share).clamp(limits::PIPE_REST_MOST, limits::PIPE_READ);
            let buffer = self.scratch.room(room);
            match pipe.file.read(buffer) {
                Ok(0) => break,
                Ok(count) => {
                    // For what would be a small piece there is the next turn.
                    *share = share.saturating_sub(count);
                    if *share < limits::PIPE_SMALL {
                        *share = 0;
                    }
                    let bytes = &buffer[..count];
                    if let Some(number) = machine.output(id, stream, bytes, now) {
                        self.store.write((id, stream), number, bytes, now);
                    }
                    let often = pipe.note_read(count, now);
                    if count < limits::PIPE_REST_MOST && pipe.is_plain(stream, is_over) {
                        // So little is all there was, and the poll tells of what comes from now on.
                        pipe.output = Way::Waits;
                        if often && !machine.is_followed(id, stream) {
                            pipe.rest(registry);
                            self.resting.add((id, stream), now);
                            return Reading::Dry;
                        }
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => pipe.output = Way::Waits,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    debug!("stream {} of {id:?}: {error}", stream.0);
                    break;
                }
            }
        }
        if pipe.output == Way::Waits {
            pipe.rise(registry);
            if pipe.rests {
                // The poll does not take it: it is looked at now and then.
                self.resting.add((id, stream), now);
            }
            return Reading::Dry;
        }
        let Some(child) = self.by_id.get_mut(&id) else { return Reading::Dry };
        child.close_way(stream, Direction::Output, registry, sources);
        if !child.has_output() {
            machine.drained(id, now);
        }
        Reading::Dry
    }

    /// Writes to a stream what it is owed, up to a share, and closes it when the machine says so.
    pub fn write<M: Machine>(
        &mut self,
        (id, stream): (InstanceId, StreamNo),
        share: usize,
        machine: &mut M,
        (registry, sources): (&Registry, &mut Sources),
        now: Now,
    ) -> Writing {
        let mut count = 0;
        let done = |count| Writing { count, more: false };
        let Some(child) = self.by_id.get_mut(&id) else { return done(count) };
        loop {
            let owed = machine.input_owed(id, stream);
            let pipe = child.streams.get_mut(&stream).filter(|pipe| pipe.input != Way::Closed);
            let Some(pipe) = pipe else {
                if !owed.is_empty() {
                    machine.input_refused(id, stream, Errno(libc::EPIPE), now);
                }
                return done(count);
            };
            if owed.is_empty() {
                if machine.input_ends(id, stream) {
                    child.close_way(stream, Direction::Input, registry, sources);
                }
                return done(count);
            }
            if pipe.input == Way::Waits {
                return done(count);
            }
            if count >= share {
                return Writing { count, more: true };
            }
            match pipe.file.write(&owed[..owed.len().min(share - count)]) {
                Ok(written) => {
                    count += written;
                    machine.input_taken(id, stream, written, now);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => pipe.input = Way::Waits,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    child.close_way(stream, Direction::Input, registry, sources);
                    machine.input_refused(id, stream, Errno::of(&error), now);
                    return done(count);
                }
            }
        }
    }

    /// Reads everything that a process left in its streams.
    fn read_dry<M: Machine>(
        &mut self,
        id: InstanceId,
        machine: &mut M,
        (registry, sources): (&Registry, &mut Sources),
        now: Now,
    ) {
        let Some(child) = self.by_id.get_mut(&id) else { return };
        let streams: Vec<StreamNo> = child.streams.keys().copied().collect();
        for stream in streams {
            if let Some(pipe) = self.stream(id, stream) {
                pipe.output.reopen();
            }
            let mut share = limits::LAST_WORDS;
            self.read((id, stream), &mut share, machine, (registry, sources), now);
        }
    }

    /// Reaps children that have ended, up to a turn's share, and tells of their ends after their last
    /// words. Looks at groups when one of them was nobody's leader: a group may be empty then.
    pub fn reap<M: Machine>(
        &mut self,
        machine: &mut M,
        (registry, sources): (&Registry, &mut Sources),
        now: Now,
    ) -> Reading {
        let mut strangers = false;
        let mut reading = Reading::Again;
        self.killings.look(now.mono);
        for _ in 0..limits::REAP_SHARE {
            let Some(Reaped { os_pid, status, usage }) = self.reap_next() else {
                reading = Reading::Dry;
                break;
            };
            match self.by_os_pid.remove(&os_pid) {
                Some(id) => {
                    let end = (status, Some(usage));
                    self.leader_ended(id, end, machine, (registry, sources), now);
                }
                None => strangers |= !self.left_alone.remove(&os_pid),
            }
        }
        if strangers {
            self.survey_lingering(machine, now);
        }
        reading
    }

    fn reap_next(&self) -> Option<Reaped> {
        match self.owns_all {
            true => reap::reap_next(),
            // Others are their own business, so each of ours is asked for.
            false => self.by_os_pid.keys().find_map(|os_pid| reap::reap_one(*os_pid)),
        }
    }

    /// Whether there is a group without its leader of whose end nobody will tell us.
    pub(super) fn has_untold(&self) -> bool {
        !self.owns_all && !self.lingering.is_empty()
    }

    /// Whether what nobody has started or marked is ours.
    pub(super) fn owns_all(&self) -> bool {
        self.owns_all
    }

    /// A process that is no child of ours has ended.
    pub fn watched_ended<M: Machine>(
        &mut self,
        id: InstanceId,
        machine: &mut M,
        shell: (&Registry, &mut Sources),
        now: Now,
    ) {
        self.leader_ended(id, (ExitStatus::Unknown, None), machine, shell, now);
    }

    fn leader_ended<M: Machine>(
        &mut self,
        id: InstanceId,
        (status, usage): (ExitStatus, Option<Rusage>),
        machine: &mut M,
        (registry, sources): (&Registry, &mut Sources),
        now: Now,
    ) {
        let Some(child) = self.by_id.get_mut(&id) else { return };
        if std::mem::replace(&mut child.leader_gone, true) {
            return;
        }
        if let Some((pidfd, source)) = child.watch.take() {
            close(&pidfd, source, registry, sources);
        }
        self.read_dry(id, machine, (registry, sources), now);
        let Some(child) = self.by_id.get(&id) else { return };
        let (os_pid, leads, floor) = (child.os_pid, child.leads, child.floor);
        let usage = usage.map(|usage| Rusage { is_bound: usage.max_rss <= floor, ..usage });
        let streams_open = child.has_output();
        let group_alive = leads && self.system.group_lives(os_pid);
        if group_alive {
            self.lingering.insert(id);
        }
        let killed = matches!(status, ExitStatus::Signal { signal: Signal::KILL, .. });
        let out_of_memory = killed && self.killings.claim(now.mono);
        let exit = Exit { status, usage, out_of_memory, group_alive, streams_open };
        machine.exited(id, exit, now);
    }

    /// Looks whether the groups of gone leaders are empty now.
    pub(super) fn survey_lingering<M: Machine>(&mut self, machine: &mut M, now: Now) {
        for id in std::mem::take(&mut self.lingering) {
            self.survey(id, machine, now);
        }
    }

    /// Looks whether a group is empty.
    pub fn survey<M: Machine>(&mut self, id: InstanceId, machine: &mut M, now: Now) {
        let Some(child) = self.by_id.get(&id) else { return };
        let (os_pid, leads, leader_gone) = (child.os_pid, child.leads, child.leader_gone);
        if leads && self.system.group_lives(os_pid) {
            if leader_gone {
                self.lingering.insert(id);
            }
            return;
        }
        if leader_gone {
            machine.group_gone(id, now);
        }
    }

    /// Forgets a child, and closes what is open between it and us.
    pub fn release(&mut self, id: InstanceId, registry: &Registry, sources: &mut Sources) {
        let Some(child) = self.by_id.remove(&id) else { return };
        self.lingering.remove(&id);
        if self.by_os_pid.get(&child.os_pid) == Some(&id) {
            self.by_os_pid.remove(&child.os_pid);
            self.left_alone.insert(child.os_pid);
        }
        for pipe in child.streams.into_values() {
            close(&pipe.file, pipe.source, registry, sources);
        }
        if let Some((pidfd, source)) = child.watch {
            close(&pidfd, source, registry, sources);
        }
    }

    /// Whether this process of the kernel is one that we know.
    pub fn knows(&self, os_pid: OsPid) -> bool {
        self.by_os_pid.contains_key(&os_pid) || self.left_alone.contains(&os_pid)
    }
}

impl Child {
    fn new(os_pid: OsPid, leads: bool) -> Self {
        Self {
            os_pid,
            streams: Few::default(),
            watch: None,
            leader_gone: false,
            leads,
            floor: reap::own_peak(),
        }
    }

    /// Whether it may still write something.
    fn has_output(&self) -> bool {
        self.streams.values().any(|stream| stream.output != Way::Closed)
    }

    /// Closes one way of a stream, and the stream with its last.
    fn close_way(
        &mut self,
        number: StreamNo,
        direction: Direction,
        registry: &Registry,
        sources: &mut Sources,
    ) {
        let Some(stream) = self.streams.get_mut(&number) else { return };
        match direction {
            Direction::Output => stream.output = Way::Closed,
            Direction::Input => {
                stream.input = Way::Closed;
                // Of a pipe there is no other way, and it is closed below.
                if stream.output != Way::Closed {
                    fds::end_writing(stream.file.as_fd());
                }
            }
        }
        if (stream.output, stream.input) == (Way::Closed, Way::Closed) {
            close(&stream.file, stream.source, registry, sources);
            self.streams.remove(&number);
        }
    }
}

#[derive(Clone, Copy)]
enum Direction {
    /// From the child to us.
    Output,
    /// From us to the child.
    Input,
}

impl Stream {
    /// Our end of a stream, and what the poll is to tell of it.
    fn new(number: StreamNo, fd: OwnedFd, source: SourceId) -> (Self, Interest) {
        let (output, input, interest) = match number {
            StreamNo::STDIN => (Way::Closed, Way::Open, Interest::WRITABLE),
            StreamNo::STDOUT | StreamNo::STDERR => (Way::Open, Way::Closed, Interest::READABLE),
            StreamNo(_) => (Way::Open, Way::Open, Interest::READABLE | Interest::WRITABLE),
        };
        let (hung, read_at, rests, widened) = (false, None, false, false);
        let file = File::from(fd);
        (Self { file, source, output, input, hung, read_at, rests, widened }, interest)
    }

    /// Notes that so much was read; whether that is often.
    fn note_read(&mut self, count: usize, now: Now) -> bool {
        // Its pages are rarely filled to the last byte.
        if count >= limits::PIPE_SMALL / 2 && self.input == Way::Closed && !self.widened {
            self.widened = true;
            fds::widen_pipe(self.file.as_fd(), limits::PIPE_ROOM);
        }
        let before = self.read_at.replace(now.mono);
        before.is_some_and(|at| now.mono.saturating_duration_since(at) <= 2 * limits::PIPE_REST)
    }

    /// Whether it is a pipe of a process that runs, of which there is more to come.
    fn is_plain(&self, number: StreamNo, is_over: bool) -> bool {
        let pipe = number == StreamNo::STDOUT || number == StreamNo::STDERR;
        pipe && !is_over && !self.hung
    }

    /// The poll tells of it no more.
    fn rest(&mut self, registry: &Registry) {
        if !self.rests {
            self.rests = registry.deregister(&mut SourceFd(&self.file.as_raw_fd())).is_ok();
        }
    }

    /// The poll tells of it again, also of what there is already.
    fn rise(&mut self, registry: &Registry) {
        if !self.rests {
            return;
        }
        let (raw, token) = (self.file.as_raw_fd(), self.source.token());
        match registry.register(&mut SourceFd(&raw), token, Interest::READABLE) {
            Ok(()) => self.rests = false,
            Err(error) => log::error!("a stream is not served any more: {error}"),
        }
    }
}

impl Way {
    /// It may be tried again, if it is there.
    fn reopen(&mut self) {
        if *self == Self::Waits {
            *self = Self::Open;
        }
    }
}

fn close(
    fd: &impl std::os::fd::AsRawFd,
    source: SourceId,
    registry: &Registry,
    sources: &mut Sources,
) {
    // The descriptor is closed by its owner right behind, which takes it out of the poll anyway.
    let _ = registry.deregister(&mut SourceFd(&fd.as_raw_fd()));
    sources.remove(source);
}
