//! gaffer_lookupd
fn main() {}
