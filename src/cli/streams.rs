//! What processes write, and what is written to them.

use std::io::{self, BufRead as _, Read as _};

use serde_json::{json, Map, Value};

use super::args::Invocation;
use super::connect;
use super::failure::Failure;
use super::names::{self, Target};
use super::terminal::{Paint, Terminal};
use crate::client::{Heard, Server};

/// The colours of jobs, in turn.
const COLORS: [Paint; 4] = [Paint::Busy, Paint::Warn, Paint::Good, Paint::Bold];

/// One stream of one process.
struct Stream {
    pid: u64,
    label: String,
    /// What stands before its lines.
    prefix: String,
    paint: Paint,
    /// The beginning of a line.
    open: Vec<u8>,
}

/// The streams of all processes of these jobs.
fn streams(server: &mut Server, jobs: &[String], only_err: bool) -> Result<Vec<Stream>, Failure> {
    let mut found = Vec::new();
    for (index, name) in jobs.iter().enumerate() {
        let info = server.job(name).info()?;
        let labels: Vec<String> = match info["config"]["redirect_output"].as_array() {
            Some(labels) => labels.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            None => Vec::new(),
        };
        let (_, label_of_job) = name.split_once('.').unwrap_or(("", name));
        for instance in info["instances"].as_array().into_iter().flatten() {
            let Some(pid) = instance["pid"].as_u64() else { continue };
            for (number, label) in labels.iter().enumerate() {
                if only_err && number == 0 {
                    continue;
                }
                let prefix = format!("{label_of_job}.{}", instance["instance"]);
                let paint = COLORS[index % COLORS.len()];
                found.push(Stream { pid, label: label.clone(), prefix, paint, open: Vec::new() });
            }
        }
    }
    Ok(found)
}

/// `gaffer logs`.
pub fn logs(invocation: &mut Invocation, terminal: &mut Terminal) -> Result<(), Failure> {
    let most = invocation.number("lines")?.unwrap_or(100);
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let mut server = connect::server(invocation)?;
    let jobs = names::jobs(&mut server, invocation, &invocation.words)?;
    let mut streams = streams(&mut server, &jobs, invocation.has("err"))?;
    if streams.is_empty() {
        return Err(Failure::failed(
            "nothing is published: the jobs do not run, or have no redirect_output",
        ));
    }
    let width = streams.iter().map(|stream| stream.prefix.len()).max().unwrap_or(0);
    // Followed before the past is read, so that nothing falls between the two.
    let mut channel = None;
    if invocation.has("follow") {
        let mut opened = server.channel()?;
        for stream in &streams {
            opened.subscribe(&format!("STREAM:{}.{}", stream.pid, stream.label), &Map::new())?;
        }
        channel = Some(opened);
    }
    for stream in &mut streams {
        let kept = server.process(stream.pid).kept(&stream.label)?;
        let text = String::from_utf8_lossy(&kept).into_owned();
        let lines: Vec<&str> = text.lines().collect();
        for line in &lines[lines.len().saturating_sub(most)..] {
            show_line(terminal, stream, width, line)?;
        }
    }
    let Some(mut channel) = channel else { return Ok(()) };
    while let Some(heard) = channel.hear()? {
        match heard {
            Heard::Lagged { topic, lost } => {
                terminal.line(&format!("{topic}: {lost} parts lost"))?
            }
            Heard::Event { topic, data } => {
                let of = |stream: &&mut Stream| {
                    topic == format!("STREAM:{}.{}", stream.pid, stream.label)
                };
                let Some(stream) = streams.iter_mut().find(of) else { continue };
                stream.open.extend_from_slice(data["data"].as_str().unwrap_or_default().as_bytes());
                while let Some(end) = stream.open.iter().position(|byte| *byte == b'\n') {
                    let line: Vec<u8> = stream.open.drain(..=end).collect();
                    let line = String::from_utf8_lossy(&line).trim_end().to_owned();
                    show_line(terminal, stream, width, &line)?;
                }
            }
        }
    }
    Ok(())
}

