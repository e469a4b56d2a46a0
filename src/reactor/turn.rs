//! The loop. One turn: sleep, read the clock, take what came in, let time pass, perform what the
//! machine asks for, write what clients are owed, tidy.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use mio::{Events, Interest, Poll, Waker};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1};
use signal_hook_mio::v1_0::Signals;

use super::calls::Calls;
use super::children::{Children, Reading};
use super::clock::Clock;
use super::dial::{self, Dials, Name, Resolved};
use super::feed::Feed;
use super::files::{self, Disk, Files};
pub use super::nested::Share;
use super::readings::Readings;
use super::sampler::Sampler;
use super::served::Served;
use super::settling::Settling;
use super::sockets::{Listener, Sockets};
use super::store::{Settings, Store};
use super::token::{Source, SourceId};
use super::work::Worker;
use crate::base::arena::Arena;
use crate::base::clock::Now;
use crate::base::ids::{ConnId, InstanceId, LinkId, StreamNo};
use crate::base::level::Level;
use crate::base::limits;
use crate::base::process::Signal;
use crate::base::sorted::{SortedMap, SortedSet};
use crate::base::turns::Turns;
use crate::front::passwords::{self, Outcome, Task};
use crate::node::machine::{Configuration, Effect, Machine};
use crate::sys::heap;
use crate::sys::spawn::Spawner;
use crate::tls::{Connector, Security};

/// What the shell needs of the program around it.
pub trait World {
    /// Reads the configuration again.
    ///
    /// # Errors
    /// What is wrong with it, with file and line.
    fn read_config(&mut self) -> Result<Configuration, String>;
    /// Opens the log file again.
    ///
    /// # Errors
    /// Why it cannot be.
    fn reopen_log(&mut self) -> Result<(), String>;
    /// Has this much in the log from now on. Asked for only where the machine was told what is in it.
    fn set_log_level(&mut self, _level: Level) {}
    /// What there is of TLS. It is asked for at the beginning and whenever the configuration was read.
    fn security(&mut self) -> Security {
        Security::default()
    }
    /// Whom to trust over TLS, where nobody was named beforehand: asked for before the first such connection.
    ///
    /// # Errors
    /// It is not to be had.
    fn connector(&mut self) -> Result<Connector, String> {
        Err("nobody is known who could be trusted over TLS".into())
    }
    /// Writes lines to standard output; false when nobody is there to read them any more.
    fn print(&mut self, lines: &str, now: Now) -> bool;
}

/// The shell around a machine.
pub struct Reactor<M: Machine> {
    pub(super) poll: Poll,
    pub(super) clock: Clock,
    pub(super) machine: M,
    pub(super) sources: Arena<SourceId, Source>,
    pub(super) sockets: Sockets,
    /// Connections of ours to others.
    pub(super) dials: Dials,
    pub(super) children: Children,
    pub(super) files: Files,
    pub(super) worker: Disk,
    /// Finds the addresses of names.
    pub(super) names: Worker<Name, Resolved>,
    /// Hashes passwords.
    pub(super) hasher: Worker<(u64, Task), (u64, Outcome)>,
    /// Reads files for clients,
    pub(super) served: Served,
    /// and what was written.
    pub(super) readings: Readings,
    /// What other threads want done.
    pub(super) calls: Calls<M>,
    pub(super) world: Box<dyn World>,
    /// Asked for and not performed yet.
    pub(super) effects: VecDeque<Effect>,
    /// How many processes this turn may still start.
    pub(super) spawns_left: usize,
    /// Sources that had their share and have more.
    pub(super) again: SortedSet<Source>,
    /// The first stream of a child that was not read in the turn before for want of time.
    unread: Option<(InstanceId, StreamNo)>,
    /// The first client that was not read in the turn before for want of time,
    pub(super) unheard: Option<ConnId>,
    /// and the first that was not written to.
    pub(super) unwritten: Option<ConnId>,
    /// Listeners on which no client can be accepted at present, and when that is tried again.
    pub(super) stuck: SortedMap<usize, Instant>,
    /// Clients to write to or to close.
    pub(super) owed: SortedSet<ConnId>,
    /// Streams of children to write to or to close.
    pub(super) feed: Feed,
    pub(super) sampler: Sampler,
    pub(super) settling: Settling,
    /// When it is looked whether groups are empty of which nobody tells us.
    pub(super) survey_at: Option<Instant>,
    /// More children have ended than were reaped in the turn before.
    more_ended: bool,
    /// Everything is to end, and what escaped from the jobs with it.
    pub(super) ends: bool,
    /// A run was over in this turn.
    pub(super) released: bool,
    pub(super) farewell: Option<Farewell>,
    /// How long its turns took.
    pub(super) turns: Turns,
    /// When it began.
    pub(super) started: SystemTime,
    signals: Signals,
    events: Events,
}

