//! The lines of one book, or of what is in memory alone, in the order in which they begin.

use std::collections::VecDeque;
use std::sync::Arc;

use memchr::{memchr, memrchr};

use super::cursor::{Cursor, Found};
use super::filter::Filter;
use super::memory::Memory;
use super::track::{At, Begun, Head, Text, Track};
use super::{Budget, End, Gone, Line, Shelf};
use crate::base::limits;
use crate::base::sorted::SortedSet;
use crate::logs::index::{Piece, Writer};
use crate::logs::names::Place;
use crate::logs::view::{Book, Segment};

/// What holds for all sources of a query.
pub struct Ask {
    /// Which lines are wanted.
    pub filter: Filter,
    /// The runs that go on.
    pub live: SortedSet<u64>,
    /// Whether lines that have no end yet are waited for.
    pub follow: bool,
    /// How much is read of one source in one go.
    pub stretch: usize,
}

/// One source.
pub struct Source {
    pub(super) view: Book,
    pub(super) memory: Option<Memory>,
    pub(super) cursor: Cursor,
    tracks: Vec<Track>,
    read: Stretch,
    pending: VecDeque<Head>,
    /// Whether what is found first may go on with a line that began before.
    within: bool,
    /// Lines that begin here or behind it are not wanted.
    pub(super) stop: Option<(usize, u64)>,
    /// The segment in which the last piece was.
    before: Option<u32>,
}

/// What was read last: bytes that one writer wrote, one behind the other.
#[derive(Default)]
struct Stretch {
    bytes: Vec<u8>,
    position: usize,
    marks: Vec<Mark>,
    /// The last mark that is not behind the position.
    mark: usize,
    track: usize,
    writer: Option<Arc<Writer>>,
    note: bool,
    /// Whether lines that begin in it are.
    wanted: bool,
}

/// Where in it a piece begins.
#[derive(Clone, Copy)]
struct Mark {
    at_byte: usize,
    seq: u64,
    at: u64,
    starts: bool,
}

/// What comes next of a source.
pub enum Step {
    /// A line.
    Line(Head),
    /// Nothing yet: it is another's turn.
    Busy,
    /// Nothing more for now.
    End,
}

/// What came of looking for more.
enum Fill {
    Ready,
    Busy,
    End,
}

/// How much is read at a time of what is read only for the end of a line.
const ENDS: usize = 16 * 1024;
/// Writers that are remembered, but for those within a line.
const TRACKS: usize = 256;

impl Source {
    /// One that begins here; `within` a line perhaps, which is left out then.
    pub fn new(view: Book, memory: Option<Memory>, cursor: Cursor, within: bool) -> Self {
        let (tracks, pending, read) = Default::default();
        Self { view, memory, cursor, tracks, read, pending, within, stop: None, before: None }
    }

    /// The next line.
    pub fn next(&mut self, ask: &Ask, shelf: &mut dyn Shelf, budget: &mut Budget) -> Step {
        loop {
            if let Some(head) = self.pending.pop_front() {
                if !head.begins || self.finds(&head, ask) {
                    return Step::Line(head);
                }
                continue;
            }
            if let Some(head) = self.next_read(ask) {
                return Step::Line(head);
            }
            match self.fill(ask, shelf, budget) {
                Fill::Ready => {}
                Fill::Busy => return Step::Busy,
                Fill::End => return Step::End,
            }
        }
    }

    fn finds(&self, head: &Head, ask: &Ask) -> bool {
        ask.filter.finds(self.bytes(head))
    }

    fn bytes<'a>(&'a self, head: &'a Head) -> &'a [u8] {
        match &head.text {
            Text::Own(bytes) => bytes,
            Text::Read(range) => self.read.bytes.get(range.clone()).unwrap_or_default(),
        }
    }

    /// A line that it gave last, to look at.
    pub fn line<'a>(&'a self, head: &'a Head) -> Line<'a> {
        Line {
            writer: &head.writer,
            seq: head.seq,
            at: head.at,
            bytes: self.bytes(head),
            begins: head.begins,
            end: head.end,
            note: head.note,
        }
    }

    /// Takes a later view of the same book, or what came in memory behind what there was.
    pub fn refresh(&mut self, view: Book, memory: Option<Memory>) {
        for track in &mut self.tracks {
            track.waits = false;
            if memory.is_some() {
                track.taken = None;
            }
        }
        if memory.is_some() {
            self.cursor = Cursor::default();
            self.before = None;
        } else if let Some(segment) = self.view.segments.get(self.cursor.segment) {
            let number = segment.number;
            match view.segments.iter().position(|segment| segment.number == number) {
                Some(segment) => self.cursor.moved_to(segment),
                None => {
                    let later = view.segments.iter().position(|segment| segment.number > number);
                    self.cursor = Cursor::at(later.unwrap_or(view.segments.len()));
                }
            }
        }
        (self.view, self.memory) = (view, memory);
    }