fn show_line(
    terminal: &mut Terminal,
    stream: &Stream,
    width: usize,
    line: &str,
) -> Result<(), Failure> {
    if terminal.is_json() {
        return terminal.json(&json!({
            "process": stream.prefix, "pid": stream.pid, "stream": stream.label, "line": line,
        }));
    }
    let prefix = terminal.painted(&format!("{:width$} |", stream.prefix), stream.paint);
    terminal.line(&format!("{prefix} {line}"))
}

/// The number of a process, which may stand as `PID` or `PID.STREAM`.
fn process_of(word: &str) -> Result<(u64, Option<&str>), Failure> {
    let (pid, stream) = match word.split_once('.') {
        Some((pid, stream)) => (pid, Some(stream)),
        None => (word, None),
    };
    let pid = pid.parse();
    let pid = pid.map_err(|_| Failure::usage(format!("{word:?} is not a process's number")))?;
    Ok((pid, stream))
}

/// `gaffer send`.
pub fn send(invocation: &mut Invocation, _: &mut Terminal) -> Result<(), Failure> {
    let Some((first, data)) = invocation.words.split_first() else {
        return Err(Failure::usage("gaffer send PID DATA..."));
    };
    let (pid, stream) = process_of(first)?;
    let stream = invocation.value("stream").or(stream).unwrap_or("stdin").to_owned();
    let bytes = match data {
        [] => return Err(Failure::usage("there is nothing to send")),
        [dash] if dash == "-" => {
            let mut all = Vec::new();
            io::stdin().lock().read_to_end(&mut all)?;
            all
        }
        words => (words.join(" ") + "\n").into_bytes(),
    };
    let mut server = connect::server(invocation)?;
    Ok(server.process(pid).write(&stream, &bytes)?)
}

/// `gaffer recv`.
pub fn recv(invocation: &mut Invocation, terminal: &mut Terminal) -> Result<(), Failure> {
    let (pid, label) = match invocation.words.as_slice() {
        [pid] => process_of(pid)?,
        [pid, label] => (process_of(pid)?.0, Some(label.as_str())),
        _ => return Err(Failure::usage("gaffer recv PID [STREAM]")),
    };
    let label = label.map(str::to_owned);
    let mut server = connect::server(invocation)?;
    let label = match label {
        Some(label) => label,
        None => first_label(&mut server, pid)?,
    };
    let mut body = server.process(pid).read(&label, None)?;
    while let Some(bytes) = body.read()? {
        terminal.bytes(&bytes)?;
    }
    Ok(())
}

fn first_label(server: &mut Server, pid: u64) -> Result<String, Failure> {
    let info = server.process(pid).info()?;
    let label = info["redirect_output"].as_array().and_then(|labels| labels.first());
    let label = label.and_then(Value::as_str).map(str::to_owned);
    label.ok_or_else(|| Failure::failed(format!("can't read on '{pid}': it publishes no output")))
}

/// `gaffer attach`.
pub fn attach(invocation: &mut Invocation, terminal: &mut Terminal) -> Result<(), Failure> {
    let word = vec![invocation.only("a process or a job")?.to_owned()];
    let mut server = connect::server(invocation)?;
    let pid = match names::targets(&mut server, invocation, &word)?.as_slice() {
        [Target::Process(pid)] => *pid,
        [Target::Job(name)] => {
            let info = server.job(name).info()?;
            let first = info["processes"].as_array().and_then(|pids| pids.first());
            let first = first.and_then(Value::as_u64);
            first.ok_or_else(|| Failure::failed(format!("{name} has no process")))?
        }
        _ => return Err(Failure::usage("this means more than one process")),
    };
    let label = first_label(&mut server, pid)?;
    let mut body = server.process(pid).read(&label, Some(0))?;
    let address = server.address().clone();
    // The terminal is read beside, since both ways are waited for.
    let typed = move || {
        let mut server = Server::new(address);
        let mut stdin = io::stdin().lock();
        let mut line = Vec::new();
        while stdin.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
            if server.process(pid).write("stdin", &line).is_err() {
                return;
            }
            line.clear();
        }
        let _ = server.process(pid).close("stdin");
    };
    #[expect(clippy::disallowed_methods, reason = "a command has no reactor")]
    std::thread::spawn(typed);
    while let Some(bytes) = body.read()? {
        terminal.bytes(&bytes)?;
    }
    Ok(())
}
