//! The door between a machine and its shell. Facts go in with the time, effects come out; the shell
//! performs them in their order, in the same turn unless that has done its share, and brings the
//! results back as facts. Processes to start come out one by one, when there is time. Nothing else
//! passes: a machine has no descriptor, no clock and no thread.

use std::time::{Instant, SystemTime};

use super::keys::door::Keeping;
use super::lookups::Registration;
use super::plugins::file::{Unopened, Unread, Wanted, What};
use super::plugins::Plugin;
use super::reading::{Asking, Begun, Portion, Rings, Whom};
use super::webhooks::Hooking;
use crate::base::address::Address;
use crate::base::clock::Now;
use crate::base::error::{Errno, Stage};
use crate::base::ids::{ConnId, InstanceId, LinkId, OsPid, StreamNo};
use crate::base::level::Level;
use crate::base::process::Signal;
use crate::base::turns::Turns;
use crate::front::clients::Clients;
use crate::front::passwords::{Outcome, Task};
use crate::front::peer::{Fingerprint, Peer};
use crate::logs::backlog::Lost;
use crate::logs::view::Taken;
use crate::supervisor::effect::{Ask, Start};
use crate::supervisor::facts::{Exit, Stray};
use crate::supervisor::spec::JobEntry;

/// What a machine asks of its shell.
#[derive(Debug)]
pub enum Effect {
    /// Something of the kernel, for the supervisor.
    Kernel(Ask),
    /// Measure the groups of these leaders; answered by `sampled`, in this turn or, if there are
    /// many processes, in one of the next.
    Sample {
        /// Comes back with the answer.
        ticket: u64,
        /// Which.
        targets: Vec<OsPid>,
        /// They will be measured again soon: hold ready what makes that cheap, until `StopSampling`.
        /// Who belongs to a group, and descriptors, may then be those of a second ago.
        keep: bool,
        /// Find out their proportional share of memory, too, which the kernel adds up page by page.
        pss: bool,
    },
    /// Nothing is measured again and again any more.
    StopSampling,
    /// Tell how it stands with the shell itself; answered by `accounted`.
    Account {
        /// Comes back with the answer.
        ticket: u64,
    },
    /// Look at the processes that came from this one; answered by `climbed`.
    Climb {
        /// Comes back with the answer.
        ticket: u64,
        /// Whose.
        leader: OsPid,
    },
    /// Write to a state file; answered by `stored` when it replaces the file or fails.
    Store {
        /// Which file.
        file: StateFile,
        /// What to do with it.
        write: Write,
    },
    /// Hash a password, or hold one against its hash; answered by `hashed`.
    Hash {
        /// Comes back with the answer.
        ticket: u64,
        /// Which.
        task: Task,
    },
    /// Connect to this address; answered by `link_opened` or `link_failed`. What takes too long the
    /// machine gives up by itself.
    Dial {
        /// The connection.
        link: LinkId,
        /// Where to.
        address: Address,
    },
    /// Open a file of a site for this connection; answered by `file_opened`.
    OpenFile {
        /// For whom, and comes back with the answer.
        conn: ConnId,
        /// Which.
        file: Wanted,
    },
    /// Read from the file that is open for this connection; answered by `file_read`.
    ReadFile {
        /// Whose.
        conn: ConnId,
        /// From where on.
        at: u64,
        /// How much.
        length: usize,
    },
    /// The file of this connection, open or still to be opened, is done with: nothing more is told of it.
    CloseFile(ConnId),
    /// Begin to read what was written; answered by `reading_begun`.
    BeginReading {
        /// For whom, and comes back with the answer.
        whom: Whom,
        /// What.
        asking: Box<Asking>,
    },
    /// Read on; answered by `read_on`.
    ReadOn {
        /// For whom.
        whom: Whom,
        /// What is in memory by now, where all was told that there was; what is in books is then looked at, too.
        fresh: Option<Box<Rings>>,
    },
    /// Nothing more is read for this one, and nothing is told of what was being read.
    EndReading(Whom),
    /// Everything ends: look for processes that escaped from their jobs; answered by `strayed` for
    /// each, and then by `searched`.
    Search,
    /// See to what is kept of output; answered by `tended`.
    Tend {
        /// For whom, and comes back with the answer.
        conn: ConnId,
        /// How.
        wish: Tend,
    },
    /// Read the configuration again; answered by `reconfigured`.
    ReadConfig,
    /// Write lines to standard output, each with its end here and with the time before it there.
    Print(String),
    /// Open the log file again, and those of jobs.
    ReopenLog,
    /// Have this much in the log from now on.
    SetLogLevel(Level),
    /// End the program with this code, after what is owed to clients is sent.
    Exit(u8),
}

