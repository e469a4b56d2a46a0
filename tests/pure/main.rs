//! Tests without sockets, children or a clock: properties of the parsers, the replayed fuzz corpus,
//! and the machine under simulation in virtual time.

mod api_traces;
mod caps;
mod fake_node;
mod fuzz_corpus;
mod http_properties;
mod http_traces;
mod ini_oracle;
mod live_properties;
mod node_lives;
mod node_simulation;
mod scenarios;
mod simulation;
mod text_properties;
mod tidy;
mod trace_client;
mod ws_client;
