//! The real gafferd with real children, and the real gaffer_lookupd with tests for nodes; real signals and
//! real sockets. Few tests, each with its own folder and port 0; nothing here waits for time to pass, only
//! for conditions, with a deadline. Where that nothing happens is the promise, it is looked at for a while.

mod across;
mod background;
mod cli;
mod cli_errors;
mod cli_logs;
mod cli_screen;
mod client;
mod clients;
mod crash;
mod dashboard;
mod deaths;
mod dev;
mod embed;
mod ending;
mod etcd;
mod farm;
mod footprint;
mod host;
mod http;
#[cfg(feature = "tls")]
mod https;
mod keys;
mod listeners;
mod logs_on_disk;
mod lookup_client;
mod lookupd;
mod metrics;
mod node;
mod numbers;
mod old_client;
mod openapi;
mod options;
mod own_log;
mod plugins;
mod procfile;
mod procs;
mod programs;
#[cfg(feature = "top")]
mod pty;
mod refusals;
mod registration;
mod reload;
mod replays;
mod site_files;
mod snapshots;
mod state;
mod terminal;
#[cfg(feature = "tls")]
mod tls;
#[cfg(feature = "top")]
mod top;
mod tree;
mod until;
mod webhooks;
mod wire;
#[path = "../pure/ws_client.rs"]
#[allow(dead_code, reason = "not all of it is needed here")]
mod ws_client;
