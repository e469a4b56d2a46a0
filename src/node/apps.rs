//! Applications: code of a host program that lives with the node. Each is told what happens and may act on
//! it. What one does is its own: one that panics is left out from then on, and one that is slow is named in
//! the log.

use std::collections::VecDeque;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::mpsc::{SyncSender, TrySendError};
use std::time::Instant;

use log::{error, warn};
use serde_json::Value;

use super::gaffer::Gaffer;
use super::history::Record;
use super::host::{Asked, Event, HostRoute, Node, Refused, Wish};
use super::keys::caller::Caller;
use super::topics::{self, has_prefix};
use crate::base::clock::Now;
use crate::base::limits;
use crate::base::process::Signal;
use crate::base::sorted::SortedMap;
use crate::front::request::Request;
use crate::front::response::Response;
use crate::supervisor;

/// An application inside a node. All is called on the node's own thread, which does nothing else
/// meanwhile: what takes long belongs into a thread, with a `Handle`.
pub trait App {
    /// What it is called in the log.
    fn name(&self) -> &str;
    /// The node has begun: its jobs are loaded.
    fn start(&mut self, _node: &mut Node<'_>) {}
    /// Something happened. What an application causes is told in the next turn.
    fn event(&mut self, _event: &Event, _node: &mut Node<'_>) {}
    /// Somebody asks for a path that no route has. `None` leaves it to the next application.
    fn request(&mut self, _asked: &Asked<'_>, _node: &mut Node<'_>) -> Option<Response> {
        None
    }
    /// The time of [`Node::set_timer`] has come.
    fn timer(&mut self, _node: &mut Node<'_>) {}
    /// The node has read its configuration again.
    fn restart(&mut self, _node: &mut Node<'_>) {}
    /// The node begins to end.
    fn stop(&mut self, _node: &mut Node<'_>) {}
}

/// What a host program adds to a node.
#[derive(Default)]
pub struct Extensions {
    /// What stands before the paths of all built-in endpoints: empty, or `/gaffer`.
    pub prefix: String,
    /// Its routes.
    pub routes: Vec<HostRoute>,
    /// Its applications.
    pub apps: Vec<Box<dyn App>>,
    /// Tells how long they take.
    pub clock: Option<fn() -> Instant>,
}

/// Applications and followers inside the process.
#[derive(Default)]
pub(super) struct Apps {
    hosted: Vec<Hosted>,
    pub(super) routes: Vec<HostRoute>,
    followers: Vec<Follower>,
    /// What the applications are still to be told.
    untold: VecDeque<Event>,
    /// Since when there is something.
    due: Option<Instant>,
    clock: Option<fn() -> Instant>,
}

struct Hosted {
    app: Box<dyn App>,
    timer: Option<Instant>,
    /// It has panicked.
    is_out: bool,
}

/// Somebody in another thread who follows events.
struct Follower {
    prefix: String,
    to: SyncSender<Followed>,
    lost: u64,
}

/// What a follower gets.
#[derive(Clone, Debug, PartialEq)]
pub enum Followed {
    /// Something happened.
    Event(Event),
    /// He was slow, and did not get so many.
    Lost(u64),
}

impl Apps {
    pub(super) fn new(extensions: Extensions) -> Self {
        let hosted = |app| Hosted { app, timer: None, is_out: false };
        Self {
            hosted: extensions.apps.into_iter().map(hosted).collect(),
            routes: extensions.routes,
            followers: Vec::new(),
            untold: VecDeque::new(),
            due: None,
            clock: extensions.clock,
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let timers = self.hosted.iter().filter(|hosted| !hosted.is_out).filter_map(|h| h.timer);
        timers.chain(self.due).min()
    }

    /// Takes note of an event.
    pub(super) fn note(&mut self, event: &supervisor::Event, record: &Record, now: Now) {
        self.followers.retain_mut(|follower| follower.tell(event, record, now));
        if !self.hosted.is_empty() {
            // Whoever is so far behind that this is full has been away for a whole history.
            if self.untold.len() >= limits::EVENTS_KEPT {
                self.untold.pop_front();
            }
            self.untold.extend(told(event, record, now));
            self.due.get_or_insert(now.mono);
        }
    }
}

/// An event under its first name.
fn told(event: &supervisor::Event, record: &Record, now: Now) -> Option<Event> {
    let Ok(Value::Object(fields)) = serde_json::to_value(event.fields()) else { return None };
    let name = record.messages().next()?.name.to_owned();
    let job = event.job().to_string();
    Some(Event { name, seq: record.first, time: now.wall, job, fields })
}

impl Follower {
    /// Tells him; false when he is gone. Once there is room again he is told first what he lost.
    fn tell(&mut self, event: &supervisor::Event, record: &Record, now: Now) -> bool {
        if !record.messages().any(|message| has_prefix(message.name, &self.prefix)) {
            return true;
        }
        if self.lost > 0 {
            match self.to.try_send(Followed::Lost(self.lost)) {
                Ok(()) => self.lost = 0,
                Err(TrySendError::Full(_)) => {
                    self.lost += 1;
                    return true;
                }
                Err(TrySendError::Disconnected(_)) => return false,
            }
        }
        let Some(event) = told(event, record, now) else { return true };
        match self.to.try_send(Followed::Event(event)) {
            Ok(()) => true,
            Err(TrySendError::Full(_)) => {
                self.lost += 1;
                true
            }
            Err(TrySendError::Disconnected(_)) => false,
        }
    }
}

/// Runs code of the host; `None` if it panics.
fn guarded<T>(code: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(code)).ok()
}

impl Gaffer {
    /// Does something with the node, as its host.
    pub fn with_node<T>(&mut self, now: Now, act: impl FnOnce(&mut Node<'_>) -> T) -> T {
        let mut node = Node::new(&mut self.supervisor, now);
        let done = act(&mut node);
        let Wish { ends, timer: _ } = node.wish;
        self.end_if(ends, now);
        done
    }

    /// Tells somebody in another thread what happens, of names that begin so (`job.site`), or all.
    ///
    /// # Errors
    /// There are as many as there may be.
    pub fn follow_within(&mut self, prefix: &str, to: SyncSender<Followed>) -> Result<(), Refused> {
        if self.apps.followers.len() >= limits::SUBSCRIPTIONS {
            let most = limits::SUBSCRIPTIONS;
            return Err(Refused::Invalid(format!("at most {most} follow events in one program")));
        }
        self.apps.followers.push(Follower {
            prefix: topics::prefix(prefix).to_owned(),
            to,
            lost: 0,
        });
        Ok(())
    }

    fn end_if(&mut self, ends: bool, now: Now) {
        if ends && self.supervisor.pace().is_none() {
            self.end(Signal::TERM, now);
        }
    }

    /// Has each application do something.
    fn each_app(&mut self, now: Now, mut act: impl FnMut(&mut dyn App, &mut Node<'_>)) {
        for at in 0..self.apps.hosted.len() {
            self.one_app(at, now, &mut act);
        }
    }

    fn one_app<T>(
        &mut self,
        at: usize,
        now: Now,
        act: impl FnOnce(&mut dyn App, &mut Node<'_>) -> T,
    ) -> Option<T> {
        let hosted = self.apps.hosted.get_mut(at).filter(|hosted| !hosted.is_out)?;
        let began = self.apps.clock.map(|clock| clock());
        let mut node = Node::new(&mut self.supervisor, now);
        let done = guarded(|| act(&mut *hosted.app, &mut node));
        let wish = node.wish;
        if let Some(timer) = wish.timer {
            hosted.timer = timer;
        }
        let took = self.apps.clock.zip(began).map(|(clock, began)| clock() - began);
        if let Some(took) = took.filter(|took| *took > limits::SLOW_TURN) {
            let name = hosted.app.name();
            warn!(
                "the application {name} took {} ms; everything else had to wait",
                took.as_millis()
            );
        }
        if done.is_none() {
            hosted.is_out = true;
            error!("the application {} panicked and is left out from now on", hosted.app.name());
        }
        self.end_if(wish.ends, now);
        done
    }

    /// The node has begun.
    pub(super) fn start_apps(&mut self, now: Now) {
        self.each_app(now, |app, node| app.start(node));
    }

    /// The configuration was read again.
    pub(super) fn restart_apps(&mut self, now: Now) {
        self.each_app(now, |app, node| app.restart(node));
    }

    /// The node begins to end.
    pub(super) fn stop_apps(&mut self, now: Now) {
        self.each_app(now, |app, node| app.stop(node));
    }

    /// Tells the applications what has happened; whether there was anything. What they cause is told in
    /// the next turn, so that one that answers every event with another cannot hold the loop.
    pub(super) fn tell_apps(&mut self, now: Now) -> bool {
        let untold = std::mem::take(&mut self.apps.untold);
        self.apps.due = None;
        for event in &untold {
            self.each_app(now, |app, node| app.event(event, node));
        }
        !untold.is_empty()
    }

    /// Calls the applications whose time has come.
    pub(super) fn pass_app_time(&mut self, now: Now) {
        for at in 0..self.apps.hosted.len() {
            let hosted = self.apps.hosted.get_mut(at);
            let due = hosted.filter(|hosted| hosted.timer.is_some_and(|time| time <= now.mono));
            if due.map(|hosted| hosted.timer = None).is_some() {
                self.one_app(at, now, |app, node| app.timer(node));
            }
        }
    }

    /// What a route of the host answers.
    pub(super) fn ask_host(
        &mut self,
        route: usize,
        (request, open): (&Request, &[String]),
        caller: &Caller,
        now: Now,
    ) -> Response {
        let Some(HostRoute { pattern, handler, .. }) = self.apps.routes.get_mut(route) else {
            return Response::error(404, None);
        };
        let names = pattern.split('/').filter_map(|part| part.strip_prefix([':', '#']));
        let parts = names.zip(open.iter().map(String::as_str)).collect();
        let asked = Asked { request, caller, parts };
        let mut node = Node::new(&mut self.supervisor, now);
        let answer = guarded(|| handler(&mut node, &asked));
        let ends = node.wish.ends;
        if answer.is_none() {
            error!("the handler of {} {pattern} panicked", request.method.name());
        }
        self.end_if(ends, now);
        answer.unwrap_or_else(|| Response::error(500, Some("the handler of this path failed")))
    }

    /// What the first application says that answers a path which no route has.
    pub(super) fn ask_apps(
        &mut self,
        request: &Request,
        caller: &Caller,
        now: Now,
    ) -> Option<Response> {
        let asked = Asked { request, caller, parts: SortedMap::new() };
        (0..self.apps.hosted.len())
            .find_map(|at| self.one_app(at, now, |app, node| app.request(&asked, node)).flatten())
    }

    /// Whether there is anybody whom a path could concern that no route has.
    pub(super) fn has_apps(&self) -> bool {
        self.apps.hosted.iter().any(|hosted| !hosted.is_out)
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test needs one instant to count from")]
mod tests {
    use super::*;
    use crate::base::told::told;
    use crate::node::gaffer::{Legacy, Setup};
    use crate::node::testing;
    use std::cell::Cell;
    use std::time::{Duration, UNIX_EPOCH};

    thread_local! {
        static TIME: Cell<Instant> = Cell::new(Instant::now());
    }

    /// One that takes so long when it is started.
    struct Slow(&'static str, Duration);

    impl App for Slow {
        fn name(&self) -> &str {
            self.0
        }

        fn start(&mut self, _: &mut Node<'_>) {
            TIME.set(TIME.get() + self.1);
        }
    }

    /// What the log says of a node with these applications while it begins.
    fn begun(apps: Vec<Box<dyn App>>, clock: Option<fn() -> Instant>) -> Vec<String> {
        let extensions = Extensions { apps, clock, ..Extensions::default() };
        let mut gaffer = Gaffer::new(Setup { extensions, ..testing::setup() });
        let now = Now { mono: Instant::now(), wall: UNIX_EPOCH };
        told(|| gaffer.begin(Legacy::default(), Vec::new(), now))
    }

    #[test]
    fn one_that_is_slow_is_named_with_how_long_it_took() {
        let one_more = limits::SLOW_TURN + Duration::from_millis(1);
        let apps = || -> Vec<Box<dyn App>> {
            vec![Box::new(Slow("quick", limits::SLOW_TURN)), Box::new(Slow("slow", one_more))]
        };
        let took = one_more.as_millis();
        let named =
            format!("WARN: the application slow took {took} ms; everything else had to wait");
        assert_eq!(begun(apps(), Some(|| TIME.get())), [named]);
        assert_eq!(begun(apps(), None), Vec::<String>::new(), "nobody knows how long it took");
    }
}
