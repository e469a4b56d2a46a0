//! Fuzzes the frames of websockets.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| harness::live::websocket(data));
