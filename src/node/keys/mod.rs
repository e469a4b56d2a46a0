//! Keys and users: who is known to this node, and what each may do (the protocol, section 2).
//!
//! Read in this order: `secrets` (what nobody can guess), `key` and `user` (a record each), `store` and
//! `users` (the tables), `caller` (somebody who asks, with his rights), `attempts` (who fails too often), `door` (all of it).
//!
//! Of a key only its hash is kept; its id is the beginning of that, and is no secret. A key may come from
//! another: it never permits more than that, and goes with it.

pub mod attempts;
pub mod caller;
pub mod door;
pub mod key;
pub mod secrets;
pub mod store;
pub mod user;
pub mod users;
