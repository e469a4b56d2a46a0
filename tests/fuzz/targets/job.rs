//! Fuzzes the configuration of a job in JSON.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| harness::door::job(data));
