//! From the text of a configuration file to the JSON that a key's kind wants; `spec_read` takes it
//! from there.

use serde_json::{Map, Number, Value};

use super::spec_fields::shown;
use super::spec_keys::{key, Kind, KEYS};
use super::spec_read::{unknown, SpecError};

/// What parts the items of a list.
const SEPARATORS: [char; 4] = [',', ' ', '\t', '\n'];

/// Makes the text of a configuration file the JSON that the key's kind wants.
///
/// # Errors
/// An unknown key, or text that cannot be a value of that kind.
pub fn value_of_text(name: &str, text: &str) -> Result<Value, SpecError> {
    let Some(key) = key(name) else {
        return Err(unknown(name, KEYS.iter().map(|key| key.name)));
    };
    let text = text.trim();
    let bad = || SpecError::Bad {
        key: name.into(),
        expects: key.expects.into(),
        found: shown(&Value::from(text)),
    };
    if text.is_empty() {
        return Ok(Value::Null);
    }
    let parts = || text.split(SEPARATORS).filter(|part| !part.is_empty());
    let value = match key.kind {
        Kind::Text | Kind::Account | Kind::Words | Kind::Size | Kind::Unused => Value::from(text),
        Kind::Flag => match text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "1" => Value::from(true),
            "false" | "no" | "off" | "0" => Value::from(false),
            _ => return Err(bad()),
        },
        Kind::Whole => Value::from(text.parse::<i64>().map_err(|_| bad())?),
        Kind::Seconds => number_of(text).ok_or_else(bad)?,
        Kind::Names => parts().map(Value::from).collect(),
        Kind::Codes => {
            parts().map(number_of).collect::<Option<Vec<_>>>().map(Value::Array).ok_or_else(bad)?
        }
        Kind::Table => Value::Object(table(&tight(text)).ok_or_else(bad)?),
        Kind::Numbers(names) => Value::Object(numbers(&tight(text), names).ok_or_else(bad)?),
    };
    Ok(value)
}

/// A number as JSON; whole ones stay whole.
fn number_of(text: &str) -> Option<Value> {
    if let Ok(whole) = text.parse::<i64>() {
        return Some(Value::from(whole));
    }
    Number::from_f64(text.parse().ok()?).map(Value::Number)
}

/// The text without the blanks around `=` and `:`, which join what is on both sides of them.
fn tight(text: &str) -> String {
    let joined = |text: &str, by| text.split(by).map(str::trim).collect::<Vec<_>>().join(by);
    joined(&joined(text, "="), ":")
}

/// `name=value` or `name=soft:hard` in a row.
fn table(text: &str) -> Option<Map<String, Value>> {
    let limit = |text: &str| number_of(text).unwrap_or_else(|| Value::from(text));
    text.split(SEPARATORS).filter(|part| !part.is_empty()).try_fold(Map::new(), |mut all, part| {
        let (name, value) = part.split_once('=')?;
        let value = match value.split_once(':') {
            Some((soft, hard)) => Value::Array(vec![limit(soft), limit(hard)]),
            None => limit(value),
        };
        all.insert(name.to_owned(), value);
        Some(all)
    })
}

/// Numbers by position (`2, 1., 7., 5`) or by name (`attempts=2`). A whole number written with a
/// point counts as whole.
fn numbers(text: &str, names: &[&str]) -> Option<Map<String, Value>> {
    let mut map = Map::new();
    let parts = text.split(SEPARATORS).filter(|part| !part.is_empty());
    for (position, part) in parts.enumerate() {
        let (name, text) = match part.split_once('=') {
            Some((name, text)) => (name, text),
            None => (*names.get(position)?, part),
        };
        let whole = text.trim_end_matches('0').strip_suffix('.').filter(|w| !w.is_empty());
        map.insert(name.to_owned(), number_of(whole.unwrap_or(text))?);
    }
    Some(map)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_text_of_files_becomes_the_values_of_keys() {
        for (key, text, expected) in [
            (
                "flapping",
                "2, 1., 7., 5",
                json!({"attempts": 2, "window": 1, "retry_in": 7, "max_retry": 5}),
            ),
            (
                "flapping",
                "2. 1.5 7 -1",
                json!({"attempts": 2, "window": 1.5, "retry_in": 7, "max_retry": -1}),
            ),
            ("backoff", "base=0.1 max=5", json!({"base": 0.1, "max": 5})),
            (
                "rlimits",
                "nofile=10:20, core=unlimited",
                json!({"nofile": [10, 20], "core": "unlimited"}),
            ),
            ("rlimits", "nofile = 10 : 20,\ncore =5", json!({"nofile": [10, 20], "core": 5})),
            ("backoff", "base = 0.1 max= 5", json!({"base": 0.1, "max": 5})),
            ("redirect_output", "out, err", json!(["out", "err"])),
            ("shell", "Yes", json!(true)),
            ("success_codes", "0 3", json!([0, 3])),
            ("cwd", "", json!(null)),
            ("graceful_timeout", "2.5", json!(2.5)),
        ] {
            assert_eq!(value_of_text(key, text), Ok(expected), "{key} = {text}");
        }
        assert!(value_of_text("flapping", "1 2 3 4 5").is_err());
        assert!(value_of_text("rlimits", "nofile 10").is_err());
        assert!(value_of_text("shell", "maybe").is_err());
        assert!(value_of_text("shel", "true").is_err());
    }
}
