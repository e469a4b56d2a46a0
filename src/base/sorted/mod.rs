//! A map and a set in the order of their keys, for all tables of the daemon. What they do is what `BTreeMap` and
//! `BTreeSet` do; they are here because a daemon has a hundred kinds of them. A tree of the standard library is some
//! 6 KB of program for each kind, and room for eleven entries in its first node; this is a tenth of the one, and has
//! half of the other to spare.
//!
//! Entries are in pieces of at most `PIECE`, in order, so that one is put in or taken out without a move of more than
//! a piece and the list of pieces: a table of ten thousand has some two hundred of these.

use std::borrow::Borrow;
use std::fmt;
use std::ops::{Bound, Index, RangeBounds};

mod set;

pub use self::set::{Keys, SortedSet};

/// So many entries are in one piece at most.
const PIECE: usize = 64;
/// By so many it grows at most at a time.
const STEP: usize = 8;

/// The map.
#[derive(Clone)]
pub struct SortedMap<K, V> {
    /// Nothing while there are no entries: each job and each process has some, most of them empty.
    table: Option<Box<Table<K, V>>>,
}

#[derive(Clone)]
struct Table<K, V> {
    /// None is empty, and each one's keys are greater than those of the one before.
    pieces: Vec<Vec<(K, V)>>,
    len: usize,
}

/// Goes through entries.
pub type Pairs<'a, K, V> = std::iter::Map<
    std::iter::Flatten<std::slice::Iter<'a, Vec<(K, V)>>>,
    fn(&'a (K, V)) -> (&'a K, &'a V),
>;

/// Goes through those of a range: what is of its first piece, all of the pieces between, and what is of its last.
pub type Range<'a, K, V> = std::iter::Map<
    std::iter::Chain<
        std::iter::Chain<
            std::slice::Iter<'a, (K, V)>,
            std::iter::Flatten<std::slice::Iter<'a, Vec<(K, V)>>>,
        >,
        std::slice::Iter<'a, (K, V)>,
    >,
    fn(&'a (K, V)) -> (&'a K, &'a V),
>;

/// Where an entry is: its piece, and its place there.
type Spot = (usize, usize);

impl<K, V> Default for SortedMap<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: PartialEq, V: PartialEq> PartialEq for SortedMap<K, V> {
    /// Whether the entries are the same, however they are in pieces.
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().eq(other.iter())
    }
}

impl<K: Eq, V: Eq> Eq for SortedMap<K, V> {}

impl<K, V> SortedMap<K, V> {
    /// An empty one.
    pub const fn new() -> Self {
        Self { table: None }
    }

    fn of(pieces: Vec<Vec<(K, V)>>) -> Self {
        let len = pieces.iter().map(Vec::len).sum();
        Self { table: (len > 0).then(|| Box::new(Table { pieces, len })) }
    }

    fn pieces(&self) -> &[Vec<(K, V)>] {
        self.table.as_ref().map_or(&[], |table| &table.pieces)
    }

    fn pieces_mut(&mut self) -> &mut [Vec<(K, V)>] {
        self.table.as_mut().map_or(&mut [], |table| &mut table.pieces)
    }

    fn into_pieces(self) -> Vec<Vec<(K, V)>> {
        self.table.map_or(Vec::new(), |table| table.pieces)
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.table.as_ref().map_or(0, |table| table.len)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.table.is_none()
    }

    /// Takes all away.
    pub fn clear(&mut self) {
        *self = Self::new();
    }

    /// All entries.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&K, &V)> + Clone {
        self.pieces().iter().flatten().map(|(key, value)| (key, value))
    }

    /// All entries, their values to be changed.
    pub fn iter_mut(&mut self) -> impl DoubleEndedIterator<Item = (&K, &mut V)> {
        self.pieces_mut().iter_mut().flatten().map(|(key, value)| (&*key, value))
    }

    /// All keys.
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = &K> + Clone {
        self.pieces().iter().flatten().map(|(key, _)| key)
    }

    /// All values.
    pub fn values(&self) -> impl DoubleEndedIterator<Item = &V> + Clone {
        self.pieces().iter().flatten().map(|(_, value)| value)
    }

    /// All values, to be changed.
    pub fn values_mut(&mut self) -> impl DoubleEndedIterator<Item = &mut V> {
        self.pieces_mut().iter_mut().flatten().map(|(_, value)| value)
    }

    /// The keys alone.
    pub fn into_keys(self) -> impl DoubleEndedIterator<Item = K> {
        self.into_pieces().into_iter().flatten().map(|(key, _)| key)
    }

    /// The values alone.
    pub fn into_values(self) -> impl DoubleEndedIterator<Item = V> {
        self.into_pieces().into_iter().flatten().map(|(_, value)| value)
    }

    /// The first entry.
    pub fn first_key_value(&self) -> Option<(&K, &V)> {
        self.pieces().first()?.first().map(|(key, value)| (key, value))
    }

    /// The last one.
    pub fn last_key_value(&self) -> Option<(&K, &V)> {
        self.pieces().last()?.last().map(|(key, value)| (key, value))
    }

    /// Takes the first entry away.
    pub fn pop_first(&mut self) -> Option<(K, V)> {
        (!self.is_empty()).then(|| self.take((0, 0)))
    }

    /// Takes the last one away.
    pub fn pop_last(&mut self) -> Option<(K, V)> {
        let piece = self.pieces().len().checked_sub(1)?;
        Some(self.take((piece, self.pieces()[piece].len() - 1)))
    }

    /// Keeps those entries alone.
    pub fn retain(&mut self, mut keep: impl FnMut(&K, &mut V) -> bool) {
        let mut pieces = std::mem::take(self).into_pieces();
        for piece in &mut pieces {
            piece.retain_mut(|(key, value)| keep(key, value));
        }
        pieces.retain(|piece| !piece.is_empty());
        *self = Self::of(pieces);
    }

    /// Takes an entry out of where it is.
    fn take(&mut self, spot: Spot) -> (K, V) {
        let table = self.table.as_mut().expect("there is no spot in nothing");
        let entry = table.take(spot);
        if table.len == 0 {
            self.table = None;
        }
        entry
    }

    /// Puts an entry where it belongs; gives where it is then.
    fn put(&mut self, spot: Spot, entry: (K, V)) -> Spot {
        if let Some(table) = &mut self.table {
            return table.put(spot, entry);
        }
        // Many have one entry and no more.
        let pieces = Vec::from([Vec::from([entry])]);
        self.table = Some(Box::new(Table { pieces, len: 1 }));
        (0, 0)
    }
}

