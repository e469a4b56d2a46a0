//! What is asked of an etcd (version 3) over its JSON gateway, and what it answers: numbers of 64 bits are
//! texts there, bytes are in base64, and what is zero or empty is left out. It says more than is read here.
//!
//! Every request is a POST below `/v3/`. A refusal has a status of its own and a number and a sentence in
//! its body; what is a stream (`keepalive`, `watch`) is one JSON object a line, `{"result": …}` or
//! `{"error": …}`.

use std::fmt;

use data_encoding::BASE64;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use serde_json::{json, Value};

use super::json;

/// Something to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// The path.
    pub target: &'static str,
    /// The body.
    pub body: String,
}

impl Ask {
    fn new(target: &'static str, body: &Value) -> Self {
        Self { target, body: json::text(body) }
    }
}

/// Asks for a lease that lives so many seconds.
pub fn grant(seconds: u64) -> Ask {
    Ask::new("/v3/lease/grant", &json!({"TTL": seconds.to_string()}))
}

/// Asks for a lease to live for as long again.
pub fn keep_alive(lease: i64) -> Ask {
    Ask::new("/v3/lease/keepalive", &json!({"ID": lease.to_string()}))
}

/// Gives a lease back, with all keys on it.
pub fn revoke(lease: i64) -> Ask {
    Ask::new("/v3/lease/revoke", &json!({"ID": lease.to_string()}))
}

/// Keys to be told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Range {
    /// The key, or the first of them.
    pub key: Vec<u8>,
    /// The one behind the last; without it only the key itself.
    pub end: Option<Vec<u8>>,
    /// Most of them that are told; 0 for all.
    pub limit: u64,
    /// As they were at this revision; 0 for now.
    pub revision: i64,
    /// What stands under them.
    pub told: Told,
}

/// What is told of keys, and in which order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Told {
    /// Everything, in the order of the keys.
    #[default]
    Whole,
    /// No values.
    Keys,
    /// No values, and what changed last comes first.
    Newest,
}

impl Range {
    fn value(&self) -> Value {
        let mut value = json!({"key": BASE64.encode(&self.key)});
        if let Some(end) = &self.end {
            value["range_end"] = BASE64.encode(end).into();
        }
        if self.limit > 0 {
            value["limit"] = self.limit.to_string().into();
        }
        if self.revision > 0 {
            value["revision"] = self.revision.to_string().into();
        }
        match self.told {
            Told::Whole => {}
            Told::Keys => value["keys_only"] = true.into(),
            Told::Newest => {
                value["keys_only"] = true.into();
                value["sort_target"] = "MOD".into();
                value["sort_order"] = "DESCEND".into();
            }
        }
        value
    }

    /// The request.
    pub fn ask(&self) -> Ask {
        Ask::new("/v3/kv/range", &self.value())
    }
}

/// A part of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// Puts a value under a key, on a lease.
    Put(Vec<u8>, String, i64),
    /// Takes a key away.
    Delete(Vec<u8>),
    /// Tells keys.
    Range(Range),
}

impl Op {
    fn value(&self) -> Value {
        match self {
            Self::Put(key, value, lease) => json!({"request_put": {
                "key": BASE64.encode(key), "value": BASE64.encode(value.as_bytes()),
                "lease": lease.to_string(),
            }}),
            Self::Delete(key) => json!({"request_delete_range": {"key": BASE64.encode(key)}}),
            Self::Range(range) => json!({"request_range": range.value()}),
        }
    }
}

/// Asks for this to be done at once, if a key was changed last at this revision (0: it is not there), and
/// for the key to be told if not.
pub fn if_unchanged(key: &[u8], revision: i64, ops: &[Op]) -> Ask {
    let ops: Vec<Value> = ops.iter().map(Op::value).collect();
    let otherwise = Range { key: key.to_vec(), ..Range::default() };
    let compare = json!({
        "target": "MOD", "result": "EQUAL", "key": BASE64.encode(key),
        "mod_revision": revision.to_string(),
    });
    let failure = [Op::Range(otherwise).value()];
    Ask::new("/v3/kv/txn", &json!({"compare": [compare], "success": ops, "failure": failure}))
}

