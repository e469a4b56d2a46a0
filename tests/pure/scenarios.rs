//! The supervisor's promises, one small story each, on the simulation's fake kernel. What the fake
//! children do is said in the arguments of their jobs; see `simulation/child.rs`.

use std::time::Duration;

use gaffer::base::ids::Pid;
use gaffer::base::process::{ExitStatus, Signal};
use gaffer::supervisor::effect::Running;
use gaffer::supervisor::facts::Stray;
use gaffer::supervisor::instance::Commit;
use gaffer::supervisor::job::Origin;
use gaffer::supervisor::tables::Refusal;
use gaffer::supervisor::verbs::Scale;
use gaffer::supervisor::Event;
use serde_json::{json, Map, Value};

use crate::simulation::child::Child;
use crate::simulation::world::{entry, name, World};

const SECOND: Duration = Duration::from_secs(1);

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A job of such children, with further keys.
fn job(words: &str, keys: Value) -> Value {
    let mut config = Map::from_iter([("cmd".to_owned(), json!(format!("child {words}")))]);
    config.extend(keys.as_object().expect("an object").clone());
    Value::Object(config)
}

/// A world with one job `web`, two seconds after its start.
fn running(words: &str, keys: Value) -> World {
    let mut world = World::new(1);
    world.load("web", job(words, keys));
    world.pass(ms(2_000));
    world.told();
    world
}

fn stop(world: &mut World) {
    world.supervisor.stop_job(&name("web"), world.now).expect("loaded");
    world.turn();
}

fn start(world: &mut World) {
    world.supervisor.start_job(&name("web"), world.now).expect("loaded");
    world.turn();
}

fn unload(world: &mut World) {
    world.supervisor.unload(&name("web"), world.now).expect("loaded");
    world.turn();
}

fn scale(world: &mut World, by: i64) -> u32 {
    let target = world.supervisor.scale(&name("web"), Scale::By(by), world.now).expect("loaded");
    world.turn();
    target
}

fn crash(world: &mut World, pid: u64) {
    let id = world.instance_of(pid);
    world.kernel.crash(id, ExitStatus::Code(1), world.now);
    world.pass(ms(10));
}

fn deaths(world: &World) -> Value {
    let deaths = world.supervisor.view_deaths(&name("web")).expect("loaded");
    serde_json::to_value(deaths).expect("plain values")
}

fn view(world: &World) -> Value {
    let view = world.supervisor.view_job(&name("web"), world.now).expect("loaded");
    serde_json::to_value(view).expect("plain values")
}

fn shutdown(world: &mut World) {
    world.kernel.letting_go = true;
    world.supervisor.shutdown(world.now);
    world.turn();
    world.kernel.letting_go = false;
}

#[test]
fn loading_tells_load_start_and_spawn() {
    let mut world = World::new(1);
    world.load("web", job("", json!({})));
    assert_eq!(
        world.told(),
        ["load", "start", "job.default.web.start", "spawn", "job.default.web.spawn"]
    );
}

#[test]
fn scaling_down_tells_update_reap_and_exit() {
    let mut world = running("", json!({"numprocesses": 2}));
    scale(&mut world, -1);
    world.pass(SECOND);
    let (job, reaped) = ("job.default.web", "proc.1.reap");
    let exit = [format!("{job}.reap"), reaped.into(), "exit".into(), format!("{job}.exit")];
    assert_eq!(world.told(), [&["update".to_owned(), "reap".into()][..], &exit].concat());
}

#[test]
fn stopping_a_process_tells_stop_exit_and_spawn() {
    let mut world = running("", json!({}));
    world.supervisor.stop_process(Pid(1), world.now).expect("it lives");
    world.pass(SECOND);
    assert_eq!(
        world.told(),
        ["stop_process", "exit", "job.default.web.exit", "spawn", "job.default.web.spawn"]
    );
}

#[test]
fn unloading_tells_unload_stop_and_exit() {
    let mut world = running("", json!({}));
    unload(&mut world);
    world.pass(SECOND);
    assert_eq!(
        world.told(),
        ["unload", "stop", "job.default.web.stop", "stop_process", "exit", "job.default.web.exit"]
    );
}