    /// How much of what it had still to read has been removed in a later view.
    pub fn removed(&self, view: &Book) -> u64 {
        let first = view.segments.first().map_or(u32::MAX, |segment| segment.number);
        let unread = self.view.segments.iter().skip(self.cursor.segment);
        let gone = unread.take_while(|segment| segment.number < first);
        gone.map(|segment| segment.length).sum::<u64>().saturating_sub(self.cursor.read())
    }

    /// The next line in what was read last.
    fn next_read(&mut self, ask: &Ask) -> Option<Head> {
        let Self { read, tracks, .. } = self;
        let track = tracks.get_mut(read.track)?;
        let writer = read.writer.clone()?;
        while read.position < read.bytes.len() {
            match &mut track.at {
                At::Skipping => {
                    let (_, behind, ended) = read.line_end(true);
                    read.go_to(behind);
                    if ended {
                        track.at = At::Between;
                    }
                }
                At::Within(begun) => {
                    let (end, behind, ended) = read.line_end(true);
                    let part = &read.bytes[read.position..end];
                    let count = begun.add(part);
                    if count < part.len() {
                        read.go_to(read.position + count);
                        if begun.begins && !ask.filter.finds(&begun.bytes) {
                            track.at = At::Skipping;
                            continue;
                        }
                        return Some(begun.part());
                    }
                    read.go_to(behind);
                    if ended {
                        let head = track.end()?;
                        if !head.begins
                            || matches!(&head.text, Text::Own(bytes) if ask.filter.finds(bytes))
                        {
                            return Some(head);
                        }
                    }
                }
                At::Between | At::Unread if !read.wanted => {
                    read.go_to(read.bytes.len());
                    track.at = At::Unread;
                }
                At::Between | At::Unread => {
                    read.skip_ahead(&ask.filter);
                    let (end, behind, ended) = read.line_end(false);
                    let text = read.position..end;
                    let Mark { seq, at, .. } = read.here();
                    let bytes = &read.bytes[text.clone()];
                    let found = ended && ask.filter.finds(bytes);
                    let (note, begins) = (read.note, true);
                    if !ended && !text.is_empty() {
                        let (writer, bytes) = (Arc::clone(&writer), bytes.to_vec());
                        track.at = At::Within(Begun { writer, seq, at, note, begins, bytes });
                    }
                    read.go_to(behind);
                    if found {
                        let (end, text) = (End::Whole, Text::Read(text));
                        return Some(Head { writer, seq, at, note, begins, end, text });
                    }
                }
            }
        }
        None
    }

    /// Reads more.
    fn fill(&mut self, ask: &Ask, shelf: &mut dyn Shelf, budget: &mut Budget) -> Fill {
        loop {
            if budget.is_spent() {
                return Fill::Busy;
            }
            if self.passes_segment(ask) {
                self.cursor.skip_segment();
                self.unread();
                continue;
            }
            let found = self.peek(shelf, budget);
            let over = found.as_ref().is_none_or(|found| self.is_stopped(found));
            if over && !self.tracks.iter().any(|track| track.is_within() && !track.waits) {
                return Fill::End;
            }
            let Some(found) = found else { return self.end(ask) };
            let number = self.view.segments.get(found.segment).map(|segment| segment.number);
            if self.before.is_some_and(|before| number > before.checked_add(1)) {
                self.before = number;
                self.tear();
                return Fill::Ready;
            }
            self.before = number;
            let Some(writer) = found.writer.clone() else {
                budget.lose(found.piece.length);
                self.cursor.pass();
                self.tear();
                return Fill::Ready;
            };
            if !ask.filter.wants(&writer) {
                self.cursor.pass();
                continue;
            }
            let track = self.track(&writer, &found);
            if self.pass_taken(track, &found, number) {
                continue;
            }
            let others =
                |(at, other): &(usize, &Track)| *at != track && other.is_within() && !other.waits;
            let other = self.tracks.iter().enumerate().find(others).map(|(at, _)| at);
            if let Some(other) = other {
                self.complete(other, ask, shelf, budget);
                return Fill::Ready;
            }
            if self.ends_line(track, &found, &writer) {
                return Fill::Ready;
            }
            let wanted = ask.filter.has(&found.piece) && !self.is_stopped(&found);
            if !wanted && !self.tracks[track].is_within() {
                self.tracks[track].at = At::Unread;
                self.cursor.pass();
                // The index alone costs something, too.
                budget.spend(16);
                continue;
            }
            self.gather(track, &writer, wanted, ask, shelf, budget);
            return Fill::Ready;
        }
    }

