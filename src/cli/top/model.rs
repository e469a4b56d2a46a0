//! All of `top` but the terminal and the connection: what the node says, keys and time come in, and what
//! is to be shown and to be said to the node goes out. It reads no clock and waits for nothing.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{json, Map, Value};

use super::dialog::{Act, Mode, Page, What};
use super::facts::{Facts, Scope, Shown};
use super::follow::{Follow, Place};
use super::pages;
use crate::base::clock::Now;
use crate::cli::rows::{self, Column};
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

/// What the model wants.
#[derive(Clone, Debug, PartialEq)]
pub enum Wish {
    /// Connect to the node again.
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

/// All of it.
pub struct Model {
    /// How things are shown.
    pub look: Look,
    /// Where the node is.
    pub address: String,
    /// Columns and rows of the terminal.
    pub size: (u16, u16),
    /// Whether the node is there.
    pub link: Link,
    /// What it said.
    pub facts: Facts,
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
    purposes: BTreeMap<String, Purpose>,
    commands: u64,
    pub(super) wishes: Vec<Wish>,
    /// When the node said something last.
    heard_at: Option<Instant>,
    beat_at: Option<Instant>,
    retry_at: Option<Instant>,
    retry_after: Duration,
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
    /// Of a node at this address, which is not connected yet.
    pub fn new(address: String, scope: Scope, look: Look) -> Self {
        Self {
            look,
            address,
            size: (80, 24),
            link: Link::Down { since: 0.0, why: String::new() },
            facts: Facts::new(scope),
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
            purposes: BTreeMap::new(),
            commands: 0,
            wishes: Vec::new(),
            heard_at: None,
            beat_at: None,
            retry_at: None,
            retry_after: RETRY.0,
            changed: Some(Changed::Now),
            over: false,
        }
    }

    /// The terminal has this size now.
    pub fn resize(&mut self, size: (u16, u16)) {
        self.size = size;
        self.change(Changed::Now);
    }

    /// The connection is there.
    pub fn connected(&mut self, now: Now) {
        self.link = Link::Up;
        (self.retry_at, self.retry_after) = (None, RETRY.0);
        self.heard_at = Some(now.mono);
        self.beat_at = Some(now.mono + BEAT);
        let since = self.facts.last_event;
        let since = since.map(|since| Map::from_iter([("since".to_owned(), json!(since))]));
        self.wishes.push(Wish::Subscribe("EVENTS".into(), since.unwrap_or_default()));
        let interval = Map::from_iter([("interval".to_owned(), json!(BEAT.as_secs_f64()))]);
        self.wishes.push(Wish::Subscribe("STATS".into(), interval));
        self.order("jobs", Vec::new(), Purpose::Jobs);
        self.change(Changed::Now);
    }

    /// The connection is lost, or did not come about.
    pub fn lost(&mut self, why: &str, now: Now) {
        self.retry_at = Some(now.mono + self.retry_after);
        self.retry_after = (self.retry_after * 2).min(RETRY.1);
        let silent = self.heard_at.map(|at| now.mono.saturating_duration_since(at));
        let since = match &self.link {
            Link::Up => now.epoch_seconds() - silent.unwrap_or_default().as_secs_f64(),
            Link::Down { since, .. } => *since,
        };
        self.link = Link::Down { since, why: why.to_owned() };
        self.wishes.clear();
        self.purposes.clear();
        (self.heard_at, self.beat_at) = (None, None);
        self.facts.lose();
        self.follow.lose(now);
        self.change(Changed::Now);
    }

    /// The node is alive.
    pub fn alive(&mut self, now: Now) {
        self.heard_at = Some(now.mono);
    }

    /// The node said something.
    pub fn heard(&mut self, said: Said, now: Now) {
        match said {
            Said::Heard(Heard::Event { topic, data }) if topic == "EVENTS" => {
                if self.facts.event(&data) {
                    self.change(Changed::Soon);
                }
            }
            Said::Heard(Heard::Event { topic, data }) if topic == "STATS" => {
                self.facts.stat(&data, now);
                self.change(Changed::Soon);
            }
            Said::Heard(Heard::Event { topic, data }) => {
                self.follow.heard(&topic, &data);
                self.change(Changed::Soon);
            }
            // What was lost may have been about any job.
            Said::Heard(Heard::Lagged { topic, .. }) if topic == "EVENTS" => {
                self.order("jobs", Vec::new(), Purpose::Jobs);
            }
            Said::Heard(Heard::Lagged { topic, .. }) => self.follow.lost(&topic),
            Said::Followed { result: Ok(()), .. } => {}
            Said::Followed { topic, result: Err(error) } if self.follow.has(&topic) => {
                self.follow.refused(&topic, &error.to_string());
                self.change(Changed::Soon);
            }
            Said::Followed { topic, result: Err(error) } => {
                self.tell(format!("{topic}: {error}"), Bad::Yes, now);
            }
            Said::Answer { id, result } => self.answered(&id, result, now),
        }
    }