#[test]
fn stop_during_a_flapping_pause_leaves_nothing() {
    let mut world = World::new(1);
    world.load("web", job("life=10 code=1", json!({"flapping": {"retry_in": 7}})));
    world.pass(ms(3_000));
    assert_eq!(world.states("web"), [(1, "backoff")]);
    assert!(view(&world)["reason"].as_str().is_some_and(|text| text.starts_with("flapping")));
    stop(&mut world);
    assert_eq!(world.states("web"), [(1, "stopped")]);
    assert_eq!(world.deadline(), None);
    let spawns = world.kernel.spawns;
    world.pass(SECOND * 100);
    assert_eq!(world.kernel.spawns, spawns);
}

#[test]
fn unload_during_backoff_leaves_nothing() {
    let mut world = World::new(1);
    world.load("web", job("life=10 code=1", json!({})));
    world.pass(ms(100));
    assert_eq!(world.states("web"), [(1, "backoff")]);
    unload(&mut world);
    assert_eq!(world.deadline(), None);
    assert_eq!(world.supervisor.job_names().count(), 0);
    let spawns = world.kernel.spawns;
    world.pass(SECOND * 100);
    assert_eq!(world.kernel.spawns, spawns);
}

#[test]
fn scaling_down_reaps_the_oldest_first() {
    let mut world = running("", json!({"numprocesses": 3}));
    crash(&mut world, 1);
    assert_eq!(world.pids("web"), [2, 3, 4]);
    assert_eq!(scale(&mut world, -2), 1);
    world.pass(SECOND);
    assert_eq!(world.pids("web"), [4]);
    assert_eq!(scale(&mut world, -5), 0, "never below zero");
}

#[test]
fn scaling_down_reaps_what_does_not_run_before_the_oldest() {
    let mut world = running("", json!({"numprocesses": 2, "min_uptime": 5}));
    crash(&mut world, 2);
    assert_eq!(world.states("web"), [(1, "starting"), (2, "backoff")]);
    scale(&mut world, -1);
    assert_eq!(world.states("web"), [(1, "starting")]);
}

#[test]
fn what_ignores_the_stop_signal_is_killed_in_time_and_replaced() {
    let mut world = running("deaf", json!({"graceful_timeout": 3}));
    world.supervisor.stop_process(Pid(1), world.now).expect("it lives");
    world.pass(ms(2_990));
    assert_eq!(world.states("web"), [(1, "stopping")]);
    world.pass(ms(20));
    assert_eq!(world.pids("web"), [2]);
    let exit = world.events.iter().find_map(|event| {
        let Event::Exit { subject, status, .. } = event else { return None };
        Some((subject.pid, *status))
    });
    let killed = ExitStatus::Signal { signal: Signal::KILL, core: false };
    assert_eq!(exit, Some((Pid(1), Some(killed))));
}

#[test]
fn a_frozen_process_is_woken_to_see_its_stop_signal() {
    let mut world = running("", json!({"graceful_timeout": 3}));
    let sigstop = Signal::from_number(19).expect("SIGSTOP");
    world.supervisor.kill(Pid(1), sigstop).expect("it lives");
    stop(&mut world);
    world.pass(ms(10));
    assert_eq!(world.kernel.living(), 0);
}

#[test]
fn planned_exits_are_never_counted() {
    let mut world = running("", json!({"flapping": {"attempts": 1, "max_retry": 0}}));
    for _ in 0..5 {
        let pid = Pid(world.pids("web")[0]);
        world.supervisor.stop_process(pid, world.now).expect("it lives");
        world.pass(ms(10));
        assert_eq!(world.states("web"), [(1, "starting")], "no delay, no flapping");
    }
    assert_eq!(view(&world)["restarts"], 0);
    let pid = world.pids("web")[0];
    crash(&mut world, pid);
    assert_eq!(world.states("web"), [(1, "failed")], "one of its own is one too many");
}

