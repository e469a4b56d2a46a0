//! Who listens on which TCP port of this machine, as far as /proc tells (proc(5), "/proc/net/tcp").
//! The programs of other users do not show their descriptors, so of those only the port is known.

use std::fs;

use super::procfs;
use crate::base::ids::OsPid;
use crate::base::sorted::SortedMap;

/// The ports on which somebody listens, each with its socket's number.
pub struct Listening(SortedMap<u16, u64>);

/// Who listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The process.
    pub os_pid: OsPid,
    /// The name of its program.
    pub name: String,
}

impl Listening {
    /// A look at this moment.
    pub fn now() -> Self {
        let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(fs::read_to_string);
        let lines = tables.iter().flatten().flat_map(|text| text.lines());
        Self(lines.filter_map(listener).collect())
    }

    /// Whether somebody listens on this port.
    pub fn has(&self, port: u16) -> bool {
        self.0.contains_key(&port)
    }

    /// Who does, if that can be seen.
    pub fn holder(&self, port: u16) -> Option<Holder> {
        let socket = format!("socket:[{}]", self.0.get(&port)?);
        let holds = |os_pid: &OsPid| {
            let entries = fs::read_dir(format!("/proc/{os_pid}/fd"));
            let mut links = entries.into_iter().flatten().flatten().map(|entry| entry.path());
            links.any(|link| fs::read_link(link).is_ok_and(|to| to.as_os_str() == &*socket))
        };
        let os_pid = procfs::pids()?.find(holds)?;
        let name = fs::read_to_string(format!("/proc/{os_pid}/comm")).unwrap_or_default();
        Some(Holder { os_pid, name: name.trim_end().to_owned() })
    }
}

/// Port and socket of a line that tells of a listener (state 0A).
fn listener(line: &str) -> Option<(u16, u64)> {
    let mut words = line.split_whitespace();
    let (local, state) = (words.nth(1)?, words.nth(1)?);
    let (_, port) = local.rsplit_once(':')?;
    let socket = words.nth(5)?.parse().ok()?;
    let port = u16::from_str_radix(port, 16).ok()?;
    (state == "0A").then_some((port, socket))
}

#[cfg(test)]
mod tests {
    use super::super::testing;
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn who_listens_is_found() {
        // A child that another test starts has all that is open, until it has become its program.
        testing::alone("sys::ports::tests::who_listens_is_found", || {
            let socket = TcpListener::bind("127.0.0.1:0").expect("a free port");
            let port = socket.local_addr().expect("bound").port();
            let listening = Listening::now();
            assert!(listening.has(port));
            let holder = listening.holder(port).expect("our own descriptors can be seen");
            assert_eq!(holder.os_pid, OsPid(std::process::id().try_into().expect("a pid")));
            drop(socket);
            assert!(!Listening::now().has(port));
        });
    }

    #[test]
    fn only_listeners_count() {
        let line = |state| {
            format!("  0: 0100007F:1388 00000000:0000 {state} 0:0 00:0 0 1000 0 4711 1 0 100")
        };
        assert_eq!(listener(&line("0A")), Some((5000, 4711)));
        assert_eq!(listener(&line("01")), None);
        assert_eq!(listener("sl local_address rem_address st"), None);
    }
}
