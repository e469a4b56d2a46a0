//! The channel (the protocol, section 4): what its sessions say, and what they are told. Whoever
//! speaks it, over a websocket or any other way of `SockJS`, is one session.

use std::rc::Rc;

use log::debug;
use serde::Serialize;
use serde_json::{json, Value};

use super::admission::{audit, Guest};
use super::api_feeds::{checked_interval, interval_expected};
use super::commands::{self, Failure, Outcome};
use super::ctx::Ctx;
use super::gaffer::Gaffer;
use super::history::Record;
use super::hub::{Chunk, EndOfOutput, Followable};
use super::keys::caller::Caller;
use super::keys::door::Refused;
use super::measuring::measured_result;
use super::outputs::Kept;
use super::permission::World;
use super::streams::{self, NoStream};
use super::topics::{self, Topic, Watched, Written};
use super::waits::Asker;
use super::writers::{written_result, Writer};
use crate::base::clock::Now;
use crate::base::ids::{InstanceId, Pid, SessionId, StreamNo};
use crate::base::limits;
use crate::front::outbox::Piece;
use crate::front::sockjs::{Happened, Opening};
use crate::supervisor::Supervisor;
use crate::wire::channel::{self, Command, Message, Subscription};

/// Where the channel is mounted.
pub const PREFIX: &str = "channel";

/// Why a topic is not followed: the word that clients know, and a sentence for people.
struct NotFollowed {
    reason: &'static str,
    detail: String,
}

impl Gaffer {
    /// Takes what happened on the channel; whether anything did.
    pub(super) fn serve_channel(&mut self, now: Now) -> bool {
        let mut busy = false;
        while let Some(happened) = self.channel.next(&mut self.clients, now) {
            busy = true;
            match happened {
                Happened::Opened(session, opening) => {
                    debug!("{}: channel {session:?} opened", opening.peer);
                    self.greet(session, &opening, now);
                }
                Happened::Said(session, text) => self.said(session, &text, now),
                Happened::Closed(session) => {
                    debug!("channel {session:?} closed");
                    self.note_session_over(session, now);
                    self.end_replays_of(session);
                    self.hub.forget(session);
                    self.guests.go(Guest::Session(session));
                    self.peers.remove(&session);
                    self.waits.forget_session(session);
                    self.forget_writers(
                        |writer| matches!(writer, Writer::Command(of, _) if *of == session),
                    );
                }
            }
        }
        busy
    }

    /// A session begins: who it is its first request says, or else its first message has to.
    fn greet(&mut self, session: SessionId, opening: &Opening, now: Now) {
        let guest = Guest::Session(session);
        self.peers.insert(session, opening.peer);
        match self.caller(&opening.request, opening.peer, now) {
            Ok(caller) => self.guests.come(guest, Some(caller), now),
            Err(Refused::Nobody) => self.guests.come(guest, None, now),
            Err(refused @ Refused::Stranger) => {
                self.guests.come(guest, None, now);
                self.demand_key(guest, refused, now);
            }
        }
    }

    /// The first message of somebody who has said no key yet: it is one, or he goes.
    fn identify(&mut self, session: SessionId, text: &str, now: Now) {
        let caller = match (text.strip_prefix("AUTH:"), self.peers.get(&session)) {
            (Some(secret), Some(peer)) => self.door.caller(Some(secret), *peer, now.wall),
            _ => Err(Refused::Nobody),
        };
        match caller {
            Ok(caller) => self.guests.come(Guest::Session(session), Some(caller), now),
            Err(refused) => self.demand_key(Guest::Session(session), refused, now),
        }
    }