impl<K, V> Table<K, V> {
    /// Puts a piece together with the next, if both are small.
    fn join(&mut self, at: usize) {
        let small = |piece: &Vec<_>| piece.len() < PIECE / 4;
        if self.pieces.get(at..at + 2).is_some_and(|two| two.iter().all(small)) {
            let mut next = self.pieces.remove(at + 1);
            self.pieces[at].append(&mut next);
        }
    }

    /// Takes an entry out. Small pieces side by side become one, so that there are never many of them.
    fn take(&mut self, (at, place): Spot) -> (K, V) {
        let piece = &mut self.pieces[at];
        let entry = piece.remove(place);
        let left = piece.len();
        self.len -= 1;
        if left == 0 {
            self.pieces.remove(at);
        } else if left < PIECE / 4 {
            self.join(at);
            self.join(at.saturating_sub(1));
        }
        entry
    }

    /// Puts an entry where it belongs; gives where it is then.
    fn put(&mut self, (mut at, mut place): Spot, entry: (K, V)) -> Spot {
        self.len += 1;
        if self.pieces[at].len() == PIECE {
            if place == PIECE && at + 1 == self.pieces.len() {
                // What grows at its end, as most do, has full pieces.
                self.pieces.push(Vec::from([entry]));
                return (at + 1, 0);
            }
            let upper = self.pieces[at].split_off(PIECE / 2);
            self.pieces[at].shrink_to_fit();
            self.pieces.insert(at + 1, upper);
            if place > PIECE / 2 {
                (at, place) = (at + 1, place - PIECE / 2);
            }
        }
        let piece = &mut self.pieces[at];
        if piece.len() == piece.capacity() {
            // Not twice as much: most tables stop somewhere, and what is put in between leaves pieces half full.
            piece.reserve_exact(STEP.min(piece.len()).min(PIECE - piece.len()));
        }
        piece.insert(place, entry);
        (at, place)
    }
}

