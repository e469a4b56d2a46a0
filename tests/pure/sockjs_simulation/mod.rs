//! A `SockJS` service under simulation: an application that replies, publishes, pauses and ends at
//! random, and clients of every transport that stall, vanish and end their side, in virtual time. Each
//! client checks that what it gets is what the protocol allows: an `o` first, every reply in order
//! and none missing, what was published in order with every gap told, and nothing after the end.

mod client;
mod stream;
mod world;

use crate::seeds::{self, Replay};
use world::{Seen, World};

/// Seeds of one run of the tests.
const SEEDS: u64 = 100;
const STEPS: usize = 600;

fn play_twice(seed: u64) -> Seen {
    let _replay = Replay { seed, test: "sockjs_simulation::one_seed" };
    let seen = World::run(seed, STEPS);
    assert_eq!(World::run(seed, STEPS), seen, "the same seed plays the same");
    seen
}

#[test]
fn sessions_survive_what_clients_and_applications_do() {
    let mut seen = Seen::default();
    for seed in 1..=SEEDS {
        seen.add(&play_twice(seed));
    }
    // A simulation in which nothing happens proves nothing.
    for (what, count) in seen.all() {
        println!("{count} {what}");
        assert!(count >= SEEDS / 2, "only {count} {what}");
    }
}

#[test]
fn one_seed() {
    play_twice(seeds::wanted());
}
