//! gaffer controls, watches and launches applications and jobs over HTTP.

pub mod base;
pub mod daemon;
pub mod front;
pub mod node;
pub mod reactor;
pub mod supervisor;
#[expect(
    unsafe_code,
    reason = "the one floor that talks to the kernel; each block says why it is sound"
)]
pub mod sys;
pub mod wire;

/// The version of this program.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
