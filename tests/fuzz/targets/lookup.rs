//! Fuzzes the messages of nodes to a lookupd.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| harness::lookup::message(data));
