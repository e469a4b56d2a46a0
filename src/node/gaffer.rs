//! The node: one machine that owns all state. What inputs cause is settled in `pump`, which turns what
//! the supervisor decided into effects, gives deaths their last words, writes down what has to outlive
//! us and answers who waited.

use std::rc::Rc;
use std::time::Instant;

use log::{debug, error, info, warn};
use serde_json::{json, Map, Value};

use super::admission::Guests;
use super::aligned::Aligned;
use super::apps::{Apps, Extensions};
use super::console::{self, Console};
use super::ctx::Opening;
use super::feeds::Feeds;
use super::following::Inlet;
use super::health::Counted;
use super::history::History;
use super::hub::Hub;
use super::keys::door::{Door, Keeping};
use super::keys::secrets::Secrets;
use super::listeners::Listeners;
use super::listening::Listening;
use super::lookups::{Lookups, Registration};
use super::machine::{Effect, StateFile};
use super::outputs::Outputs;
use super::plugins::sending::Sendings;
use super::plugins::{Plugin, Plugins};
use super::programs::forward::Forwards;
use super::programs::{self, Programs};
use super::reading::readers::Readers;
use super::reading::replays::Replays;
use super::routes::{self, Target};
use super::state::{State, StoredJob};
use super::stats::Stats;
use super::stdins::Stdins;
use super::topics::Watched;
use super::usage_history::{Keep, UsageHistory};
use super::waits::Waits;
use super::watches::Watcher;
use super::webhooks::{Hooking, Webhooks};
use super::writers::Writers;
use crate::base::clock::Now;
use crate::base::ids::{ConnId, Pid, SessionId};
use crate::base::level::Level;
use crate::base::limits;
use crate::base::process::Signal;
use crate::base::sorted::{SortedMap, SortedSet};
use crate::front::access::Access;
use crate::front::clients::Clients;
use crate::front::links::Links;
use crate::front::peer::Peer;
use crate::front::response::Response;
use crate::front::router::Router;
use crate::front::sockjs::{Options, Service};
use crate::supervisor::effect::{Ask, Effect as Asked, Running};
use crate::supervisor::event::Event;
use crate::supervisor::facts::Stray;
use crate::supervisor::job::Origin;
use crate::supervisor::name::JobName;
use crate::supervisor::order::Host;
use crate::supervisor::spec::{JobEntry, JobSpec, Place};
use crate::supervisor::tables::Refusal;
use crate::supervisor::{spec_read, Supervisor};
use crate::wire::channel;

