//! The members of a job's configuration by type: what is of another type or out of bounds is told by its key.

use std::time::Duration;

use serde_json::{Map, Value};

use super::spec_keys::key;
use super::spec_read::SpecError;
use crate::base::{limits, similar};
use crate::wire::json::whole;

/// Access to an object's members by type. A member that is null is one that is not there.
pub(super) struct Fields<'a> {
    pub(super) map: &'a Map<String, Value>,
    /// The key of this object in its parent, for messages.
    pub(super) at: &'static str,
}

impl<'a> Fields<'a> {
    pub(super) fn get(&self, name: &str) -> Option<&'a Value> {
        self.map.get(name).filter(|value| !value.is_null())
    }

    pub(super) fn bad(&self, name: &str, found: &Value) -> SpecError {
        let expects = key(name).map_or("another value", |key| key.expects);
        SpecError::Bad { key: name.to_owned(), expects: expects.into(), found: shown(found) }
    }

    /// As [`Fields::bad`]; inside of another key's value, what is expected are the bounds.
    pub(super) fn out_of(&self, bounds: String, name: &str, found: &Value) -> SpecError {
        if self.at.is_empty() {
            return self.bad(name, found);
        }
        let key = format!("{}.{name}", self.at);
        SpecError::Bad { key, expects: bounds, found: shown(found) }
    }

    pub(super) fn text(&self, name: &str) -> Result<Option<&'a str>, SpecError> {
        let Some(value) = self.get(name) else { return Ok(None) };
        self.argument(name, value).map(Some)
    }

    /// A text that the system takes as one argument.
    pub(super) fn argument(&self, name: &str, value: &'a Value) -> Result<&'a str, SpecError> {
        let text = value.as_str().filter(|text| !text.contains('\0'));
        let text = text.ok_or_else(|| self.bad(name, value))?;
        fits(name, text.len(), "").map(|()| text)
    }

    pub(super) fn flag(&self, name: &str) -> Result<Option<bool>, SpecError> {
        let Some(value) = self.get(name) else { return Ok(None) };
        value.as_bool().map(Some).ok_or_else(|| self.bad(name, value))
    }

    pub(super) fn whole<T: TryFrom<i64>>(
        &self,
        name: &str,
        min: i64,
        max: i64,
    ) -> Result<Option<T>, SpecError> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let number = whole(value).filter(|n| (min..=max).contains(n));
        let number = number.and_then(|n| T::try_from(n).ok());
        number
            .map(Some)
            .ok_or_else(|| self.out_of(format!("a whole number from {min} to {max}"), name, value))
    }

    pub(super) fn number(&self, name: &str, min: f64, max: f64) -> Result<Option<f64>, SpecError> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let number = value.as_f64().filter(|n| (min..=max).contains(n));
        number
            .map(Some)
            .ok_or_else(|| self.out_of(format!("a number from {min} to {max}"), name, value))
    }

    pub(super) fn seconds(&self, name: &str) -> Result<Option<Duration>, SpecError> {
        let max = limits::CONFIGURED_TIME.as_secs_f64();
        Ok(self.number(name, 0.0, max)?.map(Duration::from_secs_f64))
    }

    /// The members of an object whose keys are all among `known`.
    pub(super) fn nested(
        &self,
        name: &'static str,
        known: &'static [&str],
    ) -> Result<Option<Fields<'a>>, SpecError> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let map = value.as_object().ok_or_else(|| self.bad(name, value))?;
        if let Some(stranger) = map.keys().find(|key| !known.contains(&key.as_str())) {
            let meant = similar::nearest(stranger, known.iter().copied());
            return Err(SpecError::Unknown { key: format!("{name}.{stranger}"), meant });
        }
        Ok(Some(Fields { map, at: name }))
    }

    pub(super) fn texts(&self, name: &str) -> Result<Option<Vec<&'a str>>, SpecError> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let list = value.as_array().ok_or_else(|| self.bad(name, value))?;
        if list.iter().any(|item| !item.is_string()) {
            return Err(self.bad(name, value));
        }
        list.iter().map(|item| self.argument(name, item)).collect::<Result<_, _>>().map(Some)
    }
}

/// A value as a message shows it: short.
pub(super) fn shown(value: &Value) -> String {
    shortened(&value.to_string())
}

pub(super) fn shortened(text: &str) -> String {
    if text.chars().count() <= 60 {
        return text.to_owned();
    }
    text.chars().take(57).chain("...".chars()).collect()
}

/// Whether execve(2) takes a string of this length, to which it adds a NUL.
pub(super) fn fits(key: &str, bytes: usize, of: &str) -> Result<(), SpecError> {
    let most = limits::ARGUMENT - 1;
    if bytes <= most {
        return Ok(());
    }
    Err(too_long(key, format!("at most {most} bytes{of}"), bytes))
}

pub(super) fn too_long(key: &str, expects: String, found: usize) -> SpecError {
    SpecError::Bad { key: key.into(), expects, found: format!("{found}: it is too long") }
}
