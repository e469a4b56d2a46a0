//! Floor 4: what gafferd is, without a socket or a descriptor: one machine that takes facts in and
//! hands effects out.
//!
//! Read in this order: `machine` (the door to the shell), `gaffer` (the machine), `inputs` and `clients`,
//! `ctx` and `routes` (what an endpoint gets), `api_jobs`, `api_pids`, `api_logs`, `api_misc`, then `outputs`,
//! `logs`, `stats`, `waits` and `state`. What is followed: `topics`, `history`, `hub` and `channel` (sessions),
//! `feeds`, `following` and `api_feeds` (single connections), `watches` and `measuring` (statistics),
//! `metrics` and `health` (who watches from outside), `commands`, `stdins` and `writers` (what clients do and write). What others are told: `lookups`, `registering`,
//! `webhooks`, `hooking`, `api_webhooks`; `listening` for jobs. What stands beside the endpoints: `plugins`,
//! `serving`, `api_plugins`; `api_dashboard` and `overview` (the page, and what it is told).
//! What a host program adds: `host` and `apps`; what programs add that run as jobs: `programs`. What is written down of the routes: `openapi`.
//! Who may do what, and see: `masking`, `keys`, `permission`, `admission`, `api_auth`, `api_keys`, `api_users`.

mod admission;
pub mod aligned;
pub mod api_auth;
pub mod api_dashboard;
pub mod api_deaths;
pub mod api_feeds;
pub mod api_jobs;
pub mod api_keys;
pub mod api_log_level;
pub mod api_logs;
pub mod api_metrics;
pub mod api_misc;
pub mod api_pids;
pub mod api_plugins;
pub mod api_usage;
pub mod api_users;
pub mod api_webhooks;
pub mod apps;
pub mod body;
pub mod channel;
mod clients;
pub mod commands;
pub mod console;
pub mod ctx;
pub mod deaths;
pub mod feeds;
pub mod following;
pub mod gaffer;
pub mod health;
pub mod history;
mod hooking;
pub mod host;
pub mod hub;
mod inputs;
pub mod journal;
pub mod keys;
mod listeners;
mod listening;
mod logs;
pub mod lookups;
pub mod machine;
pub mod masking;
pub mod measuring;
pub mod metrics;
pub mod openapi;
pub mod outputs;
mod overview;
pub mod permission;
pub mod plugins;
pub mod programs;
pub mod reading;
mod registering;
mod remembering;
mod replaying;
pub mod reply;
pub mod routes;
mod serving;
pub mod state;
pub mod stats;
pub mod stdins;
pub mod streams;
mod sweep;
mod taps;
mod tending;
#[cfg(test)]
mod testing;
pub mod topics;
pub mod usage_history;
pub mod usage_table;
pub mod waits;
pub mod watches;
pub mod webhooks;
pub mod writers;