/// The node.
pub struct Gaffer {
    pub(super) supervisor: Supervisor,
    pub(super) outputs: Outputs,
    pub(super) stdins: Stdins,
    pub(super) stats: Stats,
    /// What was used in the last minutes.
    pub(super) usages: UsageHistory,
    pub(super) clients: Clients,
    /// The sessions of the channel.
    pub(super) channel: Service,
    /// Who follows what there.
    pub(super) hub: Hub,
    /// Where the sessions come from.
    pub(super) peers: SortedMap<SessionId, Peer>,
    /// Connections that follow one thing.
    pub(super) feeds: Feeds,
    /// Where what is written on the websockets of processes goes.
    pub(super) inlets: SortedMap<ConnId, Inlet>,
    /// What those wish for who have not said their key yet.
    pub(super) strangers: SortedMap<ConnId, Opening>,
    pub(super) writers: Writers,
    /// Jobs that are told what happens.
    pub(super) listening: Listening,
    /// Those that extend the node,
    pub(super) programs: Programs,
    /// and requests that they answer.
    pub(super) forwards: Forwards,
    /// Those that are told as supervisor does it.
    pub(super) listeners: Listeners,
    pub(super) history: History,
    pub(super) aligned: Aligned,
    /// Runs that are over, and whose followers are still to be told.
    over: Vec<Pid>,
    pub(super) access: Access,
    pub(super) routes: Router<Target>,
    /// The segments that stand before the paths of built-in endpoints.
    pub(super) prefix: Vec<String>,
    /// What there is to ask, once somebody has asked that.
    pub(super) document: Option<Response>,
    /// What the host program adds.
    pub(super) apps: Apps,
    /// Who is let in, as whom,
    pub(super) door: Door,
    /// and who stays.
    pub(super) guests: Guests,
    pub(super) waits: Waits,
    pub(super) state: State,
    pub(super) console: Console,
    /// What is in the log, if it is ours.
    pub(super) log_level: Option<Level>,
    /// Connections of ours to others,
    pub(super) links: Links,
    /// to lookupds,
    pub(super) lookups: Lookups,
    /// and to those to whom events are posted.
    pub(super) webhooks: Webhooks,
    /// Who they are by the configuration, until that has begun.
    hooking: Hooking,
    /// With whom to register, until that has begun.
    registration: Registration,
    /// What stands beside the endpoints.
    pub(super) plugins: Plugins,
    /// Who is sent something of that.
    pub(super) sendings: Sendings,
    /// Who reads what was written,
    pub(super) readers: Readers,
    /// and which sessions are told what they missed of it.
    pub(super) replays: Replays,
    pub(super) effects: Vec<Effect>,
    /// The jobs of files as they were read last, to tell at the next reading what changed.
    files: SortedMap<JobName, FileJob>,
    /// Jobs of the API that are on disk, but could not be loaded. What becomes of another job of
    /// their name is not theirs.
    shelved: SortedSet<JobName>,
    node: String,
    /// What was to run at the beginning was started.
    pub(super) is_started: bool,
    pub(super) counted: Option<Counted>,
    has_begun: bool,
    /// How many requests were answered, by the class of the status, from 1xx.
    pub(super) answered: [u64; 5],
    /// The shell was asked for what escaped, and has not told yet.
    pub(super) searching: bool,
    pub(super) ended: bool,
}

struct FileJob {
    spec: Rc<JobSpec>,
    start: bool,
}

/// What a node has to be told of its world.
pub struct Setup {
    /// The host's facts for starting processes.
    pub host: Host,
    /// Makes the jitter reproducible.
    pub seed: u64,
    /// Who may talk to the node.
    pub access: Access,
    /// Physical memory in bytes.
    pub memory: u64,
    /// Whether it is kept what was used in the last minutes.
    pub stats_history: Keep,
    /// How much is told on the console.
    pub console: Console,
    /// What is in the log; `None` where that is a host program's.
    pub log_level: Option<Level>,
    /// Most clients at a time.
    pub clients: usize,
    /// How the channel behaves, but for what is said on it.
    pub channel: Options,
    /// Facts in the header of the record of what runs: the machine's boot.
    pub boot_id: String,
    /// With whom it registers.
    pub registration: Registration,
    /// Who is let in.
    pub keeping: Keeping,
    /// To whom events are posted.
    pub webhooks: Hooking,
    /// What plugins there are.
    pub plugins: Vec<Plugin>,
    /// Makes keys, and is as secret as they are.
    pub secret: [u8; 32],
    /// What a host program adds.
    pub extensions: Extensions,
}

/// What the daemon before this one left.
#[derive(Debug, Default)]
pub struct Legacy {
    /// Jobs that were loaded over the API: key and value of the state file.
    pub jobs: Vec<(String, Value)>,
    /// Processes on its record that still run.
    pub running: Vec<Running>,
    /// Processes that carry this node's mark, but are on no record.
    pub strays: Vec<Stray>,
    /// Keys: ids and values of the state file.
    pub keys: Vec<(String, Value)>,
    /// Users: names and values of the state file.
    pub users: Vec<(String, Value)>,
    /// Webhooks: ids and values of the state file.
    pub webhooks: Vec<(String, Value)>,
    /// Messages that were not delivered to them: keys and bodies of the state file.
    pub deliveries: Vec<(String, Value)>,
    /// The highest number of output on disk.
    pub logged: u64,
    /// How runs ended: keys and values of the state file.
    pub deaths: Vec<(String, Value)>,
    /// Processes on its record that run no more, and of which nobody has seen the end.
    pub vanished: Vec<Running>,
}

