//! One key: what is kept of it, and what is told.

use std::fmt;
use std::rc::Rc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use data_encoding::HEXLOWER;
use serde_json::{json, Map, Value};
use sha2::{Digest as _, Sha256};

use crate::front::rights::Permissions;

/// What a key is called: the first 16 hexadecimal digits of its hash. It is no secret.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyId(Rc<str>);

/// SHA-256 of a key or of a certificate. A key is random, so that nothing slower is needed.
pub type Hash = [u8; 32];

/// The hash of a key.
pub fn hash(secret: &str) -> Hash {
    Sha256::digest(secret.as_bytes()).into()
}

impl KeyId {
    /// That of the key with this hash.
    pub fn of(hash: &Hash) -> Self {
        Self(HEXLOWER.encode(&hash[..8]).into())
    }

    /// A text that may be one.
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A key, as it is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Key {
    /// The hash of the secret.
    pub hash: Hash,
    /// What people call it.
    pub label: String,
    /// What it permits, as far as those before it do.
    pub permissions: Permissions,
    /// The key that it came from, with which it goes.
    pub parent: Option<KeyId>,
    /// When it was made.
    pub created: SystemTime,
    /// Until when it is good.
    pub expires: Option<SystemTime>,
    /// The client certificate that stands for it.
    pub certificate: Option<Hash>,
    /// The user for whose login it was made.
    pub login: Option<String>,
    /// What else was said when it was made.
    pub extra: Map<String, Value>,
}

/// Seconds since 1970.
fn seconds(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64().floor())
}

/// A time from seconds since 1970.
pub fn time_of(value: &Value) -> Option<SystemTime> {
    let since = Duration::try_from_secs_f64(value.as_f64()?).ok()?;
    UNIX_EPOCH.checked_add(since)
}

fn hash_of(value: &Value) -> Option<Hash> {
    let bytes = HEXLOWER.decode(value.as_str()?.as_bytes()).ok()?;
    bytes.try_into().ok()
}

impl Key {
    /// Its id.
    pub fn id(&self) -> KeyId {
        KeyId::of(&self.hash)
    }

    /// Whether its time is over.
    pub fn is_over(&self, now: SystemTime) -> bool {
        self.expires.is_some_and(|end| end <= now)
    }

    /// What clients are told of it: everything but the secret, which nobody knows any more.
    pub fn view(&self) -> Value {
        let mut view = self.extra.clone();
        view.insert("key".into(), json!(self.id().to_string()));
        view.insert("label".into(), json!(self.label));
        view.insert("permissions".into(), self.permissions.to_value());
        view.insert("parent".into(), json!(self.parent.as_ref().map(KeyId::to_string)));
        view.insert("created".into(), json!(seconds(self.created)));
        view.insert("expires".into(), json!(self.expires.map(seconds)));
        if let Some(certificate) = &self.certificate {
            view.insert("certificate".into(), json!(HEXLOWER.encode(certificate)));
        }
        if let Some(user) = &self.login {
            view.insert("login".into(), json!(user));
        }
        Value::Object(view)
    }

    /// It as it is kept; its id is the key there.
    pub fn to_value(&self) -> Value {
        json!({
            "hash": HEXLOWER.encode(&self.hash),
            "label": self.label,
            "permissions": self.permissions.to_value(),
            "parent": self.parent.as_ref().map(KeyId::to_string),
            "created": seconds(self.created),
            "expires": self.expires.map(seconds),
            "certificate": self.certificate.as_ref().map(|hash| HEXLOWER.encode(hash)),
            "login": self.login,
            "extra": self.extra,
        })
    }

    /// Reads what [`Self::to_value`] made.
    pub fn from_value(value: &Value) -> Option<Self> {
        let optional = |name: &str| value.get(name).filter(|value| !value.is_null());
        Some(Self {
            hash: hash_of(value.get("hash")?)?,
            label: value.get("label")?.as_str()?.to_owned(),
            permissions: Permissions::read(value.get("permissions")?).ok()?,
            parent: match optional("parent") {
                None => None,
                Some(id) => Some(KeyId::new(id.as_str()?)),
            },
            created: time_of(value.get("created")?)?,
            expires: match optional("expires") {
                None => None,
                Some(end) => Some(time_of(end)?),
            },
            certificate: match optional("certificate") {
                None => None,
                Some(hash) => Some(hash_of(hash)?),
            },
            login: match optional("login") {
                None => None,
                Some(user) => Some(user.as_str()?.to_owned()),
            },
            extra: value.get("extra")?.as_object()?.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_read_and_what_is_told_has_no_secret() {
        let secret = "0123456789abcdef0123456789abcdef";
        let key = Key {
            hash: hash(secret),
            label: "deploy".into(),
            permissions: Permissions::all_jobs(),
            parent: Some(KeyId::new("aa")),
            created: UNIX_EPOCH + Duration::from_secs(7),
            expires: Some(UNIX_EPOCH + Duration::from_secs(9)),
            certificate: Some([3; 32]),
            login: Some("joe".into()),
            extra: Map::from_iter([("note".to_owned(), json!(1))]),
        };
        let kept = key.to_value();
        assert_eq!(Key::from_value(&kept), Some(key.clone()));
        let whole = HEXLOWER.encode(&key.hash);
        for told in [kept.to_string(), key.view().to_string()] {
            assert!(!told.contains(secret), "{told}");
        }
        assert!(!key.view().to_string().contains(&whole));
        assert_eq!(key.view()["note"], 1);
        let plain = Key { parent: None, expires: None, certificate: None, login: None, ..key };
        assert_eq!(Key::from_value(&plain.to_value()), Some(plain.clone()));
        assert!(!plain.is_over(UNIX_EPOCH + Duration::from_secs(1 << 40)));
        for missing in ["hash", "label", "permissions", "created", "extra"] {
            let mut value = plain.to_value();
            value.as_object_mut().expect("an object").remove(missing);
            assert_eq!(Key::from_value(&value), None, "{missing}");
        }
    }
}
