//! Floor 0: words every other floor speaks. Only `std`, no I/O, no clock.

pub mod address;
pub mod arena;
pub mod bytes;
pub mod capabilities;
pub mod clock;
pub mod environment;
pub mod error;
pub mod few;
pub mod ids;
pub mod level;
pub mod limits;
pub mod order;
pub mod process;
pub mod random;
pub mod similar;
pub mod size;
pub mod sorted;
pub mod sorting;
pub mod timers;
#[cfg(test)]
pub(crate) mod told;
pub mod turns;
