//! From where on a source has as many wanted lines as there are to be at the end. They are counted from its end,
//! chunk by chunk; each chunk begins where a line does. What is compressed has no middle to begin at, and is
//! counted from its beginning.

use super::cursor::Cursor;
use super::source::{Ask, Source, Step};
use super::{Budget, Shelf};

/// How far the counting has come in one source.
#[derive(Debug, Default)]
pub struct Tail {
    /// Segments before this one are not counted yet.
    segment: usize,
    /// Where chunks of the segment begin that are not counted yet.
    chunks: Vec<Cursor>,
    /// Those of a compressed one that are counted already, last ones first.
    counted: Vec<(Cursor, u64)>,
    /// Where the last counted chunk begins.
    start: Option<Cursor>,
    /// How many lines there are from there on.
    found: u64,
}

/// What has come of it.
pub enum Counted {
    /// It goes on.
    More,
    /// From here on there are so many; and whether a line may have begun before.
    From(Box<Cursor>, u64, bool),
}

impl Tail {
    /// Nothing is counted of a source with so many segments.
    pub fn new(segments: usize) -> Self {
        Self { segment: segments, ..Self::default() }
    }

    /// Counts on, until there are this many.
    pub fn go_on(
        &mut self,
        (of, wanted): (&mut Source, u64),
        ask: &Ask,
        shelf: &mut dyn Shelf,
        budget: &mut Budget,
    ) -> Counted {
        while !budget.is_spent() {
            if self.found >= wanted {
                return self.done(of);
            }
            let chunk = match self.counted.pop() {
                Some(counted) => Some(counted),
                None => match self.chunks.pop() {
                    Some(chunk) => {
                        let count = count(of, (&chunk, self.start.as_mut()), ask, shelf, budget);
                        Some((chunk, count))
                    }
                    None => None,
                },
            };
            match chunk {
                Some((chunk, count)) => {
                    self.found += count;
                    self.start = Some(chunk);
                }
                None if self.segment == 0 => return self.done(of),
                None => self.open(of, ask, shelf, budget),
            }
        }
        Counted::More
    }

    fn done(&mut self, of: &Source) -> Counted {
        let start = self.start.take().unwrap_or_else(|| Cursor::at(of.view.segments.len()));
        let within = start.segment > 0 || !start.is_fresh();
        Counted::From(Box::new(start), self.found, within)
    }

    /// Finds where chunks of the segment before begin.
    fn open(&mut self, of: &mut Source, ask: &Ask, shelf: &mut dyn Shelf, budget: &mut Budget) {
        self.segment -= 1;
        let Some(segment) = of.view.segments.get(self.segment).copied() else { return };
        if !ask.filter.may_be_in(&segment) {
            return;
        }
        let mut cursor = Cursor::at(self.segment);
        self.chunks.push(cursor.clone());
        let most = u64::try_from(ask.stretch).unwrap_or(u64::MAX);
        let mut end = most;
        loop {
            let view = (&of.view.place, &of.view.segments[..]);
            let found = match &mut of.memory {
                Some(memory) => cursor.peek(view, memory, budget),
                None => cursor.peek(view, shelf, budget),
            };
            let Some(found) = found.filter(|found| found.segment == self.segment) else { break };
            if found.offset >= end && found.piece.starts {
                end = found.offset + most;
                self.chunks.push(cursor.bookmark());
            }
            cursor.pass();
        }
        let seeks = of.memory.is_some() || shelf.seeks(&of.view.place, &segment);
        if !seeks {
            let chunks = std::mem::take(&mut self.chunks);
            for (at, chunk) in chunks.iter().enumerate() {
                let mut stop = chunks.get(at + 1).cloned().or_else(|| self.start.clone());
                let count = count(of, (chunk, stop.as_mut()), ask, shelf, budget);
                self.counted.push((chunk.clone(), count));
            }
        }
    }
}

/// How many wanted lines begin in a chunk.
fn count(
    of: &mut Source,
    (chunk, stop): (&Cursor, Option<&mut Cursor>),
    ask: &Ask,
    shelf: &mut dyn Shelf,
    budget: &mut Budget,
) -> u64 {
    let within = chunk.segment > 0 || !chunk.is_fresh();
    let mut source = Source::new(of.view.clone(), of.memory.take(), chunk.clone(), within);
    source.stop = stop.map(|stop| (stop.segment, stop.read()));
    let mut count = 0;
    // A chunk is little: what it costs beyond the budget is another's loss for a moment.
    let mut own = Budget::new(usize::MAX);
    while let Step::Line(head) = source.next(ask, shelf, &mut own) {
        count += u64::from(head.begins);
    }
    budget.spend(ask.stretch);
    of.memory = source.memory;
    count
}
