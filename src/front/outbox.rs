//! What a reader is still to be sent, bounded. What is published is shared by all its readers and may
//! be dropped, oldest first: then it is counted, and the reader is told before what comes after the
//! gap. Replies are never dropped: a reader that lets too many of them pile up is given up.

use crate::base::sorted::SortedMap;
use std::collections::VecDeque;
use std::rc::Rc;

/// Something to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece<T: ?Sized> {
    /// An answer to this reader.
    Reply(Rc<T>),
    /// A part of this topic.
    Published(Rc<str>, Rc<T>),
}

/// What goes out next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next<T: ?Sized> {
    /// A reply, or something published.
    Text(Rc<T>),
    /// So many messages, or bytes, of this topic were dropped.
    Lagged(Rc<str>, u64),
}

/// How much something adds to what is owed.
pub trait Weight {
    /// In bytes.
    fn weight(&self) -> usize;
    /// How many it counts as when it is dropped: messages count one each, output its bytes.
    fn lost(&self) -> u64;
}

impl Weight for str {
    fn weight(&self) -> usize {
        self.len()
    }

    fn lost(&self) -> u64 {
        1
    }
}

/// The queue of one reader.
pub struct Outbox<T: ?Sized> {
    pieces: VecDeque<Piece<T>>,
    /// Bytes of everything in it, each piece with its own cost.
    bytes: usize,
    /// Bytes of the replies in it.
    replies: usize,
    /// What was dropped since the reader was told last, by topic.
    lost: SortedMap<Rc<str>, u64>,
    limit: usize,
}

/// A reader let more replies pile up than it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overflow;

/// What a piece costs besides its bytes.
const PIECE_COST: usize = 64;

impl<T: ?Sized + Weight> Outbox<T> {
    /// An empty one that holds so many bytes.
    pub fn new(limit: usize) -> Self {
        Self { pieces: VecDeque::new(), bytes: 0, replies: 0, lost: SortedMap::new(), limit }
    }

    /// Adds a piece at the end. Over the limit the oldest published pieces are dropped, this one too
    /// if need be. Gives how much of what was published is lost by that.
    ///
    /// # Errors
    /// The replies alone are over the limit.
    pub fn push(&mut self, piece: Piece<T>) -> Result<u64, Overflow> {
        let (cost, reply) = cost_of(&piece);
        self.bytes += cost;
        if reply {
            self.replies += cost;
        }
        self.pieces.push_back(piece);
        if self.replies > self.limit {
            return Err(Overflow);
        }
        if self.bytes > self.limit {
            return Ok(self.drop_oldest());
        }
        Ok(0)
    }

    /// Makes room: a quarter of the limit at once, so that a reader far behind costs a walk through
    /// its queue now and then, and not for each piece.
    fn drop_oldest(&mut self) -> u64 {
        let mut lost = 0;
        let wanted = self.limit - self.limit / 4;
        let (mut kept, mut bytes) = (VecDeque::with_capacity(self.pieces.len()), self.bytes);
        for piece in self.pieces.drain(..) {
            match piece {
                Piece::Published(topic, text) if bytes > wanted => {
                    bytes -= text.weight() + PIECE_COST;
                    *self.lost.entry(topic).or_default() += text.lost();
                    lost += text.lost();
                }
                Piece::Published(..) | Piece::Reply(_) => kept.push_back(piece),
            }
        }
        self.pieces = kept;
        self.bytes = bytes;
        lost
    }

    /// Takes out what goes next.
    pub fn pop(&mut self) -> Option<Next<T>> {
        if let Some((topic, count)) = self.lost.pop_first() {
            return Some(Next::Lagged(topic, count));
        }
        let piece = self.pieces.pop_front()?;
        let (cost, reply) = cost_of(&piece);
        self.bytes -= cost;
        if reply {
            self.replies -= cost;
        }
        if self.pieces.is_empty() {
            self.pieces = VecDeque::new();
        }
        let (Piece::Reply(text) | Piece::Published(_, text)) = piece;
        Some(Next::Text(text))
    }

