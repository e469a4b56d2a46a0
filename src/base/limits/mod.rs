//! Every cap in one table, each with its reason. A limit that is not here is a bug.

mod turns;

use std::time::Duration;

pub use turns::*;

// --- names -------------------------------------------------------------------------------------

/// Longest session name. Long enough for people, short enough for file names and log lines.
pub const SESSION_NAME: usize = 64;
/// Longest job label.
pub const JOB_LABEL: usize = 128;

// --- keys and users -----------------------------------------------------------------------------

/// Memory of one hash of a password, in KiB: seven MiB, the least that the OWASP's cheat sheet on
/// password storage names for argon2id, as the host may have little more.
pub const PASSWORD_MEMORY: u32 = 7168;
/// How often that memory is gone through: what that sheet asks for with so little of it.
pub const PASSWORD_PASSES: u32 = 5;
/// Passwords that wait to be hashed, or are: each has its memory only while it is hashed, one at a time.
pub const PASSWORDS_WAITING: usize = 32;
/// Longest password.
pub const PASSWORD: usize = 1024;
/// Longest name of a user.
pub const USER_NAME: usize = 64;
/// Longest label of a key.
pub const KEY_LABEL: usize = 256;
/// Most keys, logins included: each is a few hundred bytes.
pub const KEYS: usize = 10_000;
/// Most users.
pub const USERS: usize = 10_000;
/// How deep keys may come from each other.
pub const KEY_DEPTH: usize = 16;
/// Permissions of a key on jobs and sessions, and what else is said of one: its whole JSON.
pub const KEY_SIZE: usize = 16 * 1024;
/// How long the key of a login is good: as long as people stay logged in elsewhere.
pub const LOGIN_LIFE: Duration = Duration::from_secs(30 * 24 * 3600);
/// Logins of one user that are good at a time; the oldest makes room.
pub const LOGINS: usize = 16;
/// Failed logins from one place or of one user before they are slowed down,
pub const LOGIN_BURST: u32 = 10;
/// and how long it takes until one more may be tried.
pub const LOGIN_PAUSE: Duration = Duration::from_secs(6);
/// Places and users whose failed logins are remembered.
pub const LOGIN_SOURCES: usize = 4096;
/// How long somebody on a websocket or a channel may take to say the key that is asked for.
pub const AUTHENTICATE: Duration = Duration::from_secs(10);

// --- jobs --------------------------------------------------------------------------------------

/// Most instances of one job: what a small host can hold, and what a slip of the finger in a
/// scale request should not pass.
pub const NUMPROCESSES: u32 = 10_000;
/// Longest command line, argument or environment value: Linux's own limit for one string
/// (MAX_ARG_STRLEN, execve(2)).
pub const ARGUMENT: usize = 128 * 1024;
/// Most custom streams of a process.
pub const CUSTOM_STREAMS: usize = 16;
/// Longest label of a stream.
pub const STREAM_LABEL: usize = 64;
/// Most unplanned exits an instance remembers for flapping.
pub const FLAPPING_ATTEMPTS: usize = 1_000;
/// Longest of all configurable times, ten days: a larger one is a mistake.
pub const CONFIGURED_TIME: Duration = Duration::from_secs(864_000);
/// Deaths remembered for each instance.
pub const DEATHS: usize = 20;
/// Deaths that are written down for the next daemon, over all jobs, the oldest forgotten first: a node on which
/// thousands of jobs crash again and again is not to write all day what nobody can read,
pub const DEATHS_STORED: usize = 2_000;
/// and what they may take, in bytes: as much is written whole in some ten milliseconds, which it is in the loop.
pub const DEATHS_STORED_BYTES: usize = 4 * 1024 * 1024;
/// Most deaths of one answer about all jobs: with all their last lines that is what a connection may owe its
/// client.
pub const DEATHS_TOLD: usize = 500;
/// Lines of last words kept with a death.
pub const LAST_LINES: usize = 20;
/// Longest of those lines; the rest of it is cut, and the cut is marked.
pub const LAST_LINE: usize = 512;
/// How long after the kernel's counter of processes that it killed for want of memory has grown the end of one
/// is taken for such a killing: one with much memory takes a while to give it back.
pub const OOM_CLAIM: Duration = Duration::from_secs(5);
/// Characters of a program's or a directory's name in the reason why a process could not be started:
/// room for any that a person has typed, kept with each death.
pub const SHOWN_PATH: usize = 256;
/// How long the pipes of a process that is gone are read, when something that is not of its group
/// still holds them open.
pub const DRAIN: Duration = Duration::from_millis(200);
/// How often a process group that outlives its leader is looked at, at first and at last. Most
/// ends are seen by SIGCHLD; this is for members whose parent is neither us nor dead.
pub const LINGER: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));
/// How long after a KILL its process is looked at and killed again: one in uninterruptible sleep
/// dies only when the kernel lets it.
pub const KILL_AGAIN: Duration = Duration::from_secs(5);
/// Unplanned restarts in a burst, over all jobs, before they are spread out,
pub const RESTART_BURST: u32 = 50;
/// and how many a second after that, so that many crashing jobs cannot take a small host down.
pub const RESTARTS_PER_SECOND: u32 = 20;

