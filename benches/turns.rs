//! How long one request takes where thousands of others are connected and say nothing: the one in the middle, and
//! the one behind which one in a hundred lies. The limit is the same with nobody else, and a loop that reads a request
//! and writes an answer of the same size. All take turns in one and the same run.
//!
//! The number is that of the most who are connected; half of a gafferd's descriptors are for clients, so that ten
//! thousand need a hard limit of 23,000.

use std::net::TcpStream;

use serde_json::json;

use super::bench::clients::{is_there, request, Client, Websocket};
use super::bench::fixed::Fixed;
use super::bench::gafferd::Gafferd;
use super::bench::kernel::{most_clients, raise_nofile};
use super::bench::run::Run;
use super::bench::{median, now, quantile};

/// A job's state: a few bytes.
const PATH: &str = "/jobs/b/j/state";

pub(crate) fn run(run: &Run) {
    raise_nofile();
    let most = run.most(("clients", most_clients()), 10_000, 20);
    compare(run, "connections", most, |address| {
        let mut client = Client::new(address);
        client.ask("/ping");
        client.stream
    });
    compare(run, "websockets", most, |address| Websocket::new(address, "/wstreams/1").stream);
}

/// Who is asked, while so many others are connected.
struct Place {
    name: &'static str,
    idle: Vec<TcpStream>,
    client: Client,
    times: Vec<Vec<f64>>,
    _gafferd: Option<Gafferd>,
}

fn compare(run: &Run, kind: &str, most: usize, connect: fn(&str) -> TcpStream) {
    let few = most.min(1_000);
    let mut places: Vec<Place> = [0, few, most].map(|count| of_gafferd(count, connect)).into();
    let length = places[0].client.ask(PATH).whole.len();
    let fixed = Fixed::start(length);
    let client = Client::new(&fixed.at);
    let fixed =
        Place { name: "fixed answer", idle: Vec::new(), client, times: Vec::new(), _gafferd: None };
    places.insert(0, fixed);
    let (rounds, count) = run.either((20, 250), (1, 5));
    let request = request("GET", PATH, "");
    for _ in 0..rounds {
        for Place { client, times, .. } in &mut places {
            let asked = (0..count).map(|_| {
                let begun = now();
                client.send(&request);
                client.answer();
                begun.elapsed().as_secs_f64() * 1e6
            });
            times.push(asked.collect());
        }
    }
    run.say(&format!(
        "idle {kind}: microseconds of {} requests, in the middle of the quickest of {rounds} rounds, and of the slowest \
         hundredth of all; times that with nobody else",
        rounds * count
    ));
    let mut limit = None;
    for Place { name, idle, times, .. } in places {
        assert!(idle.iter().all(is_there), "all of them stay");
        let slow = quantile(times.concat(), 990);
        // Which processor a process is put on changes more than all else does, and holds for a while.
        let quickest = times.into_iter().map(median).fold(f64::INFINITY, f64::min);
        if name == "gafferd" {
            limit.get_or_insert(quickest);
        }
        let ratio = limit.map(|limit| format!(" {:5.2}", quickest / limit)).unwrap_or_default();
        run.say(&format!("{name:14} {:6} {quickest:8.1} {slow:8.1}{ratio}", idle.len()));
    }
}

fn of_gafferd(count: usize, connect: fn(&str) -> TcpStream) -> Place {
    let gafferd = Gafferd::start("");
    gafferd.load(json!({"name": "j", "cmd": "sleep 100000", "redirect_output": ["out"]}));
    let address = gafferd.address();
    let idle = (0..count).map(|_| connect(&address)).collect();
    let client = Client::new(&address);
    Place { name: "gafferd", idle, client, times: Vec::new(), _gafferd: Some(gafferd) }
}