/// What is to be done with what is kept of output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tend {
    /// Open all files again.
    Reopen,
    /// Put the files of a job aside.
    Rotate(String),
    /// Remove all of a job.
    Clear(String),
    /// Tell what it takes.
    Measure,
}

/// What that came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tended {
    /// Nothing that could be counted.
    Done,
    /// So many files were put aside.
    Rotated(usize),
    /// So many bytes are free again.
    Cleared(u64),
    /// What each takes, and what all of the store may take together.
    Measured(Vec<Taken>, u64),
    /// It could not be done, for this reason.
    Failed(String),
}

/// What becomes of the output of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Logged {
    /// It cannot be written, for this reason.
    Failed(String),
    /// It can be again; so much is lost.
    Recovered(Lost),
}

/// One process of a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Branch {
    /// Its number.
    pub os_pid: OsPid,
    /// That of its parent.
    pub parent: OsPid,
    /// What its program is called, as the kernel keeps it: cut after 15 bytes.
    pub name: String,
    /// Its state by the kernel's letter: `R`, `S`, `D`, `T`, `Z`.
    pub state: char,
    /// Resident memory, in bytes.
    pub rss: u64,
}

/// The files of the state directory that a machine writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StateFile {
    /// Jobs loaded over the API.
    Jobs,
    /// Processes that run.
    Running,
    /// Keys.
    Keys,
    /// Users.
    Users,
    /// Where webhooks are, with their secrets.
    Webhooks,
    /// Messages that wait to be delivered to webhooks.
    Deliveries,
    /// How runs ended.
    Deaths,
}

impl StateFile {
    /// Its name in the state directory.
    pub fn name(self) -> &'static str {
        match self {
            Self::Jobs => "jobs",
            Self::Running => "running",
            Self::Keys => "keys",
            Self::Users => "users",
            Self::Webhooks => "webhooks",
            Self::Deliveries => "deliveries",
            Self::Deaths => "deaths",
        }
    }
}

/// A change of a state file.
#[derive(Debug, PartialEq, Eq)]
pub enum Write {
    /// Add these bytes at the end.
    Append(Vec<u8>),
    /// Put these bytes in the place of all that is there, or of nothing: never of half of it.
    Replace(Vec<u8>),
}

/// What a group of processes uses now.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// Resident memory in bytes.
    pub rss: u64,
    /// Virtual memory in bytes.
    pub vms: u64,
    /// User and system time since the start of each process, in seconds.
    pub cpu_time: f64,
    /// Threads.
    pub threads: u64,
    /// Open descriptors, where the kernel lets us count them.
    pub fds: u64,
    /// Processes.
    pub processes: u64,
    /// Memory of their own and their part in what they share with others.
    pub pss: Pss,
}

/// The proportional share of memory of a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pss {
    /// Nobody asked for it.
    #[default]
    NotAsked,
    /// The kernel does not tell it of all its processes.
    Refused,
    /// In bytes.
    Bytes(u64),
}

impl Pss {
    /// With that of one more process, which the kernel may refuse.
    #[must_use]
    pub fn plus(self, one: Option<u64>) -> Self {
        match (self, one) {
            (Self::Refused, _) | (_, None) => Self::Refused,
            (Self::NotAsked, Some(bytes)) => Self::Bytes(bytes),
            (Self::Bytes(sum), Some(bytes)) => Self::Bytes(sum.saturating_add(bytes)),
        }
    }

    /// With that of another group.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match other {
            Self::NotAsked => self,
            Self::Refused => self.plus(None),
            Self::Bytes(bytes) => self.plus(Some(bytes)),
        }
    }
}

/// How it stands with a shell.
#[derive(Clone, Debug, Default)]
pub struct Standing {
    /// The turns of its loop.
    pub turns: Turns,
    /// When that began.
    pub started: Option<SystemTime>,
    /// What its process uses: itself alone, and not what it started. `None` where that cannot be read.
    pub usage: Option<Usage>,
    /// How many descriptors it may have open, if that is limited.
    pub most_fds: Option<u64>,
    /// What is kept of the output of each job,
    pub logs: Vec<Taken>,
    /// and how much may be of all.
    pub most_logs: u64,
}

/// What of a configuration takes effect while a machine runs.
#[derive(Clone, Debug, Default)]
pub struct Configuration {
    /// The jobs, in the order in which they are loaded.
    pub jobs: Vec<JobEntry>,
    /// With whom the node registers.
    pub registration: Registration,
    /// Who is let in.
    pub keeping: Keeping,
    /// To whom events are posted.
    pub webhooks: Hooking,
    /// What plugins there are.
    pub plugins: Vec<Plugin>,
    /// What is in the log, where that is not as it was when the configuration was read before: whoever
    /// changed it meanwhile keeps what he has.
    pub log_level: Option<Level>,
}