/// The end has come, and the last answers are on their way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Farewell {
    pub(super) code: u8,
    pub(super) until: Instant,
}

/// What the shell is made of.
pub struct Parts {
    /// Starts processes.
    pub spawner: Spawner,
    /// The state directory.
    pub files: Files,
    /// Where output is kept.
    pub logs: Settings,
    /// The program around the shell.
    pub world: Box<dyn World>,
    /// What of the process is the shell's.
    pub share: Share,
}

/// What came in with one sleep.
#[derive(Default)]
struct Inputs {
    pipes: SortedSet<(InstanceId, StreamNo)>,
    watched: SortedSet<InstanceId>,
    conns: SortedSet<ConnId>,
    links: SortedSet<LinkId>,
    listeners: SortedSet<usize>,
    signals: bool,
    woken: bool,
}

fn hash((ticket, task): (u64, Task)) -> Option<(u64, Outcome)> {
    Some((ticket, passwords::perform(&task)))
}

impl<M: Machine> Reactor<M> {
    /// A shell around this machine. From here on the signals are ours.
    ///
    /// # Errors
    /// The kernel gives no poll, or no signal handlers.
    pub fn new(machine: M, parts: Parts) -> io::Result<Self> {
        let poll = Poll::new()?;
        let mut sources = Arena::default();
        let all = [SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1];
        let ours = if parts.share.signals { &all[..] } else { &all[..1] };
        let mut signals = Signals::new(ours)?;
        let source: SourceId = sources.insert(Source::Signals);
        poll.registry().register(&mut signals, source.token(), Interest::READABLE)?;
        let waker_source: SourceId = sources.insert(Source::Waker);
        let waker = Arc::new(Waker::new(poll.registry(), waker_source.token())?);
        let mut reactor = Self {
            poll,
            clock: Clock::default(),
            machine,
            sources,
            sockets: Sockets::default(),
            dials: Dials::default(),
            children: Children::new(
                parts.spawner,
                Store::new(parts.logs, Arc::clone(&waker)),
                parts.share.children,
            ),
            files: parts.files,
            worker: Worker::new(Arc::clone(&waker), files::perform),
            names: Worker::new(Arc::clone(&waker), dial::resolve),
            hasher: Worker::modest(Arc::clone(&waker), hash),
            served: Served::new(Arc::clone(&waker)),
            readings: Readings::new(Arc::clone(&waker)),
            calls: Calls::new(waker),
            world: parts.world,
            effects: VecDeque::new(),
            spawns_left: limits::SPAWN_SHARE,
            again: SortedSet::new(),
            unread: None,
            unheard: None,
            unwritten: None,
            stuck: SortedMap::new(),
            owed: SortedSet::new(),
            feed: Feed::default(),
            sampler: Sampler::default(),
            settling: Settling::default(),
            survey_at: None,
            more_ended: false,
            ends: false,
            released: false,
            farewell: None,
            turns: Turns::default(),
            started: SystemTime::UNIX_EPOCH,
            signals,
            events: Events::with_capacity(limits::EVENTS),
        };
        let now = reactor.clock.tick();
        reactor.started = now.wall;
        // The first turn may be one that sleeps.
        reactor.settling.settle(now);
        reactor.secure();
        Ok(reactor)
    }

    /// Takes what there is of TLS, for connections that begin from now on.
    pub(super) fn secure(&mut self) {
        let Security { acceptor, connector } = self.world.security();
        self.sockets.acceptor = acceptor;
        self.dials.connector = connector;
    }

    /// Whether a client was not read in this turn for want of time.
    #[cfg(all(test, feature = "tls"))]
    pub(super) fn has_unheard(&self) -> bool {
        self.unheard.is_some()
    }

