//! One job looked at closely, and the node itself.

use serde_json::{json, Map, Value};

use super::args::Invocation;
use super::connect;
use super::deaths;
use super::failure::Failure;
use super::names::{self, Target};
use super::rows;
use super::terminal::{size, span, Paint, Terminal};
use super::times;
use crate::base::sorted::SortedMap;
use crate::client::{LogsWish, Server};
use crate::VERSION;

/// `gaffer ping`.
pub fn ping(invocation: &mut Invocation, terminal: &mut Terminal) -> Result<(), Failure> {
    let mut server = connect::server(invocation)?;
    server.ping()?;
    if terminal.is_json() {
        return terminal.json(&json!({"node": server.address().to_string(), "ok": true}));
    }
    terminal.line("OK")
}

/// `gaffer version`.
pub fn version(invocation: &mut Invocation, terminal: &mut Terminal) -> Result<(), Failure> {
    let mut server = connect::server(invocation)?;
    // Ours is known whether a node answers or not.
    if !terminal.is_json() {
        terminal.line(&format!("gaffer {VERSION}"))?;
    }
    let node = server.version()?;
    let address = server.address().to_string();
    if terminal.is_json() {
        return terminal.json(&json!({"gaffer": VERSION, "gafferd": node, "node": address}));
    }
    terminal.line(&format!("gafferd {node} at {address}"))
}

/// `gaffer ps:info`.
pub fn info(invocation: &mut Invocation, terminal: &mut Terminal) -> Result<(), Failure> {
    let word = vec![invocation.only("a job or a process")?.to_owned()];
    let mut server = connect::server(invocation)?;
    for target in names::targets(&mut server, invocation, &word)? {
        let info = match target {
            Target::Job(name) => server.job(&name).info()?,
            Target::Process(pid) => {
                let info = server.process(pid).info();
                info.map_err(|error| names::no_process(pid, error))?
            }
        };
        if terminal.is_json() {
            terminal.json(&info)?;
            continue;
        }
        for (key, value) in info.as_object().into_iter().flatten() {
            let shown = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            terminal.line(&format!("{key}: {shown}"))?;
        }
    }
    Ok(())
}