impl Gaffer {
    /// A node without jobs.
    pub fn new(setup: Setup) -> Self {
        let node = setup.host.node.clone();
        let header = Map::from_iter([("boot_id".to_owned(), Value::from(setup.boot_id))]);
        let channel = Options { lagged: channel::lagged, ..setup.channel };
        let webhooks = Webhooks::new(&node, setup.seed, &Secrets::seeded(setup.secret));
        let prefix = setup.extensions.prefix.clone();
        let apps = Apps::new(setup.extensions);
        let mut programs = Programs::default();
        programs.configure(&setup.plugins);
        Self {
            supervisor: Supervisor::new(setup.host, setup.seed),
            outputs: Outputs::default(),
            stdins: Stdins::default(),
            stats: Stats::new(setup.memory),
            usages: UsageHistory::new(setup.stats_history),
            clients: Clients::new(setup.clients),
            channel: Service::new(&format!("{prefix}/channel"), channel, setup.seed),
            hub: Hub::default(),
            peers: SortedMap::new(),
            feeds: Feeds::default(),
            inlets: SortedMap::new(),
            strangers: SortedMap::new(),
            writers: Writers::default(),
            listening: Listening::default(),
            programs,
            forwards: Forwards::default(),
            listeners: Listeners::default(),
            history: History::default(),
            aligned: Aligned::default(),
            over: Vec::new(),
            access: setup.access,
            routes: routes::router(&prefix, &apps.routes),
            prefix: prefix.split('/').skip(1).map(str::to_owned).collect(),
            document: None,
            apps,
            door: Door::new(setup.keeping, setup.secret),
            guests: Guests::default(),
            waits: Waits::default(),
            state: State::new(header),
            console: setup.console,
            log_level: setup.log_level,
            links: Links::default(),
            lookups: Lookups::new(setup.seed),
            registration: setup.registration,
            webhooks,
            plugins: Plugins::new(&prefix, setup.plugins),
            sendings: Sendings::default(),
            readers: Readers::default(),
            replays: Replays::default(),
            hooking: setup.webhooks,
            effects: Vec::new(),
            files: SortedMap::new(),
            shelved: SortedSet::new(),
            node,
            is_started: false,
            counted: None,
            has_begun: false,
            answered: [0; 5],
            searching: false,
            ended: false,
        }
    }

    /// Begins: ends what an earlier daemon left, then loads the jobs of files and those that were
    /// loaded over the API.
    pub fn begin(&mut self, mut legacy: Legacy, files: Vec<JobEntry>, now: Now) {
        self.history = History::new(now);
        self.outputs.begin(legacy.logged, now.wall);
        self.take_over(&mut legacy, now);
        self.state.begin(&mut self.effects);
        for running in legacy.running {
            info!("{}.{}: found running as {}", running.job, running.number, running.os_pid);
            self.supervisor.recovered(running, now);
        }
        for stray in legacy.strays {
            info!("{}.{}: found running as {}", stray.job, stray.number, stray.os_pid);
            self.supervisor.recovered_stray(stray, now);
        }
        // A job of the API keeps its name; one of a file has it only if that cannot be loaded.
        let kept: SortedSet<JobName> =
            legacy.jobs.iter().filter_map(|(key, _)| JobName::parse(key).ok()).collect();
        let (rivals, files): (Vec<JobEntry>, Vec<JobEntry>) =
            files.into_iter().partition(|entry| kept.contains(&entry.name));
        self.load_files(files, now);
        for (key, value) in legacy.jobs {
            if let Err(reason) = self.restore(&key, &value, now) {
                error!("the job {key} of the last run is not loaded: {reason}; it is kept on disk");
                self.shelved.extend(JobName::parse(&key));
            }
        }
        self.load_files(rivals, now);
        let unclaimed = self.supervisor.end_unclaimed(now);
        if unclaimed > 0 {
            warn!("{unclaimed} detached processes belong to no job any more and are ended");
        }
        let registration = std::mem::take(&mut self.registration);
        self.register(registration, now);
        let hooking = std::mem::take(&mut self.hooking);
        self.hook(hooking, now);
        self.start_apps(now);
        self.watch_ourselves(now);
        self.has_begun = true;
        self.pump(now);
        self.tell_listeners_begin();
    }

