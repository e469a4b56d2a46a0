//! JSON Schema 2020-12, as much of it as gafferd's own document has: enough to hold answers against it. A
//! keyword that is not known here fails, so that none is passed over.

use regex_lite::Regex;
use serde_json::{Map, Value};

/// A document whose parts are schemas.
pub(crate) struct Schemas<'a>(pub(crate) &'a Value);

/// Keywords that only tell.
const TELLING: [&str; 2] = ["description", "examples"];

impl Schemas<'_> {
    /// Checks a value against a schema, and that nothing is told which that does not name.
    ///
    /// # Errors
    /// The first that is not so, with where.
    pub(crate) fn check(&self, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
        let Value::Object(schema) = schema else { return Err(format!("{at}: no schema")) };
        for (keyword, rule) in schema.iter().filter(|(name, _)| !TELLING.contains(&name.as_str())) {
            self.keyword(keyword, rule, (schema, value), at)?;
        }
        let names = schema.get("properties").and_then(Value::as_object);
        if let (Some(names), Some(told)) = (names, value.as_object()) {
            let is_open = schema.contains_key("additionalProperties");
            let stranger = told.keys().find(|name| !is_open && !names.contains_key(*name));
            if let Some(stranger) = stranger {
                return Err(format!("{at}: {stranger} is not written down"));
            }
        }
        Ok(())
    }

    fn fits(&self, schema: &Value, value: &Value) -> bool {
        self.check(schema, value, "").is_ok()
    }

    fn keyword(
        &self,
        keyword: &str,
        rule: &Value,
        (schema, value): (&Map<String, Value>, &Value),
        at: &str,
    ) -> Result<(), String> {
        let rules = || rule.as_array().into_iter().flatten();
        let fits = match keyword {
            "$ref" => return self.check(self.found(rule)?, value, at),
            "type" => rules().chain([rule]).any(|kind| is_of(kind, value)),
            "const" => rule == value,
            "enum" => rules().any(|one| one == value),
            "anyOf" => rules().any(|one| self.fits(one, value)),
            "oneOf" => rules().filter(|one| self.fits(one, value)).count() == 1,
            "not" => !self.fits(rule, value),
            "uniqueItems" => value
                .as_array()
                .is_none_or(|list| (1..list.len()).all(|at| !list[..at].contains(&list[at]))),
            "minimum" => value.as_f64().is_none_or(|number| rule.as_f64() <= Some(number)),
            "maximum" => value.as_f64().is_none_or(|number| rule.as_f64() >= Some(number)),
            "exclusiveMinimum" => value.as_f64().is_none_or(|number| rule.as_f64() < Some(number)),
            "pattern" => {
                let pattern = Regex::new(rule.as_str().expect("a text")).expect("a pattern");
                value.as_str().is_none_or(|text| pattern.is_match(text))
            }
            "minLength" => value.as_str().is_none_or(|text| text.chars().count() >= count(rule)),
            "maxLength" => value.as_str().is_none_or(|text| text.chars().count() <= count(rule)),
            "minItems" => value.as_array().is_none_or(|list| list.len() >= count(rule)),
            "maxItems" => value.as_array().is_none_or(|list| list.len() <= count(rule)),
            "required" => value.as_object().is_none_or(|members| {
                rules().all(|name| members.contains_key(name.as_str().unwrap_or_default()))
            }),
            "items" => {
                for (number, item) in value.as_array().into_iter().flatten().enumerate() {
                    self.check(rule, item, &format!("{at}/{number}"))?;
                }
                true
            }
            "properties" => {
                for (name, member) in value.as_object().into_iter().flatten() {
                    if let Some(shape) = rule.get(name) {
                        self.check(shape, member, &format!("{at}/{name}"))?;
                    }
                }
                true
            }
            "additionalProperties" | "propertyNames" => {
                let named = schema.get("properties").and_then(Value::as_object);
                let all = value.as_object().into_iter().flatten();
                let mut others = all.filter(|(name, _)| {
                    keyword == "propertyNames" || named.is_none_or(|n| !n.contains_key(*name))
                });
                others.all(|(name, member)| match (keyword, rule) {
                    ("propertyNames", _) => self.fits(rule, &Value::from(name.as_str())),
                    (_, Value::Bool(allowed)) => *allowed,
                    _ => self.fits(rule, member),
                })
            }
            other => return Err(format!("{at}: {other} is no keyword that is known here")),
        };
        if fits {
            Ok(())
        } else {
            Err(format!("{at}: {value} is not {keyword} {rule}"))
        }
    }

    /// Where a reference leads.
    ///
    /// # Errors
    /// Nowhere.
    pub(crate) fn found(&self, reference: &Value) -> Result<&Value, String> {
        let pointer = reference.as_str().and_then(|text| text.strip_prefix('#'));
        let found = pointer.and_then(|pointer| self.0.pointer(pointer));
        found.ok_or_else(|| format!("{reference} leads nowhere"))
    }
}

fn count(rule: &Value) -> usize {
    rule.as_u64().and_then(|count| usize::try_from(count).ok()).expect("a count")
}

fn is_of(kind: &Value, value: &Value) -> bool {
    match kind.as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("boolean") => value.is_boolean(),
        Some("null") => value.is_null(),
        Some("number") => value.is_number(),
        Some("integer") => value.is_i64() || value.is_u64(),
        _ => false,
    }
}

#[test]
fn what_is_not_of_a_shape_is_told() {
    let document = serde_json::json!({"s": {"type": "object", "required": ["a"], "properties": {
        "a": {"anyOf": [{"type": "integer", "minimum": 1}, {"const": "x"}]},
        "b": {"type": "array", "items": {"type": ["string", "null"], "pattern": "^[a-c]+$"}},
    }}});
    let schemas = Schemas(&document);
    let told = |value: Value| schemas.check(&serde_json::json!({"$ref": "#/s"}), &value, "it");
    for good in [r#"{"a": 1}"#, r#"{"a": "x", "b": ["ab", null]}"#] {
        assert_eq!(told(serde_json::from_str(good).expect("JSON")), Ok(()));
    }
    for bad in [
        "1",
        "{}",
        r#"{"a": 0}"#,
        r#"{"a": "y"}"#,
        r#"{"a": 1, "b": ["d"]}"#,
        r#"{"a": 1, "b": "a"}"#,
        r#"{"a": 1, "c": 2}"#,
    ] {
        assert!(told(serde_json::from_str(bad).expect("JSON")).is_err(), "{bad}");
    }
    let unknown = serde_json::json!({"type": "object", "minProperties": 1});
    assert!(schemas.check(&unknown, &Value::Null, "").is_err());
}
