//! The files of books, for whoever reads them. Each is looked for whenever something of it is wanted: under the
//! name that is written to, then under the one it has when that was taken, then compressed, and once more from
//! the start, as it may have gone on to the next name meanwhile. What is not as long as it was is not read.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use flate2::bufread::GzDecoder;
use log::debug;

use crate::base::limits;
use crate::logs::names::Place;
use crate::logs::reading::{Gone, Shelf};
use crate::logs::view::Segment;

/// Files as they are found by their names.
#[derive(Default)]
pub(super) struct Files {
    /// Compressed ones that are open, the one that was read last behind the others.
    packed: VecDeque<Packed>,
}

/// A compressed file, read up to some place.
struct Packed {
    place: Place,
    number: u32,
    decoder: GzDecoder<io::BufReader<File>>,
    /// What comes next of it.
    position: u64,
    /// What came last, as readers go back a little.
    last: Vec<u8>,
}

/// How much of a compressed file can be gone back.
const BACK: usize = limits::LOG_STRETCH;
/// Shortest file in its format: a header and what stands behind the data.
const SHORTEST: u64 = 18;

impl Shelf for Files {
    fn index(
        &mut self,
        place: &Place,
        segment: &Segment,
        from: u64,
        length: usize,
    ) -> Result<Vec<u8>, Gone> {
        let file = open(&place.index(segment.number)).map_err(|error| gone(place, &error))?;
        read_up_to(&file, from, length).map_err(|error| gone(place, &error))
    }

    fn data(
        &mut self,
        place: &Place,
        segment: &Segment,
        from: u64,
        length: usize,
    ) -> Result<Vec<u8>, Gone> {
        for _ in 0..2 {
            if let Some(file) = plain(place, segment) {
                let mut bytes = vec![0; length];
                return match file.read_exact_at(&mut bytes, from) {
                    Ok(()) => Ok(bytes),
                    Err(error) => Err(gone(place, &error)),
                };
            }
            if let Some(read) = self.read_packed(place, segment, from, length) {
                return read.map_err(|error| gone(place, &error));
            }
        }
        Err(Gone)
    }

    fn seeks(&mut self, place: &Place, segment: &Segment) -> bool {
        plain(place, segment).is_some()
    }
}

impl Files {
    /// Reads from a compressed file; `None` where there is none.
    fn read_packed(
        &mut self,
        place: &Place,
        segment: &Segment,
        from: u64,
        length: usize,
    ) -> Option<io::Result<Vec<u8>>> {
        let is_it = |packed: &Packed| packed.number == segment.number && packed.place == *place;
        let known = self.packed.iter().position(is_it).and_then(|at| self.packed.remove(at));
        let packed = match known.filter(|packed| packed.reaches(from)) {
            Some(packed) => Ok(packed),
            None => Packed::open(place, segment)?,
        };
        let read = packed.and_then(|mut packed| {
            let bytes = packed.read(from, length)?;
            Ok((packed, bytes))
        });
        Some(read.map(|(packed, bytes)| {
            self.packed.push_back(packed);
            if self.packed.len() > limits::LOG_PACKED {
                self.packed.pop_front();
            }
            bytes
        }))
    }
}

impl Packed {
    fn open(place: &Place, segment: &Segment) -> Option<io::Result<Self>> {
        let file = open(&place.packed(segment.number)).ok()?;
        let opened = is_of_length(&file, segment.length).map(|()| Self {
            place: place.clone(),
            number: segment.number,
            decoder: GzDecoder::new(io::BufReader::new(file)),
            position: 0,
            last: Vec::new(),
        });
        Some(opened)
    }

    /// Whether a place in it is ahead, or not far back.
    fn reaches(&self, from: u64) -> bool {
        let kept = u64::try_from(self.last.len()).unwrap_or(0);
        from >= self.position - kept
    }

    fn read(&mut self, from: u64, length: usize) -> io::Result<Vec<u8>> {
        while self.position < from {
            let some = usize::try_from(from - self.position).unwrap_or(usize::MAX).min(BACK);
            self.more(some)?;
        }
        let back = usize::try_from(self.position - from).unwrap_or(usize::MAX);
        if let Some(missing) = length.checked_sub(back) {
            self.more(missing)?;
        }
        let back = usize::try_from(self.position - from).unwrap_or(usize::MAX);
        let begin = self.last.len().checked_sub(back).ok_or(io::ErrorKind::UnexpectedEof)?;
        let bytes = self.last[begin..begin + length].to_vec();
        let surplus = self.last.len().saturating_sub(BACK);
        self.last.drain(..surplus);
        Ok(bytes)
    }

    /// Unpacks so many bytes more.
    fn more(&mut self, count: usize) -> io::Result<()> {
        let before = self.last.len();
        // What is passed over is let go as soon as it is long.
        if before > 2 * BACK {
            self.last.drain(..before - BACK);
        }
        let before = self.last.len();
        self.last.resize(before + count, 0);
        self.decoder.read_exact(&mut self.last[before..])?;
        self.position += u64::try_from(count).unwrap_or(0);
        Ok(())
    }
}

/// The data of a segment as they were written, under the first of their names. They stay the same file.
fn plain(place: &Place, segment: &Segment) -> Option<File> {
    let inode = |file: &File| file.metadata().ok().map(|found| found.ino());
    let active = open(&place.data)
        .ok()
        .filter(|file| segment.inode.is_some() && inode(file) == segment.inode);
    let same = |file: &File| segment.inode.is_none() || inode(file) == segment.inode;
    let file = active.or_else(|| open(&place.segment(segment.number)).ok().filter(same))?;
    let long = file.metadata().is_ok_and(|found| found.len() >= segment.length);
    long.then_some(file)
}

