//! gaffer controls, watches and launches applications and jobs over HTTP.

pub mod base;
pub mod front;
pub mod supervisor;
#[expect(
    unsafe_code,
    reason = "the one floor that talks to the kernel; each block says why it is sound"
)]
pub mod sys;
pub mod wire;
