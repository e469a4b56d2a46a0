//! One function a fuzz target: it takes any bytes, and panics only if a parser is wrong. The same
//! functions run under the fuzzer and over the kept corpus in the ordinary tests.

pub mod door;
pub mod etcd;
pub mod http;
pub mod live;
pub mod lookup;
pub mod programs;
pub mod sockjs;
pub mod text;
