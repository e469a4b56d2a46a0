//! Tests without sockets, children or a clock: properties of the parsers, the replayed fuzz corpus,
//! and the machine under simulation in virtual time.

mod api_traces;
mod caps;
mod deaths;
mod driven;
#[path = "../echo/machine.rs"]
mod echo;
mod etcd;
mod etcd_simulation;
mod etcd_world;
mod fake_etcd;
mod fake_link;
mod fake_lookupd;
mod fake_node;
mod fuzz_corpus;
mod http_properties;
mod http_traces;
mod ini_oracle;
mod json_schema;
mod keyholders;
mod listeners;
mod live_properties;
mod logs;
mod lookup_caps;
mod lookup_node;
mod lookup_properties;
mod lookup_simulation;
mod lookup_traces;
mod node_lives;
mod node_simulation;
mod old_client;
mod openapi;
mod pages;
mod permissions;
mod programs;
mod registration;
mod registration_simulation;
mod replays;
mod scenarios;
mod seeds;
mod simulation;
mod site_files;
mod sockjs_caps;
mod sockjs_properties;
mod sockjs_simulation;
mod sockjs_traces;
mod text_properties;
mod tidy;
#[cfg(feature = "top")]
mod top;
mod trace_client;
mod usage_history;
mod webhook_simulation;
mod webhook_world;
mod webhooks;
mod ws_client;
