//! The system's users and groups, read from /etc/passwd and /etc/group by hand (passwd(5),
//! group(5)). Never by getpwnam(3) and its kin: in a static binary they load shared objects and
//! crash. What only a directory service knows can be named by number if it has a line in the files.

use std::fs;

use crate::base::limits;
use crate::base::order::Identity;

const PASSWD: &str = "/etc/passwd";
const GROUP: &str = "/etc/group";

/// The users and groups of a system.
#[derive(Clone, Debug, Default)]
pub struct Tables {
    users: Vec<User>,
    groups: Vec<Group>,
}

/// A line of passwd(5).
#[derive(Clone, Debug)]
struct User {
    name: String,
    uid: u32,
    gid: u32,
}

/// A line of group(5).
#[derive(Clone, Debug)]
struct Group {
    name: String,
    gid: u32,
    members: Vec<String>,
}

/// Who a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Own {
    /// Its user.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
}

/// Who a process with this `uid` and `gid` is, each a name or a number; see [`Tables::resolve`].
/// The files are read anew each time, so an account just made is known.
///
/// # Errors
/// A text for people: an unknown name, or a change that the daemon may not make.
pub fn resolve(uid: Option<&str>, gid: Option<&str>) -> Result<Option<Identity>, String> {
    if uid.is_none() && gid.is_none() {
        return Ok(None);
    }
    Tables::read()?.resolve(uid, gid, own())
}

/// The user and group whose rights we have.
pub fn own() -> Own {
    // SAFETY: geteuid touches no memory and cannot fail.
    let uid = unsafe { libc::geteuid() };
    // SAFETY: nor does getegid.
    let gid = unsafe { libc::getegid() };
    Own { uid, gid }
}

/// The user whose rights we have.
pub fn own_uid() -> u32 {
    own().uid
}

/// Whether we may become anybody.
pub fn is_root() -> bool {
    own_uid() == 0
}

impl Tables {
    /// Reads the system's files.
    ///
    /// # Errors
    /// A text for people: which file cannot be read, and why.
    pub fn read() -> Result<Self, String> {
        // A comment may be in any encoding, and no name that is used is anything but ASCII.
        let text = |path: &str| match fs::read(path) {
            Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
            Err(error) => Err(format!("cannot read {path}: {error}")),
        };
        Ok(Self::parse(&text(PASSWD)?, &text(GROUP)?))
    }

    /// Reads the text of both files. A line that makes no sense is passed over, as everywhere.
    pub fn parse(passwd: &str, group: &str) -> Self {
        Self {
            users: passwd.lines().filter_map(User::parse).collect(),
            groups: group.lines().filter_map(Group::parse).collect(),
        }
    }

    /// Who a process with this `uid` and `gid` is, each a name or else a number.
    ///
    /// Without either nobody in particular: `Ok(None)`, as for somebody who is not root and asks
    /// to be who he is. A user has his primary group unless another is given, and with it every
    /// group that lists him. A group alone is one for our own user, and his only one.
    ///
    /// # Errors
    /// A text for people: an unknown name, or a change that only root may make.
    pub fn resolve(
        &self,
        uid: Option<&str>,
        gid: Option<&str>,
        own: Own,
    ) -> Result<Option<Identity>, String> {
        let user = match uid {
            Some(text) => {
                Some(self.user(text).ok_or_else(|| format!("uid: there is no user {text:?}"))?)
            }
            None => None,
        };
        let group = match gid {
            Some(text) => Some(
                self.group(text).ok_or_else(|| format!("gid: there is no group {text:?}"))?.gid,
            ),
            None => None,
        };
        let identity = match (user, group) {
            (None, None) => return Ok(None),
            (None, Some(gid)) => Identity { uid: own.uid, gid, groups: vec![gid] },
            (Some(user), group) => {
                let gid = group.unwrap_or(user.gid);
                Identity { uid: user.uid, gid, groups: self.groups_of(&user.name, gid) }
            }
        };
        if own.uid == 0 {
            return Ok(Some(identity));
        }
        if (identity.uid, identity.gid) == (own.uid, own.gid) {
            return Ok(None);
        }
        let key = if identity.uid == own.uid { "gid" } else { "uid" };
        Err(format!("{key}: only a daemon of root may run a job as another user or group"))
    }

    /// All users of a group, a name or else a number: those whom it lists, and those whose own group it
    /// is.
    ///
    /// # Errors
    /// A text for people: there is no such group.
    pub fn members(&self, group: &str) -> Result<(u32, Vec<u32>), String> {
        let found = self.group(group).ok_or_else(|| format!("there is no group {group:?}"))?;
        let is_in = |user: &&User| user.gid == found.gid || found.members.contains(&user.name);
        Ok((found.gid, self.users.iter().filter(is_in).map(|user| user.uid).collect()))
    }

    fn user(&self, text: &str) -> Option<&User> {
        let numbered = |uid| self.users.iter().find(|user| user.uid == uid);
        self.users.iter().find(|user| user.name == text).or_else(|| numbered(number(text)?))
    }

    fn group(&self, text: &str) -> Option<&Group> {
        let numbered = |gid| self.groups.iter().find(|group| group.gid == gid);
        self.groups.iter().find(|group| group.name == text).or_else(|| numbered(number(text)?))
    }

    /// The group of a user and all that list him, as initgroups(3) has them.
    fn groups_of(&self, name: &str, gid: u32) -> Vec<u32> {
        let mut groups = vec![gid];
        for group in &self.groups {
            let lists = group.members.iter().any(|member| member == name);
            if lists && !groups.contains(&group.gid) && groups.len() < limits::GROUPS {
                groups.push(group.gid);
            }
        }
        groups
    }
}

