//! All of `top` but the terminal and the connections: what nodes say, keys and time come in, and what is to
//! be shown and to be said to them goes out. It reads no clock and waits for nothing.

use std::time::{Duration, Instant};

use serde_json::{json, Map, Value};

use super::dialog::{Act, Mode, Page, What};
use super::facts::{Facts, Scope, Shown};
use super::follow::{Follow, Place};
use super::pages;
use crate::base::clock::Now;
use crate::base::sorted::SortedMap;
use crate::cli::rows::{self, Column, Row};
use crate::cli::terminal::span;
use crate::client::{Error, Heard, Said};

/// How often statistics come, and whatever moves is looked at.
const BEAT: Duration = Duration::from_secs(1);
/// How long a node may say nothing while processes are measured,
const SILENCE: Duration = Duration::from_secs(10);
/// and while none is: it is to say something every 25 seconds all the same.
const LONG_SILENCE: Duration = Duration::from_secs(60);
/// How long after the connection was lost it is tried again, at first and at last.
const RETRY: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(5));
/// How long a message is shown.
const MESSAGE: Duration = Duration::from_secs(6);

/// How things are shown.
#[derive(Clone, Copy)]
pub struct Look {
    /// Whether the terminal takes more than ASCII.
    pub unicode: bool,
    /// Whether there are colours.
    pub color: bool,
    /// The time of the day of a second since 1970.
    pub time: fn(f64) -> String,
}

/// What the model wants of a node.
#[derive(Clone, Debug, PartialEq)]
pub enum Wish {
    /// Connect to it again.
    Connect,
    /// Follow a topic.
    Subscribe(String, Map<String, Value>),
    /// Follow it no more.
    Unsubscribe(String),
    /// Have the node do something, under this id.
    Command(String, &'static str, Vec<Value>),
    /// Let go of the connection: the node says nothing any more.
    HangUp,
    /// Draw all of the screen again.
    Repaint,
}

/// Whether the node is there.
#[derive(Clone, Debug, PartialEq)]
pub enum Link {
    /// It is.
    Up,
    /// It is not, since this second, for this reason.
    Down {
        /// In seconds since 1970.
        since: f64,
        /// Why, for people.
        why: String,
    },
}

/// What is in the lower part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pane {
    /// The output of the selected instance.
    Output,
    /// What happens.
    Events,
    /// Nothing.
    None,
}

/// Whether a message tells of something that went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bad {
    /// It does.
    Yes,
    /// It does not.
    No,
}

/// What a command was for.
pub(super) enum Purpose {
    Jobs,
    Info(String),
    Deaths(String),
    Act(Act),
}

/// A node, as far as it is known.
pub struct NodeView {
    /// What it is called, where there may be several.
    pub label: Option<String>,
    /// Where it is.
    pub address: String,
    /// Whether it is there.
    pub link: Link,
    /// What it said.
    pub facts: Facts,
    /// When it said something last.
    heard_at: Option<Instant>,
    retry_at: Option<Instant>,
    retry_after: Duration,
}

/// All of it.
pub struct Model {
    /// How things are shown.
    pub look: Look,
    /// The nodes.
    pub nodes: Vec<NodeView>,
    /// The node that a question, a menu or a page is about.
    pub about: usize,
    /// Columns and rows of the terminal.
    pub size: (u16, u16),
    /// The output that is followed.
    pub follow: Follow,
    /// What keys mean.
    pub mode: Mode,
    /// What is in the lower part.
    pub pane: Pane,
    /// Only rows with this in them are shown.
    pub filter: String,
    /// What rows are sorted by.
    pub sort: Option<Column>,
    /// Whether only what is wrong is shown of the output.
    pub only_err: bool,
    /// Whether long lines go on in the next one.
    pub wraps: bool,
    /// What is selected.
    pub selected: Option<Place>,
    /// Where that was in the table at last,
    pub index: usize,
    /// and the first row that is shown.
    pub first: usize,
    /// What came of the last act, and whether that is bad.
    pub message: Option<(String, Bad)>,
    message_until: Option<Instant>,
    purposes: SortedMap<String, (usize, Purpose)>,
    commands: u64,
    pub(super) wishes: Vec<(usize, Wish)>,
    beat_at: Option<Instant>,
    changed: Option<Changed>,
    pub(super) over: bool,
}

