//! Floor 6: the other end of the wire, for programs that talk to a node: plain blocking calls, no
//! reactor.
//!
//! Read in this order: `address` (where a node is), `error`, `http` (one request after the other),
//! `channel` (events, output and commands over a websocket), `live` (the same for an event loop), `api`
//! (a node, its jobs and processes), `logs` (what jobs wrote), `lookup` (which of many nodes runs what, by several lookupds), with
//! `topology` and `following` (the same as it changes).
//!
//! ```no_run
//! use gaffer::client::{Address, Server};
//!
//! let mut server = Server::new("http://127.0.0.1:5000".parse::<Address>()?);
//! for name in server.jobs()? {
//!     println!("{name}: {}", server.job(&name).info()?["state"]);
//! }
//! server.job("default.web").scale("+1")?;
//! # Ok::<(), gaffer::client::Error>(())
//! ```

mod address;
mod api;
mod channel;
mod endpoint;
mod error;
mod following;
mod http;
mod live;
mod logs;
mod lookup;
mod stream;
#[cfg(feature = "tls")]
mod tls;
mod topology;

pub use address::Address;
pub use api::{Job, Process, Server, State};
pub use channel::{Channel, Heard, Look, Said};
pub use endpoint::{Endpoint, Trust};
pub use error::Error;
pub use following::Follow;
pub use http::{Body, Connection, Reply};
pub use live::{Hearing, Live};
pub use logs::{LogLines, Logs, LogsWish};
pub use lookup::{Answer, LocatedJob, LocatedSession, Lookup, Node, Silent, Source};
pub use topology::Change;
