//! The whole node under simulation: requests through the real HTTP machine, children of every
//! temper, a disk that fills up, and a daemon that is killed now and then. After every turn the
//! node's invariants hold and the disk tells the truth. Clients that follow and write, over every
//! transport, get each byte, event and answer in order, or are told how much is missing; when they
//! are gone, nothing of them is left.

mod clients;
mod followers;
mod live;
mod node;
mod sessions;
mod sites;
mod wire;
mod words;

use std::time::Duration;

use gaffer::base::process::Signal;
use gaffer::node::machine::Machine as _;

use crate::seeds::{self, Replay};
use clients::Client;
use node::World;

const SEEDS: u64 = 500;
const STEPS: u32 = 1_000;
/// In one of so many seeds there are clients that follow and write, too: they cost the most.
const LIVE: u64 = 5;

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
    (SEEDS / 2..=SEEDS).for_each(play_twice);
}

fn play_twice(seed: u64) {
    let _replay = Replay { seed, test: "node_simulation::one_seed" };
    assert_eq!(play(seed), play(seed), "the same seed plays the same");
}

fn play(seed: u64) -> u64 {
    let mut world = World::new(seed);
    world.lively = seed % LIVE == 0;
    for _ in 0..STEPS {
        step(&mut world);
    }
    end(&mut world);
    world.digest()
}

fn step(world: &mut World) {
    match world.random.below(100) {
        0..=24 => {
            let client = Client::connect(&mut world.node, &mut world.random, world.now);
            world.clients.extend(client);
        }
        25 => world.disk.full = !world.disk.full,
        26 => world.node.signalled(Signal::HUP, world.now),
        27 if world.random.below(4) == 0 => world.crash(),
        28..=59 => {
            let limit = world.now.mono + Duration::from_secs(20);
            world.advance(limit);
        }
        _ => {
            let limit = world.now.mono + Duration::from_millis(1);
            world.advance(limit);
        }
    }
    if world.lively {
        world.follow();
        world.talk();
    }
    world.serve();
    world.turn();
    world.check_dirty();
}

/// A stop, perhaps two, while clients go on asking; then nothing is left.
fn end(world: &mut World) {
    world.disk.full = false;
    world.pass(Duration::from_secs(10));
    if world.lively {
        world.calm();
        world.forget_all();
    }
    world.kernel.letting_go = true;
    world.node.signalled(Signal::TERM, world.now);
    world.turn();
    world.kernel.letting_go = false;
    if world.random.below(2) == 0 {
        world.node.signalled(Signal::INT, world.now);
    }
    for _ in 0..10_000 {
        if world.exit.is_some() {
            break;
        }
        world.serve();
        world.serve_live();
        let limit = world.now.mono + Duration::from_secs(1);
        world.advance(limit);
    }
    assert_eq!(world.exit, Some(0), "the daemon does not end");
    assert!(world.kernel.leaders().is_empty(), "processes are left");
}