    /// The next piece.
    fn peek(&mut self, shelf: &mut dyn Shelf, budget: &mut Budget) -> Option<Found> {
        let Self { view, memory, cursor, .. } = self;
        let view = (&view.place, &view.segments[..]);
        let found = match memory {
            Some(memory) => cursor.peek(view, memory, budget),
            None => cursor.peek(view, shelf, budget),
        };
        found.cloned()
    }

    /// Whether there is nothing in the segment that comes now.
    fn passes_segment(&self, ask: &Ask) -> bool {
        let Some(segment) = self.view.segments.get(self.cursor.segment) else { return false };
        let is_last = self.cursor.segment + 1 >= self.view.segments.len();
        let may_grow = is_last && ask.follow;
        if may_grow || ask.filter.may_be_in(segment) {
            return false;
        }
        self.cursor.is_fresh() && !self.tracks.iter().any(Track::is_within)
    }

    fn is_stopped(&self, found: &Found) -> bool {
        self.stop.is_some_and(|stop| (found.segment, found.offset) >= stop)
    }

    /// Something was passed over.
    fn unread(&mut self) {
        self.within = true;
        self.before = None;
        for track in &mut self.tracks {
            track.at = At::Unread;
        }
    }

    /// Something is missing: whatever had begun ends here, and what goes on behind it is told as it is.
    fn tear(&mut self) {
        self.within = false;
        for track in &mut self.tracks {
            self.pending.extend(track.finish(End::Whole));
        }
        self.tracks.clear();
        self.read = Stretch::default();
    }

    /// The track of a writer.
    fn track(&mut self, writer: &Arc<Writer>, found: &Found) -> usize {
        if let Some(at) = self.tracks.iter().position(|track| track.is_of(writer)) {
            return at;
        }
        if self.tracks.len() >= TRACKS {
            // It is found again at its next line.
            self.tracks.retain(|track| track.is_within() || track.taken.is_some());
        }
        let begins = found.piece.starts;
        let at = if begins || !self.within { At::Between } else { At::Skipping };
        self.tracks.push(Track::new(Arc::clone(writer), found.form, begins, at));
        self.tracks.len() - 1
    }

    /// Passes what was read of a piece already; whether there was any.
    fn pass_taken(&mut self, track: usize, found: &Found, number: Option<u32>) -> bool {
        let Some((taken, starts)) = self.tracks[track].taken else { return false };
        let (Some(number), end) = (number, found.offset + found.piece.length) else { return false };
        if taken <= (number, found.offset) {
            self.tracks[track].taken = None;
            return false;
        }
        if taken >= (number, end) {
            self.cursor.pass();
        } else {
            self.cursor.pass_some(taken.1 - found.offset, starts);
        }
        true
    }

    /// Whether a piece ends the line that its writer has begun before.
    fn ends_line(&mut self, track: usize, found: &Found, writer: &Arc<Writer>) -> bool {
        let track = &mut self.tracks[track];
        let Piece { starts, note, .. } = found.piece;
        let begins = starts || note || track.writer.pid != writer.pid;
        let head = if begins { track.finish(End::Whole) } else { None };
        if begins || matches!(track.at, At::Unread) {
            track.at = if begins { At::Between } else { At::Skipping };
        }
        if begins {
            track.unformed.begin();
        }
        if track.form != found.form {
            track.form = found.form;
            track.unformed = super::form::Unformed::new(found.form, begins);
        }
        track.writer = Arc::clone(writer);
        let ended = head.is_some();
        self.pending.extend(head);
        ended
    }