#[test]
fn restart_policies_look_at_the_exit_code() {
    for (policy, code, state) in [
        ("always", 0, "backoff"),
        ("on-failure", 0, "exited"),
        ("on-failure", 3, "backoff"),
        ("on-success", 0, "backoff"),
        ("on-success", 3, "exited"),
        ("never", 3, "exited"),
    ] {
        let mut world = World::new(1);
        world.load("web", job(&format!("life=10 code={code}"), json!({"restart": policy})));
        world.pass(ms(100));
        assert_eq!(world.states("web"), [(1, state)], "{policy} after {code}");
    }
}

#[test]
fn a_run_of_min_uptime_is_restarted_at_once() {
    let mut world = World::new(1);
    world.load("web", job("life=1500 code=1", json!({})));
    world.pass(ms(1_510));
    assert_eq!(world.pids("web"), [2]);
}

#[test]
fn flapping_gives_up_after_max_retry() {
    let mut world = World::new(1);
    let flapping = json!({"attempts": 2, "window": 1, "retry_in": 7, "max_retry": 2});
    world.load("web", job("life=10 code=1", json!({"flapping": flapping})));
    world.pass(SECOND * 60);
    assert_eq!(world.states("web"), [(1, "failed")]);
    assert_eq!(world.kernel.spawns, 6);
    assert_eq!(world.deadline(), None);
    start(&mut world);
    assert_eq!(world.states("web"), [(1, "starting")], "a start forgives");
}

#[test]
fn a_spawn_failure_backs_off_with_its_stage_and_errno() {
    let mut world = World::new(1);
    world.load("web", job("fail=exec:2", json!({"min_uptime": 0})));
    assert_eq!(world.states("web"), [(1, "backoff")]);
    let deaths = deaths(&world);
    assert_eq!(deaths[0]["stage"], "exec");
    assert_eq!(deaths[0]["errno"], 2);
    assert_eq!(deaths[0]["reason"], "exec child: No such file or directory");
    world.pass(SECOND * 60);
    assert!(world.kernel.spawns < 9, "{} spawns in a minute", world.kernel.spawns);
}

#[test]
fn an_order_that_fails_starts_nothing_twice() {
    let mut world = World::new(1);
    world.load("web", job("", json!({"uid": "nobody", "start": false, "numprocesses": 5})));
    world.accounts_are_down.set(true);
    start(&mut world);
    assert_eq!(world.states("web"), [1, 2, 3, 4, 5].map(|number| (number, "backoff")));
    assert_eq!(deaths(&world).as_array().map(Vec::len), Some(5));
    world.accounts_are_down.set(false);
    world.pass(ms(3_000));
    assert_eq!(world.pids("web").len(), 5);
}

#[test]
fn a_one_off_of_a_stopped_job_ends_at_shutdown() {
    let mut world = running("", json!({}));
    stop(&mut world);
    world.pass(SECOND);
    world.supervisor.commit(&name("web"), Commit::default(), world.now).expect("loaded");
    world.pass(SECOND);
    assert_eq!(world.kernel.living(), 1);
    assert_eq!(view(&world)["max_processes"], 0, "the job stays stopped");
    shutdown(&mut world);
    world.pass(ms(10));
    assert_eq!(world.supervisor.processes_left(), 0);
    assert_eq!(world.kernel.living(), 0);
}

#[test]
fn a_one_offs_death_is_not_the_kept_ones() {
    let mut world = running("", json!({}));
    let commit = Commit::new([].into(), None);
    let pid = world.supervisor.commit(&name("web"), commit, world.now).expect("loaded");
    world.turn();
    crash(&mut world, pid.0);
    let view = view(&world);
    assert_eq!(view["deaths"], 1);
    assert_eq!(view["instances"][0]["deaths"], 0);
}

#[test]
fn a_job_waits_for_its_predecessor_and_then_starts() {
    let mut world = running("deaf", json!({"graceful_timeout": 4}));
    unload(&mut world);
    world.load("web", job("", json!({"numprocesses": 2})));
    world.pass(ms(3_900));
    assert_eq!(world.states("web"), [(1, "waiting"), (2, "waiting")]);
    world.pass(ms(200));
    assert_eq!(world.pids("web").len(), 2);
}

