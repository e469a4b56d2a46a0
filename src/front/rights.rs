//! What somebody may do, and what a request needs: the one place where both are held against each
//! other, whichever way a request came (the protocol, sections 2.2 and 4.7).
//!
//! An administrator may do everything. Of a job there are three rights, each with those before it:
//! read, write, manage. A right on a session is one on all of its jobs, a right on `*` one on all.

use serde_json::{json, Map, Value};

use crate::base::sorted::SortedSet;
use crate::supervisor::name::{check_session, JobName};

/// What a request needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Need {
    /// Nothing: it is for everybody.
    Nothing,
    /// To be known, by whatever key.
    Known,
    /// A right on one job.
    Job(Right, JobName),
    /// A right on all jobs of a session, those to come too.
    Session(Right, String),
    /// A right on all jobs.
    All(Right),
    /// To make and delete keys.
    Keys,
    /// To make and delete users.
    Users,
    /// Everything.
    Admin,
}

/// A right on jobs. Each has those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Right {
    /// To see how it is, and what it writes.
    Read,
    /// To write to its processes.
    Write,
    /// To change it.
    Manage,
}

/// On which jobs a right is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Target {
    All,
    Session(String),
    Job(JobName),
}

/// What a key permits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Permissions {
    /// Everything.
    pub admin: bool,
    /// To make keys with no more rights than its own.
    pub create_key: bool,
    /// To make users with no more rights than its own.
    pub create_user: bool,
    rights: [SortedSet<Target>; 3],
}

/// The names of the rights, in the order of [`Right`].
const RIGHTS: [(Right, &str); 3] =
    [(Right::Read, "read"), (Right::Write, "write"), (Right::Manage, "manage")];

/// The permissions that are true or false.
const FLAGS: [&str; 3] = ["admin", "create_key", "create_user"];

impl Target {
    fn parse(text: &str) -> Result<Self, String> {
        if text == "*" {
            return Ok(Self::All);
        }
        if !text.contains(['.', '/']) {
            check_session(text).map_err(|error| error.to_string())?;
            return Ok(Self::Session(text.to_owned()));
        }
        JobName::parse(text).map(Self::Job).map_err(|error| error.to_string())
    }

    /// Whether whoever has a right on this has it on that, too.
    fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::All, _) => true,
            (Self::Session(own), Self::Session(session)) => own == session,
            (Self::Session(own), Self::Job(job)) => own == job.session(),
            (Self::Job(own), Self::Job(job)) => own == job,
            (Self::Session(_) | Self::Job(_), Self::All) | (Self::Job(_), Self::Session(_)) => {
                false
            }
        }
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::All => f.write_str("*"),
            Self::Session(session) => f.write_str(session),
            Self::Job(job) => job.fmt(f),
        }
    }
}

impl Permissions {
    /// Those of an administrator.
    pub fn admin() -> Self {
        Self { admin: true, ..Self::default() }
    }

    /// Everything that concerns jobs, and nothing that concerns keys and users.
    pub fn all_jobs() -> Self {
        let mut permissions = Self::default();
        permissions.grant(Right::Manage, Target::All);
        permissions
    }

    fn grant(&mut self, right: Right, target: Target) {
        self.rights[right as usize].insert(target);
    }

    /// Whether they permit what a request needs.
    pub fn allow(&self, need: &Need) -> bool {
        if self.admin {
            return true;
        }
        match need {
            Need::Nothing | Need::Known => true,
            Need::Job(right, job) => self.has(*right, &Target::Job(job.clone())),
            Need::Session(right, session) => self.has(*right, &Target::Session(session.clone())),
            Need::All(right) => self.has(*right, &Target::All),
            Need::Keys => self.create_key,
            Need::Users => self.create_user,
            Need::Admin => false,
        }
    }

    fn has(&self, right: Right, target: &Target) -> bool {
        let enough = RIGHTS.into_iter().filter(|(known, _)| *known >= right);
        let mut held = enough.flat_map(|(known, _)| &self.rights[known as usize]);
        held.any(|own| own.covers(target))
    }

    /// Whether others permit all that these do.
    pub fn are_within(&self, others: &Self) -> bool {
        if others.admin {
            return true;
        }
        let flags = [
            (self.admin, others.admin),
            (self.create_key, others.create_key),
            (self.create_user, others.create_user),
        ];
        let mut targets = RIGHTS.into_iter().flat_map(|(right, _)| {
            self.rights[right as usize].iter().map(move |target| (right, target))
        });
        flags.into_iter().all(|(own, other)| other || !own)
            && targets.all(|(right, target)| others.has(right, target))
    }

    /// Reads them. What is not said is not permitted.
    ///
    /// # Errors
    /// What is wrong, with the name of the member.
    pub fn read(value: &Value) -> Result<Self, String> {
        let Value::Object(members) = value else {
            return Err(format!("permissions: expected an object, found {value}"));
        };
        let mut permissions = Self::default();
        for (name, value) in members {
            permissions.take(name, value)?;
        }
        Ok(permissions)
    }

