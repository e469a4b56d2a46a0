//! How fast a node answers `GET /jobs/SESSION/JOB`: with one client who waits for each answer, and with sixteen at
//! once. The limit is a loop that reads a request and writes an answer of the same size, without looking at either;
//! where there is an nginx it answers a file of that size. All take turns in one and the same run.
//!
//! `cargo bench --bench requests [REQUESTS]`. With the variable `GAFFERD` another build is measured.

#[allow(dead_code, reason = "each benchmark uses its part")]
mod bench;

use std::fs;
use std::io::{Read, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use bench::{median, now, number, start, until, Gafferd};

const ROUNDS: usize = 5;
const CROWD: usize = 16;

fn main() {
    let words: Vec<String> = std::env::args().collect();
    if let Some(at) = words.iter().position(|word| word == "--serve") {
        return serve(words[at + 1].parse().expect("a length"));
    }
    let count = number(2_000);
    let gafferd = Gafferd::start("[process:j]\ncmd = sleep 100000\n");
    let address = gafferd.address();
    let request = |path: &str, host: &str| format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n");
    let ours = (address.clone(), request("/jobs/default/j", &address));
    let (length, body) = sizes(&ours);
    let mut fixed = Fixed::start(length);
    let mut places = vec![
        ("fixed answer", fixed.at.clone(), request("/", &fixed.at)),
        ("gafferd", ours.0, ours.1),
    ];
    let nginx = Nginx::start(body);
    if let Some(nginx) = &nginx {
        places.push(("nginx", nginx.at.clone(), request("/file", &nginx.at)));
    }
    let mut costs = vec![[const { Vec::new() }; 2]; places.len()];
    for _ in 0..ROUNDS {
        for ((_, at, request), costs) in places.iter().zip(&mut costs) {
            costs[0].push(asked((at, request), 1, count));
            costs[1].push(asked((at, request), CROWD, count));
        }
    }
    println!(
        "{length} bytes; median of {ROUNDS} rounds of {count} requests: microseconds for one client who waits, \
         requests a second of {CROWD}"
    );
    for ((what, ..), [one, crowd]) in places.iter().zip(costs) {
        println!("{what:14} {:8.1} {:10.0}", median(one) * 1e6, 1.0 / median(crowd));
    }
    fixed.child.kill().expect("ours");
    fixed.child.wait().expect("ours");
}

/// How long the answer is, and its body alone.
fn sizes((at, request): &(String, String)) -> (usize, usize) {
    let mut stream = TcpStream::connect(at).expect("it listens");
    stream.write_all(request.as_bytes()).expect("sent");
    let mut answer = vec![0; 65_536];
    let length = stream.read(&mut answer).expect("an answer");
    let head = answer.windows(4).position(|end| end == b"\r\n\r\n").expect("a head") + 4;
    assert!(answer.starts_with(b"HTTP/1.1 200") && length > head);
    (length, length - head)
}

/// Seconds for each request, where so many clients ask at once, each again when it is answered.
fn asked((at, request): (&str, &str), clients: usize, count: usize) -> f64 {
    let streams = (0..clients).map(|_| TcpStream::connect(at).expect("it listens"));
    let mut streams: Vec<TcpStream> = streams.collect();
    for stream in &streams {
        stream.set_nodelay(true).expect("a socket");
    }
    let mut answer = vec![0; 65_536];
    let rounds = (count / clients).max(1);
    let begun = now();
    for _ in 0..rounds {
        for stream in &mut streams {
            stream.write_all(request.as_bytes()).expect("sent");
        }
        for stream in &mut streams {
            whole(stream, &mut answer);
        }
    }
    begun.elapsed().as_secs_f64() / (rounds * clients) as f64
}

/// Reads one answer.
fn whole(stream: &mut impl Read, answer: &mut [u8]) {
    let (mut have, mut wanted) = (0, None);
    while wanted.is_none_or(|wanted| have < wanted) {
        let count = stream.read(&mut answer[have..]).expect("an answer");
        assert!(count > 0, "it went away");
        have += count;
        wanted = wanted.or_else(|| length_of(&answer[..have]));
    }
}

fn length_of(answer: &[u8]) -> Option<usize> {
    let head = answer.windows(4).position(|end| end == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&answer[..head]).expect("a head").to_ascii_lowercase();
    let (_, rest) = text.split_once("content-length: ")?;
    let digits = rest.split("\r\n").next()?;
    Some(head + digits.trim().parse::<usize>().expect("a number"))
}

/// A server that reads and writes and nothing else, in a process of its own.
struct Fixed {
    child: Child,
    at: String,
}

impl Fixed {
    fn start(length: usize) -> Self {
        let mut command = Command::new(std::env::current_exe().expect("this"));
        command.args(["--serve", &length.to_string()]).stdout(Stdio::piped());
        let mut child = start(&mut command);
        let mut at = [0; 32];
        let length = child.stdout.as_mut().expect("a pipe").read(&mut at).expect("its address");
        Self { child, at: String::from_utf8_lossy(&at[..length]).trim().to_owned() }
    }
}

fn serve(length: usize) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    println!("{}", listener.local_addr().expect("bound"));
    let mut poll = mio::Poll::new().expect("a poll");
    let mut events = mio::Events::with_capacity(64);
    listener.set_nonblocking(true).expect("a socket");
    let mut listener = mio::net::TcpListener::from_std(listener);
    let listening = mio::Token(usize::MAX >> 1);
    let readable = mio::Interest::READABLE;
    poll.registry().register(&mut listener, listening, readable).expect("a poll");
    let head = |body: usize| format!("HTTP/1.1 200 OK\r\nContent-Length: {body:06}\r\n\r\n");
    let body = length.saturating_sub(head(0).len());
    let answer = [head(body).into_bytes(), vec![b'x'; body]].concat();
    let (mut streams, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        poll.poll(&mut events, None).expect("events");
        for event in &events {
            if event.token() == listening {
                while let Ok((mut stream, _)) = listener.accept() {
                    stream.set_nodelay(true).expect("a socket");
                    let token = mio::Token(streams.len());
                    poll.registry().register(&mut stream, token, readable).expect("a poll");
                    streams.push(stream);
                }
                continue;
            }
            let stream: &mut mio::net::TcpStream = &mut streams[event.token().0];
            if stream.read(&mut buffer).is_ok_and(|count| count > 0) {
                stream.write_all(&answer).expect("room for an answer");
            }
        }
    }
}