// --- files -------------------------------------------------------------------------------------

/// Largest configuration file, Procfile, .env file or JSON file of jobs. Ten thousand jobs fit; a log
/// or a binary named by mistake does not fill the memory.
pub const TEXT_FILE: usize = 1024 * 1024;
/// How deep `%(key)s` may lead to values that refer to others: CPython's
/// `configparser.MAX_INTERPOLATION_DEPTH`, so what it reads, we read. It also ends circles.
pub const INTERPOLATION_DEPTH: usize = 10;
/// Most memory for the entries of one INI file after inheritance and interpolation. Ten levels that
/// each name the next a hundred times, or a thousand sections that inherit a thousand keys, would
/// otherwise be more than any host has.
pub const INTERPOLATED: usize = 32 * TEXT_FILE;
/// Most bytes of names and values of one .env file: Linux's usual room for arguments and
/// environment together (a quarter of an 8 MiB stack, execve(2)). Lines that double each other
/// reach it before they fill the memory.
pub const ENVIRONMENT: usize = 2 * 1024 * 1024;
// --- http --------------------------------------------------------------------------------------

/// Longest request head, from its first byte to its blank line (431): room for large cookies and
/// tokens, and what one client can make us hold before we know what it wants.
pub const HTTP_HEAD: usize = 64 * 1024;
/// Most header fields of a request (431): browsers send about 20.
pub const HTTP_FIELDS: usize = 100;
/// Longest request target (414): RFC 9112 section 3 asks for at least 8000 bytes.
pub const HTTP_TARGET: usize = 8 * 1024;
/// Longest request line. Above the target it needs room for the method and the version.
pub const HTTP_REQUEST_LINE: usize = HTTP_TARGET + 64;
/// Largest Content-Length that is a number to us: every JSON reader can hold it exactly.
pub const HTTP_CONTENT_LENGTH: u64 = 1 << 53;
/// Longest request body (413): job specs are a few kilobytes.
pub const HTTP_BODY: usize = 1024 * 1024;
/// Longest extension of one chunk: nobody uses them, and without a bound they are free traffic.
pub const HTTP_CHUNK_EXTENSION: usize = 256;
/// Most bytes of trailers behind a chunked body. They are discarded.
pub const HTTP_TRAILERS: usize = 4 * 1024;
/// Above this much output owed, a connection is not read and its next request waits.
pub const HTTP_OUTPUT_PAUSE: usize = 64 * 1024;
/// Above this much input behind the request being answered, a connection is not read; behind an
/// answer that goes on it is closed.
pub const HTTP_INPUT_AHEAD: usize = 64 * 1024;
/// A fresh connection says something within this time, or is closed silently. One over TLS has its
/// handshake behind it within this time, and then as much again to say something.
pub const HTTP_FIRST_BYTE: Duration = Duration::from_secs(10);
/// A whole request head comes within this time from its first byte (408): ends slow drips.
pub const HTTP_HEAD_TIME: Duration = Duration::from_secs(10);
/// A body is measured over windows of this length (408),
pub const HTTP_BODY_WINDOW: Duration = Duration::from_secs(10);
/// and in each of them it ends or brings this many bytes: 1 KiB a second, slower than any modem.
pub const HTTP_BODY_PER_WINDOW: usize = 10 * 1024;
/// An idle connection is kept this long, then closed silently.
pub const HTTP_KEEP_ALIVE: Duration = Duration::from_secs(60);
/// A client that takes none of its output for this long is gone.
pub const HTTP_OUTPUT_TIME: Duration = Duration::from_secs(60);
/// After a refusal this much input is read and discarded, so that the peer sees the answer and not
/// a reset (RFC 9112 section 9.6): the rest of a body or a message that was too long, mostly,
pub const HTTP_DISCARD: usize = 8 * 1024 * 1024;
/// and for no longer than this.
pub const HTTP_DISCARD_TIME: Duration = Duration::from_secs(2);
// --- tls -----------------------------------------------------------------------------------------

/// How much of what is owed over TLS is enciphered at a time: two records. What the kernel does not take
/// is held in both forms.
pub const TLS_PIECE: usize = 32 * 1024;
/// Most that a client may say before its handshake is over: its certificates are a few kilobytes, and until
/// then nobody knows who makes us hold it.
pub const TLS_HANDSHAKE: usize = 16 * 1024;
/// What each reading of a handshake counts of a turn, in bytes: it costs as much time as to take so many,
/// up to a millisecond with keys of RSA, and all may come at once.
pub const TLS_HANDSHAKE_COST: usize = 16 * 1024;
// --- live ----------------------------------------------------------------------------------------

