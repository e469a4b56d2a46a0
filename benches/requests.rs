//! How fast a node answers `GET /jobs/SESSION/JOB`: with one client who waits for each answer, and with sixteen at
//! once. The limit is a loop that reads a request and writes an answer of the same size, without looking at either;
//! where there is an nginx it answers a file of that size. All take turns in one and the same run, and on one
//! processor.
//!
//! The number is that of requests.

use std::net::TcpStream;
use std::process::Child;

use rustix::process::{kill_process, Signal};

use super::bench::clients::{request, Client};
use super::bench::fixed::Fixed;
use super::bench::gafferd::{pid, Gafferd};
use super::bench::nginx::Nginx;
use super::bench::run::Run;
use super::bench::together::Together;
use super::bench::{median, now, start, until};

const CROWD: usize = 16;

pub(crate) fn run(run: &Run) {
    let (count, rounds) = (run.count(2_000, 32), run.either(5, 1));
    let _together = Together::with([]);
    let gafferd = Gafferd::start("[process:j]\ncmd = sleep 100000\n");
    until(|| gafferd.children() == 1);
    let (address, path) = (gafferd.address(), "/jobs/default/j");
    let mut client = Client::new(&address);
    let answer = client.ask(path);
    assert!(answer.body.starts_with(b"{") && answer.body.ends_with(b"}"), "it is the job");
    let (length, body) = (answer.whole.len(), answer.body.len());
    let fixed = Fixed::start(length);
    let mut places = vec![("fixed answer", fixed.at.clone(), "/"), ("gafferd", address, path)];
    let mut nginx = Nginx::of(body);
    let _server = nginx.as_mut().map(|nginx| Server(start(&mut nginx.command)));
    if let Some(nginx) = &nginx {
        until(|| TcpStream::connect(&nginx.at).is_ok());
        places.push(("nginx", nginx.at.clone(), "/file"));
    }
    let mut costs = vec![[const { Vec::new() }; 2]; places.len()];
    for _ in 0..rounds {
        for ((_, at, path), costs) in places.iter().zip(&mut costs) {
            costs[0].push(asked((at, path), 1, count));
            costs[1].push(asked((at, path), CROWD, count));
        }
    }
    run.say(&format!(
        "{length} bytes; median of {rounds} rounds of {count} requests: microseconds for one client who waits, \
         requests a second of {CROWD}"
    ));
    for ((what, ..), [one, crowd]) in places.iter().zip(costs) {
        run.say(&format!("{what:14} {:8.1} {:10.0}", median(one) * 1e6, 1.0 / median(crowd)));
    }
}

/// Seconds for each request, where so many clients ask at once, each again when it is answered.
fn asked((at, path): (&str, &str), clients: usize, count: usize) -> f64 {
    let mut clients: Vec<Client> = (0..clients).map(|_| Client::new(at)).collect();
    let request = request("GET", path, "");
    let rounds = (count / clients.len()).max(1);
    let begun = now();
    for _ in 0..rounds {
        for client in &mut clients {
            client.send(&request);
        }
        for client in &mut clients {
            client.answer();
        }
    }
    begun.elapsed().as_secs_f64() / (rounds * clients.len()) as f64
}

/// An nginx that runs.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = kill_process(pid(&self.0), Signal::TERM);
        let _ = self.0.wait();
    }
}
