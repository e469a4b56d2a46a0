//! All keys. A key is found by the hash of what a client says, and holds as long as all before it do.

use std::time::SystemTime;

use subtle::ConstantTimeEq as _;

use super::key::{hash, Hash, Key, KeyId};
use crate::base::limits;
use crate::base::sorted::{SortedMap, SortedSet};
use crate::base::sorting;

/// The table.
#[derive(Default)]
pub struct Keys {
    keys: SortedMap<KeyId, Key>,
}

/// Why a key is not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotMade {
    /// There are as many as there may be.
    TooMany,
    /// Too many keys come one from the other.
    TooDeep,
    /// There is one with its certificate.
    Certificate,
}

impl Keys {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// A key.
    pub fn get(&self, id: &KeyId) -> Option<&Key> {
        self.keys.get(id)
    }

    /// All of them, by their ids.
    pub fn all(&self) -> impl Iterator<Item = (&KeyId, &Key)> {
        self.keys.iter()
    }

    /// The key that a client says: its secret. How long this takes tells nothing of others.
    pub fn of_secret(&self, secret: &str) -> Option<&KeyId> {
        let said = hash(secret);
        let (id, key) = self.keys.get_key_value(&KeyId::of(&said))?;
        bool::from(key.hash.ct_eq(&said)).then_some(id)
    }

    /// The key that a certificate stands for.
    pub fn of_certificate(&self, certificate: &Hash) -> Option<&KeyId> {
        let stands = |key: &Key| key.certificate.as_ref() == Some(certificate);
        self.keys.iter().find(|(_, key)| stands(key)).map(|(id, _)| id)
    }

    /// What a text means that names a key: its id, or its secret.
    pub fn named(&self, text: &str) -> Option<&KeyId> {
        let by_id = self.keys.get_key_value(&KeyId::new(text)).map(|(id, _)| id);
        by_id.or_else(|| self.of_secret(text))
    }

    /// A key and those before it. `None`: one of them is gone, or its time is over.
    pub fn chain(&self, id: &KeyId, now: SystemTime) -> Option<Vec<&Key>> {
        let mut chain = Vec::new();
        let mut next = Some(id);
        while let Some(id) = next {
            let key = self.keys.get(id).filter(|key| !key.is_over(now))?;
            if chain.len() > limits::KEY_DEPTH {
                return None;
            }
            chain.push(key);
            next = key.parent.as_ref();
        }
        Some(chain)
    }

    /// Whether a key came from another, or is that.
    pub fn is_below(&self, id: &KeyId, other: &KeyId) -> bool {
        self.with_those_before(id).any(|known| known == other)
    }

    /// A key and those that it came from, however they stand in the table: no circle is without end.
    fn with_those_before<'a>(&'a self, id: &'a KeyId) -> impl Iterator<Item = &'a KeyId> {
        let parent = |id: &&KeyId| self.keys.get(*id).and_then(|key| key.parent.as_ref());
        std::iter::successors(Some(id), parent).take(limits::KEY_DEPTH + 1)
    }

    /// Takes a key in.
    ///
    /// # Errors
    /// Why not.
    pub fn add(&mut self, key: Key) -> Result<KeyId, NotMade> {
        if self.keys.len() >= limits::KEYS {
            return Err(NotMade::TooMany);
        }
        if key.certificate.as_ref().is_some_and(|shown| self.of_certificate(shown).is_some()) {
            return Err(NotMade::Certificate);
        }
        let before = key.parent.as_ref().map_or(0, |parent| self.depth(parent));
        if before >= limits::KEY_DEPTH {
            return Err(NotMade::TooDeep);
        }
        let id = key.id();
        self.keys.insert(id.clone(), key);
        Ok(id)
    }

    fn depth(&self, id: &KeyId) -> usize {
        self.with_those_before(id).count()
    }

    /// Takes a key as it was kept.
    pub fn restore(&mut self, key: Key) {
        self.keys.insert(key.id(), key);
    }

    /// Takes keys away with all that came from them; gives those. All keys are gone through, and once for
    /// however many.
    pub fn remove(&mut self, ids: &[KeyId]) -> Vec<KeyId> {
        let heads: SortedSet<&KeyId> = ids.iter().filter(|id| self.keys.contains_key(id)).collect();
        if heads.is_empty() {
            return Vec::new();
        }
        let falls = |id: &&KeyId| self.with_those_before(id).any(|known| heads.contains(known));
        let gone: Vec<KeyId> = self.keys.keys().filter(falls).cloned().collect();
        for id in &gone {
            self.keys.remove(id);
        }
        gone
    }

