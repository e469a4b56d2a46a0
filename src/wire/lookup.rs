//! The messages between a node and `gaffer_lookupd` (the protocol, section 6.2): what a node says, and
//! the texts with which it is answered. One message is one JSON object. What names and origins may be
//! is for those to say who keep them.

use std::borrow::Cow;

use serde_json::{json, Map, Value};

use super::json;
use crate::base::limits;

/// What a node says.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// Comes back with the answer: text, whole number, truth or null.
    pub msgid: Value,
    /// What it wants.
    pub what: What,
}

/// What a node wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// To be known.
    Identify {
        /// What it is called.
        name: String,
        /// Where clients reach it.
        origin: String,
        /// What it speaks.
        version: String,
    },
    /// To be known as alive.
    Ping,
    /// It has a job.
    RegisterJob(String),
    /// It has that job no more.
    UnregisterJob(String),
    /// A process of a job runs.
    RegisterProcess(String, u64),
    /// It runs no more.
    UnregisterProcess(String, u64),
}

/// Why something is not done, in the protocol's numbers and words.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// As a status of HTTP.
    pub errno: u16,
    /// The word that nodes know; some refusals have none.
    pub reason: Cow<'static, str>,
    /// A sentence for people, if there is something to say.
    pub detail: String,
}

/// A message that is none, with what it wanted back.
#[derive(Clone, Debug, PartialEq)]
pub struct Invalid {
    /// The `msgid` of the answer.
    pub msgid: Value,
    /// What is wrong.
    pub refusal: Refusal,
}

impl Refusal {
    /// A refusal with these words.
    pub fn new(
        errno: u16,
        reason: impl Into<Cow<'static, str>>,
        detail: impl Into<String>,
    ) -> Self {
        Self { errno, reason: reason.into(), detail: detail.into() }
    }
}

/// The types of messages.
const TYPES: [&str; 6] = [
    "IDENTIFY",
    "PING",
    "REGISTER_JOB",
    "UNREGISTER_JOB",
    "REGISTER_PROCESS",
    "UNREGISTER_PROCESS",
];

/// Reads a node's message.
///
/// # Errors
/// What is wrong with it.
pub fn parse(text: &str) -> Result<Request, Invalid> {
    let invalid = |reason: &'static str, msgid: &Value, detail: String| Invalid {
        msgid: msgid.clone(),
        refusal: Refusal::new(400, reason, detail),
    };
    if text.len() > limits::LOOKUP_MESSAGE {
        let detail = format!("a message has at most {} bytes", limits::LOOKUP_MESSAGE);
        return Err(invalid("invalid_message", &Value::Null, detail));
    }
    let value = json::parse(text.as_bytes()).map_err(|error| {
        invalid("invalid_json", &Value::Null, format!("the message is not JSON: {error}"))
    })?;
    let Value::Object(message) = value else {
        let detail = "a message is a JSON object".to_owned();
        return Err(invalid("invalid_message", &Value::Null, detail));
    };
    // Any other number would not come back as it was said.
    let plain = |value: &&Value| match value {
        Value::Number(number) => number.is_i64() || number.is_u64(),
        Value::Null | Value::Bool(_) | Value::String(_) => true,
        Value::Array(_) | Value::Object(_) => false,
    };
    let Some(msgid) = message.get("msgid").filter(plain) else {
        let detail = "msgid: expected a text that comes back with the answer".to_owned();
        return Err(invalid("invalid_message", &Value::Null, detail));
    };
    let wrong = |detail: String| invalid("invalid_message", msgid, detail);
    let Some(kind) = message.get("type") else {
        return Err(wrong(format!("type: expected one of {}", TYPES.join(", "))));
    };
    let what = match kind.as_str() {
        Some("IDENTIFY") => What::Identify {
            name: text_of(&message, "name").map_err(wrong)?,
            origin: text_of(&message, "origin").map_err(wrong)?,
            version: text_of(&message, "version").map_err(wrong)?,
        },
        Some("PING") => What::Ping,
        Some("REGISTER_JOB") => What::RegisterJob(text_of(&message, "job_name").map_err(wrong)?),
        Some("UNREGISTER_JOB") => {
            What::UnregisterJob(text_of(&message, "job_name").map_err(wrong)?)
        }
        Some("REGISTER_PROCESS") => {
            let (job, pid) = process_of(&message).map_err(wrong)?;
            What::RegisterProcess(job, pid)
        }
        Some("UNREGISTER_PROCESS") => {
            let (job, pid) = process_of(&message).map_err(wrong)?;
            What::UnregisterProcess(job, pid)
        }
        Some(_) | None => {
            let detail = format!("type: expected one of {}, found {kind}", TYPES.join(", "));
            return Err(invalid("invalid_message_type", &Value::Null, detail));
        }
    };
    Ok(Request { msgid: msgid.clone(), what })
}