/// That something is different, and how soon that is to be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Changed {
    /// With whatever comes next.
    Soon,
    /// At once: somebody pressed a key.
    Now,
}

impl Model {
    /// Of nodes, each with what it is called and its address, none of which is connected yet.
    pub fn new(nodes: Vec<(Option<String>, String)>, scope: &Scope, look: Look) -> Self {
        let node = |(label, address): (Option<String>, String)| NodeView {
            label,
            address,
            link: Link::Down { since: 0.0, why: String::new() },
            facts: Facts::new(scope.clone()),
            heard_at: None,
            retry_at: None,
            retry_after: RETRY.0,
        };
        Self {
            look,
            nodes: nodes.into_iter().map(node).collect(),
            about: 0,
            size: (80, 24),
            follow: Follow::default(),
            mode: Mode::Table,
            pane: Pane::Output,
            filter: String::new(),
            sort: None,
            only_err: false,
            wraps: false,
            selected: None,
            index: 0,
            first: 0,
            message: None,
            message_until: None,
            purposes: SortedMap::new(),
            commands: 0,
            wishes: Vec::new(),
            beat_at: None,
            changed: Some(Changed::Now),
            over: false,
        }
    }

    /// The terminal has this size now.
    pub fn resize(&mut self, size: (u16, u16)) {
        self.size = size;
        self.change(Changed::Now);
    }

    /// Whether there are several nodes, so that each is named.
    pub fn is_of_many(&self) -> bool {
        self.nodes.iter().any(|node| node.label.is_some())
    }

    /// Whether a node is there.
    pub fn is_up(&self, node: usize) -> bool {
        self.nodes.get(node).is_some_and(|node| node.link == Link::Up)
    }

    /// A connection is tried for the first time.
    pub fn begins(&mut self, node: usize, now: Now) {
        if let Some(view) = self.nodes.get_mut(node) {
            view.link = Link::Down { since: now.epoch_seconds(), why: "not connected yet".into() };
            self.beat_at = self.beat_at.or(Some(now.mono + BEAT));
            self.wishes.push((node, Wish::Connect));
        }
    }

    /// The connection to a node is there.
    pub fn connected(&mut self, node: usize, now: Now) {
        let Some(view) = self.nodes.get_mut(node) else { return };
        view.link = Link::Up;
        (view.retry_at, view.retry_after) = (None, RETRY.0);
        view.heard_at = Some(now.mono);
        let since = view.facts.last_event;
        self.beat_at = self.beat_at.or(Some(now.mono + BEAT));
        let since = since.map(|since| Map::from_iter([("since".to_owned(), json!(since))]));
        let events = Wish::Subscribe("EVENTS".into(), since.unwrap_or_default());
        let interval = Map::from_iter([("interval".to_owned(), json!(BEAT.as_secs_f64()))]);
        let stats = Wish::Subscribe("STATS".into(), interval);
        self.wishes.extend([(node, events), (node, stats)]);
        self.order(node, "jobs", Vec::new(), Purpose::Jobs);
        self.change(Changed::Now);
    }

    /// The connection to a node is lost, or did not come about.
    pub fn lost(&mut self, node: usize, why: &str, now: Now) {
        let Some(view) = self.nodes.get_mut(node) else { return };
        view.retry_at = Some(now.mono + view.retry_after);
        view.retry_after = (view.retry_after * 2).min(RETRY.1);
        let silent = view.heard_at.map(|at| now.mono.saturating_duration_since(at));
        let since = match &view.link {
            Link::Up => now.epoch_seconds() - silent.unwrap_or_default().as_secs_f64(),
            Link::Down { since, .. } => *since,
        };
        view.link = Link::Down { since, why: why.to_owned() };
        view.heard_at = None;
        view.facts.lose();
        self.wishes.retain(|(of, wish)| *of != node || *wish == Wish::Repaint);
        self.purposes.retain(|_, (of, _)| *of != node);
        // Of many, how long a node is lost is shown.
        if !self.is_of_many() {
            self.beat_at = None;
        }
        self.follow.lose(node, now);
        self.change(Changed::Now);
    }