#[test]
fn a_rolling_restart_takes_one_after_the_other() {
    let mut world = running("", json!({"numprocesses": 3}));
    world.supervisor.restart_job(&name("web"), world.now).expect("up");
    for step in 1..=3 {
        world.pass(ms(500));
        let up = world.states("web").iter().filter(|(_, state)| *state == "running").count();
        assert_eq!(up, 2, "step {step}");
        world.pass(ms(500));
    }
    world.pass(SECOND);
    assert_eq!(world.pids("web"), [4, 5, 6]);
}

#[test]
fn a_rolling_restart_goes_on_when_its_instance_is_scaled_away() {
    let mut world = running("term=5000", json!({"numprocesses": 3}));
    world.supervisor.restart_job(&name("web"), world.now).expect("up");
    world.turn();
    assert_eq!(world.states("web")[0], (1, "stopping"));
    scale(&mut world, -1);
    world.pass(SECOND * 30);
    assert_eq!(world.pids("web"), [4, 5], "both of the others were restarted");
}

#[test]
fn a_rolling_restart_does_not_keep_down_what_is_in_backoff() {
    let mut world = running("", json!({"numprocesses": 2, "backoff": {"base": 5, "jitter": 0}}));
    world.supervisor.restart_job(&name("web"), world.now).expect("up");
    world.pass(ms(500));
    scale(&mut world, 1);
    crash(&mut world, 2);
    world.pass(SECOND * 10);
    assert_eq!(world.states("web"), [(1, "running"), (2, "running"), (3, "running")]);
}

#[test]
fn update_never_shrinks_and_starts_what_was_stopped() {
    let mut world = running("", json!({"numprocesses": 3}));
    let update = |world: &mut World, keys: Value| {
        world.supervisor.update(entry("web", job("", keys)), world.now).expect("loaded");
        world.pass(ms(2_000));
    };
    update(&mut world, json!({"numprocesses": 1}));
    assert_eq!(world.pids("web"), [4, 5, 6], "new processes, as many as before");
    stop(&mut world);
    world.pass(SECOND);
    update(&mut world, json!({"numprocesses": 2, "start": false}));
    assert_eq!(world.kernel.living(), 0);
    world.told();
    update(&mut world, json!({"numprocesses": 2}));
    assert_eq!(world.pids("web").len(), 2);
    assert_eq!(world.told()[..2], ["update", "start"]);
}

#[test]
fn start_false_holds_until_somebody_starts_it() {
    let mut world = World::new(1);
    world.load("web", job("", json!({"start": false, "numprocesses": 2})));
    assert_eq!(world.told(), ["load"]);
    assert_eq!(scale(&mut world, 1), 3);
    let signal = Signal::HUP;
    world.supervisor.kill_job(&name("web"), signal, world.now).expect("loaded");
    world.pass(SECOND);
    assert_eq!(world.kernel.spawns, 0);
    assert_eq!(view(&world)["desired"], "hold");
    start(&mut world);
    assert_eq!(world.pids("web").len(), 2);
}

#[test]
fn a_second_stop_hurries() {
    let mut world = running("deaf", json!({"graceful_timeout": 60}));
    stop(&mut world);
    world.pass(SECOND);
    assert_eq!(world.kernel.living(), 1);
    stop(&mut world);
    world.pass(ms(10));
    assert_eq!(world.kernel.living(), 0);
    assert_eq!(world.states("web"), [(1, "stopped")]);
}

#[test]
fn a_second_shutdown_kills_at_once_what_is_there_and_what_turns_up() {
    let mut world = running("deaf kid=ed", json!({"graceful_timeout": 60, "numprocesses": 3}));
    shutdown(&mut world);
    world.pass(SECOND);
    assert_eq!(world.kernel.living(), 6);
    let refused = world.supervisor.load(entry("late", job("", json!({}))), Origin::Api, world.now);
    assert_eq!(refused, Err(Refusal::ShuttingDown));
    shutdown(&mut world);
    world.pass(ms(20));
    assert_eq!(world.kernel.living(), 0, "the descendants that had escaped, too");
    assert_eq!(world.supervisor.processes_left(), 0);
}