    fn restore(&mut self, key: &str, value: &Value, now: Now) -> Result<(), String> {
        let name = JobName::parse(key).map_err(|error| error.to_string())?;
        let ours = (name.session() != programs::SESSION).then_some(());
        ours.ok_or("its session is that of plugins")?;
        let stored = StoredJob::from_value(value).ok_or("its entry is damaged")?;
        let spec = spec_read::read(&stored.config).map_err(|error| error.to_string())?;
        let entry = JobEntry { name, spec: spec.into(), start: false, place: Place::default() };
        let restored = self.supervisor.restore(entry, stored.desired, stored.target, now);
        restored.map_err(|refusal| refusal.to_string())
    }

    /// Loads jobs of files, in their order, but for those that one of the API has the name of.
    fn load_files(&mut self, entries: Vec<JobEntry>, now: Now) {
        for mut entry in entries {
            self.supervisor.share(&mut entry);
            if self.origin(&entry.name) == Some(Origin::Api) {
                warn_of_rival(&entry);
                continue;
            }
            match self.supervisor.load(entry.clone(), Origin::File, now) {
                Ok(()) => self.remember(&entry),
                Err(refusal) => error!("{}; it is not loaded", self.fault(&entry, &refusal)),
            }
        }
    }

    fn remember(&mut self, entry: &JobEntry) {
        let job = FileJob { spec: Rc::clone(&entry.spec), start: entry.start };
        self.files.insert(entry.name.clone(), job);
    }

    /// Takes a newly read configuration: what did not change is not touched; what was stopped or
    /// scaled by hand stays so. Nothing is changed when anything in it is wrong.
    ///
    /// # Errors
    /// What is wrong.
    pub(super) fn take_configuration(
        &mut self,
        entries: Vec<JobEntry>,
        now: Now,
    ) -> Result<(), String> {
        let changed: Vec<JobEntry> =
            entries.iter().filter(|e| self.is_changed(e)).cloned().collect();
        for entry in &changed {
            let sound = self.supervisor.check(&entry.name, &entry.spec, &Default::default());
            sound.map_err(|refusal| self.fault(entry, &refusal))?;
        }
        let of_api = |entry: &JobEntry| self.origin(&entry.name) == Some(Origin::Api);
        let (rivals, changed): (Vec<JobEntry>, Vec<JobEntry>) =
            changed.into_iter().partition(of_api);
        let named: SortedSet<&JobName> = entries.iter().map(|entry| &entry.name).collect();
        let gone: Vec<JobName> =
            self.files.keys().filter(|name| !named.contains(name)).cloned().collect();
        info!(
            "configuration read again: {} jobs changed or new, {} gone",
            changed.len(),
            gone.len()
        );
        for name in gone {
            self.files.remove(&name);
            if self.origin(&name) == Some(Origin::File) {
                let unloaded = self.supervisor.unload(&name, now);
                unloaded.map_err(|refusal| format!("{name}: {refusal}"))?;
            }
        }
        rivals.iter().for_each(warn_of_rival);
        for entry in changed {
            let done = match self.origin(&entry.name) {
                None => self.supervisor.load(entry.clone(), Origin::File, now),
                Some(Origin::File | Origin::Api) => self.supervisor.reconfigure(entry.clone(), now),
            };
            // What is not in force counts as new at the next reading.
            match done {
                Ok(()) => self.remember(&entry),
                Err(refusal) => error!("{}", self.fault(&entry, &refusal)),
            }
        }
        Ok(())
    }

    /// What is wrong with a job of a file, with its place: that of the key which no process could be
    /// started with, or else that of the job.
    fn fault(&self, entry: &JobEntry, refusal: &Refusal) -> String {
        let key = self.supervisor.misfit(&entry.name, &entry.spec);
        let place = key.map_or(entry.place.job(), |key| entry.place.of(key));
        format!("{place}: {}: {refusal}", entry.name)
    }

