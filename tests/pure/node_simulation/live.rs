//! The part of a world that goes on: clients that stay, what processes write, and what is always so of
//! both.

use std::time::Duration;

use gaffer::base::ids::{InstanceId, StreamNo};
use gaffer::node::machine::Machine as _;
use serde_json::Value;

use super::followers::{Live, Scene};
use super::node::World;
use super::wire::{Got, Habit, Wire};
use super::words;

/// Most clients that stay.
const MOST: usize = 12;

impl World {
    fn scene<T>(&mut self, act: impl FnOnce(&mut Scene<'_>) -> T) -> T {
        act(&mut Scene {
            node: &mut self.node,
            random: &mut self.random,
            now: self.now,
            written: &self.written,
            last_event: &mut self.last_event,
            number: self.followers,
        })
    }

    /// A client comes, perhaps, and all do a little.
    pub(crate) fn follow(&mut self) {
        if self.live.len() < MOST && self.random.below(8) == 0 {
            self.followers += 1;
            let live = self.scene(Live::connect);
            self.live.extend(live);
        }
        self.serve_live();
    }

    /// Lets every client that stays do a little.
    pub(crate) fn serve_live(&mut self) {
        let mut live = std::mem::take(&mut self.live);
        live.retain_mut(|live| self.scene(|scene| live.act(scene)));
        self.live = live;
        self.note(&format!("{} stay, the last event is {}", self.live.len(), self.last_event));
    }

    /// Processes write, perhaps.
    pub(crate) fn talk(&mut self) {
        for _ in 0..self.random.below(4) {
            let pipes = self.kernel.open_pipes();
            let count = u64::try_from(pipes.len()).expect("few");
            let at = usize::try_from(self.random.below(count)).expect("few");
            let Some(id) = pipes.get(at).copied() else { return };
            let stream =
                if self.random.below(4) == 0 { StreamNo::STDERR } else { StreamNo::STDOUT };
            let length = match self.random.below(30) {
                0 => 20_000,
                _ => self.random.below(60),
            };
            self.write(id, stream, length);
        }
    }

    /// A process writes so many bytes.
    pub(crate) fn write(&mut self, id: InstanceId, stream: StreamNo, length: u64) {
        let run = self.node.supervisor().instance(id).and_then(|instance| instance.run.as_ref());
        let Some(pid) = run.map(|run| run.pid).filter(|_| length > 0) else { return };
        let position = self.written.entry((pid, stream)).or_default();
        let bytes = words::bytes(stream, *position, *position + length);
        *position += length;
        self.node.output(id, stream, &bytes, self.now);
    }

    /// What is owed to a client, or its end, is known to the reactor.
    pub(crate) fn check_dirty(&mut self) {
        self.dirty.extend(self.node.take_dirty());
        for live in &mut self.live {
            for wire in live.wires().into_iter().filter(|wire| !wire.closed) {
                let idle = self.node.transmit(wire.conn).is_empty();
                if idle && !self.node.is_finished(wire.conn) {
                    self.dirty.remove(&wire.conn);
                } else {
                    assert!(self.dirty.contains(&wire.conn), "nobody looks at {:?}", wire.conn);
                }
            }
        }
    }

    /// Those who stay ask for nothing more, and after a while everything is answered.
    pub(crate) fn calm(&mut self) {
        self.live.iter_mut().for_each(Live::calm);
        self.lively = false;
        for _ in 0..400 {
            self.serve_live();
            let limit = self.now.mono + Duration::from_millis(20);
            self.advance(limit);
        }
        self.live.iter().for_each(Live::check_answered);
    }

    /// All clients are gone, and nothing of them is left.
    pub(crate) fn forget_all(&mut self) {
        let mut live = std::mem::take(&mut self.live);
        live.iter_mut().for_each(|live| self.scene(|scene| live.vanish(scene)));
        for client in std::mem::take(&mut self.clients) {
            client.vanish(&mut self.node, self.now);
        }
        self.turn();
        self.pass(Duration::from_secs(10));
        let mut wire = Wire::connect(&mut self.node, Habit::Plain, self.now).expect("room");
        wire.queue(b"GET /debug/counters HTTP/1.1\r\nHost: x\r\n\r\n");
        while !wire.is_sent() {
            wire.send(&mut self.node, &mut self.random, self.now);
        }
        self.turn();
        wire.read(&mut self.node, &mut self.random, self.now);
        let Some(Got::Answer(200, body)) = wire.next() else { panic!("no counters") };
        wire.vanish(&mut self.node, self.now);
        let counters: Value = serde_json::from_slice(&body).expect("JSON");
        for (name, value) in counters.as_object().expect("an object") {
            let of_processes = name.starts_with("input_") || name.ends_with("event");
            if !of_processes && name != "events" {
                let expected = u64::from(name == "connections");
                assert_eq!(value.as_u64(), Some(expected), "{name} in {counters}");
            }
        }
    }
}