#[test]
fn a_group_that_outlives_its_leader_is_ended_before_the_exit_is_told() {
    let mut world = running("kid=gd", json!({"graceful_timeout": 2}));
    crash(&mut world, 1);
    assert_eq!(world.states("web"), [(1, "stopping")]);
    assert!(world.told().is_empty(), "no exit yet");
    world.pass(ms(2_100));
    assert_eq!(world.told()[0], "exit");
    assert_eq!(deaths(&world)[0]["outlived"], true);
    assert_eq!(world.pids("web"), [2]);
}

#[test]
fn a_group_that_ends_unseen_is_noticed_by_looking() {
    let mut world = running("kid=gu", json!({"graceful_timeout": 60}));
    crash(&mut world, 1);
    world.pass(ms(100));
    assert_eq!(world.pids("web"), [2], "long before the grace period is over");
}

#[test]
fn a_pipe_held_by_a_stranger_delays_the_exit_by_the_drain_only() {
    let mut world = running("kid=esd", json!({}));
    crash(&mut world, 1);
    world.pass(ms(180));
    assert!(world.told().is_empty(), "its last words are awaited");
    world.pass(ms(20));
    assert_eq!(world.told()[0], "exit");
}

fn left_over(world: &mut World, child: &Child, number: u32, detach: bool) -> Running {
    let (os_pid, start_time) = world.kernel.leave(child, &name("web"), number, world.now);
    Running {
        job: name("web"),
        number,
        pid: Pid(70 + u64::from(number)),
        os_pid,
        start_time,
        detach,
        stop_signal: Signal::TERM,
        graceful_timeout: SECOND,
        started_at: None,
    }
}

#[test]
fn recovered_processes_end_before_their_job_starts() {
    let mut world = World::new(1);
    let deaf = Child { obeys: None, ..Child::good() };
    let running = left_over(&mut world, &deaf, 1, false);
    let stray = left_over(&mut world, &Child::good(), 2, false);
    world.supervisor.recovered(running, world.now);
    let Running { job: of, number, os_pid, start_time, .. } = stray;
    let stray = Stray { job: of, number, run: None, os_pid, start_time };
    world.supervisor.recovered_stray(stray, world.now);
    world.load("web", job("", json!({})));
    world.pass(ms(900));
    assert_eq!(world.states("web"), [(1, "waiting")]);
    world.pass(ms(200));
    assert_eq!(world.pids("web").len(), 1);
    assert_eq!(world.kernel.living(), 1);
    let strangers = world.told().iter().filter(|event| *event == "exit").count();
    assert_eq!(strangers, 0, "they are no processes of the API");
}

#[test]
fn a_second_stop_hurries_what_is_left_of_a_former_life() {
    let mut world = World::new(1);
    let deaf = Child { obeys: None, ..Child::good() };
    let mut running = left_over(&mut world, &deaf, 1, false);
    running.graceful_timeout = SECOND * 60;
    world.supervisor.recovered(running, world.now);
    world.load("web", job("deaf", json!({"graceful_timeout": 60, "start": false})));
    stop(&mut world);
    world.pass(SECOND);
    assert_eq!(world.kernel.living(), 1);
    stop(&mut world);
    world.pass(ms(10));
    assert_eq!(world.kernel.living(), 0);
    start(&mut world);
    world.pass(SECOND);
    unload(&mut world);
    world.load("web", job("", json!({"start": false})));
    stop(&mut world);
    stop(&mut world);
    world.pass(ms(10));
    assert_eq!(world.kernel.living(), 0, "of an unloaded job of the same name, too");
}

#[test]
fn a_job_that_is_detached_no_more_waits_for_its_former_processes() {
    let mut world = World::new(1);
    let running = left_over(&mut world, &Child::good(), 1, true);
    world.supervisor.recovered(running, world.now);
    world.load("web", job("", json!({})));
    assert_eq!(world.states("web"), [(1, "waiting")]);
    world.pass(ms(10));
    assert_eq!(world.kernel.living(), 1);
    assert_eq!(world.pids("web").len(), 1);
}

