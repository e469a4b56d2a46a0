//! Ten thousand children over an hour, in one job and in a thousand; and a guard against work that
//! grows with the square of their number.

use std::time::Duration;

use gaffer::base::process::ExitStatus;
use gaffer::base::random::Random;
use gaffer::supervisor::verbs::Scale;
use serde_json::{json, Value};

use super::world::{name, World};

const CROWD: usize = 10_000;
const CRASHED: ExitStatus = ExitStatus::Code(1);

/// A supervisor whose whole state is looked at only now and then.
fn world() -> World {
    let mut world = World::new(1);
    world.check_every = 1_000;
    world.thorough = false;
    world
}

fn good(numprocesses: usize) -> Value {
    json!({"cmd": "child", "numprocesses": numprocesses})
}

/// An hour in which a process dies about every second.
fn an_hour(world: &mut World) {
    let mut random = Random::seeded(3);
    for _ in 0..3_600 {
        let pids: Vec<_> = world.supervisor.live_pids().take(64).collect();
        let nth = usize::try_from(random.below(64)).expect("small");
        if let Some(pid) = pids.get(nth) {
            let id = world.instance_of(pid.0);
            world.kernel.crash(id, CRASHED, world.now);
        }
        world.pass(Duration::from_secs(1));
    }
}

fn everything_ends(world: &mut World) {
    world.supervisor.shutdown(world.now);
    world.turn();
    world.pass(Duration::from_secs(20));
    assert_eq!(world.supervisor.processes_left(), 0);
    assert_eq!(world.kernel.living(), 0);
    assert_eq!(world.supervisor.deadline(), None, "nothing is left to wait for");
    world.supervisor.sweep().expect("the supervisor's invariants hold");
}

#[test]
fn one_job_of_ten_thousand() {
    let mut world = world();
    world.load("web", good(CROWD));
    an_hour(&mut world);
    assert_eq!(world.pids("web").len(), CROWD);
    world.model.reloading(&name("web"));
    world.supervisor.reload(&name("web"), world.now).expect("loaded");
    world.pass(Duration::from_secs(20));
    world.supervisor.scale(&name("web"), Scale::To(10), world.now).expect("loaded");
    world.pass(Duration::from_secs(20));
    world.supervisor.start_job(&name("web"), world.now).expect("loaded");
    world.pass(Duration::from_secs(20));
    world.supervisor.restart_job(&name("web"), world.now).expect("up");
    world.pass(Duration::from_secs(10_100));
    assert_eq!(world.pids("web").len(), CROWD);
    // All at once, so that they queue for the restart rate.
    for pid in world.pids("web") {
        let id = world.instance_of(pid);
        world.kernel.crash(id, CRASHED, world.now);
    }
    world.pass(Duration::from_secs(600));
    assert_eq!(world.pids("web").len(), CROWD);
    for pid in world.pids("web") {
        let (pid, now) = (gaffer::base::ids::Pid(pid), world.now);
        world.supervisor.stop_process(pid, now).expect("it lives");
    }
    world.pass(Duration::from_secs(20));
    world.supervisor.unload(&name("web"), world.now).expect("loaded");
    world.load("web", good(CROWD));
    world.pass(Duration::from_secs(20));
    assert_eq!(world.pids("web").len(), CROWD);
    everything_ends(&mut world);
}

#[test]
fn a_thousand_jobs_of_ten() {
    let mut world = world();
    for job in 0..1_000 {
        world.load(&format!("s.job-{job}"), good(10));
    }
    an_hour(&mut world);
    assert_eq!(world.kernel.living(), CROWD);
    everything_ends(&mut world);
}

/// Nanoseconds for which this thread had a processor (proc_pid_schedstat(5)), which unlike the time
/// of day does not grow when the machine is busy with something else.
fn worked() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split(' ').next()?.parse().ok()
}

/// The work of so many instances that crash, are reloaded, restarted, scaled down and unloaded.
fn work_of(crowd: usize) -> Option<u64> {
    let mut world = world();
    world.check_every = u64::MAX;
    let begin = worked()?;
    world.load("web", good(crowd));
    world.pass(Duration::from_secs(5));
    for pid in world.pids("web") {
        let id = world.instance_of(pid);
        world.kernel.crash(id, CRASHED, world.now);
    }
    world.pass(Duration::from_secs(600));
    world.supervisor.reload(&name("web"), world.now).expect("loaded");
    world.pass(Duration::from_secs(5));
    world.supervisor.restart_job(&name("web"), world.now).expect("up");
    world.pass(Duration::from_secs(11_000));
    let all = -i64::try_from(crowd / 2).expect("small");
    world.supervisor.scale(&name("web"), Scale::By(all), world.now).expect("loaded");
    world.pass(Duration::from_secs(5));
    world.supervisor.unload(&name("web"), world.now).expect("loaded");
    world.pass(Duration::from_secs(5));
    assert_eq!(world.supervisor.processes_left(), 0);
    Some(worked()? - begin)
}

#[test]
fn the_work_grows_with_the_crowd_and_not_with_its_square() {
    let (Some(few), Some(many)) = (work_of(CROWD / 8), work_of(CROWD)) else {
        return;
    };
    // 8 times as many cost about 10 times as much, for the depth of the tables and the caches; with
    // a square in it, 64 times.
    assert!(many / few < 20, "{few} ns for an eighth of {many} ns");
}
