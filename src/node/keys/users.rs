//! All users, by their names.

use super::key::KeyId;
use super::user::User;
use crate::base::limits;
use crate::base::sorted::{SortedMap, SortedSet};

/// The table.
#[derive(Default)]
pub struct Users {
    users: SortedMap<String, User>,
}

/// Checks a user's name: 1 to 64 of visible characters without a colon, which ends it in the header of
/// basic authentication (RFC 7617), and without a slash, which ends it in a path.
///
/// # Errors
/// It is none.
pub fn check_name(name: &str) -> Result<(), String> {
    let plain = |c: char| !c.is_control() && !c.is_whitespace() && c != ':' && c != '/';
    if name.is_empty() || name.len() > limits::USER_NAME || !name.chars().all(plain) {
        let most = limits::USER_NAME;
        return Err(format!("username: expected 1 to {most} bytes without blanks, : and /"));
    }
    Ok(())
}

impl Users {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.users.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.users.is_empty()
    }

    /// A user.
    pub fn get(&self, name: &str) -> Option<&User> {
        self.users.get(name)
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = (&String, &User)> {
        self.users.iter()
    }

    /// Whether there is room for one more.
    pub fn has_room(&self) -> bool {
        self.users.len() < limits::USERS
    }

    /// Puts a user in the place of him or of nobody.
    pub fn put(&mut self, name: &str, user: User) {
        self.users.insert(name.to_owned(), user);
    }

    /// Takes a user away.
    pub fn remove(&mut self, name: &str) -> Option<User> {
        self.users.remove(name)
    }

    /// Keys are gone: gives those who had one of them, with that taken from them.
    pub fn lose(&mut self, gone: &SortedSet<KeyId>) -> Vec<String> {
        let mut changed = Vec::new();
        for (name, user) in &mut self.users {
            if user.key.as_ref().is_some_and(|key| gone.contains(key)) {
                user.key = None;
                changed.push(name.clone());
            }
        }
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::keys::user::ADMIN;
    use serde_json::{json, Map};

    #[test]
    fn a_name_fits_into_a_header_and_a_path() {
        for good in ["joe", "Jürgen", "a@b.example", &"x".repeat(limits::USER_NAME)] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        for bad in ["", "a:b", "a/b", "a b", "a\nb", "a\0", &"x".repeat(limits::USER_NAME + 1)] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_user_is_told_without_his_password_and_loses_a_key_that_is_gone() {
        let user = User {
            kind: ADMIN,
            key: Some(KeyId::new("aa")),
            password: "$argon2id$secret".into(),
            extra: Map::from_iter([("mail".to_owned(), json!("x"))]),
        };
        assert_eq!(User::from_value(&user.to_value()), Some(user.clone()));
        let told = user.view("joe");
        assert_eq!(told, json!({"username": "joe", "user_type": 0, "key": "aa", "mail": "x"}));
        let mut users = Users::default();
        users.put("joe", user);
        let mut gone = SortedSet::from([KeyId::new("bb")]);
        assert_eq!(users.lose(&gone), Vec::<String>::new());
        gone.insert(KeyId::new("aa"));
        assert_eq!(users.lose(&gone), ["joe"]);
        assert_eq!(users.get("joe").and_then(|user| user.key.clone()), None);
    }
}