/// What a lookupd says to a message.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// Of the message; `None` if the lookupd could not read that.
    pub msgid: Option<u64>,
    /// Whether it is done.
    pub done: Result<(), Refusal>,
}

/// Writes a node's message. Its number is said as a text, as the original's was.
pub fn request(msgid: u64, what: &What) -> String {
    let msgid = msgid.to_string();
    json::text(&match what {
        What::Identify { name, origin, version } => json!({
            "msgid": msgid, "type": "IDENTIFY", "name": name, "origin": origin, "version": version,
        }),
        What::Ping => json!({"msgid": msgid, "type": "PING"}),
        What::RegisterJob(job) => {
            json!({"msgid": msgid, "type": "REGISTER_JOB", "job_name": job})
        }
        What::UnregisterJob(job) => {
            json!({"msgid": msgid, "type": "UNREGISTER_JOB", "job_name": job})
        }
        What::RegisterProcess(job, pid) => {
            json!({"msgid": msgid, "type": "REGISTER_PROCESS", "job_name": job, "pid": pid})
        }
        What::UnregisterProcess(job, pid) => {
            json!({"msgid": msgid, "type": "UNREGISTER_PROCESS", "job_name": job, "pid": pid})
        }
    })
}

/// Reads a lookupd's answer; `None` if it is none.
pub fn answer(text: &str) -> Option<Answer> {
    let Ok(Value::Object(answer)) = json::parse(text.as_bytes()) else { return None };
    let msgid = answer.get("msgid")?.as_str().and_then(|msgid| msgid.parse().ok());
    if answer.get("ok") == Some(&Value::Bool(true)) {
        return Some(Answer { msgid, done: Ok(()) });
    }
    let errno = answer.get("errno")?.as_u64().and_then(|errno| u16::try_from(errno).ok())?;
    let word = |key: &str| answer.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    Some(Answer { msgid, done: Err(Refusal::new(errno, word("reason"), word("detail"))) })
}

fn text_of(message: &Map<String, Value>, key: &str) -> Result<String, String> {
    let text = message.get(key).and_then(Value::as_str);
    text.map(str::to_owned).ok_or_else(|| format!("{key}: expected a text"))
}

fn process_of(message: &Map<String, Value>) -> Result<(String, u64), String> {
    let job = text_of(message, "job_name")?;
    let pid = message.get("pid").and_then(Value::as_u64);
    Ok((job, pid.ok_or("pid: expected the number of a process")?))
}

/// Says that it is done.
pub fn done(msgid: &Value) -> String {
    json::text(&json!({"ok": true, "msgid": msgid}))
}

