//! How fast what one process writes comes to many who follow it on websockets: one line at a time, and the next when
//! everybody has it. The limit is a loop that reads the line and writes a frame of the same size to as many sockets.
//! Both take turns in one and the same run, with the same process that writes and the same clients.
//!
//! The number is that of clients.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use serde_json::json;

use super::bench::clients::{frame, Websocket};
use super::bench::fixed::address_of;
use super::bench::gafferd::Gafferd;
use super::bench::kernel::{processor, raise_nofile};
use super::bench::run::Run;
use super::bench::{end, median, now, role, start, this, until};

const LINE: usize = 100;

pub(crate) fn run(run: &Run) {
    raise_nofile();
    for clients in [1, run.count(100, 2)] {
        compare(run, clients);
    }
}

fn compare(run: &Run, clients: usize) {
    let (lines, rounds) = (run.either((200_000 / clients).min(20_000), 5), run.either(5, 1));
    let mut gafferd = of_gafferd(clients);
    let length = gafferd.line();
    let mut bare = bare(clients, length);
    let mut costs = [const { (Vec::new(), Vec::new()) }; 2];
    for _ in 0..rounds {
        for (crowd, costs) in [&mut bare, &mut gafferd].into_iter().zip(&mut costs) {
            let (begun, before) = (now(), processor(crowd.teller));
            for _ in 0..lines {
                crowd.line();
            }
            let messages = (lines * clients) as f64;
            costs.0.push(messages / begun.elapsed().as_secs_f64());
            costs.1.push((processor(crowd.teller) - before) / messages * 1e6);
        }
    }
    for crowd in [&mut bare, &mut gafferd] {
        assert!(crowd.clients.iter_mut().all(Websocket::is_idle), "each line was one message");
    }
    let [(limit, limit_cpu), (ours, cpu)] = costs.map(|(speed, cpu)| (median(speed), median(cpu)));
    run.say(&format!(
        "{clients:4} clients, frames of {length} bytes: {ours:.0} messages a second, {:.2} of the limit of {limit:.0}; \
         {cpu:.2} µs of processor each, the limit {limit_cpu:.2}",
        ours / limit
    ));
}

/// Clients who follow the output of one process, and whatever is between them and it.
struct Crowd {
    clients: Vec<Websocket>,
    /// Who tells them.
    teller: u32,
    /// Where the process listens for what it is to write.
    process: PathBuf,
    socket: UnixDatagram,
    _whole: Whole,
}

/// What ends with the crowd.
struct Whole {
    gafferd: Option<Gafferd>,
    children: Vec<Child>,
    _folder: tempfile::TempDir,
}

impl Drop for Whole {
    fn drop(&mut self) {
        drop(self.gafferd.take());
        self.children.iter_mut().for_each(end);
    }
}

impl Crowd {
    fn new(clients: Vec<Websocket>, (teller, process): (u32, PathBuf), whole: Whole) -> Self {
        let socket = UnixDatagram::unbound().expect("a socket");
        Self { clients, teller, process, socket, _whole: whole }
    }

    /// Has the process write a line, and waits until everybody has it; how long the frame was.
    fn line(&mut self) -> usize {
        let mut line = [b'x'; LINE];
        line[LINE - 1] = b'\n';
        self.socket.send_to(&line, &self.process).expect("it listens");
        self.clients.iter_mut().map(Websocket::next).max().expect("there are some")
    }
}

fn of_gafferd(clients: usize) -> Crowd {
    let folder = tempfile::tempdir().expect("a folder");
    let process = folder.path().join("process");
    let gafferd = Gafferd::start("");
    gafferd.load(json!({"name": "j", "cmd": this(), "args": ["--repeat", &process]}));
    until(|| process.exists());
    let address = gafferd.address();
    let follower = |_| {
        let mut client = Websocket::new(&address, "/channel/websocket");
        client.follow("LOGS:b.j", "");
        client
    };
    let teller = gafferd.child.id();
    let clients = (0..clients).map(follower).collect();
    let whole = Whole { gafferd: Some(gafferd), children: Vec::new(), _folder: folder };
    Crowd::new(clients, (teller, process), whole)
}

fn bare(clients: usize, length: usize) -> Crowd {
    let folder = tempfile::tempdir().expect("a folder");
    let process = folder.path().join("process");
    let mut command = role("--repeat", &[process.to_str().expect("UTF-8")]);
    let mut child = start(command.stdout(Stdio::piped()));
    let lines = child.stdout.take().expect("a pipe");
    let mut command = role("--spread", &[&length.to_string()]);
    let mut spread = start(command.stdin(lines).stdout(Stdio::piped()));
    until(|| process.exists());
    let (address, teller) = (address_of(&mut spread), spread.id());
    let mut clients: Vec<Websocket> = (0..clients).map(|_| Websocket::bare(&address)).collect();
    // A first frame says that it has been let in.
    for client in &mut clients {
        client.next();
    }
    let whole = Whole { gafferd: None, children: vec![spread, child], _folder: folder };
    Crowd::new(clients, (teller, process), whole)
}

/// The process: writes what comes to the socket at this path.
pub(crate) fn repeat(words: &[String]) {
    let path = Path::new(&words[0]);
    // Whoever sees the path may send to it: it has that name only when it is bound.
    let hidden = path.with_extension("new");
    let socket = UnixDatagram::bind(&hidden).expect("a socket");
    fs::rename(&hidden, path).expect("ours");
    let mut line = [0; 65_536];
    let mut out = std::io::stdout().lock();
    loop {
        let length = socket.recv(&mut line).expect("a line");
        out.write_all(&line[..length]).and_then(|()| out.flush()).expect("somebody reads");
    }
}

/// The limit: writes a frame of this length for each line of its input to everybody who is connected.
pub(crate) fn spread(words: &[String]) {
    let frame = frame(words[0].parse().expect("a length"));
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    println!("{}", listener.local_addr().expect("bound"));
    listener.set_nonblocking(true).expect("a socket");
    let mut listener = mio::net::TcpListener::from_std(listener);
    let (mut poll, mut events) = (Poll::new().expect("a poll"), Events::with_capacity(64));
    let mut lines = std::io::stdin().lock();
    let input = lines.as_raw_fd();
    let registry = poll.registry();
    registry.register(&mut listener, Token(0), Interest::READABLE).expect("a poll");
    registry.register(&mut SourceFd(&input), Token(1), Interest::READABLE).expect("a poll");
    let (mut clients, mut buffer) = (Vec::new(), [0; 65_536]);
    loop {
        poll.poll(&mut events, None).expect("events");
        for event in &events {
            if event.token() == Token(0) {
                while let Ok((mut client, _)) = listener.accept() {
                    client.set_nodelay(true).expect("a socket");
                    client.write_all(&frame).expect("room for a frame");
                    clients.push(client);
                }
                continue;
            }
            let count = lines.read(&mut buffer).expect("lines");
            for _ in buffer[..count].iter().filter(|byte| **byte == b'\n') {
                for client in &mut clients {
                    client.write_all(&frame).expect("room for a frame");
                }
            }
        }
    }
}