/// A client that follows something and takes none of what it is owed for this long, or answers no
/// ping, is gone.
pub const LIVE_SILENCE: Duration = Duration::from_secs(120);
/// Events kept for clients that come back, counted by their messages: packed, some hundred kilobytes, and
/// on a busy node some minutes.
pub const EVENTS_KEPT: usize = 10_000;
/// What they may take, in bytes: those of ends with all their last lines are large.
pub const EVENTS_BYTES: usize = 8 * 1024 * 1024;
/// Most topics that one client follows: a page shows hundreds, and each costs memory for as long as it
/// is followed.
pub const SUBSCRIPTIONS: usize = 1_000;
/// Longest topic. The longest names of a session and a job fit.
pub const TOPIC: usize = 512;
/// How often statistics come when nobody says otherwise, as the original sent them,
pub const STATS_INTERVAL: Duration = Duration::from_millis(100);
/// and how often at the most and at the least.
pub const STATS_INTERVALS: (Duration, Duration) =
    (Duration::from_millis(50), Duration::from_secs(3600));
/// How often one message about all processes comes when nobody says otherwise: it is for people who look at a
/// table.
pub const USAGE_INTERVAL: Duration = Duration::from_secs(2);
/// and the least: anybody may follow it who is known, and everything is measured for it.
pub const USAGE_LEAST: Duration = Duration::from_secs(1);
/// The time of one slot of the history of what an instance uses, and how often the node measures where it is to
/// keep that by itself.
pub const HISTORY_STEP: Duration = Duration::from_secs(5);
/// How many slots it has, which makes ten minutes: a chart as wide as a page, in 12 bytes a slot and so 1.5 KB
/// an instance.
pub const HISTORY_SLOTS: usize = 120;
/// What one answer tells of that, in bytes: some 1,700 instances over all of the time. The others are counted.
pub const HISTORY_ANSWER: usize = 4 * 1024 * 1024;
/// Jobs and instances in one answer of `overview`, some hundred bytes each: some milliseconds' work, and one message,
/// which has to fit into what is queued for a session.
pub const OVERVIEW: usize = 500;
/// Who waits for one measurement of metrics; for each its text is held, which has megabytes where there are
/// thousands of jobs.
pub const SCRAPERS: usize = 8;
/// What is queued for one reader who is slower than what it follows, each piece with its cost. Above
/// it the oldest is dropped, counted and told. It holds all events that are kept, for who comes back,
/// and some seconds of a thousand processes' statistics.
pub const READER_QUEUE: usize = 4 * 1024 * 1024;
/// Largest message on a websocket to a process: its whole queue, with the head of a frame.
pub const WS_MESSAGE: usize = INPUT_QUEUE + 1024;
/// How long a websocket is silent before it is asked for a sign of life: proxies close what is silent
/// for a minute, and some for half of one.
pub const WS_PING: Duration = Duration::from_secs(25);
/// What a websocket reads at a time. Each has such a buffer for as long as it lives.
pub const WS_READ_BUFFER: usize = 2 * 1024;
// --- sockjs ----------------------------------------------------------------------------------------

/// Longest server or session in a URL: clients make up eight characters or a UUID.
pub const SOCKJS_SEGMENT: usize = 128;
/// Longest callback of a page: clients' own have about ten characters.
pub const SOCKJS_CALLBACK: usize = 32;
/// How often a client that receives hears something: proxies close what is silent for a minute.
pub const SOCKJS_HEARTBEAT: Duration = Duration::from_secs(25);
/// How long a session without a receiver is kept: a client polls again at once, over a bad line in a
/// few seconds.
pub const SOCKJS_DISCONNECT: Duration = Duration::from_secs(5);
/// A response that goes on ends after so many bytes: browsers keep all of it until then.
pub const SOCKJS_RESPONSE: usize = 128 * 1024;
/// Largest message, and largest body with messages: what any request may have.
pub const SOCKJS_MESSAGE: usize = HTTP_BODY;
/// What may wait for the receiver of a session, in bytes: as for any other reader.
pub const SOCKJS_QUEUE: usize = READER_QUEUE;
/// Most sessions: as many as a small host has memory for, should each let its queue grow.
pub const SOCKJS_SESSIONS: usize = 1024;
/// How many of them may be of clients who have not said who they are, where a key is asked for: the other
/// places are for those who have one, however many come without.
pub const SOCKJS_STRANGERS: usize = SOCKJS_SESSIONS / 2;
/// Most requests of a session that wait until their messages are taken: clients send one at a time.
pub const SOCKJS_SENDS: usize = 8;
/// Above this size no further message is put into a frame: what a client reads at a time.
pub const SOCKJS_FRAME: usize = 16 * 1024;
// --- lookup -------------------------------------------------------------------------------------

