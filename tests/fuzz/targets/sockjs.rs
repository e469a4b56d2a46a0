//! Fuzzes the readers of what SockJS clients send.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| harness::sockjs::sockjs(data));
