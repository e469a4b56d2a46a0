//! Floor 3: connections without sockets. Bytes come in, requests go out; answers come in, bytes are
//! owed.

pub mod conn;
pub mod request;
pub mod response;