/// Most nodes that one lookupd knows: more than anybody has, and with their connections as many as it
/// has descriptors for.
pub const LOOKUP_NODES: usize = 10_000;
/// Most jobs that one node registers.
pub const LOOKUP_NODE_JOBS: usize = 10_000;
/// Most processes that a node registers for one job: twice what gafferd keeps of a job, for one-offs
/// and for those that still end.
pub const LOOKUP_JOB_PROCESSES: usize = 20_000;
/// Most jobs and processes of all nodes together: with two million of them the state is about 100 MB,
/// whoever registers them.
pub const LOOKUP_ENTRIES: usize = 2_000_000;
/// Longest name of a node: names of hosts have at most 253 characters (RFC 1035).
pub const LOOKUP_NAME: usize = 255;
/// Longest origin of a node: scheme, such a name, and a port.
pub const LOOKUP_ORIGIN: usize = 270;
/// Longest version that a node says it speaks.
pub const LOOKUP_VERSION: usize = 64;
/// Longest message of a node. The longest that means something has some hundred bytes.
pub const LOOKUP_MESSAGE: usize = 64 * 1024;
/// Up to this length a message that is too long is read and refused; with a longer one the connection
/// ends, as nobody holds so much for what is refused anyway.
pub const LOOKUP_READ: usize = HTTP_BODY;
/// Most connections of nodes that have not said who they are. When a lookupd comes back, its nodes all
/// connect at once, and each is unknown for a moment.
pub const LOOKUP_UNIDENTIFIED: usize = 1_024;
/// How long a connection may be one of them: nodes say who they are at once.
pub const LOOKUP_IDENTIFY: Duration = Duration::from_secs(10);
/// How often a node says that it lives.
pub const LOOKUP_HEARTBEAT: Duration = Duration::from_secs(15);
/// A node that has said nothing for three heartbeats is gone.
pub const LOOKUP_SILENCE: Duration = Duration::from_secs(45);
/// A node that has said nothing for a heartbeat and a third of one loses its place to a connection that
/// says the same of itself, unasked.
pub const LOOKUP_STALE: Duration = Duration::from_secs(20);
/// One that has said something since loses it when it gives no sign of life for so long after it is
/// asked for one: several times what a packet needs that is lost and sent again.
pub const LOOKUP_PROBE: Duration = Duration::from_secs(5);
/// When the time of somebody's silence is noticed so late, it is we who have slept, and what was said
/// meanwhile is still to be read.
pub const LOOKUP_LATE: Duration = Duration::from_secs(2);
/// An answer up to this size is given whole, with its length and its tag. A larger one is written while
/// it is read, so that nobody's answer is held in memory.
pub const LOOKUP_ANSWER: usize = 256 * 1024;
/// Jobs on nodes that are looked at for an answer in a step: about a millisecond's work.
pub const LOOKUP_SCAN: usize = 10_000;
/// How much of a snapshot waits for its reader: about what a connection takes at once.
pub const LOOKUP_AHEAD: usize = 64 * 1024;
// --- links ---------------------------------------------------------------------------------------

/// How long a connection of ours that is to be closed may take to deliver its last words. Then it is
/// closed without.
pub const LINK_FAREWELL: Duration = Duration::from_secs(5);
/// Most addresses of a name that are tried: those of one host on two families and a few networks.
pub const LINK_ADDRESSES: usize = 8;
/// What is read of one link in a turn.
pub const LINK_SHARE: usize = 64 * 1024;
// --- registration --------------------------------------------------------------------------------