impl<K: Ord, V> SortedMap<K, V> {
    /// Where a key is, or where it would be put.
    fn find<Q: Ord + ?Sized>(&self, key: &Q) -> Result<Spot, Spot>
    where
        K: Borrow<Q>,
    {
        let pieces = self.pieces();
        let behind = pieces.partition_point(|piece| piece[0].0.borrow() <= key);
        let Some(at) = behind.checked_sub(1) else { return Err((0, 0)) };
        let place = pieces[at].binary_search_by(|(known, _)| known.borrow().cmp(key));
        place.map(|place| (at, place)).map_err(|place| (at, place))
    }

    /// Whether there is such a key.
    pub fn contains_key<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.find(key).is_ok()
    }

    /// The value of a key.
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.get_key_value(key).map(|(_, value)| value)
    }

    /// A key as it is here, and its value.
    pub fn get_key_value<Q: Ord + ?Sized>(&self, key: &Q) -> Option<(&K, &V)>
    where
        K: Borrow<Q>,
    {
        let (at, place) = self.find(key).ok()?;
        let (key, value) = &self.pieces()[at][place];
        Some((key, value))
    }

    /// The value of a key, to be changed.
    pub fn get_mut<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        let (at, place) = self.find(key).ok()?;
        Some(&mut self.pieces_mut()[at][place].1)
    }

    /// Puts a key; gives the value that it had.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        match self.find(&key) {
            Ok((at, place)) => Some(std::mem::replace(&mut self.pieces_mut()[at][place].1, value)),
            Err(spot) => {
                self.put(spot, (key, value));
                None
            }
        }
    }

    /// Takes a key away; gives the value that it had.
    pub fn remove<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        self.remove_entry(key).map(|(_, value)| value)
    }

    /// Takes a key away, and gives it with its value.
    pub fn remove_entry<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<(K, V)>
    where
        K: Borrow<Q>,
    {
        let spot = self.find(key).ok()?;
        Some(self.take(spot))
    }

    /// The place of a key, to be filled if it is not.
    pub fn entry(&mut self, key: K) -> Entry<'_, K, V> {
        Entry { map: self, key }
    }

    /// Where the entries from this bound on begin: the first piece, and the place there.
    fn begin<Q: Ord + ?Sized>(&self, bound: Bound<&Q>) -> Spot
    where
        K: Borrow<Q>,
    {
        match bound {
            Bound::Unbounded => (0, 0),
            Bound::Included(key) => self.find(key).unwrap_or_else(|spot| spot),
            Bound::Excluded(key) => match self.find(key) {
                Ok((at, place)) => (at, place + 1),
                Err(spot) => spot,
            },
        }
    }

    /// And where those end that come before it.
    fn end<Q: Ord + ?Sized>(&self, bound: Bound<&Q>) -> Spot
    where
        K: Borrow<Q>,
    {
        match bound {
            Bound::Unbounded => (self.pieces().len(), 0),
            Bound::Included(key) => self.begin(Bound::Excluded(key)),
            Bound::Excluded(key) => self.begin(Bound::Included(key)),
        }
    }

    /// The entries of a range of keys.
    pub fn range<Q: Ord + ?Sized>(&self, range: impl RangeBounds<Q>) -> Range<'_, K, V>
    where
        K: Borrow<Q>,
    {
        let (from, to) = (self.begin(range.start_bound()), self.end(range.end_bound()));
        let to = to.max(from);
        let pieces = self.pieces();
        let piece = |at: usize| pieces.get(at).map_or(&[][..], Vec::as_slice);
        let (head, middle, tail) = if from.0 == to.0 {
            (&piece(from.0)[from.1..to.1], &[][..], &[][..])
        } else {
            (&piece(from.0)[from.1..], &pieces[from.0 + 1..to.0], &piece(to.0)[..to.1])
        };
        let all = head.iter().chain(middle.iter().flatten()).chain(tail);
        all.map(|(key, value)| (key, value))
    }

    /// The values of a range of keys, to be changed.
    pub fn range_mut<Q: Ord + ?Sized>(
        &mut self,
        range: impl RangeBounds<Q>,
    ) -> impl Iterator<Item = (&K, &mut V)>
    where
        K: Borrow<Q>,
    {
        let (from, to) = (self.begin(range.start_bound()), self.end(range.end_bound()));
        let pieces = self.pieces_mut().iter_mut().enumerate().skip(from.0);
        let places = pieces.flat_map(|(at, piece)| {
            piece.iter_mut().enumerate().map(move |(place, entry)| ((at, place), entry))
        });
        let there = places.skip_while(move |(spot, _)| *spot < from);
        there.take_while(move |(spot, _)| *spot < to).map(|(_, (key, value))| (&*key, value))
    }

    /// Takes away what is not before this key, and gives it.
    pub fn split_off<Q: Ord + ?Sized>(&mut self, key: &Q) -> Self
    where
        K: Borrow<Q>,
    {
        let (at, place) = self.begin(Bound::Included(key));
        let mut pieces = std::mem::take(self).into_pieces();
        let mut rest = Vec::new();
        if let Some(piece) = pieces.get_mut(at) {
            rest.push(piece.split_off(place));
            rest.extend(pieces.drain(at + 1..));
        }
        for pieces in [&mut pieces, &mut rest] {
            pieces.retain(|piece| !piece.is_empty());
        }
        *self = Self::of(pieces);
        Self::of(rest)
    }

    /// Takes over what is in another one, which is empty then.
    pub fn append(&mut self, other: &mut Self) {
        self.extend(std::mem::take(other));
    }
}