    fn is_changed(&self, entry: &JobEntry) -> bool {
        let same = |job: &FileJob| job.spec.config == entry.spec.config && job.start == entry.start;
        !self.files.get(&entry.name).is_some_and(same)
    }

    fn origin(&self, name: &JobName) -> Option<Origin> {
        let id = self.supervisor.job_id(name).ok()?;
        self.supervisor.job(id).map(|job| job.origin)
    }

    /// Begins to end; asked again, it kills at once.
    pub(super) fn end(&mut self, signal: Signal, now: Now) {
        match self.supervisor.pace() {
            None => {
                info!("{signal}: stopping all jobs");
                self.searching = true;
                self.effects.push(Effect::Search);
                self.stop_apps(now);
                self.tell_listeners_end();
            }
            Some(_) => warn!("{signal} again: killing what is left"),
        }
        self.supervisor.shutdown(now);
    }

    /// The word in the environment of every process of this node.
    pub(super) fn node(&self) -> &str {
        &self.node
    }

    /// Carries on with everything that inputs have caused.
    pub(super) fn pump(&mut self, now: Now) {
        // An answer lets the next request of its connection be served, which has causes of its own.
        while self.carry_on(now) {}
        self.is_started |= self.has_begun && !self.supervisor.has_starts();
        if self.tell_apps(now) {
            while self.carry_on(now) {}
        }
        self.tell_lookups(now);
        self.usages.expire(now.mono);
        if self.hub.watches.take_end() {
            self.effects.push(Effect::StopSampling);
        }
        // What escaped from the last run is found when that is released, and is still to be ended.
        let releasing =
            self.effects.iter().any(|effect| matches!(effect, Effect::Kernel(Ask::Release(_))));
        let over = self.supervisor.pace().is_some() && self.supervisor.processes_left() == 0;
        if over && !releasing && !self.searching && !self.ended {
            self.ended = true;
            info!("all jobs have stopped");
            self.end_feeds(now);
            self.end_readers(now);
            self.end_replays();
            self.end_channel(now);
            self.end_lookups(now);
            self.end_webhooks(now);
            self.hub.watches.remove(&Watcher::Node, &Watched::All, limits::HISTORY_STEP);
            self.effects.push(Effect::Exit(0));
        }
    }

    /// One round of [`Self::pump`]; whether there may be more to do.
    fn carry_on(&mut self, now: Now) -> bool {
        let mut answered = self.serve_channel(now);
        answered |= self.serve_writers(now);
        self.close_books(now);
        self.write_obituaries();
        self.wake_readers();
        self.read_replays_on();
        for effect in self.supervisor.take_effects() {
            self.pass_on(effect);
        }
        self.keep_changed();
        self.tell_events(now);
        self.serve_listeners();
        let ready = self.waits.take_ready(&self.supervisor, now);
        answered |= !ready.is_empty();
        answered |= self.serve_webhooks(now) | self.serve_talks(now);
        for (conn, response) in ready {
            self.answer(conn, response, now);
        }
        answered
    }

    /// Gives the runs that have ended their last words.
    pub(super) fn close_books(&mut self, now: Now) {
        for ended in self.supervisor.take_ended() {
            self.tell_tails(ended.id, ended.pid, now);
            self.tell_end_of_output(ended.id, ended.pid, now);
            self.over.push(ended.pid);
            let lines = self.outputs.end_run(ended.id);
            self.stir_readers(ended.id);
            self.supervisor.attach_last_words(ended, lines);
            let lost = self.stdins.end_run(ended.id);
            if lost > 0 {
                debug!(
                    "process {} ended before it read {lost} bytes that were sent to it",
                    ended.pid
                );
            }
            self.end_writers(ended.id, now);
            self.listening.forget(ended.id);
            self.end_talk(ended.id);
            self.listeners.leave(ended.id);
            self.stats.forget(ended.id);
            self.console.end_run(ended.id, &mut self.effects);
        }
        for id in self.supervisor.take_gone() {
            self.outputs.forget(id);
        }
    }