    /// Adds a listening socket.
    ///
    /// # Errors
    /// The poll does not take it.
    pub fn listen(&mut self, mut listener: Listener) -> io::Result<()> {
        let source = self.sources.insert(Source::Listener(self.sockets.listeners.len()));
        let (registry, token) = (self.poll.registry(), source.token());
        match &mut listener {
            Listener::Tcp(socket) | Listener::Tls(socket) => {
                registry.register(socket, token, Interest::READABLE)?;
            }
            Listener::Unix(socket) => registry.register(socket, token, Interest::READABLE)?,
        }
        self.sockets.listeners.push(listener);
        Ok(())
    }

    /// The highest number of output that was on disk at the beginning.
    pub fn logged(&self) -> u64 {
        self.children.store.last()
    }

    /// The machine, and the time to tell it.
    pub fn machine(&mut self) -> (&mut M, Now) {
        let now = self.clock.tick();
        (&mut self.machine, now)
    }

    /// Turns until the machine says that it is done; gives its exit code.
    ///
    /// # Errors
    /// The poll failed.
    pub fn run(&mut self) -> io::Result<u8> {
        self.set_out();
        loop {
            if let Some(code) = self.turn(None)? {
                self.finish();
                return Ok(code);
            }
        }
    }

    /// Does what was asked for before the first turn, which must not wait for an event.
    pub fn set_out(&mut self) {
        let now = self.clock.tick();
        self.perform_all(now);
    }

    /// Waits until everything is on the disk that was written.
    pub fn finish(&mut self) {
        let now = self.clock.tick();
        self.children.store.finish(now);
        self.worker.finish();
    }

    /// One turn. It sleeps at most `longest`. Gives the exit code once there is nothing left to do.
    ///
    /// # Errors
    /// The poll failed.
    pub fn turn(&mut self, longest: Option<Duration>) -> io::Result<Option<u8>> {
        let mut inputs = self.sleep(longest)?;
        let now = self.clock.tick();
        let stuck = self.stuck.iter().filter(|(_, at)| **at <= now.mono);
        inputs.listeners.extend(stuck.map(|(listener, _)| *listener));
        inputs.pipes.extend(self.children.wake(now));
        let did = inputs.summary(self.effects.len());
        self.children.system.begin_turn();
        self.feed.begin_turn();
        self.sampler.begin_turn();
        self.spawns_left = limits::SPAWN_SHARE;
        self.take_in(inputs, now);
        if self.machine.deadline().is_some_and(|at| at <= now.mono) {
            self.machine.on_time(now);
        }
        self.keep_store(now);
        self.perform_all(now);
        self.write_out(now);
        self.survey_untold(now);
        self.settling.settle(now);
        self.watch_turn(&did);
        Ok(self.farewell.filter(|farewell| self.may_leave(farewell, now)).map(|f| f.code))
    }

    fn may_leave(&self, farewell: &Farewell, now: Now) -> bool {
        let owes = |conn| !self.machine.transmit(conn).is_empty();
        let owes_link =
            |link| !self.machine.link_owed(link).is_empty() || self.machine.link_is_awaited(link);
        let owed = self.sockets.conns().any(owes) || self.dials.open().any(owes_link);
        self.effects.is_empty() && (farewell.until <= now.mono || !owed)
    }

    /// Whether something is left over from the turn before.
    pub(super) fn is_busy(&self) -> bool {
        let left_over = !self.effects.is_empty() || self.machine.has_starts();
        let busy = left_over || !self.again.is_empty() || !self.feed.is_idle();
        busy || !self.sampler.is_idle()
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let farewell = self.farewell.map(|farewell| farewell.until);
        let stuck = self.stuck.values().min().copied();
        let own =
            [farewell, stuck, self.survey_at, self.children.deadline(), self.settling.deadline()];
        own.into_iter().chain([self.machine.deadline()]).flatten().min()
    }

    /// Gives back what nobody needs at the moment, and sleeps.
    fn rest(&mut self, longest: Option<Duration>) {
        self.children.let_go();
        self.sockets.let_go();
        self.dials.let_go();
        heap::give_back_and_wait(&self.poll, longest);
    }