/// Most lookupds that a node registers with: several, so that none has to live.
pub const LOOKUPDS: usize = 32;
/// How long a connection to a lookupd may take to be there, and again to become a websocket.
pub const LOOKUPD_OPENING: Duration = Duration::from_secs(10);
/// How long a lookupd may take to say whether it knows us: longer than it waits for a sign of life of
/// the connection that we had before.
pub const LOOKUPD_IDENTIFY: Duration = Duration::from_secs(20);
/// Before a lost lookupd is tried again some part of this time passes, twice as much each time,
pub const LOOKUPD_RETRY: Duration = Duration::from_millis(500);
/// up to this. A thousand nodes that have lost one for long are some seventy attempts a second.
pub const LOOKUPD_RETRY_MOST: Duration = Duration::from_secs(30);
/// Where another connection has our place, this is the most: it is one of ours that is dead, and the
/// lookupd will know soon.
pub const LOOKUPD_TAKEN: Duration = Duration::from_secs(5);
/// A registration that has lasted so long has the next loss tried again at once. One that is lost again
/// and again has not.
pub const LOOKUPD_STABLE: Duration = Duration::from_secs(30);
/// Messages to a lookupd without their answer: over a line of 100 ms this is some hundred a second, and
/// one that answers nothing costs no more memory.
pub const LOOKUPD_WINDOW: usize = 64;
/// Longest message of a lookupd.
pub const LOOKUPD_MESSAGE: usize = 64 * 1024;
/// Names of events to which one job listens,
pub const LISTEN: usize = 64;
/// and the longest of them: longer than that of any event.
pub const EVENT_NAME: usize = 256;
/// Most events that wait for the processes of one job that are told one at a time,
pub const LISTEN_BUFFER: usize = 1000;
/// How long a listener that has failed with an event gets none: long enough to cost nothing, and short beside what
/// made it fail.
pub const LISTEN_RETRY: Duration = Duration::from_secs(1);
/// and the bytes of them: as much as one process may be owed.
pub const LISTEN_BYTES: usize = INPUT_QUEUE;
/// Most of a process's output in one event for them,
pub const LISTENER_PIECE: usize = 8 * 1024;
/// the longest result that one of them answers, all of which but `OK` mean the same,
pub const LISTENER_RESULT: usize = 64 * 1024;
/// and how much is told of what such a process says that has no meaning.
pub const LISTENER_GARBAGE: usize = 80;

// --- plugins -------------------------------------------------------------------------------------

/// Most plugins of a node: each is looked at whenever the configuration is read.
pub const PLUGINS: usize = 256;
/// Longest name of a plugin: it is a folder's, and stands in paths and logs.
pub const PLUGIN_NAME: usize = 64;
/// Longest description of a plugin's program.
pub const PLUGIN_MANIFEST: usize = 64 * 1024;
/// Deepest path below a site: each name of it is a step of the kernel's.
pub const SITE_DEPTH: usize = 32;
/// Most files of sites that are being sent at a time: each is a descriptor, and up to three pieces.
pub const SITE_FILES: usize = 128;
/// How much is read of one at a time.
pub const SITE_PIECE: usize = 64 * 1024;
/// Who took nothing for so long makes room when there are too many.
pub const SITE_STALLED: Duration = Duration::from_secs(5);
/// Longest path of a unix socket (unix(7)).
pub const SOCKET_PATH: usize = 107;
/// Longest text of a plugin's manifest,
pub const PLUGIN_TEXT: usize = 1024;
/// most events that it names,
pub const PLUGIN_EVENTS: usize = 64;
/// and most requests that it answers.
pub const PLUGIN_ROUTES: usize = 256;
/// So many lines of a plugin that are no messages are answered; then it is killed.
pub const PLUGIN_INVALID: u64 = 100;
/// How much a plugin may say in a second, beside one message of the greatest length at once: thousands of
/// commands, and a few hundredths of a processor's time.
pub const PLUGIN_RATE: usize = 256 * 1024;
/// Messages of a plugin whose leader is gone that wait to be heard; what it says beyond is dropped.
pub const PLUGIN_BACKLOG: usize = 10_000;
/// Requests that one plugin answers at a time.
pub const FORWARDS: usize = 64;
/// How long a plugin has until its answer begins, or is whole if it is short.
pub const FORWARD_PATIENCE: Duration = Duration::from_secs(30);
/// Who has taken nothing of his answer for so long makes room for another who asks the same plugin.
pub const FORWARD_STALLED: Duration = Duration::from_secs(5);
/// What is held of an answer of a plugin that its client has no room for yet. One that is no longer is short: it
/// is told with its length.
pub const FORWARD_BUFFER: usize = 64 * 1024;

// --- webhooks ------------------------------------------------------------------------------------

