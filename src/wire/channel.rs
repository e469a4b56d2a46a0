//! The messages of the channel (the protocol, section 4): what a client may say, and the texts with
//! which it is answered. One message is one JSON object.

use std::time::Duration;

use serde::Serialize;
use serde_json::{json, Map, Value};

use super::json;

/// What a client says.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    /// Nothing: it lives.
    Nop,
    /// Follow a topic.
    Subscribe(Subscription),
    /// Follow it no more.
    Unsubscribe(String),
    /// Do something.
    Command(Command),
}

/// A wish to follow a topic.
#[derive(Clone, Debug, PartialEq)]
pub struct Subscription {
    /// The topic as the client wrote it.
    pub topic: String,
    /// How often statistics are wanted.
    pub interval: Option<Duration>,
    /// The last event that the client has seen, or how far it has read a stream: what came after that
    /// comes first.
    pub since: Option<u64>,
}

/// A command.
#[derive(Clone, Debug, PartialEq)]
pub struct Command {
    /// Comes back with the answer.
    pub identity: Value,
    /// What to do.
    pub name: String,
    /// With what, by position.
    pub args: Vec<Value>,
    /// With what, by name.
    pub kwargs: Map<String, Value>,
}

/// Why a message is none: the protocol's word, and a sentence for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// The word that clients know.
    pub reason: &'static str,
    /// What exactly was wrong.
    pub detail: String,
}

fn invalid(reason: &'static str, detail: impl Into<String>) -> Invalid {
    Invalid { reason, detail: detail.into() }
}

/// What somebody is told who has to say a key first, or said one that is `wrong`. The reason is JSON
/// within JSON, as it is of the original.
pub fn auth_required(wrong: bool) -> String {
    let (error, errno) = if wrong { ("forbidden", 403) } else { ("unauthorized", 401) };
    let reason = json::text(&json!({"error": error, "errno": errno}));
    let data = json!({"error": "AUTH_REQUIRED", "reason": reason});
    json::text(&json!({"event": "gaffer:error", "data": data}))
}

/// Reads a client's message.
///
/// # Errors
/// What is wrong with it.
pub fn parse(text: &str) -> Result<Message, Invalid> {
    let value = json::parse(text.as_bytes())
        .map_err(|error| invalid("invalid_json", format!("the message is not JSON: {error}")))?;
    let Value::Object(message) = value else {
        return Err(invalid("invalid_json", "a message is a JSON object"));
    };
    let event = message.get("event").and_then(Value::as_str);
    let event = event.ok_or_else(|| {
        invalid("event_missing", "event: expected NOP, SUB, UNSUB or CMD as a text")
    })?;
    let data = || match message.get("data") {
        Some(Value::Object(data)) => Ok(data),
        Some(_) => Err(invalid("data_missing", "data: expected an object")),
        None => Err(invalid("data_missing", format!("{event} needs data"))),
    };
    match event {
        "NOP" => Ok(Message::Nop),
        "SUB" => subscription(data()?).map(Message::Subscribe),
        "UNSUB" => topic(data()?).map(Message::Unsubscribe),
        "CMD" => command(data()?).map(Message::Command),
        other => Err(invalid(
            "unknown_cmd",
            format!("event: expected NOP, SUB, UNSUB or CMD, found {other:?}"),
        )),
    }
}

fn topic(data: &Map<String, Value>) -> Result<String, Invalid> {
    let topic = data.get("topic").and_then(Value::as_str);
    topic.map(str::to_owned).ok_or_else(|| {
        invalid("topic_missing", "topic: expected a text such as \"EVENTS\" or \"STATS:web\"")
    })
}

fn subscription(data: &Map<String, Value>) -> Result<Subscription, Invalid> {
    let topic = topic(data)?;
    let interval = match data.get("interval").filter(|value| !value.is_null()) {
        None => None,
        Some(value) => Some(seconds(value).ok_or_else(|| {
            invalid("invalid_interval", format!("interval: expected seconds, found {value}"))
        })?),
    };
    let since = match data.get("since").filter(|value| !value.is_null()) {
        None => None,
        Some(value) => Some(value.as_u64().ok_or_else(|| {
            invalid("invalid_since", format!("since: expected a number, found {value}"))
        })?),
    };
    Ok(Subscription { topic, interval, since })
}

fn seconds(value: &Value) -> Option<Duration> {
    Duration::try_from_secs_f64(value.as_f64()?).ok()
}

fn command(data: &Map<String, Value>) -> Result<Command, Invalid> {
    // The original's word, with its slip: clients compare it.
    let name = data.get("name").and_then(Value::as_str).ok_or_else(|| {
        invalid("cmd_name_mssing", "name: expected the name of a command as a text")
    })?;
    let identity = data.get("identity").filter(|value| value.is_string() || value.is_number());
    let identity = identity.ok_or_else(|| {
        invalid("cmd_identity_missing", "identity: expected a text that comes back with the answer")
    })?;
    let args = match data.get("args") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(args)) => args.clone(),
        Some(_) => return Err(invalid("data_missing", "args: expected a list")),
    };
    let kwargs = match data.get("kwargs") {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(kwargs)) => kwargs.clone(),
        Some(_) => return Err(invalid("data_missing", "kwargs: expected an object")),
    };
    Ok(Command { identity: identity.clone(), name: name.to_owned(), args, kwargs })
}

/// Says that a client's message was none.
pub fn error(invalid: &Invalid) -> String {
    json::text(&json!({"event": "gaffer:error", "data": {
        "error": "invalid_msg", "reason": invalid.reason, "detail": invalid.detail,
    }}))
}

