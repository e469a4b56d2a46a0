//! Floor 0: the kernel. The only floor with unsafe code; each block is one operation and says why
//! it is sound.

pub mod daemonize;
pub mod lock;
pub mod procfs;
pub mod reap;
pub mod sockets;
pub mod spawn;
pub mod users;
