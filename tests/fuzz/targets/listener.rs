//! Fuzzes what listeners of supervisor say.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| harness::programs::listener(data));
