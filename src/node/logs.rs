//! What is kept of the output of jobs: read for who asks, from books and from the rings of their instances, and
//! from the rings alone as it came to who begins to follow it.

use std::rc::Rc;
use std::time::SystemTime;

use log::debug;
use serde_json::{Map, Value};

use super::admission::Guest;
use super::aligned::Aligned;
use super::api_logs::LogsWish;
use super::channel::{chunk, end_of_output};
use super::feeds::LOST_FIELD;
use super::gaffer::Gaffer;
use super::keys::caller::Caller;
use super::machine::Effect;
use super::outputs::Kept;
use super::reading::readers::{Due, Reader};
use super::reading::replays::Seen;
use super::reading::telling::Form;
use super::reading::{Asking, Begun, Portion, Rings, Wanted, Whom};
use super::reply::manager_error;
use super::topics::Written;
use crate::base::clock::Now;
use crate::base::ids::{ConnId, InstanceId, Pid, SessionId, StreamNo};
use crate::base::limits;
use crate::base::sorted::SortedMap;
use crate::base::sorting;
use crate::front::response::Response;
use crate::logs::index;
use crate::logs::reading::memory::Kept as Part;
use crate::logs::reading::query::Stream;
use crate::supervisor::job::Job;
use crate::supervisor::name::JobName;
use crate::supervisor::tables::Refusal;
use crate::wire::channel;

/// The number of what was written last, which a client compares with those of the topic `LOGS`.
const SEQ_FIELD: &str = "Gaffer-Seq";

impl Gaffer {
    /// Begins to read for a client; false where it is refused at once.
    pub(super) fn begin_logs(
        &mut self,
        conn: ConnId,
        wish: LogsWish,
        caller: Option<Rc<Caller>>,
        now: Now,
    ) -> bool {
        if !self.may_read(now) {
            let busy = Response::error(503, Some("too many read logs"));
            self.give(conn, busy.with("Retry-After", "1"), now);
            return false;
        }
        let LogsWish { job, instance, wish, form, heartbeat, is_known } = wish;
        let mut reader = Reader::new((job, instance), form, now);
        (reader.follow, reader.heartbeat) = (wish.follow, heartbeat);
        (reader.is_known, reader.seq) = (is_known, self.outputs.last());
        // No piece is in part behind what is on disk.
        self.outputs.seal();
        let rings = self.rings((&reader.job, reader.instance), &mut reader.places);
        if reader.follow {
            self.guests.come(Guest::Conn(conn), caller, now);
        }
        self.readers.begin(conn, reader);
        let asking = Box::new(Asking { wanted: Wanted::Lines(Box::new(wish), form), rings });
        self.effects.push(Effect::BeginReading { whom: Whom::Conn(conn), asking });
        true
    }

    /// Whether one more may read what was written. Whoever has not taken for long what there is for him makes room.
    pub(super) fn may_read(&mut self, now: Now) -> bool {
        if self.readers.len() + self.replays.len() < limits::LOG_READERS {
            return true;
        }
        if let Some(other) = self.readers.stalled(now) {
            self.drop_reader(other);
            return true;
        }
        let stalled = self.replays.stalled(now);
        stalled.map(|other| self.cut_replay(other, now)).is_some()
    }

    pub(super) fn note_reading_begun(&mut self, conn: ConnId, begun: Begun, now: Now) {
        let Some(reader) = self.readers.beginning(conn) else { return };
        if !reader.is_known && !begun.has_books {
            self.forget_reader(conn);
            return self.answer(conn, manager_error(&Refusal::NotFound), now);
        }
        let kind = match reader.form {
            Form::Text => "text/plain; charset=UTF-8",
            Form::Json => "application/x-ndjson",
            Form::EventSource => "text/event-stream; charset=UTF-8",
        };
        let mut head = Response::empty(200)
            .with("Content-Type", kind)
            .with(SEQ_FIELD, reader.seq.to_string())
            .with(LOST_FIELD, begun.lost.to_string())
            .with("Cache-Control", "no-store");
        if reader.follow {
            head = head.with("X-Accel-Buffering", "no");
        }
        let goes_on = match reader.follow {
            true => self.begin_answer(conn, head, None, now),
            false => self.begin_finite(conn, head, now),
        };
        if goes_on {
            self.readers.begun(conn, now);
            self.read_logs_on(conn);
        } else {
            self.forget_reader(conn);
            self.serve(conn, now);
        }
    }

    /// Reads on for a client that has room, if there is more.
    pub(super) fn read_logs_on(&mut self, conn: ConnId) {
        if !self.clients.get(conn).is_some_and(|client| client.conn.has_room()) {
            return;
        }
        let Some((due, reader)) = self.readers.due(conn) else { return };
        let fresh = match due {
            Due::Read => None,
            Due::Refresh => {
                let (job, instance) = (reader.job.clone(), reader.instance);
                let mut places = std::mem::take(&mut reader.places);
                let rings = self.rings((&job, instance), &mut places);
                self.readers.go_on_behind(conn, places);
                Some(Box::new(rings))
            }
        };
        self.effects.push(Effect::ReadOn { whom: Whom::Conn(conn), fresh });
    }

