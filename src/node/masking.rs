//! Environments as clients see them. Who may not manage a job sees the names of its variables; who may
//! sees their values, too, but for those that look like secrets; and those an administrator sees who asks
//! for them (`?secrets=1`). What comes back masked is what it was.

use serde_json::{Map, Value};

use super::keys::caller::Caller;
use crate::base::sorting;
use crate::front::rights::{Need, Right};
use crate::supervisor::name::JobName;

/// What stands for a value that is not told.
pub const MASK: &str = "********";

/// Parts of names of variables whose values are nobody's business.
const SECRET: [&str; 12] = [
    "PASSWORD",
    "PASSWD",
    "PASSPHRASE",
    "SECRET",
    "TOKEN",
    "CREDENTIAL",
    "PRIVATE",
    "APIKEY",
    "API_KEY",
    "ACCESS_KEY",
    "COOKIE",
    "SIGNING_KEY",
];

/// How much of an environment somebody sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight {
    /// All of it.
    All,
    /// All but what looks like a secret.
    Plain,
    /// The names.
    Names,
}

impl Sight {
    /// What a caller sees of a job's environment, when he asks for secrets or not.
    ///
    /// # Errors
    /// He asks for them and may not.
    pub fn of(caller: &Caller, job: &JobName, secrets: bool) -> Result<Self, &'static str> {
        if secrets && !caller.is_admin() {
            return Err("only an administrator sees secrets");
        }
        let manages = caller.may(&Need::Job(Right::Manage, job.clone()));
        Ok(if secrets {
            Self::All
        } else if manages {
            Self::Plain
        } else {
            Self::Names
        })
    }

    /// Takes what he does not see out of an environment.
    pub fn mask(self, env: Option<&mut Value>) {
        let Some(Value::Object(env)) = env else { return };
        for (name, value) in env {
            let hidden = match self {
                Self::All => false,
                Self::Plain => is_secret(name, value.as_str().unwrap_or_default()),
                Self::Names => true,
            };
            if hidden {
                *value = MASK.into();
            }
        }
    }

    /// Takes what he does not see out of the view of a process. A secret is not seen in its command line,
    /// either, where `$NAME` has become the value.
    pub fn mask_process(self, view: &mut Value) {
        if self != Self::All {
            let env = view.get("env").and_then(Value::as_object).into_iter().flatten();
            let texts = env.filter_map(|(name, value)| Some((name, value.as_str()?)));
            let secrets = texts.filter(|(name, value)| is_secret(name, value));
            let mut secrets: Vec<String> = secrets
                .filter(|(_, value)| value.len() >= LEAST_SECRET)
                .map(|(_, value)| value.to_owned())
                .collect();
            // One may be a part of another.
            sorting::sort_by_key(&mut secrets, |secret| std::cmp::Reverse(secret.len()));
            let hide = |word: &mut Value| {
                let Value::String(text) = word else { return };
                for secret in &secrets {
                    *text = text.replace(secret, MASK);
                }
            };
            view.get_mut("cmd").into_iter().for_each(hide);
            let args = view.get_mut("args").and_then(Value::as_array_mut);
            args.into_iter().flatten().for_each(hide);
        }
        self.mask(view.get_mut("env"));
    }
}

/// What is shorter is no secret, and found in words that have nothing to do with it.
const LEAST_SECRET: usize = 4;

/// Whether a variable looks like a secret: by its name, or as an address with a password in it.
fn is_secret(name: &str, value: &str) -> bool {
    let name = name.to_ascii_uppercase();
    let named = SECRET.iter().any(|part| name.contains(part)) || name.ends_with("_KEY");
    named || has_password(value)
}

/// `scheme://user:password@host`.
fn has_password(value: &str) -> bool {
    let rest = value.split_once("://").map(|(_, rest)| rest);
    let authority = rest.and_then(|rest| rest.split(['/', '?', '#']).next());
    let user = authority.and_then(|authority| authority.rsplit_once('@'));
    user.is_some_and(|(user, _)| user.contains(':'))
}

/// Puts the values back that a client has only seen masked.
///
/// # Errors
/// There is none of that name, in words.
pub fn unmask(
    config: &mut Map<String, Value>,
    known: Option<&Map<String, Value>>,
) -> Result<(), String> {
    let known = known.and_then(|known| known.get("env"));
    let Some(Value::Object(env)) = config.get_mut("env") else { return Ok(()) };
    for (name, value) in env.iter_mut().filter(|(_, value)| *value == MASK) {
        let was = known.and_then(|known| known.get(name));
        *value = was.cloned().ok_or_else(|| {
            format!("env: {name} has the value {MASK}, which stands for one that is not told")
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_looks_like_a_secret_is_one() {
        let mut env = json!({
            "PATH": "/bin", "DB_PASSWORD": "a", "aws_secret_access_key": "b", "GITHUB_TOKEN": "c",
            "STRIPE_KEY": "d", "KEYBOARD": "us", "DATABASE_URL": "postgres://u:p@h/db",
            "HOME_URL": "http://u@h:80/a:b@c",
        });
        let whole = env.clone();
        Sight::All.mask(Some(&mut env));
        assert_eq!(env, whole);
        Sight::Plain.mask(Some(&mut env));
        assert_eq!(
            env,
            json!({
                "PATH": "/bin", "DB_PASSWORD": MASK, "aws_secret_access_key": MASK, "GITHUB_TOKEN": MASK,
                "STRIPE_KEY": MASK, "KEYBOARD": "us", "DATABASE_URL": MASK,
                "HOME_URL": "http://u@h:80/a:b@c",
            })
        );
        Sight::Names.mask(Some(&mut env));
        assert!(env.as_object().is_some_and(|env| env.values().all(|value| value == MASK)));
    }

    #[test]
    fn what_comes_back_masked_is_what_it_was() {
        let known = json!({"env": {"TOKEN": "secret"}});
        let config = |env: Value| json!({"cmd": "a", "env": env}).as_object().cloned();
        let mut back = config(json!({"TOKEN": MASK, "A": "b"})).expect("an object");
        assert_eq!(unmask(&mut back, known.as_object()), Ok(()));
        assert_eq!(back["env"], json!({"TOKEN": "secret", "A": "b"}));
        for known in [None, known.as_object()] {
            let mut other = config(json!({"OTHER": MASK})).expect("an object");
            assert!(unmask(&mut other, known).is_err());
        }
    }
}
