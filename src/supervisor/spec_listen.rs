//! What a job's configuration says of the events that its processes are told, and how.

use serde_json::Value;

use super::spec::{Dialect, LISTEN_BUFFER};
use super::spec_fields::{shown, Fields};
use super::spec_read::SpecError;
use crate::base::limits;
use crate::wire::listener::kinds::{self, NoKind};

/// Names of events, as the dialect has them.
pub(super) fn listen(fields: &Fields<'_>) -> Result<Vec<String>, SpecError> {
    let Some(names) = fields.texts("listen")? else { return Ok(Vec::new()) };
    let plain = |name: &&str| {
        let fits = !name.is_empty() && name.len() <= limits::EVENT_NAME;
        fits && name.chars().all(|c| !c.is_whitespace() && !c.is_control())
    };
    if names.len() > limits::LISTEN || !names.iter().all(plain) {
        return Err(fields.bad("listen", fields.get("listen").unwrap_or(&Value::Null)));
    }
    match protocol(fields)? {
        Dialect::Gaffer => {
            Ok(names.into_iter().map(|name| name.trim_end_matches('.').to_owned()).collect())
        }
        Dialect::Supervisor => {
            keeps_streams(fields)?;
            names.into_iter().map(kind).collect()
        }
    }
}

/// A kind of supervisor's events.
fn kind(name: &str) -> Result<String, SpecError> {
    match kinds::kind(name) {
        Ok(kind) => Ok(kind.to_owned()),
        Err(NoKind::Unknown { meant: Some(meant) }) => Err(SpecError::Bad {
            key: "listen".into(),
            expects: format!("kinds of supervisor's events, perhaps {meant}"),
            found: shown(&Value::from(name)),
        }),
        Err(NoKind::Unknown { meant: None }) => Err(SpecError::Bad {
            key: "listen".into(),
            expects: format!("kinds of supervisor's events, such as {}", kinds::KINDS[6]),
            found: shown(&Value::from(name)),
        }),
        Err(NoKind::Absent(cure)) => Err(SpecError::Bad {
            key: "listen".into(),
            expects: format!("other kinds of events, as {cure}"),
            found: shown(&Value::from(name)),
        }),
    }
}

/// How events are told.
pub(super) fn protocol(fields: &Fields<'_>) -> Result<Dialect, SpecError> {
    match fields.text("listen_protocol")? {
        None | Some("gaffer") => Ok(Dialect::Gaffer),
        Some("supervisor") => Ok(Dialect::Supervisor),
        Some(other) => Err(fields.bad("listen_protocol", &Value::from(other))),
    }
}

/// How many events may wait.
pub(super) fn buffer(fields: &Fields<'_>) -> Result<usize, SpecError> {
    let most = i64::try_from(limits::LISTEN_BUFFER).unwrap_or(i64::MAX);
    Ok(fields.whole("listen_buffer", 1, most)?.unwrap_or(LISTEN_BUFFER))
}

/// Checks that nobody else speaks on the streams of the protocol.
fn keeps_streams(fields: &Fields<'_>) -> Result<(), SpecError> {
    let bad = |key: &str, expects: &str, found: &Value| SpecError::Bad {
        key: key.into(),
        expects: expects.into(),
        found: shown(found),
    };
    if let Some(true) = fields.flag("redirect_input")? {
        let expects = "none with listen_protocol = supervisor, which has stdin for itself";
        return Err(bad("redirect_input", expects, &Value::Bool(true)));
    }
    match fields.texts("redirect_output")?.as_deref() {
        Some([out, err]) if out == err => {
            let expects = "two labels with listen_protocol = supervisor, where stdout is no log";
            let found = fields.get("redirect_output").unwrap_or(&Value::Null);
            Err(bad("redirect_output", expects, found))
        }
        Some(_) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::supervisor::spec_read::read;
    use serde_json::json;

    #[test]
    fn a_buffer_has_its_size_or_that_of_supervisor() {
        let room = |value: Value| {
            let config = json!({"cmd": "a", "listen_buffer": value});
            read(config.as_object().expect("an object")).map(|spec| spec.listen_buffer).ok()
        };
        assert_eq!(room(Value::Null), Some(10));
        let most = limits::LISTEN_BUFFER;
        assert_eq!(
            [room(json!(most)), room(json!(most + 1)), room(json!(0))],
            [Some(most), None, None]
        );
    }
}