/// An nginx of one worker with a file, if there is one on this machine.
struct Nginx {
    child: Child,
    at: String,
    _folder: tempfile::TempDir,
}

impl Nginx {
    fn start(length: usize) -> Option<Self> {
        let program = ["/usr/sbin/nginx", "/usr/bin/nginx"];
        let program = program.into_iter().find(|path| Path::new(path).exists())?;
        let folder = tempfile::tempdir().expect("a folder");
        let port = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("bound");
        let path = folder.path().display();
        fs::write(folder.path().join("file"), vec![b'x'; length]).expect("writable");
        let config = format!(
            "daemon off; worker_processes 1; pid {path}/pid; error_log {path}/error;\n\
             events {{ worker_connections 256; }}\n\
             http {{ access_log off; keepalive_requests 100000000; sendfile on; tcp_nopush on;\n\
             open_file_cache max=10; server {{ listen {port}; root {path}; }} }}\n"
        );
        let conf = folder.path().join("conf");
        fs::write(&conf, config).expect("writable");
        let mut command = Command::new(program);
        command.arg("-c").arg(conf).arg("-p").arg(folder.path()).stderr(Stdio::null());
        let child = start(&mut command);
        until(|| TcpStream::connect(port).is_ok());
        Some(Self { child, at: port.to_string(), _folder: folder })
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let pid = i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw);
        if let Some(pid) = pid {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let _ = self.child.wait();
    }
}
