//! Fuzzes the messages of the channel and its topics.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| harness::live::message(data));
