//! What processes are still to be given on their standard inputs and custom streams: one bounded
//! queue for each stream of a run. A message goes in whole or not at all, so those of several writers
//! are never torn or mixed. A process that reads nothing costs its queue and no more, and holds
//! nobody up but its own writers.
//!
//! A queue is there from the start of a run to its end. Who finds it full may wait for
//! [`Stdins::take_freed`] and try again, behind those that came before.

use std::collections::VecDeque;
use std::fmt;

use crate::base::ids::{InstanceId, StreamNo};
use crate::base::limits;
use crate::base::order::{SpawnOrder, Wiring};
use crate::base::sorted::{SortedMap, SortedSet};

/// A stream of an instance.
pub type Address = (InstanceId, StreamNo);

/// The queues of all streams that can be written to.
#[derive(Default)]
pub struct Stdins {
    queues: SortedMap<Address, Queue>,
    dirty: SortedSet<Address>,
    freed: SortedSet<Address>,
    counts: Counts,
}

/// What one stream is owed.
#[derive(Default)]
struct Queue {
    bytes: VecDeque<u8>,
    /// Nothing more is taken in; what is there still goes out, unless nobody reads it.
    closed: bool,
    /// The shortest message for which there was no room.
    refused: Option<usize>,
}

/// Why a message was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// There is no room now. When there is, [`Stdins::take_freed`] says so.
    Now,
    /// It is longer than a whole queue.
    TooLong,
    /// The stream is closed, is not read any more, or was never there.
    Closed,
}

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Now => f.write_str("the process does not read what it has been sent before"),
            Self::TooLong => write!(f, "longer than {} bytes", limits::INPUT_QUEUE),
            Self::Closed => f.write_str("the stream is not open for writing"),
        }
    }
}

/// Numbers of all streams together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Streams that can be written to, or could be until they were closed.
    pub streams: usize,
    /// Bytes that are owed now.
    pub owed: usize,
    /// Bytes taken by processes so far.
    pub taken: u64,
    /// Bytes that were taken in and never read.
    pub lost: u64,
}

/// An empty queue that once was long gives its memory back above this.
const KEEP: usize = 4 * 1024;

impl Stdins {
    /// A process of this order is about to start.
    pub fn open(&mut self, id: InstanceId, order: &SpawnOrder) {
        let stdin = (order.stdin == Wiring::Pipe).then_some(StreamNo::STDIN);
        let first = StreamNo::FIRST_CUSTOM.0;
        let custom = (first..first.saturating_add(order.custom)).map(StreamNo);
        for stream in stdin.into_iter().chain(custom) {
            self.queues.insert((id, stream), Queue::default());
        }
    }

    /// Takes a message in, whole or not at all.
    ///
    /// # Errors
    /// Why it was not taken, and whether it may be later.
    pub fn push(&mut self, id: InstanceId, stream: StreamNo, bytes: &[u8]) -> Result<(), Full> {
        let queue = self.queues.get_mut(&(id, stream)).filter(|queue| !queue.closed);
        let queue = queue.ok_or(Full::Closed)?;
        if bytes.len() > limits::INPUT_QUEUE {
            return Err(Full::TooLong);
        }
        if bytes.len() > queue.room() {
            let shortest = queue.refused.map_or(bytes.len(), |other| other.min(bytes.len()));
            queue.refused = Some(shortest);
            return Err(Full::Now);
        }
        queue.bytes.extend(bytes);
        if !bytes.is_empty() {
            self.dirty.insert((id, stream));
        }
        Ok(())
    }

    /// Takes nothing more in. The process sees the end when it has read what is owed.
    pub fn close(&mut self, id: InstanceId, stream: StreamNo) {
        let queue = self.queues.get_mut(&(id, stream)).filter(|queue| !queue.closed);
        let Some(queue) = queue else { return };
        queue.closed = true;
        self.dirty.insert((id, stream));
        if queue.refused.take().is_some() {
            self.freed.insert((id, stream));
        }
    }

    /// Whether a message of this length would not have to wait.
    pub fn takes(&self, (id, stream): Address, length: usize) -> bool {
        let queue = self.queues.get(&(id, stream));
        queue.is_none_or(|queue| queue.closed || length <= queue.room())
    }

