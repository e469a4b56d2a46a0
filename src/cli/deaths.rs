//! `gaffer deaths`: how runs ended, one line for each, the newest last; of one node, or of many.

use serde_json::{json, Value};

use super::args::Invocation;
use super::failure::Failure;
use super::gather::{Gathering, Next};
use super::names::{self, Place};
use super::outcome::Outcome;
use super::ps;
use super::sites::{Sites, Wanted};
use super::status::plain;
use super::terminal::{size, span, Cell, Paint, Terminal};
use super::times;
use crate::base::limits;
use crate::client::Server;

/// How many are shown where nobody says.
const USUAL: usize = 20;

/// `gaffer deaths`.
pub fn deaths(invocation: &mut Invocation, terminal: &mut Terminal) -> Result<(), Failure> {
    let most = match invocation.number("number")? {
        None => USUAL,
        Some(most) => usize::try_from(most).unwrap_or(usize::MAX),
    };
    if !(1..=limits::DEATHS_TOLD).contains(&most) {
        let all = limits::DEATHS_TOLD;
        return Err(Failure::usage(format!("--number: expected a number from 1 to {all}")));
    }
    let sites = Sites::of(invocation, terminal, Wanted::WithJobsOrAll(&invocation.words))?;
    let wish = invocation.clone();
    let mut gathering = Gathering::begin(&sites, move |mut server, teller| {
        teller.tell(of_node(&mut server, &wish, most));
    })?;
    let mut outcome = Outcome::default();
    let mut all: Vec<(usize, Value)> = Vec::new();
    while let Next::Told(site, told) = gathering.next(None)? {
        match told {
            Ok(deaths) => all.extend(deaths.into_iter().map(|death| (site, death))),
            Err(failure) => outcome.fail((&sites, site), failure, terminal)?,
        }
    }
    sort(&mut all);
    let last = all.split_off(all.len().saturating_sub(most));
    show(&last, &sites, invocation.has("last-words"), terminal)?;
    outcome.end_quietly(&sites, terminal)
}

/// By the time; those of one time stay in the order in which their node told them.
fn sort(deaths: &mut [(usize, Value)]) {
    let at = |death: &Value| death["ended_at"].as_f64().unwrap_or(0.0);
    deaths.sort_by(|(_, a), (_, b)| at(a).total_cmp(&at(b)));
}

/// The last deaths of what is meant on a node, so many at most of each job.
fn of_node(
    server: &mut Server,
    invocation: &Invocation,
    most: usize,
) -> Result<Vec<Value>, Failure> {
    // Who may not list the jobs sees the deaths of those that he may read.
    if names::means_everything(invocation) {
        return Ok(server.deaths(None, most)?);
    }
    let mut all: Vec<Value> = Vec::new();
    for Place { job, instance } in ps::meant(server, invocation)? {
        let deaths = server.deaths(Some(&job), most)?.into_iter();
        all.extend(
            deaths.filter(|death| instance.is_none_or(|number| death["instance"] == number)),
        );
    }
    Ok(all)
}

fn show(
    deaths: &[(usize, Value)],
    sites: &Sites,
    with_words: bool,
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    if terminal.is_json() {
        let with_node = |(site, death): &(usize, Value)| {
            let mut death = death.clone();
            if let (Some(node), Some(members)) = (sites.label(*site), death.as_object_mut()) {
                members.insert("node".into(), json!(node));
            }
            death
        };
        return terminal.json(&deaths.iter().map(with_node).collect::<Vec<_>>());
    }
    if with_words {
        for (site, death) in deaths {
            tell(sites.label(*site), death, terminal)?;
        }
        return Ok(());
    }
    if deaths.is_empty() {
        return Ok(());
    }
    let node = sites.are_named().then_some("NODE");
    let heads = ["WHEN", "JOB", "OS-PID", "RAN", "CPU", "MAX-MEM", "WHY"];
    let head = |text: &str| Cell { text: text.into(), paint: Paint::Dim };
    let mut rows: Vec<Vec<Cell>> = vec![node.into_iter().chain(heads).map(head).collect()];
    for (site, death) in deaths {
        let node = sites.label(*site).map(|label| label.to_owned().into());
        rows.push(node.into_iter().chain(cells(death)).collect());
    }
    let first = usize::from(sites.are_named());
    let numbers: Vec<usize> = (first + 2..first + 6).collect();
    terminal.table(&rows, &numbers)
}