/// Asks to be told what changes in a range of keys, from a revision on.
pub fn watch((key, end): &(Vec<u8>, Vec<u8>), from: i64) -> Ask {
    let create = json!({
        "key": BASE64.encode(key), "range_end": BASE64.encode(end),
        "start_revision": from.to_string(), "progress_notify": true, "fragment": true,
    });
    Ask::new("/v3/watch", &json!({"create_request": create}))
}

/// What stands before every answer.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(default)]
pub struct Header {
    /// Which etcd this is. Another number means that other data stands there.
    #[serde(deserialize_with = "number")]
    pub cluster_id: u64,
    /// How many changes there were.
    #[serde(deserialize_with = "number")]
    pub revision: i64,
}

/// A lease.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(default)]
pub struct Lease {
    /// Its number.
    #[serde(rename = "ID", deserialize_with = "number")]
    pub id: i64,
    /// How many seconds it lives; 0 for one that is gone.
    #[serde(rename = "TTL", deserialize_with = "number")]
    pub ttl: i64,
}

/// A key with what stands there.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(default)]
pub struct Item {
    /// The key.
    #[serde(deserialize_with = "bytes")]
    pub key: Vec<u8>,
    /// When it came.
    #[serde(deserialize_with = "number")]
    pub create_revision: i64,
    /// When it changed last.
    #[serde(deserialize_with = "number")]
    pub mod_revision: i64,
    /// What stands there.
    #[serde(deserialize_with = "bytes")]
    pub value: Vec<u8>,
    /// The lease with which it goes; 0 for none.
    #[serde(deserialize_with = "number")]
    pub lease: i64,
}

/// Keys that are told.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(default)]
pub struct Ranged {
    /// When.
    pub header: Header,
    /// They.
    pub kvs: Vec<Item>,
    /// There are more than were wanted.
    pub more: bool,
    /// How many there are in all.
    #[serde(deserialize_with = "number")]
    pub count: u64,
}

/// What became of a transaction.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(default)]
pub struct Done {
    /// When.
    pub header: Header,
    /// Whether the condition was met.
    pub succeeded: bool,
    /// What was told, in the order of the parts.
    pub responses: Vec<Part>,
}

/// What became of a part of a transaction.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(default)]
pub struct Part {
    /// Keys that are told.
    pub response_range: Option<Ranged>,
}

impl Done {
    /// The keys that the first part told.
    pub fn told(self) -> Ranged {
        self.responses.into_iter().find_map(|part| part.response_range).unwrap_or_default()
    }
}

/// A line of a stream.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Line<T> {
    /// What it tells.
    Result(T),
    /// Why it tells no more.
    Error(Refusal),
}

/// A line of a watch.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(default)]
pub struct Watched {
    /// When.
    pub header: Header,
    /// It begins.
    pub created: bool,
    /// It ends,
    pub canceled: bool,
    /// because what changed before this revision is not known any more,
    #[serde(deserialize_with = "number")]
    pub compact_revision: i64,
    /// or for this reason.
    pub cancel_reason: String,
    /// What changed.
    pub events: Vec<Event>,
}

/// Something that changed.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(default)]
pub struct Event {
    /// How.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// What.
    pub kv: Item,
}

/// How something changed.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "UPPERCASE")]
pub enum Kind {
    /// It has another value.
    #[default]
    Put,
    /// It is gone.
    Delete,
}

/// What is refused, in the words of the gateway, which has two ways to say it.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(default)]
pub struct Refusal {
    /// By gRPC's number.
    #[serde(alias = "grpc_code")]
    pub code: u32,
    /// Why.
    pub message: String,
}

/// gRPC's numbers (google.golang.org/grpc/codes): what is asked about is not there,
pub const NOT_FOUND: u32 = 5;
/// or is of another time.
pub const OUT_OF_RANGE: u32 = 11;
/// How much of a reason is told.
const SHOWN: usize = 200;