/// A pure machine inside the shell. Every method takes facts in; none waits. What is told of processes
/// and files does nothing unless a machine that asks for them says what.
pub trait Machine {
    /// Its clients, from whom the shell's questions about one of them are answered.
    fn clients(&self) -> &Clients;
    /// The same, to change.
    fn clients_mut(&mut self) -> &mut Clients;
    /// A client connected. `None` refuses it.
    fn accepted(&mut self, peer: Peer, now: Now) -> Option<ConnId> {
        self.clients_mut().accept(peer, now)
    }
    /// The handshake with a client over TLS is over; it has shown this certificate, if it has shown one
    /// at all. Nothing it says is told before.
    fn secured(&mut self, conn: ConnId, certificate: Option<Fingerprint>, now: Now) {
        self.clients_mut().secured(conn, certificate, now);
    }
    /// A client has sent or taken something, or ended its side: goes on with it.
    fn client_changed(&mut self, conn: ConnId, now: Now);
    /// A client sent bytes.
    fn received(&mut self, conn: ConnId, bytes: &[u8], now: Now) {
        self.clients_mut().change(conn, |conn| conn.received(bytes, now));
        self.client_changed(conn, now);
    }
    /// A client will send no more, but may still read.
    fn input_ended(&mut self, conn: ConnId, now: Now) {
        self.clients_mut().change(conn, |conn| conn.ended(now));
        self.client_changed(conn, now);
    }
    /// A client is gone.
    fn closed(&mut self, conn: ConnId, now: Now);
    /// Whether the machine takes more bytes of this client now.
    fn wants_input(&self, conn: ConnId) -> bool {
        self.clients().wants_input(conn)
    }
    /// What a client is owed.
    fn transmit(&self, conn: ConnId) -> &[u8] {
        self.clients().transmit(conn)
    }
    /// The kernel took so many of those bytes.
    fn sent(&mut self, conn: ConnId, count: usize, now: Now) {
        self.clients_mut().change(conn, |conn| conn.sent(count, now));
        self.client_changed(conn, now);
    }
    /// Whether nothing more will be owed, so that the client can be told.
    fn output_ended(&self, conn: ConnId) -> bool {
        self.clients().output_ended(conn)
    }
    /// Whether this connection is to be closed when nothing is owed on it.
    fn is_finished(&self, conn: ConnId) -> bool {
        self.clients().is_finished(conn)
    }
    /// The connections on which something changed since the last call.
    fn take_dirty(&mut self) -> Vec<ConnId> {
        self.clients_mut().take_dirty()
    }

    /// A process was started.
    fn spawned(&mut self, _id: InstanceId, _os_pid: OsPid, _start_time: u64, _now: Now) {}
    /// A process could not be started.
    fn spawn_failed(&mut self, _id: InstanceId, _stage: Stage, _errno: Errno, _now: Now) {}
    /// A process wrote something. Gives the number under which that is kept; none if it is not, as when it is for
    /// the machine itself.
    fn output(
        &mut self,
        _id: InstanceId,
        _stream: StreamNo,
        _bytes: &[u8],
        _now: Now,
    ) -> Option<u64> {
        None
    }
    /// What a process writes does not come to its log, for this reason; or it does again, and so much is lost.
    fn logged(&mut self, _id: InstanceId, _stream: StreamNo, _logged: Logged, _now: Now) {}
    /// What became of a wish for logs.
    fn tended(&mut self, _conn: ConnId, _tended: Tended, _now: Now) {}
    /// Whether more of what a process writes is taken now. What it has written when it ends is told in any case.
    fn wants_output(&self, _id: InstanceId, _stream: StreamNo) -> bool {
        true
    }
    /// Whether somebody follows what a process writes, and is told at once.
    fn is_followed(&self, _id: InstanceId, _stream: StreamNo) -> bool {
        true
    }
    /// The streams of which more is taken again, since the last call.
    fn take_wanted_outputs(&mut self) -> Vec<(InstanceId, StreamNo)> {
        Vec::new()
    }
    /// What a process is owed on a stream.
    fn input_owed(&self, _id: InstanceId, _stream: StreamNo) -> &[u8] {
        &[]
    }
    /// The kernel took so many of those bytes.
    fn input_taken(&mut self, _id: InstanceId, _stream: StreamNo, _count: usize, _now: Now) {}
    /// Nobody will read what a process is owed on a stream: it has closed its end (EPIPE), or there
    /// is no such stream.
    fn input_refused(&mut self, _id: InstanceId, _stream: StreamNo, _errno: Errno, _now: Now) {}
    /// Whether a stream is to be closed for writing when nothing is owed on it.
    fn input_ends(&self, _id: InstanceId, _stream: StreamNo) -> bool {
        false
    }
    /// The streams on which something is owed, or that are to be closed, since the last call.
    fn take_dirty_inputs(&mut self) -> Vec<(InstanceId, StreamNo)> {
        Vec::new()
    }
    /// All output streams of a process have ended.
    fn drained(&mut self, _id: InstanceId, _now: Now) {}
    /// The leader of a process group ended, and its output was read as far as it went.
    fn exited(&mut self, _id: InstanceId, _exit: Exit, _now: Now) {}
    /// Nobody of a process group is left.
    fn group_gone(&mut self, _id: InstanceId, _now: Now) {}
    /// A process that lost its parent became our child.
    fn strayed(&mut self, _stray: Stray, _now: Now) {}
    /// All that escaped was told.
    fn searched(&mut self) {}
    /// The node's word for finding its own processes by their mark.
    fn node_mark(&self) -> &str {
        ""
    }