    /// The only place that sleeps.
    fn sleep(&mut self, longest: Option<Duration>) -> io::Result<Inputs> {
        let mut timeout = longest.into_iter().chain(self.idle()).min();
        if timeout != Some(Duration::ZERO) && self.settling.is_due() {
            self.rest(timeout);
            timeout = Some(Duration::ZERO);
        }
        // It counts in milliseconds and rounds up, so that it is never a little too early.
        match self.poll.poll(&mut self.events, timeout) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => other?,
        }
        let mut inputs = Inputs::default();
        for source in std::mem::take(&mut self.again) {
            inputs.add(Some(source));
        }
        for event in &self.events {
            let source = self.sources.get(SourceId::of(event.token())).copied();
            match source {
                Some(Source::Conn(conn)) => self.sockets.note(conn, event),
                Some(Source::Link(link)) => self.dials.note(link, event),
                Some(Source::Pipe(id, stream)) => {
                    if self.children.note(id, stream, event) {
                        self.feed.add([(id, stream)]);
                    }
                }
                Some(
                    Source::Listener(_) | Source::Signals | Source::Waker | Source::Watched(_),
                )
                | None => {}
            }
            inputs.add(source);
        }
        Ok(inputs)
    }

    /// Child output first, then exits, signals, clients, what the worker did, new clients.
    fn take_in(&mut self, inputs: Inputs, now: Now) {
        self.read_pipes(&inputs.pipes, now);
        for id in inputs.watched {
            let shell = (self.poll.registry(), &mut self.sources);
            self.children.watched_ended(id, &mut self.machine, shell, now);
        }
        if inputs.signals {
            self.take_signals(now);
        }
        self.read_conns(&inputs.conns, now);
        for link in inputs.links {
            self.read_link(link, now);
        }
        if inputs.woken {
            self.take_done(now);
            self.take_calls(now);
        }
        for listener in inputs.listeners {
            self.accept(listener, now);
        }
    }

    /// Takes what the workers did.
    fn take_done(&mut self, now: Now) {
        for done in self.worker.take_done() {
            if let Some((file, result)) = self.files.done(done, &mut self.worker) {
                self.machine.stored(file, result, now);
            }
        }
        for (name, found) in self.names.take_done() {
            self.resolved(name, found, now);
        }
        self.children.store.take_packed(now);
        for told in self.served.take_done() {
            self.tell_of_file(told, now);
        }
        for told in self.readings.take_done() {
            self.tell_of_reading(Some(told), now);
        }
        for (ticket, outcome) in self.hasher.take_done() {
            self.machine.hashed(ticket, outcome, now);
        }
    }

    /// Reads the streams of children, from where the turn before had no more time.
    fn read_pipes(&mut self, pipes: &SortedSet<(InstanceId, StreamNo)>, now: Now) {
        let mut left = limits::PIPES_SHARE;
        let first = self.unread.take();
        let turn_of = |pipe: &&(InstanceId, StreamNo)| first.is_none_or(|first| **pipe >= first);
        let (now_first, later): (Vec<_>, Vec<_>) = pipes.iter().partition(turn_of);
        for pipe in now_first.into_iter().chain(later).copied() {
            if left == 0 {
                self.unread.get_or_insert(pipe);
                self.again.insert(Source::Pipe(pipe.0, pipe.1));
                continue;
            }
            let mut share = limits::PIPE_SHARE.min(left);
            left -= share;
            let shell = (self.poll.registry(), &mut self.sources);
            let reading = self.children.read(pipe, &mut share, &mut self.machine, shell, now);
            left += share;
            if reading == Reading::Again {
                self.again.insert(Source::Pipe(pipe.0, pipe.1));
            }
        }
    }

    fn take_signals(&mut self, now: Now) {
        let caught: Vec<i32> = self.signals.pending().collect();
        if std::mem::take(&mut self.more_ended) || caught.contains(&SIGCHLD) {
            let shell = (self.poll.registry(), &mut self.sources);
            let reading = self.children.reap(&mut self.machine, shell, now);
            if reading == Reading::Again {
                self.more_ended = true;
                self.again.insert(Source::Signals);
            }
        }
        for number in caught.into_iter().filter(|number| *number != SIGCHLD) {
            if let Some(signal) = Signal::from_number(i64::from(number)) {
                self.machine.signalled(signal, now);
            }
        }
    }

    /// Writes what processes and clients are owed, once a turn, after everything that may have added
    /// to it.
    fn write_out(&mut self, now: Now) {
        // An answer may let the next request of its connection be read, and that be answered, too;
        // what has more to do than its share does it in the next turn.
        let mut left = limits::CONNS_WRITE_SHARE;
        for _ in 0..limits::EFFECT_ROUNDS {
            let fed = self.write_inputs(now) | self.write_links(now);
            self.owed.extend(self.machine.take_dirty());
            if self.owed.is_empty() && !fed {
                return;
            }
            self.write_conns(&mut left, now);
            self.perform_all(now);
            if left == 0 {
                break;
            }
        }
        self.feed.add(self.machine.take_dirty_inputs());
        self.owed.extend(self.machine.take_dirty());
        self.again.extend(self.owed.iter().map(|conn| Source::Conn(*conn)));
        self.leave_links();
    }
}