/// Most addresses of webhooks.
pub const WEBHOOKS: usize = 32;
/// Most names of events for one address.
pub const WEBHOOK_EVENTS: usize = 64;
/// Longest name of events: longer than that of any event.
pub const WEBHOOK_EVENT: usize = 256;
/// Longest address: what servers take in a request line.
pub const WEBHOOK_URL: usize = 2048;
/// Least and most bytes of the key of a secret.
pub const WEBHOOK_SECRET: (usize, usize) = (16, 256);
/// How long a secret that has another in its place still signs beside that.
pub const WEBHOOK_OVERLAP: Duration = Duration::from_secs(24 * 3600);
/// Messages that wait for one address: so many come in the minute that it takes to start a server again,
/// where hundreds of processes come and go. The oldest makes room.
pub const WEBHOOK_QUEUE: usize = 20_000;
/// Messages that wait for all addresses, in memory and on disk some ten MiB. Where most wait the oldest makes
/// room.
pub const WEBHOOKS_QUEUED: usize = 40_000;
/// What they may take in all, in bytes: those of ends with all their last lines are large.
pub const WEBHOOKS_BYTES: usize = 32 * 1024 * 1024;
/// How long one may take to be connected to, and again to answer: an answer is only a word of thanks.
pub const WEBHOOK_PATIENCE: Duration = Duration::from_secs(5);
/// How much is read of an answer: enough for what says why not.
pub const WEBHOOK_ANSWER: usize = 16 * 1024;
/// How much of it is told.
pub const WEBHOOK_TOLD: usize = 200;
/// How long a connection is kept for the next message: not as long as servers keep theirs.
pub const WEBHOOK_IDLE: Duration = Duration::from_secs(15);
/// Longest wait before a message is sent again,
pub const WEBHOOK_RETRY_MOST: Duration = Duration::from_secs(5 * 60);
/// and where one counts as dead,
pub const WEBHOOK_DEAD_RETRY: Duration = Duration::from_secs(3600);
/// which it does when it has failed for so long.
pub const WEBHOOK_DEAD: Duration = Duration::from_secs(3600);
/// How often a message is refused, as one that is wrong, before it is dropped: it would hold up all others
/// for ever. With the waits between them that is the better part of an hour.
pub const WEBHOOK_REFUSALS: u32 = 20;
/// Tests of webhooks that are waited for at a time.
pub const WEBHOOK_TESTS: usize = 8;

// --- etcd ----------------------------------------------------------------------------------------

/// How long a node's keys outlive its last sign of life, in seconds: three heartbeats, as with lookupds.
pub const ETCD_TTL: u64 = 45;
/// How long an etcd may take to be connected to, and again to answer: longer than it takes to agree on
/// another leader.
pub const ETCD_PATIENCE: Duration = Duration::from_secs(10);
/// Longest answer of an etcd, and longest line of what it tells: a value of 1.5 MiB, which is the largest
/// that one takes, has two of them in base64.
pub const ETCD_ANSWER: usize = 4 * 1024 * 1024;
/// Keys of one page of a listing: an etcd counts all that are left for each, and some hundred bytes are told
/// of a key. Where a page is too long it has half of them, down to one.
pub const ETCD_PAGE: u64 = 2_000;
/// Operations of one transaction: half of what an etcd takes unless it is told otherwise,
pub const ETCD_OPS: usize = 64;
/// and bytes of their values, of which it takes 1.5 MiB. A single value may have more.
pub const ETCD_VALUES: usize = 256 * 1024;
/// How long the end of a node may take to give its lease back. Without that its keys are gone when the
/// lease runs out.
pub const ETCD_FAREWELL: Duration = Duration::from_secs(1);
/// Most members of an etcd that are named: more than any has.
pub const ETCD_MEMBERS: usize = 16;
/// Longest prefix of our keys there.
pub const ETCD_PREFIX: usize = 128;
// --- the kernel --------------------------------------------------------------------------------

/// Most that is read of a process's environment, in bytes: the kernel itself takes no more for
/// arguments and environment together (three quarters of its default stack limit, execve(2)).
pub const ENVIRON: u64 = 6 * 1024 * 1024;
/// Stack of a child between its making and its program, in bytes. It needs less than two pages; an
/// unmapped page below catches what would go beyond.
pub const CHILD_STACK: usize = 64 * 1024;
/// Descriptors closed one by one where the kernel has no close_range(2) (before Linux 5.9). All of
/// ours are closed by execve(2) anyway, so this bounds the time and not the safety.
pub const CLOSE_ONE_BY_ONE: i32 = 4096;
/// Most supplementary groups of a process: NGROUPS_MAX of Linux.
pub const GROUPS: usize = 65_536;
/// How many turns an embedded node has to end that is dropped while it runs, its processes being killed,
pub const DROP_TURNS: usize = 500;
/// and how long one of them sleeps at most.
pub const DROP_PAUSE: Duration = Duration::from_millis(10);
/// What other threads hand in that one turn does; the rest has its time in the next.
pub const CALL_SHARE: usize = 256;
/// How long after something has ended its memory is given back to the kernel: most is used again at once.
pub const SETTLE_AFTER: Duration = Duration::from_secs(5);
/// How often it is looked whether the group of a gone leader is empty, where orphans are not our children.
pub const SURVEY_PAUSE: Duration = Duration::from_millis(100);
/// How often a lock is tried for that is free in a moment: its file is replaced under our hands, or
/// its holder is dead and has left a copy to a child that is just being made.
pub const LOCK_ATTEMPTS: u32 = 100;
/// Milliseconds between two such attempts.
pub const LOCK_PAUSE: i32 = 10;
/// Most bytes read of a lock file to find its holder's pid.
pub const LOCK_TEXT: u64 = 64;
/// Most files of /proc that are held open to measure processes again and again: the kernel keeps a
/// page with each, so these are 16 MiB. Processes beyond them cost twice the time.
pub const SAMPLE_FILES: usize = 4096;
/// How long what was found out about who belongs to a group, and about descriptors, is good enough
/// for who measures again and again: to find it out takes a look at the whole system.
pub const SAMPLE_REFRESH: Duration = Duration::from_secs(1);
/// How long the files of a group are held open after it was measured last.
pub const SAMPLE_KEEP: Duration = Duration::from_secs(5);
// --- state ---------------------------------------------------------------------------------------