    /// A node is alive.
    pub fn alive(&mut self, node: usize, now: Now) {
        if let Some(view) = self.nodes.get_mut(node) {
            view.heard_at = Some(now.mono);
        }
    }

    /// A node said something.
    pub fn heard(&mut self, node: usize, said: Said, now: Now) {
        let Some(view) = self.nodes.get_mut(node) else { return };
        match said {
            Said::Heard(Heard::Event { topic, data }) if topic == "EVENTS" => {
                if view.facts.event(&data) {
                    self.change(Changed::Soon);
                }
            }
            Said::Heard(Heard::Event { topic, data }) if topic == "STATS" => {
                view.facts.stat(&data, now);
                self.change(Changed::Soon);
            }
            Said::Heard(Heard::Event { topic, data }) => {
                self.follow.heard((node, &topic), &data);
                self.change(Changed::Soon);
            }
            // What was lost may have been about any job.
            Said::Heard(Heard::Lagged { topic, .. }) if topic == "EVENTS" => {
                self.order(node, "jobs", Vec::new(), Purpose::Jobs);
            }
            Said::Heard(Heard::Lagged { topic, .. }) => self.follow.lost((node, &topic)),
            Said::Followed { result: Ok(()), .. } => {}
            Said::Followed { topic, result: Err(error) } if self.follow.has((node, &topic)) => {
                self.follow.refused((node, &topic), &error.to_string());
                self.change(Changed::Soon);
            }
            Said::Followed { topic, result: Err(error) } => {
                self.tell_of(node, &format!("{topic}: {error}"), Bad::Yes, now);
            }
            Said::Answer { id, result } => self.answered(&id, result, now),
        }
    }

    fn answered(&mut self, id: &str, result: Result<Value, Error>, now: Now) {
        let Some((node, purpose)) = self.purposes.remove(id) else { return };
        self.change(Changed::Soon);
        let is_about = self.about == node;
        let Some(view) = self.nodes.get_mut(node) else { return };
        match (purpose, result) {
            (Purpose::Jobs, Ok(value)) => {
                let names = value["jobs"].as_array().into_iter().flatten();
                let names = names.filter_map(Value::as_str).map(str::to_owned);
                view.facts.jobs(names.collect());
            }
            (Purpose::Info(name), Ok(mut value)) => {
                let info = value["info"].take();
                if let Mode::Page(Page { what: What::Info(of), lines, .. }) = &mut self.mode {
                    if *of == name && is_about {
                        *lines = pages::info(&info);
                    }
                }
                view.facts.info(&name, Some(info), now);
            }
            (Purpose::Info(name), Err(error)) => {
                view.facts.info(&name, None, now);
                if !error.is_not_found() {
                    self.tell_of(node, &format!("{name}: {error}"), Bad::Yes, now);
                }
            }
            (Purpose::Deaths(name), Ok(value)) => {
                if let Mode::Page(Page { what: What::Deaths(of), lines, .. }) = &mut self.mode {
                    if *of == name && is_about {
                        *lines = pages::deaths(&value["deaths"], self.look.time);
                    }
                }
            }
            (Purpose::Act(act), Ok(_)) => self.tell_of(node, &act.done(), Bad::No, now),
            (Purpose::Act(_) | Purpose::Jobs | Purpose::Deaths(_), Err(error)) => {
                self.tell_of(node, &error.to_string(), Bad::Yes, now);
            }
        }
    }

    /// Tells what came of something.
    pub(super) fn tell(&mut self, text: String, bad: Bad, now: Now) {
        self.message = Some((text, bad));
        self.message_until = Some(now.mono + MESSAGE);
        self.change(Changed::Now);
    }