    fn take(&mut self, name: &str, value: &Value) -> Result<(), String> {
        let wrong =
            |expected: &str| format!("permissions.{name}: expected {expected}, found {value}");
        if FLAGS.contains(&name) {
            // Nothing that only looks like it is taken for true.
            let flag = value.as_bool().ok_or_else(|| wrong("true or false"))?;
            match name {
                "admin" => self.admin = flag,
                "create_key" => self.create_key = flag,
                _ => self.create_user = flag,
            }
            return Ok(());
        }
        let right = RIGHTS.into_iter().find(|(_, known)| *known == name);
        let Some((right, _)) = right else {
            return Err(format!(
                "permissions.{name}: expected admin, create_key, create_user, manage, write or read"
            ));
        };
        let list = value.as_array().ok_or_else(|| wrong("a list of texts"))?;
        for target in list {
            let text = target.as_str().ok_or_else(|| wrong("a list of texts"))?;
            let target = Target::parse(text)
                .map_err(|error| format!("permissions.{name}: {text:?}: {error}"))?;
            self.grant(right, target);
        }
        Ok(())
    }

    /// They, as [`Self::read`] takes them.
    pub fn to_value(&self) -> Value {
        let mut members = Map::new();
        for (name, flag) in FLAGS.into_iter().zip([self.admin, self.create_key, self.create_user]) {
            members.insert(name.into(), json!(flag));
        }
        for (right, name) in RIGHTS {
            let targets = self.rights[right as usize].iter().map(ToString::to_string);
            members.insert(name.into(), targets.collect::<Vec<_>>().into());
        }
        Value::Object(members)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permissions(value: Value) -> Permissions {
        Permissions::read(&value).expect("sound")
    }

    fn job(text: &str) -> JobName {
        JobName::parse(text).expect("a name")
    }

    #[test]
    fn a_right_has_those_before_it_and_a_session_its_jobs() {
        let some =
            permissions(json!({"manage": ["app"], "write": ["default.sl"], "read": ["default"]}));
        let table = [
            (Need::Nothing, true),
            (Need::Known, true),
            (Need::Job(Right::Manage, job("app.x")), true),
            (Need::Job(Right::Read, job("app.x.y")), true),
            (Need::Session(Right::Manage, "app".into()), true),
            (Need::Session(Right::Read, "ap".into()), false),
            (Need::Job(Right::Read, job("apps.x")), false),
            (Need::Job(Right::Write, job("default.sl")), true),
            (Need::Job(Right::Manage, job("default.sl")), false),
            (Need::Job(Right::Write, job("default.sl2")), false),
            (Need::Job(Right::Read, job("default.sl2")), true),
            (Need::Session(Right::Read, "default".into()), true),
            (Need::Session(Right::Write, "default".into()), false),
            (Need::All(Right::Read), false),
            (Need::Keys, false),
            (Need::Users, false),
            (Need::Admin, false),
        ];
        for (need, allowed) in table {
            assert_eq!(some.allow(&need), allowed, "{need:?}");
            assert!(Permissions::admin().allow(&need), "{need:?}");
        }
        let all = Permissions::all_jobs();
        assert!(all.allow(&Need::All(Right::Read)) && !all.allow(&Need::Keys));
        assert!(!Permissions::default().allow(&Need::All(Right::Read)));
    }

    #[test]
    fn nobody_gives_more_than_he_has() {
        let own = permissions(json!({"create_key": true, "manage": ["a"], "read": ["b.x", "c"]}));
        for (value, within) in [
            (json!({}), true),
            (json!({"create_key": true}), true),
            (json!({"admin": false, "manage": [], "read": ["a.y"]}), true),
            (json!({"manage": ["a", "a.y"], "write": ["a"], "read": ["b.x", "c.d"]}), true),
            (json!({"admin": true}), false),
            (json!({"create_user": true}), false),
            (json!({"manage": ["*"]}), false),
            (json!({"read": ["*"]}), false),
            (json!({"read": ["b"]}), false),
            (json!({"write": ["b.x"]}), false),
            (json!({"manage": ["c"]}), false),
        ] {
            assert_eq!(permissions(value.clone()).are_within(&own), within, "{value}");
        }
        let all = permissions(json!({"create_key": true, "create_user": true, "manage": ["*"]}));
        assert!(all.are_within(&Permissions::admin()));
        assert!(!Permissions::admin().are_within(&all));
    }

    #[test]
    fn only_what_is_meant_is_taken() {
        for bad in [
            json!([]),
            json!({"admin": "true"}),
            json!({"admin": 1}),
            json!({"admin": [1]}),
            json!({"create_key": {"a": 1}}),
            json!({"create_user": null}),
            json!({"manage": "*"}),
            json!({"manage": [1]}),
            json!({"manage": ["a b c.d/"]}),
            json!({"read": [""]}),
            json!({"root": true}),
        ] {
            assert!(Permissions::read(&bad).is_err(), "{bad}");
        }
        let all = json!({"admin": false, "create_key": true, "create_user": false,
            "manage": ["*"], "write": ["s"], "read": ["s.l"]});
        assert_eq!(permissions(all.clone()).to_value(), all);
    }
}
