//! Somebody who asks, with what he may. Who he is is found out once for each request, session or
//! websocket, and never changes there.

use std::rc::Rc;
use std::time::SystemTime;

use super::key::{Key, KeyId};
use crate::front::rights::{Need, Permissions};

/// Somebody who asks.
#[derive(Clone, Debug, PartialEq)]
pub struct Caller {
    /// For the log: no secret is in it.
    pub who: String,
    /// The key that was said.
    pub key: Option<KeyId>,
    /// The user of this machine as whom he was let in without one.
    pub uid: Option<u32>,
    /// The user whose login that key is.
    pub login: Option<String>,
    /// Until when it is good.
    pub expires: Option<SystemTime>,
    /// All of these have to permit something.
    rights: Vec<Permissions>,
    /// Whether keys and users are none of his business, whatever else he may.
    without_keys: bool,
}

impl Caller {
    fn without_key(
        who: String,
        uid: Option<u32>,
        rights: Permissions,
        without_keys: bool,
    ) -> Rc<Self> {
        let (key, login, expires) = (None, None, None);
        Rc::new(Self { who, key, uid, login, expires, rights: vec![rights], without_keys })
    }

    /// Everybody, where no key is asked for: he may do everything, but not give more keys away.
    pub fn anybody() -> Rc<Self> {
        Self::without_key("anybody".into(), None, Permissions::admin(), true)
    }

    /// Somebody of whom nothing is known, and who may nothing.
    pub fn nobody() -> Rc<Self> {
        Self::without_key("nobody".into(), None, Permissions::default(), false)
    }

    /// Somebody on this machine's unix socket whom the kernel knows as one who may do everything.
    pub fn owner(uid: u32) -> Rc<Self> {
        Self::without_key(format!("uid {uid}"), Some(uid), Permissions::admin(), false)
    }

    /// A program that extends the node: it may do what it asks for, as far as that is granted.
    pub fn of_plugin(name: &str, asks: &Permissions, granted: &Permissions) -> Rc<Self> {
        let (key, uid, login, expires) = (None, None, None, None);
        let (who, rights) = (format!("plugin {name}"), vec![asks.clone(), granted.clone()]);
        Rc::new(Self { who, key, uid, login, expires, rights, without_keys: false })
    }

    /// Whoever has a key, with those before it.
    pub fn of_key(id: &KeyId, chain: &[&Key]) -> Rc<Self> {
        let label = chain.first().map(|key| key.label.as_str()).unwrap_or_default();
        let label: String = label.chars().filter(|c| !c.is_control()).collect();
        Rc::new(Self {
            who: if label.is_empty() { format!("key {id}") } else { format!("key {id} ({label})") },
            key: Some(id.clone()),
            uid: None,
            login: chain.first().and_then(|key| key.login.clone()),
            expires: chain.iter().filter_map(|key| key.expires).min(),
            rights: chain.iter().map(|key| key.permissions.clone()).collect(),
            without_keys: false,
        })
    }

    /// Whether he may do what needs this.
    pub fn may(&self, need: &Need) -> bool {
        let forbidden = self.without_keys && matches!(need, Need::Keys | Need::Users);
        !forbidden && self.rights.iter().all(|rights| rights.allow(need))
    }

    /// Whether he may do everything.
    pub fn is_admin(&self) -> bool {
        self.may(&Need::Admin)
    }

    /// Whether keys and users are kept from him, though he may do everything else.
    pub fn is_anybody(&self) -> bool {
        self.without_keys
    }

    /// Whether somebody with these permissions may do nothing that he may not.
    pub fn covers(&self, permissions: &Permissions) -> bool {
        self.rights.iter().all(|rights| permissions.are_within(rights))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::front::rights::Right;
    use crate::node::keys::key::hash;
    use serde_json::{json, Map};
    use std::time::{Duration, UNIX_EPOCH};

    fn key(secret: &str, permissions: &serde_json::Value, expires: Option<u64>) -> Key {
        Key {
            hash: hash(secret),
            label: format!("{secret}\n"),
            permissions: Permissions::read(permissions).expect("sound"),
            parent: None,
            created: UNIX_EPOCH,
            expires: expires.map(|at| UNIX_EPOCH + Duration::from_secs(at)),
            certificate: None,
            login: None,
            extra: Map::new(),
        }
    }

    #[test]
    fn a_key_permits_what_all_before_it_permit() {
        let child = key("c", &json!({"manage": ["a", "b"], "create_key": true}), Some(9));
        let parent = key("p", &json!({"manage": ["a"], "create_user": true}), Some(7));
        let caller = Caller::of_key(&child.id(), &[&child, &parent]);
        let manage = |session: &str| Need::Session(Right::Manage, session.into());
        assert!(caller.may(&manage("a")) && !caller.may(&manage("b")));
        assert!(!caller.may(&Need::Keys) && !caller.may(&Need::Users));
        assert_eq!(caller.expires, parent.expires);
        assert_eq!(caller.who, format!("key {} (c)", child.id()));
    }

    #[test]
    fn only_who_is_known_deals_with_keys() {
        let (anybody, owner) = (Caller::anybody(), Caller::owner(0));
        for need in [Need::Keys, Need::Users] {
            assert!(!anybody.may(&need) && owner.may(&need));
        }
        for need in [Need::Admin, Need::Known, Need::All(Right::Manage)] {
            assert!(anybody.may(&need) && owner.may(&need));
        }
    }
}
