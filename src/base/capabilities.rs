//! Capabilities of Linux (capabilities(7)): the parts of root's power, by name and as a set.

use super::similar;

/// The names, without `cap_`, in the order of their numbers (linux/capability.h).
pub const NAMES: [&str; 41] = [
    "chown",
    "dac_override",
    "dac_read_search",
    "fowner",
    "fsetid",
    "kill",
    "setgid",
    "setuid",
    "setpcap",
    "linux_immutable",
    "net_bind_service",
    "net_broadcast",
    "net_admin",
    "net_raw",
    "ipc_lock",
    "ipc_owner",
    "sys_module",
    "sys_rawio",
    "sys_chroot",
    "sys_ptrace",
    "sys_pacct",
    "sys_admin",
    "sys_boot",
    "sys_nice",
    "sys_resource",
    "sys_time",
    "sys_tty_config",
    "mknod",
    "lease",
    "audit_write",
    "audit_control",
    "setfcap",
    "mac_override",
    "mac_admin",
    "syslog",
    "wake_alarm",
    "block_suspend",
    "audit_read",
    "perfmon",
    "bpf",
    "checkpoint_restore",
];

/// A set of capabilities: bit n is the one with number n.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities(pub u64);

impl Capabilities {
    /// The set of these, each with or without `cap_` in front, in any case.
    ///
    /// # Errors
    /// The first that is none, and which one may be meant.
    pub fn of<'a>(
        names: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, (String, Option<&'static str>)> {
        let mut set = 0;
        for name in names {
            let lower = name.to_ascii_lowercase();
            let plain = lower.strip_prefix("cap_").unwrap_or(&lower);
            let Some(number) = NAMES.iter().position(|known| *known == plain) else {
                return Err((name.to_owned(), similar::nearest(plain, NAMES)));
            };
            set |= 1 << number;
        }
        Ok(Self(set))
    }

    /// Whether the one with this number is in the set.
    pub fn has(self, number: u32) -> bool {
        self.0.checked_shr(number).is_some_and(|rest| rest & 1 == 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_people_write_them() {
        let set = Capabilities::of(["chown", "CAP_NET_BIND_SERVICE", "cap_checkpoint_restore"]);
        assert_eq!(set, Ok(Capabilities(1 | 1 << 10 | 1 << 40)));
        assert_eq!(Capabilities::of([]), Ok(Capabilities(0)));
        let set = Capabilities(1 << 10);
        assert!(set.has(10) && !set.has(9) && !set.has(64) && !set.has(u32::MAX));
        let error = Capabilities::of(["chown", "cap_net_bind_servce"]);
        assert_eq!(error, Err(("cap_net_bind_servce".into(), Some("net_bind_service"))));
    }
}