/// A state file below this size is never worth replacing.
pub const JOURNAL_KEEP: usize = 64 * 1024;
/// A larger one is written whole again when it has grown by this factor.
pub const JOURNAL_GROWTH: usize = 4;
/// How long after a failed write of a state file it is tried again.
pub const STATE_RETRY: Duration = Duration::from_secs(5);

// --- output --------------------------------------------------------------------------------------

/// What is kept of each stream of an instance in memory, bookkeeping included.
pub const OUTPUT_RING: usize = 64 * 1024;
/// What of each stream waits in memory while its log cannot be written, bookkeeping included: as much as is kept
/// in memory of any.
pub const LOG_BACKLOG: usize = OUTPUT_RING;
/// What of an index waits in memory while that cannot be written.
pub const LOG_INDEX: usize = 64 * 1024;
/// A line that is longer by this than its file should be is cut there.
pub const LOG_OVERLONG: u64 = 1024 * 1024;
/// A line that is written whole, as among those of others, waits for its end up to this length.
pub const LOG_PART: usize = 64 * 1024;
/// Room that a stream keeps for composing lines.
pub const LOG_SCRATCH: usize = 512 * 1024;
/// How often it is looked whether a log file is still the one of its name, while it is written.
pub const LOG_LOOK: Duration = Duration::from_secs(1);
/// What is written again at most of what stood in a log file that was deleted.
pub const LOG_AGAIN: u64 = 16 * 1024 * 1024;
/// How long after a write to a log has failed it is tried again.
pub const OUTPUT_LOG_RETRY: Duration = Duration::from_secs(1);
/// How long after output an index is written down.
pub const LOG_FLUSH: Duration = Duration::from_secs(1);
/// How often it is tried to write what is inherited where nobody reads it.
pub const LOG_OWN_RETRY: Duration = Duration::from_millis(100);
/// Log files that are open at the same time.
pub const LOG_FILES: usize = 1024;
/// Streams of runs that are over of which it is known how far they were written.
pub const LOG_ENDED: usize = 65_536;
/// Files of a log that are kept at most, besides the one that is written to.
pub const OUTPUT_LOG_KEEP: u32 = 10_000;
/// The largest size that a job may give its logs, in bytes: more than any disk has.
pub const OUTPUT_LOG_SIZE: u64 = 1 << 50;
/// The longest path of a log file as a job writes it, in bytes: with what stands in braces it still is a path.
pub const OUTPUT_LOG_PATH: usize = 1024;
/// What a pipe takes whole and at once (PIPE_BUF, pipe(7)).
pub const PIPE_WHOLE: usize = 4096;
/// What the store takes at most unless it is told otherwise, or a tenth of its file system if that is less.
pub const LOG_STORE: u64 = 256 * 1024 * 1024;
/// What is kept of a job in the store,
pub const LOG_TOTAL: u64 = 10 * 1024 * 1024;
/// and the size of a file there before it is put aside: what is removed at a time.
pub const LOG_FILE: u64 = 2 * 1024 * 1024;
/// The same of files elsewhere,
pub const LOG_FILE_ELSEWHERE: u64 = 10 * 1024 * 1024;
/// and how many of those are kept besides the one that is written to.
pub const LOG_KEEP_ELSEWHERE: u32 = 5;
/// Up to what length a line is one for filters and in JSON; of a longer one the rest follows as parts of it.
pub const PAST_LINE: usize = 1024 * 1024;
/// How much of a log is read in one go,
pub const LOG_STRETCH: usize = 256 * 1024;
/// and of an index.
pub const PAST_INDEX: usize = 64 * 1024;
/// How much of logs is looked through before it is another reader's turn,
pub const LOG_SCAN: usize = 1024 * 1024;
/// and how much comes of that at the most, but for one line.
pub const LOG_BATCH: usize = 64 * 1024;
/// Who reads logs at a time: each has up to a line and a stretch of each book that he reads.
pub const LOG_READERS: usize = 64;
/// Who took nothing for so long makes room when there are too many.
pub const LOG_STALLED: Duration = Duration::from_secs(5);
/// Longest pattern of `grep=`.
pub const LOG_PATTERN: usize = 1024;
/// Compressed parts of logs that one reader has open at a time.
pub const LOG_PACKED: usize = 32;
/// Most processes that are told of one tree: more than anybody reads, and looked at in a few milliseconds.
pub const TREE: usize = 256;
/// Most bytes of lines in one answer, the newest of them: what a connection may owe its client.
pub const LOGS_ANSWER: usize = 4 * 1024 * 1024;

