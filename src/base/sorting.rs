//! Sorts that leave equals in their order.
//!
//! The standard library's sort is made anew for each kind of value, six kilobytes each time. Here the numbers of the
//! places are sorted, by one piece of code whatever they hold, and each value is then moved once. That takes a word
//! for each of them while it lasts, and a call through a pointer to compare two.

use std::cmp::Ordering;

/// Sorts from the least to the greatest.
pub fn sort<T: Ord>(items: &mut [T]) {
    sort_by(items, T::cmp);
}

/// Sorts by what `key` says of each.
pub fn sort_by_key<T, K: Ord>(items: &mut [T], key: impl Fn(&T) -> K) {
    sort_by(items, |one, other| key(one).cmp(&key(other)));
}

/// Sorts by what `order` says of two.
pub fn sort_by<T>(items: &mut [T], order: impl Fn(&T, &T) -> Ordering) {
    let mut from = sorted_places(items.len(), &|one, other| order(&items[one], &items[other]));
    for start in 0..from.len() {
        // What belongs here comes from another place, and what belongs there from a third, until one comes from here.
        let mut place = start;
        loop {
            let next = std::mem::replace(&mut from[place], place);
            if next == start {
                break;
            }
            items.swap(place, next);
            place = next;
        }
    }
}

/// For each place the one that its value comes from.
fn sorted_places(count: usize, order: &dyn Fn(usize, usize) -> Ordering) -> Vec<usize> {
    let mut places: Vec<usize> = (0..count).collect();
    // Equals do not occur, so that the shorter of the sorts will do.
    places.sort_unstable_by(|one, other| order(*one, *other).then(one.cmp(other)));
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    use proptest::prelude::*;

    proptest! {
        /// What the standard library says of the same values.
        #[test]
        fn sorts_as_the_standard_library_does(values in prop::collection::vec((0u8..8, any::<u8>()), 0..200)) {
            let (mut ours, mut theirs) = (values.clone(), values);
            sort_by_key(&mut ours, |(key, _)| *key);
            theirs.sort_by_key(|(key, _)| *key);
            prop_assert_eq!(&ours, &theirs);
            sort(&mut ours);
            theirs.sort();
            prop_assert_eq!(&ours, &theirs);
            let backwards = |(key, _): &(u8, u8)| std::cmp::Reverse(*key);
            sort_by_key(&mut ours, backwards);
            theirs.sort_by_key(backwards);
            prop_assert_eq!(ours, theirs);
        }
    }
}