    pub(super) fn note_read_on(&mut self, conn: ConnId, portion: &Portion, now: Now) {
        let Some(goes_on) = self.readers.took(conn, portion.end, now) else { return };
        self.clients.change(conn, |conn| conn.stream(&[&portion.bytes], now));
        if goes_on {
            self.read_logs_on(conn);
        } else {
            self.end_reader(conn, now);
        }
    }

    /// That is all for a client.
    pub(super) fn end_reader(&mut self, conn: ConnId, now: Now) {
        if self.forget_reader(conn) {
            self.clients.change(conn, |conn| conn.end_stream(now));
            self.serve(conn, now);
        }
    }

    /// The client finds the end of the connection before that of the answer.
    fn drop_reader(&mut self, conn: ConnId) {
        if self.forget_reader(conn) {
            debug!("{conn:?}: what it reads is not sent to its end: it makes room for others");
            self.clients.change(conn, |conn| conn.give_up());
        }
    }

    /// Reads on for those for whom something was written.
    pub(super) fn wake_readers(&mut self) {
        for conn in self.readers.stirred() {
            self.read_logs_on(conn);
        }
    }

    /// The node ends: whoever follows is told no more.
    pub(super) fn end_readers(&mut self, now: Now) {
        for conn in self.readers.followers() {
            self.end_reader(conn, now);
        }
    }

    /// Nothing more is read for a client; whether something was.
    pub(super) fn forget_reader(&mut self, conn: ConnId) -> bool {
        let forgotten = self.readers.forget(conn);
        if forgotten {
            self.guests.go(Guest::Conn(conn));
            self.effects.push(Effect::EndReading(Whom::Conn(conn)));
        }
        forgotten
    }

    /// An instance wrote something, or its run is over: those who follow it have something to read.
    pub(super) fn stir_readers(&mut self, id: InstanceId) {
        if self.readers.is_empty() {
            return;
        }
        let Some(instance) = self.supervisor.instance(id) else { return };
        if let Some(job) = self.supervisor.job(instance.job) {
            self.readers.stir(&job.name, instance.number);
        }
    }

    /// Gives the heartbeats that are due.
    pub(super) fn beat_readers(&mut self, now: Now) {
        for (conn, beat) in self.readers.take_beats(now) {
            self.clients.change(conn, |conn| {
                if conn.has_room() && conn.owed().is_empty() {
                    conn.stream(&[beat], now);
                }
            });
        }
    }

    /// What is in memory of what a job wrote, behind these places, which then are behind it.
    pub(super) fn rings(
        &self,
        (job, number): (&JobName, Option<u32>),
        places: &mut SortedMap<(InstanceId, StreamNo), u64>,
    ) -> Rings {
        let mut rings = Rings::default();
        let found = self.supervisor.job_id(job).ok().and_then(|id| self.supervisor.job(id));
        for id in found.into_iter().flat_map(|job| job.instances()) {
            let Some(instance) = self.supervisor.instance(id) else { continue };
            let run = instance.run.as_ref().map(|run| &run.spec);
            let Some(spec) = run.or(found.map(|job| &job.spec)) else { continue };
            if number.is_some_and(|number| number != instance.number) {
                continue;
            }
            rings.live.extend(self.outputs.present(id).map(|pid| pid.0));
            let before = places.clone();
            let place = |stream| before.get(&(id, stream)).copied().unwrap_or(0);
            for (stream, behind) in self.outputs.behind(id, place) {
                let place = places.insert((id, stream), behind.end);
                let writer = |pid: Pid| index::Writer {
                    job: job.to_string(),
                    instance: instance.number,
                    pid: pid.0,
                    stream: stream.0,
                    label: spec.label(stream).to_owned(),
                    once: instance.is_once(),
                };
                let part = |(seq, kept): &(u64, Kept<'_>)| Part {
                    writer: writer(kept.pid),
                    seq: *seq,
                    last: kept.number,
                    at: index::micros(kept.at),
                    bytes: kept.bytes.to_vec(),
                };
                let key = (u64::from(id.0.index) << 32) | u64::from(id.0.generation);
                let told = Stream {
                    number: (key, stream.0),
                    parts: behind.pieces.iter().map(part).collect(),
                    begins: place.is_none() || behind.lost > 0,
                    lost: behind.lost,
                };
                rings.streams.push((id, stream, told));
            }
        }
        rings
    }

