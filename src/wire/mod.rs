//! Floor 1: bytes to messages and back. No sockets, no files, no clock.

pub mod channel;
pub mod dotenv;
pub mod etcd;
pub mod frame;
pub mod http;
pub mod ini;
pub mod json;
pub mod listener;
pub mod lookup;
pub mod opening;
pub mod openmetrics;
pub mod procfile;
pub mod sockjs;
pub mod sse;
pub mod syslog;
pub mod text;
pub mod topology;
pub mod webhook;
pub mod ws;
pub mod ws76;
