//! `gaffer stats`: what processes use, as the node measures it, or as many nodes do.

use std::time::Duration;

use serde_json::{json, Value};

use super::args::Invocation;
use super::failure::Failure;
use super::gather::{Gathering, Next, Teller};
use super::hearing;
use super::names;
use super::outcome::Outcome;
use super::sites::{Sites, Wanted};
use super::terminal::{size, Cell, Paint, Terminal};
use crate::base::sorted::SortedMap;
use crate::client::{Error, Server};

/// Longest line of the feed: ten thousand processes fit.
const LINE: usize = 16 * 1024 * 1024;

/// What is watched of several nodes within this time is shown at once.
const TOGETHER: Duration = Duration::from_millis(300);

/// What a node tells: its jobs as far as they are meant, and at last that it failed.
type Told = Result<Vec<Value>, Failure>;

/// `gaffer stats`.
pub fn stats(invocation: &mut Invocation, terminal: &mut Terminal) -> Result<(), Failure> {
    let wanted = match names::means_everything(invocation) {
        true => Wanted::All,
        false => Wanted::WithJobs(&invocation.words),
    };
    let sites = Sites::of(invocation, terminal, wanted)?;
    let (wish, watches) = (invocation.clone(), invocation.has("watch"));
    let mut gathering = Gathering::begin(&sites, move |mut server, teller| {
        if let Err(failure) = tell(&mut server, &wish, teller) {
            teller.tell(Err(failure));
        }
    })?;
    let mut outcome = Outcome::default();
    let mut parts: SortedMap<usize, Vec<Value>> = SortedMap::new();
    let mut due = None;
    loop {
        match gathering.next(due)? {
            Next::Told(site, Ok(jobs)) => {
                parts.insert(site, jobs);
                if watches {
                    let together = if sites.len() > 1 { TOGETHER } else { Duration::ZERO };
                    due = due.or(Some(hearing::now() + together));
                }
            }
            Next::Told(site, Err(failure)) => {
                parts.remove(&site);
                outcome.fail((&sites, site), failure, terminal)?;
            }
            Next::Over if watches => return outcome.end_quietly(&sites, terminal),
            Next::Over => {
                if !parts.is_empty() {
                    show(&parts, &sites, terminal)?;
                }
                return outcome.end_quietly(&sites, terminal);
            }
            Next::Time if terminal.has_frames() => {
                due = None;
                terminal.draw(|terminal| show(&parts, &sites, terminal))?;
            }
            Next::Time => {
                due = None;
                show(&parts, &sites, terminal)?;
                if !terminal.is_json() {
                    terminal.line("")?;
                }
            }
        }
    }
}

/// Tells what processes of a node use, once or for as long as it goes on.
fn tell(
    server: &mut Server,
    invocation: &Invocation,
    teller: &mut Teller<Told>,
) -> Result<(), Failure> {
    let meant = if names::means_everything(invocation) {
        None
    } else {
        Some(names::jobs(server, invocation, &invocation.words)?)
    };
    let is_meant = |job: &Value| {
        meant.as_ref().is_none_or(|names| names.iter().any(|name| job["name"] == name.as_str()))
    };
    let fitting = |jobs: Vec<Value>| jobs.into_iter().filter(is_meant).collect::<Vec<_>>();
    if !invocation.has("watch") {
        teller.tell(Ok(fitting(server.stats()?)));
        return Ok(());
    }
    let mut feed = server.follow("/stats?feed=continuous&interval=1")?;
    let mut ahead: Vec<u8> = Vec::new();
    while let Some(bytes) = feed.read()? {
        ahead.extend_from_slice(&bytes);
        while let Some(end) = ahead.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = ahead.drain(..=end).collect();
            let told: Value = serde_json::from_slice(&line)
                .map_err(|error| Failure::from(Error::Strange(error.to_string())))?;
            let jobs = told["jobs"].as_array().cloned().unwrap_or_default();
            if !teller.tell(Ok(fitting(jobs))) {
                return Ok(());
            }
        }
        if ahead.len() > LINE {
            return Err(Error::Strange("a line without an end".into()).into());
        }
    }
    Ok(())
}

fn show(
    parts: &SortedMap<usize, Vec<Value>>,
    sites: &Sites,
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    if terminal.is_json() {
        let mut all: Vec<Value> = Vec::new();
        for (site, jobs) in parts {
            for mut job in jobs.iter().cloned() {
                if let (Some(label), Some(members)) = (sites.label(*site), job.as_object_mut()) {
                    members.insert("node".into(), json!(label));
                }
                all.push(job);
            }
        }
        return terminal.json(&all);
    }
    let heads =
        ["JOB", "PID", "OS-PID", "CPU%", "MEM%", "RSS", "VMS", "TIME", "THREADS", "FDS", "PROCS"];
    let head = |text: &str| Cell { text: text.to_owned(), paint: Paint::Dim };
    let first = sites.are_named().then(|| head("NODE"));
    let mut lines = vec![first.into_iter().chain(heads.map(head)).collect::<Vec<Cell>>()];
    for (site, jobs) in parts {
        for job in jobs {
            let name = job["name"].as_str().unwrap_or_default();
            let node = || sites.label(*site).map(Cell::from).into_iter();
            let processes = job["stats"].as_array().into_iter().flatten();
            lines.extend(processes.map(|one| node().chain(row(name, one)).collect()));
        }
    }
    let names = 1 + usize::from(sites.are_named());
    let right: Vec<usize> = (names..names + heads.len() - 1).collect();
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
