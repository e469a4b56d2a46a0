//! An etcd in virtual time, as its JSON gateway shows it: keys with their revisions, leases that run out,
//! transactions, watches, compaction; it dies and comes back, with its data or without. It is as strict as
//! the real one with what it is asked.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use data_encoding::BASE64;
use serde_json::{json, Value};

use gaffer::wire::topology::Span;

/// An etcd.
pub(crate) struct FakeEtcd {
    pub(crate) now: Instant,
    data: Data,
    conns: BTreeMap<u64, Conn>,
    last_conn: u64,
    /// What is asked next is refused, so often.
    pub(crate) failing: u32,
    /// Watches tell nothing, and nobody knows.
    pub(crate) mute: bool,
    /// What was asked, by target, since it was made.
    pub(crate) asked: BTreeMap<String, u64>,
}

/// What it keeps.
struct Data {
    cluster: u64,
    revision: i64,
    compacted: i64,
    keys: BTreeMap<Vec<u8>, Entry>,
    /// Everything that changed: its revision, the key, and what became of it.
    log: Vec<(i64, Vec<u8>, Option<Entry>)>,
    /// How long each lives, and until when.
    leases: BTreeMap<i64, (Duration, Instant)>,
    last_lease: i64,
}

#[derive(Clone)]
struct Entry {
    value: String,
    created: i64,
    modified: i64,
    lease: i64,
}

#[derive(Default)]
struct Conn {
    input: Vec<u8>,
    out: Vec<u8>,
    /// The range that is watched, and how much of the log was told.
    watch: Option<(Span, i64)>,
}

