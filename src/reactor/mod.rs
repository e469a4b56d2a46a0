//! Floor 5: the shell. It owns every descriptor, reads the clock once a turn, sleeps in one place,
//! moves bytes and performs what the machine asks for. It decides nothing.
//!
//! Read in this order: `turn` (the loop), `token`, `children`, `feed`, `sockets`, `dial`, `perform`, `sampler`, `files`.

pub mod calls;
pub mod children;
pub mod clock;
pub mod dial;
pub mod feed;
pub mod files;
mod killings;
mod nested;
pub mod perform;
mod readings;
mod resting;
pub mod sampler;
mod scratch;
mod served;
mod settling;
mod shares;
mod shelf;
pub mod sockets;
pub mod store;
pub mod strays;
mod stream;
pub mod system;
#[cfg(test)]
mod testing;
pub mod token;
pub mod turn;
pub mod work;
