//! Which streams of children are to be written to, and how much of this turn is left for it. Each has
//! its share; those that the turn does not come to have theirs first in the next.

use std::ops::Bound;

use crate::base::ids::{InstanceId, StreamNo};
use crate::base::limits;
use crate::base::sorted::SortedSet;

/// A stream of an instance.
pub type Address = (InstanceId, StreamNo);

/// The streams to write to.
#[derive(Default)]
pub struct Feed {
    due: SortedSet<Address>,
    /// Those that had their share of this turn and are owed more.
    again: SortedSet<Address>,
    /// The one written to last. The next in order follows, so that none is passed over for ever.
    last: Option<Address>,
    /// Bytes that may still be written in this turn.
    left: usize,
}

impl Feed {
    /// A new turn with its share.
    pub fn begin_turn(&mut self) {
        self.left = limits::INPUT_SHARE_OF_ALL;
        self.due.append(&mut self.again);
    }

    /// These may be written to, or are owed something.
    pub fn add(&mut self, streams: impl IntoIterator<Item = Address>) {
        self.due.extend(streams);
    }

    /// Whether nothing waits for a turn.
    pub fn is_idle(&self) -> bool {
        self.due.is_empty() && self.again.is_empty()
    }

    /// The next stream to write to in this turn, and how much.
    pub fn take_next(&mut self) -> Option<(Address, usize)> {
        if self.left == 0 {
            return None;
        }
        let behind = self.last.map_or(Bound::Unbounded, Bound::Excluded);
        let next =
            self.due.range((behind, Bound::Unbounded)).next().or(self.due.first()).copied()?;
        self.due.remove(&next);
        self.last = Some(next);
        Some((next, self.left.min(limits::INPUT_SHARE)))
    }