/// The place of a key.
pub struct Entry<'a, K, V> {
    map: &'a mut SortedMap<K, V>,
    key: K,
}

impl<'a, K: Ord, V> Entry<'a, K, V> {
    /// The value; this one if there was none.
    pub fn or_insert(self, value: V) -> &'a mut V {
        self.or_insert_with(|| value)
    }

    /// The value; the default if there was none.
    pub fn or_default(self) -> &'a mut V
    where
        V: Default,
    {
        self.or_insert_with(V::default)
    }

    /// The value; what this makes if there was none.
    pub fn or_insert_with(self, make: impl FnOnce() -> V) -> &'a mut V {
        let spot = self.map.find(&self.key);
        let (at, place) = spot.unwrap_or_else(|spot| self.map.put(spot, (self.key, make())));
        &mut self.map.pieces_mut()[at][place].1
    }

    /// Changes the value if there is one.
    #[must_use]
    pub fn and_modify(self, change: impl FnOnce(&mut V)) -> Self {
        if let Some(value) = self.map.get_mut(&self.key) {
            change(value);
        }
        self
    }
}

impl<K: Ord, V> Extend<(K, V)> for SortedMap<K, V> {
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, entries: I) {
        for (key, value) in entries {
            self.insert(key, value);
        }
    }
}

impl<'a, K: Ord + Clone + 'a, V: Clone + 'a> Extend<(&'a K, &'a V)> for SortedMap<K, V> {
    fn extend<I: IntoIterator<Item = (&'a K, &'a V)>>(&mut self, entries: I) {
        for (key, value) in entries {
            self.insert(key.clone(), value.clone());
        }
    }
}

impl<K: Ord, V> FromIterator<(K, V)> for SortedMap<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let mut map = Self::new();
        map.extend(entries);
        map
    }
}