    /// Reads pieces of a writer that lie one behind the other.
    fn gather(
        &mut self,
        track: usize,
        writer: &Arc<Writer>,
        wanted: bool,
        ask: &Ask,
        shelf: &mut dyn Shelf,
        budget: &mut Budget,
    ) {
        let most = if wanted { ask.stretch } else { ENDS };
        let mut pieces: Vec<Piece> = Vec::new();
        let mut place = (0, 0);
        let mut length = 0;
        while let Some(found) = self.peek(shelf, budget) {
            let Found { mut piece, writer: whose, segment, offset, .. } = found;
            let same = whose.is_some_and(|whose| Arc::ptr_eq(&whose, writer));
            let fits = || {
                (segment, offset) == place
                    && same
                    && !piece.note
                    && (ask.filter.has(&piece) && self.stop.is_none_or(|stop| place < stop))
                        == wanted
            };
            if !pieces.is_empty() && !fits() || length >= most {
                break;
            }
            let room = u64::try_from(most - length).unwrap_or(0);
            let is_note = piece.note;
            if piece.length > room {
                self.cursor.pass_some(room, false);
                piece.length = room;
            } else {
                self.cursor.pass();
            }
            if pieces.is_empty() {
                place = (segment, offset);
            }
            place.1 += piece.length;
            length += usize::try_from(piece.length).unwrap_or(0);
            pieces.push(piece);
            if is_note {
                break;
            }
        }
        let from = place.1 - u64::try_from(length).unwrap_or(0);
        budget.spend(length + 16 * pieces.len());
        match self.data(place.0, (from, length), shelf) {
            Ok(bytes) => self.begin_stretch(track, writer, wanted, &pieces, bytes),
            Err(Gone) => {
                budget.lose(u64::try_from(length).unwrap_or(0));
                self.tear();
            }
        }
    }

    fn data(
        &mut self,
        segment: usize,
        (from, length): (u64, usize),
        shelf: &mut dyn Shelf,
    ) -> Result<Vec<u8>, Gone> {
        let Self { view, memory, .. } = self;
        let segment = view.segments.get(segment).ok_or(Gone)?;
        let bytes = read_from(&view.place, segment, (from, length), (memory, shelf))?;
        if bytes.len() == length {
            Ok(bytes)
        } else {
            Err(Gone)
        }
    }

    fn begin_stretch(
        &mut self,
        track: usize,
        writer: &Arc<Writer>,
        wanted: bool,
        pieces: &[Piece],
        bytes: Vec<u8>,
    ) {
        let plain = self.tracks[track].form == crate::logs::index::Form::Plain;
        let unformed = &mut self.tracks[track].unformed;
        let mut marks = Vec::with_capacity(pieces.len());
        let mut out = Vec::new();
        let mut from = 0;
        for (number, piece) in pieces.iter().enumerate() {
            let Piece { seq, at, .. } = *piece;
            let starts = piece.starts && number > 0;
            let to = from + usize::try_from(piece.length).unwrap_or(0);
            let at_byte = if plain { from } else { out.len() };
            marks.push(Mark { at_byte, seq, at, starts });
            if !plain {
                if starts {
                    unformed.begin();
                }
                unformed.take(bytes.get(from..to).unwrap_or_default(), &mut out);
            }
            from = to;
        }
        self.read = Stretch {
            bytes: if plain { bytes } else { out },
            position: 0,
            marks,
            mark: 0,
            track,
            writer: Some(Arc::clone(writer)),
            note: pieces.first().is_some_and(|piece| piece.note),
            wanted,
        };
    }

    /// Reads a line that others write into to its end, ahead of them.
    fn complete(&mut self, track: usize, ask: &Ask, shelf: &mut dyn Shelf, budget: &mut Budget) {
        let Self { view, memory, tracks, cursor, pending, .. } = self;
        let track = &mut tracks[track];
        let mut ahead = cursor.clone();
        loop {
            let found = match memory {
                Some(memory) => ahead.peek((&view.place, &view.segments), memory, budget),
                None => ahead.peek((&view.place, &view.segments), shelf, budget),
            };
            let Some(found) = found.cloned() else {
                let live = ask.live.contains(&track.writer.pid);
                if live && ask.follow {
                    track.waits = true;
                } else {
                    pending.extend(track.finish(if live { End::Open } else { End::Whole }));
                }
                return;
            };
            let Some(segment) = view.segments.get(found.segment) else { return };
            let Some(writer) = found.writer.as_ref().filter(|writer| track.is_of(writer)) else {
                ahead.pass();
                continue;
            };
            if let Some((taken, _)) = track.taken {
                let end = (segment.number, found.offset + found.piece.length);
                if taken >= end {
                    ahead.pass();
                    continue;
                }
                if taken > (segment.number, found.offset) {
                    ahead.pass_some(taken.1 - found.offset, false);
                    continue;
                }
            }
            let Piece { starts, note, length, .. } = found.piece;
            if starts || note || writer.pid != track.writer.pid || found.form != track.form {
                pending.extend(track.finish(End::Whole));
                return;
            }
            let length = usize::try_from(length).unwrap_or(usize::MAX).min(ENDS);
            budget.spend(length);
            let read = read_from(&view.place, segment, (found.offset, length), (memory, shelf));
            let Ok(bytes) = read else {
                pending.extend(track.finish(End::Whole));
                return;
            };
            let (used, over) = take_line(track, &bytes);
            let used = u64::try_from(used).unwrap_or(0);
            track.taken = Some(((segment.number, found.offset + used), over == Some(true)));
            ahead.pass_some(used, false);
            match over {
                None => {}
                Some(true) => {
                    pending.extend(track.end());
                    return;
                }
                // It is long: what follows is read when others have had their turn.
                Some(false) => {
                    let At::Within(begun) = &mut track.at else { return };
                    if begun.begins && !ask.filter.finds(&begun.bytes) {
                        track.at = At::Skipping;
                        return;
                    }
                    pending.push_back(begun.part());
                }
            }
        }
    }

