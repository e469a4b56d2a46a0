//! Connections of a machine to others: what each is owed, and which are to be closed. A link carries
//! bytes and knows no protocol; who dialled it knows what they mean. The shell's half of the door is
//! answered from here.

use std::time::Instant;

use crate::base::bytes::Outbound;
use crate::base::clock::Now;
use crate::base::ids::LinkId;
use crate::base::limits;
use crate::base::sorted::{SortedMap, SortedSet};
use crate::base::timers::Timers;

/// All links of a machine, from when they are dialled until they are closed.
#[derive(Default)]
pub struct Links {
    links: SortedMap<LinkId, Link>,
    /// Links with something to write, or to close.
    dirty: SortedSet<LinkId>,
    /// When those that end are closed, whatever they are still owed.
    farewells: Timers<LinkId>,
    last: u64,
}

#[derive(Default)]
struct Link {
    owed: Outbound,
    /// It is closed when nothing is owed on it.
    ends: bool,
    /// A last answer is awaited on it, for which the end of the machine waits.
    awaited: bool,
}

impl Links {
    /// The number of a link that is dialled now.
    pub fn dial(&mut self) -> LinkId {
        self.last += 1;
        let link = LinkId(self.last);
        self.links.insert(link, Link::default());
        link
    }

    /// Says something. Before the link is open, it waits.
    pub fn say(&mut self, link: LinkId, bytes: &[u8]) {
        let Some(to) = self.links.get_mut(&link).filter(|to| !to.ends && !bytes.is_empty()) else {
            return;
        };
        to.owed.push(bytes);
        self.dirty.insert(link);
    }

    /// Closes a link behind what it is owed. If that is not taken soon, it is closed without.
    pub fn end(&mut self, link: LinkId, now: Now) {
        let Some(ending) = self.links.get_mut(&link) else { return };
        ending.ends = true;
        self.farewells.set(link, now.mono + limits::LINK_FAREWELL);
        self.dirty.insert(link);
    }

    /// A last answer is awaited on a link, until it is closed.
    pub fn await_answer(&mut self, link: LinkId) {
        if let Some(link) = self.links.get_mut(&link) {
            link.awaited = true;
        }
    }

    /// Whether a last answer is awaited on a link.
    pub fn is_awaited(&self, link: LinkId) -> bool {
        self.links.get(&link).is_some_and(|link| link.awaited)
    }

    /// Closes a link now.
    pub fn forget(&mut self, link: LinkId) {
        if self.links.remove(&link).is_some() {
            self.farewells.cancel(link);
            self.dirty.insert(link);
        }
    }

    /// The shell has closed a link, or could not open it.
    pub fn gone(&mut self, link: LinkId) {
        self.links.remove(&link);
        self.farewells.cancel(link);
        self.dirty.remove(&link);
    }

    /// What a link is owed.
    pub fn owed(&self, link: LinkId) -> &[u8] {
        self.links.get(&link).map_or(&[], |link| link.owed.pending())
    }

    /// The kernel took so many of those bytes.
    pub fn sent(&mut self, link: LinkId, count: usize) {
        if let Some(link) = self.links.get_mut(&link) {
            link.owed.advance(count);
        }
    }

    /// Whether a link is to be closed when nothing is owed on it. One that is not known is.
    pub fn is_finished(&self, link: LinkId) -> bool {
        self.links.get(&link).is_none_or(|link| link.ends)
    }

    /// More of what comes on a link is taken again.
    pub fn touch(&mut self, link: LinkId) {
        if self.links.contains_key(&link) {
            self.dirty.insert(link);
        }
    }

    /// The links on which something changed since the last call.
    pub fn take_dirty(&mut self) -> Vec<LinkId> {
        std::mem::take(&mut self.dirty).into_iter().collect()
    }

    /// When [`Self::on_time`] wants to be called.
    pub fn deadline(&self) -> Option<Instant> {
        self.farewells.next()
    }

    /// Time has passed.
    pub fn on_time(&mut self, now: Now) {
        for link in self.farewells.pop_all_due(now.mono) {
            self.forget(link);
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.links.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.links.is_empty()
    }

    /// How many bytes all are owed.
    pub fn owed_in_all(&self) -> usize {
        self.links.values().map(|link| link.owed.len()).sum()
    }

    /// Checks that each is somebody's, or ends in time.
    ///
    /// # Errors
    /// The first that is neither, in words.
    pub fn sweep(&self, is_owned: impl Fn(LinkId) -> bool) -> Result<(), String> {
        let lost = self.links.iter().find(|(id, link)| {
            let ends = self.farewells.due_at(**id).is_some();
            link.ends != ends || !(ends || is_owned(**id))
        });
        lost.map_or(Ok(()), |(id, _)| Err(format!("{id:?} is nobody's")))
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test needs one instant to count from")]
mod tests {
    use super::*;
    use std::time::{Duration, UNIX_EPOCH};

    #[test]
    fn a_link_that_ends_says_its_last_words_but_not_for_ever() {
        let now = Now { mono: Instant::now(), wall: UNIX_EPOCH };
        let mut links = Links::default();
        let (one, two) = (links.dial(), links.dial());
        for link in [one, two] {
            links.say(link, b"bye");
            links.end(link, now);
            links.say(link, b"more");
        }
        assert_eq!(links.take_dirty(), [one, two]);
        assert!(links.is_finished(one) && links.owed(one) == b"bye");
        links.sent(one, 3);
        links.gone(one);
        let due = links.deadline().expect("the other is waited for");
        assert_eq!(due, now.mono + limits::LINK_FAREWELL);
        links.on_time(now.plus(limits::LINK_FAREWELL - Duration::from_millis(1)));
        assert_eq!((links.owed(two), links.len()), (&b"bye"[..], 1));
        links.on_time(now.plus(limits::LINK_FAREWELL));
        assert_eq!((links.owed(two), links.len(), links.deadline()), (&b""[..], 0, None));
        assert!(links.is_finished(two) && links.take_dirty() == [two], "it is closed now");
    }
}
