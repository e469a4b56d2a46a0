//! Floor 5: what `gaffer_lookupd` is, without a socket: the second machine. It knows which node runs
//! what, because the nodes tell it, and tells it to everybody else.
//!
//! Read in this order: `registry` (what is known, a pure type that anybody may feed), `identity` and
//! `names` (of what it is made).

pub mod identity;
pub mod names;
pub mod registry;
