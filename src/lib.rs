//! gaffer controls, watches and launches applications and jobs over HTTP.
//!
//! This is the architecture, kept true. It is a library with three programs in front of it:
//! `gafferd` (the node), `gaffer` (the command line) and `gaffer_lookupd` (which node runs what).
//!
//! # The picture
//!
//! ```text
//!   sockets, pipes, signals, clock, files            the kernel
//! ┌─────────────────────────────────────────────────────────────┐
//! │ Reactor (reactor/)   owns every descriptor, sleeps in poll, │
//! │                      moves bytes, performs effects          │
//! │  facts ↓  ↑ effects, owed bytes                             │
//! │ ┌─────────────────────────────────────────────────────────┐ │
//! │ │ Gaffer (node/)   owns all state                         │ │
//! │ │   Supervisor (supervisor/)   jobs, instances, timers    │ │
//! │ │   clients: Conn (front/)     bytes ↔ requests           │ │
//! │ │   channel: Service (front/)  sessions over SockJS       │ │
//! │ │   hub, feeds, history        who follows what           │ │
//! │ │   lookups: links (front/)    what lookupds and etcds    │ │
//! │ │                              are told                   │ │
//! │ │   webhooks: links, too       to whom events are posted  │ │
//! │ │   listeners                    jobs that are told, too  │ │
//! │ │   plugins, sendings, programs  what is served beside    │ │
//! │ │   outputs, stdins, stats, waits, state                  │ │
//! │ │   door, guests               who is let in, and stays   │ │
//! │ └─────────────────────────────────────────────────────────┘ │
//! └─────────────────────────────────────────────────────────────┘
//! ```
//!
//! [`node::gaffer::Gaffer`] is one machine without I/O: facts come in as `&mut self` methods that
//! take the time ([`node::machine::Machine`]), and [`node::machine::Effect`]s go out. The
//! [`reactor::turn::Reactor`] is one thin shell around it on `mio`. A test puts a fake kernel in the
//! shell's place and runs the whole node in virtual time.
//!
//! [`lookup::lookupd::Lookupd`] is another machine in the same shell, without processes: a registry
//! ([`lookup::registry`]) that the websockets of nodes feed, and clients who ask and follow.
//!
//! # The turn
//!
//! 1. sleep: `poll` until the machine's deadline, or not at all while something is left over
//! 2. read the clock, once
//! 3. take in: child output, exits (after their last words), signals, clients, links, the workers'
//!    results, new clients
//! 4. let time pass in the machine
//! 5. perform effects, start processes and feed the results back, until there are none or the turn
//!    has done its share; writes to the state directory come first, new processes last
//! 6. write what processes, links and clients are owed; what comes about by that is performed before more
//!    is written
//! 7. say so if the turn was long
//!
//! Sources are edge-triggered and registered once. One that had its share and has more is taken up
//! again in the next turn. An idle node has no timer and no wake-up. Some seconds after the start, or after a connection
//! or a process has ended, the loop gives back what is free, lets go of the pages of the program itself, and sleeps
//! where none of them is needed for it (`reactor/settling.rs`, `sys/heap.rs`).
//!
//! # Small
//!
//! A job with its process takes some 2.3 KB where there are many, each further process 2: jobs share what they have in
//! common (`JobEntry::share`), what is only shown is kept as text, and tables are [`base::sorted`] maps, of which each kind
//! is a tenth of the program that a tree of the standard library is, and an empty one is a word. What the standard library
//! makes anew for each type is used with one: all sorts are of places ([`base::sorting`]), all workers' channels of
//! boxes (`reactor/work.rs`). What a process is started with is put together when it is started, and the events that are
//! kept lie in packed pages (`node/history`): what lives long and is small does not come between what comes and goes.
//! Answers that tell of everybody are written without a tree of values. `tests/live/footprint.rs` has the budget,
//! `benches` the measures.
//!
//! # Supervision
//!
//! Intent and observation are apart. A job's intent is `desired` (up, down, hold) and a target
//! number; requests change only that. What is observed are instances in the states `waiting`,
//! `starting`, `running`, `stopping`, `backoff`, `stopped`, `exited` and `failed`, each with its
//! reason. Every verb and every fact ends in `converge`, which spawns what is missing and stops what
//! is too many. How a run ends is one way that all ends take: stop signal to the group, grace, KILL
//! to the group, group empty, streams drained, exit told (`supervisor/ending.rs`). Restarts of many at once take turns
//! (`supervisor/restart_queue.rs`).
//!
//! Each process carries `GAFFER_RUN` in its environment: the word of this node, of this life of it,
//! and the run's number. With it, descendants that left their group are found when their run is
//! over, and what a killed daemon left is found at the next start, together with the record of what
//! runs in the state directory.
//!
//! How runs ended is told in the words of `supervisor/death.rs`, with what the kernel knows of them
//! (`sys/reap.rs`, `reactor/killings.rs`). The last of each instance outlive the daemon: they are written down by
//! `node/deaths.rs`, and wait in `supervisor/former.rs` until their job is loaded again.
//!
//! # What is followed
//!
//! Clients follow in two ways. A *session* of the channel follows topics, any number of them, whichever
//! way of SockJS its messages take (`node/hub.rs`). A *feed* is one connection that follows one thing:
//! chunks for curl, server-sent events, or the websocket of a process (`node/feeds.rs`). What is
//! published is written once for all who read it alike, and queued for each in an
//! [`front::outbox::Outbox`]: bounded, the oldest dropped first, counted and told; answers are never
//! dropped. Queues move into a connection only while it has room, so nobody waits for a reader.
//!
//! The other way round, what is written to a process waits in its queue (`node/stdins.rs`), and who finds
//! that full is parked with one message (`node/writers.rs`): it is not answered, and not read.
//!
//! A process can be told, too. Most that listen get lines (`node/listening.rs`); those of supervisor's dialect
//! ([`wire::listener`]) are pools that take one event at a time and answer (`node/listeners`). What they say goes to the
//! node and to nobody else ([`supervisor::hearer`], `node/taps.rs`), and the life of instances is told them in
//! supervisor's words ([`supervisor::phases`]).
//!
//! Statistics are measured while somebody watches, by clocks that all who want the same share
//! (`node/watches.rs`). What they come to is kept for ten minutes, in a ring for each place of a job
//! (`node/usage_history.rs`), and nothing is measured for that unless the configuration says so. Who follows all
//! instances is told them in one message (`node/usage_table.rs`). Events are kept for a while under growing numbers
//! (`node/history`), so that a client that comes back misses nothing, or is told. Metrics are measured for each who
//! asks, by the same shell (`node/metrics`): nothing is kept for them but counters of what happens anyway.
//!
//! # What is kept of output
//!
//! The last of each stream is in memory (`node/outputs.rs`), and all of it on disk, in *books* ([`logs`]). The shell
//! writes them ([`reactor::store`]): the machine gives what was read a number, and in the same turn the same bytes go
//! to the file of their stream, without a copy. Where a stream goes comes with the order to start its process
//! ([`logs::sink`], made in `supervisor/spec_logs.rs`). The loop waits for no file: what cannot be written waits in a
//! bounded backlog ([`logs::backlog`]) and is told to the machine (`supervisor/unlogged.rs`); compressing is a
//! worker's. Files change their names by rename and are found by their numbers in any of them, so that a daemon that
//! is killed leaves nothing half done that the next one does not find ([`reactor::store`], `scan.rs`). Pipes that are
//! written to often while nobody follows them rest, and are read together (`reactor/resting.rs`).
//!
//! Whoever reads
//! that has a query ([`logs::reading::query`]), which merges books and what is in memory alone, and never does more
//! at a time than a portion. The machine says what is wanted and hands over what is in memory (`node/logs.rs`,
//! [`node::reading`]); a worker of its own has the files (`reactor/readings.rs`, `reactor/shelf.rs`), and queries
//! go to it and come back, a portion at a time, while their clients have room. Who follows waits at the end, and
//! goes on with a fresh view when something was written: nothing is queued for him. A session that comes back to the
//! topic `LOGS` for more than memory has is told pieces and not lines ([`logs::reading::pieces`]), while it has room,
//! and what is written meanwhile it finds behind them (`node/replaying.rs`).
//!
//! # What is looked up
//!
//! A lookupd keeps only what is true now: a node and all that it registered go with its connection, or
//! with its silence. Whoever follows, and every answer that is large, walks through the registry with a
//! place in its order and no copy (`lookup/following.rs`, `lookup/listing.rs`), so that no reader costs
//! more than its buffers.
//!
//! A node is the other end of that (`node/lookups`). For each lookupd it knows what that was told, and all
//! that is ever queued is the difference to what is so: no lookupd is waited for, and none costs memory by
//! being away. Where there is none there is no timer.
//!
//! Nodes and lookupds can also meet in an etcd. What stands there is written down in [`wire::topology`]: one
//! key a node and one a job, all of a node's on one lease, so that they go with it. A node
//! (`node/lookups/etcd.rs`) claims its own key after every connection, and whatever it writes stands under
//! the condition that this is as it claimed it. A lookupd (`lookup/store`) lists the keys into its registry
//! and then follows a watch; when that is lost it lists again, marks what is there, and takes away what is
//! not, so that those who follow are told the difference. It writes nothing.
//!
//! A client asks any number of lookupds as one ([`client::Lookup`]): answers are merged, and what is followed
//! is told once for all of them, by a state machine without I/O. `gaffer` works on a set of nodes, which has
//! one without a name where no lookupd is asked (`cli/sites.rs`); what is done on many is done in a thread for
//! each, and told in one place (`cli/parallel.rs`, `cli/gather.rs`).
//!
//! # What is posted
//!
//! Events are posted to addresses (`node/webhooks`), each with a queue of its own and one message under way.
//! The queue is a list of names: what is said stands once, in the journal that outlives the node
//! (`node/state.rs`), from before it is sent until it is answered well, so that nothing is lost with the
//! node, and at worst something is said twice. What answers mean is in `node/webhooks/outcome.rs`, how
//! messages are signed in [`wire::webhook`]. Tests go past the queues, over connections of their own.
//!
//! # Who may do what
//!
//! The shell tells where a connection comes from ([`front::peer`]), [`front::access`] whether anybody from
//! there may speak to us at all, and the door (`node/keys`) who it is: by a key, or as a user of this machine
//! on the unix socket. That is found out once, for a request, a session or a websocket. What each route,
//! command and topic needs stands in its table, and `node/permission.rs` holds one against the other, for
//! every way in. Hashing a password is slow and is the worker's; its answer is a fact.
//!
//! What there is to ask is written down beside those tables ([`node::openapi`]), for programs as
//! `/openapi.json` and for people in the README. Tests hold what is answered against it.
//!
//! # A node in another program
//!
//! [`embed`] puts the same machine into the same shell, on a thread of a host program: the shell takes no
//! signals then and reaps only what it started ([`reactor::turn::Share`]). What the host adds, routes and
//! applications, stands beside the built-in endpoints (`node/apps.rs`) and gets a [`node::host::Node`], which
//! reaches jobs and no socket. Other threads hand in closures and wake the loop (`reactor/calls.rs`), so that
//! nothing is locked. Code of the host that panics answers 500, or is left out from then on.
//!
//! # The dashboard
//!
//! A page in plain JavaScript, in `src/dashboard`: `main` (what is painted when) and `keyboard`, `node` (a node as the
//! page sees it) with `channel` and `transports` below it, `model` (what is known of jobs), `listing`, `rows` and `table`, then
//! `drawer` and its tabs. `build.rs` compresses the files, and `node/api_dashboard.rs` answers with them. They are everybody's
//! and know nothing; what the page does it does over the channel and the API, with the key of whoever looks, as any other
//! client. What a process prints comes into it as text: a test looks for all that would make markup of it.
//!
//! # Plugins
//!
//! Folders below one directory add to the node (`node/plugins`). The daemon looks through it whenever it reads the
//! configuration, and hands over what there is, as it does with jobs.
//!
//! The machine decides which file of a site a path means, and what of it is sent (`node/serving.rs`). A worker of
//! its own opens it, step by step below the site and through no link ([`sys::beneath`]), and reads it piece by
//! piece, as its client takes that (`reactor/served.rs`). What is not what it was when it was opened is not sent on.
//! What runs of them (`node/programs`) are jobs of the session `_plugin`, made with the others of the configuration
//! (`daemon/programs.rs`). What such a process writes to its stdout is for the node ([`supervisor::hearer`]): it is a
//! session of the channel that is lent out (`front/sockjs/lent.rs`), its messages carried over the streams of the process
//! instead of a connection, so that whatever holds for clients holds for it. Requests are passed on over links, to a
//! socket that is made before the process and outlives it (`sys/listeners.rs`). Where one of the two ends takes
//! no more, nothing is read of the other: the shell asks before it reads (`wants_output`, `link_wants_input`).
//!
//! # Links
//!
//! A machine reaches others by `Effect::Dial`: the reactor finds the address, on a worker of its own for
//! names, and connects (`reactor/dial.rs`). What came of it, and what the other end says, are facts;
//! what a link is owed is pulled, as with clients ([`front::links`]). A link carries bytes and knows no
//! protocol, and all patience is the machine's: what takes too long it forgets, and the reactor closes it.
//! Over some links HTTP is asked, one request at a time ([`front::exchange`]); when what was lost is tried
//! again is decided in one place ([`front::retry`]).
//!
//! # TLS
//!
//! A connection over TLS is a matter of the shell alone ([`tls::Session`] below `reactor/stream.rs`): the
//! machine sees the same bytes, and counts as sent what the kernel has. It is told only that a client
//! speaks it, and with which certificate ([`front::peer`]). Everything that comes is deciphered at once, so
//! no session holds anything that its socket would not tell of; what is to be sent is enciphered piece by
//! piece, as the kernel takes it. Certificates are read with the configuration, and whoever has begun goes
//! on with those that there were ([`tls::Security`]). Whom to trust where we connect may be found out later,
//! before the first such connection: webhooks come up while a node runs.
//!
//! # The floors
//!
//! A file imports from its own folder and from lower floors, and nothing else; a test checks it.
//!
//! | floor | what |
//! |---|---|
//! | 0 [`base`] | words every floor speaks: ids, arena, timers, limits, errors |
//! | 0 [`sys`] | the kernel, and the only unsafe code |
//! | 1 [`tls`] | TLS without sockets: who is trusted, and sessions |
//! | 1 [`logs`] | what is kept of output: where it goes, how it is laid out and found again |
//! | 1 [`wire`] | bytes ↔ messages: HTTP, websockets, SockJS, etcd, webhooks, event listeners, metrics, syslog, JSON, INI, Procfile, .env |
//! | 2 [`supervisor`] | pure decisions about jobs |
//! | 3 [`front`] | connections without sockets: requests, answers, routes, who may ask, sessions |
//! | 4 [`node`] | the machine: endpoints, outputs, statistics, state |
//! | 5 [`lookup`] | the other machine: which node runs what |
//! | 5 [`reactor`] | descriptors, clock, sleep |
//! | 6 [`daemon`] | assembly: options, configuration, log, start and end |
//! | 6 [`client`] | the other end of the wire, for programs that talk to a node |
//! | 7 [`cli`] | `gaffer`, the command line; `cli::top`, its screen, behind the feature `top` |
//! | `bin/` | the programs |
//!
//! # The dependencies
//!
//! Each has its reason; a test holds this list against `Cargo.toml`, and `deny.toml` the licences and sources
//! of all that come with them.
//!
//! | crate | what for |
//! |---|---|
//! | `argon2` | passwords: the hash that is meant for them |
//! | `data-encoding` | base64 and hexadecimal, strictly |
//! | `flate2` | gzip, for what is kept of output and of events, and for the dashboard, in Rust alone |
//! | `hmac` | signatures of webhooks, as `sha2` alone does not make them |
//! | `httparse` | heads of HTTP; what it lets through is looked at again in `wire/http` |
//! | `lexopt` | command lines, without a framework |
//! | `libc` | the kernel |
//! | `log` | one logger for us and for them |
//! | `memchr` | lines, and the texts that `grep` looks for, as fast as the processor goes |
//! | `mio` | epoll and non-blocking sockets |
//! | `pbkdf2` | passwords as the original kept them |
//! | `ratatui` | the pictures of `gaffer top` (feature `top`; not in the daemons) |
//! | `regex-lite` | `gaffer logs --grep` and `grep=`, in time that no pattern can blow up |
//! | `rustls` | TLS (feature `tls`), with `ring` |
//! | `serde`, `serde_json` | JSON |
//! | `sha1` | what the protocols demand: websockets, entity tags, the original's passwords; sums of state files |
//! | `sha2` | keys, certificates, signatures |
//! | `shlex` | command lines of jobs, split as a shell does |
//! | `signal-hook`, `signal-hook-mio` | signals as events of the loop |
//! | `subtle` | comparing secrets in constant time |
//! | `tungstenite` | frames of websockets |
//!
//! # What is always so
//!
//! - Nothing between [`sys`] and the reactor reads a clock, touches a descriptor or sleeps. Only what
//!   it is handed reaches further: the log, and the accounts of the system.
//! - Nothing inside acts on an [`supervisor::Event`]: events are for clients.
//! - Nothing is kept twice: a timer is set where its state is entered and cancelled where it is
//!   left, in the same method.
//! - Nothing grows without a limit from [`base::limits`].
//! - Nothing a web page can do reaches an endpoint: [`front::access`] is asked first.
//! - Nobody does what his key does not permit: [`node::permission`] is asked before anything is done.
//! - Nothing but a regular file below a site is served of it: [`sys::beneath`] opens no other.
//! - Only `converge` starts processes, and only `ending` stops them.
//! - Nothing of an answer is sent before what it promises is written to the state directory, where it
//!   outlives the daemon; the worker has it on the disk, where it outlives the machine, soon after.
//!   Only while writes fail is it otherwise: they are tried again, and `GET /` says so.
//! - Nothing is written where somebody else could have laid it out: pidfiles, logs and the state directory go
//!   through [`sys::own_file`].
//! - Only `sys` has unsafe code.
//!
//! # Where to add
//!
//! - **an endpoint**: a function in `node/api_*.rs` and a line in [`node::routes::ROUTES`], which says what it
//!   needs, what is written down of it in a table of [`node::openapi`], and a line in
//!   `tests/golden/permissions.table`; `GOLDEN_WRITE=1` writes that, and the README's table of routes
//! - **a command of the channel**: a line in [`node::commands::COMMANDS`] and its function there
//! - **a topic**: `node/topics.rs`, how it is told in `node/hub.rs`, what it needs in `node/permission.rs`
//! - **a command of `gaffer`**: a line in [`cli::COMMANDS`] and its function in `cli/`
//! - **a job option**: a line in [`supervisor::spec_keys::KEYS`], a field of
//!   [`supervisor::JobSpec`], and its use in `supervisor/order.rs` or `restart.rs`
//! - **a command of gaffer**: a line in [`cli::table::COMMANDS`], its function, and a line in the README
//! - **a key of `[gaffer]` or an option of gafferd**: `daemon/config.rs`, `daemon/options.rs`
//! - **an endpoint of lookupd**: a line in [`lookup::routes::ROUTES`]; **a message of nodes**:
//!   [`wire::lookup`] and `lookup/nodes.rs`; **an option of lookupd**: `daemon/lookupd_options.rs`
//! - **something a host program may do with a node**: [`node::host::Node`], and [`embed::Handle`] for other threads
//! - **where output can go**: [`logs::sink::To`], `supervisor/spec_logs.rs`, and an outlet in `reactor/store`
//! - **something the kernel is asked for**: an [`node::machine::Effect`], performed in
//!   `reactor/perform.rs`, answered by a method of [`node::machine::Machine`]
//! - **somebody to whom the node connects**: a link of [`front::links`], with an [`front::exchange`] if HTTP is
//!   spoken there, a client side in `wire/`, and who owns it beside `node/lookups`, in `node/registering.rs`
//! - **what an answer of a webhook means**: `node/webhooks/outcome.rs`; a field of what is posted:
//!   [`wire::webhook::fields`]
//! - **a place where it is kept what runs where**: a [`base::address::Directory`], a party of
//!   `node/lookups` and a store beside `lookup/store`
//! - **processes that speak to the node**: a [`supervisor::hearer::Hearer`], and who hears them in `node/taps.rs`
//! - **an event for listeners of supervisor**: its name in [`wire::listener::kinds`], and when it happens in
//!   `node/listeners/happenings.rs`
//! - **a `SockJS` transport**: its name and envelope in `wire/sockjs.rs`, its way in
//!   `front/sockjs/serve.rs`, and a trace in `tests/golden/sockjs`
//! - **a file of the dashboard**: put it into `src/dashboard`; `build.rs` says which types there are. **a tab of a job**: a line in
//!   the table of `drawer.js`. **a picture of it** in the README: `SCREENSHOTS=$PWD/screenshots cargo test has_its_pictures`
//! - **a type of file**: `front/media.rs`
//! - **a metric**: a line in [`node::metrics::families`], which names it for ever, and where it is told in
//!   `node/metrics/write.rs`; what is counted of a job in [`supervisor::tally`], what the shell knows in
//!   [`node::machine::Standing`]
//! - **a limit**: [`base::limits`], with its reason, and a test at it and one beyond

pub mod base;
pub mod cli;
pub mod client;
pub mod daemon;
pub mod front;
pub mod logs;
pub mod lookup;
pub mod node;
pub mod reactor;
pub mod supervisor;
#[expect(
    unsafe_code,
    reason = "the one floor that talks to the kernel; each block says why it is sound"
)]
pub mod sys;
pub mod tls;
pub mod wire;

pub use daemon::embed;

/// The version of this program.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