    /// Tells clients what happened, and ends what followed processes that are over.
    fn tell_events(&mut self, now: Now) {
        let mut exits = SortedMap::new();
        for event in self.supervisor.take_events() {
            self.counted = None;
            console::log(&event);
            self.console.event(&event, now, &mut self.effects);
            // A lookupd follows, too: it is told what is so when its turn comes.
            self.lookups.note(event.job(), &self.supervisor);
            let record = self.history.add(&event, now);
            self.apps.note(&event, &record, now);
            self.tell_sessions_event(&record, now);
            self.tell_webhooks(&record, now);
            self.listening.note(event.job(), &self.supervisor);
            self.tell_listeners(&record);
            self.note_for_listeners(&event, now);
            for conn in self.feeds.event(&record) {
                self.flush_feed(conn, now);
            }
            if let Event::Exit { subject, .. } = &event {
                if self.feeds.follow(subject.pid) {
                    exits.insert(subject.pid, event.exit().map(|fields| json!(fields)));
                }
            }
        }
        for pid in std::mem::take(&mut self.over) {
            self.hub.end_process(pid);
            if self.feeds.follow(pid) {
                let exit = exits.remove(&pid).flatten().unwrap_or_default();
                self.end_process_feeds(pid, &exit, now);
            }
        }
    }

    fn pass_on(&mut self, effect: Asked) {
        match effect {
            Asked::Kernel(ask) => self.effects.push(Effect::Kernel(ask)),
            Asked::Record(record) => self.state.record(&record, &mut self.effects),
        }
    }

    /// Writes down what changed of the jobs of the API.
    fn keep_changed(&mut self) {
        for name in self.supervisor.take_changed() {
            let job = self.supervisor.job_id(&name).ok().and_then(|id| self.supervisor.job(id));
            match job {
                Some(job) if job.origin == Origin::Api => {
                    let stored = StoredJob::of(job);
                    self.state.job(&name, Some(&stored), &mut self.effects);
                    self.shelved.remove(&name);
                    // One of a file that had this name before is new once the name is free.
                    self.files.remove(&name);
                }
                Some(_) => {}
                None if self.shelved.contains(&name) => {}
                None => self.state.job(&name, None, &mut self.effects),
            }
        }
    }

    /// The earliest time at which something wants to happen by itself.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let all = [
            self.supervisor.deadline(),
            self.clients.deadline(),
            self.channel.deadline(),
            self.feeds.deadline(),
            self.readers.deadline(),
            self.hub.watches.deadline(),
            self.waits.deadline(),
            self.state.deadline(),
            self.links.deadline(),
            self.lookups.deadline(),
            self.webhooks.deadline(),
            self.forwards.deadline(),
            self.programs.deadline(),
            self.guests.deadline(),
            self.apps.deadline(),
            self.listeners.deadline(),
        ];
        all.into_iter().flatten().min()
    }

    /// What became of a write of the state.
    pub(super) fn note_stored(
        &mut self,
        file: StateFile,
        result: Result<(), crate::base::error::Errno>,
        now: Now,
    ) {
        self.state.stored(file, result, now);
    }

    /// Whether the node's state cannot be written at present.
    pub fn is_degraded(&self) -> bool {
        self.state.is_degraded()
    }

    /// What is kept of what was used, to look at.
    pub fn usages(&self) -> &UsageHistory {
        &self.usages
    }

    /// The supervisor, to look at.
    pub fn supervisor(&self) -> &Supervisor {
        &self.supervisor
    }
}

/// Tells of a job of a file that has no effect, and what to do for it to have one.
fn warn_of_rival(entry: &JobEntry) {
    let name = &entry.name;
    warn!(
        "{}: {name} has no effect while a job of that name, loaded over the API, is there; to have \
         this one, unload that (DELETE /jobs/{}/{}) and have the configuration read again (SIGHUP)",
        entry.place.job(),
        name.session(),
        name.label()
    );
}
