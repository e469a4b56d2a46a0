//! Streams that are read now and then. A process that writes a line now and then is read when it does; one that
//! writes many while nobody follows it would wake the loop for each of them. Its pipe holds them meanwhile: it
//! rests, and the loop reads all that rest together.

use std::time::Instant;

use crate::base::clock::Now;
use crate::base::ids::{InstanceId, StreamNo};
use crate::base::limits;
use crate::base::sorted::SortedSet;

/// Those that rest.
#[derive(Default)]
pub(super) struct Resting {
    streams: SortedSet<(InstanceId, StreamNo)>,
    /// When they are read.
    until: Option<Instant>,
}

impl Resting {
    /// A stream is read when the others are that rest.
    pub(super) fn add(&mut self, stream: (InstanceId, StreamNo), now: Now) {
        self.streams.insert(stream);
        self.until.get_or_insert(now.mono + limits::PIPE_REST);
    }

    /// When they want to be read.
    pub(super) fn until(&self) -> Option<Instant> {
        self.until
    }

    /// Those whose time has come.
    pub(super) fn take_due(&mut self, now: Now) -> SortedSet<(InstanceId, StreamNo)> {
        match self.until.filter(|until| *until <= now.mono) {
            None => SortedSet::new(),
            Some(_) => {
                self.until = None;
                std::mem::take(&mut self.streams)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{key, reactor, Script};
    use crate::base::limits;
    use crate::base::order::Wiring;
    use crate::supervisor::effect::Start;
    use crate::sys::testing;

    /// What a shell says to our script, in how many pieces, and whether it rested meanwhile.
    fn said(line: &str, unfollowed: bool) -> (Vec<u8>, usize, bool) {
        let mut order = Box::new(testing::order("sh", &["-c", line]));
        order.stdout = Wiring::Pipe;
        let starts = [Start { id: key(0), order, logs: Box::default() }].into();
        let mut reactor = reactor(Script { starts, unfollowed, keeps: true, ..Script::default() });
        let mut rested = false;
        while reactor.machine.ended.is_empty() {
            reactor.turn(None).expect("a turn");
            rested |= reactor.children.deadline().is_some();
        }
        let said = reactor.machine.said.remove(&key(0)).unwrap_or_default();
        (said, reactor.machine.pieces, rested)
    }

    #[test]
    fn who_writes_often_is_heard_seldom_and_whole() {
        let name = "who_writes_often_is_heard_seldom_and_whole";
        testing::alone(&format!("reactor::resting::tests::{name}"), || {
            // Each line is a write of its own, and `true` takes a moment.
            let line =
                "i=0; while [ $i -lt 300 ]; do echo $i; /bin/true; i=$((i+1)); done; printf end";
            let mut whole: Vec<u8> = (0..300).flat_map(|n| format!("{n}\n").into_bytes()).collect();
            whole.extend_from_slice(b"end");
            let (told, pieces, rested) = said(line, true);
            assert_eq!(String::from_utf8_lossy(&told), String::from_utf8_lossy(&whole));
            assert!(rested && pieces < 150, "it came in {pieces} pieces");
            let (told, _, rested) = said(line, false);
            assert_eq!(told, whole);
            assert!(!rested, "who is followed does not rest");
        });
    }

    #[test]
    fn who_closes_its_stream_while_it_rests_is_heard_to_its_end() {
        let name = "who_closes_its_stream_while_it_rests_is_heard_to_its_end";
        testing::alone(&format!("reactor::resting::tests::{name}"), || {
            let line = "echo a; /bin/true; echo b; /bin/true; echo c; exec >&- 2>&-; sleep 0.2";
            let (told, _, _) = said(line, true);
            assert_eq!(told, b"a\nb\nc\n");
        });
    }

    #[test]
    fn who_writes_much_does_not_rest() {
        let name = "who_writes_much_does_not_rest";
        testing::alone(&format!("reactor::resting::tests::{name}"), || {
            // More than a pipe holds, so that it is read more than once.
            let much = 4 * limits::PIPE_SMALL;
            let (told, _, _) = said(&format!("head -c {much} /dev/zero"), true);
            assert_eq!(told.len(), much);
            const { assert!(limits::PIPE_REST_MOST < limits::PIPE_SMALL) };
            assert!(limits::PIPE_REST < std::time::Duration::from_millis(100));
        });
    }
}
