//! Fuzzes answers to requests of ours, and what an etcd says in them.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| harness::etcd::answer(data));
