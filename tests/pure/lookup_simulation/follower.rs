//! Somebody who follows: it makes a picture of what it is told, and takes no word for nothing.

use std::collections::BTreeMap;

use serde_json::Value;

use super::node::Truth;
use crate::driven::Driven;
use crate::fake_lookupd::FakeLookupd;
use crate::lookup_node::Socket;
use crate::ws_client::{self, Said};
use gaffer::node::machine::Machine as _;

/// What nodes have, by their names.
pub(crate) type Picture = BTreeMap<String, Truth>;

/// Somebody who follows.
pub(crate) struct Follower {
    socket: Socket,
    pub(crate) picture: Picture,
    /// It has been told everything.
    pub(crate) is_whole: bool,
    /// It reads nothing.
    pub(crate) stalls: bool,
    /// Its picture is worth nothing any more.
    pub(crate) is_lost: bool,
}

impl Follower {
    pub(crate) fn new(lookupd: &mut FakeLookupd) -> Self {
        let socket = Socket::open(lookupd, "/lookup/websocket?snapshot=1");
        let picture = Picture::new();
        Self { socket, picture, is_whole: false, stalls: false, is_lost: false }
    }

    /// Reads so much of what it is owed; gives what it read.
    pub(crate) fn read(&mut self, lookupd: &mut FakeLookupd, most: usize) -> Vec<u8> {
        if self.stalls {
            return Vec::new();
        }
        let owed = lookupd.machine.transmit(self.socket.conn);
        let owed = owed[..owed.len().min(most)].to_vec();
        lookupd.sent(self.socket.conn, owed.len());
        for said in self.socket.take(&owed) {
            match said {
                Said::Text(text) => self.hear(&text),
                Said::Ping(_) => self.socket.send(lookupd, ws_client::PONG, b""),
                Said::Close(..) => self.is_lost = true,
                Said::Binary(_) | Said::Pong(_) => panic!("{said:?}"),
            }
        }
        self.is_lost |= lookupd.machine.is_finished(self.socket.conn);
        owed
    }

    /// Whether there is more for it to read.
    pub(crate) fn has_more(&self, lookupd: &FakeLookupd) -> bool {
        !self.is_whole || !lookupd.machine.transmit(self.socket.conn).is_empty()
    }

    pub(crate) fn leave(&self, lookupd: &mut FakeLookupd) {
        lookupd.vanish(self.socket.conn);
    }

    fn hear(&mut self, text: &str) {
        let event: Value = serde_json::from_str(text).expect("JSON");
        let word = |value: &Value| value.as_str().expect("a text").to_owned();
        let node = || word(event.get("node").map_or(&event["name"], |node| &node["name"]));
        let job = || word(&event["job_name"]);
        let pid = || event["pid"].as_u64().expect("a number");
        if self.is_lost {
            return;
        }
        let picture = &mut self.picture;
        match event["event"].as_str().expect("a text") {
            "add_node" => assert!(picture.insert(node(), Truth::new()).is_none(), "{text}"),
            "identify" => assert!(picture[&node()].is_empty(), "{text}"),
            "remove_node" => drop(picture.remove(&node()).expect(text)),
            "add_job" => {
                let jobs = picture.get_mut(&node()).expect(text);
                assert!(jobs.insert(job(), Default::default()).is_none(), "{text}");
            }
            "remove_job" => {
                let jobs = picture.get_mut(&node()).expect(text);
                jobs.remove(&job()).expect(text);
            }
            "add_process" => {
                let pids = picture.get_mut(&node()).and_then(|jobs| jobs.get_mut(&job()));
                assert!(pids.expect(text).insert(pid()), "{text}");
            }
            "remove_process" => {
                let pids = picture.get_mut(&node()).and_then(|jobs| jobs.get_mut(&job()));
                assert!(pids.expect(text).remove(&pid()), "{text}");
            }
            "snapshot_end" => {
                self.is_whole = true;
                let jobs = picture.values().map(Truth::len).sum::<usize>();
                let each = picture.values().flat_map(Truth::values);
                let processes = each.map(std::collections::BTreeSet::len).sum::<usize>();
                let counts = [("nodes", picture.len()), ("jobs", jobs), ("processes", processes)];
                for (key, count) in counts {
                    assert_eq!(event[key], count, "{key}: {text}");
                }
            }
            "gaffer:lagged" => self.is_lost = true,
            other => panic!("nobody hears of {other}"),
        }
    }
}