impl<M: Machine> Reactor<M> {
    /// Writes what processes are owed; gives whether the machine was told anything.
    fn write_inputs(&mut self, now: Now) -> bool {
        let wanted = self.machine.take_wanted_outputs();
        self.again.extend(wanted.into_iter().map(|(id, stream)| Source::Pipe(id, stream)));
        self.feed.add(self.machine.take_dirty_inputs());
        let mut told = false;
        while let Some((stream, share)) = self.feed.take_next() {
            let shell = (self.poll.registry(), &mut self.sources);
            let writing = self.children.write(stream, share, &mut self.machine, shell, now);
            self.feed.written(stream, writing.count, writing.more);
            told = true;
        }
        told
    }
}

impl Inputs {
    fn add(&mut self, source: Option<Source>) {
        match source {
            Some(Source::Pipe(id, stream)) => drop(self.pipes.insert((id, stream))),
            Some(Source::Watched(id)) => drop(self.watched.insert(id)),
            Some(Source::Conn(conn)) => drop(self.conns.insert(conn)),
            Some(Source::Link(link)) => drop(self.links.insert(link)),
            Some(Source::Listener(listener)) => drop(self.listeners.insert(listener)),
            Some(Source::Signals) => self.signals = true,
            Some(Source::Waker) => self.woken = true,
            None => {}
        }
    }

