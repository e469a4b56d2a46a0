//! What it costs to keep what fifty processes say, each a line a hundred times a second. The limits are loops that
//! read fifty pipes and write to fifty files: one that does so whenever there is something, as loops do, and one that
//! looks twenty times a second. All take turns in one and the same run. Every line is counted.
//!
//! The number is that of seconds.

use std::fs::{self, File};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use mio::unix::pipe::Receiver;
use mio::{Events, Interest, Poll, Token};
use serde_json::json;

use super::bench::gafferd::Gafferd;
use super::bench::kernel::processor;
use super::bench::run::Run;
use super::bench::{end, now, rest, role, start, this, until};

const LINE: usize = 80;
const RATE: usize = 100;

pub(crate) fn run(run: &Run) {
    let (children, lines) = (run.either(50, 2), run.count(20, 0).max(1) * RATE / run.either(1, 20));
    let at_once = bare(children, lines, 0);
    let gafferd = of_gafferd(run, children, lines);
    let now_and_then = bare(children, lines, 50);
    run.say(&format!(
        "{} lines of {children} processes: {gafferd:.2} s of processor, the limit {at_once:.2} where each is read at once, \
         {now_and_then:.2} where they are read twenty times a second",
        children * lines
    ));
}

/// The processes: they wait for a word, write, say that they have, and wait for the end of this.
struct Noise {
    listener: UnixListener,
    folder: tempfile::TempDir,
    streams: Vec<UnixStream>,
}

impl Noise {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let listener = UnixListener::bind(folder.path().join("s")).expect("a socket");
        Self { listener, folder, streams: Vec::new() }
    }

    fn path(&self) -> String {
        self.folder.path().join("s").display().to_string()
    }

    /// Lets them all write, and gives what processor time this one took meanwhile. Then all their lines are in files
    /// below the folder.
    fn measure(&mut self, (children, lines): (usize, usize), pid: u32, folder: &Path) -> f64 {
        let accept = |_| self.listener.accept().expect("it comes").0;
        self.streams = (0..children).map(accept).collect();
        let before = processor(pid);
        for stream in &mut self.streams {
            stream.write_all(b"g").expect("it waits");
        }
        for stream in &mut self.streams {
            stream.read_exact(&mut [0]).expect("it has written all");
        }
        let wanted = children * lines * LINE;
        until(|| files(folder).iter().map(|path| size(path)).sum::<usize>() >= wanted);
        let took = processor(pid) - before;
        let newlines = |path: &PathBuf| {
            let text = fs::read(path).expect("there");
            text.iter().filter(|byte| **byte == b'\n').count()
        };
        let counts: Vec<usize> = files(folder).iter().map(newlines).collect();
        assert_eq!(counts, vec![lines; children], "each line is there once");
        took
    }
}

fn size(path: &Path) -> usize {
    fs::metadata(path).map_or(0, |of| usize::try_from(of.len()).expect("a size"))
}

/// The files below a folder with lines.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.expect("one").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_none_or(|ext| ext != "index") {
            found.push(path);
        }
    }
    found
}

fn of_gafferd(run: &Run, children: usize, lines: usize) -> f64 {
    let mut noise = Noise::new();
    let gafferd = Gafferd::start("");
    for number in 0..children {
        let words = ["--noisy".to_owned(), noise.path(), lines.to_string()];
        let job =
            json!({"name": format!("j{number}"), "cmd": this(), "args": words, "restart": "never"});
        gafferd.load(job);
    }
    // What follows the start is over.
    rest(run.either(1_000, 0));
    let folder = gafferd.folder.path().join("state/logs/b");
    noise.measure((children, lines), gafferd.child.id(), &folder)
}

fn bare(children: usize, lines: usize, rest: usize) -> f64 {
    let mut noise = Noise::new();
    let folder = noise.folder.path().join("files");
    fs::create_dir(&folder).expect("a folder");
    let [children_word, lines_word, rest] =
        [children, lines, rest].map(|number| number.to_string());
    let words =
        [folder.to_str().expect("UTF-8"), &rest, &children_word, &lines_word, &noise.path()];
    let mut collector = start(&mut role("--collect", &words));
    let took = noise.measure((children, lines), collector.id(), &folder);
    end(&mut collector);
    took
}

/// The process: once it is told to, it writes so many lines, a hundred a second.
pub(crate) fn noisy(words: &[String]) {
    let mut stream = UnixStream::connect(&words[0]).expect("somebody waits");
    let lines: u32 = words[1].parse().expect("a number of lines");
    // Where it is not told to, nobody is there any more.
    if stream.read_exact(&mut [0]).is_err() {
        return;
    }
    let (begun, mut out) = (now(), std::io::stdout().lock());
    for number in 0..lines {
        let due = Duration::from_secs(1) * number / 100;
        if let Some(left) = due.checked_sub(begun.elapsed()) {
            rest(u64::try_from(left.as_millis()).expect("not long") + 1);
        }
        let line = format!("{number:012} {}\n", "x".repeat(LINE - 14));
        out.write_all(line.as_bytes()).expect("somebody reads");
    }
    // Its end is not measured, and comes with that of who measures.
    let _ = stream.write_all(b"d").and_then(|()| stream.read(&mut [0]));
}

/// The limit: reads so many of these, and writes each to a file of its own.
pub(crate) fn collect(words: &[String]) {
    let [folder, rested, children, lines, path] = words else { panic!("five words") };
    let number = |word: &String| word.parse().expect("a number");
    let (mut poll, mut events) = (Poll::new().expect("a poll"), Events::with_capacity(64));
    let begin = |number: u64| {
        let mut child = start(role("--noisy", &[path, lines]).stdout(Stdio::piped()));
        let mut pipe = Receiver::from(child.stdout.take().expect("a pipe"));
        pipe.set_nonblocking(true).expect("a pipe");
        let token = Token(usize::try_from(number).expect("few"));
        poll.registry().register(&mut pipe, token, Interest::READABLE).expect("a poll");
        let file = File::create(Path::new(folder).join(number.to_string())).expect("writable");
        (child, pipe, file)
    };
    let mut all: Vec<(Child, Receiver, File)> = (0..number(children)).map(begin).collect();
    let mut buffer = [0; 65_536];
    let mut move_on = |(_, pipe, file): &mut (Child, Receiver, File)| loop {
        match pipe.read(&mut buffer) {
            Ok(0) => return,
            Ok(count) => file.write_all(&buffer[..count]).expect("writable"),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return,
            Err(error) => panic!("{error}"),
        }
    };
    loop {
        match number(rested) {
            0 => {
                poll.poll(&mut events, None).expect("events");
                events.iter().for_each(|event| move_on(&mut all[event.token().0]));
            }
            pause => {
                rest(pause);
                all.iter_mut().for_each(&mut move_on);
            }
        }
    }
}
