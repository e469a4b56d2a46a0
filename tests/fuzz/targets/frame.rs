//! Fuzzes the frames of a process's channel.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| harness::live::frame(data));
