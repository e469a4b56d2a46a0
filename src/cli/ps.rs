//! `gaffer ps`: one line for each instance, with a note that says why, and what comes next; of one node, or of
//! many.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{json, Map, Value};
use signal_hook::consts::SIGWINCH;

use super::args::Invocation;
use super::connect;
use super::failure::Failure;
use super::gather::{Gathering, Next, Teller};
use super::hearing;
use super::names::{self, Place};
use super::outcome::Outcome;
use super::rows::{self, Column, Measured, Row};
use super::sites::{self, Sites, Wanted};
use super::terminal::{Cell, Paint, Terminal};
use super::times;
use crate::base::sorted::SortedMap;
use crate::client::Server;

/// How often what is watched is looked at again.
const SECOND: Duration = Duration::from_secs(1);
/// What comes within this time after a picture is in the next one, all together.
const TOGETHER: Duration = Duration::from_millis(100);
/// Nodes that answer within this time after the first one are shown with it.
const SOON: Duration = Duration::from_millis(500);

/// `gaffer apps`.
pub fn apps(invocation: &mut Invocation, terminal: &mut Terminal) -> Result<(), Failure> {
    let sessions = connect::server(invocation)?.sessions()?;
    if terminal.is_json() {
        return terminal.json(&json!({"apps": sessions}));
    }
    sessions.iter().try_for_each(|session| terminal.line(session))
}

/// `gaffer ps`.
pub fn ps(invocation: &mut Invocation, terminal: &mut Terminal) -> Result<(), Failure> {
    let form = match (invocation.value("output"), terminal.is_json()) {
        (None, false) => Form::Short,
        (None, true) | (Some("json"), _) => Form::Json,
        (Some("wide"), _) => Form::Wide,
        (Some("tsv"), _) => Form::Tsv,
        (Some("name"), _) => Form::Name,
        (Some(form), _) => {
            return Err(Failure::usage(format!(
                "--output: expected wide, json, tsv or name, found {form:?}"
            )));
        }
    };
    let column = Column::of_flag(invocation)?;
    let sites = Sites::of(invocation, terminal, Wanted::WithJobsOrAll(&invocation.words))?;
    let picture = Picture { sites, form, column, parts: Vec::new() };
    if invocation.has("watch") {
        watch(picture, invocation, terminal)
    } else {
        once(picture, invocation, terminal)
    }
}

/// How it is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Short,
    Wide,
    Json,
    Tsv,
    Name,
}

/// What is shown.
struct Picture {
    sites: Sites,
    form: Form,
    column: Option<Column>,
    /// What each node said last, if it has said anything.
    parts: Vec<Option<Result<Vec<Row>, Failure>>>,
}

/// Shows it once. Of many nodes those that answer soon are shown together, and what the others say below
/// that when it comes; JSON is of all.
fn once(
    mut picture: Picture,
    invocation: &Invocation,
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    let (mut outcome, mut well) = (Outcome::default(), true);
    let mut any = !picture.sites.are_named();
    let wish = invocation.clone();
    let mut gathering = Gathering::begin(&picture.sites, move |mut server, teller| {
        teller.tell(rows_of(&mut server, &wish));
    })?;
    picture.forget();
    let mut waits = picture.sites.len();
    let mut due = None;
    while waits > 0 {
        match gathering.next(due)? {
            Next::Told(site, Err(failure)) => {
                waits -= 1;
                outcome.fail((&picture.sites, site), failure, terminal)?;
            }
            Next::Told(site, Ok(rows)) => {
                waits -= 1;
                well &= rows.iter().all(|row| row.well);
                any |= !rows.is_empty();
                picture.take(site, Ok(rows));
                if picture.form != Form::Json {
                    due = due.or(Some(hearing::now() + SOON));
                }
            }
            Next::Time if picture.is_empty() => due = None,
            Next::Time => {
                picture.show(terminal)?;
                picture.forget();
                due = None;
            }
            Next::Over => break,
        }
    }
    let of_application = invocation.words.is_empty() && !names::means_everything(invocation);
    if of_application && !any && !outcome.has_any_failed() {
        let app = names::application(invocation);
        return Err(Failure::failed(format!("'{app}' not loaded: no job of it is on any node")));
    }
    if !picture.is_empty() || picture.form == Form::Json {
        picture.show(terminal)?;
    }
    outcome.end_quietly(&picture.sites, terminal)?;
    match well {
        true => Ok(()),
        false => Err(Failure::NotRunning),
    }
}