impl<K: Ord, V, const N: usize> From<[(K, V); N]> for SortedMap<K, V> {
    fn from(entries: [(K, V); N]) -> Self {
        entries.into_iter().collect()
    }
}

impl<K, V> IntoIterator for SortedMap<K, V> {
    type Item = (K, V);
    type IntoIter = std::iter::Flatten<std::vec::IntoIter<Vec<(K, V)>>>;

    fn into_iter(self) -> Self::IntoIter {
        self.into_pieces().into_iter().flatten()
    }
}

impl<'a, K, V> IntoIterator for &'a SortedMap<K, V> {
    type Item = (&'a K, &'a V);
    type IntoIter = Pairs<'a, K, V>;

    fn into_iter(self) -> Self::IntoIter {
        self.pieces().iter().flatten().map(|(key, value)| (key, value))
    }
}

impl<'a, K, V> IntoIterator for &'a mut SortedMap<K, V> {
    type Item = (&'a K, &'a mut V);
    type IntoIter = std::iter::Map<
        std::iter::Flatten<std::slice::IterMut<'a, Vec<(K, V)>>>,
        fn(&'a mut (K, V)) -> (&'a K, &'a mut V),
    >;

    fn into_iter(self) -> Self::IntoIter {
        self.pieces_mut().iter_mut().flatten().map(|(key, value)| (&*key, value))
    }
}

impl<K: Borrow<Q> + Ord, Q: Ord + ?Sized, V> Index<&Q> for SortedMap<K, V> {
    type Output = V;

    fn index(&self, key: &Q) -> &V {
        self.get(key).expect("the key is there")
    }
}

impl<K: fmt::Debug, V: fmt::Debug> fmt::Debug for SortedMap<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    type Both = (SortedMap<u16, u32>, BTreeMap<u16, u32>);

    fn same((map, tree): &Both) {
        assert_eq!(map.len(), tree.len());
        assert!(map.iter().eq(tree) && map.iter().rev().eq(tree.iter().rev()));
        assert!(map.pieces().iter().all(|piece| (1..=PIECE).contains(&piece.len())));
        assert_eq!(map.first_key_value(), tree.first_key_value());
        assert_eq!(map.last_key_value(), tree.last_key_value());
    }

    fn step((map, tree): &mut Both, (what, key, value): (u8, u16, u32)) {
        match what {
            0..8 => assert_eq!(map.insert(key, value), tree.insert(key, value)),
            8..12 => assert_eq!(map.remove(&key), tree.remove(&key)),
            12 => assert_eq!(map.pop_first(), tree.pop_first()),
            13 => assert_eq!(map.pop_last(), tree.pop_last()),
            14 => {
                *map.entry(key).or_default() += 1;
                *tree.entry(key).or_default() += 1;
            }
            15 => {
                let to = key.saturating_add(u16::try_from(value % 300).expect("small"));
                assert!(map.range(key..to).eq(tree.range(key..to)));
                assert!(map.range(..=key).rev().eq(tree.range(..=key).rev()));
                let behind = (Bound::Excluded(key), Bound::Unbounded);
                assert!(map.range_mut(behind).eq(tree.range_mut(behind)));
            }
            16 => {
                let (a, b) = (map.split_off(&key), tree.split_off(&key));
                same(&(a.clone(), b));
                map.append(&mut a.clone());
                tree.extend(a);
            }
            _ => {
                map.retain(|key, _| key % 7 != u16::try_from(value % 7).expect("small"));
                tree.retain(|key, _| key % 7 != u16::try_from(value % 7).expect("small"));
            }
        }
    }

    proptest! {
        #[test]
        fn it_is_a_map(steps in proptest::collection::vec((0u8..18, 0u16..600, any::<u32>()), 0..900)) {
            let mut both = Both::default();
            for what in steps {
                step(&mut both, what);
            }
            same(&both);
            for key in 0..600 {
                prop_assert_eq!(both.0.get(&key), both.1.get(&key));
            }
            prop_assert!(both.0.into_iter().eq(both.1));
        }
    }
}
