//! What there is of a book at one moment, for whoever reads it. Data are found by their number: under the name
//! that is written to, if that is the file that was meant, else under the one they have when that was taken,
//! else compressed. They go through these names in this order, so that whoever looks for them in it finds them,
//! unless they are removed.

use super::names::Place;

/// A book.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Book {
    /// Where it lies.
    pub place: Place,
    /// Its segments, oldest first.
    pub segments: Vec<Segment>,
}

/// One of its segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Its number.
    pub number: u32,
    /// The inode of its data, where they were written to.
    pub inode: Option<u64>,
    /// Bytes of its data, not compressed: what is behind that was written later.
    pub length: u64,
    /// Bytes of its index on the disk.
    pub index: u64,
    /// The earliest time in it,
    pub oldest: u64,
    /// and the latest, in microseconds since 1970.
    pub newest: u64,
    /// The number of what was written last to it.
    pub last: u64,
}

/// What a job takes on the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// The job's whole name, or the path of a file elsewhere.
    pub name: String,
    /// Whether it is a file elsewhere, which is not counted against the store.
    pub elsewhere: bool,
    /// Bytes, with those of the indices.
    pub bytes: u64,
    /// Files, without the indices.
    pub files: usize,
    /// When the oldest of it was written, in microseconds since 1970.
    pub oldest: u64,
    /// And the newest.
    pub newest: u64,
}
