//! State files as journals: a header line, then one line a change, each with its own checksum. A
//! line is written with one append, so that after a kill or a full disk at most the last one is
//! torn, and a torn line is known by its checksum and costs nothing but itself.
//!
//! A journal is a table of keys and values in the order of their first appearance; a line puts a
//! key or takes it away. When it has grown to a multiple of what it means, it is replaced whole.

use data_encoding::HEXLOWER;
use serde::Serialize;
use serde_json::{json, Map, Value};
use sha1::{Digest as _, Sha1};

use crate::base::limits;
use crate::base::sorted::SortedMap;
use crate::base::sorting;

/// Which format this program writes. A file of a later one is set aside, not guessed at.
const VERSION: u64 = 1;

/// The encoder of one journal, and what its file means now.
pub struct Journal {
    kind: &'static str,
    /// Facts about the whole file, in its header.
    header: Map<String, Value>,
    /// With the place of each in their order. Values are kept as their texts, which take a tenth of what a tree of
    /// them takes.
    entries: SortedMap<Box<str>, (u64, Box<str>)>,
    last_order: u64,
    /// Bytes in the file,
    size: usize,
    /// and how many there were when it was last written whole.
    whole: usize,
}

/// What was read from a file.
#[derive(Debug, Default)]
pub struct Loaded {
    /// The header's facts.
    pub header: Map<String, Value>,
    /// Keys and values, in the order in which the keys appeared.
    pub entries: Vec<(String, Value)>,
    /// What was wrong with it, for people. The rest is good all the same.
    pub damage: Vec<String>,
}

/// Why a file is no journal that we can read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// Its first line is no header of this kind.
    Header,
    /// It was written by a later version of the program.
    Newer(u64),
}

impl std::fmt::Display for Unreadable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Header => f.write_str("its first line is damaged"),
            Self::Newer(version) => write!(
                f,
                "it has format {version} of a later gaffer; this one knows format {VERSION}"
            ),
        }
    }
}

/// One line: checksum, blank, JSON.
fn line(value: &Value) -> Vec<u8> {
    sealed(&compact(value))
}

/// That of a key with the text of its value.
fn put_line(key: &str, text: &str) -> Vec<u8> {
    sealed(&format!("{{\"put\":{},\"value\":{text}}}", compact(&json!(key))))
}

fn sealed(text: &str) -> Vec<u8> {
    [checksum(text.as_bytes()).as_bytes(), b" ", text.as_bytes(), b"\n"].concat()
}

/// The text of a value, as short as it can be.
pub(super) fn compact(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("JSON is written to memory without fail")
}

/// The first eight hexadecimal digits of the SHA-1: against accidents, not against people.
fn checksum(bytes: &[u8]) -> String {
    HEXLOWER.encode(&Sha1::digest(bytes)[..4])
}

fn parse_line(line: &[u8]) -> Option<Value> {
    let (sum, text) = (line.get(..8)?, line.get(9..)?);
    if line.get(8) != Some(&b' ') || checksum(text).as_bytes() != sum {
        return None;
    }
    serde_json::from_slice(text).ok()
}

impl Journal {
    /// An empty journal. `kind` names it in its header.
    pub fn new(kind: &'static str, header: Map<String, Value>) -> Self {
        Self { kind, header, entries: SortedMap::new(), last_order: 0, size: 0, whole: 0 }
    }

    /// Puts a key, without a line: the file holds it already, or will be replaced.
    pub fn restore(&mut self, key: &str, value: &Value) {
        self.insert(key, compact(value).into());
    }

