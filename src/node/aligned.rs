//! Output cut where characters end. A pipe is read in pieces that end anywhere, and half a character
//! at the end of one would reach readers of text as a replacement: it waits for its other half, which
//! is at most three bytes, or for the end of the stream.

use std::borrow::Cow;

use crate::base::ids::{InstanceId, StreamNo};
use crate::base::sorted::SortedMap;

/// The beginnings of characters that wait for their rest.
#[derive(Clone, Default)]
pub struct Aligned {
    tails: SortedMap<(InstanceId, StreamNo), Vec<u8>>,
}

impl Aligned {
    /// What may go out of these bytes and of what waited before them.
    pub fn take<'a>(&mut self, key: (InstanceId, StreamNo), bytes: &'a [u8]) -> Cow<'a, [u8]> {
        let all = match self.tails.remove(&key) {
            None => Cow::Borrowed(bytes),
            Some(mut tail) => {
                tail.extend_from_slice(bytes);
                Cow::Owned(tail)
            }
        };
        let whole = all.len() - begun(&all);
        if whole == all.len() {
            return all;
        }
        self.tails.insert(key, all[whole..].to_vec());
        match all {
            Cow::Borrowed(bytes) => Cow::Borrowed(&bytes[..whole]),
            Cow::Owned(mut bytes) => {
                bytes.truncate(whole);
                Cow::Owned(bytes)
            }
        }
    }

    /// How many bytes of a stream wait.
    pub fn waiting(&self, key: (InstanceId, StreamNo)) -> usize {
        self.tails.get(&key).map_or(0, Vec::len)
    }

    /// Checks that what waits is short, and waits for something; `runs` says whether an instance has a
    /// run.
    pub(super) fn sweep(&self, runs: impl Fn(InstanceId) -> bool) -> Result<(), String> {
        let unsound = |((id, _), tail): &(&(InstanceId, StreamNo), &Vec<u8>)| {
            !runs(*id) || tail.is_empty() || tail.len() > 3
        };
        match self.tails.iter().find(unsound) {
            Some((key, _)) => Err(format!("the beginning of a character waits in vain: {key:?}")),
            None => Ok(()),
        }
    }

    /// What waits of all streams of an instance: nothing more will come.
    pub fn end(&mut self, id: InstanceId) -> Vec<(StreamNo, Vec<u8>)> {
        let range = (id, StreamNo(0))..=(id, StreamNo(u16::MAX));
        let keys: Vec<_> = self.tails.range(range).map(|(key, _)| *key).collect();
        let tail = |key: (InstanceId, StreamNo)| Some((key.1, self.tails.remove(&key)?));
        keys.into_iter().filter_map(tail).collect()
    }
}

/// How many bytes at the end begin a character of UTF-8 that is not whole yet.
pub(super) fn begun(bytes: &[u8]) -> usize {
    for back in 1..=bytes.len().min(3) {
        let wanted = match bytes[bytes.len() - back] {
            0xc2..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf4 => 4,
            0x80..=0xbf => continue,
            _ => return 0,
        };
        return if back < wanted { back } else { 0 };
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::arena::Key;

    const ID: InstanceId = InstanceId(Key { index: 0, generation: 0 });
    const OUT: (InstanceId, StreamNo) = (ID, StreamNo::STDOUT);

    #[test]
    fn text_comes_out_whole_however_it_is_cut() {
        let text = "aé€😀z";
        for cut in 0..=text.len() {
            let mut aligned = Aligned::default();
            let (one, two) = text.as_bytes().split_at(cut);
            let first = aligned.take(OUT, one).into_owned();
            let second = aligned.take(OUT, two).into_owned();
            assert!(std::str::from_utf8(&first).is_ok() && std::str::from_utf8(&second).is_ok());
            assert_eq!([first, second].concat(), text.as_bytes());
            assert!(aligned.end(ID).is_empty());
        }
    }

    #[test]
    fn what_is_no_text_is_not_held_back_for_long() {
        let mut aligned = Aligned::default();
        for bytes in [&b"\xff\xfe\xfd"[..], b"\x80\x80\x80\x80", b"\xc0", b""] {
            assert_eq!(aligned.take(OUT, bytes), bytes);
        }
        assert_eq!(aligned.take(OUT, b"x\xe2\x82"), &b"x"[..]);
        assert_eq!(aligned.waiting(OUT), 2);
        assert_eq!(aligned.take(OUT, b"x"), &b"\xe2\x82x"[..]);
        aligned.take(OUT, b"\xe2");
        assert_eq!(aligned.end(ID), [(StreamNo::STDOUT, b"\xe2".to_vec())]);
        assert_eq!(aligned.waiting(OUT), 0);
    }
}
