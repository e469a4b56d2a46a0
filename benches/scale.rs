//! What each of ten costs, of a hundred, of a thousand, and of ten thousand: jobs that are loaded, instances that are
//! started, clients that connect, websockets, sessions of the channel, and events that are told again. It should be
//! the same for each of many as for each of few, which is the limit.
//!
//! The number is the most of each, as far as a gafferd has descriptors for them.

use std::process::{Child, Command, Stdio};

use serde_json::{json, Value};

use super::bench::clients::{contains, request, Client, Websocket};
use super::bench::gafferd::Gafferd;
use super::bench::kernel::{most_clients, most_instances, raise_nofile};
use super::bench::run::Run;
use super::bench::{end, median, now, rest, start};

/// How many requests are sent before their answers are read.
const AT_ONCE: usize = 50;

/// Something of which there can be many.
struct Kind {
    name: &'static str,
    /// More of it there cannot be.
    most: fn() -> usize,
    make: fn(&Gafferd, usize) -> Made,
}

/// So many of it: how many seconds they took, and what keeps them.
struct Made {
    took: f64,
    _kept: Kept,
}

enum Kept {
    Nothing,
    Clients { _clients: Vec<Client> },
    Websockets { _websockets: Vec<Websocket> },
}

#[rustfmt::skip]
const KINDS: [Kind; 7] = [
    Kind { name: "jobs loaded", most: || 10_000, make: jobs },
    Kind { name: "processes, bare", most: || most_instances(2), make: processes },
    Kind { name: "instances started", most: || most_instances(2), make: instances },
    Kind { name: "connections", most: most_clients, make: connections },
    Kind { name: "websockets", most: most_clients, make: websockets },
    Kind { name: "channel sessions", most: || 1_000, make: sessions },
    Kind { name: "events told again", most: || 5_000, make: events },
];

pub(crate) fn run(run: &Run) {
    raise_nofile();
    let wanted = run.count(1_000, 3);
    run.say("microseconds for each (median), and bytes of memory for each, of so many; the last beside the first");
    for kind in &KINDS {
        let most = wanted.min((kind.most)());
        let first = most.min(10);
        let mut sizes: Vec<usize> =
            [10, 100, 1_000].into_iter().filter(|size| *size < most).collect();
        sizes.push(most);
        let (mut costs, mut line) = (Vec::new(), format!("{:18}", kind.name));
        for size in sizes {
            let (cost, memory) = measure(run, kind, size);
            costs.push(cost);
            line += &format!(" {size:6}: {cost:7.1} {memory:>7}");
        }
        assert!(costs.iter().all(|cost| *cost > 0.0), "they took some time");
        let ratio = costs[costs.len() - 1] / costs[0];
        run.say(&format!("{line}   {ratio:5.2} times those of {first}"));
    }
}

/// What each of so many takes: microseconds, and bytes where there are enough to tell.
fn measure(run: &Run, kind: &Kind, size: usize) -> (f64, String) {
    // Few are quickly over, and more is by chance.
    let rounds = run.either((300 / size).clamp(2, 20), 0);
    let once = |gafferd: &Gafferd| (kind.make)(gafferd, size);
    let mut costs = Vec::new();
    for _ in 0..rounds {
        costs.push(once(&Gafferd::start("")).took);
    }
    let gafferd = Gafferd::start("");
    let before = gafferd.memory();
    let made = once(&gafferd);
    costs.push(made.took);
    let memory = match size {
        // A page is more than what one of these takes.
        0..100 => "-".to_owned(),
        _ => {
            // What is free is given back a while after the last thing happened.
            rest(6_000);
            (gafferd.memory().pss.saturating_sub(before.pss) * 1024 / size as u64).to_string()
        }
    };
    (median(costs) / size as f64 * 1e6, memory)
}

fn jobs(gafferd: &Gafferd, count: usize) -> Made {
    let mut client = Client::new(&gafferd.address());
    let took = load(&mut client, count);
    let listed = client.ask("/jobs/b");
    let listed: Value = serde_json::from_slice(listed.body).expect("JSON");
    assert_eq!(listed["jobs"].as_array().map(Vec::len), Some(count), "all are loaded");
    Made { took, _kept: Kept::Nothing }
}