/// Shows it again and again: on a terminal in its place, every second and soon after each event; else
/// below, after events.
fn watch(
    mut picture: Picture,
    invocation: &Invocation,
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    let in_place = terminal.has_frames() && picture.form != Form::Json;
    if in_place {
        // A window of another size ends the wait, and that is all there is to do.
        signal_hook::flag::register(SIGWINCH, Arc::default())?;
    }
    let (wish, across) = (invocation.clone(), picture.sites.are_named());
    let mut gathering = Gathering::begin(&picture.sites, move |mut server, teller| {
        let beat = in_place.then_some(SECOND);
        let mut said = String::new();
        while let Err(failure) = look_again(&mut server, (&wish, across), teller, beat) {
            let why = failure.message().unwrap_or_default().to_owned();
            let is_new = std::mem::replace(&mut said, why) != said;
            if is_new && !teller.tell(Err(failure)) || !across {
                return;
            }
            #[expect(clippy::disallowed_methods, reason = "a node that is gone may come back")]
            std::thread::sleep(SECOND);
        }
    })?;
    picture.forget();
    let mut drawn = None;
    let mut due = None;
    loop {
        match gathering.next(due)? {
            Next::Told(site, rows) => {
                let rows = match rows {
                    Err(failure) if !across && !matches!(failure, Failure::Failed(_)) => {
                        return Err(failure);
                    }
                    Err(failure) if !across && drawn.is_none() => return Err(failure),
                    rows => rows,
                };
                picture.take(site, rows);
                // Much that comes at once is shown at once; at first, all that come soon.
                let soon = match (picture.lacks(), drawn) {
                    (true, None) => hearing::now() + SOON,
                    (false, None) => hearing::now(),
                    (_, Some(drawn)) => drawn + TOGETHER,
                };
                due = Some(due.map_or(soon, |due: Instant| due.min(soon)));
            }
            Next::Over => return Ok(()),
            Next::Time => {
                if drawn.is_some() && !in_place && picture.form != Form::Json {
                    terminal.line("")?;
                }
                if in_place {
                    terminal.draw(|terminal| picture.show_with_failures(terminal))?;
                } else {
                    picture.show_with_failures(terminal)?;
                }
                drawn = Some(hearing::now());
                // Without news it is drawn again for a window of another size alone.
                due = in_place.then_some(hearing::now() + SECOND);
            }
        }
    }
}

/// Looks at a node after each of its events, and every so often.
fn look_again(
    server: &mut Server,
    (invocation, across): (&Invocation, bool),
    teller: &mut Teller<Result<Vec<Row>, Failure>>,
    beat: Option<Duration>,
) -> Result<(), Failure> {
    let mut channel = server.channel()?;
    channel.subscribe("EVENTS", &Map::new())?;
    let mut first = true;
    loop {
        let looked = hearing::now();
        let rows = match rows_of(server, invocation) {
            // What cannot be shown now may be there again later: the application is loaded anew.
            Err(failure) if first || across || !matches!(failure, Failure::Failed(_)) => {
                return Err(failure);
            }
            rows => rows,
        };
        first = false;
        if !teller.tell(rows) {
            return Ok(());
        }
        let mut due = beat.map(|beat| looked + beat);
        loop {
            match hearing::hear_until(&mut channel, due)? {
                hearing::Next::Heard(_) => {
                    // Many events that come at once are shown at once.
                    let soon = looked + TOGETHER;
                    due = Some(due.map_or(soon, |due| due.min(soon)));
                }
                hearing::Next::Ended => {
                    let address = server.address();
                    return Err(Failure::NoNode(format!("the node at {address} has ended")));
                }
                hearing::Next::Time if due.is_some_and(|due| due <= hearing::now()) => break,
                hearing::Next::Time => {}
            }
        }
    }
}

