//! Who is being sent a file of a site, and how far that is. Each waits for one thing at a time: for the file to be
//! opened, for a piece of it to be read, or for its client to take what was read.

use std::ops::Range;
use std::time::Instant;

use crate::base::clock::Now;
use crate::base::ids::ConnId;
use crate::base::limits;
use crate::base::sorted::SortedMap;
use crate::front::request::Request;

/// All who are.
#[derive(Default)]
pub struct Sendings {
    all: SortedMap<ConnId, Sending>,
}

struct Sending {
    /// When something was last read for it, or it began.
    moved: Instant,
    step: Step,
}

enum Step {
    /// The file is being opened.
    Opening(Box<Asked>),
    /// These bytes of it are still to be read.
    Resting(Range<u64>),
    /// The first so many of these bytes are being read.
    Reading(Range<u64>, u64),
}

/// What is asked for.
pub struct Asked {
    /// By this request.
    pub request: Request,
    /// The name of the file.
    pub name: String,
}

/// Something to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// From where on.
    pub at: u64,
    /// How much.
    pub length: usize,
}

/// What became of a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// There is more.
    More,
    /// It was the last.
    Last,
    /// It is not what was asked for.
    Wrong,
}

impl Sendings {
    /// Whether there are as many as there may be.
    pub fn is_full(&self) -> bool {
        self.all.len() >= limits::SITE_FILES
    }

    /// Begins one.
    pub fn begin(&mut self, conn: ConnId, asked: Asked, now: Now) {
        let step = Step::Opening(Box::new(asked));
        self.all.insert(conn, Sending { moved: now.mono, step });
    }

    /// Whoever has not taken for longest what there is for him, if that is long. Who waits for the disk is not
    /// slow himself.
    pub fn stalled(&self, now: Now) -> Option<ConnId> {
        let rests = |(_, sending): &(&ConnId, &Sending)| matches!(sending.step, Step::Resting(_));
        let (conn, slowest) = self.all.iter().filter(rests).min_by_key(|(_, s)| s.moved)?;
        let stalled = slowest.moved + limits::SITE_STALLED <= now.mono;
        stalled.then_some(*conn)
    }

    /// The file is open, or not: what was asked for. Without [`Self::read`] that is the end of it.
    pub fn opened(&mut self, conn: ConnId) -> Option<Asked> {
        if !matches!(self.all.get(&conn)?.step, Step::Opening(_)) {
            return None;
        }
        match self.all.remove(&conn)?.step {
            Step::Opening(asked) => Some(*asked),
            Step::Resting(_) | Step::Reading(..) => None,
        }
    }

    /// These bytes are to be read, and sent.
    pub fn read(&mut self, conn: ConnId, bytes: Range<u64>, now: Now) {
        self.all.insert(conn, Sending { moved: now.mono, step: Step::Resting(bytes) });
    }

    /// What is to be read next, where nothing is being read.
    pub fn next(&mut self, conn: ConnId) -> Option<Piece> {
        let sending = self.all.get_mut(&conn)?;
        let Step::Resting(bytes) = &sending.step else { return None };
        let length = usize::try_from(bytes.end - bytes.start).unwrap_or(usize::MAX);
        let piece = Piece { at: bytes.start, length: length.min(limits::SITE_PIECE) };
        let count = u64::try_from(piece.length).unwrap_or(u64::MAX);
        sending.step = Step::Reading(bytes.clone(), count);
        Some(piece)
    }

    /// So many bytes of it were read. After [`Progress::More`] it goes on.
    pub fn took(&mut self, conn: ConnId, count: usize, now: Now) -> Option<Progress> {
        let sending = self.all.get_mut(&conn)?;
        let Step::Reading(bytes, asked) = &sending.step else { return None };
        if u64::try_from(count) != Ok(*asked) {
            return Some(Progress::Wrong);
        }
        let rest = bytes.start + asked..bytes.end;
        let progress = if rest.is_empty() { Progress::Last } else { Progress::More };
        sending.step = Step::Resting(rest);
        sending.moved = now.mono;
        Some(progress)
    }

    /// It is over; whether there was one.
    pub fn forget(&mut self, conn: ConnId) -> bool {
        self.all.remove(&conn).is_some()
    }

    /// Whether this client is one of them.
    pub fn is_sent(&self, conn: ConnId) -> bool {
        self.all.contains_key(&conn)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Checks that each has its client.
    ///
    /// # Errors
    /// The first that has none, in words.
    pub fn sweep(&self, is_there: impl Fn(&ConnId) -> bool) -> Result<(), String> {
        match self.all.keys().find(|conn| !is_there(conn)) {
            Some(conn) => Err(format!("{conn:?} is gone, and a file is still open for it")),
            None => Ok(()),
        }
    }
}