    /// Tells a session what is kept of the output that it follows and came after this number, as far as it
    /// fits into one answer, with the ends of the runs in it; and first how many bytes are missing.
    pub(super) fn recall_logs(
        &mut self,
        session: SessionId,
        topic: &Rc<str>,
        (written, since): (&Written, u64),
        now: Now,
    ) {
        let (pieces, lost) = self.kept_of(written, since);
        let told = self.told_again(&pieces, &Seen::default());
        // That something is missing is told even where nobody knows how much it is.
        let lost = if self.reach_back(written, since) { lost } else { lost.max(1) };
        if lost > 0 {
            self.reply(session, channel::lagged(topic, lost), now);
        }
        for message in told {
            let text: Rc<str> = channel::event(topic, &channel::members(&message)).into();
            self.deliver(session, topic, &text, now);
        }
    }

    /// What is kept of all instances that are meant, in the order of arrival, and how many bytes before
    /// that are not.
    pub(super) fn kept_of(
        &self,
        written: &Written,
        since: u64,
    ) -> (Vec<(InstanceId, Kept<'_>)>, u64) {
        let (mut pieces, mut lost) = (Vec::new(), 0);
        for id in self.meant(written) {
            let (kept, dropped) = self.outputs.pieces(id, since);
            pieces.extend(kept.filter(|kept| kept.number > since).map(|kept| (id, kept)));
            lost += dropped;
        }
        sorting::sort_by_key(&mut pieces, |(_, kept)| kept.number);
        let mut size = 0;
        let fits = pieces.iter().rev().take_while(|(_, kept)| {
            size += kept.bytes.len();
            size <= limits::LOGS_ANSWER
        });
        let first = pieces.len() - fits.count();
        let left_out = pieces.drain(..first).map(|(_, kept)| kept.bytes.len()).sum::<usize>();
        (pieces, lost + u64::try_from(left_out).unwrap_or(0))
    }

    /// Instances whose output is meant.
    pub(super) fn meant<'a>(
        &'a self,
        written: &'a Written,
    ) -> impl Iterator<Item = InstanceId> + 'a {
        let jobs = self.supervisor.job_names().filter_map(|name| self.supervisor.job_id(name).ok());
        let jobs = jobs.filter_map(|id| self.supervisor.job(id));
        let all = jobs.flat_map(|job| job.instances().map(move |id| (job, id)));
        let is_meant = |(job, id): &(&Job, InstanceId)| {
            let number = self.supervisor.instance(*id).map(|instance| instance.number);
            number.is_some_and(|number| written.includes(&job.name, number))
        };
        all.filter(is_meant).map(|(_, id)| id)
    }

    /// Whether all that is meant and came behind this number is in memory.
    pub(super) fn reach_back(&self, written: &Written, since: u64) -> bool {
        self.outputs.reach(self.meant(written), since)
    }

    /// Pieces as they were told when they came, cut where characters end; behind what was seen before.
    pub(super) fn told_again(
        &self,
        pieces: &[(InstanceId, Kept<'_>)],
        seen: &Seen,
    ) -> Vec<Map<String, Value>> {
        let mut told = Vec::new();
        let mut aligned = seen.aligned.clone();
        let said = |(id, pid): &(InstanceId, Pid)| {
            let (number, at, stream) = (seen.seq, SystemTime::UNIX_EPOCH, StreamNo::STDOUT);
            (*id, Kept { number, at, pid: *pid, stream, bytes: &[] })
        };
        let mut last: SortedMap<InstanceId, Kept<'_>> = seen.open.iter().map(said).collect();
        for (id, kept) in pieces {
            if let Some(before) = last.insert(*id, *kept).filter(|before| before.pid != kept.pid) {
                self.tell_end(*id, before, &mut aligned, &mut told);
            }
            let bytes = aligned.take((*id, kept.stream), kept.bytes);
            if !bytes.is_empty() {
                told.extend(self.tell_kept(*id, Kept { bytes: &bytes, ..*kept }));
            }
        }
        for (id, kept) in last {
            let run = self.supervisor.instance(id).and_then(|instance| instance.run.as_ref());
            if run.is_none_or(|run| run.pid != kept.pid) {
                self.tell_end(id, kept, &mut aligned, &mut told);
            }
        }
        told
    }

    fn tell_kept(&self, id: InstanceId, kept: Kept<'_>) -> Option<Map<String, Value>> {
        chunk(&self.supervisor, id, kept).map(|chunk| chunk.log())
    }

    /// Tells that the run is over in which this was written last, behind what had no end there.
    fn tell_end(
        &self,
        id: InstanceId,
        last: Kept<'_>,
        aligned: &mut Aligned,
        told: &mut Vec<Map<String, Value>>,
    ) {
        for (stream, tail) in aligned.end(id) {
            told.extend(self.tell_kept(id, Kept { stream, bytes: &tail, ..last }));
        }
        told.extend(end_of_output(&self.supervisor, id, last.pid).map(|end| end.log()));
    }
}
