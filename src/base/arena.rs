//! A table of slots that are used again, with keys that are not: a key holds the slot's generation,
//! so a key kept too long finds nothing instead of somebody else's value.

use std::fmt;
use std::marker::PhantomData;

/// Where a value lies in an [`Arena`]: a slot and the generation in which it was filled.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// The slot.
    pub index: u32,
    /// How often the slot had been emptied when this key was made.
    pub generation: u32,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}v{}", self.index, self.generation)
    }
}

struct Slot<T> {
    generation: u32,
    value: Option<T>,
}

/// Generational slots. `I` is the newtype of [`Key`] that this table gives out.
pub struct Arena<I, T> {
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
    len: usize,
    id: PhantomData<I>,
}

impl<I, T> Default for Arena<I, T> {
    fn default() -> Self {
        Self { slots: Vec::new(), free: Vec::new(), len: 0, id: PhantomData }
    }
}

impl<I: From<Key> + Into<Key> + Copy, T> Arena<I, T> {
    /// Puts a value in and gives its key. A slot emptied 2³² times is used no more.
    pub fn insert(&mut self, value: T) -> I {
        self.len += 1;
        if let Some(index) = self.free.pop() {
            let slot = &mut self.slots[index as usize];
            slot.value = Some(value);
            return I::from(Key { index, generation: slot.generation });
        }
        let index = u32::try_from(self.slots.len()).expect("memory ends before 2^32 slots do");
        self.slots.push(Slot { generation: 0, value: Some(value) });
        I::from(Key { index, generation: 0 })
    }

    /// The value of this key, if it is still there.
    pub fn get(&self, id: I) -> Option<&T> {
        let key: Key = id.into();
        let slot = self.slots.get(key.index as usize)?;
        slot.value.as_ref().filter(|_| slot.generation == key.generation)
    }

    /// The value of this key, if it is still there.
    pub fn get_mut(&mut self, id: I) -> Option<&mut T> {
        let key: Key = id.into();
        let slot = self.slots.get_mut(key.index as usize)?;
        slot.value.as_mut().filter(|_| slot.generation == key.generation)
    }

    /// Takes the value out; its key, and every copy of it, finds nothing from now on.
    pub fn remove(&mut self, id: I) -> Option<T> {
        let key: Key = id.into();
        let slot = self.slots.get_mut(key.index as usize)?;
        if slot.generation != key.generation {
            return None;
        }
        let value = slot.value.take()?;
        self.len -= 1;
        if let Some(next) = slot.generation.checked_add(1) {
            slot.generation = next;
            self.free.push(key.index);
        }
        Some(value)
    }

    /// How many values there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// All values with their keys, in the order of their slots.
    pub fn iter(&self) -> impl Iterator<Item = (I, &T)> {
        (0u32..).zip(&self.slots).filter_map(|(index, slot)| {
            let id = I::from(Key { index, generation: slot.generation });
            slot.value.as_ref().map(|value| (id, value))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_key_finds_nothing() {
        let mut arena: Arena<Key, &str> = Arena::default();
        let first = arena.insert("first");
        assert_eq!(arena.remove(first), Some("first"));
        let second = arena.insert("second");
        assert_eq!(second.index, first.index);
        assert_eq!(arena.get(first), None);
        assert_eq!(arena.remove(first), None);
        assert_eq!(arena.get(second), Some(&"second"));
        assert_eq!(arena.iter().map(|(_, v)| *v).collect::<Vec<_>>(), ["second"]);
        assert_eq!(arena.len(), 1);
    }
}
