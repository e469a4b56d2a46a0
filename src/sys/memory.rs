//! How many processes of our control group the kernel has killed because memory was used up: `oom_kill` in
//! memory.events (cgroup v2) or memory.oom_control (v1). Where there is neither nobody can know, and nothing
//! is claimed.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

/// More than one of these files has.
const TEXT: usize = 1024;

/// The kernel's counter.
#[derive(Debug)]
pub struct OomKills {
    file: Option<File>,
}

impl OomKills {
    /// That of the control group that this process is in.
    pub fn of_own_group() -> Self {
        let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        Self::at(place(&groups, &mounts).as_deref())
    }

    /// That in this file.
    pub fn at(path: Option<&Path>) -> Self {
        Self { file: path.and_then(|path| File::open(path).ok()) }
    }

    /// How many there were until now, if that can be known.
    pub fn count(&self) -> Option<u64> {
        let mut text = [0; TEXT];
        let length = self.file.as_ref()?.read_at(&mut text, 0).ok()?;
        let text = std::str::from_utf8(text.get(..length)?).ok()?;
        text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
    }
}

/// Where the counter is, by /proc/self/cgroup and /proc/self/mountinfo (cgroups(7), proc(5)).
fn place(groups: &str, mounts: &str) -> Option<PathBuf> {
    // A hierarchy of v1 with the memory controller goes first: where there is one, v2 has it not.
    let named = |controllers: &str| controllers.split(',').any(|name| name == "memory");
    let mut lines = groups.lines().filter_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        Some((parts.next()?, parts.next()?))
    });
    let v1 = lines.clone().find(|(controllers, _)| named(controllers));
    let v2 = lines.find(|(controllers, _)| controllers.is_empty());
    let (group, kind, file) = match (v1, v2) {
        (Some((_, group)), _) => (group, "cgroup", "memory.oom_control"),
        (None, Some((_, group))) => (group, "cgroup2", "memory.events"),
        (None, None) => return None,
    };
    mounts.lines().find_map(|line| {
        let (before, behind) = line.split_once(" - ")?;
        let mut behind = behind.split(' ');
        let is_it =
            behind.next() == Some(kind) && (kind == "cgroup2" || behind.nth(1).is_some_and(named));
        let mut fields = before.split(' ').skip(3);
        let (root, point) = (fields.next()?, fields.next()?);
        let below = Path::new(group).strip_prefix(root).ok().filter(|_| is_it)?;
        Some(Path::new(point).join(below).join(file))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counter_is_found_where_the_group_is_mounted() {
        let unified =
            "25 20 0:22 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
        let at = |groups: &str, mounts: &str| {
            place(groups, mounts).map(|path| path.to_string_lossy().into_owned())
        };
        let service = "0::/system.slice/gafferd.service\n";
        let events = "/sys/fs/cgroup/system.slice/gafferd.service/memory.events";
        assert_eq!(at(service, unified), Some(events.into()));
        assert_eq!(at("0::/\n", unified), Some("/sys/fs/cgroup/memory.events".into()));
        let old = "30 20 0:30 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n\
                   31 20 0:31 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
        let of_old = "4:memory:/docker/abc/x\n1:name=systemd:/\n0::/\n";
        assert_eq!(at(of_old, old), Some("/sys/fs/cgroup/memory/x/memory.oom_control".into()));
        assert_eq!(at("4:memory:/elsewhere\n0::/\n", old), None);
        assert_eq!(at("", unified), None);
        assert_eq!(at(service, ""), None);
    }

    #[test]
    fn what_cannot_be_read_is_not_known() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("memory.events");
        assert_eq!(OomKills::at(Some(&path)).count(), None, "it is not there");
        assert_eq!(OomKills::at(None).count(), None);
        fs::write(&path, "low 0\noom 3\noom_kill 12\noom_group_kill 1\n").expect("written");
        let kills = OomKills::at(Some(&path));
        assert_eq!(kills.count(), Some(12));
        fs::write(&path, "low 0\n").expect("written");
        assert_eq!(kills.count(), None, "before Linux 4.13");
    }
}