    /// A connection that was dialled is there.
    fn link_opened(&mut self, _link: LinkId, _now: Now) {}
    /// A connection that was dialled does not come about, or cannot go on, for this reason.
    fn link_failed(&mut self, _link: LinkId, _reason: &str, _now: Now) {}
    /// The other end of a connection of ours sent bytes.
    fn link_received(&mut self, _link: LinkId, _bytes: &[u8], _now: Now) {}
    /// Whether more of what comes on a connection of ours is taken now. Where it is again, the connection is
    /// among the next of [`Machine::take_dirty_links`].
    fn link_wants_input(&self, _link: LinkId) -> bool {
        true
    }
    /// A connection of ours is no more, whoever ended it.
    fn link_closed(&mut self, _link: LinkId, _now: Now) {}
    /// What a connection of ours is owed.
    fn link_owed(&self, _link: LinkId) -> &[u8] {
        &[]
    }
    /// The kernel took so many of those bytes.
    fn link_sent(&mut self, _link: LinkId, _count: usize, _now: Now) {}
    /// Whether a connection of ours, there or still to come, is to be closed when nothing is owed on it.
    fn link_is_finished(&self, _link: LinkId) -> bool {
        true
    }
    /// Whether a last answer is awaited on a connection of ours, for which the end waits a moment.
    fn link_is_awaited(&self, _link: LinkId) -> bool {
        false
    }
    /// The connections of ours on which something is owed, or that are to be closed, since the last
    /// call.
    fn take_dirty_links(&mut self) -> Vec<LinkId> {
        Vec::new()
    }

    /// The measurements that were asked for, in the order of the targets; `None` for what is gone.
    fn sampled(&mut self, _ticket: u64, _usages: Vec<Option<Usage>>, _now: Now) {}
    /// How it stands with the shell.
    fn accounted(&mut self, _ticket: u64, _standing: Standing, _now: Now) {}
    /// The processes of a tree that was asked for, parents before their children.
    fn climbed(&mut self, _ticket: u64, _tree: Vec<Branch>, _now: Now) {}
    /// A state file was replaced whole, or a write of it failed. An append that went well is not told.
    fn stored(&mut self, _file: StateFile, _result: Result<(), Errno>, _now: Now) {}
    /// What came of a password.
    fn hashed(&mut self, _ticket: u64, _outcome: Outcome, _now: Now) {}
    /// A file that was to be opened for a connection is, or not.
    fn file_opened(&mut self, _conn: ConnId, _opened: Result<What, Unopened>, _now: Now) {}
    /// What was to be read of it: as much as was asked for.
    fn file_read(&mut self, _conn: ConnId, _read: Result<Vec<u8>, Unread>, _now: Now) {}
    /// What was to be read for somebody is found.
    fn reading_begun(&mut self, _whom: Whom, _begun: Begun, _now: Now) {}
    /// What was read for it.
    fn read_on(&mut self, _whom: Whom, _portion: Portion, _now: Now) {}
    /// The configuration, read again, or what is wrong with it.
    fn reconfigured(&mut self, _read: Result<Configuration, String>, _now: Now) {}
    /// Nobody reads what was to be printed.
    fn unread(&mut self, _now: Now) {}
    /// The daemon got a signal.
    fn signalled(&mut self, signal: Signal, now: Now);

    /// When `on_time` wants to be called.
    fn deadline(&self) -> Option<Instant>;
    /// Time has passed.
    fn on_time(&mut self, now: Now);
    /// Everything that came in together has been told: what follows from it is settled now. The shell
    /// calls this before it takes effects, so a thousand exits in one turn are judged once.
    fn settle(&mut self, now: Now);
    /// The next process to start, when all that was asked of the kernel before is done. The shell takes
    /// it only to start it at once: until then it may be stopped, and is never started.
    fn next_start(&mut self) -> Option<Start> {
        None
    }
    /// Whether there are processes to start.
    fn has_starts(&self) -> bool {
        false
    }
    /// What the shell has to do, in order.
    fn take_effects(&mut self) -> Vec<Effect>;
}
