//! Sessions that begin to follow the output of jobs behind a number further back than memory reaches: it is read
//! for them from books, as they take it, and they are told what comes when they have that.

use std::rc::Rc;

use log::debug;

use super::gaffer::Gaffer;
use super::machine::Effect;
use super::reading::replays::{Due, Seen};
use super::reading::{Asking, Begun, Portion, Rings, Wanted, Whom};
use super::topics::Written;
use crate::base::clock::Now;
use crate::base::ids::SessionId;
use crate::base::limits;
use crate::wire::channel;

/// How much may be told out of memory in one go, behind what was read: with all its letters escaped and what
/// was read last it still fits into the queue of a session.
const TOLD_AT_ONCE: usize = limits::READER_QUEUE / 8;

impl Gaffer {
    /// Tells a session what came behind a number of the output that it follows: at once where that is all in
    /// memory.
    pub(super) fn replay_logs(
        &mut self,
        session: SessionId,
        topic: &Rc<str>,
        (written, since): (Written, u64),
        now: Now,
    ) {
        let before = self.replays.of(session, topic).and_then(|number| self.end_replay(number));
        // What was to be read for it, it wants as much as what it asks for now.
        let since = before.map_or(since, |before| before.min(since));
        if before.is_none() && self.reach_back(&written, since) || !self.may_read(now) {
            return self.recall_logs(session, topic, (&written, since), now);
        }
        let (rings, seen) = self.look_at(&written, (since, Seen::default()));
        let wanted = Wanted::Replay { topic: topic.to_string(), after: since };
        let number = self.replays.begin((session, topic), (written, since), seen, now);
        let asking = Box::new(Asking { wanted, rings });
        self.effects.push(Effect::BeginReading { whom: Whom::Replay(number), asking });
    }

    /// What is in memory of what these wrote, behind what was seen before. What the shell adds to that has to be as
    /// it is at this moment: nothing is written until this is performed.
    fn look_at(&mut self, written: &Written, (after, before): (u64, Seen)) -> (Rings, Seen) {
        self.outputs.seal();
        let jobs: Vec<_> = match written {
            Written::Job(name, number) => vec![(name.clone(), *number)],
            Written::Session(session) => {
                let its = self.supervisor.job_names().filter(|name| name.session() == session);
                its.map(|name| (name.clone(), None)).collect()
            }
        };
        let mut places = before.places;
        let (seq, former) = (self.outputs.last(), self.outputs.former());
        let mut all = Rings { seq, former, ..Rings::default() };
        for (job, number) in jobs {
            let mut rings = self.rings((&job, number), &mut places);
            all.streams.append(&mut rings.streams);
            all.live.append(&mut rings.live);
            all.of.push((job.to_string(), number));
        }
        for (id, number, stream) in &mut all.streams {
            let behind = self.outputs.behind(*id, |_| 0).find(|(known, _)| known == number);
            if behind.is_none_or(|(_, behind)| behind.dropped_last <= after) {
                stream.lost = 0;
            }
        }
        places.retain(|(id, _), _| self.supervisor.instance(*id).is_some());
        let open = self.meant(written).filter_map(|id| Some((id, self.outputs.present(id)?)));
        let seen =
            Seen { seq: all.seq, aligned: self.aligned.clone(), open: open.collect(), places };
        (all, seen)
    }

    pub(super) fn note_replay_begun(&mut self, number: u64, begun: Begun, now: Now) {
        if self.replays.begun(number) {
            self.tell_replay_lost(number, begun.lost, now);
        }
    }

    fn tell_replay_lost(&mut self, number: u64, lost: u64, now: Now) {
        let Some(replay) = self.replays.get(number).filter(|_| lost > 0) else { return };
        let (session, text) = (replay.session, channel::lagged(&replay.topic, lost));
        self.reply(session, text, now);
    }

    /// Reads on for those whose sessions have room.
    pub(super) fn read_replays_on(&mut self) {
        for number in self.replays.resting() {
            let Some(replay) = self.replays.get(number) else { continue };
            match self.channel.has_room(replay.session, &self.clients) {
                Some(true) => {}
                Some(false) => continue,
                None => {
                    self.end_replay(number);
                    continue;
                }
            }
            let fresh = match self.replays.due(number) {
                None => continue,
                Some(Due::Read) => None,
                Some(Due::Look) => self.look_again(number),
            };
            self.effects.push(Effect::ReadOn { whom: Whom::Replay(number), fresh });
        }
    }

    fn look_again(&mut self, number: u64) -> Option<Box<Rings>> {
        let (written, seen) = self.replays.seen(number)?;
        let (rings, seen) = self.look_at(&written, (seen.seq, seen));
        self.replays.look(number, seen);
        Some(Box::new(rings))
    }

    pub(super) fn note_replayed(&mut self, number: u64, portion: Portion, now: Now) {
        if !self.replays.took(number, portion.end, now) {
            return;
        }
        self.tell_replay_lost(number, portion.lost, now);
        let Some(replay) = self.replays.get(number) else { return };
        let (session, topic) = (replay.session, Rc::clone(&replay.topic));
        for message in portion.messages {
            self.deliver(session, &topic, &message.into(), now);
        }
        if portion.end {
            self.go_live(number, now);
        }
    }

    /// All was told that there was: what has come since is told, if it is not too much for one go, and from there on
    /// it is told as it comes.
    fn go_live(&mut self, number: u64, now: Now) {
        let Some(replay) = self.replays.get(number) else { return };
        let (pieces, lost) = self.kept_of(&replay.written, replay.seen.seq);
        let size: usize = pieces.iter().map(|(_, kept)| kept.bytes.len()).sum();
        let gone = |id| self.supervisor.instance(id).is_none();
        if lost > 0
            || size > TOLD_AT_ONCE
            || !self.reach_back(&replay.written, replay.seen.seq)
            || replay.seen.open.iter().any(|(id, _)| gone(*id))
        {
            return;
        }
        let told = self.told_again(&pieces, &replay.seen);
        let (session, topic) = (replay.session, Rc::clone(&replay.topic));
        self.end_replay(number);
        for message in told {
            let text: Rc<str> = channel::event(&topic, &channel::members(&message)).into();
            self.deliver(session, &topic, &text, now);
        }
    }

    /// A session takes nothing of what is read for it, and others want to read: it is told only what is in memory.
    pub(super) fn cut_replay(&mut self, number: u64, now: Now) {
        let Some(replay) = self.replays.get(number) else { return };
        let (session, topic) = (replay.session, Rc::clone(&replay.topic));
        let written = replay.written.clone();
        debug!("{session:?}: what it missed of {topic} is not read to its end: it makes room for others");
        if let Some(since) = self.end_replay(number) {
            self.recall_logs(session, &topic, (&written, since), now);
        }
    }

    /// Nothing more is read for a session and a topic; behind which number it was.
    pub(super) fn end_replay(&mut self, number: u64) -> Option<u64> {
        let replay = self.replays.forget(number)?;
        self.effects.push(Effect::EndReading(Whom::Replay(number)));
        Some(replay.since)
    }

    /// A session follows a topic no more.
    pub(super) fn end_replay_of(&mut self, session: SessionId, topic: &str) {
        if let Some(number) = self.replays.of(session, &topic.into()) {
            self.end_replay(number);
        }
    }

    /// A session is gone.
    pub(super) fn end_replays_of(&mut self, session: SessionId) {
        for number in self.replays.of_session(session) {
            self.end_replay(number);
        }
    }

    /// The node ends.
    pub(super) fn end_replays(&mut self) {
        for number in self.replays.numbers() {
            self.end_replay(number);
        }
    }
}