    /// Whether nothing more is taken in, because it was closed, is not read or is not there.
    pub fn is_closed(&self, id: InstanceId, stream: StreamNo) -> bool {
        self.queues.get(&(id, stream)).is_none_or(|queue| queue.closed)
    }

    /// The next bytes that are owed; not always all of them.
    pub fn owed(&self, id: InstanceId, stream: StreamNo) -> &[u8] {
        let Some(queue) = self.queues.get(&(id, stream)) else { return &[] };
        let (front, back) = queue.bytes.as_slices();
        if front.is_empty() {
            back
        } else {
            front
        }
    }

    /// So many of them were taken.
    pub fn taken(&mut self, id: InstanceId, stream: StreamNo, count: usize) {
        let Some(queue) = self.queues.get_mut(&(id, stream)) else { return };
        let count = count.min(queue.bytes.len());
        queue.bytes.drain(..count);
        if queue.bytes.is_empty() && queue.bytes.capacity() > KEEP {
            queue.bytes = VecDeque::new();
        }
        self.counts.taken += wide(count);
        let room = queue.room();
        if queue.refused.take_if(|shortest| *shortest <= room).is_some() {
            self.freed.insert((id, stream));
        }
    }

    /// Nobody reads the stream any more: drops what it is owed, and gives how much that was.
    pub fn refused(&mut self, id: InstanceId, stream: StreamNo) -> u64 {
        self.close(id, stream);
        let Some(queue) = self.queues.get_mut(&(id, stream)) else { return 0 };
        let lost = wide(std::mem::take(&mut queue.bytes).len());
        self.counts.lost += lost;
        lost
    }

    /// Whether it is to be closed when nothing is owed.
    pub fn ends(&self, id: InstanceId, stream: StreamNo) -> bool {
        self.queues.get(&(id, stream)).is_some_and(|queue| queue.closed)
    }

    /// The streams on which something came in, or that were closed, since the last call.
    pub fn take_dirty(&mut self) -> Vec<Address> {
        std::mem::take(&mut self.dirty).into_iter().collect()
    }

    /// The streams that were full for somebody and are not any more, since the last call: there is
    /// room, or they are closed.
    pub fn take_freed(&mut self) -> Vec<Address> {
        std::mem::take(&mut self.freed).into_iter().collect()
    }

    /// Who found no room has gone: others may try.
    pub fn try_again(&mut self, id: InstanceId, stream: StreamNo) {
        let Some(queue) = self.queues.get_mut(&(id, stream)) else { return };
        if queue.refused.take().is_some() {
            self.freed.insert((id, stream));
        }
    }

    /// The run is over: drops what it is owed, and gives how much that was.
    pub fn end_run(&mut self, id: InstanceId) -> u64 {
        let all = (id, StreamNo(0))..=(id, StreamNo(u16::MAX));
        let streams: Vec<Address> = self.queues.range(all).map(|(address, _)| *address).collect();
        let mut lost = 0;
        for (id, stream) in streams {
            lost += self.refused(id, stream);
            self.queues.remove(&(id, stream));
            self.dirty.remove(&(id, stream));
        }
        lost
    }

    /// Numbers of all streams together.
    pub fn counts(&self) -> Counts {
        let owed = self.queues.values().map(|queue| queue.bytes.len()).sum();
        Counts { streams: self.queues.len(), owed, ..self.counts }
    }

    /// Checks what is always so; `runs` says whether an instance has a run.
    pub(super) fn sweep(&self, runs: impl Fn(InstanceId) -> bool) -> Result<(), String> {
        for ((id, stream), queue) in &self.queues {
            if !runs(*id) {
                return Err(format!("{id:?} can be written to, but does not run"));
            }
            if queue.bytes.len() > limits::INPUT_QUEUE {
                return Err(format!("stream {} of {id:?} is owed too much", stream.0));
            }
            if queue.refused.is_some_and(|shortest| shortest <= queue.room()) {
                return Err(format!("writers wait for stream {} of {id:?} in vain", stream.0));
            }
        }
        Ok(())
    }
}

impl Queue {
    fn room(&self) -> usize {
        limits::INPUT_QUEUE.saturating_sub(self.bytes.len())
    }
}