    fn insert(&mut self, key: &str, text: Box<str>) {
        if let Some((_, known)) = self.entries.get_mut(key) {
            *known = text;
            return;
        }
        self.last_order += 1;
        self.entries.insert(key.into(), (self.last_order, text));
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<Value> {
        let (_, text) = self.entries.get(key)?;
        serde_json::from_str(text).ok()
    }

    /// The line that puts a key; none if it has this value.
    pub fn put(&mut self, key: &str, value: &Value) -> Option<Vec<u8>> {
        self.put_text(key, compact(value).into())
    }

    /// The same with the text of the value.
    pub fn put_text(&mut self, key: &str, text: Box<str>) -> Option<Vec<u8>> {
        if self.entries.get(key).is_some_and(|(_, known)| *known == text) {
            return None;
        }
        let bytes = put_line(key, &text);
        self.insert(key, text);
        self.size += bytes.len();
        Some(bytes)
    }

    /// The line that takes a key away; none if it is not there.
    pub fn remove(&mut self, key: &str) -> Option<Vec<u8>> {
        self.entries.remove(key)?;
        let bytes = line(&json!({"remove": key}));
        self.size += bytes.len();
        Some(bytes)
    }

    /// Whether the file has grown so much since it was written whole that it should be again. Each
    /// byte that is written costs a bounded share of a later replacement, however large entries are.
    pub fn is_bloated(&self) -> bool {
        let most = self.whole.saturating_mul(limits::JOURNAL_GROWTH);
        self.size > limits::JOURNAL_KEEP.max(most)
    }

    /// The whole file, with nothing in it that is over.
    pub fn whole(&mut self) -> Vec<u8> {
        let mut header = self.header.clone();
        header.insert("gaffer".into(), json!(self.kind));
        header.insert("format".into(), json!(VERSION));
        let mut bytes = line(&Value::Object(header));
        let mut entries: Vec<_> = self.entries.iter().collect();
        sorting::sort_by_key(&mut entries, |(_, (order, _))| *order);
        for (key, (_, text)) in entries {
            bytes.extend(put_line(key, text));
        }
        self.size = bytes.len();
        self.whole = bytes.len();
        bytes
    }

    /// Reads a file's bytes.
    ///
    /// # Errors
    /// When it is not a journal of this kind and format. Damaged lines are no error.
    pub fn load(kind: &str, bytes: &[u8]) -> Result<Loaded, Unreadable> {
        let mut lines = bytes.split(|byte| *byte == b'\n');
        let Some(Value::Object(header)) = lines.next().and_then(parse_line) else {
            return Err(Unreadable::Header);
        };
        let format = header.get("format").and_then(Value::as_u64).unwrap_or(0);
        if format > VERSION {
            return Err(Unreadable::Newer(format));
        }
        if header.get("gaffer").and_then(Value::as_str) != Some(kind) {
            return Err(Unreadable::Header);
        }
        let mut order: Vec<Option<(String, Value)>> = Vec::new();
        let mut places: SortedMap<String, usize> = SortedMap::new();
        let mut damage = Vec::new();
        for (number, text) in (2..).zip(lines).filter(|(_, text)| !text.is_empty()) {
            let entry = parse_line(text);
            let member = |name: &str| entry.as_ref().and_then(|entry| entry.get(name));
            match (member("put").and_then(Value::as_str), member("remove").and_then(Value::as_str))
            {
                (Some(key), _) => {
                    let value = member("value").cloned().unwrap_or(Value::Null);
                    let place = *places.entry(key.to_owned()).or_insert(order.len());
                    let entry = Some((key.to_owned(), value));
                    match order.get_mut(place) {
                        Some(known) => *known = entry,
                        None => order.push(entry),
                    }
                }
                (None, Some(key)) => {
                    if let Some(known) = places.remove(key).and_then(|at| order.get_mut(at)) {
                        *known = None;
                    }
                }
                (None, None) => damage.push(format!("line {number} is damaged")),
            }
        }
        Ok(Loaded { header, entries: order.into_iter().flatten().collect(), damage })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written() -> (Journal, Vec<u8>) {
        let mut journal = Journal::new("test", Map::new());
        let mut file = journal.whole();
        file.extend(journal.put("b", &json!(1)).expect("new"));
        file.extend(journal.put("a", &json!(2)).expect("new"));
        file.extend(journal.put("b", &json!(3)).expect("new"));
        file.extend(journal.remove("a").expect("it is there"));
        file.extend(journal.put("c", &json!("x")).expect("new"));
        (journal, file)
    }

    #[test]
    fn what_was_written_is_read() {
        let (mut journal, file) = written();
        let loaded = Journal::load("test", &file).expect("sound");
        assert_eq!(loaded.entries, [("b".into(), json!(3)), ("c".into(), json!("x"))]);
        assert!(loaded.damage.is_empty());
        let whole = Journal::load("test", &journal.whole()).expect("sound");
        assert_eq!(whole.entries, loaded.entries);
    }

    #[test]
    fn a_torn_tail_costs_only_itself() {
        let (_, file) = written();
        let full = Journal::load("test", &file).expect("sound");
        let last_line = file[..file.len() - 1].iter().rposition(|b| *b == b'\n').expect("lines");
        for cut in last_line + 2..file.len() - 1 {
            let torn = Journal::load("test", &file[..cut]).expect("header is whole");
            assert_eq!(torn.entries, full.entries[..1], "cut at {cut}");
            assert_eq!(torn.damage.len(), 1);
        }
    }

    #[test]
    fn a_damaged_middle_costs_only_its_line() {
        let (_, mut file) = written();
        let middle = file.iter().position(|b| *b == b'\n').expect("lines") + 12;
        file[middle] ^= 1;
        let loaded = Journal::load("test", &file).expect("header is whole");
        assert_eq!(loaded.damage, ["line 2 is damaged"]);
        assert_eq!(loaded.entries.len(), 2);
    }

    #[test]
    fn other_files_are_refused() {
        let (_, file) = written();
        assert_eq!(Journal::load("other", &file).err(), Some(Unreadable::Header));
        assert_eq!(Journal::load("test", b"").err(), Some(Unreadable::Header));
        let newer = line(&json!({"gaffer": "test", "format": 99}));
        assert_eq!(Journal::load("test", &newer).err(), Some(Unreadable::Newer(99)));
    }

    #[test]
    fn a_journal_of_many_changes_is_bloated() {
        let mut journal = Journal::new("test", Map::new());
        journal.whole();
        assert!(!journal.is_bloated());
        let mut written = 0;
        while written <= limits::JOURNAL_KEEP {
            written += journal.put("a", &json!(format!("{written:01000}"))).expect("new").len();
        }
        assert!(journal.is_bloated());
        journal.whole();
        assert!(!journal.is_bloated());
    }

    #[test]
    fn large_entries_alone_do_not_bloat_a_journal() {
        let mut journal = Journal::new("test", Map::new());
        journal.whole();
        let large = json!("x".repeat(limits::JOURNAL_KEEP));
        journal.put("a", &large).expect("new");
        journal.whole();
        assert!(!journal.is_bloated(), "nothing in it is over");
        for n in 1..limits::JOURNAL_GROWTH {
            journal.put(&n.to_string(), &large).expect("new");
        }
        assert!(!journal.is_bloated(), "grown by the factor, but for the header");
        journal.put("e", &json!("x".repeat(1000))).expect("new");
        assert!(journal.is_bloated(), "more than that");
    }
}
