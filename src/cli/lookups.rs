//! `gaffer lookup` and its family: what lookupds know, merged. One that does not answer is told, and is a
//! failure only if none does.

use std::io;
use std::os::fd::AsFd as _;

use serde_json::{json, Map, Value};

use super::args::Invocation;
use super::connect;
use super::failure::Failure;
use super::hearing::now;
use super::names::{self, Missing};
use super::sites::{located, told};
use super::terminal::{Paint, Terminal};
use super::times;
use super::user_config::UserConfig;
use crate::base::sorted::SortedSet;
use crate::client::{Change, Follow, LocatedJob, LocatedSession, Lookup, Node, Source};
use crate::sys::fds::{wait_for_input, Woken};

fn lookup(invocation: &Invocation) -> Result<Lookup, Failure> {
    connect::lookup(invocation, UserConfig::of_user(&connect::variable)?.as_ref())
}

/// `gaffer lookup:nodes`.
pub fn nodes(invocation: &mut Invocation, terminal: &mut Terminal) -> Result<(), Failure> {
    let nodes = told(lookup(invocation)?.nodes()?, terminal);
    if terminal.is_json() {
        let nodes: Vec<Value> = nodes.iter().map(of_node).collect();
        return terminal.json(&json!({"nodes": nodes}));
    }
    terminal.line(&format!("{} node(s) found", nodes.len()))?;
    if !nodes.is_empty() {
        terminal.line("")?;
    }
    nodes.iter().try_for_each(|Node { name, origin, version, .. }| {
        terminal.line(&format!("{origin} - {name} (protocol: {version})"))
    })
}

/// `gaffer lookup:jobs`.
pub fn jobs(invocation: &mut Invocation, terminal: &mut Terminal) -> Result<(), Failure> {
    let jobs = told(lookup(invocation)?.jobs()?, terminal);
    show_jobs(&jobs, terminal)
}

/// `gaffer lookup:session`.
pub fn session(invocation: &mut Invocation, terminal: &mut Terminal) -> Result<(), Failure> {
    let name = invocation.only("the session")?;
    let jobs = told(lookup(invocation)?.session(name)?, terminal);
    show_jobs(&jobs, terminal)
}

/// `gaffer lookup:sessions`.
pub fn sessions(invocation: &mut Invocation, terminal: &mut Terminal) -> Result<(), Failure> {
    let node = invocation.words.first().map(String::as_str);
    let sessions = told(lookup(invocation)?.sessions(node)?, terminal);
    if terminal.is_json() {
        let all: Vec<Value> = sessions.iter().map(of_session).collect();
        return terminal.json(&json!({"nb_sessions": all.len(), "sessions": all}));
    }
    terminal.line(&format!("{} session(s) found", sessions.len()))?;
    for LocatedSession { name, jobs } in &sessions {
        terminal.line("")?;
        terminal.line(&format!("*** session: {name}"))?;
        for job in jobs {
            terminal.line("")?;
            terminal.line(&format!("=== job: {}", job.name))?;
            show_sources(job, terminal)?;
        }
    }
    Ok(())
}

/// `gaffer lookup:job`: one, or all that fit a pattern.
pub fn job(invocation: &mut Invocation, terminal: &mut Terminal) -> Result<(), Failure> {
    let word = invocation.only("the job")?.to_owned();
    let lookup = lookup(invocation)?;
    // Asked first, so that one that does not answer is told once, and waited for once.
    let answer = lookup.nodes()?;
    let lookup = lookup.without(&answer.silent);
    told(answer, terminal);
    let app = names::application(invocation);
    let words = [word];
    let all = located(&lookup, &app, &words)?;
    let names: Vec<String> = all.iter().map(|job| job.name.clone()).collect();
    let meant = names::among(&names, &app, &words, Missing::Fails);
    let meant: SortedSet<String> = meant.iter().flatten().map(|place| place.job.clone()).collect();
    let jobs: Vec<&LocatedJob> = all.iter().filter(|job| meant.contains(&job.name)).collect();
    let sources: Vec<&Source> = jobs.iter().flat_map(|job| &job.sources).collect();
    if terminal.is_json() {
        match jobs.as_slice() {
            [] | [_] => {
                let sources: Vec<Value> = sources.iter().map(|one| of_source(one)).collect();
                terminal.json(&json!({"sources": sources}))?;
            }
            jobs => terminal.json(&of_jobs(jobs))?,
        }
    } else {
        for job in &jobs {
            if jobs.len() > 1 {
                terminal.line(&format!("*** job: {}", job.name))?;
            }
            for Source { node, pids } in &job.sources {
                let pids: Vec<String> = pids.iter().map(u64::to_string).collect();
                terminal.line(&format!("=== {} (Protocol: {})", node.name, node.version))?;
                terminal.line(&format!("Origin: {}", node.origin))?;
                terminal.line(format!("Pids: {}", pids.join(",")).trim_end())?;
            }
        }
    }
    match sources.is_empty() {
        true => Err(Failure::failed(format!("no job found: no node has '{}'", words[0]))),
        false => Ok(()),
    }
}

fn show_jobs(jobs: &[LocatedJob], terminal: &mut Terminal) -> Result<(), Failure> {
    if terminal.is_json() {
        return terminal.json(&of_jobs(&jobs.iter().collect::<Vec<_>>()));
    }
    terminal.line(&format!("{} job(s) found", jobs.len()))?;
    for job in jobs {
        terminal.line("")?;
        terminal.line(&format!("=== {}", job.name))?;
        show_sources(job, terminal)?;
    }
    Ok(())
}