    /// So much of this topic was lost before it came here.
    pub fn lose(&mut self, topic: &Rc<str>, lost: u64) {
        if lost > 0 {
            *self.lost.entry(Rc::clone(topic)).or_default() += lost;
        }
    }

    /// Nothing of this topic is wanted any more. What was lost of it is still told if something that
    /// came behind the gap is still to be sent: that would seem to follow what came before.
    pub fn forget(&mut self, topic: &str) {
        let of_topic = |piece: &Piece<T>| match piece {
            Piece::Published(known, _) => **known == *topic,
            Piece::Reply(_) => false,
        };
        if self.lost.contains_key(topic) && !self.pieces.iter().any(of_topic) {
            self.lost.remove(topic);
        }
    }

    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty() && self.lost.is_empty()
    }

    /// How many bytes it holds, with what each piece costs besides.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

fn cost_of<T: ?Sized + Weight>(piece: &Piece<T>) -> (usize, bool) {
    match piece {
        Piece::Reply(text) => (text.weight() + PIECE_COST, true),
        Piece::Published(_, text) => (text.weight() + PIECE_COST, false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn published(topic: &str, text: &str) -> Piece<str> {
        Piece::Published(topic.into(), text.into())
    }

    fn all(outbox: &mut Outbox<str>) -> Vec<String> {
        std::iter::from_fn(|| outbox.pop())
            .map(|next| match next {
                Next::Text(text) => text.to_string(),
                Next::Lagged(topic, lost) => format!("{topic} lost {lost}"),
            })
            .collect()
    }

    #[test]
    fn the_oldest_is_dropped_and_told_before_what_follows() {
        let mut outbox: Outbox<str> = Outbox::new(1000);
        for number in 0..10 {
            outbox.push(published("a", &number.to_string())).expect("room");
            outbox.push(Piece::Reply("r".into())).expect("room");
        }
        let sent = all(&mut outbox);
        assert!(outbox.is_empty() && outbox.bytes() == 0 && outbox.replies == 0);
        let lost: usize = sent[0].strip_prefix("a lost ").expect("told").parse().expect("number");
        assert!(lost > 0 && lost < 10);
        assert_eq!(sent.iter().filter(|text| *text == "r").count(), 10, "no reply is dropped");
        let kept: Vec<String> = (lost..10).map(|number| number.to_string()).collect();
        let texts: Vec<String> = sent[1..].iter().filter(|text| *text != "r").cloned().collect();
        assert_eq!(texts, kept);
    }

    #[test]
    fn a_piece_larger_than_the_limit_is_dropped_itself() {
        let mut outbox: Outbox<str> = Outbox::new(100);
        outbox.push(published("a", &"x".repeat(200))).expect("no reply");
        assert_eq!(all(&mut outbox), ["a lost 1"]);
        outbox.push(published("a", "y")).expect("room");
        assert_eq!(all(&mut outbox), ["y"]);
    }

    #[test]
    fn too_many_replies_are_too_much() {
        let mut outbox: Outbox<str> = Outbox::new(3 * (PIECE_COST + 1));
        for _ in 0..3 {
            assert_eq!(outbox.push(Piece::Reply("r".into())), Ok(0));
        }
        assert_eq!(outbox.push(Piece::Reply("r".into())), Err(Overflow));
    }

    #[test]
    fn what_is_unsubscribed_is_not_told_as_lost() {
        let mut outbox: Outbox<str> = Outbox::new(100);
        outbox.push(published("a", &"x".repeat(200))).expect("no reply");
        outbox.forget("a");
        assert!(outbox.is_empty());
        outbox.push(published("a", &"x".repeat(200))).expect("no reply");
        outbox.push(published("a", "y")).expect("room");
        outbox.forget("a");
        assert_eq!(
            all(&mut outbox),
            ["a lost 1", "y"],
            "the gap before what is still sent is told"
        );
    }
}