/// Says that a topic is followed, or is not any more.
pub fn subscribed(topic: &str) -> String {
    json::text(&json!({"event": "gaffer:subscription_success", "topic": topic}))
}

/// Says why a topic is not followed.
pub fn not_subscribed(topic: &str, reason: &str, detail: &str) -> String {
    json::text(&json!({"event": "gaffer:subscription_error", "topic": topic, "data": {
        "reason": reason, "detail": detail,
    }}))
}

/// Says that something of a topic was lost. For events `since` tells how far the client is behind.
pub fn lagged(topic: &str, lost: u64) -> String {
    json::text(&json!({"event": "gaffer:lagged", "topic": topic, "data": {"lost": lost}}))
}

/// Answers a command.
pub fn done(identity: &Value, result: &impl Serialize) -> String {
    #[derive(Serialize)]
    struct Done<'a, R> {
        data: Data<'a, R>,
        event: &'static str,
    }
    #[derive(Serialize)]
    struct Data<'a, R> {
        id: &'a Value,
        result: &'a R,
    }
    json::text(&Done { data: Data { id: identity, result }, event: "gaffer:command_success" })
}

/// Says why a command was not done.
pub fn failed(identity: &Value, errno: u16, reason: &str, detail: &str) -> String {
    let mut error = json!({"errno": errno, "reason": reason});
    if !detail.is_empty() {
        error["detail"] = json!(detail);
    }
    json::text(&json!({"event": "gaffer:command_error", "data": {"id": identity, "error": error}}))
}

/// A part of a topic: `members` are those of its data, already written.
pub fn event(topic: &str, members: &str) -> String {
    let topic = json::text(&topic);
    let comma = if members.is_empty() { "" } else { ", " };
    format!("{{\"event\": \"gaffer:event\", \"data\": {{\"topic\": {topic}{comma}{members}}}}}")
}

/// The members of an object, written without its braces, for [`event`].
pub fn members(object: &impl Serialize) -> String {
    let mut text = json::text(object);
    text.pop();
    text.remove(0);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(text: &str) -> &'static str {
        parse(text).expect_err("invalid").reason
    }

    #[test]
    fn messages_are_read() {
        assert_eq!(parse(r#"{"event": "NOP"}"#), Ok(Message::Nop));
        let sub =
            r#"{"event": "SUB", "data": {"topic": "STATS:Web", "interval": 0.5, "since": 7}}"#;
        let wanted = Subscription {
            topic: "STATS:Web".into(),
            interval: Some(Duration::from_millis(500)),
            since: Some(7),
        };
        assert_eq!(parse(sub), Ok(Message::Subscribe(wanted)));
        let unsub = r#"{"event": "UNSUB", "data": {"topic": "EVENTS"}}"#;
        assert_eq!(parse(unsub), Ok(Message::Unsubscribe("EVENTS".into())));
        let cmd = r#"{"event": "CMD", "data": {"identity": "1", "name": "jobs"}}"#;
        let wanted = Command {
            identity: json!("1"),
            name: "jobs".into(),
            args: Vec::new(),
            kwargs: Map::new(),
        };
        assert_eq!(parse(cmd), Ok(Message::Command(wanted)));
    }

    #[test]
    fn what_is_wrong_has_the_word_that_clients_know() {
        for (text, word) in [
            ("{", "invalid_json"),
            ("[]", "invalid_json"),
            ("\"AUTH\"", "invalid_json"),
            (r#"{"event": "NOP", "event": "NOP"}"#, "invalid_json"),
            ("{}", "event_missing"),
            (r#"{"event": 1}"#, "event_missing"),
            (r#"{"event": "sub"}"#, "unknown_cmd"),
            (r#"{"event": "SUB"}"#, "data_missing"),
            (r#"{"event": "SUB", "data": 1}"#, "data_missing"),
            (r#"{"event": "SUB", "data": {}}"#, "topic_missing"),
            (r#"{"event": "SUB", "data": {"topic": "E", "interval": -1}}"#, "invalid_interval"),
            (r#"{"event": "SUB", "data": {"topic": "E", "since": -1}}"#, "invalid_since"),
            (r#"{"event": "UNSUB", "data": {}}"#, "topic_missing"),
            (r#"{"event": "CMD", "data": {"identity": "1"}}"#, "cmd_name_mssing"),
            (r#"{"event": "CMD", "data": {"name": "jobs"}}"#, "cmd_identity_missing"),
            (
                r#"{"event": "CMD", "data": {"name": "x", "identity": "1", "args": {}}}"#,
                "data_missing",
            ),
        ] {
            assert_eq!(reason(text), word, "{text}");
        }
    }

    #[test]
    fn answers_are_written_as_the_protocol_has_them() {
        let members = members(&Map::from_iter([("pid".to_owned(), json!(7))]));
        let text = event("STREAM:7", &members);
        assert_eq!(text, r#"{"event": "gaffer:event", "data": {"topic": "STREAM:7", "pid": 7}}"#);
        assert!(json::parse(text.as_bytes()).is_ok());
        assert_eq!(event("a\"b", ""), r#"{"event": "gaffer:event", "data": {"topic": "a\"b"}}"#);
        assert_eq!(
            failed(&json!("i"), 404, "not_found", ""),
            r#"{"data": {"error": {"errno": 404, "reason": "not_found"}, "id": "i"}, "event": "gaffer:command_error"}"#
        );
    }
}