impl User {
    /// Reads `name:password:uid:gid:`, and not what comes behind.
    fn parse(line: &str) -> Option<Self> {
        let mut fields = line.split(':');
        let name = account_name(fields.next()?)?;
        let uid = number(fields.nth(1)?)?;
        let gid = number(fields.next()?)?;
        Some(Self { name, uid, gid })
    }
}

impl Group {
    /// Reads `name:password:gid:member,member`.
    fn parse(line: &str) -> Option<Self> {
        let mut fields = line.split(':');
        let name = account_name(fields.next()?)?;
        let gid = number(fields.nth(1)?)?;
        let members = fields.next().unwrap_or_default().split(',').map(str::trim);
        let members = members.filter(|member| !member.is_empty()).map(str::to_owned).collect();
        Some(Self { name, gid, members })
    }
}

/// A name as it stands, unless the line is a comment or one of NIS (`+` and `-`).
fn account_name(text: &str) -> Option<String> {
    let ordinary = !text.is_empty() && !text.starts_with(['+', '-', '#']);
    ordinary.then(|| text.to_owned())
}

/// A number of a user or group, digits only. The greatest means "none" to the kernel and is nobody.
fn number(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok())?.filter(|number| *number != u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const USERS: &str = "\
# comment:x:1:1::/:
root:x:0:0:root:/root:/bin/sh
web:x:100:33:Caf\u{fffd} & co:/srv/web:/bin/false
33:x:200:200::/nowhere:
+nis:x:300:300:::
broken:x:many:1:::
greatest:x:4294967295:1:::
:x:5:5:::
short";
    const GROUPS: &str = "\
root:x:0:
www:x:33:web
adm:x:4:root, web
logs:x:5:web,web,other
200:x:201:
+nis:x:300:web
";
    const ROOT: Own = Own { uid: 0, gid: 0 };
    const WEB: Own = Own { uid: 100, gid: 33 };

    fn ask(uid: &str, gid: &str, own: Own) -> Result<Option<Identity>, String> {
        let given = |text: &'static str| (!text.is_empty()).then_some(text);
        let leak = |text: &str| -> &'static str { text.to_owned().leak() };
        Tables::parse(USERS, GROUPS).resolve(given(leak(uid)), given(leak(gid)), own)
    }

    fn identity(uid: u32, gid: u32, groups: &[u32]) -> Result<Option<Identity>, String> {
        Ok(Some(Identity { uid, gid, groups: groups.to_vec() }))
    }

    #[test]
    fn a_group_has_those_whom_it_lists_and_those_whose_own_it_is() {
        let members = |group: &str| Tables::parse(USERS, GROUPS).members(group);
        assert_eq!(members("www"), Ok((33, vec![100])));
        assert_eq!(members("4"), Ok((4, vec![0, 100])));
        assert_eq!(members("root"), Ok((0, vec![0])));
        assert_eq!(members("nobody"), Err("there is no group \"nobody\"".into()));
    }

    #[test]
    fn root_may_run_a_job_as_anybody() {
        assert_eq!(ask("", "", ROOT), Ok(None));
        assert_eq!(ask("web", "", ROOT), identity(100, 33, &[33, 4, 5]));
        assert_eq!(ask("100", "", ROOT), identity(100, 33, &[33, 4, 5]));
        assert_eq!(ask("web", "root", ROOT), identity(100, 0, &[0, 33, 4, 5]));
        assert_eq!(ask("", "adm", ROOT), identity(0, 4, &[4]));
        assert_eq!(ask("", "4", ROOT), identity(0, 4, &[4]));
        assert_eq!(ask("root", "", ROOT), identity(0, 0, &[0, 4]));
    }

    #[test]
    fn a_name_of_digits_comes_before_the_number() {
        assert_eq!(ask("33", "", ROOT), identity(200, 200, &[200]));
        assert_eq!(ask("", "200", ROOT), identity(0, 201, &[201]));
    }

    #[test]
    fn who_is_not_in_the_files_is_nobody() {
        for user in ["x", "1", "-1", "+100", " web", "4294967295", "greatest", "nis", "+nis"] {
            let refused = Err(format!("uid: there is no user {user:?}"));
            assert_eq!(ask(user, "", ROOT), refused, "{user}");
        }
        assert_eq!(ask("web", "x", ROOT), Err("gid: there is no group \"x\"".into()));
        let empty = Tables::parse("", "").resolve(Some(""), None, ROOT);
        assert_eq!(empty, Err("uid: there is no user \"\"".into()));
    }

    #[test]
    fn others_may_run_a_job_only_as_themselves() {
        for (uid, gid) in [("", ""), ("web", ""), ("100", "33"), ("", "www")] {
            assert_eq!(ask(uid, gid, WEB), Ok(None));
        }
        let only = |key| {
            Err(format!("{key}: only a daemon of root may run a job as another user or group"))
        };
        assert_eq!(ask("root", "", WEB), only("uid"));
        assert_eq!(ask("web", "adm", WEB), only("gid"));
        assert_eq!(ask("", "root", WEB), only("gid"));
        assert_eq!(ask("x", "", WEB), Err("uid: there is no user \"x\"".into()));
    }

    #[test]
    fn the_systems_own_files_are_read() {
        assert_eq!(is_root(), own_uid() == 0);
        let expected =
            if is_root() { Some(Identity { uid: 0, gid: 0, groups: vec![0] }) } else { None };
        match resolve(Some("root"), None) {
            Ok(found) => assert_eq!(
                found.map(|found| (found.uid, found.gid)),
                expected.map(|expected| (expected.uid, expected.gid))
            ),
            Err(text) => assert!(!is_root() && text.starts_with("uid: only"), "{text}"),
        }
        assert_eq!(resolve(None, None), Ok(None));
    }
}
