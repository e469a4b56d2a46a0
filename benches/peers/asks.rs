//! Questions for the state of one job, by the plainest client there is: one that waits for each answer, and sixteen at
//! once, on connections that are kept where the other side keeps them. The one has its supervisor with it on one
//! processor.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Command, Stdio};

use super::crowd::At;
use super::peer::{Asked, Running};
use super::report::{Report, What, FLOOR};
use super::{tree, Sizes};
use crate::bench::nginx::Nginx;
use crate::bench::together::Together;
use crate::bench::{median, now, rest, start};

const CROWD: usize = 16;

pub(crate) fn asked((peer, prefix): At, sizes: &Sizes, report: &mut Report) {
    let mut running = Running::place(peer, prefix, false);
    let jobs = running.jobs(1, &["--beat"]);
    let name = peer.name();
    let figures = match peer.asked(&running.place) {
        None => {
            report.note(What::OneAsks, name, "cannot be asked");
            return report.note(What::CrowdAsks, name, "cannot be asked");
        }
        Some(Asked::Http(at, request)) => {
            running.start(&jobs).expect("it runs");
            let mut client = Client::new(&at);
            until_answered(&mut client, &request);
            if name == "gafferd" {
                report.answer = client.ask(&request).expect("an answer");
            }
            http(&at, &request, sizes.questions)
        }
        Some(Asked::Script(mut command)) => {
            running.start(&jobs).expect("it runs");
            rest(1_000);
            report.note(
                What::OneAsks,
                name,
                "by its own library, which the kernel puts where it likes",
            );
            let out = command.stderr(Stdio::inherit()).output().expect("it runs");
            let text = String::from_utf8_lossy(&out.stdout).into_owned();
            let mut figures = text.split_whitespace().map(|word| word.parse().expect("a figure"));
            (figures.next().expect("a figure"), figures.next().expect("a figure"))
        }
        Some(Asked::Program(mut command)) => {
            running.start(&jobs).expect("it runs");
            rest(1_000);
            report.note(What::OneAsks, name, "a program for each question");
            programs(&mut command, sizes.questions / 4)
        }
    };
    report.add(What::OneAsks, name, figures.0);
    report.add(What::CrowdAsks, name, figures.1);
}

fn until_answered(client: &mut Client, request: &[u8]) {
    let begun = now();
    while client.ask(request).is_none() {
        assert!(begun.elapsed().as_secs() < 30, "no answer");
        client.stream = None;
        rest(50);
    }
}

/// Microseconds for one who waits, and requests a second of all.
fn http(at: &str, request: &[u8], count: usize) -> (f64, f64) {
    let mut clients: Vec<Client> = (0..CROWD).map(|_| Client::new(at)).collect();
    let together = Together::with(tree::supervisors());
    let times = (0..count).map(|_| {
        let begun = now();
        clients[0].ask(request).expect("an answer");
        begun.elapsed().as_secs_f64() * 1e6
    });
    let one = median(times.collect());
    drop(together);
    let begun = now();
    for _ in 0..count / CROWD {
        for client in &mut clients {
            client.send(request).expect("sent");
        }
        for client in &mut clients {
            client.answer().expect("an answer");
        }
    }
    (one, (count / CROWD * CROWD) as f64 / begun.elapsed().as_secs_f64())
}

fn programs(command: &mut Command, count: usize) -> (f64, f64) {
    command.stdout(Stdio::null());
    let together = Together::with(tree::supervisors());
    let times = (0..count).map(|_| {
        let begun = now();
        let code = start(command).wait().expect("ours");
        assert!(code.success(), "an answer");
        begun.elapsed().as_secs_f64() * 1e6
    });
    let one = median(times.collect());
    drop(together);
    let begun = now();
    for _ in 0..count / CROWD {
        let all: Vec<_> = (0..CROWD).map(|_| start(command)).collect();
        for mut child in all {
            child.wait().expect("ours");
        }
    }
    (one, (count / CROWD * CROWD) as f64 / begun.elapsed().as_secs_f64())
}

/// A connection, for as long as the other side keeps it.
struct Client {
    at: String,
    stream: Option<TcpStream>,
}

impl Client {
    fn new(at: &str) -> Self {
        Self { at: at.to_owned(), stream: None }
    }

    /// How long the body of the answer was.
    fn ask(&mut self, request: &[u8]) -> Option<usize> {
        self.send(request)?;
        self.answer()
    }

    fn send(&mut self, request: &[u8]) -> Option<()> {
        if self.stream.is_none() {
            let stream = TcpStream::connect(&self.at).ok()?;
            stream.set_nodelay(true).ok()?;
            self.stream = Some(stream);
        }
        self.stream.as_mut()?.write_all(request).ok()
    }

    fn answer(&mut self) -> Option<usize> {
        let stream = self.stream.as_mut()?;
        let (mut have, mut piece) = (Vec::new(), [0; 16_384]);
        let mut head = None;
        loop {
            let count = stream.read(&mut piece).ok()?;
            have.extend_from_slice(&piece[..count]);
            head = head.or_else(|| Head::of(&have));
            let whole = head.as_ref().is_some_and(|head| {
                head.length.map_or(count == 0, |length| have.len() >= head.size + length)
            });
            if whole {
                break;
            }
            if count == 0 {
                return None;
            }
        }
        let head = head?;
        if head.closes || head.length.is_none() {
            self.stream = None;
        }
        head.well.then_some(have.len() - head.size)
    }
}

/// What the head of an answer says.
struct Head {
    size: usize,
    length: Option<usize>,
    closes: bool,
    well: bool,
}

impl Head {
    fn of(answer: &[u8]) -> Option<Self> {
        let size = answer.windows(4).position(|end| end == b"\r\n\r\n")? + 4;
        let text = String::from_utf8_lossy(&answer[..size]).to_ascii_lowercase();
        let field = |name: &str| {
            let line = text.lines().find(|line| line.starts_with(name))?;
            Some(line.split_once(':')?.1.trim().to_owned())
        };
        let length = field("content-length:").and_then(|length| length.parse().ok());
        let closes = field("connection:").is_some_and(|word| word == "close");
        let well = text.split(' ').nth(1) == Some("200");
        Some(Self { size, length, closes, well })
    }
}

/// An nginx of one worker with a file as long as gafferd's answer, if there is one on this machine.
pub(crate) fn floor(sizes: &Sizes, report: &mut Report) {
    let Some(Nginx { mut command, at, _folder }) = Nginx::of(report.answer) else {
        return eprintln!("peers: no nginx, so that there is no floor for questions");
    };
    tree::begin(&mut command);
    let request = format!("GET /file HTTP/1.1\r\nHost: {at}\r\n\r\n");
    until_answered(&mut Client::new(&at), request.as_bytes());
    let (one, crowd) = http(&at, request.as_bytes(), sizes.questions);
    report.add(What::OneAsks, FLOOR, one);
    report.add(What::CrowdAsks, FLOOR, crowd);
}