fn show_sources(job: &LocatedJob, terminal: &mut Terminal) -> Result<(), Failure> {
    job.sources.iter().try_for_each(|source| {
        let Node { name, origin, version, .. } = &source.node;
        terminal.line(&format!("{origin} - name: {name}, protocol: {version}"))
    })
}

fn of_jobs(jobs: &[&LocatedJob]) -> Value {
    let job = |job: &&LocatedJob| {
        let sources: Vec<Value> = job.sources.iter().map(of_source).collect();
        json!({"name": job.name, "sources": sources})
    };
    json!({"nb_jobs": jobs.len(), "jobs": jobs.iter().map(job).collect::<Vec<_>>()})
}

fn of_session(session: &LocatedSession) -> Value {
    let mut jobs = Map::new();
    for job in &session.jobs {
        let sources = job.sources.iter().map(of_source).collect();
        jobs.insert(job.name.clone(), Value::Array(sources));
    }
    json!({"sessionid": session.name, "jobs": jobs})
}

fn of_source(source: &Source) -> Value {
    let info = of_node(&source.node);
    json!({"name": source.node.name, "pids": source.pids, "node_info": info})
}

fn of_node(node: &Node) -> Value {
    let Node { name, origin, version, last_seen } = node;
    let mut value = json!({"name": name, "origin": origin, "version": version});
    if let (Some(seen), Some(members)) = (last_seen, value.as_object_mut()) {
        members.insert("last_seen".into(), json!(seen));
    }
    value
}

/// `gaffer lookup`: goes on while any lookupd may come back, if any has ever answered.
pub fn follow(invocation: &mut Invocation, terminal: &mut Terminal) -> Result<(), Failure> {
    let lookup = lookup(invocation)?;
    let mut topology = lookup.follow()?;
    let mut missing = lookup.endpoints().len();
    let (mut any, mut lost) = (false, SortedSet::new());
    loop {
        let change = next(&mut topology)?;
        match &change {
            Change::Lost(silent) => {
                let first = !any && lost.insert(silent.address.to_string());
                missing -= usize::from(first);
                lost.insert(silent.address.to_string());
                terminal.remark(&silent.to_string());
                if !any && missing == 0 {
                    return Err(Failure::NoNode("no lookupd answers".into()));
                }
            }
            Change::Whole(address) => {
                any = true;
                // That it answers is worth a word only where that was in doubt.
                if lost.remove(&address.to_string()) {
                    terminal.remark(&format!("the lookupd at {address} answers again"));
                }
            }
            Change::AddNode(_)
            | Change::RemoveNode(_)
            | Change::AddJob(..)
            | Change::RemoveJob(..)
            | Change::AddProcess(..)
            | Change::RemoveProcess(..) => {}
        }
        let (event, line, value) = shown(&change);
        if terminal.is_json() {
            let mut value = value;
            if let Some(members) = value.as_object_mut() {
                members.insert("ts".into(), json!(times::now()));
                members.insert("event".into(), json!(event));
            }
            terminal.json(&value)?;
        } else if !line.is_empty() {
            let stamp = terminal.painted(&times::of_day(times::now()), Paint::Dim);
            terminal.line(&format!("{stamp} {event} | {line}"))?;
        }
    }
}

/// The next change, for as long as somebody reads what is printed.
fn next(topology: &mut Follow) -> Result<Change, Failure> {
    let stdout = io::stdout();
    loop {
        if let Some(change) = topology.look()? {
            return Ok(change);
        }
        let left = topology.deadline().map(|at| at.saturating_duration_since(now()));
        match wait_for_input(topology.as_fd(), stdout.as_fd(), left) {
            Woken::Input | Woken::Time => {}
            Woken::Unread => return Err(Failure::Gone),
        }
    }
}

/// A change: its word, a line for people, and its members for programs.
fn shown(change: &Change) -> (&'static str, String, Value) {
    let of_job = |node: &Node, job: &str| json!({"node": of_node(node), "job_name": job});
    let of_process = |node: &Node, job: &str, pid: &u64| json!({"node": of_node(node), "job_name": job, "pid": pid});
    let name_at = |node: &Node| format!("{}: {}", node.name, node.origin);
    match change {
        Change::AddNode(node) => ("add_node", name_at(node), of_node(node)),
        Change::RemoveNode(node) => ("remove_node", name_at(node), of_node(node)),
        Change::AddJob(node, job) => {
            ("add_job", format!("load {job} in {}", node.origin), of_job(node, job))
        }
        Change::RemoveJob(node, job) => {
            ("remove_job", format!("unload {job} in {}", node.origin), of_job(node, job))
        }
        Change::AddProcess(node, job, pid) => {
            let line = format!("{job}: process id {pid} spawned on {}", node.origin);
            ("add_process", line, of_process(node, job, pid))
        }
        Change::RemoveProcess(node, job, pid) => {
            let line = format!("{job}: process {pid} exited on {}", node.origin);
            ("remove_process", line, of_process(node, job, pid))
        }
        Change::Whole(address) => ("whole", String::new(), json!({"lookupd": address.to_string()})),
        Change::Lost(silent) => {
            let (lookupd, reason) = (silent.address.to_string(), silent.to_string());
            ("lost", String::new(), json!({"lookupd": lookupd, "reason": reason}))
        }
    }
}