    /// All is read that there is.
    fn end(&mut self, ask: &Ask) -> Fill {
        for track in self.tracks.iter_mut().filter(|track| track.is_within()) {
            let live = ask.live.contains(&track.writer.pid);
            if live && ask.follow {
                track.waits = true;
                continue;
            }
            self.pending.extend(track.finish(if live { End::Open } else { End::Whole }));
        }
        if self.pending.is_empty() {
            Fill::End
        } else {
            Fill::Ready
        }
    }
}

fn read_from(
    place: &Place,
    segment: &Segment,
    (from, length): (u64, usize),
    (memory, shelf): (&mut Option<Memory>, &mut dyn Shelf),
) -> Result<Vec<u8>, Gone> {
    match memory {
        Some(memory) => memory.data(place, segment, from, length),
        None => shelf.data(place, segment, from, length),
    }
}

/// Takes what belongs to the line that has begun; gives how much of the bytes that is, and whether the line
/// has ended with it, or is too long.
fn take_line(track: &mut Track, bytes: &[u8]) -> (usize, Option<bool>) {
    let At::Within(begun) = &mut track.at else { return (bytes.len(), None) };
    let mut used = 0;
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let mut out = Vec::new();
        track.unformed.take(line, &mut out);
        used += line.len();
        let ended = out.last() == Some(&b'\n');
        if ended {
            out.pop();
        }
        if begun.bytes.len() + out.len() > limits::PAST_LINE {
            // All of it goes into this part, which is the longer for it.
            begun.bytes.extend_from_slice(&out);
            return (used, Some(ended));
        }
        begun.add(&out);
        if ended {
            return (used, Some(true));
        }
    }
    (used, None)
}

impl Stretch {
    /// What the piece says in which the position is.
    fn here(&self) -> Mark {
        self.marks.get(self.mark).copied().unwrap_or(Mark {
            at_byte: 0,
            seq: 0,
            at: 0,
            starts: false,
        })
    }

    /// Moves on.
    fn go_to(&mut self, position: usize) {
        self.position = position;
        while self.marks.get(self.mark + 1).is_some_and(|mark| mark.at_byte <= position) {
            self.mark += 1;
        }
    }

    /// Where the line ends, what is behind it begins, and whether it ends here at all. It does, too, where its
    /// writer begins another; also right here where it is going on.
    fn line_end(&self, goes_on: bool) -> (usize, usize, bool) {
        let rest = &self.bytes[self.position..];
        let end = memchr(b'\n', rest).map(|end| self.position + end);
        let most = end.unwrap_or(self.bytes.len());
        let first =
            if goes_on && self.here().at_byte == self.position { self.mark } else { self.mark + 1 };
        let behind = self.marks.get(first..).unwrap_or_default();
        let before = |mark: &&Mark| mark.at_byte <= most && mark.at_byte < self.bytes.len();
        let cut = behind.iter().take_while(before).find(|mark| mark.starts);
        match (cut, end) {
            (Some(mark), _) => (mark.at_byte, mark.at_byte, true),
            (None, Some(end)) => (end, end + 1, true),
            (None, None) => (self.bytes.len(), self.bytes.len(), false),
        }
    }

    /// Goes to the next line in which what is looked for may be, or to the one that does not end here.
    fn skip_ahead(&mut self, filter: &Filter) {
        let Some(finder) = filter.grep.as_ref().and_then(|grep| grep.literal()) else { return };
        let rest = &self.bytes[self.position..];
        let most = finder.find(rest).unwrap_or(rest.len());
        let line = memrchr(b'\n', &rest[..most]).map_or(0, |end| end + 1);
        let to = self.position + line;
        let most = self.position + most;
        self.go_to(to.min(self.bytes.len()));
        let behind = self.marks.get(self.mark + 1..).unwrap_or_default();
        let starts =
            behind.iter().take_while(|mark| mark.at_byte <= most).filter(|mark| mark.starts);
        if let Some(mark) = starts.last() {
            self.go_to(mark.at_byte.min(self.bytes.len()));
        }
    }
}
