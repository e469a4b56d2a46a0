//! Fuzzes the HTTP parser.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| harness::http::http(data));
