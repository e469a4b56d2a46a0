//! What signs the messages for one address: its secret, and for a while the one before it, so that whoever
//! checks them has time to take the new one.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{json, Value};

use crate::base::limits;
use crate::wire::webhook::{self, Message, Secret, Url};

/// A secret, and the one before it.
#[derive(Debug)]
pub(super) struct Signing {
    secret: Secret,
    before: Option<(Secret, SystemTime)>,
}

impl Signing {
    pub(super) fn new(secret: Secret) -> Self {
        Self { secret, before: None }
    }

    /// From now on this one signs, and for a while the last one too.
    pub(super) fn renew(&mut self, secret: Secret, now: SystemTime) {
        let last = std::mem::replace(&mut self.secret, secret);
        self.before = (last != self.secret).then(|| (last, now + limits::WEBHOOK_OVERLAP));
    }

    /// What signs now, as it was given.
    pub(super) fn text(&self) -> &str {
        self.secret.text()
    }

    /// The fields of a message that is sent now.
    pub(super) fn fields(
        &self,
        url: &Url,
        message: &Message<'_>,
        now: SystemTime,
        dropped: u64,
    ) -> String {
        let before = self.before.as_ref().filter(|(_, until)| now < *until);
        let secrets: Vec<&Secret> =
            [&self.secret].into_iter().chain(before.map(|(secret, _)| secret)).collect();
        webhook::fields(url, &secrets, message, seconds(now), dropped)
    }

    /// Adds what is kept of it.
    pub(super) fn write(&self, value: &mut Value) {
        value["secret"] = json!(self.secret.text());
        if let Some((secret, until)) = &self.before {
            value["before"] = json!({"secret": secret.text(), "until": seconds(*until)});
        }
    }

    /// Reads what was kept.
    pub(super) fn read(value: &Value) -> Option<Self> {
        let secret = |value: &Value| Secret::read(value.get("secret")?.as_str()?).ok();
        let before = value.get("before").and_then(|before| {
            let until = Duration::from_secs(before.get("until")?.as_u64()?);
            Some((secret(before)?, UNIX_EPOCH.checked_add(until)?))
        });
        Some(Self { secret: secret(value)?, before })
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_secret_before_signs_for_a_while_and_is_kept_for_so_long() {
        let start = UNIX_EPOCH + Duration::from_secs(1_000);
        let (first, second) = (Secret::of(&[1; 32]), Secret::of(&[2; 32]));
        let mut signing = Signing::new(first);
        signing.renew(second, start);
        let url = Url::read("http://h/").expect("sound");
        let message = Message { id: "a", body: "{}" };
        for _ in 0..2 {
            let signed = |at| signing.fields(&url, &message, at, 0).matches("v1,").count();
            assert_eq!(signed(start), 2);
            assert_eq!(signed(start + limits::WEBHOOK_OVERLAP - Duration::from_secs(1)), 2);
            assert_eq!(signed(start + limits::WEBHOOK_OVERLAP), 1);
            let mut value = json!({});
            signing.write(&mut value);
            signing = Signing::read(&value).expect("sound");
        }
    }
}
