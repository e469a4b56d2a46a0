//! What a fake child does with its life. A job's arguments say it in words, so that a test reads as
//! a story: `child life=1500 code=3`, `child deaf kid=gs`, `child fail=exec:2`. The program `mixed`
//! draws all of this anew for every process.

use std::time::Duration;

use gaffer::base::error::{Errno, Stage};
use gaffer::base::order::SpawnOrder;
use gaffer::base::process::{ExitStatus, Signal};
use gaffer::base::random::Random;

/// A fake child, or one of its descendants.
#[derive(Clone, Debug)]
pub(crate) struct Child {
    /// It never becomes its program.
    pub(crate) fails: Option<(Stage, Errno)>,
    /// When it ends by itself, and how.
    pub(crate) ends: Option<(Duration, ExitStatus)>,
    /// How long it takes to obey a stop signal; `None` ignores it.
    pub(crate) obeys: Option<Duration>,
    /// How long it is in uninterruptible sleep, in which not even KILL ends it.
    pub(crate) stuck: Duration,
    /// How long after its end its pipe is read dry.
    pub(crate) late: Duration,
    /// Processes it starts at once.
    pub(crate) kids: Vec<Kid>,
}

/// A descendant.
#[derive(Clone, Debug)]
pub(crate) struct Kid {
    /// Whether it stays in the group. One that does not still carries the mark of its run.
    pub(crate) in_group: bool,
    /// Whether it holds the output pipe open.
    pub(crate) holds_pipe: bool,
    /// Whether its end is told by SIGCHLD, so that an empty group is noticed unasked.
    pub(crate) seen: bool,
    /// What else it is like.
    pub(crate) child: Child,
}

impl Child {
    /// One that runs for ever and obeys at once.
    pub(crate) fn good() -> Self {
        Self {
            fails: None,
            ends: None,
            obeys: Some(Duration::ZERO),
            stuck: Duration::ZERO,
            late: Duration::ZERO,
            kids: Vec::new(),
        }
    }

    /// The child that an order asks for.
    pub(crate) fn of(order: &SpawnOrder, random: &mut Random) -> Self {
        if order.program == "mixed" {
            return Self::mixed(random);
        }
        let mut child = Self::good();
        let mut status = ExitStatus::Code(0);
        for word in &order.args {
            let (key, value) = word.split_once('=').unwrap_or((word, ""));
            let ms = || Duration::from_millis(value.parse().expect("a number of ms"));
            match key {
                "term" => child.obeys = Some(ms()),
                "deaf" => child.obeys = None,
                "life" => child.ends = Some((ms(), status)),
                "code" => status = ExitStatus::Code(value.parse().expect("an exit code")),
                "stuck" => child.stuck = ms(),
                "late" => child.late = ms(),
                "fail" => child.fails = Some(failure(value)),
                "kid" => child.kids.push(Kid::of(value)),
                other => panic!("{other:?} is nothing that a fake child does"),
            }
        }
        child.ends = child.ends.map(|(after, _)| (after, status));
        child
    }

    fn mixed(random: &mut Random) -> Self {
        let mut child = Self::good();
        child.obeys = drawn_obedience(random);
        match random.below(20) {
            0..=7 => {}
            8 | 9 => child.ends = Some((Duration::ZERO, drawn_status(random))),
            10..=14 => child.ends = Some((drawn_ms(random, 2_500), drawn_status(random))),
            15 => child.ends = Some((drawn_ms(random, 120_000), drawn_status(random))),
            16 => child.fails = Some((Stage::Exec, Errno(2))),
            17 => child.fails = Some((Stage::Fork, Errno(11))),
            18 => child.fails = Some((Stage::Pipe, Errno(24))),
            _ => child.stuck = drawn_ms(random, 7_000),
        }
        if random.below(3) == 0 {
            child.late = drawn_ms(random, 400);
        }
        for _ in 0..random.below(8).saturating_sub(5) {
            let (in_group, holds_pipe) = (random.below(3) > 0, random.below(2) == 0);
            let mut kid =
                Kid { in_group, holds_pipe, seen: random.below(2) == 0, child: Self::good() };
            kid.child.obeys = drawn_obedience(random);
            if random.below(2) == 0 {
                kid.child.ends = Some((drawn_ms(random, 5_000), ExitStatus::Code(0)));
            }
            child.kids.push(kid);
        }
        child
    }
}

impl Kid {
    /// Reads its letters: `g` in the group, `s` holds the streams, `d` deaf to stop signals, `u`
    /// its end is unseen.
    fn of(letters: &str) -> Self {
        let has = |letter| letters.contains(letter);
        let mut child = Child::good();
        if has('d') {
            child.obeys = None;
        }
        Self { in_group: has('g'), holds_pipe: has('s'), seen: !has('u'), child }
    }
}

fn failure(text: &str) -> (Stage, Errno) {
    let (stage, errno) = text.split_once(':').expect("stage:errno");
    let stage = match stage {
        "exec" => Stage::Exec,
        "fork" => Stage::Fork,
        "pipe" => Stage::Pipe,
        other => panic!("{other:?} is no stage that a fake child fails at"),
    };
    (stage, Errno(errno.parse().expect("an errno")))
}

fn drawn_obedience(random: &mut Random) -> Option<Duration> {
    match random.below(5) {
        0 => None,
        1 | 2 => Some(Duration::ZERO),
        _ => Some(drawn_ms(random, 1_500)),
    }
}

fn drawn_status(random: &mut Random) -> ExitStatus {
    match random.below(3) {
        0 => ExitStatus::Code(0),
        1 => ExitStatus::Code(1),
        _ => ExitStatus::Signal { signal: Signal::from_number(11).expect("SIGSEGV"), core: true },
    }
}

pub(crate) fn drawn_ms(random: &mut Random, below: u64) -> Duration {
    Duration::from_millis(random.below(below))
}
