//! Requests that are answered later: when a job has come to a goal, or when processes are measured.
//! A client has at most one, since the next request of a connection is read only after the answer.

use std::time::Instant;

use serde_json::{json, Value};

use super::ctx::{Measure, Until, Wait};
use super::metrics::Scrape;
use super::reply::manager_error;
use crate::base::clock::Now;
use crate::base::ids::{ConnId, InstanceId, OsPid, Pid, SessionId};
use crate::base::limits;
use crate::base::sorted::SortedMap;
use crate::base::timers::Timers;
use crate::front::response::Response;
use crate::supervisor::settled::{Goal, Progress};
use crate::supervisor::tables::Refusal;
use crate::supervisor::Supervisor;
use crate::wire::openmetrics::Dialect;

/// All of them.
#[derive(Default)]
pub struct Waits {
    waits: SortedMap<ConnId, Wait>,
    deadlines: Timers<ConnId>,
    measures: SortedMap<u64, (Asker, Measuring)>,
    /// The measurement for metrics that is under way, and its ticket. There is one at a time.
    scrape: Option<(u64, Scrape)>,
    last_ticket: u64,
}

/// What becomes of somebody who asks for metrics while they are measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Joined {
    /// He is told the same.
    Waits,
    /// Too many wait.
    Full,
}

/// Who gets the answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Asker {
    /// A request.
    Conn(ConnId),
    /// A command of a session, by what its client calls it.
    Command(SessionId, Value),
    /// Everybody who watches.
    Watchers,
}

/// A measurement under way.
#[derive(Clone, Debug)]
pub struct Measuring {
    /// What was asked for.
    pub measure: Measure,
    /// Which processes that means.
    pub targets: Vec<(InstanceId, Pid, OsPid)>,
}

impl Waits {
    /// Parks a request.
    pub fn park(&mut self, conn: ConnId, wait: Wait, now: Now) {
        self.deadlines.set(conn, now.mono + wait.timeout);
        self.waits.insert(conn, wait);
    }

    /// Parks a request until its measurement is in; gives the measurement's ticket.
    pub fn measure(&mut self, asker: Asker, measuring: Measuring) -> u64 {
        self.last_ticket += 1;
        self.measures.insert(self.last_ticket, (asker, measuring));
        self.last_ticket
    }

    /// Who waits for this measurement.
    pub fn measured(&mut self, ticket: u64) -> Option<(Asker, Measuring)> {
        self.measures.remove(&ticket)
    }

    /// Parks requests for metrics; gives the ticket of what is measured for them.
    pub fn scrape(&mut self, scrape: Scrape) -> u64 {
        self.last_ticket += 1;
        self.scrape = Some((self.last_ticket, scrape));
        self.last_ticket
    }

    /// Has one more wait for metrics that are measured already; `None` where none are.
    pub fn join_scrape(&mut self, asker: (ConnId, Dialect)) -> Option<Joined> {
        let (_, scrape) = self.scrape.as_mut()?;
        if scrape.askers.len() >= limits::SCRAPERS {
            return Some(Joined::Full);
        }
        scrape.askers.push(asker);
        Some(Joined::Waits)
    }

    /// The requests for metrics for which this was measured.
    pub fn scraped(&mut self, ticket: u64) -> Option<Scrape> {
        self.scrape.take_if(|(waiting, _)| *waiting == ticket).map(|(_, scrape)| scrape)
    }

    /// The client is gone.
    pub fn forget(&mut self, conn: ConnId) {
        // What is measured for nobody is let go when it is told.
        if let Some((_, scrape)) = &mut self.scrape {
            scrape.askers.retain(|(asker, _)| *asker != conn);
        }
        self.measures.retain(|_, (asked, _)| *asked != Asker::Conn(conn));
        self.deadlines.cancel(conn);
        self.waits.remove(&conn);
    }

    /// How many answers wait for something.
    pub fn len(&self) -> usize {
        let scrapers = self.scrape.as_ref().map_or(0, |(_, scrape)| scrape.askers.len());
        self.waits.len() + self.measures.len() + scrapers
    }

    /// Whether none does.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Checks that everybody who waits is there.
    ///
    /// # Errors
    /// The first that is not, in words.
    pub fn sweep(
        &self,
        conn: impl Fn(&ConnId) -> bool,
        session: impl Fn(&SessionId) -> bool,
    ) -> Result<(), String> {
        if let Some(gone) = self.waits.keys().find(|waiting| !conn(waiting)) {
            return Err(format!("{gone:?} waits and is gone"));
        }
        let mut scrapers = self.scrape.iter().flat_map(|(_, scrape)| &scrape.askers);
        if let Some((gone, _)) = scrapers.find(|(id, _)| !conn(id)) {
            return Err(format!("{gone:?} waits for metrics and is gone"));
        }
        let asks = |asker: &Asker| match asker {
            Asker::Conn(id) => conn(id),
            Asker::Command(id, _) => session(id),
            Asker::Watchers => true,
        };
        match self.measures.values().find(|(asker, _)| !asks(asker)) {
            Some((asker, _)) => Err(format!("{asker:?} is measured for and is gone")),
            None => Ok(()),
        }
    }

    /// The session is gone.
    pub fn forget_session(&mut self, session: SessionId) {
        self.measures
            .retain(|_, (asked, _)| !matches!(asked, Asker::Command(of, _) if *of == session));
    }