    /// The same of a node.
    pub(super) fn tell_of(&mut self, node: usize, text: &str, bad: Bad, now: Now) {
        let text = format!("{}{text}", self.in_front(node));
        self.tell(text, bad, now);
    }

    /// What stands in front of what is said of a node, where there are several.
    pub fn in_front(&self, node: usize) -> String {
        let label = self.nodes.get(node).and_then(|node| node.label.as_ref());
        label.map(|label| format!("{label}: ")).unwrap_or_default()
    }

    /// Time passes.
    pub fn tick(&mut self, now: Now) {
        let is_due = |at: Option<Instant>| at.is_some_and(|at| at <= now.mono);
        if is_due(self.message_until) {
            (self.message, self.message_until) = (None, None);
            self.change(Changed::Now);
        }
        if is_due(self.beat_at) {
            let is_any_up = (0..self.nodes.len()).any(|node| self.is_up(node));
            let goes_on = is_any_up || self.is_of_many();
            self.beat_at = goes_on.then_some(now.mono + BEAT);
            self.nodes.iter_mut().for_each(|node| node.facts.touch_moving());
            // Times pass.
            self.change(Changed::Soon);
        }
        for node in 0..self.nodes.len() {
            self.tick_node(node, now);
        }
        let follows = self.follow.deadline().is_some_and(|at| at <= now.mono);
        if self.changed.is_some() || follows {
            self.follow_selected(now);
        }
    }

    fn tick_node(&mut self, node: usize, now: Now) {
        let Some(view) = self.nodes.get_mut(node) else { return };
        if view.retry_at.is_some_and(|at| at <= now.mono) {
            view.retry_at = None;
            self.wishes.push((node, Wish::Connect));
        }
        let patience = view.patience();
        if view.heard_at.is_some_and(|at| at + patience <= now.mono) {
            let why = format!("it said nothing for {} seconds", patience.as_secs());
            self.lost(node, &why, now);
            self.wishes.push((node, Wish::HangUp));
        }
        while self.is_up(node) {
            let view = self.nodes.get_mut(node);
            let Some(name) = view.and_then(|view| view.facts.take_stale()) else { break };
            self.order(node, "info", vec![json!(name)], Purpose::Info(name));
        }
    }

    fn follow_selected(&mut self, now: Now) {
        let selected = self.selected_row(&self.rows(now));
        let selected = selected.filter(|shown| self.is_up(shown.node));
        if selected.is_none() && !(0..self.nodes.len()).any(|node| self.is_up(node)) {
            return;
        }
        self.follow.want(selected.map(|shown| Place::of(&shown)), now);
        let change = self.follow.take_change(now);
        let leave = change.leave.map(|(node, topic)| (node, Wish::Unsubscribe(topic)));
        self.wishes.extend(leave.filter(|(node, _)| self.is_up(*node)));
        let since = Map::from_iter([("since".to_owned(), json!(0))]);
        let join = change.join.map(|(node, topic)| (node, Wish::Subscribe(topic, since)));
        self.wishes.extend(join);
    }

    /// When time is to pass.
    pub fn deadline(&self) -> Option<Instant> {
        let follow = self.follow.deadline();
        let follow = follow.filter(|_| (0..self.nodes.len()).any(|node| self.is_up(node)));
        let of_node = |node: &NodeView| {
            let silence = node.heard_at.map(|at| at + node.patience());
            [node.retry_at, silence].into_iter().flatten().min()
        };
        let nodes = self.nodes.iter().filter_map(of_node).min();
        let all = [self.message_until, self.beat_at, nodes, follow];
        all.into_iter().flatten().min()
    }

    /// What is to be said to nodes, each by its number, and done.
    pub fn take_wishes(&mut self) -> Vec<(usize, Wish)> {
        std::mem::take(&mut self.wishes)
    }

    /// Whether anything is different since this was asked last, and how soon that is to be seen.
    pub fn take_changed(&mut self) -> Option<Changed> {
        self.changed.take()
    }