/// The only job, or instance of one, that the only word means.
fn one(server: &mut Server, invocation: &Invocation) -> Result<(String, Option<u32>), Failure> {
    let word = vec![invocation.only("the job")?.to_owned()];
    let mut found = names::places(server, invocation, &word)?;
    match (found.pop(), found.is_empty()) {
        (Some(place), true) => Ok((place.job, place.instance)),
        _ => Err(Failure::usage("this means more than one job")),
    }
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

/// `gaffer status`.
pub fn status(invocation: &mut Invocation, terminal: &mut Terminal) -> Result<(), Failure> {
    let mut server = connect::server(invocation)?;
    let (name, instance) = one(&mut server, invocation)?;
    let mut seen = Seen::of(&mut server, &name)?;
    seen.keep_only(instance);
    if terminal.is_json() {
        let trees = seen.trees.iter().map(|(pid, tree)| (pid.to_string(), tree.clone()));
        let trees: Map<String, Value> = trees.collect();
        terminal.json(&json!({
            "job": seen.info, "deaths": seen.deaths, "output": seen.output, "trees": trees,
        }))?;
    } else {
        seen.show(terminal, &name)?;
    }
    let info = &seen.info;
    let well = text(info, "desired") != "up" || text(info, "state") == "running";
    if well {
        Ok(())
    } else {
        Err(Failure::NotRunning)
    }
}

/// So many of the last lines of a job's output are shown.
const OUTPUT: usize = 10;
/// So many of its last deaths are.
const DEATHS: usize = 3;

/// A job with what there is to see of it.
struct Seen {
    info: Value,
    deaths: Vec<Value>,
    /// Its last lines.
    output: Vec<Value>,
    /// The processes of each of its processes, by its number.
    trees: SortedMap<u64, Value>,
}

impl Seen {
    fn of(server: &mut Server, name: &str) -> Result<Self, Failure> {
        let info = server.job(name).info()?;
        let deaths = server.job(name).deaths()?;
        let wish = LogsWish { tail: Some(OUTPUT), ..LogsWish::default() };
        let output = server.job(name).logs(&wish)?.lines;
        let mut trees = SortedMap::new();
        for pid in info["processes"].as_array().into_iter().flatten().filter_map(Value::as_u64) {
            // One that ended meanwhile has none.
            if let Ok(tree) = server.process(pid).tree() {
                trees.insert(pid, Value::Array(tree));
            }
        }
        Ok(Self { info, deaths, output, trees })
    }

    /// Leaves out what is not of this instance.
    fn keep_only(&mut self, instance: Option<u32>) {
        let Some(number) = instance else { return };
        let is_it = |value: &Value| value["instance"] == number;
        if let Some(instances) = self.info["instances"].as_array_mut() {
            instances.retain(is_it);
        }
        self.deaths.retain(is_it);
        self.output.retain(is_it);
    }

    fn show(&self, terminal: &mut Terminal, name: &str) -> Result<(), Failure> {
        let info = &self.info;
        let state = text(info, "state");
        let dot = terminal.painted("*", Paint::of_state(state));
        let cmd = text(&info["config"], "cmd");
        terminal.line(&format!("{dot} {} - {cmd}", terminal.painted(name, Paint::Bold)))?;
        let reason = match text(info, "reason") {
            "" => String::new(),
            reason => format!(" ({reason})"),
        };
        let since = match (info["started_at"].as_f64(), info["uptime"].as_f64()) {
            (Some(at), Some(up)) => format!(", since {}, {} ago", times::full(at), span(up)),
            _ => String::new(),
        };
        let painted = terminal.painted(state, Paint::of_state(state));
        terminal.line(&format!("   state: {painted}{reason}{since}"))?;
        let number = |key: &str| info[key].as_u64().unwrap_or(0);
        terminal.line(&format!(
            "  wanted: {}, {} of {} running, {} restart{}",
            text(info, "desired"),
            number("running"),
            number("max_processes"),
            number("restarts"),
            if number("restarts") == 1 { "" } else { "s" }
        ))?;
        let origin = match (text(info, "origin"), text(info, "source")) {
            ("file", "") => "a configuration file",
            ("file", source) => source,
            _ => "the API",
        };
        terminal.line(&format!("  loaded: from {origin}"))?;
        for instance in info["instances"].as_array().into_iter().flatten() {
            self.show_instance(terminal, instance)?;
        }
        for death in self.deaths.iter().take(DEATHS) {
            show_death(terminal, death)?;
        }
        if !self.output.is_empty() {
            terminal.line("  output:")?;
        }
        for line in &self.output {
            let (time, text) =
                (times::of_day(line["ts"].as_f64().unwrap_or(0.0)), text(line, "line"));
            let told = format!("{time} .{} | {}", line["instance"], plain(text));
            terminal.line(&format!("          {told}"))?;
        }
        Ok(())
    }

    fn show_instance(&self, terminal: &mut Terminal, instance: &Value) -> Result<(), Failure> {
        let pid = match instance["os_pid"].as_u64() {
            Some(os_pid) => format!("process {}, os pid {os_pid}", instance["pid"]),
            None => "no process".into(),
        };
        let note = match rows::note(instance, times::now()) {
            note if note.is_empty() => note,
            note => format!(": {note}"),
        };
        let up = instance["uptime"].as_f64().map(|up| format!(", up {}", span(up)));
        let state = text(instance, "state");
        let painted = terminal.painted(state, Paint::of_state(state));
        terminal.line(&format!(
            "      #{}: {painted}, {pid}{}{note}",
            instance["instance"],
            up.unwrap_or_default()
        ))?;
        let tree = instance["pid"].as_u64().and_then(|pid| self.trees.get(&pid));
        let branches = tree.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let mut depths: SortedMap<u64, usize> = SortedMap::new();
        for branch in branches {
            let depth = branch["parent"].as_u64().and_then(|parent| depths.get(&parent));
            let depth = depth.map_or(0, |depth| depth + 1);
            let os_pid = branch["os_pid"].as_u64().unwrap_or(0);
            depths.insert(os_pid, depth);
            let dead = if text(branch, "state") == "Z" { " (dead, not reaped)" } else { "" };
            terminal.line(&format!(
                "          {}{os_pid} {} {}{dead}",
                "  ".repeat(depth),
                plain(text(branch, "name")),
                size(branch["rss"].as_u64().unwrap_or(0))
            ))?;
        }
        Ok(())
    }
}

fn show_death(terminal: &mut Terminal, death: &Value) -> Result<(), Failure> {
    let at = death["ended_at"].as_f64().map(|at| format!("{} ", times::full(at)));
    let (number, cause, used) = (&death["instance"], cause_of(death), deaths::used(death));
    terminal.line(&format!("   death: {}#{number}: {cause}{used}", at.unwrap_or_default()))?;
    for line in death["last_lines"].as_array().into_iter().flatten() {
        let line = plain(line.as_str().unwrap_or_default());
        terminal.line(&format!("          | {line}"))?;
    }
    Ok(())
}

/// Why a run ended, and after how long. A node of before does not say that in one.
fn cause_of(death: &Value) -> &str {
    let cause = [text(death, "summary"), text(death, "reason"), text(death, "cause")];
    cause.into_iter().find(|cause| !cause.is_empty()).unwrap_or("ended")
}

/// What a process wrote, without what would command the terminal.
pub(super) fn plain(text: &str) -> String {
    let mut plain = String::new();
    for c in text.chars() {
        match c {
            '\t' => plain.push(' '),
            c if c.is_control() => {}
            c => plain.push(c),
        }
    }
    plain
}

/// `gaffer why`.
pub fn why(invocation: &mut Invocation, terminal: &mut Terminal) -> Result<(), Failure> {
    let mut server = connect::server(invocation)?;
    let (name, _) = one(&mut server, invocation)?;
    let info = server.job(&name).info()?;
    let deaths = server.job(&name).deaths()?;
    let sentences = reasons(&name, &info, &deaths);
    if terminal.is_json() {
        return terminal.json(&json!({"name": name, "why": sentences}));
    }
    terminal.line(&sentences.join(" "))
}

/// The chain of causes, in sentences.
fn reasons(name: &str, info: &Value, deaths: &[Value]) -> Vec<String> {
    let state = text(info, "state");
    let mut said = vec![match (text(info, "desired"), text(info, "reason")) {
        ("up", "") => format!("{name} is {state}, as it is wanted."),
        ("up", reason) => format!("{name} is wanted up and is {state}: {reason}."),
        (wanted, "") => format!("{name} is {state}, because it is wanted {wanted}."),
        (wanted, reason) => format!("{name} is {state} and wanted {wanted}: {reason}."),
    }];
    if let Some(last) = deaths.first() {
        said.push(format!("Its last run: {}.", cause_of(last)));
        let words = last["last_lines"].as_array().and_then(|lines| lines.last());
        if let Some(words) = words.and_then(Value::as_str).filter(|words| !words.is_empty()) {
            said.push(format!("Its last words were: {words:?}."));
        }
        let count = info["deaths"].as_u64().unwrap_or(0);
        if count > 1 {
            said.push(format!("It has ended {count} times since it was loaded."));
        }
    }
    for instance in info["instances"].as_array().into_iter().flatten() {
        let number = &instance["instance"];
        for (stream, why) in instance["unlogged"].as_object().into_iter().flatten() {
            let why = why.as_str().unwrap_or_default();
            said.push(format!(
                "What instance {number} writes to {stream} is not kept on disk: {why}."
            ));
        }
    }
    match state {
        "backoff" => {
            if let Some(at) = info["retry_at"].as_f64() {
                let left = span((at - times::now()).max(0.0));
                said.push(format!("It is tried again in {left}."));
            }
        }
        "failed" => said.push(format!("It is not tried again; `gaffer start-job {name}` does.")),
        "stopped" if text(info, "desired") != "up" => {
            said.push(format!("`gaffer start-job {name}` starts it."));
        }
        _ => {}
    }
    said
}
