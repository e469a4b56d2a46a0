//! One user: somebody who gets a key for a name and a password.

use serde_json::{json, Map, Value};

use super::key::KeyId;

/// A user, as it is kept. Its name is the key there.
#[derive(Clone, Debug, PartialEq)]
pub struct User {
    /// 0 is an administrator, 1 an application; others mean nothing here.
    pub kind: u64,
    /// Whose rights he gets.
    pub key: Option<KeyId>,
    /// The hash of his password, in a form that `front::passwords` knows.
    pub password: String,
    /// What else was said of him.
    pub extra: Map<String, Value>,
}

/// The kind of an administrator.
pub const ADMIN: u64 = 0;
/// The kind of one who is not said to be another.
pub const APPLICATION: u64 = 1;

impl User {
    /// What clients are told of him: everything but the hash.
    pub fn view(&self, name: &str) -> Value {
        let mut view = self.extra.clone();
        view.insert("username".into(), json!(name));
        view.insert("user_type".into(), json!(self.kind));
        view.insert("key".into(), json!(self.key.as_ref().map(KeyId::to_string)));
        Value::Object(view)
    }

    /// He as he is kept.
    pub fn to_value(&self) -> Value {
        json!({
            "user_type": self.kind,
            "key": self.key.as_ref().map(KeyId::to_string),
            "password": self.password,
            "extra": self.extra,
        })
    }

    /// Reads what [`Self::to_value`] made.
    pub fn from_value(value: &Value) -> Option<Self> {
        Some(Self {
            kind: value.get("user_type")?.as_u64()?,
            key: match value.get("key").filter(|value| !value.is_null()) {
                None => None,
                Some(id) => Some(KeyId::new(id.as_str()?)),
            },
            password: value.get("password")?.as_str()?.to_owned(),
            extra: value.get("extra")?.as_object()?.clone(),
        })
    }
}