    /// Whether somebody wants to leave.
    pub fn is_over(&self) -> bool {
        self.over
    }

    pub(super) fn change(&mut self, how: Changed) {
        self.changed = self.changed.max(Some(how));
    }

    pub(super) fn order(
        &mut self,
        node: usize,
        name: &'static str,
        args: Vec<Value>,
        purpose: Purpose,
    ) {
        self.commands += 1;
        let id = self.commands.to_string();
        self.purposes.insert(id.clone(), (node, purpose));
        self.wishes.push((node, Wish::Command(id, name, args)));
    }

    /// All rows, of one node after the other. Of many, one that is lost says so, even if it has none.
    pub fn all_rows(&self, now: Now) -> Vec<Shown> {
        let mut all = Vec::new();
        for (index, node) in self.nodes.iter().enumerate() {
            let before = all.len();
            all.extend(node.facts.rows(now).into_iter().map(|mut shown| {
                shown.node = index;
                shown.row.node.clone_from(&node.label);
                shown
            }));
            let (Some(label), Link::Down { since, why }) = (&node.label, &node.link) else {
                continue;
            };
            let note = format!("lost {} ago: {why}", span((now.epoch_seconds() - since).max(0.0)));
            if all.len() == before {
                all.push(without_job(index, label));
            }
            for shown in all.iter_mut().skip(before) {
                shown.row.note.clone_from(&note);
            }
        }
        all
    }

    /// The rows that are shown, sorted.
    pub fn rows(&self, now: Now) -> Vec<Shown> {
        self.shown(self.all_rows(now))
    }

    /// Of all rows those that are shown, sorted.
    pub fn shown(&self, all: Vec<Shown>) -> Vec<Shown> {
        let mut shown = all;
        let filter = self.filter.to_lowercase();
        if !filter.is_empty() {
            shown.retain(|one| {
                let row = &one.row;
                let node = row.node.as_deref().unwrap_or_default();
                let text = format!("{node} {} {} {}", row.name(), row.state, row.note);
                text.to_lowercase().contains(&filter)
            });
        }
        rows::sort(&mut shown, self.sort, |one| &one.row);
        shown
    }

    /// The selected one of these rows; where it is gone, the one in its place.
    pub fn selected_row(&self, rows: &[Shown]) -> Option<Shown> {
        let last = rows.len().checked_sub(1)?;
        let at = self.selected_index(rows).unwrap_or(self.index.min(last));
        rows.get(at).cloned()
    }

    pub(super) fn selected_index(&self, rows: &[Shown]) -> Option<usize> {
        let selected = self.selected.as_ref()?;
        rows.iter().position(|shown| Place::of(shown) == *selected)
    }

    /// Settles what is selected among these rows, of which so many are seen at a time.
    pub fn settle(&mut self, rows: &[Shown], height: usize) {
        let last = rows.len().saturating_sub(1);
        self.index = self.selected_index(rows).unwrap_or(self.index.min(last));
        self.selected = rows.get(self.index).map(Place::of);
        let lowest = (self.index + 1).saturating_sub(height);
        self.first = self.first.clamp(lowest, self.index.max(lowest));
        self.first = self.first.min(rows.len().saturating_sub(height));
    }
}

impl NodeView {
    fn patience(&self) -> Duration {
        if self.facts.has_processes() {
            SILENCE
        } else {
            LONG_SILENCE
        }
    }
}

/// The row of a node of which no job is known.
fn without_job(node: usize, label: &str) -> Shown {
    let row = Row { node: Some(label.to_owned()), ..Row::default() };
    Shown { node, name: String::new(), wanted: 0, row }
}

impl Place {
    /// That of a row.
    pub fn of(shown: &Shown) -> Self {
        let row = &shown.row;
        let once = row.pid.filter(|_| row.once);
        Self { node: shown.node, name: shown.name.clone(), number: row.number, once }
    }

    /// It as it is shown.
    pub fn shown(&self) -> String {
        match self.number {
            Some(number) => format!("{}.{number}", self.name),
            None => self.name.clone(),
        }
    }
}