/// Why an answer is not the one that was hoped for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It was refused.
    Refused(Refusal),
    /// It is none of an etcd; its status.
    Strange(u16),
}

impl Fault {
    /// Whether it was refused with this number.
    pub fn is(&self, code: u32) -> bool {
        matches!(self, Self::Refused(refusal) if refusal.code == code)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = self.message.chars().map(|c| if c.is_control() { ' ' } else { c });
        write!(f, "{}", plain.take(SHOWN).collect::<String>())
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refusal) => refusal.fmt(f),
            Self::Strange(status) => write!(f, "its answer ({status}) is none of an etcd"),
        }
    }
}

/// Reads an answer with this status.
///
/// # Errors
/// It was refused, or is no such answer.
pub fn read<T: DeserializeOwned>(status: u16, body: &[u8]) -> Result<T, Fault> {
    if status == 200 {
        return serde_json::from_slice(body).map_err(|_| Fault::Strange(status));
    }
    match serde_json::from_slice::<Refusal>(body) {
        Ok(refusal) if !refusal.message.is_empty() => Err(Fault::Refused(refusal)),
        Ok(_) | Err(_) => Err(Fault::Strange(status)),
    }
}

/// Reads a line of a stream.
///
/// # Errors
/// The stream ends with it, or it is no such line.
pub fn line<T: DeserializeOwned>(text: &[u8]) -> Result<T, Fault> {
    match read::<Line<T>>(200, text)? {
        Line::Result(result) => Ok(result),
        Line::Error(refusal) => Err(Fault::Refused(refusal)),
    }
}

/// A number that is a text, or, as other gateways write it, a number.
fn number<'de, D, N>(deserializer: D) -> Result<N, D::Error>
where
    D: Deserializer<'de>,
    N: std::str::FromStr + Deserialize<'de>,
{
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Number<N> {
        Text(String),
        Plain(N),
    }
    match Number::<N>::deserialize(deserializer)? {
        Number::Text(text) => text.parse().map_err(|_| D::Error::custom("no number")),
        Number::Plain(number) => Ok(number),
    }
}

