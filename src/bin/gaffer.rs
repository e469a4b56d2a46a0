//! gaffer
fn main() {}
