//! Floor 1: bytes to messages and back. No sockets, no files, no clock.

pub mod dotenv;
pub mod http;
pub mod ini;
pub mod procfile;
pub mod sockjs;
pub mod text;
pub mod ws;
pub mod ws76;