/// Loads so many jobs that do not run; in how many seconds.
fn load(client: &mut Client, count: usize) -> f64 {
    let post = |number| {
        let job = json!({"name": format!("j{number}"), "cmd": "sleep 100000", "start": false});
        request("POST", "/jobs/b", &job.to_string())
    };
    let requests: Vec<String> = (0..count).map(post).collect();
    let begun = now();
    for some in requests.chunks(AT_ONCE) {
        client.send(&some.concat());
        for _ in some {
            client.answer();
        }
    }
    begun.elapsed().as_secs_f64()
}

fn instances(gafferd: &Gafferd, count: usize) -> Made {
    let begun = now();
    gafferd.load(json!({"name": "j", "cmd": "sleep 100000", "numprocesses": count}));
    let took = begun.elapsed().as_secs_f64();
    assert_eq!(gafferd.children(), count, "all run");
    Made { took, _kept: Kept::Nothing }
}

/// What starting them costs a loop that does nothing else.
/// With two pipes each, as instances have: what the kernel does to start a process grows with the descriptors of who
/// starts it.
fn processes(_: &Gafferd, count: usize) -> Made {
    let one = |_| {
        let mut command = Command::new("sleep");
        start(command.arg("100000").stdout(Stdio::piped()).stderr(Stdio::piped()))
    };
    let begun = now();
    let mut all: Vec<Child> = (0..count).map(one).collect();
    let took = begun.elapsed().as_secs_f64();
    all.iter_mut().for_each(end);
    Made { took, _kept: Kept::Nothing }
}

fn connections(gafferd: &Gafferd, count: usize) -> Made {
    let address = gafferd.address();
    let begun = now();
    let connect = |_| {
        let mut client = Client::new(&address);
        assert_eq!(client.ask("/ping").body, b"OK");
        client
    };
    let mut clients: Vec<Client> = (0..count).map(connect).collect();
    let took = begun.elapsed().as_secs_f64();
    assert!(clients.iter_mut().all(Client::is_idle), "all of them are there");
    Made { took, _kept: Kept::Clients { _clients: clients } }
}

fn websockets(gafferd: &Gafferd, count: usize) -> Made {
    gafferd.load(json!({"name": "j", "cmd": "sleep 100000", "redirect_output": ["out"]}));
    opened(gafferd, "/wstreams/1", count)
}

fn sessions(gafferd: &Gafferd, count: usize) -> Made {
    opened(gafferd, "/channel/websocket", count)
}

fn opened(gafferd: &Gafferd, path: &str, count: usize) -> Made {
    let address = gafferd.address();
    let begun = now();
    let all = (0..count).map(|_| Websocket::new(&address, path));
    let mut websockets: Vec<Websocket> = all.collect();
    let took = begun.elapsed().as_secs_f64();
    assert!(websockets.iter_mut().all(Websocket::is_idle), "all of them are there");
    Made { took, _kept: Kept::Websockets { _websockets: websockets } }
}

/// Who comes back is told what he has missed.
fn events(gafferd: &Gafferd, count: usize) -> Made {
    let address = gafferd.address();
    let mut first = Websocket::new(&address, "/channel/websocket");
    first.follow("EVENTS", "");
    load(&mut Client::new(&address), count + 1);
    let mut seqs = Vec::new();
    while seqs.len() <= count {
        first.hear(|message| {
            let message: Value = serde_json::from_slice(message).expect("JSON");
            seqs.extend(message["data"]["seq"].as_u64());
        });
    }
    let mut late = Websocket::new(&address, "/channel/websocket");
    let last = format!("\"seq\": {}", seqs[count]);
    let (mut told, mut over) = (0, false);
    let begun = now();
    late.say(&format!(r#"{{"event":"SUB","data":{{"topic":"EVENTS","since":{}}}}}"#, seqs[0]));
    while !over {
        late.hear(|message| {
            let is_event = !contains(message, b"subscription_success");
            told += usize::from(is_event && !over);
            over |= contains(message, last.as_bytes());
        });
    }
    let took = begun.elapsed().as_secs_f64();
    assert_eq!(told, count, "each once");
    Made { took, _kept: Kept::Nothing }
}
