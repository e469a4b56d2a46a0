//! Bytes to JSON, strictly, and back. Requests and files are read alike, so that what one refuses the other
//! does not take.

use std::{fmt, io};

use serde::de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde::Serialize;
use serde_json::ser::Formatter;
use serde_json::{Map, Number, Value};

/// Parses JSON strictly: a name that stands twice in one object is an error, where `serde_json`
/// would take the last and let two readers of one text disagree. Nesting is bounded by
/// `serde_json` itself (127 levels).
///
/// # Errors
/// What is wrong, with line and column.
pub fn parse(bytes: &[u8]) -> Result<Value, serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = Strict.deserialize(&mut reader)?;
    reader.end()?;
    Ok(value)
}

/// A whole number, however it is written: JSON has one kind of numbers, and `2.0` is as whole as `2`.
pub fn whole(value: &Value) -> Option<i64> {
    // What is smaller than this, in amount, are the numbers of an `i64`, but for one.
    const BEYOND: f64 = 9_223_372_036_854_775_808.0;
    let exact = |number: f64| {
        let fits = number.fract() == 0.0 && number.abs() < BEYOND;
        #[expect(clippy::cast_possible_truncation, reason = "it is whole, and no larger")]
        fits.then_some(number as i64)
    };
    value.as_i64().or_else(|| value.as_f64().and_then(exact))
}

/// An object of members. To collect them would be to sort them, which is another piece of program for each place.
pub fn object(members: impl Iterator<Item = (String, Value)>) -> Map<String, Value> {
    let mut object = Map::new();
    for (name, value) in members {
        object.insert(name, value);
    }
    object
}

struct Strict;

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(Self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("a number too large"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(Self)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            if map.contains_key(&name) {
                return Err(de::Error::custom(format!("{name:?} stands twice")));
            }
            let value = members.next_value_seed(Self)?;
            map.insert(name, value);
        }
        Ok(Value::Object(map))
    }
}

/// Writes JSON with the separators of Python's `json.dumps`, as gaffer has always written it.
pub fn text(value: &impl Serialize) -> String {
    // Most of what is told is no longer.
    let mut bytes = Vec::with_capacity(128);
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, PythonSeparators);
    value.serialize(&mut serializer).expect("JSON is written to memory without fail");
    String::from_utf8(bytes).expect("JSON is text")
}

/// `", "` between elements and `": "` behind keys.
struct PythonSeparators;

impl Formatter for PythonSeparators {
    fn begin_array_value<W: ?Sized + io::Write>(
        &mut self,
        w: &mut W,
        first: bool,
    ) -> io::Result<()> {
        if first {
            Ok(())
        } else {
            w.write_all(b", ")
        }
    }

    fn begin_object_key<W: ?Sized + io::Write>(
        &mut self,
        w: &mut W,
        first: bool,
    ) -> io::Result<()> {
        if first {
            Ok(())
        } else {
            w.write_all(b", ")
        }
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, w: &mut W) -> io::Result<()> {
        w.write_all(b": ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_are_whole_however_they_are_written() {
        let read = |text: &str| whole(&parse(text.as_bytes()).expect("JSON"));
        for (text, number) in [
            ("2", Some(2)),
            ("2.0", Some(2)),
            ("-2e3", Some(-2000)),
            ("9223372036854775807", Some(i64::MAX)),
            ("-9223372036854775808", Some(i64::MIN)),
            ("2.5", None),
            ("9223372036854775808", None),
            ("1e300", None),
            ("\"2\"", None),
            ("null", None),
        ] {
            assert_eq!(read(text), number, "{text}");
        }
    }

    #[test]
    fn json_is_read_strictly() {
        assert_eq!(
            parse(br#"{"a": [1, -2, 1.5, "x", null, true]}"#).ok().map(|v| v.to_string()),
            Some(r#"{"a":[1,-2,1.5,"x",null,true]}"#.into())
        );
        let deep = "[".repeat(200) + &"]".repeat(200);
        let bombs = [r#"{"a":1,"a":2}"#, "{} {}", "", "{", "1e400", deep.as_str(), r#""\ud800""#];
        for bad in bombs {
            assert!(parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn nesting_ends_at_its_limit() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(parse(nested(127).as_bytes()).is_ok());
        assert!(parse(nested(128).as_bytes()).is_err());
    }

    #[test]
    fn a_name_is_given_once_at_every_depth() {
        let reason = |text: &str| parse(text.as_bytes()).expect_err("refused").to_string();
        assert!(reason(r#"{"a": [{"b": 1, "b": 1}]}"#).starts_with("\"b\" stands twice"));
        assert!(reason(r#"{"a": 1, "\u0061": 2}"#).starts_with("\"a\" stands twice"));
        assert!(parse(br#"{"a": {"b": 1}, "b": 1}"#).is_ok());
    }
}
