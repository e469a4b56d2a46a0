//! An operator who acts at random, on few names so that everything meets everything.

use std::time::Duration;

use gaffer::base::ids::Pid;
use gaffer::base::process::Signal;
use gaffer::base::random::Random;
use gaffer::supervisor::instance::Commit;
use gaffer::supervisor::job::Origin;
use gaffer::supervisor::tables::Refusal;
use gaffer::supervisor::verbs::Scale;
use gaffer::supervisor::JobName;
use serde_json::{json, Map, Value};

use super::world::{entry, name, World};

const NAMES: [&str; 4] = ["web", "worker", "s.clock", "s.mail"];
const SIGNALS: [Signal; 5] = [Signal::HUP, Signal::INT, Signal::TERM, Signal::KILL, Signal::CONT];

/// Whoever sits before the API.
pub(crate) struct Operator {
    random: Random,
}

impl Operator {
    pub(crate) fn new(seed: u64) -> Self {
        Self { random: Random::seeded(seed ^ 0x0F0F) }
    }

    /// Uniform in `0..n`.
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.random.below(n)
    }

    pub(crate) fn ms(&mut self, below: u64) -> Duration {
        Duration::from_millis(self.random.below(below))
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        let length = u64::try_from(from.len()).expect("short");
        from[usize::try_from(self.random.below(length)).expect("short")]
    }

    /// Does one thing. What is refused changes nothing, which the checks will see.
    pub(crate) fn act(&mut self, world: &mut World) {
        let job = name(self.pick(&NAMES));
        let verb = self.below(24);
        world.note(format_args!("verb {verb} on {job}"));
        let now = world.now;
        let done = match verb {
            0..=3 => {
                let entry = entry(&job.to_string(), self.config());
                world.supervisor.load(entry, Origin::Api, now)
            }
            4 => world.supervisor.unload(&job, now),
            5 | 6 => world.supervisor.start_job(&job, now),
            7 => world.supervisor.stop_job(&job, now),
            8 => world.supervisor.restart_job(&job, now),
            9 => {
                world.model.reloading(&job);
                world.supervisor.reload(&job, now)
            }
            10 => world.supervisor.update(entry(&job.to_string(), self.config()), now),
            11 => world.supervisor.reconfigure(entry(&job.to_string(), self.config()), now),
            12..=14 => self.scale(world, &job),
            15 => self.commit(world, &job),
            16 | 17 => self.stop_one(world),
            18 => world.supervisor.stop_processes(&job, now),
            19 => world.supervisor.kill_job(&job, self.pick(&SIGNALS), now),
            20 | 21 => self.kill_one(world),
            22 => {
                let down = !world.accounts_are_down.get();
                world.accounts_are_down.set(down && self.below(2) == 0);
                Ok(())
            }
            _ => {
                if let Some(fact) = world.kernel.tell_any_stray() {
                    world.tell(fact);
                }
                Ok(())
            }
        };
        world.note(format_args!("done {done:?}"));
    }

    fn scale(&mut self, world: &mut World, job: &JobName) -> Result<(), Refusal> {
        let scale = match self.below(8) {
            0 => Scale::To(0),
            1 => Scale::To(i64::try_from(self.below(40)).expect("small")),
            2..=4 => Scale::By(-i64::try_from(self.below(4)).expect("small")),
            _ => Scale::By(i64::try_from(self.below(4)).expect("small")),
        };
        world.supervisor.scale(job, scale, world.now).map(|_| ())
    }

    fn commit(&mut self, world: &mut World, job: &JobName) -> Result<(), Refusal> {
        let grace = (self.below(2) == 0).then(|| self.ms(3_000));
        let commit = Commit::new([("EXTRA".to_owned(), "1".to_owned())].into(), grace);
        world.supervisor.commit(job, commit, world.now).map(|_| ())
    }

    fn any_pid(&mut self, world: &World) -> Pid {
        let pids: Vec<Pid> = world.supervisor.live_pids().collect();
        if pids.is_empty() {
            return Pid(1);
        }
        self.pick(&pids)
    }

    fn stop_one(&mut self, world: &mut World) -> Result<(), Refusal> {
        let pid = self.any_pid(world);
        world.supervisor.stop_process(pid, world.now)
    }

    fn kill_one(&mut self, world: &mut World) -> Result<(), Refusal> {
        let pid = self.any_pid(world);
        let stop = Signal::from_number(19).expect("SIGSTOP");
        let signal = if self.below(3) == 0 { stop } else { self.pick(&SIGNALS) };
        world.supervisor.kill(pid, signal)
    }

    /// A configuration, often a nasty one. `max_retry` stays below what the model knows.
    fn config(&mut self) -> Value {
        let mut config = Map::new();
        let cmd = self.pick(&[
            "mixed",
            "mixed",
            "mixed",
            "child",
            "child deaf",
            "child term=400 kid=gs kid=gdu",
            "child life=0 code=1",
            "child life=700 code=1 kid=es",
            "child fail=exec:2",
        ]);
        config.insert("cmd".into(), json!(cmd));
        config.insert("numprocesses".into(), json!(self.below(5)));
        config.insert("graceful_timeout".into(), self.pick(&[0.0, 0.3, 1.0, 3.0]).into());
        config.insert("min_uptime".into(), self.pick(&[0.0, 0.2, 1.0]).into());
        config.insert(
            "restart".into(),
            json!(self.pick(&["always", "always", "on-failure", "never"])),
        );
        if self.below(3) == 0 {
            config.insert(
                "flapping".into(),
                json!({
                    "attempts": self.below(3) + 1, "window": self.pick(&[0.5, 2.0]),
                    "retry_in": self.pick(&[0.0, 0.5, 4.0]), "max_retry": self.below(3),
                }),
            );
        }
        if self.below(3) == 0 {
            config
                .insert("backoff".into(), json!({"base": self.pick(&[0.0, 0.05, 0.5]), "max": 5}));
        }
        for (key, value, one_in) in [
            ("start", json!(false), 6),
            ("detach", json!(true), 8),
            ("uid", json!("nobody"), 6),
            ("stop_signal", json!("INT"), 6),
            ("stop_signal", json!("KILL"), 9),
            ("port", json!(5000), 9),
        ] {
            if self.below(one_in) == 0 {
                config.insert(key.into(), value);
            }
        }
        Value::Object(config)
    }
}