#[test]
fn detached_processes_survive_shutdown_and_are_claimed() {
    let mut world = running("", json!({"detach": true, "numprocesses": 2}));
    world.supervisor.commit(&name("web"), Commit::default(), world.now).expect("loaded");
    world.turn();
    world.supervisor.stop_process(Pid(2), world.now).expect("it lives");
    shutdown(&mut world);
    world.pass(ms(10));
    assert_eq!(world.supervisor.processes_left(), 0);
    assert_eq!(world.kernel.living_of(&name("web")), [1], "neither the one-off nor the stopped");

    let mut next = World::new(2);
    for number in [1, 2, 3] {
        let running = left_over(&mut next, &Child::good(), number, true);
        next.supervisor.recovered(running, next.now);
    }
    next.load("web", job("", json!({"detach": true, "numprocesses": 2})));
    assert_eq!(next.kernel.spawns, 0, "both places are filled already");
    assert_eq!(next.told().iter().filter(|event| *event == "spawn").count(), 2);
    assert_eq!(next.supervisor.end_unclaimed(next.now), 1);
    next.pass(ms(10));
    assert_eq!(next.kernel.living(), 2);
    let id = next.instance_of(next.pids("web")[0]);
    next.kernel.crash(id, ExitStatus::Unknown, next.now);
    next.pass(ms(2_000));
    assert_eq!(next.kernel.spawns, 1, "and kept alive from now on");
    assert_eq!(next.model.on_record(), 2);
}

#[test]
fn a_stray_told_twice_is_ended_once() {
    let mut world = World::new(1);
    let (os_pid, start_time) = world.kernel.leave(&Child::good(), &name("gone"), 1, world.now);
    let stray = Stray { job: name("gone"), number: 1, run: None, os_pid, start_time };
    world.supervisor.strayed(stray.clone(), world.now);
    world.supervisor.strayed(stray, world.now);
    assert_eq!(world.supervisor.processes_left(), 1);
    world.turn();
    world.pass(ms(10));
    assert_eq!(world.kernel.living(), 0);
}

#[test]
fn unloading_beside_a_straggler_tells_nothing_of_it() {
    let mut world = running("kid=ed", json!({"graceful_timeout": 5}));
    crash(&mut world, 1);
    assert_eq!(world.supervisor.processes_left(), 2, "the escaped one is being ended");
    world.told();
    unload(&mut world);
    world.load("web", job("", json!({})));
    world.pass(ms(10));
    assert_eq!(world.pids("web").len(), 1, "it is not waited for");
    world.pass(SECOND * 10);
    assert_eq!(world.told().iter().filter(|event| *event == "exit").count(), 1);
}

#[test]
fn stop_of_all_processes_leaves_given_up_ones_alone() {
    let mut world = running("life=10 code=1", json!({"restart": "never"}));
    world.supervisor.stop_processes(&name("web"), world.now).expect("loaded");
    world.pass(SECOND);
    assert_eq!(world.states("web"), [(1, "exited")]);
}

#[test]
fn reloading_a_stopping_job_doubles_no_place() {
    let mut world = running("term=3000", json!({}));
    stop(&mut world);
    world.supervisor.reload(&name("web"), world.now).expect("loaded");
    start(&mut world);
    assert_eq!(world.kernel.living(), 1);
    world.pass(SECOND * 4);
    assert_eq!(world.pids("web"), [2]);
}

#[test]
fn reload_starts_replacements_beside_the_old_ones() {
    let mut world = running("term=3000", json!({"numprocesses": 2}));
    world.model.reloading(&name("web"));
    world.supervisor.reload(&name("web"), world.now).expect("loaded");
    world.turn();
    assert_eq!(world.kernel.living(), 4);
    world.pass(SECOND * 4);
    assert_eq!(world.pids("web"), [3, 4]);
}

#[test]
fn many_crashes_at_once_are_restarted_at_the_nodes_rate() {
    let mut world = running("", json!({"numprocesses": 200}));
    for pid in world.pids("web") {
        let id = world.instance_of(pid);
        world.kernel.crash(id, ExitStatus::Code(1), world.now);
    }
    world.pass(ms(500));
    let up = world.pids("web").len();
    assert!((50..=61).contains(&up), "{up} after half a second");
    world.pass(SECOND * 10);
    assert_eq!(world.pids("web").len(), 200);
    assert_eq!(world.deadline(), None);
}