fn bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    let text = String::deserialize(deserializer)?;
    BASE64.decode(text.as_bytes()).map_err(D::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(ask: &Ask) -> Value {
        serde_json::from_str(&ask.body).expect("JSON")
    }

    #[test]
    fn requests_are_as_the_gateway_reads_them() {
        assert_eq!((grant(45).target, of(&grant(45))), ("/v3/lease/grant", json!({"TTL": "45"})));
        assert_eq!(of(&keep_alive(i64::MAX)), json!({"ID": "9223372036854775807"}));
        assert_eq!(of(&revoke(7)), json!({"ID": "7"}));
        let one = Range { key: b"a".to_vec(), ..Range::default() };
        assert_eq!(of(&one.ask()), json!({"key": "YQ=="}));
        let end = Some(b"b".to_vec());
        let many = Range { end, limit: 9, revision: 3, told: Told::Newest, ..one };
        let all = json!({
            "key": "YQ==", "range_end": "Yg==", "limit": "9", "revision": "3", "keys_only": true,
            "sort_target": "MOD", "sort_order": "DESCEND",
        });
        assert_eq!(of(&many.ask()), all);
        let ops = [Op::Put(b"a".to_vec(), "v".into(), 7), Op::Delete(b"b".to_vec())];
        let txn = json!({
            "compare": [{"target": "MOD", "result": "EQUAL", "key": "aw==", "mod_revision": "5"}],
            "success": [{"request_put": {"key": "YQ==", "value": "dg==", "lease": "7"}},
                        {"request_delete_range": {"key": "Yg=="}}],
            "failure": [{"request_range": {"key": "aw=="}}],
        });
        assert_eq!(of(&if_unchanged(b"k", 5, &ops)), txn);
        let ask = watch(&(b"a".to_vec(), b"b".to_vec()), 4);
        assert_eq!(of(&ask)["create_request"]["start_revision"], "4");
    }

    /// What etcd 3.4.23 answers.
    #[test]
    fn answers_are_read_as_the_gateway_writes_them() {
        let header = r#"{"cluster_id":"324952591200643719","member_id":"3319814642761637952","revision":"2","raft_term":"2"}"#;
        let said = |rest: &str| format!("{{\"header\":{header}{rest}}}").into_bytes();
        let lease: Lease =
            read(200, &said(r#","ID":"2324035592421891077","TTL":"5""#)).expect("one");
        assert_eq!(lease, Lease { id: 2_324_035_592_421_891_077, ttl: 5 });
        let gone = format!("{{\"result\":{{\"header\":{header},\"ID\":\"123\"}}}}\n");
        assert_eq!(line(gone.as_bytes()), Ok(Lease { id: 123, ttl: 0 }));
        let kvs = r#","kvs":[{"key":"Zy8=","create_revision":"2","mod_revision":"3","version":"1","value":"dg==","lease":"7"}],"more":true,"count":"2""#;
        let ranged: Ranged = read(200, &said(kvs)).expect("keys");
        assert_eq!((ranged.header.revision, ranged.count, ranged.more), (2, 2, true));
        let item = &ranged.kvs[0];
        assert_eq!((item.key.as_slice(), item.value.as_slice()), (&b"g/"[..], &b"v"[..]));
        assert_eq!((item.create_revision, item.mod_revision, item.lease), (2, 3, 7));
        let empty: Ranged = read(200, &said("")).expect("nothing");
        assert_eq!((empty.kvs.len(), empty.count), (0, 0));
        let done: Done = read(200, &said("")).expect("not met");
        assert!(!done.succeeded);
        let parts = r#","succeeded":true,"responses":[{"response_put":{"header":{"revision":"2"}}},{"response_range":{"header":{"revision":"2"},"count":"4"}}]"#;
        let done: Done = read(200, &said(parts)).expect("done");
        assert_eq!((done.succeeded, done.told().count), (true, 4));
        let text = format!(
            "{{\"result\":{{\"header\":{header},\"events\":[{{\"kv\":{{\"key\":\"YQ==\"}}}},{{\"type\":\"DELETE\",\"kv\":{{\"key\":\"Yg==\",\"mod_revision\":\"4\"}}}}]}}}}"
        );
        let watched: Watched = line(text.as_bytes()).expect("events");
        let kinds: Vec<Kind> = watched.events.iter().map(|event| event.kind).collect();
        assert_eq!(kinds, [Kind::Put, Kind::Delete]);
        let text =
            r#"{"result":{"header":{"raft_term":"2"},"canceled":true,"compact_revision":"3"}}"#;
        let watched: Watched = line(text.as_bytes()).expect("its end");
        assert!(watched.canceled && watched.compact_revision == 3);
    }

    #[test]
    fn refusals_say_why() {
        let text = r#"{"error":"etcdserver: requested lease not found","message":"etcdserver: requested lease not found","code":5}"#;
        let fault = read::<Lease>(404, text.as_bytes()).expect_err("it is refused");
        assert!(fault.is(NOT_FOUND) && !fault.is(OUT_OF_RANGE));
        assert_eq!(fault.to_string(), "etcdserver: requested lease not found");
        let text = r#"{"error":{"grpc_code":14,"http_code":503,"message":"no\nleader","http_status":"x"}}"#;
        let fault = line::<Watched>(text.as_bytes()).expect_err("it ends");
        assert!(fault.is(14) && fault.to_string() == "no leader");
        assert_eq!(read::<Lease>(404, b"Not Found"), Err(Fault::Strange(404)));
        assert_eq!(read::<Lease>(200, b"{\"ID\": \"x\"}"), Err(Fault::Strange(200)));
        assert_eq!(read::<Ranged>(200, b"{\"kvs\": [{\"key\": \"?\"}]}"), Err(Fault::Strange(200)));
        let long = format!("{{\"message\": \"{}\"}}", "x".repeat(999));
        let fault = read::<Lease>(500, long.as_bytes()).expect_err("refused");
        assert_eq!(fault.to_string().len(), SHOWN);
    }
}