    fn answered(&mut self, id: &str, result: Result<Value, Error>, now: Now) {
        let Some(purpose) = self.purposes.remove(id) else { return };
        self.change(Changed::Soon);
        match (purpose, result) {
            (Purpose::Jobs, Ok(value)) => {
                let names = value["jobs"].as_array().into_iter().flatten();
                let names = names.filter_map(Value::as_str).map(str::to_owned);
                self.facts.jobs(names.collect());
            }
            (Purpose::Info(name), Ok(mut value)) => {
                let info = value["info"].take();
                if let Mode::Page(Page { what: What::Info(of), lines, .. }) = &mut self.mode {
                    if *of == name {
                        *lines = pages::info(&info);
                    }
                }
                self.facts.info(&name, Some(info), now);
            }
            (Purpose::Info(name), Err(error)) => {
                self.facts.info(&name, None, now);
                if !error.is_not_found() {
                    self.tell(format!("{name}: {error}"), Bad::Yes, now);
                }
            }
            (Purpose::Deaths(name), Ok(value)) => {
                if let Mode::Page(Page { what: What::Deaths(of), lines, .. }) = &mut self.mode {
                    if *of == name {
                        *lines = pages::deaths(&value["deaths"], self.look.time);
                    }
                }
            }
            (Purpose::Act(act), Ok(_)) => self.tell(act.done(), Bad::No, now),
            (Purpose::Act(_) | Purpose::Jobs | Purpose::Deaths(_), Err(error)) => {
                self.tell(error.to_string(), Bad::Yes, now);
            }
        }
    }

    /// Tells what came of something.
    pub(super) fn tell(&mut self, text: String, bad: Bad, now: Now) {
        self.message = Some((text, bad));
        self.message_until = Some(now.mono + MESSAGE);
        self.change(Changed::Now);
    }

    /// Time passes.
    pub fn tick(&mut self, now: Now) {
        let is_due = |at: Option<Instant>| at.is_some_and(|at| at <= now.mono);
        if is_due(self.message_until) {
            (self.message, self.message_until) = (None, None);
            self.change(Changed::Now);
        }
        if is_due(self.retry_at) {
            self.retry_at = None;
            self.wishes.push(Wish::Connect);
        }
        if is_due(self.beat_at) {
            self.beat_at = Some(now.mono + BEAT);
            self.facts.touch_moving();
            // Times pass.
            self.change(Changed::Soon);
        }
        if self.heard_at.is_some_and(|at| at + self.patience() <= now.mono) {
            self.lost(&format!("it said nothing for {} seconds", self.patience().as_secs()), now);
            self.wishes.push(Wish::HangUp);
        }
        if self.link != Link::Up {
            return;
        }
        while let Some(name) = self.facts.take_stale() {
            self.order("info", vec![json!(name)], Purpose::Info(name));
        }
        let follows = self.follow.deadline().is_some_and(|at| at <= now.mono);
        if self.changed.is_some() || follows {
            self.follow_selected(now);
        }
    }

    fn patience(&self) -> Duration {
        if self.facts.has_processes() {
            SILENCE
        } else {
            LONG_SILENCE
        }
    }

    fn follow_selected(&mut self, now: Now) {
        let selected = self.selected_row(&self.rows(now));
        self.follow.want(selected.map(|shown| Place::of(&shown)), now);
        let change = self.follow.take_change(now);
        self.wishes.extend(change.leave.map(Wish::Unsubscribe));
        let since = Map::from_iter([("since".to_owned(), json!(0))]);
        self.wishes.extend(change.join.map(|topic| Wish::Subscribe(topic, since)));
    }

    /// When time is to pass.
    pub fn deadline(&self) -> Option<Instant> {
        let silence = self.heard_at.map(|at| at + self.patience());
        let follow = self.follow.deadline().filter(|_| self.link == Link::Up);
        let all = [self.message_until, self.retry_at, self.beat_at, silence, follow];
        all.into_iter().flatten().min()
    }

    /// What is to be said to the node, and done.
    pub fn take_wishes(&mut self) -> Vec<Wish> {
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

    pub(super) fn order(&mut self, name: &'static str, args: Vec<Value>, purpose: Purpose) {
        self.commands += 1;
        let id = self.commands.to_string();
        self.purposes.insert(id.clone(), purpose);
        self.wishes.push(Wish::Command(id, name, args));
    }

    /// The rows that are shown, sorted.
    pub fn rows(&self, now: Now) -> Vec<Shown> {
        self.shown(self.facts.rows(now))
    }

    /// Of all rows those that are shown, sorted.
    pub fn shown(&self, all: Vec<Shown>) -> Vec<Shown> {
        let mut shown = all;
        let filter = self.filter.to_lowercase();
        if !filter.is_empty() {
            shown.retain(|one| {
                let row = &one.row;
                let text = format!("{} {} {}", row.name(), row.state, row.note);
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

impl Place {
    /// That of a row.
    pub fn of(shown: &Shown) -> Self {
        let row = &shown.row;
        Self { name: shown.name.clone(), number: row.number, once: row.pid.filter(|_| row.once) }
    }

    /// It as it is shown.
    pub fn shown(&self) -> String {
        match self.number {
            Some(number) => format!("{}.{number}", self.name),
            None => self.name.clone(),
        }
    }
}
