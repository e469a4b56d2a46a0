//! How what runs on nodes is written into an etcd: below a prefix, one key for each node and one for each
//! of its jobs, so that a node stands before its jobs, and what changes is one key.
//!
//! ```text
//! PREFIX/nodes/NODE       {"name": "n1", "origin": "http://n1:5000", "version": "0.1"}
//! PREFIX/nodes/NODE/JOB   {"pids": [1, 2]}
//! ```
//!
//! `NODE` is `NAME@ORIGIN` and `JOB` is `session.label`; what is no letter, digit or one of `-._~:` is
//! written as `%` and two digits, so that there is one way to write each, and no `/` in it.

use std::fmt::Write as _;

use serde::Deserialize;
use serde_json::json;

use super::json;
use crate::base::limits;

/// The keys below a prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys {
    /// `PREFIX/nodes/`.
    root: String,
}

/// A range of keys: from the first up to, but without, the second.
pub type Span = (Vec<u8>, Vec<u8>);

/// What a key is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// What the node is called.
    pub name: String,
    /// Where clients reach it.
    pub origin: String,
    /// One of its jobs; without one it is about the node itself.
    pub job: Option<String>,
}

impl Keys {
    /// Those below this prefix.
    pub fn below(prefix: &str) -> Self {
        Self { root: format!("{prefix}/nodes/") }
    }

    /// All of them.
    pub fn all(&self) -> Span {
        span(&self.root)
    }

    /// That of a node.
    pub fn node(&self, name: &str, origin: &str) -> Vec<u8> {
        let mut key = self.root.clone();
        escape(name, &mut key);
        key.push('@');
        escape(origin, &mut key);
        key.into_bytes()
    }

    /// Those of a node's jobs.
    pub fn jobs(&self, name: &str, origin: &str) -> Span {
        let node = self.node(name, origin);
        span(&(String::from_utf8_lossy(&node).into_owned() + "/"))
    }

    /// That of a job of a node.
    pub fn job(&self, name: &str, origin: &str, job: &str) -> Vec<u8> {
        let mut key = self.node(name, origin);
        let mut text = String::from("/");
        escape(job, &mut text);
        key.extend_from_slice(text.as_bytes());
        key
    }

    /// What a key is about, if it is one of these.
    pub fn read(&self, key: &[u8]) -> Option<Key> {
        let text = std::str::from_utf8(key).ok()?.strip_prefix(self.root.as_str())?;
        let (node, job) = match text.split_once('/') {
            Some((node, job)) => (node, Some(unescape(job)?)),
            None => (text, None),
        };
        let (name, origin) = node.split_once('@')?;
        Some(Key { name: unescape(name)?, origin: unescape(origin)?, job })
    }
}

/// All that begins so: up to the byte behind its last one.
fn span(root: &str) -> Span {
    let first = root.as_bytes().to_vec();
    let mut end = first.clone();
    if let Some(last) = end.last_mut() {
        *last += 1;
    }
    (first, end)
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~:".contains(&byte)
}

fn escape(text: &str, out: &mut String) {
    for byte in text.bytes() {
        match is_plain(byte) {
            true => out.push(char::from(byte)),
            // Writing to a String cannot fail.
            false => drop(write!(out, "%{byte:02X}")),
        }
    }
}

/// The text that is written so. What could be written in another way is none.
fn unescape(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|digit| char::from(digit).to_digit(16));
        let value = digit()? * 16 + digit()?;
        bytes.push(u8::try_from(value).ok()?);
    }
    let found = String::from_utf8(bytes).ok().filter(|found| !found.is_empty())?;
    let mut again = String::new();
    escape(&found, &mut again);
    (again == text).then_some(found)
}

/// What stands under a node's key.
pub fn node_value(name: &str, origin: &str, version: &str) -> String {
    json::text(&json!({"name": name, "origin": origin, "version": version}))
}

/// What stands under a job's key.
pub fn job_value(pids: impl IntoIterator<Item = u64>) -> String {
    let mut text = String::from("{\"pids\": [");
    for (at, pid) in pids.into_iter().enumerate() {
        let comma = if at > 0 { ", " } else { "" };
        // Writing to a String cannot fail.
        let _ = write!(text, "{comma}{pid}");
    }
    text + "]}"
}

