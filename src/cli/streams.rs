//! What processes write, and what is written to them.

use std::io::{self, BufRead as _, IsTerminal as _, Read as _, Write as _};
use std::sync::mpsc;

use serde_json::Value;

use super::args::Invocation;
use super::failure::Failure;
use super::names::{self, Target};
use super::terminal::Terminal;
use super::{connect, hearing};
use crate::client::{Error, Server};

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
        [] if invocation.has("close") => Vec::new(),
        [] => return Err(Failure::usage("there is nothing to send")),
        [dash] if dash == "-" => {
            let mut all = Vec::new();
            io::stdin().lock().read_to_end(&mut all)?;
            all
        }
        words => (words.join(" ") + "\n").into_bytes(),
    };
    let mut server = connect::server(invocation)?;
    let told = |error: Error| names::no_process(pid, error);
    if !bytes.is_empty() {
        server.process(pid).write(&stream, &bytes).map_err(told)?;
    }
    if invocation.has("close") {
        server.process(pid).close(&stream).map_err(told)?;
    }
    Ok(())
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
    while let Some(bytes) = hearing::read(&mut body)? {
        terminal.bytes(&bytes)?;
    }
    Ok(())
}

fn first_label(server: &mut Server, pid: u64) -> Result<String, Failure> {
    let info = server.process(pid).info().map_err(|error| names::no_process(pid, error))?;
    let label = info["redirect_output"].as_array().and_then(|labels| labels.first());
    let label = label.and_then(Value::as_str).map(str::to_owned);
    label.ok_or_else(|| unpublished(pid))
}

fn unpublished(pid: u64) -> Failure {
    Failure::failed(format!(
        "can't read on '{pid}': its job has no redirect_output; `gaffer logs` shows what is kept"
    ))
}

/// `gaffer attach`: all that the process has written and writes, and what is typed to its stdin. The end
/// of what is typed is its end of input; that of a file or a pipe is not, since it may be for one command.
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
    let info = server.process(pid).info().map_err(|error| names::no_process(pid, error))?;
    let labels = info["redirect_output"].as_array().into_iter().flatten();
    let labels: Vec<&str> = labels.filter_map(Value::as_str).collect();
    if labels.is_empty() {
        return Err(unpublished(pid));
    }
    let (written, output) = mpsc::channel();
    for label in labels {
        let mut body = server.process(pid).read(label, Some(0))?;
        let written = written.clone();
        beside(move || loop {
            let piece = body.read();
            let over = !matches!(piece, Ok(Some(_)));
            if written.send(piece).is_err() || over {
                return;
            }
        });
    }
    drop(written);
    if info["redirect_input"] == true {
        let (server, typed) = (server.another(), io::stdin().is_terminal());
        beside(move || type_into(server, pid, typed));
    } else {
        terminal.remark("nothing can be typed: its job has no redirect_input");
    }
    for piece in output {
        if let Some(bytes) = piece? {
            terminal.bytes(&bytes)?;
        }
    }
    Ok(())
}

/// Sends each line of our stdin to that of a process.
fn type_into(mut server: Server, pid: u64, typed: bool) {
    let mut stdin = io::stdin().lock();
    let mut line = Vec::new();
    while stdin.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
        if let Err(error) = server.process(pid).write("stdin", &line) {
            // The process may have ended, which its output tells.
            let _ = writeln!(io::stderr(), "gaffer: this was not taken any more: {error}");
            return;
        }
        line.clear();
    }
    if typed {
        // It may have ended by itself.
        let _ = server.process(pid).close("stdin");
    }
}

/// Does something while both ways are waited for.
fn beside(work: impl FnOnce() + Send + 'static) {
    #[expect(clippy::disallowed_methods, reason = "a command has no reactor")]
    std::thread::spawn(work);
}
