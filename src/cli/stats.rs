//! `gaffer stats`: what processes use, as the node measures it.

use serde_json::Value;

use super::args::Invocation;
use super::failure::Failure;
use super::names;
use super::terminal::{size, Cell, Paint, Terminal};
use super::{connect, hearing};
use crate::client::Error;

/// Longest line of the feed: ten thousand processes fit.
const LINE: usize = 16 * 1024 * 1024;

/// `gaffer stats`.
pub fn stats(invocation: &mut Invocation, terminal: &mut Terminal) -> Result<(), Failure> {
    let mut server = connect::server(invocation)?;
    let meant = if names::means_everything(invocation) {
        None
    } else {
        Some(names::jobs(&mut server, invocation, &invocation.words)?)
    };
    if !invocation.has("watch") {
        return show(&server.stats()?, meant.as_deref(), terminal);
    }
    let mut feed = server.follow("/stats?feed=continuous&interval=1")?;
    let mut ahead: Vec<u8> = Vec::new();
    while let Some(bytes) = hearing::read(&mut feed)? {
        ahead.extend_from_slice(&bytes);
        while let Some(end) = ahead.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = ahead.drain(..=end).collect();
            let told: Value = serde_json::from_slice(&line)
                .map_err(|error| Failure::from(Error::Strange(error.to_string())))?;
            let jobs = told["jobs"].as_array().cloned().unwrap_or_default();
            if terminal.has_frames() {
                terminal.draw(|terminal| show(&jobs, meant.as_deref(), terminal))?;
                continue;
            }
            show(&jobs, meant.as_deref(), terminal)?;
            if !terminal.is_json() {
                terminal.line("")?;
            }
        }
        if ahead.len() > LINE {
            return Err(Error::Strange("a line without an end".into()).into());
        }
    }
    Ok(())
}

fn show(jobs: &[Value], meant: Option<&[String]>, terminal: &mut Terminal) -> Result<(), Failure> {
    let is_meant = |job: &&Value| {
        meant.is_none_or(|names| names.iter().any(|name| job["name"] == name.as_str()))
    };
    let jobs: Vec<&Value> = jobs.iter().filter(is_meant).collect();
    if terminal.is_json() {
        return terminal.json(&jobs);
    }
    let heads =
        ["JOB", "PID", "OS-PID", "CPU%", "MEM%", "RSS", "VMS", "TIME", "THREADS", "FDS", "PROCS"];
    let head = |text: &&str| Cell { text: (*text).to_owned(), paint: Paint::Dim };
    let mut lines = vec![heads.iter().map(head).collect::<Vec<Cell>>()];
    for job in jobs {
        let processes = job["stats"].as_array().into_iter().flatten();
        lines.extend(processes.map(|one| row(job["name"].as_str().unwrap_or_default(), one)));
    }
    let right: Vec<usize> = (1..heads.len()).collect();
    terminal.table(&lines, &right)
}

/// A process, as it could be measured.
fn row(job: &str, one: &Value) -> Vec<Cell> {
    let number = |key: &str| one[key].as_u64().map_or("-".into(), |number| number.to_string());
    let tenths = |key: &str| one[key].as_f64().map_or("-".into(), |number| format!("{number:.1}"));
    let bytes = |key: &str| one[key].as_u64().map_or("-".into(), size);
    let time = one["ctime"].as_str().filter(|time| *time != "N/A").unwrap_or("-");
    [
        job.to_owned(),
        number("pid"),
        number("os_pid"),
        tenths("cpu"),
        tenths("mem"),
        bytes("rss"),
        bytes("vms"),
        time.to_owned(),
        number("threads"),
        number("fds"),
        number("processes"),
    ]
    .map(Cell::from)
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_could_not_be_measured_is_a_dash() {
        let none = json!({"pid": 7, "os_pid": 21, "cpu": "N/A", "mem": "N/A", "ctime": "N/A"});
        let text: Vec<String> = row("a.b", &none).into_iter().map(|cell| cell.text).collect();
        assert_eq!(text.join(" "), "a.b 7 21 - - - - - - - -");
        let all = json!({"pid": 7, "os_pid": 21, "cpu": 1.25, "mem": 3.0, "ctime": "0:01.08",
            "rss": 2048, "vms": 4096, "threads": 3, "fds": 9, "processes": 1});
        let text: Vec<String> = row("a.b", &all).into_iter().map(|cell| cell.text).collect();
        assert_eq!(text.join(" "), "a.b 7 21 1.2 3.0 2K 4K 0:01.08 3 9 1");
    }
}