fn wide(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::arena::Key;
    use crate::base::environment::Environment;
    use proptest::prelude::*;

    const ID: InstanceId = InstanceId(Key { index: 1, generation: 0 });
    const OTHER: InstanceId = InstanceId(Key { index: 2, generation: 0 });
    const IN: StreamNo = StreamNo::STDIN;
    const CUSTOM: StreamNo = StreamNo::FIRST_CUSTOM;

    fn order(stdin: Wiring, custom: u16) -> SpawnOrder {
        SpawnOrder {
            program: "cat".into(),
            args: Vec::new(),
            env: Environment::default(),
            cwd: None,
            identity: None,
            capabilities: None,
            no_new_privs: false,
            umask: None,
            rlimits: Vec::new(),
            nice: None,
            stdin,
            stdout: Wiring::Null,
            stderr: Wiring::Null,
            custom,
            listener: None,
        }
    }

    fn stdins() -> Stdins {
        let mut stdins = Stdins::default();
        stdins.open(ID, &order(Wiring::Pipe, 1));
        stdins
    }

    /// Takes so much of what is owed.
    fn take(stdins: &mut Stdins, most: usize) -> Vec<u8> {
        let owed = stdins.owed(ID, IN);
        let bytes = owed[..owed.len().min(most)].to_vec();
        stdins.taken(ID, IN, bytes.len());
        stdins.sweep(|_| true).expect("what is always so");
        bytes
    }

    fn take_all(stdins: &mut Stdins) -> Vec<u8> {
        let pieces =
            std::iter::from_fn(|| Some(take(stdins, usize::MAX)).filter(|p| !p.is_empty()));
        pieces.collect::<Vec<_>>().concat()
    }

    #[test]
    fn only_streams_of_the_order_can_be_written_to() {
        let mut stdins = stdins();
        stdins.open(OTHER, &order(Wiring::Null, 0));
        assert_eq!(stdins.push(ID, CUSTOM, b"a"), Ok(()));
        assert_eq!(stdins.push(ID, StreamNo(CUSTOM.0 + 1), b"a"), Err(Full::Closed));
        assert_eq!(stdins.push(ID, StreamNo::STDOUT, b"a"), Err(Full::Closed));
        assert_eq!(stdins.push(OTHER, IN, b"a"), Err(Full::Closed));
        assert!(stdins.is_closed(OTHER, IN) && !stdins.is_closed(ID, IN));
        assert!(!stdins.ends(OTHER, IN), "there is nothing to close");
        assert_eq!(stdins.take_dirty(), [(ID, CUSTOM)]);
        assert_eq!(stdins.take_dirty(), []);
    }

    #[test]
    fn a_queue_takes_no_more_than_its_limit() {
        let mut stdins = stdins();
        let all = vec![b'a'; limits::INPUT_QUEUE];
        assert_eq!(stdins.push(ID, IN, &[&all[..], b"b"].concat()), Err(Full::TooLong));
        assert_eq!(stdins.take_dirty(), []);
        assert_eq!(stdins.push(ID, IN, &all), Ok(()));
        assert_eq!(stdins.push(ID, IN, b""), Ok(()), "nothing has room always");
        assert_eq!(stdins.push(ID, IN, b"b"), Err(Full::Now));
        assert_eq!(stdins.push(ID, CUSTOM, b"b"), Ok(()), "another stream is another queue");
        assert_eq!(stdins.counts().owed, limits::INPUT_QUEUE + 1);
        assert_eq!(take_all(&mut stdins).len(), limits::INPUT_QUEUE);
        assert!(stdins.queues[&(ID, IN)].bytes.capacity() <= KEEP, "memory is given back");
        let counts = Counts { streams: 2, owed: 1, taken: wide(limits::INPUT_QUEUE), lost: 0 };
        assert_eq!(stdins.counts(), counts);
    }

    #[test]
    fn who_found_no_room_is_told_when_there_is() {
        let mut stdins = stdins();
        stdins.push(ID, IN, &vec![b'a'; limits::INPUT_QUEUE - 10]).expect("room");
        assert_eq!(stdins.push(ID, IN, &[b'b'; 30]), Err(Full::Now));
        assert_eq!(stdins.push(ID, IN, &[b'c'; 20]), Err(Full::Now));
        take(&mut stdins, 9);
        assert_eq!(stdins.take_freed(), [], "19 bytes are not enough for anybody");
        take(&mut stdins, 1);
        assert_eq!(stdins.take_freed(), [(ID, IN)]);
        assert_eq!(stdins.push(ID, IN, &[b'b'; 30]), Err(Full::Now), "but he came first");
        take(&mut stdins, 10);
        assert_eq!(stdins.take_freed(), [(ID, IN)]);
        assert_eq!(stdins.push(ID, IN, &[b'b'; 30]), Ok(()));
        take(&mut stdins, 100);
        assert_eq!(stdins.take_freed(), [], "nobody waits");
    }

    #[test]
    fn a_closed_stream_gives_what_it_owes_and_ends() {
        let mut stdins = stdins();
        stdins.push(ID, IN, b"last").expect("room");
        stdins.take_dirty();
        stdins.close(ID, IN);
        stdins.close(ID, IN);
        assert_eq!(stdins.take_dirty(), [(ID, IN)]);
        assert_eq!(stdins.push(ID, IN, b"more"), Err(Full::Closed));
        assert!(stdins.ends(ID, IN) && stdins.is_closed(ID, IN) && !stdins.is_closed(ID, CUSTOM));
        assert_eq!(take_all(&mut stdins), b"last");
        assert_eq!(stdins.end_run(ID), 0);
    }

    #[test]
    fn what_nobody_reads_is_counted_as_lost() {
        let mut stdins = stdins();
        let full = vec![b'a'; limits::INPUT_QUEUE];
        stdins.push(ID, IN, &full).expect("room");
        assert_eq!(stdins.push(ID, IN, b"b"), Err(Full::Now));
        assert_eq!(stdins.refused(ID, IN), wide(full.len()));
        assert_eq!(stdins.refused(ID, IN), 0);
        assert_eq!(stdins.take_freed(), [(ID, IN)], "who waits learns that it is in vain");
        assert_eq!(stdins.push(ID, IN, b"b"), Err(Full::Closed));
        stdins.push(ID, CUSTOM, &full).expect("room");
        assert_eq!(stdins.push(ID, CUSTOM, b"b"), Err(Full::Now));
        assert_eq!(stdins.end_run(ID), wide(full.len()));
        assert_eq!((stdins.take_dirty(), stdins.take_freed()), (vec![], vec![(ID, CUSTOM)]));
        assert_eq!(stdins.push(ID, CUSTOM, b"b"), Err(Full::Closed));
        assert_eq!(stdins.counts(), Counts { lost: 2 * wide(full.len()), ..Counts::default() });
        stdins.open(ID, &order(Wiring::Pipe, 0));
        assert_eq!(stdins.owed(ID, IN), b"", "the next run gets nothing of it");
    }

    /// Up to four writers, each with messages of any length, and what is taken in between.
    fn steps() -> impl Strategy<Value = Vec<(u8, usize, usize)>> {
        let length = prop_oneof![0..200usize, 0..limits::INPUT_QUEUE];
        let taken = prop_oneof![Just(0), 0..300usize, 0..limits::INPUT_QUEUE];
        prop::collection::vec((0..4u8, length, taken), 1..60)
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: 50, failure_persistence: None, ..ProptestConfig::default()
        })]

        #[test]
        fn messages_arrive_whole_and_in_order(steps in steps()) {
            let mut stdins = stdins();
            let (mut sent, mut got) = (Vec::new(), Vec::new());
            for (step, (writer, length, taken)) in steps.into_iter().enumerate() {
                let mark = [writer, u8::try_from(step).expect("few")];
                let message: Vec<u8> = mark.into_iter().cycle().take(length).collect();
                let fits = length <= limits::INPUT_QUEUE - stdins.counts().owed;
                let expected = if fits { Ok(()) } else { Err(Full::Now) };
                prop_assert_eq!(stdins.push(ID, IN, &message), expected);
                if fits {
                    sent.extend(message);
                }
                got.extend(take(&mut stdins, taken));
            }
            got.extend(take_all(&mut stdins));
            prop_assert!(got == sent, "{} of {} bytes", got.len(), sent.len());
            prop_assert_eq!(stdins.counts().taken, wide(got.len()));
        }
    }
}