    /// The logins of a user, oldest first.
    pub fn logins(&self, user: &str) -> Vec<KeyId> {
        let of_user = self.keys.iter().filter(|(_, key)| key.login.as_deref() == Some(user));
        let mut logins: Vec<(SystemTime, KeyId)> =
            of_user.map(|(id, key)| (key.created, id.clone())).collect();
        sorting::sort(&mut logins);
        logins.into_iter().map(|(_, id)| id).collect()
    }

    /// Those whose time is over.
    pub fn over(&self, now: SystemTime) -> Vec<KeyId> {
        let over = self.keys.iter().filter(|(_, key)| key.is_over(now));
        over.map(|(id, _)| id.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::front::rights::Permissions;
    use serde_json::Map;
    use std::time::{Duration, UNIX_EPOCH};

    fn key(secret: &str, parent: Option<&KeyId>) -> Key {
        Key {
            hash: hash(secret),
            label: secret.into(),
            permissions: Permissions::admin(),
            parent: parent.cloned(),
            created: UNIX_EPOCH,
            expires: None,
            certificate: None,
            login: None,
            extra: Map::new(),
        }
    }

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn a_key_is_found_by_its_secret_and_never_by_a_part_of_it() {
        let mut keys = Keys::default();
        let a = keys.add(key("a", None)).expect("room");
        keys.add(key("b", None)).expect("room");
        assert_eq!(keys.of_secret("a"), Some(&a));
        for other in ["", "A", "a ", "c", &a.to_string()] {
            assert_eq!(keys.of_secret(other), None, "{other}");
        }
        assert_eq!(keys.named(&a.to_string()), Some(&a));
        assert_eq!(keys.named("a"), Some(&a));
    }

    #[test]
    fn a_key_holds_as_long_as_all_before_it_and_goes_with_them() {
        let mut keys = Keys::default();
        let a = keys.add(key("a", None)).expect("room");
        let b = keys.add(Key { expires: Some(at(9)), ..key("b", Some(&a)) }).expect("room");
        let c = keys.add(key("c", Some(&b))).expect("room");
        let d = keys.add(key("d", Some(&a))).expect("room");
        let holds = |keys: &Keys, id: &KeyId, now| keys.chain(id, at(now)).map(|c| c.len());
        assert_eq!(holds(&keys, &c, 8), Some(3));
        assert_eq!(holds(&keys, &c, 9), None);
        assert_eq!(holds(&keys, &d, 9), Some(2));
        assert_eq!(keys.over(at(9)), std::slice::from_ref(&b));
        let mut gone = keys.remove(std::slice::from_ref(&b));
        gone.sort();
        let mut both = [b.clone(), c.clone()];
        both.sort();
        assert_eq!(gone, both);
        assert_eq!(keys.remove(&[b]), []);
        assert_eq!((holds(&keys, &c, 0), holds(&keys, &d, 0)), (None, Some(2)));
        keys.remove(&[a]);
        assert!(keys.is_empty());
    }

    #[test]
    fn there_are_only_so_many_and_none_too_deep() {
        let mut keys = Keys::default();
        let mut parent: Option<KeyId> = None;
        for n in 0..limits::KEY_DEPTH {
            parent = Some(keys.add(key(&n.to_string(), parent.as_ref())).expect("room"));
        }
        assert_eq!(keys.add(key("x", parent.as_ref())), Err(NotMade::TooDeep));
        let deepest = parent.expect("there is one");
        assert_eq!(keys.chain(&deepest, at(0)).map(|c| c.len()), Some(limits::KEY_DEPTH));
        for n in keys.len()..limits::KEYS {
            keys.add(key(&format!("k{n}"), None)).expect("room");
        }
        assert_eq!(keys.add(key("x", None)), Err(NotMade::TooMany));
    }

    #[test]
    fn a_certificate_stands_for_one_key() {
        let mut keys = Keys::default();
        let shown = |secret| Key { certificate: Some([1; 32]), ..key(secret, None) };
        let a = keys.add(shown("a")).expect("room");
        assert_eq!(keys.add(shown("b")), Err(NotMade::Certificate));
        assert_eq!(keys.of_certificate(&[1; 32]), Some(&a));
        assert_eq!(keys.of_certificate(&[2; 32]), None);
    }
}