    fn said(&mut self, session: SessionId, text: &str, now: Now) {
        let caller = match self.guests.get(Guest::Session(session)) {
            Some(Some(caller)) => Rc::clone(caller),
            Some(None) => return self.identify(session, text, now),
            // He has been sent away.
            None => return,
        };
        // A client says its key whether it is asked for or not; who it is stays as it was.
        if text.starts_with("AUTH:") {
            return;
        }
        match channel::parse(text) {
            Ok(Message::Nop) => {}
            Ok(Message::Subscribe(wish)) => self.subscribe(session, wish, &caller, now),
            Ok(Message::Unsubscribe(topic)) => {
                if self.hub.unsubscribe(session, &topic) {
                    self.end_replay_of(session, &topic);
                    self.channel.forget_topic(session, &topic);
                }
                self.reply(session, channel::subscribed(&topic), now);
            }
            Ok(Message::Command(command)) => self.command(session, command, &caller, now),
            Err(invalid) => {
                self.reply(session, channel::error(&invalid), now);
                self.note_invalid(session, &invalid.detail, now);
            }
        }
    }

    pub(super) fn reply(&mut self, session: SessionId, text: String, now: Now) {
        self.channel.send(session, Piece::Reply(text.into()), &mut self.clients, now);
    }

    fn subscribe(&mut self, session: SessionId, wish: Subscription, caller: &Caller, now: Now) {
        match self.follow_topic(session, &wish, caller, now) {
            Ok(topic) => {
                self.reply(session, channel::subscribed(&wish.topic), now);
                if let Some(since) = wish.since {
                    self.catch_up(session, &topic, since, now);
                }
            }
            Err(NotFollowed { reason, detail }) => {
                self.reply(session, channel::not_subscribed(&wish.topic, reason, &detail), now);
            }
        }
    }

    fn follow_topic(
        &mut self,
        session: SessionId,
        wish: &Subscription,
        caller: &Caller,
        now: Now,
    ) -> Result<Rc<str>, NotFollowed> {
        let refused = |reason, detail: String| NotFollowed { reason, detail };
        if wish.topic.len() > limits::TOPIC {
            let detail = format!("a topic has at most {} bytes", limits::TOPIC);
            return Err(refused("invalid_topic", detail));
        }
        if wish.interval.is_some_and(|interval| checked_interval(interval).is_none()) {
            return Err(refused("invalid_interval", interval_expected()));
        }
        let topic = topics::parse(&wish.topic);
        let topic = topic.map_err(|invalid| refused("invalid_topic", invalid.0))?;
        // Anybody may follow it, and for it all is measured.
        let hurries = wish.interval.is_some_and(|interval| interval < limits::USAGE_LEAST);
        if hurries && matches!(topic, Topic::Usage) {
            let least = limits::USAGE_LEAST.as_secs_f64();
            let detail = format!("interval: expected {least} seconds or more of {}", wish.topic);
            return Err(refused("invalid_interval", detail));
        }
        let world = World { supervisor: &self.supervisor, door: &self.door };
        if !caller.may(&world.topic(&topic)) {
            return Err(refused("forbidden", "the key does not permit this".into()));
        }
        if let Topic::Process(pid) = &topic {
            self.check_process(*pid)?;
        }
        let what = match Followable::of(topic) {
            Ok(what) => what,
            Err((pid, label)) => {
                let found = streams::output(&self.supervisor, pid, label.as_deref());
                let channel = found.map_err(|none| no_stream(&none))?;
                Followable::Stream(pid, channel.stream, channel.label)
            }
        };
        match &what {
            Followable::Stats(Watched::Process(pid)) => self.check_process(*pid)?,
            Followable::Stats(Watched::Job(name)) => {
                let known = self.supervisor.job_id(name);
                known.map_err(|_| refused("not_found", format!("there is no job {name}")))?;
            }
            Followable::Logs(Written::Job(name, _)) => {
                let known = self.supervisor.job_id(name);
                known.map_err(|_| refused("not_found", format!("there is no job {name}")))?;
            }
            Followable::Logs(Written::Session(_))
            | Followable::Stats(Watched::All)
            | Followable::Usage
            | Followable::Events(_)
            | Followable::Stream(..) => {}
        }
        let followed = self.hub.subscribe(session, &wish.topic, what, wish.interval, now);
        followed.map_err(|_| {
            let most = limits::SUBSCRIPTIONS;
            refused("too_many_topics", format!("one client follows at most {most} topics"))
        })
    }

    fn check_process(&self, pid: Pid) -> Result<(), NotFollowed> {
        let known = self.supervisor.live_instance(pid);
        known.map(|_| ()).map_err(|_| NotFollowed {
            reason: "not_found",
            detail: format!("there is no process {pid}"),
        })
    }