#[test]
fn a_run_counts_from_its_process_and_not_from_its_order() {
    let mut world = World::new(1);
    let config = json!({"cmd": "child life=10 code=1", "min_uptime": 1.0});
    let supervisor = &mut world.supervisor;
    supervisor.load(entry("web", config), Origin::Api, world.now).expect("a good job");
    // The shell has others to start before.
    world.now = world.now.plus(Duration::from_secs(5));
    world.supervisor.on_time(world.now);
    assert_eq!(world.states("web"), [(1, "starting")]);
    world.turn();
    assert_eq!(world.states("web"), [(1, "starting")]);
    world.pass(Duration::from_millis(20));
    assert_eq!(world.states("web"), [(1, "backoff")], "it did not run well");
}

/// A world in which the first of three processes of `web` is started and the others are ordered.
fn ordered() -> World {
    let mut world = World::new(1);
    world.start_share = 1;
    world.load("web", job("", json!({"numprocesses": 3})));
    assert_eq!((world.kernel.spawns, world.pids("web")), (1, vec![1, 2, 3]));
    world.told();
    world.start_share = 0;
    world
}

#[test]
fn what_is_stopped_before_it_is_started_is_never_started() {
    let mut world = ordered();
    world.supervisor.commit(&name("web"), Commit::default(), world.now).expect("up");
    stop(&mut world);
    assert_eq!(world.states("web"), [(1, "stopping"), (2, "stopped"), (3, "stopped")]);
    world.start_share = usize::MAX;
    world.pass(SECOND);
    assert_eq!(world.kernel.spawns, 1);
    assert_eq!(
        world.told(),
        ["stop", "job.default.web.stop", "stop_process", "exit", "job.default.web.exit"]
    );
    assert_eq!(deaths(&world).as_array().map(Vec::len), Some(1), "{}", deaths(&world));
    start(&mut world);
    world.pass(SECOND * 2);
    assert_eq!(world.pids("web"), [5, 6, 7]);
}

#[test]
fn what_is_ordered_can_be_scaled_away_unloaded_replaced_and_shut_down() {
    let mut world = ordered();
    scale(&mut world, -2);
    assert_eq!(world.pids("web"), [1], "what is not there yet goes first");
    scale(&mut world, 2);
    world.supervisor.stop_process(Pid(5), world.now).expect("ordered");
    world.turn();
    assert_eq!(world.pids("web"), [1, 4, 6], "a kept one has a new order");
    let twice = json!({"numprocesses": 3, "env": {"A": "1"}});
    world.supervisor.update(entry("web", job("", twice)), world.now).expect("loaded");
    world.turn();
    assert_eq!(world.kernel.spawns, 1);
    unload(&mut world);
    world.pass(SECOND);
    world.load("web", job("", json!({"numprocesses": 3})));
    shutdown(&mut world);
    assert_eq!(world.supervisor.processes_left(), 0);
    assert_eq!((world.kernel.spawns, world.kernel.living()), (1, 0));
}

#[test]
fn a_signal_to_what_is_ordered_reaches_it_once_it_is_there() {
    let mut world = ordered();
    for _ in 0..2 {
        world.supervisor.kill(Pid(2), Signal::TERM).expect("ordered");
    }
    world.turn();
    assert!(world.told().is_empty());
    world.start_share = usize::MAX;
    world.turn();
    world.pass(ms(10));
    let told = world.told();
    assert_eq!(told.iter().filter(|event| *event == "proc.2.kill").count(), 1, "{told:?}");
    assert_eq!(deaths(&world)[0]["pid"], 2);
}

#[test]
fn a_rolling_restart_waits_for_what_is_ordered() {
    let mut world = World::new(1);
    world.start_share = 0;
    world.load("web", job("", json!({"numprocesses": 2})));
    world.supervisor.restart_job(&name("web"), world.now).expect("up");
    world.turn();
    assert_eq!(world.pids("web"), [1, 2]);
    world.start_share = usize::MAX;
    world.pass(SECOND * 10);
    assert_eq!(world.pids("web"), [1, 3]);
}