impl Picture {
    fn forget(&mut self) {
        self.parts = self.sites.all().iter().map(|_| None).collect();
    }

    fn take(&mut self, site: usize, rows: Result<Vec<Row>, Failure>) {
        let label = self.sites.label(site).map(str::to_owned);
        let named = |mut row: Row| {
            row.node.clone_from(&label);
            row
        };
        let rows = rows.map(|rows| rows.into_iter().map(named).collect());
        if let Some(part) = self.parts.get_mut(site) {
            *part = Some(rows);
        }
    }

    fn is_empty(&self) -> bool {
        self.parts.iter().all(Option::is_none)
    }

    /// Whether a node has said nothing yet.
    fn lacks(&self) -> bool {
        self.parts.iter().any(Option::is_none)
    }

    /// Shows what the nodes said, and why others say nothing.
    fn show_with_failures(&self, terminal: &mut Terminal) -> Result<(), Failure> {
        if !self.sites.are_named() {
            if let Some(Some(Err(failure))) = self.parts.first() {
                let why = failure.message().unwrap_or_default();
                if terminal.has_frames() && self.form != Form::Json {
                    return terminal.line(why);
                }
                terminal.remark(why);
                return Ok(());
            }
            return self.show(terminal);
        }
        self.show(terminal)?;
        for (site, part) in self.parts.iter().enumerate() {
            let Some(Err(failure)) = part else { continue };
            let why = failure.message().unwrap_or_default();
            let line = format!("{}{why}", self.sites.in_front(site));
            if terminal.has_frames() && self.form != Form::Json {
                let line = terminal.painted(&line, Paint::Bad);
                terminal.line(&line)?;
            } else {
                terminal.remark(&line);
            }
        }
        Ok(())
    }

    /// Shows what the nodes said.
    fn show(&self, terminal: &mut Terminal) -> Result<(), Failure> {
        let parts = self.parts.iter().flatten().flatten();
        let mut rows: Vec<Row> = parts.flatten().cloned().collect();
        rows::sort(&mut rows, self.column, |row| row);
        match self.form {
            Form::Json => terminal.json(&rows.iter().map(Row::json).collect::<Vec<_>>())?,
            Form::Name => rows.iter().try_for_each(|row| match &row.node {
                Some(node) => terminal.line(&format!("{node}\t{}", row.target())),
                None => terminal.line(&row.target()),
            })?,
            Form::Tsv => rows.iter().try_for_each(|row| terminal.line(&row.tsv()))?,
            Form::Wide | Form::Short => {
                let wide = self.form == Form::Wide;
                table(&rows, (self.sites.are_named(), wide), terminal)?;
                if terminal.is_terminal() {
                    let line = terminal.painted(&summary(&rows), Paint::Dim);
                    terminal.line(&line)?;
                }
            }
        }
        Ok(())
    }
}

/// What a node has to show.
fn rows_of(server: &mut Server, invocation: &Invocation) -> Result<Vec<Row>, Failure> {
    let places = meant(server, invocation)?;
    let stats = server.stats()?;
    let by_name = |stat: &Value| Some((stat["name"].as_str()?.to_owned(), measured_of(stat)));
    let stats: SortedMap<String, SortedMap<u64, Measured>> =
        stats.iter().filter_map(by_name).collect();
    let now = times::now();
    let mut rows = Vec::new();
    for Place { job: name, instance } in places {
        // One that went away since the list was made is not shown.
        let info = match server.job(&name).info() {
            Err(error) if error.is_not_found() => continue,
            info => info?,
        };
        let of_job = stats.get(&name);
        let measured = |pid: u64| of_job.and_then(|all| all.get(&pid)).copied().unwrap_or_default();
        let of_job = rows::of_job(&name, &info, measured, now).into_iter();
        let is_meant = |row: &Row| {
            instance.is_none_or(|number| row.number == Some(u64::from(number)) && !row.once)
        };
        rows.extend(of_job.filter(is_meant));
    }
    Ok(rows)
}

