//! Floor 3: connections without sockets. Bytes come in, requests go out; answers come in, bytes are
//! owed.

pub mod access;
pub mod clients;
pub mod conditions;
pub mod conn;
pub mod exchange;
mod held;
pub mod links;
pub mod live;
pub mod media;
pub mod outbox;
pub mod passwords;
pub mod peer;
pub mod refusals;
pub mod request;
pub mod response;
pub mod retry;
pub mod rights;
pub mod router;
pub mod sockjs;
