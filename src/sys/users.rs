//! The system's users and groups, read from /etc/passwd and /etc/group by hand (passwd(5),
//! group(5)). Never by getpwnam(3) and its kin: in a static binary they load shared objects and
//! crash. What only a directory service knows can be named by number if it has a line in the files.

use std::fs;

use crate::base::limits;
use crate::base::order::{Account, Identity, Unfit};

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
pub struct User {
    /// What he is called.
    pub name: String,
    /// His number.
    pub uid: u32,
    /// His own group.
    pub gid: u32,
    /// His home.
    pub home: String,
    /// His shell.
    pub shell: String,
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

/// Who a process of this account is; see [`Tables::resolve`]. The files are read anew each time, so an
/// account just made is known.
///
/// # Errors
/// An unknown name, or a change that the daemon may not make.
pub fn resolve(account: &Account<'_>) -> Result<Option<Identity>, Unfit> {
    if *account == Account::default() {
        return Ok(None);
    }
    let tables = Tables::read().map_err(|why| Unfit { key: "uid", why })?;
    tables.resolve(account, own())
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

    /// Who a process of this account is.
    ///
    /// Without user and groups nobody in particular: `Ok(None)`, as for somebody who is not root and asks
    /// to be who he is. A user has his primary group unless another is given, and with it every
    /// group that lists him, unless others are given. A group alone is one for our own user, and his only
    /// one.
    ///
    /// # Errors
    /// An unknown name, or a change that only root may make.
    pub fn resolve(&self, account: &Account<'_>, own: Own) -> Result<Option<Identity>, Unfit> {
        let unknown = |key, kind: &str, text: &str| {
            let why = format!("there is no {kind} {text:?}");
            Unfit { key, why }
        };
        let user =
            account.uid.map(|text| self.user(text).ok_or_else(|| unknown("uid", "user", text)));
        let user = user.transpose()?;
        let group = |key, text: &str| self.group(text).ok_or_else(|| unknown(key, "group", text));
        let gid = account.gid.map(|text| group("gid", text)).transpose()?.map(|group| group.gid);
        let mut identity = match (user, gid, account.groups) {
            (None, None, None) => None,
            (None, None, Some(_)) => {
                Some(Identity { uid: own.uid, gid: own.gid, groups: Vec::new() })
            }
            (None, Some(gid), _) => Some(Identity { uid: own.uid, gid, groups: vec![gid] }),
            (Some(user), gid, _) => {
                let gid = gid.unwrap_or(user.gid);
                Some(Identity { uid: user.uid, gid, groups: self.groups_of(&user.name, gid) })
            }
        };
        if let (Some(identity), Some(names)) = (&mut identity, account.groups) {
            identity.groups = vec![identity.gid];
            for name in names {
                let gid = group("groups", name)?.gid;
                if !identity.groups.contains(&gid) {
                    identity.groups.push(gid);
                }
            }
        }
        if own.uid == 0 {
            return Ok(identity);
        }
        match only_root(account, identity.as_ref(), own) {
            Some((key, what)) => {
                Err(Unfit { key, why: format!("only a daemon of root may {what}") })
            }
            None => Ok(None),
        }
    }

    /// A user, by name or else by number.
    ///
    /// # Errors
    /// A text for people: there is no such user.
    pub fn find(&self, text: &str) -> Result<&User, String> {
        self.user(text).ok_or_else(|| format!("there is no user {text:?}"))
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
    /// Reads `name:password:uid:gid:comment:home:shell`.
    fn parse(line: &str) -> Option<Self> {
        let mut fields = line.split(':');
        let name = account_name(fields.next()?)?;
        let uid = number(fields.nth(1)?)?;
        let gid = number(fields.next()?)?;
        let mut text = |skipped| fields.nth(skipped).unwrap_or_default().trim().to_owned();
        let (home, shell) = (text(1), text(0));
        Some(Self { name, uid, gid, home, shell })
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

/// What of an account is not for somebody who is not root: the key, and what it asks for.
fn only_root(
    account: &Account<'_>,
    identity: Option<&Identity>,
    own: Own,
) -> Option<(&'static str, &'static str)> {
    let another = "run a job as another user or group";
    match identity {
        Some(identity) if identity.uid != own.uid => Some(("uid", another)),
        Some(identity) if identity.gid != own.gid => Some(("gid", another)),
        Some(_) if account.groups.is_some() => Some(("groups", "choose the groups of a job")),
        Some(_) | None if account.with_capabilities => {
            Some(("capabilities", "choose the capabilities of a job"))
        }
        Some(_) | None => None,
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
        let (uid, gid) = (given(uid), given(gid));
        asked(&Account { uid, gid, ..Account::default() }, own)
    }

    fn given(text: &str) -> Option<&str> {
        (!text.is_empty()).then_some(text)
    }

    fn asked(account: &Account<'_>, own: Own) -> Result<Option<Identity>, String> {
        let found = Tables::parse(USERS, GROUPS).resolve(account, own);
        found.map_err(|unfit| unfit.to_string())
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
        let nameless = Account { uid: Some(""), ..Account::default() };
        let empty =
            Tables::parse("", "").resolve(&nameless, ROOT).map_err(|unfit| unfit.to_string());
        assert_eq!(empty, Err("uid: there is no user \"\"".into()));
    }

    #[test]
    fn groups_that_are_named_take_the_place_of_those_that_list_the_user() {
        let ask = |uid: &str, gid: &str, groups: &[&str], own| {
            let groups: Vec<String> = groups.iter().map(|group| (*group).to_owned()).collect();
            let (uid, gid) = (given(uid), given(gid));
            asked(&Account { uid, gid, groups: Some(&groups), with_capabilities: false }, own)
        };
        assert_eq!(ask("web", "", &[], ROOT), identity(100, 33, &[33]));
        assert_eq!(ask("web", "", &["logs", "4", "www"], ROOT), identity(100, 33, &[33, 5, 4]));
        assert_eq!(ask("", "adm", &["logs"], ROOT), identity(0, 4, &[4, 5]));
        assert_eq!(ask("", "", &["logs"], ROOT), identity(0, 0, &[0, 5]));
        let none = Err("groups: there is no group \"x\"".into());
        assert_eq!(ask("web", "", &["logs", "x"], ROOT), none);
        let only = Err("groups: only a daemon of root may choose the groups of a job".into());
        assert_eq!(ask("", "", &["logs"], WEB), only);
        assert_eq!(ask("web", "", &[], WEB), only);
    }

    #[test]
    fn only_root_chooses_capabilities() {
        let account = Account { with_capabilities: true, ..Account::default() };
        assert_eq!(asked(&account, ROOT), Ok(None));
        let refused = asked(&account, WEB);
        let only = "capabilities: only a daemon of root may choose the capabilities of a job";
        assert_eq!(refused, Err(only.into()));
    }

    #[test]
    fn a_user_has_a_home_and_a_shell() {
        let tables = Tables::parse(USERS, GROUPS);
        let user = tables.find("100").expect("web");
        assert_eq!((user.home.as_str(), user.shell.as_str()), ("/srv/web", "/bin/false"));
        assert_eq!(tables.find("200").map(|user| user.home.clone()), Ok("/nowhere".into()));
        assert!(tables.find("nobody").is_err());
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
        let root = Account { uid: Some("root"), ..Account::default() };
        match resolve(&root) {
            Ok(found) => assert_eq!(
                found.map(|found| (found.uid, found.gid)),
                expected.map(|expected| (expected.uid, expected.gid))
            ),
            Err(unfit) => assert!(!is_root() && unfit.why.starts_with("only"), "{unfit}"),
        }
        assert_eq!(resolve(&Account::default()), Ok(None));
    }
}
