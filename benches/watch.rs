//! What it costs to tell ten clients ten times a second what each of a thousand processes uses. The limit is to read
//! as many files of /proc that are open as often, and to tell nobody. Both take turns in one and the same run.
//!
//! The number is that of processes.

use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::FileExt as _;
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use serde_json::json;

use super::bench::clients::{contains, Websocket};
use super::bench::gafferd::Gafferd;
use super::bench::kernel::{children, raise_nofile};
use super::bench::run::Run;
use super::bench::{median, now, rest};

/// How often it is measured in a second.
const RATE: f64 = 10.0;

pub(crate) fn run(run: &Run) {
    raise_nofile();
    let (processes, followers) = (run.count(1_000, 5), run.either(10, 2));
    let (rounds, time) = (run.either(3, 1), Duration::from_millis(run.either(4_000, 250)));
    let gafferd = Gafferd::start("");
    gafferd.load(json!({"name": "j", "cmd": "sleep 100000", "numprocesses": processes}));
    let open = |pid: &u32| File::open(format!("/proc/{pid}/stat")).expect("it runs");
    let files: Vec<File> = children(gafferd.child.id()).iter().map(open).collect();
    assert_eq!(files.len(), processes);
    let (mut limits, mut shares, mut speeds, mut lost) = (Vec::new(), Vec::new(), Vec::new(), 0);
    for _ in 0..rounds {
        limits.push(bare(&files, run.either(10, 1)));
        let told = watched(&gafferd, followers, time);
        shares.push(told.share);
        speeds.push(told.messages as f64 / time.as_secs_f64());
        lost += told.lost;
    }
    let (limit, share) = (median(limits) * 100.0, median(shares) * 100.0);
    let wanted = processes as f64 * RATE * followers as f64;
    run.say(&format!(
        "{processes} processes, {RATE} times a second, {followers} clients: {share:.1} % of a processor, the limit {limit:.1}; \
         {:.0} messages a second of {wanted:.0}, {lost} times some were lost",
        median(speeds)
    ));
}

/// What part of a processor it takes to read these as often.
fn bare(files: &[File], times: usize) -> f64 {
    let mut line = [0; 1024];
    let mut took = Vec::new();
    for _ in 0..times {
        let begun = now();
        for file in files {
            file.read_at(&mut line, 0).expect("it runs");
        }
        took.push(begun.elapsed().as_secs_f64());
        rest(100);
    }
    median(took) * RATE
}

/// What came of it that clients followed.
struct Told {
    /// What part of a processor gafferd took.
    share: f64,
    messages: usize,
    lost: usize,
}

fn watched(gafferd: &Gafferd, followers: usize, time: Duration) -> Told {
    let address = gafferd.address();
    let (mut poll, mut events) = (Poll::new().expect("a poll"), Events::with_capacity(64));
    let mut clients = Vec::new();
    for number in 0..followers {
        let mut client = Websocket::new(&address, "/channel/websocket");
        client.follow("STATS:b.j", r#","interval":0.1"#);
        client.stream.set_nonblocking(true).expect("a socket");
        let fd = client.stream.as_raw_fd();
        let registry = poll.registry();
        registry.register(&mut SourceFd(&fd), Token(number), Interest::READABLE).expect("a poll");
        clients.push((client, 0));
    }
    let (begun, before, mut lost) = (now(), gafferd.processor(), 0);
    while let Some(left) = time.checked_sub(begun.elapsed()) {
        poll.poll(&mut events, Some(left)).expect("events");
        for event in &events {
            let (client, count) = &mut clients[event.token().0];
            *count += client.hear_all(|message| {
                lost += usize::from(contains(message, b"gaffer:lagged"));
            });
        }
    }
    let share = (gafferd.processor() - before) / begun.elapsed().as_secs_f64();
    assert!(clients.iter().all(|(_, count)| *count > 0), "all are told");
    Told { share, messages: clients.iter().map(|(_, count)| count).sum(), lost }
}
