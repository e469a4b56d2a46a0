//! Floor 5: what `gaffer_lookupd` is, without a socket: the second machine. It knows which node runs
//! what, because the nodes tell it, and tells it to everybody else.
//!
//! Read in this order: `registry` (what is known, a pure type that anybody may feed), `identity` and
//! `names` (of what it is made), `lookupd` (the machine), `nodes` and `links` (who feeds it), `store` and
//! `stored` (an etcd that feeds it instead), `routes`, `clients` and `listing` (who asks), `following` (who is told).

mod clients;
pub mod following;
pub mod identity;
mod links;
pub mod listing;
pub mod lookupd;
pub mod names;
mod nodes;
mod probes;
pub mod registry;
pub mod routes;
mod store;
mod stored;