/// Says why it is not.
pub fn refused(msgid: &Value, refusal: &Refusal) -> String {
    let mut answer = json!({
        "errno": refusal.errno, "reason": refusal.reason, "msgid": msgid,
    });
    if !refusal.detail.is_empty() {
        answer["detail"] = json!(refusal.detail);
    }
    json::text(&answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The `msgid` and the word with which a message is refused.
    fn refusal(text: &str) -> (Value, String) {
        let invalid = parse(text).expect_err(text);
        assert_eq!(invalid.refusal.errno, 400);
        assert!(!invalid.refusal.detail.is_empty());
        (invalid.msgid, invalid.refusal.reason.into_owned())
    }

    #[test]
    fn every_message_of_the_protocol_is_read() {
        let what = |text: &str| parse(text).expect(text).what;
        assert_eq!(
            what(
                r#"{"msgid": "1", "type": "IDENTIFY", "name": "n", "origin": "o", "version": "0.1"}"#
            ),
            What::Identify { name: "n".into(), origin: "o".into(), version: "0.1".into() }
        );
        assert_eq!(what(r#"{"msgid": "1", "type": "PING"}"#), What::Ping);
        let job = |kind: &str| format!(r#"{{"msgid": 1, "type": "{kind}", "job_name": "a.b"}}"#);
        assert_eq!(what(&job("REGISTER_JOB")), What::RegisterJob("a.b".into()));
        assert_eq!(what(&job("UNREGISTER_JOB")), What::UnregisterJob("a.b".into()));
        let process = |kind: &str| {
            format!(r#"{{"pid": 7, "msgid": 1, "type": "{kind}", "job_name": "a.b"}}"#)
        };
        assert_eq!(what(&process("REGISTER_PROCESS")), What::RegisterProcess("a.b".into(), 7));
        assert_eq!(what(&process("UNREGISTER_PROCESS")), What::UnregisterProcess("a.b".into(), 7));
    }

    #[test]
    fn what_is_no_message_has_its_word_and_its_msgid() {
        let null = Value::Null;
        for (text, msgid, reason) in [
            ("", &null, "invalid_json"),
            ("{", &null, "invalid_json"),
            (r#"{"msgid": "1", "msgid": "2", "type": "PING"}"#, &null, "invalid_json"),
            ("[]", &null, "invalid_message"),
            ("{}", &null, "invalid_message"),
            (r#"{"type": "PING"}"#, &null, "invalid_message"),
            (r#"{"msgid": {}, "type": "PING"}"#, &null, "invalid_message"),
            (r#"{"msgid": 1.5, "type": "PING"}"#, &null, "invalid_message"),
            (r#"{"msgid": "1"}"#, &json!("1"), "invalid_message"),
            (r#"{"msgid": "1", "type": "DANCE"}"#, &null, "invalid_message_type"),
            (r#"{"msgid": "1", "type": 1}"#, &null, "invalid_message_type"),
            (r#"{"msgid": "1", "type": "ping"}"#, &null, "invalid_message_type"),
            (
                r#"{"msgid": "1", "type": "IDENTIFY", "name": "n", "origin": "o"}"#,
                &json!("1"),
                "invalid_message",
            ),
            (r#"{"msgid": 1, "type": "REGISTER_JOB"}"#, &json!(1), "invalid_message"),
            (
                r#"{"msgid": 1, "type": "UNREGISTER_JOB", "job_name": 1}"#,
                &json!(1),
                "invalid_message",
            ),
            (
                r#"{"msgid": 1, "type": "REGISTER_PROCESS", "job_name": "a", "pid": -1}"#,
                &json!(1),
                "invalid_message",
            ),
            (
                r#"{"msgid": 1, "type": "UNREGISTER_PROCESS", "job_name": "a", "pid": "1"}"#,
                &json!(1),
                "invalid_message",
            ),
        ] {
            assert_eq!(refusal(text), (msgid.clone(), reason.to_owned()), "{text}");
        }
    }

    #[test]
    fn a_message_has_so_many_bytes_and_no_more() {
        let padded = |length: usize| {
            let (head, tail) = (r#"{"msgid": ""#, r#"", "type": "PING"}"#);
            format!("{head}{}{tail}", "x".repeat(length - head.len() - tail.len()))
        };
        assert_eq!(
            parse(&padded(limits::LOOKUP_MESSAGE)).map(|request| request.what),
            Ok(What::Ping)
        );
        let long = refusal(&padded(limits::LOOKUP_MESSAGE + 1));
        assert_eq!(long, (Value::Null, "invalid_message".into()));
    }

    #[test]
    fn what_is_written_is_read() {
        for what in [
            What::Identify { name: "n".into(), origin: "o".into(), version: "0.1".into() },
            What::Ping,
            What::RegisterJob("a.b".into()),
            What::UnregisterJob("a.b".into()),
            What::RegisterProcess("a.b".into(), u64::MAX),
            What::UnregisterProcess("a.b".into(), 7),
        ] {
            let read = parse(&request(7, &what)).expect("a message");
            assert_eq!(read, Request { msgid: json!("7"), what });
        }
        let refusal = Refusal::new(409, "taken", "why");
        for (text, msgid, said) in [
            (done(&json!("7")), Some(7), Ok(())),
            (refused(&json!("7"), &refusal), Some(7), Err(refusal.clone())),
            (refused(&Value::Null, &refusal), None, Err(refusal)),
        ] {
            assert_eq!(answer(&text), Some(Answer { msgid, done: said }), "{text}");
        }
        for none in ["", "[]", "{}", r#"{"ok": true}"#, r#"{"ok": false, "msgid": "1"}"#] {
            assert_eq!(answer(none), None, "{none}");
        }
    }

    #[test]
    fn answers_carry_their_msgid() {
        assert_eq!(done(&json!("a")), r#"{"msgid": "a", "ok": true}"#);
        assert_eq!(
            refused(&Value::Null, &Refusal::new(400, "invalid_json", "")),
            r#"{"errno": 400, "msgid": null, "reason": "invalid_json"}"#
        );
        assert_eq!(
            refused(&json!(3), &Refusal::new(409, "", "why")),
            r#"{"detail": "why", "errno": 409, "msgid": 3, "reason": ""}"#
        );
    }
}