    /// So much was written to that stream, and whether it is owed more that it would take.
    pub fn written(&mut self, stream: Address, count: usize, more: bool) {
        self.left = self.left.saturating_sub(count);
        if more {
            self.again.insert(stream);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{key, reactor, Script};
    use super::super::turn::Reactor;
    use super::*;
    use crate::base::error::Errno;
    use crate::base::order::Wiring;
    use crate::base::process::Signal;
    use crate::node::machine::Effect;
    use crate::node::stdins::Full;
    use crate::supervisor::effect::{Ask, Start, Whom};
    use crate::sys::testing;
    use std::time::Duration;

    const IN: StreamNo = StreamNo::STDIN;

    /// A shell with these processes, by their numbers from 0.
    fn shell(programs: &[(&str, &[&str])], custom: u16) -> Reactor<Script> {
        let start = |(n, (program, args)): (u32, &(&str, &[&str]))| {
            let mut order = Box::new(testing::order(program, args));
            (order.stdin, order.stdout, order.custom) = (Wiring::Pipe, Wiring::Pipe, custom);
            Start { id: key(n), order, logs: Box::default() }
        };
        let starts = (0..).zip(programs).map(start).collect();
        let mut reactor = reactor(Script { starts, keeps: true, ..Script::default() });
        until(&mut reactor, |script| script.starts.is_empty());
        reactor
    }

    /// Turns until it is so.
    fn until(reactor: &mut Reactor<Script>, mut so: impl FnMut(&mut Script) -> bool) {
        for _ in 0..10_000 {
            if so(&mut reactor.machine) {
                return;
            }
            // However much a process has not read, the loop does not wait for it.
            reactor.turn(Some(Duration::from_millis(100))).expect("a turn");
        }
        panic!("it is never so");
    }

    fn name(test: &str) -> String {
        format!("reactor::feed::tests::{test}")
    }

    #[test]
    fn ten_megabytes_go_through_while_another_reads_nothing() {
        testing::alone(&name("ten_megabytes_go_through_while_another_reads_nothing"), || {
            let (cat, sleep) = (key(0), key(1));
            let mut reactor = shell(&[("cat", &[]), ("sleep", &["1000"])], 0);
            let number = |n: u32| n.to_le_bytes();
            let sent: Vec<u8> = (0..10 * 1024 * 1024 / 4).flat_map(number).collect();
            let full = vec![b'x'; limits::INPUT_QUEUE];
            reactor.machine.stdins.push(sleep, IN, &full).expect("room");
            let mut messages = sent.chunks(100_000).peekable();
            until(&mut reactor, |script| {
                while let Some(message) = messages.peek() {
                    match script.stdins.push(cat, IN, message) {
                        Ok(()) => drop(messages.next()),
                        Err(why) => {
                            assert_eq!(why, Full::Now);
                            return false;
                        }
                    }
                }
                script.stdins.close(cat, IN);
                true
            });
            until(&mut reactor, |script| script.ended == [cat]);
            assert!(reactor.machine.said[&cat] == sent, "it came back as it went in");
            let owed = reactor.machine.stdins.counts().owed;
            assert!(owed > 0 && owed < full.len(), "{owed} bytes are in no pipe");
            assert!(reactor.feed.is_idle(), "the kernel will say when it goes on");
            let kill = Ask::Signal { id: sleep, signal: Signal::KILL, whom: Whom::Leader };
            reactor.machine.asks.push(Effect::Kernel(kill));
            until(&mut reactor, |script| script.ended == [cat, sleep]);
            until(&mut reactor, |script| script.refused == [(sleep, Errno(libc::EPIPE))]);
            assert_eq!(reactor.machine.stdins.counts().lost, u64::try_from(owed).expect("few"));
        });
    }

    #[test]
    fn who_reads_no_more_is_told_of_and_lives() {
        testing::alone(&name("who_reads_no_more_is_told_of_and_lives"), || {
            let script = "exec <&-; echo closed; exec sleep 1000";
            let mut reactor = shell(&[("sh", &["-c", script]), ("cat", &[])], 0);
            until(&mut reactor, |script| script.heard.get(&key(0)) == Some(&7));
            reactor.machine.stdins.push(key(0), IN, b"anybody?").expect("room");
            reactor.machine.stdins.push(key(1), StreamNo(7), b"").expect_err("no such stream");
            until(&mut reactor, |script| !script.refused.is_empty());
            assert_eq!(reactor.machine.refused, [(key(0), Errno(libc::EPIPE))]);
            assert_eq!(reactor.machine.stdins.push(key(0), IN, b"?"), Err(Full::Closed));
            assert_eq!(reactor.machine.ended, []);
            // One that is closed with nothing owed.
            reactor.machine.stdins.close(key(1), IN);
            until(&mut reactor, |script| script.ended == [key(1)]);
            let kill = Ask::Signal { id: key(0), signal: Signal::KILL, whom: Whom::Leader };
            reactor.machine.asks.push(Effect::Kernel(kill));
            until(&mut reactor, |script| script.ended.len() == 2);
        });
    }

    #[test]
    fn what_is_not_taken_stays_where_it_is_and_last_words_are_taken_all_the_same() {
        let test = "what_is_not_taken_stays_where_it_is_and_last_words_are_taken_all_the_same";
        testing::alone(&name(test), || {
            let whole = 4 * 1024 * 1024;
            let script = format!("head -c {whole} /dev/zero; kill -KILL $$");
            let mut reactor = shell(&[("sh", &["-c", &script]), ("sh", &["-c", "exec yes"])], 0);
            let (id, endless) = (key(0), key(1));
            reactor.machine.most = Some(1);
            until(&mut reactor, |script| script.heard.len() == 2);
            let before = reactor.machine.heard.clone();
            for _ in 0..20 {
                reactor.turn(Some(Duration::from_millis(10))).expect("a turn");
            }
            assert_eq!(reactor.machine.heard, before, "it was read on");
            reactor.machine.most = Some(whole);
            reactor.machine.wanted = vec![(id, StreamNo::STDOUT)];
            until(&mut reactor, |script| script.ended == [id]);
            assert_eq!(reactor.machine.heard[&id], whole, "nothing is lost");
            let heard = reactor.machine.heard[&endless];
            let kill = Ask::Signal { id: endless, signal: Signal::KILL, whom: Whom::Leader };
            reactor.machine.asks.push(Effect::Kernel(kill));
            until(&mut reactor, |script| script.ended == [id, endless]);
            assert!(reactor.machine.heard[&endless] > heard, "what was in the pipe is told");
        });
    }

    #[test]
    fn a_custom_stream_goes_both_ways_and_ends_one_by_one() {
        testing::alone(&name("a_custom_stream_goes_both_ways_and_ends_one_by_one"), || {
            let (id, stream) = (key(0), StreamNo::FIRST_CUSTOM);
            let mut reactor = shell(&[("sh", &["-c", "cat <&3 >&3; echo ended >&3"])], 1);
            reactor.machine.stdins.push(id, stream, b"hello ").expect("room");
            until(&mut reactor, |script| script.heard.get(&id) == Some(&6));
            let much = vec![b'x'; limits::INPUT_QUEUE];
            reactor.machine.stdins.push(id, stream, &much).expect("room");
            reactor.machine.stdins.close(id, stream);
            until(&mut reactor, |script| script.ended == [id]);
            let expected = [&b"hello "[..], &much, b"ended\n"].concat();
            assert!(reactor.machine.said[&id] == expected, "both ways were used to their ends");
        });
    }

    fn stream(n: usize) -> Address {
        (key(u32::try_from(n).expect("small")), StreamNo::STDIN)
    }

    #[test]
    fn a_turn_has_its_share_and_none_is_passed_over() {
        const MANY: usize = limits::INPUT_SHARE_OF_ALL / limits::INPUT_SHARE + 10;
        let mut feed = Feed::default();
        feed.add((0..MANY).map(stream));
        let turn = |feed: &mut Feed| {
            feed.begin_turn();
            let mut served = Vec::new();
            while let Some((address, share)) = feed.take_next() {
                served.push(address);
                feed.written(address, share, true);
            }
            served
        };
        let first = turn(&mut feed);
        assert_eq!(first, (0..MANY - 10).map(stream).collect::<Vec<_>>());
        let second = turn(&mut feed);
        assert_eq!(second[..10], (MANY - 10..MANY).map(stream).collect::<Vec<_>>());
        assert_eq!(second.len(), MANY - 10);
        assert!(!feed.is_idle());
        feed.begin_turn();
        while let Some((address, _)) = feed.take_next() {
            feed.written(address, 0, false);
        }
        assert!(feed.is_idle());
    }
}