    /// Tells a session what it missed of a topic, and first how much of that is lost: messages of events,
    /// bytes of a stream.
    fn catch_up(&mut self, session: SessionId, topic: &Rc<str>, since: u64, now: Now) {
        if let Some((pid, stream)) = self.hub.stream(topic) {
            return self.recall(session, topic, (pid, stream, since), now);
        }
        if let Some(written) = self.hub.written_by(topic).cloned() {
            return self.replay_logs(session, topic, (written, since), now);
        }
        let Self { hub, history, channel, clients, .. } = self;
        let lost = hub.lost(topic, history, since);
        if lost > 0 {
            let text = channel::lagged(topic, lost);
            channel.send(session, Piece::Reply(text.into()), clients, now);
        }
        hub.catch_up(session, topic, (history, since), &mut |to, topic, text| {
            let piece = Piece::Published(Rc::clone(topic), Rc::clone(text));
            channel.send(to, piece, clients, now);
        });
    }

    /// Tells a session what a process wrote to a stream from a position on.
    fn recall(
        &mut self,
        session: SessionId,
        topic: &Rc<str>,
        (pid, stream, since): (Pid, StreamNo, u64),
        now: Now,
    ) {
        let Ok(id) = self.supervisor.live_instance(pid) else { return };
        let (bytes, lost) = self.written_since((id, stream), since);
        if lost > 0 {
            self.reply(session, channel::lagged(topic, lost), now);
        }
        if bytes.is_empty() {
            return;
        }
        let Self { hub, channel, clients, supervisor, outputs, .. } = self;
        let kept = Kept { number: outputs.last(), at: now.wall, pid, stream, bytes: &bytes };
        let Some(chunk) = chunk(supervisor, id, kept) else { return };
        hub.recall(session, topic, &chunk, &mut |to, topic, text| {
            let piece = Piece::Published(Rc::clone(topic), Rc::clone(text));
            channel.send(to, piece, clients, now);
        });
    }

    fn command(&mut self, session: SessionId, command: Command, caller: &Caller, now: Now) {
        // What has ended in this turn is seen whole, with its last words.
        self.close_books(now);
        let degraded = self.state.is_degraded();
        let (supervisor, door) = (&mut self.supervisor, &mut self.door);
        let webhooks = &mut self.webhooks;
        let (plugins, programs) = (&self.plugins, &self.programs);
        let usages = &self.usages;
        let mut ctx =
            Ctx { supervisor, door, webhooks, plugins, programs, usages, caller, now, degraded };
        let identity = command.identity.clone();
        let audited = commands::audited(&command);
        let result = match commands::run(&mut ctx, &command) {
            Ok(Outcome::Done(result)) => Ok(result),
            Ok(Outcome::Measure(measure)) => {
                let asker = Asker::Command(session, identity.clone());
                match self.measure(asker, measure.clone()) {
                    // Nobody is there to be measured, so that it is little.
                    Some(told) => measured_result(&measure, told).map(|result| json!(result)),
                    None => return,
                }
            }
            Ok(Outcome::Overview(meant)) => Ok(self.overview(&meant, caller, now)),
            Ok(Outcome::Write(writing)) => {
                match self.write(Writer::Command(session, identity.clone()), writing) {
                    Some(done) => written_result(done),
                    // It is not heard until its process has read enough.
                    None => return self.channel.pause(session),
                }
            }
            Err(failure) => Err(failure),
        };
        if let (Some(what), Some(peer)) = (audited, self.peers.get(&session)) {
            let status = result.as_ref().err().map_or(200, |failure| failure.errno);
            audit(&format!("{} {what}", caller.who), *peer, status);
        }
        self.end_command(session, &identity, result, now);
    }

    /// Answers a command.
    pub(super) fn end_command(
        &mut self,
        session: SessionId,
        identity: &Value,
        result: Result<impl Serialize, Failure>,
        now: Now,
    ) {
        let text = match result {
            Ok(result) => channel::done(identity, &result),
            Err(Failure { errno, reason, detail }) => {
                channel::failed(identity, errno, &reason, &detail)
            }
        };
        self.reply(session, text, now);
        self.channel.resume(session);
    }

