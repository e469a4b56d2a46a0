//! Passwords as they are kept: argon2id in a PHC string. Those of the original (protocol, section 2.6)
//! are still known, so that its users need no new ones. This is slow by intent: it is for a worker, never
//! for the loop.

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params, Version};
use pbkdf2::pbkdf2_hmac_array;
use subtle::ConstantTimeEq as _;

use crate::base::limits;

/// How the original marked its hashes. It is PBKDF2 with HMAC-SHA-1, whatever the name says.
const OLD_MARK: &str = "PBKDF2-256$";
/// Bytes of such a hash.
const OLD_LENGTH: usize = 24;

/// Something slow to do with a password.
#[derive(Clone, PartialEq, Eq)]
pub enum Task {
    /// Make the hash of a password, with this salt.
    Make {
        /// As it was typed.
        password: String,
        /// Another one each time.
        salt: [u8; 16],
    },
    /// Hold a password against its hash.
    Check {
        /// As it was typed.
        password: String,
        /// As [`Task::Make`] or the original made it. `None`: there is no such user, which must take
        /// as long.
        stored: Option<String>,
    },
}

impl std::fmt::Debug for Task {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Make { .. } => "Make",
            Self::Check { .. } => "Check",
        })
    }
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The hash.
    Made(String),
    /// Whether the password is the right one.
    Checked(bool),
    /// There is too little memory to do it.
    Failed(String),
}

/// Does it. It takes some tens of milliseconds and [`limits::PASSWORD_MEMORY`].
pub fn perform(task: &Task) -> Outcome {
    match task {
        Task::Make { password, salt } => make(password, salt),
        Task::Check { password, stored: Some(stored) } => {
            Outcome::Checked(is_right(password, stored))
        }
        Task::Check { password, stored: None } => match make(password, &[0; 16]) {
            Outcome::Made(_) => Outcome::Checked(false),
            failed @ (Outcome::Checked(_) | Outcome::Failed(_)) => failed,
        },
    }
}

/// The work of the OWASP's smallest profile: 7 MiB, five passes, one lane.
fn hasher() -> Result<Argon2<'static>, String> {
    let params = Params::new(limits::PASSWORD_MEMORY, limits::PASSWORD_PASSES, 1, None);
    let params = params.map_err(|error| error.to_string())?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

fn make(password: &str, salt: &[u8; 16]) -> Outcome {
    let hash = hasher().and_then(|hasher| {
        let hash = hasher.hash_password_with_salt(password.as_bytes(), salt);
        hash.map_err(|error| error.to_string())
    });
    match hash {
        Ok(hash) => Outcome::Made(hash.to_string()),
        Err(reason) => Outcome::Failed(reason),
    }
}

fn is_right(password: &str, stored: &str) -> bool {
    if let Some(old) = stored.strip_prefix(OLD_MARK) {
        return is_right_by_the_original(password, old).unwrap_or(false);
    }
    let (Ok(hash), Ok(hasher)) = (PasswordHash::new(stored), hasher()) else { return false };
    hasher.verify_password(password.as_bytes(), &hash).is_ok()
}

/// `SALT:ROUNDS$HEX`: the salt is the text itself.
fn is_right_by_the_original(password: &str, stored: &str) -> Option<bool> {
    let (salt, rest) = stored.split_once(':')?;
    let (rounds, hex) = rest.split_once('$')?;
    let rounds: u32 = rounds.parse().ok().filter(|rounds| (1..=1_000_000).contains(rounds))?;
    let wanted = data_encoding::HEXLOWER_PERMISSIVE.decode(hex.as_bytes()).ok()?;
    let made =
        pbkdf2_hmac_array::<sha1::Sha1, OLD_LENGTH>(password.as_bytes(), salt.as_bytes(), rounds);
    Some(made[..].ct_eq(&wanted).into())
}

/// Whether a hash should be made anew when its password is at hand.
pub fn is_outdated(stored: &str) -> bool {
    let ours =
        format!("$argon2id$v=19$m={},t={}", limits::PASSWORD_MEMORY, limits::PASSWORD_PASSES);
    !stored.starts_with(&ours)
}

/// Whether a text is a hash that this file knows.
pub fn is_known(stored: &str) -> bool {
    stored.starts_with(OLD_MARK) || PasswordHash::new(stored).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(password: &str) -> String {
        match perform(&Task::Make { password: password.into(), salt: [7; 16] }) {
            Outcome::Made(hash) => hash,
            other @ (Outcome::Checked(_) | Outcome::Failed(_)) => panic!("{other:?}"),
        }
    }

    fn checked(password: &str, stored: Option<&str>) -> Outcome {
        perform(&Task::Check { password: password.into(), stored: stored.map(str::to_owned) })
    }

    #[test]
    fn a_password_is_known_by_its_hash() {
        let hash = made("köder:1");
        let (memory, passes) = (limits::PASSWORD_MEMORY, limits::PASSWORD_PASSES);
        assert!(hash.starts_with(&format!("$argon2id$v=19$m={memory},t={passes},p=1$")), "{hash}");
        assert!(is_known(&hash) && !is_outdated(&hash));
        assert_eq!(checked("köder:1", Some(&hash)), Outcome::Checked(true));
        assert_eq!(checked("koder:1", Some(&hash)), Outcome::Checked(false));
        assert_eq!(checked("", None), Outcome::Checked(false));
        assert_eq!(checked("x", Some("nonsense")), Outcome::Checked(false));
        assert!(!is_known("nonsense"));
    }

    #[test]
    fn a_hash_of_the_original_is_known_and_outdated() {
        // hashlib.pbkdf2_hmac("sha1", b"secret", b"5f4dcc3b5aa765d61d8327deb882cf99", 1000, 24).hex()
        let old = "PBKDF2-256$5f4dcc3b5aa765d61d8327deb882cf99:1000$\
                   8a1c39a37fdcb09b8e3fc302699c0a2e4f1cc142cd5ce15d";
        assert!(is_known(old) && is_outdated(old));
        assert_eq!(checked("secret", Some(old)), Outcome::Checked(true));
        assert_eq!(checked("Secret", Some(old)), Outcome::Checked(false));
        for bad in ["PBKDF2-256$", "PBKDF2-256$a:0$ff", "PBKDF2-256$a:1$zz", "PBKDF2-256$a:1$ff"] {
            assert_eq!(checked("secret", Some(bad)), Outcome::Checked(false), "{bad}");
        }
    }

    #[test]
    fn a_task_shows_no_password() {
        let task = Task::Make { password: "secret".into(), salt: [0; 16] };
        assert_eq!(format!("{task:?}"), "Make");
    }
}
