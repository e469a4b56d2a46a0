//! gafferd
fn main() {}
