//! What gafferd has in memory: alone, with jobs, with instances of one job, with connections and with websockets
//! that are idle, and what each of these takes. The limit is the program alone.
//!
//! The number is that of each.

use super::bench::clients::{Client, Websocket};
use super::bench::gafferd::{sleepers, Gafferd};
use super::bench::kernel::raise_nofile;
use super::bench::run::Run;
use super::bench::{rest, until};

pub(crate) fn run(run: &Run) {
    raise_nofile();
    let count = run.count(100, 3);
    run.say(&format!("gafferd, Pss (of it anonymous) in KiB, and bytes for each of {count}"));
    let alone = Gafferd::start("");
    let floor = tell(run, "alone", &alone, (None, 1));
    drop(alone);

    let jobs = Gafferd::start(&sleepers(count));
    until(|| jobs.children() == count);
    tell(run, "jobs of one process", &jobs, (Some(floor), count));
    drop(jobs);

    let instances = format!("[process:j]\ncmd = sleep 100000\nnumprocesses = {count}\n");
    let instances = Gafferd::start(&instances);
    until(|| instances.children() == count);
    tell(run, "instances of one job", &instances, (Some(floor), count));
    drop(instances);

    let gafferd = Gafferd::start("");
    let address = gafferd.address();
    let connect = |_| {
        let mut client = Client::new(&address);
        assert_eq!(client.ask("/ping").body, b"OK");
        client
    };
    let mut clients: Vec<Client> = (0..count).map(connect).collect();
    tell(run, "idle connections", &gafferd, (Some(floor), count));
    assert!(clients.iter_mut().all(Client::is_idle), "all of them were there");
    drop((clients, gafferd));

    let gafferd = Gafferd::start("");
    let address = gafferd.address();
    let connect = |_| Websocket::new(&address, "/channel/websocket");
    let mut clients: Vec<Websocket> = (0..count).map(connect).collect();
    tell(run, "idle websockets", &gafferd, (Some(floor), count));
    assert!(clients.iter_mut().all(Websocket::is_idle), "all of them were there");
}

/// Prints what it takes, once that has settled, and gives it in KiB.
fn tell(run: &Run, what: &str, gafferd: &Gafferd, (floor, count): (Option<u64>, usize)) -> u64 {
    // What is free is given back a while after the last thing happened.
    rest(run.either(6_000, 0));
    let memory = gafferd.memory();
    assert!(memory.pss > 0 && memory.pss >= memory.own, "it is told");
    let each = floor.map(|floor| memory.pss.saturating_sub(floor) * 1024 / count as u64);
    let each = each.map(|each| format!(", {each} each")).unwrap_or_default();
    run.say(&format!("{what:22} {:6} ({}){each}", memory.pss, memory.own));
    memory.pss
}