/// A node, as its value says it.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct NodeValue {
    /// What it is called.
    pub name: String,
    /// Where clients reach it.
    pub origin: String,
    /// What it speaks.
    pub version: String,
}

impl NodeValue {
    /// Reads one.
    pub fn read(value: &[u8]) -> Option<Self> {
        serde_json::from_slice(value).ok()
    }
}

/// Reads the value of a job: the processes that run, ascending, each once. None if it is no such value,
/// or there are more than one job may have.
pub fn read_job(value: &[u8]) -> Option<Vec<u64>> {
    #[derive(Deserialize)]
    struct JobValue {
        pids: Vec<u64>,
    }
    let JobValue { mut pids } = serde_json::from_slice(value).ok()?;
    pids.sort_unstable();
    pids.dedup();
    (pids.len() <= limits::LOOKUP_JOB_PROCESSES).then_some(pids)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(key: Vec<u8>) -> String {
        String::from_utf8(key).expect("text")
    }

    #[test]
    fn keys_are_written_in_one_way_and_read_back() {
        let keys = Keys::below("a/b");
        let node = keys.node("n1.example.org", "http://[::1]:5000");
        assert_eq!(text(node.clone()), "a/b/nodes/n1.example.org@http:%2F%2F%5B::1%5D:5000");
        let job = keys.job("n1.example.org", "http://[::1]:5000", "s.a +@b");
        assert_eq!(text(job.clone()), text(node.clone()) + "/s.a%20%2B%40b");
        let read = keys.read(&job).expect("a key");
        let (name, origin) = ("n1.example.org".to_owned(), "http://[::1]:5000".to_owned());
        assert_eq!(read, Key { name, origin, job: Some("s.a +@b".into()) });
        assert_eq!(keys.read(&node).map(|key| key.job), Some(None));
        let (first, end) = keys.jobs("n1.example.org", "http://[::1]:5000");
        assert!(first <= job && job < end && node < first, "a node stands before its jobs");
        let (first, end) = keys.all();
        assert!(first <= node && job < end);
        assert_eq!((text(first), text(end)), ("a/b/nodes/".into(), "a/b/nodes0".into()));
    }

    #[test]
    fn what_is_no_key_of_ours_is_none() {
        let keys = Keys::below("g");
        for bad in [
            "",
            "g/nodes/",
            "g/nodes/n",
            "g/nodes/@o",
            "g/nodes/n@",
            "g/nodes/n@o/",
            "g/nodes/n@o/a/b",
            "g/nodes/n@o/a b",
            "g/nodes/n@o/%2e",
            "g/nodes/n@o/%2F%2",
            "g/nodes/n@o/%2f",
            "g/nodes/n@o/%FF",
            "g/nodes/n@@o",
            "h/nodes/n@o",
            "g/jobs/n@o/a",
        ] {
            assert_eq!(keys.read(bad.as_bytes()), None, "{bad}");
        }
        assert_eq!(keys.read(b"g/nodes/\xff@o"), None);
    }

    #[test]
    fn values_are_read_as_they_are_written_and_no_others() {
        let value = node_value("n\"1", "http://n:1", "0.1");
        let read = NodeValue::read(value.as_bytes()).expect("a node");
        assert_eq!((read.name.as_str(), read.version.as_str()), ("n\"1", "0.1"));
        assert_eq!(job_value([]), r#"{"pids": []}"#);
        assert_eq!(read_job(job_value([1, 20]).as_bytes()), Some(vec![1, 20]));
        assert_eq!(read_job(br#"{"pids": [3, 1, 3], "more": 1}"#), Some(vec![1, 3]));
        for bad in ["", "[]", "{}", r#"{"pids": [-1]}"#, r#"{"pids": [1.5]}"#, r#"{"pids": 1}"#] {
            assert_eq!(read_job(bad.as_bytes()), None, "{bad}");
        }
        assert_eq!(NodeValue::read(br#"{"name": "n", "origin": "o"}"#), None);
        let most = u64::try_from(limits::LOOKUP_JOB_PROCESSES).expect("small");
        assert!(read_job(job_value(1..=most).as_bytes()).is_some());
        assert_eq!(read_job(job_value(0..=most).as_bytes()), None);
    }
}
