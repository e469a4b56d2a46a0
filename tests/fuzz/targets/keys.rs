//! Fuzzes permissions, and keys and users as they are kept.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| harness::door::keys(data));