/// A refusal: its status, number and words.
type Refused = (u16, u32, &'static str);

const NO_LEASE: Refused = (404, 5, "etcdserver: requested lease not found");
const COMPACTED: Refused = (400, 11, "etcdserver: mvcc: required revision has been compacted");
const FUTURE: Refused = (400, 11, "etcdserver: mvcc: required revision is a future revision");
const AWAY: Refused = (503, 14, "etcdserver: no leader");

fn number(value: &Value) -> i64 {
    value.as_str().and_then(|text| text.parse().ok()).or(value.as_i64()).unwrap_or(0)
}

fn bytes(value: &Value) -> Vec<u8> {
    BASE64.decode(value.as_str().unwrap_or_default().as_bytes()).expect("base64")
}

impl Entry {
    fn told(&self, key: &[u8], with_value: bool) -> Value {
        let mut told = json!({
            "key": BASE64.encode(key), "create_revision": self.created.to_string(),
            "mod_revision": self.modified.to_string(), "version": "1",
        });
        if with_value && !self.value.is_empty() {
            told["value"] = self.value.clone().into();
        }
        if self.lease != 0 {
            told["lease"] = self.lease.to_string().into();
        }
        told
    }
}

impl Data {
    fn new(cluster: u64) -> Self {
        Self {
            cluster,
            revision: 1,
            compacted: 0,
            keys: BTreeMap::new(),
            log: Vec::new(),
            leases: BTreeMap::new(),
            last_lease: i64::try_from(cluster).expect("small") << 32,
        }
    }

    fn header(&self) -> Value {
        json!({"cluster_id": self.cluster.to_string(), "revision": self.revision.to_string(), "raft_term": "2"})
    }

    fn set(&mut self, key: &[u8], entry: Option<Entry>) {
        self.log.push((self.revision, key.to_vec(), entry.clone()));
        match entry {
            Some(entry) => drop(self.keys.insert(key.to_vec(), entry)),
            None => drop(self.keys.remove(key)),
        }
    }

    /// As it was at a revision.
    fn at(&self, revision: i64) -> BTreeMap<Vec<u8>, Entry> {
        let mut keys = BTreeMap::new();
        for (_, key, entry) in self.log.iter().take_while(|(at, ..)| *at <= revision) {
            match entry {
                Some(entry) => drop(keys.insert(key.clone(), entry.clone())),
                None => drop(keys.remove(key)),
            }
        }
        keys
    }

    fn range(&self, ask: &Value) -> Result<Value, Refused> {
        let revision = number(&ask["revision"]);
        if revision > self.revision {
            return Err(FUTURE);
        }
        if revision > 0 && revision < self.compacted {
            return Err(COMPACTED);
        }
        let keys = if revision > 0 { self.at(revision) } else { self.keys.clone() };
        let (key, end) = (bytes(&ask["key"]), bytes(&ask["range_end"]));
        let is_in = |known: &Vec<u8>| match end.is_empty() {
            true => *known == key,
            false => *known >= key && *known < end,
        };
        let mut found: Vec<_> = keys.iter().filter(|(key, _)| is_in(key)).collect();
        let count = found.len();
        if ask["sort_target"] == "MOD" {
            assert_eq!(ask["sort_order"], "DESCEND");
            found.sort_by_key(|(_, entry)| std::cmp::Reverse(entry.modified));
        }
        let limit = usize::try_from(number(&ask["limit"])).expect("small");
        let more = limit > 0 && count > limit;
        if more {
            found.truncate(limit);
        }
        let with_value = ask["keys_only"] != true;
        let kvs: Vec<Value> =
            found.into_iter().map(|(key, entry)| entry.told(key, with_value)).collect();
        let mut told = json!({"header": self.header()});
        for (name, value, is_zero) in [
            ("more", json!(more), !more),
            ("count", json!(count.to_string()), count == 0),
            ("kvs", kvs.clone().into(), kvs.is_empty()),
        ] {
            if !is_zero {
                told[name] = value;
            }
        }
        Ok(told)
    }

    fn txn(&mut self, ask: &Value) -> Result<Value, Refused> {
        let list = |name: &str| ask[name].as_array().cloned().unwrap_or_default();
        let met = list("compare").iter().all(|compare| {
            assert_eq!((&compare["target"], &compare["result"]), (&json!("MOD"), &json!("EQUAL")));
            let known = self.keys.get(&bytes(&compare["key"]));
            known.map_or(0, |entry| entry.modified) == number(&compare["mod_revision"])
        });
        let ops = list(if met { "success" } else { "failure" });
        assert!(ops.len() <= 128, "too many operations in txn request");
        let mut touched = std::collections::BTreeSet::new();
        for put in ops.iter().filter(|op| !op["request_put"].is_null()) {
            assert!(touched.insert(put["request_put"]["key"].to_string()), "duplicate key");
            let lease = number(&put["request_put"]["lease"]);
            if lease != 0 && !self.leases.contains_key(&lease) {
                return Err(NO_LEASE);
            }
        }
        let writes = ops.iter().any(|op| {
            let delete = &op["request_delete_range"]["key"];
            !op["request_put"].is_null()
                || !delete.is_null() && self.keys.contains_key(&bytes(delete))
        });
        self.revision += i64::from(writes);
        let mut responses = Vec::new();
        for op in &ops {
            let (put, delete) = (&op["request_put"], &op["request_delete_range"]);
            if !put.is_null() {
                let key = bytes(&put["key"]);
                let created = self.keys.get(&key).map_or(self.revision, |entry| entry.created);
                let value = put["value"].as_str().unwrap_or_default().to_owned();
                let (modified, lease) = (self.revision, number(&put["lease"]));
                self.set(&key, Some(Entry { value, created, modified, lease }));
                responses.push(json!({"response_put": {}}));
            } else if !delete.is_null() {
                let key = bytes(&delete["key"]);
                if self.keys.contains_key(&key) {
                    self.set(&key, None);
                }
                responses.push(json!({"response_delete_range": {}}));
            } else {
                responses.push(json!({"response_range": self.range(&op["request_range"])?}));
            }
        }
        let mut told = json!({"header": self.header()});
        if met {
            told["succeeded"] = true.into();
        }
        if !responses.is_empty() {
            told["responses"] = responses.into();
        }
        Ok(told)
    }

    fn revoke(&mut self, lease: i64) -> Result<Value, Refused> {
        self.leases.remove(&lease).ok_or(NO_LEASE)?;
        let gone = self.keys.iter().filter(|(_, entry)| entry.lease == lease);
        let gone: Vec<Vec<u8>> = gone.map(|(key, _)| key.clone()).collect();
        self.revision += i64::from(!gone.is_empty());
        gone.iter().for_each(|key| self.set(key, None));
        Ok(json!({"header": self.header()}))
    }
}

impl FakeEtcd {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            now,
            data: Data::new(7),
            conns: BTreeMap::new(),
            last_conn: 0,
            failing: 0,
            mute: false,
            asked: BTreeMap::new(),
        }
    }

    pub(crate) fn connect(&mut self) -> u64 {
        self.last_conn += 1;
        self.conns.insert(self.last_conn, Conn::default());
        self.last_conn
    }

    pub(crate) fn close(&mut self, conn: u64) {
        self.conns.remove(&conn);
    }

    /// Whether a connection is there.
    pub(crate) fn has(&self, conn: u64) -> bool {
        self.conns.contains_key(&conn)
    }

    /// It dies and comes back: all connections end, and leases live for as long again.
    pub(crate) fn restart(&mut self) {
        self.conns.clear();
        for (ttl, until) in self.data.leases.values_mut() {
            *until = self.now + *ttl;
        }
    }

    /// It comes back as another one, without its data.
    pub(crate) fn forget(&mut self) {
        self.conns.clear();
        self.data = Data::new(self.data.cluster + 1);
    }

    /// It comes back with what it had at some revision before, as from a backup.
    pub(crate) fn go_back(&mut self, revision: i64) {
        self.restart();
        let data = &mut self.data;
        data.keys = data.at(revision);
        data.log.retain(|(at, ..)| *at <= revision);
        data.revision = revision.max(1);
        data.compacted = data.compacted.min(data.revision);
        let leases = data.keys.values().map(|entry| entry.lease);
        for lease in leases.filter(|lease| *lease != 0).collect::<Vec<_>>() {
            let ttl = Duration::from_secs(45);
            data.leases.insert(lease, (ttl, self.now + ttl));
        }
    }

    /// All but what is now is forgotten.
    pub(crate) fn compact(&mut self) {
        self.data.compacted = self.data.revision;
    }

    pub(crate) fn revision(&self) -> i64 {
        self.data.revision
    }

    /// All keys.
    pub(crate) fn keys(&self) -> Vec<String> {
        self.data.keys.keys().map(|key| String::from_utf8(key.clone()).expect("text")).collect()
    }

    /// What stands under a key, with its lease.
    pub(crate) fn value(&self, key: &str) -> Option<(String, i64)> {
        let entry = self.data.keys.get(key.as_bytes())?;
        let value = BASE64.decode(entry.value.as_bytes()).expect("base64");
        Some((String::from_utf8(value).expect("text"), entry.lease))
    }

    /// Somebody else writes.
    pub(crate) fn put(&mut self, key: &str, value: &str) {
        self.data.revision += 1;
        let modified = self.data.revision;
        let created = self.data.keys.get(key.as_bytes()).map_or(modified, |entry| entry.created);
        let value = BASE64.encode(value.as_bytes());
        self.data.set(key.as_bytes(), Some(Entry { value, created, modified, lease: 0 }));
        self.tell();
    }

    /// Somebody else takes a key away.
    pub(crate) fn delete(&mut self, key: &str) {
        if self.data.keys.contains_key(key.as_bytes()) {
            self.data.revision += 1;
            self.data.set(key.as_bytes(), None);
            self.tell();
        }
    }

    /// All leases run out now.
    pub(crate) fn expire_all(&mut self) {
        for lease in self.data.leases.keys().copied().collect::<Vec<_>>() {
            let _ = self.data.revoke(lease);
        }
        self.tell();
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.data.leases.values().map(|(_, until)| *until).min()
    }

    /// Time passes.
    pub(crate) fn advance(&mut self, by: Duration) {
        self.now += by;
        let over = self.data.leases.iter().filter(|(_, (_, until))| *until <= self.now);
        for lease in over.map(|(lease, _)| *lease).collect::<Vec<_>>() {
            let _ = self.data.revoke(lease);
        }
        self.tell();
    }

    /// A connection says something.
    pub(crate) fn receive(&mut self, conn: u64, bytes: &[u8]) {
        let Some(from) = self.conns.get_mut(&conn) else { return };
        from.input.extend_from_slice(bytes);
        while let Some((target, body)) = self.conns.get_mut(&conn).and_then(take_request) {
            *self.asked.entry(target.clone()).or_default() += 1;
            let ask: Value = serde_json::from_str(&body).expect("JSON");
            let answer = self.answer(conn, &target, &ask);
            self.conns.get_mut(&conn).expect("it is there").out.extend(answer);
        }
        self.tell();
    }

    /// What a connection is owed, up to so much.
    pub(crate) fn take(&mut self, conn: u64, most: usize) -> Vec<u8> {
        let Some(conn) = self.conns.get_mut(&conn) else { return Vec::new() };
        let count = conn.out.len().min(most);
        conn.out.drain(..count).collect()
    }

    fn answer(&mut self, conn: u64, target: &str, ask: &Value) -> Vec<u8> {
        if self.failing > 0 {
            self.failing -= 1;
            return refused(AWAY);
        }
        let lease = number(&ask["ID"]);
        let done = match target {
            "/v3/lease/grant" => {
                self.data.last_lease += 1;
                let (id, ttl) = (self.data.last_lease, number(&ask["TTL"]));
                let lives = Duration::from_secs(u64::try_from(ttl).expect("positive"));
                self.data.leases.insert(id, (lives, self.now + lives));
                Ok(
                    json!({"header": self.data.header(), "ID": id.to_string(), "TTL": ttl.to_string()}),
                )
            }
            "/v3/lease/keepalive" => {
                let mut result = json!({"header": self.data.header(), "ID": lease.to_string()});
                if let Some((ttl, until)) = self.data.leases.get_mut(&lease) {
                    *until = self.now + *ttl;
                    result["TTL"] = ttl.as_secs().to_string().into();
                }
                let line = json!({"result": result}).to_string() + "\n";
                let mut out = stream_head();
                out.extend(chunk(&line));
                out.extend_from_slice(b"0\r\n\r\n");
                return out;
            }
            "/v3/lease/revoke" => self.data.revoke(lease),
            "/v3/kv/range" => self.data.range(ask),
            "/v3/kv/txn" => self.data.txn(ask),
            "/v3/watch" => return self.watch(conn, &ask["create_request"]),
            other => panic!("nobody asks for {other}"),
        };
        match done {
            Ok(told) => {
                let body = told.to_string();
                let length = body.len();
                format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}").into_bytes()
            }
            Err(why) => refused(why),
        }
    }

    fn watch(&mut self, conn: u64, ask: &Value) -> Vec<u8> {
        let range = (bytes(&ask["key"]), bytes(&ask["range_end"]));
        let from = number(&ask["start_revision"]);
        let mut out = stream_head();
        let created = json!({"result": {"header": self.data.header(), "created": true}});
        out.extend(chunk(&(created.to_string() + "\n")));
        if from > 0 && from < self.data.compacted {
            let compacted = self.data.compacted.to_string();
            let line =
                json!({"result": {"header": {}, "canceled": true, "compact_revision": compacted}});
            out.extend(chunk(&(line.to_string() + "\n")));
            out.extend_from_slice(b"0\r\n\r\n");
        } else {
            let conn = self.conns.get_mut(&conn).expect("it is there");
            conn.watch = Some((range, from - 1));
        }
        out
    }

    /// Tells watches what changed.
    fn tell(&mut self) {
        if self.mute {
            return;
        }
        let header = self.data.header();
        for conn in self.conns.values_mut() {
            let Some(((first, end), told)) = &mut conn.watch else { continue };
            let mut by_revision: BTreeMap<i64, Vec<Value>> = BTreeMap::new();
            for (revision, key, entry) in self.data.log.iter().filter(|(at, ..)| *at > *told) {
                if key < first || key >= end {
                    continue;
                }
                let event = match entry {
                    Some(entry) => json!({"kv": entry.told(key, true)}),
                    None => json!({"type": "DELETE", "kv": {
                        "key": BASE64.encode(key), "mod_revision": revision.to_string(),
                    }}),
                };
                by_revision.entry(*revision).or_default().push(event);
            }
            *told = (*told).max(self.data.revision);
            for (revision, events) in by_revision {
                // What is much comes in parts.
                let parts: Vec<&[Value]> = events.chunks(5).collect();
                for (at, part) in parts.iter().enumerate() {
                    let mut header = header.clone();
                    header["revision"] = revision.to_string().into();
                    let mut result = json!({"header": header, "events": part});
                    if at + 1 < parts.len() {
                        result["fragment"] = true.into();
                    }
                    conn.out.extend(chunk(&(json!({"result": result}).to_string() + "\n")));
                }
            }
        }
    }
}

