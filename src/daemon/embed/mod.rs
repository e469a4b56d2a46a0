//! A node inside another program: its jobs are supervised on one of the program's threads, and it listens
//! nowhere, keeps nothing and takes no signal unless it is told to.
//!
//! ```
//! use gaffer::embed::{Config, Daemon, Method, Needs, Response};
//!
//! # fn main() -> Result<(), gaffer::embed::Error> {
//! let mut daemon = Daemon::builder(Config::new().bind("127.0.0.1:0"))
//!     .job("site.web", serde_json::json!({"cmd": "sleep 1000"}))
//!     .route(Method::Get, "/hello/:name", Needs::Nothing, |node, asked| {
//!         let text = format!("Hello {}, of {} jobs\n", asked.part("name"), node.jobs().len());
//!         Response::text(200, text)
//!     })
//!     .build()?;
//! println!("listening on {}", daemon.addresses()[0]);
//! let handle = daemon.handle();
//! # #[expect(clippy::disallowed_methods, reason = "another thread of a host")]
//! let other = std::thread::spawn(move || {
//!     handle.scale("site.web", 3)?;
//!     handle.shut_down()
//! });
//! assert_eq!(daemon.run()?, 0);
//! other.join().expect("it does not panic").expect("the node was there");
//! # Ok(())
//! # }
//! ```
//!
//! A program with a loop of its own takes turns instead of [`Daemon::run`]: see [`Daemon::turn`].
//!
//! What is public here is meant to be used; the rest of the library may change more often.

mod builder;
mod config;
mod error;
mod handle;
mod hosted;

pub use builder::Builder;
pub use config::Config;
pub use error::Error;
pub use handle::{Handle, Reply, Subscription};
pub use hosted::Daemon;

pub use crate::front::response::Response;
pub use crate::front::rights::Right;
pub use crate::node::apps::{App, Followed};
pub use crate::node::host::{Asked, Event, Node, Refused};
pub use crate::node::permission::Needs;
pub use crate::wire::http::Method;