/// Opens a regular file, and through no link.
fn open(path: &Path) -> io::Result<File> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::other("it is no file")),
    }
}

/// Whether a compressed file holds so many bytes, by what stands at its end (RFC 1952, section 2.3.1).
fn is_of_length(file: &File, length: u64) -> io::Result<()> {
    let end = file.metadata()?.len();
    let mut told = [0; 4];
    if end < SHORTEST {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    file.read_exact_at(&mut told, end - 4)?;
    match u64::from(u32::from_le_bytes(told)) == length & u64::from(u32::MAX) {
        true => Ok(()),
        false => Err(io::Error::other("it is not as long as it was")),
    }
}

fn read_up_to(file: &File, from: u64, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    let mut count = 0;
    while count < length {
        let at = from + u64::try_from(count).unwrap_or(0);
        match file.read_at(&mut bytes[count..], at) {
            Ok(0) => break,
            Ok(more) => count += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(count);
    Ok(bytes)
}

fn gone(place: &Place, error: &io::Error) -> Gone {
    debug!("{}: a part of it is not read: {error}", place.data.display());
    Gone
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::write::GzEncoder;
    use flate2::Compression;
    use std::fs;
    use std::io::Write as _;

    fn segment(number: u32, length: usize, inode: Option<u64>) -> Segment {
        let length = u64::try_from(length).expect("few");
        Segment { number, inode, length, index: 0, oldest: 0, newest: 0, last: 0 }
    }

    fn pack(path: &Path, bytes: &[u8]) {
        let mut encoder = GzEncoder::new(File::create(path).expect("a file"), Compression::fast());
        encoder.write_all(bytes).expect("written");
        encoder.finish().expect("whole");
    }

    #[test]
    fn data_are_found_under_each_of_their_names_and_no_others_for_them() {
        let dir = tempfile::tempdir().expect("a folder");
        let place = Place::managed(dir.path(), ("s", "j"), 1, "out");
        fs::create_dir_all(&place.folder).expect("made");
        fs::write(&place.data, "first").expect("written");
        let inode = fs::metadata(&place.data).expect("there").ino();
        let mut files = Files::default();
        let first = segment(1, 5, Some(inode));
        let read = |files: &mut Files, of: &Segment| files.data(&place, of, 1, 3);
        assert_eq!(read(&mut files, &first), Ok(b"irs".to_vec()));
        assert_eq!(read(&mut files, &segment(1, 6, Some(inode))), Err(Gone), "it is shorter");
        assert_eq!(read(&mut files, &segment(1, 5, Some(inode + 1))), Err(Gone), "it is another");
        fs::rename(&place.data, place.segment(1)).expect("renamed");
        fs::write(&place.data, "second").expect("written");
        assert_eq!(read(&mut files, &first), Ok(b"irs".to_vec()));
        pack(&place.packing(1), b"first");
        fs::remove_file(place.segment(1)).expect("removed");
        assert_eq!(read(&mut files, &first), Err(Gone), "half a file is none");
        fs::rename(place.packing(1), place.packed(1)).expect("renamed");
        assert_eq!(read(&mut files, &first), Ok(b"irs".to_vec()));
        assert!(!files.seeks(&place, &first));
        fs::write(place.packed(1), "no gzip, and long enough for it").expect("written");
        let mut files = Files::default();
        assert_eq!(read(&mut files, &first), Err(Gone));
        fs::remove_file(place.packed(1)).expect("removed");
        std::os::unix::fs::symlink(&place.data, place.segment(1)).expect("a link");
        assert_eq!(read(&mut files, &segment(1, 5, None)), Err(Gone), "a link is none of ours");
    }

    #[test]
    fn a_compressed_file_is_read_from_anywhere() {
        let dir = tempfile::tempdir().expect("a folder");
        let place = Place::managed(dir.path(), ("s", "j"), 1, "out");
        fs::create_dir_all(&place.folder).expect("made");
        let all: Vec<u8> = (0..4 * BACK).map(|at| u8::try_from(at % 251).expect("small")).collect();
        pack(&place.packed(3), &all);
        let mut files = Files::default();
        let of = segment(3, all.len(), None);
        for (from, length) in
            [(0, 10), (10, 100), (50, 7), (3 * BACK, BACK), (2 * BACK + 5, BACK), (1, 9)]
        {
            let at = u64::try_from(from).expect("few");
            let found = files.data(&place, &of, at, length).expect("there");
            assert!(found == all[from..from + length], "{from} {length}");
        }
        let end = u64::try_from(all.len()).expect("few");
        assert_eq!(files.data(&place, &of, end - 1, 2), Err(Gone));
        // A file that is torn in its middle is told as far as it goes.
        let torn = fs::read(place.packed(3)).expect("there");
        fs::write(place.packed(3), &torn[..torn.len() / 2]).expect("written");
        assert!(Files::default().data(&place, &of, end - 10, 10).is_err());
    }

    #[test]
    fn no_more_compressed_files_are_open_than_may_be() {
        let dir = tempfile::tempdir().expect("a folder");
        let place = Place::managed(dir.path(), ("s", "j"), 1, "out");
        fs::create_dir_all(&place.folder).expect("made");
        let mut files = Files::default();
        for number in 0..=u32::try_from(limits::LOG_PACKED).expect("few") {
            pack(&place.packed(number), b"text");
            assert_eq!(files.data(&place, &segment(number, 4, None), 0, 4), Ok(b"text".to_vec()));
            let open = usize::try_from(number + 1).expect("few").min(limits::LOG_PACKED);
            assert_eq!(files.packed.len(), open);
        }
    }
}