    fn summary(&self, effects: usize) -> String {
        format!(
            "{} streams, {} clients, {} links, {} effects left over{}",
            self.pipes.len(),
            self.conns.len(),
            self.links.len(),
            effects,
            if self.signals { ", signals" } else { "" }
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{key, reactor, Script};
    use super::*;
    use crate::base::order::Wiring;
    use crate::supervisor::effect::{Start, Whom};
    use crate::sys::{sockets, startup, testing};
    use std::io::Write as _;
    use std::net::TcpStream;
    use std::sync::{Arc, Barrier};

    #[test]
    fn many_noisy_children_have_their_share_of_a_turn_and_each_has_its_turn() {
        let name = "many_noisy_children_have_their_share_of_a_turn_and_each_has_its_turn";
        testing::alone(&format!("reactor::turn::tests::{name}"), || {
            let most = limits::PIPES_SHARE + limits::READ_BUFFER;
            // As many as fill more than the share, if each does no more than to fill its pipe.
            let crowd = u32::try_from(most / limits::READ_BUFFER + 8).expect("few");
            let all = (0..crowd).map(|n| {
                let mut order = Box::new(testing::order("yes", &[]));
                order.stdout = Wiring::Pipe;
                Start { id: key(n), order, logs: Box::default() }
            });
            let script = Script { starts: all.collect(), ..Script::default() };
            let mut reactor = reactor(script);
            let starts = reactor.machine.starts.len();
            while reactor.machine.has_starts() {
                reactor.turn(None).expect("a turn");
            }
            let (mut heard, mut full) = (SortedSet::new(), 0);
            for _ in 0..10_000 {
                let first = reactor.unread;
                reactor.machine.heard.clear();
                reactor.turn(None).expect("a turn");
                let told = &reactor.machine.heard;
                let read: usize = told.values().sum();
                assert!(read < most, "{read} bytes in a turn");
                if let Some((id, stream)) = first {
                    full += 1;
                    let waits = reactor.again.contains(&Source::Pipe(id, stream));
                    assert!(told.contains_key(&id) || !waits, "it was its turn");
                }
                heard.extend(told.keys().copied());
                if full > 20 && heard.len() == starts {
                    break;
                }
            }
            assert!(full > 20 && heard.len() == starts, "{full} turns, {} heard", heard.len());
            for n in 0..crowd {
                reactor.children.signal(key(n), Signal::KILL, Whom::Group);
            }
        });
    }

    #[test]
    fn many_talkative_clients_have_their_share_of_a_turn_and_each_has_its_turn() {
        let name = "many_talkative_clients_have_their_share_of_a_turn_and_each_has_its_turn";
        testing::alone(&format!("reactor::turn::tests::{name}"), || {
            let mut reactor = reactor(Script::default());
            let address = "127.0.0.1:0".parse().expect("valid");
            let socket = sockets::listen_tcp(address, 1024).expect("a free port");
            let at = socket.local_addr().expect("bound");
            let socket = mio::net::TcpListener::from_std(socket);
            reactor.listen(Listener::Tcp(socket)).expect("the poll takes it");
            let most = limits::CONNS_READ_SHARE + limits::READ_BUFFER;
            let crowd = limits::CONNS_READ_SHARE / limits::CONN_READ_LEAST + 32;
            let each = limits::CONN_READ_SHARE;
            // All have something to say before anybody is heard, so that it is more than a turn takes.
            let begun = Arc::new(Barrier::new(crowd + 1));
            let talk = |begun: Arc<Barrier>| {
                move || {
                    let mut client = TcpStream::connect(at).expect("it listens");
                    let text = vec![b'x'; each];
                    let (first, rest) = text.split_at(limits::READ_BUFFER / 2);
                    client.write_all(first).expect("sent");
                    begun.wait();
                    client.write_all(rest).expect("sent");
                    client
                }
            };
            let clients: Vec<_> = (0..crowd)
                .map(|_| std::thread::Builder::new().spawn(talk(Arc::clone(&begun))))
                .collect();
            begun.wait();
            let (mut heard, mut full) = (SortedMap::new(), 0);
            while heard.values().sum::<usize>() < crowd * each {
                let first = reactor.unheard;
                reactor.machine.received.clear();
                reactor.turn(Some(Duration::from_secs(30))).expect("a turn");
                let told = &reactor.machine.received;
                let read: usize = told.values().sum();
                assert!(read < most, "{read} bytes in a turn");
                if let Some(conn) = first {
                    full += 1;
                    // It may have said all already.
                    let waits = reactor.again.contains(&Source::Conn(conn));
                    assert!(told.contains_key(&conn) || !waits, "it was its turn");
                }
                for (conn, count) in told {
                    *heard.entry(*conn).or_default() += count;
                }
            }
            assert_eq!((heard.len(), heard.values().max()), (crowd, Some(&each)));
            assert!(full > 0, "no turn was full");
            drop(clients);
        });
    }

    #[test]
    fn clients_that_come_while_no_descriptor_is_free_are_accepted_when_one_is() {
        let name = "clients_that_come_while_no_descriptor_is_free_are_accepted_when_one_is";
        testing::alone(&format!("reactor::turn::tests::{name}"), || {
            let mut reactor = reactor(Script::default());
            let (free, _) = startup::nofile().expect("there is a limit");
            testing::limit_nofile(0);
            // It has no descriptor in reserve.
            reactor.sockets = Sockets::default();
            testing::limit_nofile(free);
            let address = "127.0.0.1:0".parse().expect("valid");
            let socket = sockets::listen_tcp(address, 16).expect("a free port");
            let at = socket.local_addr().expect("bound");
            let socket = mio::net::TcpListener::from_std(socket);
            reactor.listen(Listener::Tcp(socket)).expect("the poll takes it");
            let clients: Vec<_> = (0..3).map(|_| TcpStream::connect(at)).collect();
            testing::limit_nofile(0);
            let begin = reactor.clock.tick().mono;
            for _ in 0..3 {
                reactor.turn(Some(Duration::from_millis(1))).expect("a turn");
                assert!(reactor.again.is_empty(), "it does not spin");
            }
            assert_eq!(reactor.machine.clients, 0);
            assert!(reactor.stuck.values().all(|at| *at >= begin + limits::ACCEPT_PAUSE));
            testing::limit_nofile(free);
            reactor.turn(Some(Duration::from_secs(30))).expect("a turn");
            assert_eq!(reactor.machine.clients, 3, "none of {clients:?} waits for an edge");
            assert!(reactor.stuck.is_empty());
        });
    }
}
