//! Floor 2: pure decisions about jobs. No bytes, no descriptors, no clock: verbs and facts come in
//! with the time, effects and events go out.
//!
//! **Intent and observation are apart.** A job's intent is [`Desired`](job::Desired) and a target
//! number; verbs change only that. What is observed are instances with their states. Every verb
//! ends in [`converge`], which spawns what is missing and stops what is too many; every fact in the
//! same for its one instance.
//!
//! Read in this order: `spec` (what a job is), `job` and `instance` (the two tables), `restart`
//! (what follows an exit), `converge`, `verbs`, `facts`, `ending`.

pub mod converge;
pub mod death;
pub mod effect;
pub mod ending;
pub mod event;
pub mod expand;
pub mod facts;
pub mod former;
pub mod hearer;
pub mod instance;
pub mod invariants;
pub mod job;
pub mod name;
pub mod order;
pub mod phases;
pub mod restart;
mod restart_queue;
pub mod settled;
pub mod shutdown;
pub mod spec;
mod spec_fields;
pub mod spec_keys;
mod spec_listen;
pub mod spec_logs;
pub mod spec_read;
pub mod spec_text;
pub mod tables;
pub mod tally;
mod unlogged;
pub mod verbs;
pub mod view;

pub use effect::Effect;
pub use event::Event;
pub use name::JobName;
pub use spec::JobSpec;
pub use tables::Supervisor;