/// What was measured of a job's processes, by their numbers.
fn measured_of(stat: &Value) -> SortedMap<u64, Measured> {
    let all = stat["stats"].as_array().into_iter().flatten();
    all.filter_map(|one| Some((one["pid"].as_u64()?, Measured::of(one)))).collect()
}

/// How many instances there are in each state, for people: on a pipe every line is of one instance.
fn summary(rows: &[Row]) -> String {
    let states =
        ["running", "starting", "waiting", "stopping", "backoff", "failed", "exited", "stopped"];
    let count = |state: &'static str| (state, rows.iter().filter(|row| row.state == state).count());
    let counts = states.into_iter().map(count).filter(|(_, count)| *count > 0);
    let counts: Vec<String> = counts.map(|(state, count)| format!("{count} {state}")).collect();
    let all = if rows.len() == 1 { "1 instance" } else { &format!("{} instances", rows.len()) };
    format!("{all}: {}", counts.join(", "))
}

/// The jobs that are shown. Without an application or a Procfile here that is a node's overview: all of
/// it, or what a pattern fits in any application.
pub(super) fn meant(server: &mut Server, invocation: &Invocation) -> Result<Vec<Place>, Failure> {
    let procfile = names::procfile(invocation);
    if invocation.has("app") || procfile.exists() {
        if sites::is_across(invocation) && invocation.words.is_empty() {
            // Of many nodes not each has to have it.
            return Ok(names::of_application(&names::application(invocation), &server.jobs()?));
        }
        return names::places(server, invocation, &invocation.words);
    }
    if invocation.has("procfile") || invocation.has("root") {
        return Err(Failure::failed(format!("procfile not found: {}", procfile.display())));
    }
    if invocation.words.is_empty() {
        let all = server.jobs()?.into_iter();
        return Ok(all.map(|job| Place { job, instance: None }).collect());
    }
    let of_any = |word: &String| {
        let pattern = word.contains(['*', '?']) && !word.contains(['.', '/']);
        if pattern {
            format!("*.{word}")
        } else {
            word.clone()
        }
    };
    let words: Vec<String> = invocation.words.iter().map(of_any).collect();
    names::places(server, invocation, &words)
}

fn table(
    rows: &[Row],
    (across, wide): (bool, bool),
    terminal: &mut Terminal,
) -> Result<(), Failure> {
    let mut heads = if across { vec!["NODE"] } else { Vec::new() };
    heads.extend(["APP", "JOB", "#", "STATE", "PID"]);
    if wide {
        heads.push("OS-PID");
    }
    heads.extend(["UP", "RESTARTS", "CPU%", "MEM", "NOTE"]);
    let head = |text: &&str| Cell { text: (*text).to_owned(), paint: Paint::Dim };
    let mut lines = vec![heads.iter().map(head).collect::<Vec<Cell>>()];
    lines.extend(rows.iter().map(|row| row.cells(wide)));
    let first = heads.iter().position(|head| *head == "PID").unwrap_or(0);
    let number = heads.iter().position(|head| *head == "#").unwrap_or(0);
    let right: Vec<usize> = [number].into_iter().chain(first..heads.len() - 1).collect();
    if wide {
        return terminal.table(&lines, &right);
    }
    // NOTE says why, and is worth more than what is measured.
    let spare = ["MEM", "CPU%", "RESTARTS", "UP"];
    let spare = spare.iter().filter_map(|name| heads.iter().position(|head| head == name));
    terminal.fitted_table(&lines, &right, &spare.collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_counts_instances_by_their_states() {
        let info = json!({"desired": "up", "instances": [
            {"instance": 1, "state": "backoff"}, {"instance": 2, "state": "running"},
            {"instance": 3, "state": "running"},
        ]});
        let mut rows = rows::of_job("a.b", &info, |_| Measured::default(), 0.0);
        assert_eq!(summary(&rows), "3 instances: 2 running, 1 backoff");
        rows.truncate(1);
        assert_eq!(summary(&rows), "1 instance: 1 backoff");
    }
}
