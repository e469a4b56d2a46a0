//! The lookupd under simulation: nodes that connect, register, change, go silent, vanish, come back, say
//! garbage, say things twice and in the wrong order, and twins that say they are somebody else; lines that
//! are cut and deliver late; a lookupd that sleeps, and a wall clock that jumps; in virtual time. Those who
//! follow build what they are told into a picture of their own, which is never wrong. When everything has
//! been quiet for a minute, the registry is what the connected nodes say, and nothing else.

pub(crate) mod follower;
mod node;
mod snapshots;
mod world;

use crate::seeds::{self, Replay};
use world::{Seen, World};

/// Seeds of one run of the tests.
const SEEDS: u64 = 200;
const STEPS: usize = 120;

fn play_twice(seed: u64) -> Seen {
    let _replay = Replay { seed, test: "lookup_simulation::one_seed" };
    let (digest, seen) = World::run(seed, STEPS);
    assert_eq!(World::run(seed, STEPS).0, digest, "the same seed plays the same");
    seen
}

#[test]
fn the_registry_is_what_the_connected_nodes_say() {
    let mut seen = Seen::default();
    for seed in 1..=SEEDS {
        seen.add(&play_twice(seed));
    }
    // A simulation in which nothing happens proves nothing.
    for what in Seen::EXPECTED {
        let count = seen.of(what);
        println!("{count} {what}");
        assert!(count >= SEEDS / 10, "only {count} {what}");
    }
}

#[test]
fn one_seed() {
    play_twice(seeds::wanted());
}