    /// When the first wait is over.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadlines.next()
    }

    /// Takes out what can be answered now. However many wait for the same, it is looked at once.
    pub fn take_ready(&mut self, supervisor: &Supervisor, now: Now) -> Vec<(ConnId, Response)> {
        let mut seen: SortedMap<&Until, Progress> = SortedMap::new();
        let mut answers: Vec<(ConnId, Option<Response>)> = Vec::new();
        for (conn, wait) in &self.waits {
            let until = &wait.until;
            let late = self.deadlines.due_at(*conn).is_none_or(|at| at <= now.mono);
            match seen.entry(until).or_insert_with(|| progress(supervisor, until)) {
                Progress::Reached => answers.push((*conn, None)),
                Progress::Never(reason) => answers.push((*conn, Some(failed(reason)))),
                Progress::NotYet(_) if is_hopeless(supervisor, until) => {
                    answers.push((*conn, Some(manager_error(&Refusal::ShuttingDown))));
                }
                Progress::NotYet(reason) if late => {
                    answers.push((*conn, Some(timed_out(reason))));
                }
                Progress::NotYet(_) => {}
            }
        }
        let mut ready = Vec::with_capacity(answers.len());
        for (conn, instead) in answers {
            self.deadlines.cancel(conn);
            if let Some(wait) = self.waits.remove(&conn) {
                ready.push((conn, instead.unwrap_or(wait.then)));
            }
        }
        ready
    }
}

fn progress(supervisor: &Supervisor, until: &Until) -> Progress {
    match until {
        Until::Job(name, goal) => supervisor.settled(name, *goal),
        Until::Gone(pid) => match supervisor.instance_id(*pid) {
            Ok(_) => Progress::NotYet(format!("process {pid} is still ending")),
            Err(_) => Progress::Reached,
        },
    }
}

/// Whether the daemon's own end comes first: nothing is started any more, and once all is over
/// nobody is left to wait.
fn is_hopeless(supervisor: &Supervisor, until: &Until) -> bool {
    let starts = matches!(until, Until::Job(_, Goal::Running));
    supervisor.pace().is_some() && (starts || supervisor.processes_left() == 0)
}

fn failed(reason: &str) -> Response {
    Response::json(409, &json!({"error": "failed", "errno": 409, "reason": reason}))
}

fn timed_out(reason: &str) -> Response {
    Response::json(504, &json!({"error": "timeout", "errno": 504, "reason": reason}))
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test needs one instant to count from")]
mod tests {
    use super::super::ctx::Depth;
    use super::*;
    use crate::base::arena::Key;
    use crate::base::order::{Account, Identity, Unfit};
    use crate::supervisor::name::JobName;
    use crate::supervisor::order::{Accounts, Host};
    use std::rc::Rc;
    use std::time::{Duration, SystemTime};

    struct Nobody;

    impl Accounts for Nobody {
        fn resolve(&self, _: &Account<'_>) -> Result<Option<Identity>, Unfit> {
            Ok(None)
        }
    }

    fn supervisor() -> Supervisor {
        let host = Host { environ: Rc::default(), accounts: Rc::new(Nobody), node: String::new() };
        Supervisor::new(host, 1)
    }

    fn conn(index: u32) -> ConnId {
        ConnId(Key { index, generation: 0 })
    }

    fn wait(until: Until, seconds: u64) -> Wait {
        Wait { until, timeout: Duration::from_secs(seconds), then: Response::empty(202) }
    }

    fn measuring() -> Measuring {
        Measuring { measure: Measure::Process(Pid(1), Depth::Usual), targets: Vec::new() }
    }

    #[test]
    fn a_measurement_comes_to_who_asked_for_it_and_once() {
        let mut waits = Waits::default();
        let first = waits.measure(Asker::Conn(conn(1)), measuring());
        let second = waits.measure(Asker::Conn(conn(2)), measuring());
        let asked = waits.measured(second).map(|(asker, _)| asker);
        assert_eq!(asked, Some(Asker::Conn(conn(2))));
        assert!(waits.measured(second).is_none());
        waits.forget(conn(1));
        assert!(waits.measured(first).is_none(), "who asked is gone");
        assert_eq!(waits.deadline(), None, "a measurement has no deadline of its own");
    }

    #[test]
    fn each_wait_ends_at_its_own_time() {
        let start = Now { mono: Instant::now(), wall: SystemTime::UNIX_EPOCH };
        let supervisor = supervisor();
        let name = JobName::parse("s.none").expect("a name");
        let mut waits = Waits::default();
        let ended = |waits: &mut Waits, seconds| -> Vec<(ConnId, u16)> {
            let now = start.plus(Duration::from_secs(seconds));
            let ready = waits.take_ready(&supervisor, now).into_iter();
            ready.map(|(conn, response)| (conn, response.status)).collect()
        };
        waits.park(conn(1), wait(Until::Job(name.clone(), Goal::Running), 9), start);
        waits.park(conn(2), wait(Until::Job(name, Goal::Stopped), 9), start);
        waits.park(conn(3), wait(Until::Gone(Pid(7)), 9), start);
        assert_eq!(waits.deadline(), Some(start.mono + Duration::from_secs(9)));
        // Never, and already.
        assert_eq!(ended(&mut waits, 0), [(conn(1), 409), (conn(2), 202), (conn(3), 202)]);
        assert_eq!(waits.deadline(), None);
        assert!(ended(&mut waits, 100).is_empty());
    }
}