// --- input ---------------------------------------------------------------------------------------

/// What a stream of a process is owed at most, and so the longest message to one: the largest request
/// body goes through whole, and a process that reads nothing costs no more than this.
pub const INPUT_QUEUE: usize = 1024 * 1024;

// --- the log -------------------------------------------------------------------------------------

/// Longest line that is sure to go into a pipe whole and at once (PIPE_BUF, pipe(7)).
pub const LOG_LINE: usize = 4096;
/// Longest name of the part of a program that speaks.
pub const LOG_TARGET: usize = 128;
/// How large a log file grows before it is moved aside, unless it is said: months of a quiet node, and little
/// on any disk.
pub const LOG_SIZE: u64 = 10 * 1024 * 1024;
/// How many of those that were before it are kept, unless it is said,
pub const LOG_KEEP: u32 = 5;
/// and at most: all of them are moved on when one more comes.
pub const LOG_KEEP_MOST: u32 = 1000;
/// How many seconds after a log file could not be moved aside it is tried again.
pub const LOG_RETRY: u64 = 60;

// --- syslog --------------------------------------------------------------------------------------

/// Longest line for the syslog daemon: more than RFC 3164 asks of one (1024 bytes), and less than the known
/// ones take (rsyslog 8096 bytes, journald 48 KiB).
pub const SYSLOG_LINE: usize = 4096;
/// Longest tag of such a line: a session, a job and a number go whole into it, but for the longest.
pub const SYSLOG_TAG: usize = 128;

// --- waiting -------------------------------------------------------------------------------------

/// How long `?wait=` waits when no `timeout` is given: longer than most programs need to start or
/// to stop, and shorter than most clients' own patience.
pub const WAIT_DEFAULT: Duration = Duration::from_secs(60);
/// Longest `timeout` of a request that waits.
pub const WAIT_MOST: Duration = Duration::from_secs(3600);

// --- the node ------------------------------------------------------------------------------------

/// Jobs of which metrics are told one by one: some two kilobytes each, all of which are written in one turn. What is
/// beyond counts only where all jobs count together, and how many that is is told, too.
pub const METRICS_JOBS: usize = 5_000;
/// Most client connections at a time: each is a descriptor, and children need theirs.
pub const CONNECTIONS: usize = 16_384;
/// One in so many of them is for those alone who come over the unix socket: strangers cannot keep the
/// operator out.
pub const CONNECTIONS_OWN: usize = 16;
/// Once no more than one in so many is left, whoever has waited longest for his next request, or with half of
/// one, makes room for those who come: whoever is slow by intent would else hold all of them.
pub const CONNECTIONS_SPARE: usize = 32;
/// What all clients together may have us hold of requests that are not whole and of answers that they do not
/// take. Above it whoever holds most of it is cut off: ten thousand bodies that do not end would fill any
/// host's memory.
pub const CONNECTIONS_HELD: usize = 64 * 1024 * 1024;
/// What is less than this for one of them is not counted: most requests and answers are.
pub const CONNECTION_LITTLE: usize = 4 * 1024;
/// A line of output longer than this is told on the console in pieces: with its time and its name
/// each goes whole into a pipe that has room (PIPE_BUF, pipe(7)), or else is lost and counted. A
/// longer one would wait there for whoever reads it, and the daemon with it.
pub const CONSOLE_LINE: usize = 3 * 1024;

/// A line of an application in the foreground that is longer than this is told in pieces: one without
/// an end must not grow for ever.
pub const FOREGROUND_LINE: usize = 64 * 1024;

// --- gaffer top ----------------------------------------------------------------------------------

/// Measurements of a process that are remembered: two minutes, and more than a screen is wide.
pub const TOP_SAMPLES: usize = 120;
/// Events that are remembered to be shown.
pub const TOP_EVENTS: usize = 500;
/// Lines of a process's output that are remembered: what a node keeps of it is rarely more.
pub const TOP_LINES: usize = 2_000;
/// Longest of these lines, in characters; the rest of it is a line of its own.
pub const TOP_LINE: usize = 4_096;
/// Jobs that are asked about at a time: a node with thousands answers other things in between.
pub const TOP_ASKED: usize = 64;
/// Most characters of a filter.
pub const TOP_FILTER: usize = 128;
