//! Floor 0: the kernel. The only floor with unsafe code; each block is one operation and says why
//! it is sound. Nothing here decides anything: it does what it is told and reports the errno.
//!
//! No function here calls the name service switch (getpwnam(3) and its kin): in a static binary
//! glibc loads shared objects for it and crashes. `users` reads the files itself.

pub mod beneath;
mod child;
pub mod daemonize;
pub mod entropy;
pub mod fds;
pub mod heap;
pub mod hostname;
mod listeners;
pub mod localtime;
pub mod lock;
pub mod memory;
pub mod own_file;
pub mod ports;
pub mod privileges;
pub mod procfs;
mod program;
pub mod prompt;
pub mod reap;
pub mod sockets;
pub mod space;
pub mod spawn;
pub mod startup;
pub mod syslog;
pub mod terminal;
#[cfg(test)]
pub(crate) mod testing;
pub mod users;
mod wires;

use crate::base::error::Errno;

/// The errno that the last call of this thread left.
fn last_errno() -> Errno {
    Errno::of(&std::io::Error::last_os_error())
}
