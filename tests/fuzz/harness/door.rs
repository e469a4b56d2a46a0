//! What decides who may do what, and what runs: permissions and kept keys, and jobs in JSON.

use gaffer::front::rights::{Need, Permissions, Right};
use gaffer::node::journal::Journal;
use gaffer::node::keys::key::Key;
use gaffer::node::keys::user::User;
use gaffer::supervisor::name::JobName;
use gaffer::supervisor::{spec_keys, spec_read};
use gaffer::wire::json;
use serde_json::Value;

/// A store of keys, or permissions by themselves: what is read is written the same, and no permission
/// appears from nowhere.
pub fn keys(data: &[u8]) {
    for kind in ["keys", "users"] {
        let Ok(loaded) = Journal::load(kind, data) else { continue };
        for (_, value) in &loaded.entries {
            entry(value);
        }
    }
    let Ok(value) = json::parse(data) else { return };
    entry(&value);
    let Ok(permissions) = Permissions::read(&value) else { return };
    let again = Permissions::read(&permissions.to_value()).expect("what is written is read");
    assert_eq!(again, permissions);
    assert!(permissions.are_within(&permissions) && permissions.are_within(&Permissions::admin()));
    assert!(Permissions::default().are_within(&permissions));
    let job = JobName::new("s", "l").expect("a name");
    for right in [Right::Read, Right::Write, Right::Manage] {
        let one = permissions.allow(&Need::Job(right, job.clone()));
        let session = permissions.allow(&Need::Session(right, "s".into()));
        let all = permissions.allow(&Need::All(right));
        assert!(one || !session, "who has a session has its jobs");
        assert!(session || !all, "who has all has each session");
    }
    let admin = value.get("admin") == Some(&Value::Bool(true));
    assert_eq!(permissions.allow(&Need::Admin), admin);
}

fn entry(value: &Value) {
    if let Some(key) = Key::from_value(value) {
        // Times are kept to the second.
        let kept = Key::from_value(&key.to_value()).expect("what is written is read");
        assert_eq!(Key::from_value(&kept.to_value()), Some(kept.clone()));
        assert_eq!((kept.hash, kept.permissions), (key.hash, key.permissions));
    }
    if let Some(user) = User::from_value(value) {
        assert_eq!(User::from_value(&user.to_value()), Some(user));
    }
}

/// A job's configuration: a fault names a key, and what is sound is sound again as it is kept.
pub fn job(data: &[u8]) {
    let Ok(Value::Object(config)) = json::parse(data) else { return };
    match spec_read::read(&config) {
        Ok(spec) => {
            let again = spec_read::read(&spec.config.map()).expect("it is kept as it was taken");
            assert_eq!(again.command, spec.command);
        }
        Err(error) => {
            let told = error.to_string();
            let known = spec_keys::KEYS.iter().any(|key| told.contains(key.name));
            let own = config.keys().any(|key| told.contains(&format!("{key:?}")));
            assert!(known || own, "{told}");
        }
    }
}