fn stream_head() -> Vec<u8> {
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        .to_vec()
}

fn chunk(text: &str) -> Vec<u8> {
    format!("{:x}\r\n{text}\r\n", text.len()).into_bytes()
}

fn refused((status, code, words): Refused) -> Vec<u8> {
    let body = json!({"error": words, "message": words, "code": code}).to_string();
    let mut out = format!(
        "HTTP/1.1 {status} x\r\nTrailer: Grpc-Trailer-Content-Type\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    .into_bytes();
    let text = chunk(&body);
    out.extend(text);
    out.extend_from_slice(b"0\r\nGrpc-Trailer-Content-Type: application/grpc\r\n\r\n");
    out
}

/// Takes a whole request out of what a connection said. A watch is its last one.
fn take_request(conn: &mut Conn) -> Option<(String, String)> {
    let end = conn.input.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let head = String::from_utf8(conn.input[..end].to_vec()).expect("text");
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
    let length: usize = length.and_then(|text| text.parse().ok()).expect("a length");
    if conn.input.len() < end + length {
        return None;
    }
    assert!(conn.watch.is_none(), "nothing follows a watch");
    let body = String::from_utf8(conn.input[end..end + length].to_vec()).expect("text");
    conn.input.drain(..end + length);
    let target = head.strip_prefix("POST ").and_then(|rest| rest.split(' ').next());
    Some((target.expect("a target").to_owned(), body))
}
