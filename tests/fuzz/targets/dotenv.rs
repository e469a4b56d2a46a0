//! Fuzzes the .env parser.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| harness::text::dotenv(data));