    /// Tells a session a part of a topic.
    pub(super) fn deliver(
        &mut self,
        session: SessionId,
        topic: &Rc<str>,
        text: &Rc<str>,
        now: Now,
    ) {
        let piece = Piece::Published(Rc::clone(topic), Rc::clone(text));
        self.channel.send(session, piece, &mut self.clients, now);
    }

    /// Tells an event to the sessions that follow it.
    pub(super) fn tell_sessions_event(&mut self, record: &Record, now: Now) {
        let Self { hub, channel, clients, .. } = self;
        hub.event(record, &mut |to, topic, text| {
            let piece = Piece::Published(Rc::clone(topic), Rc::clone(text));
            channel.send(to, piece, clients, now);
        });
    }

    /// Tells what a process wrote to the sessions that follow it.
    pub(super) fn tell_sessions_output(
        &mut self,
        (id, pid): (InstanceId, Pid),
        stream: StreamNo,
        bytes: &[u8],
        now: Now,
    ) {
        if !self.hub.follows_output(pid) {
            return;
        }
        let Self { hub, channel, clients, supervisor, outputs, replays, .. } = self;
        let kept = Kept { number: outputs.last(), at: now.wall, pid, stream, bytes };
        let Some(chunk) = chunk(supervisor, id, kept) else { return };
        hub.output(&chunk, &mut |to, topic, text| {
            // Who is told what was before this finds it behind that.
            if replays.of(to, topic).is_none() {
                let piece = Piece::Published(Rc::clone(topic), Rc::clone(text));
                channel.send(to, piece, clients, now);
            }
        });
    }

    /// Tells the sessions that follow the output of a job that nothing more comes of this run.
    pub(super) fn tell_end_of_output(&mut self, id: InstanceId, pid: Pid, now: Now) {
        let Self { hub, channel, clients, supervisor, replays, .. } = self;
        let Some(end) = end_of_output(supervisor, id, pid) else { return };
        hub.end_of_output(&end, &mut |to, topic, text| {
            if replays.of(to, topic).is_none() {
                let piece = Piece::Published(Rc::clone(topic), Rc::clone(text));
                channel.send(to, piece, clients, now);
            }
        });
    }

    /// The node ends: so do all sessions.
    pub(super) fn end_channel(&mut self, now: Now) {
        for session in self.channel.ids() {
            self.channel.close(session, 1001, "the node ends", &mut self.clients, now);
        }
    }
}

fn no_stream(none: &NoStream) -> NotFollowed {
    let (reason, detail) = match none {
        NoStream::Process => ("invalid_process", "there is no such process".to_owned()),
        NoStream::NotRedirected => (
            "stream_not_found",
            "the job has no redirect_output, so it publishes no output".to_owned(),
        ),
        NoStream::Label(label) => {
            ("stream_not_found", format!("the process has no stream {label:?}"))
        }
    };
    NotFollowed { reason, detail }
}

/// What an instance wrote, with whose it is.
pub(super) fn chunk<'a>(
    supervisor: &'a Supervisor,
    id: InstanceId,
    kept: Kept<'a>,
) -> Option<Chunk<'a>> {
    let instance = supervisor.instance(id)?;
    let job = supervisor.job(instance.job)?;
    let spec = instance.run.as_ref().map_or(&job.spec, |run| &run.spec);
    Some(Chunk {
        job: &job.name,
        instance: instance.number,
        once: instance.is_once(),
        pid: kept.pid,
        stream: kept.stream,
        label: spec.label(kept.stream),
        seq: kept.number,
        at: kept.at,
        bytes: kept.bytes,
    })
}

/// The end of a run of an instance, with whose it is.
pub(super) fn end_of_output(
    supervisor: &Supervisor,
    id: InstanceId,
    pid: Pid,
) -> Option<EndOfOutput<'_>> {
    let instance = supervisor.instance(id)?;
    let job = &supervisor.job(instance.job)?.name;
    Some(EndOfOutput { job, instance: instance.number, once: instance.is_once(), pid })
}
