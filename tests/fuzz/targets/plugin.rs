//! Fuzzes the manifests of plugins.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| harness::programs::plugin(data));
