//! The supervisor under simulation: the real machine, a fake kernel and an operator acting at
//! random, in virtual time that jumps to whatever comes next. Every seed is played twice and must
//! do the same both times.
//!
//! A failing seed is printed with the command that replays it; `GAFFER_TRACE=1` shows every fact,
//! verb, effect and event of it.

pub(crate) mod afterlife;
pub(crate) mod child;
mod crowd;
pub(crate) mod kernel;
mod model;
mod operator;
mod processes;
pub(crate) mod world;

use std::time::Duration;

use gaffer::base::random::Random;
use gaffer::supervisor::effect::Running;
use gaffer::supervisor::facts::Stray;
use gaffer::supervisor::instance::State;
use gaffer::supervisor::job::Desired;

use crate::seeds::{self, Replay};
use child::Child;
use operator::Operator;
use world::{name, World};

const SEEDS: u64 = 500;
const STEPS: u64 = 1_000;

#[test]
fn one_seed() {
    play_twice(seeds::wanted());
}

#[test]
fn first_half_of_the_seeds() {
    (1..SEEDS / 2).for_each(play_twice);
}

#[test]
fn second_half_of_the_seeds() {
    (SEEDS / 2..SEEDS).for_each(play_twice);
}

fn play_twice(seed: u64) {
    let _replay = Replay { seed, test: "simulation::one_seed" };
    let first = play(seed);
    if std::env::var_os("GAFFER_TRACE").is_none() {
        assert_eq!(first, play(seed), "the same seed plays the same");
    }
}

fn play(seed: u64) -> u64 {
    let mut world = World::new(seed);
    let mut operator = Operator::new(seed);
    if seed % 2 == 1 {
        world.stingy = Some(Random::seeded(seed));
    }
    begin(&mut world, &mut operator);
    for _ in 0..STEPS {
        step(&mut world, &mut operator);
    }
    if operator.below(2) == 0 {
        calm_down(&mut world);
    }
    end(&mut world, &mut operator);
    world.digest()
}

/// What an earlier daemon left is found, then jobs are loaded, then what nobody claimed is ended.
fn begin(world: &mut World, operator: &mut Operator) {
    for _ in 0..operator.below(5) {
        leave_one(world, operator);
    }
    world.turn();
    for _ in 0..operator.below(6) {
        operator.act(world);
    }
    if operator.below(2) == 0 {
        world.turn();
    }
    world.supervisor.end_unclaimed(world.now);
    world.turn();
}

fn leave_one(world: &mut World, operator: &mut Operator) {
    let mut child = Child::good();
    if operator.below(3) == 0 {
        child.obeys = None;
    }
    let job = name(if operator.below(2) == 0 { "web" } else { "s.gone" });
    let number = u32::try_from(operator.below(3) + 1).expect("small");
    let (os_pid, start_time) = world.kernel.leave(&child, &job, number, world.now);
    let start_time = if operator.below(6) == 0 { start_time + 1 } else { start_time };
    if operator.below(3) == 0 {
        let stray = Stray { job, number, run: None, os_pid, start_time };
        world.supervisor.recovered_stray(stray.clone(), world.now);
        world.supervisor.recovered_stray(stray, world.now);
        return;
    }
    let running = Running {
        job,
        number,
        pid: gaffer::base::ids::Pid(operator.below(9)),
        os_pid,
        start_time,
        detach: operator.below(2) == 0,
        stop_signal: gaffer::base::process::Signal::TERM,
        graceful_timeout: Duration::from_millis(500),
        started_at: None,
    };
    world.supervisor.recovered(running, world.now);
}

/// Either time jumps to what comes next, or the operator acts in between, once or a few times
/// before anything is performed.
fn step(world: &mut World, operator: &mut Operator) {
    let short = world.now.mono + Duration::from_millis(1);
    if operator.below(4) > 0 {
        let far = world.now.mono + Duration::from_secs(60);
        if world.advance(far) {
            return;
        }
    }
    world.advance(short);
    for _ in 0..=operator.below(3) {
        operator.act(world);
    }
    world.turn();
}

/// The operator goes home and no new child misbehaves: everything comes to rest as it is wanted,
/// and then nothing wakes the daemon any more.
fn calm_down(world: &mut World) {
    world.kernel.calm = true;
    world.accounts_are_down.set(false);
    world.pass(Duration::from_secs(300));
    let supervisor = &world.supervisor;
    assert_eq!(supervisor.deadline(), None, "an idle node has no timer");
    for name in supervisor.job_names() {
        let job = supervisor.job(supervisor.job_id(name).expect("loaded")).expect("loaded");
        for instance in job.kept.iter().filter_map(|id| supervisor.instance(*id)) {
            let rests = match instance.state {
                State::Running => job.desired == Desired::Up,
                State::Stopped => job.desired == Desired::Down,
                State::Exited { .. } | State::Failed { .. } => job.desired == Desired::Up,
                State::Waiting(_)
                | State::Starting
                | State::Stopping(_)
                | State::Backoff { .. } => false,
            };
            assert!(rests, "{name}.{} is {} at rest", instance.number, instance.word());
        }
    }
}

/// Shutdown, once or twice, while children do what they do.
fn end(world: &mut World, operator: &mut Operator) {
    world.kernel.letting_go = true;
    world.model.ending = true;
    world.supervisor.shutdown(world.now);
    world.turn();
    world.kernel.letting_go = false;
    if operator.below(2) == 0 {
        let pause = operator.ms(500);
        world.pass(pause);
        world.supervisor.shutdown(world.now);
        world.turn();
        operator.act(world);
        world.turn();
    }
    let limit = world.now.mono + Duration::from_secs(20);
    while world.supervisor.processes_left() > 0 {
        assert!(world.advance(limit), "the daemon does not end");
    }
    world.pass(Duration::from_secs(20));
    assert_eq!(world.supervisor.deadline(), None, "nothing is left to wait for");
    world.model.everything_is_over(world.kernel.let_go);
}