/// A death as cells of a table.
fn cells(death: &Value) -> [Cell; 7] {
    let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".into());
    let paint = if death["success"] == true || death["planned"] == true {
        Paint::Dim
    } else {
        Paint::of_state("failed")
    };
    [
        times::full(death["ended_at"].as_f64().unwrap_or(0.0)).into(),
        name(death).into(),
        or_none(death["os_pid"].as_u64().map(|pid| pid.to_string())).into(),
        or_none(death["ran"].as_f64().filter(|_| !death["os_pid"].is_null()).map(span)).into(),
        or_none(processor_time(death).map(|time| format!("{time:.2}s"))).into(),
        or_none(most_memory(death)).into(),
        Cell { text: text(death, "words").into(), paint },
    ]
}

/// A death with its last lines.
fn tell(node: Option<&str>, death: &Value, terminal: &mut Terminal) -> Result<(), Failure> {
    let node = node.map(|node| format!("{node} ")).unwrap_or_default();
    let at = times::full(death["ended_at"].as_f64().unwrap_or(0.0));
    let pid = death["os_pid"].as_u64().map(|pid| format!(" (os pid {pid})")).unwrap_or_default();
    let name = terminal.painted(&name(death), Paint::Bold);
    let (summary, used) = (text(death, "summary"), used(death));
    terminal.line(&format!("{node}{at} {name}{pid}: {summary}{used}"))?;
    for line in death["last_lines"].as_array().into_iter().flatten() {
        terminal.line(&format!("    | {}", plain(line.as_str().unwrap_or_default())))?;
    }
    Ok(())
}

/// What it had used, to stand behind why it ended; nothing if that is not known.
pub(super) fn used(death: &Value) -> String {
    match (processor_time(death), most_memory(death)) {
        (Some(time), Some(most)) => match most.strip_prefix('<') {
            Some(bound) => format!(", {time:.2}s CPU, less than {bound}"),
            None => format!(", {time:.2}s CPU, up to {most}"),
        },
        _ => String::new(),
    }
}

/// What it had of memory, with a mark where only a bound is known.
fn most_memory(death: &Value) -> Option<String> {
    let usage = &death["rusage"];
    let mark = if usage["max_rss_is_bound"] == true { "<" } else { "" };
    Some(format!("{mark}{}", size(usage["max_rss"].as_u64()?)))
}

/// In seconds.
fn processor_time(death: &Value) -> Option<f64> {
    Some(death["rusage"]["user"].as_f64()? + death["rusage"]["system"].as_f64()?)
}

/// Its instance; a one-off has a star.
fn name(death: &Value) -> String {
    let star = if death["once"] == true { "*" } else { "" };
    format!("{}.{}{star}", text(death, "name"), death["instance"])
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_death_has_its_line_and_what_is_not_known_a_dash() {
        let texts = |death: &Value| cells(death).map(|cell| cell.text)[1..].join(" ");
        let mut death = json!({"ended_at": 0.0, "name": "site.web", "instance": 2, "once": false,
            "os_pid": 4711, "ran": 72.5, "words": "exit 1", "planned": false, "success": false,
            "rusage": {"user": 1.25, "system": 0.5, "max_rss": 3_145_728}});
        assert_eq!(texts(&death), "site.web.2 4711 1m13s 1.75s 3M exit 1");
        assert_eq!(used(&death), ", 1.75s CPU, up to 3M");
        death["rusage"]["max_rss_is_bound"] = json!(true);
        assert_eq!(used(&death), ", 1.75s CPU, less than 3M");
        death["once"] = json!(true);
        death["os_pid"] = json!(null);
        death.as_object_mut().expect("one").remove("rusage");
        assert_eq!(texts(&death), "site.web.2* - - - - exit 1");
        assert_eq!(used(&death), "");
    }

    #[test]
    fn those_of_many_nodes_are_told_in_the_order_of_their_times() {
        let at = |site: usize, at: f64| (site, json!({"ended_at": at}));
        let mut all = vec![at(0, 3.0), at(0, 5.0), at(1, 1.0), at(1, 3.0)];
        sort(&mut all);
        assert_eq!(all, [at(1, 1.0), at(0, 3.0), at(1, 3.0), at(0, 5.0)]);
    }
}
