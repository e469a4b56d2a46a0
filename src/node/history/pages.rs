//! Records one behind the other, in two pieces of memory for some hundred of them: each by itself would take twice as
//! much, and small things that live long lie between all that comes and goes.

use super::Record;

/// A page is full when its text has so many bytes.
const FULL: usize = 16 * 1024;

/// The records of a while, oldest first.
#[derive(Default)]
pub(super) struct Page {
    heads: Vec<Head>,
    text: String,
}

/// A record without its text.
#[derive(Clone, Copy)]
pub(super) struct Head {
    /// The number of its first message.
    pub(super) first: u64,
    /// Where its text is in that of its page.
    begin: u32,
    end: u32,
    /// How much of it are names.
    split: u32,
    /// How many messages it has.
    pub(super) count: u8,
}

impl Page {
    /// Whether what comes next belongs into another one.
    pub(super) fn is_full(&self) -> bool {
        self.text.len() >= FULL
    }

    /// Adds a record.
    pub(super) fn add(&mut self, record: &Record) {
        let place = |text: &str| u32::try_from(text.len()).expect("no event has gigabytes");
        let begin = place(&self.text);
        self.text.push_str(&record.text);
        let end = place(&self.text);
        let Record { first, split, count, .. } = *record;
        self.heads.push(Head { first, begin, end, split, count });
        if self.is_full() {
            self.text.shrink_to_fit();
            self.heads.shrink_to_fit();
        }
    }

    /// All of its records.
    pub(super) fn heads(&self) -> &[Head] {
        &self.heads
    }

    /// One of them with its text.
    pub(super) fn record(&self, head: &Head) -> Record {
        let text = self.text.get(head.begin as usize..head.end as usize).unwrap_or_default();
        let Head { first, split, count, .. } = *head;
        Record { first, text: text.into(), split, count }
    }
}

impl Head {
    /// The number of its last message.
    pub(super) fn last(&self) -> u64 {
        self.first + u64::from(self.count) - 1
    }

    /// What its text takes, in bytes.
    pub(super) fn len(&self) -> usize {
        (self.end - self.begin) as usize
    }
}
