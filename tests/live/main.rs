//! The real gafferd with real children, real signals and real sockets. Few tests, each with its own
//! folder and port 0; nothing here waits for time to pass, only for conditions, with a deadline.
//! Where that nothing happens is the promise, it is looked at for a while.

mod background;
mod cli;
mod client;
mod clients;
mod crash;
mod deaths;
mod dev;
mod ending;
mod http;
mod node;
mod numbers;
mod options;
mod procfile;
mod procs;
#[cfg(feature = "top")]
mod pty;
mod refusals;
mod reload;
mod state;
#[cfg(feature = "top")]
mod top;
mod tree;
mod until;
mod wire;
